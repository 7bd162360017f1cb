//! Real clients: both libraries behind the seam of the commands, and librdkafka by itself.

use std::ops::ControlFlow;
use std::time::Instant;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::*;
use crate::backends::{
    At, Chosen, Error as ClientError, Fate, Log as ClientLog, Notice, Offsets, PublishPlan, RecordSink,
    ReportSink, StartOrigin, SubscribePlan, Subscriber, TopicPartition, Topics, open_publisher,
    open_subscriber,
};
use crate::record::{Batch, RecordRef, Slice, Span};
use crate::settings::{Library, Settings, Side};
use crate::wire::ApiKey;

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// What became of records.
#[derive(Debug, Default)]
struct Books {
    delivered: u64,
    undelivered: Vec<String>,
}

impl ReportSink for Books {
    fn delivered(&mut self, records: u64, _: u64) {
        self.delivered += records;
    }
    fn placed(&mut self, _: &RecordRef<'_>) {}
    fn undelivered(&mut self, _: &RecordRef<'_>, _: u64, _: Option<&str>, _: Fate, error: &ClientError) {
        self.undelivered.push(error.to_string());
    }
    fn aborted(&mut self, _: u64) {}
    fn resent(&mut self, _: u64) {}

    fn notice(&mut self, _: &Notice) {}

    fn spooled(&mut self, _: u64, _: u64) {}

    fn warn(&mut self, _: &str) {}
}

/// A library with settings for a broker.
fn chosen(library: Library, side: Side, broker: SocketAddr, more: &[(&str, &str)]) -> Chosen {
    let addr = broker.to_string();
    let values: Vec<_> = [("bootstrap.servers", &*addr)].iter().chain(more).copied().collect();
    Chosen { library, settings: Settings::for_tests(side, &values), warnings: Vec::new() }
}

/// Publishes all, and waits for all outcomes.
fn publish(library: Library, broker: SocketAddr, more: &[(&str, &str)], batches: &[Arc<Batch>]) -> Books {
    let chosen = chosen(library, Side::Producer, broker, more);
    let plan =
        PublishPlan { topic: Some("t".into()), partition: None, receipts: false, log: ClientLog::none() };
    let mut publisher = open_publisher(&chosen, &plan).unwrap();
    let mut books = Books::default();
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

/// A record as it was read: key, value, headers, timestamp.
type Seen = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>, i64);

/// Reads with a function called for each record, and notes how far it came.
struct Reading<F> {
    each: F,
    reached: std::collections::HashMap<i32, i64>,
}

impl<F: FnMut(&RecordRef<'_>)> RecordSink for Reading<F> {
    fn record(&mut self, record: &RecordRef<'_>) -> ControlFlow<()> {
        (self.each)(record);
        ControlFlow::Continue(())
    }
    fn reached(&mut self, _: &str, partition: i32, next: i64) {
        self.reached.insert(partition, next);
    }
    fn assigned(&mut self, _: &[TopicPartition]) {}
    fn started(&mut self, _: &TopicPartition, _: i64, _: StartOrigin) {}
    fn revoked(&mut self, _: &[TopicPartition], _: bool) -> Offsets {
        Vec::new()
    }
    fn notice(&mut self, notice: &Notice) {
        panic!("{notice}");
    }

    fn warn(&mut self, message: &str) {
        panic!("{message}");
    }
}

fn subscriber(library: Library, broker: SocketAddr) -> Box<dyn Subscriber> {
    let chosen = chosen(library, Side::Consumer, broker, &[]);
    open_subscriber(&chosen, &SubscribePlan { grouped: false, log: ClientLog::none() }).unwrap()
}

/// Reads all there is in the topic.
fn read_all(library: Library, broker: SocketAddr, each: impl FnMut(&RecordRef<'_>)) {
    let mut subscriber = subscriber(library, broker);
    let partitions = subscriber.partitions(&Topics::Names(vec!["t".into()])).unwrap();
    let places = |at| partitions.iter().map(|p| (p.clone(), at)).collect::<Vec<_>>();
    let starts = subscriber.list_offsets(&places(At::Earliest)).unwrap();
    let ends = subscriber.list_offsets(&places(At::Latest)).unwrap();
    subscriber.assign(&partitions.iter().cloned().zip(starts).collect()).unwrap();
    let mut reading = Reading { each, reached: Default::default() };
    let until = Instant::now() + LONG;
    let is_done = |reading: &Reading<_>| {
        partitions.iter().zip(&ends).all(|(p, end)| reading.reached.get(&p.partition) == Some(end))
    };
    while !is_done(&reading) {
        assert!(Instant::now() < until, "{:?} of {ends:?}", reading.reached);
        subscriber.poll(Duration::from_millis(500), &mut reading).unwrap();
    }
    subscriber.close(Instant::now() + LONG, &mut reading).unwrap();
}

fn seen(record: &RecordRef<'_>) -> Seen {
    let mut headers = Vec::new();
    record.headers.for_each(&mut |name, value| headers.push((name.to_vec(), value.map(<[u8]>::to_vec))));
    (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), headers, record.timestamp)
}

/// Records with all that a record can have, with different timestamps.
fn varied() -> (Arc<Batch>, Vec<Seen>) {
    let mut batch = Batch::default();
    let mut expected = Vec::new();
    for n in 0..200_u32 {
        let key = (n % 3 != 0).then(|| format!("key {n}").into_bytes());
        let value = (n % 5 != 0).then(|| format!("value {n} ").repeat(n as usize % 40).into_bytes());
        let place = |batch: &mut Batch, bytes: &Option<Vec<u8>>| batch.append_nullable(bytes.as_deref());
        let mut span = Span::new(place(&mut batch, &key), place(&mut batch, &value), u64::from(n) + 1);
        span.partition = 0;
        span.timestamp = 1_700_000_000_000 + i64::from(n);
        // In the order that every library keeps.
        let headers: Vec<(Vec<u8>, Option<Vec<u8>>)> = [("a", Some("1")), ("b", Some(""))][..n as usize % 3]
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.map(|v: &str| v.as_bytes().to_vec())))
            .collect();
        for (name, value) in &headers {
            let (name, value) = (batch.append(name), place(&mut batch, value));
            batch.add_header(&mut span.headers, name, value);
        }
        batch.push(span);
        expected.push((key, value, headers, span.timestamp));
    }
    (Arc::new(batch), expected)
}

