mod fetch;
mod hostile;
mod oracle;
mod seal;
mod vectors;

use super::super::arbitrary::Gen;
use super::super::batch::BatchHead;
use super::super::codec::Codec;
use super::*;
use crate::record::{EachHeader, Headers};

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// 2023-11-14, as in the Java vectors.
const TIME: i64 = 1_700_000_000_000;

/// Headers, owned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Pairs(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Headers for Pairs {
    fn for_each(&self, each: EachHeader<'_>) {
        self.0.iter().for_each(|(name, value)| each(name, value.as_deref()));
    }
}

/// A record, owned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Owned {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Pairs,
}

impl From<DecodedRecord<'_>> for Owned {
    fn from(record: DecodedRecord<'_>) -> Self {
        let record = record.lend("topic", 0);
        let mut headers = Vec::new();
        record.headers.for_each(&mut |name, value| headers.push((name.to_vec(), value.map(<[u8]>::to_vec))));
        assert_eq!(headers.len(), record.headers.count());
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: Pairs(headers),
        }
    }
}

impl Owned {
    fn value(offset: i64, value: impl Into<Vec<u8>>) -> Self {
        Self { offset, timestamp: TIME + offset, value: Some(value.into()), ..Self::default() }
    }

    fn append_to(&self, batch: &mut BatchBuffer) {
        batch.append(self.timestamp, self.key.as_deref(), self.value.as_deref(), &self.headers).unwrap();
    }
}

/// Records of all kinds, from offset 0 on.
fn records(g: &mut Gen) -> Vec<Owned> {
    let maybe = |g: &mut Gen, most| (g.below(4) > 0).then(|| g.bytes(most));
    (0..1 + g.below(30) as i64)
        .map(|offset| Owned {
            offset,
            timestamp: match g.below(8) {
                0 => g.next() as i64,
                1 => 0,
                _ => TIME + g.below(100_000) as i64 - 50_000,
            },
            key: maybe(g, 20),
            value: if g.below(10) == 0 { maybe(g, 100_000) } else { maybe(g, 200) },
            headers: Pairs((0..[0, 0, 1, 4][g.below(4)]).map(|_| (g.bytes(3), maybe(g, 70))).collect()),
        })
        .collect()
}

fn filled(records: &[Owned]) -> BatchBuffer {
    let mut batch = BatchBuffer::new();
    records.iter().for_each(|record| record.append_to(&mut batch));
    batch
}

fn sealed(records: &[Owned], codec: Codec) -> SealedBatch {
    filled(records).seal(None, &mut Packer::new(codec, None))
}

/// The bytes of a batch whose first record has this offset.
fn at_offset(base: i64, batch: &SealedBatch) -> Vec<u8> {
    let mut bytes = batch.bytes().to_vec();
    super::super::batch::set_base_offset(&mut bytes, base);
    bytes
}

/// Everything in a walk, in short.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Records(Vec<Owned>),
    Marker(Marker),
    Aborted(i64),
    Empty(i64),
    Error(RecordsError),
}

fn seen(part: Result<Part<'_>, RecordsError>) -> Vec<Seen> {
    let (mut records, mut error) = (Vec::new(), None);
    match part {
        Ok(Part::Marker(marker)) => return vec![Seen::Marker(marker)],
        Ok(Part::Aborted(head)) => return vec![Seen::Aborted(head.base_offset)],
        Ok(Part::Empty(head)) => return vec![Seen::Empty(head.base_offset)],
        Err(error) => return vec![Seen::Error(error)],
        Ok(Part::Records(batch)) => {
            for record in batch {
                assert_eq!(error, None, "something follows an error");
                record.map_or_else(|e| error = Some(e), |record| records.push(record.into()));
            }
        }
    }
    let records =
        Some(Seen::Records(records)).filter(|seen| error.is_none() || *seen != Seen::Records(vec![]));
    records.into_iter().chain(error.map(Seen::Error)).collect()
}

fn walked(walk: &mut Walk<'_>) -> Vec<Seen> {
    let (mut unpacker, mut all) = (Unpacker::new(), Vec::new());
    while let Some(part) = walk.next_part(&mut unpacker) {
        all.extend(seen(part));
    }
    all
}

/// All records of a walk without errors and markers.
fn read(bytes: &[u8], from: i64) -> Vec<Owned> {
    let mut walk = Walk::new(bytes, from);
    let all = walked(&mut walk);
    assert_eq!(walk.end(), End::Whole);
    let records = all.into_iter().map(|seen| match seen {
        Seen::Records(records) => records,
        other => panic!("{other:?}"),
    });
    records.flatten().collect()
}
