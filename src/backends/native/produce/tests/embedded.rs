//! Against the embedded broker, with the faults it can be asked for.

use std::net::SocketAddr;
use std::path::Path;

use super::*;
use crate::broker::{Broker, FaultKind, Options};
use crate::wire::messages::{
    CreateTopicsConfig, CreateTopicsRequest, CreateTopicsRequestTopic, CreateTopicsResponse, FetchRequest,
    FetchRequestPartition, FetchRequestTopic, FetchResponse,
};
use crate::wire::net::{self, Cluster, Purpose};
use crate::wire::records::{Part, Unpacker, Walk};
use crate::wire::{ApiKey, ErrorCode};

fn broker() -> Broker {
    with_partitions(1)
}

fn with_partitions(partitions: i32) -> Broker {
    Broker::start(Options { partitions, ..Options::default() }).unwrap()
}

fn open(broker: &Broker, values: &[(&str, &str)]) -> Run {
    Run::open(&broker.addr().to_string(), values).unwrap()
}

/// Publishes these values and closes.
fn publish<V: AsRef<[u8]>>(
    broker: &Broker,
    values: &[(&str, &str)],
    lines: impl IntoIterator<Item = V>,
) -> Books {
    let mut run = open(broker, values);
    run.send(lines);
    run.close()
}

/// A client of its own for questions.
struct Asker {
    runtime: tokio::runtime::Runtime,
    cluster: Cluster,
}

impl Asker {
    fn of(addr: SocketAddr) -> Self {
        let runtime = super::super::super::runtime().unwrap();
        let settings = Settings::for_tests(Side::Producer, &[("bootstrap.servers", &addr.to_string())]);
        let config = crate::backends::wired::config::cluster(&settings, 64 << 20, 0).unwrap();
        Self { cluster: Cluster::new(config, runtime.handle()), runtime }
    }

    fn create(&self, topic: &str, configs: &[(&str, &str)]) {
        let config = |(name, value): &(&str, &str)| CreateTopicsConfig {
            name: (*name).to_owned().into(),
            value: Some((*value).to_owned().into()),
        };
        let topic = CreateTopicsRequestTopic {
            name: topic.into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let answer = self.ask(&request);
        let told: CreateTopicsResponse<'_> = answer.read().unwrap();
        assert_eq!(told.topics[0].error_code, 0, "{told:?}");
    }

    fn ask<'a, R: crate::wire::Request<'a>>(&self, request: &R) -> net::Answer {
        self.runtime.block_on(async {
            let deadline = tokio::time::Instant::now() + LONG;
            let mut metadata = self.cluster.metadata();
            if metadata.brokers().next().is_none() {
                metadata = self.cluster.refresh(&[], deadline).await.unwrap();
            }
            let id = metadata.brokers().next().unwrap().id;
            self.cluster.ask(id, Purpose::Fetch, request, deadline).await.unwrap()
        })
    }

    /// The values in a partition, in order.
    fn values(&self, topic: &str, partition: i32) -> Vec<String> {
        let (mut values, mut offset) = (Vec::new(), 0);
        loop {
            let partition = FetchRequestPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 8 << 20,
                ..Default::default()
            };
            let topic = FetchRequestTopic { topic: topic.into(), partitions: vec![partition] };
            let request = FetchRequest { topics: vec![topic], ..Default::default() };
            let answer = self.ask(&request);
            let told: FetchResponse<'_> = answer.read().unwrap();
            let told = &told.responses[0].partitions[0];
            assert_eq!(told.error_code, 0);
            let mut walk = Walk::new(told.records.unwrap_or_default().bytes(), offset);
            let mut unpacker = Unpacker::new();
            while let Some(part) = walk.next_part(&mut unpacker) {
                let Part::Records(records) = part.unwrap() else { panic!("not records") };
                values.extend(records.map(|record| text(record.unwrap().value)));
            }
            if walk.next_offset() == offset {
                return values;
            }
            offset = walk.next_offset();
        }
    }
}

fn values(broker: &Broker) -> Vec<String> {
    Asker::of(broker.addr()).values("t", 0)
}

