//! Connections to brokers. A broker answers the requests of one connection in turn, and on a partition's first
//! batch it waits for its disk (Kafka's `LeaderEpochFileCache`): over one connection alone many new partitions
//! would wait for each other. So those beyond the first few have further connections.

use std::collections::VecDeque;
use std::time::Instant;

use super::super::fault::Fault;
use super::{ASK_FOR, Alarm, Driver, Event};
use crate::backends::ErrorKind;
use crate::wire::net::{self, Connection, Purpose};

/// Connections to one broker, at most.
const CHANNELS: usize = 4;
/// So many partitions need no further connection.
const FEW: usize = 8;

/// A way to a broker: one of several connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Way {
    pub(super) broker: i32,
    channel: usize,
}

impl Way {
    /// The one that is there whenever there is any.
    pub(super) const fn first(broker: i32) -> Self {
        Self { broker, channel: 0 }
    }

    /// That of a lane, always the same: the first few share one, all others take turns.
    pub(super) const fn of(broker: i32, lane: usize) -> Self {
        Self { broker, channel: if lane < FEW { 0 } else { lane % CHANNELS } }
    }

    fn is_first(self) -> bool {
        self.channel == 0
    }
}

/// A connection and what goes over it.
#[derive(Debug, Default)]
pub(super) struct Channel {
    link: Link,
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

impl Driver {
    /// A way's connection, if a request may be sent on it now. One that is not there is opened, the first one
    /// before all others: it shows whether there is a broker.
    pub(super) fn usable(&mut self, way: Way, now: Instant) -> Option<Connection> {
        let (node, channel) = (self.nodes.get(&way.broker)?, self.channels.get(&way)?);
        let wanted = !channel.ready.is_empty() && channel.in_flight < self.rules.in_flight;
        if !wanted || node.not_before.is_some_and(|not_before| not_before > now) {
            return None;
        }
        if !way.is_first() {
            self.open_channel(Way::first(way.broker))?;
        }
        self.open_channel(way)
    }

    /// A way's connection, if it is open; else sees to it that it will be.
    fn open_channel(&mut self, way: Way) -> Option<Connection> {
        let channel = self.channels.entry(way).or_default();
        match &channel.link {
            Link::Open(connection) if connection.is_open() => return Some(connection.clone()),
            Link::Coming => return None,
            Link::Open(_) | Link::None => channel.link = Link::Coming,
        }
        let (cluster, timeout) = (self.cluster.clone(), self.rules.connect_timeout + ASK_FOR);
        self.tasks.push(async move {
            let deadline = tokio::time::Instant::now() + timeout;
            let purpose = Purpose::Produce { channel: way.channel };
            Event::Connected(way, cluster.connection(way.broker, purpose, deadline).await)
        });
        None
    }

    pub(super) fn connected(&mut self, way: Way, outcome: net::Result<Connection>) {
        let (channel, node) =
            (self.channels.entry(way).or_default(), self.nodes.entry(way.broker).or_default());
        match outcome {
            Ok(connection) => {
                channel.link = Link::Open(connection);
                node.narrow &= !way.is_first();
            }
            Err(error) => {
                channel.link = Link::None;
                if way.is_first() {
                    self.unreachable(way.broker, &error);
                } else {
                    node.narrow = true;
                    let ready = std::mem::take(&mut channel.ready);
                    ready.into_iter().for_each(|at| self.list_anew(at));
                }
            }
        }
    }

    /// No connection to a broker came about.
    fn unreachable(&mut self, id: i32, error: &net::Error) {
        let of_it = self.channels.iter_mut().filter(|(way, _)| way.broker == id);
        let ready: Vec<usize> = of_it.flat_map(|(_, channel)| channel.ready.drain(..)).collect();
        // Where the broker has no address yet it is not the connection that waits.
        let retry = Instant::now() + self.rules.retry_backoff;
        self.nodes.entry(id).or_default().not_before = Some(retry);
        self.went_down(id, error);
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
        self.alarm(retry, Alarm::Node(id));
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
