//! One run: clients in threads of their own, one clock, a common start.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::clients::{Choice, Clients, RunTopic, open_publishers};
use super::consume::{Consumer, Reads, Received};
use super::document::Sample;
use super::load::Maker;
use super::plan::Plan;
use super::produce::{Amount, Producer, Published};
use super::progress::Progress;
use super::schedule::Schedule;
use super::shared::{Shared, share};
use super::tagged::Verdict;
use super::usage::Usage;
use crate::backends;
use crate::cli::BenchOutput;
use crate::commands::Context;
use crate::console;
use crate::settings::KeyId;
use crate::stop::Stop;

/// How often is looked how far a run is.
const LOOK: Duration = Duration::from_millis(100);
/// Records that a temporary topic is filled with to be read for a time.
const FILL: u64 = 1_000_000;

/// What was measured, before it is a report.
pub(super) struct Measured {
    pub(super) choice: Choice,
    pub(super) topic: String,
    pub(super) temporary: bool,
    pub(super) partitions: Option<usize>,
    /// ms since 1970.
    pub(super) started: i64,
    /// From then to the last outcome, in s.
    pub(super) seconds: f64,
    pub(super) published: Vec<Published>,
    pub(super) received: Vec<Received>,
    /// Records, bytes and seconds of each direction.
    pub(super) sent_totals: Totals,
    pub(super) received_totals: Totals,
    /// When the last record was taken by a client, in s.
    pub(super) last_sent: f64,
    pub(super) verdict: Option<Verdict>,
    pub(super) usage: Usage,
    pub(super) samples: Vec<Sample>,
    pub(super) signal: Option<i32>,
}

/// Of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
}

/// Measures a plan.
///
/// # Errors
/// Usage errors, and what ends a run.
pub(super) fn measure(plan: &Plan, context: &Context<'_>, output: BenchOutput) -> Result<Measured> {
    let mut choice = Choice::new(plan, context)?;
    let topic = RunTopic::open(plan, &mut choice, context)?;
    if !plan.publishes() && topic.temporary.is_some() {
        fill(plan, &topic, &mut choice, context)?;
    }
    let clients = Clients::open(plan, topic, &mut choice, context)?;
    let shared = Shared::new(RandomState::new().hash_one(0), plan.producers);
    arm(&context.stop, &shared, &clients);
    Running::start(plan, clients, &choice, shared, context)?.finish(plan, choice, output, context)
}

/// From here on a signal ends the run well, and the second one at once.
fn arm(stop: &Stop, shared: &Arc<Shared>, clients: &Clients) {
    stop.arm(|| "left at once: nothing is reported".to_owned());
    clients.publishers.iter().for_each(|publisher| shared.on_change(publisher.waker()));
    clients.subscribers.iter().for_each(|(subscriber, _)| shared.on_change(subscriber.waker()));
    let shared = Arc::clone(shared);
    stop.on_stop(move || shared.set_enough());
}

/// Fills a new topic with what is to be read.
fn fill(plan: &Plan, topic: &RunTopic, choice: &mut Choice, context: &Context<'_>) -> Result<()> {
    let records = match plan.amount {
        Amount::Records(records) => records + plan.warmup,
        Amount::For(_) => FILL,
    };
    console::say(format!("filling topic {} with {records} records", topic.name));
    let publishers = open_publishers(plan.producers, &topic.name, choice, context)?;
    let shared = Shared::new(RandomState::new().hash_one(1), plan.producers);
    let plan = Plan { amount: Amount::Records(records), warmup: 0, rate: None, ..plan.clone() };
    let (done, finished) = sync_channel(publishers.len());
    let stop = &context.stop;
    let threads = producers(&plan, publishers, choice, &shared, stop, &done)?;
    shared.start();
    drop(done);
    while finished.recv().is_ok() {}
    let published = join(threads)?;
    match published.iter().find_map(|published| published.failure) {
        None => Ok(()),
        Some(kind) => Err(backends::Error::new(kind, "the topic could not be filled").into()),
    }
}

