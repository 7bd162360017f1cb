//! Tests of a group with topics and time passed in.

mod assigning;
mod driving;
mod epochs;
mod interleavings;
mod journal;
mod reconciling;

use super::super::persist::Edits;
use super::*;
use crate::wire::messages::ConsumerGroupHeartbeatTopic;

/// Xorshift (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

type Request = ConsumerGroupHeartbeatRequest<'static>;
type Response = ConsumerGroupHeartbeatResponse<'static>;

/// A group with its topics and its clock.
struct World {
    group: Group,
    /// Name, id, number of partitions.
    topics: Vec<(String, u8, i32)>,
    options: Options,
    now: i64,
}

/// The id of a topic.
fn id(n: u8) -> TopicId {
    [n; 16]
}

impl World {
    /// A world with topics `a`, `b` and so on of so many partitions.
    fn new(partitions: &[i32]) -> Self {
        let topics = (1..).zip(partitions).map(|(n, count)| (char::from(b'`' + n).to_string(), n, *count));
        let options = Options::default();
        Self { group: Group::default(), topics: topics.collect(), options, now: 1_000_000 }
    }

    fn beat(&mut self, member: &str, request: &Request) -> Result<Response, i16> {
        // The borrow of the topics must not hold the group.
        let all = self.topics.clone();
        let topic = all.iter().map(|(name, n, count)| Topic { name, id: id(*n), partitions: *count });
        let topics = Topics::new(topic.collect());
        let beat = Beat { request, member_id: member, client_id: "client", client_host: "/127.0.0.1" };
        let answer = self.group.heartbeat(beat, &topics, &self.options, self.now);
        answer.map_err(|failure| failure.code)
    }

    /// A join that is let in. Returns the member's epoch and what it is to have.
    fn join(&mut self, member: &str, names: &[&str]) -> (i32, Vec<(u8, i32)>) {
        let answer = self.beat(member, &join(names)).unwrap();
        (answer.member_epoch, told(&answer).unwrap())
    }

    /// A heartbeat with nothing new. Returns what is told, if that is something.
    fn ping(&mut self, member: &str) -> Option<Vec<(u8, i32)>> {
        let epoch = self.group.members[member].epoch;
        told(&self.beat(member, &at(epoch)).unwrap())
    }

    /// A heartbeat that says what the member has.
    fn own(&mut self, member: &str, places: &[(u8, i32)]) -> Option<Vec<(u8, i32)>> {
        let request =
            Request { topic_partitions: Some(owned(places)), ..at(self.group.members[member].epoch) };
        told(&self.beat(member, &request).unwrap())
    }

    fn leave(&mut self, member: &str) {
        self.beat(member, &at(LEAVE)).unwrap();
    }

    /// Lets time pass, with the broker awake whenever something is due.
    fn pass(&mut self, ms: i64) {
        let end = self.now + ms;
        while let Some(due) = self.group.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.group.expire(self.now);
        }
        self.now = end;
    }

    fn state(&self) -> &'static str {
        self.group.state().name()
    }

    /// Fails if two members have one partition.
    fn check_no_one_shares(&self) {
        let mut seen = Places::new();
        for member in self.group.members.values() {
            for place in member.assigned.iter().chain(&member.revoking) {
                assert!(seen.insert(*place), "{place:?} twice");
            }
        }
    }
}

/// A heartbeat of this epoch with nothing new.
fn at(epoch: i32) -> Request {
    Request { group_id: "g".into(), member_epoch: epoch, ..Default::default() }
}

/// A full request that joins.
fn join(names: &[&str]) -> Request {
    Request {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(names.iter().map(|name| (*name).to_owned().into()).collect()),
        topic_partitions: Some(Vec::new()),
        ..at(JOIN)
    }
}

fn join_by_pattern(pattern: &str) -> Request {
    let subscribed_topic_regex = Some(pattern.to_owned().into());
    Request { subscribed_topic_names: None, subscribed_topic_regex, ..join(&[]) }
}

fn join_as(instance: &str, names: &[&str]) -> Request {
    Request { instance_id: Some(instance.to_owned().into()), ..join(names) }
}

fn owned(places: &[(u8, i32)]) -> Vec<ConsumerGroupHeartbeatTopic> {
    assignment(&places.iter().map(|(topic, partition)| (id(*topic), *partition)).collect()).topic_partitions
}

/// What an answer says the member is to have.
fn told(answer: &Response) -> Option<Vec<(u8, i32)>> {
    let places = places(&answer.assignment.as_ref()?.topic_partitions);
    Some(places.into_iter().map(|(topic, partition)| (topic[0], partition)).collect())
}
