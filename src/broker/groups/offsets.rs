//! Committed offsets, and those of transactions that are not decided (as Kafka's
//! `OffsetMetadataManager`).
//!
//! Every commit has its place in the order of all: a transaction that ends replaces only what was
//! committed before the transaction's own commit.

use std::collections::BTreeMap;

use super::super::storage::Journal;
use super::persist::{self, Edits, Place};

/// By topic and partition.
type Topics = BTreeMap<String, BTreeMap<i32, Committed>>;

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Committed {
    /// The offset of the next record to read.
    pub(in crate::broker) offset: i64,
    /// The leader's epoch at the last record read; -1 if not known.
    pub(in crate::broker) leader_epoch: i32,
    /// What the member notes with it.
    pub(in crate::broker) metadata: String,
    /// When it was committed, in ms since 1970.
    pub(super) time: i64,
    /// When it goes, for clients that say so (OffsetCommit up to version 4), in ms since 1970.
    pub(super) expires: Option<i64>,
    /// Its place in the order of all commits.
    pub(super) order: i64,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Decision {
    /// Its offsets are committed.
    Commit,
    /// They are dropped.
    Abort,
}

/// The offsets of all groups.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    committed: BTreeMap<String, Topics>,
    /// By group and producer.
    pending: BTreeMap<String, BTreeMap<i64, Topics>>,
    last_order: i64,
}

impl Offsets {
    /// All that is in the journal.
    pub(super) fn load(journal: &Journal) -> Self {
        let mut offsets = Self::default();
        for (key, value) in journal.iter(persist::OFFSET) {
            let place = Place::of_key(key.get(persist::OFFSET.len()..).unwrap_or_default());
            if let Some((place, committed)) = place.zip(persist::offset_of_value(value)) {
                offsets.note(place, None, committed);
            }
        }
        for (key, value) in journal.iter(persist::PENDING) {
            let place = persist::pending_of_key(key.get(persist::PENDING.len()..).unwrap_or_default());
            if let Some(((producer, place), committed)) = place.zip(persist::offset_of_value(value)) {
                offsets.note(place, Some(producer), committed);
            }
        }
        offsets
    }

    /// The next place in the order of all commits.
    pub(super) fn next_order(&mut self) -> i64 {
        self.last_order += 1;
        self.last_order
    }

    /// Keeps an offset; with a producer as one of a transaction.
    pub(super) fn note(&mut self, place: Place<'_>, producer: Option<i64>, committed: Committed) {
        self.last_order = self.last_order.max(committed.order);
        let topics = match producer {
            Some(id) => entry(&mut self.pending, place.group).entry(id).or_default(),
            None => entry(&mut self.committed, place.group),
        };
        entry(topics, place.topic).insert(place.partition, committed);
    }

    /// The committed offset of a place.
    pub(super) fn get(&self, place: Place<'_>) -> Option<&Committed> {
        self.committed.get(place.group)?.get(place.topic)?.get(&place.partition)
    }

