//! Which partition a record goes to.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backends::partitioner::{Partitioner, Strategy};
use crate::backends::{Error, ErrorKind, Result, unknown_partition};
use crate::wire::net::{Metadata, Topic};

/// When a topic that could not be looked up for want of a broker is looked up again.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The topics that records were seen for, the publisher's own first.
#[derive(Debug)]
pub(super) struct Topics {
    all: Vec<Entry>,
    names: HashMap<String, usize>,
    strategy: Strategy,
    /// Bytes of records without a key that go to one partition before the next.
    run: RangeInclusive<usize>,
    /// The partition of all records that name none.
    partition: Option<i32>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    /// Or why its records cannot be sent.
    found: Result<Found, NotFound>,
}

#[derive(Debug)]
struct Found {
    topic: Arc<Topic>,
    partitioner: Partitioner,
}

#[derive(Debug)]
struct NotFound {
    kind: ErrorKind,
    text: String,
    since: Instant,
}

impl NotFound {
    /// Not worth asking again for every record.
    fn holds(&self) -> bool {
        let temporary = matches!(self.kind, ErrorKind::Unreachable | ErrorKind::TimedOut);
        !temporary || self.since.elapsed() < LOOK_AGAIN
    }
}

impl Topics {
    pub(super) fn new(strategy: Strategy, run: RangeInclusive<usize>, partition: Option<i32>) -> Self {
        Self { all: Vec::new(), names: HashMap::new(), strategy, run, partition }
    }

    /// The publisher's own topic, which must have the partition asked for.
    ///
    /// # Errors
    /// If it has not.
    pub(super) fn add_own(&mut self, name: &str, topic: Arc<Topic>) -> Result<()> {
        if let Some(partition) = self.partition {
            check(name, partition, topic.partitions.len())?;
        }
        self.add(name, Ok(topic));
        Ok(())
    }

    /// The publisher has no topic: its place is kept, and refuses records without one of their own.
    pub(super) fn add_none(&mut self) {
        self.add("", Err(Error::new(ErrorKind::UnknownTopic, "the record names no topic")));
    }

    /// Takes note of a topic, or that it cannot be used.
    pub(super) fn add(&mut self, name: &str, found: Result<Arc<Topic>>) -> usize {
        let found = match found {
            Ok(topic) => Ok(Found { topic, partitioner: Partitioner::new(self.strategy, self.run.clone()) }),
            Err(why) => Err(NotFound { kind: why.kind(), text: why.to_string(), since: Instant::now() }),
        };
        self.all.push(Entry { name: name.into(), found });
        self.names.insert(name.to_owned(), self.all.len() - 1);
        self.all.len() - 1
    }

    /// A topic that is known, or known not to be there.
    pub(super) fn known(&self, name: &str) -> Option<usize> {
        let at = *self.names.get(name)?;
        let entry = self.all.get(at)?;
        entry.found.as_ref().map_or_else(NotFound::holds, |_| true).then_some(at)
    }

    /// Its name.
    pub(super) fn name(&self, at: usize) -> Arc<str> {
        self.all.get(at).map_or_else(|| "".into(), |entry| Arc::clone(&entry.name))
    }

    /// Partitions and leaders as they are now.
    pub(super) fn learn(&mut self, metadata: &Metadata) {
        for entry in &mut self.all {
            if let Ok(found) = &mut entry.found
                && let Some(topic) = metadata.topic(&entry.name)
                && topic.partitions.len() >= found.topic.partitions.len()
            {
                found.topic = Arc::clone(topic);
            }
        }
    }

    /// The batch of a partition is handed over: records without a key that went there go elsewhere from here on.
    pub(super) fn was_cut(&mut self, at: usize, partition: i32) {
        if let Some(Ok(found)) = self.all.get_mut(at).map(|entry| entry.found.as_mut()) {
            found.partitioner.batch_was_cut(partition);
        }
    }

    /// The partition of a record that may name one itself, if it goes where the last one without a key went.
    pub(super) fn stays_at(&self, at: usize, named: i32, key: Option<&[u8]>) -> Option<i32> {
        let found = self.all.get(at)?.found.as_ref().ok()?;
        if named < 0 && self.partition.is_none() { found.partitioner.stays_at(key) } else { None }
    }

    /// Bytes of records with neither key nor partition that go where the last of them went.
    pub(super) fn stays(&self, at: usize) -> usize {
        match self.all.get(at).map(|entry| &entry.found) {
            Some(Ok(_)) if self.partition.is_some() => usize::MAX,
            Some(Ok(found)) => found.partitioner.stays(),
            _ => 0,
        }
    }

    /// So many bytes of them went there.
    pub(super) fn stayed(&mut self, at: usize, bytes: usize) {
        if let Some(Ok(found)) = self.all.get_mut(at).map(|entry| entry.found.as_mut()) {
            found.partitioner.stayed(bytes);
        }
    }

