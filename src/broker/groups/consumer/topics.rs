//! The topics as a group sees them: names, ids and numbers of partitions at one moment.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use regex::RegexBuilder;

use crate::broker::code::{Code, Failure};
use crate::broker::waiters::Place;

/// A topic's id.
pub(in crate::broker) type TopicId = [u8; 16];
/// Partitions, by their topics' ids.
pub(in crate::broker) type Places = BTreeSet<Place>;

/// Bytes that a compiled pattern may take: a short one can claim very much.
const MAX_PATTERN: usize = 1 << 20;

/// One topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::broker) struct Topic<'a> {
    pub(in crate::broker) name: &'a str,
    pub(in crate::broker) id: TopicId,
    pub(in crate::broker) partitions: i32,
}

/// All topics.
#[derive(Debug)]
pub(in crate::broker) struct Topics<'a> {
    by_name: Vec<Topic<'a>>,
    stamp: u64,
}

impl<'a> Topics<'a> {
    pub(in crate::broker) fn new(mut topics: Vec<Topic<'a>>) -> Self {
        topics.sort_unstable_by_key(|topic| topic.name);
        let mut hasher = DefaultHasher::new();
        topics.hash(&mut hasher);
        Self { by_name: topics, stamp: hasher.finish() }
    }

    /// Differs whenever the topics do.
    pub(super) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The topic of a name.
    pub(super) fn named(&self, name: &str) -> Option<&Topic<'a>> {
        let at = self.by_name.binary_search_by_key(&name, |topic| topic.name).ok()?;
        self.by_name.get(at)
    }

    /// All of them, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Topic<'a>> {
        self.by_name.iter()
    }

    /// The topics whose whole names match a pattern; none if it is no pattern.
    pub(super) fn matching(&self, pattern: &str) -> BTreeSet<TopicId> {
        let Ok(pattern) = Pattern::new(pattern) else { return BTreeSet::new() };
        self.by_name.iter().filter(|topic| pattern.matches(topic.name)).map(|topic| topic.id).collect()
    }
}

/// A pattern of topic names. Its syntax is that of the crate `regex`, which is close to RE2's, the one
/// that Kafka's brokers have; like there, matching takes no more than linear time.
#[derive(Debug)]
pub(super) struct Pattern(regex::Regex);

impl Pattern {
    /// # Errors
    /// INVALID_REGULAR_EXPRESSION, if it is none or too large a one.
    pub(super) fn new(pattern: &str) -> Result<Self, Failure> {
        // Alone too, or `a)(b` would pass.
        compile(pattern)?;
        compile(&format!("^(?:{pattern})$")).map(Self)
    }

    /// True if it matches the whole name.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

fn compile(pattern: &str) -> Result<regex::Regex, Failure> {
    let compiled = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build();
    compiled.map_err(|why| {
        // The lines before show the place.
        let why = why.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let why = format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {why}");
        Failure::new(Code::InvalidRegularExpression, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics<'static> {
        let topic = |(n, name)| Topic { name, id: [n; 16], partitions: 1 };
        Topics::new([(1, "b"), (2, "ab"), (3, "abc")].map(topic).to_vec())
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        let topics = topics();
        for (pattern, ids) in [
            ("ab", &[2][..]),
            ("a|ab", &[2]),
            ("ab?c?", &[2, 3]),
            ("^a.*", &[2, 3]),
            (".*b$", &[1, 2]),
            ("", &[]),
        ] {
            let ids: BTreeSet<TopicId> = ids.iter().map(|n| [*n; 16]).collect();
            assert_eq!(topics.matching(pattern), ids, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_or_too_large_is_refused() {
        for pattern in ["(", "a)(b", "*", "(?x)a # b", r"(\pL{1000}){1000}"] {
            let failure = Pattern::new(pattern).unwrap_err();
            assert_eq!(failure.code, Code::InvalidRegularExpression as i16, "{pattern}");
            assert_eq!(topics().matching(pattern), BTreeSet::new());
        }
    }

    #[test]
    fn the_stamp_tells_of_every_change_and_of_nothing_else() {
        let topic = |name, n, partitions| Topic { name, id: [n; 16], partitions };
        let stamp = |topics: &[Topic<'static>]| Topics::new(topics.to_vec()).stamp();
        let (a, b) = (topic("a", 1, 1), topic("b", 2, 1));
        assert_eq!(stamp(&[a, b]), stamp(&[b, a]));
        for changed in [&[a][..], &[topic("a", 3, 1), b], &[topic("a", 1, 2), b], &[topic("c", 1, 1), b]] {
            assert_ne!(stamp(changed), stamp(&[a, b]));
        }
    }
}
