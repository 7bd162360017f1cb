//! DeleteGroups (versions 0 to 2): groups without members, with their offsets.

use super::super::code::{Failure, told};
use super::Call;
use crate::wire::Text;
use crate::wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse, DeleteGroupsResult};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: DeleteGroupsRequest<'a>) -> DeleteGroupsResponse<'a> {
    let results = request.groups_names.into_iter().map(|id| delete(call, id)).collect();
    DeleteGroupsResponse { results, ..Default::default() }
}

fn delete<'a>(call: &Call<'a>, group_id: Text<'a>) -> DeleteGroupsResult<'a> {
    let deleted = call.allow().and_then(|()| {
        let groups = &call.node.groups;
        let deleted = groups.with(call.node, |registry, store, _| registry.delete(store, &group_id));
        deleted.map_err(Failure::from)
    });
    let (error_code, _) = told(&deleted);
    DeleteGroupsResult { group_id, error_code }
}
