//! JoinGroup (key 11), versions 0 to 9, flexible from 6.

use super::super::{Blob, Text};

message! {
    /// Enters a group, or stays in it through a rebalance.
    pub struct JoinGroupRequest<'a> {
        /// The group.
        group_id: Text<'a>;
        /// How long the member is taken for alive without a heartbeat, in ms.
        session_timeout_ms: i32;
        /// How long members have to join again in a rebalance, in ms; -1 for the session's time.
        rebalance_timeout_ms: i32 = -1, in 1..;
        /// The member; empty for a new one.
        member_id: Text<'a>;
        /// The name that the user gave the member (KIP-345).
        group_instance_id: Option<Text<'a>>, in 5..;
        /// What the group is for: `consumer`, for consumers.
        protocol_type: Text<'a>;
        /// What it supports, the best first.
        protocols: Vec<JoinGroupProtocol<'a>>;
        /// Why, for the broker's log.
        reason: Option<Text<'a>>, in 8..;
    }

    /// A way of assigning partitions that the member supports.
    pub struct JoinGroupProtocol<'a> {
        /// Its name.
        name: Text<'a>;
        /// What the member tells, in the form of that protocol.
        metadata: Blob<'a>;
    }

    /// The generation entered; for its leader, who is in it.
    pub struct JoinGroupResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 2..;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// The group's generation.
        generation_id: i32 = -1;
        /// What the group is for: `consumer`, for consumers.
        protocol_type: Option<Text<'a>>, in 7..;
        /// The protocol chosen; in a refusal empty, or null where that may be.
        protocol_name: Option<Text<'a>> = Some(Text::default()), null 7..;
        /// The member that assigns.
        leader: Text<'a>;
        /// Whether the leader is to leave the assignment as it is (KIP-814).
        skip_assignment: bool, in 9..;
        /// The member's id.
        member_id: Text<'a>;
        /// The members, for the leader only.
        members: Vec<JoinGroupMember<'a>>;
    }

    /// One member, as the leader sees it.
    pub struct JoinGroupMember<'a> {
        /// The member.
        member_id: Text<'a>;
        /// The name that the user gave the member (KIP-345).
        group_instance_id: Option<Text<'a>>, in 5..;
        /// What it told on joining, in the form of the protocol chosen.
        metadata: Blob<'a>;
    }
}
