//! ConsumerGroupDescribe (key 69), versions 0 to 1, all flexible.

use super::super::{Text, Uuid};

message! {
    /// Asks what state groups are in.
    pub struct ConsumerGroupDescribeRequest<'a> {
        /// The groups.
        group_ids: Vec<Text<'a>>;
        /// Whether to say what the client may do with them.
        include_authorized_operations: bool;
    }

    /// The groups asked for.
    pub struct ConsumerGroupDescribeResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// The groups.
        groups: Vec<ConsumerGroupDescribeGroup<'a>>;
    }

    /// One group.
    pub struct ConsumerGroupDescribeGroup<'a> {
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>;
        /// The group.
        group_id: Text<'a>;
        /// Its state, in words.
        group_state: Text<'a>;
        /// The group's epoch.
        group_epoch: i32;
        /// The epoch of the assignment.
        assignment_epoch: i32;
        /// How partitions are assigned.
        assignor_name: Text<'a>;
        /// Its members.
        members: Vec<ConsumerGroupDescribeMember<'a>>;
        /// What the client may do with it, as a bit field; the lowest number if not asked for.
        authorized_operations: i32 = i32::MIN;
    }

    /// One member of a group.
    pub struct ConsumerGroupDescribeMember<'a> {
        /// The member.
        member_id: Text<'a>;
        /// The name that the user gave the member (KIP-345).
        instance_id: Option<Text<'a>>;
        /// Where the member stands.
        rack_id: Option<Text<'a>>;
        /// Its epoch.
        member_epoch: i32;
        /// What its client calls itself.
        client_id: Text<'a>;
        /// Where its client is.
        client_host: Text<'a>;
        /// The topics it subscribes to.
        subscribed_topic_names: Vec<Text<'a>>;
        /// A pattern of topics it subscribes to.
        subscribed_topic_regex: Option<Text<'a>>;
        /// What it reads now.
        assignment: ConsumerGroupDescribeAssignment<'a>;
        /// What it is to read.
        target_assignment: ConsumerGroupDescribeAssignment<'a>;
        /// Its protocol: 0 classic, 1 consumer, -1 not known.
        member_type: i8 = -1, in 1..;
    }

    /// What a member reads.
    pub struct ConsumerGroupDescribeAssignment<'a> {
        /// The partitions, by topic.
        topic_partitions: Vec<ConsumerGroupDescribeTopic<'a>>;
    }

    /// Partitions of one topic.
    pub struct ConsumerGroupDescribeTopic<'a> {
        /// The topic's id; all zero if it has none or is named.
        topic_id: Uuid;
        /// Its name.
        topic_name: Text<'a>;
        /// The partitions.
        partitions: Vec<i32>;
    }
}