/// What the threads tell when they end.
enum Ended {
    Producer,
    Consumer,
}

type Threads<T> = Vec<JoinHandle<backends::Result<T>>>;

/// Starts a thread that breaks the run if it fails, and tells its end.
fn spawn<T: Send + 'static>(
    name: &str,
    shared: &Arc<Shared>,
    done: (&SyncSender<Ended>, Ended),
    body: impl FnOnce() -> backends::Result<T> + Send + 'static,
) -> Result<JoinHandle<backends::Result<T>>> {
    let (shared, (done, ended)) = (Arc::clone(shared), (done.0.clone(), done.1));
    let body = move || {
        let result = body();
        if result.is_err() {
            shared.set_broken();
        }
        // Whoever no longer listens has failed, too.
        let _ = done.send(ended);
        result
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(body).context("starting a thread")
}

fn producers(
    plan: &Plan,
    publishers: Vec<Box<dyn backends::Publisher>>,
    choice: &Choice,
    shared: &Arc<Shared>,
    stop: &Stop,
    done: &SyncSender<Ended>,
) -> Result<Threads<Published>> {
    let of = plan.producers;
    let mut threads = Vec::new();
    for (number, publisher) in (0..of).zip(publishers) {
        let producer = Producer {
            publisher,
            maker: Maker::new(Arc::clone(&plan.shape), shared.run, number),
            number,
            schedule: plan.rate.map(|rate| Schedule::new(rate, number, of)),
            warmup: share(plan.warmup, number, of),
            amount: match plan.amount {
                Amount::Records(records) => Amount::Records(share(records, number, of)),
                time @ Amount::For(_) => time,
            },
            timeout: choice.publish.settings.duration(KeyId::DeliveryTimeout),
            shared: Arc::clone(shared),
            stop: stop.clone(),
        };
        threads.push(spawn("producer", shared, (done, Ended::Producer), move || producer.run())?);
    }
    Ok(threads)
}

fn consumers(
    plan: &Plan,
    subscribers: Vec<(Box<dyn backends::Subscriber>, backends::Offsets)>,
    shared: &Arc<Shared>,
    done: &SyncSender<Ended>,
) -> Result<Threads<Received>> {
    let of = u16::try_from(subscribers.len()).unwrap_or(u16::MAX);
    let mut threads = Vec::new();
    for (number, (subscriber, starts)) in (0..of).zip(subscribers) {
        let reads = match (plan.publishes(), plan.amount) {
            (true, _) => Reads::ThisRun { warmup: plan.warmup, producers: plan.producers },
            (false, amount) => {
                let (records, time) = match amount {
                    Amount::Records(records) => (records, None),
                    Amount::For(time) => (u64::MAX, Some(time)),
                };
                Reads::Anything { records, warmup: share(plan.warmup, number, of), time }
            }
        };
        let consumer = Consumer { subscriber, starts, reads, shared: Arc::clone(shared) };
        threads.push(spawn("consumer", shared, (done, Ended::Consumer), move || consumer.run())?);
    }
    Ok(threads)
}

/// What all threads came to; the first error wins.
fn join<T>(threads: Threads<T>) -> Result<Vec<T>> {
    let ends: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
    let mut results = Vec::new();
    for end in ends {
        results.push(end.map_err(|_| anyhow!("a thread of the run panicked"))??);
    }
    Ok(results)
}

/// A run under way.
struct Running {
    shared: Arc<Shared>,
    finished: Receiver<Ended>,
    producers: Threads<Published>,
    consumers: Threads<Received>,
    topic: RunTopic,
    partitions: Option<usize>,
}

impl Running {
    fn start(
        plan: &Plan,
        clients: Clients,
        choice: &Choice,
        shared: Arc<Shared>,
        context: &Context<'_>,
    ) -> Result<Self> {
        let Clients { publishers, subscribers, partitions, topic } = clients;
        let (done, finished) = sync_channel(publishers.len() + subscribers.len());
        // Consumers first: the first record is not to wait for them.
        let consumers = consumers(plan, subscribers, &shared, &done)?;
        let producers = producers(plan, publishers, choice, &shared, &context.stop, &done)?;
        Ok(Self { shared, finished, producers, consumers, topic, partitions })
    }

    /// Measures, and gathers what was measured.
    fn finish(
        self,
        plan: &Plan,
        choice: Choice,
        output: BenchOutput,
        context: &Context<'_>,
    ) -> Result<Measured> {
        let Self { shared, finished, producers, consumers, topic, partitions } = self;
        let mut progress = Progress::new(choice.library(plan), plan.amount, output);
        let mut started = chrono::Utc::now().timestamp_millis();
        let (mut start, mut before) = (0, Usage::now());
        if shared.await_ready(producers.len() + consumers.len()) && wait_until(plan.start_at, &context.stop) {
            before = Usage::now();
            started = chrono::Utc::now().timestamp_millis();
            start = shared.start();
        } else {
            shared.set_enough();
        }
        follow(&shared, &finished, producers.len(), start, &mut progress);
        let usage = Usage::now().since(before);
        // All have ended: the first that failed tells why.
        let (published, received) = (join(producers), join(consumers));
        let (published, received) = (published?, received?);
        let seconds = |at: u64| Duration::from_nanos(at.saturating_sub(start)).as_secs_f64();
        let began = received.iter().map(|received| received.began).max().unwrap_or(0).max(start);
        let sent_totals = totals(&shared.published, start);
        let received_totals = totals(&shared.received, began);
        let end = seconds(shared.published.latest().max(shared.received.latest()));
        let last = Sample { seconds: end, published: sent_totals.records, received: received_totals.records };
        let last_sent = published.iter().map(|published| published.last_sent).max().unwrap_or(0);
        let verdict = (plan.publishes() && plan.subscribes()).then(|| shared.checker().verdict());
        Ok(Measured {
            choice,
            topic: topic.name,
            temporary: topic.temporary.is_some(),
            partitions,
            started,
            seconds: end,
            published,
            received,
            sent_totals,
            received_totals,
            last_sent: seconds(last_sent),
            verdict,
            usage,
            samples: progress.finish(last),
            signal: context.stop.signal(),
        })
    }
}

fn totals(counts: &super::shared::Counts, start: u64) -> Totals {
    let seconds = Duration::from_nanos(counts.latest().saturating_sub(start)).as_secs_f64();
    Totals { records: counts.records(), bytes: counts.bytes(), seconds }
}

/// Follows a run to its end.
fn follow(
    shared: &Shared,
    finished: &Receiver<Ended>,
    producers: usize,
    start: u64,
    progress: &mut Progress,
) {
    let mut sending = producers;
    if sending == 0 {
        shared.set_all_sent();
    }
    loop {
        match finished.recv_timeout(LOOK) {
            Ok(Ended::Producer) => {
                sending -= 1;
                if sending == 0 {
                    shared.set_all_sent();
                }
            }
            Ok(Ended::Consumer) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = Duration::from_nanos(shared.clock.now().saturating_sub(start)).as_secs_f64();
                let (published, received) = (shared.published.records(), shared.received.records());
                let sample = Sample { seconds, published, received };
                progress.at(sample, shared.published.bytes(), shared.take_interval());
            }
        }
    }
}

/// Waits for a point in time, ms since 1970; false if a signal comes first.
fn wait_until(at: Option<i64>, stop: &Stop) -> bool {
    let Some(at) = at else { return true };
    loop {
        let left = at - chrono::Utc::now().timestamp_millis();
        if left <= 0 || stop.signal().is_some() {
            return stop.signal().is_none();
        }
        // An hour at most, since the clock may be set.
        let left = left.min(3_600_000);
        let wait = Timespec { tv_sec: left / 1000, tv_nsec: left % 1000 * 1_000_000 };
        let _ = poll(&mut [PollFd::new(&stop.fd(), PollFlags::IN)], Some(&wait));
    }
}
