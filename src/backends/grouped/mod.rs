//! Membership of a group for libraries that have none of their own: a subscriber around one that reads partitions
//! of its own choice, so that a `group.id` means the same on each of them.
//!
//! A thread of its own ([`driver`]) keeps the membership ([`crate::group`]): heartbeats go out however long standard
//! output takes. It finds where partitions are to be read from ([`Starts`]) and keeps offsets ([`offsets`]); the
//! command's thread starts and ends their reading here, and gives partitions up when what was written of them is
//! committed.

mod app;
mod ask;
mod books;
mod driver;
mod offsets;
mod terms;
mod trouble;
mod view;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::{
    At, Error, ErrorKind, Notice, Offsets, Polled, RecordSink, Result, Starts, Status, Subscriber,
    TopicPartition, Topics, Waker, committed_or_said,
};
use crate::group::Ticket;
use crate::settings::{KeyId, Settings};
use app::{App, Order, Orders, Reply, Told};
use driver::Driver;
use terms::Config;

/// Waits are so many times shorter than `max.poll.interval.ms`: to wait for records is no sign of death.
const POLLS: u32 = 3;

/// How long reading stands still for the answer to a commit, which comes at once unless something is wrong.
const COMMIT_WAIT: Duration = Duration::from_millis(250);

/// A member of the group `group.id` that reads through `inner`.
///
/// # Errors
/// `Unsupported` for a setting that is not known here.
pub(super) fn open(inner: Box<dyn Subscriber>, settings: &Settings) -> Result<Box<dyn Subscriber>> {
    let config = Config::of(settings)?;
    let built = Builder::new_multi_thread().worker_threads(1).thread_name("group").enable_all().build();
    let runtime = built.map_err(|error| {
        Error::new(ErrorKind::Other, "cannot start the group's thread").with_source(error)
    })?;
    let app = Arc::new(App::new(inner.waker()));
    let (orders, inbox) = Orders::new();
    let driver = Driver::new(config, runtime.handle(), inbox, Arc::clone(&app));
    // While the command asks for partitions and offsets.
    runtime.spawn(driver.asker.clone().prepare(settings.duration(KeyId::RequestTimeout)));
    runtime.spawn(driver.run());
    Ok(Box::new(Grouped {
        inner,
        runtime: Some(runtime),
        app,
        orders,
        waiting: VecDeque::new(),
        starts: Offsets::new(),
        polled: Instant::now(),
        max_poll_interval: settings.duration(KeyId::MaxPollInterval),
        request_timeout: settings.duration(KeyId::RequestTimeout),
        unanswered: None,
        losses: 0,
        is_reading: false,
        is_lost: false,
        is_following: false,
    }))
}

/// See the module.
struct Grouped {
    inner: Box<dyn Subscriber>,
    runtime: Option<Runtime>,
    app: Arc<App>,
    orders: Orders,
    /// What the membership told and was not looked at.
    waiting: VecDeque<Told>,
    /// Partitions that are to be read, and from where.
    starts: Offsets,
    polled: Instant,
    max_poll_interval: Duration,
    request_timeout: Duration,
    /// A commit whose answer was not waited for, and until when it may come.
    unanswered: Option<(u64, Instant)>,
    /// How often partitions were lost.
    losses: u64,
    /// Whether any partition is read.
    is_reading: bool,
    /// Whether it was told that the coordinator cannot be reached.
    is_lost: bool,
    /// Whether topics may come and go: those that match a pattern.
    is_following: bool,
}

/// What ends the wait for an answer beside the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// A wake-up: there is something more urgent.
    Woken,
    /// Only the deadline.
    Out,
}

