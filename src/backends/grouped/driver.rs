//! The task that keeps the membership: the member decides, here are the connections, the metadata and the clock.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::app::{App, Order, Told};
use super::ask::{Answered, Asker};
use super::books::{Finding, Keeping};
use super::terms::Config;
use super::trouble::Trouble;
use super::view;
use crate::backends::reset::Reset;
use crate::backends::wired::errors;
use crate::backends::{Error, ErrorKind, Starts, TopicPartition, Topics};
use crate::group::{self, Action, Event, Failure, Fault, FaultKind, Member, Protocol, Ticket};
use crate::wire::ErrorCode;
use crate::wire::net::{self, Answer, Cluster, Coordinated, FoundOffset, Isolation, Kind, Metadata};

/// Longer than anything is waited for.
const FAR: Duration = Duration::from_secs(3600);

/// What was waited for.
#[derive(Debug)]
pub(super) enum Done {
    /// A request of the member's.
    Answered(Ticket, net::Result<Answered>),
    /// All topics that are wanted were asked for.
    Refreshed(net::Result<()>),
    /// So were those that the member wants to know, then.
    Learned(Ticket, BTreeSet<Arc<str>>, net::Result<Instant>),
    /// Offsets were to be kept.
    Kept(Keeping, net::Result<Answer>),
    /// Offsets were asked for.
    Fetched(Finding, net::Result<Answer>),
    /// Ends of partitions were asked for.
    Listed(Finding, net::Result<Vec<Result<FoundOffset, ErrorCode>>>),
    /// A pause is over.
    Again(Again),
}

/// What is tried again after a pause.
#[derive(Debug)]
pub(super) enum Again {
    Refresh,
    Learn(Ticket, BTreeSet<Arc<str>>),
    Keep(Keeping),
    Find(Finding),
}

/// See the module.
pub(super) struct Driver {
    pub(super) cluster: Cluster,
    pub(super) asker: Asker,
    pub(super) member: Member,
    pub(super) is_consumer: bool,
    pub(super) reset: Reset,
    pub(super) isolation: Isolation,
    pub(super) request_timeout: Duration,
    retry_backoff: Duration,
    orders: UnboundedReceiver<Order>,
    metadata: watch::Receiver<Arc<Metadata>>,
    pub(super) app: Arc<App>,
    polled: Instant,
    /// What to read, once that was told.
    topics: Option<Topics>,
    /// When all topics that are wanted were asked for.
    informed: Option<Instant>,
    subscribed: Option<BTreeSet<Arc<str>>>,
    view: Arc<group::Topics>,
    learning: Option<Ticket>,
    /// The last generation that the application was told of.
    generation: i32,
    pub(super) starts: Arc<Starts>,
    /// Assigned partitions whose start is not told yet, with the number of the assignment.
    pub(super) opening: HashMap<TopicPartition, u64>,
    assignments: u64,
    /// How often partitions were lost.
    pub(super) losses: u64,
    /// The number of the last commit that was ordered.
    pub(super) newest: u64,
    pub(super) tasks: JoinSet<Done>,
    trouble: Trouble,
    is_over: bool,
}

impl Driver {
    pub(super) fn new(
        config: Config,
        runtime: &Handle,
        orders: UnboundedReceiver<Order>,
        app: Arc<App>,
    ) -> Self {
        let Config { cluster, terms, reset, isolation, patience } = config;
        let cluster = Cluster::new(cluster, runtime);
        Self {
            metadata: cluster.watch(),
            asker: Asker::new(cluster.clone(), &terms.group_id),
            cluster,
            is_consumer: matches!(terms.protocol, Protocol::Consumer { .. }),
            reset,
            isolation,
            request_timeout: terms.request_timeout,
            retry_backoff: terms.retry_backoff,
            trouble: Trouble::new(&terms.group_id, patience),
            member: Member::new(terms, Instant::now()),
            orders,
            polled: app.polls.last(),
            app,
            topics: None,
            informed: None,
            subscribed: None,
            view: Arc::default(),
            learning: None,
            generation: -1,
            starts: Arc::new(Starts::stored()),
            opening: HashMap::new(),
            assignments: 0,
            losses: 0,
            newest: 0,
            tasks: JoinSet::new(),
            is_over: false,
        }
    }

