//! The task that sends: one for all partitions and brokers, on the client's own thread. What may be sent and
//! what answers mean is decided in [`super::lane`]; here are the connections, the metadata and the clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

use super::fault::Fault;
use super::lane::{Effects, Idempotence, Lane, Placed, Policy, Tools};
use super::outcomes::{Outcomes, Receipts};
use super::parcel::Filled;
use super::request::{self, Finder, Item};
use super::sequence::Identity;
use super::tasks::Tasks;
use crate::backends::mailbox::Mailbox;
use crate::backends::{ErrorKind, TopicPartition};
use crate::units;
use crate::wire::ErrorCode;
use crate::wire::messages::{InitProducerIdRequest, InitProducerIdResponse, ProduceResponse};
use crate::wire::net::{self, Answer, Cluster, Connection, Kind, Metadata, Purpose, Sending};

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
    /// Requests on one connection.
    pub(super) in_flight: usize,
    /// Bytes of batches in one request, unless one alone is larger.
    pub(super) max_request: usize,
    pub(super) receipts: Receipts,
}

/// Something that was waited for.
#[derive(Debug)]
enum Event {
    Connected(i32, net::Result<Connection>),
    Answered(i32, Vec<Item>, net::Result<Option<Answer>>),
    Identified(net::Result<Identity>),
    Refreshed,
    Learned(watch::Receiver<Arc<Metadata>>),
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
    leader: Option<i32>,
    /// It is in its leader's list.
    listed: bool,
    /// When its deadline is looked at.
    watched: Option<Instant>,
}

/// A broker.
#[derive(Debug, Default)]
struct Node {
    link: Link,
    in_flight: usize,
    /// Lanes that may have something to send.
    ready: VecDeque<usize>,
    /// Nothing is sent to it before that.
    not_before: Option<Instant>,
    /// Since when it does not answer.
    down: Option<Instant>,
}

#[derive(Debug, Default)]
enum Link {
    #[default]
    None,
    Coming,
    Open(Connection),
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
        self.routes.push(Route { lane, leader, listed: false, watched: None });
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
            Event::Connected(id, outcome) => self.connected(id, outcome),
            Event::Answered(id, items, outcome) => self.answered(id, items, outcome),
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

/// Metadata and the producer's id.
impl Driver {
    fn learn(&mut self, mut metadata: watch::Receiver<Arc<Metadata>>) {
        self.tasks.push(async move {
            // It ends with the cluster, and so does this.
            if metadata.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            Event::Learned(metadata)
        });
    }

    fn follow_leaders(&mut self) {
        let now = Instant::now();
        for at in 0..self.routes.len() {
            let Some(route) = self.routes.get_mut(at) else { return };
            let place = &route.lane.place;
            let leader = self.metadata.leader(&place.topic, place.partition).map(|leader| leader.id);
            let failed = self.metadata.topic(&place.topic).and_then(|topic| topic.error);
            if leader.is_some() && leader != route.leader {
                route.lane.hurry();
            }
            route.leader = leader;
            if let Some(code) = failed {
                self.topic_failed(at, code, now);
            }
            self.list(at);
        }
    }

    fn topic_failed(&mut self, at: usize, code: ErrorCode, now: Instant) {
        let Some(route) = self.routes.get_mut(at).filter(|route| !route.lane.is_empty()) else { return };
        let fault = Fault::of(code);
        match code {
            ErrorCode::UnknownTopicOrPartition => route.lane.unknown(&fault, now, &mut self.effects),
            code if code.is_retriable() => {}
            _ => {
                let (kind, why) = fault.reason();
                route.lane.refuse((kind, &why), &mut self.effects);
            }
        }
        self.settle(at);
    }

    /// Asks for metadata, unless that is under way.
    fn refresh(&mut self) {
        if self.asking == Asking::UnderWay {
            return;
        }
        self.asking = Asking::UnderWay;
        let cluster = self.cluster.clone();
        self.tasks.push(async move {
            // Whatever comes of it is seen in the metadata.
            let _ = cluster.refresh(&[], tokio::time::Instant::now() + ASK_FOR).await;
            Event::Refreshed
        });
    }

    fn refreshed(&mut self) {
        self.asking = Asking::Later;
        self.alarm(Instant::now() + self.rules.retry_backoff, Alarm::Refresh);
    }

    /// Asks again if there are batches without a leader to send them to.
    fn refresh_again(&mut self) {
        self.asking = Asking::No;
        if self.routes.iter().any(|route| route.leader.is_none() && !route.lane.is_empty()) {
            self.follow_leaders();
            self.refresh();
        }
    }

    fn identify(&mut self) {
        if self.identifying {
            return;
        }
        self.identifying = true;
        let (cluster, rules) = (self.cluster.clone(), self.rules);
        self.tasks.push(async move {
            loop {
                match identify(&cluster, rules.request_timeout).await {
                    Err(error) if error.is_retriable() => sleep(rules.retry_backoff).await,
                    outcome => return Event::Identified(outcome),
                }
            }
        });
    }

