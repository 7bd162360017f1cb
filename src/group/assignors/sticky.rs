//! `StickyAssignor`: members give everything up before a rebalance, and tell what they had.

use super::stickiness::{Claim, assign_sticky};
use super::{Candidate, Counts, Shares};
use crate::group::Subscription;
use crate::group::subscription::{by_topic, partitions};
use crate::record::TopicPartition;
use crate::wire::messages::StickyUserData;

pub(super) fn assign(members: &[Candidate], topics: &Counts) -> Shares {
    assign_sticky(members, topics, claim).0
}

/// What a member adds to its subscription: what it was assigned last, and when.
pub(in crate::group) fn user_data(places: &[TopicPartition], generation: i32) -> Vec<u8> {
    let data = StickyUserData { previous_assignment: by_topic(places), generation };
    // Names that came from a broker are not too long for it.
    data.encode().unwrap_or_default()
}

/// What a member says that it had. What cannot be read is nothing.
fn claim(subscription: &Subscription) -> Claim {
    let data = subscription.user_data.as_deref().filter(|data| !data.is_empty());
    let Some(data) = data else { return Claim::default() };
    match StickyUserData::decode(data) {
        Ok(data) => Claim {
            places: partitions(&data.previous_assignment),
            // The older form has none.
            generation: Some(data.generation),
        },
        Err(_) => Claim { places: Vec::new(), generation: Some(-1) },
    }
}
