//! What one seed decides before a run begins: how many shards and Clients, the settings, how fast everything is.

use std::sync::Arc;

use dunlin_broker::limits::Settings;
use dunlin_packet::qos::QoS;

use crate::{disk::Faults, random::Random};

/// The conditions of one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Shards of the broker.
    pub shards: usize,
    /// Settings of the broker.
    pub settings: Arc<Settings>,
    /// Clients that keep the rules.
    pub clients: usize,
    /// Steps between two rests.
    pub steps_a_round: u64,
    /// Rounds of steps and a rest.
    pub rounds: u64,
    /// Inputs that a shard handles at most before it sends its mail.
    pub inputs_a_turn: u64,
    /// How often a step is: a turn of a shard, of the lobby, a Client reading, a Client acting, the network failing, a
    /// commit of the disk, time passing.
    pub weights: [u64; 7],
    /// Milliseconds that pass at most when time passes a little.
    pub small_time_ms: u64,
    /// Milliseconds that pass at most when time leaps.
    pub leap_ms: u64,
    /// Percent of publications that are large.
    pub large_percent: u64,
    /// After so many commits the Server crashes, on average.
    pub commits_a_crash: u64,
    /// Whether the Server crashes now and then; only a durable one does.
    pub is_crashing: bool,
    /// What its disk is like.
    pub faults: Faults,
    /// Percent of acts that end a connection.
    pub churn_percent: u64,
}

impl Plan {
    /// Decides for a run of about `steps` steps.
    #[must_use]
    pub fn new(random: &mut Random, steps: u64) -> Self {
        let rounds = random.between(4, 16);
        let settings = Arc::new(settings(random));
        let is_crashing = settings.is_durable && random.once_in(2);
        let faults = if settings.is_durable { Faults::choose(random) } else { Faults::default() };
        Self {
            shards: random.between(1, 5) as usize,
            settings,
            is_crashing,
            faults,
            clients: random.between(4, 14) as usize,
            steps_a_round: steps / rounds,
            rounds,
            inputs_a_turn: random.pick(&[1, 2, 6, 20]),
            weights: [
                random.between(10, 60),
                random.between(3, 15),
                random.between(10, 60),
                random.between(15, 45),
                random.between(0, 2),
                random.pick(&[1, 5, 20]),
                random.between(2, 12),
            ],
            small_time_ms: random.pick(&[1, 5, 40]),
            leap_ms: random.pick(&[1_000, 4_000, 15_000]),
            large_percent: random.pick(&[0, 2, 10]),
            commits_a_crash: random.pick(&[30, 100, 400]),
            churn_percent: random.pick(&[2, 5, 12]),
        }
    }
}

fn settings(random: &mut Random) -> Settings {
    let is_poor = random.once_in(5);
    let mut settings = Settings {
        receive_maximum: random.pick(&[2, 10, 256]),
        in_flight_max: random.pick(&[1, 3, 20, 256]),
        topic_alias_maximum: random.pick(&[0, 2, 16]),
        output_bytes_max: random.pick(&[2_000, 30_000, 1 << 20]),
        server_keep_alive_s: random.pick(&[0, 0, 0, 8]),
        session_expiry_max_s: random.pick(&[u32::MAX, u32::MAX, u32::MAX, 20]),
        maximum_packet_size: random.pick(&[20_000, 8 << 20]),
        connect_packet_size_max: 4_096,
        is_durable: random.once_in(2),
        queue_memory_bytes_max: random.pick(&[500, 20_000, 1 << 20]),
        close_refused_3x: random.once_in(2),
        ..Settings::default()
    };
    if is_poor {
        match random.below(7) {
            0 => settings.maximum_qos = random.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce]),
            1 => settings.retain_available = false,
            2 => settings.wildcard_subscription_available = false,
            3 => settings.subscription_identifier_available = false,
            4 => settings.queue_messages_max = 20,
            5 => settings.subscriptions_max = 4,
            _ => settings.shared_subscription_available = false,
        }
    }
    settings
}
