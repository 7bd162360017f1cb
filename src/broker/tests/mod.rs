//! The broker from outside: over sockets, by messages of our own and by real clients.

#[cfg(all(feature = "rdkafka", feature = "rskafka"))]
mod clients;
#[cfg(feature = "rdkafka")]
mod consumer_clients;
mod consumer_groups;
mod faults;
mod fetch;
#[cfg(feature = "rdkafka")]
mod group_clients;
mod groups;
mod hostile;
mod produce;
mod restart;
mod topics;
#[cfg(feature = "rdkafka")]
mod transactional_clients;
mod transactions;
mod versions;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::wire::messages::*;
use crate::wire::{Message, Piece, Reader, Records, Request, ResponseHeader, Writer, crc32c, encode_request};

/// More than any answer takes.
const LONG: Duration = Duration::from_secs(30);

/// A broker with the defaults.
fn broker() -> Broker {
    Broker::start(Options::default()).unwrap()
}

/// A broker on a data folder that stays.
fn broker_at(data: &Path) -> Broker {
    Broker::start(Options { data: Some(data.to_owned()), ..Options::default() }).unwrap()
}

/// A log, and its lines.
fn log() -> (Log, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Log::new({
        let lines = Arc::clone(&lines);
        move |line| lines.lock().unwrap().push(line.to_owned())
    });
    (log, lines)
}

/// A connection that speaks in single messages.
struct Raw {
    stream: TcpStream,
    correlation_id: i32,
}

impl Raw {
    fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, correlation_id: 0 }
    }

    fn send<'a, R: Request<'a>>(&mut self, request: &R, version: i16) {
        self.correlation_id += 1;
        let frame = encode_request(request, version, self.correlation_id, Some("raw")).unwrap();
        for piece in frame.pieces() {
            let Piece::Bytes(bytes) = piece else { panic!("a gap in a request") };
            self.stream.write_all(bytes).unwrap();
        }
    }

    /// The next frame; none when the connection is closed.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).ok()?;
        let mut frame = vec![0; i32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame)
    }

    /// Sends a request and returns the bytes of its answer.
    fn ask<'a, R: Request<'a>>(&mut self, request: &R, version: i16) -> Answer {
        self.send(request, version);
        let frame = self.receive().expect("an answer");
        let mut r = Reader::new(&frame);
        let header = ResponseHeader::read(&mut r, R::API, version).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        Answer { body: frame[r.position()..].to_vec(), version }
    }

    fn is_closed(&mut self) -> bool {
        self.receive().is_none()
    }

    fn create(&mut self, topic: &str, partitions: i32) {
        let request = create(topic, partitions, &[]);
        let answer = self.ask(&request, 5);
        let response: CreateTopicsResponse<'_> = answer.read();
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    }

    /// Writes batches to partition 0; error code and base offset.
    fn produce(&mut self, topic: &str, batches: &[u8]) -> (i16, i64) {
        let answer = self.ask(&produce(topic, -1, batches), 9);
        let response: ProduceResponse<'_> = answer.read();
        let partition = &response.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }

    /// Reads partition 0 at once: error code, high watermark and batches.
    fn fetch(&mut self, topic: &str, offset: i64) -> (i16, i64, Vec<u8>) {
        let answer = self.ask(&fetch(&[(topic, 0, offset)]), 11);
        let response: FetchResponse<'_> = answer.read();
        let partition = &response.responses[0].partitions[0];
        (partition.error_code, partition.high_watermark, partition.records.unwrap().bytes().to_vec())
    }

    /// The offset of a time in partition 0.
    fn offset(&mut self, topic: &str, timestamp: i64) -> (i16, i64) {
        let partition = ListOffsetsRequestPartition { timestamp, ..Default::default() };
        let topic = ListOffsetsRequestTopic { name: topic.into(), partitions: vec![partition] };
        let request = ListOffsetsRequest { topics: vec![topic], ..Default::default() };
        let answer = self.ask(&request, 7);
        let response: ListOffsetsResponse<'_> = answer.read();
        let partition = &response.topics[0].partitions[0];
        (partition.error_code, partition.offset)
    }
}

/// The bytes of an answer.
struct Answer {
    body: Vec<u8>,
    version: i16,
}

impl Answer {
    fn read<'a, M: Message<'a>>(&'a self) -> M {
        M::decode(&self.body, self.version).unwrap()
    }
}

