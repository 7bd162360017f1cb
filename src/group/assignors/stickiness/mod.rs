//! What `sticky` and `cooperative-sticky` have in common (Java's `AbstractStickyAssignor`): shares that are as
//! even as can be, and among these such that members keep as much of what they have as possible.
//!
//! One thing of Java's is not here: it gives partitions back to members that had them in an earlier generation
//! and do not want their topic any more, or fails if such a member takes no part.
//!
//! - [`claims`]: who has what, when members say different things.
//! - [`even`]: all members want the same topics.
//! - [`uneven`]: they do not.

mod claims;
mod even;
mod uneven;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Candidate, Counts, Shares, empty_shares};
use crate::group::Subscription;
use crate::record::TopicPartition;
use claims::Claims;

/// What a member says it has, and since which generation, if it tells.
#[derive(Debug, Default)]
pub(super) struct Claim {
    pub(super) places: Vec<TopicPartition>,
    pub(super) generation: Option<i32>,
}

/// A member by its rank in the order of ids.
type Rank = usize;
/// A partition: the rank of its topic in the order of names, and its number.
type Place = (usize, i32);
/// Partitions by the member that gets them.
type Held = BTreeMap<Rank, BTreeSet<Place>>;

/// What is to be shared out, and among whom.
#[derive(Debug)]
struct Table<'a> {
    /// By id.
    members: Vec<&'a Candidate>,
    /// By name, with the numbers of their partitions.
    topics: Vec<(&'a Arc<str>, i32)>,
}

impl<'a> Table<'a> {
    fn new(members: &'a [Candidate], topics: &'a Counts) -> Self {
        let mut members: Vec<&Candidate> = members.iter().collect();
        members.sort_by(|a, b| a.id.cmp(&b.id));
        let is_wanted = |topic: &Arc<str>| members.iter().any(|it| it.subscription.topics.contains(topic));
        let topics = topics.iter().filter(|(topic, _)| is_wanted(topic));
        Self { topics: topics.map(|(topic, count)| (topic, *count)).collect(), members }
    }

    /// All partitions, by topic and number.
    fn places(&self) -> impl Iterator<Item = Place> {
        (0..).zip(&self.topics).flat_map(|(topic, (_, count))| (0..*count).map(move |number| (topic, number)))
    }

    /// The partition of that name, if it exists.
    fn place(&self, of: &TopicPartition) -> Option<Place> {
        let topic = self.topics.binary_search_by(|(name, _)| (**name).cmp(&of.topic)).ok()?;
        let (_, count) = self.topics.get(topic)?;
        (0..*count).contains(&of.partition).then_some((topic, of.partition))
    }

    /// The name of a partition.
    fn name(&self, (topic, partition): Place) -> Option<TopicPartition> {
        self.topics.get(topic).map(|(name, _)| super::place(name, partition))
    }

    /// The topics that each member wants, of those that exist.
    fn wants(&self) -> Vec<BTreeSet<usize>> {
        let wants = |member: &Candidate| {
            let is_wanted = |topic: &&Arc<str>| member.subscription.topics.contains(*topic);
            let topics = self.topics.iter().enumerate();
            topics.filter(|(_, (topic, _))| is_wanted(topic)).map(|(rank, _)| rank).collect()
        };
        self.members.iter().map(|member| wants(member)).collect()
    }

    fn all_want_the_same(&self) -> bool {
        let mut wanted = self.members.iter().map(|member| &member.subscription.topics);
        let first = wanted.next();
        wanted.all(|topics| Some(topics) == first)
    }
}

/// Shares out, and tells which partitions go from one member to another. `claim` reads what a member has.
pub(super) fn assign_sticky(
    members: &[Candidate],
    topics: &Counts,
    claim: impl Fn(&Subscription) -> Claim,
) -> (Shares, BTreeSet<TopicPartition>) {
    let table = Table::new(members, topics);
    let claims = Claims::new(&table, claim);
    let (held, moving) = if table.all_want_the_same() {
        even::assign(&table, &claims)
    } else {
        let held = uneven::assign(&table, &claims);
        let moving = moving(&table, &held);
        (held, moving)
    };
    let mut shares = empty_shares(members);
    for (rank, places) in held {
        let share = table.members.get(rank).and_then(|member| shares.get_mut(&member.id));
        if let Some(share) = share {
            share.extend(places.into_iter().filter_map(|place| table.name(place)));
        }
    }
    (shares, moving.into_iter().filter_map(|place| table.name(place)).collect())
}

/// What one member gets that another one says it has (Java's `computePartitionsTransferringOwnership`).
fn moving(table: &Table<'_>, held: &Held) -> BTreeSet<Place> {
    let (mut added, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    let nothing = BTreeSet::new();
    for (rank, member) in table.members.iter().enumerate() {
        let owned: BTreeSet<Place> =
            member.subscription.owned.iter().filter_map(|owned| table.place(owned)).collect();
        let share = held.get(&rank).unwrap_or(&nothing);
        added.extend(share - &owned);
        revoked.extend(&owned - share);
    }
    &added & &revoked
}
