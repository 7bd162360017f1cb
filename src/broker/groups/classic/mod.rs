//! A group of the classic protocol.

use super::super::code::Code;
use super::registry::{Mode, Who};

/// What state a group is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum State {
    /// It has no members.
    Empty,
}

impl State {
    /// In Kafka's word.
    pub(in crate::broker) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
        }
    }
}

/// A group.
#[derive(Debug)]
pub(in crate::broker) struct Group {
    state: State,
    changed_at: i64,
}

impl Group {
    pub(super) fn new(now: i64) -> Self {
        Self { state: State::Empty, changed_at: now }
    }
    pub(super) fn of_value(_: &[u8], _: i64) -> Option<Self> {
        None
    }
    pub(in crate::broker) fn state(&self) -> State {
        self.state
    }
    pub(in crate::broker) fn protocol_type(&self) -> &str {
        ""
    }
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }
    pub(super) fn check_commit(&mut self, who: Who<'_>, _: Mode, _: i64) -> Result<(), Code> {
        if who.generation < 0 { Ok(()) } else { Err(Code::UnknownMemberId) }
    }
    pub(super) fn check_delete_offsets(&self) -> Result<(), Code> {
        Ok(())
    }
    pub(super) fn is_subscribed(&self, _: &str) -> bool {
        false
    }
    pub(super) fn retained_from(&self, committed: i64) -> Option<i64> {
        Some(committed.max(self.changed_at))
    }
    pub(super) fn next_deadline(&self) -> Option<i64> {
        None
    }
}
