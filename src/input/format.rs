//! Records read by a format string: the same letters as for output. Text between two fields ends
//! the first; a length (`%S`, `%K`, `%R`) before its field says how long it is, whatever its bytes.

use std::borrow::Cow;

use chrono::DateTime;
use serde_json::value::RawValue;

use super::decode::{Parts, Reason, add_header};
use super::delimiter::Delimiter;
use super::envelope;
use crate::escape::{TextError, hex_digit};
use crate::format::{Encoding, Field, Piece, Template};
use crate::record::{Batch, Slice};

/// A format string compiled for input.
#[derive(Debug, Clone)]
pub struct FormatInput {
    steps: Vec<Step>,
    framing: Framing,
}

/// How records of a format are told from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each is followed by a delimiter: the text the format ends in, or the spec's.
    Delimited(Option<Vec<u8>>),
    /// Lengths say where each ends, so that any bytes can be in it; this text follows it.
    Sized(Vec<u8>),
}

#[derive(Debug, Clone)]
enum Step {
    Literal(Vec<u8>, Delimiter),
    Field(Field, Encoding, Extent),
}

/// Where a field ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// At the text that is the next step; as the last step, at the end of the piece of input.
    NextLiteral,
    /// As the length read before says.
    Length,
    /// After so many bytes.
    Bytes(usize),
}

/// A field as it stands in the input; `None` where its length says null.
type RawField<'a> = (Option<&'a [u8]>, Encoding);

/// The fields of one record, by [`Field`].
#[derive(Debug, Default)]
struct Found<'a> {
    fields: [Option<RawField<'a>>; Field::COUNT],
    /// Bytes used.
    end: usize,
}

/// Why no record was found.
#[derive(Debug)]
pub(super) enum Fault {
    /// There may be one when more bytes have come.
    Short(Reason),
    /// There is none, whatever comes.
    Bad(Reason),
}

impl FormatInput {
    /// Compiles a format for reading.
    ///
    /// # Errors
    /// For what can be written but not read back, with its place: two fields with nothing between
    /// them, a length after its field or with an encoded field, a field that is there twice,
    /// neither `%s` nor `%k`.
    pub fn compile(template: &Template) -> Result<Self, TextError> {
        let mistake = |at, what: &str| TextError::new(template.text(), at, what);
        let mut steps: Vec<Step> = Vec::new();
        for piece in template.pieces() {
            match piece {
                Piece::Literal(text) => steps.push(literal(text)),
                Piece::Field { field, encoding, at } => {
                    let step = field_step(&steps, *field, *encoding).map_err(|what| mistake(*at, what))?;
                    steps.push(step);
                }
            }
        }
        if !has(&steps, Field::Value) && !has(&steps, Field::Key) {
            return Err(mistake(0, "neither %s nor %k to read"));
        }
        if unused_length(&steps) {
            return Err(mistake(0, "a length without its field after it"));
        }
        let framing = frame(&mut steps);
        Ok(Self { steps, framing })
    }

    pub(super) fn framing(&self) -> &Framing {
        &self.framing
    }

    /// The number of bytes of the record at the start of `bytes`; for sized formats.
    pub(super) fn measure(&self, bytes: &[u8]) -> Result<usize, Fault> {
        self.find(bytes).map(|found| found.end)
    }

    /// Reads one record, its parts appended to the batch. An error leaves bytes behind in the arena.
    pub(super) fn read<'a>(&self, raw: &'a [u8], batch: &mut Batch) -> Result<Parts<'a>, Reason> {
        let found = match self.find(raw) {
            Ok(found) if found.end < raw.len() => return Err("more than the format says".to_owned()),
            Ok(found) => found,
            Err(Fault::Short(reason) | Fault::Bad(reason)) => return Err(reason),
        };
        Ok(Parts {
            key: found.get(Field::Key).map(|raw| decode(raw, "%k", batch)).transpose()?,
            value: found.get(Field::Value).map(|raw| decode(raw, "%s", batch)).transpose()?,
            headers: found
                .get(Field::Headers)
                .map(|raw| headers(raw, batch))
                .transpose()?
                .filter(|h| h.1 > 0),
            partition: found.get(Field::Partition).map(partition).transpose()?.flatten(),
            timestamp: found.get(Field::Timestamp).map(timestamp).transpose()?.flatten(),
            topic: found.get(Field::Topic).map(topic).transpose()?.flatten(),
        })
    }

    fn find<'a>(&self, bytes: &'a [u8]) -> Result<Found<'a>, Fault> {
        let mut found = Found::default();
        for (i, step) in self.steps.iter().enumerate() {
            let rest = bytes.get(found.end..).unwrap_or_default();
            match step {
                Step::Literal(text, _) => {
                    expect(text, rest)?;
                    found.end += text.len();
                }
                Step::Field(field, encoding, extent) => {
                    let raw = match extent {
                        Extent::NextLiteral => Some(up_to(self.steps.get(i + 1), rest)?),
                        Extent::Bytes(len) => Some(exactly(*len, rest)?),
                        Extent::Length => match found.length_of(*field)? {
                            Some(len) => Some(exactly(len, rest)?),
                            None => None,
                        },
                    };
                    found.end += raw.map_or(0, <[u8]>::len);
                    found.fields[*field as usize] = Some((raw, *encoding));
                }
            }
        }
        Ok(found)
    }
}

