//! What went wrong below, in the terms of the seam.

use std::fmt;

use crate::backends::{Error, ErrorKind, Status};
use crate::wire::ErrorCode;
use crate::wire::net::{self, Kind};

/// An error of a request about `subject` (a topic, a partition).
pub(in crate::backends) fn error(subject: impl fmt::Display, why: &net::Error) -> Error {
    let status = if why.is_retriable() { Status::Persistent } else { Status::Permanent };
    let text = match why.kind() {
        Kind::Broker(code) => answer(code, None),
        _ => printable(&why.to_string()),
    };
    Error::new(kind(why), format!("{subject}: {text}")).with_status(status).with_source(why.clone())
}

/// What a broker answered about `subject`, with what it said in words.
pub(in crate::backends) fn of_code(
    subject: impl fmt::Display,
    code: ErrorCode,
    detail: Option<&str>,
) -> Error {
    let status = if code.is_retriable() { Status::Persistent } else { Status::Permanent };
    Error::new(code_kind(code), format!("{subject}: {}", answer(code, detail))).with_status(status)
}

/// The kind of an error.
pub(in crate::backends) fn kind(why: &net::Error) -> ErrorKind {
    match why.kind() {
        Kind::Unreachable | Kind::Closed | Kind::Protocol => ErrorKind::Unreachable,
        Kind::TimedOut => ErrorKind::TimedOut,
        Kind::Broker(code) => code_kind(code),
        Kind::Unsupported => ErrorKind::Unsupported,
        Kind::Authentication => ErrorKind::Authentication,
        Kind::Request => ErrorKind::Other,
    }
}

/// The kind of a code.
pub(in crate::backends) fn code_kind(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::InvalidTopic | ErrorCode::UnknownTopicId => {
            ErrorKind::UnknownTopic
        }
        ErrorCode::RequestTimedOut => ErrorKind::TimedOut,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorKind::TooLarge,
        ErrorCode::OffsetOutOfRange => ErrorKind::OffsetOutOfRange,
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed => ErrorKind::Authorization,
        ErrorCode::SaslAuthenticationFailed
        | ErrorCode::UnsupportedSaslMechanism
        | ErrorCode::IllegalSaslState => ErrorKind::Authentication,
        ErrorCode::UnsupportedVersion | ErrorCode::UnsupportedCompressionType => ErrorKind::Unsupported,
        ErrorCode::LeaderNotAvailable | ErrorCode::BrokerNotAvailable => ErrorKind::Unreachable,
        _ => ErrorKind::Other,
    }
}

/// A code in words that tell what to do, where there is something to be done.
pub(in crate::backends) fn answer(code: ErrorCode, detail: Option<&str>) -> String {
    let text = match code {
        ErrorCode::UnknownTopicOrPartition => "no such topic or partition".to_owned(),
        ErrorCode::InvalidTopic => "not a topic name the broker accepts".to_owned(),
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
            "larger than the broker takes (message.max.bytes, max.message.bytes)".to_owned()
        }
        ErrorCode::TopicAuthorizationFailed => "no permission for this topic".to_owned(),
        ErrorCode::LeaderNotAvailable => "no broker leads this partition".to_owned(),
        ErrorCode::InvalidRecord => {
            "the broker refused a record (a compacted topic takes none without key)".to_owned()
        }
        code => format!("the broker answered {code}"),
    };
    match detail {
        Some(detail) => format!("{text}: {}", printable(detail)),
        None => text,
    }
}

/// Text from a broker, with control characters escaped: it ends on a terminal.
pub(in crate::backends) fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_to_the_documented_kinds() {
        let cases = [
            (3, ErrorKind::UnknownTopic),
            (7, ErrorKind::TimedOut),
            (10, ErrorKind::TooLarge),
            (29, ErrorKind::Authorization),
            (31, ErrorKind::Authorization),
            (58, ErrorKind::Authentication),
            (76, ErrorKind::Unsupported),
            (-1, ErrorKind::Other),
        ];
        for (number, expected) in cases {
            let code = ErrorCode::of(number).unwrap();
            assert_eq!(of_code("t[0]", code, None).kind(), expected, "{code}");
        }
    }

    #[test]
    fn an_error_names_what_it_is_about_and_cannot_control_the_terminal() {
        let code = ErrorCode::PolicyViolation;
        let error = of_code("t[0]", code, Some("\u{1b}[31mno"));
        assert_eq!(error.to_string(), "t[0]: the broker answered POLICY_VIOLATION: \\u{1b}[31mno");
    }

    #[test]
    fn what_may_pass_is_told_as_persistent() {
        let lost = net::Error::new(Kind::Closed, "it closed the connection");
        let error = error("t[0]", &lost);
        assert_eq!((error.kind(), error.status()), (ErrorKind::Unreachable, Status::Persistent));
        assert_eq!(error.to_string(), "t[0]: it closed the connection");
        let refused = of_code("t[0]", ErrorCode::PolicyViolation, None);
        assert_eq!(refused.status(), Status::Permanent);
    }
}
