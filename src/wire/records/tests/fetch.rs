//! Walking over what a fetch brings.

use std::collections::BTreeSet;

use super::super::super::batch::{BatchError, CHECKED_FROM};
use super::super::super::crc32c;
use super::*;

/// Batches of three records each, one after another from offset 0 on.
fn batches(count: i64, codec: Codec) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| {
            let records: Vec<Owned> =
                (0..3).map(|at| Owned::value(at, format!("value {}", 3 * n + at))).collect();
            at_offset(3 * n, &sealed(&records, codec))
        })
        .collect()
}

fn offsets(seen: &[Seen]) -> Vec<i64> {
    let of = |seen: &Seen| match seen {
        Seen::Records(records) => records.iter().map(|record| record.offset).collect::<Vec<_>>(),
        _ => vec![],
    };
    seen.iter().flat_map(of).collect()
}

/// Makes the checksum right again.
fn signed(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&batch[CHECKED_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[test]
fn a_walk_begins_at_any_offset() {
    let bytes = batches(4, Codec::Lz4).concat();
    for from in 0..=12 {
        let mut walk = Walk::new(&bytes, from);
        assert_eq!(offsets(&walked(&mut walk)), (from..12).collect::<Vec<_>>());
        assert_eq!((walk.next_offset(), walk.end()), (12, End::Whole));
    }
}

#[test]
fn a_walk_goes_on_where_another_was_left() {
    let bytes = batches(3, Codec::Zstd).concat();
    let mut unpacker = Unpacker::new();
    let (mut next, mut read) = (0, Vec::new());
    // One record of each walk is taken.
    while next < 9 {
        let mut walk = Walk::new(&bytes, next);
        let Some(Ok(Part::Records(mut records))) = walk.next_part(&mut unpacker) else { panic!() };
        let record = records.next().unwrap().unwrap();
        read.push(record.offset);
        next = record.offset + 1;
    }
    assert_eq!(read, (0..9).collect::<Vec<_>>());
}

#[test]
fn a_batch_that_is_cut_off_ends_the_walk_and_one_alone_is_too_few() {
    let both = batches(2, Codec::None);
    let (first, all) = (both[0].len(), both.concat());
    for cut in 0..=all.len() {
        let mut walk = Walk::new(&all[..cut], 0);
        let found = offsets(&walked(&mut walk));
        let (expected, end) = match cut {
            0 => (0..0, End::Whole),
            cut if cut < 12 => (0..0, End::TooFew { needed: None }),
            cut if cut < first => (0..0, End::TooFew { needed: Some(first) }),
            cut if cut == first => (0..3, End::Whole),
            cut if cut < all.len() => (0..3, End::CutOff),
            _ => (0..6, End::Whole),
        };
        assert_eq!((found, walk.end()), (expected.collect(), end), "cut at {cut}");
        assert_eq!(walk.next_offset(), found_next(walk.end(), cut, first));
    }
    // The batch that is wanted is not there, only the one before it.
    let mut walk = Walk::new(&all[..all.len() - 1], 4);
    assert_eq!((walked(&mut walk), walk.next_offset()), (vec![], 4));
    assert_eq!(walk.end(), End::TooFew { needed: Some(all.len() - first) });
}

fn found_next(end: End, cut: usize, first: usize) -> i64 {
    match end {
        End::Whole if cut > first => 6,
        _ if cut >= first => 3,
        _ => 0,
    }
}

#[test]
fn a_wrong_checksum_is_an_error_unless_nobody_looks() {
    let mut parts = batches(3, Codec::None);
    let last = parts[1].len() - 2;
    parts[1][last] ^= 1;
    let bytes = parts.concat();
    let wrong = RecordsError::Batch(BatchError::Checksum { base_offset: 3 });
    assert_eq!(wrong.base_offset(), 3);
    let mut walk = Walk::new(&bytes, 0);
    let seen = walked(&mut walk);
    assert_eq!(seen[1], Seen::Error(wrong));
    assert_eq!((offsets(&seen), walk.next_offset()), (vec![0, 1, 2, 6, 7, 8], 9));

    let mut walk = Walk::new(&bytes, 0).checksums(Checksums::Ignore);
    assert_eq!(offsets(&walked(&mut walk)), (0..9).collect::<Vec<_>>());
    // Below what is asked for, nobody looks either.
    assert_eq!(offsets(&walked(&mut Walk::new(&bytes, 6))), [6, 7, 8]);
}

#[test]
fn the_last_batch_in_error_is_passed_too() {
    let mut parts = batches(2, Codec::None);
    let last = parts[1].len() - 2;
    parts[1][last] ^= 1;
    let mut walk = Walk::new(&parts[1], 3);
    assert!(matches!(walked(&mut walk)[..], [Seen::Error(_)]));
    assert_eq!((walk.next_offset(), walk.end()), (6, End::Whole));
}

#[test]
fn a_length_that_leads_nowhere_breaks_the_walk() {
    let parts = batches(3, Codec::None);
    for length in [-1, 3, 20, 60, parts[0].len() as i32 - 13] {
        let mut bytes = parts.concat();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let mut walk = Walk::new(&bytes, 0);
        let seen = walked(&mut walk);
        assert!(matches!(seen[..], [Seen::Error(_)]), "{length}: {seen:?}");
        assert_eq!(walk.end(), End::Broken, "{length}");
    }
}

#[test]
fn after_an_error_committed_records_are_to_be_fetched_again() {
    let mut parts = batches(3, Codec::None);
    let last = parts[0].len() - 2;
    parts[0][last] ^= 1;
    let bytes = parts.concat();
    let mut walk = Walk::new(&bytes, 0).committed([]);
    assert!(matches!(walked(&mut walk)[..], [Seen::Error(_)]));
    assert_eq!((walk.end(), walk.next_offset()), (End::Broken, 3));
    assert_eq!(offsets(&walked(&mut Walk::new(&bytes, 3).committed([]))), [3, 4, 5, 6, 7, 8]);
}

#[test]
fn batches_that_come_again_are_left_out() {
    let parts = batches(3, Codec::None);
    let bytes = [&parts[0][..], &parts[1], &parts[0], &parts[1], &parts[2]].concat();
    assert_eq!(offsets(&walked(&mut Walk::new(&bytes, 0))), (0..9).collect::<Vec<_>>());
}

/// A batch of a control record.
fn control(offset: i64, producer_id: i64, key: &[u8]) -> Vec<u8> {
    let mut batch = BatchBuffer::new();
    batch.append(TIME, Some(key), Some(&[0, 0, 0, 0, 0, 1]), &Pairs::default()).unwrap();
    let producer =
        Producer { id: producer_id, epoch: 0, base_sequence: -1, transaction: Transaction::Inside };
    let mut bytes = at_offset(offset, &batch.seal(Some(producer), &mut Packer::new(Codec::None, None)));
    bytes[22] |= 1 << 5;
    signed(bytes)
}

fn of_producer(offset: i64, producer_id: i64, records: i64) -> Vec<u8> {
    let records: Vec<Owned> = (0..records).map(|n| Owned::value(n, "v")).collect();
    let producer = Producer { id: producer_id, epoch: 0, base_sequence: 0, transaction: Transaction::Inside };
    at_offset(offset, &filled(&records).seal(Some(producer), &mut Packer::new(Codec::None, None)))
}

/// Transactions of several producers at random, of which the model knows each record's fate.
#[test]
fn committed_records_are_those_of_the_model() {
    let mut g = Gen::new(91);
    for round in 0..300 {
        let (mut bytes, mut next) = (Vec::new(), 0_i64);
        let mut open: [Vec<i64>; 4] = Default::default();
        let (mut aborted, mut expected) = (Vec::new(), BTreeSet::new());
        for _ in 0..40 {
            let producer = g.below(4);
            if g.below(3) > 0 {
                let count = 1 + g.below(4) as i64;
                bytes.extend(of_producer(next, producer as i64, count));
                open[producer].extend(next..next + count);
                next += count;
            } else if !open[producer].is_empty() {
                let is_commit = g.below(2) == 1;
                bytes.extend(control(next, producer as i64, &[0, 0, 0, u8::from(is_commit)]));
                let records = std::mem::take(&mut open[producer]);
                if is_commit {
                    expected.extend(records);
                } else {
                    aborted.push((producer as i64, records[0]));
                }
                next += 1;
            }
        }
        // The broker gives nothing of transactions that are open: here they count as committed.
        expected.extend(open.into_iter().flatten());
        let from = g.below(next as usize) as i64;
        let mut walk = Walk::new(&bytes, from).committed(aborted.iter().rev().copied());
        let seen = walked(&mut walk);
        let expected: Vec<i64> = expected.into_iter().filter(|&offset| offset >= from).collect();
        assert_eq!(offsets(&seen), expected, "round {round} from {from}");
        assert_eq!((walk.next_offset(), walk.end()), (next, End::Whole));
    }
}

#[test]
fn a_control_batch_that_says_nothing_is_an_error() {
    for key in [&[][..], &[0, 0, 0]] {
        let bytes = [control(5, 1, key), of_producer(6, 1, 1)].concat();
        let error = RecordsError::Content { base_offset: 5, flaw: Flaw::Marker };
        let text = "a record batch at offset 5 that should end a transaction, but does not say how";
        assert_eq!(error.to_string(), text);
        let mut walk = Walk::new(&bytes, 5);
        let seen = walked(&mut walk);
        assert_eq!((&seen[0], offsets(&seen)), (&Seen::Error(error), vec![6]));
        let mut walk = Walk::new(&bytes, 5).committed([]);
        assert_eq!((walked(&mut walk), walk.end()), (vec![Seen::Error(error)], End::Broken));
        assert_eq!(walk.next_offset(), 6);
    }
}
