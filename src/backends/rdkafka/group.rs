//! What a member of a group remembers beside what librdkafka does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::native::TopicMeta;
use crate::backends::{Starts, pattern_takes};

/// What a group member remembers.
#[derive(Debug)]
pub(super) struct Group {
    /// Where partitions are read from.
    pub(super) starts: Arc<Starts>,
    /// Topics that come and go.
    pub(super) following: Option<Following>,
    /// It is known to be in the group, with partitions or without.
    pub(super) is_in: bool,
    /// These were committed for the last time, and are about to be taken away: nothing is read of them any more.
    pub(super) is_handed_over: bool,
}

/// Topics by a pattern. They are looked for here: librdkafka knows other patterns than we do, and with KIP-848's
/// protocol it leaves them to the broker, which looks for new topics in its own time.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) pattern: regex::Regex,
    pub(super) names: BTreeSet<String>,
    /// When they were looked for; none if that is due.
    pub(super) looked: Option<Instant>,
}

impl Following {
    /// How long it is until they are looked for again, which is done at least `every` so long.
    pub(super) fn due_in(&self, every: Duration) -> Duration {
        self.looked.map_or(Duration::ZERO, |looked| every.saturating_sub(looked.elapsed()))
    }

    /// The names of the topics that match.
    pub(super) fn matching(&self, topics: Vec<TopicMeta>) -> BTreeSet<String> {
        let takes = |topic: &TopicMeta| pattern_takes(&self.pattern, &topic.name);
        topics.into_iter().filter(takes).map(|topic| topic.name).collect()
    }
}

impl Group {
    pub(super) fn new(starts: Arc<Starts>, following: Option<Following>) -> Self {
        Self { starts, following, is_in: false, is_handed_over: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_looked_for_when_the_time_is_up_not_once_more_that_time_later() {
        let (age, names) = (Duration::from_secs(60), BTreeSet::new());
        let pattern = regex::Regex::new("a").unwrap();
        let mut following = Following { pattern, names, looked: None };
        assert_eq!(following.due_in(age), Duration::ZERO);
        following.looked = Instant::now().checked_sub(age / 2);
        assert!(following.due_in(age) <= age / 2);
        following.looked = Instant::now().checked_sub(age * 2);
        assert_eq!(following.due_in(age), Duration::ZERO);
    }
}
