//! The spool in front of a publisher that does what a test says.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{open_spool, spooled};
use super::publisher::{Do, Fake, Seen, World, refused};
use crate::backends::{Error, ErrorKind, Fate, Notice, Publisher};
use crate::record::{Batch, Slice, Span};

struct Run {
    world: World,
    publisher: Box<dyn Publisher>,
    seen: Seen,
}

impl Run {
    fn new(dir: &Path) -> Self {
        let world = World::default();
        let store = open_spool(dir, 1 << 20, Some("t")).unwrap();
        let publisher = spooled(store, Box::new(Fake(world.clone())));
        Self { world, publisher, seen: Seen::default() }
    }

    fn send(&mut self, lines: std::ops::Range<u64>) {
        let mut batch = Batch::default();
        batch.set_source(Some("in.txt"));
        for line in lines {
            let value = batch.append(b"0123456789");
            batch.push(Span::new(Slice::NULL, value, line));
        }
        let batch = Arc::new(batch);
        assert_eq!(self.publisher.send(&batch, 0..batch.len()).unwrap(), batch.len());
    }

    fn poll(&mut self) -> usize {
        self.publisher.poll(Duration::ZERO, &mut self.seen).unwrap()
    }

    /// Numbers, in the order they came to the library.
    fn taken(&self) -> Vec<u64> {
        self.world.set(|inside| inside.taken.clone())
    }

    /// Closes it without any time left.
    fn close(self) -> Seen {
        let Self { publisher, mut seen, .. } = self;
        publisher.close(&Instant::now, &mut seen).unwrap();
        seen
    }
}

#[test]
fn what_is_delivered_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::new(dir.path());
    run.send(10..13);
    assert_eq!(run.poll(), 3);
    run.world.script(Do::Ack(3));
    assert_eq!(run.poll(), 0);
    let seen = run.close();
    assert_eq!((seen.delivered, seen.spooled), (3, Some((0, 0))));
    let mut run = Run::new(dir.path());
    run.poll();
    assert!(run.taken().is_empty());
}

#[test]
fn what_was_not_delivered_comes_first_the_next_time_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::new(dir.path());
    run.world.set(|inside| inside.room = Some(3));
    run.send(1..6);
    run.poll();
    run.world.script(Do::Ack(1));
    run.poll();
    let seen = run.close();
    assert_eq!((seen.delivered, seen.spooled, seen.lost.len()), (1, Some((4, 0)), 0));
    let mut run = Run::new(dir.path());
    run.send(6..7);
    run.poll();
    assert_eq!(run.taken(), [1, 2, 3, 4, 5], "numbers, which are from 0");
    run.world.script(Do::Ack(5));
    assert_eq!(run.poll(), 0);
    assert_eq!(run.close().spooled, Some((0, 0)));
}

#[test]
fn what_is_refused_for_good_is_told_with_its_line_and_does_not_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::new(dir.path());
    run.send(7..10);
    run.poll();
    run.world.script(Do::GiveUp(Fate::Failed, Error::new(ErrorKind::TooLarge, "large")));
    run.world.script(Do::GiveUp(Fate::Unknown, Error::new(ErrorKind::Other, "who knows")));
    run.world.script(Do::GiveUp(Fate::Failed, refused()));
    run.poll();
    assert_eq!(run.seen.lost, [(7, Fate::Failed, 0)]);
    assert_eq!(run.close().spooled, Some((2, 0)));
    let mut run = Run::new(dir.path());
    run.poll();
    assert_eq!(run.taken(), [1, 2]);
}

#[test]
fn a_kill_brings_back_what_was_not_settled() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::new(dir.path());
    run.send(0..2);
    run.poll();
    run.world.script(Do::Ack(2));
    run.poll();
    run.send(2..4);
    run.poll();
    // Nothing is closed.
    drop(run);
    let mut run = Run::new(dir.path());
    run.poll();
    assert_eq!(run.taken(), [2, 3]);
}

#[test]
fn a_spool_that_fills_while_nothing_can_be_sent_is_told_once_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::new(dir.path());
    run.seen.warnings = Some(Vec::new());
    run.world.set(|inside| inside.room = Some(0));
    let mut batch = Batch::default();
    let value = batch.append(&vec![b'x'; 100 << 10]);
    (0..20).for_each(|line| batch.push(Span::new(Slice::NULL, value, line)));
    let batch = Arc::new(batch);
    let taken = run.publisher.send(&batch, 0..20).unwrap();
    assert!((1..20).contains(&taken), "{taken}");
    let mut told = |script: Option<Notice>| {
        if let Some(notice) = script {
            run.world.script(Do::Tell(notice));
        }
        assert_eq!(run.publisher.send(&batch, taken..20).unwrap(), 0);
        run.poll();
        let warnings = run.seen.warnings.as_deref().unwrap();
        assert!(warnings.iter().all(|line| line.contains("is full")), "{warnings:?}");
        warnings.len()
    };
    assert_eq!(told(None), 0, "no outage");
    assert_eq!(told(Some(Notice::Disconnected { why: "refused".into() })), 1);
    assert_eq!(told(None), 1, "only once");
    assert_eq!(told(Some(Notice::Reconnected { after: Duration::ZERO, buffered: None })), 1);
    assert_eq!(told(Some(Notice::Disconnected { why: "refused".into() })), 2);
}
