//! ConsumerGroupHeartbeat (key 68), versions 0 to 1, all flexible.

use super::super::{Text, Uuid};

message! {
    /// Joins, stays in or leaves a group. What has not changed since the last one is null.
    pub struct ConsumerGroupHeartbeatRequest<'a> {
        /// The group.
        group_id: Text<'a>;
        /// The member, by an id of its own choice or, in version 0, empty for a new one.
        member_id: Text<'a>;
        /// Its epoch; 0 joins, -1 leaves, -2 leaves for a while (KIP-345).
        member_epoch: i32;
        /// The name that the user gave the member (KIP-345).
        instance_id: Option<Text<'a>>;
        /// Where the member stands.
        rack_id: Option<Text<'a>>;
        /// How long the member takes to give up partitions, in ms; -1 if unchanged.
        rebalance_timeout_ms: i32 = -1;
        /// The topics it subscribes to.
        subscribed_topic_names: Option<Vec<Text<'a>>>;
        /// A pattern of topics it subscribes to.
        subscribed_topic_regex: Option<Text<'a>>, in 1..;
        /// How the broker is to assign; null leaves it to the broker.
        server_assignor: Option<Text<'a>>;
        /// What it reads now, by topic; null if unchanged.
        topic_partitions: Option<Vec<ConsumerGroupHeartbeatTopic>>;
    }

    /// Partitions of one topic.
    pub struct ConsumerGroupHeartbeatTopic {
        /// The topic's id; all zero if it has none or is named.
        topic_id: Uuid;
        /// The partitions.
        partitions: Vec<i32>;
    }

    /// Where the member stands.
    pub struct ConsumerGroupHeartbeatResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>;
        /// The member's id.
        member_id: Option<Text<'a>>;
        /// Its epoch.
        member_epoch: i32;
        /// How long to wait before the next heartbeat, in ms.
        heartbeat_interval_ms: i32;
        /// What it is to read, if that has changed.
        assignment: Option<ConsumerGroupHeartbeatAssignment>;
    }

    /// What a member is to read.
    pub struct ConsumerGroupHeartbeatAssignment {
        /// The partitions, by topic.
        topic_partitions: Vec<ConsumerGroupHeartbeatTopic>;
    }
}
