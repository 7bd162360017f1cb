//! Transactions and idempotent producers, by messages of our own.

use std::fs::OpenOptions;
use std::thread;
use std::time::Instant;

use super::restart::copy_folder;
use super::*;
use crate::wire::ApiKey;

/// Bytes of a marker's batch.
const MARKER: u64 = 78;

/// A producer with a transactional id "x".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Producer {
    id: i64,
    epoch: i16,
}

impl Raw {
    fn init(&mut self, version: i16, timeout: i32, claim: (i64, i16)) -> (i16, Producer) {
        let request = InitProducerIdRequest {
            transactional_id: Some("x".into()),
            transaction_timeout_ms: timeout,
            producer_id: claim.0,
            producer_epoch: claim.1,
        };
        let answer = self.ask(&request, version);
        let InitProducerIdResponse { error_code, producer_id, producer_epoch, .. } = answer.read();
        (error_code, Producer { id: producer_id, epoch: producer_epoch })
    }

    /// A new producer.
    fn producer(&mut self) -> Producer {
        let (code, producer) = self.init(4, 60_000, (-1, -1));
        assert_eq!(code, 0);
        producer
    }

    /// Adds partitions to the transaction; the codes in order.
    fn add(&mut self, version: i16, of: Producer, topics: &[(&str, &[i32])]) -> Vec<i16> {
        let topic = |(name, partitions): &(&str, &[i32])| AddPartitionsToTxnRequestTopic {
            name: name.to_string().into(),
            partitions: partitions.to_vec(),
        };
        let request = AddPartitionsToTxnRequest {
            transactional_id: "x".into(),
            producer_id: of.id,
            producer_epoch: of.epoch,
            topics: topics.iter().map(topic).collect(),
        };
        let answer = self.ask(&request, version);
        let response: AddPartitionsToTxnResponse<'_> = answer.read();
        let partitions = response.results_by_topic.iter().flat_map(|topic| &topic.results_by_partition);
        partitions.map(|partition| partition.partition_error_code).collect()
    }

    fn add_offsets(&mut self, version: i16, of: Producer, group: &str) -> i16 {
        let request = AddOffsetsToTxnRequest {
            transactional_id: "x".into(),
            producer_id: of.id,
            producer_epoch: of.epoch,
            group_id: group.into(),
        };
        self.ask(&request, version).read::<AddOffsetsToTxnResponse>().error_code
    }

    /// Sends offsets of partitions of "t" in the transaction; the codes in order.
    fn commit_offsets(
        &mut self,
        version: i16,
        of: Producer,
        group: &str,
        offsets: &[(i32, i64)],
    ) -> Vec<i16> {
        let partition = |(partition_index, committed_offset): &(i32, i64)| TxnOffsetCommitRequestPartition {
            partition_index: *partition_index,
            committed_offset: *committed_offset,
            ..Default::default()
        };
        let partitions = offsets.iter().map(partition).collect();
        let request = TxnOffsetCommitRequest {
            transactional_id: "x".into(),
            group_id: group.into(),
            producer_id: of.id,
            producer_epoch: of.epoch,
            topics: vec![TxnOffsetCommitRequestTopic { name: "t".into(), partitions }],
            ..Default::default()
        };
        let answer = self.ask(&request, version);
        let response: TxnOffsetCommitResponse<'_> = answer.read();
        response.topics[0].partitions.iter().map(|partition| partition.error_code).collect()
    }

