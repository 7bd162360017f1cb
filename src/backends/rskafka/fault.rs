//! What rskafka's errors mean to us: which may pass, which may have left records behind, and how to
//! say it. Pure functions, so that the classes are tested without a broker.
//!
//! rskafka retries a few errors by itself and for ever. It is built here with a deadline of zero, so
//! that each call is tried once and these classes decide.

use std::error::Error as StdError;

use ::rskafka::client::error::{Error as ClientError, ProtocolError as Code, RequestError};
use ::rskafka::{BackoffError, ConnectionError};

use crate::backends::{Error, ErrorKind, Status};

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Try again: it did not happen.
    Retry,
    /// Try again: it may have happened (for a produce call, the records may be in the topic).
    RetryInDoubt,
    /// The topic or partition is not known (yet): try again for a short while.
    UnknownTopic,
    /// Larger than the broker takes: split, or give up if it is one record.
    TooLarge,
    /// The offset is not in the partition.
    OutOfRange,
    /// The records of a fetch cannot be decoded because there is a transaction marker among them.
    Marker,
    /// The records of a fetch cannot be decoded.
    Undecodable,
    /// It will fail the same way again.
    Permanent,
}

/// A failed call: what to do, and what to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) class: Class,
    pub(super) kind: ErrorKind,
    pub(super) message: String,
    /// The connection is as good as before: the leader itself answered, as the leader.
    pub(super) keeps_link: bool,
}

impl Fault {
    pub(super) fn new(class: Class, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { class, kind, message: printable(&message.into()), keeps_link: false }
    }

    /// The call had no answer in time.
    pub(super) fn timed_out(class: Class, what: &str, after: std::time::Duration) -> Self {
        Self::new(class, ErrorKind::TimedOut, format!("no answer to {what} within {} s", after.as_secs_f32()))
    }

    /// True if trying again can help at all.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.class, Class::Retry | Class::RetryInDoubt | Class::UnknownTopic)
    }

    /// The error of the seam, about `subject` (a topic or partition).
    pub(super) fn error(&self, subject: impl std::fmt::Display) -> Error {
        let status = if self.may_pass() { Status::Persistent } else { Status::Permanent };
        Error::new(self.kind, format!("{subject}: {}", self.message)).with_status(status)
    }
}

/// What a fetch has failed with. Its answer has the records in it, so that what cannot be decoded may be one of them.
pub(super) fn of_fetch(error: &ClientError) -> Fault {
    match answer_to(error) {
        Some(why @ (RequestError::ReadVersionedError(_) | RequestError::ReadError(_))) => {
            undecodable(why.to_string())
        }
        _ => of_client(error),
    }
}

/// The error of the request itself, found behind rskafka's "Retry exceeded deadline".
fn answer_to(error: &ClientError) -> Option<&RequestError> {
    match error {
        ClientError::Request(why) => Some(why),
        ClientError::RetryFailed(BackoffError::DeadlineExceded { source, .. }) => {
            source.downcast_ref::<ClientError>().and_then(answer_to)
        }
        _ => None,
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        of_client(&error)
    }
}

fn of_client(error: &ClientError) -> Fault {
    match error {
        ClientError::ServerError { protocol_error, error_message, .. } => {
            of_code(*protocol_error, error_message.as_deref())
        }
        ClientError::RetryFailed(BackoffError::DeadlineExceded { source, .. }) => of_source(&**source),
        ClientError::Connection(error) => of_connection(error),
        ClientError::Request(error) => of_request(error),
        ClientError::InvalidResponse(text) if text.starts_with("Could not find metadata") => {
            Fault::new(Class::UnknownTopic, ErrorKind::UnknownTopic, "no such partition")
        }
        error => Fault::new(Class::RetryInDoubt, ErrorKind::Other, error.to_string()),
    }
}

