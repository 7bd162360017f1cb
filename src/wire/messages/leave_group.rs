//! LeaveGroup (key 13), versions 0 to 5, flexible from 4.

use super::super::Text;

message! {
    /// Leaves a group: up to version 2 one member, in the fields of the message itself.
    pub struct LeaveGroupRequest<'a> {
        /// The group.
        group_id: Text<'a>;
        /// The member.
        member_id: Text<'a>, in ..=2;
        /// The members that leave.
        members: Vec<LeaveGroupRequestMember<'a>>, in 3..;
    }

    /// A member that leaves.
    pub struct LeaveGroupRequestMember<'a> {
        /// The member.
        member_id: Text<'a>;
        /// The name that the user gave the member (KIP-345).
        group_instance_id: Option<Text<'a>>;
        /// Why, for the broker's log.
        reason: Option<Text<'a>>, in 5..;
    }

    /// Whether they left.
    pub struct LeaveGroupResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 1..;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What became of each.
        members: Vec<LeaveGroupResponseMember<'a>>, in 3..;
    }

    /// Whether one member left.
    pub struct LeaveGroupResponseMember<'a> {
        /// The member.
        member_id: Text<'a>;
        /// The name that the user gave the member (KIP-345).
        group_instance_id: Option<Text<'a>>;
        /// What went wrong; 0 if nothing.
        error_code: i16;
    }
}
