//! Subscribing through librdkafka: partitions of one's own choice through its simple consumer, group
//! members through its balanced one. Either way records come over one queue, many a call.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use super::contact::News;
use super::group::{Following, Group};
use super::look::{Found, Look};
use super::native::{Client, Code, Event, Fetched, Pushed, Queue, Role, Topic};
use super::outage::Outage;
use super::positions::{Positions, Slot};
use super::{UNKNOWN_TOPIC_OR_PART, config, connect, errors, partitions_of, serve};
use crate::backends::{
    At, Error, ErrorKind, Log, Offsets, Polled, RecordSink, Result, Starts, Status, SubscribePlan,
    Subscriber, TopicPartition, Topics, Waker, pattern_takes, unknown_topic,
};
use crate::settings::{KeyId, Settings, Side};

/// How long a topic that was created a moment ago may take to be known everywhere.
const TOPIC_WAIT: Duration = Duration::from_secs(1);
/// How long a topic that was there may be unknown: it may be created again, and be known to few brokers yet.
const GONE_WAIT: Duration = Duration::from_secs(5);
/// How long the last probe may take before a reader is told that no broker is left.
const PROBE_WAIT: Duration = Duration::from_secs(5);

/// How long until a question that may be answered later is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How often brokers are asked whether they are there, and how long for an answer.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ASK_WAIT: Duration = Duration::from_millis(300);
/// How often it is seen to that something comes of each partition.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Levels of its log, as syslog numbers them.
const LOG_ERROR: i32 = 3;
const WARNING: i32 = 4;

const MAX_POLL_EXCEEDED: Code = Code(-147);
const STALLED: &str =
    "output was blocked longer than max.poll.interval.ms: the group was left until reading goes on";

#[derive(Debug)]
pub(super) struct RdkafkaSubscriber {
    pub(super) fetched: Fetched,
    topics: HashMap<Arc<str>, Topic>,
    events: Queue,
    pub(super) data: Arc<Queue>,
    pub(super) client: Client,
    pub(super) group: Option<Group>,
    pub(super) positions: Positions,
    outage: Outage,
    stall: Stall,
    look: Option<Look>,
    looked: Instant,
    /// Records a poll may push (`max.poll.records`).
    most: usize,
    /// To be told with the first poll.
    warnings: Vec<String>,
    pub(super) settings: Settings,
    log: Log,
}

/// Polls that come too late for a group. Who notices first differs, librdkafka (which looks twice a second) or the
/// coordinator, for which the time of a rebalance is up; librdkafka says nothing of the latter.
#[derive(Debug)]
struct Stall {
    polled: Instant,
    max_poll_interval: Duration,
}

impl Stall {
    /// Between two polls was more time than a group allows.
    fn is_over(&self) -> bool {
        self.polled.elapsed() > self.max_poll_interval
    }
}

/// A client that can read.
///
/// # Errors
/// `Unsupported` for a setting librdkafka refuses.
pub(crate) fn open_subscriber(settings: &Settings, plan: &SubscribePlan) -> Result<Box<dyn Subscriber>> {
    let mut conf = config::native(settings, Side::Consumer);
    if !plan.grouped {
        conf.retain(|(name, _)| name != "group.id" && name != "group.instance.id");
        if !settings.is_set(KeyId::AutoOffsetReset) {
            // What is deleted while it waits to be read costs no record that is left.
            conf.push(("auto.offset.reset".to_owned(), "earliest".to_owned()));
        }
    }
    let client = Client::new(Role::Consumer, &conf).map_err(|r| config::refused(settings, r))?;
    let data = Arc::new(client.new_queue());
    let events = if plan.grouped { client.consumer_queue() } else { None };
    let events = events.unwrap_or_else(|| client.main_queue());
    events.wakes(&data);
    Ok(Box::new(RdkafkaSubscriber {
        fetched: Fetched::new(),
        topics: HashMap::new(),
        events,
        data,
        client,
        group: None,
        positions: Positions::default(),
        outage: Outage::none(),
        look: None,
        looked: Instant::now(),
        stall: Stall { polled: Instant::now(), max_poll_interval: settings.duration(KeyId::MaxPollInterval) },
        most: usize::try_from(settings.int(KeyId::MaxPollRecords)).unwrap_or(usize::MAX),
        warnings: if plan.grouped { config::ignored_commits(settings) } else { Vec::new() },
        settings: settings.clone(),
        log: plan.log.clone(),
    }))
}

