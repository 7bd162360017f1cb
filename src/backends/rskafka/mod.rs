//! The rskafka library behind the seam: its public interface only, each call within our own time
//! limits, failures judged by our own classes ([`fault`]).
//!
//! rskafka is asynchronous. A runtime with one worker runs a task for each partition; the thread of
//! the command hands over records and takes outcomes through queues that never make it wait for
//! longer than it asked.

mod calls;
mod cluster;
mod convert;
mod driver;
mod fault;
mod fetcher;
mod losses;
mod publisher;
mod queue;
mod subscriber;

use std::sync::Arc;
use std::time::Duration;

use ::rskafka::client::partition::Compression;
use tokio::runtime::{Builder, Runtime};

use super::mailbox::Mailbox;
use super::partitioner::Strategy;
use super::{Error, ErrorKind, PublishPlan, Publisher, Result, SubscribePlan, Subscriber};
use crate::backends::reset::Reset;
use crate::backends::wired::gap::Looks;
use crate::settings::{KeyId, Settings};
use cluster::{Cluster, ClusterConfig};
use driver::SendConfig;
use fetcher::FetchConfig;
use publisher::{RouteConfig, RskafkaPublisher};
use queue::{Cut, Limits};
use subscriber::RskafkaSubscriber;

/// Calls that may be out for a partition at a time: with more, one failure would put more records
/// out of order, and five already keep the connection busy.
const IN_FLIGHT_MAX: i64 = 5;
/// The longest pause before asking a broker again that has answered (`retry.backoff.max.ms` of the
/// Java client).
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Room for what comes around records in an answer.
const ANSWER_MARGIN: usize = 1 << 20;
/// The smallest limit for an answer: one batch may be larger than what was asked for.
const ANSWER_MIN: usize = 64 << 20;

/// rskafka's version (the one Cargo.toml pins), and what is compiled into it.
pub(super) fn build() -> (String, Vec<String>) {
    let features = ["gzip", "lz4", "snappy", "zstd"];
    ("0.6.0".to_owned(), features.map(str::to_owned).to_vec())
}

/// Opens a publisher.
///
/// # Errors
/// `Unreachable` within `socket.connection.setup.timeout.ms`, naming the addresses; `UnknownTopic`,
/// naming the topic or partition; `Authorization`; `Unsupported` for a setting rskafka does not know.
pub(crate) fn open_publisher(settings: &Settings, plan: &PublishPlan) -> Result<Box<dyn Publisher>> {
    let config = PublishConfig::of(settings, plan)?;
    Ok(Box::new(config.open(plan.topic.as_deref())?))
}

/// All that a publisher needs to know.
#[derive(Debug, Clone)]
struct PublishConfig {
    cluster: ClusterConfig,
    send: SendConfig,
    route: RouteConfig,
    buffer_bytes: usize,
    buffer_records: usize,
}

impl PublishConfig {
    fn of(settings: &Settings, plan: &PublishPlan) -> Result<Self> {
        let max_record = size(settings, KeyId::MaxRequestSize);
        let delivery = settings.duration(KeyId::DeliveryTimeout);
        let retry = settings.duration(KeyId::RetryBackoff);
        Ok(Self {
            cluster: cluster_config(settings, ANSWER_MIN),
            send: SendConfig {
                compression: compression(settings.text(KeyId::CompressionType))?,
                in_flight: in_flight(settings),
                retries: settings.int(KeyId::Retries).clamp(0, u32::MAX.into()) as u32,
                delivery: (!delivery.is_zero()).then_some(delivery),
                retry: (retry, RETRY_PAUSE_MAX.max(retry)),
                receipts: plan.receipts,
            },
            route: RouteConfig {
                cut: Cut {
                    bytes: size(settings, KeyId::BatchSize).min(max_record),
                    records: size(settings, KeyId::BatchNumMessages).max(1),
                    linger: settings.duration(KeyId::Linger),
                },
                strategy: strategy(settings.text(KeyId::Partitioner))?,
                max_record,
                create: settings.bool(KeyId::AutoCreateTopics),
                partition: plan.partition,
                refresh: settings.duration(KeyId::MetadataMaxAge),
            },
            buffer_bytes: size(settings, KeyId::BufferMemory),
            buffer_records: size(settings, KeyId::QueueMaxMessages).max(1),
        })
    }

    fn open(self, topic: Option<&str>) -> Result<RskafkaPublisher> {
        let shared = driver::Shared {
            cluster: Cluster::new(self.cluster),
            limits: Arc::new(Limits::new(self.buffer_bytes, self.buffer_records)),
            outcomes: Arc::<Mailbox<_>>::default(),
            config: self.send,
        };
        RskafkaPublisher::open(runtime()?, Arc::new(shared), self.route, topic)
    }
}