#[track_caller]
fn holds_once(broker: &Broker, expected: impl Iterator<Item = String>) {
    assert_eq!(values(broker), expected.collect::<Vec<_>>());
}

#[test]
fn lines_arrive_in_order_whatever_the_codec_and_acks() {
    for (codec, acks) in
        [("none", "all"), ("gzip", "1"), ("snappy", "all"), ("lz4", "1"), ("zstd", "all"), ("none", "0")]
    {
        let broker = broker();
        let values = [("compression.type", codec), ("acks", acks), ("batch.size", "5000")];
        let books = publish(&broker, &values, numbers(0..20_000));
        books.all_delivered();
        assert_eq!(books.payload, numbers(0..20_000).map(|n| n.len() as u64).sum::<u64>());
        holds_once(&broker, numbers(0..20_000));
    }
}

#[test]
fn receipts_tell_where_each_record_is() {
    let broker = broker();
    let mut run = Run::open_with(&broker.addr().to_string(), &[], |plan| plan.receipts = true).unwrap();
    run.send(["a", "b"]);
    run.until(|books| books.delivered == 2);
    run.send(["c"]);
    let books = run.close();
    books.all_delivered();
    let placed: Vec<_> = books.placed.iter().map(|(p, offset, _, value)| (*p, *offset, &**value)).collect();
    assert_eq!(placed, [(0, 0, "a"), (0, 1, "b"), (0, 2, "c")]);
    assert!(books.placed.iter().all(|(_, _, timestamp, _)| *timestamp > 1_700_000_000_000));
}

#[test]
fn a_lone_record_goes_after_its_linger_without_another_call() {
    let broker = broker();
    let mut run = open(&broker, &[("linger.ms", "50")]);
    run.send(["warm"]);
    run.until(|books| books.delivered == 1);
    let start = Instant::now();
    run.send(["a"]);
    // One poll until it is due, one for the answer: never longer than they have to be.
    let mut polls = 0;
    while run.books.delivered < 2 {
        run.publisher.poll(LONG, &mut run.books).unwrap();
        polls += 1;
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(50) && took < Duration::from_secs(5), "{took:?}");
    assert!(polls <= 3, "{polls} polls");
    run.close().all_delivered();
}

#[test]
fn a_full_queue_takes_no_more_and_sends_what_it_has() {
    let broker = broker();
    // Nothing but the full queue sets anything off.
    let values = [("linger.ms", "60000"), ("queue.buffering.max.messages", "10")];
    let books = publish(&broker, &values, numbers(0..1000));
    books.all_delivered();
    holds_once(&broker, numbers(0..1000));
    let values = [("linger.ms", "60000"), ("buffer.memory", "1024")];
    publish(&broker, &values, numbers(1000..2000)).all_delivered();
    holds_once(&broker, numbers(0..2000));
}

#[test]
fn a_record_larger_than_max_request_size_fails_at_once_and_alone() {
    let broker = broker();
    let large = "x".repeat(2000);
    let books = publish(&broker, &[("max.request.size", "1500")], ["a", &large, "b"]);
    books.check();
    assert_eq!(books.fates(), [(2, Fate::Failed, ErrorKind::TooLarge)]);
    assert_eq!(books.lost[0].error, "record of 2021 bytes is larger than max.request.size 1500");
    holds_once(&broker, ["a", "b"].map(str::to_owned).into_iter());
}

#[test]
fn what_is_too_large_for_the_topic_takes_no_others_with_it() {
    let broker = broker();
    Asker::of(broker.addr()).create("t", &[("max.message.bytes", "2000")]);
    let large = "x".repeat(5000);
    let lines: Vec<String> = numbers(0..3000)
        .flat_map(|n| if n == "77" || n == "2500" { vec![n, large.clone()] } else { vec![n] })
        .collect();
    let books = publish(&broker, &[], &lines);
    books.check();
    let failed = books.lost.iter().map(|lost| (lost.line, lost.value.len(), lost.fate)).collect::<Vec<_>>();
    assert_eq!(failed, [(79, 5000, Fate::Failed), (2503, 5000, Fate::Failed)]);
    assert!(books.lost[0].error.contains("max.message.bytes"), "{}", books.lost[0].error);
    // No timestamp came with it.
    assert_eq!(books.lost[0].timestamp, -1);
    holds_once(&broker, numbers(0..3000));
}