    /// The offset that a group has committed for partition 0 of "t"; -1 for none.
    fn committed_offset(&mut self, group: &str) -> i64 {
        let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0] };
        let request = OffsetFetchRequest {
            group_id: group.into(),
            topics: Some(vec![topic]),
            require_stable: true,
            ..Default::default()
        };
        let answer = self.ask(&request, 7);
        let response: OffsetFetchResponse<'_> = answer.read();
        let partition = &response.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        partition.committed_offset
    }

    fn end(&mut self, version: i16, of: Producer, committed: bool) -> (i16, Producer) {
        let request = EndTxnRequest {
            transactional_id: "x".into(),
            producer_id: of.id,
            producer_epoch: of.epoch,
            committed,
        };
        let answer = self.ask(&request, version);
        let EndTxnResponse { error_code, producer_id, producer_epoch, .. } = answer.read();
        (error_code, Producer { id: producer_id, epoch: producer_epoch })
    }

    fn commit_transaction(&mut self, of: Producer) -> i16 {
        self.end(3, of, true).0
    }

    /// Writes a batch to a partition of "t": error code and base offset.
    fn write(&mut self, version: i16, id: Option<&str>, partition: i32, batch: &[u8]) -> (i16, i64) {
        let mut request = produce("t", -1, batch);
        request.transactional_id = id.map(|id| id.to_owned().into());
        request.topic_data[0].partition_data[0].index = partition;
        let answer = self.ask(&request, version);
        let response: ProduceResponse<'_> = answer.read();
        let partition = &response.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }

    /// Writes a record to a partition of "t" in the transaction.
    fn write_in(&mut self, of: Producer, partition: i32, sequence: i32) {
        let (code, _) = self.write(9, Some("x"), partition, &in_transaction(&["a"], of, sequence));
        assert_eq!(code, 0);
    }

    /// The end of a partition of "t", for readers of all records or of committed ones.
    fn end_of(&mut self, partition_index: i32, isolation_level: i8) -> i64 {
        let partition = ListOffsetsRequestPartition { partition_index, timestamp: -1, ..Default::default() };
        let topic = ListOffsetsRequestTopic { name: "t".into(), partitions: vec![partition] };
        let request = ListOffsetsRequest { isolation_level, topics: vec![topic], ..Default::default() };
        let answer = self.ask(&request, 7);
        let response: ListOffsetsResponse<'_> = answer.read();
        assert_eq!(response.topics[0].partitions[0].error_code, 0);
        response.topics[0].partitions[0].offset
    }

    /// Both ends of a partition of "t": of committed records, of all.
    fn ends(&mut self, partition: i32) -> (i64, i64) {
        (self.end_of(partition, 1), self.end_of(partition, 0))
    }

    /// Reads committed records of a partition of "t", waiting for some: bytes, and the producers and
    /// first offsets of aborted transactions.
    fn read_committed(&mut self, partition: i32, offset: i64) -> (usize, Vec<(i64, i64)>) {
        let request = FetchRequest {
            max_wait_ms: LONG.as_millis() as i32,
            isolation_level: 1,
            ..fetch(&[("t", partition, offset)])
        };
        let answer = self.ask(&request, 11);
        let response: FetchResponse<'_> = answer.read();
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        let aborted = partition.aborted_transactions.iter().flatten();
        let aborted = aborted.map(|aborted| (aborted.producer_id, aborted.first_offset)).collect();
        (partition.records.unwrap().bytes().len(), aborted)
    }
}

/// A batch of these values that is part of a transaction.
fn in_transaction(values: &[&str], of: Producer, sequence: i32) -> Vec<u8> {
    let mut batch = batch_at(values, 1000, (of.id, of.epoch, sequence));
    batch[22] |= 16;
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// A broker with a topic "t" of two partitions, and a connection to it.
fn with_topic(data: Option<&Path>) -> (Broker, Raw) {
    let broker = Broker::start(Options { data: data.map(Path::to_owned), ..Options::default() }).unwrap();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 2);
    (broker, raw)
}

