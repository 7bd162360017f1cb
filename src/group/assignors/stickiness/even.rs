//! All members want the same topics (Java's `ConstrainedAssignmentBuilder`): each gets as many partitions as
//! the others, or one more. First they keep what they have up to that, then the rest is dealt out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::claims::Claims;
use super::{Held, Place, Rank, Table};

#[derive(Debug)]
struct Deal<'a> {
    claims: &'a Claims,
    /// The least that each gets.
    least: usize,
    /// How many get one more, and how many of them there are so far.
    luckier: usize,
    lucky: usize,
    held: Held,
    /// What members had and do not keep.
    left: BTreeMap<Place, Rank>,
    /// Who has less than the least, and who has just that and may get one more.
    short: VecDeque<Rank>,
    even: VecDeque<Rank>,
}

/// Who gets what, and what of it goes from one to another.
pub(super) fn assign(table: &Table<'_>, claims: &Claims) -> (Held, BTreeSet<Place>) {
    let (count, members) = (table.places().count(), table.members.len().max(1));
    let mut deal = Deal {
        claims,
        least: count / members,
        luckier: count % members,
        lucky: 0,
        held: Held::new(),
        left: BTreeMap::new(),
        short: VecDeque::new(),
        even: VecDeque::new(),
    };
    for (rank, owned) in &claims.held {
        deal.keep(*rank, owned);
    }
    deal.share_out(table)
}

impl Deal<'_> {
    /// A member keeps what it has, the lowest numbers of all topics first, up to its share.
    fn keep(&mut self, rank: Rank, owned: &BTreeSet<Place>) {
        let mut owned: Vec<Place> = owned.difference(&self.claims.disputed).copied().collect();
        owned.sort_by_key(|(topic, number)| (*number, *topic));
        let may_be_lucky = self.lucky < self.luckier;
        let share = if owned.len() < self.least {
            self.short.push_back(rank);
            owned.len()
        } else if owned.len() > self.least && may_be_lucky {
            self.lucky += 1;
            if self.lucky == self.luckier {
                self.even.clear();
            }
            self.least + 1
        } else {
            if may_be_lucky {
                self.even.push_back(rank);
            }
            self.least
        };
        self.left.extend(owned.split_off(share).into_iter().map(|place| (place, rank)));
        self.held.insert(rank, owned.into_iter().collect());
    }

    /// Deals out what nobody has kept: to those who have too little in turn, then one each to others.
    fn share_out(mut self, table: &Table<'_>) -> (Held, BTreeSet<Place>) {
        let kept: BTreeSet<Place> = self.held.values().flatten().copied().collect();
        let mut moving = BTreeSet::new();
        for place in table.places().filter(|place| !kept.contains(place)) {
            let short = self.short.pop_front();
            let Some(rank) = short.or_else(|| self.even.pop_front()) else { break };
            let share = self.held.entry(rank).or_default();
            share.insert(place);
            if share.len() == self.least {
                self.even.push_back(rank);
            } else if short.is_some() {
                self.short.push_back(rank);
            }
            let had = self.left.get(&place);
            if had.is_some_and(|had| *had != rank) || self.claims.disputed.contains(&place) {
                moving.insert(place);
            }
        }
        (self.held, moving)
    }
}
