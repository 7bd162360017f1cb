//! The consumer: what it decides alone, and all of it against brokers.

#[cfg(feature = "broker")]
mod embedded;
mod hostile;
mod reader;
mod simulation;
mod state;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::backends::{
    At, Error, Log, Notice, Offsets, RecordSink, Result, StartOrigin, SubscribePlan, Subscriber,
    TopicPartition, Topics,
};
use crate::record::{NoHeaders, RecordRef};
use crate::settings::{Settings, Side};
use crate::wire::Codec;
use crate::wire::batch::set_base_offset;
use crate::wire::records::{BatchBuffer, Packer, Producer};

/// More than any test waits for.
const LONG: Duration = Duration::from_secs(60);

fn tp(partition: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition }
}

/// A batch of these values from an offset on.
fn batch(offset: i64, values: &[&str]) -> Vec<u8> {
    batch_by(offset, values, None, Codec::None)
}

fn batch_by(offset: i64, values: &[&str], producer: Option<Producer>, codec: Codec) -> Vec<u8> {
    let mut batch = BatchBuffer::new();
    for value in values {
        batch.append(1_700_000_000_000, None, Some(value.as_bytes()), &NoHeaders).unwrap();
    }
    let mut bytes = batch.seal(producer, &mut Packer::new(codec, None)).bytes().to_vec();
    set_base_offset(&mut bytes, offset);
    bytes
}

/// What was told.
#[derive(Debug, Default)]
struct Seen {
    /// Partition, offset, value.
    records: Vec<(i32, i64, String)>,
    reached: Vec<(i32, i64)>,
    warnings: Vec<String>,
    /// Wants no more after so many records.
    enough: Option<usize>,
}

impl Seen {
    fn values(&self) -> Vec<&str> {
        self.records.iter().map(|(.., value)| value.as_str()).collect()
    }

    /// Where a partition has been told to stand.
    #[cfg(feature = "broker")]
    fn end(&self, partition: i32) -> Option<i64> {
        self.reached.iter().rev().find(|(of, _)| *of == partition).map(|(_, next)| *next)
    }

    /// Every record once and in order: partition `p` has those numbered from 0 to `counts[p]`.
    #[track_caller]
    fn has_once(&self, counts: &[i64]) {
        for (partition, count) in (0..).zip(counts) {
            let offsets: Vec<i64> = self
                .records
                .iter()
                .filter(|(of, ..)| *of == partition)
                .map(|(_, offset, _)| *offset)
                .collect();
            assert_eq!(offsets, (0..*count).collect::<Vec<_>>(), "partition {partition}");
        }
    }
}

impl RecordSink for Seen {
    fn record(&mut self, record: &RecordRef<'_>) -> ControlFlow<()> {
        let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
        self.records.push((record.partition, record.offset, value));
        match self.enough.is_some_and(|enough| self.records.len() >= enough) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn reached(&mut self, _: &str, partition: i32, next: i64) {
        self.reached.push((partition, next));
    }

    fn assigned(&mut self, _: &[TopicPartition]) {
        panic!("no group");
    }

    fn started(&mut self, _: &TopicPartition, _: i64, _: StartOrigin) {
        panic!("no group");
    }

    fn revoked(&mut self, _: &[TopicPartition], _: bool) -> Offsets {
        panic!("no group");
    }

    fn notice(&mut self, notice: &Notice) {
        self.warnings.push(notice.to_string());
    }

    fn warn(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}

/// A subscriber under test with what it told.
struct Run {
    subscriber: Box<dyn Subscriber>,
    seen: Seen,
}

impl Run {
    fn open(bootstrap: &str, values: &[(&str, &str)]) -> Result<Self> {
        let mut all = vec![("bootstrap.servers", bootstrap)];
        all.extend_from_slice(values);
        let settings = Settings::for_tests(Side::Consumer, &all);
        let plan = SubscribePlan { grouped: false, log: Log::none() };
        Ok(Self { subscriber: super::open(&settings, &plan)?, seen: Seen::default() })
    }

    fn topic(&mut self) -> Result<Vec<TopicPartition>> {
        self.subscriber.partitions(&Topics::Names(vec!["t".to_owned()]))
    }

    /// Reads all partitions of the topic from their beginnings.
    fn start(&mut self) -> Vec<TopicPartition> {
        let all = self.topic().unwrap();
        let places: Vec<_> = all.iter().map(|tp| (tp.clone(), At::Earliest)).collect();
        let starts = all.iter().cloned().zip(self.subscriber.list_offsets(&places).unwrap()).collect();
        self.subscriber.assign(&starts).unwrap();
        all
    }

    fn poll(&mut self) -> Result<()> {
        self.subscriber.poll(Duration::from_millis(100), &mut self.seen).map(drop)
    }

    /// Polls until something is true of what was told.
    #[track_caller]
    fn until(&mut self, is_so: impl Fn(&Seen) -> bool) {
        let limit = Instant::now() + LONG;
        while !is_so(&self.seen) {
            assert!(Instant::now() < limit, "{:?} {:?}", self.seen.reached, self.seen.warnings);
            self.poll().unwrap();
        }
    }

    /// Polls until it fails.
    #[track_caller]
    fn until_error(&mut self) -> Error {
        let limit = Instant::now() + LONG;
        loop {
            assert!(Instant::now() < limit, "{:?} {:?}", self.seen.reached, self.seen.warnings);
            if let Err(error) = self.poll() {
                return error;
            }
        }
    }
}
