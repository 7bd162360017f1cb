//! What a member is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Identity, Ticket};
use crate::wire::messages::{
    ConsumerGroupHeartbeatResponse, HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse,
    SyncGroupResponse,
};
use crate::wire::{ErrorCode, Uuid};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The application wants to read these topics: at first, and whenever that changes, as when a topic
    /// comes or goes that a pattern matches. They need not exist.
    Subscribed(BTreeSet<Arc<str>>),
    /// What is known of topics has changed: all that is known, which should have the topics subscribed to
    /// and those that [`super::Action::Learn`] named.
    Topics(Arc<Topics>),
    /// What was to be learned is: as [`Self::Topics`].
    Learned(Ticket, Arc<Topics>),
    /// The application asked for records: it is alive.
    Polled,
    /// The application has given up the partitions of that [`super::Action::Revoke`], and has committed
    /// what was to be committed.
    Released(Ticket),
    /// The coordinator answered a request.
    Answered(Ticket, Response<'a>),
    /// A request has no answer.
    Failed(Ticket, Failure),
    /// The coordinator refused to keep or tell offsets for whom they were asked.
    Refused(ErrorCode, Identity),
    /// The application is done: give up everything and leave.
    Leave,
    /// The time of [`super::Member::next_time`] has come.
    Tick,
}

/// An answer, to the [`super::Request`] of the same name.
#[derive(Debug, Clone)]
pub enum Response<'a> {
    /// To a JoinGroup.
    Join(JoinGroupResponse<'a>),
    /// To a SyncGroup.
    Sync(SyncGroupResponse<'a>),
    /// To a Heartbeat.
    Heartbeat(HeartbeatResponse),
    /// To a LeaveGroup.
    Leave(LeaveGroupResponse<'a>),
    /// To a ConsumerGroupHeartbeat.
    Consumer(ConsumerGroupHeartbeatResponse<'a>),
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection came about, or it ended, or time ran out: the request may have been carried out.
    Disconnected,
    /// The coordinator could not be found out, for this reason.
    Refused(ErrorCode),
    /// The coordinator and this client have no version of the request in common.
    Unsupported,
}

/// Topics by name, those that exist.
pub type Topics = BTreeMap<Arc<str>, Topic>;

/// A topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Its id; all zero if the broker is too old to tell.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
}

/// What becomes of offsets that the coordinator refused to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// They can be committed again after a while, as whoever the member is then.
    Again,
    /// The same, and the coordinator is to be found out again.
    Elsewhere,
    /// Not before the member has joined again, and then only for what it still has.
    Rejoin,
    /// Never.
    Never,
}

impl Commit {
    /// What the error means, in either protocol.
    pub fn refused(code: ErrorCode) -> Self {
        use ErrorCode::*;
        match code {
            CoordinatorLoadInProgress | UnknownTopicOrPartition | UnstableOffsetCommit | StaleMemberEpoch => {
                Self::Again
            }
            CoordinatorNotAvailable | NotCoordinator | RequestTimedOut => Self::Elsewhere,
            RebalanceInProgress | IllegalGeneration | UnknownMemberId | FencedMemberEpoch => Self::Rejoin,
            _ => Self::Never,
        }
    }
}
