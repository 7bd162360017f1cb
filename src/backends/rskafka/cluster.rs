//! The one rskafka client, made anew when it may be stuck: rskafka has no time limit of its own, so
//! that every call here has one around it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::rskafka::BackoffConfig;
use ::rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use ::rskafka::client::{Client, ClientBuilder};
use ::rskafka::topic::Topic;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::calls::{Call, first_ok};
use super::fault::{Class, Fault};
use crate::backends::{Error, ErrorKind, Result, not_reached, unknown_topic};

/// How long a topic that was just created may be unknown to some brokers.
pub(super) const METADATA_WAIT: Duration = Duration::from_secs(5);
/// Pause between questions while waiting for either.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Topics that rskafka does not list.
const INTERNAL: &[&str] = &["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// What the client is made of.
#[derive(Debug, Clone)]
pub(super) struct ClusterConfig {
    /// host:port each.
    pub(super) bootstrap: Vec<String>,
    pub(super) client_id: String,
    /// For connecting, with everything that belongs to it.
    pub(super) connect_timeout: Duration,
    /// How long a refused first connection is tried again ([`crate::settings::Settings::refused_for`]).
    pub(super) refused_for: Duration,
    /// For an answer.
    pub(super) request_timeout: Duration,
    /// Between two attempts to connect: first and longest pause.
    pub(super) reconnect: (Duration, Duration),
    /// The largest answer to accept, in bytes.
    pub(super) max_answer: usize,
}

/// A connection to the cluster, shared by all partitions.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) config: ClusterConfig,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    client: Option<Arc<Client>>,
    /// Counts the clients made.
    generation: u64,
    /// The last attempt that failed: others who ask right after it share its outcome.
    failed: Option<(Instant, Fault)>,
}

/// A partition's own connection, and the generation of the client it was made by.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) client: Arc<PartitionClient>,
    generation: u64,
}

impl Cluster {
    pub(super) fn new(config: ClusterConfig) -> Self {
        Self { config, state: Mutex::default() }
    }

    /// The first connection. Refused ones are tried again for a while, and in all it takes no longer than the
    /// connect timeout.
    pub(super) async fn open(&self) -> Result<()> {
        let refused_until = Instant::now() + self.config.refused_for;
        for tries in 0.. {
            match self.client().await {
                Ok(_) => break,
                Err(fault) if !fault.may_pass() || Instant::now() >= refused_until => {
                    return Err(self.not_reached(&fault));
                }
                Err(_) => sleep(pause(tries, self.config.reconnect)).await,
            }
        }
        Ok(())
    }

    fn not_reached(&self, fault: &Fault) -> Error {
        let kind = if fault.may_pass() { ErrorKind::Unreachable } else { fault.kind };
        not_reached(kind, &self.config.bootstrap, &fault.message)
    }

