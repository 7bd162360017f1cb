//! Groups of KIP-848's protocol with librdkafka's consumers (`group.protocol=consumer`).

use std::collections::BTreeSet;
use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::*;

/// A broker whose members send heartbeats often, with topic `t` of four partitions.
fn with_topic() -> Broker {
    let mut options = Options::default();
    options.consumer_groups.heartbeat_interval = Duration::from_millis(50);
    let broker = Broker::start(options).unwrap();
    Raw::connect(broker.addr()).create("t", 4);
    broker
}

fn member(broker: &Broker, topics: &[&str], more: &[(&str, &str)]) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.addr().to_string());
    config.set("group.id", "g").set("group.protocol", "consumer");
    config.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    for (name, value) in more {
        config.set(*name, *value);
    }
    let member: BaseConsumer = config.create().unwrap();
    member.subscribe(topics).unwrap();
    member
}

/// What a member reads.
fn assigned(member: &BaseConsumer) -> BTreeSet<(String, i32)> {
    let list = member.assignment().unwrap();
    list.elements().iter().map(|place| (place.topic().to_owned(), place.partition())).collect()
}

/// Has members poll until something holds. Returns the values that were read.
fn poll_until(members: &[&BaseConsumer], mut holds: impl FnMut() -> bool) -> Vec<String> {
    let until = Instant::now() + LONG;
    let mut values = Vec::new();
    while !holds() {
        assert!(Instant::now() < until, "{:?}", members.iter().map(|it| assigned(it)).collect::<Vec<_>>());
        for member in members {
            if let Some(polled) = member.poll(Duration::from_millis(10)) {
                values.push(String::from_utf8(polled.unwrap().payload().unwrap().to_vec()).unwrap());
            }
        }
    }
    values
}

/// True when the members read these numbers of partitions, none twice.
fn have(members: &[&BaseConsumer], counts: &[usize]) -> bool {
    let each: Vec<_> = members.iter().map(|member| assigned(member)).collect();
    let all: BTreeSet<_> = each.iter().flatten().collect();
    each.iter().map(BTreeSet::len).eq(counts.iter().copied()) && all.len() == counts.iter().sum::<usize>()
}

#[test]
fn two_members_share_and_the_one_that_stays_goes_on_where_the_other_was() {
    for assignor in ["uniform", "range"] {
        let broker = with_topic();
        let mut raw = Raw::connect(broker.addr());
        let more = [("group.remote.assignor", assignor)];
        let (one, other) = (member(&broker, &["t"], &more), member(&broker, &["t"], &more));
        poll_until(&[&one, &other], || have(&[&one, &other], &[2, 2]));
        let reads_0 = |member: &BaseConsumer| assigned(member).contains(&("t".into(), 0));
        let (reader, other) = if reads_0(&one) { (one, other) } else { (other, one) };
        assert_eq!(raw.produce("t", &batch(&["a", "b"])), (0, 0));
        let mut read = 0;
        while read < 2 {
            read += usize::from(reader.poll(LONG).unwrap().unwrap().partition() == 0);
        }
        reader.commit_consumer_state(CommitMode::Sync).unwrap();
        drop(reader);
        poll_until(&[&other], || have(&[&other], &[4]));
        raw.produce("t", &batch(&["c"]));
        let record = other.poll(LONG).unwrap().unwrap();
        assert_eq!((record.payload(), record.offset()), (Some(&b"c"[..]), 2), "{assignor}");
    }
}

#[test]
fn a_pattern_follows_topics_that_come_and_go() {
    let broker = with_topic();
    let mut raw = Raw::connect(broker.addr());
    raw.create("log-1", 2);
    let one = member(&broker, &["^log-.*"], &[]);
    poll_until(&[&one], || have(&[&one], &[2]));
    raw.create("log-2", 1);
    raw.create("other", 1);
    poll_until(&[&one], || have(&[&one], &[3]));
    assert!(assigned(&one).iter().all(|(topic, _)| topic.starts_with("log-")));
    raw.ask(&DeleteTopicsRequest { topic_names: vec!["log-1".into()], ..Default::default() }, 5);
    let until = Instant::now() + LONG;
    while !have(&[&one], &[1]) {
        assert!(Instant::now() < until);
        // It may have asked for an offset of the topic that is gone.
        if let Some(Err(error)) = one.poll(Duration::from_millis(10)) {
            let code = RDKafkaErrorCode::UnknownTopicOrPartition;
            assert_eq!(error, KafkaError::MessageConsumption(code));
        }
    }
}

#[test]
fn a_static_member_comes_back_to_its_partitions_and_its_name_is_its_own() {
    let broker = with_topic();
    let named = |name| member(&broker, &["t"], &[("group.instance.id", name)]);
    let (one, other) = (named("one"), named("other"));
    poll_until(&[&one, &other], || have(&[&one, &other], &[2, 2]));
    let (had, others) = (assigned(&one), assigned(&other));
    drop(one);
    let one = named("one");
    poll_until(&[&one, &other], || have(&[&one], &[2]));
    assert_eq!((assigned(&one), assigned(&other)), (had, others));
    let thief = named("one");
    let refused = thief.poll(LONG).unwrap().unwrap_err();
    assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::UnreleasedInstanceId));
}

#[test]
fn members_go_on_after_the_broker_was_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let start = |listen| {
        let mut options = Options { listen, data: Some(folder.path().to_owned()), ..Options::default() };
        options.consumer_groups.heartbeat_interval = Duration::from_millis(50);
        Broker::start(options).unwrap()
    };
    let broker = start(Options::default().listen);
    let addr = broker.addr();
    Raw::connect(addr).create("t", 4);
    let more = [("reconnect.backoff.max.ms", "100"), ("retry.backoff.ms", "10")];
    let (one, other) = (member(&broker, &["t"], &more), member(&broker, &["t"], &more));
    poll_until(&[&one, &other], || have(&[&one, &other], &[2, 2]));
    let before = (assigned(&one), assigned(&other));
    broker.stop().unwrap();
    let _broker = start(addr);
    assert_eq!(Raw::connect(addr).produce("t", &batch(&["a"])), (0, 0));
    let until = Instant::now() + LONG;
    let has_read = || {
        [&one, &other].iter().any(|member| match member.poll(Duration::from_millis(10)) {
            Some(Ok(_)) => true,
            // Told when the connection went.
            Some(Err(_)) | None => false,
        })
    };
    while !has_read() {
        assert!(Instant::now() < until);
    }
    assert_eq!((assigned(&one), assigned(&other)), before);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(1)).unwrap();
    let reader = [&one, &other].into_iter().find(|it| assigned(it).contains(&("t".into(), 0))).unwrap();
    reader.commit(&list, CommitMode::Sync).unwrap();
}