impl RdkafkaSubscriber {
    fn topic(&mut self, name: &str) -> Result<&Topic> {
        if !self.topics.contains_key(name) {
            let topic =
                self.client.topic(name).map_err(|code| errors::error(code, format!("topic {name:?}")))?;
            self.topics.insert(name.into(), topic);
        }
        self.topics.get(name).ok_or_else(|| unknown_topic(name))
    }

    fn request_timeout(&self) -> Duration {
        self.settings.duration(KeyId::RequestTimeout)
    }

    fn named(&mut self, names: &[String]) -> Result<Vec<TopicPartition>> {
        let mut all = Vec::new();
        for name in names {
            self.topic(name)?;
            let Some(topic) = self.topics.get(name.as_str()) else { continue };
            let ids = partitions_of(
                &self.client,
                &self.events,
                (name, topic),
                TOPIC_WAIT,
                &self.settings,
                &self.log,
            )?;
            let topic: Arc<str> = name.as_str().into();
            all.extend(
                ids.into_iter().map(|partition| TopicPartition { topic: Arc::clone(&topic), partition }),
            );
        }
        Ok(all)
    }

    fn matching(&mut self, pattern: &regex::Regex) -> Result<Vec<TopicPartition>> {
        let topics = connect(&self.client, &self.events, None, &self.settings, &self.log)?.topics;
        let mut all = Vec::new();
        for t in topics.into_iter().filter(|t| pattern_takes(pattern, &t.name)) {
            let topic: Arc<str> = t.name.into();
            all.extend(
                t.partitions.iter().map(|p| TopicPartition { topic: Arc::clone(&topic), partition: p.id }),
            );
        }
        Ok(all)
    }

    /// Asks once for the offsets of these places.
    pub(super) fn ask_offsets(&self, places: &[(TopicPartition, At)], wait: Duration) -> Result<Vec<Offset>> {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (tp, at) in places {
            let at = match at {
                At::Earliest => Offset::Beginning,
                At::Latest => Offset::End,
                At::Timestamp(ms) => Offset::Offset((*ms).max(0)),
            };
            add(&mut list, tp, at)?;
        }
        if !places.is_empty() {
            self.client
                .offsets_for_times(&list, wait)
                .map_err(|code| errors::error(code, "listing offsets"))?;
        }
        let offset = |(tp, found): (&TopicPartition, &TopicPartitionListElem<'_>)| {
            found.error().map_err(|e| offset_error(tp, &e))?;
            Ok(found.offset())
        };
        places.iter().map(|(tp, _)| tp).zip(&list.elements()).map(offset).collect()
    }

