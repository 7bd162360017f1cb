//! Writing batches.

use super::super::super::batch::{Batch, HEAD};
use super::super::super::crc32c;
use super::*;
use crate::record::{Batch as Arena, NoHeaders, Slice, Span};

#[test]
fn records_of_all_kinds_come_back_in_every_codec() {
    let mut g = Gen::new(41);
    let mut packers: Vec<Packer> = CODECS.iter().map(|codec| Packer::new(*codec, None)).collect();
    let mut batch = BatchBuffer::new();
    for _ in 0..40 {
        let records = records(&mut g);
        for packer in &mut packers {
            records.iter().for_each(|record| record.append_to(&mut batch));
            let sealed = batch.seal(None, packer);
            assert_eq!(read(sealed.bytes(), 0), records, "{packer:?}");
            batch = sealed.recycle();
        }
    }
}

#[test]
fn every_level_is_taken_and_those_out_of_range_are_brought_into_it() {
    let records: Vec<Owned> =
        (0..300).map(|n| Owned::value(n, format!("a value that repeats {}", n % 7))).collect();
    let plain = sealed(&records, Codec::None).bytes().len();
    for codec in CODECS {
        let sizes: Vec<usize> = (-3..=15)
            .map(|level| {
                let batch = filled(&records).seal(None, &mut Packer::new(codec, Some(level)));
                assert_eq!(read(batch.bytes(), 0), records, "{codec} {level}");
                batch.bytes().len()
            })
            .collect();
        let levels = Packer::levels(codec);
        let size_of = |level: i32| sizes[(level + 3) as usize];
        assert_eq!(size_of(-3), size_of(*levels.start()), "{codec}");
        assert_eq!(size_of(15), size_of(*levels.end()), "{codec}");
        assert!(codec == Codec::None || size_of(*levels.end()) < plain / 2, "{codec}");
        assert!(
            levels.start() == levels.end() || size_of(*levels.end()) < size_of(*levels.start()),
            "{codec}"
        );
    }
}

#[test]
fn what_does_not_become_smaller_is_sent_as_it_is() {
    let noise = Gen::new(5).bytes(200_000);
    for value in [noise.as_slice(), b"x", b""] {
        let records = [Owned::value(0, value)];
        let plain = sealed(&records, Codec::None);
        for codec in CODECS {
            let batch = sealed(&records, codec);
            assert!(batch.bytes() == plain.bytes(), "{codec}");
            assert_eq!(batch.head().compression(), 0);
        }
    }
}

#[test]
fn a_block_of_noise_among_text_is_stored() {
    let noise = Gen::new(6).bytes(100_000);
    let value = [&b"text ".repeat(40_000)[..], &noise[..], &b"text ".repeat(40_000)[..]].concat();
    let records = [Owned::value(0, value)];
    for codec in CODECS {
        let batch = sealed(&records, codec);
        assert_eq!(batch.head().compression(), codec.number());
        assert!(read(batch.bytes(), 0) == records, "{codec}");
    }
}

#[test]
fn the_next_records_size_is_known_exactly() {
    let mut g = Gen::new(43);
    for _ in 0..50 {
        let mut batch = BatchBuffer::new();
        assert_eq!(batch.size(), HEAD);
        for record in records(&mut g) {
            let Owned { timestamp, key, value, headers, .. } = &record;
            let next = batch.size_of_next(*timestamp, key.as_deref(), value.as_deref(), headers);
            let before = batch.size();
            record.append_to(&mut batch);
            assert_eq!(batch.size() - before, next);
        }
        let size = batch.size();
        assert_eq!(batch.seal(None, &mut Packer::new(Codec::None, None)).bytes().len(), size);
    }
}

#[test]
fn a_batch_tells_what_it_holds() {
    let mut batch = BatchBuffer::with_capacity(1000);
    assert_eq!((batch.len(), batch.first_timestamp(), batch.max_timestamp()), (0, None, None));
    for timestamp in [TIME, TIME + 9, TIME - 4] {
        batch.append(timestamp, None, Some(b"v"), &NoHeaders).unwrap();
    }
    assert_eq!(
        (batch.len(), batch.first_timestamp(), batch.max_timestamp()),
        (3, Some(TIME), Some(TIME + 9))
    );
    batch.clear();
    assert!(batch.is_empty() && batch.size() == HEAD && batch.capacity() >= 1000);
    batch.append(5, None, None, &NoHeaders).unwrap();
    let sealed = batch.seal(None, &mut Packer::new(Codec::Lz4, None));
    let head = sealed.head();
    assert_eq!((head.base_timestamp, head.max_timestamp, head.records_count), (5, 5, 1));
    assert_eq!((sealed.len(), sealed.is_empty()), (1, false));
}

