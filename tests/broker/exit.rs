//! `--exit` ends at the end as it was when the run began, whatever is there.
use rustix::process::Signal;
use serde_json::json;

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::{Record, Transaction};
use crate::harness::unique;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("exit::on_an_empty_topic", on_an_empty_topic),
    ("exit::with_empty_partitions", with_empty_partitions),
    ("exit::behind_a_tail_of_markers", behind_a_tail_of_markers),
    ("exit::with_only_markers", with_only_markers),
    ("exit::before_an_open_transaction", before_an_open_transaction),
    ("exit::on_a_compacted_topic", on_a_compacted_topic),
    ("exit::while_the_topic_is_written_to", while_the_topic_is_written_to),
    ("exit::after_all_was_deleted", after_all_was_deleted),
    ("exit::with_a_group", with_a_group),
    ("exit::of_several_topics", of_several_topics),
];

fn numbered(numbers: std::ops::Range<usize>) -> Vec<Record> {
    numbers.map(|n| Record::of(n.to_string())).collect()
}

fn on_an_empty_topic(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("empty", 3);
    Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit"]).run().ok().prints("").silent();
}

fn with_empty_partitions(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("sparse", 6);
    ctx.kafka().produce(&topic, &[Record::of("a").to(1), Record::of("b").to(4)], json!({}));
    let output = Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit"]).run().ok().silent();
    assert_eq!(output.sorted_lines(), ["a", "b"]);
}

/// rdkafka leaves out what was aborted. rskafka cannot tell: it ends, with what it read or an error, and says so.
#[track_caller]
fn ends_with(ctx: &Ctx, library: Library, topic: &str, expected: &str) {
    let output = Kps::subscribe(ctx.kafka(), library, topic).args(["--exit"]).run();
    match library {
        Library::Native | Library::Rdkafka => drop(output.ok().prints(expected).silent()),
        Library::Rskafka => {
            let code = output.status.code();
            assert!(code == Some(0) || code == Some(7), "{output}");
            output.says("rdkafka");
        }
    }
}

fn behind_a_tail_of_markers(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("tail", 1);
    ctx.kafka().produce(&topic, &[Record::of("before")], json!({}));
    ctx.kafka().transaction(&topic, &[Record::of("committed")], Transaction::Commit);
    ctx.kafka().transaction(&topic, &[Record::of("aborted")], Transaction::Abort);
    ends_with(ctx, library, &topic, "before\ncommitted\n");
    ctx.kafka().produce(&topic, &[Record::of("after")], json!({}));
    ends_with(ctx, library, &topic, "before\ncommitted\nafter\n");
}

fn with_only_markers(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("markers", 1);
    ctx.kafka().transaction(&topic, &[Record::of("aborted")], Transaction::Abort);
    ctx.kafka().transaction(&topic, &[Record::of("too")], Transaction::Abort);
    ends_with(ctx, library, &topic, "");
    ctx.kafka().delete_records(&topic, 0, 4);
    Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit"]).run().ok().prints("").silent();
}

fn before_an_open_transaction(ctx: &Ctx, library: Library) {
    // Its timeout ends it: until then the stable end is before it.
    let topic = ctx.kafka().topic("open", 1);
    ctx.kafka().produce(&topic, &numbered(0..3), json!({}));
    ctx.kafka().transaction(&topic, &[Record::of("open")], Transaction::Open);
    ctx.kafka().produce(&topic, &[Record::of("behind")], json!({}));
    Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit"]).run().ok().prints("0\n1\n2\n");
    if library != Library::Rskafka {
        let uncommitted = Kps::subscribe(ctx.kafka(), library, &topic)
            .args(["--exit", "-X", "isolation.level=read_uncommitted"])
            .run();
        uncommitted.ok().prints("0\n1\n2\nopen\nbehind\n");
    }
}

fn on_a_compacted_topic(ctx: &Ctx, library: Library) {
    let config = json!({
        "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "100",
        "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "100", "delete.retention.ms": "0",
    });
    let topic = ctx.kafka().topic_with("compacted", 1, config);
    let keyed = |key: &str, value: &str| Record::of(value).key(key);
    for n in 0..20 {
        ctx.kafka().produce(&topic, &[keyed("a", &n.to_string()), keyed("b", &n.to_string())], json!({}));
    }
    ctx.kafka().produce(&topic, &[keyed("c", "last")], json!({}));
    // Compaction is done by a thread of the broker; a record of its own rolls the segment.
    let compacted = || {
        ctx.kafka().produce(&topic, &[keyed("roll", "x")], json!({}));
        ctx.kafka().consume(&topic).len() < 20
    };
    while !compacted() {}
    let expected: Vec<_> =
        ctx.kafka().consume(&topic).into_iter().map(|r| r.offset.unwrap().to_string()).collect();
    let output = Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit", "-f", r"%o\n"]).run().ok();
    // It may go on being compacted in between, but only `roll` has records left to lose.
    let seen = output.text();
    let seen: Vec<_> = seen.lines().collect();
    assert!(
        seen.len() <= expected.len() && seen.last() == expected.last().map(|s| &**s).as_ref(),
        "{output}"
    );
    let offset: i64 = expected[0].parse().unwrap();
    assert!(offset > 0, "{expected:?}");
}

fn while_the_topic_is_written_to(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("busy", 2);
    let mut writer = Kps::publish(ctx.kafka(), library, &topic).args(["--rate", "20000/s"]).spawn();
    let seen = Kps::subscribe(ctx.kafka(), library, &topic).args(["-n", "1000"]).spawn();
    writer.feed("x\n".repeat(2_000_000).into_bytes());
    seen.wait().ok();
    let output = Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit", "--count"]).run().ok();
    assert!(output.text().trim().parse::<u64>().unwrap() >= 1000, "{output}");
    writer.signal(Signal::INT);
    writer.signal(Signal::INT);
    writer.wait();
}

fn after_all_was_deleted(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("gone", 1);
    ctx.kafka().produce(&topic, &numbered(0..5), json!({}));
    ctx.kafka().delete_records(&topic, 0, 5);
    Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit"]).run().ok().prints("").silent();
}

fn with_a_group(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("grouped", 3), unique("group"));
    ctx.kafka().produce(&topic, &[Record::of("a").to(0), Record::of("b").to(2)], json!({}));
    if library != Library::Rskafka {
        ctx.kafka().transaction(&topic, &[Record::of("aborted").to(1)], Transaction::Abort);
    }
    let read = || {
        let args = ["--exit", "-g", &group, "-X", "auto.offset.reset=earliest"];
        Kps::subscribe(ctx.kafka(), library, &topic).args(args).run()
    };
    assert_eq!(read().ok().silent().sorted_lines(), ["a", "b"]);
    assert_eq!(read().ok().silent().sorted_lines(), [""; 0]);
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(1));
    assert_eq!(ctx.kafka().committed(&group, &topic, 2), Some(1));
}

fn of_several_topics(ctx: &Ctx, library: Library) {
    let topics = [ctx.kafka().topic("one", 2), ctx.kafka().topic("two", 1), ctx.kafka().topic("three", 1)];
    ctx.kafka().produce(&topics[0], &[Record::of("a").to(1)], json!({}));
    ctx.kafka().produce(&topics[2], &[Record::of("b")], json!({}));
    let output = Kps::new(["subscribe", "--exit"]).on(ctx.kafka(), library).args(&topics).run().ok();
    assert_eq!(output.sorted_lines(), ["a", "b"]);
}
