//! Envelopes read back: kps' own, and the lines of kcat's `-J`, which names some fields otherwise.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::InputSpec;
use super::decode::{Parts, Reason};
use crate::format;
use crate::record::{Batch, Slice};

/// Reads one envelope, its parts appended to the batch. An error leaves bytes behind in the arena.
pub(super) fn read<'a>(raw: &'a [u8], spec: &InputSpec, batch: &mut Batch) -> Result<Parts<'a>, Reason> {
    let mut fields = Fields::default();
    let mut json = serde_json::Deserializer::from_slice(raw);
    json.deserialize_map(&mut fields).and_then(|()| json.end()).map_err(|e| reason(&e))?;
    if let Some(name) = fields.unknown.filter(|_| spec.strict) {
        return Err(format!("unknown field '{name}' (known: {})", TAKEN.join(" ")));
    }
    let value = fields.value.or(fields.payload);
    if value.is_none() && !spec.null_empty {
        return Err("no field 'value' (a record without one has \"value\":null)".to_owned());
    }
    Ok(Parts {
        key: fields.key.map(|json| text(json, "key", batch)).transpose()?,
        value: value.map(|json| value_text(json, batch)).transpose()?,
        headers: fields.headers.map(|json| headers(json, batch)).transpose()?.filter(|run| run.1 > 0),
        partition: fields.partition.map(partition).transpose()?.flatten(),
        timestamp: fields.timestamp.or(fields.ts).map(timestamp).transpose()?.flatten(),
        topic: fields.topic.map(topic).transpose()?,
    })
}

/// Fields that are part of a record.
const TAKEN: [&str; 6] = ["key", "value", "headers", "partition", "timestamp", "topic"];

/// Fields that kps or kcat writes and that are not part of a record.
const IGNORED: [&str; 13] = [
    "offset",
    "timestamp_type",
    "error",
    "line",
    "source",
    "fate",
    "attempts",
    "first_error_at",
    "tstype",
    "broker",
    "key_error",
    "payload_error",
    "value_error",
];

/// The fields of an envelope as JSON text; null ones as if they were not there, except the value.
#[derive(Default)]
struct Fields<'a> {
    key: Option<&'a RawValue>,
    value: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    headers: Option<&'a RawValue>,
    partition: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    ts: Option<&'a RawValue>,
    topic: Option<&'a RawValue>,
    unknown: Option<String>,
}

impl<'a> Fields<'a> {
    fn slot(&mut self, field: Name) -> Option<&mut Option<&'a RawValue>> {
        Some(match field {
            Name::Key => &mut self.key,
            Name::Value => &mut self.value,
            Name::Payload => &mut self.payload,
            Name::Headers => &mut self.headers,
            Name::Partition => &mut self.partition,
            Name::Timestamp => &mut self.timestamp,
            Name::Ts => &mut self.ts,
            Name::Topic => &mut self.topic,
            Name::Ignored | Name::Unknown(_) => return None,
        })
    }
}

impl<'de> Visitor<'de> for &mut Fields<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope, {\"value\":...}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(NameSeed)? {
            let json: &RawValue = map.next_value()?;
            if let Name::Unknown(name) = name {
                self.unknown.get_or_insert(name);
                continue;
            }
            let keep = json.get() != "null" || matches!(name, Name::Value | Name::Payload);
            if let Some(slot) = self.slot(name).filter(|_| keep)
                && slot.replace(json).is_some()
            {
                return Err(de::Error::custom("a field is there twice"));
            }
        }
        Ok(())
    }
}

/// The name of a field.
enum Name {
    Key,
    Value,
    Payload,
    Headers,
    Partition,
    Timestamp,
    Ts,
    Topic,
    Ignored,
    Unknown(String),
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
        Ok(match name {
            "key" => Name::Key,
            "value" => Name::Value,
            "payload" => Name::Payload,
            "headers" => Name::Headers,
            "partition" => Name::Partition,
            "timestamp" => Name::Timestamp,
            "ts" => Name::Ts,
            "topic" => Name::Topic,
            _ if IGNORED.contains(&name) => Name::Ignored,
            _ => Name::Unknown(name.to_owned()),
        })
    }
}

