//! What answers and failures mean for the partitions.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::fetcher::{Broker, Fetcher, Question};
use super::frame::{Span, Told};
use super::heads::{Heads, HeadsEnd};
use super::partition::{Fault, Id, State};
use super::session::Member;
use crate::backends::reset::Reset;
use crate::backends::wired::errors;
use crate::backends::{Error, ErrorKind};
use crate::wire::ErrorCode;
use crate::wire::messages::{FetchResponse, FetchResponsePartition};
use crate::wire::net::{self, Isolation, Kind};

/// Sessions lost in a row before that counts as trouble.
const LOST_SESSIONS: u32 = 3;
/// Brokers send the first batch of an answer as a whole, however little was asked for (KIP-74). How long one may do
/// otherwise before the batch is taken for what is wrong.
const WHOLE_WITHIN: Duration = Duration::from_secs(3);

impl Fault {
    /// What a broker answered.
    pub(super) fn of(code: ErrorCode) -> Self {
        let is_unknown = matches!(
            code,
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId | ErrorCode::InconsistentTopicId
        );
        Self { kind: errors::code_kind(code), text: errors::answer(code, None), is_unknown }
    }

    /// What happened on the way.
    pub(super) fn on_the_way(why: &net::Error) -> Self {
        let text = errors::printable(&why.to_string());
        Self { kind: errors::kind(why), text, is_unknown: false }
    }
}

/// Where the bytes of an answer stand in it.
pub(super) trait Places {
    fn range_of(&self, part: &[u8]) -> Option<Range<usize>>;
}

impl Places for net::Answer {
    fn range_of(&self, part: &[u8]) -> Option<Range<usize>> {
        self.range_of(part)
    }
}

impl Fetcher {
    /// A broker has answered. Gives the batches to be decoded.
    pub(super) fn answered(
        &mut self,
        at: i32,
        response: &FetchResponse<'_>,
        places: &impl Places,
        now: Instant,
    ) -> Vec<Span> {
        let Some(broker) = self.brokers.get_mut(&at) else { return Vec::new() };
        broker.is_busy = false;
        if let wait @ 1.. = response.throttle_time_ms {
            // The broker holds back its answers by itself: nothing is gained by waiting for long.
            let wait = Duration::from_millis(wait.unsigned_abs().into());
            broker.not_before = Some(now + wait.min(self.rules.patience.1));
        }
        if let Some(code) = ErrorCode::of(response.error_code) {
            self.refused(at, code, now);
            return Vec::new();
        }
        broker.session.goes_on(response.session_id);
        broker.lost_sessions = 0;
        let mut spans = Vec::new();
        let mut served = Vec::new();
        for topic in &response.responses {
            for partition in &topic.partitions {
                let session = self.brokers.get(&at).map(|broker| &broker.session);
                let member = session.and_then(|s| s.member(&topic.topic, partition.partition_index));
                let Some(member) = member.filter(|member| self.is_asked(at, *member)) else { continue };
                let span = self.take(at, member, partition, places, now);
                served.extend(span.is_some().then_some(member.part));
                spans.extend(span);
            }
        }
        if let Some(broker) = self.brokers.get_mut(&at) {
            take_turns(broker, &served);
        }
        spans
    }

    /// Whether an answer is to what the partition needs now: it may have been moved or assigned anew since.
    fn is_asked(&self, at: i32, member: Member) -> bool {
        let part = self.parts.get(&member.part);
        part.is_some_and(|part| part.state == State::At(at) && part.position == member.offset)
    }

    /// A request was refused as a whole.
    fn refused(&mut self, at: i32, code: ErrorCode, now: Instant) {
        let Some(broker) = self.brokers.get_mut(&at) else { return };
        match code {
            ErrorCode::FetchSessionIdNotFound => broker.session.is_lost(),
            ErrorCode::InvalidFetchSessionEpoch | ErrorCode::FetchSessionTopicIdError => {
                broker.session.starts_over();
            }
            _ => return self.broker_failed(at, &Fault::of(code), may_pass(code), now),
        }
        broker.lost_sessions += 1;
        if broker.lost_sessions >= LOST_SESSIONS {
            broker.session.is_lost();
            self.broker_failed(at, &Fault::of(code), true, now);
        }
    }

