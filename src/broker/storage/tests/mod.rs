//! Tests of the storage as its callers see it, and what they share: batches as clients build them.

mod append;
mod journal;
mod model;
mod reading;
mod recovery;
mod retention;
mod store;
mod transactions;

use std::io::Write;
use std::path::Path;

use super::*;
use crate::wire::crc32c;

/// A batch in the making.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// Time of each record.
    times: Vec<i64>,
    value: Vec<u8>,
    attributes: i16,
    producer: (i64, i16, i32),
    compress: fn(Vec<u8>) -> Vec<u8>,
}

impl Batch {
    /// `count` records at time 0.
    pub(super) fn of(count: usize) -> Self {
        Self {
            times: vec![0; count],
            value: b"value".to_vec(),
            attributes: 0,
            producer: (-1, -1, -1),
            compress: |bytes| bytes,
        }
    }

    /// One record at each time.
    pub(super) fn at(times: &[i64]) -> Self {
        Self { times: times.to_vec(), ..Self::of(0) }
    }

    pub(super) fn value(mut self, value: Vec<u8>) -> Self {
        self.value = value;
        self
    }

    pub(super) fn producer(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (id, epoch, sequence);
        self
    }

    pub(super) fn transactional(mut self) -> Self {
        self.attributes |= 16;
        self
    }

    /// Claims a codec; the records stay as they are.
    pub(super) fn codec(mut self, codec: i16) -> Self {
        self.attributes |= codec;
        self
    }

    /// Compresses the records.
    pub(super) fn compressed(self, codec: i16) -> Self {
        Self { compress: COMPRESS[codec as usize], ..self.codec(codec) }
    }

    pub(super) fn attributes(mut self, bits: i16) -> Self {
        self.attributes |= bits;
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let base_time = self.times.first().copied().unwrap_or(0);
        let max_time = self.times.iter().max().copied().unwrap_or(-1);
        let mut records = Vec::new();
        for (n, time) in self.times.iter().enumerate() {
            let mut record = vec![0];
            varint(&mut record, time - base_time);
            varint(&mut record, n as i64);
            varint(&mut record, -1);
            varint(&mut record, self.value.len() as i64);
            record.extend_from_slice(&self.value);
            varint(&mut record, 0);
            varint(&mut records, record.len() as i64);
            records.append(&mut record);
        }
        let count = self.times.len() as i32;
        let (id, epoch, sequence) = self.producer;
        let mut checked = Vec::new();
        checked.extend(self.attributes.to_be_bytes());
        checked.extend((count - 1).to_be_bytes());
        checked.extend(base_time.to_be_bytes());
        checked.extend(max_time.to_be_bytes());
        checked.extend(id.to_be_bytes());
        checked.extend(epoch.to_be_bytes());
        checked.extend(sequence.to_be_bytes());
        checked.extend(count.to_be_bytes());
        checked.append(&mut (self.compress)(records));
        let mut bytes = vec![0; 8];
        bytes.extend((checked.len() as i32 + 9).to_be_bytes());
        bytes.extend((-1_i32).to_be_bytes());
        bytes.push(2);
        bytes.extend(crc32c(&checked).to_be_bytes());
        bytes.append(&mut checked);
        bytes
    }
}

/// What compresses, by the codec's number.
const COMPRESS: [fn(Vec<u8>) -> Vec<u8>; 5] = [
    |bytes| bytes,
    |bytes| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap()
    },
    |bytes| snap::raw::Encoder::new().compress_vec(&bytes).unwrap(),
    |bytes| {
        let mut encoder = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
        encoder.write_all(&bytes).unwrap();
        encoder.finish().0
    },
    |bytes| zstd::encode_all(&bytes[..], 0).unwrap(),
];

fn varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

/// Small segments with an index entry every few batches, and nothing deleted.
pub(super) fn small() -> Options {
    Options {
        segment_bytes: 1000,
        index_interval: 200,
        retain_bytes: None,
        retain_time: None,
        ..Options::default()
    }
}

/// One segment without index entries.
pub(super) fn single() -> Options {
    Options { retain_bytes: None, retain_time: None, ..Options::default() }
}

pub(super) fn open(folder: &Path, options: Options) -> Log {
    Log::open(folder, options).unwrap().0
}

/// Appends at time 0 and returns the base offset.
pub(super) fn append(log: &mut Log, batch: &Batch) -> i64 {
    log.append(&mut batch.bytes(), 0).unwrap().base_offset
}

/// Ends a process without a word to its log.
pub(super) fn kill(log: Log) {
    std::mem::forget(log);
}

/// All batches from `from` to `up_to`, read piece by piece.
pub(super) fn read_all(log: &Log, from: i64, up_to: i64) -> Vec<u8> {
    let (mut bytes, mut next) = (Vec::new(), from);
    while let Some(slice) = log.read(next, 500, up_to).unwrap() {
        slice.read_into(&mut bytes).unwrap();
        next = slice.next_offset();
    }
    bytes
}

/// Base offset and bytes of each batch.
pub(super) fn batches(mut bytes: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(header) = batch::head(bytes) {
        let (batch, rest) = bytes.split_at(header.size());
        found.push((header.base_offset, batch.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a batch");
    found
}

/// The names of a folder's files with this ending, in order.
pub(super) fn files(folder: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(ending));
    names.sort();
    names
}

/// Copies a log's folder as it is now.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in files(from, "") {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}