    fn identified(&mut self, outcome: net::Result<Identity>) {
        self.identifying = false;
        match outcome {
            Ok(identity) => {
                self.identity = Some(identity);
                (0..self.routes.len()).for_each(|at| self.list(at));
            }
            Err(error) => {
                let (kind, why) = Fault::Lost(error).reason();
                self.die(kind, &format!("no producer id: {why}"));
            }
        }
    }
}

async fn identify(cluster: &Cluster, timeout: Duration) -> net::Result<Identity> {
    let connection = cluster.any(tokio::time::Instant::now() + timeout).await?;
    let request = InitProducerIdRequest { transaction_timeout_ms: i32::MAX, ..Default::default() };
    let answer = connection.send(&request, Sending::within(timeout)).await?;
    let told: InitProducerIdResponse = answer.read()?;
    match ErrorCode::of(told.error_code) {
        None => Ok(Identity { id: told.producer_id, epoch: told.producer_epoch }),
        Some(code) => Err(net::Error::of_code(code, "InitProducerId")),
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

/// Brokers.
impl Driver {
    /// Puts a lane on its leader's list, if it may have something to send.
    fn list(&mut self, at: usize) {
        let Some(route) = self.routes.get_mut(at).filter(|route| !route.lane.is_empty()) else { return };
        match route.leader {
            Some(leader) if !route.listed => {
                route.listed = true;
                self.nodes.entry(leader).or_default().ready.push_back(at);
            }
            Some(_) => {}
            None => {
                route.lane.blame(ErrorKind::Unreachable, "no broker leads this partition");
                if self.asking == Asking::No {
                    self.refresh();
                }
            }
        }
    }

    fn dispatch_all(&mut self) {
        let waiting = |node: &Node| !node.ready.is_empty();
        let ids: Vec<i32> = self.nodes.iter().filter(|(_, node)| waiting(node)).map(|(id, _)| *id).collect();
        let now = Instant::now();
        for id in ids {
            self.dispatch(id, now);
        }
    }

    /// Sends to a broker what is ready, as far as its connection takes it.
    fn dispatch(&mut self, id: i32, now: Instant) {
        while let Some(connection) = self.usable(id, now) {
            let mut items = self.gather(id, now);
            if items.is_empty() {
                return;
            }
            request::arrange(&mut items);
            self.send(id, &connection, items);
        }
    }

    /// A broker's connection, if a request may be sent on it now. One that is not there is opened.
    fn usable(&mut self, id: i32, now: Instant) -> Option<Connection> {
        let node = self.nodes.get_mut(&id)?;
        if node.ready.is_empty() || node.not_before.is_some_and(|not_before| not_before > now) {
            return None;
        }
        match &node.link {
            Link::Open(connection) if connection.is_open() => {
                (node.in_flight < self.rules.in_flight).then(|| connection.clone())
            }
            Link::Coming => None,
            Link::Open(_) | Link::None => {
                node.link = Link::Coming;
                let (cluster, timeout) = (self.cluster.clone(), self.rules.connect_timeout + ASK_FOR);
                self.tasks.push(async move {
                    let deadline = tokio::time::Instant::now() + timeout;
                    Event::Connected(id, cluster.connection(id, Purpose::Produce, deadline).await)
                });
                None
            }
        }
    }

    /// Batches for one request.
    fn gather(&mut self, id: i32, now: Instant) -> Vec<Item> {
        let (mut items, mut size) = (Vec::new(), 0);
        while let Some(at) = self.nodes.get_mut(&id).and_then(|node| node.ready.pop_front()) {
            let Some(route) = self.routes.get_mut(at) else { continue };
            if route.leader != Some(id) {
                route.listed = false;
                self.list(at);
                continue;
            }
            match route.lane.ready(now, self.identity, &mut self.tools) {
                None => {
                    route.listed = false;
                    self.rest(at);
                }
                Some(bytes) if !items.is_empty() && size + bytes > self.rules.max_request => {
                    self.nodes.entry(id).or_default().ready.push_front(at);
                    break;
                }
                Some(bytes) => {
                    size += bytes;
                    route.listed = false;
                    let place = route.lane.place.clone();
                    items.extend(route.lane.take().map(|(ticket, parcel)| Item {
                        lane: at,
                        ticket,
                        place,
                        parcel,
                    }));
                }
            }
        }
        // They may have more.
        items.iter().for_each(|item| self.list(item.lane));
        items
    }

    /// Nothing of a lane can be sent now: sees to it that it is looked at in time.
    fn rest(&mut self, at: usize) {
        let Some(route) = self.routes.get(at) else { return };
        if let Some(pause) = route.lane.pause() {
            self.alarm(pause, Alarm::Lane(at));
        } else if route.lane.needs_identity(self.identity) {
            self.identify();
        }
    }

    fn send(&mut self, id: i32, connection: &Connection, items: Vec<Item>) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.in_flight += 1;
        }
        let timeout = self.rules.request_timeout;
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let request = request::request(&items, self.rules.acks, timeout_ms);
        let sending = Sending::within(timeout).with_payload(Arc::new(request::load(&items)));
        if self.rules.acks == 0 {
            let written = connection.post(&request, sending);
            self.tasks.push(async move { Event::Answered(id, items, written.await.map(|()| None)) });
        } else {
            let answer = connection.send(&request, sending);
            self.tasks.push(async move { Event::Answered(id, items, answer.await.map(Some)) });
        }
    }

    fn connected(&mut self, id: i32, outcome: net::Result<Connection>) {
        let node = self.nodes.entry(id).or_default();
        match outcome {
            Ok(connection) => node.link = Link::Open(connection),
            Err(error) => {
                node.link = Link::None;
                let ready = std::mem::take(&mut node.ready);
                // Where the broker has no address yet it is not the connection that waits.
                let retry = Instant::now() + self.rules.retry_backoff;
                node.not_before = Some(retry);
                self.went_down(id, &error);
                let (kind, why) = Fault::Lost(error.clone()).reason();
                for at in ready {
                    if let Some(route) = self.routes.get_mut(at) {
                        route.listed = false;
                        route.lane.blame(ErrorKind::TimedOut, &why);
                        if !error.is_retriable() {
                            route.lane.refuse((kind, &why), &mut self.effects);
                        }
                    }
                    self.settle(at);
                    self.list(at);
                }
                self.alarm(retry, Alarm::Node(id));
                self.refresh();
            }
        }
    }

    /// Tells the user once that a broker does not answer.
    fn went_down(&mut self, id: i32, error: &net::Error) {
        let node = self.nodes.entry(id).or_default();
        if node.down.is_none() && error.is_retriable() {
            node.down = Some(Instant::now());
            let (_, why) = Fault::Lost(error.clone()).reason();
            self.outcomes.warn(format!("{why}; trying again"));
        }
    }

    fn came_back(&mut self, id: i32) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let (Some(since), Link::Open(connection)) = (node.down.take(), &node.link) else { return };
        let after = units::human_duration(since.elapsed());
        self.outcomes.warn(format!("broker {} is back after {after}", connection.address()));
    }

