//! Subscribing.
//!
//! One task ([`driver`]) asks each broker for all the partitions it leads ([`fetcher`]), again as soon as it has
//! answered, and hands each answer over whole, with the places of the batches in it ([`frame`]): of these only the
//! heads were looked at. The command ([`subscriber`]) checks and decompresses batches and lends the records from where
//! they stand ([`reader`]). All of it is on the command's thread, the task whenever the command waits ([`inbox`]):
//! while it goes through an answer, the next one comes into the system's buffers. A bounded number of bytes waits
//! between the two.

mod driver;
mod fetcher;
mod frame;
mod heads;
mod inbox;
mod outcomes;
mod partition;
mod reader;
mod session;
mod subscriber;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc;

use super::{TOPIC_WAIT, not_started};
use crate::backends::reset::Reset;
use crate::backends::wired::{config, config::size, reach};
use crate::backends::{Result, SubscribePlan, Subscriber};
use crate::settings::{KeyId, Settings};
use crate::wire::net::{Cluster, Creation};
use crate::wire::records::Checksums;
use driver::{Driver, Limits};
use fetcher::Rules;
use frame::Room;
use inbox::Inbox;
use session::Terms;
use subscriber::{NativeSubscriber, Parts};

/// Bytes of answers that wait to be decoded: several times what the command's thread decodes before the next
/// answer can be there.
const AHEAD: usize = 4 << 20;
/// Bytes of batches to ask for in one answer, unless one partition alone may have more: larger answers only fall
/// out of the processor's caches.
const ANSWER: i32 = 2 << 20;
/// The largest answer to take, at least: a single batch may be larger than what was asked for.
const ANSWER_MAX: usize = 128 << 20;
/// Room for what comes around batches in an answer.
const MARGIN: usize = 1 << 20;
/// The longest pause before a broker that has answered is asked again (`retry.backoff.max.ms` of the Java client).
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Connects.
///
/// # Errors
/// `Unreachable` within `socket.connection.setup.timeout.ms`, naming the addresses.
pub(super) fn open(settings: &Settings, plan: &SubscribePlan) -> Result<Box<dyn Subscriber>> {
    let max_answer = ANSWER_MAX.max(bytes(settings, KeyId::FetchMaxBytes) as usize + MARGIN);
    let rules = rules(settings, plan.grouped, max_answer);
    let limits = Limits {
        connect: settings.duration(KeyId::ConnectTimeout),
        request: settings.duration(KeyId::RequestTimeout),
    };
    let built = Builder::new_current_thread().enable_all().build();
    let runtime = built.map_err(not_started)?;
    let mut config = config::cluster(settings, max_answer, AHEAD)?;
    // Reading creates no topics.
    config.creation = Creation::Forbidden;
    let cluster = Cluster::new(config, runtime.handle());
    runtime.block_on(reach(&cluster, settings))?;
    let (orders, given) = mpsc::unbounded_channel();
    let (teller, inbox) = Inbox::new();
    let isolation = rules.terms.isolation;
    let driver = Driver::new(cluster.clone(), rules, limits, given, teller, Room::new(AHEAD));
    runtime.spawn(driver.run());
    let checksums = if settings.bool(KeyId::CheckCrcs) { Checksums::Verify } else { Checksums::Ignore };
    let max_poll = size(settings, KeyId::MaxPollRecords).max(1);
    let parts = Parts { runtime, cluster, orders, inbox, checksums, isolation, limits, max_poll };
    Ok(Box::new(NativeSubscriber::new(parts)))
}

fn rules(settings: &Settings, grouped: bool, max_answer: usize) -> Rules {
    let (most, of_one) =
        (bytes(settings, KeyId::FetchMaxBytes), bytes(settings, KeyId::MaxPartitionFetchBytes));
    let pause = settings.duration(KeyId::RetryBackoff);
    Rules {
        terms: Terms {
            max_wait_ms: i32::try_from(settings.int(KeyId::FetchMaxWait)).unwrap_or(i32::MAX),
            min_bytes: bytes(settings, KeyId::FetchMinBytes),
            max_bytes: most.min(of_one.max(ANSWER)),
            isolation: config::isolation(settings),
            rack: settings.text(KeyId::ClientRack).unwrap_or_default().to_owned(),
        },
        partition_bytes: of_one,
        max_batch: i32::try_from(max_answer - MARGIN).unwrap_or(i32::MAX),
        reset: Reset::of(settings, grouped),
        patience: (TOPIC_WAIT, settings.patience()),
        pause: (pause, PAUSE_MAX.max(pause)),
        nearer_for: settings.duration(KeyId::MetadataMaxAge),
    }
}

fn bytes(settings: &Settings, key: KeyId) -> i32 {
    settings.int(key).clamp(1, i64::from(i32::MAX) - 1) as i32
}
