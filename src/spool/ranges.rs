//! Sets of numbers, as ranges.

use std::ops::Range;

/// Numbers, in ascending ranges with gaps between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Of ranges that are in order and do not meet; none for any others.
    pub(super) fn of(ranges: Vec<Range<u64>>) -> Option<Self> {
        let ordered = ranges.iter().all(|range| !range.is_empty());
        let apart = ranges.is_sorted_by(|a, b| a.end < b.start);
        (ordered && apart).then_some(Self(ranges))
    }

    /// Adds a number.
    pub fn insert(&mut self, number: u64) {
        let at = self.0.partition_point(|range| range.end < number);
        match self.0.get_mut(at) {
            Some(range) if range.contains(&number) => {}
            Some(range) if range.start == number + 1 => range.start = number,
            Some(range) if range.end == number => {
                range.end += 1;
                let end = range.end;
                if self.0.get(at + 1).is_some_and(|next| next.start == end) {
                    let next = self.0.remove(at + 1);
                    if let Some(range) = self.0.get_mut(at) {
                        range.end = next.end;
                    }
                }
            }
            _ => self.0.insert(at, number..number + 1),
        }
    }

    /// Whether it has a number.
    pub fn contains(&self, number: u64) -> bool {
        let at = self.0.partition_point(|range| range.end <= number);
        self.0.get(at).is_some_and(|range| range.contains(&number))
    }

    /// The least.
    pub fn first(&self) -> Option<u64> {
        self.0.first().map(|range| range.start)
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// True of none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of `all` that are not in here.
    pub(super) fn missing(&self, all: Range<u64>) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut from = all.start;
        for range in self.0.iter().filter(|range| range.end > all.start && range.start < all.end) {
            if from < range.start {
                missing.push(from..range.start);
            }
            from = range.end;
        }
        if from < all.end {
            missing.push(from..all.end);
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_is_a_set_whatever_the_order() {
        let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
        let mut number = 1;
        for _ in 0..300 {
            number = number * 37 % 101;
            ranges.insert(number);
            set.insert(number);
            assert!((0..102).all(|n| ranges.contains(n) == set.contains(&n)), "{ranges:?}");
            assert_eq!((ranges.len(), ranges.first()), (set.len() as u64, set.first().copied()));
            assert_eq!(Ranges::of(ranges.0.clone()), Some(ranges.clone()));
            let missing: Vec<u64> = ranges.missing(5..90).into_iter().flatten().collect();
            assert_eq!(missing, (5..90).filter(|n| !set.contains(n)).collect::<Vec<_>>());
        }
    }
}
