//! Consumer groups, as another client sees them.
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::app::{Kps, Library};
use crate::harness::client::{Ask, Client};
use crate::harness::kafka::{Kafka, Kind, Record};
use crate::harness::process::Running;
use crate::harness::unique;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("groups::a_run_resumes_where_the_last_one_ended", a_run_resumes_where_the_last_one_ended),
    ("groups::offsets_of_another_client_are_taken_up", offsets_of_another_client_are_taken_up),
    ("groups::without_an_offset_the_end_is_the_start", without_an_offset_the_end_is_the_start),
    ("groups::without_an_offset_and_without_reset_it_fails", without_an_offset_and_without_reset_it_fails),
    ("groups::peeking_commits_nothing", peeking_commits_nothing),
    ("groups::a_place_to_start_moves_the_group", a_place_to_start_moves_the_group),
    ("groups::commits_come_while_it_reads", commits_come_while_it_reads),
    ("groups::a_count_commits_what_it_printed", a_count_commits_what_it_printed),
    ("groups::two_members_share_the_partitions", two_members_share_the_partitions),
    ("groups::a_member_that_ends_leaves_at_once", a_member_that_ends_leaves_at_once),
    ("groups::what_was_not_written_is_not_committed", what_was_not_written_is_not_committed),
    ("groups::a_reader_that_goes_leaves_nothing_committed", a_reader_that_goes_leaves_nothing_committed),
    ("groups::a_full_disk_leaves_nothing_committed", a_full_disk_leaves_nothing_committed),
    ("groups::strategy_and_instance_are_seen_by_java", strategy_and_instance_are_seen_by_java),
    ("groups::a_pattern_in_a_group", a_pattern_in_a_group),
    ("groups::refused_commits_end_it_and_are_named", refused_commits_end_it_and_are_named),
    ("groups::deleted_records_are_told_once", deleted_records_are_told_once),
    ("groups::partitions_of_ones_own_are_refused", partitions_of_ones_own_are_refused),
];

pub(crate) const EARLIEST: [&str; 2] = ["-X", "auto.offset.reset=earliest"];

/// `kps subscribe TOPIC -g GROUP`.
pub(crate) fn member(ctx: &Ctx, library: Library, topic: &str, group: &str) -> Kps {
    Kps::subscribe(ctx.kafka(), library, topic).args(["-g", group])
}

fn values(values: &[&str]) -> Vec<Record> {
    values.iter().map(Record::of).collect()
}

fn a_run_resumes_where_the_last_one_ended(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("resume", 1), unique("group"));
    let run = || member(ctx, library, &topic, &group).args(EARLIEST).args(["--exit"]).run().ok().silent();
    ctx.kafka().produce(&topic, &values(&["a", "b"]), json!({}));
    run().prints("a\nb\n");
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(2));
    run().prints("");
    ctx.kafka().produce(&topic, &values(&["c"]), json!({}));
    run().prints("c\n");
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(3));
}

fn offsets_of_another_client_are_taken_up(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("java", 1), unique("group"));
    ctx.kafka().produce(&topic, &values(&["a", "b", "c"]), json!({}));
    ctx.kafka().set_committed(&group, &topic, 0, 2);
    member(ctx, library, &topic, &group).args(["--exit"]).run().ok().prints("c\n");
    ctx.kafka().set_committed(&group, &topic, 0, 1);
    member(ctx, library, &topic, &group).args(["--exit", "-o", "stored"]).run().ok().prints("b\nc\n");
}

fn without_an_offset_the_end_is_the_start(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("latest", 1), unique("group"));
    ctx.kafka().produce(&topic, &values(&["old"]), json!({}));
    member(ctx, library, &topic, &group).args(["--exit"]).run().ok().prints("");

    let reader = member(ctx, library, &topic, &unique("group")).args(["-n", "1"]).spawn();
    let mut writer = Kps::publish(ctx.kafka(), library, &topic).args(["--rate", "20/s"]).spawn();
    writer.feed("new\n".repeat(2000).into_bytes());
    reader.wait().ok().prints("new\n");
    writer.signal(Signal::INT);
    writer.wait().code(130);
}

fn without_an_offset_and_without_reset_it_fails(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("none", 1), unique("group"));
    ctx.kafka().produce(&topic, &values(&["old"]), json!({}));
    let args = ["--exit", "-X", "auto.offset.reset=none"];
    let output = member(ctx, library, &topic, &group).args(args).run().code(1).prints("");
    output.says("auto.offset.reset").says(&topic);
}

