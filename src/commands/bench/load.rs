//! What is published: values, keys and headers, made up or from a file, the same again for the same seed.

use std::path::Path;
use std::sync::Arc;

use super::tagged::{HEADER, TAG, Tag};
use crate::commands::output::plain;
use crate::record::{Batch, Slice, Span};

/// Bytes of a made-up header's value.
const HEADER_VALUE: usize = 16;

/// What the records look like.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) values: Values,
    pub(super) key_size: Option<usize>,
    pub(super) headers: u32,
    pub(super) seed: u64,
}

/// Where values come from.
#[derive(Debug, Clone)]
pub(super) enum Values {
    /// So many bytes, of which the last part, `repeated` of 1, is one letter over and over.
    MadeUp { size: usize, repeated: f64 },
    /// These lines, in turn.
    Lines(Arc<Lines>),
}

/// The lines of a file.
#[derive(Debug)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Lines {
    /// Reads a file; the last line without a newline counts.
    ///
    /// # Errors
    /// In words, when it cannot be read or is empty.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|e| plain(&e))?;
        Self::of(bytes).ok_or_else(|| "it is empty, and there is nothing to send".to_owned())
    }

    fn of(bytes: Vec<u8>) -> Option<Self> {
        let mut ends: Vec<usize> = memchr::memchr_iter(b'\n', &bytes).collect();
        if bytes.last() != Some(&b'\n') && !bytes.is_empty() {
            ends.push(bytes.len());
        }
        (!ends.is_empty()).then_some(Self { bytes, ends })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Line `n`, from the first again after the last.
    fn get(&self, n: u64) -> &[u8] {
        let n = (n % self.ends.len() as u64) as usize;
        let start = n.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| end + 1);
        self.ends.get(n).and_then(|end| self.bytes.get(start..*end)).unwrap_or_default()
    }

    /// Bytes of a line, on average.
    fn mean(&self) -> f64 {
        let newlines = self.bytes.iter().filter(|b| **b == b'\n').count();
        (self.bytes.len() - newlines) as f64 / self.len() as f64
    }
}

impl Shape {
    /// Bytes of key and value, on average.
    pub(super) fn payload(&self) -> f64 {
        let value = match &self.values {
            Values::MadeUp { size, .. } => *size as f64,
            Values::Lines(lines) => lines.mean(),
        };
        value + self.key_size.unwrap_or(0) as f64
    }

    /// Bytes of key and value of the largest record.
    pub(super) fn largest(&self) -> usize {
        let value = match &self.values {
            Values::MadeUp { size, .. } => *size,
            Values::Lines(lines) => (0..lines.len() as u64).map(|n| lines.get(n).len()).max().unwrap_or(0),
        };
        value.saturating_add(self.key_size.unwrap_or(0))
    }

    /// True when the tag is in a header of its own.
    pub(super) fn tags_by_header(&self) -> bool {
        !matches!(self.values, Values::MadeUp { size, .. } if size >= TAG)
    }
}

/// Makes the records of one producer.
#[derive(Debug)]
pub(super) struct Maker {
    shape: Arc<Shape>,
    random: SplitMix,
    run: u64,
    producer: u16,
    /// Records made so far.
    made: u64,
}

impl Maker {
    pub(super) fn new(shape: Arc<Shape>, run: u64, producer: u16) -> Self {
        let random = SplitMix(shape.seed ^ u64::from(producer) << 32);
        Self { shape, random, run, producer, made: 0 }
    }

    /// Records made so far.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// Adds the next record, which was due at `due` and is sent at `sent`.
    pub(super) fn push(&mut self, batch: &mut Batch, due: u64, sent: u64) {
        let tag = Tag { run: self.run, producer: self.producer, sequence: self.made, due, sent }.bytes();
        let shape = Arc::clone(&self.shape);
        let key = shape.key_size.map_or(Slice::NULL, |size| self.append_random(batch, size));
        let value = match &shape.values {
            Values::Lines(lines) => batch.append(lines.get(self.made)),
            Values::MadeUp { size, repeated } => self.append_value(batch, &tag, *size, *repeated),
        };
        let headers = self.push_headers(batch, &shape, &tag);
        self.made += 1;
        batch.push(Span { headers, ..Span::new(key, value, self.made) });
    }

    /// The tag, random bytes, and one letter to the end.
    fn append_value(&mut self, batch: &mut Batch, tag: &[u8; TAG], size: usize, repeated: f64) -> Slice {
        let start = batch.bytes.len();
        let own = if size >= TAG { TAG } else { 0 };
        batch.bytes.extend_from_slice(tag.get(..own).unwrap_or_default());
        let random = ((size - own) as f64 * (1.0 - repeated)).round() as usize;
        self.append_random(batch, random);
        batch.bytes.resize(start + size, b'a');
        Slice::new(start, start + size)
    }

