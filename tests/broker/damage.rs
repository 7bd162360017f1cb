//! A log that was damaged on the broker's disk.
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::{Kafka, Record};
use crate::{Ctx, PerLibrary};

pub(crate) const WITH_GROUPS: &[PerLibrary] = &[("damage::a_group_passes_over_it", a_group_passes_over_it)];

pub(crate) const TRIALS: &[PerLibrary] =
    &[("damage::a_batch_is_noticed_and_passed_over", a_batch_is_noticed_and_passed_over)];

/// The files of a topic's only partition that hold records.
fn logs(folder: &Path, topic: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(logs(&entry, topic));
        } else if entry.extension().is_some_and(|e| e == "log") && entry.to_str().unwrap().contains(topic) {
            found.push(entry);
        }
    }
    found
}

/// Changes a value where it is stored, as a failing disk would; who reads it can tell by the checksum alone.
fn damage(folder: &Path, topic: &str, value: &[u8], by: &[u8]) {
    use std::os::unix::fs::FileExt;
    let changed = logs(folder, topic).into_iter().filter(|log| {
        let stored = fs::read(log).unwrap();
        let at = memchr::memmem::find(&stored, value);
        at.inspect(|at| {
            fs::File::options().write(true).open(log).unwrap().write_all_at(by, *at as u64).unwrap()
        })
        .is_some()
    });
    assert_eq!(changed.count(), 1);
}

/// A batch as it is published; its second value is stored as another.
const DAMAGED: [&str; 3] = ["one", "two-to-be-damaged", "three"];

/// A broker of its own with a topic of these batches, one of them [`DAMAGED`].
fn damaged(ctx: &Ctx, batches: &[&[&str]]) -> (tempfile::TempDir, Kafka, String) {
    let dir = tempfile::tempdir().unwrap();
    let kafka = Kafka::start_in(ctx.kind, dir.path(), None);
    let topic = kafka.topic("damaged", 1);
    for values in batches {
        let records: Vec<_> = values.iter().map(Record::of).collect();
        kafka.produce(&topic, &records, json!({"linger.ms": 100}));
    }
    damage(dir.path(), &topic, b"two-to-be-damaged", b"two-that-is-other");
    (dir, kafka, topic)
}

fn a_batch_is_noticed_and_passed_over(ctx: &Ctx, library: Library) {
    let (_dir, kafka, topic) = damaged(ctx, &[&["before"], &DAMAGED, &["after"]]);
    let read = |args: &[&str]| Kps::subscribe(&kafka, library, &topic).args(["--exit"]).args(args).run();
    let what = if library == Library::Native { "checksum" } else { "CRC" };
    let refused = read(&[]).code(7).prints("before\n").says(&format!("{topic}[0]")).says(what);
    assert_eq!(refused.err().lines().count(), 1, "{refused}");
    let skipped = read(&["--skip-bad"]).ok().prints("before\nafter\n").says("skipped: ").says(what);
    let lines = skipped.err().lines().count();
    // rskafka does not tell how many records a batch has.
    assert_eq!(lines, if library == Library::Rskafka { 3 } else { 1 }, "{skipped}");
    let unchecked = read(&["-X", "check.crcs=false"]);
    match library {
        Library::Native | Library::Rdkafka => {
            drop(unchecked.ok().silent().prints("before\none\ntwo-that-is-other\nthree\nafter\n"));
        }
        Library::Rskafka => drop(unchecked.code(7).prints("before\n")),
    }
}

/// The damage is at the end: nothing comes behind it.
fn a_group_passes_over_it(ctx: &Ctx, library: Library) {
    let (_dir, kafka, topic) = damaged(ctx, &[&["before"], &DAMAGED]);
    let group = ["-g", "passes-over", "-X", "auto.offset.reset=earliest", "--exit"];
    let read = |args: &[&str]| Kps::subscribe(&kafka, library, &topic).args(group).args(args).run();
    read(&[]).code(7).prints("before\n").says(&format!("{topic}[0]"));
    assert_eq!(kafka.committed("passes-over", &topic, 0), Some(1));
    let skipped = read(&["--skip-bad"]).ok().prints("").says("skipped: ");
    // rskafka steps over a batch offset by offset.
    let lines = if library == Library::Rskafka { DAMAGED.len() } else { 1 };
    assert_eq!(skipped.err().lines().count(), lines, "{skipped}");
    assert_eq!(kafka.committed("passes-over", &topic, 0), Some(4));
}
