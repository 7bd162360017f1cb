//! Publishing.
//!
//! The command's thread appends each record, encoded, to the open batch of its partition ([`publisher`]): the
//! one copy of the input. Full batches, and those that have waited for `linger.ms`, go to the client's
//! thread ([`driver`]), where each partition has a [`lane`] that decides what is sent and what an answer
//! means. Outcomes and empty buffers come back through one mailbox ([`outcomes`]).

mod driver;
mod fault;
mod lane;
mod lines;
mod outcomes;
mod parcel;
mod pool;
mod publisher;
mod request;
mod sequence;
mod tasks;
mod topics;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::runtime;
use crate::backends::Room;
use crate::backends::mailbox::Mailbox;
use crate::backends::partitioner::Strategy;
use crate::backends::wired::{config, config::size, reach};
use crate::backends::{Error, ErrorKind, PublishPlan, Publisher, Result};
use crate::settings::{KeyId, Settings};
use crate::wire::Codec;
use crate::wire::net::{Cluster, Random};
use crate::wire::records::{Packer, Unpacker};
use driver::{Driver, Rules};
use lane::{Idempotence, Policy, Tools};
use outcomes::Receipts;
use publisher::{Cut, NativePublisher, Parts};
use topics::Topics;

/// The longest pause before a request is sent again (`retry.backoff.max.ms` of the Java client).
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Batches of a producer that a broker tells from repeated ones (Kafka's `ProducerStateEntry`).
const WINDOW: usize = 5;
/// The largest answer to take: metadata of many topics is the largest that is asked for.
const MAX_ANSWER: usize = 32 << 20;
/// Bytes of buffers kept for answers: those to Produce are small.
const KEPT: usize = 1 << 20;
/// Bytes of records without a key that go to one partition before the next, at least; a full batch ends them.
const RUN: usize = 64 << 10;

/// Connects and looks up the topic.
///
/// # Errors
/// `Unreachable`, `UnknownTopic` (also for a partition out of range), `Authorization`, `Unsupported`.
pub(super) fn open(settings: &Settings, plan: &PublishPlan) -> Result<Box<dyn Publisher>> {
    let (rules, tools) = (rules(settings, plan), tools(settings)?);
    let cut = cut(settings);
    let topics = Topics::new(strategy(settings)?, cut.bytes.min(RUN)..=usize::MAX, plan.partition);
    let config = config::cluster(settings, MAX_ANSWER, KEPT)?;
    let runtime = runtime()?;
    let cluster = Cluster::new(config, runtime.handle());
    let topics = match connect(&runtime, &cluster, topics, settings, plan) {
        Ok(topics) => topics,
        Err(error) => {
            // Not to wait for a name that does not resolve.
            runtime.shutdown_background();
            return Err(error);
        }
    };
    let (orders, inbox) = mpsc::unbounded_channel();
    let mailbox = Arc::<Mailbox<_>>::default();
    let theirs = (cluster.clone(), Arc::clone(&mailbox));
    runtime.spawn(async move { Driver::new(theirs.0, rules, tools, inbox, theirs.1).run().await });
    let room = Room::new(size(settings, KeyId::BufferMemory), size(settings, KeyId::QueueMaxMessages).max(1));
    let parts = Parts { runtime, cluster, orders, mailbox, topics, cut, room };
    Ok(Box::new(NativePublisher::new(parts)))
}

fn connect(
    runtime: &Runtime,
    cluster: &Cluster,
    mut topics: Topics,
    settings: &Settings,
    plan: &PublishPlan,
) -> Result<Topics> {
    runtime.block_on(reach(cluster, settings))?;
    match plan.topic.as_deref() {
        Some(name) => topics.add_own(name, publisher::find(runtime, cluster, name)?)?,
        None => topics.add_none(),
    }
    Ok(topics)
}

fn rules(settings: &Settings, plan: &PublishPlan) -> Rules {
    let retry = settings.duration(KeyId::RetryBackoff);
    let idempotence =
        if settings.bool(KeyId::EnableIdempotence) { Idempotence::On } else { Idempotence::Off };
    let in_flight = size(settings, KeyId::MaxInFlight).max(1);
    Rules {
        policy: Policy {
            idempotence,
            retries: settings.int(KeyId::Retries).clamp(0, u32::MAX.into()) as u32,
            delivery: settings.duration(KeyId::DeliveryTimeout),
            retry: (retry, RETRY_PAUSE_MAX.max(retry)),
            window: if idempotence == Idempotence::On { in_flight.min(WINDOW) } else { in_flight },
        },
        acks: match settings.text(KeyId::Acks) {
            Some("0") => 0,
            Some("1") => 1,
            _ => -1,
        },
        request_timeout: settings.duration(KeyId::RequestTimeout),
        connect_timeout: settings.duration(KeyId::ConnectTimeout),
        retry_backoff: retry,
        in_flight,
        max_request: size(settings, KeyId::MaxRequestSize),
        receipts: if plan.receipts { Receipts::Wanted } else { Receipts::No },
    }
}

fn cut(settings: &Settings) -> Cut {
    let max_record = size(settings, KeyId::MaxRequestSize);
    Cut {
        bytes: size(settings, KeyId::BatchSize).min(max_record),
        records: size(settings, KeyId::BatchNumMessages).max(1),
        linger: settings.duration(KeyId::Linger),
        max_record,
    }
}

fn tools(settings: &Settings) -> Result<Tools> {
    let level = Some(settings.int(KeyId::CompressionLevel)).filter(|level| *level >= 0);
    let level = level.and_then(|level| i32::try_from(level).ok());
    Ok(Tools {
        packer: Packer::new(codec(settings)?, level),
        unpacker: Unpacker::new(),
        random: Random::new(),
    })
}

fn codec(settings: &Settings) -> Result<Codec> {
    match settings.text(KeyId::CompressionType).unwrap_or("none") {
        "none" => Ok(Codec::None),
        "gzip" => Ok(Codec::Gzip),
        "snappy" => Ok(Codec::Snappy),
        "lz4" => Ok(Codec::Lz4),
        "zstd" => Ok(Codec::Zstd),
        other => Err(unsupported(format!("compression.type={other}: use none, gzip, snappy, lz4 or zstd"))),
    }
}

fn strategy(settings: &Settings) -> Result<Strategy> {
    let Some(name) = settings.text(KeyId::Partitioner) else { return Ok(Strategy::default()) };
    name.parse().map_err(|error| unsupported(format!("partitioner={name}: {error}")))
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}
