//! `RangeAssignor`: each topic by itself. Members that want the same topics get the same numbers of partitions
//! of each, so partitions of one number are with one member if the topics have as many.

use super::{Candidate, Counts, Shares, empty_shares, in_order, place};

pub(super) fn assign(members: &[Candidate], topics: &Counts) -> Shares {
    let mut shares = empty_shares(members);
    let members = in_order(members);
    for (topic, count) in topics {
        let wanting: Vec<_> =
            members.iter().filter(|member| member.subscription.topics.contains(topic)).collect();
        let among = i32::try_from(wanting.len()).unwrap_or(i32::MAX).max(1);
        let (each, more) = (count / among, count % among);
        let mut next = 0;
        for (rank, member) in (0..).zip(wanting) {
            let end = next + each + i32::from(rank < more);
            if let Some(share) = shares.get_mut(&member.id) {
                share.extend((next..end).map(|partition| place(topic, partition)));
            }
            next = end;
        }
    }
    shares
}
