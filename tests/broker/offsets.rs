//! `-o`: every form of the grammar.
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::Record;
use crate::harness::unique;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("offsets::starts_and_ends", starts_and_ends),
    ("offsets::times", times),
    ("offsets::relative_times", relative_times),
    ("offsets::of_single_partitions", of_single_partitions),
    ("offsets::named_partitions_alone_are_read", named_partitions_alone_are_read),
    ("offsets::a_start_at_the_end_follows", a_start_at_the_end_follows),
    ("offsets::an_end_in_the_future_is_waited_for", an_end_in_the_future_is_waited_for),
    ("offsets::a_low_watermark_above_zero", a_low_watermark_above_zero),
    ("offsets::outside_of_the_partition", outside_of_the_partition),
    ("offsets::wrong_words_are_usage_errors", wrong_words_are_usage_errors),
];

const START: i64 = 1_700_000_000_000;

/// Record n of a partition has value `n` and was made n seconds after [`START`].
fn numbered(count: i64, partition: u32) -> Vec<Record> {
    (0..count).map(|n| Record::of(n.to_string()).to(partition).at(START + n * 1000)).collect()
}

fn ten(ctx: &Ctx) -> String {
    let topic = ctx.kafka().topic("offsets", 1);
    ctx.kafka().produce(&topic, &numbered(10, 0), json!({}));
    topic
}

/// The offsets that `kps subscribe TOPIC ARGS` prints.
#[track_caller]
fn read(ctx: &Ctx, library: Library, topic: &str, args: &[&str]) -> String {
    Kps::subscribe(ctx.kafka(), library, topic).args(["-f", "%o "]).args(args).run().ok().text()
}

fn starts_and_ends(ctx: &Ctx, library: Library) {
    let topic = ten(ctx);
    for (spec, expected) in [
        ("beginning", "0 1 2 3 4 5 6 7 8 9 "),
        ("earliest", "0 1 2 3 4 5 6 7 8 9 "),
        ("end", ""),
        ("latest", ""),
        ("7", "7 8 9 "),
        ("-2", "8 9 "),
        ("-20", "0 1 2 3 4 5 6 7 8 9 "),
        ("7:end", "7 8 9 "),
        ("2:5", "2 3 4 "),
        ("beginning:2", "0 1 "),
        ("-5:-3", "5 6 "),
        ("-3:end", "7 8 9 "),
        (":3", "0 1 2 "),
        ("8:", "8 9 "),
        ("4:4", ""),
    ] {
        assert_eq!(read(ctx, library, &topic, &["--exit", "-o", spec]), expected, "{spec}");
        if spec.contains(':') && !spec.ends_with(':') {
            assert_eq!(read(ctx, library, &topic, &["-o", spec]), expected, "{spec} without --exit");
        }
    }
}

fn times(ctx: &Ctx, library: Library) {
    let topic = ten(ctx);
    for (spec, expected) in [
        ("@1700000007000", "7 8 9 "),
        ("@1700000007", "7 8 9 "),
        ("@1700000006001", "7 8 9 "),
        ("@2023-11-14T22:13:27Z", "7 8 9 "),
        ("@2023-11-14T23:13:27.000+01:00", "7 8 9 "),
        ("@2023-11-14", "0 1 2 3 4 5 6 7 8 9 "),
        ("@2023-11-15", ""),
        ("@1700000002:@1700000004", "2 3 "),
        ("@2023-11-14T22:13:22Z:@2023-11-14T22:13:24Z", "2 3 "),
        ("@1700000008:end", "8 9 "),
        ("beginning:@1700000001", "0 "),
        ("@1700000009:@now", "9 "),
        ("3:@1700000005", "3 4 "),
    ] {
        assert_eq!(read(ctx, library, &topic, &["--exit", "-o", spec]), expected, "{spec}");
    }
}

fn relative_times(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("relative", 1);
    let now = Utc::now().timestamp_millis();
    let ages = [7200, 5400, 1800, 60];
    let records: Vec<_> = ages.iter().map(|age| Record::of(age.to_string()).at(now - age * 1000)).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    for (spec, expected) in [
        ("@-1h", "2 3 "),
        ("@-100m", "1 2 3 "),
        ("@-1h:@-5m", "2 "),
        ("@-3h:@-1h", "0 1 "),
        ("@-1d", "0 1 2 3 "),
    ] {
        assert_eq!(read(ctx, library, &topic, &["--exit", "-o", spec]), expected, "{spec}");
    }
    let date = DateTime::from_timestamp_millis(now - 86_400_000).unwrap().format("@%Y-%m-%d").to_string();
    assert_eq!(read(ctx, library, &topic, &["--exit", "-o", &date]), "0 1 2 3 ");
}

