//! Format strings: kcat's letters with modifiers in braces, compiled once for output (`-f`) and
//! shared with input (`-i`).

use chrono::{DateTime, Datelike, Timelike};

use super::{envelope, json, push_int};
use crate::escape::{self, TextError};
use crate::record::RecordRef;

/// A compiled format string.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

/// A part of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Bytes as they are; never two in a row, never empty.
    Literal(Vec<u8>),
    /// A part of the record, and at which byte of the format it is asked for.
    Field { field: Field, encoding: Encoding, at: usize },
}

/// What a letter stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Value,
    ValueLen,
    /// 4 bytes, big-endian.
    ValueLen32,
    Key,
    KeyLen,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Headers,
}

/// What a modifier asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Base64,
    Hex,
    Json,
    Rfc3339,
}

const FIELDS: [(u8, Field); 10] = [
    (b's', Field::Value),
    (b'S', Field::ValueLen),
    (b'R', Field::ValueLen32),
    (b'k', Field::Key),
    (b'K', Field::KeyLen),
    (b't', Field::Topic),
    (b'p', Field::Partition),
    (b'o', Field::Offset),
    (b'T', Field::Timestamp),
    (b'h', Field::Headers),
];

impl Field {
    /// How many there are.
    pub(crate) const COUNT: usize = FIELDS.len();

    /// The modifiers that make sense for it.
    fn encodings(self) -> &'static [(&'static str, Encoding)] {
        match self {
            Self::Value | Self::Key => {
                &[("base64", Encoding::Base64), ("hex", Encoding::Hex), ("json", Encoding::Json)]
            }
            Self::Headers => &[("json", Encoding::Json)],
            Self::Timestamp => &[("rfc3339", Encoding::Rfc3339)],
            _ => &[],
        }
    }
}

impl Template {
    /// Compiles a format: `%s %S %k %K %t %p %o %T %h %R %%`, `\n \r \t \0 \\ \xNN`, `%s{base64}`,
    /// `{hex}`, `{json}`, `%T{rfc3339}`.
    ///
    /// # Errors
    /// For everything else, with its place.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let mistake = |(offset, what)| TextError::new(text, at + offset, what);
            at += match rest.as_bytes() {
                [b'%', b'%', ..] => push_literal(&mut pieces, b"%", 2),
                [b'%', ..] => {
                    let (field, encoding, taken) = parse_field(rest).map_err(mistake)?;
                    pieces.push(Piece::Field { field, encoding, at });
                    taken
                }
                [b'\\', ..] => {
                    let (byte, taken) =
                        escape::next(rest.as_bytes()).map_err(|what| mistake((0, what.to_owned())))?;
                    push_literal(&mut pieces, &[byte], taken)
                }
                _ => {
                    let end = rest.find(['%', '\\']).unwrap_or(rest.len());
                    push_literal(&mut pieces, &rest.as_bytes()[..end], end)
                }
            };
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// The format as it was typed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its parts in order.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Appends a record to `out`. Null keys and values are nothing (their length is -1), a null
    /// header value is `NULL`.
    pub fn append(&self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Field { field, encoding, .. } => push_field(out, record, *field, *encoding),
            }
        }
    }
}

/// Adds to the last literal or starts one; passes `taken` on.
fn push_literal(pieces: &mut Vec<Piece>, bytes: &[u8], taken: usize) -> usize {
    if let Some(Piece::Literal(literal)) = pieces.last_mut() {
        literal.extend_from_slice(bytes);
    } else {
        pieces.push(Piece::Literal(bytes.to_vec()));
    }
    taken
}