#[test]
fn every_codec_header_tombstone_and_timestamp_comes_back_in_both_libraries() {
    for writer in [Library::Rdkafka, Library::Rskafka] {
        for codec in CODECS {
            let broker = broker();
            Raw::connect(broker.addr()).create("t", 2);
            let (batch, expected) = varied();
            let books = publish(writer, broker.addr(), &[("compression.type", codec)], &[batch]);
            assert_eq!((books.delivered, &books.undelivered[..]), (200, &[][..]));
            for reader in [Library::Rdkafka, Library::Rskafka] {
                let mut read = Vec::new();
                read_all(reader, broker.addr(), |record| read.push(seen(record)));
                assert_eq!(read.len(), expected.len(), "{writer} to {reader} with {codec}");
                for (read, expected) in read.iter().zip(&expected) {
                    assert_eq!(read, expected, "{writer} to {reader} with {codec}");
                }
            }
        }
    }
}

#[test]
fn both_libraries_find_offsets_by_time_with_every_codec() {
    for codec in CODECS {
        let broker = broker();
        Raw::connect(broker.addr()).create("t", 1);
        let (batch, _) = varied();
        publish(Library::Rdkafka, broker.addr(), &[("compression.type", codec)], &[batch]);
        let place = TopicPartition { topic: "t".into(), partition: 0 };
        for library in [Library::Rdkafka, Library::Rskafka] {
            let mut subscriber = subscriber(library, broker.addr());
            for (at, offset) in [
                (At::Earliest, 0),
                (At::Latest, 200),
                (At::Timestamp(0), 0),
                (At::Timestamp(1_700_000_000_077), 77),
                (At::Timestamp(1_700_000_000_200), 200),
            ] {
                let found = subscriber.list_offsets(&[(place.clone(), at)]).unwrap();
                assert_eq!(found, [offset], "{library} {at:?} {codec}");
            }
        }
    }
}

/// Values of 100 bytes that begin with their number.
fn numbered(count: u64) -> Vec<Arc<Batch>> {
    let starts: Vec<u64> = (0..count).step_by(10_000).collect();
    let batch = |from: u64| {
        let mut batch = Batch::default();
        for n in from..(from + 10_000).min(count) {
            let value = batch.append(format!("{n:0100}").as_bytes());
            batch.push(Span::new(Slice::NULL, value, n + 1));
        }
        Arc::new(batch)
    };
    starts.into_iter().map(batch).collect()
}

/// Reads all numbers and checks that each is there once.
fn every_number_is_there_once(library: Library, broker: SocketAddr, count: u64) {
    let mut seen = vec![false; count as usize];
    let mut total = 0;
    read_all(library, broker, |record| {
        let value = std::str::from_utf8(record.value.unwrap()).unwrap();
        let n: usize = value.parse().unwrap();
        assert!(!std::mem::replace(&mut seen[n], true), "{n} came twice");
        total += 1;
    });
    assert_eq!(total, count);
}

