//! Asking for metadata: one question at a time, of whichever broker answers.

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};

use super::cluster::Inner;
use super::link::{Link, Outcome};
use super::metadata::Wanted;
use super::{Address, Connection, Creation, Error, Kind, Metadata, Result, Sending, Sent, after};
use crate::wire::messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse};

/// How long one broker may be connected to before the next is tried beside it.
const NEXT_AFTER: Duration = Duration::from_millis(500);

/// How the asking stands.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) wanted: Wanted,
    /// What is being asked.
    under_way: Option<(Wanted, Outcome<Arc<Metadata>>)>,
    /// When what is known may be asked for again.
    not_before: Instant,
    /// When an answer came last.
    answered: Instant,
}

impl Asking {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { wanted: Wanted::default(), under_way: None, not_before: now, answered: now }
    }
}

impl Inner {
    pub(super) fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for these topics and all that were wanted before.
    pub(super) async fn refresh(self: &Arc<Self>, more: &Wanted) -> Result<Arc<Metadata>> {
        loop {
            let (outcome, covers) = self.join(more);
            let outcome = outcome.wait().await;
            if covers {
                return outcome;
            }
        }
    }

    /// The question under way, or a new one; and whether it asks for these topics.
    fn join(self: &Arc<Self>, more: &Wanted) -> (Outcome<Arc<Metadata>>, bool) {
        let known = self.metadata.borrow().knows(more);
        let mut asking = self.asking();
        asking.wanted.add(more);
        if let Some((asked, outcome)) = &asking.under_way
            && outcome.is_under_way()
        {
            return (outcome.clone(), asked.covers(more));
        }
        let not_before = if known { asking.not_before } else { Instant::now() };
        let asked = asking.wanted.clone();
        let outcome = Outcome::start(self, Arc::clone(self).question(asked.clone(), not_before));
        asking.under_way = Some((asked, outcome.clone()));
        (outcome, true)
    }

    async fn question(self: Arc<Self>, asked: Wanted, not_before: Instant) -> Result<Arc<Metadata>> {
        sleep_until(not_before).await;
        let answered = self.ask_any(&asked).await;
        let mut asking = self.asking();
        asking.not_before = after(self.config.retry_backoff);
        if answered.is_ok() {
            asking.answered = Instant::now();
        }
        answered
    }

    /// Asks one broker after the other until one answers.
    async fn ask_any(self: &Arc<Self>, asked: &Wanted) -> Result<Arc<Metadata>> {
        let (mut tried, mut failed, mut unsent) = (HashSet::new(), None, 0);
        loop {
            let connection = match self.any(&tried).await {
                Ok(connection) => connection,
                Err(error) => return Err(failed.unwrap_or(error)),
            };
            match self.ask(&connection, asked).await {
                Ok(metadata) => return Ok(metadata),
                // It was closed in this moment: the same broker is worth another connection.
                Err(error) if error.kind() == Kind::Closed && error.sent() == Sent::No && unsent == 0 => {
                    unsent = 1
                }
                Err(error) => {
                    tried.insert(connection.address().clone());
                    failed = Some(error);
                }
            }
        }
    }

    async fn ask(&self, connection: &Connection, asked: &Wanted) -> Result<Arc<Metadata>> {
        let topics = match asked {
            Wanted::All => None,
            Wanted::Named(names) => Some(names.iter().map(|name| named(name)).collect()),
        };
        let request = MetadataRequest {
            topics,
            allow_auto_topic_creation: self.config.creation == Creation::Allowed,
            ..Default::default()
        };
        let answer = connection.send(&request, Sending::within(self.config.request_timeout)).await?;
        let told: MetadataResponse<'_> = answer.read()?;
        // A broker that has just started may know none, not even itself. What is known is worth more.
        if told.brokers.is_empty() {
            let error = Error::new(Kind::Unreachable, "it knows of no brokers yet").at(connection.address());
            return Err(error.sent_as(Sent::Maybe));
        }
        Ok(self.learn(|known| Some(known.with_answer(&told, asked))))
    }