/// Appends the bytes that a string, `{"base64":"..."}` or null stands for.
pub(super) fn text(json: &RawValue, what: &str, batch: &mut Batch) -> Result<Slice, Reason> {
    let json = json.get();
    match json.as_bytes() {
        [b'"', ..] => string(json, what, batch),
        [b'n', ..] => Ok(Slice::NULL),
        _ => match format::base64_text(json) {
            Some(encoded) => base64(encoded.as_bytes(), what, batch),
            None => Err(format!("{what} is neither a string nor {{\"base64\":\"...\"}} nor null")),
        },
    }
}

/// The same for a value, which may be any JSON.
fn value_text(json: &RawValue, batch: &mut Batch) -> Result<Slice, Reason> {
    let text_of = json.get();
    match text_of.as_bytes() {
        [b'"' | b'n', ..] => text(json, "value", batch),
        [b'{', ..] if format::base64_text(text_of).is_some() => text(json, "value", batch),
        _ => {
            let start = batch.bytes.len();
            format::compact(&mut batch.bytes, text_of);
            Ok(Slice::new(start, batch.bytes.len()))
        }
    }
}

/// Appends what base64 text stands for.
pub(super) fn base64(encoded: &[u8], what: &str, batch: &mut Batch) -> Result<Slice, Reason> {
    let start = batch.bytes.len();
    let decoded = STANDARD.decode_vec(encoded, &mut batch.bytes);
    decoded.map_err(|e| format!("{what} is not base64: {}", e.to_string().trim_end_matches('.')))?;
    Ok(Slice::new(start, batch.bytes.len()))
}

/// Appends the text of a JSON string.
fn string(json: &str, what: &str, batch: &mut Batch) -> Result<Slice, Reason> {
    let start = batch.bytes.len();
    let inside = json.strip_prefix('"').and_then(|j| j.strip_suffix('"')).unwrap_or(json);
    unescape(inside.as_bytes(), &mut batch.bytes)
        .ok_or_else(|| format!("{what} has half of a surrogate pair (\\uD800 to \\uDFFF)"))?;
    Ok(Slice::new(start, batch.bytes.len()))
}

/// Appends a JSON string's inside, which has been checked but for surrogates, without its escapes.
fn unescape(mut text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while let Some(plain) = memchr::memchr(b'\\', text) {
        out.extend_from_slice(text.get(..plain)?);
        let escape = text.get(plain + 1..)?;
        let taken = match escape.first()? {
            b'n' => push(out, b'\n'),
            b'r' => push(out, b'\r'),
            b't' => push(out, b'\t'),
            b'b' => push(out, 8),
            b'f' => push(out, 12),
            b'u' => unescape_unicode(escape, out)?,
            other => push(out, *other),
        };
        text = escape.get(taken..)?;
    }
    out.extend_from_slice(text);
    Some(())
}

fn push(out: &mut Vec<u8>, byte: u8) -> usize {
    out.push(byte);
    1
}

