//! What marks a record as one of this run, and the books of those that arrived: losses, duplicates and
//! reordering are counted, records of others ignored.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::record::RecordRef;

/// Bytes of a tag.
pub(super) const TAG: usize = 32;
/// The header that carries the tag where the value has no room for it, or is the user's own.
pub(super) const HEADER: &str = "kps-bench";

/// What each record of a run carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// Chosen at random for each run.
    pub(super) run: u64,
    /// Number of the producer, from 0.
    pub(super) producer: u16,
    /// Number of the record, from 0 for each producer; below 2^48.
    pub(super) sequence: u64,
    /// When it was due, in ns of the run's clock.
    pub(super) due: u64,
    /// When it was first offered to the client, likewise.
    pub(super) sent: u64,
}

impl Tag {
    /// As it stands in a record.
    pub(super) fn bytes(&self) -> [u8; TAG] {
        let mut bytes = [0; TAG];
        let who = u64::from(self.producer) << 48 | self.sequence & SEQUENCE;
        for (place, word) in bytes.chunks_exact_mut(8).zip([self.run, who, self.due, self.sent]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The tag at the start of these bytes, if it is one of this run.
    fn read(bytes: &[u8], run: u64) -> Option<Self> {
        let bytes = bytes.first_chunk::<TAG>()?;
        let mut words =
            bytes.chunks_exact(8).map(|word| word.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)));
        let mut word = || words.next().unwrap_or_default();
        let (found, who, due, sent) = (word(), word(), word(), word());
        let producer = u16::try_from(who >> 48).unwrap_or_default();
        (found == run).then_some(Self { run, producer, sequence: who & SEQUENCE, due, sent })
    }

    /// The tag of a record, if it is one of this run.
    pub(super) fn of(record: &RecordRef<'_>, run: u64) -> Option<Self> {
        if let Some(tag) = record.value.and_then(|value| Self::read(value, run)) {
            return Some(tag);
        }
        let mut tag = None;
        record.headers.for_each(&mut |name, value| {
            if name == HEADER.as_bytes() {
                tag = tag.or(value.and_then(|value| Self::read(value, run)));
            }
        });
        tag
    }
}

/// The bits of a sequence number.
const SEQUENCE: u64 = (1 << 48) - 1;

/// A record that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) partition: i32,
    pub(super) producer: u16,
    pub(super) sequence: u64,
}

/// What arrived of what was sent.
#[derive(Debug)]
pub(super) struct Checker {
    producers: Vec<Sender>,
    /// The highest sequence so far, by partition and producer.
    last: HashMap<(i32, u16), u64>,
    /// Told as undelivered, and not arrived: these are no losses.
    undelivered: HashSet<(u16, u64)>,
    received: u64,
    duplicates: u64,
    reordered: u64,
    foreign: u64,
}

/// What a producer sent, and what of it was seen.
#[derive(Debug, Default)]
struct Sender {
    sent: u64,
    seen: Seen,
}

/// What the books come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Verdict {
    /// Records that were given to the client, those of the warm-up among them.
    pub(super) sent: u64,
    /// Those that arrived, each counted once.
    pub(super) received: u64,
    /// Told as undelivered, and indeed not arrived.
    pub(super) undelivered: u64,
    /// Neither arrived nor told as undelivered.
    pub(super) lost: u64,
    /// Arrivals of records that had arrived before.
    pub(super) duplicates: u64,
    /// Arrivals behind a later record of the same producer in the same partition.
    pub(super) reordered: u64,
    /// Records of others in the topic.
    pub(super) foreign: u64,
}

impl Verdict {
    /// True unless something was lost, came twice or out of order.
    pub(super) fn is_clean(&self) -> bool {
        self.lost + self.duplicates + self.reordered == 0
    }

    /// Of two runs at the same time.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            received: self.received + other.received,
            undelivered: self.undelivered + other.undelivered,
            lost: self.lost + other.lost,
            duplicates: self.duplicates + other.duplicates,
            reordered: self.reordered + other.reordered,
            foreign: self.foreign + other.foreign,
        }
    }
}

impl Checker {
    /// Empty books for so many producers.
    pub(super) fn new(producers: u16) -> Self {
        Self {
            producers: (0..producers).map(|_| Sender::default()).collect(),
            last: HashMap::new(),
            undelivered: HashSet::new(),
            received: 0,
            duplicates: 0,
            reordered: 0,
            foreign: 0,
        }
    }

    /// So many records in all are about to be given to that producer's client.
    pub(super) fn sent(&mut self, producer: u16, records: u64) {
        if let Some(sender) = self.producers.get_mut(usize::from(producer)) {
            sender.sent = records;
        }
    }

    /// Books a record of this run. One that was never sent only pretends to be.
    pub(super) fn arrived(&mut self, it: Arrival) {
        let sender = self.producers.get_mut(usize::from(it.producer));
        let Some(sender) = sender.filter(|sender| it.sequence < sender.sent) else {
            self.foreign += 1;
            return;
        };
        if !sender.seen.insert(it.sequence) {
            self.duplicates += 1;
            return;
        }
        self.received += 1;
        self.undelivered.remove(&(it.producer, it.sequence));
        let last = self.last.entry((it.partition, it.producer)).or_insert(it.sequence);
        if *last > it.sequence {
            self.reordered += 1;
        } else {
            *last = it.sequence;
        }
    }

    /// Books records of others.
    pub(super) fn foreign(&mut self, records: u64) {
        self.foreign += records;
    }

    /// Books a record that was told as undelivered.
    pub(super) fn undelivered(&mut self, tag: &Tag) {
        let sender = self.producers.get(usize::from(tag.producer));
        if sender.is_some_and(|sender| !sender.seen.has(tag.sequence)) {
            self.undelivered.insert((tag.producer, tag.sequence));
        }
    }

