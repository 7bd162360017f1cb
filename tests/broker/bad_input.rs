//! What is wrong, and what the exit code and the error say about it.
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::Record;
use crate::harness::process::Running;
use crate::harness::unique;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("bad_input::no_broker_there", no_broker_there),
    ("bad_input::a_broker_that_does_not_answer", a_broker_that_does_not_answer),
    ("bad_input::a_host_that_does_not_exist", a_host_that_does_not_exist),
    ("bad_input::an_unknown_topic", an_unknown_topic),
    ("bad_input::an_illegal_topic_name", an_illegal_topic_name),
    ("bad_input::a_partition_out_of_range", a_partition_out_of_range),
    ("bad_input::a_line_of_20_mb", a_line_of_20_mb),
    ("bad_input::a_record_too_large_for_the_topic", a_record_too_large_for_the_topic),
    ("bad_input::a_record_too_large_takes_no_others_with_it", a_record_too_large_takes_no_others_with_it),
    ("bad_input::undelivered_records_are_replayed", undelivered_records_are_replayed),
    ("bad_input::a_file_that_cannot_be_read", a_file_that_cannot_be_read),
    ("bad_input::standard_input_is_closed", standard_input_is_closed),
    ("bad_input::broken_json", broken_json),
    ("bad_input::broken_envelopes", broken_envelopes),
    ("bad_input::an_unknown_field_of_an_envelope", an_unknown_field_of_an_envelope),
    ("bad_input::input_that_does_not_fit_the_format", input_that_does_not_fit_the_format),
];

/// Both commands, at this address.
fn both(library: Library, address: &str, args: &[&str]) -> Vec<(&'static str, Running)> {
    let start = |command: &'static str| {
        let kps = Kps::new([command, "t", "-b", address, "--library", library.name()]).args(args);
        let mut running = kps.spawn();
        if command == "publish" {
            running.write(b"v\n");
        }
        (command, running)
    };
    ["publish", "subscribe"].map(start).into()
}

#[track_caller]
fn unreachable_within(runs: Vec<(&'static str, Running)>, address: &str, limit: Duration) {
    let started = Instant::now();
    for (command, run) in runs {
        let output = run.wait().code(4).says(address);
        let errors = output.err().lines().filter(|line| line.starts_with("kps: ")).count();
        assert!(errors >= 1, "{output}");
        assert!(started.elapsed() < limit, "{command}: {:?}", started.elapsed());
    }
}

fn no_broker_there(_: &Ctx, library: Library) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    unreachable_within(both(library, &address, &[]), &address, Duration::from_millis(11_500));
}

fn a_broker_that_does_not_answer(_: &Ctx, library: Library) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let args = ["-X", "socket.connection.setup.timeout.ms=2000"];
    unreachable_within(both(library, &address, &args), &address, Duration::from_millis(3500));
}

fn a_host_that_does_not_exist(_: &Ctx, library: Library) {
    let address = "no-such-host.invalid:9092";
    let args = ["-X", "socket.connection.setup.timeout.ms=2000"];
    unreachable_within(both(library, address, &args), address, Duration::from_millis(8000));
}

fn an_unknown_topic(ctx: &Ctx, library: Library) {
    let topic = unique("unknown");
    for (command, limit) in [("publish", 60), ("subscribe", 60)] {
        let kps = Kps::new([command, &topic]).on(ctx.kafka(), library).input("a\nb\n");
        let output = kps.limit(Duration::from_secs(limit)).run().code(6).says(&topic).prints("");
        assert!(output.elapsed < Duration::from_secs(15), "{output}");
    }
    let known = ctx.kafka().topic("known", 1);
    Kps::new(["subscribe", "--exit", &known, &topic]).on(ctx.kafka(), library).run().code(6).says(&topic);
}

fn an_illegal_topic_name(ctx: &Ctx, library: Library) {
    for name in ["a b", "a/b", "ü", "", ".", "..", &"x".repeat(250)] {
        for command in ["publish", "subscribe"] {
            let output =
                Kps::new([command, name]).on(ctx.kafka(), library).input("v").run().code(2).prints("");
            assert!(output.err().contains(name) && output.err().lines().count() == 1, "{output}");
        }
    }
}

