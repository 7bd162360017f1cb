//! Reading the primitive types, within bounds.

use super::field::Uuid;

/// What the elements of one message's arrays may take in memory, in bytes, unless
/// [`Reader::with_budget`] says otherwise. Metadata of some 300,000 partitions fit.
pub const BUDGET: usize = 64 << 20;

/// Bytes that are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} in {field} at byte {offset}")]
pub struct DecodeError {
    /// What was being read: `Message.field`.
    pub field: &'static str,
    /// Where reading stopped, in bytes from where the reader began.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// They end inside a value.
    #[error("the bytes end too soon")]
    Truncated,
    /// A length below null, or a count of more elements than the bytes left can hold.
    #[error("a length of {0} that cannot be true")]
    Length(i64),
    /// A string that is not UTF-8.
    #[error("text that is not utf-8")]
    NotUtf8,
    /// A null that this version does not allow.
    #[error("a null that is not allowed")]
    Null,
    /// A variable-length number that does not end in time.
    #[error("a number that is too long")]
    Varint,
    /// More array elements than [`Reader::with_budget`] allows.
    #[error("more elements than memory is set aside for")]
    Budget,
    /// Bytes after the end of the value.
    #[error("{0} bytes too many")]
    Trailing(usize),
    /// A version of the message that is not served.
    #[error("version {0} that is not served")]
    Version(i16),
}

/// A cursor over bytes of unknown worth. Every method either takes what it says or returns an
/// error and may be dropped; none panics.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Exclusive; smaller than `bytes.len()` inside a tagged field only.
    end: usize,
    budget: usize,
    field: &'static str,
}

type Result<T> = std::result::Result<T, DecodeError>;

