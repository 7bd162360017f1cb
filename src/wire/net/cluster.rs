//! The cluster: who leads what, and connections to them.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::link::Link;
use super::metadata::Wanted;
use super::refresh::Asking;
use super::{
    Address, Answer, Backoff, Connection, Connector, Coordinated, Error, FoundOffset, Isolation, Kind,
    Leader, Metadata, OffsetQuery, Options, Plain, Random, Result, Sending, Sent, Topic,
};
use crate::wire::{ErrorCode, Request};

/// Whether the broker may create topics that are asked for and not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It may, if it is set up to (`allow.auto.create.topics=true`).
    Allowed,
    /// It may not.
    Forbidden,
}

/// What a connection is for. Each has its own to a broker, so that a long poll holds up nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Metadata, coordinators, offsets by time.
    Control,
    /// Writing records, over one of several connections.
    Produce {
        /// Which of them.
        channel: usize,
    },
    /// Reading records.
    Fetch,
    /// A group's membership and offsets.
    Group,
    /// A producer's id and transactions.
    Transaction,
}

/// What a cluster is reached with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whom to ask first; asked again whenever no broker that was told of can be reached (KIP-899).
    pub bootstrap: Vec<Address>,
    /// How streams come about.
    pub connector: Arc<dyn Connector>,
    /// What the connections have in common.
    pub options: Options,
    /// For an answer (`request.timeout.ms`).
    pub request_timeout: Duration,
    /// Before a request is sent again (`retry.backoff.ms`).
    pub retry_backoff: Duration,
    /// First and longest wait before connecting again (`reconnect.backoff.ms`, `.max.ms`).
    pub reconnect_backoff: (Duration, Duration),
    /// The age at which metadata is asked for again (`metadata.max.age.ms`).
    pub metadata_max_age: Duration,
    /// Whether asking for a topic may create it.
    pub creation: Creation,
    /// What spreads waits and choices.
    pub random: Random,
}

impl Config {
    /// Plain connections, and the defaults of the settings.
    pub fn new(bootstrap: Vec<Address>) -> Self {
        let options = Options::default();
        Self {
            bootstrap,
            connector: Arc::new(Plain { timeout: options.setup_timeout }),
            options,
            request_timeout: Duration::from_secs(30),
            retry_backoff: Duration::from_millis(100),
            reconnect_backoff: (Duration::from_millis(50), Duration::from_secs(10)),
            metadata_max_age: Duration::from_secs(300),
            creation: Creation::Allowed,
            random: Random::new(),
        }
    }
}

/// A view of a cluster and the connections to its brokers. Clones are cheap and share both; when the
/// last one is dropped everything that was started for it ends.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub(super) inner: Arc<Inner>,
    _end: Arc<End>,
}

/// Ends all tasks when dropped, which hold the rest.
#[derive(Debug)]
struct End(Arc<Inner>);

impl Drop for End {
    fn drop(&mut self) {
        // Not under the lock: the tasks hold connections and more.
        let tasks = self.0.tasks().take();
        drop(tasks);
        self.0.links().clear();
    }
}

impl Cluster {
    /// A view of which nothing is known yet. What it does, it does on that runtime, which must have time and
    /// input/output enabled.
    pub fn new(config: Config, runtime: &Handle) -> Self {
        // For its clock, which tests may have stopped.
        let _inside = runtime.enter();
        let inner = Arc::new(Inner {
            random: Mutex::new(config.random.clone()),
            config,
            runtime: runtime.clone(),
            links: Mutex::default(),
            metadata: watch::Sender::new(Arc::default()),
            asking: Mutex::new(Asking::new()),
            coordinators: Mutex::default(),
            tasks: Mutex::new(Some(JoinSet::new())),
        });
        inner.spawn(Arc::clone(&inner).keep_fresh());
        Self { _end: Arc::new(End(Arc::clone(&inner))), inner }
    }

