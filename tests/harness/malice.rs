//! A broker that does what none should: between programs and a broker of ours, it spoils the answers.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use kps::wire::messages::{
    ApiVersionsResponse, FetchResponse, ListOffsetsResponse, MetadataResponse, MetadataTopic, ProduceResponse,
};
use kps::wire::{Api, ApiKey, Message, Reader, RequestHeader, ResponseHeader, crc32c};

use super::proxy::{listen, scrambled};

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malice {
    /// Says what means nothing.
    Garbage,
    /// Announces an answer of so many bytes, and sends so many of them.
    Frame { claimed: i32, sent: usize },
    /// Says what it should, a byte a second.
    Drip,
    /// Repeats another number than the request's.
    WrongIds,
    /// Claims that there are two billions of something.
    Absurd(Count),
}

/// Of what there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Apis,
    Brokers,
    Topics,
    Partitions,
    Produced,
    Offsets,
    Fetched,
    /// Bytes of records.
    Bytes,
    /// Bytes of a batch.
    BatchBytes,
    /// Records of a batch, whose checksum is right.
    Records,
}

/// See the module. It is honest until it is told otherwise; its threads end with the process.
#[derive(Debug)]
pub(crate) struct Hostile {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    target: Option<SocketAddr>,
    malice: Option<Malice>,
    spoilt: u64,
}

impl Hostile {
    pub(crate) fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let theirs = Arc::clone(&state);
        let address = listen(move |stream| {
            // It has ended one way or the other.
            let _ = serve(stream, &theirs);
        });
        Self { address, state }
    }

    /// Where clients are to connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the broker is that answers.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        lock(&self.state).target = Some(target);
    }

    /// From now on.
    pub(crate) fn turn(&self, malice: Option<Malice>) {
        lock(&self.state).malice = malice;
    }

    /// Answers that were spoilt.
    pub(crate) fn spoilt(&self) -> u64 {
        lock(&self.state).spoilt
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a connection, request by request, until either side ends it.
fn serve(mut client: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut broker = TcpStream::connect(lock(state).target?).ok()?;
    client.set_nodelay(true).ok()?;
    broker.set_nodelay(true).ok()?;
    loop {
        let request = frame(&mut client)?;
        send(&mut broker, &request)?;
        let mut answer = frame(&mut broker)?;
        let Some(malice) = lock(state).malice else {
            send(&mut client, &answer)?;
            continue;
        };
        let spoilt = match malice {
            Malice::Absurd(count) => exaggerate(count, &request, &mut answer),
            _ => Some(()),
        };
        let number = {
            let mut state = lock(state);
            state.spoilt += u64::from(spoilt.is_some());
            state.spoilt
        };
        match malice {
            Malice::Garbage => {
                let bytes: Vec<u8> = (0..1000).map(|n| scrambled(number * 1000 + n) as u8).collect();
                client.write_all(&bytes).ok()?;
            }
            Malice::Frame { claimed, sent } => {
                client.write_all(&claimed.to_be_bytes()).ok()?;
                send_zeros(&mut client, sent)?;
            }
            Malice::Drip => drip(&mut client, &answer, state)?,
            Malice::WrongIds => {
                answer[..4].iter_mut().for_each(|byte| *byte ^= 0x55);
                send(&mut client, &answer)?;
            }
            Malice::Absurd(_) => send(&mut client, &answer)?,
        }
    }
}

/// The next frame without its size; none at the end.
fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).ok()?;
    let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size)).ok()?];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}

fn framed(frame: &[u8]) -> Vec<u8> {
    let size = i32::try_from(frame.len()).unwrap();
    [&size.to_be_bytes(), frame].concat()
}

fn send(stream: &mut TcpStream, frame: &[u8]) -> Option<()> {
    stream.write_all(&framed(frame)).ok()
}

fn send_zeros(stream: &mut TcpStream, mut count: usize) -> Option<()> {
    let zeros = vec![0; 64 << 10];
    while count > 0 {
        let piece = count.min(zeros.len());
        stream.write_all(&zeros[..piece]).ok()?;
        count -= piece;
    }
    Some(())
}

fn drip(stream: &mut TcpStream, frame: &[u8], state: &Mutex<State>) -> Option<()> {
    for byte in framed(frame) {
        stream.write_all(&[byte]).ok()?;
        if lock(state).malice.is_some() {
            thread::sleep(Duration::from_secs(1));
        }
    }
    Some(())
}

