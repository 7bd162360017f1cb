//! One piece of input to one record.

use std::borrow::Cow;
use std::ops::Range;

use super::delimiter::Delimiter;
use super::{Form, InputSpec, envelope};
use crate::format;
use crate::record::{Batch, Slice, Span};

/// Why a piece of input is not a record, one line.
pub(super) type Reason = String;

/// Turns pieces of input into records as the spec says.
#[derive(Debug)]
pub(super) struct Decoder {
    pub(super) spec: InputSpec,
    key_delimiter: Option<Delimiter>,
    max_record_bytes: usize,
    /// The key and headers that all records share, once in each batch.
    fixed: Fixed,
}

#[derive(Debug, Clone, Copy)]
struct Fixed {
    key: Slice,
    headers: (u32, u32),
}

/// The parts of a record as they are found; what stays `None` is filled in from the spec.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    pub(super) key: Option<Slice>,
    pub(super) value: Option<Slice>,
    pub(super) headers: Option<(u32, u32)>,
    pub(super) partition: Option<i32>,
    pub(super) timestamp: Option<i64>,
    pub(super) topic: Option<Cow<'a, str>>,
}

impl Decoder {
    pub(super) fn new(spec: InputSpec, max_record_bytes: usize) -> Self {
        let key_delimiter = spec.key_delimiter.as_deref().filter(|d| !d.is_empty()).map(Delimiter::new);
        let fixed = Fixed { key: Slice::NULL, headers: (0, 0) };
        Self { spec, key_delimiter, max_record_bytes, fixed }
    }

    /// True when records can be marked in the arena where they were read.
    pub(super) fn in_place(&self) -> bool {
        matches!(self.spec.form, Form::Lines | Form::Json)
    }

    /// The length from which a piece of input is too long, whatever is in it. Where bytes are
    /// encoded a record may be shorter than its text: six times at most (`\u0000`).
    pub(super) fn longest(&self) -> usize {
        if self.in_place() {
            self.max_record_bytes
        } else {
            self.max_record_bytes.saturating_mul(6).saturating_add(64 << 10)
        }
    }

    /// Writes what all records share into a batch.
    pub(super) fn start(&mut self, batch: &mut Batch) {
        self.fixed.key = batch.append_nullable(self.spec.key.as_deref());
        self.fixed.headers = (0, 0);
        for (name, value) in &self.spec.headers {
            let name = batch.append(name);
            let value = batch.append_nullable(value.as_deref());
            batch.add_header(&mut self.fixed.headers, name, value);
        }
    }

    /// The record of a line that lies in an arena; for forms that are `in_place`. In line, so that a span is made where
    /// it is to be.
    #[inline(always)]
    pub(super) fn line(&self, arena: &[u8], at: Range<usize>, number: u64) -> Result<Span, Reason> {
        let line = &arena[at.clone()];
        if line.len() > self.max_record_bytes {
            return Err(self.too_long());
        }
        let mut key = self.fixed.key;
        let mut start = at.start;
        if let Some(delimiter) = &self.key_delimiter
            && let Some(found) = delimiter.find(line)
        {
            key = self.part(start, start + found);
            start += found + delimiter.len();
        }
        let value = self.part(start, at.end);
        if matches!(self.spec.form, Form::Json) && !value.is_null() {
            format::is_json(&arena[start..at.end])?;
        }
        Ok(self.span(key, value, number))
    }

    /// Appends the record of a piece of input that lies elsewhere.
    pub(super) fn append(&self, raw: &[u8], number: u64, batch: &mut Batch) -> Result<(), Reason> {
        let mark = batch.bytes.len();
        let span = match &self.spec.form {
            Form::Lines | Form::Json => {
                batch.append(raw);
                self.line(&batch.bytes, mark..mark + raw.len(), number)
            }
            Form::Envelope => {
                envelope::read(raw, &self.spec, batch).and_then(|parts| self.assemble(parts, number, batch))
            }
            Form::Format(format) => {
                format.read(raw, batch).and_then(|parts| self.assemble(parts, number, batch))
            }
        };
        match span {
            Ok(span) => batch.push(span),
            Err(_) => batch.bytes.truncate(mark),
        }
        span.map(|_| ())
    }

    /// Appends a record whose value is all of `value`.
    pub(super) fn append_whole(&self, value: &[u8], number: u64, batch: &mut Batch) -> Result<(), Reason> {
        if value.len() > self.max_record_bytes {
            return Err(self.too_long());
        }
        let start = batch.bytes.len();
        batch.append(value);
        let value = self.part(start, start + value.len());
        batch.push(self.span(self.fixed.key, value, number));
        Ok(())
    }

    /// What to say of a piece of input that is too long.
    pub(super) fn too_long(&self) -> Reason {
        format!("longer than max.request.size ({} bytes)", self.max_record_bytes)
    }

    fn assemble(&self, parts: Parts<'_>, number: u64, batch: &mut Batch) -> Result<Span, Reason> {
        let size = parts.key.map_or(0, Slice::len) + parts.value.map_or(0, Slice::len);
        if size > self.max_record_bytes {
            return Err(self.too_long());
        }
        let or_null =
            |slice: Slice| if self.spec.null_empty && slice.is_empty() { Slice::NULL } else { slice };
        let key = parts.key.map_or(self.fixed.key, or_null);
        let value = parts.value.map_or(Slice::NULL, or_null);
        let mut span = self.span(key, value, number);
        span.headers = parts.headers.unwrap_or(span.headers);
        span.timestamp = parts.timestamp.unwrap_or(span.timestamp);
        if self.spec.keep_partition {
            span.partition = parts.partition.unwrap_or(span.partition);
        }
        if let Some(topic) = parts.topic.filter(|_| self.spec.keep_topic) {
            span.topic = batch.topic_index(&topic);
        }
        Ok(span)
    }

    #[inline]
    fn span(&self, key: Slice, value: Slice, number: u64) -> Span {
        let mut span = Span::new(key, value, number);
        span.headers = self.fixed.headers;
        span.partition = self.spec.partition.unwrap_or(-1);
        span.timestamp = self.spec.timestamp.unwrap_or(-1);
        span
    }

    #[inline]
    fn part(&self, start: usize, end: usize) -> Slice {
        if self.spec.null_empty && start == end { Slice::NULL } else { Slice::new(start, end) }
    }
}