/// What rskafka gave up on, found behind its "Retry exceeded deadline".
fn of_source(source: &(dyn StdError + Send + Sync + 'static)) -> Fault {
    if let Some(error) = source.downcast_ref::<ClientError>() {
        return of_client(error);
    }
    if let Some(error) = source.downcast_ref::<ConnectionError>() {
        return of_connection(error);
    }
    if let Some(error) = source.downcast_ref::<RequestError>() {
        return before(of_request(error));
    }
    unreachable(source.to_string())
}

/// An error before the request proper was sent: connecting, logging in, asking for metadata.
fn of_connection(error: &ConnectionError) -> Fault {
    match error {
        ConnectionError::RetryFailed(BackoffError::DeadlineExceded { source, .. }) => of_source(&**source),
        ConnectionError::Metadata(error) => before(of_request(error)),
        ConnectionError::SaslFailed(error) => {
            Fault::new(Class::Permanent, ErrorKind::Authentication, format!("login refused: {error}"))
        }
        error => unreachable(error.to_string()),
    }
}

/// The same before the request proper was sent: nothing can have happened.
fn before(fault: Fault) -> Fault {
    let class = if fault.class == Class::RetryInDoubt { Class::Retry } else { fault.class };
    Fault { class, ..fault }
}

/// The errors of several addresses come as text only (rskafka's `MultiError` is private).
fn unreachable(text: String) -> Fault {
    if text.contains("Sasl handshake failed") {
        return Fault::new(Class::Permanent, ErrorKind::Authentication, text);
    }
    Fault::new(Class::Retry, ErrorKind::Unreachable, text)
}

/// An error while the request was out.
fn of_request(error: &RequestError) -> Fault {
    match error {
        RequestError::Poisoned(inner) => of_request(inner),
        RequestError::NoVersionMatch { .. } => Fault::new(
            Class::Permanent,
            ErrorKind::Unsupported,
            format!("the broker speaks no version of the protocol that rskafka does ({error})"),
        ),
        // Writing to a connection that the broker has closed: the type of the cause is rskafka's own.
        RequestError::WriteMessageError(error) if is_from_the_socket(error) => {
            Fault::new(Class::RetryInDoubt, ErrorKind::Unreachable, format!("connection lost: {error}"))
        }
        RequestError::WriteError(_) | RequestError::WriteMessageError(_) => {
            Fault::new(Class::Permanent, ErrorKind::BadRecord, error.to_string())
        }
        RequestError::ReadVersionedError(_) | RequestError::ReadError(_) => {
            let text = format!("an answer that cannot be read: {error}");
            Fault::new(Class::RetryInDoubt, ErrorKind::Unreachable, text)
        }
        RequestError::IO(_) | RequestError::ReadFramedMessageError(_) => {
            Fault::new(Class::RetryInDoubt, ErrorKind::Unreachable, format!("connection lost: {error}"))
        }
        error => Fault::new(Class::RetryInDoubt, ErrorKind::Other, error.to_string()),
    }
}

/// True when the system said it, somewhere behind the error.
fn is_from_the_socket(error: &(dyn StdError + 'static)) -> bool {
    std::iter::successors(error.source(), |&error| error.source()).any(|cause| cause.is::<std::io::Error>())
}

/// rskafka reads a control batch as if it had no record around its marker (0.6.0, record.rs), so
/// that every transaction marker fails with one of these texts.
fn undecodable(text: String) -> Fault {
    let marker = text.contains("control batch record") || text.contains("control record");
    let class = if marker { Class::Marker } else { Class::Undecodable };
    Fault::new(class, ErrorKind::BadRecord, text)
}

/// The broker's own answer. Retriable ones are those of Java's `RetriableException` that a produce,
/// fetch or list-offsets call can get. 7, 13 and 20 leave open whether the records were written, and so do 6 and 56: a
/// leader that stops to be one, or loses its disk, gives that answer to who waits for the other replicas.
fn of_code(code: Code, detail: Option<&str>) -> Fault {
    use Class::{OutOfRange, Permanent, Retry, RetryInDoubt, TooLarge, UnknownTopic};
    let (class, kind) = match code {
        Code::UnknownTopicOrPartition => (UnknownTopic, ErrorKind::UnknownTopic),
        Code::RequestTimedOut => (RetryInDoubt, ErrorKind::TimedOut),
        Code::NetworkException
        | Code::NotEnoughReplicasAfterAppend
        | Code::NotLeaderOrFollower
        | Code::KafkaStorageError => (RetryInDoubt, ErrorKind::Other),
        Code::LeaderNotAvailable
        | Code::ReplicaNotAvailable
        | Code::NotEnoughReplicas
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::OffsetNotAvailable
        | Code::CorruptMessage
        | Code::ThrottlingQuotaExceeded => (Retry, ErrorKind::Other),
        Code::MessageTooLarge | Code::RecordListTooLarge => (TooLarge, ErrorKind::TooLarge),
        Code::OffsetOutOfRange => (OutOfRange, ErrorKind::OffsetOutOfRange),
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::GroupAuthorizationFailed => (Permanent, ErrorKind::Authorization),
        Code::SaslAuthenticationFailed | Code::UnsupportedSaslMechanism | Code::IllegalSaslState => {
            (Permanent, ErrorKind::Authentication)
        }
        Code::UnsupportedCompressionType | Code::UnsupportedVersion => (Permanent, ErrorKind::Unsupported),
        Code::InvalidTopicException => (Permanent, ErrorKind::UnknownTopic),
        _ => (Permanent, ErrorKind::Other),
    };
    let keeps_link = matches!(
        code,
        Code::RequestTimedOut
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::CorruptMessage
            | Code::ThrottlingQuotaExceeded
    );
    Fault { keeps_link, ..Fault::new(class, kind, answer(code, detail)) }
}

fn answer(code: Code, detail: Option<&str>) -> String {
    let text = match code {
        Code::UnknownTopicOrPartition => "no such topic or partition".into(),
        Code::InvalidTopicException => "not a topic name the broker accepts".into(),
        Code::MessageTooLarge | Code::RecordListTooLarge => {
            "larger than the broker takes (message.max.bytes, max.message.bytes)".into()
        }
        Code::TopicAuthorizationFailed => "no permission for this topic".into(),
        Code::UnsupportedCompressionType => {
            "its compression.type=zstd needs a newer fetch request than rskafka has: use --library rdkafka"
                .into()
        }
        Code::InvalidRecord => {
            "the broker refused a record (a compacted topic takes none without key)".into()
        }
        code => format!("the broker answered {code}"),
    };
    detail.map_or(text.clone(), |detail| format!("{text}: {detail}"))
}

/// Text from a broker, with control characters escaped: it ends on a terminal.
pub(super) fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use ::rskafka::client::error::RequestContext;

    fn server(code: Code) -> ClientError {
        let request = RequestContext::Partition("t".into(), 0);
        ClientError::ServerError {
            protocol_error: code,
            error_message: None,
            request,
            response: None,
            is_virtual: false,
        }
    }

    fn gave_up(source: impl StdError + Send + Sync + 'static) -> BackoffError {
        BackoffError::DeadlineExceded { deadline: std::time::Duration::ZERO, source: Box::new(source) }
    }

    #[test]
    fn temporary_answers_are_retried_and_permanent_ones_are_not() {
        use Class::{Permanent, Retry, RetryInDoubt, TooLarge, UnknownTopic};
        let cases = [
            (3, UnknownTopic),
            (5, Retry),
            (6, RetryInDoubt),
            (7, RetryInDoubt),
            (10, TooLarge),
            (13, RetryInDoubt),
            (17, Permanent),
            (18, TooLarge),
            (19, Retry),
            (20, RetryInDoubt),
            (29, Permanent),
            (31, Permanent),
            (45, Permanent),
            (47, Permanent),
            (56, RetryInDoubt),
            (58, Permanent),
            (87, Permanent),
        ];
        for (code, class) in cases {
            assert_eq!(Fault::from(server(CODES[code])).class, class, "{code}");
        }
    }

    /// The codes of the table above by number (rskafka keeps the numbers to itself).
    const CODES: [Code; 88] = {
        let mut codes = [Code::UnknownServerError; 88];
        codes[3] = Code::UnknownTopicOrPartition;
        codes[5] = Code::LeaderNotAvailable;
        codes[6] = Code::NotLeaderOrFollower;
        codes[7] = Code::RequestTimedOut;
        codes[10] = Code::MessageTooLarge;
        codes[13] = Code::NetworkException;
        codes[17] = Code::InvalidTopicException;
        codes[18] = Code::RecordListTooLarge;
        codes[19] = Code::NotEnoughReplicas;
        codes[20] = Code::NotEnoughReplicasAfterAppend;
        codes[29] = Code::TopicAuthorizationFailed;
        codes[31] = Code::ClusterAuthorizationFailed;
        codes[45] = Code::OutOfOrderSequenceNumber;
        codes[47] = Code::InvalidProducerEpoch;
        codes[56] = Code::KafkaStorageError;
        codes[58] = Code::SaslAuthenticationFailed;
        codes[87] = Code::InvalidRecord;
        codes
    };

    #[test]
    fn the_cause_is_found_behind_rskafkas_deadline() {
        let fault = Fault::from(ClientError::RetryFailed(gave_up(server(Code::NotLeaderOrFollower))));
        assert_eq!((fault.class, fault.kind), (Class::RetryInDoubt, ErrorKind::Other));
        assert_eq!(fault.message, "the broker answered NotLeaderOrFollower");
    }

    #[test]
    fn a_connection_lost_while_a_request_was_out_leaves_doubt() {
        let lost = || RequestError::IO(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(Fault::from(ClientError::Request(lost())).class, Class::RetryInDoubt);
        let poisoned = ClientError::Request(RequestError::Poisoned(Arc::new(lost())));
        assert_eq!(Fault::from(ClientError::RetryFailed(gave_up(poisoned))).class, Class::RetryInDoubt);
    }

    #[test]
    fn what_the_system_said_is_found_behind_an_error() {
        let broken: std::io::Error = std::io::ErrorKind::BrokenPipe.into();
        assert!(is_from_the_socket(&RequestError::IO(broken)));
        assert!(!is_from_the_socket(&server(Code::NetworkException)));
    }

    #[test]
    fn a_connection_lost_before_the_request_leaves_none() {
        let lost = RequestError::IO(std::io::ErrorKind::ConnectionReset.into());
        let fault = Fault::from(ClientError::Connection(ConnectionError::Metadata(lost)));
        assert_eq!((fault.class, fault.kind), (Class::Retry, ErrorKind::Unreachable));
    }

    #[test]
    fn the_error_of_a_fetch_itself_is_found_behind_rskafkas_deadline() {
        let lost = || RequestError::IO(std::io::ErrorKind::ConnectionReset.into());
        let behind = ClientError::RetryFailed(gave_up(ClientError::Request(lost())));
        assert!(matches!(answer_to(&behind), Some(RequestError::IO(_))));
        assert_eq!(of_fetch(&behind).class, Class::RetryInDoubt);
        // What was asked before it has no records.
        let before = ClientError::Connection(ConnectionError::Metadata(lost()));
        assert!(answer_to(&before).is_none());
    }

    #[test]
    fn a_transaction_marker_is_told_from_other_undecodable_data() {
        assert_eq!(undecodable("Unknown control batch record version: 8192".into()).class, Class::Marker);
        assert_eq!(undecodable("CRC error, got 0x1, expected 0x2".into()).class, Class::Undecodable);
    }

    #[test]
    fn what_a_broker_says_cannot_control_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
    }
}
