//! The publisher around a library that does what a test says.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::publisher::ResilientPublisher;
use super::super::*;
use super::{Hands, LONG, S};
use crate::backends::{Error, ErrorKind, Fate, Notice, Publisher, ReportSink, Result, Status, Waker};
use crate::record::{Batch, RecordRef, Slice, Span};

/// What the library does with the next `poll`.
pub(super) enum Do {
    /// Acknowledges the first so many.
    Ack(usize),
    /// Gives the first one up.
    GiveUp(Fate, Error),
    Tell(Notice),
    Fail(Error),
}

/// A library's inside, which the test holds, too.
#[derive(Default)]
pub(super) struct Inside {
    /// Records that it takes at a time; it has no limit if this is `None`.
    pub(super) room: Option<usize>,
    pub(super) queue: VecDeque<(Arc<Batch>, usize)>,
    pub(super) script: VecDeque<Do>,
    /// Lines, in the order they were taken, over all libraries opened.
    pub(super) taken: Vec<u64>,
    pub(super) opened: usize,
    /// What opening it comes to; it can be opened if there is nothing here.
    pub(super) doors: VecDeque<Error>,
    /// What becomes of the records left when it is closed.
    pub(super) left: Option<Fate>,
}

#[derive(Clone, Default)]
pub(super) struct World(Arc<Mutex<Inside>>);

pub(super) struct Fake(pub(super) World);

impl World {
    pub(super) fn set<T>(&self, change: impl FnOnce(&mut Inside) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub(super) fn script(&self, step: Do) {
        self.set(|inside| inside.script.push_back(step));
    }

    fn open(&self) -> Result<Box<dyn Publisher>> {
        match self.set(|inside| inside.doors.pop_front()) {
            Some(error) => Err(error),
            None => {
                self.set(|inside| inside.opened += 1);
                Ok(Box::new(Fake(self.clone())))
            }
        }
    }
}

fn give_up((batch, index): (Arc<Batch>, usize), fate: Fate, error: &Error, sink: &mut dyn ReportSink) {
    let line = batch.spans()[index].line;
    batch.with_record(index, "t", |record| sink.undelivered(record, line, batch.source(), fate, error));
}

impl Publisher for Fake {
    fn waker(&self) -> Waker {
        Arc::new(|| ())
    }

    fn send(&mut self, batch: &Arc<Batch>, records: Range<usize>) -> Result<usize> {
        self.0.set(|inside| {
            let room = inside.room.unwrap_or(usize::MAX).saturating_sub(inside.queue.len());
            let taken = records.start..records.end.min(records.start.saturating_add(room));
            inside.taken.extend(taken.clone().map(|i| batch.spans()[i].line));
            inside.queue.extend(taken.clone().map(|i| (Arc::clone(batch), i)));
            Ok(taken.len())
        })
    }

    fn poll(&mut self, _: Duration, sink: &mut dyn ReportSink) -> Result<usize> {
        while let Some(step) = self.0.set(|inside| inside.script.pop_front()) {
            match step {
                Do::Ack(n) => {
                    let acked: Vec<_> = self.0.set(|inside| inside.queue.drain(..n).collect());
                    let payload = acked.iter().map(|(batch, i)| batch.spans()[*i].value.len() as u64).sum();
                    sink.delivered(n as u64, payload);
                }
                Do::GiveUp(fate, error) => {
                    let first = self.0.set(|inside| inside.queue.pop_front()).unwrap();
                    give_up(first, fate, &error, sink);
                }
                Do::Tell(notice) => sink.notice(&notice),
                Do::Fail(error) => return Err(error),
            }
        }
        Ok(self.0.set(|inside| inside.queue.len()))
    }

    fn flush(&mut self) {}

    fn close(self: Box<Self>, _: &dyn Fn() -> Instant, sink: &mut dyn ReportSink) -> Result<()> {
        let (left, fate) = self.0.set(|inside| (std::mem::take(&mut inside.queue), inside.left));
        for record in left {
            give_up(record, fate.unwrap_or(Fate::Failed), &late(), sink);
        }
        Ok(())
    }
}

pub(super) fn late() -> Error {
    Error::new(ErrorKind::TimedOut, "not acknowledged in time").with_status(Status::Persistent)
}

pub(super) fn refused() -> Error {
    Error::new(ErrorKind::Unreachable, "refused")
}

/// What the command sees.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) delivered: u64,
    pub(super) resent: u64,
    /// Kept in the spool, and damaged there.
    pub(super) spooled: Option<(u64, u64)>,
    /// Line, fate, tries.
    pub(super) lost: Vec<(u64, Fate, u32)>,
    pub(super) notices: Vec<String>,
    /// Where a test expects them.
    pub(super) warnings: Option<Vec<String>>,
}