fn peeking_commits_nothing(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("peek", 1), unique("group"));
    ctx.kafka().produce(&topic, &values(&["a"]), json!({}));
    for flags in [["--no-commit", "-v"], ["-X", "enable.auto.commit=false"]] {
        let args = [&EARLIEST[..], &["--exit"], &flags].concat();
        member(ctx, library, &topic, &group).args(args).run().ok().prints("a\n");
        assert_eq!(ctx.kafka().committed(&group, &topic, 0), None, "{flags:?}");
    }
}

fn a_place_to_start_moves_the_group(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("seek", 2), unique("group"));
    let records: Vec<_> =
        (0..6).map(|n| Record::of(n.to_string()).to(n % 2).at(1_700_000_000_000 + i64::from(n))).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    for partition in [0, 1] {
        ctx.kafka().set_committed(&group, &topic, partition, 3);
    }
    let read = |specs: &[&str]| {
        let mut run = member(ctx, library, &topic, &group).args(["--exit"]);
        for spec in specs {
            run = run.args(["-o", spec]);
        }
        run.run().ok().sorted_lines().join(" ")
    };
    assert_eq!(read(&[]), "");
    assert_eq!(read(&["beginning"]), "0 1 2 3 4 5");
    assert_eq!(read(&["-1"]), "4 5");
    assert_eq!(read(&["0=1"]), "2 4");
    assert_eq!(read(&["@1700000000003"]), "3 4 5");
    assert_eq!(read(&["end"]), "");
    assert_eq!(read(&["0:1"]), "0 1");
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(1));
    assert_eq!(read(&[]), "2 3 4 5");
}

fn commits_come_while_it_reads(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("going", 1), unique("group"));
    ctx.kafka().produce(&topic, &values(&["a", "b"]), json!({}));
    let args = [&EARLIEST[..], &["-X", "auto.commit.interval.ms=100"]].concat();
    let reader = member(ctx, library, &topic, &group).args(args).spawn();
    reader.until_stdout(|out| out == b"a\nb\n");
    wait_until(|| ctx.kafka().committed(&group, &topic, 0) == Some(2));
    reader.signal(Signal::INT);
    reader.wait().code(130).silent();
}

fn a_count_commits_what_it_printed(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("count", 1), unique("group"));
    ctx.kafka().produce(&topic, &values(&["a", "b", "c"]), json!({}));
    member(ctx, library, &topic, &group).args(EARLIEST).args(["-n", "2"]).run().ok().prints("a\nb\n");
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(2));
    let grep = ["--grep", "nothing", "--exit"];
    member(ctx, library, &topic, &group).args(grep).run().ok().prints("");
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(3));
}

/// Waits for something only the broker can tell; each question takes a while.
#[track_caller]
pub(crate) fn wait_until(reached: impl Fn() -> bool) {
    let deadline = Instant::now() + crate::harness::PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "it did not come about");
    }
}

pub(crate) fn describe(ctx: &Ctx, group: &str) -> Value {
    ctx.kafka().helper().must(&json!({"do": "describe_group", "group": group}))
}

/// Waits until so many members have so many partitions each.
#[track_caller]
pub(crate) fn wait_for_members(ctx: &Ctx, group: &str, members: usize, partitions: usize) {
    wait_for_members_of(ctx.kafka().helper(), group, members, partitions);
}

/// As [`wait_for_members`], as this client sees it.
#[track_caller]
pub(crate) fn wait_for_members_of(client: &dyn Ask, group: &str, members: usize, partitions: usize) {
    wait_until(|| {
        let found = match client.ask(&json!({"do": "describe_group", "group": group})) {
            Ok(found) => found,
            // Until the first member has joined.
            Err(refusal) if refusal.code == Some(69) => return false,
            Err(refusal) => panic!("{refusal:?}"),
        };
        let all = found["members"].as_array().unwrap();
        let settled = |m: &Value| m["partitions"].as_array().unwrap().len() == partitions;
        found["state"] == "Stable" && all.len() == members && all.iter().all(settled)
    });
}

/// Two members with two of the four partitions each.
fn two_members(ctx: &Ctx, library: Library, topic: &str, group: &str, args: &[&str]) -> [Running; 2] {
    let start = || {
        let args = [&EARLIEST, args, &["-f", r"%p %s\n"]].concat();
        member(ctx, library, topic, group).args(args).spawn()
    };
    let members = [start(), start()];
    wait_for_members(ctx, group, 2, 2);
    members
}

