//! `kps subscribe`: a subscriber to filters and formats to standard output.

mod bounds;
mod plan;
mod positions;
mod printer;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use self::bounds::{Bounds, resolve};
use self::plan::Plan;
use self::positions::{NO_STOP, Positions};
use self::printer::Printer;
use super::{Context, Exit, library_log};
use crate::backends::{
    self, Error, ErrorKind, Purpose, Starts, SubscribePlan, Subscriber, TopicPartition, Topics,
};
use crate::cli::SubscribeArgs;
use crate::console::{self, Level};
use crate::offset::Bound;
use crate::settings::{KeyId, Settings, shorten};
use crate::stop::Stop;

/// The longest single wait: everything that matters wakes it earlier.
const IDLE: Duration = Duration::from_secs(1);
/// How long leaving the group may take.
const LEAVE: Duration = Duration::from_secs(10);
/// How long partitions may be on their way from one member of a group to another (KIP-429).
const SETTLE: Duration = Duration::from_secs(3);
/// The same where the broker assigns: what one member gives up with its heartbeat, every 5 s unless the broker is set
/// up otherwise, the other gets with its next (KIP-848).
const SETTLE_BY_BROKER: Duration = Duration::from_secs(12);

/// Runs the command.
pub(super) fn run(args: &SubscribeArgs, context: &Context<'_>) -> Result<Exit> {
    let plan = Plan::new(args, context)?;
    let alone = plan.partitions.is_some() || args.is_without_group();
    let purpose = if alone { Purpose::ReadPartitions } else { Purpose::Subscribe };
    let mut chosen = context.choose(purpose)?;
    let grouped = purpose.group(&chosen.settings).is_some();
    if !grouped && plan.offsets.uses_stored() {
        return Err(super::usage("-o stored: only a group has stored offsets, give one with -g"));
    }

    let commits = grouped && !args.no_commit && chosen.settings.bool(KeyId::EnableAutoCommit);
    if grouped {
        announce_found_group(&chosen.settings, commits);
    }

    let mut subscriber =
        context.open_subscriber(&mut chosen, &SubscribePlan { grouped, log: library_log() })?;
    // A group assigns the partitions: there -o only says where to start.
    let alone = || if grouped { None } else { plan.offsets.partitions_alone() };
    let wanted = plan.partitions.clone().or_else(alone);
    let bounds = bounds(subscriber.as_mut(), &plan, wanted.as_deref(), grouped, args.exit)?;
    let bounded = args.exit || plan.offsets.is_bounded();
    let mut positions = Positions::new(bounded);
    for b in &bounds {
        positions.add(b.tp.clone(), b.stop, !grouped);
    }
    let by_broker = chosen.settings.text(KeyId::GroupProtocol) == Some("consumer");
    let printer = Printer::new(positions, plan.filter, plan.format, args.limit, commits)?;
    let mut run = Run {
        printer,
        bounded,
        ends_noted: args.exit.then(Instant::now),
        commits,
        skip_bad: args.skip_bad,
        follow: Follow::new(&plan.topics, wanted.as_deref(), grouped || bounded, &chosen.settings),
        commit_every: chosen.settings.duration(KeyId::AutoCommitInterval),
        committed_at: Instant::now(),
        deadline: plan.timeout.and_then(|t| Instant::now().checked_add(t)),
        idle: plan.idle_timeout,
        settle: if by_broker { SETTLE_BY_BROKER } else { SETTLE },
        keeps_start: commits && chosen.settings.text(KeyId::AutoOffsetReset) == Some("latest"),
        grouped,
    };
    arm(&context.stop, subscriber.as_ref());
    if !run.printer.is_satisfied() {
        start(subscriber.as_mut(), &plan.topics, bounds, grouped, &mut run.printer)?;
    }
    let read = run.read(subscriber.as_mut(), &context.stop);
    let left = run.leave(subscriber);
    read.and(left)?;
    run.printer.print_count();
    run.printer.result()?;
    Ok(match context.stop.signal() {
        Some(signal) => Exit::Signal(signal),
        None if args.fail_if_none && run.printer.count() == 0 => Exit::Failed,
        None => Exit::Done,
    })
}

