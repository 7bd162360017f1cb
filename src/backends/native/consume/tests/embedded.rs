//! Against the embedded broker, with the faults it can be asked for.

use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::backends::{Fate, Notice, PublishPlan, ReportSink};
use crate::broker::{Broker, FaultKind, Options};
use crate::record::{Batch, Slice, Span};
use crate::wire::ApiKey;

fn broker(partitions: i32) -> Broker {
    Broker::start(Options { partitions, ..Options::default() }).unwrap()
}

/// Publishes well or panics.
struct Delivered;

impl ReportSink for Delivered {
    fn delivered(&mut self, _: u64, _: u64) {}
    fn placed(&mut self, _: &RecordRef<'_>) {}
    fn undelivered(&mut self, _: &RecordRef<'_>, _: u64, _: Option<&str>, _: Fate, error: &Error) {
        panic!("{error}");
    }
    fn aborted(&mut self, _: u64) {}
    fn resent(&mut self, _: u64) {}

    fn notice(&mut self, _: &Notice) {}

    fn spooled(&mut self, _: u64, _: u64) {}

    fn warn(&mut self, _: &str) {}
}

/// Puts records with the values `from..to` into each of these partitions.
fn publish(
    addr: SocketAddr,
    partitions: std::ops::Range<i32>,
    numbers: std::ops::Range<u64>,
    values: &[(&str, &str)],
) {
    let bootstrap = addr.to_string();
    let mut all = vec![("bootstrap.servers", bootstrap.as_str()), ("partitioner", "random")];
    all.extend_from_slice(values);
    let settings = Settings::for_tests(Side::Producer, &all);
    let plan =
        PublishPlan { topic: Some("t".to_owned()), partition: None, receipts: false, log: Log::none() };
    let mut publisher = super::super::super::open_publisher(&settings, &plan).unwrap();
    for partition in partitions {
        let mut batch = Batch::default();
        for n in numbers.clone() {
            let value = batch.append(n.to_string().as_bytes());
            batch.push(Span { partition, ..Span::new(Slice::NULL, value, n + 1) });
        }
        let (batch, mut sent) = (Arc::new(batch), 0);
        while sent < batch.len() {
            sent += publisher.send(&batch, sent..batch.len()).unwrap();
            let wait = if sent < batch.len() { LONG } else { Duration::ZERO };
            publisher.poll(wait, &mut Delivered).unwrap();
        }
    }
    publisher.close(&|| Instant::now() + LONG, &mut Delivered).unwrap();
}

fn open(broker: &Broker, values: &[(&str, &str)]) -> Run {
    Run::open(&broker.addr().to_string(), values).unwrap()
}

#[test]
fn all_partitions_are_read_to_their_ends_whatever_the_codec() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let broker = broker(3);
        publish(broker.addr(), 0..2, 0..5000, &[("compression.type", codec), ("batch.size", "3000")]);
        let mut run = open(&broker, &[("max.partition.fetch.bytes", "10000"), ("fetch.max.bytes", "15000")]);
        run.start();
        run.until(|seen| (0..3).all(|p| seen.end(p) == Some([5000, 5000, 0][p as usize])));
        run.seen.has_once(&[5000, 5000, 0]);
        assert!(run.seen.records.iter().all(|(_, offset, value)| offset.to_string() == *value));
        assert!(run.seen.warnings.is_empty());
    }
}

#[test]
fn a_poll_gives_no_more_than_was_asked_for_and_the_rest_later() {
    let broker = broker(1);
    publish(broker.addr(), 0..1, 0..1000, &[("compression.type", "lz4")]);
    let mut run = open(&broker, &[("max.poll.records", "7")]);
    run.start();
    while run.seen.records.len() < 1000 {
        let before = run.seen.records.len();
        let polled = run.subscriber.poll(LONG, &mut run.seen).unwrap();
        assert!(polled.records <= 7 && polled.records == run.seen.records.len() - before);
        assert!(!polled.idle || run.seen.records.len() == 1000);
    }
    run.seen.has_once(&[1000]);
}

#[test]
fn a_sink_that_breaks_keeps_the_record_and_gets_the_next_one_later() {
    let broker = broker(1);
    publish(broker.addr(), 0..1, 0..100, &[]);
    let mut run = open(&broker, &[]);
    run.start();
    for enough in 1..=100 {
        run.seen.enough = Some(enough);
        run.until(|seen| seen.records.len() >= enough);
        assert_eq!(run.seen.records.len(), enough);
    }
    run.seen.has_once(&[100]);
}

#[test]
fn batches_larger_than_what_is_asked_for_are_read() {
    let broker = broker(4);
    publish(broker.addr(), 0..4, 0..3000, &[("batch.size", "100000")]);
    let mut run = open(&broker, &[("max.partition.fetch.bytes", "10"), ("fetch.max.bytes", "10")]);
    run.start();
    run.until(|seen| seen.records.len() == 12_000);
    run.seen.has_once(&[3000; 4]);
}

