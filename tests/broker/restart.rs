//! A broker that dies and comes back on the same port.
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::Kafka;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[("restart::nothing_is_lost", nothing_is_lost)];

const COUNT: usize = 200_000;

/// One publishes, one subscribes, and the broker is killed and started again in the middle of it. Afterwards the broker
/// is killed for good and a run that cannot deliver is told to end, and told again.
fn nothing_is_lost(ctx: &Ctx, library: Library) {
    let dir = tempfile::tempdir().unwrap();
    let first = Kafka::start_in(ctx.kind, dir.path(), None);
    let address = first.address().to_owned();
    let topic = first.topic("restart", 1);
    let patience = Duration::from_secs(120);
    let reader = Kps::subscribe(&first, library, &topic).limit(patience).spawn();
    let rate = ["--rate", "25000/s"];
    let mut writer = Kps::publish(&first, library, &topic).args(rate).limit(patience).spawn();
    writer.feed((0..COUNT).map(|n| format!("{n}\n")).collect::<String>().into_bytes());
    reader.until_stdout(|out| out.len() > 200_000);
    first.kill();
    let second = Kafka::start_in(ctx.kind, dir.path(), Some(&address));

    let published = writer.wait().ok();
    assert!(published.err().contains(&format!("{COUNT} published, 0 failed")), "{published}");
    let last = format!("\n{}\n", COUNT - 1);
    reader.until_stdout(|out| out.ends_with(last.as_bytes()));
    reader.signal(Signal::TERM);
    let output = reader.wait().code(143);
    let text = output.text();
    let mut seen: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
    let records = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), COUNT, "lost");
    let written = second.end_offsets(&topic)[0];
    assert_eq!(records as i64, written, "read twice or not at all");
    if library != Library::Rskafka {
        assert_eq!(records, COUNT, "published twice");
    }
    told_twice(library, second, &topic);
}

fn told_twice(library: Library, kafka: Kafka, topic: &str) {
    // What is written to standard output, too, has been read and is on its way.
    let mut run = Kps::publish(&kafka, library, topic).args(["--tee"]).spawn();
    run.write(b"first\n");
    run.until_stdout(|out| !out.is_empty());
    kafka.kill();
    run.write(b"one\ntwo\nthree\n");
    run.until_stdout(|out| out.ends_with(b"three\n"));
    run.close_stdin();
    run.signal(Signal::INT);
    // Of another kind, since two of one kind may arrive as one.
    run.signal(Signal::TERM);
    let output = run.wait();
    assert!([Some(130), Some(143)].contains(&output.status.code()), "{output}");
    assert!(output.elapsed < Duration::from_secs(5), "{output}");
    output.says("left at once: ").says("records");
}