/// The fixed-width big-endian numbers: one method each.
macro_rules! numbers {
    ($($name:ident: $ty:ty),*) => {$(
        #[doc = concat!("Takes a big-endian `", stringify!($ty), "`.\n\n# Errors\nIf too few bytes are left.")]
        pub fn $name(&mut self) -> Result<$ty> {
            self.array().map(<$ty>::from_be_bytes)
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A reader of all `bytes`, with the usual [`BUDGET`].
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_budget(bytes, BUDGET)
    }

    /// A reader whose arrays together take no more than `budget` bytes (twice that for a moment,
    /// while one grows). Strings and record data are borrowed and cost nothing.
    pub fn with_budget(bytes: &'a [u8], budget: usize) -> Self {
        Self { bytes, at: 0, end: bytes.len(), budget, field: "a message" }
    }

    /// Names what is read next, for errors.
    pub fn enter(&mut self, field: &'static str) {
        self.field = field;
    }

    /// How many bytes have been taken.
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// If something is.
    pub fn finish(&self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            left => self.fail(Problem::Trailing(left)),
        }
    }

    /// An error here.
    pub(super) fn fail<T>(&self, problem: Problem) -> Result<T> {
        Err(DecodeError { field: self.field, offset: self.at, problem })
    }

    /// Takes `count` bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.end);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => self.fail(Problem::Truncated),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.take(N)?.first_chunk() {
            Some(array) => Ok(*array),
            None => self.fail(Problem::Truncated),
        }
    }

    numbers! { i8: i8, i16: i16, i32: i32, i64: i64, u16: u16, u32: u32, f64: f64 }

    /// Takes a byte.
    ///
    /// # Errors
    /// If none is left.
    pub fn u8(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    /// Takes a byte as a truth; anything but 0 is true.
    ///
    /// # Errors
    /// If no byte is left.
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.u8()? != 0)
    }

    /// Takes 16 bytes.
    ///
    /// # Errors
    /// If too few are left.
    pub fn uuid(&mut self) -> Result<Uuid> {
        self.array().map(Uuid)
    }

    /// Takes `count` bytes of UTF-8.
    ///
    /// # Errors
    /// If too few are left, or they are something else.
    pub fn str(&mut self, count: usize) -> Result<&'a str> {
        let bytes = self.take(count)?;
        std::str::from_utf8(bytes).or_else(|_| self.fail(Problem::NotUtf8))
    }

    /// Takes a number in groups of seven bits, the lowest first: at most 5 bytes.
    ///
    /// # Errors
    /// If it does not end, or does not fit 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32> {
        match u32::try_from(self.groups(5)?) {
            Ok(value) => Ok(value),
            Err(_) => self.fail(Problem::Varint),
        }
    }

    /// Takes a signed number of 32 bits in zigzag order: at most 5 bytes.
    ///
    /// # Errors
    /// As [`Self::unsigned_varint`].
    pub fn varint(&mut self) -> Result<i32> {
        let zigzag = self.unsigned_varint()?;
        Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
    }

    /// Takes a signed number of 64 bits in zigzag order: at most 10 bytes.
    ///
    /// # Errors
    /// If it does not end, or does not fit 64 bits.
    pub fn varlong(&mut self) -> Result<i64> {
        let zigzag = self.groups(10)?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    fn groups(&mut self, most: u32) -> Result<u64> {
        let mut value = 0;
        for group in 0..most {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << (7 * group);
            if shifted >> (7 * group) != bits {
                break;
            }
            value |= shifted;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        self.fail(Problem::Varint)
    }

    /// Takes the length of a flexible version: one more than it is, 0 for null.
    ///
    /// # Errors
    /// As [`Self::unsigned_varint`].
    pub fn compact_length(&mut self) -> Result<Option<usize>> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|length| length as usize))
    }

    /// Takes a length in two bytes; -1 is null.
    ///
    /// # Errors
    /// If it is below that.
    pub fn short_length(&mut self) -> Result<Option<usize>> {
        let length = self.i16()?;
        self.length(i64::from(length))
    }

    /// Takes a length in four bytes; -1 is null.
    ///
    /// # Errors
    /// If it is below that.
    pub fn long_length(&mut self) -> Result<Option<usize>> {
        let length = self.i32()?;
        self.length(i64::from(length))
    }

    fn length(&self, length: i64) -> Result<Option<usize>> {
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => self.fail(Problem::Length(length)),
        }
    }

    /// Checks that `count` elements of at least `least` bytes each can be among what is left.
    ///
    /// # Errors
    /// If they cannot.
    pub(super) fn expect(&self, count: usize, least: usize) -> Result<()> {
        if count > self.remaining() / least.max(1) {
            return self.fail(Problem::Length(i64::try_from(count).unwrap_or(i64::MAX)));
        }
        Ok(())
    }

    /// Takes `bytes` of memory from the budget.
    ///
    /// # Errors
    /// If it is used up.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<()> {
        match self.budget.checked_sub(bytes) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => self.fail(Problem::Budget),
        }
    }

    /// Takes a section of tagged fields (KIP-482). `read` is given each tag and a reader that
    /// ends with that field; it says whether it knew the tag. What it does not know is skipped.
    ///
    /// # Errors
    /// If a known field is longer or shorter than its size says, or the section is cut off.
    pub fn tags(&mut self, read: &mut dyn FnMut(u32, &mut Self) -> Result<bool>) -> Result<()> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            self.expect(size, 1)?;
            let outer = std::mem::replace(&mut self.end, self.at + size);
            if read(tag, self)? {
                self.finish()?;
            }
            self.at = std::mem::replace(&mut self.end, outer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_big_endian() {
        let bytes = [0xff, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xfe, 1];
        let mut r = Reader::new(&bytes);
        assert_eq!(r.i8(), Ok(-1));
        assert_eq!(r.i16(), Ok(1));
        assert_eq!(r.i32(), Ok(2));
        assert_eq!(r.i64(), Ok(3));
        assert_eq!(r.u16(), Ok(0xfffe));
        assert_eq!(r.bool(), Ok(true));
        assert_eq!(r.finish(), Ok(()));
        assert_eq!(r.u8().unwrap_err().problem, Problem::Truncated);
    }

    #[test]
    fn varints_take_what_fits_and_refuse_what_does_not() {
        let unsigned = |bytes: &[u8]| Reader::new(bytes).unsigned_varint().map_err(|e| e.problem);
        assert_eq!(unsigned(&[0xac, 0x02]), Ok(300));
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(Problem::Varint));
        assert_eq!(unsigned(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]), Err(Problem::Varint));
        assert_eq!(unsigned(&[0x80]), Err(Problem::Truncated));
        let mut lowest = [0xff; 10];
        lowest[9] = 1;
        assert_eq!(Reader::new(&lowest).varlong(), Ok(i64::MIN));
        lowest[9] = 3;
        assert_eq!(Reader::new(&lowest).varlong().unwrap_err().problem, Problem::Varint);
    }

    #[test]
    fn errors_name_the_field_and_the_byte() {
        let mut r = Reader::new(&[0, 7, 0]);
        r.enter("FetchRequest.max_wait_ms");
        r.i16().unwrap();
        let text = r.i32().unwrap_err().to_string();
        assert_eq!(text, "the bytes end too soon in FetchRequest.max_wait_ms at byte 2");
    }

    #[test]
    fn a_length_below_null_is_refused() {
        assert_eq!(Reader::new(&[0xff, 0xff]).short_length(), Ok(None));
        let error = Reader::new(&[0xff, 0xff, 0xff, 0xfe]).long_length().unwrap_err();
        assert_eq!(error.problem, Problem::Length(-2));
    }

    #[test]
    fn a_tagged_field_ends_where_its_size_says() {
        // Two fields: tag 0 of two bytes, tag 9 of one byte.
        let bytes = [2, 0, 2, 0, 5, 9, 1, 42, 77];
        let mut seen = Vec::new();
        let mut r = Reader::new(&bytes);
        r.tags(&mut |tag, r| {
            seen.push((tag, r.remaining()));
            Ok(tag == 0 && r.i16()? == 5)
        })
        .unwrap();
        assert_eq!(seen, [(0, 2), (9, 1)]);
        assert_eq!(r.u8(), Ok(77));

        let short = Reader::new(&bytes).tags(&mut |_, r| r.u8().map(|_| true)).unwrap_err();
        assert_eq!(short.problem, Problem::Trailing(1));
        let long = Reader::new(&bytes).tags(&mut |_, r| r.i32().map(|_| true)).unwrap_err();
        assert_eq!(long.problem, Problem::Truncated);
    }
}