/// Says which group is joined when a file decides it that nobody named: an application's own records could be taken
/// from it.
fn announce_found_group(settings: &Settings, commits: bool) {
    if !settings.is_found(KeyId::GroupId) {
        return;
    }
    let group = shorten(settings.text(KeyId::GroupId).unwrap_or_default());
    let place = settings.place(KeyId::GroupId).to_string();
    let fields = json!({"group": group, "origin": place, "commits": commits});
    let effect = if commits { "which commits" } else { "which commits nothing" };
    let message = format!("reading as group {group} ({place}), {effect}; --no-group reads without one");
    console::event(Level::Info, "group", fields, message);
}

/// From here on a signal ends the reading well, and the second one at once.
fn arm(stop: &Stop, subscriber: &dyn Subscriber) {
    stop.arm(|| "left at once: what was read and not written is not committed".to_owned());
    let waker = subscriber.waker();
    stop.on_stop(move || waker());
}

/// What is to be read of each partition there is, or of those that are wanted.
fn bounds(
    subscriber: &mut dyn Subscriber,
    plan: &Plan,
    wanted: Option<&[i32]>,
    grouped: bool,
    exit: bool,
) -> backends::Result<Vec<Bounds>> {
    let mut partitions = subscriber.partitions(&plan.topics)?;
    no_such_partition(&partitions, plan.offsets.per_partition.keys())?;
    missing(&partitions, plan.partitions.as_deref().unwrap_or_default())?;
    if let Some(wanted) = wanted {
        partitions.retain(|tp| wanted.contains(&tp.partition));
    }
    if grouped && !exit && plan.offsets.is_default() {
        // The group's own offsets are all there is to it.
        return Ok(Vec::new());
    }
    let default = if grouped { Bound::Stored } else { Bound::Beginning };
    resolve(subscriber, &partitions, &plan.offsets, default, exit)
}

/// An error for a partition that `-o` names and that none of the topics has.
fn no_such_partition<'a>(
    partitions: &[TopicPartition],
    mut named: impl Iterator<Item = &'a i32>,
) -> backends::Result<()> {
    match named.find(|p| !partitions.iter().any(|tp| tp.partition == **p)) {
        Some(p) => missing(partitions, &[*p]),
        None => Ok(()),
    }
}

/// An error for a partition that was asked for and that a topic does not have.
fn missing(partitions: &[TopicPartition], wanted: &[i32]) -> backends::Result<()> {
    let mut topics: Vec<_> = partitions.iter().map(|tp| &tp.topic).collect();
    topics.dedup();
    for topic in topics {
        let has = |p: &i32| partitions.iter().any(|tp| tp.topic == *topic && tp.partition == *p);
        if let Some(p) = wanted.iter().find(|p| !has(p)) {
            let n = partitions.iter().filter(|tp| tp.topic == *topic).count();
            return Err(backends::unknown_partition(topic, *p, n));
        }
    }
    Ok(())
}

/// Starts the reading.
fn start(
    subscriber: &mut dyn Subscriber,
    topics: &Topics,
    bounds: Vec<Bounds>,
    grouped: bool,
    printer: &mut Printer,
) -> backends::Result<()> {
    if grouped {
        let starts: HashMap<_, _> =
            bounds.into_iter().filter_map(|b| b.from.map(|from| (b.tp, from))).collect();
        return subscriber.join(topics, Arc::new(Starts::new(move |tp| starts.get(tp).copied())));
    }
    let mut starts = Vec::new();
    for Bounds { tp, from, stop } in bounds {
        let from = from.unwrap_or(0);
        if from < stop {
            starts.push((tp, from));
        } else {
            printer.positions.at(&tp.topic, tp.partition).advance(stop);
        }
    }
    subscriber.assign(&starts)
}

