//! The task of a connection: writes requests in their order, takes their answers in that order, and
//! ends the connection when something is wrong.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::{Ending, Job, Phase, Reply, Shared};
use super::{Answer, Buffers, Error, FAR, Kind, Sent, Stream, after};
use crate::wire::{Piece, Reader, ResponseHeader};

/// The most pieces written at once.
const SLICES: usize = 64;
/// No answer is shorter: it has a correlation id.
const SHORTEST: usize = 4;

/// Why it ends, and what it was doing.
type End = (Error, Ending);

pub(super) struct Session {
    stream: Box<dyn Stream>,
    shared: Arc<Shared>,
    incoming: Incoming,
    /// Requests not wholly written, and how much is written of the first.
    outgoing: VecDeque<Job>,
    written: usize,
    flushed: bool,
    /// Requests written, in the order in which their answers come.
    in_flight: VecDeque<Job>,
    alarm: Pin<Box<Sleep>>,
    /// No deadline of any request is earlier.
    earliest: Instant,
    end: Option<End>,
}

impl Session {
    pub(super) fn new(stream: Box<dyn Stream>, shared: Arc<Shared>) -> Self {
        let earliest = after(FAR);
        Self {
            stream,
            shared,
            incoming: Incoming::default(),
            outgoing: VecDeque::new(),
            written: 0,
            flushed: true,
            in_flight: VecDeque::new(),
            alarm: Box::pin(sleep_until(earliest)),
            earliest,
            end: None,
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self) {
        let end = poll_fn(|cx| self.advance(cx).map_or_else(Poll::Ready, |()| Poll::Pending)).await;
        self.end = Some(end);
    }

    /// Does what can be done now. Reads first, so that a connection that the broker has closed is seen
    /// before a request is written to it.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            self.read(cx)?;
            self.take_jobs(cx)?;
            if !self.write(cx)? {
                break;
            }
        }
        self.watch_time(cx)
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let options = &self.shared.options;
            match self.incoming.poll(&mut self.stream, &options.buffers, options.max_answer, cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(frame)) => self.answered(frame)?,
                Poll::Ready(Err(cut)) => return Err(self.cut(&cut)),
            }
        }
    }

    /// Hands an answer to who waits for it.
    fn answered(&mut self, frame: Vec<u8>) -> Result<(), End> {
        let Some(job) = self.in_flight.front() else {
            return Err(self.protocol("it sent an answer that nobody asked for".to_owned()));
        };
        let mut r = Reader::new(&frame);
        let start = match ResponseHeader::read(&mut r, job.api, job.version) {
            Ok(header) if header.correlation_id == job.correlation_id => r.position(),
            Ok(header) => {
                let (found, expected) = (header.correlation_id, job.correlation_id);
                let text = format!("its answer to {} is for request {found}, not {expected}", job.api.name);
                return Err(self.protocol(text));
            }
            Err(why) => {
                let text = format!("its answer to {} cannot be read: {why}", job.api.name);
                return Err(self.protocol(text));
            }
        };
        let answer = Answer::new(frame, start, job.api, job.version, Arc::clone(&self.shared));
        if let Some(Job { reply: Reply::Answer(sender), .. }) = self.in_flight.pop_front() {
            // Nobody may wait any more.
            drop(sender.send(Ok(answer)));
        }
        Ok(())
    }

    /// Takes requests that wait, as many as may be in flight.
    fn take_jobs(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let mut state = self.shared.state();
        state.waker = Some(cx.waker().clone());
        if let Phase::Ending(error) = &state.phase {
            return Err((error.clone(), Ending::Failed));
        }
        let left = matches!(state.phase, Phase::Left) && state.waiting.is_empty();
        if left && self.outgoing.is_empty() && self.flushed {
            let error = Error::new(Kind::Closed, "the connection is no longer in use");
            return Err((error.at(&self.shared.address), Ending::Idle));
        }
        if let Some(earliest) = state.earliest.take() {
            self.earliest = self.earliest.min(earliest);
        }
        let busy = self.outgoing.len() + self.in_flight.len();
        let room = self.shared.options.max_in_flight.max(1).saturating_sub(busy);
        let taken = room.min(state.waiting.len());
        self.outgoing.extend(state.waiting.drain(..taken));
        Ok(())
    }

    /// Writes what can be written now; true if a request was written to its end.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut finished = false;
        while !self.outgoing.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = fill(&mut slices, &self.outgoing, self.written);
            let slices = slices.get(..count).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write_vectored(cx, slices) {
                Poll::Pending => return Ok(finished),
                Poll::Ready(Ok(0)) => return Err(self.broken(&io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => finished |= self.wrote(count),
                Poll::Ready(Err(why)) => return Err(self.broken(&why)),
            }
        }
        if !self.flushed
            && let Poll::Ready(done) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            done.map_err(|why| self.broken(&why))?;
            self.flushed = true;
        }
        Ok(finished)
    }

    /// Moves on by what was written; true if a request is written to its end.
    fn wrote(&mut self, count: usize) -> bool {
        self.written += count;
        self.flushed = false;
        let mut finished = false;
        while let Some(job) = self.outgoing.front()
            && let Some(beyond) = self.written.checked_sub(job.frame.len())
            && let Some(mut job) = self.outgoing.pop_front()
        {
            self.written = beyond;
            finished = true;
            job.payload = None;
            match job.reply {
                Reply::Answer(_) => self.in_flight.push_back(job),
                // Nobody may wait any more.
                Reply::Written(sender) => drop(sender.send(Ok(()))),
            }
        }
        finished
    }

    fn watch_time(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            if self.alarm.deadline() != self.earliest {
                self.alarm.as_mut().reset(self.earliest);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.expire(Instant::now())?;
        }
    }

    /// Fails the requests whose time is over. Where one of them was written, at least in part, the
    /// connection is of no use any more.
    fn expire(&mut self, now: Instant) -> Result<(), End> {
        let begun = if self.written > 0 { self.outgoing.pop_front() } else { None };
        let cut_short = begun.as_ref().filter(|job| job.deadline <= now).map(|job| job.api.name);
        let unanswered = self.in_flight.iter().find(|job| job.deadline <= now).map(|job| job.api.name);
        let unsent = take_late(&mut self.outgoing, now);
        let waiting = take_late(&mut self.shared.state().waiting, now);
        if let Some(begun) = begun {
            self.outgoing.push_front(begun);
        }
        for job in unsent.into_iter().chain(waiting) {
            self.late(job, Sent::No);
        }
        if let Some(name) = unanswered.or(cut_short) {
            for job in take_late(&mut self.in_flight, now) {
                self.late(job, Sent::Maybe);
            }
            for job in take_late(&mut self.outgoing, now) {
                self.late(job, Sent::No);
            }
            let text = format!("the connection was closed since {name} was not answered in time");
            return Err((Error::new(Kind::Closed, text).at(&self.shared.address), Ending::Failed));
        }
        let deadlines = self.outgoing.iter().chain(&self.in_flight).map(|job| job.deadline);
        let waiting = self.shared.state().waiting.iter().map(|job| job.deadline).min();
        self.earliest = deadlines.chain(waiting).min().unwrap_or(now + FAR);
        Ok(())
    }

    fn late(&self, job: Job, sent: Sent) {
        let done = match sent {
            Sent::No => "sent",
            Sent::Maybe => "answered",
        };
        // It may be what another deadline had left, to the nanosecond.
        let within = Duration::from_millis(job.timeout.as_secs_f64().mul_add(1000.0, 0.5) as u64);
        let text = format!("{} was not {done} within {within:?}", job.api.name);
        let error = Error::new(Kind::TimedOut, text).at(&self.shared.address).sent_as(sent);
        drop(job.payload);
        job.reply.fail(error);
    }

    /// Why there is nothing more to read.
    fn cut(&self, cut: &Cut) -> End {
        let asked = self.in_flight.front().map(|job| job.api.name);
        match (cut, asked) {
            (Cut::Size(head), _) => self.protocol(odd_size(*head, self.shared.options.max_answer)),
            (Cut::End { inside: true }, _) => {
                self.closed("it closed the connection inside an answer".to_owned())
            }
            (Cut::End { .. }, Some(name)) => {
                self.closed(format!("it closed the connection before it answered {name}"))
            }
            (Cut::Broken { inside: false, .. } | Cut::End { .. }, None) => {
                let (error, _) = self.closed("it closed the idle connection".to_owned());
                (error, Ending::Idle)
            }
            (Cut::Broken { why, .. }, _) => self.broken(why),
        }
    }

    fn broken(&self, why: &io::Error) -> End {
        self.closed(format!("the connection broke: {why}"))
    }

    fn closed(&self, text: String) -> End {
        (Error::new(Kind::Closed, text).at(&self.shared.address), Ending::Failed)
    }

    fn protocol(&self, text: String) -> End {
        (Error::new(Kind::Protocol, text).at(&self.shared.address), Ending::Failed)
    }
}

