//! Consumer groups with librdkafka's consumers.

use std::time::Instant;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::{ClientContext, Message, TopicPartitionList};

use super::*;

/// Counts what happens to a member.
#[derive(Default)]
struct Counts(Mutex<Vec<String>>);

impl ClientContext for Counts {}

impl ConsumerContext for Counts {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let (word, list) = match rebalance {
            Rebalance::Assign(list) => ("+", list),
            Rebalance::Revoke(list) => ("-", list),
            Rebalance::Error(why) => return self.0.lock().unwrap().push(why.to_string()),
        };
        self.0.lock().unwrap().push(format!("{word}{}", list.count()));
    }
}

type Member = BaseConsumer<Counts>;

fn member(broker: &Broker, more: &[(&str, &str)]) -> Member {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.addr().to_string()).set("group.id", "g");
    config.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "100");
    config.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    for (name, value) in more {
        config.set(*name, *value);
    }
    let member: Member = config.create_with_context(Counts::default()).unwrap();
    member.subscribe(&["t"]).unwrap();
    member
}

/// What a member reads.
fn assigned(member: &Member) -> Vec<i32> {
    let list = member.assignment().unwrap();
    let mut partitions: Vec<i32> = list.elements().iter().map(|it| it.partition()).collect();
    partitions.sort_unstable();
    partitions
}

fn events(member: &Member) -> Vec<String> {
    member.context().0.lock().unwrap().clone()
}

/// Has members poll until something holds.
fn poll_until(members: &[&Member], mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "{:?}", members.iter().map(|it| assigned(it)).collect::<Vec<_>>());
        for member in members {
            if let Some(polled) = member.poll(Duration::from_millis(10)) {
                polled.unwrap();
            }
        }
    }
}

/// True when the members read all four partitions, two each.
fn share(one: &Member, other: &Member) -> bool {
    let (mut all, others) = (assigned(one), assigned(other));
    let is_fair = all.len() == 2 && others.len() == 2;
    all.extend(others);
    all.sort_unstable();
    is_fair && all == [0, 1, 2, 3]
}

fn with_topic() -> Broker {
    let broker = broker();
    Raw::connect(broker.addr()).create("t", 4);
    broker
}

#[test]
fn two_members_share_and_the_one_that_stays_gets_all() {
    for strategy in ["range", "roundrobin", "cooperative-sticky"] {
        let broker = with_topic();
        let more = [("partition.assignment.strategy", strategy)];
        let (one, other) = (member(&broker, &more), member(&broker, &more));
        poll_until(&[&one, &other], || share(&one, &other));
        drop(one);
        poll_until(&[&other], || assigned(&other) == [0, 1, 2, 3]);
        let cooperative = strategy == "cooperative-sticky";
        assert_eq!(events(&other).last().map(String::as_str), Some(if cooperative { "+2" } else { "+4" }));
    }
}

#[test]
fn partitions_of_a_member_that_dies_are_read_by_the_other() {
    let broker = with_topic();
    let one = member(&broker, &[("partition.assignment.strategy", "range")]);
    poll_until(&[&one], || assigned(&one).len() == 4);
    // Another member in our own messages: it never shows a sign of life.
    let mut raw = Raw::connect(broker.addr());
    let mut join = join_group("g", "");
    join.protocols[0].metadata = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"[..].into();
    let answer = raw.ask(&join, 9);
    let id = answer.read::<JoinGroupResponse<'_>>().member_id;
    join.member_id = id.clone();
    raw.send(&join, 9);
    poll_until(&[&one], || assigned(&one).len() == 2);
    let begun = Instant::now();
    drop(raw);
    poll_until(&[&one], || assigned(&one).len() == 4);
    assert!(begun.elapsed() > Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_static_member_comes_back_and_the_other_does_not_notice() {
    let broker = with_topic();
    let named = |name| member(&broker, &[("group.instance.id", name)]);
    let (one, other) = (named("a"), named("b"));
    poll_until(&[&one, &other], || share(&one, &other));
    let (before, theirs) = (assigned(&one), events(&other));
    // A static member does not say good-bye.
    drop(one);
    let one = named("a");
    poll_until(&[&one, &other], || assigned(&one) == before);
    assert_eq!(events(&one), ["+2"]);
    assert_eq!(events(&other), theirs);
}

#[test]
fn members_go_on_after_a_restart_of_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker_at(folder.path());
    let addr = broker.addr();
    Raw::connect(addr).create("t", 4);
    Raw::connect(addr).produce("t", &batch(&["a", "b", "c"]));
    let (one, other) = (member(&broker, &[]), member(&broker, &[]));
    poll_until(&[&one, &other], || share(&one, &other));
    let before = [events(&one), events(&other)];
    broker.stop().unwrap();
    let data = Some(folder.path().to_owned());
    let broker = Broker::start(Options { listen: addr, data, ..Options::default() }).unwrap();
    let reader = if assigned(&one).contains(&0) { &one } else { &other };
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, rdkafka::Offset::Offset(2)).unwrap();
    reader.commit(&list, CommitMode::Sync).unwrap();
    let until = Instant::now() + Duration::from_secs(2);
    let tolerant = |member: &Member| {
        let _ = member.poll(Duration::from_millis(10));
    };
    while Instant::now() < until {
        [&one, &other].into_iter().for_each(tolerant);
    }
    assert_eq!([events(&one), events(&other)], before);
    drop((one, other));
    let third = member(&broker, &[]);
    let mut read = Vec::new();
    let until = Instant::now() + LONG;
    while read.is_empty() {
        assert!(Instant::now() < until);
        if let Some(Ok(message)) = third.poll(Duration::from_millis(100)) {
            read.push((message.partition(), message.offset()));
        }
    }
    assert_eq!(read, [(0, 2)]);
}

#[test]
fn members_leave_one_by_one() {
    let broker = with_topic();
    let mut members: Vec<Member> = (0..4).map(|_| member(&broker, &[])).collect();
    // A member that is closed while it waits for others to join takes 5 s for that.
    let all_read = |members: &[Member]| {
        let assigned: Vec<_> = members.iter().map(assigned).collect();
        let mut all = assigned.concat();
        all.sort_unstable();
        all == [0, 1, 2, 3] && assigned.iter().all(|of_one| !of_one.is_empty())
    };
    while !members.is_empty() {
        let polled: Vec<&Member> = members.iter().collect();
        poll_until(&polled, || all_read(&members));
        members.pop();
    }
}