    /// No answer came.
    pub(super) fn failed(&mut self, at: i32, why: &net::Error, now: Instant) {
        if let Some(broker) = self.brokers.get_mut(&at) {
            broker.is_busy = false;
            broker.session.is_lost();
        }
        self.broker_failed(at, &Fault::on_the_way(why), why.is_retriable(), now);
    }

    /// All that is read from a broker is in trouble.
    fn broker_failed(&mut self, at: i32, fault: &Fault, may_pass: bool, now: Instant) {
        let parts = self.brokers.get(&at).map(|broker| broker.parts.clone()).unwrap_or_default();
        let mut pause = Duration::ZERO;
        for id in parts {
            let Some(part) = self.parts.get_mut(&id) else { continue };
            let nearer = part.nearer.take();
            part.is_fresh |= part.told_end.is_none();
            if nearer.is_some_and(|(id, _)| id == at) {
                self.settle(id, now);
            } else if !may_pass {
                let error = self.error(id, fault);
                return self.end(id, error);
            } else if let Some(wait) = self.trouble(id, fault, now) {
                pause = pause.max(wait);
            } else {
                return self.stick(id);
            }
        }
        if let Some(topic) = self.topic_at(at) {
            self.questions.push(Question::Metadata(topic));
        }
        if let Some(broker) = self.brokers.get_mut(&at) {
            broker.not_before = broker.not_before.max(Some(now + pause));
        }
    }

    fn topic_at(&self, at: i32) -> Option<Arc<str>> {
        let part = self.parts.get(self.brokers.get(&at)?.parts.first()?)?;
        Some(Arc::clone(&part.of.tp.topic))
    }

    fn error(&self, id: Id, fault: &Fault) -> Error {
        let subject = self.parts.get(&id).map(ToString::to_string).unwrap_or_default();
        Error::new(fault.kind, format!("{subject}: {}", fault.text))
    }

    /// Takes what an answer has of one partition.
    fn take(
        &mut self,
        at: i32,
        member: Member,
        told: &FetchResponsePartition<'_>,
        places: &impl Places,
        now: Instant,
    ) -> Option<Span> {
        let id = member.part;
        if let Some(code) = ErrorCode::of(told.error_code) {
            self.partition_refused(id, code, now);
            return None;
        }
        if told.diverging_epoch.end_offset >= 0 || told.diverging_epoch.epoch >= 0 {
            let (epoch, end) = (told.diverging_epoch.epoch, told.diverging_epoch.end_offset);
            self.cut_back(id, epoch, end, now);
            return None;
        }
        let bytes = told.records.unwrap_or_default().bytes();
        let nearer = told.preferred_read_replica;
        if nearer >= 0 && nearer != at && bytes.is_empty() && self.view.has_broker(nearer) {
            self.prefer(id, nearer, now);
            return None;
        }
        let end = match self.rules.terms.isolation {
            Isolation::Committed if told.last_stable_offset >= 0 => told.last_stable_offset,
            _ => told.high_watermark,
        };
        let part = self.parts.get_mut(&id)?;
        (part.is_doubted, part.is_compared) = (false, false);
        if bytes.is_empty() {
            self.nothing(id, end);
            self.well(id, now);
            return None;
        }
        let range = places.range_of(bytes)?;
        let span = self.batches(at, id, bytes, range, end, now)?;
        let aborted = told.aborted_transactions.iter().flatten();
        Some(Span { aborted: aborted.map(|of| (of.producer_id, of.first_offset)).collect(), ..span })
    }

    /// An answer without batches: the end, unless the answer was full.
    fn nothing(&mut self, id: Id, end: i64) {
        let Some(part) = self.parts.get_mut(&id) else { return };
        if part.position >= end && part.told_end != Some(part.position) {
            part.told_end = Some(part.position);
            self.told.push(Told::Reached(Arc::clone(&part.of), part.position));
        }
    }

