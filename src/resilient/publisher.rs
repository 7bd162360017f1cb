//! The publisher that goes on through outages.

use std::fmt;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::buffer::{Buffer, Piece, Returned, take};
use super::link::Link;
use super::outage::{Attempts, Contact, Policy, Tick, random};
use crate::backends::{
    Error, ErrorKind, Fate, Mailbox, Notice, Publisher, ReportSink, Result, Room, Status, Waker,
};
use crate::record::{Batch, RecordRef};
use crate::settings::{KeyId, Settings};

/// Opens the library, which takes as long as connecting does.
pub type Open = Arc<dyn Fn() -> Result<Box<dyn Publisher>> + Send + Sync>;

/// What a full buffer means while disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Nothing more is taken.
    Block,
    /// What is offered further fails.
    Fail,
}

/// How much is held.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records without an outcome (`resilient.buffer.max.messages`).
    pub records: usize,
    /// Bytes of their keys and values (`resilient.buffer.max.bytes`).
    pub bytes: usize,
    /// `resilient.buffer.full`.
    pub full: Full,
}

/// What becomes of records that a library gave up and that may be in the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// They stay unknown, so that none is there twice.
    Unknown,
    /// They are sent again and counted: this library cannot avoid duplicates in any case.
    SendAgain,
}

/// How outages are gone through.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// When to give up.
    pub policy: Policy,
    /// How much is held meanwhile.
    pub limits: Limits,
    /// What is not known to be written.
    pub doubt: Doubt,
}

impl Rules {
    /// As the settings have it.
    pub fn of(settings: &Settings, doubt: Doubt) -> Self {
        let full = if settings.text(KeyId::BufferFull) == Some("fail") { Full::Fail } else { Full::Block };
        let (records, bytes) =
            (settings.size(KeyId::BufferMaxMessages), settings.size(KeyId::BufferMaxBytes));
        Self { policy: Policy::of(settings), limits: Limits { records, bytes, full }, doubt }
    }
}

/// Tells the time.
pub(super) type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Opens a publisher that goes on through outages; `topic` is that of records that name none. An outage now is one
/// like any later.
///
/// # Errors
/// As `open` has it, if trying again cannot help.
pub fn open_publisher(open: Open, topic: Option<&str>, rules: Rules) -> Result<Box<dyn Publisher>> {
    let publisher = ResilientPublisher::open(open, topic, rules, Arc::new(Instant::now))?;
    Ok(Box::new(publisher))
}

/// The library, which comes and goes.
enum Library {
    Open(Box<dyn Publisher>),
    /// A thread is opening it.
    Coming,
    /// It is to be opened then.
    Gone(Instant),
}

/// Where the thread leaves an opened library.
type Door = Arc<Mailbox<Option<Result<Box<dyn Publisher>>>>>;

/// A library behind the seam, and what it has not taken.
pub(super) struct ResilientPublisher {
    open: Open,
    library: Library,
    door: Door,
    link: Link,
    /// Those to open it since it was open.
    attempts: Attempts,
    /// It was open once: what is refused now was granted before.
    known: bool,
    /// Why nothing more is tried.
    ended: Option<Error>,
    /// What is refused for want of room and not told yet.
    overflow: Vec<Piece>,
    buffer: Buffer,
    books: Books,
    full: Full,
    clock: Clock,
}

/// What is known of records and of the connection.
#[derive(Debug)]
struct Books {
    topic: String,
    room: Room,
    contact: Contact,
    doubt: Doubt,
    /// To be told with the next `poll`.
    notice: Option<Notice>,
}

impl ResilientPublisher {
    pub(super) fn open(open: Open, topic: Option<&str>, rules: Rules, clock: Clock) -> Result<Self> {
        let Limits { records, bytes, full } = rules.limits;
        let books = Books {
            topic: topic.unwrap_or_default().to_owned(),
            room: Room::new(bytes, records),
            contact: Contact::new(rules.policy),
            doubt: rules.doubt,
            notice: None,
        };
        let mut it = Self {
            library: Library::Gone(clock()),
            door: Arc::default(),
            link: Link::default(),
            attempts: Attempts::default(),
            known: false,
            ended: None,
            overflow: Vec::new(),
            buffer: Buffer::default(),
            books,
            full,
            clock,
            open,
        };
        let opened = (it.open)();
        it.opened(opened)?;
        Ok(it)
    }

    fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Takes an opened library, or waits to try again.
    fn opened(&mut self, opened: Result<Box<dyn Publisher>>) -> Result<()> {
        let now = self.now();
        match opened {
            Ok(library) => {
                self.link.set(Some(library.waker()));
                self.library = Library::Open(library);
                (self.attempts, self.known) = (Attempts::default(), true);
                let held = self.books.held();
                self.books.notice = self.books.contact.opened(held, now).or(self.books.notice.take());
                Ok(())
            }
            Err(error) if self.known && is_worth_opening(error.kind()) || error.may_pass() => {
                self.books.notice =
                    self.books.contact.broken(&error.to_string(), now).or(self.books.notice.take());
                self.wait_to_open(now);
                Ok(())
            }
            Err(error) => {
                self.ended = Some(error.again());
                Err(error)
            }
        }
    }

    fn wait_to_open(&mut self, now: Instant) {
        self.library = Library::Gone(now + self.attempts.pause(&self.books.contact.policy, random()));
    }

    /// Has a thread open the library, since connecting takes its time.
    fn knock(&mut self) {
        let (open, door) = (Arc::clone(&self.open), Arc::clone(&self.door));
        let body = move || {
            let opened = open();
            door.put(|place| *place = Some(opened));
        };
        match std::thread::Builder::new().name("reconnect".into()).spawn(body) {
            Ok(_) => self.library = Library::Coming,
            Err(_) => self.wait_to_open(self.now()),
        }
    }

    /// Hands the library what it takes of the buffer.
    fn offer(&mut self) -> Result<()> {
        let Library::Open(library) = &mut self.library else { return Ok(()) };
        while let Some(piece) = self.buffer.front() {
            let (range, taken) = (piece.range.len(), library.send(&piece.batch, piece.range.clone())?);
            self.buffer.advance(taken);
            if taken < range {
                break;
            }
        }
        Ok(())
    }

    /// One round with an open library.
    fn work(&mut self, wait: Duration, sink: &mut dyn ReportSink) -> Result<()> {
        let Self { library: Library::Open(library), books, clock, .. } = self else { return Ok(()) };
        let mut reports = Reports::new(books, sink, Closing::No, clock());
        let polled = library.poll(wait, &mut reports);
        let Reports { returned, cause, .. } = reports;
        match (polled.and_then(|_| self.offer()), cause) {
            (Err(error), _) | (Ok(()), Some(error)) => self.recall(&error, returned, sink),
            (Ok(()), None) => Ok(()),
        }
    }

    /// The library is of no use any more: takes back what it has not written, and has it opened again.
    fn recall(&mut self, error: &Error, mut returned: Returned, sink: &mut dyn ReportSink) -> Result<()> {
        let now = self.now();
        if !is_worth_opening(error.kind()) {
            self.buffer.put_back(returned);
            self.ended = Some(error.again());
            return Err(error.again());
        }
        if let Some(notice) = self.books.contact.broken(&error.to_string(), now) {
            sink.notice(&notice);
        }
        self.link.set(None);
        if let Library::Open(library) = mem::replace(&mut self.library, Library::Gone(now)) {
            let mut reports = Reports::new(&mut self.books, sink, Closing::ToOpenAgain, now);
            reports.returned = returned;
            // It is gone either way; what it knew of its records is told.
            let _ = library.close(&|| now, &mut reports);
            returned = reports.returned;
        }
        self.buffer.put_back(returned);
        self.wait_to_open(now);
        Ok(())
    }

    /// One round without a library.
    fn wait_for_library(&mut self, wait: Duration) -> Result<()> {
        if let Library::Gone(at) = self.library
            && at <= self.now()
        {
            self.knock();
        }
        match self.door.take(wait) {
            Some(opened) => {
                self.opened(opened)?;
                self.offer().or_else(|error| self.opened(Err(error)))
            }
            None => Ok(()),
        }
    }

    /// The longest wait that misses nothing.
    fn wait(&self, wait: Duration) -> Duration {
        let now = self.now();
        let until = |at: Instant| at.saturating_duration_since(now);
        let open = match self.library {
            Library::Gone(at) => until(at),
            Library::Open(_) | Library::Coming => wait,
        };
        wait.min(open).min(self.books.contact.due().map_or(wait, until))
    }

