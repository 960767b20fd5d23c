//! What is measured: the loads, the figures of each, and how far each figure may go.

/// One load, as arguments of `dunlin bench`, and what is read from its figures.
#[derive(Debug)]
pub(super) struct Row {
    /// What `--only` calls it.
    pub(super) name: &'static str,
    pub(super) words: &'static str,
    pub(super) arguments: &'static str,
    pub(super) transport: Transport,
    pub(super) figures: &'static [Figure],
}

/// What lies between TCP and MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// Nothing.
    Tcp,
    /// TLS 1.3.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket in TLS 1.3.
    Wss,
}

impl Transport {
    /// Whether TLS is spoken.
    pub(super) fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether WebSocket is spoken.
    pub(super) fn has_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// One figure of a load.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) words: &'static str,
    pub(super) source: Source,
    pub(super) unit: Unit,
    /// The hard bound of Dunlin with one shard, for [`Unit::is_best_high`] the least, else the most. In multiples of the
    /// relay if the unit is [`Unit::Delivery`].
    pub(super) bound: f64,
}

/// Where the figure stands in what `dunlin bench --json` prints.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// A number by its key.
    Key(&'static str),
    /// How much the memory of the Server grew, for each of so many.
    GrowthFor(f64),
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Microseconds of processor time for a delivery, which count as a multiple of the relay's.
    Delivery,
    /// Microseconds of processor time.
    Time,
    /// Bytes of memory.
    Bytes,
    /// A number a second.
    Rate,
}

impl Unit {
    /// What stands behind a figure.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Delivery => "us a delivery",
            Self::Time => "us",
            Self::Bytes => "bytes",
            Self::Rate => "/s",
        }
    }

    /// Whether more is better.
    pub(super) fn is_best_high(self) -> bool {
        self == Self::Rate
    }

    /// Whether the figure says the same on every machine, so that it can be compared with what was kept.
    pub(super) fn is_of_the_program(self) -> bool {
        matches!(self, Self::Delivery | Self::Bytes)
    }
}

/// How many there are.
pub(super) const ROW_COUNT: usize = 21;