/// Looks for partitions that turn up while reading without a group.
struct Follow {
    topics: Topics,
    partitions: Option<Vec<i32>>,
    every: Option<Duration>,
    looked: Instant,
}

impl Follow {
    fn new(topics: &Topics, partitions: Option<&[i32]>, never: bool, settings: &Settings) -> Self {
        Self {
            topics: topics.clone(),
            partitions: partitions.map(<[i32]>::to_vec),
            every: (!never).then(|| settings.duration(KeyId::MetadataMaxAge)),
            looked: Instant::now(),
        }
    }

    /// When it is time, reads new partitions from their beginning.
    fn look(&mut self, subscriber: &mut dyn Subscriber, positions: &mut Positions) -> backends::Result<()> {
        if self.every.is_none_or(|every| self.looked.elapsed() < every) {
            return Ok(());
        }
        self.looked = Instant::now();
        match self.look_now(subscriber, positions) {
            // It is asked again; the reading itself tells when no broker is left.
            Err(e) if e.may_pass() => Ok(()),
            looked => looked,
        }
    }

    fn look_now(&self, subscriber: &mut dyn Subscriber, positions: &mut Positions) -> backends::Result<()> {
        let found = subscriber.partitions(&self.topics)?;
        let wanted = |tp: &TopicPartition| self.partitions.as_ref().is_none_or(|p| p.contains(&tp.partition));
        let new: Vec<_> = found.into_iter().filter(|tp| wanted(tp) && !positions.has(tp)).collect();
        let places: Vec<_> = new.iter().map(|tp| (tp.clone(), backends::At::Earliest)).collect();
        let starts: Vec<_> = new.into_iter().zip(subscriber.list_offsets(&places)?).collect();
        subscriber.assign(&starts)?;
        for (tp, _) in &starts {
            positions.add(tp.clone(), NO_STOP, true);
        }
        Ok(())
    }
}

/// The reading.
struct Run {
    printer: Printer,
    /// It ends by itself.
    bounded: bool,
    /// When the ends at which it ends were looked at, with `--exit`.
    ends_noted: Option<Instant>,
    commits: bool,
    skip_bad: bool,
    grouped: bool,
    follow: Follow,
    commit_every: Duration,
    committed_at: Instant,
    deadline: Option<Instant>,
    idle: Option<Duration>,
    /// How long a member that was given nothing waits for partitions.
    settle: Duration,
    /// The start of an assignment is committed at once.
    keeps_start: bool,
}

impl Run {
    /// Reads until something ends it.
    fn read(&mut self, subscriber: &mut dyn Subscriber, stop: &Stop) -> backends::Result<()> {
        self.printer.last_record = Instant::now();
        while stop.signal().is_none() && !self.is_over() {
            let wait = self.wait();
            let polled = match subscriber.poll(wait, &mut self.printer) {
                Ok(polled) => polled,
                Err(e) if self.skip_bad && e.kind() == ErrorKind::BadRecord => {
                    self.step_over(subscriber, e)?;
                    continue;
                }
                Err(e) => {
                    self.printer.flush();
                    return Err(if self.commits { self.printer.positions.named_in(e) } else { e });
                }
            };
            if polled.records > 0 {
                self.printer.last_record = Instant::now();
            }
            if polled.idle {
                self.printer.flush();
                self.printer.look_at_reader();
            }
            if self.commits
                && (self.committed_at.elapsed() >= self.commit_every || self.has_begun(polled.idle))
            {
                self.commit(subscriber)?;
            }
            self.follow.look(subscriber, &mut self.printer.positions)?;
            self.look_at_ends(subscriber);
        }
        Ok(())
    }