#[test]
fn an_init_gives_an_id_its_next_epoch_and_refuses_what_cannot_be() {
    let (_broker, mut raw) = with_topic(None);
    let first = raw.producer();
    assert_eq!(raw.producer(), Producer { id: first.id, epoch: 1 });
    assert_eq!(raw.init(4, 60_000, (first.id, 1)), (0, Producer { id: first.id, epoch: 2 }));
    // Its answer was lost.
    assert_eq!(raw.init(4, 60_000, (first.id, 1)), (0, Producer { id: first.id, epoch: 2 }));
    let none = Producer { id: -1, epoch: -1 };
    assert_eq!(raw.init(4, 60_000, (first.id, 0)), (90, none));
    assert_eq!(raw.init(3, 60_000, (first.id, 0)), (47, none));
    assert_eq!(raw.init(4, 60_000, (first.id, -1)), (42, none));
    assert_eq!(raw.init(4, 60_000, (-1, 3)), (42, none));
    assert_eq!(raw.init(4, 900_001, (-1, -1)), (50, none));
    assert_eq!(raw.init(4, 0, (-1, -1)), (50, none));
    let empty = InitProducerIdRequest {
        transactional_id: Some("".into()),
        transaction_timeout_ms: 1,
        producer_id: -1,
        producer_epoch: -1,
    };
    assert_eq!(raw.ask(&empty, 4).read::<InitProducerIdResponse>().error_code, 42);
    assert_eq!(raw.producer(), Producer { id: first.id, epoch: 3 });
}

#[test]
fn partitions_are_added_all_or_none() {
    let (_broker, mut raw) = with_topic(None);
    let x = raw.producer();
    assert_eq!(raw.add(3, x, &[("t", &[0, 2]), ("none", &[0])]), [55, 3, 3]);
    assert_eq!(raw.write(9, Some("x"), 0, &in_transaction(&["a"], x, 0)).0, 48);
    assert_eq!(raw.add(3, x, &[("t", &[0, 1])]), [0, 0]);
    assert_eq!(raw.write(9, Some("x"), 0, &in_transaction(&["a"], x, 0)), (0, 0));
    let other = Producer { id: x.id + 1, epoch: 0 };
    assert_eq!(raw.add(3, other, &[("t", &[0])]), [49]);
}

#[test]
fn a_batch_of_a_transaction_is_written_only_where_the_transaction_is() {
    let (_broker, mut raw) = with_topic(None);
    let x = raw.producer();
    assert_eq!(raw.add(3, x, &[("t", &[0])]), [0]);
    let batch = |of| in_transaction(&["a"], of, 0);
    // Not part of it; without or with another transactional id; of other producers.
    assert_eq!(raw.write(9, Some("x"), 1, &batch(x)), (48, -1));
    assert_eq!(raw.write(11, Some("x"), 1, &batch(x)), (120, -1));
    assert_eq!(raw.write(9, None, 0, &batch(x)), (53, -1));
    assert_eq!(raw.write(9, Some("y"), 0, &batch(x)), (49, -1));
    assert_eq!(raw.write(9, Some(""), 0, &batch(x)), (42, -1));
    assert_eq!(raw.write(9, Some("x"), 0, &batch(Producer { id: x.id + 1, ..x })), (49, -1));
    assert_eq!(raw.write(9, Some("x"), 0, &batch(Producer { epoch: 1, ..x })), (47, -1));
    assert_eq!(raw.write(9, Some("x"), 9, &batch(x)), (3, -1));
    assert_eq!(raw.ends(0), (0, 0));
    raw.write_in(x, 0, 0);
    assert_eq!(raw.commit_transaction(x), 0);
    // Too late.
    assert_eq!(raw.write(9, Some("x"), 0, &in_transaction(&["a"], x, 1)), (48, -1));
    // What is not part of a transaction needs none.
    let plain = batch_at(&["a"], 1000, (x.id, x.epoch, 1));
    assert_eq!(raw.write(9, Some("x"), 0, &plain), (0, 2));
}

