//! Connections to brokers. A broker answers the requests of one connection in turn, and on a partition's first
//! batch it waits for its disk (Kafka's `LeaderEpochFileCache`): over one connection alone many new partitions
//! would wait for each other. So those beyond the first few have further connections.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::fault::Fault;
use super::{ASK_FOR, Alarm, Driver, Event, Node, Route};
use crate::backends::ErrorKind;
use crate::wire::net::{self, Connection, Purpose};

/// Connections to one broker, at most.
const CHANNELS: usize = 4;
/// So many partitions of a broker need no further connection.
const FEW: usize = 8;
/// How long a further connection may take to come about: it is of no use then.
const FURTHER_WITHIN: Duration = Duration::from_secs(1);

/// A way to a broker: one of several connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Way {
    pub(super) broker: i32,
    channel: usize,
}

impl Way {
    /// The one that is there whenever there is any.
    pub(super) const fn first(self) -> Self {
        Self { channel: 0, ..self }
    }

    fn is_first(self) -> bool {
        self.channel == 0
    }
}

/// A connection and what goes over it.
#[derive(Debug, Default)]
pub(super) struct Channel {
    link: Link,
    /// It is not tried again before that.
    not_before: Option<Instant>,
    /// It did not come about: its lanes go over the first, for good, so that their batches keep their order.
    pub(super) is_refused: bool,
    pub(super) in_flight: usize,
    /// Lanes that may have something to send.
    pub(super) ready: VecDeque<usize>,
}

#[derive(Debug, Default)]
enum Link {
    #[default]
    None,
    Coming,
    Open(Connection),
}

impl Channel {
    fn connection(&self) -> Option<&Connection> {
        match &self.link {
            Link::Open(connection) => Some(connection).filter(|connection| connection.is_open()),
            Link::None | Link::Coming => None,
        }
    }
}

impl Route {
    /// The lane's way to a broker, always the same: the first few share a connection, all others take turns.
    /// Without acknowledgements nobody sees whether one connection is ahead of another.
    fn way_to(&mut self, broker: i32, node: &mut Node, acks: i16) -> Way {
        if let Some(way) = self.ways.iter().find(|way| way.broker == broker) {
            return *way;
        }
        node.lanes += 1;
        let is_first = node.lanes <= FEW || acks == 0;
        let way = Way { broker, channel: if is_first { 0 } else { node.lanes % CHANNELS } };
        self.ways.push(way);
        way
    }
}

impl Driver {
    /// A lane has another leader, or none at present. What was to be sent is not left on the lists of the one before.
    pub(super) fn lead_by(&mut self, at: usize, leader: Option<i32>) {
        let Some(route) = self.routes.get_mut(at) else { return };
        let before = route.way.take();
        route.listed = false;
        if let Some(id) = leader {
            route.way = Some(route.way_to(id, self.nodes.entry(id).or_default(), self.rules.acks));
            route.lane.hurry();
        }
        if let Some(before) = before {
            self.channels_of(before.broker).for_each(|channel| channel.ready.retain(|lane| *lane != at));
        }
    }

    /// A way's connection, if a request may be sent on it now. One that is not there is opened, the first one
    /// before all others: it shows whether there is a broker.
    pub(super) fn usable(&mut self, way: Way, now: Instant) -> Option<Connection> {
        let (node, channel) = (self.nodes.get(&way.broker)?, self.channels.get(&way)?);
        let wanted = !channel.ready.is_empty() && channel.in_flight < self.rules.in_flight;
        if !wanted || node.not_before.is_some_and(|not_before| not_before > now) {
            return None;
        }
        if let Some(connection) = channel.connection() {
            return Some(connection.clone());
        }
        if !way.is_first() && self.channels.entry(way.first()).or_default().connection().is_none() {
            self.connect(way.first(), now);
        } else {
            self.connect(way, now);
        }
        None
    }

    fn connect(&mut self, way: Way, now: Instant) {
        let channel = self.channels.entry(way).or_default();
        let is_early = channel.not_before.is_some_and(|not_before| not_before > now);
        if is_early || matches!(channel.link, Link::Coming) {
            return;
        }
        channel.link = Link::Coming;
        let within = if way.is_first() { self.rules.connect_timeout + ASK_FOR } else { FURTHER_WITHIN };
        let cluster = self.cluster.clone();
        self.tasks.push(async move {
            let deadline = tokio::time::Instant::now() + within;
            let purpose = Purpose::Produce { channel: way.channel };
            Event::Connected(way, cluster.connection(way.broker, purpose, deadline).await)
        });
    }

    pub(super) fn connected(&mut self, way: Way, outcome: net::Result<Connection>) {
        match outcome {
            Ok(connection) => {
                self.channels.entry(way).or_default().link = Link::Open(connection);
            }
            Err(error) => {
                let channel = self.channels.entry(way).or_default();
                channel.link = Link::None;
                if way.is_first() {
                    // Where the broker has no address yet it is not the connection that waits.
                    let retry = Instant::now() + self.rules.retry_backoff;
                    channel.not_before = Some(retry);
                    self.alarm(retry, Alarm::Node(way.broker));
                    self.unreachable(way.broker, &error);
                } else {
                    channel.is_refused = true;
                    let ready = std::mem::take(&mut channel.ready);
                    ready.into_iter().for_each(|at| self.list_anew(at));
                }
            }
        }
    }

    fn channels_of(&mut self, id: i32) -> impl Iterator<Item = &mut Channel> {
        self.channels.iter_mut().filter(move |(way, _)| way.broker == id).map(|(_, channel)| channel)
    }

    /// No first connection to a broker came about. Those that are open are good as long as they last.
    fn unreachable(&mut self, id: i32, error: &net::Error) {
        let closed = self.channels_of(id).filter(|channel| channel.connection().is_none());
        let ready: Vec<usize> = closed.flat_map(|channel| channel.ready.drain(..)).collect();
        if self.channels_of(id).all(|channel| channel.connection().is_none()) {
            self.went_down(id, error);
        }
        let (kind, why) = Fault::Lost(error.clone()).reason();
        for at in ready {
            if let Some(route) = self.routes.get_mut(at) {
                route.lane.blame(ErrorKind::TimedOut, &why);
                if !error.is_retriable() {
                    route.lane.refuse((kind, &why), &mut self.effects);
                }
            }
            self.settle(at);
            self.list_anew(at);
        }
        self.refresh();
    }

    /// Lists a lane that was taken from a list.
    fn list_anew(&mut self, at: usize) {
        if let Some(route) = self.routes.get_mut(at) {
            route.listed = false;
        }
        self.list(at);
    }
}
