//! Batches that Kafka's Java client wrote (tests/kafka/Vectors.java, Kafka 4.1.1), contents described there.

use super::super::super::batch::BatchError;
use super::*;
use crate::record::TimestampType;

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("vectors/", $name, ".bin"))
    };
}

fn records_of_all_kinds() -> Vec<Owned> {
    let header = |name: &str, value: Option<&str>| {
        (name.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()))
    };
    let record = |offset, timestamp, key: Option<&[u8]>, value: Option<&str>| Owned {
        offset: 1000 + offset,
        timestamp: TIME + timestamp,
        key: key.map(<[u8]>::to_vec),
        value: value.map(|value| value.as_bytes().to_vec()),
        headers: Pairs::default(),
    };
    let mut records = vec![
        record(0, 0, Some(b"k0"), Some("v0")),
        record(1, -5, None, Some("")),
        record(2, 1, Some(b""), None),
        record(3, 100_000, Some(b"\xff\0"), Some(&"é水".repeat(60))),
    ];
    records[2].headers =
        Pairs(vec![header("a", Some("1")), header("a", Some("2")), header("b", None), header("", Some(""))]);
    records.extend((4..40).map(|n| record(n, n, None, Some(&format!("some text that repeats itself {n}")))));
    records
}

fn large() -> Vec<Owned> {
    let text: String = (0..6000).map(|n| format!("line {} of a long text\n", n % 100)).collect();
    let mut state = 1_i32;
    let noise = (0..2000).map(|_| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (state >> 16) as u8
    });
    let noise: Vec<u8> = noise.collect();
    vec![
        Owned { timestamp: TIME, ..Owned::value(0, text) },
        Owned { timestamp: TIME, ..Owned::value(1, noise) },
    ]
}

#[test]
fn every_codec_is_read() {
    for (codec, bytes, large_bytes) in [
        (Codec::None, &vector!("none")[..], None),
        (Codec::Gzip, vector!("gzip"), Some(&vector!("large-gzip")[..])),
        (Codec::Snappy, vector!("snappy"), Some(vector!("large-snappy"))),
        (Codec::Lz4, vector!("lz4"), Some(vector!("large-lz4"))),
        (Codec::Zstd, vector!("zstd"), Some(vector!("large-zstd"))),
    ] {
        assert_eq!(read(bytes, 0), records_of_all_kinds(), "{codec}");
        let head = BatchHead::read(bytes).unwrap().unwrap();
        assert_eq!(head.compression(), codec.number());
        if let Some(bytes) = large_bytes {
            assert!(read(bytes, 0) == large(), "{codec}");
        }
    }
}

/// Byte for byte: what is not compressed has one form, and so has snappy-java's head and that of Java's lz4.
#[test]
fn batches_are_written_as_java_writes_them() {
    let written = |codec| {
        let mut bytes = at_offset(1000, &sealed(&records_of_all_kinds(), codec));
        super::super::super::batch::set_leader_epoch(&mut bytes, 7);
        bytes
    };
    assert!(written(Codec::None) == vector!("none"));
    let body = |bytes: &[u8], len: usize| bytes[61..61 + len].to_vec();
    assert_eq!(body(&written(Codec::Snappy), 16), body(vector!("snappy"), 16));
    assert_eq!(body(&written(Codec::Lz4), 7), body(vector!("lz4"), 7));

    let records: Vec<Owned> = (0..3)
        .map(|n| Owned { key: Some(b"key".to_vec()), ..Owned::value(n, format!("value {n}")) })
        .collect();
    let producer =
        Producer { id: 1 << 40, epoch: 3, base_sequence: i32::MAX - 1, transaction: Transaction::Outside };
    let mut batch = filled(&records).seal(Some(producer), &mut Packer::new(Codec::None, None));
    assert_eq!(batch.head().last_sequence(), 0);
    let mut bytes = batch.bytes().to_vec();
    super::super::super::batch::set_leader_epoch(&mut bytes, 7);
    assert!(bytes == vector!("idempotent"));
    batch.stamp(None);
    assert_ne!(batch.bytes()[43..57], bytes[43..57]);
}

