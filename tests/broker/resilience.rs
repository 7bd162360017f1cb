//! `--resilient`: what happens to every record when the broker goes away, for a while or for good.
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::{Kafka, Record};
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("resilience::an_outage_loses_and_reorders_nothing", an_outage_loses_and_reorders_nothing),
    ("resilience::tries_used_up_leave_every_record_accounted_for", tries_used_up),
    ("resilience::a_broker_that_comes_late_is_waited_for", a_broker_that_comes_late_is_waited_for),
    ("resilience::a_spool_outlives_the_run", a_spool_outlives_the_run),
    ("resilience::a_reader_waits_longer_than_it_would_without", a_reader_waits_longer_than_it_would_without),
    ("resilience::a_reader_gives_up_when_its_tries_are_used_up", a_reader_gives_up),
];

/// A line that says how long a run takes to see something, at most: nothing here waits for a time limit.
const PATIENCE: Duration = Duration::from_secs(90);
const COUNT: usize = 60_000;

/// A broker that can come back: its data and its address stay.
struct Node<'a> {
    ctx: &'a Ctx,
    dir: tempfile::TempDir,
    address: String,
}

impl<'a> Node<'a> {
    fn start(ctx: &'a Ctx) -> (Self, Kafka) {
        let dir = tempfile::tempdir().unwrap();
        let kafka = Kafka::start_in(ctx.kind, dir.path(), None);
        let address = kafka.address().to_owned();
        (Self { ctx, dir, address }, kafka)
    }

    fn again(&self) -> Kafka {
        Kafka::start_in(self.ctx.kind, self.dir.path(), Some(&self.address))
    }
}

fn numbers(count: usize) -> Vec<u8> {
    (0..count).map(|n| format!("{n}\n")).collect::<String>().into_bytes()
}

/// The values on the topic's only partition, in order.
fn on_topic(kafka: &Kafka, library: Library, topic: &str) -> Vec<usize> {
    let read = Kps::subscribe(kafka, library, topic).args(["--exit"]).limit(PATIENCE).run().ok();
    read.text().lines().map(|line| line.parse().unwrap()).collect()
}

/// The number before ` what` in a summary.
#[track_caller]
fn said(summary: &str, what: &str) -> usize {
    let found = summary.split([',', '\n']).find_map(|part| part.trim().strip_suffix(what));
    found.map_or(0, |number| number.trim().parse().unwrap())
}

/// Every number is there, in order of its first time; how many come more than once.
#[track_caller]
fn doubles(values: &[usize], count: usize, summary: &str) -> usize {
    let mut times = BTreeMap::new();
    let mut first_times = Vec::new();
    for value in values {
        let seen: &mut usize = times.entry(*value).or_default();
        if *seen == 0 {
            first_times.push(*value);
        }
        *seen += 1;
    }
    assert_eq!(times.len(), count, "lost\n{summary}");
    assert!(first_times.is_sorted(), "out of order\n{summary}");
    values.len() - count
}

