//! Who is to read which partitions: Kafka's two assignors on the broker's side.
//!
//! - `uniform`: as even as the subscriptions allow, and what a member had it keeps unless another would
//!   be the worse for it. Kafka's `UniformAssignor` falls back on an approximation when subscriptions
//!   differ; this one is even in that case, too.
//! - `range`: of each topic, a row of partitions for each member, in the order of the members. Topics
//!   with as many partitions are cut alike.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::topics::{Places, TopicId};

/// A way to assign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::broker) enum Assignor {
    Uniform,
    Range,
}

/// What a member brings to the assignment.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    /// Its name for as long as it is configured (KIP-345), else its id.
    pub(super) name: &'a str,
    /// True if it has such a name.
    pub(super) is_static: bool,
    /// The topics it subscribes to.
    pub(super) topics: BTreeSet<TopicId>,
    /// What it was to read until now.
    pub(super) held: &'a Places,
}

impl Assignor {
    pub(in crate::broker) const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// The one that is taken when no member asks for one.
    pub(super) const DEFAULT: Self = Self::Uniform;

    pub(in crate::broker) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    pub(in crate::broker) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Gives each partition of the topics, which are given with their numbers of partitions, to one of
    /// the members that subscribe to it. Returns what each is to read, in the order of the wishes.
    pub(super) fn assign(self, wishes: &[Wish<'_>], topics: &BTreeMap<TopicId, i32>) -> Vec<Places> {
        match self {
            Self::Uniform => uniform(wishes, topics),
            Self::Range => range(wishes, topics),
        }
    }
}

/// Who subscribes to each topic: places in the list of wishes.
fn subscribers(wishes: &[Wish<'_>]) -> BTreeMap<TopicId, Vec<usize>> {
    let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (member, wish) in wishes.iter().enumerate() {
        for topic in &wish.topics {
            subscribers.entry(*topic).or_default().push(member);
        }
    }
    subscribers
}

fn range(wishes: &[Wish<'_>], topics: &BTreeMap<TopicId, i32>) -> Vec<Places> {
    let mut shares = vec![Places::new(); wishes.len()];
    for (topic, mut members) in subscribers(wishes) {
        let Some(partitions) = topics.get(&topic).and_then(|count| usize::try_from(*count).ok()) else {
            continue;
        };
        members.sort_by_key(|member| wishes.get(*member).map(|wish| (!wish.is_static, wish.name)));
        let (each, more) = (partitions / members.len(), partitions % members.len());
        let mut numbers = 0..;
        for (at, member) in members.into_iter().enumerate() {
            let count = each + usize::from(at < more);
            if let Some(share) = shares.get_mut(member) {
                share.extend(numbers.by_ref().take(count).map(|number| (topic, number)));
            }
        }
    }
    shares
}

fn uniform(wishes: &[Wish<'_>], topics: &BTreeMap<TopicId, i32>) -> Vec<Places> {
    let mut shares = Shares::keep(wishes, topics);
    shares.hand_out(topics);
    shares.level();
    shares.members.into_iter().map(|share| share.places).collect()
}

/// What one member gets.
#[derive(Debug, Default)]
struct Share {
    places: Places,
    /// How many partitions of each topic are in `places`.
    topics: BTreeMap<TopicId, usize>,
}

impl Share {
    fn add(&mut self, place: (TopicId, i32)) {
        if self.places.insert(place) {
            *self.topics.entry(place.0).or_default() += 1;
        }
    }

    /// Takes away a partition of a topic: one that is not in `held` if there is one.
    fn give_up(&mut self, topic: TopicId, held: &Places) -> Option<(TopicId, i32)> {
        let of_topic = || self.places.range((topic, 0)..=(topic, i32::MAX));
        let place = of_topic().find(|place| !held.contains(place)).or_else(|| of_topic().next_back());
        let place = *place?;
        self.places.remove(&place);
        match self.topics.get_mut(&topic) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.topics.remove(&topic)),
        }
        Some(place)
    }
}

/// What all members get, by their places in the list of wishes.
#[derive(Debug)]
struct Shares<'a> {
    wishes: &'a [Wish<'a>],
    subscribers: BTreeMap<TopicId, Vec<usize>>,
    members: Vec<Share>,
    given: Places,
}

