//! Which offsets a group is moved to: those behind records that were written, and those that `auto.offset.reset` chose
//! where there was none; never one that `-o` chose to read from.
use std::io::{BufRead, BufReader};

use rustix::process::Signal;
use serde_json::json;

use crate::groups::{EARLIEST, member, wait_until};
use crate::harness::app::{Kps, Library};
use crate::harness::client::Client;
use crate::harness::kafka::{Kafka, Record, Transaction};
use crate::harness::process::{Output, Running};
use crate::harness::unique;
use crate::members::numbers;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("commits::an_offset_that_was_only_sought_is_not_committed", an_offset_that_was_only_sought),
    ("commits::a_record_behind_a_sought_offset_moves_the_group", a_record_behind_a_sought_offset),
    ("commits::markers_and_aborted_records_move_no_group_that_sought", markers_and_aborted_records),
    ("commits::a_signal_commits_no_sought_offset", a_signal_commits_no_sought_offset),
    ("commits::each_partition_is_committed_on_its_own", each_partition_is_committed_on_its_own),
    ("commits::what_the_reset_chose_is_committed_for_the_next_run", what_the_reset_chose),
    ("commits::an_end_before_the_committed_offset_moves_nothing", an_end_before_the_committed_offset),
    ("commits::a_committed_offset_out_of_range_is_replaced", a_committed_offset_out_of_range),
    ("commits::a_partition_given_up_unread_is_read_from_its_sought_offset", a_partition_given_up_unread),
    ("commits::a_partition_that_another_member_read_goes_on_behind_it", a_partition_that_another_member_read),
    ("commits::a_reader_that_goes_at_once_moves_nothing", a_reader_that_goes_at_once),
    ("commits::an_outage_leaves_a_sought_offset_as_it_was", an_outage),
];

const PROTOCOLS: [&str; 2] = ["group.protocol=classic", "group.protocol=consumer"];

/// Publishes these numbers to a partition, each its own value.
fn produce(kafka: &Kafka, topic: &str, partition: u32, numbers: std::ops::Range<u32>) {
    let records: Vec<_> = numbers.map(|n| Record::of(n.to_string()).to(partition)).collect();
    kafka.produce(topic, &records, json!({}));
}

/// A topic of one partition with so many records, and a group that has committed an offset of it.
fn group_at(ctx: &Ctx, records: u32, committed: i64) -> (String, String) {
    let (topic, group) = (ctx.kafka().topic("commits", 1), unique("group"));
    produce(ctx.kafka(), &topic, 0, 0..records);
    ctx.kafka().set_committed(&group, &topic, 0, committed);
    (topic, group)
}

/// `kps subscribe TOPIC -g GROUP -X PROTOCOL ARGS`, to its end.
#[track_caller]
fn read(ctx: &Ctx, library: Library, topic: &str, group: &str, protocol: &str, args: &[&str]) -> Output {
    member(ctx, library, topic, group).args(["-X", protocol]).args(args).run().ok()
}

fn committed(ctx: &Ctx, topic: &str, group: &str) -> Option<i64> {
    ctx.kafka().committed(group, topic, 0)
}

fn an_offset_that_was_only_sought(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        let (topic, group) = group_at(ctx, 100, 10);
        for spec in ["end", "100", "@now", "-0", "0=end", "7:7", "end:end"] {
            for more in [&[][..], &["--resilient"]] {
                let args = [&["-e", "-o", spec], more].concat();
                read(ctx, library, &topic, &group, protocol, &args).prints("").silent();
                assert_eq!(committed(ctx, &topic, &group), Some(10), "{protocol} {args:?}");
            }
        }
        for args in [
            // Out of range, and said to be.
            &["-o", "200", "-e"][..],
            &["-o", "end", "--idle-timeout", "500ms"],
            &["-o", "3", "-n", "0"],
        ] {
            read(ctx, library, &topic, &group, protocol, args).prints("");
            assert_eq!(committed(ctx, &topic, &group), Some(10), "{protocol} {args:?}");
        }
        let new = unique("group");
        read(ctx, library, &topic, &new, protocol, &["-o", "end", "-e"]).prints("").silent();
        assert_eq!(committed(ctx, &topic, &new), None, "{protocol}");
    }
}