impl ReportSink for Seen {
    fn delivered(&mut self, records: u64, _: u64) {
        self.delivered += records;
    }

    fn placed(&mut self, _: &RecordRef<'_>) {}

    fn undelivered(&mut self, _: &RecordRef<'_>, line: u64, _: Option<&str>, fate: Fate, error: &Error) {
        assert!(error.since().is_some() || error.attempts() == 0, "{error}");
        self.lost.push((line, fate, error.attempts()));
    }

    fn aborted(&mut self, _: u64) {
        panic!("no transaction");
    }

    fn resent(&mut self, records: u64) {
        self.resent += records;
    }

    fn notice(&mut self, notice: &Notice) {
        self.notices.push(notice.to_string());
    }

    fn spooled(&mut self, kept: u64, damaged: u64) {
        self.spooled = Some((kept, damaged));
    }

    fn warn(&mut self, message: &str) {
        let Some(warnings) = &mut self.warnings else { panic!("{message}") };
        warnings.push(message.to_owned());
    }
}

const RULES: Rules = Rules {
    policy: Policy { tries: 3, interval: Duration::from_secs(5), jitter: 0.0 },
    limits: Limits { records: 10, bytes: 1000, full: Full::Block },
    doubt: Doubt::Unknown,
};

struct Run {
    hands: Hands,
    world: World,
    publisher: Box<ResilientPublisher>,
    seen: Seen,
}

impl Run {
    fn new(rules: Rules, world: World) -> Self {
        let hands = Hands::new();
        let inside = world.clone();
        let open: Open = Arc::new(move || inside.open());
        let publisher = Box::new(ResilientPublisher::open(open, Some("t"), rules, hands.clock()).unwrap());
        Self { hands, world, publisher, seen: Seen::default() }
    }

    /// Offers records of these lines; returns how many were taken.
    fn send(&mut self, lines: Range<u64>) -> usize {
        let mut batch = Batch::default();
        for line in lines {
            let value = batch.append(b"0123456789");
            batch.push(Span { partition: 0, ..Span::new(Slice::NULL, value, line) });
        }
        let batch = Arc::new(batch);
        self.publisher.send(&batch, 0..batch.len()).unwrap()
    }

    fn poll(&mut self) -> Result<usize> {
        self.publisher.poll(Duration::ZERO, &mut self.seen)
    }

    /// Polls until a library has been opened `n` times.
    fn until_opened(&mut self, n: usize) {
        let start = Instant::now();
        while self.world.set(|inside| inside.opened) < n {
            // It waits for the thread that opens.
            self.publisher.poll(LONG, &mut self.seen).unwrap();
            assert!(start.elapsed() < LONG);
        }
        while !self.seen.notices.iter().any(|notice| notice.starts_with("reconnected")) {
            self.publisher.poll(LONG, &mut self.seen).unwrap();
        }
    }

