//! What groups of this protocol are run with.

use std::time::Duration;

use super::super::MAX_SIZE;

/// What groups of KIP-848's protocol are run with.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often members are told to send heartbeats (Kafka's `group.consumer.heartbeat.interval.ms`).
    pub heartbeat_interval: Duration,
    /// How long after its last heartbeat a member is taken for dead (`group.consumer.session.timeout.ms`).
    pub session_timeout: Duration,
    /// The most members of a group: a target takes time that grows with them (`group.consumer.max.size`).
    pub max_members: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(1),
            session_timeout: Duration::from_secs(45),
            max_members: MAX_SIZE,
        }
    }
}

impl Options {
    pub(super) fn heartbeat_interval_ms(&self) -> i32 {
        i32::try_from(self.heartbeat_interval.as_millis()).unwrap_or(i32::MAX)
    }

    pub(super) fn session_timeout_ms(&self) -> i64 {
        i64::try_from(self.session_timeout.as_millis()).unwrap_or(i64::MAX)
    }
}
