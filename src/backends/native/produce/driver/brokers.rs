//! Brokers: connecting, sending what is ready, and what comes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::fault::Fault;
use super::super::lane::Placed;
use super::super::request::{self, Finder, Item};
use super::{ASK_FOR, Alarm, Asking, Driver, Event, Link, Node};
use crate::backends::{ErrorKind, Notice};
use crate::wire::messages::ProduceResponse;
use crate::wire::net::{self, Answer, Connection, Kind, Purpose, Sending};

impl Driver {
    /// Puts a lane on its leader's list, if it may have something to send.
    pub(super) fn list(&mut self, at: usize) {
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

    pub(super) fn dispatch_all(&mut self) {
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

    pub(super) fn connected(&mut self, id: i32, outcome: net::Result<Connection>) {
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
            let address = self.metadata.broker(id).map(|broker| broker.address.to_string());
            let place = address.map_or_else(|| format!("broker {id}"), |address| format!("broker {address}"));
            node.down = Some((Instant::now(), place.clone()));
            let (_, why) = Fault::Lost(error.clone()).reason();
            self.outcomes.notice(Notice::Lost { place, why });
        }
    }

    fn came_back(&mut self, id: i32) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if let Some((since, place)) = node.down.take() {
            self.outcomes.notice(Notice::Back { place, after: since.elapsed() });
        }
    }

    /// Nobody waits for a broker that leads no partition any more.
    pub(super) fn forget_replaced(&mut self) {
        for (id, node) in self.nodes.iter_mut().filter(|(_, node)| node.down.is_some()) {
            let leads = self.routes.iter().any(|route| route.leader == Some(*id));
            if !leads && let Some((_, place)) = node.down.take() {
                self.outcomes.notice(Notice::Replaced { place });
            }
        }
    }

    pub(super) fn answered(&mut self, id: i32, items: Vec<Item>, outcome: net::Result<Option<Answer>>) {
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