fn create<'a>(topic: &'a str, partitions: i32, configs: &[(&'a str, &'a str)]) -> CreateTopicsRequest<'a> {
    let config = |(name, value): &(&'a str, &'a str)| CreateTopicsConfig {
        name: (*name).into(),
        value: Some((*value).into()),
    };
    let topic = CreateTopicsRequestTopic {
        name: topic.into(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], ..Default::default() }
}

fn produce<'a>(topic: &'a str, acks: i16, batches: &'a [u8]) -> ProduceRequest<'a> {
    let partition = ProduceRequestPartition { index: 0, records: Some(Records::Bytes(batches)) };
    let topic = ProduceRequestTopic { name: topic.into(), partition_data: vec![partition] };
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

/// A request that does not wait, outside of sessions.
fn fetch<'a>(places: &[(&'a str, i32, i64)]) -> FetchRequest<'a> {
    let topic = |(topic, partition, fetch_offset): &(&'a str, i32, i64)| FetchRequestTopic {
        topic: (*topic).into(),
        partitions: vec![FetchRequestPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        }],
    };
    FetchRequest { min_bytes: 1, topics: places.iter().map(topic).collect(), ..Default::default() }
}

/// A batch of these values with timestamps from `time` on, a millisecond apart.
fn batch_at(values: &[&str], time: i64, (id, epoch, sequence): (i64, i16, i32)) -> Vec<u8> {
    let mut records = Writer::new();
    for (n, value) in (0..).zip(values) {
        let mut record = Writer::new();
        record.i8(0);
        record.varlong(n);
        record.varint(n as i32);
        record.varint(-1);
        record.varint(value.len() as i32);
        record.raw(value.as_bytes());
        record.varint(0);
        let record = record.finish().unwrap();
        records.varint(record.len() as i32);
        records.raw(&record);
    }
    let records = records.finish().unwrap();
    let count = values.len() as i32;
    let mut checked = Writer::new();
    checked.i16(0);
    checked.i32(count - 1);
    checked.i64(time);
    checked.i64(time + i64::from(count) - 1);
    checked.i64(id);
    checked.i16(epoch);
    checked.i32(sequence);
    checked.i32(count);
    checked.raw(&records);
    let checked = checked.finish().unwrap();
    let mut batch = Writer::new();
    batch.i64(0);
    batch.i32(checked.len() as i32 + 9);
    batch.i32(-1);
    batch.i8(2);
    batch.u32(crc32c(&checked));
    batch.raw(&checked);
    batch.finish().unwrap()
}

/// A batch of these values.
fn batch(values: &[&str]) -> Vec<u8> {
    batch_at(values, 1000, (-1, -1, -1))
}

/// The batch as it is read again at an offset.
fn stored(batch: &[u8], offset: i64) -> Vec<u8> {
    let mut batch = batch.to_vec();
    batch[..8].copy_from_slice(&offset.to_be_bytes());
    batch[12..16].copy_from_slice(&0_i32.to_be_bytes());
    batch
}

/// A commit from outside of a group.
fn commit<'a>(group: &'a str, offsets: &[(&'a str, i32, i64)]) -> OffsetCommitRequest<'a> {
    let topic = |(topic, partition, offset): &(&'a str, i32, i64)| OffsetCommitRequestTopic {
        name: (*topic).into(),
        partitions: vec![OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: *offset,
            ..Default::default()
        }],
    };
    OffsetCommitRequest {
        group_id: group.into(),
        topics: offsets.iter().map(topic).collect(),
        ..Default::default()
    }
}

/// A request for offsets of a group, in the form of all versions.
fn fetch_offsets<'a>(group: &'a str, places: Option<&[(&'a str, i32)]>) -> OffsetFetchRequest<'a> {
    let topic = |(topic, partition): &(&'a str, i32)| OffsetFetchRequestTopic {
        name: (*topic).into(),
        partition_indexes: vec![*partition],
    };
    let topics: Option<Vec<_>> = places.map(|places| places.iter().map(topic).collect());
    OffsetFetchRequest {
        group_id: group.into(),
        topics: topics.clone(),
        groups: vec![OffsetFetchRequestGroup { group_id: group.into(), topics, ..Default::default() }],
        ..Default::default()
    }
}

/// A request of a dynamic member that reads nothing.
fn join_group<'a>(group: &'a str, member: &'a str) -> JoinGroupRequest<'a> {
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 6000,
        rebalance_timeout_ms: 30_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupProtocol { name: "range".into(), metadata: b"\0\0\0\0\0\0"[..].into() }],
        ..Default::default()
    }
}
