//! DescribeGroups (key 15), versions 0 to 6, flexible from 5.

use super::super::{Blob, Text};

message! {
    /// Asks what state groups are in.
    pub struct DescribeGroupsRequest<'a> {
        /// Their ids.
        groups: Vec<Text<'a>>;
        /// Whether to say what the client may do with them.
        include_authorized_operations: bool, in 3..;
    }

    /// The groups asked for.
    pub struct DescribeGroupsResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 1..;
        /// The groups.
        groups: Vec<DescribeGroupsGroup<'a>>;
    }

    /// One group.
    pub struct DescribeGroupsGroup<'a> {
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>, in 6..;
        /// The group.
        group_id: Text<'a>;
        /// Its state, in words.
        group_state: Text<'a>;
        /// What the group is for: `consumer`, for consumers.
        protocol_type: Text<'a>;
        /// The protocol chosen.
        protocol_data: Text<'a>;
        /// Its members.
        members: Vec<DescribeGroupsMember<'a>>;
        /// What the client may do with it, as a bit field; the lowest number if not asked for.
        authorized_operations: i32 = i32::MIN, in 3..;
    }

    /// One member of a group.
    pub struct DescribeGroupsMember<'a> {
        /// The member.
        member_id: Text<'a>;
        /// The name that the user gave the member (KIP-345).
        group_instance_id: Option<Text<'a>>, in 4..;
        /// What its client calls itself.
        client_id: Text<'a>;
        /// Where its client is.
        client_host: Text<'a>;
        /// What it told on joining, in the form of the group's protocol.
        member_metadata: Blob<'a>;
        /// What it reads, in the form of the group's protocol.
        member_assignment: Blob<'a>;
    }
}
