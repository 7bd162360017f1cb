//! What can go wrong below the seam, as data: a kind the exit code follows from, whether trying
//! again can help, what was being done, and to what.

use std::error::Error as StdError;
use std::fmt;
use std::time::SystemTime;

use super::{Offsets, TopicPartition};

/// What happened, in the terms a user acts on. Each kind has one exit code (README, "Exit codes").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The library cannot do what was asked, or a setting is not accepted.
    Unsupported,
    /// No broker answered, or one stopped answering.
    Unreachable,
    /// A deadline passed.
    TimedOut,
    /// Wrong credentials, or a TLS handshake refused.
    Authentication,
    /// An ACL forbids it.
    Authorization,
    /// The topic or partition does not exist.
    UnknownTopic,
    /// The group does not exist.
    UnknownGroup,
    /// The record or batch is larger than a limit.
    TooLarge,
    /// What a broker sent, or what was to be sent, cannot be decoded.
    BadRecord,
    /// An offset that the partition does not have, with `auto.offset.reset=none`.
    OffsetOutOfRange,
    /// Not now: the group is being rebalanced.
    Later,
    /// A transaction that was not committed: its records do not count.
    NotCommitted,
    /// Anything else.
    Other,
}

/// Whether trying again can help (OpenDAL's `ErrorStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It will fail the same way again.
    Permanent,
    /// It may pass by itself.
    Temporary,
    /// It was temporary and the retries are used up.
    Persistent,
}

/// An error of a client library or of the seam. `Display` is one line without a full stop that
/// names the topic, partition or address; causes are in `source`.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    status: Status,
    message: String,
    context: Vec<(&'static str, String)>,
    record: Option<(TopicPartition, i64)>,
    attempts: u32,
    since: Option<SystemTime>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A permanent error.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: Status::Permanent,
            message: message.into(),
            context: Vec::new(),
            record: None,
            attempts: 0,
            since: None,
            source: None,
        }
    }

    /// The same with another status.
    pub fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Adds what it concerns, e.g. `("topic", "orders[3]")`.
    pub fn with_context(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.context.push((name, value.into()));
        self
    }

    /// Adds the partition and offset of the record it is about.
    pub fn with_record(mut self, partition: TopicPartition, offset: i64) -> Self {
        self.record = Some((partition, offset));
        self
    }

    /// The record it is about.
    pub fn record(&self) -> Option<&(TopicPartition, i64)> {
        self.record.as_ref()
    }

    /// Adds how often it was tried in vain, and since when; what is known already of either stays if it is more.
    pub fn with_attempts(mut self, attempts: u32, since: Option<SystemTime>) -> Self {
        self.attempts = self.attempts.max(attempts);
        self.since = [self.since, since].into_iter().flatten().min();
        self
    }

    /// The same error for another record, without its causes.
    pub fn again(&self) -> Self {
        Self {
            context: self.context.clone(),
            record: self.record.clone(),
            attempts: self.attempts,
            since: self.since,
            ..Self::new(self.kind, self.message.as_str()).with_status(self.status)
        }
    }

    /// Tries that failed.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When the first of them did.
    pub fn since(&self) -> Option<SystemTime> {
        self.since
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Adds which records are left uncommitted, unless that was added.
    pub(crate) fn not_committed(self, offsets: &Offsets) -> Self {
        const NAME: &str = "not committed";
        if offsets.is_empty() || self.context.iter().any(|(name, _)| *name == NAME) {
            return self;
        }
        let upto: Vec<String> = offsets.iter().map(|(tp, offset)| format!("{tp} up to {offset}")).collect();
        self.with_context(NAME, upto.join(" "))
    }

    /// True of a refusal that trying again does not cure.
    pub fn is_refusal(&self) -> bool {
        matches!(self.kind, ErrorKind::Authorization | ErrorKind::Authentication)
    }

    /// Whether trying again can help.
    pub fn status(&self) -> Status {
        self.status
    }

    /// True when it may pass by itself, given the time.
    pub fn may_pass(&self) -> bool {
        self.status != Status::Permanent || matches!(self.kind, ErrorKind::Unreachable | ErrorKind::TimedOut)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (i, (name, value)) in self.context.iter().enumerate() {
            write!(f, "{}{name} {value}", if i == 0 { " (" } else { ", " })?;
        }
        if self.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// A result below the seam.
pub type Result<T, E = Error> = std::result::Result<T, E>;
