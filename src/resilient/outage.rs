//! When a run is disconnected and when it gives up. Pure: the clock is passed in.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

use crate::backends::{Error, ErrorKind, Notice};
use crate::settings::{KeyId, Settings};

/// The first pause before a library is opened again, at most.
const FIRST: Duration = Duration::from_secs(2);

/// How long an outage may last.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Tries without any success (`resilient.reconnect.tries`).
    pub tries: u32,
    /// How long each of them lasts (`resilient.reconnect.interval.seconds`).
    pub interval: Duration,
    /// By how much a pause may be shorter, from 0 to 1 (`resilient.reconnect.jitter`).
    pub jitter: f64,
}

impl Policy {
    /// As the settings have it.
    pub fn of(settings: &Settings) -> Self {
        Self {
            tries: u32::try_from(settings.int(KeyId::ReconnectTries)).unwrap_or(u32::MAX),
            interval: settings.duration(KeyId::ReconnectInterval),
            jitter: settings.int(KeyId::ReconnectJitter) as f64 / 100.0,
        }
    }

    /// All tries together.
    pub fn budget(&self) -> Duration {
        self.interval.saturating_mul(self.tries)
    }

    /// The pause after so many attempts to open the library, without jitter: a quarter of a try, half of one, and
    /// then as long as one, so that there are no more attempts than tries and two; of long tries the first ones are
    /// shorter.
    fn pause(&self, failures: u32) -> Duration {
        (self.interval / 4).min(FIRST).saturating_mul(1 << failures.min(20)).min(self.interval)
    }
}

/// Attempts to open a library that have failed one after the other.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failures: u32,
    /// By how much the last one came earlier than without jitter: the next comes later by that, or there would be
    /// more of them in the same time.
    early: Duration,
}

impl Attempts {
    /// The pause after another one; `random` is from 0 to 1.
    pub(super) fn pause(&mut self, policy: &Policy, random: f64) -> Duration {
        let whole = policy.pause(self.failures);
        let early = whole.mul_f64((policy.jitter * random).clamp(0.0, 1.0));
        let pause = whole + self.early - early;
        *self = Self { failures: self.failures.saturating_add(1), early };
        pause
    }
}

/// A number from 0 to 1 that nobody knows before.
pub(super) fn random() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

/// What the clock says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tick {
    Nothing,
    /// Another try is over.
    Tell(Notice),
    /// The last one is.
    Over,
}

/// Where the connection to the brokers stands.
#[derive(Debug)]
pub(super) struct Contact {
    pub(super) policy: Policy,
    /// What the library has lost.
    lost: BTreeSet<String>,
    outage: Option<Outage>,
    /// Since when nothing was acknowledged that was to be, from the first loss on.
    quiet: Option<(Instant, SystemTime)>,
    /// Tries told of.
    told: u32,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    why: String,
}