impl Drop for Session {
    /// Tells everyone who still waits, also when the runtime ends first.
    fn drop(&mut self) {
        let (error, ending) = self.end.take().unwrap_or_else(|| self.closed("the runtime ended".to_owned()));
        let mut state = self.shared.state();
        state.phase = Phase::Ended(error.clone(), ending);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        if let Some((body, _)) = self.incoming.body.take() {
            self.shared.options.buffers.give(body);
        }
        let unsent = self.outgoing.drain(..).chain(waiting).map(|job| (job, Sent::No));
        for (job, sent) in self.in_flight.drain(..).map(|job| (job, Sent::Maybe)).chain(unsent) {
            drop(job.payload);
            job.reply.fail(error.clone().sent_as(sent));
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.shared.address)
    }
}

/// The requests whose time is over.
fn take_late(jobs: &mut VecDeque<Job>, now: Instant) -> VecDeque<Job> {
    let (late, rest) = std::mem::take(jobs).into_iter().partition(|job| job.deadline <= now);
    *jobs = rest;
    late
}

/// Points `slices` at what comes after the first `written` bytes; how many there are to write.
fn fill<'j>(slices: &mut [IoSlice<'j>], jobs: &'j VecDeque<Job>, mut written: usize) -> usize {
    let mut count = 0;
    for bytes in jobs.iter().flat_map(pieces) {
        let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) else {
            written -= bytes.len();
            continue;
        };
        let Some(slice) = slices.get_mut(count) else { break };
        *slice = IoSlice::new(rest);
        written = 0;
        count += 1;
    }
    count
}