fn a_record_behind_a_sought_offset(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        let (topic, group) = group_at(ctx, 10, 2);
        for (args, printed, moved_to) in [
            (&["-o", "8", "-e"][..], "8\n9\n", 10),
            (&["-o", "4", "-n", "2"], "4\n5\n", 6),
            (&["-o", "-3:-1"], "7\n8\n", 9),
            (&["-o", "0=1:2"], "1\n", 2),
            // What is filtered out or counted was read.
            (&["-o", "5:7", "--grep", "nothing"], "", 7),
            (&["-o", "9", "-e", "--count"], "1\n", 10),
            (&["-o", "1", "-e", "--no-commit"], "1\n2\n3\n4\n5\n6\n7\n8\n9\n", 10),
            (&["-o", "8", "-e", "-X", "enable.auto.commit=false"], "8\n9\n", 10),
        ] {
            read(ctx, library, &topic, &group, protocol, args).prints(printed).silent();
            assert_eq!(committed(ctx, &topic, &group), Some(moved_to), "{protocol} {args:?}");
        }
    }
}

fn markers_and_aborted_records(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        let (topic, group) = group_at(ctx, 5, 1);
        ctx.kafka().transaction(&topic, &[Record::of("a"), Record::of("b")], Transaction::Abort);
        // The marker comes a moment after the end of the transaction is acknowledged.
        wait_until(|| ctx.kafka().end_offsets(&topic) == [8]);
        // rskafka prints aborted records, and says so.
        let starts: &[&str] = if library == Library::Rskafka { &["7"] } else { &["5", "7"] };
        for start in starts {
            read(ctx, library, &topic, &group, protocol, &["-o", start, "-e"]).prints("");
            assert_eq!(committed(ctx, &topic, &group), Some(1), "{protocol} from {start}");
        }
        // Behind a committed offset they are progress.
        ctx.kafka().set_committed(&group, &topic, 0, 7);
        read(ctx, library, &topic, &group, protocol, &["-e"]).prints("");
        assert_eq!(committed(ctx, &topic, &group), Some(8), "{protocol}");
    }
}

/// Waits until the group has so many members, each with so many partitions.
#[track_caller]
fn wait_for_members(ctx: &Ctx, group: &str, members: usize, partitions: usize) {
    // Not every client tells the members of KIP-848's protocol.
    let java = ctx.kafka().client(Client::Java);
    wait_until(|| {
        let Ok(found) = java.ask(&json!({"do": "describe_group", "group": group})) else { return false };
        let all = found["members"].as_array().unwrap();
        let has = |member: &serde_json::Value| member["partitions"].as_array().unwrap().len() == partitions;
        found["state"] == "Stable" && all.len() == members && all.iter().all(has)
    });
}

fn start(ctx: &Ctx, library: Library, topic: &str, group: &str, args: &[&str]) -> Running {
    member(ctx, library, topic, group).args(["-X", "auto.commit.interval.ms=50"]).args(args).spawn()
}

fn a_signal_commits_no_sought_offset(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        let (topic, group) = group_at(ctx, 10, 3);
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let reader = start(ctx, library, &topic, &group, &["-X", protocol, "-o", "end"]);
            wait_for_members(ctx, &group, 1, 1);
            reader.signal(signal);
            reader.wait().code(code).prints("").silent();
            assert_eq!(committed(ctx, &topic, &group), Some(3), "{protocol}");
        }
        let reader = start(ctx, library, &topic, &group, &["-X", protocol, "-o", "end"]);
        wait_for_members(ctx, &group, 1, 1);
        produce(ctx.kafka(), &topic, 0, 10..12);
        reader.until_stdout(|out| out == b"10\n11\n");
        wait_until(|| committed(ctx, &topic, &group) == Some(12));
        reader.signal(Signal::INT);
        reader.wait().code(130).silent();
    }
}

fn each_partition_is_committed_on_its_own(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        let (topic, group) = (ctx.kafka().topic("commits", 4), unique("group"));
        (0..4).for_each(|partition| produce(ctx.kafka(), &topic, partition, 0..10));
        for (partition, offset) in [(0, 4), (1, 5), (2, 8)] {
            ctx.kafka().set_committed(&group, &topic, partition, offset);
        }
        // Sought and not read, sought and read, stored and read, reset.
        let args = ["-o", "0=end", "-o", "1=7", "-e", "-f", r"%p:%o\n"];
        let output = read(ctx, library, &topic, &group, protocol, &args);
        assert_eq!(output.sorted_lines(), ["1:7", "1:8", "1:9", "2:8", "2:9"]);
        let moved_to: Vec<_> = (0..4).map(|p| ctx.kafka().committed(&group, &topic, p)).collect();
        assert_eq!(moved_to, [4, 10, 10, 10].map(Some), "{protocol}");
    }
}

