//! The numbers in a record: groups of seven bits in zigzag order, as Protocol Buffers writes them. Most
//! take one byte or two, so these have paths of their own.

/// The most bytes that a number takes.
pub(super) const LONGEST: usize = 10;

/// Bytes that a number takes.
#[inline]
pub(super) fn size(value: i64) -> usize {
    match zigzag(value) {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        groups => (64 - groups.leading_zeros() as usize).div_ceil(7),
    }
}

/// Numbers that follow each other at the end of a buffer: each by itself would check the room for every byte. They are
/// written in place: a copy of what was written byte by byte just before would wait until those bytes have left the
/// processor's store buffer, which took half of an append.
#[derive(Debug)]
pub(super) struct Row<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Row<'_> {
    /// Bytes that it may hold, and that are written behind it for a moment.
    pub(super) const ROOM: usize = 32;

    /// Appends the numbers that `put` puts.
    #[inline]
    pub(super) fn append(into: &mut Vec<u8>, put: impl FnOnce(&mut Row<'_>)) {
        let start = into.len();
        into.extend_from_slice(&[0; Self::ROOM]);
        let mut row = Row { bytes: into.get_mut(start..).unwrap_or_default(), len: 0 };
        put(&mut row);
        let end = start + row.len;
        into.truncate(end);
    }

    /// Adds a number. There is room for one of 64 bits and four of 32 bits.
    #[inline]
    pub(super) fn put(&mut self, value: i64) -> &mut Self {
        let mut groups = zigzag(value);
        while groups >= 0x80 {
            self.byte(groups as u8 | 0x80);
            groups >>= 7;
        }
        self.byte(groups as u8);
        self
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        debug_assert!(self.len < Self::ROOM);
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

/// Appends a number.
#[inline]
pub(super) fn put(bytes: &mut Vec<u8>, value: i64) {
    let groups = zigzag(value);
    match groups {
        0..0x80 => bytes.push(groups as u8),
        0x80..0x4000 => bytes.extend_from_slice(&[groups as u8 | 0x80, (groups >> 7) as u8]),
        _ => put_long(bytes, groups),
    }
}

#[cold]
fn put_long(bytes: &mut Vec<u8>, mut groups: u64) {
    while groups >= 0x80 {
        bytes.push(groups as u8 | 0x80);
        groups >>= 7;
    }
    bytes.push(groups as u8);
}

/// Takes a number of 32 bits off the front; none if it does not end or does not fit.
#[inline]
pub(super) fn take_int(rest: &mut &[u8]) -> Option<i32> {
    match **rest {
        [a, ref tail @ ..] if a < 0x80 => {
            *rest = tail;
            Some(unzigzag(u64::from(a)) as i32)
        }
        [a, b, ref tail @ ..] if b < 0x80 => {
            *rest = tail;
            Some(unzigzag(u64::from(a & 0x7f) | u64::from(b) << 7) as i32)
        }
        _ => {
            let mut tail = *rest;
            let value = i32::try_from(unzigzag(take_groups(&mut tail)?)).ok()?;
            *rest = tail;
            Some(value)
        }
    }
}

/// Takes a number of 64 bits off the front; none if it does not end or does not fit.
#[inline]
pub(super) fn take_long(rest: &mut &[u8]) -> Option<i64> {
    match **rest {
        [a, ref tail @ ..] if a < 0x80 => {
            *rest = tail;
            Some(unzigzag(u64::from(a)))
        }
        _ => take_groups(rest).map(unzigzag),
    }
}

#[inline(never)]
fn take_groups(rest: &mut &[u8]) -> Option<u64> {
    let mut groups = 0;
    for (at, &byte) in rest.iter().enumerate().take(LONGEST) {
        // The last byte has room for one bit.
        if at == LONGEST - 1 && byte > 1 {
            return None;
        }
        groups |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *rest = rest.get(at + 1..)?;
            return Some(groups);
        }
    }
    None
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
fn unzigzag(groups: u64) -> i64 {
    (groups >> 1) as i64 ^ -((groups & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::super::super::arbitrary::{Arbitrary, Gen};
    use super::super::super::{Reader, Version, Writer};
    use super::*;

    const ANY: Version = Version { number: 0, flexible: false };

    fn written(value: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, value);
        bytes
    }

    #[test]
    fn numbers_are_those_of_the_message_codec() {
        let mut g = Gen::new(1);
        let edges = (0..63).flat_map(|bit| [(1 << bit) - 1, 1 << bit, -(1 << bit), -(1 << bit) - 1]);
        let random = (0..2000).map(|_| i64::arbitrary(&mut g, ANY));
        for value in edges.chain(random).collect::<Vec<_>>() {
            let bytes = written(value);
            let mut theirs = Writer::new();
            theirs.varlong(value);
            assert_eq!(bytes, theirs.finish().unwrap(), "{value}");
            assert_eq!(size(value), bytes.len(), "{value}");
            let mut appended = b"before".to_vec();
            Row::append(&mut appended, |row| _ = row.put(1).put(value));
            assert_eq!(appended, [b"before\x02", &bytes[..]].concat());
            assert_eq!(Reader::new(&bytes).varlong().unwrap(), value);

            let long = [&bytes[..], b"rest"].concat();
            let mut rest = &long[..];
            assert_eq!((take_long(&mut rest), rest), (Some(value), &b"rest"[..]));
            let mut rest = &long[..];
            assert_eq!(take_int(&mut rest), i32::try_from(value).ok(), "{value}");
        }
    }

    #[test]
    fn what_does_not_end_or_fit_is_refused() {
        for bytes in [&[][..], &[0x80], &[0xff, 0xff], &[0x80; 10], &[0x80; 11]] {
            assert_eq!(take_int(&mut &bytes[..]), None, "{bytes:?}");
            assert_eq!(take_long(&mut &bytes[..]), None, "{bytes:?}");
        }
        let most = [[0xff; 9].as_slice(), &[1]].concat();
        assert_eq!(take_long(&mut &most[..]), Some(i64::MIN));
        let more = [[0xff; 9].as_slice(), &[2]].concat();
        assert_eq!(take_long(&mut &more[..]), None);
    }
}
