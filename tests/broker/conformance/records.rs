//! Records: every part of them, every codec, their offsets and limits, by every client.
use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::java;
use crate::harness::kafka::Record;
use crate::{Ctx, Once, PerClient};

pub(crate) const ONCE: &[Once] = &[("records::java_get_offsets_and_delete_records", java_tools)];

pub(crate) const TRIALS: &[PerClient] = &[
    ("records::every_codec_keeps_every_part", every_codec_keeps_every_part),
    ("records::a_megabyte_goes_through", a_megabyte_goes_through),
    ("records::too_large_is_refused", too_large_is_refused),
    ("records::offsets_by_time", offsets_by_time),
    ("records::deleted_records_are_gone", deleted_records_are_gone),
    ("records::idempotent_records_are_in_order", idempotent_records_are_in_order),
];

const START: i64 = 1_700_000_000_000;

/// Everything that a record can have, as far as the client can send it.
fn all_kinds(client: Client) -> Vec<Record> {
    let bytes: Vec<u8> = (0..=255).collect();
    let mut records = vec![
        Record::of("text"),
        Record::of("").key(""),
        Record { value: None, ..Record::default() }.key("tombstone"),
        Record::of(&bytes).key(&bytes).header("bytes", Some(&bytes)),
        Record::of("h").header("z", Some(b"1")).header("a", Some(b"")).header("z", Some(b"2")),
    ];
    if client != Client::KafkaPython {
        records.push(Record::default());
        records.push(Record::of("n").header("null", None).header("", Some("ü".as_bytes())));
    }
    records.extend((0..300).map(|n| Record::of(format!("line {n} of many")).key(format!("{n}"))));
    (0..).zip(records).map(|(n, record)| record.to(0).at(START + n)).collect()
}

/// As they stand in a partition from its start on.
fn placed(records: Vec<Record>) -> Vec<Record> {
    (0..).zip(records).map(|(offset, record)| Record { offset: Some(offset), ..record }).collect()
}

fn every_codec_keeps_every_part(ctx: &Ctx, client: Client) {
    let (with, expected) = (ctx.kafka().client(client), placed(all_kinds(client)));
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = ctx.kafka().topic("codec", 1);
        let records = Record::all_to_json(&expected);
        let config = json!({"compression.type": codec, "linger.ms": "50"});
        with.must(&json!({"do": "produce", "topic": topic, "records": records, "config": config}));
        let seen = Record::all_from_json(&with.must(&json!({"do": "consume", "topic": topic})));
        assert_same(&seen, &expected, &format!("{codec} by itself"));
        assert_same(&ctx.kafka().consume(&topic), &expected, &format!("{codec} by another"));
    }
}

#[track_caller]
fn assert_same(seen: &[Record], expected: &[Record], what: &str) {
    let first = seen.iter().zip(expected).find(|(seen, expected)| seen != expected);
    assert!(seen == expected, "{what}: {} records, first difference {first:?}", seen.len());
}

fn a_megabyte_goes_through(ctx: &Ctx, client: Client) {
    let (topic, with) = (ctx.kafka().topic("megabyte", 1), ctx.kafka().client(client));
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let expected = placed(vec![Record::of(large).to(0).at(START)]);
    let (records, config) = (Record::all_to_json(&expected), json!({"max.request.size": "2000000"}));
    with.must(&json!({"do": "produce", "topic": topic, "records": records, "config": config}));
    let seen = Record::all_from_json(&with.must(&json!({"do": "consume", "topic": topic})));
    assert!(seen == expected, "{} records", seen.len());
}

fn too_large_is_refused(ctx: &Ctx, client: Client) {
    let topic = ctx.kafka().topic_with("limited", 1, json!({"max.message.bytes": "2000"}));
    let records = Record::all_to_json(&[Record::of("x".repeat(5000))]);
    let request = json!({"do": "produce", "topic": topic, "records": records});
    let refusal = ctx.kafka().client(client).ask(&request).unwrap_err();
    assert_eq!(refusal.code, Some(10), "{refusal:?}");
    assert_eq!(ctx.kafka().end_offsets(&topic), [0]);
}

