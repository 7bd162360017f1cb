//! Bytes that are not what they should be.

use super::super::super::batch::{CHECKED_FROM, HEAD};
use super::super::super::crc32c;
use super::*;

/// A batch around these bytes, as records in this many, with a right checksum.
fn around(body: &[u8], records: i32, attributes: i16) -> Vec<u8> {
    let mut bytes = sealed(&[Owned::value(0, "v")], Codec::None).bytes()[..HEAD].to_vec();
    bytes.extend_from_slice(body);
    let mut head = BatchHead::read(&bytes).unwrap().unwrap();
    head.batch_length = bytes.len() as i32 - 12;
    head.records_count = records;
    head.last_offset_delta = (records - 1).max(0);
    head.attributes = attributes;
    head.base_offset = 77;
    head.write(&mut bytes);
    bytes
}

fn error_of(body: &[u8], records: i32, attributes: i16) -> String {
    let bytes = around(body, records, attributes);
    let mut walk = Walk::new(&bytes, 0);
    let seen = walked(&mut walk);
    let error = seen.iter().find_map(|seen| match seen {
        Seen::Error(error) => Some(error.to_string()),
        _ => None,
    });
    assert_eq!(walk.next_offset(), 77 + i64::from(records.max(1)), "{seen:?}");
    let error = error.unwrap_or_else(|| panic!("{seen:?}"));
    error.strip_prefix("a record batch at offset 77 ").unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[test]
fn contradictions_in_a_record_are_told() {
    // Length, attributes, time, offset, key, value, number of headers: `2n` stands for n, 1 for -1.
    const SOUND: [u8; 8] = [14, 0, 0, 0, 1, 2, b'v', 0];
    assert_eq!(walked(&mut Walk::new(&around(&SOUND, 1, 0), 0)).len(), 1);
    for (body, records, expected) in [
        (&[14, 0, 0, 0, 1, 2, b'v'][..], 1, "whose record 0 is cut off"),
        (&[0], 1, "whose record 0 is cut off"),
        (&[1], 1, "whose record 0 has a length of -1"),
        (&[0xff; 10], 1, "whose record 0 has a number that is too long"),
        (&[0x80, 0x80, 0x80, 0x80, 0x20], 1, "whose record 0 has a number that is too long"),
        (&[16, 0, 0, 0, 1, 2, b'v', 0, 0], 1, "whose record 0 has 1 bytes after its last header"),
        (&[14, 0, 0, 0, 1, 4, b'v', 0], 1, "whose record 0 is cut off"),
        (&[14, 0, 0, 0, 1, 6, b'v', 0], 1, "whose record 0 is cut off"),
        (&[14, 0, 0, 0, 3, 2, b'v', 0], 1, "whose record 0 has a length of -2"),
        (&[14, 0, 0, 0, 1, 2, b'v', 1], 1, "whose record 0 has a length of -1"),
        (&[14, 0, 0, 2, 1, 2, b'v', 0], 1, "whose record 0 has offset +1, which is out of order"),
        (&[14, 0, 0, 1, 1, 2, b'v', 0], 1, "whose record 0 has offset +-1, which is out of order"),
        (&[14, 0, 0, 0, 1, 2, b'v', 2], 1, "whose record 0 is cut off"),
        (&[18, 0, 0, 0, 1, 2, b'v', 2, 1, 1], 1, "whose record 0 has a length of -1"),
        (&[22, 0, 0, 0, 1, 2, b'v', 2, 2, b'n', 3, 0], 1, "whose record 0 has a length of -2"),
        (&[14, 0, 0, 0, 1, 2, b'v', 0, 9], 1, "with 1 bytes after its last record"),
        (&SOUND, 0, "with 8 bytes after its last record"),
        (&SOUND, 2, "that ends after 1 of its 2 records"),
        (&[], 3, "that ends after 0 of its 3 records"),
        (&SOUND.repeat(2), 2, "whose record 1 has offset +0, which is out of order"),
    ] {
        assert_eq!(error_of(body, records, 0), expected, "{body:?}");
    }
}

#[test]
fn a_count_of_headers_takes_no_memory() {
    // A varint of 2^31 - 1.
    let body = [22, 0, 0, 0, 1, 2, b'v', 0xfe, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(error_of(&body, 1, 0), "whose record 0 is cut off");
    assert_eq!(error_of(&body[..0], i32::MAX, 0), "that ends after 0 of its 2147483647 records");
}

#[test]
fn codecs_that_do_not_exist_or_do_not_fit_are_told() {
    for number in 5..8 {
        assert_eq!(
            error_of(&[0; 9], 1, number),
            format!("that is compressed by codec {number}, which is none")
        );
    }
    for codec in &CODECS[1..] {
        let number = i16::from(codec.number());
        assert_eq!(error_of(b"not compressed", 1, number), format!("that {codec} cannot decompress"));
    }
}

#[test]
fn errors_do_not_hide_what_follows() {
    let bad = around(&[0xff; 20], 1, 0);
    let good = at_offset(100, &sealed(&[Owned::value(0, "good")], Codec::None));
    let bytes = [bad.clone(), bad, good].concat();
    // The second has the same offsets: it is passed over.
    let seen = walked(&mut Walk::new(&bytes, 0));
    assert!(matches!(&seen[..], [Seen::Error(_), Seen::Records(records)] if records[0].offset == 100));
}

/// Megabytes of zeros, as a batch of a few kilobytes.
fn bomb(codec: Codec, size: usize) -> Vec<u8> {
    let record = Owned::value(0, vec![0; size]);
    at_offset(0, &sealed(&[record], codec))
}

#[test]
fn what_is_larger_than_the_limit_is_refused_with_little_memory() {
    for codec in &CODECS[1..] {
        let bytes = bomb(*codec, 3 << 20);
        let mut unpacker = Unpacker::with_limit(1 << 20);
        let mut walk = Walk::new(&bytes, 0);
        let flaw = Flaw::Large(1 << 20);
        let error = walk.next_part(&mut unpacker).unwrap().unwrap_err();
        assert_eq!(error, RecordsError::Content { base_offset: 0, flaw }, "{codec}");
        assert!(unpacker.capacity() <= (1 << 20) + 1);
        assert_eq!(walk.next_offset(), 1);
        // At the limit, to the byte, it is read.
        let size = sealed(&[Owned::value(0, vec![0; 3 << 20])], Codec::None).bytes().len() - HEAD;
        for (limit, is_read) in [(size, true), (size - 1, false)] {
            let mut unpacker = Unpacker::with_limit(limit);
            assert_eq!(Walk::new(&bytes, 0).next_part(&mut unpacker).unwrap().is_ok(), is_read, "{codec}");
        }
    }
}

#[test]
fn memory_of_a_large_batch_is_given_back() {
    let (large, small) = (bomb(Codec::Zstd, 30 << 20), bomb(Codec::Zstd, 1000));
    let mut unpacker = Unpacker::new();
    let mut walk = Walk::new(&large, 0);
    assert!(matches!(walk.next_part(&mut unpacker), Some(Ok(Part::Records(_)))));
    assert!(unpacker.capacity() > 30 << 20);
    assert!(walk.next_part(&mut unpacker).is_none());
    assert!(unpacker.capacity() <= 8 << 20);
    assert!(matches!(Walk::new(&small, 0).next_part(&mut unpacker), Some(Ok(Part::Records(_)))));
    assert!(unpacker.capacity() <= 8 << 20);
}

/// Batches of all codecs with markers among them, to be damaged.
fn seeds() -> Vec<Vec<u8>> {
    let mut g = Gen::new(17);
    let mut seeds: Vec<Vec<u8>> = CODECS
        .iter()
        .map(|codec| {
            let batches: Vec<SealedBatch> = (0..3)
                .map(|_| {
                    sealed(&records(&mut g).into_iter().take(6).map(shortened).collect::<Vec<_>>(), *codec)
                })
                .collect();
            let mut next = 0;
            let bytes = batches.iter().map(|batch| {
                let bytes = at_offset(next, batch);
                next += batch.len() as i64;
                bytes
            });
            bytes.collect::<Vec<_>>().concat()
        })
        .collect();
    seeds.push(include_bytes!("vectors/transactions.bin").to_vec());
    seeds.push(include_bytes!("vectors/magic-1.bin").to_vec());
    seeds
}

fn shortened(mut record: Owned) -> Owned {
    record.value.iter_mut().for_each(|value| value.truncate(60));
    record
}

/// Changes a few bytes, cuts, or copies a piece elsewhere.
fn damage(g: &mut Gen, bytes: &mut Vec<u8>) {
    for _ in 0..1 + g.below(4) {
        let at = g.below(bytes.len());
        match g.below(8) {
            0 => bytes.truncate(at + 1),
            1 => {
                let piece = bytes[at..].iter().take(1 + g.below(30)).copied().collect::<Vec<_>>();
                let to = g.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][g.below(6)],
            3 => bytes[at] ^= 1 << g.below(8),
            _ => bytes[at] = g.below(256) as u8,
        }
    }
}

/// Makes the checksum of every batch right that a walk would come to.
fn sign(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(rest) = bytes.get_mut(at..).filter(|rest| rest.len() >= HEAD) {
        let length = i32::from_be_bytes(rest[8..12].try_into().unwrap());
        let Some(batch) = usize::try_from(length).ok().and_then(|len| rest.get_mut(..len + 12)) else {
            return;
        };
        if batch.len() < HEAD {
            return;
        }
        let crc = crc32c(&batch[CHECKED_FROM..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        at += batch.len();
    }
}

/// Whatever the bytes are: no panic, an end, and no more memory or records than there can be.
fn survive(
    bytes: &[u8],
    from: i64,
    aborted: Option<[(i64, i64); 2]>,
    checksums: Checksums,
) -> (usize, usize) {
    let mut unpacker = Unpacker::with_limit(1 << 20);
    let mut walk = Walk::new(bytes, from).checksums(checksums);
    if let Some(aborted) = aborted {
        walk = walk.committed(aborted);
    }
    let (mut records, mut errors, mut last) = (0, 0, from);
    while let Some(part) = walk.next_part(&mut unpacker) {
        let Ok(Part::Records(batch)) = part else {
            errors += usize::from(part.is_err());
            continue;
        };
        for record in batch {
            let Ok(record) = record else {
                errors += 1;
                continue;
            };
            assert!(record.offset >= last, "{} after {last}", record.offset);
            last = record.offset + 1;
            assert_eq!(record.headers.iter().count(), Headers::count(&record.headers));
            records += 1;
        }
        assert!(walk.next_offset() >= last);
    }
    assert!(unpacker.capacity() <= (1 << 20) + 1);
    assert!(walk.next_offset() >= from);
    // Each takes seven bytes, of a batch or of what it is decompressed to.
    assert!(errors <= bytes.len() && records <= (bytes.len() / HEAD + 1) * (1 << 20) / 7);
    (records, errors)
}

#[test]
fn damaged_batches_are_survived() {
    let rounds = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    let (seeds, mut g) = (seeds(), Gen::new(2026));
    let (mut records, mut errors) = (0, 0);
    for round in 0..rounds {
        let mut bytes = seeds[round % seeds.len()].clone();
        damage(&mut g, &mut bytes);
        if g.below(4) > 0 {
            sign(&mut bytes);
        }
        let checksums = [Checksums::Verify, Checksums::Ignore][g.below(2)];
        let aborted = (g.below(2) == 1).then_some([(5, 0), (6, 2)]);
        let seen = survive(&bytes, g.below(12) as i64, aborted, checksums);
        (records, errors) = (records + seen.0, errors + seen.1);
    }
    // Both are reached, or the damage would test nothing.
    assert!(records > rounds && errors > rounds / 4, "{records} records, {errors} errors");
}

#[test]
fn random_bytes_are_survived() {
    let mut g = Gen::new(4);
    for _ in 0..20_000 {
        let mut bytes = g.bytes(300);
        bytes.get_mut(16).into_iter().for_each(|magic| *magic &= 2);
        survive(&bytes, 0, None, Checksums::Ignore);
    }
}