    /// The committed offsets.
    pub(super) fn committed_within(
        &self,
        partitions: &[TopicPartition],
        wait: Duration,
    ) -> Result<Vec<Option<i64>>> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for tp in partitions {
            add(&mut list, tp, Offset::Invalid)?;
        }
        self.client
            .committed(&list, wait)
            .map_err(|code| errors::error(code, "asking for committed offsets"))?;
        let offset = |(tp, found): (&TopicPartition, &TopicPartitionListElem<'_>)| {
            found.error().map_err(|e| offset_error(tp, &e))?;
            Ok(if let Offset::Offset(n) = found.offset() { Some(n) } else { None })
        };
        partitions.iter().zip(&list.elements()).map(offset).collect()
    }

    /// Serves what the client tells beside records.
    fn serve_events(&mut self, sink: &mut dyn RecordSink) -> Result<()> {
        loop {
            match self.events.poll(Duration::ZERO) {
                Event::None => return self.check_health(sink),
                Event::Log { level, line } if level <= WARNING => match was_reset(&line) {
                    Some(told) => sink.warn(&told),
                    None => {
                        self.log.line(level, &line);
                        self.outage.health.note_log(&line);
                        self.outage.unreadable(&line, sink);
                    }
                },
                Event::Error { code: MAX_POLL_EXCEEDED, .. } => {}
                Event::Error { code: UNKNOWN_TOPIC_OR_PART, reason, .. } => {
                    let told = reason.strip_prefix("Subscribed topic not available: ").unwrap_or(&reason);
                    self.topic_gone(told.split(':').next().unwrap_or(told), sink);
                }
                event => match serve(event, &mut self.outage.health, &self.log) {
                    Some(Event::Assign(parts, event)) => self.assigned(parts, &event, sink)?,
                    Some(Event::Revoke(parts, event)) => self.revoked(parts, &event, sink)?,
                    _ => {}
                },
            }
        }
    }

    fn check_health(&mut self, sink: &mut dyn RecordSink) -> Result<()> {
        if let Some((code, reason)) = self.client.told_aside() {
            self.note_aside(code, &reason, sink);
        }
        if let Some((gone, since)) = &self.outage.gone
            && since.elapsed() >= GONE_WAIT
        {
            return Err(unknown_topic(gone));
        }
        let health = &mut self.outage.health;
        if let Some((code, _)) = health.fatal.as_ref().filter(|(code, _)| errors::is_of_group(*code)) {
            health.permanent = Some(*code);
        } else if let Some((code, reason)) = &health.fatal {
            return Err(Error::new(errors::kind(*code), format!("librdkafka gave up: {reason}")));
        }
        if health.permanent.is_some() {
            return Err(health.error(&self.settings));
        }
        if health.trouble.is_some() || health.all_down {
            self.outage.since.get_or_insert_with(Instant::now);
        }
        let answered = mem::take(&mut self.outage.answered) | self.ask();
        // Whether it is the last one was asked.
        self.outage.health.silent = false;
        for news in self.outage.contact.news(&mut self.outage.health, answered) {
            match news {
                News::Notice(notice) => sink.notice(&notice),
                News::Warning(text) => sink.warn(&text),
            }
        }
        let limit = self.settings.patience();
        if let Some((since, why)) = &self.outage.garbled
            && since.elapsed() > limit
        {
            return Err(Error::new(ErrorKind::Unreachable, why.as_str()));
        }
        if self.outage.since.is_some_and(|since| since.elapsed() > limit) {
            // An idle topic gives no sign of life either: ask before giving up.
            self.client.metadata(None, PROBE_WAIT).map_err(|_| self.outage.health.error(&self.settings))?;
            (self.outage.since, self.outage.quiet) = (None, None);
        }
        Ok(())
    }

    /// Looks after partitions of which nothing comes, one at a time.
    fn look(&mut self) -> Result<()> {
        match self.look.as_mut().map(Look::turn) {
            Some(Found::Nothing) => return Ok(()),
            Some(Found::Fine) => self.look = None,
            Some(Found::Flawed(error)) => {
                self.look = None;
                return Err(self.behind(error)?);
            }
            None if self.outage.since.is_some() || self.looked.elapsed() < LOOK_EVERY => return Ok(()),
            None => {}
        }
        self.looked = Instant::now();
        let client = &self.client;
        let suspect = self.positions.suspect(|tp| client.known_end(&tp.topic, tp.partition));
        self.look = suspect.and_then(|it| Look::begin(&self.settings, self.group.is_some(), it, &self.data));
        Ok(())
    }

    /// Who polls again after this error goes on behind the record that it names.
    fn behind(&mut self, error: Error) -> Result<Error> {
        if let (Some((tp, offset)), Some(_)) = (error.record(), &self.group) {
            let next = offset.saturating_add(1);
            self.positions.passed(self.positions.slot(&tp.topic, tp.partition), next);
            let mut list = TopicPartitionList::new();
            add(&mut list, tp, Offset::Offset(next))?;
            self.client
                .seek(&list)
                .map_err(|reason| Error::new(ErrorKind::Other, format!("{tp}: {reason}")))?;
        }
        Ok(error)
    }

    /// Asks whether any broker is there, when there is reason to: trouble with one may be trouble with all, of which
    /// librdkafka tells later; and where nothing is written nothing tells that they are back. Whether one answered.
    fn ask(&mut self) -> bool {
        let Outage { contact, health, .. } = &mut self.outage;
        let is_lost = contact.lost.is_some();
        let is_in_doubt = health.trouble.is_some() && !health.all_down;
        if !(is_lost || is_in_doubt) || self.outage.asked.elapsed() < ASK_EVERY {
            return false;
        }
        self.outage.asked = Instant::now();
        let is_there = self.client.metadata(self.topics.values().next(), ASK_WAIT).is_ok();
        self.outage.health.all_down |= !is_there;
        if is_lost && is_there {
            (self.outage.since, self.outage.quiet) = (None, None);
        }
        is_lost && is_there
    }

    /// Of a partition of one's own choice something comes, and be it that it is at its end. librdkafka asks again and
    /// again for a batch that claims to be longer than it is, and tells nobody.
    fn check_progress(&mut self) -> Result<()> {
        let quiet = *self.outage.quiet.get_or_insert_with(Instant::now);
        let is_watched = self.group.is_none() && self.outage.since.is_none();
        if !is_watched || quiet.elapsed() <= self.settings.patience() {
            return Ok(());
        }
        let Some(tp) = self.positions.unreached() else { return Ok(()) };
        let after = quiet.elapsed().as_secs();
        let text = format!("{tp}: nothing could be read for {after} s, and its end was not reached");
        Err(Error::new(ErrorKind::TimedOut, text))
    }

    /// An error of a partition: `TOPIC [PARTITION]: REASON`. librdkafka repeats it each time it has asked the brokers.
    fn note_aside(&mut self, code: Code, reason: &str, sink: &mut dyn RecordSink) {
        self.log.line(LOG_ERROR, reason);
        if code != UNKNOWN_TOPIC_OR_PART {
            return;
        }
        let topic = reason.rsplit_once(" [").map_or(reason, |(topic, _)| topic);
        if self.topics.contains_key(topic) || self.group.is_some() {
            self.topic_gone(topic, sink);
        }
    }

    /// A topic is not there any more.
    fn topic_gone(&mut self, topic: &str, sink: &mut dyn RecordSink) {
        match self.group.as_mut().and_then(|group| group.following.as_mut()) {
            // One of several: the others are read on.
            Some(following) => {
                if following.looked.take().is_some() && following.names.contains(topic) {
                    sink.warn(&unknown_topic(topic).to_string());
                }
            }
            None => drop(self.outage.gone.get_or_insert_with(|| (topic.into(), Instant::now()))),
        }
    }

    /// Pushes what was fetched; an error of a partition ends it unless it passes by itself.
    fn push(&mut self, sink: &mut dyn RecordSink) -> Result<usize> {
        let mut records = 0;
        let mut failed = None;
        let (outage, positions) = (&mut self.outage, &mut self.positions);
        // Records come in runs of one partition; another topic's name may be where the last one's was.
        const NO_RUN: (*const u8, i32, Slot) = (std::ptr::null(), -1, Slot::NOWHERE);
        let mut run = NO_RUN;
        let _ = self.fetched.push(|pushed| match pushed {
            Pushed::Record(r) => {
                records += 1;
                if outage.gone.is_some() {
                    outage.lives(r.topic);
                }
                if (run.0, run.1) != (r.topic.as_ptr(), r.partition) {
                    run = (r.topic.as_ptr(), r.partition, positions.slot(r.topic, r.partition));
                }
                positions.passed(run.2, r.offset + 1);
                sink.record(r)
            }
            Pushed::End { topic, partition, offset } => {
                outage.lives(topic);
                run = NO_RUN;
                positions.reached(positions.slot(topic, partition), offset);
                sink.reached(topic, partition, offset);
                ControlFlow::Continue(())
            }
            Pushed::Error { topic, partition, offset, code, reason } => {
                run = NO_RUN;
                if errors::passes(code) {
                    outage.health.note(code, reason, false);
                } else if code != MAX_POLL_EXCEEDED {
                    failed = Some(partition_error(topic, partition, offset, code, &reason));
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            }
        });
        if records > 0 {
            (outage.since, outage.garbled, outage.answered) = (None, None, true);
        }
        failed.map_or(Ok(records), Err)
    }
}

