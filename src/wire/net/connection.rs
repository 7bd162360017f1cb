//! A connection as those see it who send requests on it.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::session::Session;
use super::versions::{self, Versions};
use super::{Address, Answer, Buffers, Connector, Error, Kind, Result, Sent, Stream, after};
use crate::wire::{Api, ApiKey, Frame, Piece, Request, encode_request};

/// The most requests that may wait to be written.
const WAITING: usize = 10_000;

/// What connections have in common.
#[derive(Debug, Clone)]
pub struct Options {
    /// What this client calls itself (`client.id`).
    pub client_id: String,
    /// For connecting, all that belongs to it and the first request
    /// (`socket.connection.setup.timeout.ms`).
    pub setup_timeout: Duration,
    /// The most requests that are written and not answered; the others wait here
    /// (`max.in.flight.requests.per.connection`).
    pub max_in_flight: usize,
    /// The largest answer in bytes; a broker that announces a larger one is no longer listened to.
    pub max_answer: usize,
    /// What answers are read into.
    pub buffers: Buffers,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            client_id: "kps".to_owned(),
            setup_timeout: Duration::from_secs(10),
            max_in_flight: 5,
            max_answer: 100 << 20,
            buffers: Buffers::new(8 << 20),
        }
    }
}

/// The bytes that belong into a request's [`crate::wire::Records::Gap`]s. The connection lets go of it
/// before it tells the request's outcome, so that who keeps an `Arc` of it has it alone again by then.
pub trait Payload: Send + Sync {
    /// The bytes of a gap, as many as it says; gaps are numbered from 0 in the message's order.
    fn gap(&self, number: usize) -> Option<&[u8]>;
}

impl Payload for Vec<Vec<u8>> {
    fn gap(&self, number: usize) -> Option<&[u8]> {
        self.get(number).map(Vec::as_slice)
    }
}

/// How a request is sent.
#[derive(Clone)]
pub struct Sending {
    timeout: Duration,
    newest: i16,
    payload: Option<Arc<dyn Payload>>,
}

impl Sending {
    /// From now to the answer (or, for [`Connection::post`], to when it is written) no more time than
    /// that may pass. If an answer is late the connection is closed, as Java does.
    pub fn within(timeout: Duration) -> Self {
        Self { timeout, newest: i16::MAX, payload: None }
    }

    /// With these bytes in the gaps.
    pub fn with_payload(mut self, payload: Arc<dyn Payload>) -> Self {
        self.payload = Some(payload);
        self
    }

    /// In no newer version than that.
    pub fn up_to_version(mut self, newest: i16) -> Self {
        self.newest = newest;
        self
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Sending({:?}, {} payload)",
            self.timeout,
            if self.payload.is_some() { "with" } else { "no" }
        )
    }
}

/// A connection that requests can be sent on, from any thread: requests are written in the order of the
/// calls and answered in that order. Clones are cheap; when the last one and the last [`Pending`] are
/// dropped it closes. Once it has ended, for whatever reason, it stays so: [`super::Cluster::connection`]
/// opens the next one.
#[derive(Debug, Clone)]
pub struct Connection {
    handle: Arc<Handles>,
}

/// Ends the connection when dropped.
#[derive(Debug)]
struct Handles(Arc<Shared>);

impl Drop for Handles {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The outcome of a request to come. Dropping it does not take the request back.
#[derive(Debug)]
pub struct Pending<T> {
    state: Waiting<T>,
    // Keeps the connection open.
    _handle: Arc<Handles>,
}

#[derive(Debug)]
enum Waiting<T> {
    Refused(Option<Error>),
    Sent(oneshot::Receiver<Result<T>>),
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        match &mut self.state {
            Waiting::Refused(error) => Poll::Ready(Err(error.take().unwrap_or_else(untold))),
            Waiting::Sent(receiver) => {
                Pin::new(receiver).poll(cx).map(|outcome| outcome.unwrap_or_else(|_| Err(untold())))
            }
        }
    }
}

impl<T> Unpin for Pending<T> {}

/// Outcomes are always told; this is for a runtime that ends in between.
fn untold() -> Error {
    Error::new(Kind::Closed, "the connection was given up").sent_as(Sent::Maybe)
}

