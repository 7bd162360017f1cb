//! `--find-rate`: the highest rate that holds, by doubling and then halving the distance.

/// Found when the rate that holds and the one that does not are so near to each other.
const NEAR: f64 = 1.05;
/// Below so many records a second nothing is looked for.
const LEAST: f64 = 1.0;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Next {
    /// Try this rate.
    Try(f64),
    /// This is the highest that held; none if not even the least did.
    Found(Option<f64>),
}

/// The search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Search {
    /// The highest that held.
    held: Option<f64>,
    /// The lowest that did not.
    failed: Option<f64>,
}

impl Search {
    pub(super) fn new() -> Self {
        Self { held: None, failed: None }
    }

    /// What follows from a rate that held, or did not.
    pub(super) fn judged(&mut self, rate: f64, holds: bool) -> Next {
        if holds {
            self.held = Some(self.held.map_or(rate, |held| held.max(rate)));
        } else {
            self.failed = Some(self.failed.map_or(rate, |failed| failed.min(rate)));
        }
        match (self.held, self.failed) {
            (Some(held), None) => Next::Try(held * 2.0),
            (Some(held), Some(failed)) if failed / held > NEAR => Next::Try((held * failed).sqrt()),
            (None, Some(failed)) if failed > LEAST => Next::Try((failed / 2.0).max(LEAST)),
            (held, _) => Next::Found(held),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a cluster that holds rates up to `most`; the rates tried, and what was found.
    fn search(from: f64, most: f64) -> (usize, Option<f64>) {
        let (mut search, mut rate) = (Search::new(), from);
        for tried in 1..100 {
            match search.judged(rate, rate <= most) {
                Next::Try(next) => rate = next,
                Next::Found(found) => return (tried, found),
            }
        }
        panic!("it does not end");
    }

    #[test]
    fn the_rate_found_holds_and_is_near_the_highest() {
        for most in [1.0, 37.0, 999.0, 1000.0, 123_456.0, 5e6] {
            let (tried, found) = search(1000.0, most);
            let found = found.unwrap();
            assert!(found <= most && found * NEAR * 1.001 >= most, "{most}: {found}");
            assert!(tried < 25, "{most}: {tried}");
        }
    }

    #[test]
    fn nothing_that_holds_is_said() {
        assert_eq!(search(1000.0, 0.0).1, None);
    }
}
