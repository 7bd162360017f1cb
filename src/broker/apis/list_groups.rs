//! ListGroups (versions 0 to 5): all groups, or those in some states, or of some protocols. Case does
//! not count.

use std::collections::HashSet;

use super::super::groups::Kind;
use super::Call;
use crate::wire::Text;
use crate::wire::messages::{ListGroupsEntry, ListGroupsRequest, ListGroupsResponse};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: ListGroupsRequest<'a>) -> ListGroupsResponse<'a> {
    if let Err(failure) = call.allow() {
        return ListGroupsResponse { error_code: failure.code, ..Default::default() };
    }
    let (states, types) = (words(&request.states_filter), words(&request.types_filter));
    let passes =
        |words: &HashSet<String>, word: &str| words.is_empty() || words.contains(&word.to_ascii_lowercase());
    let is_wanted =
        |(_, kind): &(&str, &Kind)| passes(&states, kind.state_name()) && passes(&types, kind.type_name());
    let groups = call.node.groups.with(call.node, |registry, _, _| {
        registry.iter().filter(is_wanted).map(|(id, kind)| entry(id, kind)).collect()
    });
    ListGroupsResponse { groups, ..Default::default() }
}

fn words(filter: &[Text<'_>]) -> HashSet<String> {
    filter.iter().map(|word| word.to_ascii_lowercase()).collect()
}

fn entry<'a>(id: &str, kind: &Kind) -> ListGroupsEntry<'a> {
    ListGroupsEntry {
        group_id: id.to_owned().into(),
        protocol_type: kind.protocol_type().to_owned().into(),
        group_state: kind.state_name().into(),
        group_type: kind.type_name().into(),
    }
}
