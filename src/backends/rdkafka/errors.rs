//! librdkafka's codes in the seam's terms.

use ::rdkafka::bindings::rd_kafka_resp_err_t as E;

use super::native::Code;
use crate::backends::{Error, ErrorKind, Status};

/// What a code means to a user.
pub(super) fn kind(code: Code) -> ErrorKind {
    let Some(code) = code.known() else { return ErrorKind::Other };
    match code {
        E::RD_KAFKA_RESP_ERR__TRANSPORT
        | E::RD_KAFKA_RESP_ERR__RESOLVE
        | E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
        | E::RD_KAFKA_RESP_ERR__WAIT_COORD
        | E::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE
        | E::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE
        | E::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION => ErrorKind::Unreachable,
        E::RD_KAFKA_RESP_ERR__TIMED_OUT
        | E::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT
        | E::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE
        | E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT
        | E::RD_KAFKA_RESP_ERR__PURGE_QUEUE
        | E::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT => ErrorKind::TimedOut,
        E::RD_KAFKA_RESP_ERR__AUTHENTICATION
        | E::RD_KAFKA_RESP_ERR__SSL
        | E::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED
        | E::RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM
        | E::RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE => ErrorKind::Authentication,
        E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
        | E::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
        | E::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
        | E::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED => ErrorKind::Authorization,
        // The handle that is destroyed is that of a partition which is not there any more, with its records.
        E::RD_KAFKA_RESP_ERR__DESTROY
        | E::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
        | E::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
        | E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        | E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID => ErrorKind::UnknownTopic,
        E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE | E::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE => {
            ErrorKind::TooLarge
        }
        E::RD_KAFKA_RESP_ERR__BAD_MSG
        | E::RD_KAFKA_RESP_ERR__BAD_COMPRESSION
        | E::RD_KAFKA_RESP_ERR_INVALID_MSG
        | E::RD_KAFKA_RESP_ERR_INVALID_RECORD => ErrorKind::BadRecord,
        E::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE
        | E::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
        | E::RD_KAFKA_RESP_ERR__NO_OFFSET => ErrorKind::OffsetOutOfRange,
        E::RD_KAFKA_RESP_ERR__INVALID_ARG
        | E::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE
        | E::RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED
        | E::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL
        | E::RD_KAFKA_RESP_ERR_INVALID_GROUP_ID
        | E::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT
        | E::RD_KAFKA_RESP_ERR_UNSUPPORTED_ASSIGNOR
        | E::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    }
}

/// The protocol's errors that mean "ask again": LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER,
/// REPLICA_NOT_AVAILABLE, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, OFFSET_NOT_AVAILABLE.
const ASK_AGAIN: [Code; 6] = [Code(5), Code(6), Code(9), Code(74), Code(75), Code(78)];

/// True of a commit that is refused because the group is being rebalanced, or has given this member up: REBALANCE_IN_PROGRESS,
/// ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, STALE_MEMBER_EPOCH, and librdkafka's own word for it.
pub(super) fn is_rebalance(code: Code) -> bool {
    [Code(27), Code(22), Code(25), Code(110), Code(113), Code(-142)].contains(&code)
}

/// True of what a group's coordinator refuses a member for.
pub(super) fn is_of_group(code: Code) -> bool {
    matches!(
        code.known(),
        Some(
            E::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL
                | E::RD_KAFKA_RESP_ERR_INVALID_GROUP_ID
                | E::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT
                | E::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
                | E::RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED
                | E::RD_KAFKA_RESP_ERR_UNSUPPORTED_ASSIGNOR
                | E::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID
                | E::RD_KAFKA_RESP_ERR_UNRELEASED_INSTANCE_ID
        )
    )
}

/// True when librdkafka goes on by itself and only tells.
pub(super) fn passes(code: Code) -> bool {
    matches!(kind(code), ErrorKind::Unreachable | ErrorKind::TimedOut) || ASK_AGAIN.contains(&code)
}

/// An error about `what`, e.g. `topic orders`.
pub(super) fn error(code: Code, what: impl Into<String>) -> Error {
    let status = match code.known() {
        // As long as it was tried, it may have been for another reason each time.
        Some(E::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) => Status::Persistent,
        _ if passes(code) => Status::Temporary,
        _ => Status::Permanent,
    };
    Error::new(kind(code), format!("{}: {}", what.into(), words(code))).with_status(status)
}

/// What a code says to a user: librdkafka's words, or ours where those are for its authors.
fn words(code: Code) -> String {
    match code.known() {
        Some(E::RD_KAFKA_RESP_ERR__PURGE_QUEUE) => "not sent in time".to_owned(),
        Some(E::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) => "not acknowledged in time".to_owned(),
        Some(E::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) => "not delivered within delivery.timeout.ms".to_owned(),
        Some(E::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID) => {
            "another client has taken the place of this one (group.instance.id)".to_owned()
        }
        Some(E::RD_KAFKA_RESP_ERR_UNRELEASED_INSTANCE_ID) => {
            "another client has this one's name at present (group.instance.id)".to_owned()
        }
        Some(E::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT) => {
            "session.timeout.ms is not within the bounds of the broker".to_owned()
        }
        Some(E::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL) => {
            "its members have no way of assigning in common with this one \
             (partition.assignment.strategy, group.protocol)"
                .to_owned()
        }
        _ => lower(&code.text()),
    }
}

/// librdkafka's sentences, in the form of ours.
fn lower(text: &str) -> String {
    let text = text.strip_prefix("Broker: ").or_else(|| text.strip_prefix("Local: ")).unwrap_or(text);
    let mut chars = text.trim_end_matches('.').chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_uppercase() => format!("{first}{}", chars.as_str()),
        (Some(first), _) => first.to_lowercase().chain(chars).collect(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_to_the_documented_kinds() {
        let cases = [
            (-195, ErrorKind::Unreachable),
            (-192, ErrorKind::TimedOut),
            (-169, ErrorKind::Authentication),
            (29, ErrorKind::Authorization),
            (3, ErrorKind::UnknownTopic),
            (-190, ErrorKind::UnknownTopic),
            (-197, ErrorKind::UnknownTopic),
            (10, ErrorKind::TooLarge),
            (1, ErrorKind::OffsetOutOfRange),
            (12345, ErrorKind::Other),
        ];
        for (code, expected) in cases {
            assert_eq!(kind(Code(code)), expected, "code {code}");
        }
    }

    #[test]
    fn an_unknown_code_is_named_by_its_number() {
        assert_eq!(error(Code(12345), "topic t").to_string(), "topic t: error code 12345");
    }

    #[test]
    fn what_was_tried_for_all_its_time_is_not_tried_again() {
        assert_eq!(error(Code(-192), "topic t").status(), Status::Persistent);
        assert_eq!(error(Code(7), "topic t").status(), Status::Temporary);
    }

    #[test]
    fn messages_are_lower_case_without_a_prefix() {
        assert_eq!(error(Code(3), "topic t").to_string(), "topic t: unknown topic or partition");
        assert_eq!(lower("Broker: API version not supported"), "API version not supported");
    }
}