    /// Tells what the clock says; all is given up when the tries are used up.
    fn tick(&mut self, sink: &mut dyn ReportSink) -> Result<()> {
        let now = self.now();
        if self.owed() == 0 && matches!(self.library, Library::Open(_)) {
            // Nobody waits for anything.
            self.books.contact.succeeded(now);
        }
        match self.books.contact.tick(self.books.held(), now) {
            Tick::Nothing => Ok(()),
            Tick::Tell(notice) => {
                sink.notice(&notice);
                Ok(())
            }
            Tick::Over => Err(self.give_up(now, sink)),
        }
    }

    fn give_up(&mut self, now: Instant, sink: &mut dyn ReportSink) -> Error {
        let error = self.books.contact.gave_up(now);
        self.ended = Some(error.again());
        self.shut(&|| now, &error, sink);
        error
    }

    /// Ends the library by `deadline`; what is still here then fails with this error.
    fn shut(&mut self, deadline: &dyn Fn() -> Instant, error: &Error, sink: &mut dyn ReportSink) {
        let now = self.now();
        if let Library::Open(library) = mem::replace(&mut self.library, Library::Gone(now)) {
            let mut reports = Reports::new(&mut self.books, sink, Closing::ForGood, now);
            // What went wrong is told record by record.
            let _ = library.close(deadline, &mut reports);
        }
        for piece in self.buffer.take() {
            self.books.fail(&piece, error, sink);
        }
        self.books.room.clear();
        self.tell_overflow(sink);
    }

    fn tell_overflow(&mut self, sink: &mut dyn ReportSink) {
        for piece in mem::take(&mut self.overflow) {
            let (why, since, tries) = self.books.contact.trouble(self.now());
            let text = format!("no room in the buffer while disconnected: {why}");
            let error = Error::new(ErrorKind::Unreachable, text).with_attempts(tries, since);
            self.books.fail(&piece, &error, sink);
        }
    }

    fn owed(&self) -> usize {
        self.books.room.owed() + self.overflow.iter().map(|piece| piece.range.len()).sum::<usize>()
    }
}

impl Books {
    /// Records without an outcome.
    fn held(&self) -> Option<u64> {
        Some(self.room.owed() as u64)
    }

    /// Tells of records that never got to the library.
    fn fail(&self, Piece { batch, range }: &Piece, error: &Error, sink: &mut dyn ReportSink) {
        for index in range.clone() {
            let line = batch.spans().get(index).map_or(0, |span| span.line);
            batch.with_record(index, &self.topic, |record| {
                sink.undelivered(record, line, batch.source(), Fate::Failed, error);
            });
        }
    }
}

/// Errors that a new connection may not have. The others would only be the same again.
fn is_worth_opening(kind: ErrorKind) -> bool {
    !matches!(kind, ErrorKind::Unsupported | ErrorKind::Authorization | ErrorKind::NotCommitted)
}

impl Publisher for ResilientPublisher {
    fn waker(&self) -> Waker {
        self.link.or(self.door.waker())
    }

    fn send(&mut self, batch: &Arc<Batch>, records: Range<usize>) -> Result<usize> {
        let (start, end) = (records.start, records.end);
        let room = take(&mut self.books.room, batch, &records);
        if room > 0 {
            let mut from = start;
            if self.buffer.is_empty()
                && let Library::Open(library) = &mut self.library
            {
                // An error comes again with the next `poll`, which knows what to do about it.
                from += library.send(batch, start..start + room).unwrap_or(0);
            }
            self.buffer.push(batch, from..start + room);
        }
        if start + room < end && self.full == Full::Fail && self.books.contact.is_out() {
            self.overflow.push(Piece { batch: Arc::clone(batch), range: start + room..end });
            return Ok(end - start);
        }
        Ok(room)
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn ReportSink) -> Result<usize> {
        if let Some(notice) = self.books.notice.take() {
            sink.notice(&notice);
        }
        let wait = if self.overflow.is_empty() { self.wait(wait) } else { Duration::ZERO };
        self.tell_overflow(sink);
        match self.library {
            Library::Open(_) => {
                self.offer().or_else(|error| self.recall(&error, Returned::default(), sink))?
            }
            Library::Coming | Library::Gone(_) => {}
        }
        match self.library {
            Library::Open(_) => self.work(wait, sink)?,
            Library::Coming | Library::Gone(_) => self.wait_for_library(wait)?,
        }
        if let Some(notice) = self.books.notice.take() {
            sink.notice(&notice);
        }
        self.tick(sink)?;
        Ok(self.owed())
    }