    /// The partition of a record of `size` bytes that may name one itself.
    #[inline]
    pub(super) fn partition(
        &mut self,
        at: usize,
        named: i32,
        key: Option<&[u8]>,
        size: usize,
    ) -> Result<i32> {
        let fixed = if named >= 0 { Some(named) } else { self.partition };
        let Some(entry) = self.all.get_mut(at) else {
            return Err(Error::new(ErrorKind::UnknownTopic, "the record names no topic"));
        };
        let found = match &mut entry.found {
            Ok(found) => found,
            Err(why) => return Err(Error::new(why.kind, why.text.as_str())),
        };
        let count = found.topic.partitions.len();
        match fixed {
            Some(partition) => check(&entry.name, partition, count),
            None => Ok(found.choose(key, size, count)),
        }
    }
}

impl Found {
    /// The partitioner's choice. Records that can go anywhere do not wait for a leader: they go to the next
    /// partition that has one.
    #[inline]
    fn choose(&mut self, key: Option<&[u8]>, size: usize, count: usize) -> i32 {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let chosen = self.partitioner.partition(key, size, count);
        if self.is_led(chosen) || !self.partitioner.spreads(key) {
            return chosen;
        }
        let other = (chosen..count).chain(0..chosen).find(|other| self.is_led(*other)).unwrap_or(chosen);
        self.partitioner.went_to(other, key);
        other
    }

    #[inline]
    fn is_led(&self, partition: i32) -> bool {
        self.topic.partition(partition).is_none_or(|partition| partition.leader.is_some())
    }
}

/// The partition, if the topic has it.
fn check(topic: &str, partition: i32, count: usize) -> Result<i32> {
    let there = usize::try_from(partition).is_ok_and(|index| index < count);
    there.then_some(partition).ok_or_else(|| unknown_partition(topic, partition, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Uuid;
    use crate::wire::net::Partition;

    fn topic(leaders: &[Option<i32>]) -> Arc<Topic> {
        let partition = |(index, leader): (i32, &Option<i32>)| Partition {
            index,
            leader: *leader,
            leader_epoch: 0,
            error: None,
        };
        Arc::new(Topic {
            name: "t".into(),
            id: Uuid::default(),
            internal: false,
            error: None,
            partitions: (0..).zip(leaders).map(partition).collect(),
        })
    }

    fn topics(leaders: &[Option<i32>]) -> Topics {
        let mut topics = Topics::new(Strategy::default(), 1..=1, None);
        topics.add_own("t", topic(leaders)).unwrap();
        topics
    }

    #[test]
    fn only_records_that_can_go_anywhere_avoid_partitions_without_a_leader() {
        let mut topics = topics(&[None, Some(1), None, None]);
        for n in 0..100_u32 {
            assert_eq!(topics.partition(0, -1, None, 10).unwrap(), 1);
            let keyed = topics.partition(0, -1, Some(&n.to_be_bytes()), 10).unwrap();
            let mut all = Partitioner::new(Strategy::default(), 1..=1);
            assert_eq!(keyed, all.partition(Some(&n.to_be_bytes()), 10, 4));
        }
    }

    #[test]
    fn a_batch_that_is_cut_ends_a_run_beside_a_partition_without_a_leader_too() {
        let mut topics = Topics::new(Strategy::default(), usize::MAX..=usize::MAX, None);
        topics.add_own("t", topic(&[None, Some(1), None, Some(2)])).unwrap();
        let mut last = topics.partition(0, -1, None, 10).unwrap();
        for _ in 0..10 {
            assert_eq!(topics.partition(0, -1, None, 10).unwrap(), last);
            assert_eq!(topics.stays_at(0, -1, None), Some(last));
            topics.was_cut(0, last);
            let next = topics.partition(0, -1, None, 10).unwrap();
            assert_eq!(next, 4 - last);
            last = next;
        }
        assert_eq!((topics.stays_at(0, 3, None), topics.stays_at(0, -1, Some(b"k"))), (None, None));
    }

    #[test]
    fn without_any_leader_they_wait_wherever_it_is() {
        let mut topics = topics(&[None, None]);
        assert!((0..2).contains(&topics.partition(0, -1, None, 10).unwrap()));
    }

    #[test]
    fn a_topic_is_known_by_its_name_and_one_without_a_name_refuses() {
        let mut topics = Topics::new(Strategy::default(), 1..=1, None);
        topics.add_none();
        let error = topics.partition(0, -1, None, 10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownTopic);
        assert_eq!(topics.known("t"), None);
        let at = topics.add("t", Ok(topic(&[Some(1)])));
        assert_eq!((topics.known("t"), &*topics.name(at)), (Some(at), "t"));
        let error = topics.partition(at, 1, None, 10).unwrap_err();
        assert_eq!(error.to_string(), "no partition t[1]: the topic has 0 to 0");
        let gone = topics.add("gone", Err(Error::new(ErrorKind::UnknownTopic, "no such topic")));
        assert_eq!(topics.known("gone"), Some(gone));
    }
}