impl Contact {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, lost: BTreeSet::new(), outage: None, quiet: None, told: 0 }
    }

    pub(super) fn is_out(&self) -> bool {
        self.outage.is_some()
    }

    /// Why, when it began, and after how many tries.
    pub(super) fn trouble(&self, now: Instant) -> (&str, Option<SystemTime>, u32) {
        let why = self.outage.as_ref().map_or("", |outage| &outage.why);
        (why, self.quiet.map(|(_, at)| at), self.tries(now).max(u32::from(self.outage.is_some())))
    }

    /// The error of an outage that has used up the tries.
    pub(super) fn gave_up(&self, now: Instant) -> Error {
        let (why, since, tries) = self.trouble(now);
        let tries_of = if tries == 1 { "try" } else { "tries" };
        let text = format!("gave up after {tries} {tries_of}: {why}");
        Error::new(ErrorKind::Unreachable, text).with_attempts(tries, since)
    }

    /// The error of records that were not sent before the end.
    pub(super) fn late(&self, now: Instant) -> Error {
        let (why, since, tries) = self.trouble(now);
        let colon = if why.is_empty() { "" } else { ": " };
        Error::new(ErrorKind::TimedOut, format!("not sent in time{colon}{why}")).with_attempts(tries, since)
    }

    /// The library has lost a broker.
    pub(super) fn lost(&mut self, place: &str, why: &str, now: Instant) -> Option<Notice> {
        self.lost.insert(place.to_owned());
        self.broken(why, now)
    }

    /// The library is gone, and is to be opened again.
    pub(super) fn broken(&mut self, why: &str, now: Instant) -> Option<Notice> {
        self.quiet.get_or_insert_with(|| (now, SystemTime::now()));
        let why = why.to_owned();
        match &mut self.outage {
            Some(outage) => {
                outage.why = why;
                None
            }
            None => {
                self.outage = Some(Outage { since: now, why: why.clone() });
                Some(Notice::Disconnected { why })
            }
        }
    }

    /// A broker is back, or not needed any more.
    pub(super) fn back(&mut self, place: &str, buffered: Option<u64>, now: Instant) -> Option<Notice> {
        self.lost.remove(place);
        if self.lost.is_empty() { self.end(buffered, now) } else { None }
    }

    /// The library is open again.
    pub(super) fn opened(&mut self, buffered: Option<u64>, now: Instant) -> Option<Notice> {
        self.lost.clear();
        self.end(buffered, now)
    }

    fn end(&mut self, buffered: Option<u64>, now: Instant) -> Option<Notice> {
        let after = now.saturating_duration_since(self.outage.take()?.since);
        Some(Notice::Reconnected { after, buffered })
    }

    /// Something was acknowledged, or there is nothing that could be: tries count from here on.
    pub(super) fn succeeded(&mut self, now: Instant) {
        if self.quiet.is_some() {
            self.quiet = self.outage.as_ref().map(|_| (now, SystemTime::now()));
            self.told = 0;
        }
    }

    fn tries(&self, now: Instant) -> u32 {
        let Some((quiet, _)) = self.quiet else { return 0 };
        let interval = self.policy.interval.as_nanos().max(1);
        let over = now.saturating_duration_since(quiet).as_nanos() / interval;
        u32::try_from(over).unwrap_or(u32::MAX)
    }

    /// What there is to tell or to do.
    pub(super) fn tick(&mut self, buffered: Option<u64>, now: Instant) -> Tick {
        let Some(outage) = &self.outage else { return Tick::Nothing };
        let (tries, of) = (self.tries(now), self.policy.tries);
        if tries >= of {
            return Tick::Over;
        }
        if tries <= self.told {
            return Tick::Nothing;
        }
        self.told = tries;
        let after = now.saturating_duration_since(outage.since);
        Tick::Tell(Notice::Waiting { tries, of, after, buffered })
    }

    /// When it has something next.
    pub(super) fn due(&self) -> Option<Instant> {
        let (quiet, _) = self.quiet.filter(|_| self.outage.is_some())?;
        quiet.checked_add(self.policy.interval.saturating_mul(self.told + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const POLICY: Policy = Policy { tries: 3, interval: Duration::from_secs(5), jitter: 0.2 };

    fn disconnected(why: &str) -> Option<Notice> {
        Some(Notice::Disconnected { why: why.to_owned() })
    }

    #[test]
    fn an_outage_is_told_when_it_begins_at_every_try_and_when_it_ends() {
        let (mut contact, start) = (Contact::new(POLICY), Instant::now());
        assert_eq!(contact.tick(Some(0), start), Tick::Nothing);
        assert_eq!(contact.lost("a", "refused", start), disconnected("refused"));
        assert_eq!(contact.lost("b", "refused, too", start), None);
        assert_eq!(contact.due(), Some(start + 5 * S));
        assert_eq!(contact.tick(Some(7), start + 4 * S), Tick::Nothing);
        let waiting = Notice::Waiting { tries: 1, of: 3, after: 5 * S, buffered: Some(8) };
        assert_eq!(contact.tick(Some(8), start + 5 * S), Tick::Tell(waiting));
        assert_eq!(contact.tick(Some(8), start + 6 * S), Tick::Nothing);
        assert_eq!(contact.due(), Some(start + 10 * S));
        assert_eq!(contact.back("a", Some(9), start + 6 * S), None);
        let reconnected = Notice::Reconnected { after: 7 * S, buffered: Some(9) };
        assert_eq!(contact.back("b", Some(9), start + 7 * S), Some(reconnected));
        assert_eq!((contact.due(), contact.tick(Some(0), start + 99 * S)), (None, Tick::Nothing));
    }

    #[test]
    fn tries_are_used_up_after_tries_times_interval_and_not_before() {
        let (mut contact, start) = (Contact::new(POLICY), Instant::now());
        contact.broken("refused", start);
        assert_ne!(contact.tick(Some(0), start + 15 * S - Duration::from_millis(1)), Tick::Over);
        assert_eq!(contact.tick(Some(0), start + 15 * S), Tick::Over);
        let (why, since, tries) = contact.trouble(start + 15 * S);
        assert_eq!((why, since.is_some(), tries), ("refused", true, 3));
    }

    #[test]
    fn a_success_starts_the_tries_again() {
        let (mut contact, start) = (Contact::new(POLICY), Instant::now());
        contact.lost("a", "refused", start);
        contact.succeeded(start + 14 * S);
        assert_eq!(contact.tick(Some(0), start + 15 * S), Tick::Nothing);
        assert_eq!(contact.tick(Some(0), start + 29 * S), Tick::Over);
    }

    #[test]
    fn to_open_the_library_again_is_not_yet_a_success() {
        let (mut contact, start) = (Contact::new(POLICY), Instant::now());
        contact.broken("fatal", start);
        assert!(contact.opened(Some(0), start + S).is_some());
        assert_eq!(contact.broken("fatal again", start + 2 * S), disconnected("fatal again"));
        assert_eq!(contact.tick(Some(0), start + 15 * S), Tick::Over);
        contact.opened(Some(0), start + 15 * S);
        contact.succeeded(start + 15 * S);
        contact.broken("fatal", start + 16 * S);
        assert_eq!(
            contact.tick(Some(0), start + 30 * S),
            Tick::Tell(Notice::Waiting { tries: 2, of: 3, after: 14 * S, buffered: Some(0) })
        );
    }

    #[test]
    fn there_are_no_more_attempts_than_tries_and_two() {
        for (tries, interval) in [(1, 1), (3, 1), (3, 5), (10, 2), (4, 8)] {
            let policy = Policy { tries, interval: interval * S, jitter: 0.2 };
            for random in [[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]] {
                let (mut attempts, mut passed, mut count) = (Attempts::default(), Duration::ZERO, 0);
                while passed < policy.budget() {
                    passed += attempts.pause(&policy, random[count % 2]);
                    count += 1;
                }
                assert!(count <= tries as usize + 2, "{count} of {policy:?}");
            }
        }
    }

    #[test]
    fn pauses_grow_to_the_length_of_a_try_and_jitter_moves_them() {
        let long = Policy { interval: 60 * S, ..POLICY };
        let seconds = |policy: &Policy, random: [f64; 7]| {
            let mut attempts = Attempts::default();
            random.map(|random| attempts.pause(policy, random).as_secs_f64())
        };
        assert_eq!(seconds(&POLICY, [0.0; 7]), [1.25, 2.5, 5.0, 5.0, 5.0, 5.0, 5.0]);
        assert_eq!(seconds(&long, [0.0; 7]), [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        assert_eq!(seconds(&long, [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0])[..4], [1.6, 4.4, 8.0, 12.8]);
    }
}