/// Opens a subscriber for partitions of one's own choice.
///
/// # Errors
/// `Unreachable` within `socket.connection.setup.timeout.ms`, naming the addresses.
pub(crate) fn open_subscriber(settings: &Settings, plan: &SubscribePlan) -> Result<Box<dyn Subscriber>> {
    Ok(Box::new(SubscribeConfig::of(settings, plan.grouped)?.open()?))
}

/// All that a subscriber needs to know.
#[derive(Debug, Clone)]
struct SubscribeConfig {
    cluster: ClusterConfig,
    fetch: FetchConfig,
    max_poll: usize,
}

impl SubscribeConfig {
    fn of(settings: &Settings, grouped: bool) -> Result<Self> {
        let look_bytes = bytes(settings, KeyId::FetchMaxBytes);
        let max_bytes = bytes(settings, KeyId::MaxPartitionFetchBytes).min(look_bytes);
        let max_answer = (look_bytes as usize + ANSWER_MARGIN).max(ANSWER_MIN);
        Ok(Self {
            cluster: cluster_config(settings, max_answer),
            fetch: FetchConfig {
                max_bytes,
                look_bytes,
                min_bytes: bytes(settings, KeyId::FetchMinBytes),
                max_wait: settings.duration(KeyId::FetchMaxWait),
                reset: Reset::of(settings, grouped),
                give_up: settings.patience(),
                looks: Looks::of(settings, look_bytes, max_answer)?,
            },
            max_poll: size(settings, KeyId::MaxPollRecords),
        })
    }

    fn open(self) -> Result<RskafkaSubscriber> {
        let shared = fetcher::Shared::new(Cluster::new(self.cluster), self.fetch);
        RskafkaSubscriber::open(runtime()?, shared, self.max_poll)
    }
}

/// Calls that may be out for a partition at a time. A resilient run keeps the order of records, and without idempotence
/// those behind a refused one would come before it, so that it has one unless the user says otherwise.
fn in_flight(settings: &Settings) -> usize {
    let is_ordered = settings.bool(KeyId::Resilient) && !settings.is_set(KeyId::MaxInFlight);
    if is_ordered { 1 } else { settings.int(KeyId::MaxInFlight).clamp(1, IN_FLIGHT_MAX) as usize }
}

fn bytes(settings: &Settings, key: KeyId) -> i32 {
    settings.int(key).clamp(1, i64::from(i32::MAX) - 1) as i32
}

fn cluster_config(settings: &Settings, max_answer: usize) -> ClusterConfig {
    ClusterConfig {
        bootstrap: settings.bootstrap(),
        client_id: settings.text(KeyId::ClientId).unwrap_or(env!("CARGO_PKG_NAME")).to_owned(),
        connect_timeout: settings.duration(KeyId::ConnectTimeout),
        refused_for: settings.refused_for(),
        request_timeout: settings.duration(KeyId::RequestTimeout),
        reconnect: (
            settings.duration(KeyId::ReconnectBackoff),
            settings.duration(KeyId::ReconnectBackoffMax),
        ),
        max_answer,
    }
}

/// One worker: a partition's task encodes and sends (or reads and decodes), the command's thread does
/// the rest. A second one cost more CPU and gained no throughput (2 cores, 1 and 3 partitions).
fn runtime() -> Result<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(1).thread_name("rskafka").enable_all().build();
    built.map_err(|error| Error::new(ErrorKind::Other, "cannot start threads for rskafka").with_source(error))
}

fn size(settings: &Settings, key: KeyId) -> usize {
    usize::try_from(settings.int(key)).unwrap_or_default()
}

fn compression(name: Option<&str>) -> Result<Compression> {
    match name.unwrap_or("none") {
        "none" => Ok(Compression::NoCompression),
        "gzip" => Ok(Compression::Gzip),
        "snappy" => Ok(Compression::Snappy),
        "lz4" => Ok(Compression::Lz4),
        "zstd" => Ok(Compression::Zstd),
        other => Err(unsupported(format!("compression.type={other}: use none, gzip, snappy, lz4 or zstd"))),
    }
}

fn strategy(name: Option<&str>) -> Result<Strategy> {
    let Some(name) = name else { return Ok(Strategy::default()) };
    name.parse().map_err(|error| unsupported(format!("partitioner={name}: {error}")))
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

#[cfg(test)]
mod setting_tests {
    use super::*;
    use crate::settings::Side;

    #[test]
    fn a_resilient_run_has_one_call_out_unless_told_otherwise() {
        let of = |set: &[(&str, &str)]| in_flight(&Settings::for_tests(Side::Producer, set));
        let number = "max.in.flight.requests.per.connection";
        assert_eq!(of(&[]), 5);
        assert_eq!(of(&[("resilient", "true")]), 1);
        assert_eq!(of(&[("resilient", "true"), (number, "3")]), 3);
        assert_eq!(of(&[(number, "100")]), 5);
    }
}

#[cfg(test)]
#[cfg(feature = "rdkafka")]
mod tests;
