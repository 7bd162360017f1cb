//! Records read by a format string: the same letters as for output. Text between two fields ends
//! the first; a length (`%S`, `%K`, `%R`) before its field says how long it is, whatever its bytes.

use std::borrow::Cow;

use chrono::DateTime;
use serde_json::value::RawValue;

use super::decode::{Parts, Reason};
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
        if has(&steps, Field::ValueLen) && has(&steps, Field::ValueLen32) {
            return Err(mistake(0, "two lengths of one field"));
        }
        if unused_length(&steps, Field::Key) || unused_length(&steps, Field::Value) {
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

fn unused_length(steps: &[Step], field: Field) -> bool {
    !has(steps, field) && lengths_of(field).iter().any(|length| has(steps, *length))
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
        let value = batch.append_nullable(value.get(1..));
        batch.add_header(&mut run, name, value);
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

#[cfg(test)]
mod tests {
    use super::super::{Filled, Form, InputSpec, Reader};
    use super::*;
    use crate::format::Format;

    fn spec(format: &str) -> InputSpec {
        let format = FormatInput::compile(&Template::parse(format).unwrap()).unwrap();
        InputSpec {
            form: Form::Format(format),
            keep_topic: true,
            keep_partition: true,
            ..InputSpec::default()
        }
    }

    /// The records of an input as `topic partition timestamp key headers value`, nulls as `~`; bad
    /// ones as their reason.
    fn read(format: &str, input: &[u8]) -> Vec<String> {
        let mut reader = Reader::new(spec(format), 100);
        let (mut batch, mut seen, mut input) = (Batch::default(), Vec::new(), input);
        loop {
            let filled = reader.fill(&mut input, &mut batch).unwrap();
            seen.extend((0..batch.len()).map(|i| shown(&batch, i)));
            batch.clear();
            match filled {
                Filled::Bad(bad) => seen.push(bad.to_string()),
                Filled::End => return seen,
                Filled::More => {}
            }
        }
    }

    fn shown(batch: &Batch, i: usize) -> String {
        let text = |bytes: Option<&[u8]>| bytes.map_or("~".to_owned(), |b| b.escape_ascii().to_string());
        batch.with_record(i, "own", |record| {
            let mut headers = String::new();
            record.headers.for_each(&mut |name, value| {
                headers += &format!("{}={},", text(Some(name)), text(value));
            });
            let (key, value) = (text(record.key), text(record.value));
            format!("{} {} {} {key} {headers} {value}", record.topic, record.partition, record.timestamp)
        })
    }

    #[test]
    fn text_between_fields_ends_them() {
        let cases: [(&str, &[u8], &[&str]); 12] = [
            (r"%k\t%s\n", b"k\tv\tw\n\t\nx\ty", &["own -1 -1 k  v\\tw", "own -1 -1   ", "own -1 -1 x  y"]),
            ("%s", b"a\nb\n", &["own -1 -1 ~  a", "own -1 -1 ~  b"]),
            (r"%k\n", b"k\n", &["own -1 -1 k  ~"]),
            ("<%k>=<%s>;\\n", b"<k>=<v\n>;\n", &["own -1 -1 k  v\\n"]),
            ("%t %p %o %T %s", b"t 3 9 77 v", &["t 3 77 ~  v"]),
            ("%t %p %T %s", b"  -1 v", &["own -1 -1 ~  v"]),
            ("%T{rfc3339} %s", b"2023-11-14T22:13:20.000Z v", &["own -1 1700000000000 ~  v"]),
            ("%h %s", b"a=1,b=x=y,c v", &["own -1 -1 ~ a=1,b=x=y,c=~, v"]),
            ("%h{json} %s", br#"[["a",null]] v"#, &["own -1 -1 ~ a=~, v"]),
            ("%k{hex} %s{base64}", b"00Ff dv8=", &["own -1 -1 \\x00\\xff  v\\xff"]),
            ("%k{json} %s{json}", br#"null {"base64":"/w=="}"#, &["own -1 -1 ~  \\xff"]),
            ("100%%%s", b"100%v", &["own -1 -1 ~  v"]),
        ];
        for (format, input, records) in cases {
            assert_eq!(read(format, input), records, "{format}");
        }
    }

    #[test]
    fn lengths_let_any_bytes_through() {
        let cases: [(&str, &[u8], &[&str]); 7] = [
            ("%S %s", b"3 a\nb0 1  ", &["own -1 -1 ~  a\\nb", "own -1 -1 ~  ", "own -1 -1 ~   "]),
            (
                r"%S %s\n",
                b"2 \n\n\n-1 \n1 \n",
                &["own -1 -1 ~  \\n\\n", "own -1 -1 ~  ~", "own -1 -1 ~  \\n"],
            ),
            (
                "%R%s",
                b"\0\0\0\x01a\xff\xff\xff\xff\0\0\0\0",
                &["own -1 -1 ~  a", "own -1 -1 ~  ~", "own -1 -1 ~  "],
            ),
            ("%K:%S:%k%s", b"1:2:kvw-1:-1:", &["own -1 -1 k  vw", "own -1 -1 ~  ~"]),
            (r"%K %k %s\n", b"3 a b v\n", &["own -1 -1 a b  v"]),
            ("%K %k %s", b"1 k v\n1 l w\n", &["own -1 -1 k  v", "own -1 -1 l  w"]),
            (r"%S %s\n", b"1 a", &["own -1 -1 ~  a"]),
        ];
        for (format, input, records) in cases {
            assert_eq!(read(format, input), records, "{format}");
        }
    }

    #[test]
    fn what_does_not_fit_the_format_is_named() {
        let cases: [(&str, &[u8], &[&str]); 9] = [
            (
                r"%k\t%s\n",
                b"a\tb\nno tab\nc\td\n",
                &["own -1 -1 a  b", r"line 2: no '\t' where the format has it", "own -1 -1 c  d"],
            ),
            ("%p %s", b"x v", &["line 1: %p 'x' is not a partition"]),
            ("%T %s", b"1.5 v", &["line 1: %T '1.5' is not a time"]),
            ("%s{hex}", b"0g\n0", &["line 1: %s is not hexadecimal", "line 2: %s is not hexadecimal"]),
            ("%s{base64}", b"*", &["line 1: %s is not base64: Invalid symbol 42, offset 0"]),
            ("%s{json}", b"{", &["line 1: %s is not JSON: EOF while parsing an object at column 1"]),
            (
                "%S %s",
                b"1 ax 2 3 c",
                &[
                    "own -1 -1 ~  a",
                    "line 2: 'x' is not a length; where the next record begins cannot be known",
                ],
            ),
            ("%S %s", b"5 abc", &["line 1: 3 bytes where the format has 5"]),
            ("%S %s", b"101 ", &["line 1: 0 bytes where the format has 101"]),
        ];
        for (format, input, records) in cases {
            assert_eq!(read(format, input), records, "{format}");
        }
    }

    #[test]
    fn a_record_over_the_limit_is_bad_in_a_sized_format_too() {
        let input = [&b"101 "[..], &[b'x'; 101], b"1 a"].concat();
        assert_eq!(
            read("%S %s", &input),
            ["line 1: longer than max.request.size (100 bytes)", "own -1 -1 ~  a"]
        );
        let endless = [&b"999999999 "[..], &[b'x'; 100_000]].concat();
        let told = read("%S %s", &endless);
        assert!(told[0].starts_with("line 1: longer than max.request.size (100 bytes); where"), "{told:?}");
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_back_is_refused_with_its_place() {
        let cases = [
            ("%k%s", "no text before this field that ends the field before it at character 3 of '%k%s'"),
            ("%s %s", "the same field twice at character 4 of '%s %s'"),
            ("%s %S", "a length after its field at character 4 of '%s %S'"),
            (
                "%S %s{hex}",
                "a length before this encoded field, whose text is longer at character 4 of '%S %s{hex}'",
            ),
            ("%S %k", "a length without its field after it at character 1 of '%S %k'"),
            ("%S %R%s", "two lengths of one field at character 1 of '%S %R%s'"),
            ("%t", "neither %s nor %k to read at character 1 of '%t'"),
            ("", "neither %s nor %k to read at character 1 of ''"),
        ];
        for (format, error) in cases {
            let template = Template::parse(format).unwrap();
            assert_eq!(FormatInput::compile(&template).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_sized_format_reads_back_what_it_wrote() {
        let bytes: Vec<u8> = (0..=255).collect();
        let fields: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"\n 5 "), Some(&bytes)];
        for format in [r"%K %S %k%s", r"%K,%k,%R%s\n", r"%T %h %K|%S|%k|%s|"] {
            let (mut batch, mut out) = (Batch::default(), Vec::new());
            for (key, value) in fields.iter().flat_map(|key| fields.map(|value| (*key, value))) {
                let [key, value] = [key, value].map(|f| batch.append_nullable(f));
                batch.push(crate::record::Span::new(key, value, 0));
            }
            let output = Format::template(Template::parse(format).unwrap());
            for i in 0..batch.len() {
                batch.with_record(i, "own", |record| output.append(&mut out, record));
            }
            let mut reader = Reader::new(spec(format), 1000);
            let (mut read, mut input) = (Batch::default(), &out[..]);
            while reader.fill(&mut input, &mut read).unwrap() != Filled::End {}
            let all = |batch: &Batch| (0..batch.len()).map(|i| shown(batch, i)).collect::<Vec<_>>();
            assert_eq!(all(&read), all(&batch), "{format}");
        }
    }
}