impl<'a> Found<'a> {
    fn get(&self, field: Field) -> Option<RawField<'a>> {
        self.fields[field as usize]
    }

    /// The length that was read for a field; `None` for null.
    fn length_of(&self, field: Field) -> Result<Option<usize>, Fault> {
        let [text, binary] = lengths_of(field).map(|length| self.get(length).and_then(|raw| raw.0));
        let len = match (text, binary) {
            (None, Some(bytes)) => bytes.try_into().ok().map(|b| i64::from(i32::from_be_bytes(b))),
            _ => text.and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok()),
        };
        match len {
            Some(-1) => Ok(None),
            Some(len) if len >= 0 => Ok(usize::try_from(len).ok()),
            _ => {
                let shown = text.or(binary).unwrap_or_default().escape_ascii();
                Err(Fault::Bad(format!("'{shown}' is not a length")))
            }
        }
    }
}

/// The fields that can hold the length of this one, as text and as four bytes.
fn lengths_of(field: Field) -> [Field; 2] {
    match field {
        Field::Key => [Field::KeyLen, Field::KeyLen],
        _ => [Field::ValueLen, Field::ValueLen32],
    }
}

fn literal(text: &[u8]) -> Step {
    Step::Literal(text.to_vec(), Delimiter::new(text))
}

fn has(steps: &[Step], field: Field) -> bool {
    steps.iter().any(|step| matches!(step, Step::Field(f, _, _) if *f == field))
}

/// The step for a field that follows `steps`.
fn field_step(steps: &[Step], field: Field, encoding: Encoding) -> Result<Step, &'static str> {
    if has(steps, field) {
        return Err("the same field twice");
    }
    if let Some(Step::Field(_, _, Extent::NextLiteral)) = steps.last() {
        return Err("no text before this field that ends the field before it");
    }
    let measured = match field {
        Field::ValueLen | Field::ValueLen32 => Some(Field::Value),
        Field::KeyLen => Some(Field::Key),
        _ => None,
    };
    if measured.is_some_and(|measured| has(steps, measured)) {
        return Err("a length after its field");
    }
    let extent = match field {
        Field::ValueLen32 => Extent::Bytes(4),
        Field::Value | Field::Key if lengths_of(field).iter().any(|length| has(steps, *length)) => {
            Extent::Length
        }
        _ => Extent::NextLiteral,
    };
    if extent == Extent::Length && encoding != Encoding::Plain {
        return Err("a length before this encoded field, whose text is longer");
    }
    Ok(Step::Field(field, encoding, extent))
}

fn unused_length(steps: &[Step]) -> bool {
    let unused = |field| !has(steps, field) && lengths_of(field).iter().any(|length| has(steps, *length));
    let twice = has(steps, Field::ValueLen) && has(steps, Field::ValueLen32);
    unused(Field::Key) || unused(Field::Value) || twice
}

/// Takes what separates records off the steps, or makes sure it is there.
fn frame(steps: &mut Vec<Step>) -> Framing {
    let sized = steps.iter().any(|step| matches!(step, Step::Field(_, _, Extent::Length)));
    match (steps.last().cloned(), sized) {
        (Some(Step::Literal(text, _)), true) => Framing::Sized(text),
        (Some(Step::Literal(text, _)), false) => {
            steps.pop();
            Framing::Delimited(Some(text))
        }
        (Some(Step::Field(_, _, Extent::NextLiteral)), true) => {
            steps.push(literal(b"\n"));
            Framing::Sized(b"\n".to_vec())
        }
        (_, true) => Framing::Sized(Vec::new()),
        (_, false) => Framing::Delimited(None),
    }
}

