//! A member: what it told of itself, and how far it has come to its target.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::assignor::Assignor;
use super::persist;
use super::topics::{Places, TopicId, Topics};
use crate::broker::code::{Code, Failure};
use crate::wire::messages::ConsumerGroupHeartbeatRequest;

/// The epoch of a member that joins.
pub(super) const JOIN: i32 = 0;
/// The epoch of a member that leaves.
pub(super) const LEAVE: i32 = -1;
/// The epoch of a static member that leaves and means to come back (KIP-345).
pub(super) const AWAY: i32 = -2;

/// How far a member has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Progress {
    /// It has all of its target at its epoch.
    Stable,
    /// It is to give up partitions before it goes on to the next epoch.
    Unrevoked,
    /// It is at the epoch of its target, but others have not given up all that it is to get.
    Unreleased,
}

/// What does not change by heartbeats alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) instance_id: Option<String>,
    pub(super) rack_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) assignor: Option<Assignor>,
    pub(super) names: BTreeSet<String>,
    pub(super) pattern: Option<String>,
}

/// A member. What it has and is still to give up belongs to no one else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) profile: Profile,
    pub(super) epoch: i32,
    /// The one before `epoch`: the answer that told of `epoch` may have been lost.
    pub(super) previous_epoch: i32,
    pub(super) progress: Progress,
    /// What it is to have, as it was told.
    #[serde(with = "persist::places")]
    pub(super) assigned: Places,
    /// What it has and was told to give up.
    #[serde(with = "persist::places")]
    pub(super) revoking: Places,
    /// What it is to have in the end.
    #[serde(with = "persist::places")]
    pub(super) target: Places,
    /// When it is taken for dead, in ms.
    #[serde(skip)]
    pub(super) session_ends: i64,
    /// When it is removed for not having given up what it was told to, in ms.
    #[serde(skip)]
    pub(super) revocation_ends: Option<i64>,
}

/// What of a member has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    None,
    Profile,
    Subscription,
}

impl Member {
    pub(super) fn new() -> Self {
        Self {
            profile: Profile {
                instance_id: None,
                rack_id: None,
                client_id: String::new(),
                client_host: String::new(),
                rebalance_timeout_ms: -1,
                assignor: None,
                names: BTreeSet::new(),
                pattern: None,
            },
            epoch: JOIN,
            previous_epoch: JOIN,
            progress: Progress::Stable,
            assigned: Places::new(),
            revoking: Places::new(),
            target: Places::new(),
            session_ends: i64::MAX,
            revocation_ends: None,
        }
    }

    /// Refuses an epoch that is not the member's. That of before is let in if the member has nothing that
    /// is not its own: it may not have had the answer.
    pub(super) fn check_epoch(&self, epoch: i32, owned: Option<&Places>) -> Result<(), Failure> {
        let has_missed =
            || epoch == self.previous_epoch && owned.is_some_and(|o| o.is_subset(&self.assigned));
        if epoch == self.epoch || epoch < self.epoch && has_missed() {
            return Ok(());
        }
        let how = if epoch > self.epoch { "greater" } else { "smaller" };
        let why = format!(
            "The consumer group member has a {how} member epoch ({epoch}) than the one known by the group \
             coordinator ({}). The member must abandon all its partitions and rejoin.",
            self.epoch
        );
        Err(Failure::new(Code::FencedMemberEpoch, why))
    }

    /// Takes over what a heartbeat tells; what it leaves out is as before.
    pub(super) fn update(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        client_id: &str,
        client_host: &str,
    ) -> News {
        let before = self.profile.clone();
        let profile = &mut self.profile;
        let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_ref().map(|text| text.to_string());
        profile.instance_id = text(&request.instance_id).or(profile.instance_id.take());
        profile.rack_id = text(&request.rack_id).or(profile.rack_id.take());
        client_id.clone_into(&mut profile.client_id);
        client_host.clone_into(&mut profile.client_host);
        if request.rebalance_timeout_ms != -1 {
            profile.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        let assignor = request.server_assignor.as_ref();
        profile.assignor = assignor.and_then(|name| Assignor::named(name)).or(profile.assignor);
        if let Some(names) = &request.subscribed_topic_names {
            profile.names = names.iter().map(|name| name.to_string()).collect();
        }
        if let Some(pattern) = text(&request.subscribed_topic_regex) {
            // An empty one ends the subscription by pattern.
            profile.pattern = Some(pattern).filter(|pattern| !pattern.is_empty());
        }
        if before.names != profile.names || before.pattern != profile.pattern {
            News::Subscription
        } else if before == *profile {
            News::None
        } else {
            News::Profile
        }
    }

    /// The topics it subscribes to, of those that are there.
    pub(super) fn subscribed(
        &self,
        topics: &Topics<'_>,
        matching: impl Fn(&str) -> BTreeSet<TopicId>,
    ) -> BTreeSet<TopicId> {
        let named = self.profile.names.iter().filter_map(|name| topics.named(name)).map(|topic| topic.id);
        let mut ids = self.profile.pattern.as_deref().map(matching).unwrap_or_default();
        ids.extend(named);
        ids
    }

    /// True if it has its target of that epoch.
    pub(super) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.progress == Progress::Stable && self.epoch == epoch
    }