    /// Changes what is known; what is known then.
    pub(super) fn learn(&self, change: impl FnOnce(&Metadata) -> Option<Metadata>) -> Arc<Metadata> {
        let mut now = None;
        self.metadata.send_if_modified(|known| {
            let changed = change(known).filter(|changed| *changed != **known);
            let differs = changed.is_some();
            if let Some(changed) = changed {
                *known = Arc::new(changed);
            }
            now = Some(Arc::clone(known));
            differs
        });
        let now = now.unwrap_or_default();
        self.prune(&now);
        now
    }

    /// A connection to a broker that has not been tried: an open one, else the first that comes about.
    /// Brokers that were told of come before the bootstrap addresses, which are never given up (KIP-899).
    pub(super) async fn any(self: &Arc<Self>, tried: &HashSet<Address>) -> Result<Connection> {
        let links = self.candidates(tried);
        if let Some(live) = links.iter().find_map(|link| link.live()) {
            return Ok(live);
        }
        let (mut attempts, mut failed) = (JoinSet::new(), Vec::new());
        for link in links {
            let inner = Arc::clone(self);
            attempts.spawn_on(async move { link.connection(&inner).await }, &self.runtime);
            match timeout(NEXT_AFTER, attempts.join_next()).await {
                Ok(Some(Ok(Ok(connection)))) => return Ok(connection),
                Ok(Some(Ok(Err(error)))) => failed.push(error),
                // It takes its time, or the runtime ends.
                _ => {}
            }
        }
        while let Some(outcome) = attempts.join_next().await {
            match outcome {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => failed.push(error),
                Err(_) => {}
            }
        }
        Err(self.not_reached(failed))
    }

    /// The ways to brokers, those first that need not wait.
    fn candidates(&self, tried: &HashSet<Address>) -> Vec<Arc<Link>> {
        let mut brokers: Vec<Address> =
            self.metadata.borrow().brokers().map(|broker| broker.address.clone()).collect();
        let mut bootstrap = self.config.bootstrap.clone();
        self.random().shuffle(&mut brokers);
        self.random().shuffle(&mut bootstrap);
        let mut seen = tried.clone();
        brokers.extend(bootstrap);
        brokers.retain(|address| seen.insert(address.clone()));
        let mut links: Vec<_> = brokers.into_iter().map(|address| self.link_at(address)).collect();
        links.sort_by_key(|link| link.not_before());
        links
    }

    /// The error when all attempts failed: the one that trying again does not cure, if there is one.
    fn not_reached(&self, failed: Vec<Error>) -> Error {
        let last = failed.last().cloned();
        if let Some(error) = failed.into_iter().find(|error| !error.is_retriable()) {
            return error;
        }
        let text = format!("no broker reached at {}", self.bootstrap());
        match last {
            Some(last) => Error::new(Kind::Unreachable, format!("{text}: {last}")).because(last),
            None => Error::new(Kind::Unreachable, text),
        }
    }

    /// The bootstrap addresses, for messages.
    pub(super) fn bootstrap(&self) -> String {
        let addresses: Vec<String> = self.config.bootstrap.iter().map(Address::to_string).collect();
        addresses.join(",")
    }

    /// Asks again whenever what is known has reached its age.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        loop {
            let age = self.config.metadata_max_age;
            let due = self.asking().answered.checked_add(age);
            sleep_until(due.unwrap_or_else(|| after(age))).await;
            let nothing = {
                let mut asking = self.asking();
                let nothing = asking.wanted.is_nothing();
                if nothing {
                    asking.answered = Instant::now();
                }
                nothing || asking.answered.elapsed() < age
            };
            if !nothing && self.refresh(&Wanted::default()).await.is_err() {
                sleep(self.config.retry_backoff).await;
            }
        }
    }
}

fn named(topic: &str) -> MetadataRequestTopic<'_> {
    MetadataRequestTopic { name: Some(topic.into()), ..Default::default() }
}
