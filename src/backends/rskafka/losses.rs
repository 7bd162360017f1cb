//! What is told of leaders that do not answer. Each partition has a connection of its own and sees an outage by itself;
//! to the user it is one.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::backends::Notice;

/// Partitions whose leader does not answer.
#[derive(Debug, Default)]
pub(super) struct Losses {
    places: BTreeSet<String>,
    /// The one that was told, and since when there are any.
    told: Option<(String, Instant)>,
}

impl Losses {
    /// What is to be told: that the first was lost, and when none is any more.
    pub(super) fn note(&mut self, notice: Notice, now: Instant) -> Option<Notice> {
        match &notice {
            Notice::Lost { place, .. } => {
                self.places.insert(place.clone());
                let is_first = self.told.is_none();
                self.told.get_or_insert_with(|| (place.clone(), now));
                is_first.then_some(notice)
            }
            Notice::Back { place, .. } => {
                self.places.remove(place);
                let (place, since) = self.told.take_if(|_| self.places.is_empty())?;
                Some(Notice::Back { place, after: now.saturating_duration_since(since) })
            }
            _ => Some(notice),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_outage_of_many_partitions_is_told_once() {
        let (mut losses, start) = (Losses::default(), Instant::now());
        let lost = |place: &str| Notice::Lost { place: place.to_owned(), why: "reset".to_owned() };
        let back = |place: &str, after| Notice::Back { place: place.to_owned(), after };
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(3));
        for _ in 0..2 {
            assert_eq!(losses.note(lost("t[0]"), start), Some(lost("t[0]")));
            assert_eq!(losses.note(lost("t[1]"), start + short), None);
            assert_eq!(losses.note(back("t[0]", short), start + short), None);
            assert_eq!(losses.note(back("t[1]", short), start + long), Some(back("t[0]", long)));
        }
    }
}
