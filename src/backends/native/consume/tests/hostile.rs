//! Brokers that answer garbage, too much, too little or to somebody else: each ends in one clear error or in
//! recovery.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::backends::ErrorKind;
use crate::wire::messages::*;
use crate::wire::{ApiKey, Message, Piece, Reader, Records, RequestHeader, encode_response};

/// A request to Fetch.
struct Fetch<'a> {
    /// How many came before it, over all connections.
    number: usize,
    id: i32,
    version: i16,
    request: FetchRequest<'a>,
}

/// A broker that does as it should, but for Fetch.
struct Fake {
    addr: SocketAddr,
}

type Script = dyn Fn(&Fetch<'_>, &mut TcpStream) + Send + Sync;

impl Fake {
    /// `script` answers the Fetch requests, as bytes.
    fn start(script: impl Fn(&Fetch<'_>, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (script, count): (Arc<Script>, _) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        // They end with the process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, count) = (Arc::clone(&script), Arc::clone(&count));
                thread::spawn(move || serve(&mut stream.unwrap(), addr, &*script, &count));
            }
        });
        Self { addr }
    }

    fn run(&self, values: &[(&str, &str)]) -> Run {
        let quick =
            [("socket.timeout.ms", "1500"), ("reconnect.backoff.ms", "10"), ("retry.backoff.ms", "10")];
        let mut run = Run::open(&self.addr.to_string(), &[&quick, values].concat()).unwrap();
        run.start();
        run
    }
}

