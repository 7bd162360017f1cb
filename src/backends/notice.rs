//! What happens to the connection to the brokers, as data: commands tell it to people and to programs.

use std::fmt;
use std::time::Duration;

use crate::units::human_duration;

/// Something to tell the user once, when it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A library has lost a broker, or all of them (`place` says which), and tries again.
    Lost {
        /// What was lost.
        place: String,
        /// Why, naming the place.
        why: String,
    },
    /// What was lost answers again.
    Back {
        /// As it was called when it was lost.
        place: String,
        /// How long it was away.
        after: Duration,
    },
    /// What was lost is not needed any more: other brokers lead its partitions.
    Replaced {
        /// As it was called when it was lost.
        place: String,
    },
    /// A resilient run has begun to keep records back.
    Disconnected {
        /// Why.
        why: String,
    },
    /// It still does, at the end of a try.
    Waiting {
        /// Tries used.
        tries: u32,
        /// Tries there are.
        of: u32,
        /// Since it was disconnected.
        after: Duration,
        /// Records kept, by those who keep any.
        buffered: Option<u64>,
    },
    /// It goes on.
    Reconnected {
        /// How long it was disconnected.
        after: Duration,
        /// Records kept, which are sent now.
        buffered: Option<u64>,
    },
}

impl Notice {
    /// Whether it is good news.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Back { .. } | Self::Replaced { .. } | Self::Reconnected { .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { why, .. } => write!(f, "{why}; trying again"),
            Self::Back { place, after } => write!(f, "{place} is back after {}", human_duration(*after)),
            Self::Replaced { place } => write!(f, "{place} is replaced by other brokers"),
            Self::Disconnected { why } => write!(f, "disconnected: {why}"),
            Self::Waiting { tries, of, after, buffered } => {
                let after = human_duration(*after);
                write!(f, "still disconnected after {after} (try {tries} of {of}){}", kept(*buffered))
            }
            Self::Reconnected { after, buffered } => {
                write!(f, "reconnected after {}{}", human_duration(*after), kept(*buffered))
            }
        }
    }
}

fn kept(buffered: Option<u64>) -> String {
    buffered.map_or_else(String::new, |n| format!(", {n} buffered"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_one_line_for_people() {
        let after = Duration::from_millis(4200);
        let waiting = Notice::Waiting { tries: 2, of: 10, after, buffered: Some(812) };
        assert_eq!(waiting.to_string(), "still disconnected after 4.2 s (try 2 of 10), 812 buffered");
        let back = Notice::Reconnected { after, buffered: Some(812) };
        assert_eq!(back.to_string(), "reconnected after 4.2 s, 812 buffered");
        assert!(back.is_good() && !waiting.is_good());
    }
}
