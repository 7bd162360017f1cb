//! Publishing through librdkafka.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::contact::{Contact, News};
use super::native::{
    Client, Code, Event, Kept, Outbox, QUEUE_FULL, Queue, Report, Role, TIMESTAMP_ZERO, Topic,
};
use super::revival::Revival;
use super::split::Split;
use super::{Health, TOPIC_WAIT, config, connect, errors, partitions_of, serve};
use crate::backends::{
    Error, ErrorKind, Fate, Log, PublishPlan, Publisher, ReportSink, Result, Waker,
    too_large as larger_than_allowed, unknown_partition, unknown_topic,
};
use crate::record::{Batch, RecordRef, TopicPartition};
use crate::settings::{KeyId, Settings, Side};

/// The broker's MESSAGE_TOO_LARGE, and librdkafka's for a record that is too large by itself.
const TOO_LARGE: Code = Code(10);
/// The longest time spent inside a flush before reports are served again.
const FLUSH_SLICE: Duration = Duration::from_millis(5);
/// How long records may take to be given back after the deadline.
const PURGE_WAIT: Duration = Duration::from_secs(5);

/// How soon the brokers are asked again before the first answer, at first and at most.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(500));
/// How long such a question may take.
const ASK_WAIT: Duration = Duration::from_millis(5);

/// The time before the first answer to an idempotent producer.
///
/// librdkafka asks for a producer id when metadata comes in, and else every 500 ms; if the broker it
/// would ask is just being connected to then, a single record takes half a second. Metadata asked
/// for again makes it look again.
#[derive(Debug)]
struct FirstAnswer {
    due: Instant,
    pause: Duration,
}

impl FirstAnswer {
    fn new() -> Self {
        Self { due: Instant::now() + ASK_AGAIN.0, pause: ASK_AGAIN.0 }
    }

    /// True when it is time to ask; then the next time is later.
    fn is_due(&mut self) -> bool {
        let due = Instant::now() >= self.due;
        if due {
            self.pause = (self.pause * 2).min(ASK_AGAIN.1);
            self.due = Instant::now() + self.pause;
        }
        due
    }
}

/// What librdkafka is told to wait for more records when we decide ourselves (see [`Linger`]).
const LONG_LINGER: Duration = Duration::from_secs(60);
/// How long a flush lasts that only makes librdkafka send what it has.
const NUDGE: Duration = Duration::from_millis(1);
/// With a full queue full batches go out by themselves: only a standstill is a reason to nudge.
const STANDSTILL: Duration = Duration::from_millis(25);
/// The longest time that a partition whose batches do not fill waits while others' do.
const STREAMING: Duration = Duration::from_millis(100);
/// A nudge that brings nothing is repeated later each time, up to 2 to the power of this times later.
const NUDGE_BACKOFF: u32 = 5;

/// When to make librdkafka send what it holds back.
///
/// With idempotence librdkafka (2.12) has one request of a partition in flight, counts it wrongly
/// (`rktp_msgs_inflight` are messages, `RD_KAFKA_IDEMP_MAX_INFLIGHT` requests) and, once records
/// have waited for linger.ms behind it, asks its sockets again and again without waiting: twice the
/// CPU time of a whole run. With a long linger it sends full batches at once and sleeps otherwise;
/// batches that are not full are sent by a nudge from here when nothing came for linger.ms.
#[derive(Debug)]
struct Linger {
    /// None: librdkafka's own linger is in force.
    quiet: Option<Duration>,
    /// Records that make a batch full.
    batch: usize,
    /// When the first record came since the last nudge, and when the last.
    since: Instant,
    last: Instant,
    /// Records since the last nudge.
    taken: usize,
    nudges: u32,
    /// The queue did not take all that was offered last.
    full: bool,
}

impl Linger {
    fn new(settings: &Settings) -> Self {
        let linger = settings.duration(KeyId::Linger);
        let ours = settings.bool(KeyId::EnableIdempotence) && !linger.is_zero() && linger < LONG_LINGER;
        let batch = usize::try_from(settings.int(KeyId::BatchNumMessages)).unwrap_or(usize::MAX);
        let now = Instant::now();
        Self { quiet: ours.then_some(linger), batch, since: now, last: now, taken: 0, nudges: 0, full: false }
    }

