//! Bytes to records: what `publish` reads. A [`Reader`] reads straight into the arena of a
//! [`Batch`](crate::record::Batch) and marks the records in it; lines are never copied again.

mod decode;
mod delimiter;
mod envelope;
mod format;
mod reader;

pub use format::FormatInput;
pub use reader::{Fd, Filled, ReadInto, Reader, Sips, is_full};

/// How input is cut into records, and what is added to each.
#[derive(Debug, Clone)]
pub struct InputSpec {
    /// What a piece of input is.
    pub form: Form,
    /// What ends a record; not empty. A format that ends in text has its own.
    pub delimiter: Vec<u8>,
    /// Drop one `\r` before the delimiter.
    pub crlf: bool,
    /// The key of records that bring none.
    pub key: Option<Vec<u8>>,
    /// In lines: the key is what stands before the first of these. A line without one is all value.
    pub key_delimiter: Option<Vec<u8>>,
    /// The headers of records that bring none; `None` is a null value.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// An empty key or value is null.
    pub null_empty: bool,
    /// The partition of records that bring none.
    pub partition: Option<i32>,
    /// The timestamp (ms since 1970-01-01 UTC) of records that bring none.
    pub timestamp: Option<i64>,
    /// Take the topic an envelope or format names.
    pub keep_topic: bool,
    /// Take the partition an envelope or format names.
    pub keep_partition: bool,
    /// An unknown field in an envelope is an error.
    pub strict: bool,
}

impl Default for InputSpec {
    /// Lines that are values, and nothing else.
    fn default() -> Self {
        Self {
            form: Form::Lines,
            delimiter: b"\n".to_vec(),
            crlf: false,
            key: None,
            key_delimiter: None,
            headers: Vec::new(),
            null_empty: false,
            partition: None,
            timestamp: None,
            keep_topic: false,
            keep_partition: false,
            strict: false,
        }
    }
}

/// What a piece of input is.
#[derive(Debug, Clone)]
pub enum Form {
    /// A value, or key and value with [`InputSpec::key_delimiter`].
    Lines,
    /// The same, and the value must be JSON; it goes through unchanged.
    Json,
    /// One JSON object with the parts of the record (README, "Envelope").
    Envelope,
    /// A record as a format string describes it.
    Format(FormatInput),
}

/// A piece of input that is not a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Its line (or message, or file) number, from 1.
    pub line: u64,
    /// The file it came from.
    pub source: Option<String>,
    /// What is wrong with it, one line.
    pub reason: String,
    /// Its bytes; the first 4 KiB of one that is too long.
    pub raw: Vec<u8>,
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}:{}: {}", self.line, self.reason),
            None => write!(f, "line {}: {}", self.line, self.reason),
        }
    }
}

impl std::error::Error for Bad {}