    fn flush(&mut self) {
        if let Library::Open(library) = &mut self.library {
            library.flush();
        }
    }

    fn close(mut self: Box<Self>, deadline: &dyn Fn() -> Instant, sink: &mut dyn ReportSink) -> Result<()> {
        let mut ended = Ok(0);
        while self.owed() > 0 && self.ended.is_none() && ended.is_ok() {
            let left = deadline().saturating_duration_since(self.now());
            if left.is_zero() {
                break;
            }
            self.flush();
            ended = self.poll(left, sink);
        }
        let now = self.now();
        match self.ended.take() {
            Some(error) => self.shut(&|| now, &error, sink),
            None => {
                let error = self.books.contact.late(now);
                self.shut(deadline, &error, sink);
            }
        }
        ended.map(drop)
    }
}

impl fmt::Debug for ResilientPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientPublisher").field("books", &self.books).finish_non_exhaustive()
    }
}

/// What is done with records that come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// The library goes on: only what it gave up for a reason that may pass is taken back.
    No,
    /// It is closed and opened again: all that is not to blame for it is taken back.
    ToOpenAgain,
    /// Nothing is.
    ForGood,
}

/// Between the library and the command: keeps books, and takes records back.
struct Reports<'a> {
    books: &'a mut Books,
    sink: &'a mut dyn ReportSink,
    closing: Closing,
    now: Instant,
    returned: Returned,
    /// Why the first of them came back.
    cause: Option<Error>,
}

impl<'a> Reports<'a> {
    fn new(books: &'a mut Books, sink: &'a mut dyn ReportSink, closing: Closing, now: Instant) -> Self {
        Self { books, sink, closing, now, returned: Returned::default(), cause: None }
    }

    fn is_taken_back(&self, fate: Fate, error: &Error) -> bool {
        let doubtful = fate == Fate::Unknown && self.books.doubt == Doubt::Unknown;
        if doubtful || matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::BadRecord) {
            return false;
        }
        match self.closing {
            Closing::ForGood => false,
            Closing::ToOpenAgain => is_worth_opening(error.kind()),
            Closing::No if error.status() == Status::Temporary => true,
            Closing::No => error.may_pass() && self.books.contact.is_out(),
        }
    }

    fn told(&mut self, notice: Option<Notice>) {
        if let Some(notice) = notice {
            self.sink.notice(&notice);
        }
    }
}

impl ReportSink for Reports<'_> {
    fn delivered(&mut self, records: u64, payload: u64) {
        self.books.room.give_back(payload as usize, records as usize);
        self.books.contact.succeeded(self.now);
        self.sink.delivered(records, payload);
    }

    fn placed(&mut self, record: &RecordRef<'_>) {
        self.sink.placed(record);
    }

    fn undelivered(
        &mut self,
        record: &RecordRef<'_>,
        line: u64,
        source: Option<&str>,
        fate: Fate,
        error: &Error,
    ) {
        if self.is_taken_back(fate, error) {
            self.cause.get_or_insert_with(|| error.again());
            self.returned.push(record, line, source, &self.books.topic);
            if fate == Fate::Unknown {
                self.sink.resent(1);
            }
            return;
        }
        self.books.room.give_back(record.payload_len(), 1);
        let (_, since, tries) = self.books.contact.trouble(self.now);
        self.sink.undelivered(record, line, source, fate, &error.again().with_attempts(tries, since));
    }

    fn aborted(&mut self, records: u64) {
        self.sink.aborted(records);
    }

    fn resent(&mut self, records: u64) {
        self.sink.resent(records);
    }

    fn notice(&mut self, notice: &Notice) {
        let notice = match notice {
            Notice::Lost { place, why } => self.books.contact.lost(place, why, self.now),
            Notice::Back { place, .. } | Notice::Replaced { place } => {
                self.books.contact.back(place, self.books.held(), self.now)
            }
            // From a wrapper further down.
            other => Some(other.clone()),
        };
        self.told(notice);
    }

    fn spooled(&mut self, kept: u64, damaged: u64) {
        self.sink.spooled(kept, damaged);
    }

    fn warn(&mut self, message: &str) {
        self.sink.warn(message);
    }
}