/// Appends the character of `uXXXX` or `uXXXX\uXXXX`; returns how many bytes say so.
fn unescape_unicode(escape: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let unit = |at: usize| -> Option<u16> {
        let digits = std::str::from_utf8(escape.get(at..at + 4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(1)?;
    let pair = if escape.get(5..7) == Some(b"\\u") { unit(7) } else { None };
    let units = [first, pair.unwrap_or_default()];
    let (character, taken) = match char::from_u32(first.into()) {
        Some(character) => (character, 5),
        None => (char::decode_utf16(units).next()?.ok()?, 11),
    };
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(taken)
}

/// Appends headers and returns their place in the batch's list: pairs (`[["h","v"]]`), an object
/// (`{"h":"v"}`), or names and values in turn, as kcat writes them (`["h","v"]`).
pub(super) fn headers(json: &RawValue, batch: &mut Batch) -> Result<(u32, u32), Reason> {
    let seed = HeadersVisitor { batch, run: (0, 0) };
    serde_json::Deserializer::from_str(json.get()).deserialize_any(seed).map_err(|e| {
        let mut reason = e.to_string();
        // Counted from the start of the headers, which is not what people count from.
        reason.truncate(reason.rfind(" at line ").unwrap_or(reason.len()));
        reason
    })
}

struct HeadersVisitor<'b> {
    batch: &'b mut Batch,
    run: (u32, u32),
}

impl HeadersVisitor<'_> {
    fn add<E: de::Error>(&mut self, name: &RawValue, value: &RawValue) -> Result<(), E> {
        let name = text(name, "header name", self.batch).map_err(E::custom)?;
        if name.is_null() {
            return Err(E::custom("header name is null"));
        }
        let value = text(value, "header value", self.batch).map_err(E::custom)?;
        self.batch.add_header(&mut self.run, name, value);
        Ok(())
    }
}

impl<'de> Visitor<'de> for HeadersVisitor<'_> {
    type Value = (u32, u32);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("headers as [[\"name\",\"value\"]]")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(u32, u32), A::Error> {
        while let Some(item) = list.next_element::<&RawValue>()? {
            if item.get().starts_with('[') {
                let pair: (&RawValue, &RawValue) = serde_json::from_str(item.get())
                    .map_err(|_| de::Error::custom("a header is not a pair of name and value"))?;
                self.add(pair.0, pair.1)?;
            } else {
                let value = list.next_element::<&RawValue>()?;
                self.add(item, value.ok_or_else(|| de::Error::custom("the last header has no value"))?)?;
            }
        }
        Ok(self.run)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(u32, u32), A::Error> {
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            self.add(name, value)?;
        }
        Ok(self.run)
    }
}

/// A partition; -1 is none.
fn partition(json: &RawValue) -> Result<Option<i32>, Reason> {
    match json.get().parse() {
        Ok(-1) => Ok(None),
        Ok(number @ 0..) => Ok(Some(number)),
        _ => Err(format!("partition {} is not a number from 0", json.get())),
    }
}

/// A time; -1 is none.
fn timestamp(json: &RawValue) -> Result<Option<i64>, Reason> {
    match json.get().parse() {
        Ok(-1) => Ok(None),
        Ok(number @ 0..) => Ok(Some(number)),
        _ => Err(format!("timestamp {} is not a number of milliseconds", json.get())),
    }
}

fn topic(json: &RawValue) -> Result<Cow<'_, str>, Reason> {
    let inside = json.get().strip_prefix('"').and_then(|j| j.strip_suffix('"'));
    match inside.filter(|name| !name.is_empty()) {
        Some(name) if !name.contains('\\') => Ok(Cow::Borrowed(name)),
        Some(_) => serde_json::from_str(json.get()).map(Cow::Owned).map_err(|e| reason(&e)),
        None => Err(format!("topic {} is not a name", json.get())),
    }
}

/// What is wrong with an envelope; it is one line, so the column is enough.
fn reason(error: &serde_json::Error) -> Reason {
    format!("not an envelope: {}", error.to_string().replace(" at line 1 column ", " at column "))
}

#[cfg(test)]
mod tests {
    use super::super::{Bad, Form, Reader};
    use super::*;
    use crate::format::{Envelope, Failure, Format};
    use crate::record::{Headers as _, RecordRef, TimestampType};

    fn spec() -> InputSpec {
        InputSpec { form: Form::Envelope, ..InputSpec::default() }
    }

    fn read_one(spec: InputSpec, line: &str) -> Result<Batch, Bad> {
        let mut batch = Batch::default();
        Reader::new(spec, 1 << 20).message(line.as_bytes(), &mut batch)?;
        assert_eq!(batch.len(), 1);
        Ok(batch)
    }

    /// The record as the words of a kcat format, nulls as `~`.
    fn shown(batch: &Batch) -> String {
        let text = |bytes: Option<&[u8]>| bytes.map_or("~".to_owned(), |b| b.escape_ascii().to_string());
        batch.with_record(0, "own", |record| {
            let mut headers = String::new();
            record.headers.for_each(&mut |name, value| {
                headers += &format!("{}={},", text(Some(name)), text(value));
            });
            let (key, value) = (text(record.key), text(record.value));
            format!("{} {} {} {key} {headers} {value}", record.topic, record.partition, record.timestamp)
        })
    }

