//! How long the coordinator has been out of reach, and what to say of it.

use std::time::{Duration, Instant};

use super::app::Told;
use crate::backends::wired::errors;
use crate::backends::{Error, ErrorKind, Notice, Status};
use crate::wire::net;

/// Trouble shorter than this is not told: a coordinator that moves is not worth a line.
const SHOWN: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(super) struct Trouble {
    group: String,
    /// How long it may last.
    patience: Duration,
    since: Option<Instant>,
    is_told: bool,
}

impl Trouble {
    pub(super) fn new(group: &str, patience: Duration) -> Self {
        Self { group: format!("group {group}"), patience, since: None, is_told: false }
    }

    /// One more failure.
    pub(super) fn failed(&mut self, why: &net::Error, now: Instant) -> Option<Told> {
        let lasted = now.duration_since(*self.since.get_or_insert(now));
        let text = format!("{}: {}", self.group, errors::printable(&why.to_string()));
        if lasted >= self.patience {
            let text = format!("{text}, for {} s now", lasted.as_secs());
            let error = Error::new(ErrorKind::Unreachable, text).with_status(Status::Persistent);
            return Some(Told::Failed(error.with_source(why.clone())));
        }
        let is_news = lasted >= SHOWN && !self.is_told;
        self.is_told |= is_news;
        is_news.then(|| Told::Trouble(Notice::Lost { place: self.group.clone(), why: text }))
    }

    /// It answers.
    pub(super) fn over(&mut self, now: Instant) -> Option<Told> {
        let since = self.since.take()?;
        let (place, after) = (self.group.clone(), now.duration_since(since));
        std::mem::take(&mut self.is_told).then_some(Told::Trouble(Notice::Back { place, after }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> net::Error {
        net::Error::new(net::Kind::Closed, "it closed the connection")
    }

    #[test]
    fn short_trouble_is_not_told_and_long_trouble_once() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut trouble = Trouble::new("g", ms(60_000));
        assert!(trouble.failed(&lost(), start).is_none());
        assert!(trouble.over(start + ms(400)).is_none());
        assert!(trouble.failed(&lost(), start + ms(1000)).is_none());
        let Some(Told::Trouble(text)) = trouble.failed(&lost(), start + ms(1500)) else { panic!("not told") };
        assert_eq!(text.to_string(), "group g: it closed the connection; trying again");
        assert!(trouble.failed(&lost(), start + ms(2000)).is_none());
        let Some(Told::Trouble(text)) = trouble.over(start + ms(3000)) else { panic!("not told") };
        assert_eq!(text.to_string(), "group g is back after 2.0 s");
    }

    #[test]
    fn trouble_without_end_ends_the_run() {
        let start = Instant::now();
        let mut trouble = Trouble::new("g", Duration::from_secs(1));
        trouble.failed(&lost(), start);
        let Some(Told::Failed(error)) = trouble.failed(&lost(), start + Duration::from_secs(1)) else {
            panic!("it goes on");
        };
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert_eq!(error.to_string(), "group g: it closed the connection, for 1 s now");
    }
}
