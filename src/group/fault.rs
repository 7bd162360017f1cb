//! Why a member cannot go on.

use super::Terms;
use crate::wire::ErrorCode;

/// Why a member cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What sort of thing it is.
    pub kind: FaultKind,
    /// What the broker called it, if it was the broker.
    pub code: Option<ErrorCode>,
    /// One line that names the group.
    pub message: String,
}

/// What sort of thing keeps a member from going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// An ACL forbids it.
    Authorization,
    /// Another client took the place of this static member, or holds it.
    Fenced,
    /// The settings do not fit the group or the broker: assignors, protocol, timeouts, group id.
    Settings,
    /// The group has as many members as it may have.
    Full,
    /// The broker has no such protocol.
    Unsupported,
    /// What came makes no sense.
    Other,
}

impl Fault {
    /// That of an error that no trying again helps against; with the broker's own words if it has any.
    pub(super) fn of_code(code: ErrorCode, terms: &Terms, words: Option<&str>) -> Self {
        let kind = FaultKind::of_code(code);
        let group = &terms.group_id;
        let instance = terms.instance_id.as_deref().unwrap_or_default();
        let meaning = match code {
            ErrorCode::GroupAuthorizationFailed => "not authorized to be a member of it".to_owned(),
            ErrorCode::TopicAuthorizationFailed => "not authorized to read its topics".to_owned(),
            ErrorCode::FencedInstanceId => {
                format!("another client has taken the place of {instance} (group.instance.id)")
            }
            ErrorCode::UnreleasedInstanceId => {
                format!("another client is {instance} at present (group.instance.id)")
            }
            ErrorCode::InconsistentGroupProtocol => {
                "its members have no way of assigning in common with this one \
                 (partition.assignment.strategy, group.protocol)"
                    .to_owned()
            }
            ErrorCode::InvalidSessionTimeout => {
                "session.timeout.ms is not within the bounds of the broker".to_owned()
            }
            ErrorCode::GroupMaxSizeReached => "it has as many members as it may have".to_owned(),
            ErrorCode::UnsupportedVersion => return Self::unsupported(terms),
            _ => "the coordinator refuses the member".to_owned(),
        };
        let words = words.filter(|words| !words.is_empty()).map(|words| format!(": {words}"));
        let message = format!("group {group}: {meaning}: {code}{}", words.unwrap_or_default());
        Self { kind, code: Some(code), message }
    }

    /// That of a broker without the protocol.
    pub(super) fn unsupported(terms: &Terms) -> Self {
        let message = format!("group {}: the broker has no such group.protocol", terms.group_id);
        Self { kind: FaultKind::Unsupported, code: Some(ErrorCode::UnsupportedVersion), message }
    }

    /// That of an answer that makes no sense.
    pub(super) fn nonsense(terms: &Terms, what: &str) -> Self {
        let message = format!("group {}: {what}", terms.group_id);
        Self { kind: FaultKind::Other, code: None, message }
    }
}

impl FaultKind {
    fn of_code(code: ErrorCode) -> Self {
        use ErrorCode::*;
        match code {
            GroupAuthorizationFailed | TopicAuthorizationFailed | ClusterAuthorizationFailed => {
                Self::Authorization
            }
            FencedInstanceId | UnreleasedInstanceId => Self::Fenced,
            InconsistentGroupProtocol
            | InvalidSessionTimeout
            | InvalidGroupId
            | UnsupportedAssignor
            | InvalidRequest
            | InvalidRegularExpression => Self::Settings,
            GroupMaxSizeReached => Self::Full,
            UnsupportedVersion => Self::Unsupported,
            _ => Self::Other,
        }
    }
}