#[test]
fn readers_of_committed_records_wait_for_the_end_of_the_transaction() {
    let (broker, mut raw) = with_topic(None);
    let x = raw.producer();
    raw.add(3, x, &[("t", &[0])]);
    raw.write_in(x, 0, 0);
    assert_eq!(raw.ends(0), (0, 1));
    for (offset, committed) in [(0, true), (2, false)] {
        let addr = broker.addr();
        let begun = Instant::now();
        let reader = thread::spawn(move || Raw::connect(addr).read_committed(0, offset));
        assert_eq!(raw.end(3, x, committed).0, 0);
        let (bytes, aborted) = reader.join().unwrap();
        assert!(bytes > MARKER as usize, "record and marker");
        assert_eq!(aborted, if committed { vec![] } else { vec![(x.id, 2)] });
        assert!(begun.elapsed() < LONG / 2);
        assert_eq!(raw.ends(0), (offset + 2, offset + 2));
        raw.add(3, x, &[("t", &[0])]);
        raw.write_in(x, 0, 1);
    }
}

#[test]
fn an_end_says_the_same_when_it_is_asked_again() {
    let (_broker, mut raw) = with_topic(None);
    let x = raw.producer();
    assert_eq!(raw.commit_transaction(x), 48, "nothing was begun");
    raw.add(3, x, &[("t", &[0, 1])]);
    for _ in 0..2 {
        assert_eq!(raw.end(3, x, true).0, 0);
        assert_eq!(raw.ends(0), (1, 1), "one marker");
    }
    assert_eq!(raw.end(3, x, false).0, 48);
    raw.add(3, x, &[("t", &[0])]);
    for _ in 0..2 {
        assert_eq!(raw.end(3, x, false).0, 0);
    }
    assert_eq!(raw.end(3, x, true).0, 48);
    assert_eq!((raw.ends(0), raw.ends(1)), ((2, 2), (1, 1)));
}

#[test]
fn an_end_of_version_5_bumps_the_epoch_and_says_so() {
    let (_broker, mut raw) = with_topic(None);
    let x = raw.producer();
    let next = |epoch| Producer { id: x.id, epoch };
    raw.add(3, x, &[("t", &[0])]);
    raw.write_in(x, 0, 0);
    assert_eq!(raw.end(5, x, true), (0, next(1)));
    assert_eq!(raw.end(5, x, true), (0, next(1)));
    assert_eq!(raw.write(9, Some("x"), 0, &in_transaction(&["a"], x, 1)).0, 47);
    // Offsets make their group part of the transaction; nothing need be in it to be aborted.
    assert_eq!(raw.commit_offsets(5, next(1), "g", &[(0, 1)]), [0]);
    assert_eq!(raw.end(5, next(1), false), (0, next(2)));
    assert_eq!(raw.end(5, next(2), false), (0, next(3)));
    let none = Producer { id: -1, epoch: -1 };
    assert_eq!(raw.end(5, next(1), false), (90, none));
    assert_eq!(raw.end(5, next(3), true), (48, none));
    raw.add(3, next(3), &[("t", &[0])]);
    raw.write_in(next(3), 0, 0);
    assert_eq!(raw.end(4, next(3), true), (0, none));
    assert_eq!(raw.ends(0), (4, 4));
}

#[test]
fn a_replaced_producer_is_told_so_in_words_that_it_knows() {
    let (_broker, mut raw) = with_topic(None);
    let old = raw.producer();
    raw.add(3, old, &[("t", &[0])]);
    raw.write_in(old, 0, 0);
    let new = raw.producer();
    assert_eq!(new, Producer { id: old.id, epoch: 2 });
    // Its transaction was aborted.
    assert_eq!(raw.read_committed(0, 0).1, [(old.id, 0)]);
    for (version, code) in [(0, 47), (1, 47), (2, 90), (3, 90)] {
        assert_eq!(raw.add(version, old, &[("t", &[0])]), [code], "{version}");
        assert_eq!(raw.add_offsets(version, old, "g"), code, "{version}");
        assert_eq!(raw.end(version, old, true).0, code, "{version}");
    }
    for version in 0..=5 {
        assert_eq!(raw.commit_offsets(version, old, "g", &[(0, 1)]), [47], "{version}");
    }
    assert_eq!(raw.write(9, Some("x"), 0, &in_transaction(&["a"], old, 1)).0, 47);
    raw.add(3, new, &[("t", &[0])]);
    raw.write_in(new, 0, 0);
    assert_eq!(raw.commit_transaction(new), 0);
}

