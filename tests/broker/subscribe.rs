//! What `kps subscribe` reads, prints and when it ends.
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::Record;
use crate::harness::unique;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("subscribe::begins_at_the_beginning_and_follows", begins_at_the_beginning_and_follows),
    ("subscribe::delimiters_and_raw_output", delimiters_and_raw_output),
    ("subscribe::bytes_are_printed_as_they_are", bytes_are_printed_as_they_are),
    ("subscribe::json_output", json_output),
    ("subscribe::parse_json_embeds_values", parse_json_embeds_values),
    ("subscribe::a_format", a_format),
    ("subscribe::a_wrong_format_points_at_the_place", a_wrong_format_points_at_the_place),
    ("subscribe::partitions", partitions),
    ("subscribe::count_of_records", count_of_records),
    ("subscribe::timeouts", timeouts),
    ("subscribe::grep", grep),
    ("subscribe::count_and_fail_if_none", count_and_fail_if_none),
    ("subscribe::several_topics_and_a_pattern", several_topics_and_a_pattern),
    ("subscribe::a_large_record_is_read", a_large_record_is_read),
    ("subscribe::a_record_rskafka_cannot_decode", a_record_rskafka_cannot_decode),
];

/// A topic of one partition with these lines.
fn topic_of(ctx: &Ctx, lines: &[&str]) -> String {
    let topic = ctx.kafka().topic("subscribe", 1);
    ctx.kafka().produce(&topic, &lines.iter().map(Record::of).collect::<Vec<_>>(), json!({}));
    topic
}

/// What `kps subscribe TOPIC --exit ARGS` prints.
#[track_caller]
fn printed(ctx: &Ctx, library: Library, topic: &str, args: &[&str]) -> String {
    let output = Kps::subscribe(ctx.kafka(), library, topic).args(["--exit"]).args(args).run();
    output.ok().silent().text()
}

fn begins_at_the_beginning_and_follows(ctx: &Ctx, library: Library) {
    let topic = topic_of(ctx, &["old"]);
    let reader = Kps::subscribe(ctx.kafka(), library, &topic).spawn();
    reader.until_stdout(|out| out == b"old\n");
    ctx.kafka().produce(&topic, &[Record::of("new")], json!({}));
    reader.until_stdout(|out| out == b"old\nnew\n");
    reader.signal(Signal::TERM);
    reader.wait().code(143).prints("old\nnew\n").silent();
}

fn delimiters_and_raw_output(ctx: &Ctx, library: Library) {
    let topic = topic_of(ctx, &["a\r", "", "b\0"]);
    assert_eq!(printed(ctx, library, &topic, &[]), "a\r\n\nb\0\n");
    assert_eq!(printed(ctx, library, &topic, &["-D", r"<\t>"]), "a\r<\t><\t>b\0<\t>");
    assert_eq!(printed(ctx, library, &topic, &["-D", r"\0"]), "a\r\0\0b\0\0");
    assert_eq!(printed(ctx, library, &topic, &["--output", "raw"]), "a\rb\0");
}

fn bytes_are_printed_as_they_are(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("bytes", 1);
    let bytes: Vec<u8> = (0..=255).collect();
    ctx.kafka().produce(
        &topic,
        &[Record::of(&bytes), Record { value: None, ..Record::default() }],
        json!({}),
    );
    let output = Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit", "-D", "|"]).run().ok();
    output.prints([&bytes[..], b"||"].concat());
}

fn json_output(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("json", 1);
    let text = Record::of("text \"ü\"").key("k").header("a", Some(b"1")).header("b", Some(b"\xff"));
    let tombstone = Record { value: None, ..Record::default() }.key(b"\x80").at(1_700_000_000_001);
    ctx.kafka().produce(&topic, &[text.at(1_700_000_000_000), tombstone], json!({}));
    let expected = [
        format!(
            r#"{{"topic":"{topic}","partition":0,"offset":0,"timestamp":1700000000000,"timestamp_type":"create","key":"k","headers":[["a","1"],["b",{{"base64":"/w=="}}]],"value":"text \"ü\""}}"#
        ),
        format!(
            r#"{{"topic":"{topic}","partition":0,"offset":1,"timestamp":1700000000001,"timestamp_type":"create","key":{{"base64":"gA=="}},"headers":[],"value":null}}"#
        ),
    ];
    let expected = expected.map(|line| line + "\n").concat();
    assert_eq!(printed(ctx, library, &topic, &["-J"]), expected);
    assert_eq!(printed(ctx, library, &topic, &["--output", "json"]), expected);
}

