//! The publisher that keeps on disk what has no outcome yet, in front of the one that goes on through outages.
//!
//! Every record passes through the spool: it is appended when it is taken, and read back when there is room for it
//! further on. Libraries tell how many records were acknowledged, not which; so now and then nothing more is fed until
//! all that was has an outcome, and then the spool is done with everything up to there.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backends::{Error, ErrorKind, Fate, Notice, Publisher, ReportSink, Result, Waker};
use crate::record::{Batch, RecordRef};
use crate::spool::{self, Ranges, Store};

/// What may have been fed since all of it had an outcome: so much comes again after a kill, at most.
const UNSETTLED: Duration = Duration::from_millis(500);

/// Opens the spool in `dir`, of at most `max` bytes, for a run whose records go to `topic` unless they name another.
/// Before anything else, so that a second run on it goes no further.
///
/// # Errors
/// `Other`, naming the file: also when another process has it open.
pub fn open_spool(dir: &Path, max: u64, topic: Option<&str>) -> Result<Store> {
    Store::open(dir, max, topic.unwrap_or_default()).map_err(failed)
}

/// A publisher that passes everything through the spool.
pub fn spooled(store: Store, inner: Box<dyn Publisher>) -> Box<dyn Publisher> {
    Box::new(Spooled {
        inner,
        store,
        feed: None,
        books: Books::default(),
        owed: 0,
        unsettled: None,
        ended: false,
        full: Fullness::Room,
        trouble: None,
    })
}

fn failed(error: spool::Error) -> Error {
    let text = error.to_string();
    Error::new(ErrorKind::Other, text).with_source(error)
}

/// Records that were read back, and how far they are fed.
struct Feed {
    batch: Arc<Batch>,
    at: usize,
}

/// See the module.
struct Spooled {
    inner: Box<dyn Publisher>,
    store: Store,
    feed: Option<Feed>,
    books: Books,
    /// Records that the inner publisher has.
    owed: usize,
    /// Since when not all that was fed has an outcome.
    unsettled: Option<Instant>,
    /// The inner publisher takes nothing more.
    ended: bool,
    full: Fullness,
    /// A spool that cannot be read or written: told with the next `poll`.
    trouble: Option<Error>,
}

/// Whether the spool takes more, and whether the user knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fullness {
    Room,
    Full,
    Told,
}

/// Where the records of a batch come from.
struct Origins {
    /// Their numbers, and their lines of the input.
    lines: Vec<(u64, u64)>,
    source: Option<String>,
}

impl Origins {
    fn line(&self, number: u64) -> Option<u64> {
        let at = self.lines.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.lines.get(at).map(|(_, line)| *line)
    }
}

/// What is known of records that were fed.
#[derive(Default)]
struct Books {
    /// Batches that were fed, the oldest first.
    origins: VecDeque<Origins>,
    /// Records that stay in the spool.
    kept: Ranges,
    /// No broker takes records at present.
    is_out: bool,
}

impl Books {
    /// The line and the file of a record.
    fn origin(&self, number: u64) -> Option<(u64, Option<&str>)> {
        self.origins.iter().find_map(|of| Some((of.line(number)?, of.source.as_deref())))
    }
}

impl Spooled {
    /// Feeds the inner publisher, unless it is time for outcomes.
    fn feed(&mut self) -> Result<()> {
        while !self.ended && !self.is_settling() {
            let Some(feed) = self.feed.take() else {
                match self.store.read().map_err(failed)? {
                    None => break,
                    Some(fed) => {
                        let source = fed.batch.source().map(str::to_owned);
                        self.books.origins.push_back(Origins { lines: fed.lines, source });
                        self.feed = Some(Feed { batch: Arc::new(fed.batch), at: 0 });
                    }
                }
                continue;
            };
            let len = feed.batch.len();
            let taken = self.inner.send(&feed.batch, feed.at..len)?;
            self.owed += taken;
            if taken > 0 {
                self.unsettled.get_or_insert_with(Instant::now);
            }
            let at = feed.at + taken;
            if at < len {
                self.feed = Some(Feed { at, ..feed });
                break;
            }
        }
        Ok(())
    }

    /// True while nothing more is fed.
    fn is_settling(&self) -> bool {
        self.unsettled.is_some_and(|since| since.elapsed() >= UNSETTLED)
    }

    /// All that was fed has an outcome: the spool is done with it.
    fn settle(&mut self) -> Result<()> {
        if self.owed > 0 || self.unsettled.take().is_none() {
            return Ok(());
        }
        let fed = match &self.feed {
            Some(feed) => feed.batch.spans().get(feed.at).map_or(0, |span| span.line),
            None => self.store.fed(),
        };
        self.store.acknowledge(self.books.kept.first().unwrap_or(fed).min(fed)).map_err(failed)?;
        let is_fed = |of: &Origins| of.lines.last().is_none_or(|(number, _)| *number < fed);
        while self.books.origins.front().is_some_and(is_fed) {
            self.books.origins.pop_front();
        }
        Ok(())
    }