    /// An answer with batches: moves on behind them.
    fn batches(
        &mut self,
        at: i32,
        id: Id,
        bytes: &[u8],
        range: Range<usize>,
        end: i64,
        now: Instant,
    ) -> Option<Span> {
        let part = self.parts.get_mut(&id)?;
        let heads = Heads::of(bytes, part.position);
        if let HeadsEnd::TooFew(size) = heads.end {
            self.too_few(at, id, size, now);
            return None;
        }
        let (from, at_end) = (part.position, heads.next >= end);
        (part.position, part.need) = (heads.next, 0);
        if heads.last_epoch >= 0 {
            part.last_epoch = heads.last_epoch;
        }
        part.told_end = at_end.then_some(heads.next);
        let of = Arc::clone(&part.of);
        match heads.end {
            // Who decodes it says what is wrong, and where to go on.
            HeadsEnd::Flawed => self.stick(id),
            _ => self.change(at, id),
        }
        self.well(id, now);
        Some(Span { of, range, from, aborted: Vec::new(), at_end })
    }

    /// Not one whole batch came: asks for more of it at once.
    fn too_few(&mut self, at: i32, id: Id, size: i64, now: Instant) {
        let (asked, most) = (self.rules.partition_bytes, self.rules.max_batch);
        let Some(part) = self.parts.get_mut(&id) else { return };
        if size > most.into() {
            let text = format!(
                "{part}: a batch of {size} bytes at offset {}: at most {most} are read",
                part.position
            );
            let (tp, position) = (part.of.tp.clone(), part.position);
            let error = Error::new(ErrorKind::BadRecord, text).with_record(tp, position);
            return self.end(id, error);
        }
        let size = i32::try_from(size).unwrap_or(most);
        if size > asked.max(part.need) {
            part.need = size;
            return self.change(at, id);
        }
        let text = format!("the broker sends no whole batch at offset {}", part.position);
        if part.trouble.as_ref().is_some_and(|trouble| trouble.lasted(now) >= WHOLE_WITHIN) {
            let (tp, position) = (part.of.tp.clone(), part.position);
            let error = Error::new(ErrorKind::BadRecord, format!("{part}: {text}"));
            return self.end(id, error.with_record(tp, position));
        }
        self.fail(id, &Fault { kind: ErrorKind::Other, text, is_unknown: false }, now);
    }

    /// A partition was refused.
    fn partition_refused(&mut self, id: Id, code: ErrorCode, now: Instant) {
        let Some(part) = self.parts.get_mut(&id) else { return };
        let by_nearer = part.nearer.take().is_some();
        match code {
            // Of a broker behind the leader, which is asked next.
            ErrorCode::OffsetOutOfRange if by_nearer => self.settle(id, now),
            ErrorCode::OffsetOutOfRange if !part.is_compared && part.topic_id.is_some() => self.compare(id),
            ErrorCode::OffsetOutOfRange if part.last_epoch >= 0 && !part.is_doubted => {
                part.is_doubted = true;
                if let State::At(at) = part.state {
                    self.change(at, id);
                }
            }
            ErrorCode::OffsetOutOfRange => self.reset(id),
            ErrorCode::CorruptMessage => {
                let text = format!("{part}: the broker cannot read its batch at offset {}", part.position);
                let (tp, position) = (part.of.tp.clone(), part.position);
                let error = Error::new(ErrorKind::BadRecord, text).with_record(tp, position);
                self.end(id, error);
            }
            code if may_pass(code) => self.fail(id, &Fault::of(code), now),
            code => {
                let error = errors::of_code(&*part, code, None);
                self.end(id, error);
            }
        }
    }

    /// The log that was read is not the leader's any more, from this offset on (KIP-320).
    fn cut_back(&mut self, id: Id, epoch: i32, end: i64, now: Instant) {
        let Some(part) = self.parts.get_mut(&id) else { return };
        if !part.is_compared && part.topic_id.is_some() {
            return self.compare(id);
        }
        if end < 0 || end >= part.position {
            return self.reset(id);
        }
        let was = part.position;
        let text = format!("{part}: the broker has lost the records from offset {end} to {}", was - 1);
        if self.rules.reset == Reset::None {
            let text = format!("{text} (auto.offset.reset=none)");
            return self.end(id, Error::new(ErrorKind::OffsetOutOfRange, text));
        }
        part.jump(end);
        part.last_epoch = epoch;
        if let State::At(at) = part.state {
            self.change(at, id);
        }
        self.told.push(Told::Warn(format!("{text}: reading what is there now")));
        self.well(id, now);
    }

