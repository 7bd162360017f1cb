//! Topics: created, described, given partitions and deleted by every admin.
use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::java;
use crate::harness::kafka::Record;
use crate::harness::unique;
use crate::{Ctx, Once, PerClient};

pub(crate) const ONCE: &[Once] = &[("topics::java_kafka_topics", java_kafka_topics)];

pub(crate) const TRIALS: &[PerClient] = &[
    ("topics::from_creation_to_deletion", from_creation_to_deletion),
    ("topics::what_is_refused_and_why", what_is_refused_and_why),
];

/// Partitions with leader and replicas as a broker of one node has them.
fn described(partitions: u32) -> Value {
    (0..partitions).map(|partition| json!({"partition": partition, "leader": 1, "replicas": [1]})).collect()
}

fn from_creation_to_deletion(ctx: &Ctx, client: Client) {
    let (topic, client) = (unique("admin"), ctx.kafka().client(client));
    let config = json!({"max.message.bytes": "2000", "cleanup.policy": "delete"});
    let of = |what: &str| client.must(&json!({"do": what, "topic": topic}));
    client.must(&json!({"do": "create_topic", "topic": topic, "partitions": 3, "config": config}));
    assert_eq!(of("describe_topic"), described(3));
    let found = of("topic_config");
    assert_eq!([&found["max.message.bytes"], &found["cleanup.policy"]], ["2000", "delete"]);

    client.must(&json!({"do": "create_partitions", "topic": topic, "total": 5}));
    // The brokers of a cluster learn of it one after the other.
    while of("describe_topic") != described(5) {}
    ctx.kafka().produce(&topic, &[Record::of("v").to(4)], json!({}));
    assert_eq!(of("end_offsets"), json!([0, 0, 0, 0, 1]));

    of("delete_topic");
    let gone = || client.ask(&json!({"do": "describe_topic", "topic": topic}));
    let refusal = loop {
        if let Err(refusal) = gone() {
            break refusal;
        }
    };
    assert_eq!(refusal.code, Some(3), "{refusal:?}");
}

fn what_is_refused_and_why(ctx: &Ctx, client: Client) {
    let topic = ctx.kafka().topic("refused", 2);
    let (absent, with) = (unique("absent"), ctx.kafka().client(client));
    let create = |name: &str, more: Value| {
        let mut request = json!({"do": "create_topic", "topic": name});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    for (code, request) in [
        (36, create(&topic, json!({}))),
        (38, create(&absent, json!({"replication": 3}))),
        (17, create("not a name!", json!({}))),
        (17, create(&"x".repeat(250), json!({}))),
        (40, create(&absent, json!({"config": {"no.such.setting": "1"}}))),
        (40, create(&absent, json!({"config": {"max.message.bytes": "much"}}))),
        (37, json!({"do": "create_partitions", "topic": topic, "total": 1})),
        (37, json!({"do": "create_partitions", "topic": topic, "total": 2})),
        (3, json!({"do": "create_partitions", "topic": absent, "total": 2})),
        (3, json!({"do": "delete_topic", "topic": absent})),
        (3, json!({"do": "describe_topic", "topic": absent})),
        (1, json!({"do": "delete_records", "topic": topic, "partition": 0, "before": 7})),
    ] {
        let refusal = with.ask(&request).expect_err(&request.to_string());
        assert_eq!(refusal.code, Some(code), "{refusal:?} for {request}");
    }
    // librdkafka refuses this itself.
    if [Client::Java, Client::KafkaPython].contains(&client) {
        let refusal = with.ask(&create(&absent, json!({"partitions": 0}))).unwrap_err();
        assert_eq!(refusal.code, Some(37), "{refusal:?}");
    }
}

fn java_kafka_topics(ctx: &Ctx) {
    let (kafka, topic) = (ctx.kafka(), unique("tool"));
    let own = |args: &[&str]| java::topics(kafka, &[&["--topic", &topic], args].concat());
    let create = ["--create", "--partitions", "2", "--replication-factor", "1"];
    own(&[&create[..], &["--config", "retention.bytes=1000000"]].concat())
        .code(0)
        .prints(&format!("Created topic {topic}.\n"));
    own(&create).code(1).says("TopicExistsException");
    own(&["--alter", "--partitions", "3"]).code(0).prints("");
    own(&["--alter", "--partitions", "1"]).code(1).says("InvalidPartitionsException");

    let found = own(&["--describe"]).code(0).out;
    let found: Vec<_> = found.lines().map(|line| line.split("\tElr:").next().unwrap()).collect();
    let head: Vec<_> = found[0].split('\t').map(str::trim).collect();
    assert_eq!(head[0], format!("Topic: {topic}"));
    assert_eq!(head[2..4], ["PartitionCount: 3", "ReplicationFactor: 1"]);
    assert!(head[4].starts_with("Configs: ") && head[4].contains("retention.bytes=1000000"), "{head:?}");
    let partition = |n| format!("\tTopic: {topic}\tPartition: {n}\tLeader: 1\tReplicas: 1\tIsr: 1");
    assert_eq!(found[1..], [0, 1, 2].map(partition));

    let all = java::topics(kafka, &["--list"]).code(0).out;
    assert!(all.lines().any(|line| line == topic), "{all}");
    own(&["--delete"]).code(0).prints("");
    own(&["--delete"]).code(1).says("does not exist as expected");
}