impl Connection {
    /// Connects, and asks the broker what it speaks (KIP-511).
    ///
    /// # Errors
    /// If no connection comes about in time, or what is there is no broker that this client can talk to.
    pub async fn open(
        connector: &dyn Connector,
        address: &Address,
        options: &Options,
        runtime: &Handle,
    ) -> Result<Self> {
        let deadline = after(options.setup_timeout);
        let late = || {
            let text = format!("no connection within {:?}", options.setup_timeout);
            Error::new(Kind::Unreachable, text).at(address)
        };
        let stream = timeout_at(deadline, connector.connect(address)).await.map_err(|_| late())?;
        let stream = stream.map_err(|why| refused(address, why))?;
        let connection = Self::start(stream, address, options, runtime);
        let spoken = versions::ask(&connection, deadline).await?;
        // Nobody else has this connection yet.
        let _ = connection.handle.0.versions.set(spoken);
        Ok(connection)
    }

    fn start(stream: Box<dyn Stream>, address: &Address, options: &Options, runtime: &Handle) -> Self {
        let shared = Arc::new(Shared {
            address: address.clone(),
            options: options.clone(),
            versions: OnceLock::new(),
            next_id: AtomicI32::new(0),
            state: Mutex::default(),
        });
        // It ends with the last handle, by itself.
        drop(runtime.spawn(Session::new(stream, Arc::clone(&shared)).run()));
        Self { handle: Arc::new(Handles(shared)) }
    }

    /// Sends a request; what it returns waits for the answer.
    pub fn send<'a, R: Request<'a>>(&self, request: &R, sending: Sending) -> Pending<Answer> {
        let version = self.version_up_to::<R>(sending.newest);
        self.enqueue(version.and_then(|version| self.job(request, version, sending)), Reply::Answer)
    }

    /// Sends a request that the broker does not answer (Produce with `acks` 0); what it returns waits
    /// until all of it is written.
    pub fn post<'a, R: Request<'a>>(&self, request: &R, sending: Sending) -> Pending<()> {
        let version = self.version_up_to::<R>(sending.newest);
        self.enqueue(version.and_then(|version| self.job(request, version, sending)), Reply::Written)
    }

    /// Sends a request in a version of the caller's choice.
    pub(super) fn send_as<'a, R: Request<'a>>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
    ) -> Pending<Answer> {
        self.enqueue(self.job(request, version, Sending::within(timeout)), Reply::Answer)
    }

    /// The version in which a request is sent: the newest that both sides know.
    ///
    /// # Errors
    /// If there is none.
    pub fn version<'a, R: Request<'a>>(&self) -> Result<i16> {
        self.version_up_to::<R>(i16::MAX)
    }

    fn version_up_to<'a, R: Request<'a>>(&self, newest: i16) -> Result<i16> {
        match self.handle.0.versions.get() {
            Some(versions) => versions.newest(R::API, newest).map_err(|error| error.at(self.address())),
            None => Err(untold()),
        }
    }

    /// Whether the broker knows an API in a version that is spoken here.
    pub fn knows(&self, api: ApiKey) -> bool {
        self.handle.0.versions.get().is_some_and(|versions| versions.newest(api.api(), i16::MAX).is_ok())
    }

    /// The broker's address.
    pub fn address(&self) -> &Address {
        &self.handle.0.address
    }

    /// Whether requests can still be sent.
    pub fn is_open(&self) -> bool {
        matches!(self.handle.0.state().phase, Phase::Open)
    }

    /// Why it ended, if it has.
    pub fn ended(&self) -> Option<Error> {
        match &self.handle.0.state().phase {
            Phase::Open | Phase::Left => None,
            Phase::Ending(error) | Phase::Ended(error, _) => Some(error.clone()),
        }
    }

    /// Whether it ended while nothing was asked for: brokers close what has been idle for long.
    pub(super) fn ended_idle(&self) -> bool {
        matches!(self.handle.0.state().phase, Phase::Ended(_, Ending::Idle))
    }

    /// Ends it now. Requests in flight fail.
    pub fn close(&self) {
        let error = Error::new(Kind::Closed, "the connection was closed on this side");
        self.handle.0.end(error.at(self.address()));
    }

    /// Whether both are the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }

    fn job<'a, R: Request<'a>>(&self, request: &R, version: i16, sending: Sending) -> Result<Unaddressed> {
        let shared = &self.handle.0;
        let correlation_id = shared.next_id.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let frame = encode_request(request, version, correlation_id, Some(&shared.options.client_id));
        let frame = frame.map_err(|why| {
            let text = format!("{} cannot be sent: {why}", R::API.name);
            Error::new(Kind::Request, text).at(&shared.address).because(why)
        })?;
        if !fits(&frame, sending.payload.as_deref()) {
            let text = format!("{} was given other payload than its gaps are for", R::API.name);
            return Err(Error::new(Kind::Request, text).at(&shared.address));
        }
        let Sending { timeout, payload, .. } = sending;
        Ok(Unaddressed { frame, payload, correlation_id, api: R::API, version, timeout })
    }

    fn enqueue<T>(
        &self,
        job: Result<Unaddressed>,
        reply: impl FnOnce(oneshot::Sender<Result<T>>) -> Reply,
    ) -> Pending<T> {
        let (sender, receiver) = oneshot::channel();
        let queued = job.and_then(|job| self.handle.0.push(job.to(reply(sender))));
        let state = match queued {
            Ok(()) => Waiting::Sent(receiver),
            Err(error) => Waiting::Refused(Some(error)),
        };
        Pending { state, _handle: Arc::clone(&self.handle) }
    }
}

