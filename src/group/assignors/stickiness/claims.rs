//! Who has what, as the members say it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Claim, Held, Place, Rank, Table};
use crate::group::Subscription;

/// What members have, one at most for each partition.
#[derive(Debug)]
pub(super) struct Claims {
    /// All members are in it.
    pub(super) held: Held,
    /// What several say they have since the same generation: nobody has it.
    pub(super) disputed: BTreeSet<Place>,
    /// Who had what in an earlier generation than the newest, the latest of them.
    pub(super) earlier: BTreeMap<Place, (Rank, i32)>,
}

impl Claims {
    pub(super) fn new(table: &Table<'_>, claim: impl Fn(&Subscription) -> Claim) -> Self {
        let claims: Vec<(BTreeSet<Place>, Option<i32>)> = table
            .members
            .iter()
            .map(|member| {
                let claim = claim(&member.subscription);
                let places = claim.places.iter().filter_map(|place| table.place(place)).collect();
                (places, claim.generation)
            })
            .collect();
        let newest = claims.iter().map(|(_, generation)| generation.unwrap_or(-1)).max().unwrap_or(-1);
        let mut all = Self { held: Held::new(), disputed: BTreeSet::new(), earlier: BTreeMap::new() };
        let mut owners = BTreeMap::new();
        for (rank, (places, generation)) in claims.iter().enumerate() {
            all.held.insert(rank, BTreeSet::new());
            let generation = generation.unwrap_or(-1);
            for place in places {
                all.settle(table, &mut owners, *place, rank, generation);
                if generation < newest {
                    all.note_earlier(*place, rank, generation);
                }
            }
        }
        all
    }

    /// A member says that it has a partition: it is with who has had it since the latest generation.
    fn settle(
        &mut self,
        table: &Table<'_>,
        owners: &mut BTreeMap<Place, Rank>,
        place: Place,
        rank: Rank,
        generation: i32,
    ) {
        let others = owners.get(&place).copied();
        let other = others.map(|rank| {
            let member = table.members.get(rank);
            (rank, member.and_then(|member| member.subscription.generation).unwrap_or(-1))
        });
        match other {
            Some((_, theirs)) if generation < theirs => return,
            Some((other, theirs)) => {
                self.held.entry(other).or_default().remove(&place);
                if generation == theirs {
                    self.disputed.insert(place);
                } else {
                    self.held.entry(rank).or_default().insert(place);
                }
            }
            None => drop(self.held.entry(rank).or_default().insert(place)),
        }
        owners.insert(place, rank);
    }

    fn note_earlier(&mut self, place: Place, rank: Rank, generation: i32) {
        let earlier = self.earlier.entry(place).or_insert((rank, generation));
        if generation > earlier.1 {
            *earlier = (rank, generation);
        }
    }
}
