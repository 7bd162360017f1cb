//! Transactions by librdkafka.

use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use super::*;
use crate::wire::ApiKey;

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.addr().to_string());
    config
}

/// A producer with this transactional id that is ready to begin.
fn producer(broker: &Broker, id: &str) -> BaseProducer {
    let mut config = config(broker);
    config.set("transactional.id", id).set("linger.ms", "0");
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(LONG).unwrap();
    producer
}

fn send(producer: &BaseProducer, value: &str) {
    producer.send(BaseRecord::<(), str>::to("t").payload(value)).unwrap();
}

/// Ends what [`producer`] began with this value.
fn end(producer: &BaseProducer, value: &str, commit: bool) -> KafkaResult<()> {
    producer.begin_transaction()?;
    send(producer, value);
    producer.flush(LONG)?;
    if commit { producer.commit_transaction(LONG) } else { producer.abort_transaction(LONG) }
}

/// The values in "t" up to its end, as a reader of committed records or of all sees it.
fn values(broker: &Broker, isolation: &str) -> Vec<String> {
    let mut config = config(broker);
    config.set("group.id", "reader").set("isolation.level", isolation).set("enable.partition.eof", "true");
    config.set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut values = Vec::new();
    loop {
        match consumer.poll(LONG).expect("a record or the end") {
            Ok(record) => values.push(String::from_utf8(record.payload().unwrap().to_vec()).unwrap()),
            Err(KafkaError::PartitionEOF(_)) => return values,
            Err(error) => panic!("{error}"),
        }
    }
}

fn with_topic(data: Option<&Path>) -> Broker {
    let broker = Broker::start(Options { data: data.map(Path::to_owned), ..Options::default() }).unwrap();
    Raw::connect(broker.addr()).create("t", 1);
    broker
}

#[test]
fn committed_records_are_read_and_aborted_ones_only_by_those_who_want_all() {
    let broker = with_topic(None);
    let producer = producer(&broker, "x");
    for (value, commit) in [("a", true), ("b", false), ("c", true), ("d", false)] {
        end(&producer, value, commit).unwrap();
    }
    producer.begin_transaction().unwrap();
    send(&producer, "open");
    producer.flush(LONG).unwrap();
    assert_eq!(values(&broker, "read_committed"), ["a", "c"]);
    assert_eq!(values(&broker, "read_uncommitted"), ["a", "b", "c", "d", "open"]);
    producer.commit_transaction(LONG).unwrap();
    assert_eq!(values(&broker, "read_committed"), ["a", "c", "open"]);
}

#[test]
fn a_second_producer_fences_the_first() {
    let broker = with_topic(None);
    let first = producer(&broker, "x");
    first.begin_transaction().unwrap();
    send(&first, "lost");
    first.flush(LONG).unwrap();
    let second = producer(&broker, "x");
    end(&second, "kept", true).unwrap();
    let KafkaError::Transaction(error) = first.commit_transaction(LONG).unwrap_err() else { panic!() };
    assert!(error.is_fatal(), "{error:?}");
    assert_eq!(error.code(), RDKafkaErrorCode::Fenced);
    assert_eq!(values(&broker, "read_committed"), ["kept"]);
    end(&second, "more", true).unwrap();
    assert_eq!(values(&broker, "read_committed"), ["kept", "more"]);
}

/// The offset that a group has committed for partition 0 of "t".
fn committed(broker: &Broker, group: &str) -> Offset {
    let consumer: BaseConsumer = config(broker).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition("t", 0);
    consumer.committed_offsets(list, LONG).unwrap().elements()[0].offset()
}

/// Sends an offset of a group in the open transaction.
fn send_offset(broker: &Broker, producer: &BaseProducer, group: &str, offset: i64) {
    let consumer: BaseConsumer = config(broker).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(offset)).unwrap();
    let member = consumer.group_metadata().unwrap();
    producer.send_offsets_to_transaction(&list, &member, LONG).unwrap();
}

#[test]
fn offsets_are_committed_with_their_transaction_and_dropped_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = with_topic(Some(folder.path()));
    let x = producer(&broker, "x");
    for (offset, commit, expected) in
        [(5, true, Offset::Offset(5)), (9, false, Offset::Offset(5)), (7, true, Offset::Offset(7))]
    {
        x.begin_transaction().unwrap();
        send(&x, "a");
        x.flush(LONG).unwrap();
        send_offset(&broker, &x, "g", offset);
        if commit {
            x.commit_transaction(LONG).unwrap()
        } else {
            x.abort_transaction(LONG).unwrap()
        }
        assert_eq!(committed(&broker, "g"), expected);
    }
    assert_eq!(committed(&broker, "other"), Offset::Invalid);
    drop(x);
    broker.stop().unwrap();
    broker = broker_at(folder.path());
    assert_eq!(committed(&broker, "g"), Offset::Offset(7));
}

#[test]
fn a_transaction_goes_through_a_restart_and_faults() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = with_topic(Some(folder.path()));
    let addr = broker.addr();
    let mut config = config(&broker);
    config.set("transactional.id", "x").set("reconnect.backoff.max.ms", "100").set("retry.backoff.ms", "10");
    let x: BaseProducer = config.create().unwrap();
    // CONCURRENT_TRANSACTIONS, NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE and lost answers.
    let apis = [ApiKey::InitProducerId, ApiKey::AddPartitionsToTxn, ApiKey::EndTxn];
    for api in apis {
        for kind in [FaultKind::Error(51), FaultKind::Drop, FaultKind::Error(16), FaultKind::Refuse] {
            // To a commit, 51 says that it is being carried out.
            if (api, kind) != (ApiKey::EndTxn, FaultKind::Error(51)) {
                broker.faults().add(api, 1, kind);
            }
        }
    }
    x.init_transactions(LONG).unwrap();
    end(&x, "a", true).unwrap();
    x.begin_transaction().unwrap();
    send(&x, "b");
    x.flush(LONG).unwrap();
    broker.stop().unwrap();
    let data = Some(folder.path().to_owned());
    broker = Broker::start(Options { listen: addr, data, ..Options::default() }).unwrap();
    send(&x, "c");
    x.commit_transaction(LONG).unwrap();
    assert_eq!(values(&broker, "read_committed"), ["a", "b", "c"]);
    assert_eq!(values(&broker, "read_uncommitted"), ["a", "b", "c"]);
}

#[test]
fn a_transaction_that_takes_too_long_is_lost_and_its_producer_can_go_on() {
    let broker = with_topic(None);
    let mut config = config(&broker);
    config.set("transactional.id", "x").set("transaction.timeout.ms", "1000").set("linger.ms", "0");
    let x: BaseProducer = config.create().unwrap();
    x.init_transactions(LONG).unwrap();
    x.begin_transaction().unwrap();
    send(&x, "lost");
    x.flush(LONG).unwrap();
    let begun = Instant::now();
    // Waits for the record, which the abort makes readable, and skips it.
    let mut raw = Raw::connect(broker.addr());
    let request =
        FetchRequest { max_wait_ms: LONG.as_millis() as i32, isolation_level: 1, ..fetch(&[("t", 0, 0)]) };
    raw.ask(&request, 11);
    assert!(begun.elapsed() < LONG / 2);
    assert!(x.commit_transaction(LONG).is_err());
    assert_eq!(values(&broker, "read_committed"), [""; 0]);
    let again = producer(&broker, "x");
    end(&again, "kept", true).unwrap();
    assert_eq!(values(&broker, "read_committed"), ["kept"]);
}