    /// All committed offsets of a group, by topic and partition.
    pub(super) fn of_group<'a>(
        &'a self,
        group: &str,
    ) -> impl Iterator<Item = (&'a str, &'a BTreeMap<i32, Committed>)> + use<'a> {
        let topics = self.committed.get(group).into_iter().flatten();
        topics.map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    /// True when a transaction that is not decided has an offset for this place.
    pub(super) fn is_pending(&self, place: Place<'_>) -> bool {
        let has = |topics: &Topics| {
            topics.get(place.topic).is_some_and(|partitions| partitions.contains_key(&place.partition))
        };
        self.pending.get(place.group).is_some_and(|producers| producers.values().any(has))
    }

    /// True when a transaction that is not decided has an offset for this group.
    pub(super) fn has_pending(&self, group: &str) -> bool {
        self.pending.contains_key(group)
    }

    /// The groups that have offsets.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        self.committed.keys().chain(self.pending.keys()).map(String::as_str)
    }

    /// All places that have an offset, committed or not, with the producers of those that are not.
    fn places(&self) -> impl Iterator<Item = (Place<'_>, Option<i64>)> {
        let committed = self.committed.iter().map(|(group, topics)| (group, None, topics));
        let pending = self.pending.iter().flat_map(|(group, producers)| {
            producers.iter().map(move |(producer, topics)| (group, Some(*producer), topics))
        });
        committed.chain(pending).flat_map(|(group, producer, topics)| {
            topics.iter().flat_map(move |(topic, partitions)| {
                partitions
                    .keys()
                    .map(move |partition| (Place { group, topic, partition: *partition }, producer))
            })
        })
    }

    /// What removes the offsets of the places that `is_gone`, committed or in transactions.
    pub(super) fn removal(&self, is_gone: impl Fn(Place<'_>) -> bool) -> Removal {
        let gone = self.places().filter(|(place, _)| is_gone(*place));
        Removal(gone.map(|(place, producer)| place.key(producer)).collect())
    }

    /// What removes the offsets of one place.
    pub(super) fn removal_of(&self, place: Place<'_>) -> Removal {
        let committed = self.get(place).map(|_| place.key(None));
        let producers = self.pending.get(place.group).into_iter().flat_map(BTreeMap::keys);
        // A key that is not there does no harm.
        let pending = producers.map(|producer| place.key(Some(*producer)));
        Removal(committed.into_iter().chain(pending).collect())
    }

    /// Removes what was told to be removed.
    pub(super) fn remove(&mut self, removal: &Removal) {
        for key in &removal.0 {
            if let Some(place) = key.strip_prefix(persist::OFFSET).and_then(Place::of_key) {
                take(&mut self.committed, place);
            } else if let Some((producer, place)) =
                key.strip_prefix(persist::PENDING).and_then(persist::pending_of_key)
            {
                self.take_pending(producer, place);
            }
        }
    }

    fn take_pending(&mut self, producer: i64, place: Place<'_>) {
        let Some(producers) = self.pending.get_mut(place.group) else { return };
        if let Some(topics) = producers.get_mut(&producer) {
            take_partition(topics, place);
            if topics.is_empty() {
                producers.remove(&producer);
            }
        }
        if producers.is_empty() {
            self.pending.remove(place.group);
        }
    }

    /// What the end of a producer's transaction changes in the journal.
    pub(super) fn ending(&self, producer: i64, decision: Decision) -> Edits {
        let mut edits = Edits::default();
        for (place, committed) in self.of_producer(producer) {
            edits.delete(place.key(Some(producer)));
            if decision == Decision::Commit && self.is_newer(place, committed) {
                edits.put(place.key(None), persist::offset_value(committed));
            }
        }
        edits
    }

    /// Ends a producer's transaction.
    pub(super) fn end(&mut self, producer: i64, decision: Decision) {
        let ended: Vec<(String, Topics)> = self
            .pending
            .iter_mut()
            .filter_map(|(group, producers)| Some((group.clone(), producers.remove(&producer)?)))
            .collect();
        self.pending.retain(|_, producers| !producers.is_empty());
        if decision == Decision::Abort {
            return;
        }
        for (group, topics) in ended {
            for (topic, partitions) in topics {
                for (partition, committed) in partitions {
                    let place = Place { group: &group, topic: &topic, partition };
                    if self.is_newer(place, &committed) {
                        self.note(place, None, committed);
                    }
                }
            }
        }
    }

    fn of_producer(&self, producer: i64) -> impl Iterator<Item = (Place<'_>, &Committed)> {
        self.pending.iter().flat_map(move |(group, producers)| {
            producers.get(&producer).into_iter().flatten().flat_map(move |(topic, partitions)| {
                partitions.iter().map(move |(partition, committed)| {
                    (Place { group, topic, partition: *partition }, committed)
                })
            })
        })
    }

    fn is_newer(&self, place: Place<'_>, committed: &Committed) -> bool {
        self.get(place).is_none_or(|existing| committed.order > existing.order)
    }
}

/// Offsets that are to be removed, by their keys in the journal.
#[derive(Debug, Default)]
pub(super) struct Removal(Vec<Vec<u8>>);

impl Removal {
    /// Adds what removes others.
    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What it changes in the journal.
    pub(super) fn write(&self, edits: &mut Edits) {
        self.0.iter().for_each(|key| edits.delete(key.clone()));
    }
}

/// The value of a name.
fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    map.entry(name.to_owned()).or_default()
}

/// Removes an offset, and what is empty without it.
fn take(groups: &mut BTreeMap<String, Topics>, place: Place<'_>) {
    let Some(topics) = groups.get_mut(place.group) else { return };
    take_partition(topics, place);
    if topics.is_empty() {
        groups.remove(place.group);
    }
}

fn take_partition(topics: &mut Topics, place: Place<'_>) {
    let Some(partitions) = topics.get_mut(place.topic) else { return };
    partitions.remove(&place.partition);
    if partitions.is_empty() {
        topics.remove(place.topic);
    }
}