impl Subscriber for RdkafkaSubscriber {
    fn waker(&self) -> Waker {
        let data = Arc::clone(&self.data);
        Arc::new(move || data.wake())
    }

    fn partitions(&mut self, topics: &Topics) -> Result<Vec<TopicPartition>> {
        let mut all = match topics {
            Topics::Names(names) => self.named(names)?,
            Topics::Pattern(pattern) => self.matching(pattern)?,
        };
        all.sort();
        all.dedup();
        Ok(all)
    }

    fn list_offsets(&mut self, places: &[(TopicPartition, At)]) -> Result<Vec<i64>> {
        let deadline = Instant::now() + self.request_timeout();
        let mut offsets = loop {
            match self.ask_offsets(places, self.request_timeout()) {
                Err(e) if e.status() == Status::Temporary && Instant::now() < deadline => {
                    // A leader is being chosen: asked again after the next event, or a short while.
                    drop(serve(self.events.poll(ASK_AGAIN), &mut self.outage.health, &self.log));
                }
                answer => break answer?,
            }
        };
        // A timestamp after the last record has no offset: it means the end.
        let past_end: Vec<_> = (0..offsets.len()).filter(|&i| offsets[i] == Offset::End).collect();
        let ends: Vec<_> = past_end.iter().map(|&i| (places[i].0.clone(), At::Latest)).collect();
        if !ends.is_empty() && places.iter().any(|(_, at)| matches!(at, At::Timestamp(_))) {
            for (i, end) in past_end.into_iter().zip(self.list_offsets(&ends)?) {
                offsets[i] = Offset::Offset(end);
            }
        }
        Ok(offsets.into_iter().map(|o| o.to_raw().unwrap_or(0)).collect())
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>> {
        self.committed_within(partitions, self.request_timeout())
    }

    fn assign(&mut self, starts: &Offsets) -> Result<()> {
        let data = Arc::clone(&self.data);
        for (tp, offset) in starts {
            self.topic(&tp.topic)?
                .consume_start(tp.partition, *offset, &data)
                .map_err(|code| errors::error(code, tp.to_string()))?;
        }
        self.positions.assigned(starts);
        self.outage.quiet = None;
        Ok(())
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        for tp in partitions {
            self.topic(&tp.topic)?.consume_stop(tp.partition);
        }
        self.positions.revoked(partitions);
        self.fetched.discard(|t, p| partitions.iter().any(|tp| tp.partition == p && *tp.topic == *t));
        Ok(())
    }

    fn join(&mut self, topics: &Topics, starts: Arc<Starts>) -> Result<()> {
        let (names, following) = match topics {
            Topics::Names(names) => (names.iter().cloned().collect(), None),
            Topics::Pattern(pattern) => {
                let mut following = Following {
                    pattern: pattern.clone(),
                    names: BTreeSet::new(),
                    looked: Some(Instant::now()),
                };
                let there = connect(&self.client, &self.events, None, &self.settings, &self.log)?;
                following.names = following.matching(there.topics);
                (following.names.clone(), Some(following))
            }
        };
        self.group = Some(Group::new(starts, following));
        self.subscribe(&names)
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn RecordSink) -> Result<Polled> {
        if self.group.is_some() && self.stall.is_over() {
            sink.warn(STALLED);
        }
        self.warnings.drain(..).for_each(|warning| sink.warn(&warning));
        self.serve_events(sink)?;
        self.look()?;
        self.tell_entered(sink);
        let wait = if self.fetched.is_empty() { self.follow(wait, sink)? } else { Duration::ZERO };
        self.fetched.fill(&self.data, wait, self.most);
        self.stall.polled = Instant::now();
        if self.group.as_ref().is_some_and(|group| group.is_handed_over) {
            self.fetched.discard(|_, _| true);
        }
        let full = self.fetched.is_full(self.most);
        if self.fetched.is_empty() {
            self.check_progress()?;
        } else {
            self.outage.quiet = None;
        }
        if self.outage.revival.is_due(self.outage.contact.lost.is_some(), Instant::now()) {
            self.client.add_brokers(&self.settings.bootstrap());
        }
        let records = self.push(sink)?;
        Ok(Polled { records, idle: self.fetched.is_empty() && !full })
    }

    fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (tp, offset) in offsets {
            add(&mut list, tp, Offset::Offset(*offset))?;
        }
        self.client.commit(&list).map_err(|code| match code {
            _ if errors::is_rebalance(code) => {
                Error::new(ErrorKind::Later, "committing offsets: the group is being rebalanced")
            }
            _ => errors::error(code, "committing offsets").not_committed(offsets),
        })?;
        if let Some(group) = &self.group {
            offsets.iter().for_each(|(tp, _)| group.starts.note_committed(tp));
        }
        Ok(())
    }