/// Record n of partition 1 has the time START + 1000 n.
fn ten(ctx: &Ctx) -> String {
    let topic = ctx.kafka().topic("ten", 2);
    let records: Vec<_> = (0..10).map(|n| Record::of(n.to_string()).to(1).at(START + 1000 * n)).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    topic
}

fn offsets_by_time(ctx: &Ctx, client: Client) {
    let (topic, with) = (ten(ctx), ctx.kafka().client(client));
    let at = |time: i64| with.must(&json!({"do": "offsets_at", "topic": topic, "timestamp": time}));
    for (time, offset) in [(0, 0), (3000, 3), (3001, 4), (9000, 9), (9001, -1)] {
        assert_eq!(at(START + time), json!([-1, offset]), "{time}");
    }
    assert_eq!(at(START - 1), json!([-1, 0]));
}

fn deleted_records_are_gone(ctx: &Ctx, client: Client) {
    let (topic, with) = (ten(ctx), ctx.kafka().client(client));
    let of = |what: &str| with.must(&json!({"do": what, "topic": topic}));
    with.must(&json!({"do": "delete_records", "topic": topic, "partition": 1, "before": 7}));
    assert_eq!([of("begin_offsets"), of("end_offsets")], [json!([0, 7]), json!([0, 10])]);
    let values: Vec<_> =
        Record::all_from_json(&of("consume")).into_iter().map(|r| r.value.unwrap()).collect();
    assert_eq!(values, [b"7", b"8", b"9"]);
    // Nothing comes back, and what is gone cannot be found by its time.
    with.must(&json!({"do": "delete_records", "topic": topic, "partition": 1, "before": 3}));
    let at = with.must(&json!({"do": "offsets_at", "topic": topic, "timestamp": START}));
    assert_eq!([of("begin_offsets"), at], [json!([0, 7]), json!([-1, 7])]);
    with.must(&json!({"do": "delete_records", "topic": topic, "partition": 1, "before": -1}));
    assert_eq!([of("begin_offsets"), of("end_offsets")], [json!([0, 10]), json!([0, 10])]);
    assert_eq!(of("consume"), json!([]));
}

fn idempotent_records_are_in_order(ctx: &Ctx, client: Client) {
    let (topic, with) = (ctx.kafka().topic("idempotent", 1), ctx.kafka().client(client));
    let config = json!({"enable.idempotence": "true", "acks": "all", "batch.size": "1000"});
    for round in 0..2 {
        let records: Vec<_> = (0..5000).map(|n| Record::of(format!("{n}")).to(0)).collect();
        let records = Record::all_to_json(&records);
        let places =
            with.must(&json!({"do": "produce", "topic": topic, "records": records, "config": config}));
        let expected: Value = (0..5000).map(|n| json!([0, round * 5000 + n])).collect();
        assert!(places == expected, "not in a row");
    }
}

fn java_tools(ctx: &Ctx) {
    let (kafka, topic) = (ctx.kafka(), ten(ctx));
    let offsets = |args: &[&str]| {
        java::tool(kafka, "GetOffsetShell", &[&["--topic", &topic], args].concat(), "").code(0)
    };
    let prints = |partitions: [&str; 2]| {
        let line = |(n, offset)| format!("{topic}:{n}:{offset}\n");
        (0..).zip(partitions).filter(|(_, offset)| *offset != "none").map(line).collect::<String>()
    };
    offsets(&[]).prints(&prints(["0", "10"]));
    offsets(&["--time", "-2"]).prints(&prints(["0", "0"]));
    offsets(&["--time", "1700000004500"]).prints(&prints(["none", "5"]));
    offsets(&["--time", "-3"]).prints(&prints(["none", "9"]));

    let file = tempfile::NamedTempFile::new().unwrap();
    let wanted = json!({"partitions": [{"topic": topic, "partition": 1, "offset": 4}], "version": 1});
    std::fs::write(file.path(), wanted.to_string()).unwrap();
    let args = ["--offset-json-file", file.path().to_str().unwrap()];
    java::tool(kafka, "DeleteRecordsCommand", &args, "").code(0).says("low_watermark: 4");
    offsets(&["--time", "-2"]).prints(&prints(["0", "4"]));
}