    fn round(&mut self, wait: Duration, sink: &mut dyn ReportSink) -> Result<()> {
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        self.feed()?;
        if self.is_settling() {
            self.inner.flush();
        }
        let until = |since: Instant| UNSETTLED.saturating_sub(since.elapsed());
        // What is being fed wants to be settled in time, also when nothing more comes.
        let wait = self.unsettled.map_or(wait, |since| match until(since) {
            Duration::ZERO => wait,
            left => wait.min(left),
        });
        let mut reports = Reports { books: &mut self.books, sink };
        match self.inner.poll(wait, &mut reports) {
            Ok(owed) => self.owed = owed,
            Err(error) => {
                self.ended = true;
                return Err(error);
            }
        }
        self.tell_full(sink);
        self.settle()?;
        self.store.sync_when_due().map_err(failed)?;
        self.feed()
    }

    /// Tells once an outage that the input has to wait: what is slow for another reason shows in the progress.
    fn tell_full(&mut self, sink: &mut dyn ReportSink) {
        if !self.books.is_out {
            self.full = Fullness::Room;
        } else if self.full == Fullness::Full {
            self.full = Fullness::Told;
            let dir = self.store.dir().display();
            sink.warn(&format!("spool {dir} is full: nothing more is read until records can be sent"));
        }
    }

    /// Records in the spool that have no outcome.
    fn left(&self) -> usize {
        usize::try_from(self.store.len().saturating_sub(self.books.kept.len())).unwrap_or(usize::MAX)
    }

    /// Records that are to be delivered still: as long as there are, there is something to wait for.
    fn is_done(&self) -> bool {
        self.owed == 0 && self.feed.is_none() && self.store.fed() == self.store.end()
    }
}

impl Publisher for Spooled {
    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn send(&mut self, batch: &Arc<Batch>, records: Range<usize>) -> Result<usize> {
        let start = records.start;
        let mut from = start;
        while from < records.end {
            match self.store.append(batch, from..records.end) {
                Ok(0) => {
                    if self.full == Fullness::Room {
                        self.full = Fullness::Full;
                    }
                    break;
                }
                Ok(taken) => from += taken,
                // Those before it are in the spool, and count.
                Err(error) if from > start => {
                    self.trouble = Some(failed(error));
                    break;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(from - start)
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn ReportSink) -> Result<usize> {
        self.round(wait, sink)?;
        Ok(self.left())
    }

    fn flush(&mut self) {
        self.inner.flush();
    }

    fn close(mut self: Box<Self>, deadline: &dyn Fn() -> Instant, sink: &mut dyn ReportSink) -> Result<()> {
        let mut ended = Ok(());
        while ended.is_ok() && !self.ended && !self.is_done() {
            let left = deadline().saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.inner.flush();
            ended = self.round(left, sink);
        }
        let Self { inner, store, feed, mut books, .. } = *self;
        let closed = inner.close(deadline, &mut Reports { books: &mut books, sink });
        for span in feed.iter().flat_map(|feed| feed.batch.spans().get(feed.at..).unwrap_or_default()) {
            books.kept.insert(span.line);
        }
        let damaged = store.damaged();
        let kept = books.kept.len() + (store.end() - store.fed());
        let finished = store.finish(&books.kept).map_err(failed);
        sink.spooled(kept, damaged);
        ended.and(closed).and(finished)
    }
}

impl fmt::Debug for Spooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spooled").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Between the publisher and the command: what may still be delivered stays in the spool instead of being told.
struct Reports<'a> {
    books: &'a mut Books,
    sink: &'a mut dyn ReportSink,
}

impl ReportSink for Reports<'_> {
    fn delivered(&mut self, records: u64, payload: u64) {
        self.sink.delivered(records, payload);
    }

    fn placed(&mut self, record: &RecordRef<'_>) {
        self.sink.placed(record);
    }

    fn undelivered(
        &mut self,
        record: &RecordRef<'_>,
        number: u64,
        _: Option<&str>,
        fate: Fate,
        error: &Error,
    ) {
        if error.may_pass() || fate == Fate::Unknown {
            return self.books.kept.insert(number);
        }
        let (line, source) = self.books.origin(number).unwrap_or_default();
        self.sink.undelivered(record, line, source, fate, error);
    }

    fn aborted(&mut self, records: u64) {
        self.sink.aborted(records);
    }

    fn resent(&mut self, records: u64) {
        self.sink.resent(records);
    }

    fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Disconnected { .. } => self.books.is_out = true,
            Notice::Reconnected { .. } => self.books.is_out = false,
            _ => {}
        }
        self.sink.notice(notice);
    }

    fn spooled(&mut self, kept: u64, damaged: u64) {
        self.sink.spooled(kept, damaged);
    }

    fn warn(&mut self, message: &str) {
        self.sink.warn(message);
    }
}
