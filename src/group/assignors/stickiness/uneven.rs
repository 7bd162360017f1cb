//! Members want different topics (Java's `GeneralAssignmentBuilder`): they keep what they have, what is free
//! goes to whoever has the least, and then partitions move as long as that makes the shares more even.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::Claims;
use super::{Held, Place, Rank, Table};

/// The members that take part, and what they have.
#[derive(Debug, Clone, Default)]
struct Loads {
    held: Held,
    owners: BTreeMap<Place, Rank>,
    /// Members by how much they have.
    order: BTreeSet<(usize, Rank)>,
}

impl Loads {
    fn of(held: Held) -> Self {
        let owners = held.iter().flat_map(|(rank, places)| places.iter().map(|place| (*place, *rank)));
        let order = held.iter().map(|(rank, places)| (places.len(), *rank)).collect();
        Self { owners: owners.collect(), order, held }
    }

    fn count(&self, rank: Rank) -> Option<usize> {
        self.held.get(&rank).map(BTreeSet::len)
    }

    /// Gives a partition to a member, from whoever has it.
    fn give(&mut self, place: Place, to: Rank) {
        if let Some(from) = self.owners.insert(place, to) {
            self.change(from, |places| places.remove(&place));
        }
        self.change(to, |places| places.insert(place));
    }

    fn change(&mut self, rank: Rank, change: impl FnOnce(&mut BTreeSet<Place>) -> bool) {
        let Some(places) = self.held.get_mut(&rank) else { return };
        let before = places.len();
        if change(places) {
            self.order.remove(&(before, rank));
            self.order.insert((places.len(), rank));
        }
    }

    /// The sum of the differences between all pairs of members: the less the better.
    fn score(&self) -> usize {
        let mut score = 0;
        let mut before = 0;
        for (nth, (count, _)) in self.order.iter().enumerate() {
            score += count * nth - before;
            before += count;
        }
        score
    }
}

/// Partitions that went from one member to another, with the latter's predecessor (Java's
/// `PartitionMovements`): of one topic, none should go back while another goes forth.
#[derive(Debug, Default)]
struct Moves {
    made: BTreeMap<Place, (Rank, Rank)>,
}

impl Moves {
    /// The partition to be moved instead, as it came the other way.
    fn instead(&self, place: Place, from: Rank, to: Rank) -> Option<Place> {
        let from = self.made.get(&place).map_or(from, |(source, _)| *source);
        let same_topic = self.made.range((place.0, i32::MIN)..=(place.0, i32::MAX));
        same_topic.into_iter().find(|(_, made)| **made == (to, from)).map(|(place, _)| *place)
    }

    fn note(&mut self, place: Place, from: Rank, to: Rank) {
        let source = self.made.remove(&place).map_or(from, |(source, _)| source);
        if source != to {
            self.made.insert(place, (source, to));
        }
    }
}

#[derive(Debug)]
struct Balance<'a> {
    claims: &'a Claims,
    /// The topics that each member wants, and the members that want each topic.
    wants: Vec<BTreeSet<usize>>,
    wanted_by: Vec<BTreeSet<Rank>>,
    loads: Loads,
    moves: Moves,
}

/// Who gets what.
pub(super) fn assign(table: &Table<'_>, claims: &Claims) -> Held {
    let wants = table.wants();
    let by = |topic| (0..).zip(&wants).filter(move |(_, w)| w.contains(&topic)).map(|(rank, _)| rank);
    let wanted_by: Vec<BTreeSet<Rank>> = (0..table.topics.len()).map(|topic| by(topic).collect()).collect();
    let mut held = claims.held.clone();
    let mut must_revoke = false;
    for (places, wants) in held.values_mut().zip(&wants) {
        let before = places.len();
        places.retain(|(topic, _)| wants.contains(topic));
        must_revoke |= places.len() < before;
    }
    let mut places: Vec<Place> = table.places().collect();
    places.sort_by_key(|(topic, number)| (wanted_by.get(*topic).map(BTreeSet::len), *topic, *number));
    let mut balance = Balance { claims, wants, wanted_by, loads: Loads::of(held), moves: Moves::default() };
    balance.run(places, must_revoke, table)
}

