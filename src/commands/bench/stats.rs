//! Medians, spreads, and whether two are told apart.

use serde::{Deserialize, Serialize};

/// What several runs came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of these; zero of none.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |n: usize| sorted.get(n).copied().unwrap_or_default();
        let upper = sorted.len() / 2;
        let lower = sorted.len().saturating_sub(1) / 2;
        Self {
            median: f64::midpoint(at(lower), at(upper)),
            min: at(0),
            max: at(sorted.len().saturating_sub(1)),
        }
    }

    /// Whether they have values in common.
    fn overlaps(&self, other: &Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

/// Two told apart, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Their spreads overlap.
    NoDifference,
    More,
    Less,
}

/// One against another, round by round: what was measured near in time is held against each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratio {
    #[serde(flatten)]
    pub(super) ratio: Spread,
    pub(super) verdict: Verdict,
}

impl Ratio {
    /// `these` to `those`. Rounds that one lacks, and those of 0, do not count.
    pub(super) fn of(these: &[f64], those: &[f64]) -> Self {
        let ratios: Vec<f64> = these
            .iter()
            .zip(those)
            .filter(|(_, that)| **that > 0.0)
            .map(|(this, that)| this / that)
            .collect();
        let (this, that) = (Spread::of(these), Spread::of(those));
        let verdict = match this.overlaps(&that) {
            true => Verdict::NoDifference,
            false if this.median > that.median => Verdict::More,
            false => Verdict::Less,
        };
        Self { ratio: Spread::of(&ratios), verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_median_and_ends() {
        let spread = |values: &[f64]| {
            let Spread { median, min, max } = Spread::of(values);
            (median, min, max)
        };
        assert_eq!(spread(&[5.0, 1.0, 3.0]), (3.0, 1.0, 5.0));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 8.0]), (3.0, 1.0, 8.0));
        assert_eq!(spread(&[7.0]), (7.0, 7.0, 7.0));
        assert_eq!(spread(&[]), (0.0, 0.0, 0.0));
    }

    #[test]
    fn spreads_that_overlap_are_no_difference() {
        let verdict = |these: &[f64], those: &[f64]| Ratio::of(these, those).verdict;
        assert_eq!(verdict(&[10.0, 12.0], &[11.0, 20.0]), Verdict::NoDifference);
        assert_eq!(verdict(&[10.0, 11.0], &[11.0, 20.0]), Verdict::NoDifference);
        assert_eq!(verdict(&[21.0, 25.0], &[11.0, 20.0]), Verdict::More);
        assert_eq!(verdict(&[1.0, 2.0], &[11.0, 20.0]), Verdict::Less);
    }

    #[test]
    fn ratios_are_those_of_each_round() {
        let ratio = Ratio::of(&[10.0, 30.0, 20.0], &[20.0, 20.0, 0.0]).ratio;
        assert_eq!((ratio.median, ratio.min, ratio.max), (1.0, 0.5, 1.5));
    }
}
