//! Publisher and subscriber against librdkafka's mock cluster, with its faults.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::rdkafka::mocking::MockCluster;
use ::rdkafka::producer::DefaultProducerContext;
use ::rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr as Code};

use super::*;
use crate::backends::{
    At, Fate, Notice, Offsets, RecordSink, ReportSink, StartOrigin, TopicPartition, Topics,
};
use crate::record::{Batch, RecordRef, Slice, Span};
use crate::settings::Side;

type Mock = MockCluster<'static, DefaultProducerContext>;

const LONG: Duration = Duration::from_secs(30);

fn mock(brokers: i32, partitions: i32) -> Mock {
    let mock = MockCluster::new(brokers).unwrap();
    mock.create_topic("t", partitions, brokers.min(3) as i16 as i32).unwrap();
    mock
}

fn cluster(bootstrap: &str) -> ClusterConfig {
    ClusterConfig {
        bootstrap: bootstrap.split(',').map(str::to_owned).collect(),
        client_id: "test".into(),
        connect_timeout: Duration::from_secs(5),
        refused_for: Duration::from_secs(2),
        request_timeout: Duration::from_secs(5),
        reconnect: (Duration::from_millis(20), Duration::from_millis(200)),
        max_answer: ANSWER_MIN,
    }
}

fn publish_config(bootstrap: &str) -> PublishConfig {
    PublishConfig {
        cluster: cluster(bootstrap),
        send: SendConfig {
            compression: Compression::NoCompression,
            in_flight: 5,
            retries: 10,
            delivery: Some(Duration::from_secs(20)),
            retry: (Duration::from_millis(10), Duration::from_millis(100)),
            receipts: false,
        },
        route: RouteConfig {
            cut: Cut { bytes: 1000, records: 10, linger: Duration::from_millis(1) },
            strategy: Strategy::default(),
            max_record: 1 << 20,
            create: false,
            partition: None,
            refresh: Duration::from_secs(300),
        },
        buffer_bytes: 1 << 20,
        buffer_records: 1000,
    }
}

fn subscribe_config(bootstrap: &str) -> SubscribeConfig {
    SubscribeConfig {
        cluster: cluster(bootstrap),
        fetch: FetchConfig {
            max_bytes: 1 << 20,
            look_bytes: 8 << 20,
            min_bytes: 1,
            max_wait: Duration::from_millis(100),
            reset: Reset::Earliest,
            give_up: Duration::from_secs(10),
            looks: Looks::of(
                &Settings::for_tests(Side::Consumer, &[("bootstrap.servers", bootstrap)]),
                1 << 20,
                8 << 20,
            )
            .unwrap(),
        },
        max_poll: 7,
    }
}

/// Values `from`..`to`, one to a line.
fn numbers(range: std::ops::Range<u64>) -> Arc<Batch> {
    let mut batch = Batch::default();
    for n in range {
        let value = batch.append(n.to_string().as_bytes());
        batch.push(Span::new(Slice::NULL, value, n + 1));
    }
    Arc::new(batch)
}

#[derive(Debug, Default)]
struct Books {
    delivered: u64,
    payload: u64,
    placed: Vec<(i32, i64, i64)>,
    undelivered: Vec<(u64, Fate, ErrorKind, String)>,
}

impl ReportSink for Books {
    fn aborted(&mut self, _: u64) {}
    fn resent(&mut self, _: u64) {}

    fn notice(&mut self, _: &Notice) {}

    fn spooled(&mut self, _: u64, _: u64) {}

    fn warn(&mut self, _: &str) {}
    fn delivered(&mut self, records: u64, payload: u64) {
        self.delivered += records;
        self.payload += payload;
    }

    fn placed(&mut self, record: &RecordRef<'_>) {
        self.placed.push((record.partition, record.offset, record.timestamp));
    }

    fn undelivered(&mut self, _: &RecordRef<'_>, line: u64, _: Option<&str>, fate: Fate, error: &Error) {
        self.undelivered.push((line, fate, error.kind(), error.to_string()));
    }
}

/// Publishes all and waits for all outcomes.
fn publish(config: PublishConfig, batches: &[Arc<Batch>]) -> Books {
    let mut books = Books::default();
    let mut publisher: Box<dyn Publisher> = Box::new(config.open(Some("t")).unwrap());
    for batch in batches {
        let mut from = 0;
        while from < batch.len() {
            from += publisher.send(batch, from..batch.len()).unwrap();
            if from < batch.len() {
                publisher.poll(LONG, &mut books).unwrap();
            }
        }
    }
    publisher.close(&|| Instant::now() + LONG, &mut books).unwrap();
    books
}