#[test]
fn offsets_are_found_by_place_and_time() {
    let broker = broker(2);
    publish(broker.addr(), 1..2, 0..10, &[]);
    let mut run = open(&broker, &[]);
    let places = [
        (tp(0), At::Earliest),
        (tp(0), At::Latest),
        (tp(1), At::Earliest),
        (tp(1), At::Latest),
        (tp(1), At::Timestamp(0)),
        (tp(1), At::Timestamp(i64::MAX)),
        (tp(0), At::Timestamp(0)),
    ];
    assert_eq!(run.subscriber.list_offsets(&places).unwrap(), [0, 0, 0, 10, 0, 10, 0]);
}

#[test]
fn topics_and_partitions_that_are_not_there_are_named() {
    let broker = Broker::start(Options { auto_create: false, ..Options::default() }).unwrap();
    let mut run = open(&broker, &[]);
    let error = run.topic().unwrap_err();
    assert_eq!(error.kind(), crate::backends::ErrorKind::UnknownTopic);
    assert!(error.to_string().starts_with("unknown topic t"), "{error}");
    let broker = self::broker(1);
    publish(broker.addr(), 0..1, 0..1, &[]);
    let mut run = open(&broker, &[]);
    let error = run.subscriber.assign(&vec![(tp(3), 0)]).unwrap_err();
    assert_eq!(error.to_string(), "no partition t[3]: the topic has 0 to 0");
    let pattern = Topics::Pattern(regex::Regex::new("^t$").unwrap());
    assert_eq!(run.subscriber.partitions(&pattern).unwrap(), [tp(0)]);
}

#[test]
fn reading_a_topic_does_not_create_it() {
    let broker = broker(1);
    let mut run = open(&broker, &[]);
    assert_eq!(run.topic().unwrap_err().kind(), crate::backends::ErrorKind::UnknownTopic);
}

#[test]
fn faults_of_the_broker_cost_no_record_and_repeat_none() {
    let broker = broker(2);
    publish(broker.addr(), 0..2, 0..2000, &[("batch.size", "500")]);
    let mut run = open(
        &broker,
        &[("fetch.max.bytes", "2000"), ("retry.backoff.ms", "10"), ("reconnect.backoff.ms", "10")],
    );
    run.start();
    let faults = [
        FaultKind::Drop,
        FaultKind::Refuse,
        FaultKind::Error(6),
        FaultKind::Error(74),
        FaultKind::Error(75),
        FaultKind::Error(9),
        FaultKind::Error(56),
        FaultKind::Error(-1),
        FaultKind::Error(78),
        FaultKind::Error(70),
        FaultKind::Error(71),
        FaultKind::Delay(Duration::from_millis(50)),
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        run.until(|seen| seen.records.len() > n * 200);
        broker.faults().add(ApiKey::Fetch, 2, fault);
    }
    run.until(|seen| seen.end(0) == Some(2000) && seen.end(1) == Some(2000));
    run.seen.has_once(&[2000, 2000]);
}

#[test]
fn a_broker_that_restarts_in_the_middle_costs_no_record_and_repeats_none() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(folder.path().to_owned()), partitions: 2, ..Options::default() };
    let mut broker = Broker::start(options()).unwrap();
    let listen = broker.addr();
    publish(listen, 0..2, 0..3000, &[("batch.size", "500")]);
    let mut run = open(&broker, &[("fetch.max.bytes", "2000"), ("reconnect.backoff.ms", "10")]);
    run.start();
    for round in 1..4 {
        run.until(|seen| seen.records.len() > round * 1000);
        broker.stop().unwrap();
        broker = Broker::start(Options { listen, ..options() }).unwrap();
    }
    run.until(|seen| seen.end(0) == Some(3000) && seen.end(1) == Some(3000));
    run.seen.has_once(&[3000, 3000]);
    publish(listen, 0..1, 3000..3010, &[]);
    run.until(|seen| seen.end(0) == Some(3010));
    run.seen.has_once(&[3010, 3000]);
}

#[test]
fn a_broker_that_stays_away_ends_the_reading_with_one_line_before() {
    let broker = broker(1);
    publish(broker.addr(), 0..1, 0..10, &[]);
    let mut run = open(&broker, &[("socket.timeout.ms", "1500"), ("reconnect.backoff.ms", "10")]);
    run.start();
    run.until(|seen| seen.records.len() == 10);
    broker.stop().unwrap();
    let error = run.until_error();
    assert_eq!(error.kind(), crate::backends::ErrorKind::Unreachable);
    assert!(error.to_string().starts_with("t[0]: "), "{error}");
    assert_eq!(run.seen.warnings.len(), 1, "{:?}", run.seen.warnings);
    assert!(run.seen.warnings[0].ends_with("; trying again"), "{:?}", run.seen.warnings);
}