    /// What librdkafka is to be told, if it is not the user's value.
    fn of_library(&self, delivery: Duration) -> Option<Duration> {
        self.quiet.map(|quiet| LONG_LINGER.min(delivery / 2).max(quiet))
    }

    /// Books an offer of which so many records were taken.
    fn offered(&mut self, n: usize, taken: usize) {
        self.full = taken < n;
        if taken > 0 {
            self.last = Instant::now();
            if self.taken == 0 {
                self.since = self.last;
            }
            self.taken += taken;
            self.nudges = 0;
        }
    }

    /// When a nudge is due, as long as anything is in flight.
    fn due(&self) -> Option<Instant> {
        let quiet = self.quiet?;
        Some(if self.taken == 0 {
            // Nothing new: what the last nudge was for may need another one.
            self.last + quiet * (1 << self.nudges)
        } else if self.taken < self.batch {
            self.since + quiet
        } else {
            // Full batches go out by themselves; what remains goes with the next pause.
            let pause = if self.full { quiet.max(STANDSTILL) } else { quiet };
            (self.last + pause).min(self.since + quiet.max(STREAMING))
        })
    }

    fn nudged(&mut self) {
        self.last = Instant::now();
        self.taken = 0;
        self.nudges = (self.nudges + 1).min(NUDGE_BACKOFF);
    }
}

/// The one transaction of a run with `transactional.id`: its records count as delivered when it is
/// committed, which it is only if all were acknowledged.
#[derive(Debug, Default)]
struct Transaction {
    records: u64,
    payload: u64,
    failed: bool,
}

fn transaction_error(what: &str, (code, reason): (Code, String)) -> Error {
    Error::new(errors::kind(code), format!("{what}: {}", super::plain_reason(&reason)))
}

/// What goes from one round of telling to the next.
#[derive(Debug, Default)]
struct Carried {
    split: Split,
    transaction: Option<Transaction>,
}

#[derive(Debug)]
struct RdkafkaPublisher {
    carried: Carried,
    contact: Contact,
    revival: Revival,
    bootstrap: Vec<String>,
    first_answer: Option<FirstAnswer>,
    outbox: Outbox,
    queue: Arc<Queue>,
    client: Client,
    linger: Linger,
    health: Health,
    log: Log,
    topic: Arc<str>,
    receipts: bool,
    max_request: i64,
}

/// Connects and checks that the topic (and the partition, if one is given) is there.
///
/// # Errors
/// `Unsupported` for a setting librdkafka refuses; `Unreachable`, `Authentication`, `UnknownTopic`.
pub(crate) fn open_publisher(settings: &Settings, plan: &PublishPlan) -> Result<Box<dyn Publisher>> {
    let mut conf = config::native(settings, Side::Producer);
    let linger = Linger::new(settings);
    if let Some(long) = linger.of_library(settings.duration(KeyId::DeliveryTimeout)) {
        config::set_default(&mut conf, settings, KeyId::Linger, long.as_millis().to_string());
    }
    let client = Client::new(Role::Producer, &conf).map_err(|r| config::refused(settings, r))?;
    let queue = Arc::new(client.main_queue());
    let topic = match &plan.topic {
        Some(name) => Some(open_topic(&client, &queue, name, settings, plan)?),
        None => connect(&client, &queue, None, settings, &plan.log).map(|_| None)?,
    };
    let transaction = settings.text(KeyId::TransactionalId).map(|_| Transaction::default());
    if transaction.is_some() {
        let wait = settings.duration(KeyId::RequestTimeout);
        client.begin_transaction(wait).map_err(|e| transaction_error("beginning the transaction", e))?;
    }
    let first_answer = settings.bool(KeyId::EnableIdempotence).then(FirstAnswer::new);
    Ok(Box::new(RdkafkaPublisher {
        carried: Carried { split: Split::default(), transaction },
        contact: Contact::default(),
        revival: Revival::default(),
        bootstrap: settings.bootstrap(),
        first_answer,
        outbox: Outbox::new(client.clone(), topic),
        queue,
        client,
        linger,
        health: Health::default(),
        log: plan.log.clone(),
        topic: plan.topic.as_deref().unwrap_or_default().into(),
        receipts: plan.receipts,
        max_request: settings.int(KeyId::MaxRequestSize),
    }))
}

