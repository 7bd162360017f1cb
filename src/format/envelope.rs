//! The envelope: a record as one line of JSON, lossless whatever its bytes.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{json, push_int};
use crate::record::{Headers, RecordRef, TimestampType};

/// Writes records as lines of JSON, in this order of fields: topic, partition, offset, timestamp,
/// timestamp_type (`create`, `logappend`, `unknown`), key, headers, value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Envelope {
    /// Embed a value that is JSON as JSON instead of as a string. Its white space may change, and
    /// read back, `null` is a null value and a JSON string the text in it.
    pub parse_json: bool,
}

/// Why a record is in the failed file: fields that follow those of the record.
#[derive(Debug, Clone, Copy)]
pub struct Failure<'a> {
    /// What went wrong, one line.
    pub error: &'a str,
    /// The line of the input it came from, from 1.
    pub line: Option<u64>,
    /// The file it came from.
    pub source: Option<&'a str>,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When the first try failed.
    pub first_error_at: SystemTime,
    /// False when it may be in the topic all the same.
    pub certain: bool,
}

impl Envelope {
    /// Appends a record and a newline.
    pub fn append(&self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        self.push_fields(out, record);
        out.extend(b"}\n");
    }

    /// Appends a record that was not delivered, why, and a newline.
    pub fn append_failed(&self, out: &mut Vec<u8>, record: &RecordRef<'_>, failure: &Failure<'_>) {
        self.push_fields(out, record);
        out.extend(br#","error":"#);
        json::push_string(out, failure.error);
        out.extend(if failure.certain {
            &br#","fate":"failed","attempts":"#[..]
        } else {
            br#","fate":"unknown","attempts":"#
        });
        push_int(out, failure.attempts.into());
        out.extend(br#","first_error_at":"#);
        let at = DateTime::<Utc>::from(failure.first_error_at);
        json::push_string(out, &at.to_rfc3339_opts(SecondsFormat::Millis, true));
        if let Some(line) = failure.line {
            out.extend(br#","line":"#);
            push_int(out, i64::try_from(line).unwrap_or(i64::MAX));
        }
        if let Some(source) = failure.source {
            out.extend(br#","source":"#);
            json::push_string(out, source);
        }
        out.extend(b"}\n");
    }

    fn push_fields(&self, out: &mut Vec<u8>, record: &RecordRef<'_>) {
        out.extend(br#"{"topic":"#);
        json::push_string(out, record.topic);
        out.extend(br#","partition":"#);
        push_int(out, record.partition.into());
        out.extend(br#","offset":"#);
        push_int(out, record.offset);
        out.extend(br#","timestamp":"#);
        push_int(out, record.timestamp);
        out.extend(br#","timestamp_type":""#);
        out.extend(type_name(record.timestamp_type));
        out.extend(br#"","key":"#);
        json::push_bytes(out, record.key);
        out.extend(br#","headers":"#);
        push_headers(out, record.headers);
        out.extend(br#","value":"#);
        self.push_value(out, record.value);
    }

    fn push_value(&self, out: &mut Vec<u8>, value: Option<&[u8]>) {
        match value.filter(|_| self.parse_json).map(json::is_json) {
            // In JSON it would be read back as the bytes it describes.
            Some(Ok(text)) if json::base64_text(text).is_some() => json::push_string(out, text),
            Some(Ok(text)) if text.contains(['\n', '\r']) => json::compact(out, text),
            Some(Ok(text)) => out.extend_from_slice(text.as_bytes()),
            Some(Err(_)) | None => json::push_bytes(out, value),
        }
    }
}

/// The names kcat's `-J` has.
fn type_name(kind: TimestampType) -> &'static [u8] {
    match kind {
        TimestampType::Create => b"create",
        TimestampType::LogAppend => b"logappend",
        TimestampType::NotAvailable => b"unknown",
    }
}

/// Appends headers as a list of pairs, which keeps order, duplicates and nulls.
pub(super) fn push_headers(out: &mut Vec<u8>, headers: &dyn Headers) {
    out.push(b'[');
    let mut first = true;
    headers.for_each(&mut |name, value| {
        out.extend(if first { &b"["[..] } else { b",[" });
        first = false;
        json::push_bytes(out, Some(name));
        out.push(b',');
        json::push_bytes(out, value);
        out.push(b']');
    });
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;
    use crate::record::NoHeaders;

    fn line(parse_json: bool, record: &RecordRef<'_>) -> String {
        let mut out = Vec::new();
        Envelope { parse_json }.append(&mut out, record);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_the_documented_line() {
        let headers: &[(&[u8], Option<&[u8]>)] = &[(b"h", Some(b"v")), (b"h", None)];
        let record = record(Some(b"k"), Some(b"text"), &headers);
        let documented = concat!(
            r#"{"topic":"t","partition":0,"offset":5,"timestamp":1700000000000,"timestamp_type":"create","#,
            r#""key":"k","headers":[["h","v"],["h",null]],"value":"text"}"#,
            "\n"
        );
        assert_eq!(line(false, &record), documented);
    }

    #[test]
    fn null_empty_and_binary_stay_apart() {
        let ends = |key: Option<&[u8]>, value: Option<&[u8]>, end: &str| {
            let line = line(false, &record(key, value, &NoHeaders));
            assert!(line.ends_with(end), "{line}");
        };
        ends(None, None, "\"key\":null,\"headers\":[],\"value\":null}\n");
        ends(Some(b""), Some(b""), "\"key\":\"\",\"headers\":[],\"value\":\"\"}\n");
        let binary = "\"key\":{\"base64\":\"/w==\"},\"headers\":[],\"value\":\"\\u0000\"}\n";
        ends(Some(b"\xff"), Some(b"\x00"), binary);
    }

    #[test]
    fn json_values_are_embedded_on_request() {
        let cases: [(&[u8], &str); 8] = [
            (br#"{"a":1, "b":[]}"#, r#"{"a":1, "b":[]}"#),
            (b"{\"a\":1,\n \"b\":\"x y\"}\r\n", r#"{"a":1,"b":"x y"}"#),
            (b"1.50", "1.50"),
            (b"null", "null"),
            (b"{'a':1}", r#""{'a':1}""#),
            (b"", r#""""#),
            (b"\"\xff\"", r#"{"base64":"Iv8i"}"#),
            (br#"{"base64":"aGk="}"#, r#""{\"base64\":\"aGk=\"}""#),
        ];
        for (value, embedded) in cases {
            let line = line(true, &record(None, Some(value), &NoHeaders));
            assert!(line.ends_with(&format!("\"value\":{embedded}}}\n")), "{line}");
        }
        assert!(line(true, &record(None, None, &NoHeaders)).ends_with("\"value\":null}\n"));
    }

    #[test]
    fn a_failed_record_says_why_and_where_it_came_from() {
        let mut out = Vec::new();
        let first_error_at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
        let failure = Failure {
            error: "too \"large\"",
            line: Some(3),
            source: Some("in.txt"),
            attempts: 2,
            first_error_at,
            certain: true,
        };
        Envelope::default().append_failed(&mut out, &record(None, Some(b"v"), &NoHeaders), &failure);
        let failure =
            Failure { error: "gone", line: None, source: None, attempts: 0, first_error_at, certain: false };
        Envelope::default().append_failed(&mut out, &record(None, Some(b"v"), &NoHeaders), &failure);
        let text = String::from_utf8(out).unwrap();
        let ends: Vec<&str> = text.lines().filter_map(|l| l.split_once("\"value\"").map(|p| p.1)).collect();
        assert_eq!(
            ends,
            [
                r#":"v","error":"too \"large\"","fate":"failed","attempts":2,"first_error_at":"2023-11-14T22:13:20.123Z","line":3,"source":"in.txt"}"#,
                r#":"v","error":"gone","fate":"unknown","attempts":0,"first_error_at":"2023-11-14T22:13:20.123Z"}"#,
            ]
        );
    }
}
