//! Batches to records, in as many calls as it takes.

use super::super::frame::{Assigned, Span};
use super::super::reader::{Taker, read};
use super::*;
use crate::backends::ErrorKind;
use crate::wire::net::Isolation;
use crate::wire::records::{Checksums, Transaction, Unpacker};

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const RULES: (Checksums, Isolation) = (Checksums::Verify, Isolation::Committed);

fn span(from: i64, aborted: &[(i64, i64)]) -> Span {
    Span { of: Assigned::new(tp(0)), range: 0..0, from, aborted: aborted.to_vec(), at_end: false }
}

/// Reads it all, `each` records a call; how many calls that took.
fn read_all(span: &Span, bytes: &[u8], each: usize, seen: &mut Seen) -> Result<usize> {
    let (mut paused, mut unpacker) = (None, Unpacker::new());
    for calls in 1.. {
        let before = seen.records.len();
        let mut taker = Taker { sink: seen, left: each, has_enough: false };
        paused = read(span, bytes, paused, RULES, &mut unpacker, &mut taker)?;
        assert_eq!(taker.has_enough, paused.is_some());
        assert!(seen.records.len() - before <= each);
        if paused.is_none() {
            return Ok(calls);
        }
    }
    unreachable!("it ends or fails")
}

/// A transactional batch.
fn by(offset: i64, id: i64, values: &[&str]) -> Vec<u8> {
    let producer = Producer { id, epoch: 0, base_sequence: 0, transaction: Transaction::Inside };
    batch_by(offset, values, Some(producer), Codec::None)
}

/// The end of a transaction: 1 commits, 0 aborts.
fn marker(offset: i64, id: i64, kind: u8) -> Vec<u8> {
    let mut batch = BatchBuffer::new();
    batch.append(0, Some(&[0, 0, 0, kind]), Some(&[0, 0, 0, 0, 0, 0]), &NoHeaders).unwrap();
    let producer = Producer { id, epoch: 0, base_sequence: -1, transaction: Transaction::Inside };
    let mut bytes = batch.seal(Some(producer), &mut Packer::new(Codec::None, None)).bytes().to_vec();
    let mut head = crate::wire::batch::BatchHead::read(&bytes).unwrap().unwrap();
    (head.base_offset, head.attributes) = (offset, head.attributes | crate::wire::batch::CONTROL);
    head.write(&mut bytes);
    bytes
}

#[test]
fn any_number_of_records_at_a_time_gives_the_same_records() {
    for codec in CODECS {
        let values: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let bytes = [batch_by(0, &values, None, codec), batch_by(20, &values, None, codec)].concat();
        for each in [1, 3, 20, 21, 40, 1000] {
            let mut seen = Seen::default();
            read_all(&span(0, &[]), &bytes, each, &mut seen).unwrap();
            seen.has_once(&[40]);
            assert_eq!(seen.values(), [&values[..], &values[..]].concat(), "{codec} {each}");
            assert!(seen.reached.is_empty(), "records tell the position");
        }
    }
}

#[test]
fn a_sink_that_has_enough_gets_the_rest_the_next_time() {
    let bytes = [batch(0, &["a", "b", "c"]), batch(3, &["d"])].concat();
    let (of, mut unpacker) = (span(0, &[]), Unpacker::new());
    let mut seen = Seen { enough: Some(2), ..Seen::default() };
    let mut taker = Taker { sink: &mut seen, left: 1000, has_enough: false };
    let paused = read(&of, &bytes, None, RULES, &mut unpacker, &mut taker).unwrap();
    assert!(taker.has_enough && taker.left == 998);
    assert_eq!(seen.values(), ["a", "b"]);
    seen.enough = None;
    let mut taker = Taker { sink: &mut seen, left: 1000, has_enough: false };
    assert!(read(&of, &bytes, paused, RULES, &mut unpacker, &mut taker).unwrap().is_none());
    assert_eq!(seen.values(), ["a", "b", "c", "d"]);
}

#[test]
fn records_below_the_start_are_left_out() {
    let bytes = [batch(0, &["a", "b", "c"]), batch(3, &["d"])].concat();
    let mut seen = Seen::default();
    read_all(&span(2, &[]), &bytes, 1, &mut seen).unwrap();
    assert_eq!(seen.values(), ["c", "d"]);
}

#[test]
fn aborted_transactions_are_left_out_however_often_the_reading_pauses() {
    // Producer 5 aborts, then commits; 6 commits in between.
    let bytes = [
        by(0, 5, &["no", "no"]),
        by(2, 6, &["a", "b"]),
        marker(4, 5, 0),
        by(5, 5, &["c", "d", "e"]),
        marker(8, 6, 1),
        marker(9, 5, 1),
    ]
    .concat();
    for each in 1..10 {
        let mut seen = Seen::default();
        read_all(&span(0, &[(5, 0)]), &bytes, each, &mut seen).unwrap();
        assert_eq!(seen.values(), ["a", "b", "c", "d", "e"], "{each}");
        assert_eq!(seen.reached, [(0, 10)], "behind the markers");
    }
}

#[test]
fn the_end_is_told_after_the_records() {
    let of = Span { at_end: true, ..span(0, &[]) };
    let mut seen = Seen::default();
    read_all(&of, &batch(0, &["a"]), 1, &mut seen).unwrap();
    assert_eq!((seen.values(), &seen.reached[..]), (vec!["a"], &[(0, 1)][..]));
}

#[test]
fn a_wrong_checksum_is_told_with_the_last_offset_of_the_batch() {
    let mut damaged = batch(2, &["c", "d"]);
    *damaged.last_mut().unwrap() ^= 1;
    let bytes = [batch(0, &["a", "b"]), damaged, batch(4, &["e"])].concat();
    let mut seen = Seen::default();
    let error = read_all(&span(0, &[]), &bytes, 1, &mut seen).unwrap_err();
    assert_eq!(seen.values(), ["a", "b"]);
    assert_eq!(error.kind(), ErrorKind::BadRecord);
    assert_eq!(error.to_string(), "t[0]: a record batch at offset 2 whose checksum is wrong");
    assert_eq!(error.record(), Some(&(tp(0), 3)));
}

#[test]
fn a_damaged_record_is_told_after_those_before_it() {
    let mut damaged = batch(0, &["a", "b", "c"]);
    // The length of the last record's value.
    let at = damaged.len() - 3;
    damaged[at] = 0x7e;
    let mut head = crate::wire::batch::BatchHead::read(&damaged).unwrap().unwrap();
    head.write(&mut damaged);
    let mut seen = Seen::default();
    let error = read_all(&span(0, &[]), &damaged, 1, &mut seen).unwrap_err();
    assert_eq!(seen.values(), ["a", "b"]);
    assert_eq!(error.record(), Some(&(tp(0), 2)));
    assert!(error.to_string().contains("whose record 2"), "{error}");
}

#[test]
fn what_is_stepped_over_is_never_behind_the_position() {
    let mut bytes = batch(0, &["a", "b", "c", "d"]);
    bytes[16] = 1;
    let mut seen = Seen::default();
    let error = read_all(&span(3, &[]), &bytes, 1, &mut seen).unwrap_err();
    assert_eq!(error.record(), Some(&(tp(0), 3)));
    assert_eq!(error.to_string(), "t[0]: records in format 1 at offset 0, only format 2 is read");
}