fn parse_json_embeds_values(ctx: &Ctx, library: Library) {
    let topic = topic_of(ctx, &[r#"{"a": [1, 2.50]}"#, "no json", "12"]);
    let lines = printed(ctx, library, &topic, &["--output", "json", "--parse-json"]);
    let values: Vec<_> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["value"].take()).collect();
    assert_eq!(values, [json!({"a": [1, 2.5]}), json!("no json"), json!(12)]);
}

fn a_format(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("format", 1);
    let records = [
        Record::of("v1").key("k1").header("a", Some(b"1")).header("b", Some(b"2")).at(1_700_000_000_123),
        Record { value: None, ..Record::default() }.at(1000),
    ];
    ctx.kafka().produce(&topic, &records, json!({}));
    let all = r"%t %p %o %T %K:%k %S:%s %h %% \x41\t\n";
    assert_eq!(
        printed(ctx, library, &topic, &["-f", all]),
        format!("{topic} 0 0 1700000000123 2:k1 2:v1 a=1,b=2 % A\t\n{topic} 0 1 1000 -1: -1:  % A\t\n")
    );
    let modified = r"%s{base64} %k{hex} %s{json} %T{rfc3339}\n";
    let expected = "djE= 6b31 \"v1\" 2023-11-14T22:13:20.123Z\n  null 1970-01-01T00:00:01.000Z\n";
    assert_eq!(printed(ctx, library, &topic, &["-f", modified]), expected);
    let framed = Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit", "-f", "%R%s"]).run().ok();
    framed.prints(b"\0\0\0\x02v1\xff\xff\xff\xff");
}

fn a_wrong_format_points_at_the_place(ctx: &Ctx, library: Library) {
    let output = Kps::subscribe(ctx.kafka(), library, "any").args(["-f", "%s %q"]).run().code(2);
    output.says("-f").says("%q");
}

fn partitions(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("partitions", 5);
    let records: Vec<_> = (0..5).map(|p| Record::of(format!("in {p}")).to(p)).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    let read = |list: &str| {
        Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit", "-p", list]).run().ok().sorted_lines()
    };
    assert_eq!(read("3"), ["in 3"]);
    assert_eq!(read("0,2-3"), ["in 0", "in 2", "in 3"]);
    assert_eq!(read("0-4"), ["in 0", "in 1", "in 2", "in 3", "in 4"]);
    Kps::subscribe(ctx.kafka(), library, &topic)
        .args(["-p", "7"])
        .run()
        .code(6)
        .says(&format!("{topic}[7]"))
        .prints("");
}

fn count_of_records(ctx: &Ctx, library: Library) {
    let topic = topic_of(ctx, &["a", "b", "c"]);
    let read = |args: &[&str]| Kps::subscribe(ctx.kafka(), library, &topic).args(args).run().ok().text();
    assert_eq!(read(&["-n", "2"]), "a\nb\n");
    assert_eq!(read(&["-n", "2", "--exit"]), "a\nb\n");
    assert_eq!(read(&["-n", "9", "--exit"]), "a\nb\nc\n");
    assert_eq!(read(&["-n", "0"]), "");
}

fn timeouts(ctx: &Ctx, library: Library) {
    let topic = topic_of(ctx, &["a"]);
    for flag in ["--timeout", "--idle-timeout"] {
        let started = Instant::now();
        Kps::subscribe(ctx.kafka(), library, &topic).args([flag, "1500ms"]).run().ok().prints("a\n");
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(1500), "{flag} {took:?}");
        assert!(took < Duration::from_secs(8), "{flag} {took:?}");
    }
}

