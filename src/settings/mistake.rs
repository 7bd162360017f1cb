//! What is wrong with the settings: all of it at once, each mistake with its place.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Place;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mistake {
    /// Where it was made.
    pub place: Place,
    /// What is wrong and what would be right, one line.
    pub message: String,
}

impl Mistake {
    /// A mistake at `place`.
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        Self { place: place.clone(), message: message.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&format!("{}: {}", self.place, self.message)))
    }
}

/// All mistakes of a run, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// `Ok` if there are none.
    ///
    /// # Errors
    /// All of them, each once.
    pub(super) fn none_in(mut mistakes: Vec<Mistake>) -> Result<(), Self> {
        let mut seen = HashSet::new();
        mistakes.retain(|mistake| seen.insert(mistake.clone()));
        if mistakes.is_empty() { Ok(()) } else { Err(Self(mistakes)) }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Text of bounded length, for lines that people read: a name or value of a file can be as long as the file.
pub fn shorten(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Keeps what a user or a file said on its line, and a terminal from acting on it.
pub(super) fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// What belongs to the name nearest to `typed`, if one is near enough to be meant: one letter
/// changed, or a quarter of them in a long name.
pub(crate) fn nearest<T>(typed: &str, candidates: impl IntoIterator<Item = (String, T)>) -> Option<T> {
    let length = typed.chars().count();
    let near = (length / 4).max(1);
    candidates
        .into_iter()
        // The distance is no less than the difference of the lengths, and takes far longer to compute.
        .filter(|(name, _)| name.chars().count().abs_diff(length) <= near)
        .map(|(name, candidate)| (strsim::damerau_levenshtein(typed, &name), candidate))
        .filter(|(distance, _)| *distance <= near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_one_line_whatever_was_typed() {
        let place = Place::Override("a\nb\u{1b}[31m".into());
        assert_eq!(Mistake::new(&place, "unknown key").to_string(), r"-X a\nb\u{1b}[31m: unknown key");
    }

    #[test]
    fn the_nearest_name_is_one_that_could_be_meant() {
        let names = ["acks", "linger.ms", "retries"];
        let near = |typed| nearest(typed, names.map(|name| (name.to_owned(), name)));
        for (typed, expected) in [
            ("ack", Some("acks")),
            ("acsk", Some("acks")),
            ("ligner.ms", Some("linger.ms")),
            ("lingerms", Some("linger.ms")),
            ("foo", None),
            ("", None),
        ] {
            assert_eq!(near(typed), expected, "{typed}");
        }
    }

    #[test]
    fn text_in_messages_is_bounded() {
        assert_eq!(shorten(&"\u{e9}".repeat(100)), "\u{e9}".repeat(100));
        assert_eq!(shorten(&"\u{e9}".repeat(101)), format!("{}...", "\u{e9}".repeat(100)));
    }
}
