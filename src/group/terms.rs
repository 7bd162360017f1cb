//! What a member is told when it begins.

use std::time::Duration;

use super::Assignor;

/// What a member keeps to for as long as it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The group (`group.id`).
    pub group_id: String,
    /// The name that the user gave the member (`group.instance.id`): it is a static member then (KIP-345).
    pub instance_id: Option<String>,
    /// Where it stands (`client.rack`).
    pub rack_id: Option<String>,
    /// How long the application may go without [`super::Event::Polled`] before the member leaves the group,
    /// and so how long a rebalance may take (`max.poll.interval.ms`).
    pub max_poll_interval: Duration,
    /// Before something is tried again (`retry.backoff.ms`).
    pub retry_backoff: Duration,
    /// For an answer (`request.timeout.ms`). That to a JoinGroup may take longer.
    pub request_timeout: Duration,
    /// How the members agree.
    pub protocol: Protocol,
}

/// How the members of a group agree who reads what (`group.protocol`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// `classic`: one of them assigns.
    Classic {
        /// After how long without a heartbeat it is out of the group (`session.timeout.ms`).
        session_timeout: Duration,
        /// Between heartbeats (`heartbeat.interval.ms`).
        heartbeat_interval: Duration,
        /// How it can assign, the best first (`partition.assignment.strategy`). At least one. Rebalances are
        /// cooperative if all of these can be.
        assignors: Vec<Assignor>,
    },
    /// `consumer`: the broker assigns, and sets the times (KIP-848).
    Consumer {
        /// What the member calls itself: an id that no other has, such as a random UUID.
        member_id: String,
        /// The broker's assignor to use (`group.remote.assignor`); none leaves it to the broker.
        assignor: Option<String>,
    },
}
