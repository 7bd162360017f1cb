//! Brokers: sending what is ready, and what comes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::fault::Fault;
use super::super::lane::Placed;
use super::super::request::{self, Finder, Item};
use super::channels::{Channel, Way};
use super::{Alarm, Asking, Driver, Event, Sent};
use crate::backends::{ErrorKind, Notice};
use crate::wire::messages::ProduceResponse;
use crate::wire::net::{self, Answer, Connection, Kind, Sending};

impl Driver {
    /// Puts a lane on its leader's list, if it may have something to send.
    pub(super) fn list(&mut self, at: usize) {
        let Some(route) = self.routes.get_mut(at).filter(|route| !route.lane.is_empty()) else { return };
        match route.way {
            Some(way) if !route.listed => {
                route.listed = true;
                let is_refused = self.channels.get(&way).is_some_and(|channel| channel.is_refused);
                let way = if is_refused { way.first() } else { way };
                self.channels.entry(way).or_default().ready.push_back(at);
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
        let waiting = |channel: &Channel| !channel.ready.is_empty();
        let ways: Vec<Way> =
            self.channels.iter().filter(|(_, channel)| waiting(channel)).map(|(way, _)| *way).collect();
        let now = Instant::now();
        for way in ways {
            self.dispatch(way, now);
        }
    }

    /// Sends to a broker what is ready, as far as the connection takes it.
    fn dispatch(&mut self, way: Way, now: Instant) {
        while let Some(connection) = self.usable(way, now) {
            let mut items = self.gather(way, now);
            if items.is_empty() {
                return;
            }
            request::arrange(&mut items);
            self.send(way, &connection, items);
        }
    }

    /// Batches for one request.
    fn gather(&mut self, way: Way, now: Instant) -> Vec<Item> {
        let (mut items, mut size) = (Vec::new(), 0);
        while let Some(at) = self.channels.get_mut(&way).and_then(|channel| channel.ready.pop_front()) {
            let Some(route) = self.routes.get_mut(at) else { continue };
            match route.lane.ready(now, self.identity, &mut self.tools) {
                None => {
                    route.listed = false;
                    self.rest(at);
                }
                Some(bytes) if !items.is_empty() && size + bytes > self.rules.max_request => {
                    self.channels.entry(way).or_default().ready.push_front(at);
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

    fn send(&mut self, way: Way, connection: &Connection, items: Vec<Item>) {
        if let Some(channel) = self.channels.get_mut(&way) {
            channel.in_flight += 1;
        }
        let (timeout, at) = (self.rules.request_timeout, Instant::now());
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let request = request::request(&items, self.rules.acks, timeout_ms);
        let sending = Sending::within(timeout).with_payload(Arc::new(request::load(&items)));
        if self.rules.acks == 0 {
            let written = connection.post(&request, sending);
            self.tasks.push(async move {
                let outcome = written.await.map(|()| None);
                Event::Answered(Sent { way, at, items }, outcome)
            });
        } else {
            let answer = connection.send(&request, sending);
            self.tasks.push(async move {
                let outcome = answer.await.map(Some);
                Event::Answered(Sent { way, at, items }, outcome)
            });
        }
    }

    /// Tells the user once that a broker does not answer.
    pub(super) fn went_down(&mut self, id: i32, error: &net::Error) {
        let node = self.nodes.entry(id).or_default();
        if node.down.is_none() && error.is_retriable() {
            let address = self.metadata.broker(id).map(|broker| broker.address.to_string());
            let place = address.map_or_else(|| format!("broker {id}"), |address| format!("broker {address}"));
            node.down = Some((Instant::now(), place.clone()));
            let (_, why) = Fault::Lost(error.clone()).reason();
            self.outcomes.notice(Notice::Lost { place, why });
        }
    }

    /// It has answered what was sent then: that it did so before it went down tells nothing.
    fn came_back(&mut self, id: i32, sent: Instant) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if let Some((since, place)) = node.down.take_if(|(since, _)| *since <= sent) {
            self.outcomes.notice(Notice::Back { place, after: since.elapsed() });
        }
    }

    /// Nobody waits for a broker that leads no partition any more.
    pub(super) fn forget_replaced(&mut self) {
        for (id, node) in self.nodes.iter_mut().filter(|(_, node)| node.down.is_some()) {
            let leads = self.routes.iter().any(|route| route.way.is_some_and(|way| way.broker == *id));
            if !leads && let Some((_, place)) = node.down.take() {
                self.outcomes.notice(Notice::Replaced { place });
            }
        }
    }

    pub(super) fn answered(&mut self, sent: Sent, outcome: net::Result<Option<Answer>>) {
        let Sent { way, at, items } = sent;
        if let Some(channel) = self.channels.get_mut(&way) {
            channel.in_flight = channel.in_flight.saturating_sub(1);
        }
        let id = way.broker;
        match outcome {
            Ok(None) => {
                self.came_back(id, at);
                items.into_iter().for_each(|item| self.tell(item, Ok(Placed::SOMEWHERE)));
            }
            Ok(Some(answer)) => match answer.read::<ProduceResponse<'_>>() {
                Ok(told) => {
                    self.came_back(id, at);
                    self.read(id, items, &told);
                }
                Err(error) => self.lost(id, items, &error),
            },
            Err(error) => self.lost(id, items, &error),
        }
    }

    fn read(&mut self, id: i32, items: Vec<Item>, told: &ProduceResponse<'_>) {
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