/// A group without a commit that is read by short runs, as from cron, misses nothing between them.
fn what_the_reset_chose(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        for bound in [&["-e"][..], &["--timeout", "5s"], &["--idle-timeout", "1s"], &["-e", "-o", "stored"]] {
            let (topic, group) = (ctx.kafka().topic("reset", 2), unique("group"));
            produce(ctx.kafka(), &topic, 0, 0..5);
            read(ctx, library, &topic, &group, protocol, bound).prints("").silent();
            let moved_to = [0, 1].map(|partition| ctx.kafka().committed(&group, &topic, partition));
            assert_eq!(moved_to, [Some(5), Some(0)], "{protocol} {bound:?}");
            produce(ctx.kafka(), &topic, 0, 5..7);
            produce(ctx.kafka(), &topic, 1, 7..8);
            let output = read(ctx, library, &topic, &group, protocol, &["-e"]);
            assert_eq!(output.sorted_lines(), ["5", "6", "7"], "{protocol} {bound:?}");
        }
        let (topic, group) = (ctx.kafka().topic("reset", 1), unique("group"));
        read(ctx, library, &topic, &group, protocol, &[&EARLIEST[..], &["-e"]].concat()).prints("");
        assert_eq!(committed(ctx, &topic, &group), Some(0), "{protocol}: an empty partition");
    }
}

fn an_end_before_the_committed_offset(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        let (topic, group) = group_at(ctx, 10, 8);
        for spec in [":5", "stored:5", ":@1"] {
            read(ctx, library, &topic, &group, protocol, &["-o", spec, "-e"]).prints("").silent();
            assert_eq!(committed(ctx, &topic, &group), Some(8), "{protocol} {spec}");
        }
    }
}

/// The records behind it are gone, or the log has become shorter: `auto.offset.reset` chose the position, and as with a
/// group without a commit the next run goes on from there.
fn a_committed_offset_out_of_range(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        for (offset, args) in [(2, &["-e"][..]), (2, &[]), (50, &["-e"]), (50, &["-e", "-o", ":40"])] {
            for reset in ["auto.offset.reset=earliest", "auto.offset.reset=latest"] {
                let (topic, group) = group_at(ctx, 10, offset);
                ctx.kafka().delete_records(&topic, 0, 10);
                let args = [&["-X", reset, "--idle-timeout", "2s"], args].concat();
                read(ctx, library, &topic, &group, protocol, &args).prints("").says(reset);
                assert_eq!(committed(ctx, &topic, &group), Some(10), "{protocol} {offset} {args:?}");
            }
        }
        // One that the user chose is moved, and is still the user's choice.
        let (topic, group) = group_at(ctx, 10, 2);
        ctx.kafka().delete_records(&topic, 0, 10);
        read(ctx, library, &topic, &group, protocol, &["-o", "3", "-e"]).prints("").says("10 instead of 3");
        assert_eq!(committed(ctx, &topic, &group), Some(2), "{protocol}");
    }
}

fn a_partition_given_up_unread(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        let (topic, group) = (ctx.kafka().topic("given", 2), unique("group"));
        for partition in [0, 1] {
            produce(ctx.kafka(), &topic, partition, 0..10);
            ctx.kafka().set_committed(&group, &topic, partition, 4);
        }
        let moved_to = || [0, 1].map(|partition| ctx.kafka().committed(&group, &topic, partition));
        let args = ["-X", protocol, "-o", "end"];
        let first = start(ctx, library, &topic, &group, &args);
        wait_for_members(ctx, &group, 1, 2);
        let second = start(ctx, library, &topic, &group, &args);
        wait_for_members(ctx, &group, 2, 1);
        assert_eq!(moved_to(), [Some(4); 2], "{protocol}: two members");
        second.signal(Signal::TERM);
        second.wait().code(143).prints("").silent();
        wait_for_members(ctx, &group, 1, 2);
        assert_eq!(moved_to(), [Some(4); 2], "{protocol}: one of them left");
        // It has its partitions back, and none of what lies before its end.
        for partition in [0, 1] {
            produce(ctx.kafka(), &topic, partition, 10..11);
        }
        first.until_stdout(|out| out == b"10\n10\n");
        first.signal(Signal::TERM);
        first.wait().code(143).prints("10\n10\n").silent();
        assert_eq!(moved_to(), [Some(11); 2], "{protocol}: read");
    }
}