/// The field at the start of `rest` (a `%`) and how many bytes say so; or where in `rest` the
/// mistake is, and what.
fn parse_field(rest: &str) -> Result<(Field, Encoding, usize), (usize, String)> {
    let letter = rest.chars().nth(1).ok_or((0, "% without a letter (%% is a percent sign)".to_owned()))?;
    let known = FIELDS.iter().find(|(name, _)| char::from(*name) == letter);
    let Some((_, field)) = known else {
        return Err((0, format!("unknown field %{letter} (known: {})", known_fields())));
    };
    let Some(braces) = rest.get(2..).and_then(|r| r.strip_prefix('{')) else {
        return Ok((*field, Encoding::Plain, 2));
    };
    let (name, _) = braces.split_once('}').ok_or((2, "{ without }".to_owned()))?;
    let encoding = field.encodings().iter().find(|(n, _)| *n == name);
    let encoding = encoding.ok_or_else(|| (2, unknown_modifier(letter, *field, name)))?;
    Ok((*field, encoding.1, 2 + name.len() + 2))
}

fn known_fields() -> String {
    let names: Vec<String> = FIELDS.iter().map(|(letter, _)| format!("%{}", char::from(*letter))).collect();
    names.join(" ")
}

fn unknown_modifier(letter: char, field: Field, name: &str) -> String {
    let known: Vec<String> = field.encodings().iter().map(|(n, _)| format!("{{{n}}}")).collect();
    if known.is_empty() {
        format!("%{letter} takes no modifier ({{ itself is \\x7b)")
    } else {
        format!("unknown modifier {{{name}}} (%{letter} takes {})", known.join(" "))
    }
}

fn push_field(out: &mut Vec<u8>, record: &RecordRef<'_>, field: Field, encoding: Encoding) {
    match field {
        Field::Value => push_encoded(out, record.value, encoding),
        Field::Key => push_encoded(out, record.key, encoding),
        Field::ValueLen => push_int(out, length(record.value)),
        Field::KeyLen => push_int(out, length(record.key)),
        Field::ValueLen32 => out.extend((length(record.value) as i32).to_be_bytes()),
        Field::Topic => out.extend_from_slice(record.topic.as_bytes()),
        Field::Partition => push_int(out, record.partition.into()),
        Field::Offset => push_int(out, record.offset),
        Field::Timestamp if encoding == Encoding::Rfc3339 => push_rfc3339(out, record.timestamp),
        Field::Timestamp => push_int(out, record.timestamp),
        Field::Headers if encoding == Encoding::Json => envelope::push_headers(out, record.headers),
        Field::Headers => push_headers(out, record),
    }
}

/// The length as kcat gives it: -1 is null.
fn length(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(-1, |b| b.len() as i64)
}

fn push_encoded(out: &mut Vec<u8>, bytes: Option<&[u8]>, encoding: Encoding) {
    let plain = bytes.unwrap_or_default();
    match encoding {
        Encoding::Base64 => json::push_base64(out, plain),
        Encoding::Hex => plain.iter().for_each(|b| escape::push_hex(out, *b)),
        Encoding::Json => json::push_bytes(out, bytes),
        Encoding::Plain | Encoding::Rfc3339 => out.extend_from_slice(plain),
    }
}

fn push_headers(out: &mut Vec<u8>, record: &RecordRef<'_>) {
    let mut first = true;
    record.headers.for_each(&mut |name, value| {
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value.unwrap_or(b"NULL"));
    });
}

/// Appends a time as `2023-11-14T22:13:20.000Z`; nothing when the record has none, and the number
/// when it is outside the years 0 to 9999.
fn push_rfc3339(out: &mut Vec<u8>, ms: i64) {
    if ms == -1 {
        return;
    }
    let Some(time) = DateTime::from_timestamp_millis(ms).filter(|t| (0..=9999).contains(&t.year())) else {
        return push_int(out, ms);
    };
    let fields = [
        (time.year() as u32, 4, b'-'),
        (time.month(), 2, b'-'),
        (time.day(), 2, b'T'),
        (time.hour(), 2, b':'),
        (time.minute(), 2, b':'),
        (time.second(), 2, b'.'),
        (time.timestamp_subsec_millis(), 3, b'Z'),
    ];
    for (number, width, end) in fields {
        push_padded(out, number, width);
        out.push(end);
    }
}

