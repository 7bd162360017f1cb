//! Who gets what in the classic protocol: Java's assignors, with its results but for two things. Racks play no
//! part (Java's try to give members what is near them), and where Java leaves a choice to the order of a hash
//! map, it falls to members and partitions in their order.

pub(super) mod cooperative_sticky;
mod range;
mod roundrobin;
mod stickiness;
pub(super) mod sticky;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Subscription;
use crate::record::TopicPartition;

/// A way of assigning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assignor {
    /// Of each topic, consecutive partitions (`RangeAssignor`).
    Range,
    /// All partitions in turn (`RoundRobinAssignor`).
    RoundRobin,
    /// As even as can be, with the fewest moves (`StickyAssignor`).
    Sticky,
    /// The same, and what is to be moved is given up before another gets it (`CooperativeStickyAssignor`).
    CooperativeSticky,
}

/// A member that wants partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// The name that the user gave it.
    pub instance_id: Option<String>,
    /// What it wants and has.
    pub subscription: Subscription,
}

/// How many partitions topics have: those that exist, at least one each.
pub type Counts = BTreeMap<Arc<str>, i32>;
/// Who gets what, by the members' ids: all of them are there.
pub type Shares = BTreeMap<String, Vec<TopicPartition>>;

impl Assignor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Range, Self::RoundRobin, Self::Sticky, Self::CooperativeSticky];

    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Whether members can keep what they have through a rebalance (KIP-429).
    pub fn is_cooperative(self) -> bool {
        self == Self::CooperativeSticky
    }

    /// Shares out the partitions among the members that want their topics.
    pub fn assign(self, members: &[Candidate], topics: &Counts) -> Shares {
        match self {
            Self::Range => range::assign(members, topics),
            Self::RoundRobin => roundrobin::assign(members, topics),
            Self::Sticky => sticky::assign(members, topics),
            Self::CooperativeSticky => cooperative_sticky::assign(members, topics),
        }
    }
}

/// The members in the order in which they are served: static ones by name, then the others by id (Java's
/// `MemberInfo`).
fn in_order(members: &[Candidate]) -> Vec<&Candidate> {
    let mut sorted: Vec<&Candidate> = members.iter().collect();
    sorted.sort_by(|a, b| match (&a.instance_id, &b.instance_id) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.id.cmp(&b.id),
    });
    sorted
}

/// A share for each member, with nothing in it.
fn empty_shares(members: &[Candidate]) -> Shares {
    members.iter().map(|member| (member.id.clone(), Vec::new())).collect()
}

/// A partition.
fn place(topic: &Arc<str>, partition: i32) -> TopicPartition {
    TopicPartition { topic: Arc::clone(topic), partition }
}
