//! The side of the seam that looks at a cluster and changes nothing in it: topics, offsets, groups.

use std::fmt;
use std::sync::Arc;

use super::{At, Result, TopicPartition};

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions, in the order of their numbers.
    pub partitions: Vec<Partition>,
}

/// A partition, as the broker that was asked knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// The broker that leads it, if one does.
    pub leader: Option<i32>,
    /// The brokers that keep it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub isr: Vec<i32>,
    /// Those of them that cannot be used: the broker or its disk is gone (librdkafka only tells of
    /// brokers).
    pub offline: Vec<i32>,
}

/// What is at a place of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The offset; none if no record is that late.
    pub offset: Option<i64>,
    /// The timestamp of the record there, in ms since 1970-01-01 UTC; none for the beginning and the end,
    /// which are no records.
    pub timestamp: Option<i64>,
}

/// How the members of a group agree on who reads what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Among themselves (`group.protocol=classic`).
    Classic,
    /// The broker says (`group.protocol=consumer`, KIP-848).
    Consumer,
}

impl Protocol {
    /// The one of a group's type, as ListGroups tells it in whatever case.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Classic, Self::Consumer].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// As `group.protocol` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// Where it listens.
    pub host: String,
    /// The port there.
    pub port: u16,
}

impl fmt::Display for Broker {
    /// `ID@HOST:PORT`, as `controller.quorum.voters` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, host, port } = self;
        if host.contains(':') { write!(f, "{id}@[{host}]:{port}") } else { write!(f, "{id}@{host}:{port}") }
    }
}

/// A group of consumers, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub name: String,
    /// Its state, by Kafka's names (`Stable`, `Empty`, `PreparingRebalance`, ...); none if the broker is too
    /// old to list it. librdkafka knows no `Assigning` and `Reconciling`: with it these are `Unknown`.
    pub state: Option<String>,
    /// Its protocol; none if the broker is too old to tell.
    pub protocol: Option<Protocol>,
    /// The broker that coordinates it.
    pub coordinator: Broker,
}

/// A group of consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub name: String,
    /// As in [`Listed::state`].
    pub state: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// How partitions are assigned (`range`, `uniform`, ...); none when nobody is there to say.
    pub assignor: Option<String>,
    /// The broker that coordinates it.
    pub coordinator: Broker,
    /// Its members, in no order.
    pub members: Vec<Member>,
    /// What it has committed, in no order.
    pub committed: Vec<Committed>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// The name its user gave it (`group.instance.id`).
    pub instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where its client is, as the broker sees it.
    pub host: String,
    /// What it reads now, in no order.
    pub partitions: Vec<TopicPartition>,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Of which partition.
    pub of: TopicPartition,
    /// The next offset to read.
    pub offset: i64,
    /// What the client noted with it; often nothing.
    pub metadata: String,
}

/// Looks at a cluster. Every call asks anew, and takes no longer than `request.timeout.ms`.
pub trait Inspector: Send {
    /// The topics of these names, or all; sorted by name. Those that do not exist are left out, and none is
    /// created.
    ///
    /// # Errors
    /// `Authorization` for a topic that may not be seen; `Unreachable`, `TimedOut`.
    fn topics(&mut self, names: Option<&[String]>) -> Result<Vec<Topic>>;
    /// What is at these places, in the same order. The end is the high watermark, or with
    /// `isolation.level=read_committed` set the last stable offset.
    ///
    /// # Errors
    /// `UnknownTopic`, `Authorization`, `Unreachable` (also for a partition without a leader), `TimedOut`.
    fn offsets(&mut self, places: &[(TopicPartition, At)]) -> Result<Vec<Found>>;
    /// All groups of consumers, those of other kinds (Connect, share groups) left out; in no order.
    ///
    /// # Errors
    /// `Authorization`, `Unreachable`, `TimedOut`.
    fn groups(&mut self) -> Result<Vec<Listed>>;
    /// A group of consumers; none if there is none of that name.
    ///
    /// # Errors
    /// `Authorization`, `Unreachable`, `TimedOut`.
    fn group(&mut self, name: &str) -> Result<Option<Group>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_found_in_whatever_case() {
        assert_eq!(Protocol::named("Consumer"), Some(Protocol::Consumer));
        assert_eq!(Protocol::named("classic"), Some(Protocol::Classic));
        assert_eq!(Protocol::named("share"), None);
    }

    #[test]
    fn a_broker_is_shown_with_its_address() {
        let broker = |host: &str| Broker { id: 1, host: host.to_owned(), port: 9092 }.to_string();
        assert_eq!(broker("a"), "1@a:9092");
        assert_eq!(broker("::1"), "1@[::1]:9092");
    }
}