fn a_partition_that_another_member_read(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        let (topic, group) = (ctx.kafka().topic("another", 2), unique("group"));
        for partition in [0, 1] {
            produce(ctx.kafka(), &topic, partition, 0..10);
            ctx.kafka().set_committed(&group, &topic, partition, 8);
        }
        let args = ["-X", protocol, "-f", r"%p %s\n"];
        let first = start(ctx, library, &topic, &group, &[&args[..], &["-o", "end"]].concat());
        wait_for_members(ctx, &group, 1, 2);
        let second = start(ctx, library, &topic, &group, &args);
        second.until_stdout(|out| numbers(out) == [8, 9]);
        for partition in [0, 1] {
            produce(ctx.kafka(), &topic, partition, 10..12);
        }
        second.until_stdout(|out| numbers(out) == [8, 9, 10, 11]);
        first.until_stdout(|out| numbers(out) == [10, 11]);
        second.signal(Signal::TERM);
        second.wait().code(143).silent();
        wait_for_members(ctx, &group, 1, 2);
        for partition in [0, 1] {
            produce(ctx.kafka(), &topic, partition, 12..13);
        }
        first.until_stdout(|out| numbers(out).iter().filter(|n| **n == 12).count() == 2);
        first.signal(Signal::TERM);
        let read = numbers(&first.wait().code(143).silent().stdout);
        assert_eq!(read, [10, 11, 12, 12], "{protocol}");
    }
}

/// Only what `auto.offset.reset` may have chosen is committed as soon as the reading has begun.
fn a_reader_that_goes_at_once(ctx: &Ctx, library: Library) {
    for protocol in PROTOCOLS {
        for more in [&[][..], &["-o", "1"]] {
            let (topic, group) = group_at(ctx, 10, 3);
            let (reader, writer) = std::io::pipe().unwrap();
            let kps = member(ctx, library, &topic, &group).args(["-X", protocol]).args(more);
            let run = kps.stdout(writer).spawn();
            let mut line = String::new();
            BufReader::new(reader).read_line(&mut line).unwrap();
            assert_eq!(line, if more.is_empty() { "3\n" } else { "1\n" });
            run.wait().ok().silent();
            assert_eq!(committed(ctx, &topic, &group), Some(3), "{protocol} {more:?}");
        }
    }
}

fn an_outage(ctx: &Ctx, library: Library) {
    let dir = tempfile::tempdir().unwrap();
    let first = Kafka::start_in(ctx.kind, dir.path(), None);
    let address = first.address().to_owned();
    let topic = first.topic("outage", 1);
    produce(&first, &topic, 0, 0..10);
    let readers: Vec<_> = PROTOCOLS
        .into_iter()
        .map(|protocol| {
            first.set_committed(protocol, &topic, 0, 4);
            let kps = Kps::subscribe(&first, library, &topic).args(["-g", protocol, "-X", protocol]);
            let quick = ["-X", "socket.timeout.ms=1000", "-X", "auto.commit.interval.ms=50"];
            kps.args(["--resilient", "-o", "end"]).args(quick).spawn()
        })
        .collect();
    for protocol in PROTOCOLS {
        let java = first.client(Client::Java);
        wait_until(|| {
            let found = java.ask(&json!({"do": "describe_group", "group": protocol}));
            found.is_ok_and(|found| found["members"][0]["partitions"] == json!([format!("{topic}-0")]))
        });
    }
    first.kill();
    for reader in &readers {
        reader.until_stderr(|err| String::from_utf8_lossy(err).contains("disconnected: "));
    }
    let second = Kafka::start_in(ctx.kind, dir.path(), Some(&address));
    for reader in &readers {
        reader.until_stderr(|err| String::from_utf8_lossy(err).contains("reconnected after "));
    }
    for protocol in PROTOCOLS {
        assert_eq!(second.committed(protocol, &topic, 0), Some(4), "{protocol}");
    }
    produce(&second, &topic, 0, 10..12);
    for (protocol, reader) in PROTOCOLS.into_iter().zip(readers) {
        wait_until(|| second.committed(protocol, &topic, 0) == Some(12));
        reader.signal(Signal::TERM);
        let mut read = numbers(&reader.wait().code(143).stdout);
        // A member that the broker has forgotten reads again what it could not commit.
        read.sort_unstable();
        read.dedup();
        assert_eq!(read, [10, 11], "{protocol}");
    }
}
