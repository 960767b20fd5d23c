//! What is done when memory is short.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dunlin_broker::{
    inspect::{answer::Answer, question::Question},
    pressure::Pressure,
};
use dunlin_packet::reason_code::ReasonCode;
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    admin::shards::{NoAnswer, Shards},
    lobby::refusals::Escaped,
    process::give_memory_back,
};

use super::{gauge::Gauge, machine::used_bytes};

/// Looks again and again how much memory is used, without end, and disconnects those who use most if it is too much.
pub(crate) async fn watch(gauge: Arc<Gauge>, shards: Shards) {
    let mut given_back = Instant::now();
    let mut look_time = LOOK_TIME_MIN;
    loop {
        sleep(look_time).await;
        let Some(mut used) = used_bytes() else {
            return tracing::warn!(
                "the operating system does not say how much memory is used: it has no bound"
            );
        };
        if is_short(&gauge, used) && given_back.elapsed() >= GIVING_BACK_TIME {
            // Perhaps the allocator holds what nobody uses.
            if spawn_blocking(give_memory_back).await.is_err() {
                return;
            }
            given_back = Instant::now();
            used = used_bytes().unwrap_or(used);
        }
        if let Some(pressure) = gauge.look(used) {
            tell(&gauge, pressure, used);
        }
        look_time = time_to_fill(gauge.max().saturating_sub(used));
        if gauge.pressure() == Pressure::Over {
            look_time = SHEDDING_TIME;
            if let Err(NoAnswer::Gone) = shed_heaviest(&gauge, &shards).await {
                return;
            }
        }
    }
}

/// How soon to look again: before what is left can have been filled.
fn time_to_fill(left: u64) -> Duration {
    let time = Duration::from_micros(left / (FILLED_BYTES_S_MAX / 1_000_000));
    time.clamp(LOOK_TIME_MIN, LOOK_TIME_MAX)
}

/// Whether it is worth while to look for memory that nobody uses.
fn is_short(gauge: &Gauge, used: u64) -> bool {
    gauge.pressure() > Pressure::None || used >= gauge.max() / 5 * 4
}

fn tell(gauge: &Gauge, pressure: Pressure, used: u64) {
    let (used_mib, max_mib) = (used >> 20, gauge.max() >> 20);
    match pressure {
        Pressure::None => tracing::info!(used_mib, max_mib, "memory: there is enough again"),
        Pressure::Tight => tracing::warn!(used_mib, max_mib, "memory is tight: new Clients are refused"),
        Pressure::Short => tracing::warn!(
            used_mib,
            max_mib,
            "memory is short: QoS 1 and 2 are refused, and QoS 0 is dropped for Clients that read slowly"
        ),
        Pressure::Over => {
            tracing::error!(
                used_mib,
                max_mib,
                "memory is used up: the Clients that use most are disconnected"
            );
        }
    }
}

/// Disconnects the Client that uses most.
async fn shed_heaviest(gauge: &Gauge, shards: &Shards) -> Result<(), NoAnswer> {
    let mut heaviest: Option<(Box<str>, u64)> = None;
    for shard in shards.all() {
        let mut place = Some(0);
        while let Some(from) = place.take() {
            let Answer::Heaviest { heaviest: found, next } =
                shards.ask(shard, Question::Heaviest { from }).await?
            else {
                break;
            };
            let is_heavier = found
                .as_ref()
                .is_some_and(|(_, bytes)| *bytes > heaviest.as_ref().map_or(LEAST_BYTES, |(_, most)| *most));
            if is_heavier {
                heaviest = found;
            }
            place = next;
        }
    }
    let Some((client_id, bytes)) = heaviest else { return Ok(()) };
    let question = Question::Disconnect {
        client_id: client_id.clone(),
        code: ReasonCode::QuotaExceeded,
        reason: "the Server has no memory left, and this Client uses most".into(),
    };
    if let Answer::Disconnected(true) = shards.ask(shards.home_of(&client_id), question).await? {
        gauge.count_shed();
        tracing::warn!(client_id = %Escaped(&client_id), bytes, "disconnected for want of memory");
    }
    Ok(())
}

/// How often memory is looked at when there is plenty.
const LOOK_TIME_MAX: Duration = Duration::from_secs(1);
/// How often Clients are disconnected: what one leaves behind takes a moment to be free.
const SHEDDING_TIME: Duration = Duration::from_millis(100);
/// How often memory is looked at when there is none.
const LOOK_TIME_MIN: Duration = Duration::from_millis(5);
/// Bytes that Clients may fill in a second.
const FILLED_BYTES_S_MAX: u64 = 1 << 30;
/// How often the allocator is asked for what nobody uses; it stops all threads for a moment.
const GIVING_BACK_TIME: Duration = Duration::from_secs(1);
/// Who uses less is not to blame.
const LEAST_BYTES: u64 = 16 << 10;