    /// Goes on towards its target, of `target_epoch`, as far as is possible now. `owned` is what the member
    /// says it has, if it says so, and `is_taken` tells what others have. True if something has changed.
    ///
    /// A member first gives up what is not in its target: until it says that it has, it stays at its
    /// epoch. Then it gets what no one else has, and the rest as it becomes free (Kafka's
    /// `CurrentAssignmentBuilder`).
    pub(super) fn advance(
        &mut self,
        target_epoch: i32,
        owned: Option<&Places>,
        is_taken: impl Fn(&Places) -> Places,
    ) -> bool {
        let still_has = |places: &Places| owned.is_none_or(|owned| !owned.is_disjoint(places));
        let waits = self.progress == Progress::Unrevoked && still_has(&self.revoking);
        if waits || self.is_reconciled_to(target_epoch) {
            return false;
        }
        let mut assigned = &self.assigned & &self.target;
        let mut revoking = &self.assigned - &self.target;
        let (epoch, progress);
        if !revoking.is_empty() && still_has(&revoking) {
            (epoch, progress) = (self.epoch, Progress::Unrevoked);
        } else {
            revoking.clear();
            let missing = &self.target - &assigned;
            let taken = is_taken(&missing);
            progress = if taken.is_empty() { Progress::Stable } else { Progress::Unreleased };
            assigned.extend(&missing - &taken);
            epoch = target_epoch;
        }
        let is_change = (epoch, progress) != (self.epoch, self.progress)
            || assigned != self.assigned
            || revoking != self.revoking;
        if epoch != self.epoch {
            self.previous_epoch = std::mem::replace(&mut self.epoch, epoch);
        }
        (self.progress, self.assigned, self.revoking) = (progress, assigned, revoking);
        is_change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(partitions: &[i32]) -> Places {
        partitions.iter().map(|partition| ([1; 16], *partition)).collect()
    }

    fn member(epoch: i32, assigned: &[i32], target: &[i32]) -> Member {
        Member { epoch, assigned: places(assigned), target: places(target), ..Member::new() }
    }

    fn free(_: &Places) -> Places {
        Places::new()
    }

    fn state(member: &Member) -> (i32, Progress, Places, Places) {
        (member.epoch, member.progress, member.assigned.clone(), member.revoking.clone())
    }

    #[test]
    fn what_is_free_is_given_at_once() {
        let mut member = member(0, &[], &[1, 2]);
        assert!(member.advance(3, Some(&places(&[])), free));
        assert_eq!(state(&member), (3, Progress::Stable, places(&[1, 2]), places(&[])));
        assert!(!member.advance(3, None, free));
    }

    #[test]
    fn what_is_to_be_given_up_is_given_up_first() {
        let mut member = member(3, &[1, 2], &[2, 3]);
        assert!(member.advance(4, None, free));
        assert_eq!(state(&member), (3, Progress::Unrevoked, places(&[2]), places(&[1])));
        // Nothing is said of what it has, or it still has it.
        assert!(!member.advance(4, None, free));
        assert!(!member.advance(5, Some(&places(&[1, 2])), free));
        assert!(member.advance(5, Some(&places(&[2])), free));
        assert_eq!(state(&member), (5, Progress::Stable, places(&[2, 3]), places(&[])));
        assert_eq!(member.previous_epoch, 3);
    }

    #[test]
    fn what_others_have_comes_later() {
        let mut member = member(0, &[], &[1, 2]);
        assert!(member.advance(3, Some(&places(&[])), |_| places(&[2])));
        assert_eq!(state(&member), (3, Progress::Unreleased, places(&[1]), places(&[])));
        assert!(!member.advance(3, None, |_| places(&[2])));
        assert!(member.advance(3, None, free));
        assert_eq!(state(&member), (3, Progress::Stable, places(&[1, 2]), places(&[])));
        assert_eq!(member.previous_epoch, 0);
    }

    #[test]
    fn a_member_that_has_nothing_to_give_up_any_more_goes_on_at_once() {
        let mut member = member(3, &[1, 2], &[3]);
        assert!(member.advance(4, Some(&places(&[])), free));
        assert_eq!(state(&member), (4, Progress::Stable, places(&[3]), places(&[])));
    }

    #[test]
    fn the_epoch_before_is_let_in_only_with_what_is_assigned() {
        let mut member = member(2, &[1], &[1, 2]);
        member.advance(5, None, free);
        let check = |epoch, owned: Option<&[i32]>| {
            member.check_epoch(epoch, owned.map(places).as_ref()).map_err(|failure| failure.code)
        };
        let fenced = Err(Code::FencedMemberEpoch as i16);
        assert_eq!(check(5, None), Ok(()));
        assert_eq!(check(2, Some(&[1])), Ok(()));
        assert_eq!(check(2, Some(&[1, 3])), fenced);
        assert_eq!(check(2, None), fenced);
        assert_eq!(check(3, Some(&[])), fenced);
        assert_eq!(check(6, Some(&[])), fenced);
    }
}
