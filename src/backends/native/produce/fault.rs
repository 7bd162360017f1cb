//! What a refused or lost batch means, as Java's `Sender` and `TransactionManager` take it. Pure, so
//! that every code is tested without a broker.

use std::fmt;

use crate::backends::wired::errors;
use crate::backends::{Error, ErrorKind};
use crate::wire::ErrorCode;
use crate::wire::net::{self, Sent};

/// Why a batch was not acknowledged.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The broker's answer.
    Code {
        code: ErrorCode,
        /// In its words.
        detail: Option<String>,
        /// The records that are to blame, if it names them.
        records: Vec<usize>,
    },
    /// There was none.
    Lost(net::Error),
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// It was written, by an earlier try.
    Duplicate,
    /// The broker expects another sequence number.
    Sequence,
    /// Larger than the broker takes: split, unless it is one record.
    TooLarge,
    /// Some of its records are refused, the others could be taken.
    Records,
    /// The topic or partition is not known (yet): try again for a short while.
    Missing,
    /// Try again: it was not written.
    Again,
    /// Try again: it may have been written.
    InDoubt,
    /// It will fail the same way again.
    Final,
    /// So will everything else that is sent.
    Fatal,
}

/// Whether leaders are to be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaders {
    Known,
    Doubtful,
}

impl Fault {
    /// A broker's answer without more to it.
    pub(super) fn of(code: ErrorCode) -> Self {
        Self::Code { code, detail: None, records: Vec::new() }
    }

    pub(super) fn class(&self) -> Class {
        match self {
            Self::Code { code, records, .. } => match of_code(*code) {
                Class::Records if records.is_empty() => Class::Final,
                class => class,
            },
            Self::Lost(error) if !error.is_retriable() => Class::Final,
            Self::Lost(error) if error.sent() == Sent::No => Class::Again,
            Self::Lost(_) => Class::InDoubt,
        }
    }

    /// Whether the request never left, so that the try does not count.
    pub(super) fn was_unsent(&self) -> bool {
        matches!(self, Self::Lost(error) if error.sent() == Sent::No)
    }

    pub(super) fn leaders(&self) -> Leaders {
        let doubtful = match self {
            Self::Code { code, .. } => code.asks_for_metadata(),
            Self::Lost(error) => error.asks_for_metadata(),
        };
        if doubtful { Leaders::Doubtful } else { Leaders::Known }
    }

    /// In the terms of the seam, about a partition.
    pub(super) fn error(&self, subject: impl fmt::Display) -> Error {
        match self {
            Self::Code { code, detail, .. } => errors::of_code(subject, *code, detail.as_deref()),
            Self::Lost(error) => errors::error(subject, error),
        }
    }

    /// Why its time ran out, if it is the last: for want of an answer, or of someone to answer for the partition.
    pub(super) fn trouble(&self) -> (ErrorKind, String) {
        let (kind, why) = self.reason();
        match self {
            Self::Code { .. } => (kind, why),
            Self::Lost(_) => (ErrorKind::TimedOut, why),
        }
    }

    /// In words, as a reason.
    pub(super) fn reason(&self) -> (ErrorKind, String) {
        match self {
            Self::Code { code, detail, .. } => {
                (errors::code_kind(*code), errors::answer(*code, detail.as_deref()))
            }
            Self::Lost(error) => (errors::kind(error), errors::printable(&error.to_string())),
        }
    }
}

/// Java's `RetriableException`s are tried again. Of those, REQUEST_TIMED_OUT, NETWORK_EXCEPTION and
/// NOT_ENOUGH_REPLICAS_AFTER_APPEND leave open whether the batch was written; so do NOT_LEADER_OR_FOLLOWER and
/// KAFKA_STORAGE_ERROR, which whoever waits for the other replicas is told when the leader stops to be one or loses its
/// disk (`DelayedProduce.tryComplete`).
fn of_code(code: ErrorCode) -> Class {
    match code {
        ErrorCode::DuplicateSequenceNumber => Class::Duplicate,
        ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId => Class::Sequence,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => Class::TooLarge,
        ErrorCode::InvalidRecord | ErrorCode::InvalidTimestamp => Class::Records,
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => Class::Missing,
        ErrorCode::RequestTimedOut
        | ErrorCode::NetworkException
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::NotLeaderOrFollower
        | ErrorCode::KafkaStorageError => Class::InDoubt,
        ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed
        | ErrorCode::ProducerFenced
        | ErrorCode::InvalidProducerIdMapping
        | ErrorCode::UnsupportedVersion => Class::Fatal,
        code if code.is_retriable() => Class::Again,
        _ => Class::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::net::Kind;

    #[test]
    fn each_code_has_the_class_that_java_gives_it() {
        let cases = [
            (-1, Class::Final),
            (2, Class::Again),
            (3, Class::Missing),
            (5, Class::Again),
            (6, Class::InDoubt),
            (7, Class::InDoubt),
            (10, Class::TooLarge),
            (13, Class::InDoubt),
            (17, Class::Final),
            (18, Class::TooLarge),
            (19, Class::Again),
            (20, Class::InDoubt),
            (21, Class::Final),
            (29, Class::Final),
            (31, Class::Fatal),
            (35, Class::Fatal),
            (45, Class::Sequence),
            (46, Class::Duplicate),
            (47, Class::Final),
            (49, Class::Fatal),
            (53, Class::Fatal),
            (56, Class::InDoubt),
            (59, Class::Sequence),
            (74, Class::Again),
            (87, Class::Final),
            (89, Class::Again),
            (90, Class::Fatal),
        ];
        for (number, class) in cases {
            let code = ErrorCode::of(number).unwrap();
            assert_eq!(Fault::of(code).class(), class, "{code}");
        }
    }

    #[test]
    fn records_that_are_named_do_not_speak_for_the_others() {
        let code = ErrorCode::InvalidRecord;
        assert_eq!(Fault::Code { code, detail: None, records: vec![3] }.class(), Class::Records);
    }

    #[test]
    fn a_request_that_did_not_leave_was_not_written() {
        let lost = |sent| Fault::Lost(net::Error::new(Kind::Closed, "lost").sent_as(sent));
        assert_eq!((lost(Sent::No).class(), lost(Sent::No).was_unsent()), (Class::Again, true));
        assert_eq!((lost(Sent::Maybe).class(), lost(Sent::Maybe).was_unsent()), (Class::InDoubt, false));
        assert_eq!(lost(Sent::Maybe).leaders(), Leaders::Doubtful);
        assert_eq!(Fault::of(ErrorCode::CorruptMessage).leaders(), Leaders::Known);
        let refused = Fault::Lost(net::Error::new(Kind::Authentication, "no"));
        assert_eq!(refused.class(), Class::Final);
    }
}