#[test]
fn every_answer_that_asks_for_another_try_gets_one() {
    for code in [2, 3, 5, 6, 7, 13, 19, 20, 56, 74] {
        let broker = broker();
        broker.faults().add(ApiKey::Produce, 2, FaultKind::Error(code));
        let values = [("batch.num.messages", "10"), ("retry.backoff.ms", "10")];
        publish(&broker, &values, numbers(0..100)).all_delivered();
        holds_once(&broker, numbers(0..100));
    }
}

#[test]
fn every_answer_that_is_final_fails_the_batch_with_its_reason() {
    for (code, kind) in [
        (-1, ErrorKind::Other),
        (17, ErrorKind::UnknownTopic),
        (29, ErrorKind::Authorization),
        (44, ErrorKind::Other),
        (45 + 2, ErrorKind::Other),
        (87, ErrorKind::Other),
    ] {
        let broker = broker();
        broker.faults().add(ApiKey::Produce, 1, FaultKind::Error(code));
        let mut run = open(&broker, &[]);
        run.send(["a", "b"]);
        run.until(|books| books.lost.len() == 2);
        run.send(["c"]);
        let books = run.close();
        books.check();
        assert_eq!(books.fates(), [(1, Fate::Failed, kind), (2, Fate::Failed, kind)], "{code}");
        assert!(books.lost[0].error.starts_with("t[0]: "), "{}", books.lost[0].error);
        holds_once(&broker, ["c".to_owned()].into_iter());
    }
}

#[test]
fn a_final_answer_among_many_batches_takes_only_its_own() {
    let broker = broker();
    broker.faults().add(ApiKey::Produce, 1, FaultKind::Delay(Duration::from_millis(50)));
    broker.faults().add(ApiKey::Produce, 1, FaultKind::Error(ErrorCode::PolicyViolation as i16));
    let books = publish(&broker, &[("batch.num.messages", "100")], numbers(0..2000));
    books.check();
    assert_eq!(books.lost.len(), 100);
    let lost: Vec<&str> = books.lost.iter().map(|lost| &*lost.value).collect();
    holds_once(&broker, numbers(0..2000).filter(|n| !lost.contains(&n.as_str())));
}

#[test]
fn what_makes_all_sending_useless_ends_it() {
    let broker = broker();
    broker.faults().add(ApiKey::Produce, 1, FaultKind::Error(31));
    let mut run = open(&broker, &[]);
    run.send(["a"]);
    let books = run.close();
    books.check();
    assert_eq!(books.fates().len(), 1);
    assert!(books.ended.is_some());
    broker.faults().add(ApiKey::InitProducerId, 1, FaultKind::Error(31));
    let books = publish(&broker, &[], ["a"]);
    books.check();
    assert_eq!(books.fates(), [(1, Fate::Failed, ErrorKind::Authorization)]);
}

#[test]
fn a_producer_id_is_asked_for_until_there_is_one() {
    let broker = broker();
    broker.faults().add(ApiKey::InitProducerId, 1, FaultKind::Error(14));
    broker.faults().add(ApiKey::InitProducerId, 1, FaultKind::Drop);
    publish(&broker, &[], numbers(0..10)).all_delivered();
    holds_once(&broker, numbers(0..10));
}

#[test]
fn lost_answers_lead_to_no_record_twice() {
    for idempotent in ["true", "false"] {
        let broker = broker();
        broker.faults().add(ApiKey::Produce, 1, FaultKind::Delay(Duration::from_millis(20)));
        for _ in 0..4 {
            broker.faults().add(ApiKey::Produce, 1, FaultKind::Drop);
            broker.faults().add(ApiKey::Produce, 1, FaultKind::Refuse);
        }
        let values =
            [("enable.idempotence", idempotent), ("batch.num.messages", "50"), ("retry.backoff.ms", "5")];
        let books = publish(&broker, &values, numbers(0..3000));
        books.all_delivered();
        let mut found = super::embedded::values(&broker);
        if idempotent == "false" {
            // At least once, and never out of order but for what is repeated.
            assert!(found.len() > 3000, "no answer was lost");
            let mut seen = std::collections::HashSet::new();
            found.retain(|value| seen.insert(value.clone()));
        }
        assert_eq!(found, numbers(0..3000).collect::<Vec<_>>(), "idempotence {idempotent}");
        assert!(books.warnings.iter().any(|warning| warning.ends_with("; trying again")), "{books:?}");
    }
}