/// Puts two billions in place of a count of an answer, if the answer has it.
fn exaggerate(count: Count, request: &[u8], answer: &mut Vec<u8>) -> Option<()> {
    let header = RequestHeader::read(&mut Reader::new(request)).ok()?;
    let (api, version) = header.api()?;
    let mut r = Reader::new(answer);
    ResponseHeader::read(&mut r, api, version.number).ok()?;
    let body = r.position();
    let place = place(count, api, version.number, &answer[body..])?;
    match place {
        Place::Count(at) if version.flexible => {
            let at = body + at;
            let end = at + answer[at..].iter().position(|byte| byte & 0x80 == 0)? + 1;
            // As a varint (KIP-482).
            answer.splice(at..end, [0xff, 0xff, 0xff, 0xff, 0x07]);
        }
        Place::Count(at) => {
            // What differs of a small number is its last byte.
            let end = body + at + 1;
            answer[end - 4..end].copy_from_slice(&i32::MAX.to_be_bytes());
        }
        Place::BatchBytes(at) => {
            answer[body + at + 8..body + at + 12].copy_from_slice(&i32::MAX.to_be_bytes());
        }
        Place::Records(at) => {
            const CRC: usize = 17;
            const ATTRIBUTES: usize = 21;
            const RECORDS: usize = 57;
            let batch = &mut answer[body + at..];
            let end = 12 + i32::from_be_bytes(batch[8..12].try_into().unwrap()) as usize;
            batch[RECORDS..RECORDS + 4].copy_from_slice(&i32::MAX.to_be_bytes());
            let sum = crc32c(&batch[ATTRIBUTES..end]);
            batch[CRC..CRC + 4].copy_from_slice(&sum.to_be_bytes());
        }
    }
    Some(())
}

/// What is to be changed in the body of an answer, and where it, or the batch that has it, stands.
enum Place {
    Count(usize),
    BatchBytes(usize),
    Records(usize),
}

fn place(count: Count, api: &Api, version: i16, body: &[u8]) -> Option<Place> {
    let at = match (count, api.key) {
        (Count::Apis, ApiKey::ApiVersions) => {
            difference(body, version, |m: &mut ApiVersionsResponse<'_>| m.api_keys.push(Default::default()))
        }
        (Count::Brokers, ApiKey::Metadata) => {
            difference(body, version, |m: &mut MetadataResponse<'_>| m.brokers.push(Default::default()))
        }
        (Count::Topics, ApiKey::Metadata) => {
            let topic = || MetadataTopic { name: Some("".into()), ..Default::default() };
            difference(body, version, |m: &mut MetadataResponse<'_>| m.topics.push(topic()))
        }
        (Count::Partitions, ApiKey::Metadata) => {
            let add = |m: &mut MetadataResponse<'_>| {
                m.topics.iter_mut().for_each(|topic| topic.partitions.push(Default::default()));
            };
            difference(body, version, add)
        }
        (Count::Produced, ApiKey::Produce) => {
            difference(body, version, |m: &mut ProduceResponse<'_>| m.responses.push(Default::default()))
        }
        (Count::Offsets, ApiKey::ListOffsets) => {
            difference(body, version, |m: &mut ListOffsetsResponse<'_>| m.topics.push(Default::default()))
        }
        (Count::Fetched, ApiKey::Fetch) => {
            difference(body, version, |m: &mut FetchResponse<'_>| m.responses.push(Default::default()))
        }
        (Count::Bytes, ApiKey::Fetch) => {
            // The length stands before the records and ends with its lowest byte, or begins with it.
            let (at, length) = records(body, version)?;
            let flexible = version >= api.flexible;
            let size = if flexible { (length + 1).max(1).ilog2() as usize / 7 + 1 } else { 1 };
            Some(at - size)
        }
        (Count::BatchBytes, ApiKey::Fetch) => {
            return records(body, version).map(|(at, _)| Place::BatchBytes(at));
        }
        (Count::Records, ApiKey::Fetch) => return records(body, version).map(|(at, _)| Place::Records(at)),
        _ => None,
    };
    at.map(Place::Count)
}

/// Where the first records of an answer to a fetch begin, and how many bytes they are.
fn records(body: &[u8], version: i16) -> Option<(usize, usize)> {
    let message = FetchResponse::decode(body, version).ok()?;
    let partitions = message.responses.iter().flat_map(|topic| &topic.partitions);
    let records = partitions.filter_map(|partition| partition.records).map(|records| records.bytes());
    let records = records.into_iter().find(|records| !records.is_empty())?;
    Some((memchr::memmem::find(body, records)?, records.len()))
}

/// Where the bytes of a message begin to differ when it is changed.
fn difference<'a, M: Message<'a>>(
    body: &'a [u8],
    version: i16,
    change: impl FnOnce(&mut M),
) -> Option<usize> {
    let mut message = M::decode(body, version).ok()?;
    let before = message.encode(version).ok()?;
    change(&mut message);
    let after = message.encode(version).ok()?;
    before.iter().zip(&after).position(|(one, other)| one != other)
}