#[test]
fn many_records_go_in_and_out_exactly() {
    // In an optimised build, as many as a demonstration has.
    let count = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };
    for library in [Library::Rdkafka, Library::Rskafka] {
        let broker = broker();
        Raw::connect(broker.addr()).create("t", 4);
        let books = publish(library, broker.addr(), &[], &numbered(count));
        assert_eq!((books.delivered, &books.undelivered[..]), (count, &[][..]));
        every_number_is_there_once(library, broker.addr(), count);
    }
}

#[test]
fn a_topic_is_created_by_whoever_publishes_to_it() {
    for library in [Library::Rdkafka, Library::Rskafka] {
        let broker = Broker::start(Options { partitions: 3, ..Options::default() }).unwrap();
        let books = publish(library, broker.addr(), &[], &numbered(100));
        assert_eq!((books.delivered, &books.undelivered[..]), (100, &[][..]), "{library}");
        every_number_is_there_once(library, broker.addr(), 100);
    }
}

/// librdkafka's settings for a broker.
fn config(broker: SocketAddr) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.to_string());
    config
}

#[test]
fn an_idempotent_producer_goes_through_faults_and_restarts_with_each_record_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = broker_at(folder.path());
    let addr = broker.addr();
    Raw::connect(addr).create("t", 2);
    let mut config = config(addr);
    config.set("enable.idempotence", "true").set("linger.ms", "1").set("reconnect.backoff.max.ms", "100");
    config.set("retry.backoff.ms", "10").set("batch.num.messages", "50");
    let producer: BaseProducer = config.create().unwrap();
    let count = 6000;
    for n in 0..count {
        let value = format!("{n}");
        producer.send(BaseRecord::<(), str>::to("t").payload(&value)).unwrap();
        producer.poll(Duration::ZERO);
        match n {
            1000 => broker.faults().add(ApiKey::Produce, 3, FaultKind::Drop),
            2000 => broker.faults().add(ApiKey::Produce, 3, FaultKind::Refuse),
            // NOT_LEADER_OR_FOLLOWER
            3000 => broker.faults().add(ApiKey::Produce, 3, FaultKind::Error(6)),
            4000 => {
                broker.stop().unwrap();
                let data = Some(folder.path().to_owned());
                broker = Broker::start(Options { listen: addr, data, ..Options::default() }).unwrap();
            }
            _ => {}
        }
    }
    producer.flush(LONG).unwrap();
    every_number_is_there_once(Library::Rdkafka, addr, count);
}

#[test]
fn a_record_arrives_at_a_waiting_consumer_at_once() {
    let broker = broker();
    Raw::connect(broker.addr()).create("t", 1);
    let mut config = config(broker.addr());
    config.set("group.id", "unused").set("fetch.wait.max.ms", "10000");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset("t", 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut raw = Raw::connect(broker.addr());
    let mut times: Vec<Duration> = (0..10)
        .map(|_| {
            let sent = Instant::now();
            raw.produce("t", &batch(&["a"]));
            consumer.poll(LONG).unwrap().unwrap();
            sent.elapsed()
        })
        .collect();
    times.sort_unstable();
    assert!(times[5] < Duration::from_millis(100), "{times:?}");
}

#[test]
fn librdkafkas_admin_client_creates_describes_changes_and_deletes() {
    let broker = broker();
    let admin: AdminClient<DefaultClientContext> = config(broker.addr()).create().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(LONG));
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let topic = NewTopic::new("t", 2, TopicReplication::Fixed(1)).set("retention.ms", "5000");
        let compacted = NewTopic::new("c", 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
        let created = admin.create_topics([&topic, &compacted], &options).await.unwrap();
        assert_eq!(created[0], Ok("t".into()));
        assert_eq!(created[1].as_ref().unwrap_err().1, rdkafka::types::RDKafkaErrorCode::InvalidConfig);
        let added = admin.create_partitions([&NewPartitions::new("t", 5)], &options).await.unwrap();
        assert_eq!(added, [Ok("t".into())]);
        let described = admin.describe_configs([&ResourceSpecifier::Topic("t")], &options).await.unwrap();
        let entry = described[0].as_ref().unwrap().get("retention.ms").unwrap();
        assert_eq!(entry.value.as_deref(), Some("5000"));
    });
    let consumer: BaseConsumer = config(broker.addr()).create().unwrap();
    let metadata = consumer.fetch_metadata(Some("t"), LONG).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 5);
    runtime.block_on(async {
        assert_eq!(admin.delete_topics(&["t"], &options).await.unwrap(), [Ok("t".into())]);
    });
}
