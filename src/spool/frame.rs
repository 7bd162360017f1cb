//! A record as it stands in a file: `kRec`, length of the body, CRC-32C of that length and the body, the body.
//! Numbers are little-endian. A frame that is damaged is told by its checksum, how many are missing by the
//! numbers of its neighbours.

use memchr::memmem;

use crate::record::{Batch, Headers, Span};

/// What each frame begins with, to find the next one behind damage.
const MAGIC: &[u8; 4] = b"kRec";
/// Magic, length, checksum.
const HEAD: usize = 12;
/// A null value's length.
const NULL: u32 = u32::MAX;

/// What is known of a record beside what is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    /// Its number in the spool.
    pub(super) number: u64,
    /// Its line of the input.
    pub(super) line: u64,
    /// Its file.
    pub(super) source: Option<&'a str>,
}

/// Appends a record of a batch under this number. `topic` is that of records that name none: the next run may
/// have another one.
pub(super) fn encode(out: &mut Vec<u8>, number: u64, batch: &Batch, span: &Span, topic: &str) {
    let start = out.len();
    out.extend(MAGIC);
    out.extend([0; HEAD - MAGIC.len()]);
    out.extend(number.to_le_bytes());
    out.extend(span.line.to_le_bytes());
    out.extend(span.timestamp.to_le_bytes());
    out.extend(span.partition.to_le_bytes());
    put(out, batch.source().map(str::as_bytes));
    put(out, Some(batch.topic(span).unwrap_or(topic).as_bytes()));
    put(out, batch.slice(span.key));
    put(out, batch.slice(span.value));
    let headers = batch.headers(span);
    out.extend((headers.count() as u32).to_le_bytes());
    headers.for_each(&mut |name, value| {
        put(out, Some(name));
        put(out, value);
    });
    seal(out, start);
}

/// Fills in length and checksum of the frame that begins at `start`.
fn seal(out: &mut [u8], start: usize) {
    let len = (out.len() - start - HEAD) as u32;
    let Some(frame) = out.get_mut(start..) else { return };
    let (head, body) = frame.split_at_mut(HEAD);
    head[4..8].copy_from_slice(&len.to_le_bytes());
    head[8..12].copy_from_slice(&checksum(len, body).to_le_bytes());
}

fn checksum(len: u32, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&len.to_le_bytes()), body)
}

fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.extend(bytes.map_or(NULL, |bytes| bytes.len() as u32).to_le_bytes());
    out.extend(bytes.unwrap_or_default());
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole frame of so many bytes, and its body.
    Frame(usize, Body<'a>),
    /// Maybe a frame: this many bytes would tell.
    More(usize),
    /// No frame; the next one may begin here.
    Damage(usize),
}

/// Looks for a frame at the beginning of `bytes`, of a file that has `rest` bytes from there on.
pub(super) fn find(bytes: &[u8], rest: u64) -> Found<'_> {
    let Some((head, behind)) = bytes.split_at_checked(HEAD) else {
        return if rest > bytes.len() as u64 { Found::More(HEAD) } else { Found::Damage(bytes.len()) };
    };
    let len = u32_at(head, 4);
    let whole = HEAD as u64 + u64::from(len);
    if !head.starts_with(MAGIC) || whole > rest {
        return Found::Damage(next_magic(bytes));
    }
    let Some(body) = behind.get(..len as usize) else { return Found::More(whole as usize) };
    if checksum(len, body) != u32_at(head, 8) {
        return Found::Damage(next_magic(bytes));
    }
    Found::Frame(whole as usize, Body(body))
}

/// Where the next frame may begin, if not here.
fn next_magic(bytes: &[u8]) -> usize {
    let later = bytes.get(1..).unwrap_or_default();
    // The last bytes may be the beginning of one.
    let none = bytes.len().saturating_sub(MAGIC.len() - 1).max(1);
    memmem::find(later, MAGIC).map_or(none, |at| at + 1)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// The inside of a sound frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    /// The record's number.
    pub(super) fn number(self) -> u64 {
        Reader(self.0).u64().unwrap_or_default()
    }

    /// Where it came from.
    pub(super) fn origin(self) -> Option<Origin<'a>> {
        let mut from = Reader(self.0);
        let (number, line) = (from.u64()?, from.u64()?);
        from.take(12)?;
        let source = from.bytes()?;
        Some(Origin { number, line, source: source.and_then(|bytes| std::str::from_utf8(bytes).ok()) })
    }

    /// Adds the record to a batch, with its number as its line; `own` is the topic that need not be named. None if the body makes no sense, which a sound
    /// checksum rules out but for another version of the format.
    pub(super) fn decode(self, batch: &mut Batch, own: &str) -> Option<()> {
        let mut from = Reader(self.0);
        let number = from.u64()?;
        from.u64()?;
        let timestamp = from.u64()?.cast_signed();
        let partition = from.u32()?.cast_signed();
        from.bytes()?;
        let topic = match from.bytes()? {
            Some(topic) if topic != own.as_bytes() => batch.topic_index(std::str::from_utf8(topic).ok()?),
            _ => 0,
        };
        let key = batch.append_nullable(from.bytes()?);
        let value = batch.append_nullable(from.bytes()?);
        let headers = from.headers(batch)?;
        batch.push(Span { headers, partition, timestamp, topic, ..Span::new(key, value, number) });
        Some(())
    }
}

