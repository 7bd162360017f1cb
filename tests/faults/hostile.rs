//! A broker that lies: `kps` ends in time with one clear error and what its exit code means, or goes on when the broker
//! has come to its senses; it never takes memory for a claim.
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::app::{Kps, Library};
use crate::harness::client::{Ask, Client};
use crate::harness::kafka::{Kafka, Kind, Record};
use crate::harness::malice::{Count, Hostile, Malice};
use crate::harness::process::Output;
use crate::harness::unique;

/// More than any of them takes, and less than what is claimed or sent.
const MOST_MEMORY: u64 = 200 << 20;
/// The settings here allow 6 s for a record and 3 s for a connection; the rest is for a busy machine.
const IN_TIME: Duration = Duration::from_secs(15);
/// Bad data is named so much later at most, with nothing but the defaults.
const NAMED_WITHIN: Duration = Duration::from_secs(10);
/// Lines of errors: that of the record and that of the run, with what may be said of retries in between.
const LINES: usize = 8;

/// All of them, with their names.
pub(crate) fn all() -> Vec<(&'static str, Malice)> {
    vec![
        ("garbage", Malice::Garbage),
        ("a_frame_of_2_gb_that_comes", Malice::Frame { claimed: i32::MAX, sent: 400 << 20 }),
        ("a_frame_of_90_mb_that_does_not_come", Malice::Frame { claimed: 90_000_000, sent: 10 }),
        ("a_negative_frame", Malice::Frame { claimed: -2, sent: 10 }),
        ("one_byte_a_second", Malice::Drip),
        ("wrong_correlation_ids", Malice::WrongIds),
        ("absurd::apis", Malice::Absurd(Count::Apis)),
        ("absurd::brokers", Malice::Absurd(Count::Brokers)),
        ("absurd::topics", Malice::Absurd(Count::Topics)),
        ("absurd::partitions", Malice::Absurd(Count::Partitions)),
        ("absurd::topics_produced", Malice::Absurd(Count::Produced)),
        ("absurd::offsets", Malice::Absurd(Count::Offsets)),
        ("absurd::topics_fetched", Malice::Absurd(Count::Fetched)),
        ("absurd::bytes_of_records", Malice::Absurd(Count::Bytes)),
        ("absurd::bytes_of_a_batch", Malice::Absurd(Count::BatchBytes)),
        ("absurd::records_of_a_batch", Malice::Absurd(Count::Records)),
    ]
}

/// A client that has not met the malice.
fn asker(kafka: &Kafka) -> Box<dyn Ask> {
    let quick = Client::all().contains(&Client::Librdkafka);
    if quick { Client::Librdkafka } else { kafka.kind().helper() }.start(kafka.address())
}

pub(crate) fn is_survived(malice: Malice, library: Library) {
    let hostile = Hostile::start();
    let (kafka, own) = Kafka::start_behind(Kind::Embedded, hostile.address());
    hostile.lead_to(own);
    let topic = unique("hostile");
    let first = Record::all_to_json(&[Record::of("first")]);
    let honest = asker(&kafka);
    honest.must(&json!({"do": "create_topic", "topic": topic}));
    honest.must(&json!({"do": "produce", "topic": topic, "records": first}));
    drop(honest);

    hostile.turn(Some(malice));
    let brief = ["-X", "socket.connection.setup.timeout.ms=3000", "-X", "socket.timeout.ms=6000"];
    let run = |kps: Kps| kps.args(brief).args(["-X", "request.timeout.ms=3000"]);
    let publish = |value: &'static str| {
        let kps = run(Kps::publish(&kafka, library, &topic));
        kps.args(["--summary", "json", "-X", "delivery.timeout.ms=6000", "-m", value])
    };
    let subscribe = || run(Kps::subscribe(&kafka, library, &topic));
    let patient = ["--resilient", "--reconnect-tries", "8", "--reconnect-interval", "5"];
    let patient = [publish("patient"), subscribe().args(["-n", "1"])].map(|kps| kps.args(patient));
    let plain = [publish("plain"), subscribe().args(["--exit"])];
    let [late_writer, late_reader, writer, reader] = thread::scope(|scope| {
        let start = |kps: Kps| scope.spawn(|| kps.run());
        let [patient, plain] = [patient, plain].map(|both| both.map(start));
        let plain = plain.map(ended);
        assert!(hostile.spoilt() > 0, "nobody met it");
        hostile.turn(None);
        let [writer, reader] = plain;
        let [late_writer, late_reader] = patient.map(ended);
        [late_writer, late_reader, writer, reader]
    });

    let seen = asker(&kafka).must(&json!({"do": "consume", "topic": topic}));
    let values: Vec<_> = Record::all_from_json(&seen).into_iter().filter_map(|record| record.value).collect();
    for (output, value) in [(&writer, "plain"), (&late_writer, "patient")] {
        let times = values.iter().filter(|found| *found == value.as_bytes()).count();
        is_settled(output);
        // What is not published may be there when its answer was the lie.
        let is_there = times >= 1 && (times == 1 || library == Library::Rskafka);
        assert!(output.status.code() != Some(0) || is_there, "{times} times\n{output}");
    }
    for output in [&reader, &late_reader] {
        is_settled(output);
        assert!(output.status.code() != Some(0) || output.text().starts_with("first\n"), "{output}");
    }
    for output in [&writer, &reader] {
        assert!(output.elapsed < IN_TIME, "{output}");
    }
}

/// A batch that claims to be longer than it is ends the reading in time, in a group or not, though another partition
/// is well: what comes before it is printed once, and the error says where it stands.
pub(crate) fn a_batch_that_is_cut_off_is_named(library: Library) {
    let hostile = Hostile::start();
    let (kafka, own) = Kafka::start_behind(Kind::Embedded, hostile.address());
    hostile.lead_to(own);
    for group in [&["-g", "g", "-X", "auto.offset.reset=earliest"][..], &[]] {
        let topic = kafka.topic("cut-off", 2);
        let publish = |records: &[Record]| kafka.produce(&topic, records, json!({}));
        publish(&[Record::of("well").to(1), Record::of("a").to(0)]);
        let reader = Kps::subscribe(&kafka, library, &topic).args(group).args(["-f", r"%p %o %s\n"]).spawn();
        reader.until_stdout(|out| out.len() == "1 0 well\n0 0 a\n".len());
        hostile.turn(Some(Malice::Absurd(Count::BatchBytes)));
        publish(&[Record::of("b").to(0)]);
        let since = Instant::now();
        let output = reader.wait_with_open_stdin().code(7).says(&format!("{topic}[0]")).says("at offset 1");
        assert!(since.elapsed() < NAMED_WITHIN, "{output}");
        assert_eq!(output.sorted_lines(), ["0 0 a", "1 0 well"], "{output}");
        hostile.turn(None);
    }
}

/// What a run has left, or why its trial has failed.
fn ended(run: ScopedJoinHandle<'_, Output>) -> Output {
    run.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// It has done its work, or says in some lines why not: no broker that can be spoken with, or records that cannot be read.
#[track_caller]
fn is_settled(output: &Output) {
    assert!(output.peak_memory > 0 || cfg!(not(target_os = "linux")), "nobody looked");
    let (code, said) = (output.status.code(), output.err());
    assert!(matches!(code, Some(0 | 3 | 4 | 7)), "{output}");
    assert!(code == Some(0) || said.lines().any(|line| line.starts_with("kps: ")), "{output}");
    assert!(said.lines().count() <= LINES && !said.contains("panicked"), "{output}");
    assert!(output.peak_memory < MOST_MEMORY, "{} bytes\n{output}", output.peak_memory);
}
