//! `RoundRobinAssignor`: all partitions of all topics in turn, to whoever is next and wants the topic.

use super::{Candidate, Counts, Shares, empty_shares, in_order, place};

pub(super) fn assign(members: &[Candidate], topics: &Counts) -> Shares {
    let mut shares = empty_shares(members);
    let members = in_order(members);
    let mut turn = 0;
    for (topic, count) in topics {
        let wants = |at: &usize| members.get(*at).is_some_and(|it| it.subscription.topics.contains(topic));
        for partition in 0..*count {
            let mut round = (turn..members.len()).chain(0..turn);
            let Some(at) = round.find(wants) else { break };
            if let Some(share) = members.get(at).and_then(|member| shares.get_mut(&member.id)) {
                share.push(place(topic, partition));
            }
            turn = (at + 1) % members.len();
        }
    }
    shares
}