fn expect(text: &[u8], rest: &[u8]) -> Result<(), Fault> {
    if rest.starts_with(text) {
        return Ok(());
    }
    let reason = format!("no '{}' where the format has it", text.escape_ascii());
    Err(if text.starts_with(rest) { Fault::Short(reason) } else { Fault::Bad(reason) })
}

fn up_to<'a>(next: Option<&Step>, rest: &'a [u8]) -> Result<&'a [u8], Fault> {
    let Some(Step::Literal(text, delimiter)) = next else { return Ok(rest) };
    let missing = || Fault::Short(format!("no '{}' where the format has it", text.escape_ascii()));
    delimiter.find(rest).and_then(|end| rest.get(..end)).ok_or_else(missing)
}

fn exactly(len: usize, rest: &[u8]) -> Result<&[u8], Fault> {
    rest.get(..len).ok_or_else(|| Fault::Short(format!("{} bytes where the format has {len}", rest.len())))
}

/// Appends what a key or value stands for.
fn decode((bytes, encoding): RawField<'_>, what: &str, batch: &mut Batch) -> Result<Slice, Reason> {
    let Some(bytes) = bytes else { return Ok(Slice::NULL) };
    match encoding {
        Encoding::Plain | Encoding::Rfc3339 => Ok(batch.append(bytes)),
        Encoding::Base64 => envelope::base64(bytes, what, batch),
        Encoding::Hex => hex(bytes, batch).ok_or_else(|| format!("{what} is not hexadecimal")),
        Encoding::Json => envelope::text(json(bytes, what)?, what, batch),
    }
}

fn hex(digits: &[u8], batch: &mut Batch) -> Option<Slice> {
    let start = batch.bytes.len();
    for pair in digits.chunks(2) {
        let [high, low] = pair else { return None };
        batch.bytes.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
    }
    Some(Slice::new(start, batch.bytes.len()))
}

fn json<'a>(bytes: &'a [u8], what: &str) -> Result<&'a RawValue, Reason> {
    let text = crate::format::is_json(bytes).map_err(|reason| format!("{what} is {reason}"))?;
    serde_json::from_str(text).map_err(|e| format!("{what} is not JSON: {e}"))
}

/// `n=v,n=v`, as kcat prints them, or their JSON. A name without `=` has a null value.
fn headers((bytes, encoding): RawField<'_>, batch: &mut Batch) -> Result<(u32, u32), Reason> {
    let bytes = bytes.unwrap_or_default();
    if encoding == Encoding::Json {
        return envelope::headers(json(bytes, "%h")?, batch);
    }
    let mut run = (0, 0);
    for header in bytes.split(|b| *b == b',').filter(|header| !header.is_empty()) {
        let equals = memchr::memchr(b'=', header);
        let (name, value) = header.split_at(equals.unwrap_or(header.len()));
        let name = batch.append(name);
        let value = value.get(1..).map_or(Slice::NULL, |value| batch.append(value));
        add_header(&mut run, batch.push_header(name, value));
    }
    Ok(run)
}

fn utf8<'a>((bytes, _): RawField<'a>, what: &str) -> Result<&'a str, Reason> {
    std::str::from_utf8(bytes.unwrap_or_default()).map_err(|_| format!("{what} is not UTF-8"))
}

/// Empty and -1 are none.
fn partition(raw: RawField<'_>) -> Result<Option<i32>, Reason> {
    match utf8(raw, "%p")? {
        "" | "-1" => Ok(None),
        text => match text.parse() {
            Ok(number @ 0..) => Ok(Some(number)),
            _ => Err(format!("%p '{}' is not a partition", text.escape_debug())),
        },
    }
}

/// Empty and -1 are none.
fn timestamp(raw: RawField<'_>) -> Result<Option<i64>, Reason> {
    let text = utf8(raw, "%T")?;
    let time = match raw.1 {
        _ if matches!(text, "" | "-1") => return Ok(None),
        Encoding::Rfc3339 => DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis()),
        _ => text.parse().ok(),
    };
    match time {
        Some(ms @ 0..) => Ok(Some(ms)),
        _ => Err(format!("%T '{}' is not a time", text.escape_debug())),
    }
}

fn topic(raw: RawField<'_>) -> Result<Option<Cow<'_, str>>, Reason> {
    let name = utf8(raw, "%t")?;
    Ok((!name.is_empty()).then_some(Cow::Borrowed(name)))
}