fn a_partition_out_of_range(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("range", 2);
    let output = Kps::publish(ctx.kafka(), library, &topic).args(["-p", "2"]).input("a\n").run().code(6);
    output.says(&format!("{topic}[2]")).says("0 to 1");
    let output = Kps::subscribe(ctx.kafka(), library, &topic).args(["-p", "0,2"]).run().code(6);
    output.says(&format!("{topic}[2]")).prints("");
    assert_eq!(ctx.kafka().end_offsets(&topic), [0, 0]);
    let envelopes =
        "{\"value\":\"a\",\"partition\":1}\n{\"value\":\"b\",\"partition\":7}\n{\"value\":\"c\"}\n";
    let args = ["--input", "envelope", "--keep-partition"];
    let output = Kps::publish(ctx.kafka(), library, &topic).args(args).input(envelopes).run().code(6);
    output.says("line 2").says(&topic);
    assert_eq!(ctx.kafka().end_offsets(&topic).iter().sum::<i64>(), 2);
}

fn a_line_of_20_mb(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("huge", 1);
    let input = format!("first\nsecond\n{}\nlast\n", "x".repeat(20_000_000));
    let output = Kps::publish(ctx.kafka(), library, &topic).input(&input).run().code(7).says("line 3");
    assert!(output.err().contains("2 published, 1 failed"), "{output}");
    assert_eq!(ctx.kafka().contents(&topic), [Record::of("first"), Record::of("second")]);

    let topic = ctx.kafka().topic("huge", 1);
    let dir = tempfile::tempdir().unwrap();
    let failed = dir.path().join("failed");
    let args = ["--on-error", "skip", "--failed-to", failed.to_str().unwrap()];
    let output = Kps::publish(ctx.kafka(), library, &topic).args(args).input(&input).run().code(3);
    assert!(output.says("line 3").err().contains("3 published, 1 failed"));
    let expected = ["first", "second", "last"].map(Record::of);
    assert_eq!(ctx.kafka().contents(&topic), expected);
    let failed = failures(&failed);
    assert!(failed.len() == 1 && failed[0]["error"].is_string(), "{failed:?}");
}

/// The lines of a `--failed-to` file.
fn failures(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn a_record_too_large_for_the_topic(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic_with("limited", 1, json!({"max.message.bytes": "2000"}));
    let input = format!("{}\n", "x".repeat(5000));
    let output = Kps::publish(ctx.kafka(), library, &topic).input(input).run().code(3);
    output.says("line 1").says("max.message.bytes");
}

fn a_record_too_large_takes_no_others_with_it(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic_with("limited", 1, json!({"max.message.bytes": "2000"}));
    let small: String = (0..10).map(|n| format!("{n}\n")).collect();
    let input = format!("{small}{}\n{small}", "x".repeat(5000));
    let output = Kps::publish(ctx.kafka(), library, &topic).input(input).run().code(3).says("line 11");
    assert!(output.err().contains("20 published, 1 failed"), "{output}");
    assert_eq!(ctx.kafka().end_offsets(&topic), [20]);
}

fn undelivered_records_are_replayed(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic_with("replay", 3, json!({"max.message.bytes": "2000"}));
    let dir = tempfile::tempdir().unwrap();
    let failed = dir.path().join("failed.json");
    let large = "x".repeat(5000);
    let publish = |partition: &str| {
        let args = ["-k", "k", "-H", "h=1", "--timestamp", "1700000000000", "-p", partition];
        let failed = ["--failed-to", failed.to_str().unwrap()];
        Kps::publish(ctx.kafka(), library, &topic).args(args).args(failed).args(["-m", &large]).run().code(3)
    };
    publish("1").says("line 1");
    publish("2");
    let lines = failures(&failed);
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["topic"] == topic && line["error"].is_string()), "{lines:?}");

    ctx.kafka().helper().must(&json!({"do": "delete_topic", "topic": topic}));
    ctx.kafka().helper().must(&json!({"do": "create_topic", "topic": topic, "partitions": 3}));
    let replay = Kps::new(["publish", "--input", "envelope", failed.to_str().unwrap()]);
    let output = replay.on(ctx.kafka(), library).run().ok();
    assert!(output.err().starts_with("2 published, 0 failed"), "{output}");
    let expected = Record::of(&large).key("k").header("h", Some(b"1"));
    assert_eq!(ctx.kafka().contents(&topic), [expected.clone(), expected]);
    let seen = ctx.kafka().consume(&topic);
    assert!(seen.iter().all(|record| record.timestamp == Some(1_700_000_000_000)));
}