    /// The outcome.
    pub(super) fn verdict(&self) -> Verdict {
        let sent = self.producers.iter().map(|sender| sender.sent).sum::<u64>();
        let undelivered = self.undelivered.len() as u64;
        Verdict {
            sent,
            received: self.received,
            undelivered,
            lost: sent.saturating_sub(self.received + undelivered),
            duplicates: self.duplicates,
            reordered: self.reordered,
            foreign: self.foreign,
        }
    }
}

/// The sequence numbers that were seen: all below a base, and a bit for each from there on. It takes a bit for each
/// record between the oldest that is missing and the newest.
#[derive(Debug, Default)]
struct Seen {
    base: u64,
    words: VecDeque<u64>,
}

impl Seen {
    /// Adds one; false if it was there.
    fn insert(&mut self, n: u64) -> bool {
        let Some((word, bit)) = self.place(n) else { return false };
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let Some(bits) = self.words.get_mut(word) else { return false };
        let new = *bits & bit == 0;
        *bits |= bit;
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.base += 64;
        }
        new
    }

    fn has(&self, n: u64) -> bool {
        self.place(n).is_none_or(|(word, bit)| self.words.get(word).is_some_and(|bits| bits & bit != 0))
    }

    /// Word and bit; none below the base.
    fn place(&self, n: u64) -> Option<(usize, u64)> {
        let from = n.checked_sub(self.base)?;
        Some((usize::try_from(from / 64).ok()?, 1 << (from % 64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{NoHeaders, TimestampType};

    fn record<'a>(value: &'a [u8], headers: &'a dyn crate::record::Headers) -> RecordRef<'a> {
        RecordRef {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp: 0,
            timestamp_type: TimestampType::Create,
            key: None,
            value: Some(value),
            headers,
        }
    }

    fn tag() -> Tag {
        Tag { run: 7 << 40, producer: 999, sequence: SEQUENCE - 1, due: 1, sent: u64::MAX }
    }

    fn arrival(partition: i32, producer: u16, sequence: u64) -> Arrival {
        Arrival { partition, producer, sequence }
    }

    #[test]
    fn a_tag_is_read_from_value_or_header_and_only_by_its_own_run() {
        let value = [&tag().bytes()[..], b"payload"].concat();
        assert_eq!(Tag::of(&record(&value, &NoHeaders), 7 << 40), Some(tag()));
        assert_eq!(Tag::of(&record(&value, &NoHeaders), 8 << 40), None);
        let bytes = tag().bytes();
        let headers: &[(&[u8], Option<&[u8]>)] =
            &[(b"a", None), (HEADER.as_bytes(), Some(b"short")), (HEADER.as_bytes(), Some(&bytes))];
        assert_eq!(Tag::of(&record(b"short", &headers), 7 << 40), Some(tag()));
        assert_eq!(Tag::of(&record(b"", &NoHeaders), 0), None);
    }

    /// Books of producers that sent so many records each.
    fn checker(sent: &[u64]) -> Checker {
        let mut checker = Checker::new(sent.len() as u16);
        (0..).zip(sent).for_each(|(producer, sent)| checker.sent(producer, *sent));
        checker
    }

    #[test]
    fn what_arrived_in_order_is_clean() {
        let mut checker = checker(&[1000, 1000]);
        for n in 0..1000 {
            checker.arrived(arrival((n % 3) as i32, 0, n));
            checker.arrived(arrival(0, 1, n));
        }
        checker.foreign(4);
        let verdict = checker.verdict();
        assert_eq!(verdict, Verdict { sent: 2000, received: 2000, foreign: 4, ..Verdict::default() });
        assert!(verdict.is_clean());
    }

    #[test]
    fn losses_duplicates_and_reordering_are_told_apart() {
        let mut checker = checker(&[7]);
        for n in [0, 1, 3, 3, 2, 5, 0] {
            checker.arrived(arrival(0, 0, n));
        }
        let verdict = checker.verdict();
        assert_eq!((verdict.received, verdict.lost), (5, 2));
        assert_eq!((verdict.duplicates, verdict.reordered), (2, 1));
        assert!(!verdict.is_clean());
    }

    #[test]
    fn partitions_have_no_order_between_them() {
        let mut checker = checker(&[4]);
        for (partition, n) in [(1, 1), (0, 0), (1, 3), (0, 2)] {
            checker.arrived(arrival(partition, 0, n));
        }
        assert!(checker.verdict().is_clean());
    }

    #[test]
    fn a_record_that_was_never_sent_is_foreign_and_takes_no_memory() {
        let mut checker = checker(&[4]);
        checker.arrived(arrival(0, 0, SEQUENCE));
        checker.arrived(arrival(0, u16::MAX, 0));
        assert_eq!((checker.verdict().foreign, checker.verdict().received), (2, 0));
    }

    #[test]
    fn a_record_told_as_undelivered_is_no_loss_whether_or_not_it_arrived() {
        let mut checker = checker(&[3]);
        let of = |sequence| Tag { producer: 0, sequence, ..tag() };
        checker.undelivered(&of(0));
        checker.undelivered(&of(1));
        checker.arrived(arrival(0, 0, 1));
        checker.arrived(arrival(0, 0, 2));
        checker.undelivered(&of(2));
        let verdict = checker.verdict();
        assert_eq!((verdict.lost, verdict.undelivered, verdict.received), (0, 1, 2));
    }

    #[test]
    fn memory_is_for_what_is_open_only() {
        let mut seen = Seen::default();
        for n in 0..1_000_000 {
            assert!(seen.insert(n));
        }
        assert!(seen.words.len() <= 1 && seen.has(5) && !seen.insert(5) && !seen.has(2_000_000));
    }
}