    /// A log may have got shorter since its end was noted: it was truncated, or its topic created again. The library alone
    /// does not tell: for a moment a new leader may not know all of its log (KIP-207).
    fn look_at_ends(&mut self, subscriber: &mut dyn Subscriber) {
        if self.ends_noted.is_none_or(|noted| noted.elapsed() < IDLE) {
            return;
        }
        self.ends_noted = Some(Instant::now());
        let resting = self.printer.positions.resting().map(|tp| (tp.clone(), backends::At::Latest));
        let places: Vec<_> = resting.collect();
        if places.is_empty() {
            return;
        }
        // If nobody answers it is asked again; the reading itself tells when no broker is left.
        let Ok(ends) = subscriber.list_offsets(&places) else { return };
        for ((tp, _), end) in places.iter().zip(ends) {
            self.printer.positions.at(&tp.topic, tp.partition).ends_at(end);
        }
    }

    /// True once an assignment is read that may have begun at the end. A member that died before its first commit
    /// would leave no other place to go on from than the end as it is then.
    fn has_begun(&mut self, idle: bool) -> bool {
        let begun =
            self.keeps_start && idle && self.printer.is_fresh && self.printer.positions.are_begun_by_reset();
        self.printer.is_fresh &= !begun;
        begun
    }

    fn is_over(&self) -> bool {
        let now = Instant::now();
        let idle = self.idle.is_some_and(|idle| now >= self.printer.last_record + idle);
        let late = self.deadline.is_some_and(|deadline| now >= deadline);
        self.printer.is_satisfied() || idle || late || self.bounded && self.is_at_end(now)
    }

    /// True when all that was asked for has been read. A member that was given nothing waits a little:
    /// partitions may be on their way from another one (KIP-429).
    fn is_at_end(&self, now: Instant) -> bool {
        if !self.printer.positions.all_done() {
            return false;
        }
        match self.printer.assigned_at {
            _ if !self.grouped => true,
            None => false,
            Some(at) => self.printer.positions.has_assigned() || now >= at + self.settle,
        }
    }

    /// The longest wait that misses no deadline.
    fn wait(&self) -> Duration {
        let now = Instant::now();
        let until = |at: Option<Instant>| at.map_or(IDLE, |at| at.saturating_duration_since(now));
        let idle = self.idle.map(|idle| self.printer.last_record + idle);
        // Every 0 ms means with every poll, which needs no waking.
        let timed = self.commits && !self.commit_every.is_zero();
        let commit = timed.then(|| self.committed_at + self.commit_every);
        let joined = self.printer.assigned_at.map(|at| at + self.settle).filter(|at| *at > now);
        [self.deadline, idle, commit, joined].into_iter().map(until).fold(IDLE, Duration::min)
    }

    /// Commits what was written since the last time. A refusal that will not pass ends the run.
    fn commit(&mut self, subscriber: &mut dyn Subscriber) -> backends::Result<()> {
        self.committed_at = Instant::now();
        let offsets = self.printer.positions.committable(None);
        if offsets.is_empty() {
            return Ok(());
        }
        match subscriber.commit(&offsets) {
            Ok(()) => self.printer.positions.mark_committed(&offsets),
            Err(e) if e.is_refusal() => return Err(e),
            Err(e) if e.kind() == ErrorKind::Later => {}
            Err(e) => console::warn(format!("{e}; trying again")),
        }
        Ok(())
    }

    /// Goes on behind a record that cannot be decoded. A library that tells the first offset of a batch tells it again
    /// for each one in it.
    fn step_over(&mut self, subscriber: &mut dyn Subscriber, e: Error) -> backends::Result<()> {
        let Some((tp, offset)) = e.record() else { return Err(e) };
        let position = self.printer.positions.at(&tp.topic, tp.partition);
        let next = position.behind(*offset);
        position.take(next);
        if next == offset.saturating_add(1) {
            console::warn(format!("skipped: {e}"));
        }
        if self.grouped {
            return Ok(());
        }
        subscriber.unassign(std::slice::from_ref(tp))?;
        subscriber.assign(&vec![(tp.clone(), next)])
    }

    /// Writes, commits and leaves.
    fn leave(&mut self, subscriber: Box<dyn Subscriber>) -> backends::Result<()> {
        self.printer.flush();
        subscriber.close(Instant::now() + LEAVE, &mut self.printer)
    }
}
