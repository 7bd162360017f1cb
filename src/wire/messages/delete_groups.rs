//! DeleteGroups (key 42), versions 0 to 2, flexible from 2.

use super::super::Text;

message! {
    /// Deletes groups without members.
    pub struct DeleteGroupsRequest<'a> {
        /// Their ids.
        groups_names: Vec<Text<'a>>;
    }

    /// What became of the groups.
    pub struct DeleteGroupsResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// One for each asked for.
        results: Vec<DeleteGroupsResult<'a>>;
    }

    /// What became of one group.
    pub struct DeleteGroupsResult<'a> {
        /// The group.
        group_id: Text<'a>;
        /// What went wrong; 0 if nothing.
        error_code: i16;
    }
}