fn open_topic(
    client: &Client,
    queue: &Queue,
    name: &str,
    settings: &Settings,
    plan: &PublishPlan,
) -> Result<Topic> {
    let topic = client.topic(name).map_err(|code| errors::error(code, format!("topic {name:?}")))?;
    let wait = if settings.bool(KeyId::AutoCreateTopics) { TOPIC_WAIT } else { Duration::ZERO };
    let partitions = partitions_of(client, queue, (name, &topic), wait, settings, &plan.log)?;
    match plan.partition {
        Some(p) if !partitions.contains(&p) => Err(unknown_partition(name, p, partitions.len())),
        _ => Ok(topic),
    }
}

impl RdkafkaPublisher {
    fn told<'a>(&mut self, sink: &'a mut dyn ReportSink) -> Teller<'a> {
        let (receipts, max_request) = (self.receipts, self.max_request);
        let carried = std::mem::take(&mut self.carried);
        let topic = Arc::clone(&self.topic);
        let since = self.contact.lost.map(|(_, since)| since);
        Teller { sink, carried, topic, receipts, max_request, since, delivered: 0, payload: 0 }
    }

    /// Asks the brokers again if the first answer is overdue; returns how long may be waited until
    /// the next time.
    fn ask_before(&mut self, wait: Duration) -> Duration {
        let Some(first) = self.first_answer.as_mut().filter(|_| self.outbox.in_flight() > 0) else {
            return wait;
        };
        if first.is_due() {
            // Only what it sets off matters.
            let _ = self.client.metadata(self.outbox.topic(), ASK_WAIT);
        }
        wait.min(first.due.saturating_duration_since(Instant::now()))
    }

    /// Nudges librdkafka if it is time; returns how long may be waited until the next time.
    fn nudge_before(&mut self, wait: Duration) -> Duration {
        let Some(due) = self.linger.due().filter(|_| self.outbox.in_flight() > 0) else { return wait };
        if due > Instant::now() {
            return wait.min(due.saturating_duration_since(Instant::now()));
        }
        self.client.flush(NUDGE);
        self.linger.nudged();
        self.linger.due().map_or(wait, |due| wait.min(due.saturating_duration_since(Instant::now())))
    }

    /// Serves one event, waiting up to `wait` for it; false when there was none.
    fn serve_one(&mut self, wait: Duration, tell: &mut dyn FnMut(&Report<'_>)) -> bool {
        let event = self.queue.poll(wait);
        if matches!(event, Event::None) {
            return false;
        }
        if let Some(Event::Delivered(event)) = serve(event, &mut self.health, &self.log) {
            self.first_answer = None;
            self.outbox.reports(&event, tell);
        }
        true
    }

    /// Ends the transaction, if there is one, and tells its records.
    fn end_transaction(&mut self, deadline: Instant, sink: &mut dyn ReportSink) -> Result<()> {
        let Some(Transaction { records, payload, failed }) = self.carried.transaction.take() else {
            return Ok(());
        };
        let wait = deadline.saturating_duration_since(Instant::now()).max(PURGE_WAIT);
        let commit = !failed;
        let ended = self.client.end_transaction(commit, wait);
        if commit && ended.is_ok() {
            sink.delivered(records, payload);
            return Ok(());
        }
        let why = match ended {
            Ok(()) => "not all records were acknowledged".to_owned(),
            Err((_, reason)) => reason,
        };
        sink.aborted(records);
        Err(Error::new(
            ErrorKind::NotCommitted,
            format!(
                "the transaction was not committed, none of its {records} acknowledged records count: {why}"
            ),
        ))
    }

    /// Records without an outcome.
    fn owed(&self) -> usize {
        self.outbox.in_flight() + self.carried.split.len()
    }

    /// Sends again, in smaller groups, what was refused for the size of its batch.
    fn resend(&mut self, tell: &mut Teller<'_>) {
        if self.outbox.in_flight() > 0 || !tell.carried.split.is_busy() {
            return;
        }
        if let Some((batch, index)) = tell.carried.split.settle() {
            tell.tell_undelivered(&Report::of(&batch, index, TOO_LARGE));
        }
        let Some(group) = tell.carried.split.next_group() else { return };
        for (batch, index) in group {
            self.outbox.produce(&batch, index..index + 1);
        }
        // As one batch, now.
        self.client.flush(NUDGE);
    }

    fn fatal(&self) -> Result<()> {
        match &self.health.fatal {
            None => Ok(()),
            Some((code, reason)) => {
                Err(Error::new(errors::kind(*code), format!("librdkafka gave up: {reason}")))
            }
        }
    }
}