#[test]
fn an_offset_beyond_the_end_is_reset_or_refused_as_set() {
    let broker = broker(1);
    publish(broker.addr(), 0..1, 0..10, &[]);
    for (reset, first) in [("earliest", 0), ("latest", 10)] {
        let mut run = open(&broker, &[("auto.offset.reset", reset)]);
        run.topic().unwrap();
        run.subscriber.assign(&vec![(tp(0), 99)]).unwrap();
        run.until(|seen| seen.end(0) == Some(10));
        assert_eq!(run.seen.records.len(), 10 - first);
        let line = format!("t[0]: there is no offset 99: reading from {first} (auto.offset.reset={reset})");
        assert_eq!(run.seen.warnings, [line]);
    }
    let mut run = open(&broker, &[("auto.offset.reset", "none")]);
    run.topic().unwrap();
    run.subscriber.assign(&vec![(tp(0), 99)]).unwrap();
    assert_eq!(run.until_error().kind(), crate::backends::ErrorKind::OffsetOutOfRange);
}

#[test]
fn what_is_assigned_anew_is_read_from_there_and_what_is_dropped_not_at_all() {
    let broker = broker(2);
    publish(broker.addr(), 0..2, 0..100, &[]);
    let mut run = open(&broker, &[("max.poll.records", "5")]);
    run.start();
    run.until(|seen| !seen.records.is_empty());
    run.subscriber.unassign(&[tp(0), tp(1)]).unwrap();
    run.seen = Seen::default();
    run.subscriber.assign(&vec![(tp(1), 90)]).unwrap();
    run.until(|seen| seen.end(1) == Some(100));
    assert_eq!(run.seen.values(), (90..100).map(|n| n.to_string()).collect::<Vec<_>>());
    // At its end already: that is told all the same.
    run.subscriber.unassign(&[tp(1)]).unwrap();
    run.seen = Seen::default();
    run.subscriber.assign(&vec![(tp(1), 100)]).unwrap();
    run.until(|seen| seen.end(1) == Some(100));
    assert!(run.seen.records.is_empty());
}

#[test]
fn a_waker_ends_a_wait() {
    let broker = broker(1);
    publish(broker.addr(), 0..1, 0..1, &[]);
    let mut run = open(&broker, &[]);
    run.start();
    run.until(|seen| seen.end(0) == Some(1));
    run.subscriber.waker()();
    let start = Instant::now();
    let polled = run.subscriber.poll(LONG, &mut run.seen).unwrap();
    assert!(start.elapsed() < LONG / 2 && polled.idle && polled.records == 0);
}

#[test]
fn a_topic_that_is_deleted_ends_the_reading() {
    let broker = broker(1);
    publish(broker.addr(), 0..1, 0..10, &[]);
    let mut run = open(&broker, &[]);
    run.start();
    run.until(|seen| seen.end(0) == Some(10));
    delete(broker.addr());
    let error = run.until_error();
    assert_eq!(error.kind(), crate::backends::ErrorKind::UnknownTopic, "{error}");
    assert!(error.to_string().starts_with("unknown topic t"), "{error}");
}

fn delete(addr: SocketAddr) {
    use crate::wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
    let runtime = super::super::super::runtime().unwrap();
    let settings = Settings::for_tests(Side::Consumer, &[("bootstrap.servers", &addr.to_string())]);
    let config = crate::backends::wired::config::cluster(&settings, 1 << 20, 0).unwrap();
    let cluster = crate::wire::net::Cluster::new(config, runtime.handle());
    let request =
        DeleteTopicsRequest { topic_names: vec!["t".into()], timeout_ms: 5000, ..Default::default() };
    runtime.block_on(async {
        let connection = cluster.any(tokio::time::Instant::now() + LONG).await.unwrap();
        let sending = crate::wire::net::Sending::within(LONG).up_to_version(5);
        let answer = connection.send(&request, sending).await.unwrap();
        let told: DeleteTopicsResponse<'_> = answer.read().unwrap();
        assert_eq!(told.responses[0].error_code, 0);
    });
}

#[test]
fn a_thousand_partitions_are_read_none_forgotten() {
    let broker = broker(1000);
    publish(broker.addr(), 0..1000, 0..3, &[]);
    let mut run = open(&broker, &[]);
    run.start();
    run.until(|seen| seen.records.len() >= 3000);
    run.seen.has_once(&[3; 1000]);
    publish(broker.addr(), 990..1000, 3..4, &[]);
    run.until(|seen| seen.records.len() >= 3010);
    assert!(run.seen.reached.len() >= 1000);
}