    /// What is known now.
    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.inner.metadata.borrow())
    }

    /// Tells of each change of what is known.
    pub fn watch(&self) -> watch::Receiver<Arc<Metadata>> {
        self.inner.metadata.subscribe()
    }

    /// Asks for these topics, and for all that were asked for before and not forgotten, until a broker
    /// answers. One question at a time serves all who ask; one that was under way already counts.
    /// Topics that are known are asked for no more often than `retry.backoff.ms` allows. What is wrong with a
    /// topic is in its [`Topic::error`].
    ///
    /// # Errors
    /// If no broker answers before the deadline, or none will.
    pub async fn refresh(&self, topics: &[&str], deadline: Instant) -> Result<Arc<Metadata>> {
        let wanted = Wanted::named(topics);
        self.inner.retry(deadline, "metadata", || self.inner.refresh(&wanted)).await
    }

    /// Asks for every topic there is, from now on each time.
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub async fn refresh_all(&self, deadline: Instant) -> Result<Arc<Metadata>> {
        self.inner.retry(deadline, "metadata", || self.inner.refresh(&Wanted::All)).await
    }

    /// No longer asks for these topics, nor knows them.
    pub fn forget(&self, topics: &[&str]) {
        self.inner.asking().wanted.remove(topics);
        self.inner.learn(|known| Some(known.without(topics)));
    }

    /// A topic: as it is known, else asked for until it is there or the deadline has come.
    ///
    /// # Errors
    /// If it is not there by then, or is refused ([`Kind::Broker`]), or no broker answers.
    pub async fn topic(&self, name: &str, deadline: Instant) -> Result<Arc<Topic>> {
        let known = self.metadata().topic(name).cloned();
        if let Some(known) = known.filter(|known| known.error.is_none()) {
            return Ok(known);
        }
        let wanted = Wanted::named(&[name]);
        let ask = || async {
            let metadata = self.inner.refresh(&wanted).await?;
            let topic = metadata.topic(name).filter(|topic| topic.error.is_none());
            topic.cloned().ok_or_else(|| {
                let code = metadata.topic(name).and_then(|topic| topic.error);
                Error::of_code(
                    code.unwrap_or(ErrorCode::UnknownTopicOrPartition),
                    format_args!("topic {name}"),
                )
            })
        };
        self.inner.retry(deadline, "metadata", ask).await
    }

    /// Takes note of a leader that an answer told of (KIP-951), and of where it is if that is told too; whether it is
    /// newer than what was known.
    pub fn note_leader(&self, topic: &str, partition: i32, leader: Leader, at: Option<Address>) -> bool {
        let mut newer = false;
        self.inner.learn(|known| {
            let changed = known.with_leader(topic, partition, leader)?;
            newer = true;
            Some(match at {
                Some(address) => changed.with_broker(leader.id, address),
                None => changed,
            })
        });
        newer
    }

    /// The connection to a broker for a purpose: the open one, else a new one. While it cannot be reached one
    /// attempt at a time is made, with growing waits between; each attempt serves all who wait.
    ///
    /// # Errors
    /// If that attempt fails or the deadline comes, or the cluster has no such broker.
    pub async fn connection(&self, broker: i32, purpose: Purpose, deadline: Instant) -> Result<Connection> {
        self.inner.connection(broker, purpose, deadline).await
    }

    /// A connection to any broker, for [`Purpose::Control`].
    ///
    /// # Errors
    /// If none is reached before the deadline.
    pub async fn any(&self, deadline: Instant) -> Result<Connection> {
        let nobody = HashSet::new();
        self.inner.retry(deadline, "a connection", || self.inner.any(&nobody)).await
    }

    /// The same, asking each broker once.
    ///
    /// # Errors
    /// If none is reached, or not before the deadline.
    pub async fn any_once(&self, deadline: Instant) -> Result<Connection> {
        let nobody = HashSet::new();
        let asked = timeout_at(deadline, self.inner.any(&nobody)).await;
        asked.unwrap_or_else(|_| Err(self.inner.too_late("a connection")))
    }

    /// Sends a request to a broker and waits for the answer. A connection that was closed in the moment before
    /// is opened again, as nothing was sent then.
    ///
    /// # Errors
    /// As [`Self::connection`] and [`Connection::send`].
    pub async fn ask<'a, R: Request<'a>>(
        &self,
        broker: i32,
        purpose: Purpose,
        request: &R,
        deadline: Instant,
    ) -> Result<Answer> {
        let first = self.ask_once(broker, purpose, request, deadline).await;
        match first {
            Err(error) if error.kind() == Kind::Closed && error.sent() == Sent::No => {
                self.ask_once(broker, purpose, request, deadline).await
            }
            first => first,
        }
    }

    async fn ask_once<'a, R: Request<'a>>(
        &self,
        broker: i32,
        purpose: Purpose,
        request: &R,
        deadline: Instant,
    ) -> Result<Answer> {
        let connection = self.connection(broker, purpose, deadline).await?;
        let left = deadline.saturating_duration_since(Instant::now());
        let within = left.min(self.inner.config.request_timeout);
        connection.send(request, Sending::within(within)).await
    }

    /// The broker that coordinates a group or transactional id: as it is known, else asked for until there
    /// is one.
    ///
    /// # Errors
    /// If there is none by the deadline, or the client may not know.
    pub async fn coordinator(&self, of: Coordinated, key: &str, deadline: Instant) -> Result<i32> {
        self.inner.retry(deadline, "the coordinator", || self.inner.find_coordinator(of, key)).await
    }

    /// Asks for the coordinator again the next time: for answers with
    /// [`ErrorCode::asks_for_coordinator`] and when it cannot be reached.
    pub fn forget_coordinator(&self, of: Coordinated, key: &str) {
        self.inner.coordinators().remove(&(of, key.to_owned()));
    }

    /// Offsets by time, one request a leader; again where leaders moved or brokers cannot be reached, until the
    /// deadline. One outcome for each query, in their order: what is wrong with one partition for good is its own.
    ///
    /// # Errors
    /// If not all are answered before the deadline.
    pub async fn list_offsets(
        &self,
        queries: &[OffsetQuery],
        isolation: Isolation,
        deadline: Instant,
    ) -> Result<Vec<std::result::Result<FoundOffset, ErrorCode>>> {
        let queries: Arc<[OffsetQuery]> = queries.into();
        // Behind a lock as each try goes on from where the last one failed.
        let found = tokio::sync::Mutex::new(vec![None; queries.len()]);
        let ask = || async {
            let mut found = found.lock().await;
            self.inner.find_offsets(&queries, isolation, deadline, &mut found).await
        };
        self.inner.retry(deadline, "offsets", ask).await?;
        Ok(found.into_inner().into_iter().flatten().collect())
    }
}