    /// The position is refused: asks first whether the topic is another one by now, whose offsets begin anew.
    fn compare(&mut self, id: Id) {
        self.leave(id);
        if let Some(part) = self.parts.get_mut(&id) {
            part.state = State::Comparing;
            self.questions.push(Question::Metadata(Arc::clone(&part.of.tp.topic)));
        }
    }

    /// Metadata was asked for, and what is new in it is known.
    pub(super) fn refreshed(&mut self, now: Instant) {
        for id in self.parts_of(|state| state == State::Comparing) {
            if let Some(part) = self.parts.get_mut(&id) {
                part.is_compared = true;
            }
            self.settle(id, now);
        }
    }

    /// Whether the topic is not the one that was read up to now, but one that was created again.
    pub(super) fn is_another(&mut self, id: Id) -> bool {
        let Some(part) = self.parts.get_mut(&id) else { return false };
        let Some(topic_id) = self.view.topic_id(&part.of.tp.topic) else { return false };
        part.topic_id.replace(topic_id).is_some_and(|was| was != topic_id)
    }

    /// Begins with a topic that was created again, unless that ends the reading.
    pub(super) fn begins_again(&mut self, id: Id) -> bool {
        self.leave(id);
        let Some(part) = self.parts.get_mut(&id) else { return false };
        let text = format!("topic {} was deleted and created again", part.of.tp.topic);
        if self.rules.reset == Reset::None {
            let text = format!("{text} (auto.offset.reset=none)");
            self.end(id, Error::new(ErrorKind::OffsetOutOfRange, text));
            return false;
        }
        part.jump(0);
        if self.told_again != part.topic_id {
            self.told_again = part.topic_id;
            self.told.push(Told::Warn(format!("{text}: reading it from its beginning")));
        }
        true
    }

    /// The offset is not there: asks for one that is.
    fn reset(&mut self, id: Id) {
        self.leave(id);
        let Some(part) = self.parts.get_mut(&id) else { return };
        if self.rules.reset == Reset::None {
            let text = format!("{part}: there is no offset {} (auto.offset.reset=none)", part.position);
            return self.end(id, Error::new(ErrorKind::OffsetOutOfRange, text));
        }
        part.state = State::Resetting;
        let (topic, partition) = (Arc::clone(&part.of.tp.topic), part.of.tp.partition);
        self.questions.push(Question::Offset(id, topic, partition, self.rules.reset));
    }

    /// The offset to go on from, or why there is none.
    pub(super) fn found(&mut self, id: Id, found: Result<i64, Fault>, now: Instant) {
        let Some(part) = self.parts.get_mut(&id).filter(|part| part.state == State::Resetting) else {
            return;
        };
        match found {
            Ok(offset) => {
                let policy = if self.rules.reset == Reset::Latest { "latest" } else { "earliest" };
                let was = part.position;
                part.jump(offset);
                let text = format!(
                    "{part}: there is no offset {was}: reading from {offset} (auto.offset.reset={policy})"
                );
                self.told.push(Told::Warn(text));
                self.well(id, now);
                self.settle(id, now);
            }
            // The broker is asked again, and refuses the offset again.
            Err(fault) => self.fail(id, &fault, now),
        }
    }
}

/// Whether asking again may help: as Java's consumer, also after what the broker did not expect.
pub(super) fn may_pass(code: ErrorCode) -> bool {
    code.is_retriable() || code == ErrorCode::UnknownServerError
}

/// Without a session the first partitions of a request come first in every answer: those that had their turn go
/// behind the others.
fn take_turns(broker: &mut Broker, served: &[Id]) {
    if !broker.session.is_none() || served.is_empty() || served.len() == broker.parts.len() {
        return;
    }
    broker.parts.retain(|id| !served.contains(id));
    broker.parts.extend(served);
}

impl Fault {
    /// Why no offset was found.
    pub(super) fn of_error(why: &net::Error) -> Self {
        match why.kind() {
            Kind::Broker(code) => Self::of(code),
            _ => Self::on_the_way(why),
        }
    }
}