    fn push_headers(&mut self, batch: &mut Batch, shape: &Shape, tag: &[u8; TAG]) -> (u32, u32) {
        let mut run = (0, 0);
        for n in 0..shape.headers {
            let name = batch.append(format!("h{n}").as_bytes());
            let value = self.append_random(batch, HEADER_VALUE);
            batch.add_header(&mut run, name, value);
        }
        if shape.tags_by_header() {
            let name = batch.append(HEADER.as_bytes());
            let value = batch.append(tag);
            batch.add_header(&mut run, name, value);
        }
        run
    }

    fn append_random(&mut self, batch: &mut Batch, size: usize) -> Slice {
        let start = batch.bytes.len();
        for at in (0..size).step_by(8) {
            let word = self.random.next().to_le_bytes();
            batch.bytes.extend_from_slice(word.get(..(size - at).min(8)).unwrap_or_default());
        }
        Slice::new(start, batch.bytes.len())
    }
}

/// Sebastiano Vigna's splitmix64: fast, and good enough not to compress.
#[derive(Debug, Clone)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(size: usize, repeated: f64) -> Shape {
        Shape { values: Values::MadeUp { size, repeated }, key_size: None, headers: 0, seed: 1 }
    }

    fn made(shape: Shape, records: usize) -> Batch {
        let mut batch = Batch::default();
        let mut maker = Maker::new(Arc::new(shape), 99, 3);
        for n in 0..records as u64 {
            maker.push(&mut batch, n, n + 1);
        }
        assert_eq!(maker.made(), records as u64);
        batch
    }

    fn values(batch: &Batch) -> Vec<Vec<u8>> {
        batch.spans().iter().map(|span| batch.slice(span.value).unwrap().to_vec()).collect()
    }

    fn tags(batch: &Batch) -> Vec<Option<Tag>> {
        (0..batch.len()).map(|n| batch.with_record(n, "t", |record| Tag::of(record, 99))).collect()
    }

    #[test]
    fn each_record_has_its_size_and_its_tag() {
        for size in [0, 1, 31, 32, 33, 100, 1000] {
            let batch = made(shape(size, 0.5), 3);
            assert!(values(&batch).iter().all(|value| value.len() == size));
            let expected =
                [0, 1, 2].map(|n| Some(Tag { run: 99, producer: 3, sequence: n, due: n, sent: n + 1 }));
            assert_eq!(tags(&batch), expected, "{size}");
        }
    }

    #[test]
    fn compressibility_is_the_share_of_one_letter() {
        for (repeated, letters) in [(0.0, 0), (0.25, 250), (1.0, 1000)] {
            let batch = made(shape(TAG + 1000, repeated), 1);
            let value = &values(&batch)[0];
            let tail = value.iter().rev().take_while(|b| **b == b'a').count();
            assert!((letters..letters + 2).contains(&tail), "{repeated}: {tail}");
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_bytes_and_another_others() {
        let all = |seed| values(&made(Shape { seed, ..shape(100, 0.5) }, 5));
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
        let lines = all(7);
        assert!((1..5).all(|n| lines[n][TAG..] != lines[0][TAG..]));
    }

    #[test]
    fn keys_and_headers_are_as_many_and_as_long_as_asked() {
        let batch = made(Shape { key_size: Some(9), headers: 2, ..shape(10, 0.5) }, 2);
        for span in batch.spans() {
            assert_eq!(batch.slice(span.key).unwrap().len(), 9);
            let mut names = Vec::new();
            crate::record::Headers::for_each(&batch.headers(span), &mut |name, value| {
                names.push((String::from_utf8(name.to_vec()).unwrap(), value.unwrap().len()));
            });
            let expected = [("h0", 16), ("h1", 16), (HEADER, TAG)].map(|(name, len)| (name.to_owned(), len));
            assert_eq!(names, expected);
        }
        assert_eq!(Shape { key_size: Some(9), ..shape(10, 0.5) }.payload(), 19.0);
    }

    #[test]
    fn lines_come_in_turn_unchanged() {
        let lines = Lines::of(b"one\n\nthree".to_vec()).unwrap();
        let shape = Shape { values: Values::Lines(Arc::new(lines)), ..shape(0, 0.0) };
        assert_eq!(shape.payload(), 8.0 / 3.0);
        let batch = made(shape, 4);
        assert_eq!(values(&batch), [&b"one"[..], b"", b"three", b"one"]);
        assert!(tags(&batch).iter().all(Option::is_some));
        assert!(Lines::of(Vec::new()).is_none());
        assert_eq!(Lines::of(b"\n".to_vec()).unwrap().len(), 1);
    }
}