/// Whether the payload is what belongs into the frame's gaps.
fn fits(frame: &Frame, payload: Option<&dyn Payload>) -> bool {
    let gaps = frame.pieces().filter_map(|piece| match piece {
        Piece::Gap(length) => Some(length),
        Piece::Bytes(_) => None,
    });
    let given = |number| payload.and_then(|payload| payload.gap(number));
    (0..).zip(gaps).all(|(number, length)| given(number).is_some_and(|bytes| bytes.len() == length))
}

fn refused(address: &Address, why: io::Error) -> Error {
    let kind = match why.kind() {
        io::ErrorKind::PermissionDenied => Kind::Authentication,
        _ => Kind::Unreachable,
    };
    Error::new(kind, format!("cannot connect: {why}")).at(address).because(why)
}

/// Who waits for a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// For its answer.
    Answer(oneshot::Sender<Result<Answer>>),
    /// For it to be written.
    Written(oneshot::Sender<Result<()>>),
}

impl Reply {
    pub(super) fn fail(self, error: Error) {
        // Nobody may wait any more.
        match self {
            Self::Answer(sender) => drop(sender.send(Err(error))),
            Self::Written(sender) => drop(sender.send(Err(error))),
        }
    }
}

/// A request to be written.
pub(super) struct Job {
    pub(super) frame: Frame,
    pub(super) payload: Option<Arc<dyn Payload>>,
    pub(super) correlation_id: i32,
    pub(super) api: &'static Api,
    pub(super) version: i16,
    pub(super) timeout: Duration,
    pub(super) deadline: Instant,
    pub(super) reply: Reply,
}

/// A request without who waits for it.
struct Unaddressed {
    frame: Frame,
    payload: Option<Arc<dyn Payload>>,
    correlation_id: i32,
    api: &'static Api,
    version: i16,
    timeout: Duration,
}

impl Unaddressed {
    fn to(self, reply: Reply) -> Job {
        let Self { frame, payload, correlation_id, api, version, timeout } = self;
        let deadline = after(timeout);
        Job { frame, payload, correlation_id, api, version, timeout, deadline, reply }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} {}, {})", self.api.name, self.version, self.correlation_id)
    }
}

/// What the handles and the task of a connection share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) address: Address,
    pub(super) options: Options,
    versions: OnceLock<Versions>,
    next_id: AtomicI32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Requests that are not being written yet.
    pub(super) waiting: VecDeque<Job>,
    pub(super) phase: Phase,
    /// The earliest deadline among those that the task has not been told of.
    pub(super) earliest: Option<Instant>,
    /// Wakes the task.
    pub(super) waker: Option<Waker>,
}

/// How a connection's life stands.
#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    Open,
    /// No handle is left: it ends when all is written.
    Left,
    /// It is to end now, for this reason.
    Ending(Error),
    /// It has ended.
    Ended(Error, Ending),
}

/// What a connection was doing when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing was asked for.
    Idle,
    /// Something failed.
    Failed,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection, unless it has ended before.
    pub(super) fn end(&self, error: Error) {
        let mut state = self.state();
        if let Phase::Open | Phase::Left = state.phase {
            state.phase = Phase::Ending(error);
        }
        wake(state);
    }

    fn leave(&self) {
        let mut state = self.state();
        if let Phase::Open = state.phase {
            state.phase = Phase::Left;
        }
        wake(state);
    }

    fn push(&self, job: Job) -> Result<()> {
        let mut state = self.state();
        match &state.phase {
            Phase::Ending(error) | Phase::Ended(error, _) => return Err(error.clone().sent_as(Sent::No)),
            Phase::Open | Phase::Left => {}
        }
        if state.waiting.len() >= WAITING {
            let text = format!("{WAITING} requests wait to be sent already");
            return Err(Error::new(Kind::Request, text).at(&self.address));
        }
        state.earliest = Some(state.earliest.map_or(job.deadline, |earliest| earliest.min(job.deadline)));
        state.waiting.push_back(job);
        wake(state);
        Ok(())
    }
}

/// Wakes the task, which finds the lock free.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