    fn close(mut self: Box<Self>, deadline: Instant, sink: &mut dyn RecordSink) -> Result<()> {
        self.events.silence();
        if self.group.is_none() {
            return Ok(());
        }
        // Closing forwards the group's events to the queue it is given, so it must be another one.
        let last = self.client.new_queue();
        self.client
            .close(&last)
            .map_err(|e| Error::new(ErrorKind::Other, format!("leaving the group: {e}")))?;
        while !self.client.closed() && Instant::now() < deadline {
            let event = last.poll(Duration::from_millis(100));
            if let Some(Event::Revoke(parts, event)) = serve(event, &mut self.outage.health, &self.log) {
                self.revoked(parts, &event, sink)?;
            }
        }
        Ok(())
    }
}

impl Drop for RdkafkaSubscriber {
    fn drop(&mut self) {
        self.events.silence();
    }
}

/// What librdkafka's warning of an offset that was not there says, in the words of the other libraries. It tells it in
/// its log alone: `OFFSET: t [0]: offset reset (at offset 5 (leader epoch 0), broker 1) to offset BEGINNING ...: why`.
fn was_reset(line: &str) -> Option<String> {
    let (place, rest) = line.strip_prefix("OFFSET: ")?.split_once(": offset reset (at offset ")?;
    let (offset, rest) = rest.split_once([' ', ',', ')'])?;
    let (topic, partition) = place.rsplit_once(' ')?;
    let (to, policy) = match rest.split_once(") to ")?.1 {
        to if to.contains("BEGINNING") => ("its beginning", "earliest"),
        _ => ("its end", "latest"),
    };
    Some(format!(
        "{topic}{partition}: there is no offset {offset}: reading from {to} (auto.offset.reset={policy})"
    ))
}