    /// Closes it without any time left.
    fn close(self) -> (Seen, Result<()>) {
        let Self { hands, publisher, mut seen, .. } = self;
        let closed = publisher.close(&|| hands.now(), &mut seen);
        (seen, closed)
    }
}

#[test]
fn without_an_outage_it_is_as_if_it_were_not_there() {
    let mut run = Run::new(RULES, World::default());
    assert_eq!(run.send(1..4), 3);
    assert_eq!(run.poll().unwrap(), 3);
    run.world.script(Do::Ack(3));
    assert_eq!(run.poll().unwrap(), 0);
    let (seen, closed) = run.close();
    assert!(closed.is_ok() && seen.notices.is_empty() && seen.lost.is_empty(), "{seen:?}");
    assert_eq!((seen.delivered, seen.resent), (3, 0));
}

#[test]
fn what_the_library_does_not_take_waits_in_order() {
    let world = World::default();
    world.set(|inside| inside.room = Some(2));
    let mut run = Run::new(RULES, world);
    assert_eq!(run.send(1..4), 3);
    assert_eq!(run.send(4..6), 2);
    for _ in 0..2 {
        run.world.script(Do::Ack(2));
        run.poll().unwrap();
    }
    run.poll().unwrap();
    assert_eq!(run.world.set(|inside| inside.taken.clone()), [1, 2, 3, 4, 5]);
}

#[test]
fn no_more_is_held_than_there_is_room_for() {
    let mut run = Run::new(RULES, World::default());
    assert_eq!(run.send(1..20), 10);
    assert_eq!(run.send(11..20), 0);
    run.world.script(Do::Ack(4));
    assert_eq!(run.poll().unwrap(), 6);
    assert_eq!(run.send(11..20), 4);
}

#[test]
fn when_told_to_fail_the_overflow_fails_in_an_outage_only() {
    let rules = Rules { limits: Limits { full: Full::Fail, ..RULES.limits }, ..RULES };
    let mut run = Run::new(rules, World::default());
    assert_eq!(run.send(1..13), 10, "connected, it blocks");
    run.world.script(Do::Tell(Notice::Lost { place: "b".into(), why: "refused".into() }));
    run.poll().unwrap();
    assert_eq!(run.send(11..14), 3);
    assert_eq!(run.poll().unwrap(), 10);
    assert_eq!(run.seen.lost, [11, 12, 13].map(|line| (line, Fate::Failed, 1)));
}

#[test]
fn a_library_that_failed_for_good_is_opened_again_and_sends_what_it_had_not_written() {
    let mut run = Run::new(RULES, World::default());
    run.send(1..5);
    run.world.script(Do::Ack(1));
    run.world.script(Do::Fail(Error::new(ErrorKind::Other, "fatal")));
    run.poll().unwrap();
    assert_eq!(run.seen.notices, ["disconnected: fatal"]);
    run.send(5..7);
    run.hands.turn(3 * S);
    run.until_opened(2);
    run.poll().unwrap();
    assert_eq!(run.world.set(|inside| inside.taken.clone()), [1, 2, 3, 4, 2, 3, 4, 5, 6]);
    assert_eq!(run.seen.notices[1], "reconnected after 3.0 s, 5 buffered");
    run.world.script(Do::Ack(5));
    assert_eq!(run.poll().unwrap(), 0);
    assert_eq!((run.seen.delivered, run.seen.resent, run.seen.lost.len()), (6, 0, 0));
}

#[test]
fn what_may_have_been_written_is_unknown_or_sent_again_and_counted() {
    for (doubt, delivered, resent, unknown) in [(Doubt::Unknown, 0, 0, 2), (Doubt::SendAgain, 2, 2, 0)] {
        let world = World::default();
        world.set(|inside| inside.left = Some(Fate::Unknown));
        let mut run = Run::new(Rules { doubt, ..RULES }, world);
        run.send(1..3);
        run.world.script(Do::Fail(refused()));
        run.poll().unwrap();
        run.hands.turn(3 * S);
        run.until_opened(2);
        run.poll().unwrap();
        run.world.script(Do::Ack(delivered));
        run.poll().unwrap();
        assert_eq!((run.seen.delivered, run.seen.resent), (delivered as u64, resent), "{doubt:?}");
        assert_eq!(run.seen.lost.len(), unknown);
        assert!(run.seen.lost.iter().all(|(_, fate, _)| *fate == Fate::Unknown));
    }
}

#[test]
fn a_record_given_up_for_a_reason_that_may_pass_keeps_its_place() {
    let mut run = Run::new(RULES, World::default());
    run.send(1..4);
    run.world.script(Do::GiveUp(Fate::Failed, refused().with_status(Status::Temporary)));
    run.poll().unwrap();
    run.hands.turn(3 * S);
    run.until_opened(2);
    run.poll().unwrap();
    assert_eq!(run.world.set(|inside| inside.taken.clone()), [1, 2, 3, 1, 2, 3]);
    assert!(run.seen.lost.is_empty());
}

#[test]
fn a_record_that_is_refused_for_good_is_told_at_once() {
    let mut run = Run::new(RULES, World::default());
    run.send(1..3);
    run.world.script(Do::GiveUp(Fate::Failed, Error::new(ErrorKind::TooLarge, "large")));
    assert_eq!(run.poll().unwrap(), 1);
    assert_eq!(run.seen.lost, [(1, Fate::Failed, 0)]);
}

#[test]
fn tries_used_up_end_it_with_everything_told() {
    let mut run = Run::new(RULES, World::default());
    run.world.set(|inside| inside.room = Some(2));
    run.send(1..5);
    run.world.script(Do::Tell(Notice::Lost { place: "b".into(), why: "refused".into() }));
    run.poll().unwrap();
    for _ in 0..2 {
        run.hands.turn(5 * S);
        run.poll().unwrap();
    }
    run.hands.turn(5 * S - Duration::from_millis(1));
    run.poll().unwrap();
    run.hands.turn(Duration::from_millis(1));
    let error = run.poll().unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Unreachable, "gave up after 3 tries: refused")
    );
    assert_eq!(run.seen.lost, [1, 2, 3, 4].map(|line| (line, Fate::Failed, 3)));
    assert_eq!(
        run.seen.notices,
        [
            "disconnected: refused",
            "still disconnected after 5.0 s (try 1 of 3), 4 buffered",
            "still disconnected after 10.0 s (try 2 of 3), 4 buffered"
        ]
    );
    assert!(run.close().1.is_ok());
}

