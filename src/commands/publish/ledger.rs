//! The books of a publishing run: what became of every record that was read.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Result;

use crate::backends::{self, ErrorKind, Fate, Notice, ReportSink};
use crate::commands::output::{Output, plain};
use crate::commands::{Exit, tell};
use crate::console;
use crate::format::{Envelope, Failure};
use crate::input::Bad;
use crate::private;
use crate::record::{Batch, NoHeaders, RecordRef, TimestampType};
use crate::units;

/// Undelivered records named one by one on standard error; the others are only counted there.
const NAMED: u64 = 10;
/// Reasons of an outage that are named: all its records have the same few.
const REASONS: usize = 3;

/// What has been read and what has become of it, readable from the signal thread.
#[derive(Debug, Default)]
pub(super) struct Counts {
    read: AtomicU64,
    told: AtomicU64,
}

impl Counts {
    /// Adds records that were read.
    pub(super) fn add_read(&self, n: u64) {
        self.read.fetch_add(n, Ordering::Relaxed);
    }

    /// Records read of which nothing is known yet.
    pub(super) fn open(&self) -> u64 {
        self.read.load(Ordering::Relaxed).saturating_sub(self.told.load(Ordering::Relaxed))
    }
}

/// The books.
#[derive(Debug)]
pub(super) struct Ledger {
    counts: Arc<Counts>,
    topic: String,
    delivered: u64,
    payload: u64,
    failed: u64,
    unknown: u64,
    bad: u64,
    /// Sent again, though an earlier try may have written them.
    resent: u64,
    /// Left in the spool for the next run, and found damaged there.
    kept: u64,
    damaged: u64,
    /// Records named.
    named: u64,
    /// Reasons that an outage gave.
    reasons: Vec<String>,
    /// The kind that all failures so far share.
    kind: Option<ErrorKind>,
    mixed: bool,
    failed_to: Option<FailedFile>,
    receipts: Option<Output>,
    scratch: Vec<u8>,
    /// The first error of writing receipts or the failed file.
    trouble: Option<String>,
    /// Why the first record ran out of time.
    timed_out: Option<String>,
}

impl Ledger {
    /// Empty books. `topic` is named in the failed file for input that is no record.
    pub(super) fn new(topic: Option<&str>, failed_to: Option<&Path>, receipts: bool) -> Result<Self> {
        Ok(Self {
            counts: Arc::default(),
            topic: topic.unwrap_or_default().to_owned(),
            delivered: 0,
            payload: 0,
            failed: 0,
            unknown: 0,
            bad: 0,
            resent: 0,
            kept: 0,
            damaged: 0,
            named: 0,
            reasons: Vec::new(),
            kind: None,
            mixed: false,
            failed_to: failed_to.map(FailedFile::open).transpose()?,
            receipts: receipts.then(Output::stdout).transpose()?,
            scratch: Vec::new(),
            trouble: None,
            timed_out: None,
        })
    }

    /// What the signal thread may read.
    pub(super) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Writes out what is in the failed file's buffer, for a run that is left at once.
    pub(super) fn rescue(&self) -> impl Fn() + Send + use<> {
        let file = self.failed_to.as_ref().map(|failed| Arc::clone(&failed.file));
        move || {
            if let Some(mut file) = file.as_ref().and_then(|file| file.try_lock().ok()) {
                // There is nobody left to tell.
                let _ = file.flush();
            }
        }
    }

    /// Records acknowledged so far.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Books a piece of input that is no record.
    pub(super) fn bad(&mut self, bad: &Bad) {
        self.bad += 1;
        self.name(format_args!("{}", place(bad.source.as_deref(), bad.line, &bad.reason)));
        let record = RecordRef {
            topic: &self.topic.clone(),
            partition: -1,
            offset: -1,
            timestamp: -1,
            timestamp_type: TimestampType::NotAvailable,
            key: None,
            value: Some(&bad.raw),
            headers: &NoHeaders,
        };
        let error = backends::Error::new(ErrorKind::BadRecord, bad.reason.as_str());
        self.keep(&record, bad.line, bad.source.as_deref(), Fate::Failed, &error);
    }

    /// Books records that were read and never sent.
    pub(super) fn abandoned(&mut self, batch: &Batch, from: usize, error: &backends::Error) {
        let topic = self.topic.clone();
        for (i, span) in batch.spans().iter().enumerate().skip(from) {
            batch.with_record(i, &topic, |r| {
                self.undelivered(r, span.line, batch.source(), Fate::Failed, error)
            });
        }
    }