pub(super) fn add(list: &mut TopicPartitionList, tp: &TopicPartition, offset: Offset) -> Result<()> {
    list.add_partition_offset(&tp.topic, tp.partition, offset)
        .map_err(|e| Error::new(ErrorKind::Other, format!("{tp}: {e}")))
}

fn offset_error(tp: &TopicPartition, e: &::rdkafka::error::KafkaError) -> Error {
    let code = e.rdkafka_error_code().map_or(Code::NONE, |c| Code(c as i32));
    let error = errors::error(code, tp.to_string());
    // librdkafka's own "unknown partition": it knows no leader yet.
    if code == Code(-190) { error.with_status(Status::Temporary) } else { error }
}

fn partition_error(topic: &str, partition: i32, offset: i64, code: Code, reason: &str) -> Error {
    let place = if topic.is_empty() { "consumer".to_owned() } else { format!("{topic}[{partition}]") };
    match errors::kind(code) {
        ErrorKind::UnknownTopic if !topic.is_empty() => {
            Error::new(ErrorKind::UnknownTopic, format!("unknown topic or partition {place}"))
        }
        ErrorKind::OffsetOutOfRange => {
            let what = match offset {
                0.. => format!("there is no offset {offset}"),
                _ => "no committed offset to start from".to_owned(),
            };
            Error::new(ErrorKind::OffsetOutOfRange, format!("{place}: {what} (auto.offset.reset=none)"))
        }
        // What is not implemented is a format of records; what is too large came without end, and no record in it.
        ErrorKind::BadRecord | ErrorKind::Unsupported | ErrorKind::TooLarge if offset >= 0 => {
            let tp = TopicPartition { topic: topic.into(), partition };
            Error::new(ErrorKind::BadRecord, format!("{place} at offset {offset}: {reason}"))
                .with_record(tp, offset)
        }
        _ => errors::error(code, place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_is_not_there_is_told_from_its_log() {
        let line = "OFFSET: a b [3]: offset reset (at offset 69 (leader epoch 0), broker 1) to cached BEGINNING offset \
                    offset BEGINNING (leader epoch -1): fetch failed: Broker: Offset out of range";
        let told = "a b[3]: there is no offset 69: reading from its beginning (auto.offset.reset=earliest)";
        assert_eq!(was_reset(line).as_deref(), Some(told));
        let line = "OFFSET: t [0]: offset reset (at offset 5 (leader epoch -1), broker 2) to offset END (leader epoch -1): x";
        let told = "t[0]: there is no offset 5: reading from its end (auto.offset.reset=latest)";
        assert_eq!(was_reset(line).as_deref(), Some(told));
        assert_eq!(was_reset("FAIL: t [0]: no"), None);
    }
}