fn an_outage_loses_and_reorders_nothing(ctx: &Ctx, library: Library) {
    let (node, first) = Node::start(ctx);
    let topic = first.topic("outage", 1);
    let mut run = Kps::publish(&first, library, &topic)
        .args(["--resilient", "--rate", "10000/s", "--log-format", "json", "--summary", "text", "--receipts"])
        .limit(PATIENCE)
        .spawn();
    run.feed(numbers(COUNT));
    run.until_stdout(|out| out.len() > 10_000);
    first.kill();
    let killed = Instant::now();
    run.until_stderr(|err| String::from_utf8_lossy(err).contains(r#""event":"disconnected""#));
    // A real broker that was killed is seen at once; ours ends its connections when it is dropped.
    assert!(killed.elapsed() < Duration::from_secs(3), "{:?}", killed.elapsed());
    let second = node.again();
    let output = run.wait().ok();
    let summary = output.err();
    let event = |name: &str| {
        let lines = summary.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == name).collect::<Vec<_>>()
    };
    assert_eq!((event("disconnected").len(), event("reconnected").len()), (1, 1), "{summary}");
    let reconnected = &event("reconnected")[0];
    assert!(reconnected["buffered"].is_u64() && reconnected["after_ms"].is_u64(), "{summary}");
    assert_eq!((said(&summary, "published"), said(&summary, "failed")), (COUNT, 0), "{summary}");
    let doubles = doubles(&on_topic(&second, library, &topic), COUNT, &summary);
    if library == Library::Rskafka {
        assert!(doubles <= said(&summary, "sent again"), "{doubles} twice\n{summary}");
    } else {
        assert_eq!(doubles, 0, "{summary}");
    }
}

/// Publishes the failed file to the topics it names.
fn replay(kafka: &Kafka, library: Library, failed: &Path) {
    let kps = Kps::new(["publish", "--input", "envelope"]).args([failed]).on(kafka, library);
    kps.limit(PATIENCE).run().ok();
}

fn tries_used_up(ctx: &Ctx, library: Library) {
    let (node, first) = Node::start(ctx);
    let topic = first.topic("gone", 1);
    let failed = node.dir.path().join("failed.json");
    let mut run = Kps::publish(&first, library, &topic)
        .args(["--resilient", "--reconnect-tries", "2", "--reconnect-interval", "1.5"])
        .args(["--rate", "4000/s", "--receipts", "--failed-to"])
        .args([&failed])
        .limit(PATIENCE)
        .spawn();
    run.write(&numbers(20_000));
    run.until_stdout(|out| out.len() > 10_000);
    first.kill();
    run.until_stderr(|err| String::from_utf8_lossy(err).contains("disconnected: "));
    let output = run.wait_with_open_stdin().code(4).says("gave up after 2 tries: ");
    assert!(output.elapsed > Duration::from_secs(2) && output.elapsed < Duration::from_secs(7), "{output}");
    let summary = output.err();
    let (published, unknown) = (said(&summary, "published"), said(&summary, "unknown"));
    let lost = said(&summary, "failed") + unknown;
    let text = std::fs::read_to_string(&failed).unwrap();
    let envelopes: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(envelopes.len(), lost, "{summary}");
    // One that tells of the outage, one for each try, the reasons, the summary and the error.
    assert!(summary.lines().count() <= 2 + 5, "{summary}");
    assert!(published > 0 && lost > 0, "{summary}");
    assert_eq!(envelopes.iter().filter(|line| line["fate"] == "unknown").count(), unknown);
    for line in &envelopes {
        assert_eq!(
            (&line["topic"], line["error"].is_string()),
            (&Value::from(topic.as_str()), true),
            "{line}"
        );
        let at = line["first_error_at"].as_str().unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(at).is_ok(), "{line}");
        assert!(line["attempts"].as_u64().unwrap() >= 1, "{line}");
    }
    let read = published + lost;
    let second = node.again();
    replay(&second, library, &failed);
    let values = on_topic(&second, library, &topic);
    let twice = doubles(&values, read, &summary);
    let again = said(&summary, "sent again");
    assert!(twice <= unknown + again, "{twice} twice, {unknown} unknown, {again} sent again\n{summary}");
}

fn a_broker_that_comes_late_is_waited_for(ctx: &Ctx, library: Library) {
    let (node, first) = Node::start(ctx);
    let topic = first.topic("late", 1);
    first.kill();
    let mut run = Kps::new(["publish", &topic, "-b", &node.address, "--library", library.name()])
        .args(["--resilient", "--reconnect-interval", "30"])
        .limit(PATIENCE)
        .spawn();
    run.write(b"0\n1\n");
    run.until_stderr(|err| String::from_utf8_lossy(err).contains("disconnected: no broker reached at"));
    let kafka = node.again();
    run.write(b"2\n");
    run.until_stderr(|err| String::from_utf8_lossy(err).contains("reconnected after"));
    run.wait().ok().says("3 published, 0 failed");
    assert_eq!(on_topic(&kafka, library, &topic), [0, 1, 2]);
}

/// A run that would end after a second without an answer.
const IMPATIENT: [&str; 2] = ["-X", "socket.timeout.ms=1000"];

