//! The task that sends: one for all partitions and brokers, on the client's own thread. What may be sent and
//! what answers mean is decided in [`super::lane`]; here are the orders and the clock, in [`brokers`] what is sent
//! to them, in [`channels`] the connections, in [`view`] the metadata and the producer's id.

mod brokers;
mod channels;
mod view;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

use self::channels::{Channel, Way};
use super::lane::{Effects, Idempotence, Lane, Policy, Tools};
use super::outcomes::{Outcomes, Receipts};
use super::parcel::Filled;
use super::request::Item;
use super::sequence::Identity;
use super::tasks::Tasks;
use crate::backends::mailbox::Mailbox;
use crate::backends::{ErrorKind, TopicPartition};
use crate::wire::net::{self, Answer, Cluster, Connection, Metadata};

/// How long the metadata may be asked for before it is asked for anew.
const ASK_FOR: Duration = Duration::from_secs(60);

/// What the command's thread asks for.
#[derive(Debug)]
pub(super) enum Order {
    /// A partition is used for the first time. They are numbered from 0 in this order.
    Open(TopicPartition, Arc<AtomicUsize>),
    /// Batches for partitions.
    Send(Vec<(usize, Filled)>),
    /// All that is owed is to be given up.
    Abandon,
}

/// How requests are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) policy: Policy,
    pub(super) acks: i16,
    pub(super) request_timeout: Duration,
    /// Connecting, and all that belongs to it.
    pub(super) connect_timeout: Duration,
    pub(super) retry_backoff: Duration,
    /// Requests on one connection (`max.in.flight.requests.per.connection`).
    pub(super) in_flight: usize,
    /// Bytes of batches in one request, unless one alone is larger.
    pub(super) max_request: usize,
    pub(super) receipts: Receipts,
}

/// Something that was waited for.
#[derive(Debug)]
enum Event {
    Connected(Way, net::Result<Connection>),
    Answered(Sent, net::Result<Option<Answer>>),
    Identified(net::Result<Identity>),
    Refreshed,
    Learned(watch::Receiver<Arc<Metadata>>),
}

/// A request that was sent.
#[derive(Debug)]
struct Sent {
    way: Way,
    at: Instant,
    items: Vec<Item>,
}

/// What the clock is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// A batch is out of time, or its pause is over.
    Lane(usize),
    /// A broker may be sent to again.
    Node(i32),
    /// Metadata is to be asked for again.
    Refresh,
}

#[derive(Debug)]
struct Route {
    lane: Lane,
    /// The way to its leader.
    way: Option<Way>,
    /// Its ways to all brokers that have led it.
    ways: Vec<Way>,
    /// It is in the list of its way.
    listed: bool,
    /// When its deadline is looked at.
    watched: Option<Instant>,
}

/// A broker.
#[derive(Debug, Default)]
struct Node {
    /// Lanes that it has led so far.
    lanes: usize,
    /// Nothing is sent to it before that.
    not_before: Option<Instant>,
    /// Since when it does not answer, and what it was called then.
    down: Option<(Instant, String)>,
}

/// How asking for metadata stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    No,
    UnderWay,
    /// It is done, but did not bring what was missing: later again.
    Later,
}

/// The task.
#[derive(Debug)]
pub(super) struct Driver {
    cluster: Cluster,
    rules: Rules,
    tools: Tools,
    inbox: UnboundedReceiver<Order>,
    mailbox: Arc<Mailbox<Outcomes>>,
    routes: Vec<Route>,
    nodes: HashMap<i32, Node>,
    channels: HashMap<Way, Channel>,
    metadata: Arc<Metadata>,
    asking: Asking,
    identity: Option<Identity>,
    identifying: bool,
    tasks: Tasks<Event>,
    alarms: BinaryHeap<Reverse<(Instant, Alarm)>>,
    sleep: Pin<Box<Sleep>>,
    effects: Effects,
    outcomes: Outcomes,
    /// Why nothing can be sent any more.
    dead: Option<(ErrorKind, String)>,
}

/// Whether the task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    None,
    Some,
    Over,
}

impl Driver {
    pub(super) fn new(
        cluster: Cluster,
        rules: Rules,
        tools: Tools,
        inbox: UnboundedReceiver<Order>,
        mailbox: Arc<Mailbox<Outcomes>>,
    ) -> Self {
        let mut it = Self {
            metadata: cluster.metadata(),
            cluster,
            rules,
            tools,
            inbox,
            mailbox,
            routes: Vec::new(),
            nodes: HashMap::new(),
            channels: HashMap::new(),
            asking: Asking::No,
            identity: None,
            identifying: false,
            tasks: Tasks::default(),
            alarms: BinaryHeap::new(),
            sleep: Box::pin(sleep(ASK_FOR)),
            effects: Effects::default(),
            outcomes: Outcomes::default(),
            dead: None,
        };
        it.learn(it.cluster.watch());
        if rules.policy.idempotence == Idempotence::On {
            it.identify();
        }
        it
    }