/// Serves a connection until it is closed.
fn serve(stream: &mut TcpStream, addr: SocketAddr, script: &Script, count: &AtomicUsize) -> Option<()> {
    loop {
        let mut size = [0; 4];
        stream.read_exact(&mut size).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(size) as usize];
        stream.read_exact(&mut frame).ok()?;
        let mut r = Reader::new(&frame);
        let header = RequestHeader::read(&mut r).unwrap();
        let (api, _) = header.api().unwrap();
        let (body, version, id) = (&frame[r.position()..], header.api_version, header.correlation_id);
        match api.key {
            ApiKey::ApiVersions => {
                let api_keys = ApiVersionsResponse::served();
                send(stream, &ApiVersionsResponse { api_keys, ..Default::default() }, version, id);
            }
            ApiKey::Metadata => send(stream, &metadata(addr), version, id),
            ApiKey::ListOffsets => send(stream, &offsets(), version, id),
            ApiKey::Fetch => {
                let request = FetchRequest::decode(body, version).unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                script(&Fetch { number, id, version, request }, stream);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn send<'a, M: Message<'a>>(stream: &mut TcpStream, response: &M, version: i16, id: i32) {
    // The client may have closed.
    let _ = stream.write_all(&bytes(response, version, id));
}

fn bytes<'a, M: Message<'a>>(response: &M, version: i16, id: i32) -> Vec<u8> {
    let frame = encode_response(response, version, id).unwrap();
    let pieces = frame.pieces().map(|piece| match piece {
        Piece::Bytes(bytes) => bytes.to_vec(),
        Piece::Gap(_) => panic!("a gap"),
    });
    pieces.collect::<Vec<_>>().concat()
}

fn metadata(addr: SocketAddr) -> MetadataResponse<'static> {
    let host = addr.ip().to_string().into();
    let partition = MetadataPartition { leader_id: 1, leader_epoch: 0, ..Default::default() };
    MetadataResponse {
        brokers: vec![MetadataBroker { node_id: 1, host, port: addr.port().into(), rack: None }],
        topics: vec![MetadataTopic {
            name: Some("t".into()),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn offsets() -> ListOffsetsResponse<'static> {
    let partition = ListOffsetsResponsePartition { offset: 0, ..Default::default() };
    let topic = ListOffsetsResponseTopic { name: "t".into(), partitions: vec![partition] };
    ListOffsetsResponse { topics: vec![topic], ..Default::default() }
}

fn response(records: &[u8]) -> FetchResponse<'_> {
    let partition = FetchResponsePartition {
        high_watermark: 1000,
        last_stable_offset: 1000,
        records: Some(Records::Bytes(records)),
        ..Default::default()
    };
    let topic = FetchResponseTopic { topic: "t".into(), partitions: vec![partition] };
    FetchResponse { responses: vec![topic], ..Default::default() }
}

impl Fetch<'_> {
    fn offset(&self) -> i64 {
        self.request.topics[0].partitions[0].fetch_offset
    }

    /// One record at the offset asked for.
    fn serve(&self, stream: &mut TcpStream) {
        let (offset, value) = (self.offset(), self.offset().to_string());
        send(stream, &response(&batch(offset, &[&value])), self.version, self.id);
    }
}

/// The broker misbehaves at the fourth request; after that all goes on, without a gap.
#[track_caller]
fn recovers(misbehave: impl Fn(&Fetch<'_>, &mut TcpStream) + Send + Sync + 'static) {
    let fake = Fake::start(move |fetch, stream| match fetch.number {
        3 => misbehave(fetch, stream),
        _ => fetch.serve(stream),
    });
    let mut run = fake.run(&[("request.timeout.ms", "300"), ("fetch.max.wait.ms", "0")]);
    run.until(|seen| seen.records.len() >= 10);
    let offsets: Vec<i64> = run.seen.records.iter().map(|(_, offset, _)| *offset).collect();
    assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>());
}

#[test]
fn garbage_is_recovered_from() {
    recovers(|_, stream| drop(stream.write_all(&[&[0, 0, 0, 40][..], &[0xee; 40]].concat())));
}

#[test]
fn an_answer_to_another_request_is_recovered_from() {
    recovers(|fetch, stream| send(stream, &response(&[]), fetch.version, fetch.id + 1));
}

#[test]
fn an_answer_that_is_cut_off_is_recovered_from() {
    recovers(|fetch, stream| {
        let all = bytes(&response(&batch(fetch.offset(), &["x"])), fetch.version, fetch.id);
        let _ = stream.write_all(&all[..all.len() - 5]);
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
}

#[test]
fn an_answer_that_claims_to_be_huge_is_recovered_from() {
    recovers(|_, stream| drop(stream.write_all(&i32::MAX.to_be_bytes())));
}

#[test]
fn an_answer_of_negative_size_is_recovered_from() {
    recovers(|_, stream| drop(stream.write_all(&[0xff; 100])));
}

#[test]
fn an_answer_that_never_comes_is_recovered_from() {
    recovers(|_, _| {});
}

#[test]
fn a_connection_closed_instead_of_an_answer_is_recovered_from() {
    recovers(|_, stream| drop(stream.shutdown(std::net::Shutdown::Both)));
}

#[test]
fn a_message_with_a_lying_count_is_recovered_from() {
    recovers(|fetch, stream| {
        let mut all = bytes(&response(&[]), fetch.version, fetch.id);
        // The number of topics, behind the header and what comes before.
        let at = all.len() - 60;
        all[at..].fill(0xff);
        let _ = stream.write_all(&all);
    });
}

#[test]
fn a_broker_that_only_talks_garbage_is_given_up_with_one_error() {
    let fake = Fake::start(|_, stream| drop(stream.write_all(&[0xff; 64])));
    let error = fake.run(&[]).until_error();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().starts_with("t[0]: broker 127.0.0.1:"), "{error}");
}

#[test]
fn damaged_batches_are_told_with_their_offset_and_can_be_stepped_over() {
    let fake = Fake::start(|fetch, stream| {
        let offset = fetch.offset();
        let value = offset.to_string();
        let mut records = batch(offset, &[&value, "in the same batch"]);
        if (4..6).contains(&offset) {
            *records.last_mut().unwrap() ^= 1;
        }
        send(stream, &response(&records), fetch.version, fetch.id);
    });
    let mut run = fake.run(&[("fetch.max.wait.ms", "0")]);
    let error = run.until_error();
    assert_eq!(error.kind(), ErrorKind::BadRecord);
    assert_eq!(error.record(), Some(&(tp(0), 5)), "the whole batch");
    let offsets: Vec<i64> = run.seen.records.iter().map(|(_, offset, _)| *offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3]);
    run.subscriber.unassign(&[tp(0)]).unwrap();
    run.subscriber.assign(&vec![(tp(0), 6)]).unwrap();
    run.until(|seen| seen.records.len() > 8);
    assert_eq!(run.seen.records[4].1, 6);
}

#[test]
fn checksums_are_not_looked_at_when_told_so() {
    let fake = Fake::start(|fetch, stream| {
        let mut records = batch(fetch.offset(), &["x"]);
        records[17] ^= 1;
        send(stream, &response(&records), fetch.version, fetch.id);
    });
    let mut run = fake.run(&[("check.crcs", "false")]);
    run.until(|seen| seen.records.len() > 3);
}

#[test]
fn a_batch_that_inflates_beyond_measure_is_an_error() {
    let zeros = "\0".repeat(300 << 20);
    let bomb = Arc::new(batch_by(0, &[&zeros], None, Codec::Zstd));
    drop(zeros);
    assert!(bomb.len() < 1 << 20);
    let fake = Fake::start(move |fetch, stream| send(stream, &response(&bomb), fetch.version, fetch.id));
    let error = fake.run(&[]).until_error();
    assert_eq!((error.kind(), error.record()), (ErrorKind::BadRecord, Some(&(tp(0), 0))));
    assert!(error.to_string().contains("is larger than 268435456 bytes"), "{error}");
}

#[test]
fn records_of_offsets_that_were_not_asked_for_are_not_taken_for_ever() {
    let fake =
        Fake::start(|fetch, stream| send(stream, &response(&batch(0, &["x"])), fetch.version, fetch.id));
    let mut run = fake.run(&[]);
    let error = run.until_error();
    assert_eq!(run.seen.records.len(), 1);
    assert!(error.to_string().contains("the broker sends no whole batch at offset 1"), "{error}");
}