impl Balance<'_> {
    fn run(&mut self, mut places: Vec<Place>, must_revoke: bool, table: &Table<'_>) -> Held {
        let is_first = self.loads.order.last().is_none_or(|(most, _)| *most == 0);
        let mut free: Vec<Place> =
            places.iter().filter(|place| !self.loads.owners.contains_key(place)).copied().collect();
        for place in &free {
            if let Some(rank) = self.least_loaded(*place) {
                self.loads.give(*place, rank);
            }
        }
        // What only one member wants stays with it, and who wants nothing else has no part in the rest.
        places.retain(|place| self.is_shared(place));
        free.retain(|place| self.is_shared(place));
        let fixed = self.take_fixed(table);
        let before = self.loads.clone();
        if !must_revoke {
            self.even_out(&free);
        }
        let has_moved = self.even_out(&places);
        if !is_first && has_moved && self.loads.score() >= before.score() {
            self.loads = before;
        }
        let mut held = std::mem::take(&mut self.loads).held;
        held.extend(fixed);
        held
    }

    /// Who has the least of those that want a partition's topic.
    fn least_loaded(&self, (topic, _): Place) -> Option<Rank> {
        let wanting = self.wanted_by.get(topic)?;
        self.loads.order.iter().map(|(_, rank)| *rank).find(|rank| wanting.contains(rank))
    }

    fn is_shared(&self, (topic, _): &Place) -> bool {
        self.wanted_by.get(*topic).is_some_and(|wanting| wanting.len() >= 2)
    }

    /// Takes out the members that have all that they want and share none of it.
    fn take_fixed(&mut self, table: &Table<'_>) -> Held {
        let all = |wants: &BTreeSet<usize>| -> usize {
            let counts = wants.iter().filter_map(|topic| table.topics.get(*topic));
            counts.map(|(_, count)| usize::try_from(*count).unwrap_or_default()).sum()
        };
        let mut fixed = Held::new();
        for (rank, wants) in self.wants.iter().enumerate() {
            let Some(places) = self.loads.held.get(&rank) else { continue };
            if places.len() < all(wants) || places.iter().any(|place| self.is_shared(place)) {
                continue;
            }
            self.loads.order.remove(&(places.len(), rank));
            fixed.extend(self.loads.held.remove_entry(&rank));
        }
        fixed
    }

    /// Moves these partitions, from who has more to who has less, until no move makes a difference. Whether
    /// there was one.
    fn even_out(&mut self, places: &[Place]) -> bool {
        let mut has_moved = false;
        loop {
            let mut moved = false;
            let mut is_even = self.is_even();
            for place in places {
                if is_even {
                    break;
                }
                if let Some(to) = self.better_for(*place) {
                    self.shift(*place, to);
                    moved = true;
                    is_even = self.is_even();
                }
            }
            if !moved {
                return has_moved;
            }
            has_moved = true;
        }
    }

    /// True when no member could have a partition of one that has two more than it.
    fn is_even(&self) -> bool {
        let (mut most, mut least) = (BTreeMap::new(), BTreeMap::new());
        for (count, rank) in &self.loads.order {
            let Some(places) = self.loads.held.get(rank) else { continue };
            most.extend(places.iter().map(|(topic, _)| (*topic, *count)));
            for topic in self.wants.get(*rank).into_iter().flatten() {
                least.entry(*topic).or_insert(*count);
            }
        }
        most.iter().all(|(topic, most)| least.get(topic).is_none_or(|least| most <= &(least + 1)))
    }

    /// To whom a partition should go: to the one who had it, else to who has the least.
    fn better_for(&self, place: Place) -> Option<Rank> {
        let own = self.loads.count(*self.loads.owners.get(&place)?)?;
        let has_less = |rank: &Rank| self.loads.count(*rank).is_some_and(|count| own > count + 1);
        let wanting = self.wanted_by.get(place.0)?;
        let earlier = self.claims.earlier.get(&place).map(|(rank, _)| *rank);
        let earlier = earlier.filter(|rank| wanting.contains(rank) && has_less(rank));
        earlier.or_else(|| self.least_loaded(place).filter(has_less))
    }

    fn shift(&mut self, place: Place, to: Rank) {
        let Some(from) = self.loads.owners.get(&place).copied() else { return };
        // Java moves that one whoever has it, and need not come to an end then.
        let instead = self.moves.instead(place, from, to);
        let place = instead.filter(|it| self.loads.owners.get(it) == Some(&from)).unwrap_or(place);
        self.moves.note(place, from, to);
        self.loads.give(place, to);
    }
}
