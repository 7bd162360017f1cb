//! The broker, Kafka's own tools and kcat among themselves: what the other trials rely on.
use serde_json::json;

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::{Kafka, Record, Transaction};
use crate::harness::{java, kcat, unique};
use crate::{Ctx, Once};

pub(crate) const TRIALS: &[Once] = &[
    ("peers::java_console_tools_exchange_lines", java_console_tools_exchange_lines),
    ("peers::kcat_lines_are_counted", kcat_lines_are_counted),
    ("peers::a_client_keeps_every_part_of_a_record", a_client_keeps_every_part_of_a_record),
    ("peers::transaction_markers_take_an_offset", transaction_markers_take_an_offset),
    ("peers::deleted_records_move_the_beginning", deleted_records_move_the_beginning),
    ("peers::commits_of_a_group_are_seen", commits_of_a_group_are_seen),
    ("peers::unknown_topics_are_not_created", unknown_topics_are_not_created),
    ("peers::a_broker_killed_and_restarted_keeps_its_data", a_broker_killed_and_restarted_keeps_its_data),
];

fn java_console_tools_exchange_lines(ctx: &Ctx) {
    let topic = ctx.kafka().topic("console", 1);
    java::console_producer(ctx.kafka(), &topic, &[], "one\ntwo\n\nfour\n");
    java::console_consumer(ctx.kafka(), &topic, 4, &[]).prints("one\ntwo\n\nfour\n");
}

fn kcat_lines_are_counted(ctx: &Ctx) {
    let topic = ctx.kafka().topic("kcat", 1);
    kcat::produce(ctx.kafka(), &topic, &[], b"a\nb\nc\n");
    assert_eq!(ctx.kafka().end_offsets(&topic), [3]);
    kcat::consume(ctx.kafka(), &topic, &[]).prints("a\nb\nc\n");
}

fn a_client_keeps_every_part_of_a_record(ctx: &Ctx) {
    let topic = ctx.kafka().topic("parts", 3);
    let records = [
        Record::of(b"\xff\0").key("k").header("h", Some(b"1")).header("h", None).to(2).at(1_700_000_000_123),
        Record { value: None, ..Record::default() }.key("").to(2).at(1),
    ];
    ctx.kafka().produce(&topic, &records, json!({"compression.type": "zstd"}));
    let expected: Vec<Record> =
        (0..).zip(records).map(|(offset, record)| Record { offset: Some(offset), ..record }).collect();
    assert_eq!(ctx.kafka().consume(&topic), expected);
}

fn transaction_markers_take_an_offset(ctx: &Ctx) {
    let topic = ctx.kafka().topic("markers", 1);
    ctx.kafka().transaction(&topic, &[Record::of("kept")], Transaction::Commit);
    ctx.kafka().transaction(&topic, &[Record::of("dropped")], Transaction::Abort);
    assert_eq!(ctx.kafka().end_offsets(&topic), [4]);
    let seen: Vec<_> = ctx.kafka().consume(&topic).into_iter().map(Record::content).collect();
    assert_eq!(seen, [Record::of("kept")]);
}

fn deleted_records_move_the_beginning(ctx: &Ctx) {
    let topic = ctx.kafka().topic("deleted", 2);
    let records: Vec<_> = (0..10).map(|n| Record::of(n.to_string()).to(1)).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    ctx.kafka().delete_records(&topic, 1, 7);
    assert_eq!(ctx.kafka().begin_offsets(&topic), [0, 7]);
    assert_eq!(ctx.kafka().end_offsets(&topic), [0, 10]);
}

fn commits_of_a_group_are_seen(ctx: &Ctx) {
    let (topic, group) = (ctx.kafka().topic("commits", 1), unique("group"));
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), None);
    ctx.kafka().set_committed(&group, &topic, 0, 5);
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(5));
}

fn unknown_topics_are_not_created(ctx: &Ctx) {
    let topic = unique("nowhere");
    Kps::publish(ctx.kafka(), Library::Rdkafka, &topic).args(["-m", "v"]).run().code(6).says(&topic);
    let refusal = ctx.kafka().helper().ask(&json!({"do": "describe_topic", "topic": topic})).unwrap_err();
    assert_eq!(refusal.code, Some(3), "{refusal:?}");
}

fn a_broker_killed_and_restarted_keeps_its_data(ctx: &Ctx) {
    let dir = tempfile::tempdir().unwrap();
    let first = Kafka::start_in(ctx.kind, dir.path(), None);
    let address = first.address().to_owned();
    let topic = first.topic("kept", 1);
    first.produce(&topic, &[Record::of("still here")], json!({}));
    first.kill();

    let second = Kafka::start_in(ctx.kind, dir.path(), Some(&address));
    assert_eq!(second.end_offsets(&topic), [1]);
}