#[test]
fn offsets_are_taken_for_groups_that_are_part_of_the_transaction() {
    let (_broker, mut raw) = with_topic(None);
    let x = raw.producer();
    for (version, code) in [(0, 48), (3, 48), (4, 120)] {
        assert_eq!(raw.commit_offsets(version, x, "g", &[(0, 5), (7, 5)]), [code, 3], "{version}");
    }
    assert_eq!(raw.add_offsets(3, x, "g"), 0);
    assert_eq!(raw.commit_offsets(3, x, "g", &[(0, 5), (7, 5)]), [0, 3]);
    assert_eq!(raw.commit_offsets(3, x, "h", &[(0, 5)]), [48]);
    assert_eq!(raw.commit_offsets(3, x, "", &[(0, 5)]), [24]);
    let other = Producer { id: x.id + 1, ..x };
    assert_eq!(raw.commit_offsets(3, other, "g", &[(0, 5)]), [49]);
    assert_eq!(raw.add_offsets(3, other, "g"), 49);
    assert_eq!(raw.commit_transaction(x), 0);
    assert_eq!(raw.commit_offsets(3, x, "g", &[(0, 5)]), [48]);
}

#[test]
fn a_transaction_outlives_a_restart_between_write_and_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, mut raw) = with_topic(Some(folder.path()));
    let x = raw.producer();
    raw.add(3, x, &[("t", &[0])]);
    raw.write_in(x, 0, 0);
    broker.stop().unwrap();
    let broker = broker_at(folder.path());
    let mut raw = Raw::connect(broker.addr());
    assert_eq!(raw.ends(0), (0, 1));
    raw.write_in(x, 0, 1);
    raw.add(3, x, &[("t", &[1])]);
    raw.write_in(x, 1, 0);
    assert_eq!(raw.commit_transaction(x), 0);
    assert_eq!((raw.ends(0), raw.ends(1)), ((3, 3), (2, 2)));
    broker.stop().unwrap();
    let broker = broker_at(folder.path());
    let mut raw = Raw::connect(broker.addr());
    assert_eq!(raw.commit_transaction(x), 0);
    assert_eq!(raw.producer(), Producer { id: x.id, epoch: 1 });
}

/// Cuts frames off the end of a journal file.
fn cut_journal(data: &Path, frames: usize) {
    let path = data.join("meta");
    let bytes = std::fs::read(&path).unwrap();
    let (mut starts, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        starts.push(at);
        at += 8 + u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(starts[starts.len() - frames] as u64).unwrap();
}

/// Cuts bytes off the end of a partition of "t".
fn cut_partition(data: &Path, partition: i32, bytes: u64) {
    let path = data.join(format!("topics/t-{partition}/00000000000000000000.log"));
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
}

#[test]
fn a_kill_after_the_decision_is_made_good_at_the_next_start() {
    for committed in [true, false] {
        for marked in [0, 1, 2] {
            let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (_broker, mut raw) = with_topic(Some(folder.path()));
            let x = raw.producer();
            raw.add(3, x, &[("t", &[0, 1])]);
            raw.write_in(x, 0, 0);
            raw.write_in(x, 1, 0);
            raw.add_offsets(3, x, "g");
            assert_eq!(raw.commit_offsets(3, x, "g", &[(0, 5)]), [0]);
            assert_eq!(raw.end(3, x, committed).0, 0);
            // As a kill leaves it before the last change: with some of the markers.
            copy_folder(folder.path(), copy.path());
            cut_journal(copy.path(), 1);
            (marked..2).for_each(|partition| cut_partition(copy.path(), partition, MARKER));

            let after = broker_at(copy.path());
            let mut raw = Raw::connect(after.addr());
            for partition in 0..2 {
                let (stable, end) = raw.ends(partition);
                let is_marked_twice = i64::from(partition < marked);
                assert_eq!((stable, end), (2 + is_marked_twice, 2 + is_marked_twice), "{marked}");
                let aborted = if committed { vec![] } else { vec![(x.id, 0)] };
                assert_eq!(raw.read_committed(partition, 0).1, aborted);
            }
            assert_eq!(raw.committed_offset("g"), if committed { 5 } else { -1 });
            assert_eq!(raw.end(3, x, committed).0, 0);
            assert_eq!(raw.end(3, x, !committed).0, 48);
            raw.add(3, x, &[("t", &[0])]);
            raw.write_in(x, 0, 1);
            assert_eq!(raw.commit_transaction(x), 0);
        }
    }
}

#[test]
fn a_kill_before_the_decision_leaves_the_transaction_open() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_broker, mut raw) = with_topic(Some(folder.path()));
    let x = raw.producer();
    raw.add(3, x, &[("t", &[0])]);
    raw.write_in(x, 0, 0);
    copy_folder(folder.path(), copy.path());
    let after = broker_at(copy.path());
    let mut raw = Raw::connect(after.addr());
    assert_eq!(raw.ends(0), (0, 1));
    assert_eq!(raw.commit_transaction(x), 0);
    assert_eq!(raw.ends(0), (2, 2));
}