impl<'a> Shares<'a> {
    /// Everyone keeps what it had and may still have.
    fn keep(wishes: &'a [Wish<'a>], topics: &BTreeMap<TopicId, i32>) -> Self {
        let mut given = Places::new();
        let keep = |wish: &Wish<'_>| {
            let mut share = Share::default();
            for place in wish.held {
                let is_there = topics.get(&place.0).is_some_and(|count| place.1 < *count);
                if is_there && wish.topics.contains(&place.0) && given.insert(*place) {
                    share.add(*place);
                }
            }
            share
        };
        let members = wishes.iter().map(keep).collect();
        Self { wishes, subscribers: subscribers(wishes), members, given }
    }

    fn load(&self, member: usize) -> usize {
        self.members.get(member).map_or(0, |share| share.places.len())
    }

    /// Gives what nobody has to whoever has least, beginning with the topics of which there is least
    /// choice.
    fn hand_out(&mut self, topics: &BTreeMap<TopicId, i32>) {
        let subscribers = std::mem::take(&mut self.subscribers);
        let mut by_choice: Vec<(&TopicId, &Vec<usize>)> = subscribers.iter().collect();
        by_choice.sort_by_key(|(_, members)| members.len());
        for (topic, members) in by_choice {
            for number in 0..topics.get(topic).copied().unwrap_or_default() {
                let place = (*topic, number);
                let least = members.iter().min_by_key(|member| self.load(**member));
                let share = least.and_then(|member| self.members.get_mut(*member));
                if let Some(share) = share.filter(|_| self.given.insert(place)) {
                    share.add(place);
                }
            }
        }
        self.subscribers = subscribers;
    }

    /// Evens out: while someone has at least two more than another, and a partition can wander from the
    /// one to the other, if need be by way of others, it does. When no such way is left, no assignment is
    /// more even (Harvey et al., "Semi-matchings for bipartite graphs and load balancing", 2003). The
    /// heaviest gives to the lightest, so that little moves; who then finds no way down will find none
    /// later either.
    fn level(&mut self) {
        let mut open: BTreeSet<usize> = (0..self.members.len()).collect();
        while let Some(heaviest) = open.iter().copied().max_by_key(|member| self.load(*member)) {
            match self.way_down(heaviest) {
                Some(way) => self.wander(heaviest, &way),
                None => drop(open.remove(&heaviest)),
            }
        }
    }

    /// The shortest way from a member to the lightest that can be reached, if that has at least two
    /// partitions less: of which topic each step takes one, and to whom.
    fn way_down(&self, from: usize) -> Option<Vec<(TopicId, usize)>> {
        let enough = self.load(from).checked_sub(2)?;
        let least = (0..self.members.len()).map(|member| self.load(member)).min()?;
        let mut came: BTreeMap<usize, (usize, TopicId)> = BTreeMap::new();
        let mut seen_topics = BTreeSet::new();
        let mut queue = VecDeque::from([from]);
        let mut lightest = from;
        while let Some(member) = queue.pop_front().filter(|_| least <= enough) {
            if self.load(member) < self.load(lightest) {
                lightest = member;
            }
            if self.load(lightest) == least {
                break;
            }
            let topics = self.members.get(member).into_iter().flat_map(|share| share.topics.keys());
            for topic in topics.filter(|topic| seen_topics.insert(**topic)) {
                for next in self.subscribers.get(topic).into_iter().flatten() {
                    if *next != from && !came.contains_key(next) {
                        came.insert(*next, (member, *topic));
                        queue.push_back(*next);
                    }
                }
            }
        }
        (self.load(lightest) <= enough).then(|| way_back(&came, from, lightest))
    }

    /// Moves one partition each step of a way.
    fn wander(&mut self, from: usize, way: &[(TopicId, usize)]) {
        let mut giver = from;
        for (topic, taker) in way {
            let held = self.wishes.get(giver).map(|wish| wish.held);
            let share = self.members.get_mut(giver);
            let place = share.zip(held).and_then(|(share, held)| share.give_up(*topic, held));
            if let Some((place, share)) = place.zip(self.members.get_mut(*taker)) {
                share.add(place);
            }
            giver = *taker;
        }
    }
}

/// The steps from `from` to `to`, by who came from where.
fn way_back(came: &BTreeMap<usize, (usize, TopicId)>, from: usize, to: usize) -> Vec<(TopicId, usize)> {
    let mut way = VecDeque::new();
    let mut at = to;
    while let Some((before, topic)) = came.get(&at).filter(|_| at != from) {
        way.push_front((*topic, at));
        at = *before;
    }
    way.into()
}