impl Publisher for RdkafkaPublisher {
    fn waker(&self) -> Waker {
        let queue = Arc::clone(&self.queue);
        Arc::new(move || queue.wake())
    }

    fn send(&mut self, batch: &Arc<Batch>, records: Range<usize>) -> Result<usize> {
        if self.carried.split.is_busy() {
            return Ok(0);
        }
        let n = records.len();
        let taken = self.outbox.produce(batch, records);
        self.linger.offered(n, taken);
        Ok(taken)
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn ReportSink) -> Result<usize> {
        let wait = self.nudge_before(wait);
        let wait = self.ask_before(wait);
        let mut tell = self.told(sink);
        self.outbox.rejections(|report| tell.tell(report));
        let mut more = self.serve_one(wait, &mut |report| tell.tell(report));
        while more {
            more = self.serve_one(Duration::ZERO, &mut |report| tell.tell(report));
        }
        self.resend(&mut tell);
        let answered = tell.delivered > 0;
        // What was buffered in an outage is told before what has become of it.
        for news in self.contact.news(&mut self.health, answered) {
            match news {
                News::Notice(notice) => tell.sink.notice(&notice),
                News::Warning(text) => tell.sink.warn(&text),
            }
        }
        self.carried = tell.finish();
        if self.revival.is_due(self.contact.lost.is_some(), Instant::now()) {
            self.client.add_brokers(&self.bootstrap);
        }
        self.fatal()?;
        Ok(self.owed())
    }

    fn flush(&mut self) {
        self.client.flush(FLUSH_SLICE);
    }

    fn close(mut self: Box<Self>, deadline: &dyn Fn() -> Instant, sink: &mut dyn ReportSink) -> Result<()> {
        let mut ended = Ok(0);
        while self.owed() > 0 && ended.is_ok() && Instant::now() < deadline() {
            self.client.flush(FLUSH_SLICE);
            ended = self.poll(Duration::ZERO, sink);
        }
        if self.owed() > 0 {
            self.client.purge();
            let limit = Instant::now() + PURGE_WAIT;
            let (mut tell, mut left) = (self.told(sink), Vec::new());
            while self.outbox.in_flight() > 0 && Instant::now() < limit {
                self.serve_one(Duration::from_millis(100), &mut |report| left.push(report.keep()));
            }
            // It gives back what is in its queue before what is in flight.
            left.sort_unstable_by_key(Kept::place);
            left.iter().for_each(|left| tell.tell(&left.report()));
            for (batch, index) in tell.carried.split.give_up() {
                tell.tell_undelivered(&Report::of(&batch, index, TOO_LARGE));
            }
            self.carried = tell.finish();
        }
        let transaction = self.end_transaction(deadline(), sink);
        ended.and(transaction)
    }
}

/// Translates reports for the sink; successes are added up and told once a call.
struct Teller<'a> {
    sink: &'a mut dyn ReportSink,
    carried: Carried,
    topic: Arc<str>,
    receipts: bool,
    max_request: i64,
    /// Since when no broker is there.
    since: Option<SystemTime>,
    delivered: u64,
    payload: u64,
}