#[test]
fn what_lost_its_transaction_in_a_power_cut_is_aborted_at_the_start() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_broker, mut raw) = with_topic(Some(folder.path()));
    let x = raw.producer();
    raw.add(3, x, &[("t", &[1])]);
    raw.write_in(x, 1, 0);
    copy_folder(folder.path(), copy.path());
    // The log came to the disk, the journal's last change did not.
    cut_journal(copy.path(), 1);
    let (log, lines) = log();
    let data = Some(copy.path().to_owned());
    let after = Broker::start(Options { data, log, ..Options::default() }).unwrap();
    let mut raw = Raw::connect(after.addr());
    assert_eq!(raw.ends(1), (2, 2));
    assert_eq!(raw.read_committed(1, 0).1, [(x.id, 0)]);
    assert_eq!(*lines.lock().unwrap(), [format!("t-1: aborted what producer {} had left open", x.id)]);
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() {
    let (log, lines) = log();
    let broker = Broker::start(Options { log, ..Options::default() }).unwrap();
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    // Another one, that is due later, is there first.
    let later = InitProducerIdRequest {
        transactional_id: Some("later".into()),
        transaction_timeout_ms: 600_000,
        producer_id: -1,
        producer_epoch: -1,
    };
    let later: InitProducerIdResponse = raw.ask(&later, 4).read();
    let begin = AddOffsetsToTxnRequest {
        transactional_id: "later".into(),
        producer_id: later.producer_id,
        producer_epoch: 0,
        group_id: "g".into(),
    };
    assert_eq!(raw.ask(&begin, 3).read::<AddOffsetsToTxnResponse>().error_code, 0);
    let (_, x) = raw.init(4, 200, (-1, -1));
    raw.add(3, x, &[("t", &[0])]);
    raw.write_in(x, 0, 0);
    let begun = Instant::now();
    // Nobody does anything: the reader is woken by the marker.
    assert_eq!(raw.read_committed(0, 0).1, [(x.id, 0)]);
    assert!(begun.elapsed() < LONG / 2);
    assert_eq!(*lines.lock().unwrap(), ["transaction of \"x\" aborted: it took longer than 200 ms"]);
    assert_eq!(raw.commit_transaction(x), 90);
    assert_eq!(raw.add(1, x, &[("t", &[0])]), [47]);
    assert_eq!(raw.write(9, Some("x"), 0, &in_transaction(&["a"], x, 1)).0, 47);
    assert_eq!(raw.producer(), Producer { id: x.id, epoch: 2 });
}