impl Grouped {
    /// Tells the membership that the application is alive: by a note, or with words when it may have
    /// been taken for dead.
    fn note_poll(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.polled) >= self.max_poll_interval / 2 {
            self.orders.give(Order::Polled);
        }
        self.polled = now;
        self.app.polls.note(now);
    }

    fn serve(&mut self, told: Told, sink: &mut dyn RecordSink) -> Result<()> {
        match told {
            Told::Assigned(partitions) => sink.assigned(&partitions),
            Told::Start(starts) => {
                for (tp, start, origin) in starts {
                    sink.started(&tp, start, origin);
                    self.starts.push((tp, start));
                }
            }
            Told::Revoked(ticket, gone) => {
                return self.revoked(ticket, &gone, Instant::now() + self.request_timeout, sink);
            }
            Told::Lost(gone) => {
                self.losses += 1;
                sink.revoked(&gone, true);
                self.stop(&gone)?;
            }
            Told::Trouble(notice) => {
                let is_lost = matches!(notice, Notice::Lost { .. });
                // The reading tells, too. What was told before is told to be over all the same.
                let is_told = if is_lost { !self.is_reading } else { self.is_lost };
                if is_told {
                    sink.notice(&notice);
                    self.is_lost = is_lost;
                }
            }
            Told::Warn(text) => sink.warn(&text),
            Told::Failed(error) => return Err(error),
            Told::Left => {}
        }
        Ok(())
    }

    /// The same while it leaves.
    fn serve_last(&mut self, told: Told, deadline: Instant, sink: &mut dyn RecordSink) -> Result<()> {
        match told {
            Told::Revoked(ticket, gone) => self.revoked(ticket, &gone, deadline, sink),
            Told::Assigned(_) | Told::Start(_) | Told::Trouble(_) => Ok(()),
            told => self.serve(told, sink),
        }
    }

    fn revoked(
        &mut self,
        ticket: Ticket,
        gone: &[TopicPartition],
        deadline: Instant,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let refused = self.give_up(gone, deadline, sink);
        self.orders.give(Order::Released(ticket));
        refused
    }

    /// Commits what was written of these partitions and stops reading them.
    fn give_up(
        &mut self,
        gone: &[TopicPartition],
        deadline: Instant,
        sink: &mut dyn RecordSink,
    ) -> Result<()> {
        let offsets = sink.revoked(gone, false);
        let committed = self.commit_by(&offsets, deadline);
        self.stop(gone)?;
        committed_or_said(committed, sink)
    }

    fn stop(&mut self, gone: &[TopicPartition]) -> Result<()> {
        self.starts.retain(|(tp, _)| !gone.contains(tp));
        self.inner.unassign(gone)
    }

    /// Begins to read what was assigned. What cannot be begun now is tried again with the next poll.
    fn start(&mut self, sink: &mut dyn RecordSink) -> Result<()> {
        if self.starts.is_empty() {
            return Ok(());
        }
        self.is_reading = true;
        let starts = mem::take(&mut self.starts);
        if self.inner.assign(&starts).is_ok() {
            return Ok(());
        }
        for start in starts {
            let one = Offsets::from([start]);
            match self.inner.assign(&one) {
                Ok(()) => {}
                Err(e) if matches!(e.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut) => {
                    self.starts.extend(one);
                }
                // It was deleted since: the group will see it, too.
                Err(e) if e.kind() == ErrorKind::UnknownTopic => sink.warn(&e.to_string()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Has offsets committed by then; the number of the answer.
    fn order_commit(&mut self, offsets: &Offsets, deadline: Instant) -> u64 {
        let number = self.orders.next_number();
        self.orders.give(Order::Commit(number, offsets.clone(), deadline, self.losses));
        number
    }

    /// The last commit of something. It waits, for half of its time, for one that is still under way, which might
    /// come after it and take it back.
    fn commit_by(&mut self, offsets: &Offsets, deadline: Instant) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        if let Some((number, until)) = self.unanswered.take() {
            let now = Instant::now();
            let half = deadline.saturating_duration_since(now) / 2;
            self.reply(number, until.min(now + half), Wait::Out);
        }
        let number = self.order_commit(offsets, deadline);
        match self.reply(number, deadline, Wait::Out) {
            Some(Reply::Committed(_, outcome)) => outcome,
            _ => Err(late("committing offsets")),
        }
    }

    /// The answer to an order; none if something else ends the wait for it.
    fn reply(&self, number: u64, deadline: Instant, wait: Wait) -> Option<Reply> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let replies = self.app.replies.take(left);
            let none = replies.is_empty();
            if let Some(reply) = replies.into_iter().find(|reply| reply.number() == number) {
                return Some(reply);
            }
            let woken = none && wait == Wait::Woken;
            if woken || Instant::now() >= deadline || self.orders.is_closed() {
                return None;
            }
        }
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Subscriber for Grouped {
    fn waker(&self) -> Waker {
        let (inner, replies) = (self.inner.waker(), self.app.replies.waker());
        Arc::new(move || {
            inner();
            replies();
        })
    }

    fn partitions(&mut self, topics: &Topics) -> Result<Vec<TopicPartition>> {
        self.inner.partitions(topics)
    }

    fn list_offsets(&mut self, places: &[(TopicPartition, At)]) -> Result<Vec<i64>> {
        self.inner.list_offsets(places)
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>> {
        let deadline = Instant::now() + self.request_timeout;
        let number = self.orders.next_number();
        self.orders.give(Order::Committed(number, partitions.to_vec(), deadline));
        match self.reply(number, deadline, Wait::Woken) {
            Some(Reply::Offsets(_, outcome)) => outcome,
            _ => Err(late("asking for committed offsets")),
        }
    }

    fn assign(&mut self, starts: &Offsets) -> Result<()> {
        self.inner.assign(starts)
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.inner.unassign(partitions)
    }

    fn join(&mut self, topics: &Topics, starts: Arc<Starts>) -> Result<()> {
        self.note_poll();
        self.is_following = matches!(topics, Topics::Pattern(_));
        self.orders.give(Order::Join(topics.clone(), starts));
        Ok(())
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn RecordSink) -> Result<Polled> {
        self.note_poll();
        self.waiting.extend(self.app.told.take(Duration::ZERO));
        while let Some(told) = self.waiting.pop_front() {
            self.serve(told, sink)?;
        }
        self.start(sink)?;
        let polled = self.inner.poll(wait.min(self.max_poll_interval / POLLS), sink);
        match polled {
            // One topic of several that was deleted: the others are read on.
            Err(error) if self.is_following && error.kind() == ErrorKind::UnknownTopic => {
                sink.warn(&error.to_string());
                self.orders.give(Order::Look);
                Ok(Polled { records: 0, idle: true })
            }
            Err(error) => {
                // Who polls again after that goes on behind it.
                let next = |(tp, offset): &(TopicPartition, i64)| (tp.clone(), offset.saturating_add(1));
                self.starts.extend(error.record().map(next));
                Err(error)
            }
            polled => polled,
        }
    }

    /// Nobody waits long for the answer: reading goes on meanwhile, and what is read further is committed after it.
    fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        if let Some((number, deadline)) = self.unanswered.take() {
            let now = Instant::now();
            match self.reply(number, now, Wait::Out) {
                Some(Reply::Committed(_, Err(error))) if error.is_refusal() => return Err(error),
                None if now < deadline => {
                    self.unanswered = Some((number, deadline));
                    return Err(unanswered());
                }
                _ => {}
            }
        }
        if offsets.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + self.request_timeout;
        let number = self.order_commit(offsets, deadline);
        match self.reply(number, Instant::now() + COMMIT_WAIT.min(self.request_timeout), Wait::Woken) {
            Some(Reply::Committed(_, outcome)) => outcome,
            _ => {
                self.unanswered = Some((number, deadline));
                Err(unanswered())
            }
        }
    }

    fn close(mut self: Box<Self>, deadline: Instant, sink: &mut dyn RecordSink) -> Result<()> {
        self.orders.give(Order::Leave);
        let mut closed = Ok(());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let is_over = left.is_zero() || self.orders.is_closed();
            self.waiting.extend(self.app.told.take(if is_over { Duration::ZERO } else { left }));
            if is_over && self.waiting.is_empty() {
                break;
            }
            while let Some(told) = self.waiting.pop_front() {
                closed = closed.and(self.serve_last(told, deadline, sink));
            }
        }
        self.end();
        closed
    }
}

impl Drop for Grouped {
    fn drop(&mut self) {
        self.end();
    }
}

fn unanswered() -> Error {
    Error::new(ErrorKind::Later, "committing offsets: not answered yet")
}

fn late(doing: &str) -> Error {
    Error::new(ErrorKind::TimedOut, format!("{doing}: no answer in time")).with_status(Status::Persistent)
}
