//! Every writer with every reader: kps on each library, Java's client and console tools, kcat.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::{Kafka, Record};
use crate::harness::{java, kcat};
use crate::{Ctx, Once, PerLibrary};

pub(crate) const ONCE: &[Once] = &[
    ("cross::java_to_kps", java_to_kps),
    ("cross::java_console_producer_to_kps", java_console_producer_to_kps),
    ("cross::kcat_to_kps", kcat_to_kps),
];

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("cross::kps_to_kps_and_another_client", kps_to_kps_and_another_client),
    ("cross::kps_to_java_console_consumer", kps_to_java_console_consumer),
    ("cross::kps_to_kcat", kps_to_kcat),
    ("cross::envelopes_from_topic_to_topic", envelopes_from_topic_to_topic),
    ("cross::envelopes_to_the_topics_they_name", envelopes_to_the_topics_they_name),
];

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// What every library can carry: null, empty, binary, headers, and enough text to be compressed.
fn all_kinds() -> Vec<Record> {
    let bytes: Vec<u8> = (0..=255).collect();
    let mut records = vec![
        Record::of("text").at(1_700_000_000_001),
        Record::of("").key("").at(1_700_000_000_002),
        Record { value: None, ..Record::default() }.key("tombstone").at(1_700_000_000_003),
        Record::default().at(1_700_000_000_004),
        Record::of(&bytes).key(&bytes).header("bytes", Some(&bytes)).at(1_700_000_000_005),
        Record::of("h").header("a", Some(b"")).header("b", Some("ü".as_bytes())).at(1_700_000_000_006),
    ];
    records.extend(
        (7..300)
            .map(|n| Record::of(format!("line {n} of many")).key(format!("{n}")).at(1_700_000_000_000 + n)),
    );
    records.into_iter().map(|record| record.to(0)).collect()
}

/// As they stand in the topic.
fn placed(records: Vec<Record>) -> Vec<Record> {
    (0..).zip(records).map(|(offset, record)| Record { offset: Some(offset), ..record }).collect()
}

fn encoded(bytes: Option<&Vec<u8>>) -> Value {
    bytes.map_or(Value::Null, |bytes| json!({"base64": STANDARD.encode(bytes)}))
}

fn envelope(record: &Record) -> String {
    let headers: Vec<_> = record.headers.iter().map(|(n, v)| json!([n, encoded(v.as_ref())])).collect();
    let envelope = json!({
        "key": encoded(record.key.as_ref()), "value": encoded(record.value.as_ref()),
        "headers": headers, "timestamp": record.timestamp,
    });
    format!("{envelope}\n")
}

fn decoded(json: &Value) -> Option<Vec<u8>> {
    match json {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => Some(STANDARD.decode(other["base64"].as_str().unwrap()).unwrap()),
    }
}

fn record(envelope: &str) -> Record {
    let json: Value = serde_json::from_str(envelope).unwrap();
    let header = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), decoded(&pair[1]));
    Record {
        partition: json["partition"].as_u64().map(|partition| u32::try_from(partition).unwrap()),
        offset: json["offset"].as_i64(),
        timestamp: json["timestamp"].as_i64(),
        key: decoded(&json["key"]),
        headers: json["headers"].as_array().unwrap().iter().map(header).collect(),
        value: decoded(&json["value"]),
    }
}

/// Reads with kps on every library and compares.
#[track_caller]
fn kps_reads(kafka: &Kafka, topic: &str, expected: &[Record], what: &str) {
    for library in Library::all() {
        let output = Kps::subscribe(kafka, library, topic).args(["--exit", "-J"]).run().ok().silent();
        let seen: Vec<_> = output.text().lines().map(record).collect();
        let same = seen == expected;
        let first = seen.iter().zip(expected).find(|(seen, expected)| seen != expected);
        assert!(same, "{what} by {library:?}: {} records, first difference {first:?}", seen.len());
    }
}

fn kps_to_kps_and_another_client(ctx: &Ctx, library: Library) {
    let input: String = all_kinds().iter().map(envelope).collect();
    let expected = placed(all_kinds());
    for codec in CODECS {
        let topic = ctx.kafka().topic("cross", 1);
        let args = ["--input", "envelope", "-z", codec];
        Kps::publish(ctx.kafka(), library, &topic).args(args).input(&input).run().ok();
        assert!(ctx.kafka().consume(&topic) == expected, "{codec} read by the other");
        kps_reads(ctx.kafka(), &topic, &expected, codec);
    }
}

fn java_to_kps(ctx: &Ctx) {
    for codec in CODECS {
        let topic = ctx.kafka().topic("cross", 1);
        ctx.kafka().produce(&topic, &all_kinds(), json!({"compression.type": codec, "linger.ms": 50}));
        kps_reads(ctx.kafka(), &topic, &placed(all_kinds()), codec);
    }
}