    #[test]
    fn every_spelling_of_a_record_is_understood() {
        let cases = [
            (r#"{"value":"v"}"#, "own -1 -1 ~  v"),
            (r#" { "value" : null , "key" : null } "#, "own -1 -1 ~  ~"),
            (r#"{"value":"","key":""}"#, "own -1 -1   "),
            (r#"{"value":{"base64":"/wA="},"key":{"base64":""}}"#, r"own -1 -1   \xff\x00"),
            (r#"{"value":"a\"\\\/\b\f\n\r\tb"}"#, r#"own -1 -1 ~  a\"\\/\x08\x0c\n\r\tb"#),
            (r#"{"value":"\u00e9\ud83d\ude00\u0000x"}"#, r"own -1 -1 ~  \xc3\xa9\xf0\x9f\x98\x80\x00x"),
            (r#"{"value":{ "a": [1, "x y"] }}"#, r#"own -1 -1 ~  {\"a\":[1,\"x y\"]}"#),
            (r#"{"value": [ 1.0, 2 ] }"#, "own -1 -1 ~  [1.0,2]"),
            (r#"{"value":-1.50e3}"#, "own -1 -1 ~  -1.50e3"),
            (r#"{"value":true}"#, "own -1 -1 ~  true"),
            (r#"{"value":{"base64":7}}"#, r#"own -1 -1 ~  {\"base64\":7}"#),
            (r#"{"v\u0061lue":"v","timestamp":5,"partition":3,"topic":"x"}"#, "own -1 5 ~  v"),
            (r#"{"value":"v","timestamp":null,"partition":null,"topic":null}"#, "own -1 -1 ~  v"),
            (r#"{"value":"v","timestamp":-1,"partition":-1}"#, "own -1 -1 ~  v"),
            (r#"{"value":"v","headers":[["h","1"],["h",null],["",""]]}"#, "own -1 -1 ~ h=1,h=~,=, v"),
            (r#"{"value":"v","headers":{"h":"1","n":null}}"#, "own -1 -1 ~ h=1,n=~, v"),
            (
                r#"{"value":"v","headers":[[{"base64":"/w=="},{"base64":"AA=="}]]}"#,
                r"own -1 -1 ~ \xff=\x00, v",
            ),
            (r#"{"value":"v","headers":["h","1","n",null]}"#, "own -1 -1 ~ h=1,n=~, v"),
            (r#"{"payload":"v","ts":7,"tstype":"create","broker":1}"#, "own -1 7 ~  v"),
            (r#"{"payload":null}"#, "own -1 -1 ~  ~"),
            (r#"{"payload":"x","value":"v"}"#, "own -1 -1 ~  v"),
            (r#"{"value":"v","anything":[{}]}"#, "own -1 -1 ~  v"),
        ];
        for (line, record) in cases {
            assert_eq!(shown(&read_one(spec(), line).unwrap()), record, "{line}");
        }
    }

    #[test]
    fn what_is_no_envelope_is_told_in_one_line() {
        let cases = [
            ("", "not an envelope: EOF while parsing a value at column 0"),
            ("{\"value\":}", "not an envelope: expected value at column 10"),
            (
                "[1]",
                "not an envelope: invalid type: sequence, expected an envelope, {\"value\":...} at column 0",
            ),
            ("{\"value\":1} x", "not an envelope: trailing characters at column 13"),
            ("{\"value\":1,\"value\":2}", "not an envelope: a field is there twice at column 21"),
            ("{\"key\":\"k\"}", "no field 'value' (a record without one has \"value\":null)"),
            ("{\"value\":\"\\ud800\"}", "value has half of a surrogate pair (\\uD800 to \\uDFFF)"),
            ("{\"value\":\"\\ud800\\u0041\"}", "value has half of a surrogate pair (\\uD800 to \\uDFFF)"),
            ("{\"value\":{\"base64\":\"*\"}}", "value is not base64: Invalid symbol 42, offset 0"),
            ("{\"value\":1,\"key\":2}", "key is neither a string nor {\"base64\":\"...\"} nor null"),
            ("{\"value\":1,\"key\":{}}", "key is neither a string nor {\"base64\":\"...\"} nor null"),
            (
                "{\"value\":1,\"headers\":7}",
                "invalid type: integer `7`, expected headers as [[\"name\",\"value\"]]",
            ),
            ("{\"value\":1,\"headers\":[[\"h\"]]}", "a header is not a pair of name and value"),
            ("{\"value\":1,\"headers\":[\"h\"]}", "the last header has no value"),
            ("{\"value\":1,\"headers\":[[null,\"v\"]]}", "header name is null"),
            (
                "{\"value\":1,\"headers\":[[\"h\",1]]}",
                "header value is neither a string nor {\"base64\":\"...\"} nor null",
            ),
            ("{\"value\":1,\"partition\":-2}", "partition -2 is not a number from 0"),
            ("{\"value\":1,\"partition\":3000000000}", "partition 3000000000 is not a number from 0"),
            ("{\"value\":1,\"timestamp\":\"x\"}", "timestamp \"x\" is not a number of milliseconds"),
            ("{\"value\":1,\"timestamp\":1.5}", "timestamp 1.5 is not a number of milliseconds"),
            ("{\"value\":1,\"topic\":\"\"}", "topic \"\" is not a name"),
        ];
        for (line, reason) in cases {
            let bad = read_one(spec(), line).unwrap_err();
            assert_eq!((bad.line, bad.reason.as_str()), (1, reason), "{line}");
        }
    }

    #[test]
    fn invalid_utf8_in_an_envelope_is_refused() {
        let mut batch = Batch::default();
        let bad = Reader::new(spec(), 99).message(b"{\"value\":\"\xff\"}", &mut batch).unwrap_err();
        assert!(bad.reason.starts_with("not an envelope: invalid unicode code point"), "{}", bad.reason);
        assert!(batch.is_empty() && batch.bytes.is_empty());
    }

    #[test]
    fn strict_refuses_fields_nobody_writes() {
        let strict = InputSpec { strict: true, ..spec() };
        let error = read_one(strict.clone(), r#"{"value":"v","vlaue":1}"#).unwrap_err();
        assert_eq!(
            error.reason,
            "unknown field 'vlaue' (known: key value headers partition timestamp topic)"
        );
        let written_by_kps =
            r#"{"value":"v","offset":1,"timestamp_type":"create","error":"e","line":2,"source":"f"}"#;
        read_one(strict, written_by_kps).unwrap();
    }

    #[test]
    fn topic_and_partition_are_taken_only_when_kept() {
        let line = r#"{"topic":"th\u0065irs","partition":7,"value":"v"}"#;
        let keep = InputSpec { keep_topic: true, keep_partition: true, ..spec() };
        assert_eq!(shown(&read_one(keep, line).unwrap()), "theirs 7 -1 ~  v");
        assert_eq!(shown(&read_one(spec(), line).unwrap()), "own -1 -1 ~  v");
    }

    #[test]
    fn flags_fill_in_what_the_envelope_has_not() {
        let flags = InputSpec {
            key: Some(b"k".to_vec()),
            headers: vec![(b"h".to_vec(), None)],
            partition: Some(1),
            timestamp: Some(9),
            keep_partition: true,
            ..spec()
        };
        let full = r#"{"value":"v","key":"own","headers":[["a","b"]],"partition":2,"timestamp":8}"#;
        assert_eq!(shown(&read_one(flags.clone(), full).unwrap()), "own 2 8 own a=b, v");
        let none = r#"{"value":"v","key":null,"headers":[],"partition":-1,"timestamp":-1}"#;
        assert_eq!(shown(&read_one(flags.clone(), none).unwrap()), "own 1 9 k h=~, v");
        assert_eq!(shown(&read_one(flags, r#"{"value":"v"}"#).unwrap()), "own 1 9 k h=~, v");
    }

    #[test]
    fn empty_is_null_when_asked() {
        let nulls = InputSpec { null_empty: true, ..spec() };
        assert_eq!(shown(&read_one(nulls.clone(), r#"{"value":"","key":""}"#).unwrap()), "own -1 -1 ~  ~");
        assert_eq!(shown(&read_one(nulls, r#"{"key":"k"}"#).unwrap()), "own -1 -1 k  ~");
    }

    #[test]
    fn a_record_longer_than_the_limit_is_bad_although_its_line_may_be() {
        let mut batch = Batch::default();
        let mut reader = Reader::new(spec(), 4);
        reader.message(br#"{"value":"\u0000\u0000\u0000\u0000"}"#, &mut batch).unwrap();
        let bad = reader.message(br#"{"value":"abc","key":"de"}"#, &mut batch).unwrap_err();
        assert_eq!(bad.reason, "longer than max.request.size (4 bytes)");
    }

    /// xorshift64*: the same bytes in every run.
    fn random(seed: &mut u64) -> usize {
        *seed ^= *seed >> 12;
        *seed ^= *seed << 25;
        *seed ^= *seed >> 27;
        (seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize
    }

    /// Null, or bytes of one kind: any, such as JSON escapes, or text.
    fn some_bytes(seed: &mut u64) -> Option<Vec<u8>> {
        let kind = random(seed) % 4;
        let len = random(seed) % [3, 20, 200][random(seed) % 3];
        let pick = |seed: &mut u64, from: &str| {
            from.chars().nth(random(seed) % from.chars().count()).map(|c| c.to_string().into_bytes())
        };
        match kind {
            0 => None,
            1 => Some((0..len).map(|_| random(seed) as u8).collect()),
            2 => Some(
                (0..len).filter_map(|_| pick(seed, "\"\\\n\r\t\0{}[]:,u/\u{1f}\u{7f}")).flatten().collect(),
            ),
            _ => Some((0..len).filter_map(|_| pick(seed, "abc é€😀\u{2028}\u{ffff}")).flatten().collect()),
        }
    }

    #[test]
    fn any_record_survives_being_written_and_read() {
        let mut seed = 42;
        for round in 0..3000 {
            let (key, value) = (some_bytes(&mut seed), some_bytes(&mut seed));
            let headers: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..random(&mut seed) % 4)
                .map(|_| (some_bytes(&mut seed).unwrap_or_default(), some_bytes(&mut seed)))
                .collect();
            let pairs: Vec<(&[u8], Option<&[u8]>)> =
                headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
            let record = RecordRef {
                topic: "theirs",
                partition: 4,
                offset: 17,
                timestamp: round,
                timestamp_type: TimestampType::LogAppend,
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &&pairs[..],
            };
            let mut out = Vec::new();
            Format::json(Envelope::default()).append(&mut out, &record);
            let failure = Failure {
                error: "e",
                line: Some(1),
                source: None,
                attempts: 3,
                first_error_at: std::time::SystemTime::UNIX_EPOCH,
                certain: false,
            };
            Envelope::default().append_failed(&mut out, &record, &failure);
            let text = String::from_utf8(out).unwrap();
            let keep = InputSpec { keep_topic: true, keep_partition: true, strict: true, ..spec() };
            for line in text.lines() {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
                let batch = read_one(keep.clone(), line).unwrap();
                batch.with_record(0, "own", |read| {
                    assert_eq!((read.topic, read.partition, read.timestamp), ("theirs", 4, round));
                    assert_eq!((read.key, read.value), (record.key, record.value), "{line}");
                    let mut got: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
                    read.headers.for_each(&mut |n, v| got.push((n.to_vec(), v.map(<[u8]>::to_vec))));
                    assert_eq!(got, headers, "{line}");
                });
            }
        }
    }

    #[test]
    fn a_value_embedded_as_json_is_read_back_compact() {
        let value = b"{\"a\": 1,\n \"b\": \"x y\"}";
        let record = RecordRef {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp: 0,
            timestamp_type: TimestampType::Create,
            key: None,
            value: Some(value),
            headers: &crate::record::NoHeaders,
        };
        let mut out = Vec::new();
        Envelope { parse_json: true }.append(&mut out, &record);
        let batch = read_one(spec(), std::str::from_utf8(&out).unwrap()).unwrap();
        assert_eq!(batch.slice(batch.spans()[0].value), Some(&b"{\"a\":1,\"b\":\"x y\"}"[..]));
        assert_eq!(batch.headers(&batch.spans()[0]).count(), 0);
    }
}