pub(crate) fn produce_to_four(ctx: &Ctx, topic: &str, numbers: std::ops::Range<u32>) {
    let records: Vec<_> = numbers.map(|n| Record::of(n.to_string()).to(n % 4)).collect();
    ctx.kafka().produce(topic, &records, json!({}));
}

fn count_distinct(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|&b| b == b'\n').filter(|line| line.ends_with(b"\n")).collect::<HashSet<_>>().len()
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&b| b == b'\n').count()
}

fn two_members_share_the_partitions(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("share", 4), unique("group"));
    let members = two_members(ctx, library, &topic, &group, &[]);
    produce_to_four(ctx, &topic, 0..400);
    for member in &members {
        member.until_stdout(|out| count_lines(out) == 200);
    }
    let outputs = members.map(|member| {
        member.signal(Signal::TERM);
        member.wait().code(143).silent()
    });
    let mut seen: Vec<u32> = Vec::new();
    for output in &outputs {
        for line in output.text().lines() {
            let (partition, number) = line.split_once(' ').unwrap();
            seen.push(number.parse().unwrap());
            assert_eq!(partition, (seen.last().unwrap() % 4).to_string());
        }
    }
    seen.sort_unstable();
    assert!(seen == (0..400).collect::<Vec<_>>(), "{seen:?}");
    for partition in 0..4 {
        assert_eq!(ctx.kafka().committed(&group, &topic, partition), Some(100));
    }
}

fn a_member_that_ends_leaves_at_once(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("leave", 4), unique("group"));
    let [first, second] = two_members(ctx, library, &topic, &group, &[]);
    produce_to_four(ctx, &topic, 0..40);
    for member in [&first, &second] {
        member.until_stdout(|out| count_lines(out) == 20);
    }
    let left = Instant::now();
    first.signal(Signal::TERM);
    first.wait().code(143).silent();
    wait_for_members(ctx, &group, 1, 4);
    // Otherwise it would take session.timeout.ms, 45 s.
    assert!(left.elapsed() < Duration::from_secs(15), "{:?}", left.elapsed());
    produce_to_four(ctx, &topic, 40..80);
    second.until_stdout(|out| count_distinct(out) == 60);
    second.signal(Signal::TERM);
    let output = second.wait().code(143);
    assert_eq!(count_lines(&output.stdout), 60, "{output}");
}

fn what_was_not_written_is_not_committed(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("written", 1), unique("group"));
    let lines = format!("{}\n", "x".repeat(99)).repeat(50_000);
    Kps::publish(ctx.kafka(), library, &topic).input(lines).run().ok();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let args = [&EARLIEST[..], &["-X", "auto.commit.interval.ms=1"]].concat();
    let run = member(ctx, library, &topic, &group).args(args).stdout(writer).spawn();
    let mut taken = 0;
    let mut buffer = vec![0; 32 << 10];
    let committed = loop {
        taken += reader.read(&mut buffer).unwrap();
        if let Some(committed) = ctx.kafka().committed(&group, &topic, 0) {
            break committed;
        }
    };
    run.signal(Signal::KILL);
    drop(run);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    let (written, last) = (taken + rest.len(), ctx.kafka().committed(&group, &topic, 0));
    assert!(last >= Some(committed) && last <= Some(written as i64 / 100), "{last:?} of {written} bytes");
}

fn a_reader_that_goes_leaves_nothing_committed(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("head", 1), unique("group"));
    ctx.kafka().produce(&topic, &values(&["a", "b", "c"]), json!({}));
    let (reader, writer) = std::io::pipe().unwrap();
    let run = member(ctx, library, &topic, &group).args(EARLIEST).stdout(writer).spawn();
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert_eq!(line, "a\n");
    run.wait().ok().silent();
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), None);
}

fn a_full_disk_leaves_nothing_committed(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("full", 1), unique("group"));
    ctx.kafka().produce(&topic, &values(&["a", "b"]), json!({}));
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = |args: &[&str]| {
        let args = [&EARLIEST, args].concat();
        member(ctx, library, &topic, &group).args(args).stdout(full()).run()
    };
    run(&[]).code(1).says("writing to standard output: No space left on device");
    run(&["--exit"]).code(1).says("standard output");
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), None);
}