#[test]
fn timestamps_at_both_ends_of_time_come_back() {
    let times = [0, i64::MAX, i64::MIN, -1, 1];
    let records: Vec<Owned> = times
        .iter()
        .zip(0..)
        .map(|(&timestamp, offset)| Owned { offset, timestamp, ..Owned::default() })
        .collect();
    assert_eq!(read(sealed(&records, Codec::None).bytes(), 0), records);
}

#[test]
fn a_batch_is_stamped_again_without_its_records() {
    let records: Vec<Owned> = (0..50).map(|n| Owned::value(n, "the same value")).collect();
    for codec in CODECS {
        let first = Producer { id: 7, epoch: 1, base_sequence: 10, transaction: Transaction::Inside };
        let mut batch = filled(&records).seal(Some(first), &mut Packer::new(codec, None));
        let body = batch.bytes()[HEAD..].to_vec();
        for (producer, transactional) in [
            (Some(first), true),
            (
                Some(Producer { epoch: 2, base_sequence: 0, transaction: Transaction::Outside, ..first }),
                false,
            ),
            (None, false),
            (Some(Producer { id: i64::MAX, epoch: i16::MAX, base_sequence: i32::MAX, ..first }), true),
        ] {
            batch.stamp(producer);
            let (parsed, rest) = Batch::split(batch.bytes()).unwrap().unwrap();
            let producer = producer.map_or((-1, -1, -1), |p| (p.id, p.epoch, p.base_sequence));
            let BatchHead { producer_id, producer_epoch, base_sequence, .. } = parsed.head;
            assert_eq!((producer_id, producer_epoch, base_sequence), producer);
            assert_eq!((parsed.head.is_transactional(), rest.len()), (transactional, 0));
            assert_eq!(parsed.check(), Ok(()));
            assert_eq!((parsed.head, parsed.head.crc), (*batch.head(), crc32c(&batch.bytes()[21..])));
            assert_eq!(parsed.head.compression(), codec.number());
            assert!(batch.bytes()[HEAD..] == body[..]);
        }
        assert_eq!(read(batch.bytes(), 0), records);
    }
}

#[test]
fn a_sealed_batch_is_read_back_to_be_split() {
    let records: Vec<Owned> = (0..100).map(|n| Owned::value(n, format!("value {n}, value {n}"))).collect();
    let mut unpacker = Unpacker::new();
    for codec in CODECS {
        let batch = sealed(&records, codec);
        let read: Vec<Owned> = batch.records(&mut unpacker).unwrap().map(|r| r.unwrap().into()).collect();
        assert_eq!(read, records);
    }
}

#[test]
fn records_go_from_an_arena_into_a_batch() {
    let mut arena = Arena::default();
    let (key, value) = (arena.append(b"key"), arena.append(b"value"));
    let (name, empty) = (arena.append(b"\xffname"), arena.append(b""));
    let mut headers = (0, 0);
    arena.add_header(&mut headers, name, Slice::NULL);
    arena.add_header(&mut headers, name, empty);
    arena.push(Span { headers, timestamp: 3, ..Span::new(key, value, 1) });
    let span = arena.spans()[0];

    let mut batch = BatchBuffer::new();
    batch.append(3, arena.slice(span.key), arena.slice(span.value), &arena.headers(&span)).unwrap();
    let batch = batch.seal(None, &mut Packer::new(Codec::None, None));
    let name = b"\xffname".to_vec();
    let expected = Owned {
        offset: 0,
        timestamp: 3,
        key: Some(b"key".to_vec()),
        value: Some(b"value".to_vec()),
        headers: Pairs(vec![(name.clone(), None), (name, Some(Vec::new()))]),
    };
    assert_eq!(read(batch.bytes(), 0), [expected]);
}

#[test]
fn buffers_are_used_again() {
    let records: Vec<Owned> = (0..1000).map(|n| Owned::value(n, "a value of some length")).collect();
    let mut packer = Packer::new(Codec::Lz4, None);
    let mut batch = filled(&records);
    let mut capacities = Vec::new();
    for _ in 0..6 {
        batch = batch.seal(None, &mut packer).recycle();
        capacities.push(batch.capacity());
        records.iter().for_each(|record| record.append_to(&mut batch));
    }
    assert!(capacities.iter().all(|capacity| *capacity == capacities[0]), "{capacities:?}");
}