fn push_padded(out: &mut Vec<u8>, number: u32, width: u32) {
    for power in (0..width).rev() {
        out.push(b'0' + (number / 10_u32.pow(power) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;
    use crate::record::NoHeaders;

    fn written(format: &str, record: &RecordRef<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Template::parse(format).unwrap().append(&mut out, record);
        out
    }

    #[test]
    fn every_letter_and_modifier_prints_its_field() {
        let headers: &[(&[u8], Option<&[u8]>)] = &[(b"a", Some(b"1")), (b"b", None)];
        let record = record(Some(b"k"), Some(b"v\xff"), &headers);
        let cases: [(&str, &[u8]); 19] = [
            ("%s", b"v\xff"),
            ("%S", b"2"),
            ("%R", b"\0\0\0\x02"),
            ("%k", b"k"),
            ("%K", b"1"),
            ("%t/%p/%o", b"t/0/5"),
            ("%T", b"1700000000000"),
            ("%T{rfc3339}", b"2023-11-14T22:13:20.000Z"),
            ("%h", b"a=1,b=NULL"),
            ("%h{json}", br#"[["a","1"],["b",null]]"#),
            ("%s{base64}", b"dv8="),
            ("%s{hex}", b"76ff"),
            ("%s{json}", br#"{"base64":"dv8="}"#),
            ("%k{json}", b"\"k\""),
            ("100%%", b"100%"),
            (r"%k\t%s\n", b"k\tv\xff\n"),
            (r"\x00\0\\n", b"\0\0\\n"),
            ("", b""),
            ("ü%k", "ük".as_bytes()),
        ];
        for (format, bytes) in cases {
            assert_eq!(written(format, &record), bytes, "{format}");
        }
    }

    #[test]
    fn null_is_nothing_with_length_minus_one() {
        let null = record(None, None, &NoHeaders);
        assert_eq!(written("%K:%k:%S:%s:%h", &null), b"-1::-1::");
        assert_eq!(written("%R", &null), b"\xff\xff\xff\xff");
        assert_eq!(written("%k{json}%s{hex}", &null), b"null");
        let empty = record(Some(b""), Some(b""), &NoHeaders);
        assert_eq!(written("%K:%k:%S:%s", &empty), b"0::0:");
    }

    #[test]
    fn times_outside_the_calendar_stay_numbers() {
        let at = |timestamp| {
            let record = RecordRef { timestamp, ..record(None, None, &NoHeaders) };
            String::from_utf8(written("%T{rfc3339}", &record)).unwrap()
        };
        assert_eq!(at(-1), "");
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(1_709_210_096_789), "2024-02-29T12:34:56.789Z");
        assert_eq!(at(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn mistakes_are_pointed_at() {
        let fields = "%s %S %R %k %K %t %p %o %T %h";
        let cases = [
            ("%k %z", format!("unknown field %z (known: {fields}) at character 4 of '%k %z'")),
            ("ü%v", format!("unknown field %v (known: {fields}) at character 2 of 'ü%v'")),
            ("%s%", "% without a letter (%% is a percent sign) at character 3 of '%s%'".to_owned()),
            ("%s{", "{ without } at character 3 of '%s{'".to_owned()),
            (
                "%s{xml}",
                "unknown modifier {xml} (%s takes {base64} {hex} {json}) at character 3 of '%s{xml}'"
                    .to_owned(),
            ),
            ("%p{hex}", r"%p takes no modifier ({ itself is \x7b) at character 3 of '%p{hex}'".to_owned()),
            (r"%s\q", r"unknown escape (use \n \r \t \0 \\ \xNN) at character 3 of '%s\q'".to_owned()),
        ];
        for (format, error) in cases {
            assert_eq!(Template::parse(format).unwrap_err().to_string(), error);
        }
    }
}