/// Whom a connection goes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// Whoever listens there, for [`Purpose::Control`].
    At(Address),
    /// A broker, for another purpose.
    Of(i32, Purpose),
}

/// What the handles and the tasks of a cluster share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) runtime: Handle,
    links: Mutex<HashMap<Key, Arc<Link>>>,
    pub(super) metadata: watch::Sender<Arc<Metadata>>,
    pub(super) asking: Mutex<Asking>,
    pub(super) coordinators: Mutex<HashMap<(Coordinated, String), i32>>,
    random: Mutex<Random>,
    /// What runs; none when the last handle is gone.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl Inner {
    pub(super) fn random(&self) -> MutexGuard<'_, Random> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, HashMap<Key, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs it until it is done or the last handle is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = &mut *self.tasks() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(task, &self.runtime);
        }
    }

    /// The way to an address.
    pub(super) fn link_at(&self, address: Address) -> Arc<Link> {
        self.link(Key::At(address.clone()), address)
    }

    /// A broker that listens elsewhere now has a new way there.
    fn link(&self, key: Key, address: Address) -> Arc<Link> {
        let (first, longest) = self.config.reconnect_backoff;
        let new = |address| Arc::new(Link::new(address, Backoff::new(first, longest)));
        let mut links = self.links();
        let link = links.entry(key).or_insert_with(|| new(address.clone()));
        if link.address != address {
            *link = new(address);
        }
        Arc::clone(link)
    }

    /// Gives up the ways to brokers that are gone. Requests in flight keep their connections.
    pub(super) fn prune(&self, metadata: &Metadata) {
        self.links().retain(|key, link| match key {
            Key::At(address) => {
                self.config.bootstrap.contains(address)
                    || metadata.brokers().any(|broker| broker.address == *address)
            }
            Key::Of(id, _) => metadata.broker(*id).is_some_and(|broker| broker.address == link.address),
        });
    }

    pub(super) async fn connection(
        self: &Arc<Self>,
        id: i32,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<Connection> {
        let mut address = self.address_of(id);
        if address.is_none() {
            self.in_time(deadline, "metadata", self.refresh(&Wanted::default())).await?;
            address = self.address_of(id);
        }
        let address = address.ok_or_else(|| {
            Error::new(Kind::Unreachable, format!("the cluster has no broker {id} at present"))
        })?;
        let link = match purpose {
            Purpose::Control => self.link_at(address),
            _ => self.link(Key::Of(id, purpose), address),
        };
        let connected = timeout_at(deadline, link.connection(self)).await;
        connected.unwrap_or_else(|_| {
            let error = Error::new(Kind::TimedOut, "no connection came about in time").at(&link.address);
            Err(error)
        })
    }

    fn address_of(&self, id: i32) -> Option<Address> {
        self.metadata.borrow().broker(id).map(|broker| broker.address.clone())
    }

    async fn in_time<T>(
        &self,
        deadline: Instant,
        what: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(self.too_late(what)))
    }

    fn too_late(&self, what: &str) -> Error {
        Error::new(Kind::TimedOut, format!("{what} not had in time from {}", self.bootstrap()))
    }

    /// Tries until it is done, fails for good or the deadline has come; then the last failure is told.
    pub(super) async fn retry<T, F: Future<Output = Result<T>>>(
        &self,
        deadline: Instant,
        what: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T> {
        let mut failed = None;
        let attempts = async {
            loop {
                match attempt().await {
                    Err(error) if error.is_retriable() => failed = Some(error),
                    done => return done,
                }
                sleep(self.config.retry_backoff).await;
            }
        };
        let done = timeout_at(deadline, attempts).await;
        done.unwrap_or_else(|_| Err(failed.unwrap_or_else(|| self.too_late(what))))
    }
}