fn java_console_producer_to_kps(ctx: &Ctx) {
    let topic = ctx.kafka().topic("console", 1);
    let args =
        ["--compression-codec", "zstd", "--property", "parse.key=true", "--property", "key.separator=:"];
    java::console_producer(ctx.kafka(), &topic, &args, "k1:v1\nk2:v2\n:empty\n");
    for library in Library::all() {
        let args = ["--exit", "-f", r"%k=%s\n"];
        let output = Kps::subscribe(ctx.kafka(), library, &topic).args(args).run().ok();
        output.prints("k1=v1\nk2=v2\n=empty\n");
    }
}

fn kps_to_java_console_consumer(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("console", 1);
    let args = ["-K", ":", "-z", "lz4", "-H", "h=1", "-Z"];
    Kps::publish(ctx.kafka(), library, &topic).args(args).input("k1:v1\nk2:\nv3\n").run().ok();
    let args = ["--property", "print.key=true", "--property", "print.headers=true"];
    java::console_consumer(ctx.kafka(), &topic, 3, &args)
        .prints("h:1\tk1\tv1\nh:1\tk2\tnull\nh:1\tnull\tv3\n");
}

/// Lines with keys; kcat's format cannot carry more without loss.
const KEYED: &str = "k1:v1\nk2:v2\n:v3\nkey with text:\n";

fn kcat_to_kps(ctx: &Ctx) {
    for codec in CODECS {
        let topic = ctx.kafka().topic("kcat", 1);
        let args = ["-K", ":", "-H", "a=1", "-H", "b=2", "-z", codec];
        kcat::produce(ctx.kafka(), &topic, &args, KEYED.as_bytes());
        let java = ctx.kafka().consume(&topic);
        assert_eq!(java.len(), 4);
        kps_reads(ctx.kafka(), &topic, &java, codec);
    }
}

fn kps_to_kcat(ctx: &Ctx, library: Library) {
    for codec in CODECS {
        let topic = ctx.kafka().topic("kcat", 1);
        let args = ["-K", ":", "-H", "a=1", "-H", "b=2", "-z", codec];
        Kps::publish(ctx.kafka(), library, &topic).args(args).input(KEYED).run().ok();
        let format = ["-f", r"%o %h %K:%k %S:%s\n"];
        let seen = kcat::consume(ctx.kafka(), &topic, &format);
        let expected = ["0 a=1,b=2 2:k1 2:v1", "1 a=1,b=2 2:k2 2:v2", "2 a=1,b=2 0: 2:v3"];
        seen.prints(format!("{}\n3 a=1,b=2 13:key with text 0:\n", expected.join("\n")));
        // kps prints the same for the same format.
        let args = [&["--exit"], &format[..]].concat();
        let own = Kps::subscribe(ctx.kafka(), library, &topic).args(args).run().ok();
        own.prints(kcat::consume(ctx.kafka(), &topic, &format).stdout);
    }
}

fn envelopes_from_topic_to_topic(ctx: &Ctx, library: Library) {
    let (from, to) = (ctx.kafka().topic("from", 3), ctx.kafka().topic("to", 3));
    let mut records: Vec<_> =
        (0..).zip(all_kinds()).map(|(n, record)| Record { partition: Some(n % 3), ..record }).collect();
    if library != Library::Rskafka {
        let rich = Record::of("v").header("z", Some(b"1")).header("a", None).header("z", Some(b"2"));
        records.push(rich.to(0).at(1_700_000_001_000));
    }
    ctx.kafka().produce(&from, &records, json!({}));
    let read = Kps::subscribe(ctx.kafka(), library, &from).args(["--exit", "-J"]).run().ok();
    let args = ["--input", "envelope", "--keep-partition", "--strict"];
    Kps::publish(ctx.kafka(), library, &to).args(args).input(&read.stdout).run().ok();
    assert!(ctx.kafka().consume(&to) == ctx.kafka().consume(&from));

    let again = Kps::subscribe(ctx.kafka(), library, &to).args(["--exit", "-J"]).run().ok();
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(again.text().replace(&to, &from)), sorted(read.text()));
}

fn envelopes_to_the_topics_they_name(ctx: &Ctx, library: Library) {
    let topics =
        [ctx.kafka().topic("first", 1), ctx.kafka().topic("second", 1), ctx.kafka().topic("third", 1)];
    let input = format!(
        "{}\n{}\n{}\n",
        json!({"topic": topics[0], "value": "a"}),
        json!({"topic": topics[1], "value": "b"}),
        json!({"value": "c"}),
    );
    let run = || Kps::publish(ctx.kafka(), library, &topics[2]).args(["--input", "envelope"]).input(&input);
    let values = |topic: &String| ctx.kafka().contents(topic);
    run().args(["--keep-topic"]).run().ok();
    assert_eq!(values(&topics[0]), [Record::of("a")]);
    assert_eq!(values(&topics[1]), [Record::of("b")]);
    assert_eq!(values(&topics[2]), [Record::of("c")]);
    run().run().ok();
    assert_eq!(values(&topics[0]), [Record::of("a")]);
    assert_eq!(values(&topics[2]), ["c", "a", "b", "c"].map(Record::of));
}
