//! Topics that change while they are published to or read: deleted, created again, given more partitions.
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::{Kafka, Record};
use crate::harness::process::Running;
use crate::harness::proxy::Weather;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("changes::a_topic_deleted_ends_the_reading", a_topic_deleted_ends_the_reading),
    ("changes::a_topic_deleted_fails_what_is_published", a_topic_deleted_fails_what_is_published),
    (
        "changes::a_topic_created_again_is_read_from_its_beginning",
        a_topic_created_again_is_read_from_its_beginning,
    ),
    (
        "changes::a_topic_created_again_shorter_is_read_to_its_end",
        a_topic_created_again_shorter_is_read_to_its_end,
    ),
    ("changes::a_topic_created_again_is_published_to", a_topic_created_again_is_published_to),
    (
        "changes::partitions_that_are_added_are_read_and_written",
        partitions_that_are_added_are_read_and_written,
    ),
];

/// What is asked of metadata is asked again after a second.
const SOON: [&str; 2] = ["-X", "metadata.max.age.ms=1000"];

/// Deletes the topic, and returns when the broker knows it no more: that comes a moment after its answer.
fn delete(kafka: &Kafka, topic: &str) {
    kafka.helper().must(&json!({"do": "delete_topic", "topic": topic}));
    while kafka.helper().ask(&json!({"do": "describe_topic", "topic": topic})).is_ok() {}
}

/// Deletes the topic and creates another of its name; brokers may take a while to forget the first.
fn create_again(kafka: &Kafka, topic: &str) {
    delete(kafka, topic);
    let create = || kafka.helper().ask(&json!({"do": "create_topic", "topic": topic, "partitions": 1}));
    while let Err(refusal) = create() {
        assert_eq!(refusal.code, Some(36), "{refusal:?}");
    }
}

fn lines(kafka: &Kafka, topic: &str, lines: &[&str]) {
    kafka.produce(topic, &lines.iter().map(Record::of).collect::<Vec<_>>(), json!({}));
}

/// Publishes a line and waits until it is acknowledged.
fn acknowledged(run: &mut Running, line: &str) {
    run.write(format!("{line}\n").as_bytes());
    run.take_line();
}

fn a_topic_deleted_ends_the_reading(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("deleted", 3);
    lines(ctx.kafka(), &topic, &["a", "b"]);
    let reader = Kps::subscribe(ctx.kafka(), library, &topic).spawn();
    reader.until_stdout(|out| out.len() == 4);
    delete(ctx.kafka(), &topic);
    let output = reader.wait_with_open_stdin().code(6).says(&topic);
    assert_eq!(output.err().lines().count(), 1, "{output}");
}

fn a_topic_deleted_fails_what_is_published(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("deleted", 1);
    let mut writer = Kps::publish(ctx.kafka(), library, &topic).args(["--receipts"]).args(SOON).spawn();
    acknowledged(&mut writer, "a");
    delete(ctx.kafka(), &topic);
    writer.write(b"b\n");
    writer.wait().code(6).says("1 published, 1 failed").says(&topic).says("line 2");
}

fn a_topic_created_again_is_read_from_its_beginning(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("again", 1);
    lines(ctx.kafka(), &topic, &["a", "b", "c"]);
    let reader = Kps::subscribe(ctx.kafka(), library, &topic).spawn();
    reader.until_stdout(|out| out == b"a\nb\nc\n");
    create_again(ctx.kafka(), &topic);
    lines(ctx.kafka(), &topic, &["d"]);
    lines(ctx.kafka(), &topic, &["e"]);
    reader.until_stdout(|out| out.ends_with(b"e\n"));
    reader.signal(Signal::TERM);
    reader.wait().code(143).prints("a\nb\nc\nd\ne\n");
}

/// Of a topic that is read one by one.
const BATCHES: usize = 30;

/// What is noted at the start as the end is never reached, with a group or without. Little comes at a time, so that the
/// topic goes while it is being read.
fn a_topic_created_again_shorter_is_read_to_its_end(ctx: &Ctx, library: Library) {
    let (proxy, kafka) = Kafka::start_behind_proxy(ctx.kind);
    for group in [None, Some("shorter")] {
        let topic = kafka.topic("shorter", 1);
        // A batch is never sent in part.
        (0..BATCHES).for_each(|_| lines(&kafka, &topic, &["x"; 3]));
        let reader = Kps::subscribe(&kafka, library, &topic).args(["--exit"]);
        let reader = reader.args(["-X", "auto.offset.reset=earliest", "-X", "max.partition.fetch.bytes=100"]);
        let reader = reader.args(group.into_iter().flat_map(|group| ["-g", group]));
        proxy.turn(Weather::Late(Duration::from_millis(300)));
        let reader = reader.spawn();
        reader.until_stdout(|out| !out.is_empty());
        create_again(&kafka, &topic);
        lines(&kafka, &topic, &["d", "e"]);
        proxy.turn(Weather::Clear);
        let output = reader.wait_with_open_stdin().ok();
        // Of the new one there is as much as there was when it was looked at.
        let text = output.text();
        let (old, new) = text.split_at(text.rfind('x').unwrap() + 2);
        assert!("d\ne\n".starts_with(new), "{output}");
        assert!(old.len() < BATCHES * 6, "it was read before it was deleted: {output}");
    }
}

fn a_topic_created_again_is_published_to(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("again", 1);
    let mut writer = Kps::publish(ctx.kafka(), library, &topic).args(["--receipts"]).args(SOON).spawn();
    acknowledged(&mut writer, "a");
    acknowledged(&mut writer, "b");
    create_again(ctx.kafka(), &topic);
    acknowledged(&mut writer, "c");
    acknowledged(&mut writer, "d");
    writer.wait().ok().says("4 published, 0 failed");
    assert_eq!(ctx.kafka().contents(&topic), ["c", "d"].map(Record::of));
}

fn partitions_that_are_added_are_read_and_written(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("grown", 1);
    let reader = Kps::subscribe(ctx.kafka(), library, &topic).args(["-f", r"%p %s\n"]).args(SOON).spawn();
    let keys: String = (0..64).map(|n| format!("{n}:x\n")).collect();
    let mut writer = Kps::publish(ctx.kafka(), library, &topic).args(["-K", ":"]).args(SOON).spawn();
    writer.write(keys.as_bytes());
    reader.until_stdout(|out| out.len() == 64 * 4);
    ctx.kafka().helper().must(&json!({"do": "create_partitions", "topic": topic, "total": 4}));
    ctx.kafka().produce(&topic, &[Record::of("there").to(3)], json!({}));
    reader.until_stdout(|out| out.ends_with(b"3 there\n"));
    // The publisher learns of it in its own time.
    let has_all = || ctx.kafka().end_offsets(&topic).iter().all(|end| *end > 1);
    while !has_all() {
        writer.write(keys.as_bytes());
    }
    writer.wait().ok();
    let written: i64 = ctx.kafka().end_offsets(&topic).iter().sum();
    reader.until_stdout(|out| memchr::memchr_iter(b'\n', out).count() as i64 == written);
}