fn a_reader_waits_longer_than_it_would_without(ctx: &Ctx, library: Library) {
    let (node, first) = Node::start(ctx);
    let topic = first.topic("reader", 1);
    first.kill();
    // The broker comes late, with records, goes away, and comes back.
    let reader = |more: &[&str]| {
        let kps = Kps::new(["subscribe", &topic, "-b", &node.address, "--library", library.name()]);
        kps.args(["--resilient", "-n", "4"]).args(IMPATIENT).args(more).limit(PATIENCE).spawn()
    };
    let alone = reader(&[]);
    let group = ["-g", &topic, "-X", "auto.offset.reset=earliest", "-X", "auto.commit.interval.ms=100"];
    let readers = [alone, reader(&group)];
    for run in &readers {
        run.until_stderr(|err| String::from_utf8_lossy(err).contains("disconnected: "));
    }
    let second = node.again();
    second.produce(&topic, &[Record::of("0"), Record::of("1")], json!({}));
    for run in &readers {
        run.until_stdout(|out| out == b"0\n1\n");
    }
    // What is committed does not come again.
    let asked = Instant::now();
    while second.committed(&topic, &topic, 0) != Some(2) {
        assert!(asked.elapsed() < PATIENCE);
    }
    second.kill();
    // That long it would not wait otherwise: here the length of an outage is what is tried.
    std::thread::sleep(Duration::from_secs(3));
    let third = node.again();
    third.produce(&topic, &[Record::of("2"), Record::of("3")], json!({}));
    for run in readers {
        run.wait().ok().prints("0\n1\n2\n3\n");
    }
}

fn a_reader_gives_up(ctx: &Ctx, library: Library) {
    let (node, first) = Node::start(ctx);
    let topic = first.topic("reader-gone", 1);
    first.produce(&topic, &[Record::of("0")], json!({}));
    let run = Kps::new(["subscribe", &topic, "-b", &node.address, "--library", library.name()])
        .args(["--resilient", "--reconnect-tries", "2", "--reconnect-interval", "1.5"])
        .limit(PATIENCE)
        .spawn();
    run.until_stdout(|out| out == b"0\n");
    first.kill();
    let output = run.wait_with_open_stdin().code(4);
    assert!(output.elapsed >= Duration::from_secs(2), "{output}");
    assert!(output.elapsed < Duration::from_secs(15), "{output}");
}

fn a_spool_outlives_the_run(ctx: &Ctx, library: Library) {
    let (node, first) = Node::start(ctx);
    let topic = first.topic("spool", 1);
    first.kill();
    let spool = node.dir.path().join("spool");
    let publish = || {
        let kps = Kps::new(["publish", &topic, "-b", &node.address, "--library", library.name()]);
        kps.args(["--tee", "--reconnect-interval", "20", "--spool"]).args([&spool]).limit(PATIENCE)
    };
    // What was written to standard output, too, was in the spool before.
    let mut run = publish().spawn();
    run.write(b"0\n1\n2\n3\n4\n");
    run.until_stdout(|out| out == b"0\n1\n2\n3\n4\n");
    publish().run().code(1).says("another process has this spool open");
    run.signal(Signal::KILL);
    assert!(!run.wait_with_open_stdin().status.success());
    // More is added while there still is no broker, and a signal ends that run.
    let mut run = publish().args(["--drain-timeout", "0.2"]).spawn();
    run.write(b"5\n");
    run.until_stdout(|out| out == b"5\n");
    run.signal(Signal::TERM);
    run.wait_with_open_stdin().code(143).says("0 published, 0 failed, 6 kept in the spool");
    damage(&spool);
    let kafka = node.again();
    // The rest comes first, in order; the damaged record is counted.
    let output = publish().input("6\n").run().code(3);
    output.says("6 published, 0 failed, 1 damaged in the spool");
    assert_eq!(on_topic(&kafka, library, &topic), [0, 1, 3, 4, 5, 6]);
    publish().input("7\n").run().ok().says("1 published, 0 failed");
    assert_eq!(on_topic(&kafka, library, &topic), [0, 1, 3, 4, 5, 6, 7]);
}

/// Flips a bit of the record with the value 2, which is one of those that are equal but for that value.
fn damage(spool: &Path) {
    let files = std::fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path());
    let first = files.filter(|path| path.extension().is_some_and(|end| end == "spool")).min().unwrap();
    let mut bytes = std::fs::read(&first).unwrap();
    let of_one = bytes.len() / 5;
    bytes[of_one * 2 + of_one / 2] ^= 1;
    std::fs::write(first, bytes).unwrap();
}
