//! Envelopes read back: kps' own, and the lines of kcat's `-J`, which names some fields otherwise.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::InputSpec;
use super::decode::{Parts, Reason, add_header};
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
const IGNORED: [&str; 12] = [
    "offset",
    "timestamp_type",
    "error",
    "line",
    "source",
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
    STANDARD.decode_vec(encoded, &mut batch.bytes).map_err(|e| format!("{what} is not base64: {e}"))?;
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
        add_header(&mut self.run, self.batch.push_header(name, value));
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
