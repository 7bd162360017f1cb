//! Questions about single things: coordinators and offsets.

use std::sync::Arc;

/// What a coordinator is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coordinated {
    /// A group.
    Group = 0,
    /// A transactional id.
    Transaction = 1,
}

/// A time in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetQuery {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The earliest time of the record sought, in ms since 1970; -1 for the end, -2 for the beginning, -3
    /// for the record with the latest time.
    pub timestamp: i64,
}

/// The offset of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset; none if no record is that late.
    pub offset: Option<i64>,
    /// The time of the record there, in ms since 1970, if it is known.
    pub timestamp: Option<i64>,
    /// The epoch of the leader that wrote it, if it is known.
    pub leader_epoch: Option<i32>,
}