fn strategy_and_instance_are_seen_by_java(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("strategy", 2), unique("group"));
    let args = [
        "-X",
        "partition.assignment.strategy=cooperative-sticky",
        "-X",
        "group.instance.id=instance-1",
        "-X",
        "client.id=client-1",
    ];
    let reader = member(ctx, library, &topic, &group).args(EARLIEST).args(args).spawn();
    wait_for_members(ctx, &group, 1, 2);
    let java = || ctx.kafka().client(Client::Java).must(&json!({"do": "describe_group", "group": group}));
    let found = java();
    assert_eq!(found["assignor"], "cooperative-sticky");
    assert_eq!(found["members"][0]["instance_id"], "instance-1");
    assert_eq!(found["members"][0]["client_id"], "client-1");
    ctx.kafka().produce(&topic, &values(&["a"]), json!({}));
    reader.until_stdout(|out| out == b"a\n");
    reader.signal(Signal::TERM);
    reader.wait().code(143).silent();
    assert_eq!(java()["assignor"], "cooperative-sticky");
}

fn a_pattern_in_a_group(ctx: &Ctx, library: Library) {
    let (prefix, group) = (unique("pattern"), unique("group"));
    for (n, value) in ["one", "two"].iter().enumerate() {
        let topic = ctx.kafka().topic(&format!("{prefix}.{n}"), 1);
        ctx.kafka().produce(&topic, &values(&[value]), json!({}));
    }
    let args = ["--exit", "--pattern", &prefix, "-g", &group];
    let run = || {
        Kps::new(["subscribe"]).on(ctx.kafka(), library).args(args).args(EARLIEST).run().ok().sorted_lines()
    };
    assert_eq!(run(), ["one", "two"]);
    assert_eq!(run(), [""; 0]);
}

fn partitions_of_ones_own_are_refused(ctx: &Ctx, library: Library) {
    let output = member(ctx, library, "any", "group").args(["-p", "0"]).run().code(2);
    output.says("-p with -g");
}

/// The group's offset is no longer in the partition: `auto.offset.reset` says where to go on.
fn deleted_records_are_told_once(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("deleted", 1);
    ctx.kafka().produce(&topic, &values(&["a", "b", "c", "d"]), json!({}));
    ctx.kafka().delete_records(&topic, 0, 2);
    for (policy, printed) in [("earliest", "c\nd\n"), ("latest", ""), ("none", "")] {
        let group = unique("group");
        ctx.kafka().set_committed(&group, &topic, 0, 1);
        let reset = format!("auto.offset.reset={policy}");
        let run = member(ctx, library, &topic, &group).args(["-X", &reset, "--exit"]).run().prints(printed);
        let lines = run.err().lines().count();
        let run = run.says(&topic).says("1").says(&reset);
        assert_eq!(lines, 1, "{run}");
        run.code(if policy == "none" { 1 } else { 0 });
        let kept = if policy == "none" { 1 } else { 4 };
        assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(kept), "{policy}");
    }
}

/// A commit that is refused for ever ends the run, wherever it comes: on the interval, or at the end.
fn refused_commits_end_it_and_are_named(ctx: &Ctx, library: Library) {
    let kafka = Kafka::start_guarded(ctx.kind);
    for interval in ["2000", "600000"] {
        let (topic, group) = (kafka.topic("forbidden", 1), unique("group"));
        kafka.produce(&topic, &values(&["a", "b"]), json!({}));
        let interval = format!("auto.commit.interval.ms={interval}");
        // librdkafka hears of it no earlier than when its session is over.
        let args =
            [&EARLIEST[..], &["-g", &group, "-X", &interval, "-X", "session.timeout.ms=6000"]].concat();
        let reader = Kps::subscribe(&kafka, library, &topic).args(args).spawn();
        reader.until_stdout(|out| out == b"a\nb\n");
        kafka.forbid_commits(&group);
        kafka.produce(&topic, &values(&["c"]), json!({}));
        if ctx.kind == Kind::Embedded && interval.ends_with("00000") {
            reader.signal(Signal::INT);
        }
        let output = reader.wait().code(5);
        let upto = [format!("{topic}[0] up to 3"), format!("{topic}[0] up to 2")];
        assert!(upto.iter().any(|upto| output.err().contains(upto)), "{output}");
        output.says("not committed");
    }
}