    /// An error once a record could not be delivered in all its time: no broker takes records, and to
    /// go on reading would only lose more of them.
    ///
    /// # Errors
    /// That one.
    pub(super) fn gone(&self) -> backends::Result<()> {
        match &self.timed_out {
            None => Ok(()),
            Some(reason) => {
                Err(backends::Error::new(ErrorKind::TimedOut, format!("gave up reading: {reason}")))
            }
        }
    }

    /// The kind that all failures share.
    fn kind(&self) -> Option<ErrorKind> {
        self.kind.filter(|_| !self.mixed)
    }

    /// The exit code that the records lead to.
    pub(super) fn exit(&self) -> Exit {
        if self.failed + self.unknown == 0 {
            return if self.bad + self.kept + self.damaged == 0 { Exit::Done } else { Exit::Undelivered };
        }
        match self.kind().map(Exit::from) {
            Some(exit @ (Exit::Unreachable | Exit::Refused | Exit::UnknownTopic)) => exit,
            _ => Exit::Undelivered,
        }
    }

    /// Names a failure on standard error, unless there are too many.
    fn name(&mut self, what: impl std::fmt::Display) {
        self.named = self.named.saturating_add(1);
        if self.named <= NAMED {
            console::error(what);
        } else if self.named == NAMED + 1 {
            console::error("more records were not delivered; only the first are named");
        }
    }

    /// Names a record that was not delivered. An outage is not told record by record: the first with a reason stands
    /// for the others.
    fn name_undelivered(&mut self, line: u64, source: Option<&str>, fate: Fate, error: &backends::Error) {
        let reason = told(error, fate).to_string();
        if error.may_pass() {
            if self.reasons.len() == REASONS || self.reasons.contains(&reason) {
                return;
            }
            self.reasons.push(reason.clone());
        }
        self.name(place(source, line, &reason));
    }

    /// Writes a record to the failed file.
    fn keep(
        &mut self,
        record: &RecordRef<'_>,
        line: u64,
        source: Option<&str>,
        fate: Fate,
        error: &backends::Error,
    ) {
        let Some(file) = &self.failed_to else { return };
        self.scratch.clear();
        let failure = Failure {
            error: &told(error, fate),
            line: Some(line),
            source,
            attempts: error.attempts(),
            first_error_at: error.since().unwrap_or_else(SystemTime::now),
            certain: fate == Fate::Failed,
        };
        Envelope::default().append_failed(&mut self.scratch, record, &failure);
        if let Err(e) = file.write(&self.scratch) {
            self.trouble.get_or_insert(e);
        }
    }

    /// Makes sure that receipts and the failed file are with the operating system.
    pub(super) fn flush(&mut self) -> Result<()> {
        if let Some(out) = &mut self.receipts
            && let Err(e) = out.flush()
        {
            self.trouble.get_or_insert(e.to_string());
        }
        if let Some(file) = &self.failed_to
            && let Err(e) = file.flush()
        {
            self.trouble.get_or_insert(e);
        }
        match self.trouble.take() {
            None => Ok(()),
            Some(trouble) => Err(anyhow::anyhow!(trouble)),
        }
    }

    /// The summary for people.
    pub(super) fn text(&self, took: Duration) -> String {
        let failed = self.failed + self.bad;
        let some = |n: u64, what: &str| if n > 0 { format!(", {n} {what}") } else { String::new() };
        let (unknown, resent) = (some(self.unknown, "unknown"), some(self.resent, "sent again"));
        let (kept, damaged) =
            (some(self.kept, "kept in the spool"), some(self.damaged, "damaged in the spool"));
        format!(
            "{} published, {failed} failed{unknown}{resent}{kept}{damaged}, {}, {}, {}",
            self.delivered,
            units::human_duration(took),
            units::human_rate(self.delivered, took),
            units::human_throughput(self.payload, took),
        )
    }

