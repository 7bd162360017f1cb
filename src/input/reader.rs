//! Reads, finds the ends of records, and hands them to the decoder.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;

use super::decode::{Decoder, Reason};
use super::delimiter::Delimiter;
use super::format::{Fault, Framing};
use super::{Bad, Form, InputSpec};
use crate::record::Batch;

/// A batch is handed on when its arena has about this many bytes. There are a dozen of them: with twice as
/// much each, a third of a run's system time went into clearing pages for them.
const ARENA: usize = 512 << 10;
/// The most that one read asks for.
const READ: usize = 128 << 10;
/// A batch of tiny records is handed on earlier: a span takes more memory than they do.
const SPANS: usize = 1 << 13;
/// It has no more than that, whatever a read has brought: as many as the tiniest lines that a pipe holds.
const SPANS_MAX: usize = 1 << 15;
/// A beginning of a record longer than this is not copied into the next arena until its end has
/// come: else a record of many reads would be copied by each.
const LONG: usize = 64 << 10;
/// What is kept of a piece of input that is too long.
const KEPT: usize = 4 << 10;

/// True when a batch should be handed on before the next `fill`.
pub fn is_full(batch: &Batch) -> bool {
    !batch.is_empty() && (batch.bytes.len() > ARENA - READ || batch.len() >= SPANS)
}

/// What a call of the [`Reader`] came to. Everything read before it is in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filled {
    /// There may be more input.
    More,
    /// The next piece of input was not a record. What follows it is still there: when
    /// [`Reader::ready`], call `fill` again before waiting for input.
    Bad(Bad),
    /// The input has ended.
    End,
}

/// Where bytes come from: anything that is [`Read`], or an [`Fd`], which saves clearing the memory
/// first.
pub trait ReadInto {
    /// Appends up to about `most` bytes with one read; returns how many came, 0 at the end.
    ///
    /// # Errors
    /// As the read has them (`Interrupted` too); then nothing was appended.
    fn read_into(&mut self, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize>;
}

impl<R: Read> ReadInto for R {
    fn read_into(&mut self, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        let start = buffer.len();
        // Cleared for every read, so no more than a pipe gives at once; by a copy, because `resize`
        // goes byte by byte without optimisation.
        const CLEAR: &[u8] = &[0; 64 << 10];
        buffer.extend_from_slice(CLEAR.get(..most).unwrap_or(CLEAR));
        let read = buffer.get_mut(start..).map_or(Ok(0), |free| self.read(free));
        buffer.truncate(start + read.as_ref().copied().unwrap_or(0));
        read
    }
}

/// A file descriptor, read straight into free memory.
#[derive(Debug)]
pub struct Fd<F>(pub F);

impl<F: AsFd> ReadInto for Fd<F> {
    fn read_into(&mut self, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        buffer.reserve(most);
        Ok(rustix::io::read(&self.0, spare_capacity(buffer))?)
    }
}

/// The same in reads of no more than a buffer holds, for whoever is to leave what is not wanted yet where it is.
#[derive(Debug)]
pub struct Sips<'a, F>(pub F, pub &'a mut [u8]);