fn grep(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("grep", 1);
    let records = [
        Record::of("apple 1").key("fruit"),
        Record::of("apple 2").key("tree").header("h", Some(b"old")),
        Record::of("pear").key("fruit").header("h", Some(b"new")),
        Record { value: None, ..Record::default() }.key("fruit"),
    ];
    ctx.kafka().produce(&topic, &records, json!({}));
    for (patterns, expected) in [
        (vec!["apple"], "0 1 "),
        (vec!["v:^pear$"], "2 "),
        (vec!["k:^tree"], "1 "),
        (vec!["h:h=new"], "2 "),
        (vec!["h:h=."], "1 2 "),
        (vec!["!apple"], "2 3 "),
        (vec!["!k:fruit"], "1 "),
        (vec!["apple", "k:fruit"], "0 "),
        (vec!["apple", "!2"], "0 "),
        (vec!["nothing"], ""),
    ] {
        let mut args = vec!["-f", "%o "];
        patterns.iter().for_each(|pattern| args.extend(["--grep", pattern]));
        assert_eq!(printed(ctx, library, &topic, &args), expected, "{patterns:?}");
    }
    let limited = printed(ctx, library, &topic, &["--grep", "k:fruit", "-n", "2", "-f", "%o "]);
    assert_eq!(limited, "0 2 ");
    Kps::subscribe(ctx.kafka(), library, &topic).args(["--grep", "("]).run().code(2).says("--grep");
}

fn count_and_fail_if_none(ctx: &Ctx, library: Library) {
    let topic = topic_of(ctx, &["a", "b", "ab"]);
    assert_eq!(printed(ctx, library, &topic, &["--count"]), "3\n");
    assert_eq!(printed(ctx, library, &topic, &["--count", "--grep", "a"]), "2\n");
    let read = |args: &[&str]| Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit"]).args(args).run();
    read(&["--fail-if-none", "--grep", "a"]).ok().prints("a\nab\n");
    read(&["--fail-if-none", "--grep", "x"]).code(1).prints("").silent();
    read(&["--fail-if-none", "--count", "--grep", "x"]).code(1).prints("0\n");
}

fn several_topics_and_a_pattern(ctx: &Ctx, library: Library) {
    let prefix = unique("several");
    let topics = [1, 2].map(|n| ctx.kafka().topic(&format!("{prefix}.{n}"), 2));
    for (topic, value) in topics.iter().zip(["in one", "in two"]) {
        ctx.kafka().produce(topic, &[Record::of(value)], json!({}));
    }
    let read = |args: &[&str]| {
        Kps::new(["subscribe", "--exit"]).on(ctx.kafka(), library).args(args).run().ok().sorted_lines()
    };
    assert_eq!(read(&[&topics[0], &topics[1]]), ["in one", "in two"]);
    assert_eq!(read(&["-t", &topics[0], "-t", &topics[1]]), ["in one", "in two"]);
    assert_eq!(read(&["--pattern", &format!(r"^{prefix}\.\d-")]), ["in one", "in two"]);
    assert_eq!(read(&["--pattern", &format!(r"^{prefix}\.2-")]), ["in two"]);
}

fn a_large_record_is_read(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic_with("large", 1, json!({"max.message.bytes": "8000000"}));
    let large = "x".repeat(5_000_000);
    let config = json!({"max.request.size": "8000000"});
    ctx.kafka().produce(&topic, &[Record::of("before"), Record::of(&large), Record::of("after")], config);
    let text = printed(ctx, library, &topic, &[]);
    assert!(text == format!("before\n{large}\nafter\n"), "{} bytes", text.len());
}

fn a_record_rskafka_cannot_decode(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("undecodable", 1);
    ctx.kafka().produce(&topic, &[Record::of("before")], json!({}));
    let null = Record::of("null header").header("n", None);
    ctx.kafka().produce(&topic, &[null, Record::of("in the same batch")], json!({"linger.ms": 100}));
    ctx.kafka().produce(&topic, &[Record::of("after")], json!({}));
    let read = |args: &[&str]| Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit"]).args(args).run();
    match library {
        Library::Native | Library::Rdkafka => {
            drop(read(&[]).ok().prints("before\nnull header\nin the same batch\nafter\n"))
        }
        Library::Rskafka => {
            let output = read(&[]).code(7).prints("before\n");
            output.says(&format!("{topic}[0]")).says("offset 1").says("rdkafka");
            read(&["--skip-bad"]).ok().prints("before\nafter\n").says("skipped");
        }
    }
}
