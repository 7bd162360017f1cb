//! Records to bytes: what `subscribe` prints, `-T` tees and the failed file holds. A format is
//! compiled once; appending a record to the output buffer allocates nothing.

mod envelope;
mod json;
mod template;

pub use envelope::{Envelope, Failure};
pub use template::Template;

pub(crate) use json::{base64_text, compact, is_json};
pub(crate) use template::{Encoding, Field, Piece};

use crate::escape;
use crate::record::RecordRef;

/// How records are written.
#[derive(Debug, Clone)]
pub struct Format {
    kind: Kind,
    terminal: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    Value { delimiter: Vec<u8> },
    Envelope(Envelope),
    Template(Template),
}

impl Format {
    /// The value and a delimiter; a null value is nothing and the delimiter.
    pub fn value(delimiter: Vec<u8>) -> Self {
        Self::of(Kind::Value { delimiter })
    }

    /// The bytes of the value and nothing else.
    pub fn raw() -> Self {
        Self::value(Vec::new())
    }

    /// A line of JSON (README, "Envelope").
    pub fn json(envelope: Envelope) -> Self {
        Self::of(Kind::Envelope(envelope))
    }

    /// A format string, `-f`.
    pub fn template(template: Template) -> Self {
        Self::of(Kind::Template(template))
    }

    fn of(kind: Kind) -> Self {
        Self { kind, terminal: false }
    }

    /// With `terminal`, what would steer a terminal is shown as `\xNN` ([`escape::for_terminal`]).
    pub fn for_terminal(mut self, terminal: bool) -> Self {
        self.terminal = terminal;
        self
    }

    /// Appends a record to `out`.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        match &self.kind {
            Kind::Value { delimiter } if !self.terminal => append_value(out, record, delimiter),
            _ => self.append_slowly(out, record),
        }
    }

    fn append_slowly(&self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        let start = out.len();
        match &self.kind {
            Kind::Value { delimiter } => append_value(out, record, delimiter),
            Kind::Envelope(envelope) => envelope.append(out, record),
            Kind::Template(template) => template.append(out, record),
        }
        if self.terminal {
            escape::for_terminal(out, start);
        }
    }
}

#[inline]
fn append_value(out: &mut Vec<u8>, record: &RecordRef<'_>, delimiter: &[u8]) {
    let value = record.value.unwrap_or_default();
    out.reserve(value.len() + delimiter.len());
    out.extend_from_slice(value);
    match delimiter {
        [byte] => out.push(*byte),
        _ => out.extend_from_slice(delimiter),
    }
}

/// Appends a number in decimal; `write!` takes several times as long, and there are three numbers
/// in an envelope.
fn push_int(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let mut rest = number.unsigned_abs();
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[digits.len() - used..]);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::{Headers, NoHeaders, TimestampType};

    /// A record for tests; topic `t`, partition 0, offset 5, 1700000000000 ms.
    pub(crate) fn record<'a>(
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: &'a dyn Headers,
    ) -> RecordRef<'a> {
        RecordRef {
            topic: "t",
            partition: 0,
            offset: 5,
            timestamp: 1_700_000_000_000,
            timestamp_type: TimestampType::Create,
            key,
            value,
            headers,
        }
    }

    fn format(format: &Format, value: Option<&[u8]>) -> Vec<u8> {
        let mut out = b"before|".to_vec();
        format.append(&mut out, &record(None, value, &NoHeaders));
        out.split_off(7)
    }

    #[test]
    fn value_and_delimiter_are_appended() {
        let lines = Format::value(b"\r\n".to_vec());
        assert_eq!(format(&lines, Some(b"a\x00\xff")), b"a\x00\xff\r\n");
        assert_eq!(format(&lines, Some(b"")), b"\r\n");
        assert_eq!(format(&lines, None), b"\r\n");
        assert_eq!(format(&Format::raw(), Some(b"a\n")), b"a\n");
    }

    #[test]
    fn control_characters_are_shown_only_on_a_terminal() {
        let pipe = Format::value(b"\n".to_vec());
        assert_eq!(format(&pipe, Some(b"\x1b[2J")), b"\x1b[2J\n");
        assert_eq!(format(&pipe.for_terminal(true), Some(b"\x1b[2J")), b"\\x1b[2J\n");
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 1, 9, 10, -1, 1_700_000_000_000, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            push_int(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