#[test]
fn the_time_of_appending_counts_for_all() {
    let mut unpacker = Unpacker::new();
    let mut walk = Walk::new(vector!("log-append-time"), 0);
    let Some(Ok(Part::Records(records))) = walk.next_part(&mut unpacker) else { panic!() };
    assert_eq!(records.leader_epoch(), Some(7));
    let times: Vec<_> =
        records.map(|r| r.unwrap()).map(|r| (r.offset, r.timestamp, r.timestamp_type)).collect();
    let time = |offset| (offset, TIME + 123_456, TimestampType::LogAppend);
    assert_eq!(times, [time(50), time(51), time(52)]);
}

#[test]
fn gaps_between_offsets_are_kept() {
    let offsets: Vec<i64> = read(vector!("gaps"), 0).iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [10, 13, 300]);
    let offsets: Vec<i64> = read(vector!("gaps"), 13).iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [13, 300]);
    let mut walk = Walk::new(vector!("gaps"), 301);
    assert_eq!((walked(&mut walk), walk.next_offset()), (vec![], 301));
}

#[test]
fn a_batch_without_records_moves_the_position() {
    let mut walk = Walk::new(vector!("empty"), 22);
    assert_eq!(walked(&mut walk), [Seen::Records(vec![])]);
    assert_eq!((walk.next_offset(), walk.end()), (30, End::Whole));
}

fn marker(offset: i64, producer_id: i64, outcome: Outcome) -> Seen {
    let next_offset = offset + 1;
    Seen::Marker(Marker { offset, next_offset, producer_id, producer_epoch: 1, outcome: Some(outcome) })
}

fn pair(offset: i64, producer: i64) -> Seen {
    let value = |offset| Owned::value(offset, format!("producer {producer} at {offset}"));
    Seen::Records(vec![value(offset), value(offset + 1)])
}

#[test]
fn markers_are_told_and_aborted_records_left_out() {
    let nobody = || Seen::Records(vec![Owned::value(5, "of nobody")]);
    let mut walk = Walk::new(vector!("transactions"), 0);
    let all = [
        pair(0, 5),
        pair(2, 6),
        marker(4, 5, Outcome::Abort),
        nobody(),
        marker(6, 6, Outcome::Commit),
        pair(7, 5),
        marker(9, 5, Outcome::Commit),
    ];
    assert_eq!(walked(&mut walk), all);
    assert_eq!(walk.skipped(), Skipped { control: 3, aborted: 0 });

    let mut walk = Walk::new(vector!("transactions"), 0).committed([(5, 0)]);
    let committed = [
        Seen::Aborted(0),
        pair(2, 6),
        marker(4, 5, Outcome::Abort),
        nobody(),
        marker(6, 6, Outcome::Commit),
        pair(7, 5),
        marker(9, 5, Outcome::Commit),
    ];
    assert_eq!(walked(&mut walk), committed);
    assert_eq!(walk.skipped(), Skipped { control: 3, aborted: 2 });
    assert_eq!((walk.next_offset(), walk.end(), walk.leader_epoch()), (10, End::Whole, Some(7)));

    // From behind the abort on, its marker still ends it.
    let mut walk = Walk::new(vector!("transactions"), 5).committed([(5, 0)]);
    assert_eq!(walked(&mut walk), committed[3..]);
}

#[test]
fn control_records_of_brokers_among_themselves_are_no_outcome() {
    let mut walk = Walk::new(vector!("leader-change"), 0);
    assert!(matches!(walked(&mut walk)[..], [Seen::Marker(Marker { offset: 0, outcome: None, .. })]));
    assert_eq!((walk.skipped().control, walk.next_offset()), (1, 1));
}

#[test]
fn old_formats_are_refused_by_name_and_can_be_stepped_over() {
    for (magic, bytes) in [(0, &vector!("magic-0")[..]), (1, vector!("magic-1"))] {
        let refused = BatchError::Magic { magic, base_offset: 42 };
        assert_eq!(
            refused.to_string(),
            format!("records in format {magic} at offset 42, only format 2 is read")
        );
        let newer =
            at_offset(43, &sealed(&[Owned { timestamp: TIME, ..Owned::value(0, "new") }], Codec::None));
        let both = [bytes, &newer].concat();
        let mut walk = Walk::new(&both, 42);
        let new = Owned { offset: 43, timestamp: TIME, ..Owned::value(0, "new") };
        assert_eq!(walked(&mut walk), [Seen::Error(refused.into()), Seen::Records(vec![new])]);
        assert_eq!((walk.next_offset(), walk.end()), (44, End::Whole));
    }
}
