//! What a member wants to be done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Fault;
use crate::record::TopicPartition;
use crate::wire::messages::{
    ConsumerGroupHeartbeatRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
};

/// Ties what comes back to what it was asked for. Never used twice by one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send this to the group's coordinator, whom the driver finds out if it does not know it; then tell
    /// [`super::Event::Answered`] or [`super::Event::Failed`], the latter after `within` at the latest.
    ///
    /// A broker takes one request of a connection at a time, and a JoinGroup or SyncGroup may take minutes:
    /// whatever else is sent meanwhile, offsets and above all a [`Request::Leave`], is not to wait behind it.
    Send {
        /// Which request it is.
        ticket: Ticket,
        /// The request.
        request: Request,
        /// How long the answer may take.
        within: Duration,
    },
    /// The coordinator may be another by now: find it out again for the next request.
    ForgetCoordinator,
    /// Find out about these topics now, whatever is known of them, until that has come about, and keep
    /// watching them; then tell [`super::Event::Learned`]. A later one takes the place of an earlier one.
    Learn {
        /// Which question it is.
        ticket: Ticket,
        /// The topics; they may not exist.
        topics: BTreeSet<Arc<str>>,
    },
    /// The member has these partitions now, besides those that it had.
    Assign(Vec<TopicPartition>),
    /// The application is to give up these partitions and commit what it has read, then to tell
    /// [`super::Event::Released`]. They are its own until then, or until it loses them.
    Revoke {
        /// Which revocation it is.
        ticket: Ticket,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// These partitions may be another's by now: give them up, and commit nothing of them. No answer; one to
    /// an earlier [`Self::Revoke`] is not waited for any more.
    Lose(Vec<TopicPartition>),
    /// Tell the user one warning line.
    Warn(String),
    /// The member cannot go on. It has no partitions any more, nor is it in the group.
    Fail(Fault),
    /// The member has left, after [`super::Event::Leave`].
    Left,
}

/// A request to the coordinator.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Enters the group, or stays in it through a rebalance. The answer comes when all have done so.
    Join(JoinGroupRequest<'static>),
    /// Asks for the assignment. The answer comes when the leader has brought it.
    Sync(SyncGroupRequest<'static>),
    /// Keeps the membership alive.
    Heartbeat(HeartbeatRequest<'static>),
    /// Leaves the group.
    Leave(LeaveGroupRequest<'static>),
    /// All of these in KIP-848's protocol.
    Consumer(ConsumerGroupHeartbeatRequest<'static>),
}

/// As whom offsets are committed and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The generation, or the member's epoch in KIP-848's protocol; -1 outside the group.
    pub generation: i32,
    /// The member's id; empty outside the group.
    pub member_id: String,
    /// The name that the user gave the member.
    pub instance_id: Option<String>,
}

impl Default for Identity {
    /// Nobody in particular.
    fn default() -> Self {
        Self { generation: -1, member_id: String::new(), instance_id: None }
    }
}