    /// The client in use, made now if there is none.
    async fn client(&self) -> Result<(Arc<Client>, u64), Fault> {
        let mut state = self.state.lock().await;
        if let Some(client) = &state.client {
            return Ok((Arc::clone(client), state.generation));
        }
        if let Some((at, fault)) = &state.failed
            && at.elapsed() < self.config.reconnect.0
        {
            return Err(fault.clone());
        }
        match self.connect().await {
            Ok(client) => {
                let client = Arc::new(client);
                let generation = state.generation + 1;
                *state = State { client: Some(Arc::clone(&client)), generation, failed: None };
                Ok((client, generation))
            }
            Err(fault) => {
                state.failed = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    /// Asks all bootstrap servers at once and takes the first that answers: rskafka asks one after
    /// the other, and one that does not answer would hold up the rest.
    async fn connect(&self) -> Result<Client, Fault> {
        let limit = self.config.connect_timeout;
        let calls = self.config.bootstrap.iter().map(|address| self.connect_to(address)).collect();
        let lost = || Fault::new(Class::Retry, ErrorKind::Unreachable, "no bootstrap server is given");
        match timeout(limit, first_ok(calls)).await {
            Ok(connected) => connected.unwrap_or_else(|| Err(lost())),
            Err(_) => Err(Fault::timed_out(Class::Retry, "the connection", limit)),
        }
    }

    fn connect_to(&self, address: &str) -> Call<Result<Client, Fault>> {
        let builder = ClientBuilder::new(vec![address.to_owned()])
            .client_id(self.config.client_id.as_str())
            .max_message_size(self.config.max_answer)
            .backoff_config(once());
        Box::pin(async move { builder.build().await.map_err(Fault::from) })
    }

    /// This client may be stuck: the next call makes another, unless one was made already.
    async fn forget(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation {
            state.client = None;
        }
    }

    /// The link did not work.
    pub(super) async fn unlink(&self, link: &Link) {
        self.forget(link.generation).await;
    }

    /// A connection of its own to the leader of a partition. Never retried here.
    pub(super) async fn link(&self, topic: &str, partition: i32) -> Result<Link, Fault> {
        let (client, generation) = self.client().await?;
        let limit = self.config.connect_timeout;
        let opened = client.partition_client(topic, partition, UnknownTopicHandling::Error);
        let fault = match timeout(limit, opened).await {
            Ok(Ok(client)) => return Ok(Link { client: Arc::new(client), generation }),
            Ok(Err(error)) => Fault::from(error),
            Err(_) => Fault::timed_out(Class::Retry, "the connection to the leader", limit),
        };
        // Even a plain answer: the client keeps what it knows about leaders until it is asked to
        // list all topics, however often that proves wrong.
        self.forget(generation).await;
        // Nothing was sent on it yet, whatever the fault says.
        let class = if fault.class == Class::RetryInDoubt { Class::Retry } else { fault.class };
        Err(Fault { class, ..fault })
    }

    /// All topics that are not internal.
    pub(super) async fn list(&self) -> Result<Vec<Topic>, Fault> {
        let (client, generation) = self.client().await?;
        let limit = self.config.request_timeout;
        let fault = match timeout(limit, client.list_topics()).await {
            Ok(Ok(topics)) => return Ok(topics),
            Ok(Err(error)) => Fault::from(error),
            Err(_) => Fault::timed_out(Class::Retry, "the list of topics", limit),
        };
        self.forget(generation).await;
        Err(fault)
    }

    /// The list of topics, asked for again after temporary trouble for as long as connecting may
    /// take.
    pub(super) async fn topics(&self) -> Result<Vec<Topic>> {
        let until = Instant::now() + self.config.connect_timeout;
        loop {
            match self.list().await {
                Ok(topics) => return Ok(topics),
                Err(fault) if fault.may_pass() && Instant::now() < until => sleep(ASK_AGAIN).await,
                Err(fault) => return Err(self.not_reached(&fault)),
            }
        }
    }

    /// The number of partitions of a topic; with `create`, the broker is asked in a way that lets it
    /// create the topic (rskafka's question about one topic always does, the list of all never).
    pub(super) async fn partitions_of(&self, topic: &str, create: bool) -> Result<i32> {
        let until = Instant::now() + METADATA_WAIT;
        loop {
            let listed = self.topics().await?.into_iter().find(|t| t.name == topic);
            if let Some(listed) = listed.filter(|t| !t.partitions.is_empty()) {
                return Ok(listed.partitions.len() as i32);
            }
            if INTERNAL.contains(&topic) {
                let text = format!("{topic}: rskafka does not see internal topics: use --library rdkafka");
                return Err(Error::new(ErrorKind::Unsupported, text));
            }
            if !create || Instant::now() >= until {
                return Err(unknown_topic(topic));
            }
            match self.link(topic, 0).await {
                Err(fault) if !fault.may_pass() => return Err(fault.error(format_args!("topic {topic}"))),
                _ => sleep(ASK_AGAIN).await,
            }
        }
    }
}

/// rskafka tries each call once: the first back-off is over its deadline of zero. (The other values
/// keep its random range from being empty, which panics.)
fn once() -> BackoffConfig {
    BackoffConfig { deadline: Some(Duration::ZERO), ..BackoffConfig::default() }
}

/// The pause before attempt `tries` + 1: doubled each time from `first` up to `longest`.
pub(super) fn pause(tries: u32, (first, longest): (Duration, Duration)) -> Duration {
    first.saturating_mul(1 << tries.min(20)).min(longest.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let ms = Duration::from_millis;
        let range = (ms(100), ms(1000));
        let pauses: Vec<_> = (0..6).map(|tries| pause(tries, range).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(pause(u32::MAX, range), ms(1000));
        assert_eq!(pause(3, (ms(500), ms(100))), ms(500));
        assert_eq!(pause(3, (Duration::ZERO, Duration::ZERO)), Duration::ZERO);
    }
}