fn a_file_that_cannot_be_read(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("files", 1);
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    std::fs::write(&good, "a\n").unwrap();
    let good = good.to_str().unwrap();
    let folder = dir.path().to_str().unwrap();
    for (args, named) in [
        (vec!["-l", good, "-l", "/no/such/file"], "/no/such/file: No such file or directory"),
        (vec!["-l", good, "-l", folder], folder),
        (vec!["--file-per-message", good, "/no/such/file"], "/no/such/file"),
    ] {
        Kps::publish(ctx.kafka(), library, &topic).args(args).run().code(1).says(named);
    }
    assert_eq!(ctx.kafka().end_offsets(&topic), [0]);
}

fn standard_input_is_closed(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("closed", 1);
    let mut command = Command::new("sh");
    let script = r#"exec "$0" publish "$1" --no-props -b "$2" --library "$3" <&-"#;
    command.args(["-c", script, env!("CARGO_BIN_EXE_kps"), &topic, ctx.kafka().address(), library.name()]);
    let output = Running::start(command, "kps publish <&-".to_owned()).wait();
    let output = output.ok().prints("");
    assert!(output.err().starts_with("0 published, 0 failed"), "{output}");
}

/// Four good lines, of which the third was replaced by `bad`: stop, then skip.
#[track_caller]
fn third_line_is_bad(
    ctx: &Ctx,
    library: Library,
    args: &[&str],
    good: [&str; 3],
    bad: &str,
    values: [&str; 3],
) {
    let input = format!("{}\n{}\n{bad}\n{}\n", good[0], good[1], good[2]);
    let values = values.map(Record::of);
    let topic = ctx.kafka().topic("third", 1);
    let output = Kps::publish(ctx.kafka(), library, &topic).args(args).input(&input).run();
    let output = output.code(7).says("line 3");
    assert!(output.err().contains("2 published, 1 failed"), "{output}");
    assert_eq!(ctx.kafka().contents(&topic), values[..2]);

    let topic = ctx.kafka().topic("third", 1);
    let skip = ["--on-error", "skip"];
    let output = Kps::publish(ctx.kafka(), library, &topic).args(args).args(skip).input(&input).run();
    let output = output.code(3).says("line 3");
    assert!(output.err().contains("3 published, 1 failed"), "{output}");
    assert_eq!(ctx.kafka().contents(&topic), values);
}

fn broken_json(ctx: &Ctx, library: Library) {
    let good = ["{}", "[1]", "2"];
    third_line_is_bad(ctx, library, &["--input", "json"], good, "{\"a\":", good);
    third_line_is_bad(ctx, library, &["--input", "json"], good, "{} trailing", good);
}

fn broken_envelopes(ctx: &Ctx, library: Library) {
    let good = [r#"{"value":"a"}"#, r#"{"value":"b"}"#, r#"{"value":"c"}"#];
    for bad in [
        r#"{"value":"x""#,
        "no json",
        r#"["value"]"#,
        r#"{"value":{"base64":"!"}}"#,
        r#"{"value":"x","key":7}"#,
        r#"{"value":"x","headers":"a"}"#,
        r#"{"value":"x","timestamp":"yesterday"}"#,
    ] {
        third_line_is_bad(ctx, library, &["--input", "envelope"], good, bad, ["a", "b", "c"]);
    }
}

fn an_unknown_field_of_an_envelope(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("strict", 1);
    let input = r#"{"value":"a","velue":"b"}"#;
    let run = || Kps::publish(ctx.kafka(), library, &topic).args(["--input", "envelope"]).input(input);
    run().run().ok();
    run().args(["--strict"]).run().code(7).says("line 1").says("velue");
    assert_eq!(ctx.kafka().end_offsets(&topic), [1]);
}

fn input_that_does_not_fit_the_format(ctx: &Ctx, library: Library) {
    let good = ["k|a", "k|b", "k|c"];
    let topic = ctx.kafka().topic("misfit", 1);
    let input = format!("{}\n{}\nmisfit\n{}\n", good[0], good[1], good[2]);
    let run = || Kps::publish(ctx.kafka(), library, &topic).args(["-i", r"%k|%s\n"]).input(&input);
    run().run().code(7).says("line 3");
    let output = run().args(["--on-error", "skip"]).run().code(3);
    assert!(output.err().contains("3 published, 1 failed"), "{output}");
}