/// All rows, in the order of the table.
pub(super) const ROWS: [Row; ROW_COUNT] = [
    delivery("pair-q0", "10 pairs, QoS 0", "pair -n 10 -w 64 -s 16 -q 0", &[each(4.0)]),
    delivery("pair-q1", "10 pairs, QoS 1", "pair -n 10 -w 64 -s 16 -q 1", &[each(4.0)]),
    delivery("pair-q2", "10 pairs, QoS 2", "pair -n 10 -w 64 -s 16 -q 2", &[each(4.5)]),
    delivery("fan-out", "fan-out, 1 to 1,000", "fan-out -n 1000 -w 4 -s 16", &[each(1.6)]),
    delivery("fan-in", "fan-in, 1,000 to 1", "fan-in -n 1000 -w 8 -s 16", &[each(2.4)]),
    delivery("shared", "shared, 100 to 10", "shared -n 100 --members 10 -w 16 -s 16", &[each(3.0)]),
    delivery("open-loop", "100 pairs, 10,000/s", "pair -n 100 -r 10000 -s 16", &[each(1.35)]),
    delivery("4k", "10 pairs, 4 KiB", "pair -n 10 -w 32 -s 4096", &[each(1.6)]),
    delivery("64k", "4 pairs, 64 KiB", "pair -n 4 -w 8 -s 65536", &[each(1.3)]),
    Row {
        name: "idle",
        words: "10,000 idle connections",
        arguments: "conn -n 10000 -t idle/%i -d 0.5",
        transport: Transport::Tcp,
        figures: &[
            figure("memory each", Source::Key("rss_bytes_per_connection"), Unit::Bytes, 900.0),
            figure("CPU to connect", Source::Key("broker_cpu_us_per_connect"), Unit::Time, 20.0),
        ],
    },
    Row {
        name: "match-1k",
        words: "match among 1,000 filters",
        arguments: "match -n 1000 --subscribers 211 -s 16 -d 1.5 --warm-up 0.5",
        transport: Transport::Tcp,
        figures: &[figure("CPU a message", Source::Key(PUBLISH), Unit::Time, 3.0)],
    },
    Row {
        name: "match-1m",
        words: "match among 1,000,000 filters",
        arguments: "match -n 1000000 --subscribers 211 -s 16 -d 1.5 --warm-up 0.5",
        transport: Transport::Tcp,
        figures: &[
            figure("CPU a message", Source::Key(PUBLISH), Unit::Time, 4.5),
            figure("memory a Subscription", Source::GrowthFor(1e6), Unit::Bytes, 160.0),
        ],
    },
    Row {
        name: "retained",
        words: "1,000,000 Retained Messages",
        arguments: "retained -n 1000000 -s 64 --leave",
        transport: Transport::Tcp,
        figures: &[
            figure("memory each", Source::Key("rss_bytes_each"), Unit::Bytes, 350.0),
            figure("CPU to set", Source::Key("set_cpu_us"), Unit::Time, 1.6),
            figure("sent to a subscriber", Source::Key("replay_per_s"), Unit::Rate, 700_000.0),
        ],
    },
    Row {
        name: "queue",
        words: "1,000,000 messages for a Client that is away",
        arguments: "queue -n 1000000 -s 64",
        transport: Transport::Tcp,
        figures: &[
            figure("memory each", Source::Key("rss_bytes_each"), Unit::Bytes, 200.0),
            figure("CPU to queue", Source::Key("fill_cpu_us"), Unit::Time, 1.2),
            figure("handed out", Source::Key("drain_per_s"), Unit::Rate, 800_000.0),
        ],
    },
    through("tls-q0", "10 pairs in TLS, QoS 0", PAIR_Q0, Transport::Tls, &[message(1.0)]),
    through("tls-q1", "10 pairs in TLS, QoS 1", PAIR_Q1, Transport::Tls, &[message(1.6)]),
    through("ws-q0", "10 pairs in WebSocket, QoS 0", PAIR_Q0, Transport::Ws, &[message(0.8)]),
    through("ws-q1", "10 pairs in WebSocket, QoS 1", PAIR_Q1, Transport::Ws, &[message(1.3)]),
    through(
        "idle-tls",
        "2,000 idle connections in TLS",
        IDLE,
        Transport::Tls,
        &[memory(7_000.0), connect(600.0)],
    ),
    through(
        "idle-ws",
        "2,000 idle connections in WebSocket",
        IDLE,
        Transport::Ws,
        &[memory(3_500.0), connect(80.0)],
    ),
    through(
        "idle-wss",
        "2,000 idle connections in WebSocket in TLS",
        IDLE,
        Transport::Wss,
        &[memory(8_000.0), connect(700.0)],
    ),
];

const PAIR_Q0: &str = "pair -n 10 -w 64 -s 16 -q 0 -d 1.5 --warm-up 0.5";
const PAIR_Q1: &str = "pair -n 10 -w 64 -s 16 -q 1 -d 1.5 --warm-up 0.5";
const IDLE: &str = "conn -n 2000 -t idle/%i -d 0.5";

const PUBLISH: &str = "broker_cpu_us_per_publish";

const fn delivery(
    name: &'static str,
    words: &'static str,
    arguments: &'static str,
    figures: &'static [Figure],
) -> Row {
    Row { name, words, arguments, transport: Transport::Tcp, figures }
}

/// A load through TLS or WebSocket, which the relay does not speak.
const fn through(
    name: &'static str,
    words: &'static str,
    arguments: &'static str,
    transport: Transport,
    figures: &'static [Figure],
) -> Row {
    Row { name, words, arguments, transport, figures }
}

/// Processor time for a message from one Client to another.
const fn message(bound: f64) -> Figure {
    figure("CPU a message", Source::Key("broker_cpu_us_per_delivery"), Unit::Time, bound)
}

const fn memory(bound: f64) -> Figure {
    figure("memory each", Source::Key("rss_bytes_per_connection"), Unit::Bytes, bound)
}

const fn connect(bound: f64) -> Figure {
    figure("CPU to connect", Source::Key("broker_cpu_us_per_connect"), Unit::Time, bound)
}

/// Processor time for a delivery, at most `bound` times the relay's.
const fn each(bound: f64) -> Figure {
    figure("CPU", Source::Key("broker_cpu_us_per_delivery"), Unit::Delivery, bound)
}

const fn figure(words: &'static str, source: Source, unit: Unit, bound: f64) -> Figure {
    Figure { words, source, unit, bound }
}

impl Row {
    /// Whether the relay can carry the load, as the floor of the others.
    pub(super) fn has_floor(&self) -> bool {
        self.figures.iter().any(|figure| figure.unit == Unit::Delivery)
    }
}