#[test]
fn a_broker_that_restarts_in_between_costs_nothing_but_time() {
    let folder = tempfile::tempdir().unwrap();
    let start = |listen: SocketAddr, folder: &Path| {
        let data = Some(folder.to_owned());
        Broker::start(Options { listen, data, ..Options::default() }).unwrap()
    };
    let first = start(([127, 0, 0, 1], 0).into(), folder.path());
    let addr = first.addr();
    let mut run = open(&first, &[("batch.num.messages", "100"), ("reconnect.backoff.max.ms", "200")]);
    run.send(numbers(0..10_000));
    run.until(|books| books.delivered > 1000);
    first.stop().unwrap();
    run.send(numbers(10_000..15_000));
    let second = start(addr, folder.path());
    run.send(numbers(15_000..20_000));
    let books = run.close();
    books.all_delivered();
    holds_once(&second, numbers(0..20_000));
    assert!(books.warnings.iter().any(|warning| warning.contains("is back after")), "{:?}", books.warnings);
}

#[test]
fn a_broker_that_is_gone_for_good_leaves_books_that_add_up() {
    let broker = broker();
    let values = [("delivery.timeout.ms", "700"), ("linger.ms", "0"), ("request.timeout.ms", "300")];
    let mut run = open(&broker, &values);
    run.send(["a"]);
    run.until(|books| books.delivered == 1);
    broker.stop().unwrap();
    run.send(["b", "c"]);
    let books = run.close();
    books.check();
    let timed_out = ErrorKind::TimedOut;
    assert_eq!(books.fates(), [(2, Fate::Failed, timed_out), (3, Fate::Failed, timed_out)]);
    assert!(books.lost[0].error.contains("not delivered within 700ms"), "{}", books.lost[0].error);
    assert!(books.lost[0].error.contains("Connection refused"), "{}", books.lost[0].error);
}

#[test]
fn an_answer_that_stays_away_leaves_doubt_at_the_deadline() {
    let broker = broker();
    let mut run = open(&broker, &[("request.timeout.ms", "30000"), ("linger.ms", "0")]);
    broker.faults().add(ApiKey::Produce, 1, FaultKind::Delay(Duration::from_secs(2)));
    run.send(["a"]);
    let books = run.close_within(Duration::from_millis(300));
    books.check();
    assert_eq!(books.fates(), [(1, Fate::Unknown, ErrorKind::TimedOut)]);
}

#[test]
fn the_deadline_of_closing_is_asked_again_at_every_wake_up() {
    let broker = broker();
    let mut run = open(&broker, &[("linger.ms", "0")]);
    broker.faults().add(ApiKey::Produce, 1, FaultKind::Delay(Duration::from_secs(3)));
    run.send(["a"]);
    let (waker, start) = (run.publisher.waker(), Instant::now());
    let forward = std::sync::atomic::AtomicBool::new(false);
    let deadline = || if forward.load(std::sync::atomic::Ordering::Acquire) { start } else { start + LONG };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            forward.store(true, std::sync::atomic::Ordering::Release);
            waker();
        });
        run.publisher.close(&deadline, &mut run.books).unwrap();
    });
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    run.books.check();
    assert_eq!(run.books.fates(), [(1, Fate::Unknown, ErrorKind::TimedOut)]);
}

