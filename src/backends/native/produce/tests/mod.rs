//! The producer: its state machine alone, and all of it against brokers.

#[cfg(feature = "broker")]
mod embedded;
mod fake;
mod lane;
mod scripted;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backends::{Error, ErrorKind, Fate, Log, Notice, PublishPlan, Publisher, ReportSink, Result};
use crate::record::{Batch, RecordRef, Slice, Span};
use crate::settings::{Settings, Side};

/// More than any test waits for.
const LONG: Duration = Duration::from_secs(60);

/// What was told.
#[derive(Debug, Default)]
struct Books {
    delivered: u64,
    payload: u64,
    /// Partition, offset, timestamp, value.
    placed: Vec<(i32, i64, i64, String)>,
    lost: Vec<Lost>,
    warnings: Vec<String>,
    resent: u64,
    /// Records handed in.
    read: u64,
    ended: Option<Error>,
}

#[derive(Debug, PartialEq)]
struct Lost {
    line: u64,
    value: String,
    source: Option<String>,
    partition: i32,
    timestamp: i64,
    fate: Fate,
    kind: ErrorKind,
    error: String,
}

impl Books {
    /// Read = delivered + failed + unknown, each once.
    #[track_caller]
    fn check(&self) -> &Self {
        assert_eq!(self.read, self.delivered + self.lost.len() as u64, "{self:?}");
        let mut lines: Vec<u64> = self.lost.iter().map(|lost| lost.line).collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), self.lost.len(), "told twice: {self:?}");
        self
    }

    #[track_caller]
    fn all_delivered(&self) {
        self.check();
        assert!(self.lost.is_empty(), "{self:?}");
    }

    fn fates(&self) -> Vec<(u64, Fate, ErrorKind)> {
        self.lost.iter().map(|lost| (lost.line, lost.fate, lost.kind)).collect()
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

impl ReportSink for Books {
    fn delivered(&mut self, records: u64, payload: u64) {
        self.delivered += records;
        self.payload += payload;
    }

    fn placed(&mut self, record: &RecordRef<'_>) {
        self.placed.push((record.partition, record.offset, record.timestamp, text(record.value)));
    }

    fn undelivered(
        &mut self,
        record: &RecordRef<'_>,
        line: u64,
        source: Option<&str>,
        fate: Fate,
        error: &Error,
    ) {
        self.lost.push(Lost {
            line,
            value: text(record.value),
            source: source.map(str::to_owned),
            partition: record.partition,
            timestamp: record.timestamp,
            fate,
            kind: error.kind(),
            error: error.to_string(),
        });
    }

    fn aborted(&mut self, _: u64) {
        panic!("no transaction");
    }

    fn resent(&mut self, records: u64) {
        self.resent += records;
    }

    fn notice(&mut self, notice: &Notice) {
        self.warnings.push(notice.to_string());
    }

    fn spooled(&mut self, _: u64, _: u64) {
        panic!("no spool");
    }

    fn warn(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}

/// A publisher under test with its books.
struct Run {
    publisher: Box<dyn Publisher>,
    books: Books,
    line: u64,
}

impl Run {
    fn open(bootstrap: &str, values: &[(&str, &str)]) -> Result<Self> {
        Self::open_with(bootstrap, values, |_| {})
    }

    fn open_with(
        bootstrap: &str,
        values: &[(&str, &str)],
        change: impl FnOnce(&mut PublishPlan),
    ) -> Result<Self> {
        let mut all = vec![("bootstrap.servers", bootstrap)];
        all.extend_from_slice(values);
        let settings = Settings::for_tests(Side::Producer, &all);
        let topic = Some("t".to_owned());
        let mut plan = PublishPlan { topic, partition: None, receipts: false, log: Log::none() };
        change(&mut plan);
        let publisher = super::open(&settings, &plan)?;
        Ok(Self { publisher, books: Books::default(), line: 0 })
    }

    /// Sends these values, as lines.
    fn send<V: AsRef<[u8]>>(&mut self, values: impl IntoIterator<Item = V>) {
        let mut batch = Batch::default();
        for value in values {
            self.line += 1;
            let value = batch.append(value.as_ref());
            batch.push(Span::new(Slice::NULL, value, self.line));
        }
        self.send_batch(batch);
    }

    fn send_batch(&mut self, batch: Batch) {
        let batch = Arc::new(batch);
        self.books.read += batch.len() as u64;
        let mut at = 0;
        while at < batch.len() {
            at += self.publisher.send(&batch, at..batch.len()).unwrap();
            let wait = if at < batch.len() { Duration::from_secs(1) } else { Duration::ZERO };
            if let Err(error) = self.publisher.poll(wait, &mut self.books) {
                self.books.ended.get_or_insert(error);
            }
        }
    }

    /// Polls until something is true of the books.
    #[track_caller]
    fn until(&mut self, is_so: impl Fn(&Books) -> bool) {
        let limit = Instant::now() + LONG;
        while !is_so(&self.books) {
            assert!(Instant::now() < limit, "{:?}", self.books);
            self.publisher.poll(Duration::from_millis(100), &mut self.books).unwrap();
        }
    }

    fn close(self) -> Books {
        self.close_within(LONG)
    }

    fn close_within(mut self, time: Duration) -> Books {
        let until = Instant::now() + time;
        if let Err(error) = self.publisher.close(&|| until, &mut self.books) {
            self.books.ended.get_or_insert(error);
        }
        self.books
    }
}

/// The numbers as values.
fn numbers(range: std::ops::Range<u64>) -> impl Iterator<Item = String> {
    range.map(|n| n.to_string())
}
