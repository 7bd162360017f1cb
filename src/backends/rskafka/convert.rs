//! Between our records and rskafka's, which own their bytes and keep headers in a map.

use std::collections::BTreeMap;

use ::rskafka::chrono::{DateTime, Utc};
use ::rskafka::record::{Record, RecordAndOffset};

use super::queue::Parcel;
use crate::backends::{Error, ErrorKind};
use crate::record::{Batch, Headers, RecordRef, Span, TimestampType};

/// Why rskafka cannot send this record as it is; never a silent loss.
pub(super) fn refusal(batch: &Batch, span: &Span) -> Option<Error> {
    if span.timestamp != -1 && DateTime::<Utc>::from_timestamp_millis(span.timestamp).is_none() {
        return Some(unsupported(format!("a timestamp of {} ms", span.timestamp)));
    }
    if span.headers.1 == 0 {
        return None;
    }
    let mut seen = BTreeMap::new();
    let mut reason = None;
    batch.headers(span).for_each(&mut |name, value| {
        let text = String::from_utf8_lossy(name);
        if value.is_none() {
            reason.get_or_insert(format!("header {text:?} with a null value"));
        } else if std::str::from_utf8(name).is_err() {
            reason.get_or_insert(format!("header name {text:?}, which is not UTF-8,"));
        } else if seen.insert(name.to_vec(), ()).is_some() {
            reason.get_or_insert(format!("header {text:?} twice in one record"));
        }
    });
    reason.map(unsupported)
}

/// True when rskafka keeps the order of the headers: it sorts them by name.
pub(super) fn keeps_order(batch: &Batch, span: &Span) -> bool {
    let mut last: Option<Vec<u8>> = None;
    let mut sorted = true;
    if span.headers.1 > 1 {
        batch.headers(span).for_each(&mut |name, _| {
            sorted &= last.as_deref().is_none_or(|last| last <= name);
            last = Some(name.to_vec());
        });
    }
    sorted
}

fn unsupported(what: String) -> Error {
    Error::new(ErrorKind::Unsupported, format!("rskafka cannot send {what}: use --library rdkafka"))
}

/// The records of a parcel, copied out of their arenas; `now` (ms since 1970) for those without a
/// timestamp. Those that [`refusal`] names are not in a parcel.
pub(super) fn records(parcel: &Parcel, now: i64) -> Vec<Record> {
    let mut records = Vec::with_capacity(parcel.records);
    for (held, index) in parcel.records() {
        if let Some(span) = held.batch.spans().get(index) {
            records.push(record(&held.batch, span, now));
        }
    }
    records
}

fn record(batch: &Batch, span: &Span, now: i64) -> Record {
    let mut headers = BTreeMap::new();
    if span.headers.1 > 0 {
        batch.headers(span).for_each(&mut |name, value| {
            headers.insert(String::from_utf8_lossy(name).into_owned(), value.unwrap_or_default().to_vec());
        });
    }
    Record {
        key: batch.slice(span.key).map(<[u8]>::to_vec),
        value: batch.slice(span.value).map(<[u8]>::to_vec),
        headers,
        timestamp: DateTime::from_timestamp_millis(stamp(span, now)).unwrap_or_default(),
    }
}

/// The timestamp a record is sent with.
pub(super) fn stamp(span: &Span, now: i64) -> i64 {
    if span.timestamp == -1 { now } else { span.timestamp }
}

/// The headers of a record read by rskafka: sorted by name, the last of each name.
#[derive(Debug)]
struct Map<'a>(&'a BTreeMap<String, Vec<u8>>);

impl Headers for Map<'_> {
    fn for_each(&self, each: &mut dyn FnMut(&[u8], Option<&[u8]>)) {
        for (name, value) in self.0 {
            each(name.as_bytes(), Some(value));
        }
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// Lends a record that was read. rskafka does not tell who set the timestamp.
pub(super) fn lend<R>(
    record: &RecordAndOffset,
    topic: &str,
    partition: i32,
    f: impl FnOnce(&RecordRef<'_>) -> R,
) -> R {
    let timestamp = record.record.timestamp.timestamp_millis();
    f(&RecordRef {
        topic,
        partition,
        offset: record.offset,
        timestamp,
        timestamp_type: if timestamp == -1 { TimestampType::NotAvailable } else { TimestampType::Create },
        key: record.record.key.as_deref(),
        value: record.record.value.as_deref(),
        headers: &Map(&record.record.headers),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Slice;

    fn with_headers(headers: &[(&[u8], Option<&[u8]>)]) -> Batch {
        let mut batch = Batch::default();
        let value = batch.append(b"v");
        let mut span = Span::new(Slice::NULL, value, 1);
        for (name, value) in headers {
            let (name, value) = (batch.append(name), batch.append_nullable(*value));
            batch.add_header(&mut span.headers, name, value);
        }
        batch.push(span);
        batch
    }

    #[test]
    fn headers_a_map_cannot_hold_are_refused_by_name() {
        let twice = with_headers(&[(b"a", Some(b"1")), (b"a", Some(b"2"))]);
        let null = with_headers(&[(b"n", None)]);
        let bytes = with_headers(&[(b"\xff", Some(b"1"))]);
        let cases =
            [(twice, "header \"a\" twice"), (null, "header \"n\" with a null value"), (bytes, "not UTF-8")];
        for (batch, want) in cases {
            let error = refusal(&batch, &batch.spans()[0]).unwrap();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(want), "{error}");
            assert!(error.to_string().contains("rdkafka"), "{error}");
        }
    }

    #[test]
    fn headers_a_map_can_hold_are_sent() {
        let batch = with_headers(&[(b"b", Some(b"1")), (b"a", Some(b""))]);
        assert!(refusal(&batch, &batch.spans()[0]).is_none());
        let sent = record(&batch, &batch.spans()[0], 7);
        assert_eq!(sent.headers.get("b").map(Vec::as_slice), Some(&b"1"[..]));
        assert_eq!(sent.headers.get("a").map(Vec::as_slice), Some(&b""[..]));
    }

    #[test]
    fn null_and_empty_stay_apart_and_now_stands_for_no_timestamp() {
        let mut batch = Batch::default();
        let empty = batch.append(b"");
        batch.push(Span { timestamp: 5, ..Span::new(empty, Slice::NULL, 1) });
        batch.push(Span::new(Slice::NULL, empty, 2));
        let sent: Vec<Record> = batch.spans().iter().map(|span| record(&batch, span, 9)).collect();
        assert_eq!((sent[0].key.as_deref(), sent[0].value.as_deref()), (Some(&b""[..]), None));
        assert_eq!((sent[1].key.as_deref(), sent[1].value.as_deref()), (None, Some(&b""[..])));
        let stamps: Vec<i64> = sent.iter().map(|r| r.timestamp.timestamp_millis()).collect();
        assert_eq!(stamps, [5, 9]);
    }

    #[test]
    fn a_timestamp_beyond_the_calendar_is_refused() {
        let mut batch = Batch::default();
        let value = batch.append(b"v");
        batch.push(Span { timestamp: i64::MAX, ..Span::new(Slice::NULL, value, 1) });
        assert!(refusal(&batch, &batch.spans()[0]).is_some());
    }
}
