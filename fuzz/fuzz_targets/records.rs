//! Whatever is fetched, a walk over it ends: with records in order or with errors, and within its memory.
#![no_main]

use kps::record::Headers;
use kps::wire::records::{Checksums, Part, Unpacker, Walk};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 20;

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let from = i64::from(choice >> 2);
    let mut unpacker = Unpacker::with_limit(LIMIT);
    // A checksum that is right is not found by chance.
    let mut walk = Walk::new(bytes, from).checksums(Checksums::Ignore);
    if choice & 1 == 1 {
        walk = walk.committed([(5, 0), (6, 2)]);
    }
    let mut last = from;
    while let Some(part) = walk.next_part(&mut unpacker) {
        let Ok(Part::Records(records)) = part else { continue };
        for record in records.flatten() {
            assert!(record.offset >= last);
            last = record.offset + 1;
            assert_eq!(record.headers.iter().count(), record.headers.count());
        }
        assert!(walk.next_offset() >= last);
    }
    assert!(walk.next_offset() >= from && unpacker.capacity() <= LIMIT + 1);
});
