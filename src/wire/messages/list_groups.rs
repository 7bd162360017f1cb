//! ListGroups (key 16), versions 0 to 5, flexible from 3.

use super::super::Text;

message! {
    /// Asks which groups a broker coordinates.
    pub struct ListGroupsRequest<'a> {
        /// Only groups in these states; empty for all.
        states_filter: Vec<Text<'a>>, in 4..;
        /// Only groups of these protocols; empty for all.
        types_filter: Vec<Text<'a>>, in 5..;
    }

    /// The groups it coordinates.
    pub struct ListGroupsResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 1..;
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// The groups.
        groups: Vec<ListGroupsEntry<'a>>;
    }

    /// One group.
    pub struct ListGroupsEntry<'a> {
        /// The group.
        group_id: Text<'a>;
        /// What the group is for: `consumer`, for consumers.
        protocol_type: Text<'a>;
        /// Its state, in words.
        group_state: Text<'a>, in 4..;
        /// Its protocol: `classic` or `consumer`.
        group_type: Text<'a>, in 5..;
    }
}