impl<F: AsFd> ReadInto for Sips<'_, F> {
    fn read_into(&mut self, buffer: &mut Vec<u8>, _: usize) -> io::Result<usize> {
        let read = rustix::io::read(&self.0, &mut *self.1)?;
        buffer.extend_from_slice(self.1.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Turns the bytes of one input after the other into records.
#[derive(Debug)]
pub struct Reader {
    decoder: Decoder,
    framing: Frames,
    /// Bytes read that are in no batch yet.
    held: Held,
    /// Pieces of input seen so far.
    line: u64,
    source: Option<String>,
    state: State,
    /// Length of the arena when it was left; another length means another batch.
    left_at: usize,
}

#[derive(Debug)]
enum Frames {
    Delimited(Delimiter),
    /// By the lengths in a format; this text follows each record.
    Sized(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// In a piece of input that is too long: up to the next delimiter nothing is kept.
    Skipping,
    Ended,
}

/// Bytes read that are in no batch yet: the beginning of a record, or more after a bad one.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Those before are done with.
    start: usize,
    /// No delimiter begins before this (from `start`).
    searched: usize,
    /// There may be whole records.
    ready: bool,
}

impl Held {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Replaces what is held.
    fn set(&mut self, rest: &[u8], ready: bool) {
        self.bytes.clear();
        self.bytes.extend_from_slice(rest);
        (self.start, self.searched, self.ready) = (0, 0, ready);
    }

    /// Drops the first `n` bytes.
    fn drop_front(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
        self.searched = 0;
    }

    /// Gives back the memory of what is done with. What stays is less than a record, so that
    /// moving it costs little.
    fn settle(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.ready = false;
    }
}

impl Reader {
    /// A reader of standard input or of messages; [`Self::start`] it for a file. A record whose key
    /// and value are longer than `max_record_bytes` is bad. An empty delimiter is taken as newline.
    pub fn new(spec: InputSpec, max_record_bytes: usize) -> Self {
        let delimiter = if spec.delimiter.is_empty() { b"\n" } else { &spec.delimiter[..] };
        let framing = match &spec.form {
            Form::Format(format) => match format.framing() {
                Framing::Sized(text) => Frames::Sized(text.clone()),
                Framing::Delimited(own) => {
                    Frames::Delimited(Delimiter::new(own.as_deref().unwrap_or(delimiter)))
                }
            },
            _ => Frames::Delimited(Delimiter::new(delimiter)),
        };
        Self {
            decoder: Decoder::new(spec, max_record_bytes),
            framing,
            held: Held::default(),
            line: 0,
            source: None,
            state: State::Reading,
            left_at: 0,
        }
    }

    /// Begins another input: lines count from 1 again, and bad records name `source`. What was left
    /// of the one before is forgotten. Its records belong in another batch, which names one source.
    pub fn start(&mut self, source: Option<&str>) {
        self.held.set(&[], false);
        self.line = 0;
        self.source = source.map(str::to_owned);
        self.state = State::Reading;
    }

    /// Reads once and adds to the batch what has come: the records it completes, or none. While
    /// [`Self::ready`], adds what is there and does not read. A batch that [`is_full`] must be handed
    /// on first: nothing is taken from what is ready into a full one.
    ///
    /// # Errors
    /// As the read has them, `Interrupted` too; nothing is lost, and `fill` can be called again.
    pub fn fill(&mut self, input: &mut impl ReadInto, batch: &mut Batch) -> io::Result<Filled> {
        self.open(batch);
        let filled = if self.held.ready {
            self.drain(batch)
        } else if self.state == State::Ended {
            Filled::End
        } else if self.decoder.in_place() && self.state == State::Reading && self.held.rest().len() < LONG {
            self.fill_arena(input, batch)?
        } else {
            match input.read_into(&mut self.held.bytes, READ)? {
                0 => self.finish_open(batch),
                _ => self.drain(batch),
            }
        };
        self.left_at = batch.bytes.len();
        Ok(filled)
    }

    /// True when there is input in hand that may hold whole records: call `fill` before waiting.
    pub fn ready(&self) -> bool {
        self.held.ready
    }

    /// Number of bytes in hand that are not in a batch: an unfinished record.
    pub fn pending(&self) -> usize {
        if self.state == State::Skipping { 0 } else { self.held.rest().len() }
    }

    /// True in the middle of a record, that is, when its end should still be read although the
    /// reading is to stop: [`Self::feed`] it byte by byte to take nothing of the next.
    pub fn wants_more(&self) -> bool {
        self.state == State::Reading && !self.held.ready && self.pending() > 0
    }

    /// Takes one byte; the record it completes goes into the batch.
    pub fn feed(&mut self, byte: u8, batch: &mut Batch) -> Filled {
        self.open(batch);
        self.held.bytes.push(byte);
        let filled = self.drain(batch);
        self.left_at = batch.bytes.len();
        filled
    }

    /// Takes the unfinished record in hand as the last one. Call it until it says `End`.
    pub fn finish(&mut self, batch: &mut Batch) -> Filled {
        self.open(batch);
        let filled = if self.held.ready { self.drain(batch) } else { self.finish_open(batch) };
        self.left_at = batch.bytes.len();
        filled
    }

    /// Adds one message, which is what a line would be without its delimiter.
    ///
    /// # Errors
    /// When it is not a record.
    pub fn message(&mut self, message: &[u8], batch: &mut Batch) -> Result<(), Bad> {
        self.open(batch);
        self.line += 1;
        let added = self.decoder.append(message, self.line, batch);
        self.left_at = batch.bytes.len();
        added.map_err(|reason| self.bad(reason, message))
    }

    /// Adds a record whose value is all of `value`, a file usually.
    ///
    /// # Errors
    /// When it is too long.
    pub fn whole(&mut self, value: &[u8], batch: &mut Batch) -> Result<(), Bad> {
        self.open(batch);
        self.line += 1;
        let added = self.decoder.append_whole(value, self.line, batch);
        self.left_at = batch.bytes.len();
        added.map_err(|reason| self.bad(reason, value))
    }

    /// Makes sure the batch holds what all records share.
    fn open(&mut self, batch: &mut Batch) {
        if batch.is_empty() {
            batch.clear();
            batch.set_source(self.source.as_deref());
            self.decoder.start(batch);
        } else if batch.bytes.len() != self.left_at {
            self.decoder.start(batch);
        }
    }

    /// Reads behind what is in the arena and marks the records where they are.
    fn fill_arena(&mut self, input: &mut impl ReadInto, batch: &mut Batch) -> io::Result<Filled> {
        let start = batch.bytes.len();
        batch.bytes.extend_from_slice(self.held.rest());
        let read = input.read_into(&mut batch.bytes, READ);
        if !matches!(read, Ok(1..)) {
            // What is held still is.
            batch.bytes.truncate(start);
            return read.map(|_| self.finish_open(batch));
        }
        let mut arena = std::mem::take(&mut batch.bytes);
        let (done, marked) = self.mark(&arena, start, batch);
        self.held.set(arena.get(done..).unwrap_or_default(), marked.is_break());
        arena.truncate(done);
        batch.bytes = arena;
        let bad = match marked {
            ControlFlow::Break(bad) => bad,
            ControlFlow::Continue(()) => {
                self.held.searched = self.held.rest().len().saturating_sub(self.overlap());
                self.too_long()
            }
        };
        Ok(bad.map_or(Filled::More, Filled::Bad))
    }

    /// Adds the records in `arena[start..]` up to the first bad one, or as many as the batch takes; returns where the
    /// rest begins.
    fn mark(&mut self, arena: &[u8], start: usize, batch: &mut Batch) -> (usize, ControlFlow<Option<Bad>>) {
        let Frames::Delimited(delimiter) = &self.framing else { return (start, ControlFlow::Continue(())) };
        let width = delimiter.len();
        let unsearched = start + self.held.searched;
        let mut next = start;
        let each = |found: usize| {
            let begin = next;
            let end = unsearched + found;
            next = end + width;
            self.line += 1;
            let end = strip_cr(&self.decoder.spec, arena, begin, end);
            match self.decoder.line(arena, begin..end, self.line) {
                Ok(span) => batch.push(span),
                Err(reason) => return ControlFlow::Break(Some((reason, begin..end))),
            }
            if batch.len() < SPANS_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(None) }
        };
        let searched = delimiter.each(arena.get(unsearched..).unwrap_or_default(), each);
        let bad = |(reason, at)| self.bad(reason, arena.get(at).unwrap_or_default());
        (next, searched.map_break(|broken| broken.map(bad)))
    }

    /// Adds the records that are held up to the first bad one.
    fn drain(&mut self, batch: &mut Batch) -> Filled {
        if self.state == State::Skipping && !self.skip() {
            return Filled::More;
        }
        loop {
            if is_full(batch) {
                self.held.ready = true;
                return Filled::More;
            }
            let (len, used) = match self.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(bad) => return Filled::Bad(bad),
            };
            self.line += 1;
            let end = strip_cr(&self.decoder.spec, self.held.rest(), 0, len);
            let raw = self.held.rest().get(..end).unwrap_or_default();
            let added = self.decoder.append(raw, self.line, batch);
            let bad = added.err().map(|reason| self.bad(reason, raw));
            self.held.drop_front(used);
            if let Some(bad) = bad {
                self.held.ready = true;
                return Filled::Bad(bad);
            }
        }
        self.held.settle();
        self.too_long().map_or(Filled::More, Filled::Bad)
    }

    /// Length of the piece of input at the start of what is held, without and with what ends it.
    fn next_frame(&mut self) -> Result<Option<(usize, usize)>, Bad> {
        let rest = self.held.rest();
        match &self.framing {
            Frames::Delimited(delimiter) => {
                let searched = self.held.searched.min(rest.len());
                let found = delimiter.find(rest.get(searched..).unwrap_or_default());
                if found.is_none() {
                    self.held.searched = rest.len().saturating_sub(self.overlap());
                }
                Ok(found.map(|at| (searched + at, searched + at + delimiter.len())))
            }
            Frames::Sized(_) if rest.is_empty() => Ok(None),
            Frames::Sized(_) => match self.measure(rest) {
                Ok(len) => Ok(Some((len, len))),
                Err(Fault::Short(_)) => Ok(None),
                Err(Fault::Bad(reason)) => Err(self.give_up(reason)),
            },
        }
    }

    /// How much of a delimiter can be at the end of what was searched without being found.
    fn overlap(&self) -> usize {
        match &self.framing {
            Frames::Delimited(delimiter) => delimiter.len().saturating_sub(1),
            Frames::Sized(_) => 0,
        }
    }

    fn measure(&self, rest: &[u8]) -> Result<usize, Fault> {
        match &self.decoder.spec.form {
            Form::Format(format) => format.measure(rest),
            _ => Ok(rest.len()),
        }
    }

    /// Ends the input at a record that does not say where the next begins.
    fn give_up(&mut self, reason: Reason) -> Bad {
        self.line += 1;
        let reason = format!("{reason}; where the next record begins cannot be known");
        let rest = self.held.rest();
        let bad = self.bad(reason, rest.get(..KEPT).unwrap_or(rest));
        self.held.set(&[], false);
        self.state = State::Ended;
        bad
    }

    /// The unfinished record, if it is longer than any may be: told now, and skipped from here on.
    fn too_long(&mut self) -> Option<Bad> {
        // What is held may end in a part of the delimiter, and in a `\r` that is to go.
        let beside = self.overlap() + usize::from(self.decoder.spec.crlf);
        if self.held.rest().len() <= self.decoder.longest().saturating_add(beside) {
            return None;
        }
        if let Frames::Sized(_) = &self.framing {
            return Some(self.give_up(self.decoder.too_long()));
        }
        self.line += 1;
        let bad = self.bad(self.decoder.too_long(), self.held.rest());
        self.state = State::Skipping;
        self.skip();
        Some(bad)
    }

    /// Drops what is held up to the next delimiter; true when it was there.
    fn skip(&mut self) -> bool {
        let Frames::Delimited(delimiter) = &self.framing else { return false };
        let rest = self.held.rest();
        let found = delimiter.find(rest);
        let keep_from = rest.len().saturating_sub(self.overlap());
        let done = found.map_or(keep_from, |at| at + delimiter.len());
        self.held.drop_front(done);
        if found.is_some() {
            self.state = State::Reading;
        } else {
            self.held.settle();
        }
        found.is_some()
    }

    /// Takes what is held as the last record.
    fn finish_open(&mut self, batch: &mut Batch) -> Filled {
        let last = std::mem::take(&mut self.held);
        let skipped = self.state != State::Reading;
        self.state = State::Ended;
        let mut raw = last.bytes;
        raw.drain(..last.start);
        if skipped || raw.is_empty() {
            return Filled::End;
        }
        self.line += 1;
        if let Frames::Sized(text) = &self.framing {
            // A last record may lack it, as a last line may lack its newline.
            raw.extend_from_slice(text);
        }
        match self.decoder.append(&raw, self.line, batch) {
            Ok(()) => Filled::End,
            Err(reason) => Filled::Bad(self.bad(reason, &raw)),
        }
    }

    fn bad(&self, reason: Reason, raw: &[u8]) -> Bad {
        let kept = if raw.len() > self.decoder.longest() { KEPT } else { raw.len() };
        let raw = raw.get(..kept).unwrap_or(raw);
        Bad { line: self.line, source: self.source.clone(), reason, raw: raw.to_vec() }
    }
}