impl Teller<'_> {
    fn tell(&mut self, report: &Report<'_>) {
        if report.code != Code::NONE {
            return self.tell_failure(report);
        }
        self.delivered += 1;
        self.payload += report.payload_len() as u64;
        if self.receipts {
            report.with_record(&self.topic, |r| self.sink.placed(r));
        }
    }

    fn tell_failure(&mut self, report: &Report<'_>) {
        // A transaction cannot go on after a refusal.
        if report.code == TOO_LARGE && report.partition >= 0 && self.carried.transaction.is_none() {
            return self.carried.split.refuse(report.batch, report.index);
        }
        self.tell_undelivered(report);
    }

    fn tell_undelivered(&mut self, report: &Report<'_>) {
        if let Some(transaction) = &mut self.carried.transaction {
            transaction.failed = true;
        }
        let line = report.batch.spans()[report.index].line;
        let fate = if report.possibly_written { Fate::Unknown } else { Fate::Failed };
        report.with_record(&self.topic, |r| {
            let place = || TopicPartition { topic: r.topic.into(), partition: r.partition }.to_string();
            let error = match errors::kind(report.code) {
                _ if report.code == TIMESTAMP_ZERO => Error::new(
                    ErrorKind::Unsupported,
                    "timestamp 0 cannot be sent by rdkafka: use --library rskafka",
                ),
                _ if report.code == QUEUE_FULL => Error::new(
                    ErrorKind::TooLarge,
                    format!("record of {} bytes is larger than buffer.memory", r.payload_len()),
                ),
                ErrorKind::TooLarge => too_large(r.payload_len(), self.max_request),
                ErrorKind::UnknownTopic if r.partition >= 0 => {
                    Error::new(ErrorKind::UnknownTopic, format!("no partition {}", place()))
                }
                ErrorKind::UnknownTopic => unknown_topic(r.topic),
                _ if r.partition >= 0 => errors::error(report.code, place()),
                _ => errors::error(report.code, format!("topic {}", r.topic)),
            };
            // librdkafka does not tell how often it tried: a refusal, or a doubt, is a try at least.
            let tried = report.possibly_written || report.code.0 > 0;
            let error = error.with_attempts(tried.into(), self.since);
            // librdkafka has a number of its own for an offset that there is not.
            let r = &RecordRef { offset: -1, ..*r };
            self.sink.undelivered(r, line, report.batch.source(), fate, &error);
        });
    }

    /// Tells what was added up, or adds it to the transaction.
    fn finish(mut self) -> Carried {
        match &mut self.carried.transaction {
            Some(transaction) => {
                transaction.records += self.delivered;
                transaction.payload += self.payload;
            }
            None if self.delivered > 0 => self.sink.delivered(self.delivered, self.payload),
            None => {}
        }
        self.carried
    }
}

fn too_large(bytes: usize, max_request: i64) -> Error {
    if bytes as i64 > max_request {
        return larger_than_allowed(bytes, max_request);
    }
    let text = format!("record of {bytes} bytes is larger than the topic's max.message.bytes");
    Error::new(ErrorKind::TooLarge, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linger(ms: &str) -> Linger {
        Linger::new(&Settings::for_tests(Side::Producer, &[("linger.ms", ms), ("batch.num.messages", "100")]))
    }

    #[test]
    fn a_steady_trickle_is_sent_after_the_linger_of_its_first_record() {
        let mut linger = linger("5");
        linger.offered(1, 1);
        let since = linger.since;
        linger.offered(1, 1);
        assert_eq!(linger.due(), Some(since + Duration::from_millis(5)));
    }

    #[test]
    fn a_stream_of_full_batches_is_left_to_the_library() {
        let mut linger = linger("5");
        linger.offered(1000, 400);
        assert_eq!(linger.due(), Some(linger.last + STANDSTILL));
        assert!(linger.due() <= Some(linger.since + STREAMING));
    }

    #[test]
    fn nudges_that_bring_nothing_become_rarer() {
        let mut linger = linger("5");
        linger.offered(1, 1);
        linger.nudged();
        assert_eq!(linger.due(), Some(linger.last + Duration::from_millis(10)));
        (0..20).for_each(|_| linger.nudged());
        assert_eq!(linger.due(), Some(linger.last + Duration::from_millis(160)));
    }

    #[test]
    fn without_linger_or_idempotence_the_library_decides() {
        assert!(linger("0").due().is_none());
        let settings = Settings::for_tests(Side::Producer, &[("enable.idempotence", "false")]);
        assert!(Linger::new(&settings).due().is_none());
    }
}
