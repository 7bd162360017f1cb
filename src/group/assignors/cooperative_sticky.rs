//! `CooperativeStickyAssignor`: members keep what they have through a rebalance. What is to go from one to
//! another is given to no one at first: who has it gives it up and joins again, and then the other gets it.

use super::stickiness::{Claim, assign_sticky};
use super::{Candidate, Counts, Shares};
use crate::group::Subscription;
use crate::wire::messages::CooperativeStickyUserData;

pub(super) fn assign(members: &[Candidate], topics: &Counts) -> Shares {
    let (mut shares, moving) = assign_sticky(members, topics, claim);
    for share in shares.values_mut() {
        share.retain(|place| !moving.contains(place));
    }
    shares
}

/// What a member adds to its subscription: when it was assigned what it has.
pub(in crate::group) fn user_data(generation: i32) -> Vec<u8> {
    CooperativeStickyUserData { generation }.encode().unwrap_or_default()
}

/// What a member says that it has. Members of before KIP-792 tell since when in their assignor's data.
fn claim(subscription: &Subscription) -> Claim {
    let told = || {
        let data = subscription.user_data.as_deref()?;
        Some(CooperativeStickyUserData::decode(data).map_or(-1, |data| data.generation))
    };
    Claim { places: subscription.owned.clone(), generation: subscription.generation.or_else(told) }
}