#[test]
fn keys_choose_their_partitions_and_records_without_are_spread() {
    let broker = with_partitions(4);
    let mut run = open(&broker, &[]);
    let mut batch = Batch::default();
    for (n, key) in ["foobar", "abc", "21", "foobar"].iter().enumerate() {
        let key = batch.append(key.as_bytes());
        let value = batch.append(n.to_string().as_bytes());
        batch.push(Span::new(key, value, n as u64 + 1));
    }
    run.send_batch(batch);
    run.close().all_delivered();
    let asker = Asker::of(broker.addr());
    let murmur2 = |key: &str| {
        use crate::backends::partitioner::{murmur2, to_positive};
        to_positive(murmur2(key.as_bytes())) % 4
    };
    for (n, key) in ["foobar", "abc", "21", "foobar"].iter().enumerate() {
        assert!(asker.values("t", murmur2(key)).contains(&n.to_string()), "{key}");
    }
    let wide = "x".repeat(1000);
    publish(&broker, &[], (0..2000).map(|_| &wide)).all_delivered();
    let counts: Vec<usize> = (0..4).map(|partition| asker.values("t", partition).len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 2004);
    assert!(counts.iter().filter(|count| **count > 50).count() >= 3, "{counts:?}");
}

#[test]
fn partitions_and_topics_that_records_name_are_taken_and_unknown_ones_refused() {
    let broker = with_partitions(2);
    let plan = |plan: &mut PublishPlan| plan.partition = Some(2);
    let refused = Run::open_with(&broker.addr().to_string(), &[], plan).err().unwrap();
    assert_eq!(refused.to_string(), "no partition t[2]: the topic has 0 to 1");

    let mut run = open(&broker, &[]);
    let mut batch = Batch::default();
    let other = batch.topic_index("other");
    batch.set_source(Some("file"));
    for (line, (partition, topic)) in [(1, 0), (7, 0), (0, other), (-1, other)].into_iter().enumerate() {
        let value = batch.append(format!("v{line}").as_bytes());
        let span =
            Span { partition, topic, timestamp: 1000, ..Span::new(Slice::NULL, value, line as u64 + 1) };
        batch.push(span);
    }
    run.send_batch(batch);
    let books = run.close();
    books.check();
    let lost = &books.lost[0];
    assert_eq!((lost.line, lost.kind, lost.source.as_deref()), (2, ErrorKind::UnknownTopic, Some("file")));
    assert_eq!((lost.timestamp, &*lost.error), (1000, "no partition t[7]: the topic has 0 to 1"));
    let asker = Asker::of(broker.addr());
    assert_eq!(asker.values("t", 1), ["v0"]);
    let others = [asker.values("other", 0), asker.values("other", 1)].concat();
    assert_eq!(others.len(), 2);
}

#[test]
fn a_topic_that_is_not_there_is_told_at_open_and_record_by_record() {
    let broker = Broker::start(Options { auto_create: false, ..Options::default() }).unwrap();
    let error = Run::open(&broker.addr().to_string(), &[]).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::UnknownTopic);
    Asker::of(broker.addr()).create("t", &[]);
    let mut run = open(&broker, &[]);
    let mut batch = Batch::default();
    let missing = batch.topic_index("missing");
    for (n, topic) in [0, missing, missing, 0].into_iter().enumerate() {
        let value = batch.append(b"v");
        batch.push(Span { topic, ..Span::new(Slice::NULL, value, n as u64 + 1) });
    }
    run.send_batch(batch);
    let books = run.close();
    books.check();
    let unknown = ErrorKind::UnknownTopic;
    assert_eq!(books.fates(), [(2, Fate::Failed, unknown), (3, Fate::Failed, unknown)]);
}

#[test]
fn many_partitions_share_a_request() {
    let broker = with_partitions(64);
    let mut run = open(&broker, &[]);
    let mut batch = Batch::default();
    for n in 0..6400 {
        let value = batch.append(n.to_string().as_bytes());
        batch.push(Span { partition: n % 64, ..Span::new(Slice::NULL, value, n as u64 + 1) });
    }
    run.send_batch(batch);
    run.close().all_delivered();
    let asker = Asker::of(broker.addr());
    for partition in 0..64 {
        let expected: Vec<String> = (0..100).map(|n| (n * 64 + partition).to_string()).collect();
        assert_eq!(asker.values("t", partition), expected);
    }
}