fn of_single_partitions(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("single", 3);
    let records: Vec<_> = (0..3).flat_map(|partition| numbered(5, partition)).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    let read = |specs: &[&str]| {
        let mut run = Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit", "-f", r"%p:%o\n"]);
        for spec in specs {
            run = run.args(["-o", spec]);
        }
        run.run().ok().sorted_lines().join(" ")
    };
    assert_eq!(read(&["end", "1=3"]), "1:3 1:4");
    assert_eq!(read(&["0=2:3", "1=-1", "2=@1700000002:4"]), "0:2 1:4 2:2 2:3");
    assert_eq!(read(&[":1", "2=4:end"]), "0:0 1:0 2:4");
    assert_eq!(read(&["4", "2=:2", "0=end"]), "1:4");
}

/// Without an `-o` for all, those that `P=` forms name are the only ones; a group assigns whatever it does.
fn named_partitions_alone_are_read(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("alone", 4);
    let records: Vec<_> = (0..4).flat_map(|partition| numbered(5, partition)).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    let subscribe = |args: &[&str]| {
        Kps::subscribe(ctx.kafka(), library, &topic).args(["-f", r"%p:%o\n"]).args(args).run()
    };
    let read = |args: &[&str]| subscribe(args).ok().silent().sorted_lines().join(" ");
    // It ends where the only partition does.
    assert_eq!(read(&["-o", "3=2:4"]), "3:2 3:3");
    assert_eq!(read(&["-o", "3=2:4", "-o", "1=:1"]), "1:0 3:2 3:3");
    assert_eq!(read(&["-o", "2=3", "-e"]), "2:3 2:4");
    assert_eq!(read(&["-o", "2=3", "-o", "-1", "-e"]), "0:4 1:4 2:3 2:4 3:4");
    assert_eq!(read(&["-o", "2=3", "-o", "4:", "-e"]), "0:4 1:4 2:3 2:4 3:4");
    assert_eq!(read(&["-p", "0,2", "-o", "2=3", "-e"]), "0:0 0:1 0:2 0:3 0:4 2:3 2:4");
    let group = unique("group");
    let group = ["-g", &group, "-X", "auto.offset.reset=earliest", "-e", "-o"];
    assert_eq!(read(&[&group[..], &["2=4", "-o", "1=3:4"]].concat()).split(' ').count(), 5 + 1 + 1 + 5);
    for args in [&["-o", "9=1"][..], &["-o", "end", "-o", "9=1"], &[&group[..], &["9=1"]].concat()] {
        subscribe(args).code(6).prints("").says(&format!("no partition {topic}[9]"));
    }
}

fn a_start_at_the_end_follows(ctx: &Ctx, library: Library) {
    // The place that "end" means is where the topic ends when the run begins: a record that it
    // reads for sure is one published after another run printed something that it published later.
    let topic = ten(ctx);
    let reader = Kps::subscribe(ctx.kafka(), library, &topic).args(["-o", "end", "-n", "1", "-v"]).spawn();
    let mut writer = Kps::publish(ctx.kafka(), library, &topic).args(["--rate", "20/s"]).spawn();
    writer.feed("new\n".repeat(1000).into_bytes());
    reader.until_stdout(|out| out == b"new\n");
    reader.wait().ok().prints("new\n");
    writer.signal(rustix::process::Signal::INT);
    writer.signal(rustix::process::Signal::INT);
    writer.wait();
}

fn an_end_in_the_future_is_waited_for(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("future", 1);
    ctx.kafka().produce(&topic, &numbered(2, 0), json!({}));
    let reader = Kps::subscribe(ctx.kafka(), library, &topic).args(["-o", "1:4", "-f", "%o "]).spawn();
    reader.until_stdout(|out| out == b"1 ");
    ctx.kafka().produce(&topic, &numbered(5, 0), json!({}));
    reader.wait().ok().prints("1 2 3 ");
}

fn a_low_watermark_above_zero(ctx: &Ctx, library: Library) {
    let topic = ten(ctx);
    ctx.kafka().delete_records(&topic, 0, 7);
    let silent = Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit", "-f", "%o "]).run();
    silent.ok().prints("7 8 9 ").silent();
    for spec in ["beginning", "-20", "@1700000000"] {
        assert_eq!(read(ctx, library, &topic, &["--exit", "-o", spec]), "7 8 9 ", "{spec}");
    }
    let output = Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit", "-f", "%o ", "-o", "2"]).run();
    output.ok().prints("7 8 9 ").says("7 instead of 2");
    ctx.kafka().delete_records(&topic, 0, 10);
    assert_eq!(read(ctx, library, &topic, &["--exit"]), "");
}

fn outside_of_the_partition(ctx: &Ctx, library: Library) {
    let topic = ten(ctx);
    let output = Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit", "-o", "99"]).run();
    output.ok().prints("").says("10 instead of 99");
}

fn wrong_words_are_usage_errors(ctx: &Ctx, library: Library) {
    for spec in ["begining", "1=", "=1", "x=1", "@yesterday", "1:2:3", "5:2", "end:beginning", "--", ""] {
        let spec = format!("--offset={spec}");
        let output = Kps::subscribe(ctx.kafka(), library, "any").args([&spec]).run().code(2).prints("");
        assert!(output.err().contains("-o: ") && output.err().lines().count() == 1, "{output}");
    }
    let output = Kps::subscribe(ctx.kafka(), library, "any").args(["-o", "stored"]).run().code(2);
    output.says("-g");
}