    fn answered(&mut self, id: i32, items: Vec<Item>, outcome: net::Result<Option<Answer>>) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.in_flight = node.in_flight.saturating_sub(1);
        }
        match outcome {
            Ok(None) => {
                self.came_back(id);
                items.into_iter().for_each(|item| self.tell(item, Ok(Placed::SOMEWHERE)));
            }
            Ok(Some(answer)) => match answer.read::<ProduceResponse<'_>>() {
                Ok(told) => self.read(id, items, &told),
                Err(error) => self.lost(id, items, &error),
            },
            Err(error) => self.lost(id, items, &error),
        }
    }

    fn read(&mut self, id: i32, items: Vec<Item>, told: &ProduceResponse<'_>) {
        self.came_back(id);
        self.throttle(id, told.throttle_time_ms);
        let mut finder = Finder::new(told);
        for item in items {
            let said = finder.find(&item.place);
            if let Some((leader, address)) = said.leader {
                self.cluster.note_leader(&item.place.topic, item.place.partition, leader, address);
            }
            self.tell(item, said.result);
        }
    }

    fn lost(&mut self, id: i32, items: Vec<Item>, error: &net::Error) {
        if error.sent() == net::Sent::Maybe || error.kind() != Kind::Closed {
            self.went_down(id, error);
        }
        items.into_iter().for_each(|item| self.tell(item, Err(Fault::Lost(error.clone()))));
    }

    /// What was asked is done: only the next requests are to come later.
    fn throttle(&mut self, id: i32, throttle_time_ms: i32) {
        let Ok(time @ 1..) = u64::try_from(throttle_time_ms) else { return };
        let until = Instant::now() + Duration::from_millis(time);
        if let Some(node) = self.nodes.get_mut(&id)
            && node.not_before.is_none_or(|not_before| not_before < until)
        {
            node.not_before = Some(until);
            self.alarm(until, Alarm::Node(id));
        }
    }

    fn tell(&mut self, item: Item, result: Result<Placed, Fault>) {
        let now = Instant::now();
        let Item { lane, ticket, parcel, .. } = item;
        if let Some(route) = self.routes.get_mut(lane) {
            let (tools, effects) = (&mut self.tools, &mut self.effects);
            route.lane.answered((ticket, parcel), result, now, tools, effects);
        }
        self.settle(lane);
        self.list(lane);
    }
}

impl Progress {
    fn or(self, other: Self) -> Self {
        if self == Self::None { other } else { self }
    }
}