    /// Sends until it is told to give up, or nobody is left to tell.
    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.turn(cx)).await;
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut progress = self.take_orders(cx);
            while let Poll::Ready(event) = self.tasks.poll_next(cx) {
                self.handle(event);
                progress = progress.or(Progress::Some);
            }
            progress = progress.or(self.ring(cx));
            self.dispatch_all();
            if !self.outcomes.is_empty() {
                let outcomes = std::mem::take(&mut self.outcomes);
                self.mailbox.put(|all| all.append(outcomes));
            }
            match progress {
                Progress::Over => return Poll::Ready(()),
                // Each must be looked at once, to know whom to wake.
                Progress::None if !self.tasks.is_fresh() => return Poll::Pending,
                Progress::None | Progress::Some => {}
            }
        }
    }

    fn take_orders(&mut self, cx: &mut Context<'_>) -> Progress {
        let mut progress = Progress::None;
        while let Poll::Ready(order) = self.inbox.poll_recv(cx) {
            progress = Progress::Some;
            match order {
                Some(Order::Open(place, limit)) => self.open(place, limit),
                Some(Order::Send(batches)) => self.queue(batches),
                Some(Order::Abandon) => {
                    self.abandon();
                    return Progress::Over;
                }
                None => return Progress::Over,
            }
        }
        progress
    }

    fn open(&mut self, place: TopicPartition, limit: Arc<AtomicUsize>) {
        let leader = self.metadata.leader(&place.topic, place.partition).map(|leader| leader.id);
        let lane = Lane::new(place, self.rules.policy, limit);
        self.routes.push(Route { lane, way: None, ways: Vec::new(), listed: false, watched: None });
        self.lead_by(self.routes.len() - 1, leader);
    }

    fn queue(&mut self, batches: Vec<(usize, Filled)>) {
        for (at, filled) in batches {
            let Some(route) = self.routes.get_mut(at) else { continue };
            route.lane.push(filled);
            match &self.dead {
                None => {
                    self.watch(at);
                    self.list(at);
                }
                Some((kind, why)) => {
                    route.lane.refuse((*kind, why), &mut self.effects);
                    self.settle(at);
                }
            }
        }
    }

    fn abandon(&mut self) {
        for at in 0..self.routes.len() {
            if let Some(route) = self.routes.get_mut(at) {
                route.lane.abandon(&mut self.effects);
            }
            self.settle(at);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Connected(way, outcome) => self.connected(way, outcome),
            Event::Answered(sent, outcome) => self.answered(sent, outcome),
            Event::Identified(outcome) => self.identified(outcome),
            Event::Refreshed => self.refreshed(),
            Event::Learned(mut metadata) => {
                self.metadata = Arc::clone(&metadata.borrow_and_update());
                self.learn(metadata);
                self.follow_leaders();
            }
        }
    }

    /// Takes over what came of an event in a lane.
    fn settle(&mut self, at: usize) {
        let Some(route) = self.routes.get(at) else { return };
        let refresh = std::mem::take(&mut self.effects.refresh);
        self.outcomes.add(&route.lane.place, &mut self.effects, self.rules.receipts);
        if let Some((kind, why)) = self.effects.fatal.take() {
            self.die(kind, &why);
        }
        if refresh {
            self.refresh();
        }
    }

    /// Nothing will be taken any more.
    fn die(&mut self, kind: ErrorKind, why: &str) {
        if self.dead.is_some() {
            return;
        }
        self.dead = Some((kind, why.to_owned()));
        for at in 0..self.routes.len() {
            if let Some(route) = self.routes.get_mut(at) {
                route.lane.refuse((kind, why), &mut self.effects);
            }
            self.settle(at);
        }
        self.outcomes.fatal = Some((kind, why.to_owned()));
    }
}

/// The clock.
impl Driver {
    fn alarm(&mut self, at: Instant, alarm: Alarm) {
        self.alarms.push(Reverse((at, alarm)));
    }

    /// Watches the deadline of a lane's first batch.
    fn watch(&mut self, at: usize) {
        let Some(route) = self.routes.get_mut(at) else { return };
        if route.watched.is_none()
            && let Some(deadline) = route.lane.deadline()
        {
            route.watched = Some(deadline);
            self.alarm(deadline, Alarm::Lane(at));
        }
    }

    /// Does what is due, and sleeps until the next thing is.
    fn ring(&mut self, cx: &mut Context<'_>) -> Progress {
        let mut progress = Progress::None;
        loop {
            let now = Instant::now();
            while let Some(Reverse((at, alarm))) = self.alarms.peek().copied()
                && at <= now
            {
                self.alarms.pop();
                self.due(at, alarm, now);
                progress = Progress::Some;
            }
            let Some(Reverse((next, _))) = self.alarms.peek() else { return progress };
            let next = tokio::time::Instant::from_std(*next);
            if self.sleep.deadline() != next {
                self.sleep.as_mut().reset(next);
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                return progress;
            }
        }
    }

    fn due(&mut self, at: Instant, alarm: Alarm, now: Instant) {
        match alarm {
            Alarm::Refresh => self.refresh_again(),
            // It is looked at after each event.
            Alarm::Node(_) => {}
            Alarm::Lane(lane) => {
                let Some(route) = self.routes.get_mut(lane) else { return };
                if route.watched == Some(at) {
                    route.watched = None;
                }
                route.lane.expire(now, &mut self.effects);
                self.settle(lane);
                self.watch(lane);
                self.list(lane);
            }
        }
    }
}

impl Progress {
    fn or(self, other: Self) -> Self {
        if self == Self::None { other } else { self }
    }
}