#[test]
fn a_deleted_topic_does_not_hold_up_a_transaction() {
    let (_broker, mut raw) = with_topic(None);
    raw.create("u", 1);
    let x = raw.producer();
    raw.add(3, x, &[("u", &[0]), ("t", &[0])]);
    raw.write_in(x, 0, 0);
    let delete = DeleteTopicsRequest { topic_names: vec!["u".into()], ..Default::default() };
    raw.ask(&delete, 5);
    assert_eq!(raw.commit_transaction(x), 0);
    assert_eq!(raw.ends(0), (2, 2));
    // One of the same name is another topic: it was never part of the transaction.
    raw.add(3, x, &[("t", &[0])]);
    let delete = DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() };
    raw.ask(&delete, 5);
    raw.create("t", 1);
    assert_eq!(raw.write(9, Some("x"), 0, &in_transaction(&["a"], x, 1)).0, 48);
    assert_eq!(raw.commit_transaction(x), 0);
    assert_eq!(raw.ends(0), (0, 0));
}

#[test]
fn a_fault_is_met_by_every_request_of_a_transaction() {
    let (broker, mut raw) = with_topic(None);
    let x = raw.producer();
    let apis = [
        ApiKey::InitProducerId,
        ApiKey::AddPartitionsToTxn,
        ApiKey::AddOffsetsToTxn,
        ApiKey::EndTxn,
        ApiKey::TxnOffsetCommit,
    ];
    for api in apis {
        broker.faults().add(api, 1, FaultKind::Error(51));
    }
    assert_eq!(raw.init(4, 1000, (-1, -1)).0, 51);
    assert_eq!(raw.add(3, x, &[("t", &[0])]), [51]);
    assert_eq!(raw.add_offsets(3, x, "g"), 51);
    assert_eq!(raw.end(3, x, true).0, 51);
    assert_eq!(raw.commit_offsets(5, x, "g", &[(0, 1)]), [51]);
    // None of them did anything.
    assert_eq!(raw.commit_transaction(x), 48);
}

#[test]
fn many_transactions_at_once_end_as_they_were_told() {
    let (broker, _raw) = with_topic(None);
    let addr = broker.addr();
    let producer = |n: usize| {
        move || {
            let mut raw = Raw::connect(addr);
            let id = format!("x{n}");
            let init = InitProducerIdRequest {
                transactional_id: Some(id.as_str().into()),
                transaction_timeout_ms: 60_000,
                producer_id: -1,
                producer_epoch: -1,
            };
            let InitProducerIdResponse { producer_id, .. } = raw.ask(&init, 4).read();
            for round in 0..20 {
                let x = Producer { id: producer_id, epoch: 0 };
                let topic = AddPartitionsToTxnRequestTopic { name: "t".into(), partitions: vec![0, 1] };
                let add = AddPartitionsToTxnRequest {
                    transactional_id: id.as_str().into(),
                    producer_id,
                    producer_epoch: 0,
                    topics: vec![topic],
                };
                raw.ask(&add, 3);
                for partition in 0..2 {
                    let batch = in_transaction(&["a", "b"], x, round * 2);
                    assert_eq!(raw.write(9, Some(&id), partition, &batch).0, 0);
                }
                let committed = (n as i32 + round) % 2 == 0;
                let end = EndTxnRequest {
                    transactional_id: id.as_str().into(),
                    producer_id,
                    producer_epoch: 0,
                    committed,
                };
                assert_eq!(raw.ask(&end, 3).read::<EndTxnResponse>().error_code, 0);
            }
        }
    };
    let producers: Vec<_> = (0..8).map(|n| thread::spawn(producer(n))).collect();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    let mut raw = Raw::connect(addr);
    for partition in 0..2 {
        assert_eq!(raw.ends(partition), (8 * 20 * 3, 8 * 20 * 3));
        assert_eq!(raw.read_committed(partition, 0).1.len(), 80);
    }
}