/// The bytes of a request in their order, what belongs into its gaps among them.
fn pieces(job: &Job) -> impl Iterator<Item = &[u8]> {
    let mut number = 0;
    job.frame.pieces().map(move |piece| match piece {
        Piece::Bytes(bytes) => bytes,
        Piece::Gap(_) => {
            number += 1;
            job.payload.as_ref().and_then(|payload| payload.gap(number - 1)).unwrap_or_default()
        }
    })
}

/// What stands where the size of an answer should.
fn odd_size(head: [u8; 4], limit: usize) -> String {
    match head {
        [b'H', b'T', b'T', b'P'] => "it speaks HTTP, not Kafka's protocol".to_owned(),
        [0x15, 0x03, _, _] => "it expects TLS (security.protocol)".to_owned(),
        _ => {
            let size = i32::from_be_bytes(head);
            format!("it sent an answer of {size} bytes, the limit is {limit}")
        }
    }
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
struct Incoming {
    head: [u8; 4],
    head_len: usize,
    /// What follows the head, and how long it is to be.
    body: Option<(Vec<u8>, usize)>,
}

/// Why there are no more answers.
#[derive(Debug)]
enum Cut {
    /// The broker closed, inside an answer or between two.
    End { inside: bool },
    /// Reading failed.
    Broken { inside: bool, why: io::Error },
    /// The size of an answer is none.
    Size([u8; 4]),
}

impl Incoming {
    /// The next answer without its size.
    fn poll(
        &mut self,
        stream: &mut Box<dyn Stream>,
        buffers: &Buffers,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Vec<u8>, Cut>> {
        while self.body.is_none() {
            let inside = self.head_len > 0;
            let mut room = ReadBuf::new(self.head.get_mut(self.head_len..).unwrap_or_default());
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut room));
            let count = room.filled().len();
            self.head_len += took(read.map(|()| count), inside)?;
            if self.head_len == self.head.len() {
                self.body = Some(self.begin(buffers, limit)?);
            }
        }
        self.poll_body(stream, cx)
    }

    /// A buffer for the answer whose size has come.
    fn begin(&self, buffers: &Buffers, limit: usize) -> Result<(Vec<u8>, usize), Cut> {
        let size = usize::try_from(i32::from_be_bytes(self.head)).ok();
        let size = size.filter(|size| (SHORTEST..=limit).contains(size)).ok_or(Cut::Size(self.head))?;
        Ok((buffers.take(size), size))
    }

    fn poll_body(
        &mut self,
        stream: &mut Box<dyn Stream>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Vec<u8>, Cut>> {
        let Some((body, size)) = &mut self.body else { return Poll::Pending };
        while body.len() < *size {
            Buffers::grow(body, *size);
            let mut rest = stream.take((*size - body.len()) as u64);
            let read = ready!(pin!(rest.read_buf(body)).poll(cx));
            took(read, true)?;
        }
        let frame = std::mem::take(body);
        *self = Self::default();
        Poll::Ready(Ok(frame))
    }
}

/// How many bytes were read.
fn took(read: io::Result<usize>, inside: bool) -> Result<usize, Cut> {
    match read {
        Ok(0) => Err(Cut::End { inside }),
        Ok(count) => Ok(count),
        Err(why) => Err(Cut::Broken { inside, why }),
    }
}
