//! Cost per record of writing and reading batches: `cargo bench --bench records`. Records of 100 bytes that look
//! like log lines, without key, in batches of about 1 MB, or 16 KB.
#![allow(clippy::unwrap_used, reason = "a benchmark, not reachable by input")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kps::record::NoHeaders;
use kps::wire::Codec;
use kps::wire::records::{BatchBuffer, Packer, Part, SealedBatch, Unpacker, Walk};

const SIZES: [(&str, usize); 2] = [("1MB", 9_000), ("16KB", 150)];

/// Lines of 100 bytes: a time, a level, numbers.
fn values(count: usize) -> Vec<Vec<u8>> {
    let line = |n: usize| {
        let mut line = format!(
            "2026-01-01T00:00:{:02}.{:03}Z INFO request id={:016x} path=/api/v1/items/{} status=200 bytes=",
            n / 1000 % 60,
            n % 1000,
            (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            n % 977,
        );
        while line.len() < 100 {
            line.push(char::from(b'0' + (line.len() * n % 10) as u8));
        }
        line.truncate(100);
        line.into_bytes()
    };
    (0..count).map(line).collect()
}

fn fill(batch: &mut BatchBuffer, values: &[Vec<u8>]) {
    for (n, value) in values.iter().enumerate() {
        let timestamp = 1_767_225_600_000 + n as i64 / 50;
        batch.append(timestamp, None, Some(value), &NoHeaders).unwrap();
    }
}

fn sealed(values: &[Vec<u8>], packer: &mut Packer) -> SealedBatch {
    let mut batch = BatchBuffer::new();
    fill(&mut batch, values);
    batch.seal(None, packer)
}

fn encode(c: &mut Criterion) {
    for (size, records) in SIZES {
        let values = values(records);
        let mut group = c.benchmark_group(format!("encode/{size}"));
        group.throughput(Throughput::Elements(records as u64));
        group.bench_function("append", |b| {
            let mut batch = BatchBuffer::new();
            b.iter(|| {
                batch.clear();
                fill(&mut batch, black_box(&values));
            });
        });
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let mut packer = Packer::new(codec, None);
            let mut held = Some(BatchBuffer::new());
            group.bench_function(codec.to_string(), |b| {
                b.iter(|| {
                    let mut batch = held.take().unwrap_or_default();
                    fill(&mut batch, black_box(&values));
                    held = Some(batch.seal(None, &mut packer).recycle());
                });
            });
        }
    }
}

fn read(bytes: &[u8], unpacker: &mut Unpacker) -> usize {
    let mut walk = Walk::new(bytes, 0);
    let mut total = 0;
    while let Some(part) = walk.next_part(unpacker) {
        let Ok(Part::Records(records)) = part else { continue };
        for record in records {
            let record = record.unwrap();
            total += black_box(record.lend("topic", 0)).payload_len();
        }
    }
    total
}

fn decode(c: &mut Criterion) {
    for (size, records) in SIZES {
        let values = values(records);
        let mut group = c.benchmark_group(format!("decode/{size}"));
        group.throughput(Throughput::Elements(records as u64));
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let batch = sealed(&values, &mut Packer::new(codec, None));
            let mut unpacker = Unpacker::new();
            assert_eq!(read(batch.bytes(), &mut unpacker), records * 100);
            group.bench_function(codec.to_string(), |b| {
                b.iter(|| read(black_box(batch.bytes()), &mut unpacker));
            });
        }
    }
}

/// Only the checksum is computed again.
fn stamp(c: &mut Criterion) {
    let values = values(SIZES[0].1);
    let mut group = c.benchmark_group("stamp/1MB");
    group.throughput(Throughput::Elements(values.len() as u64));
    group.bench_function("none", |b| {
        let make = || sealed(&values, &mut Packer::new(Codec::None, None));
        b.iter_batched_ref(make, |batch| batch.stamp(None), BatchSize::LargeInput);
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = encode, decode, stamp
}
criterion_main!(benches);