    /// Keeps the membership until it has ended or nobody gives orders any more.
    pub(super) async fn run(mut self) {
        while !self.is_over {
            let alarm = self.member.next_time().unwrap_or_else(|| Instant::now() + FAR);
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return,
                },
                Some(Ok(done)) = self.tasks.join_next() => self.take(done),
                Ok(()) = self.metadata.changed() => self.look(),
                () = sleep_until(alarm.into()) => self.step(Event::Tick),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Join(topics, starts) => {
                self.starts = starts;
                self.topics = Some(topics);
                self.refresh();
            }
            Order::Look => self.refresh(),
            Order::Polled => self.note_poll(),
            Order::Released(ticket) => self.step(Event::Released(ticket)),
            Order::Commit(number, offsets, deadline, losses) => {
                self.commit(number, offsets, deadline, losses)
            }
            Order::Committed(number, partitions, deadline) => self.tell_offsets(number, partitions, deadline),
            Order::Leave => self.step(Event::Leave),
        }
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Answered(ticket, answered) => self.answered(ticket, answered),
            Done::Refreshed(Ok(())) => {
                self.informed = Some(Instant::now());
                self.look();
            }
            Done::Refreshed(Err(why)) => self.failed_again(&why, Again::Refresh),
            Done::Learned(ticket, ..) if self.learning != Some(ticket) => {}
            Done::Learned(ticket, _, Ok(at)) => {
                self.informed = Some(at);
                self.look();
                self.step(Event::Learned(ticket, Arc::clone(&self.view)));
            }
            Done::Learned(ticket, topics, Err(why)) => self.failed_again(&why, Again::Learn(ticket, topics)),
            Done::Kept(keeping, answer) => self.kept(keeping, answer),
            Done::Fetched(finding, answer) => self.fetched(finding, answer),
            Done::Listed(finding, found) => self.listed(finding, found),
            Done::Again(again) => self.again(again),
        }
    }

    fn again(&mut self, again: Again) {
        match again {
            Again::Refresh => self.refresh(),
            Again::Learn(ticket, topics) if self.learning == Some(ticket) => self.learn(ticket, topics),
            Again::Learn(..) => {}
            Again::Keep(keeping) => self.keep(keeping),
            Again::Find(finding) => self.find(finding),
        }
    }

    /// Tries again after a pause.
    pub(super) fn later(&mut self, again: Again) {
        let pause = self.retry_backoff;
        self.tasks.spawn(async move {
            sleep(pause).await;
            Done::Again(again)
        });
    }

    /// The same after a failure; one that trying again does not cure ends the run.
    pub(super) fn failed_again(&mut self, why: &net::Error, again: Again) {
        if !why.is_retriable() {
            return self.app.tell(Told::Failed(errors::error(self.asker.subject(), why)));
        }
        self.failed(why);
        self.later(again);
    }

    /// Takes note of a failure on the way to the coordinator or of its own.
    pub(super) fn failed(&mut self, why: &net::Error) {
        self.forget_coordinator();
        if let Some(told) = self.trouble.failed(why, Instant::now()) {
            self.app.tell(told);
        }
    }

    pub(super) fn forget_coordinator(&self) {
        self.cluster.forget_coordinator(Coordinated::Group, self.asker.group());
    }

    /// The coordinator has answered.
    pub(super) fn well(&mut self) {
        if let Some(told) = self.trouble.over(Instant::now()) {
            self.app.tell(told);
        }
    }

    /// Lets the member know when the application polled last.
    fn note_poll(&mut self) {
        let last = self.app.polls.last();
        if last > self.polled {
            self.polled = last;
            let actions = self.member.step(Event::Polled, last);
            self.act(actions);
        }
    }

    pub(super) fn step(&mut self, event: Event<'_>) {
        self.note_poll();
        let actions = self.member.step(event, Instant::now());
        self.act(actions);
        // Whoever waits for partitions learns that there are none for it in this generation, or not yet.
        let generation = self.member.identity().generation;
        if generation >= 0 && generation != self.generation {
            self.app.tell(Told::Assigned(Vec::new()));
        }
        self.generation = generation;
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { ticket, request, within } => {
                    let asker = self.asker.clone();
                    self.tasks
                        .spawn(async move { Done::Answered(ticket, asker.send(request, within).await) });
                }
                Action::ForgetCoordinator => self.forget_coordinator(),
                Action::Learn { ticket, topics } => self.learn(ticket, topics),
                Action::Assign(partitions) => self.assigned(partitions),
                Action::Revoke { ticket, partitions } => {
                    self.opening.retain(|tp, _| !partitions.contains(tp));
                    self.app.tell(Told::Revoked(ticket, partitions));
                }
                Action::Lose(partitions) => {
                    self.losses += 1;
                    self.opening.retain(|tp, _| !partitions.contains(tp));
                    self.app.tell(Told::Lost(partitions));
                }
                Action::Warn(text) => self.app.tell(Told::Warn(errors::printable(&text))),
                Action::Fail(fault) => {
                    self.app.tell(Told::Failed(error_of(&fault)));
                    self.is_over = true;
                }
                Action::Left => {
                    self.app.tell(Told::Left);
                    self.is_over = true;
                }
            }
        }
    }

    fn assigned(&mut self, partitions: Vec<TopicPartition>) {
        self.assignments += 1;
        let number = self.assignments;
        self.opening.extend(partitions.iter().map(|tp| (tp.clone(), number)));
        self.app.tell(Told::Assigned(partitions.clone()));
        self.open(partitions, number);
    }

    fn answered(&mut self, ticket: Ticket, answered: net::Result<Answered>) {
        let failure = match answered {
            Ok(answered) => match answered.response() {
                Ok(response) => {
                    self.well();
                    return self.step(Event::Answered(ticket, response));
                }
                Err(why) => why,
            },
            Err(why) => why,
        };
        let event = match failure.kind() {
            Kind::Broker(code) => Failure::Refused(code),
            Kind::Unsupported => Failure::Unsupported,
            Kind::Authentication => {
                return self.app.tell(Told::Failed(errors::error(self.asker.subject(), &failure)));
            }
            Kind::Unreachable | Kind::TimedOut | Kind::Closed | Kind::Protocol | Kind::Request => {
                Failure::Disconnected
            }
        };
        self.failed(&failure);
        self.step(Event::Failed(ticket, event));
    }

    /// Asks for what is to be read, from now on each time.
    fn refresh(&mut self) {
        let Some(topics) = self.topics.clone() else { return };
        let (cluster, deadline) = (self.cluster.clone(), self.deadline());
        self.tasks.spawn(async move {
            let refreshed = match &topics {
                Topics::Names(names) => {
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    cluster.refresh(&names, deadline).await
                }
                Topics::Pattern(_) => cluster.refresh_all(deadline).await,
            };
            Done::Refreshed(refreshed.map(drop))
        });
    }

    fn learn(&mut self, ticket: Ticket, topics: BTreeSet<Arc<str>>) {
        self.learning = Some(ticket);
        if let Some(at) = self.informed.filter(|at| self.is_fresh(*at, &topics)) {
            self.tasks.spawn(async move { Done::Learned(ticket, topics, Ok(at)) });
            return;
        }
        let (cluster, deadline) = (self.cluster.clone(), self.deadline());
        self.tasks.spawn(async move {
            let names: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
            let learned = cluster.refresh(&names, deadline).await.map(|_| Instant::now());
            Done::Learned(ticket, topics, learned)
        });
    }

    /// Whether it was a moment ago that these topics were told of: they could not be asked for again before a pause, which every
    /// rebalance would take longer. (KIP-848's members ask for what they were not told of.)
    fn is_fresh(&self, at: Instant, topics: &BTreeSet<Arc<str>>) -> bool {
        at.elapsed() < self.retry_backoff
            && !self.is_consumer
            && topics.iter().all(|topic| self.view.contains_key(topic))
    }

    pub(super) fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.request_timeout
    }

    /// Tells the member what has changed.
    fn look(&mut self) {
        let metadata = Arc::clone(&self.metadata.borrow_and_update());
        let Some(topics) = self.topics.as_ref().filter(|_| self.informed.is_some()) else { return };
        let subscribed = view::wanted(topics, &metadata);
        let view = view::topics(&metadata);
        if view != *self.view {
            self.view = Arc::new(view);
            self.step(Event::Topics(Arc::clone(&self.view)));
        }
        if self.subscribed.as_ref() != Some(&subscribed) {
            self.subscribed = Some(subscribed.clone());
            self.step(Event::Subscribed(subscribed));
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Whoever waits for an answer gets none.
        self.orders.close();
        self.app.replies.put(|_| {});
        self.app.told.put(|_| {});
    }
}

fn error_of(fault: &Fault) -> Error {
    let kind = match fault.kind {
        FaultKind::Authorization => ErrorKind::Authorization,
        FaultKind::Settings | FaultKind::Unsupported => ErrorKind::Unsupported,
        FaultKind::Fenced | FaultKind::Full | FaultKind::Other => ErrorKind::Other,
    };
    Error::new(kind, errors::printable(&fault.message))
}
