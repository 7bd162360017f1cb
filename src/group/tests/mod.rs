//! Members as their drivers see them, with a clock of our own.

mod assignors;
mod classic;
mod classic_errors;
mod consumer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::record::TopicPartition;
use crate::wire::Uuid;

const SESSION: Duration = Duration::from_secs(45);
const INTERVAL: Duration = Duration::from_secs(3);
const MAX_POLL: Duration = Duration::from_secs(300);
const BACKOFF: Duration = Duration::from_millis(100);
const REQUEST: Duration = Duration::from_secs(30);

/// Terms of a member of the group `g`.
fn terms(protocol: Protocol) -> Terms {
    Terms {
        group_id: "g".into(),
        instance_id: None,
        rack_id: None,
        max_poll_interval: MAX_POLL,
        retry_backoff: BACKOFF,
        request_timeout: REQUEST,
        protocol,
    }
}

fn classic(assignors: &[Assignor]) -> Terms {
    terms(Protocol::Classic {
        session_timeout: SESSION,
        heartbeat_interval: INTERVAL,
        assignors: assignors.to_vec(),
    })
}

fn names(topics: &[&str]) -> BTreeSet<Arc<str>> {
    topics.iter().map(|topic| Arc::from(*topic)).collect()
}

/// Topics with so many partitions; the first has an id of ones, the second of twos and so on.
fn topics(counts: &[(&str, i32)]) -> Arc<Topics> {
    let topic = |(n, (name, partitions)): (u8, &(&str, i32))| {
        (Arc::from(*name), Topic { id: Uuid([n; 16]), partitions: *partitions })
    };
    Arc::new((1..).zip(counts).map(topic).collect())
}

fn places(topic: &str, partitions: impl IntoIterator<Item = i32>) -> Vec<TopicPartition> {
    let place = |partition| TopicPartition { topic: topic.into(), partition };
    partitions.into_iter().map(place).collect()
}

/// A member, the time, and what it wants to be done.
#[derive(Debug)]
struct Desk {
    member: Member,
    now: Instant,
    todo: VecDeque<Action>,
    /// How the group assigns, in the classic protocol.
    assignor: Assignor,
}

impl Desk {
    fn new(terms: Terms) -> Self {
        let now = Instant::now();
        let assignor = match &terms.protocol {
            Protocol::Classic { assignors, .. } => assignors[0],
            Protocol::Consumer { .. } => Assignor::Range,
        };
        Self { member: Member::new(terms, now), now, todo: VecDeque::new(), assignor }
    }

    fn tell(&mut self, event: Event<'_>) {
        self.todo.extend(self.member.step(event, self.now));
    }

    fn subscribe(&mut self, topics: &[&str]) {
        self.tell(Event::Subscribed(names(topics)));
    }

    /// Lets time pass, with a tick whenever one is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.member.next_time().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.tell(Event::Tick);
            // Or its driver would never sleep.
            assert!(self.member.next_time() != Some(due), "a tick for nothing: {self:?}");
        }
        self.now = end;
    }

    fn next(&mut self) -> Action {
        self.todo.pop_front().expect("nothing is to be done")
    }

    fn nothing(&self) {
        assert!(self.todo.is_empty(), "{:?}", self.todo);
    }

    /// The request that is to be sent next.
    fn sent(&mut self) -> (Ticket, Request) {
        match self.next() {
            Action::Send { ticket, request, .. } => (ticket, request),
            other => panic!("{other:?}"),
        }
    }

    /// The ticket of the revocation that is next, of these.
    fn revoked(&mut self, places: &[TopicPartition]) -> Ticket {
        match self.next() {
            Action::Revoke { ticket, partitions } if partitions == places => ticket,
            other => panic!("{other:?}"),
        }
    }

    /// The ticket of the question that is next.
    fn asked(&mut self) -> Ticket {
        match self.next() {
            Action::Learn { ticket, .. } => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn failed(&mut self) -> Fault {
        match self.next() {
            Action::Fail(fault) => fault,
            other => panic!("{other:?}"),
        }
    }
}