#[derive(Debug, Default)]
struct Reader {
    values: Vec<(i32, String)>,
    reached: Vec<(i32, i64)>,
    warnings: Vec<String>,
    /// Break after every record.
    one_at_a_time: bool,
}

impl RecordSink for Reader {
    fn record(&mut self, record: &RecordRef<'_>) -> ControlFlow<()> {
        let value = String::from_utf8_lossy(record.value.unwrap_or(b"null")).into_owned();
        self.values.push((record.partition, value));
        if self.one_at_a_time { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn reached(&mut self, _: &str, partition: i32, next: i64) {
        self.reached.push((partition, next));
    }

    fn assigned(&mut self, _: &[TopicPartition]) {}

    fn started(&mut self, _: &TopicPartition, _: i64, _: StartOrigin) {}

    fn revoked(&mut self, _: &[TopicPartition], _: bool) -> Offsets {
        Vec::new()
    }

    fn notice(&mut self, notice: &Notice) {
        self.warnings.push(notice.to_string());
    }

    fn warn(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}

/// Reads until `done`.
fn read_until(subscriber: &mut dyn Subscriber, reader: &mut Reader, done: impl Fn(&Reader) -> bool) {
    let until = Instant::now() + LONG;
    while !done(reader) {
        assert!(Instant::now() < until, "not done in time: {reader:?}");
        subscriber.poll(Duration::from_millis(500), reader).unwrap();
    }
}

/// All there is in the topic, by partition in order.
fn read_all(bootstrap: &str) -> Vec<(i32, String)> {
    let mut subscriber = subscribe_config(bootstrap).open().unwrap();
    let partitions = subscriber.partitions(&Topics::Names(vec!["t".into()])).unwrap();
    let at = |at: At| partitions.iter().map(|p| (p.clone(), at)).collect::<Vec<_>>();
    let starts = subscriber.list_offsets(&at(At::Earliest)).unwrap();
    let ends = subscriber.list_offsets(&at(At::Latest)).unwrap();
    let starts: Offsets = partitions.iter().cloned().zip(starts).collect();
    subscriber.assign(&starts).unwrap();
    let mut reader = Reader::default();
    let ends: Vec<(i32, i64)> = partitions.iter().map(|p| p.partition).zip(ends).collect();
    read_until(&mut subscriber, &mut reader, |r| ends.iter().all(|end| r.reached.contains(end)));
    let mut values = reader.values;
    values.sort_by_key(|(partition, _)| *partition);
    values
}

fn values(range: std::ops::Range<u64>) -> Vec<(i32, String)> {
    range.map(|n| (0, n.to_string())).collect()
}

#[test]
fn records_come_back_in_order_with_their_receipts() {
    let mock = mock(1, 1);
    let mut config = publish_config(&mock.bootstrap_servers());
    config.send.receipts = true;
    let books = publish(config, &[numbers(0..500), numbers(500..1000)]);
    assert_eq!((books.delivered, books.payload), (1000, 10 + 2 * 90 + 3 * 900));
    assert_eq!(books.undelivered, []);
    assert_eq!(books.placed.iter().map(|p| p.1).collect::<Vec<_>>(), (0..1000).collect::<Vec<i64>>());
    assert!(books.placed.iter().all(|(_, _, timestamp)| *timestamp > 0));
    assert_eq!(read_all(&mock.bootstrap_servers()), values(0..1000));
}

#[test]
fn every_codec_is_read_back() {
    let codecs = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for codec in codecs {
        let mock = mock(1, 1);
        let mut config = publish_config(&mock.bootstrap_servers());
        config.send.compression = codec;
        assert_eq!(publish(config, &[numbers(0..100)]).delivered, 100, "{codec:?}");
        assert_eq!(read_all(&mock.bootstrap_servers()), values(0..100), "{codec:?}");
    }
}

#[test]
fn temporary_faults_lose_and_double_nothing() {
    let codes = [
        Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        Code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ];
    for code in codes {
        let mock = mock(1, 1);
        mock.request_errors(RDKafkaApiKey::Produce, &[code, code, code]);
        let mut config = publish_config(&mock.bootstrap_servers());
        // One out at a time: those behind a failed one are written before it by this mock.
        config.send.in_flight = 1;
        let books = publish(config, &[numbers(0..100)]);
        assert_eq!((books.delivered, books.undelivered.len()), (100, 0), "{code:?}");
        assert_eq!(read_all(&mock.bootstrap_servers()), values(0..100), "{code:?}");
    }
}

#[test]
fn retries_used_up_say_so_and_in_doubt_is_told_from_failed() {
    let cases = [
        (Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, Fate::Failed),
        (Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, Fate::Unknown),
        (Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Fate::Failed),
    ];
    for (code, fate) in cases {
        let mock = mock(1, 1);
        mock.request_errors(RDKafkaApiKey::Produce, &[code; 3]);
        let mut config = publish_config(&mock.bootstrap_servers());
        config.send.retries = 2;
        let books = publish(config, &[numbers(0..5)]);
        assert_eq!(books.delivered, 0, "{code:?}");
        let told: Vec<(u64, Fate)> = books.undelivered.iter().map(|u| (u.0, u.1)).collect();
        assert_eq!(told, [1, 2, 3, 4, 5].map(|line| (line, fate)), "{code:?}");
        assert!(books.undelivered[0].3.starts_with("t[0]: "), "{:?}", books.undelivered[0]);
    }
}

#[test]
fn a_batch_too_large_is_split_and_only_the_culprit_is_lost() {
    let mock = mock(1, 1);
    let code = Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    // 8 records: refused as 8, 4, 2 and 1, the first; the rest passes.
    mock.request_errors(RDKafkaApiKey::Produce, &[code; 4]);
    let mut config = publish_config(&mock.bootstrap_servers());
    config.route.cut.linger = Duration::from_millis(200);
    let books = publish(config, &[numbers(0..8)]);
    assert_eq!(books.delivered, 7);
    let told: Vec<_> = books.undelivered.iter().map(|u| (u.0, u.1, u.2)).collect();
    assert_eq!(told, [(1, Fate::Failed, ErrorKind::TooLarge)]);
    assert_eq!(read_all(&mock.bootstrap_servers()), values(1..8));
}

#[test]
fn a_leader_that_moves_is_followed_on_both_sides() {
    let mock = mock(2, 1);
    mock.partition_leader("t", 0, Some(1)).unwrap();
    let bootstrap = mock.bootstrap_servers();
    let mut subscriber = subscribe_config(&bootstrap).open().unwrap();
    let t0 = TopicPartition { topic: "t".into(), partition: 0 };
    subscriber.assign(&vec![(t0, 0)]).unwrap();
    let mut publisher: Box<dyn Publisher> = Box::new(publish_config(&bootstrap).open(Some("t")).unwrap());
    let (mut books, mut reader) = (Books::default(), Reader::default());
    for round in 0..4 {
        mock.partition_leader("t", 0, Some(1 + round % 2)).unwrap();
        let n = round as u64 * 50;
        assert_eq!(publisher.send(&numbers(n..n + 50), 0..50).unwrap(), 50);
        while publisher.poll(LONG, &mut books).unwrap() > 0 {}
        read_until(&mut subscriber, &mut reader, |r| r.values.len() as u64 >= n + 50);
    }
    publisher.close(&|| Instant::now() + LONG, &mut books).unwrap();
    assert_eq!((books.delivered, books.undelivered.len()), (200, 0));
    let mut read: Vec<u64> = reader.values.iter().map(|(_, v)| v.parse().unwrap()).collect();
    read.sort_unstable();
    assert_eq!(read, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_broker_that_comes_back_gets_everything() {
    let mock = mock(1, 1);
    let bootstrap = mock.bootstrap_servers();
    let mut publisher: Box<dyn Publisher> = Box::new(publish_config(&bootstrap).open(Some("t")).unwrap());
    let mut books = Books::default();
    mock.broker_down(1).unwrap();
    assert_eq!(publisher.send(&numbers(0..50), 0..50).unwrap(), 50);
    assert_eq!(publisher.poll(Duration::from_millis(300), &mut books).unwrap(), 50);
    mock.broker_up(1).unwrap();
    publisher.close(&|| Instant::now() + LONG, &mut books).unwrap();
    assert_eq!((books.delivered, books.undelivered.len()), (50, 0));
    assert_eq!(read_all(&bootstrap), values(0..50));
}

#[test]
fn what_has_no_outcome_at_the_deadline_is_told_all_the_same() {
    let mock = mock(1, 1);
    let mut publisher: Box<dyn Publisher> =
        Box::new(publish_config(&mock.bootstrap_servers()).open(Some("t")).unwrap());
    let mut books = Books::default();
    mock.broker_down(1).unwrap();
    assert_eq!(publisher.send(&numbers(0..50), 0..50).unwrap(), 50);
    publisher.close(&|| Instant::now() + Duration::from_millis(300), &mut books).unwrap();
    assert_eq!((books.delivered, books.undelivered.len()), (0, 50));
    assert!(books.undelivered.iter().all(|u| u.1 == Fate::Failed), "{:?}", books.undelivered);
}

#[test]
fn what_was_sent_and_not_answered_is_told_as_unknown() {
    let mock = mock(1, 1);
    let mut publisher: Box<dyn Publisher> =
        Box::new(publish_config(&mock.bootstrap_servers()).open(Some("t")).unwrap());
    let mut books = Books::default();
    assert_eq!(publisher.send(&numbers(0..5), 0..5).unwrap(), 5);
    while publisher.poll(LONG, &mut books).unwrap() > 0 {}
    mock.broker_round_trip_time(1, LONG).unwrap();
    assert_eq!(publisher.send(&numbers(5..10), 0..5).unwrap(), 5);
    publisher.close(&|| Instant::now() + Duration::from_secs(1), &mut books).unwrap();
    let told: Vec<(u64, Fate)> = books.undelivered.iter().map(|u| (u.0, u.1)).collect();
    assert_eq!(told, [6, 7, 8, 9, 10].map(|line| (line, Fate::Unknown)));
}

#[test]
fn a_broker_that_stops_answering_is_asked_again_on_a_new_connection() {
    let mock = mock(1, 1);
    let mut config = publish_config(&mock.bootstrap_servers());
    config.cluster.request_timeout = Duration::from_millis(200);
    let mut publisher: Box<dyn Publisher> = Box::new(config.open(Some("t")).unwrap());
    let mut books = Books::default();
    assert_eq!(publisher.send(&numbers(0..5), 0..5).unwrap(), 5);
    while publisher.poll(LONG, &mut books).unwrap() > 0 {}
    mock.broker_round_trip_time(1, Duration::from_secs(10)).unwrap();
    assert_eq!(publisher.send(&numbers(5..10), 0..5).unwrap(), 5);
    assert_eq!(publisher.poll(Duration::from_millis(300), &mut books).unwrap(), 5);
    mock.broker_round_trip_time(1, Duration::ZERO).unwrap();
    publisher.close(&|| Instant::now() + LONG, &mut books).unwrap();
    assert_eq!((books.delivered, books.undelivered.len()), (10, 0));
}

#[test]
fn a_full_queue_takes_fewer_than_offered_and_does_not_wait_for_its_linger() {
    let mock = mock(1, 1);
    let mut config = publish_config(&mock.bootstrap_servers());
    config.buffer_records = 30;
    config.route.cut.linger = LONG;
    config.route.cut.records = 100;
    let mut publisher: Box<dyn Publisher> = Box::new(config.open(Some("t")).unwrap());
    let batch = numbers(0..100);
    let (start, mut books) = (Instant::now(), Books::default());
    assert_eq!(publisher.send(&batch, 0..batch.len()).unwrap(), 30);
    while publisher.poll(LONG, &mut books).unwrap() > 0 {}
    assert_eq!(books.delivered, 30);
    assert_eq!(publisher.send(&batch, 30..batch.len()).unwrap(), 30);
    publisher.close(&|| Instant::now() + LONG, &mut books).unwrap();
    assert_eq!(books.delivered, 60);
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
}

#[test]
fn records_rskafka_cannot_send_are_told_and_do_not_hold_up_the_rest() {
    let mock = mock(1, 1);
    let mut batch = Batch::default();
    let name = batch.append(b"h");
    for line in 1..=3 {
        let value = batch.append(line.to_string().as_bytes());
        let mut span = Span::new(Slice::NULL, value, line);
        if line == 2 {
            batch.add_header(&mut span.headers, name, Slice::NULL);
        }
        if line == 3 {
            span.partition = 5;
        }
        batch.push(span);
    }
    let books = publish(publish_config(&mock.bootstrap_servers()), &[Arc::new(batch)]);
    assert_eq!(books.delivered, 1);
    let told: Vec<_> = books.undelivered.iter().map(|u| (u.0, u.2)).collect();
    assert_eq!(told, [(2, ErrorKind::Unsupported), (3, ErrorKind::UnknownTopic)]);
    assert!(books.undelivered[1].3.contains("t[5]"), "{:?}", books.undelivered[1]);
}

#[test]
fn unknown_topics_and_partitions_are_named_at_open() {
    let mock = mock(1, 2);
    let config = publish_config(&mock.bootstrap_servers());
    let error = config.clone().open(Some("nothing")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownTopic);
    assert!(error.to_string().contains("nothing"), "{error}");
    let mut config = config;
    config.route.partition = Some(2);
    let error = config.open(Some("t")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownTopic);
    assert_eq!(error.to_string(), "no partition t[2]: the topic has 0 to 1");
}

#[test]
fn a_topic_is_created_when_that_is_allowed() {
    let mock = mock(1, 1);
    let mut config = publish_config(&mock.bootstrap_servers());
    config.route.create = true;
    assert!(config.open(Some("new")).is_ok());
}

#[test]
fn nobody_there_is_said_within_the_connect_timeout() {
    let start = Instant::now();
    let error = publish_config("127.0.0.1:1,127.0.0.1:2").open(Some("t")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("127.0.0.1:1,127.0.0.1:2"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn a_server_that_says_nothing_is_given_up_at_the_connect_timeout() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = subscribe_config(&silent.local_addr().unwrap().to_string());
    config.cluster.connect_timeout = Duration::from_millis(300);
    let error = config.open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("within 0.3 s"), "{error}");
}

#[test]
fn one_dead_bootstrap_server_does_not_hold_up_the_others() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mock = mock(1, 1);
    let bootstrap = format!("{},{}", silent.local_addr().unwrap(), mock.bootstrap_servers());
    assert_eq!(publish(publish_config(&bootstrap), &[numbers(0..10)]).delivered, 10);
}

#[test]
fn empty_partitions_are_at_their_end_at_once() {
    let mock = mock(1, 3);
    assert_eq!(read_all(&mock.bootstrap_servers()), []);
}

#[test]
fn a_break_keeps_the_rest_for_the_next_poll() {
    let mock = mock(1, 1);
    publish(publish_config(&mock.bootstrap_servers()), &[numbers(0..20)]);
    let mut subscriber = subscribe_config(&mock.bootstrap_servers()).open().unwrap();
    let t0 = TopicPartition { topic: "t".into(), partition: 0 };
    subscriber.assign(&vec![(t0.clone(), 0)]).unwrap();
    let mut reader = Reader { one_at_a_time: true, ..Reader::default() };
    for n in 1..=10 {
        read_until(&mut subscriber, &mut reader, |r| r.values.len() == n);
    }
    subscriber.unassign(&[t0]).unwrap();
    assert_eq!(subscriber.poll(Duration::ZERO, &mut reader).unwrap().records, 0);
    assert_eq!(reader.values, values(0..10));
}

#[test]
fn an_offset_that_is_not_there_follows_the_reset_policy() {
    let mock = mock(1, 1);
    publish(publish_config(&mock.bootstrap_servers()), &[numbers(0..5)]);
    let t0 = TopicPartition { topic: "t".into(), partition: 0 };
    let mut config = subscribe_config(&mock.bootstrap_servers());
    let mut subscriber = config.clone().open().unwrap();
    subscriber.assign(&vec![(t0.clone(), 99)]).unwrap();
    let mut reader = Reader::default();
    read_until(&mut subscriber, &mut reader, |r| r.values.len() == 5);
    assert_eq!(reader.warnings.len(), 1, "{:?}", reader.warnings);

    config.fetch.reset = Reset::None;
    let mut subscriber = config.open().unwrap();
    subscriber.assign(&vec![(t0, 99)]).unwrap();
    let error = subscriber.poll(LONG, &mut reader).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange);
    assert!(error.to_string().contains("t[0]"), "{error}");
}

#[test]
fn subscribing_creates_no_topic_and_names_the_one_that_is_missing() {
    let mock = mock(1, 1);
    let mut subscriber = subscribe_config(&mock.bootstrap_servers()).open().unwrap();
    let missing = TopicPartition { topic: "missing".into(), partition: 0 };
    let error = subscriber.assign(&vec![(missing, 0)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownTopic);
    assert!(error.to_string().contains("missing"), "{error}");
    let all = subscriber.partitions(&Topics::Pattern(regex::Regex::new(".*").unwrap())).unwrap();
    assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>(), ["t[0]"]);
    let beyond = TopicPartition { topic: "t".into(), partition: 1 };
    let error = subscriber.list_offsets(&[(beyond, At::Latest)]).unwrap_err();
    assert_eq!(error.to_string(), "t[1] does not exist: the topic has 1 partitions (0 to 0)");
}