/// The end of a line without the `\r` before it, if that is to go.
fn strip_cr(spec: &InputSpec, bytes: &[u8], start: usize, end: usize) -> usize {
    let has_cr = spec.crlf && end > start && bytes.get(end - 1) == Some(&b'\r');
    if has_cr { end - 1 } else { end }
}

#[cfg(test)]
mod tests {
    use super::super::FormatInput;
    use super::*;
    use crate::format::Template;

    /// Gives out at most `step` bytes a read.
    struct Slow<'a> {
        bytes: &'a [u8],
        step: usize,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.step.min(self.bytes.len()).min(buffer.len());
            self.bytes.read(&mut buffer[..n])
        }
    }

    /// A record as (key, value, line).
    type Row = (Option<Vec<u8>>, Option<Vec<u8>>, u64);

    fn rows(batch: &Batch) -> Vec<Row> {
        let own = |slice| batch.slice(slice).map(<[u8]>::to_vec);
        batch.spans().iter().map(|s| (own(s.key), own(s.value), s.line)).collect()
    }

    /// Reads all input, a new batch whenever one is full or, with `fresh`, for every fill.
    fn read_all(
        spec: &InputSpec,
        max: usize,
        input: &[u8],
        step: usize,
        fresh: bool,
    ) -> (Vec<Row>, Vec<Bad>) {
        let mut reader = Reader::new(spec.clone(), max);
        let mut input = Slow { bytes: input, step };
        let (mut records, mut bads) = (Vec::new(), Vec::new());
        let mut batch = Batch::default();
        loop {
            let filled = reader.fill(&mut input, &mut batch).unwrap();
            if fresh || is_full(&batch) {
                records.extend(rows(&batch));
                batch.clear();
            }
            match filled {
                Filled::More => {}
                Filled::Bad(bad) => bads.push(bad),
                Filled::End => break,
            }
        }
        records.extend(rows(&batch));
        (records, bads)
    }

    fn values(spec: &InputSpec, input: &[u8]) -> Vec<Vec<u8>> {
        let (records, bads) = read_all(spec, 1 << 20, input, 1 << 20, false);
        assert_eq!(bads, []);
        records.into_iter().map(|row| row.1.unwrap()).collect()
    }

    fn lines() -> InputSpec {
        InputSpec::default()
    }

    fn format(text: &str) -> InputSpec {
        let format = FormatInput::compile(&Template::parse(text).unwrap()).unwrap();
        InputSpec { form: Form::Format(format), ..lines() }
    }

    /// xorshift64*: the same bytes in every run.
    fn random(seed: &mut u64) -> u64 {
        *seed ^= *seed >> 12;
        *seed ^= *seed << 25;
        *seed ^= *seed >> 27;
        seed.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    #[test]
    fn every_line_is_a_record_also_empty_and_last_ones() {
        let cases: [(&[u8], &[&[u8]]); 6] = [
            (b"", &[]),
            (b"\n", &[b""]),
            (b"a\nb", &[b"a", b"b"]),
            (b"a\n\nb\n", &[b"a", b"", b"b"]),
            (b"a\r\nb\r\n", &[b"a\r", b"b\r"]),
            (b"\x00\xff\n\xfe", &[b"\x00\xff", b"\xfe"]),
        ];
        for (input, expected) in cases {
            assert_eq!(values(&lines(), input), expected);
        }
    }

    #[test]
    fn one_carriage_return_goes_when_asked() {
        let spec = InputSpec { crlf: true, ..lines() };
        assert_eq!(values(&spec, b"a\r\r\nb\n\r\nc\r"), [&b"a\r"[..], b"b", b"", b"c\r"]);
    }

    #[test]
    fn a_delimiter_can_have_many_bytes() {
        let with = |delimiter: &[u8]| InputSpec { delimiter: delimiter.to_vec(), ..lines() };
        assert_eq!(values(&with(b"\0"), b"a\n\0b"), [&b"a\n"[..], b"b"]);
        assert_eq!(values(&with(b"aab"), b"xaaabyaabz"), [&b"xa"[..], b"y", b"z"]);
        assert_eq!(values(&with(b"\n\n"), b"a\n\n\nb\n\n"), [&b"a"[..], b"\nb"]);
    }

    #[test]
    fn the_size_of_reads_and_batches_changes_nothing() {
        let mut seed = 7;
        let alphabet = b"ab:\n\r{}\"1";
        let input: Vec<u8> =
            (0..40_000).map(|_| alphabet[random(&mut seed) as usize % alphabet.len()]).collect();
        let key = Some(b":".to_vec());
        let specs = [
            lines(),
            InputSpec { crlf: true, key_delimiter: key.clone(), ..lines() },
            InputSpec { delimiter: b"a\n".to_vec(), null_empty: true, ..lines() },
            InputSpec { form: Form::Json, key_delimiter: key, key: Some(b"k".to_vec()), ..lines() },
            InputSpec { form: Form::Envelope, ..lines() },
            format(r"%k:%s\r\n"),
        ];
        for spec in specs {
            for max in [3, 1 << 20] {
                let expected = read_all(&spec, max, &input, usize::MAX, false);
                for (step, fresh) in [(1, false), (7, false), (7, true), (64 << 10, false), (64 << 10, true)]
                {
                    let got = read_all(&spec, max, &input, step, fresh);
                    assert!(got.0 == expected.0, "{spec:?} max {max} step {step}");
                    // Of a line that is too long, no more is kept than was read when that showed.
                    let told = |bads: &[Bad]| bads.iter().map(Bad::to_string).collect::<Vec<_>>();
                    assert!(told(&got.1) == told(&expected.1), "{spec:?} max {max} step {step}");
                }
            }
        }
    }

    #[test]
    fn a_record_larger_than_an_arena_is_read_whole() {
        let mut input = b"first\n".to_vec();
        input.resize(3 << 20, b'x');
        input.extend(b"\nlast");
        for step in [64 << 10, usize::MAX] {
            let (records, bads) = read_all(&lines(), 1 << 30, &input, step, false);
            let lengths: Vec<usize> = records.iter().map(|row| row.1.as_ref().unwrap().len()).collect();
            assert_eq!(lengths, [5, (3 << 20) - 6, 4]);
            assert_eq!(bads, []);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_with_bounded_memory() {
        let long = [b"ok\n".to_vec(), vec![b'x'; 20 << 20], b"\nafter\r\n".to_vec()].concat();
        let spec = InputSpec { crlf: true, ..lines() };
        let mut reader = Reader::new(spec, 100_000);
        let (mut input, mut batch) = (Slow { bytes: &long, step: usize::MAX }, Batch::default());
        let mut bads = Vec::new();
        loop {
            match reader.fill(&mut input, &mut batch).unwrap() {
                Filled::Bad(bad) => bads.push(bad),
                Filled::End => break,
                Filled::More => {}
            }
            assert!(reader.held.bytes.capacity() < 2 << 20);
        }
        let [bad] = &bads[..] else { panic!("{} bad lines", bads.len()) };
        assert_eq!((bad.line, bad.raw.len()), (2, KEPT));
        assert_eq!(bad.to_string(), "line 2: longer than max.request.size (100000 bytes)");
        assert_eq!(rows(&batch), [(None, Some(b"ok".to_vec()), 1), (None, Some(b"after".to_vec()), 3)]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_a_record() {
        for (delimiter, step) in [(&b"\n"[..], 1), (b"\r\n", 1), (b"\r\n", 100)] {
            let spec = InputSpec { delimiter: delimiter.to_vec(), ..lines() };
            let input = [b"abcd", delimiter, b"abcde", delimiter, b"abcd"].concat();
            let (records, bads) = read_all(&spec, 4, &input, step, false);
            assert_eq!(records.iter().map(|row| row.2).collect::<Vec<_>>(), [1, 3]);
            assert_eq!(bads.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2]);
        }
    }

    #[test]
    fn the_key_stands_before_the_first_delimiter() {
        let spec = InputSpec { key_delimiter: Some(b"::".to_vec()), ..lines() };
        let (records, _) = read_all(&spec, 99, b"k::v::w\nno key\n::v\nk::\n", 99, false);
        let some = |text: &str| Some(text.as_bytes().to_vec());
        let expected = [
            (some("k"), some("v::w"), 1),
            (None, some("no key"), 2),
            (some(""), some("v"), 3),
            (some("k"), some(""), 4),
        ];
        assert_eq!(records, expected);
        let nulls = InputSpec { null_empty: true, key: Some(b"fixed".to_vec()), ..spec };
        let (records, _) = read_all(&nulls, 99, b"no key\n::v\nk::\n", 99, false);
        assert_eq!(records, [(some("fixed"), some("no key"), 1), (None, some("v"), 2), (some("k"), None, 3)]);
    }

    #[test]
    fn what_all_records_share_is_in_every_batch_once() {
        let spec = InputSpec {
            key: Some(b"key".to_vec()),
            headers: vec![(b"h".to_vec(), Some(b"1".to_vec())), (b"h".to_vec(), None)],
            partition: Some(3),
            timestamp: Some(1000),
            ..lines()
        };
        let mut reader = Reader::new(spec, 99);
        let mut batch = Batch::default();
        for _ in 0..2 {
            batch.clear();
            let mut input = Slow { bytes: b"a\nb\nc", step: 2 };
            reader.fill(&mut input, &mut batch).unwrap();
            reader.fill(&mut input, &mut batch).unwrap();
            assert_eq!(batch.bytes, b"keyh1ha\nb\n");
            for span in batch.spans() {
                assert_eq!(
                    (batch.slice(span.key), span.partition, span.timestamp),
                    (Some(&b"key"[..]), 3, 1000)
                );
                assert_eq!(span.headers, (0, 2));
            }
        }
    }

    #[test]
    fn json_goes_through_unchanged_and_what_is_none_stops() {
        let spec = InputSpec { form: Form::Json, ..lines() };
        let input = b" {\"a\": 1.0}\r\n{bad\n[1]\n\n\"x\"";
        for step in [1, 3, 1000] {
            let (records, bads) = read_all(&spec, 99, input, step, true);
            let values: Vec<_> = records.into_iter().map(|row| (row.1.unwrap(), row.2)).collect();
            assert_eq!(
                values,
                [(b" {\"a\": 1.0}\r".to_vec(), 1), (b"[1]".to_vec(), 3), (b"\"x\"".to_vec(), 5)]
            );
            assert_eq!(bads[0].to_string(), "line 2: not JSON: key must be a string at column 2");
            assert_eq!(bads[0].raw, b"{bad");
            assert_eq!(bads[1].to_string(), "line 4: not JSON: EOF while parsing a value at column 0");
        }
    }

    #[test]
    fn records_before_a_bad_one_are_in_the_batch_and_those_after_it_are_ready() {
        let spec = InputSpec { form: Form::Json, ..lines() };
        let mut reader = Reader::new(spec, 99);
        reader.start(Some("in.json"));
        let (mut input, mut batch) = (&b"1\nx\n2\n3"[..], Batch::default());
        let Filled::Bad(bad) = reader.fill(&mut input, &mut batch).unwrap() else { panic!("no bad record") };
        assert_eq!(bad.to_string(), "in.json:2: not JSON: expected value at column 1");
        assert_eq!((batch.len(), batch.source()), (1, Some("in.json")));
        assert!(reader.ready());
        assert_eq!(reader.fill(&mut io::empty(), &mut batch).unwrap(), Filled::More);
        assert_eq!((batch.len(), reader.ready(), reader.pending()), (2, false, 1));
        assert_eq!(reader.finish(&mut batch), Filled::End);
        assert_eq!(batch.len(), 3);
    }

    #[test]
    fn an_unfinished_record_is_completed_byte_by_byte() {
        for (spec, input) in [(lines(), &b"one\ntwo\nthree\n"[..]), (format("%S %s"), b"3 one3 two5 three")] {
            let mut reader = Reader::new(spec, 99);
            let (mut input, mut batch) = (Slow { bytes: input, step: 7 }, Batch::default());
            reader.fill(&mut input, &mut batch).unwrap();
            assert_eq!(batch.len(), 1);
            let mut fed = 0;
            while reader.wants_more() {
                let mut byte = [0];
                input.read_exact(&mut byte).unwrap();
                assert_eq!(reader.feed(byte[0], &mut batch), Filled::More);
                fed += 1;
            }
            assert_eq!((fed, reader.pending()), (if batch.bytes == b"onetwo" { 3 } else { 1 }, 0));
            assert_eq!(rows(&batch)[1].1.as_deref(), Some(&b"two"[..]));
            assert_eq!(reader.finish(&mut batch), Filled::End);
            assert_eq!(batch.len(), 2);
        }
    }

    #[test]
    fn an_interrupted_read_loses_nothing() {
        struct Interrupted(Vec<&'static [u8]>);
        impl Read for Interrupted {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.0.pop() {
                    Some(b"!") => Err(io::ErrorKind::Interrupted.into()),
                    Some(mut bytes) => bytes.read(buffer),
                    None => Ok(0),
                }
            }
        }
        for spec in [lines(), format(r"%s\n")] {
            let mut input = Interrupted(vec![b"c", b"!", b"ab"]);
            let (mut reader, mut batch) = (Reader::new(spec, 99), Batch::default());
            assert_eq!(reader.fill(&mut input, &mut batch).unwrap(), Filled::More);
            let error = reader.fill(&mut input, &mut batch).unwrap_err();
            assert_eq!(
                (error.kind(), batch.bytes.len(), reader.pending()),
                (io::ErrorKind::Interrupted, 0, 2)
            );
            assert_eq!(reader.fill(&mut input, &mut batch).unwrap(), Filled::More);
            assert_eq!(reader.fill(&mut input, &mut batch).unwrap(), Filled::End);
            assert_eq!(batch.bytes, b"abc");
        }
    }

    #[test]
    fn a_descriptor_is_read_into_free_memory() {
        let (out, input) = rustix::pipe::pipe().map(|(read, write)| (write, read)).unwrap();
        rustix::io::write(&out, b"one\ntw").unwrap();
        let (mut reader, mut batch) = (Reader::new(lines(), 99), Batch::default());
        let mut input = Fd(input);
        assert_eq!(reader.fill(&mut input, &mut batch).unwrap(), Filled::More);
        assert_eq!(batch.bytes, b"one\n");
        rustix::io::write(&out, b"o\n").unwrap();
        drop(out);
        assert_eq!(reader.fill(&mut input, &mut batch).unwrap(), Filled::More);
        assert_eq!(reader.fill(&mut input, &mut batch).unwrap(), Filled::End);
        let values: Vec<_> = rows(&batch).into_iter().map(|row| row.1.unwrap()).collect();
        assert_eq!(values, [b"one".to_vec(), b"two".to_vec()]);
    }

    #[test]
    fn messages_and_whole_files_are_records() {
        let spec = InputSpec { key_delimiter: Some(b":".to_vec()), null_empty: true, ..lines() };
        let (mut reader, mut batch) = (Reader::new(spec, 5), Batch::default());
        reader.message(b"k:v", &mut batch).unwrap();
        reader.whole(b"k:v\n", &mut batch).unwrap();
        reader.whole(b"", &mut batch).unwrap();
        let expected = [
            (Some(b"k".to_vec()), Some(b"v".to_vec()), 1),
            (None, Some(b"k:v\n".to_vec()), 2),
            (None, None, 3),
        ];
        assert_eq!(rows(&batch), expected);
        assert_eq!(reader.whole(b"123456", &mut batch).unwrap_err().line, 4);
        assert_eq!(reader.message(b"123456", &mut batch).unwrap_err().line, 5);
        assert_eq!(batch.len(), 3);
    }

    #[test]
    fn an_empty_delimiter_does_not_hang() {
        let spec = InputSpec { delimiter: Vec::new(), ..lines() };
        assert_eq!(values(&spec, b"a\nb"), [b"a", b"b"]);
    }

    #[test]
    fn tiny_records_fill_a_batch_by_their_number() {
        let input = vec![b'\n'; 200_000];
        let (mut reader, mut batch) = (Reader::new(lines(), 99), Batch::default());
        let (mut input, mut sizes, mut line) = (&input[..], Vec::new(), 0);
        loop {
            let filled = reader.fill(&mut input, &mut batch).unwrap();
            if filled == Filled::End || is_full(&batch) {
                for span in batch.spans() {
                    line += 1;
                    assert_eq!((span.line, batch.slice(span.value)), (line, Some(&b""[..])));
                }
                sizes.push(batch.len());
                batch.clear();
            }
            if filled == Filled::End {
                break;
            }
        }
        assert_eq!(line, 200_000);
        // As many as it takes of a read, and what is left of that in batches that are full earlier.
        assert_eq!((sizes[0], *sizes.iter().max().unwrap(), sizes[1]), (SPANS_MAX, SPANS_MAX, SPANS));
    }
}