/// Reads a body from its front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        match self.u32()? {
            NULL => Some(None),
            len => self.take(len as usize).map(Some),
        }
    }

    fn headers(&mut self, batch: &mut Batch) -> Option<(u32, u32)> {
        let mut run = (0, 0);
        for _ in 0..self.u32()? {
            let name = batch.append_nullable(self.bytes()?);
            let value = batch.append_nullable(self.bytes()?);
            batch.add_header(&mut run, name, value);
        }
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Slice;

    fn batch() -> Batch {
        let mut batch = Batch::default();
        batch.set_source(Some("in.txt"));
        let (key, value) = (batch.append(b""), batch.append(b"\xff value"));
        let (name, of) = (batch.append(b"h"), batch.append(b"v"));
        let mut headers = (0, 0);
        batch.add_header(&mut headers, name, of);
        batch.add_header(&mut headers, name, Slice::NULL);
        let topic = batch.topic_index("other");
        batch.push(Span { headers, partition: 3, timestamp: 7, topic, ..Span::new(key, value, 9) });
        batch.push(Span::new(Slice::NULL, Slice::NULL, 10));
        batch
    }

    fn frames() -> Vec<u8> {
        let (batch, mut out) = (batch(), Vec::new());
        for (number, span) in (41..).zip(batch.spans()) {
            encode(&mut out, number, &batch, span, "t");
        }
        out
    }

    #[test]
    fn a_record_comes_back_with_all_it_had() {
        let (bytes, mut read) = (frames(), Batch::default());
        let Found::Frame(first, body) = find(&bytes, bytes.len() as u64) else { panic!("no frame") };
        assert_eq!(body.origin(), Some(Origin { number: 41, line: 9, source: Some("in.txt") }));
        body.decode(&mut read, "t").unwrap();
        let Found::Frame(_, body) = find(&bytes[first..], 999) else { panic!("no second frame") };
        assert_eq!(body.number(), 42);
        body.decode(&mut read, "elsewhere").unwrap();
        read.with_record(0, "t", |record| {
            assert_eq!((record.topic, record.partition, record.timestamp), ("other", 3, 7));
            assert_eq!((record.key, record.value), (Some(&b""[..]), Some(&b"\xff value"[..])));
            let mut headers = Vec::new();
            record.headers.for_each(&mut |name, value| headers.push((name.to_vec(), value.is_some())));
            assert_eq!(headers, [(b"h".to_vec(), true), (b"h".to_vec(), false)]);
        });
        // What named no topic keeps the one it had.
        read.with_record(1, "elsewhere", |record| {
            assert_eq!((record.topic, record.partition, record.timestamp), ("t", -1, -1));
            assert_eq!((record.key, record.value), (None, None));
        });
        assert_eq!(read.spans()[1].line, 42);
    }

    #[test]
    fn any_flipped_byte_is_seen_and_the_next_frame_is_found() {
        let sound = frames();
        let Found::Frame(first, _) = find(&sound, sound.len() as u64) else { panic!("no frame") };
        for at in 0..first {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x40;
            let mut from = 0;
            let found = loop {
                match find(&bytes[from..], (bytes.len() - from) as u64) {
                    Found::Frame(_, body) => break body.number(),
                    Found::Damage(n) => from += n,
                    Found::More(n) => panic!("{n} bytes wanted of a file that is all here"),
                }
            };
            assert_eq!((found, from), (42, first), "byte {at}");
        }
    }

    #[test]
    fn a_frame_that_is_not_all_here_says_how_much_it_needs() {
        let bytes = frames();
        let rest = bytes.len() as u64;
        let Found::Frame(first, _) = find(&bytes, rest) else { panic!("no frame") };
        assert_eq!(find(&bytes[..5], rest), Found::More(HEAD));
        assert_eq!(find(&bytes[..HEAD + 1], rest), Found::More(first));
        for torn in 1..first {
            let end = torn as u64;
            assert!(matches!(find(&bytes[..torn], end), Found::Damage(n) if n > 0), "{torn}");
        }
    }
}
