//! The cluster: who leads what, and connections to them.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{
    Address, Connection, Connector, Coordinated, FoundOffset, Metadata, OffsetQuery, Options, Random, Result,
    Topic,
};
use crate::wire::ErrorCode;

/// Whether the broker may create topics that are asked for and not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It may, if it is set up to (`allow.auto.create.topics=true`).
    Allowed,
    /// It may not.
    Forbidden,
}

/// What a connection is for. Each has its own to a broker, so that a long poll holds up nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Metadata, coordinators, offsets by time.
    Control,
    /// Writing records.
    Produce,
    /// Reading records.
    Fetch,
    /// A group's membership and offsets.
    Group,
    /// A producer's id and transactions.
    Transaction,
}

/// What a cluster is reached with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whom to ask first; asked again whenever no broker that was told of can be reached (KIP-899).
    pub bootstrap: Vec<Address>,
    /// How streams come about.
    pub connector: Arc<dyn Connector>,
    /// What the connections have in common.
    pub options: Options,
    /// For an answer (`request.timeout.ms`).
    pub request_timeout: Duration,
    /// Before a request is sent again (`retry.backoff.ms`).
    pub retry_backoff: Duration,
    /// First and longest wait before connecting again (`reconnect.backoff.ms`, `.max.ms`).
    pub reconnect_backoff: (Duration, Duration),
    /// The age at which metadata is asked for again (`metadata.max.age.ms`).
    pub metadata_max_age: Duration,
    /// Whether asking for a topic may create it.
    pub creation: Creation,
    /// What spreads waits and choices.
    pub random: Random,
}

/// A view of a cluster and the connections to its brokers. Clones are cheap and share both; when the
/// last one is dropped everything that was started for it ends.
#[derive(Debug, Clone)]
pub struct Cluster {}

impl Cluster {
    /// A view of which nothing is known yet. What it does, it does on that runtime, which must have time and
    /// input/output enabled.
    pub fn new(config: Config, runtime: &Handle) -> Self {
        todo!()
    }

    /// What is known now.
    pub fn metadata(&self) -> Arc<Metadata> {
        todo!()
    }

    /// Tells of each change of what is known.
    pub fn watch(&self) -> watch::Receiver<Arc<Metadata>> {
        todo!()
    }

    /// Asks for these topics, and for all that were asked for before and not forgotten. One question at a time
    /// serves all who ask. Topics that were known are asked for no more often than
    /// `retry.backoff.ms` allows. What is wrong with a topic is in its [`Topic::error`].
    ///
    /// # Errors
    /// If no broker answers before the deadline.
    pub async fn refresh(&self, topics: &[&str], deadline: Instant) -> Result<Arc<Metadata>> {
        todo!()
    }

    /// Asks for every topic there is, from now on each time.
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub async fn refresh_all(&self, deadline: Instant) -> Result<Arc<Metadata>> {
        todo!()
    }

    /// No longer asks for these topics.
    pub fn forget(&self, topics: &[&str]) {
        todo!()
    }

    /// A topic: as it is known, else asked for until it is there or the deadline has come.
    ///
    /// # Errors
    /// If it is not there by then, or is refused ([`super::Kind::Broker`]), or no broker answers.
    pub async fn topic(&self, name: &str, deadline: Instant) -> Result<Arc<Topic>> {
        todo!()
    }

    /// Takes note of a leader that an answer told of (KIP-951), if it is newer than what is known; whether it was.
    pub fn note_leader(
        &self,
        topic: &str,
        partition: i32,
        leader: i32,
        epoch: i32,
        at: Option<&Address>,
    ) -> bool {
        todo!()
    }

    /// The connection to a broker for a purpose: the open one, else a new one. While it cannot be reached one
    /// attempt at a time is made, with growing waits between; each attempt serves all who wait.
    ///
    /// # Errors
    /// If the next attempt fails or the deadline comes, or the cluster has no such broker.
    pub async fn connection(&self, broker: i32, purpose: Purpose, deadline: Instant) -> Result<Connection> {
        todo!()
    }

    /// A connection to any broker.
    ///
    /// # Errors
    /// If none can be reached.
    pub async fn any(&self, deadline: Instant) -> Result<Connection> {
        todo!()
    }

    /// The broker that coordinates a group or transactional id: as it is known, else asked for until there
    /// is one.
    ///
    /// # Errors
    /// If there is none by the deadline, or the client may not know.
    pub async fn coordinator(&self, of: Coordinated, key: &str, deadline: Instant) -> Result<i32> {
        todo!()
    }

    /// Asks for the coordinator again the next time: for answers with
    /// [`ErrorCode::asks_for_coordinator`] and when it cannot be reached.
    pub fn forget_coordinator(&self, of: Coordinated, key: &str) {
        todo!()
    }

    /// Offsets by time, one request a leader; again where leaders moved or brokers cannot be reached, until the
    /// deadline. One outcome for each query, in their order.
    ///
    /// # Errors
    /// If something is not answered before the deadline. What is wrong with one partition for good is its outcome.
    pub async fn list_offsets(
        &self,
        queries: &[OffsetQuery],
        isolation: i8,
        deadline: Instant,
    ) -> Result<Vec<std::result::Result<FoundOffset, ErrorCode>>> {
        todo!()
    }
}
