//! Whether the brokers are there, as far as librdkafka tells: it says when the last one is gone, and never that one is
//! back, which an answer shows. One that is silent counts as the last one if nothing was answered for a while: of that
//! librdkafka says so only after another such time.

use std::mem;
use std::time::{Duration, Instant, SystemTime};

use super::{Health, plain_reason};
use crate::backends::Notice;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// Since when they are gone.
    pub(super) lost: Option<(Instant, SystemTime)>,
    answered: Option<Instant>,
    /// The trouble told last.
    told: String,
}

/// What is to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Notice(Notice),
    Warning(String),
}

/// Without any answer for so long, no other broker makes up for a silent one.
const QUIET: Duration = Duration::from_secs(1);

/// What all brokers together are called.
const ALL: &str = "the cluster";

impl Contact {
    /// What has come up since the last time; `answered` if anything was answered.
    pub(super) fn news(&mut self, health: &mut Health, answered: bool) -> impl Iterator<Item = News> + use<> {
        let trouble = health.trouble.take().map(|trouble| plain_reason(&trouble));
        let back = self
            .lost
            .take_if(|_| answered)
            .map(|(since, _)| News::Notice(Notice::Back { place: ALL.to_owned(), after: since.elapsed() }));
        if answered {
            self.told.clear();
            self.answered = Some(Instant::now());
        }
        let is_quiet = self.answered.is_none_or(|at| at.elapsed() >= QUIET);
        let is_gone = mem::take(&mut health.all_down) | (mem::take(&mut health.silent) && is_quiet);
        let is_new = |told: &str| trouble.as_ref().is_some_and(|trouble| trouble != told);
        let other = if is_gone && self.lost.is_none() {
            self.lost = Some((Instant::now(), SystemTime::now()));
            let why = trouble.unwrap_or_else(|| "no broker can be reached".to_owned());
            Some(News::Notice(Notice::Lost { place: ALL.to_owned(), why }))
            // What was noted before they were back is over, too.
        } else if self.lost.is_none() && back.is_none() && is_new(&self.told) {
            self.told = trouble.unwrap_or_default();
            Some(News::Warning(self.told.clone()))
        } else {
            None
        };
        back.into_iter().chain(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(contact: &mut Contact, trouble: Option<&str>, all_down: bool, answered: bool) -> Vec<String> {
        let health = Health { trouble: trouble.map(str::to_owned), all_down, ..Health::default() };
        told_of(contact, health, answered)
    }

    fn told_of(contact: &mut Contact, mut health: Health, answered: bool) -> Vec<String> {
        let word = |news| match news {
            News::Notice(Notice::Lost { why, .. }) => format!("lost: {why}"),
            News::Notice(notice) => notice.to_string().split(" after").next().unwrap_or_default().to_owned(),
            News::Warning(text) => text,
        };
        contact.news(&mut health, answered).map(word).collect()
    }

    #[test]
    fn all_brokers_gone_is_told_once_and_their_return_when_something_is_answered() {
        let mut contact = Contact::default();
        assert_eq!(told(&mut contact, Some("refused"), true, false), ["lost: refused"]);
        assert!(told(&mut contact, Some("refused again"), true, false).is_empty());
        assert_eq!(told(&mut contact, Some("reset"), false, true), ["the cluster is back"]);
        assert!(told(&mut contact, None, false, true).is_empty());
    }

    #[test]
    fn trouble_with_one_of_them_is_told_once_until_something_is_answered() {
        let mut contact = Contact::default();
        assert_eq!(told(&mut contact, Some("refused"), false, false), ["refused"]);
        assert!(told(&mut contact, Some("refused"), false, false).is_empty());
        assert!(told(&mut contact, None, false, true).is_empty());
        assert_eq!(told(&mut contact, Some("refused"), false, false), ["refused"]);
    }

    #[test]
    fn a_silent_broker_is_an_outage_unless_others_answer() {
        let silent = || Health { silent: true, trouble: Some("silent".to_owned()), ..Health::default() };
        let mut contact = Contact::default();
        assert!(told_of(&mut contact, Health::default(), true).is_empty());
        assert_eq!(told_of(&mut contact, silent(), false), ["silent"]);
        assert!(contact.lost.is_none());
        contact.answered = Instant::now().checked_sub(QUIET);
        assert_eq!(told_of(&mut contact, silent(), false), ["lost: silent"]);
        assert_eq!(told_of(&mut contact, Health::default(), true), ["the cluster is back"]);
    }
}