#[test]
fn acknowledgements_start_the_tries_again_and_nothing_owed_stops_them() {
    let mut run = Run::new(RULES, World::default());
    run.send(1..3);
    run.world.script(Do::Tell(Notice::Lost { place: "one of two".into(), why: "refused".into() }));
    run.poll().unwrap();
    run.hands.turn(14 * S);
    run.world.script(Do::Ack(1));
    run.poll().unwrap();
    run.hands.turn(14 * S);
    run.world.script(Do::Ack(1));
    assert_eq!(run.poll().unwrap(), 0);
    run.hands.turn(1000 * S);
    run.poll().unwrap();
    run.send(3..4);
    run.hands.turn(14 * S);
    run.poll().unwrap();
    run.hands.turn(S);
    assert!(run.poll().is_err());
}

#[test]
fn an_outage_at_the_start_is_one_like_any_other() {
    let world = World::default();
    world.set(|inside| inside.doors.extend([refused(), refused()]));
    let mut run = Run::new(RULES, world);
    assert_eq!(run.send(1..3), 2);
    run.poll().unwrap();
    assert_eq!(run.seen.notices, ["disconnected: refused"]);
    run.hands.turn(3 * S);
    while run.world.set(|inside| !inside.doors.is_empty()) {
        run.publisher.poll(LONG, &mut run.seen).unwrap();
    }
    run.publisher.poll(LONG, &mut run.seen).unwrap();
    run.hands.turn(3 * S);
    run.until_opened(1);
    run.poll().unwrap();
    assert_eq!(run.world.set(|inside| inside.taken.clone()), [1, 2]);
}

#[test]
fn what_will_not_pass_ends_it_at_once() {
    let world = World::default();
    world.set(|inside| inside.doors.push_back(Error::new(ErrorKind::Authentication, "wrong password")));
    let inside = world.clone();
    let open: Open = Arc::new(move || inside.open());
    let opened = ResilientPublisher::open(open, Some("t"), RULES, Hands::new().clock());
    assert_eq!(opened.map(drop).unwrap_err().kind(), ErrorKind::Authentication);
    let mut run = Run::new(RULES, world);
    run.send(1..3);
    run.world.script(Do::Fail(Error::new(ErrorKind::Authorization, "no")));
    assert_eq!(run.poll().unwrap_err().kind(), ErrorKind::Authorization);
    let (seen, _) = run.close();
    assert_eq!(seen.lost.len(), 2, "{seen:?}");
}

#[test]
fn closing_waits_for_outcomes_and_no_longer_than_it_may() {
    let mut run = Run::new(RULES, World::default());
    run.world.set(|inside| inside.room = Some(1));
    run.send(1..3);
    let hands = run.hands.clone();
    let Run { publisher, world, mut seen, .. } = run;
    let deadline = || {
        // Asked before each round.
        hands.turn(S);
        world.set(|inside| {
            if !inside.queue.is_empty() {
                inside.script.push_back(Do::Ack(1))
            }
        });
        hands.now() + S
    };
    publisher.close(&deadline, &mut seen).unwrap();
    assert_eq!((seen.delivered, seen.lost.len()), (2, 0), "{seen:?}");

    let mut run = Run::new(RULES, World::default());
    run.world.set(|inside| (inside.room, inside.left) = (Some(1), Some(Fate::Unknown)));
    run.send(1..3);
    let (seen, closed) = run.close();
    assert!(closed.is_ok());
    assert_eq!(seen.lost, [(1, Fate::Unknown, 0), (2, Fate::Failed, 0)]);
}
