//! SyncGroup (key 14), versions 0 to 5, flexible from 4.

use super::super::{Blob, Text};

message! {
    /// Asks for the member's assignment; from the leader it carries everyone's.
    pub struct SyncGroupRequest<'a> {
        /// The group.
        group_id: Text<'a>;
        /// The generation it belongs to.
        generation_id: i32;
        /// The member.
        member_id: Text<'a>;
        /// The name that the user gave the member (KIP-345).
        group_instance_id: Option<Text<'a>>, in 3..;
        /// What the group is for: `consumer`, for consumers.
        protocol_type: Option<Text<'a>>, in 5..;
        /// The protocol chosen.
        protocol_name: Option<Text<'a>>, in 5..;
        /// What each member is to read, from the leader only.
        assignments: Vec<SyncGroupAssignment<'a>>;
    }

    /// What one member is to read.
    pub struct SyncGroupAssignment<'a> {
        /// The member.
        member_id: Text<'a>;
        /// Its assignment, in the form of the group's protocol.
        assignment: Blob<'a>;
    }

    /// The member's assignment.
    pub struct SyncGroupResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 1..;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What the group is for: `consumer`, for consumers.
        protocol_type: Option<Text<'a>>, in 5..;
        /// The protocol chosen.
        protocol_name: Option<Text<'a>>, in 5..;
        /// Its assignment, in the form of the group's protocol.
        assignment: Blob<'a>;
    }
}
