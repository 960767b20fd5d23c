//! Who takes part, and how they behave.

use std::rc::Rc;

use dunlin_packet::version::ProtocolVersion;

/// What one Client is like.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) version: ProtocolVersion,
    /// Whether its Session outlives its Network Connections.
    pub(crate) is_kept: bool,
    /// What it publishes on; nothing for a mere subscriber.
    pub(crate) topics: Vec<Rc<str>>,
    /// The QoS it publishes with.
    pub(crate) qos: &'static [u8],
    /// Whether what it publishes is retained.
    pub(crate) retains: bool,
    /// What it subscribes to at once, with the greatest QoS.
    pub(crate) filters: Vec<(Rc<str>, u8)>,
    /// What it subscribes to now and then, and what it gives up again.
    pub(crate) changing: Vec<Rc<str>>,
    /// Mean time until it acknowledges, in milliseconds; 0 is at once.
    pub(crate) answer_ms: u64,
    /// Mean times online and away, in milliseconds; nothing if it goes only with the Server.
    pub(crate) rhythm: Option<(u64, u64)>,
    /// The Will Delay Interval in seconds, of who has a Will.
    pub(crate) will_delay_s: Option<u32>,
    /// The number of its group, if it is a member of one.
    pub(crate) group: Option<usize>,
    /// Receive Maximum in version 5.0, if it is small.
    pub(crate) receive_maximum: Option<u16>,
}

use ProtocolVersion::{V3_1_1, V5_0};

fn role(name: &'static str, version: ProtocolVersion, is_kept: bool) -> Role {
    Role {
        name,
        version,
        is_kept,
        topics: Vec::new(),
        qos: &[],
        retains: false,
        filters: Vec::new(),
        changing: Vec::new(),
        answer_ms: 0,
        rhythm: None,
        will_delay_s: None,
        group: None,
        receive_maximum: None,
    }
}

fn texts(texts: &[&str]) -> Vec<Rc<str>> {
    texts.iter().map(|&text| text.into()).collect()
}

impl Role {
    fn publishing(mut self, qos: &'static [u8], topics: &[&str]) -> Role {
        (self.qos, self.topics) = (qos, texts(topics));
        self
    }

    fn retaining(mut self) -> Role {
        self.retains = true;
        self
    }

    fn subscribed(mut self, filters: &[(&str, u8)]) -> Role {
        self.filters = filters.iter().map(|&(filter, qos)| (filter.into(), qos)).collect();
        self
    }

    fn changing(mut self, filters: &[&str]) -> Role {
        self.changing = texts(filters);
        self
    }

    fn slow(mut self, answer_ms: u64) -> Role {
        self.answer_ms = answer_ms;
        self
    }

    fn coming_and_going(mut self, online_ms: u64, away_ms: u64) -> Role {
        self.rhythm = Some((online_ms, away_ms));
        self
    }

    fn with_will(mut self, delay_s: u32) -> Role {
        (self.will_delay_s, self.rhythm) = (Some(delay_s), Some((500, 300)));
        self
    }

    fn of_group(mut self, group: usize) -> Role {
        self.group = Some(group);
        self
    }

    fn receiving_at_most(mut self, receive_maximum: u16) -> Role {
        self.receive_maximum = Some(receive_maximum);
        self
    }
}

const CHANGING: [&str; 6] = ["t/ann/#", "t/+/1", "t/bob/1", "t/all/+", "+/cat/#", "t/eve/2"];

/// Everybody: publishers, those who keep watch, those with Wills, those who share.
pub(crate) fn cast() -> Vec<Role> {
    vec![
        role("ann", V5_0, true).publishing(&[1, 2], &["t/ann/1", "t/ann/2", "t/all/x"]),
        role("bob", V3_1_1, true).publishing(&[1, 2], &["t/bob/1", "t/bob/2", "t/all/x"]),
        role("cat", V5_0, false).publishing(&[1], &["t/cat/1", "t/cat/2"]).coming_and_going(700, 50),
        role("dan", V3_1_1, false).publishing(&[1, 2], &["t/dan/1", "t/all/y"]),
        role("eve", V3_1_1, true).publishing(&[2], &["t/eve/1", "t/eve/2"]).coming_and_going(500, 100),
        role("ria", V5_0, true).publishing(&[1, 2], &["keep/ria/1", "keep/ria/2", "keep/ria/3"]).retaining(),
        role("rob", V3_1_1, true).publishing(&[1, 2], &["keep/rob/1", "keep/rob/2", "keep/all"]).retaining(),
        role("rex", V5_0, false).publishing(&[1], &["keep/rex/1", "keep/rex/2"]).retaining(),
        role("prompt", V5_0, true).subscribed(&[("t/#", 2)]),
        role("watch", V5_0, true).subscribed(&[("keep/#", 2), ("will/#", 2)]),
        role("slow", V5_0, true)
            .subscribed(&[("t/#", 1)])
            .slow(120)
            .receiving_at_most(20)
            .coming_and_going(400, 300),
        role("slow3", V3_1_1, true)
            .subscribed(&[("t/+/1", 2), ("t/all/#", 2)])
            .slow(80)
            .coming_and_going(400, 400),
        role("fickle", V5_0, true).changing(&CHANGING).slow(20),
        role("fickle3", V3_1_1, true).changing(&CHANGING).coming_and_going(600, 100),
        role("absent", V5_0, true).subscribed(&[("t/all/x", 2), ("t/+/2", 1)]).coming_and_going(150, 8_000),
        role("brief", V5_0, false).subscribed(&[("t/#", 2)]).coming_and_going(600, 100),
        role("one", V5_0, true).subscribed(&[("$share/g/t/#", 2)]).of_group(0).slow(20),
        role("two", V3_1_1, true)
            .subscribed(&[("$share/g/t/#", 2)])
            .of_group(0)
            .slow(50)
            .coming_and_going(300, 200),
        role("three", V5_0, true)
            .subscribed(&[("$share/g/t/#", 1)])
            .of_group(0)
            .receiving_at_most(5)
            .coming_and_going(300, 100),
        role("will", V5_0, false).with_will(0),
        role("will3", V3_1_1, false).with_will(0),
        role("heir", V5_0, true).with_will(1),
        role("heir3", V3_1_1, true).with_will(0),
    ]
}