    /// The summary for programs.
    pub(super) fn json(&self, took: Duration, library: &str) -> String {
        let seconds = took.as_secs_f64();
        let per_second = |n: u64| if seconds > 0.0 { (n as f64 / seconds).round() } else { 0.0 };
        serde_json::json!({
            "published": self.delivered,
            "failed": self.failed + self.bad,
            "unknown": self.unknown,
            "bad": self.bad,
            "sent_again": self.resent,
            "kept": self.kept,
            "damaged": self.damaged,
            "read": self.delivered + self.failed + self.unknown + self.bad + self.kept,
            "bytes": self.payload,
            "seconds": (seconds * 1e6).round() / 1e6,
            "records_per_second": per_second(self.delivered),
            "bytes_per_second": per_second(self.payload),
            "library": library,
            "topic": self.topic,
        })
        .to_string()
    }
}

/// `standard input line 3: reason`, or `FILE:3: reason`.
fn place(source: Option<&str>, line: u64, reason: &dyn std::fmt::Display) -> String {
    match source {
        Some(source) => format!("{source}:{line}: {reason}"),
        None => format!("line {line} of the input: {reason}"),
    }
}

impl ReportSink for Ledger {
    fn delivered(&mut self, records: u64, payload: u64) {
        self.delivered += records;
        self.payload += payload;
        self.counts.told.fetch_add(records, Ordering::Relaxed);
    }

    fn placed(&mut self, r: &RecordRef<'_>) {
        let Some(out) = &mut self.receipts else { return };
        let line = format_args!(
            r#"{{"topic":"{}","partition":{},"offset":{},"timestamp":{}}}"#,
            r.topic, r.partition, r.offset, r.timestamp
        );
        // A topic name has no character that JSON escapes.
        let _ = writeln!(out.buffer(), "{line}");
        if out.is_full()
            && let Err(e) = out.flush()
        {
            self.trouble.get_or_insert(e.to_string());
        }
    }

    fn undelivered(
        &mut self,
        record: &RecordRef<'_>,
        line: u64,
        source: Option<&str>,
        fate: Fate,
        error: &backends::Error,
    ) {
        match fate {
            Fate::Failed => self.failed += 1,
            Fate::Unknown => self.unknown += 1,
        }
        self.counts.told.fetch_add(1, Ordering::Relaxed);
        let kind = *self.kind.get_or_insert(error.kind());
        self.mixed |= kind != error.kind();
        if error.kind() == ErrorKind::TimedOut {
            self.timed_out.get_or_insert_with(|| error.to_string());
        }
        self.name_undelivered(line, source, fate, error);
        self.keep(record, line, source, fate, error);
    }

    fn aborted(&mut self, records: u64) {
        self.failed += records;
        self.counts.told.fetch_add(records, Ordering::Relaxed);
    }

    fn resent(&mut self, records: u64) {
        self.resent += records;
    }

    fn notice(&mut self, notice: &Notice) {
        tell(notice);
    }

    fn spooled(&mut self, kept: u64, damaged: u64) {
        (self.kept, self.damaged) = (kept, damaged);
        self.counts.told.fetch_add(kept, Ordering::Relaxed);
        if damaged > 0 {
            console::error(format!("{damaged} records in the spool were damaged and could not be delivered"));
        }
    }

    fn warn(&mut self, message: &str) {
        console::warn(message);
    }
}

/// An error, and what it leaves open.
fn told(error: &backends::Error, fate: Fate) -> String {
    let unknown = if fate == Fate::Unknown { " (it may be in the topic)" } else { "" };
    format!("{error}{unknown}")
}

/// The file of undelivered records: one envelope a line.
#[derive(Debug)]
struct FailedFile {
    path: PathBuf,
    /// Shared with the thread that leaves at once.
    file: Arc<Mutex<BufWriter<File>>>,
}

impl FailedFile {
    /// Opened for appending: what an earlier run left there is somebody's data.
    fn open(path: &Path) -> Result<Self> {
        let file = private::options(path).create(true).append(true).open(path);
        let file = file.map_err(|e| anyhow::anyhow!("--failed-to {}: {}", path.display(), plain(&e)))?;
        Ok(Self { path: path.to_owned(), file: Arc::new(Mutex::new(BufWriter::new(file))) })
    }

    fn lock(&self) -> MutexGuard<'_, BufWriter<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), String> {
        let written = self.lock().write_all(bytes);
        written.map_err(|e| self.named(&e))
    }

    fn flush(&self) -> Result<(), String> {
        let flushed = self.lock().flush();
        flushed.map_err(|e| self.named(&e))
    }

    fn named(&self, e: &io::Error) -> String {
        format!("--failed-to {}: {}", self.path.display(), plain(e))
    }
}
