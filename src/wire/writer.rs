//! Writing the primitive types.

use super::field::Uuid;

/// A value that the wire format, or the version asked for, has no form for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} in {field}")]
pub struct EncodeError {
    /// What was being written: `Message.field`.
    pub field: &'static str,
    /// Why it cannot be.
    pub problem: Misfit,
}

/// Why a value cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A string, array or frame longer than its length field can say.
    #[error("a length of {0} that is too large")]
    Length(usize),
    /// A null in a version that does not allow it.
    #[error("a null that version {0} does not allow")]
    Null(i16),
    /// A version of the message that is not served.
    #[error("version {0} that is not served")]
    Version(i16),
}

/// A place where bytes that the writer does not hold belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// Before which of the written bytes.
    pub(super) at: usize,
    /// How many bytes.
    pub(super) len: usize,
}

/// Appends to a buffer. Writing itself never fails: the first value that does not fit is kept and
/// returned at the end, so that a message's encoder is a plain list of its fields.
#[derive(Debug, Default)]
pub struct Writer {
    pub(super) bytes: Vec<u8>,
    pub(super) gaps: Vec<Gap>,
    error: Option<EncodeError>,
    field: &'static str,
}

/// The fixed-width big-endian numbers: one method each.
macro_rules! numbers {
    ($($name:ident: $ty:ty),*) => {$(
        #[doc = concat!("Appends a big-endian `", stringify!($ty), "`.")]
        pub fn $name(&mut self, value: $ty) {
            self.bytes.extend_from_slice(&value.to_be_bytes());
        }
    )*};
}

impl Writer {
    /// A writer of an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names what is written next, for errors.
    pub fn enter(&mut self, field: &'static str) {
        self.field = field;
    }

    /// Notes that something cannot be written; the first time counts.
    pub(super) fn fail(&mut self, problem: Misfit) {
        self.error.get_or_insert(EncodeError { field: self.field, problem });
    }

    /// The first thing that could not be written.
    pub(super) fn check(&mut self) -> Result<(), EncodeError> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// What was written.
    ///
    /// # Errors
    /// For the first value that did not fit.
    pub fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        self.check()?;
        Ok(self.bytes)
    }

    numbers! { u8: u8, i8: i8, i16: i16, i32: i32, i64: i64, u16: u16, u32: u32, f64: f64 }

    /// Appends a truth as 1 or 0.
    pub fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// Appends 16 bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.raw(&value.0);
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Leaves a place for `len` bytes that whoever sends the frame puts in.
    pub fn gap(&mut self, len: usize) {
        if len > 0 {
            self.gaps.push(Gap { at: self.bytes.len(), len });
        }
    }

    /// Appends a number in groups of seven bits, the lowest first.
    pub fn unsigned_varint(&mut self, value: u32) {
        self.groups(u64::from(value));
    }

    /// Appends a signed number of 32 bits in zigzag order.
    pub fn varint(&mut self, value: i32) {
        self.unsigned_varint(((value << 1) ^ (value >> 31)) as u32);
    }

    /// Appends a signed number of 64 bits in zigzag order.
    pub fn varlong(&mut self, value: i64) {
        self.groups(((value << 1) ^ (value >> 63)) as u64);
    }

    fn groups(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// Appends the length of a flexible version: one more than it is, 0 for null.
    pub fn compact_length(&mut self, length: Option<usize>) {
        match length.map_or(Some(0), |length| u32::try_from(length).ok()?.checked_add(1)) {
            Some(coded) if coded <= i32::MAX as u32 => self.unsigned_varint(coded),
            _ => self.too_long(length),
        }
    }

    /// Appends a length in two bytes; null is -1.
    pub fn short_length(&mut self, length: Option<usize>) {
        match length.map_or(Ok(-1), i16::try_from) {
            Ok(coded) => self.i16(coded),
            Err(_) => self.too_long(length),
        }
    }

    /// Appends a length in four bytes; null is -1.
    pub fn long_length(&mut self, length: Option<usize>) {
        match length.map_or(Ok(-1), i32::try_from) {
            Ok(coded) => self.i32(coded),
            Err(_) => self.too_long(length),
        }
    }

    fn too_long(&mut self, length: Option<usize>) {
        self.fail(Misfit::Length(length.unwrap_or_default()));
    }

    /// Appends a tagged field (KIP-482): its tag, its size, and what `write` appends.
    pub fn tagged(&mut self, tag: u32, write: &mut dyn FnMut(&mut Self)) {
        self.unsigned_varint(tag);
        let start = self.bytes.len();
        write(self);
        let size = self.bytes.len() - start;
        self.unsigned_varint(u32::try_from(size).unwrap_or(u32::MAX));
        // The size stands before the field but is known after it.
        let length_of_size = self.bytes.len() - start - size;
        if let Some(field) = self.bytes.get_mut(start..) {
            field.rotate_right(length_of_size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::Reader;
    use super::*;

    #[test]
    fn variable_numbers_come_back() {
        let edges = [0, 1, -1, 63, 64, -64, -65, 8191, 8192, i64::from(i32::MAX), i64::MAX, i64::MIN];
        for value in edges {
            let mut w = Writer::new();
            w.varlong(value);
            w.varint(value as i32);
            w.unsigned_varint(value as u32);
            let bytes = w.finish().unwrap();
            let mut r = Reader::new(&bytes);
            assert_eq!(r.varlong(), Ok(value));
            assert_eq!(r.varint(), Ok(value as i32));
            assert_eq!(r.unsigned_varint(), Ok(value as u32));
            assert_eq!(r.finish(), Ok(()));
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let mut w = Writer::new();
        w.enter("JoinGroupRequest.reason");
        w.short_length(Some(32768));
        w.enter("later");
        w.short_length(Some(99999));
        let text = w.finish().unwrap_err().to_string();
        assert_eq!(text, "a length of 32768 that is too large in JoinGroupRequest.reason");
        let mut w = Writer::new();
        w.compact_length(Some(i32::MAX as usize));
        assert!(w.finish().is_err());
    }

    #[test]
    fn a_tagged_field_has_its_size_before_it() {
        let mut w = Writer::new();
        w.tagged(3, &mut |w| w.raw(&[7; 200]));
        let bytes = w.finish().unwrap();
        assert_eq!(bytes[..3], [3, 0xc8, 0x01]);
        assert_eq!(bytes[3..], [7; 200]);
    }
}
