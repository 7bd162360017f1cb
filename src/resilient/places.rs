//! Where reading has got to, partition by partition, for a library that is opened again.

use std::ops::ControlFlow;

use super::outage::Contact;
use super::publisher::Clock;
use super::subscriber::Tell;
use crate::backends::{Notice, Offsets, RecordSink, StartOrigin, TopicPartition};
use crate::record::{ByPartition, RecordRef};

/// Partitions that are read, and the next offset of each.
#[derive(Debug, Default)]
pub(super) struct Places {
    all: Offsets,
    index: ByPartition<usize>,
    /// The one that came last: records come in runs of one partition.
    last: usize,
}

impl Places {
    pub(super) fn put(&mut self, starts: &Offsets) {
        for (tp, offset) in starts {
            match self.index.get(&tp.topic, tp.partition).and_then(|at| self.all.get_mut(*at)) {
                Some(place) => place.1 = *offset,
                None => {
                    self.index.insert(&tp.topic, tp.partition, self.all.len());
                    self.all.push((tp.clone(), *offset));
                }
            }
        }
    }

    pub(super) fn remove(&mut self, gone: &[TopicPartition]) {
        for tp in gone {
            self.index.remove(&tp.topic, tp.partition);
        }
        self.all.retain(|(tp, _)| self.index.get(&tp.topic, tp.partition).is_some());
        for (at, (tp, _)) in self.all.iter().enumerate() {
            self.index.insert(&tp.topic, tp.partition, at);
        }
    }

    pub(super) fn all(&self) -> &Offsets {
        &self.all
    }

    /// All before `next` was read.
    fn passed(&mut self, topic: &str, partition: i32, next: i64) {
        let is_it = |tp: &TopicPartition| tp.partition == partition && *tp.topic == *topic;
        if !self.all.get(self.last).is_some_and(|(tp, _)| is_it(tp)) {
            let Some(at) = self.index.get(topic, partition) else { return };
            self.last = *at;
        }
        if let Some((_, place)) = self.all.get_mut(self.last) {
            *place = next.max(*place);
        }
    }
}

/// Between the library and the command: notes what passes.
pub(super) struct Watching<'a> {
    pub(super) sink: &'a mut dyn RecordSink,
    pub(super) places: &'a mut Places,
    /// Anything came: brokers are there.
    pub(super) lives: bool,
    /// What the library tells of its connections goes there, at once: it may wait for records after that.
    pub(super) contact: &'a mut Contact,
    pub(super) tell: &'a Tell,
    pub(super) clock: &'a Clock,
}

impl RecordSink for Watching<'_> {
    fn record(&mut self, record: &RecordRef<'_>) -> ControlFlow<()> {
        self.lives = true;
        self.places.passed(record.topic, record.partition, record.offset + 1);
        self.sink.record(record)
    }

    fn reached(&mut self, topic: &str, partition: i32, next: i64) {
        self.lives = true;
        self.places.passed(topic, partition, next);
        self.sink.reached(topic, partition, next);
    }

    fn assigned(&mut self, partitions: &[TopicPartition]) {
        self.lives = true;
        self.sink.assigned(partitions);
    }

    fn started(&mut self, partition: &TopicPartition, offset: i64, origin: StartOrigin) {
        self.sink.started(partition, offset, origin);
    }

    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) -> Offsets {
        self.sink.revoked(partitions, lost)
    }

    fn notice(&mut self, notice: &Notice) {
        let now = (self.clock)();
        let news = match notice {
            Notice::Lost { place, why } => self.contact.lost(place, why, now),
            Notice::Back { place, .. } | Notice::Replaced { place } => self.contact.back(place, None, now),
            other => Some(other.clone()),
        };
        if let Some(news) = news {
            (self.tell)(&news);
        }
    }

    fn warn(&mut self, message: &str) {
        self.sink.warn(message);
    }
}
