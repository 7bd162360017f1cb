//! A partition's batches under every answer there is, with injected time and no sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::super::fault::Fault;
use super::super::lane::{Effects, Idempotence, Lane, MISSING_FOR, Placed, Policy, Tools};
use super::super::lines::{Origin, Timed};
use super::super::parcel::{Filled, Parcel, Stamps};
use super::super::sequence::Identity;
use crate::backends::{ErrorKind, Fate, TopicPartition};
use crate::record::NoHeaders;
use crate::wire::net::{Error, Kind, Random, Sent};
use crate::wire::records::{BatchBuffer, Packer, Unpacker};
use crate::wire::{Codec, ErrorCode};

const GIVEN: Identity = Identity { id: 7, epoch: 0 };
const DELIVERY: Duration = Duration::from_secs(120);

/// A lane, its clock, and what came of it: outcomes by line.
struct Bench {
    lane: Lane,
    tools: Tools,
    now: Instant,
    line: u64,
    effects: Effects,
    limit: Arc<AtomicUsize>,
    delivered: Vec<u64>,
    lost: Vec<(u64, Fate, ErrorKind)>,
}

type Ticket = (u64, Arc<Parcel>);

impl Bench {
    fn with(change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = Policy {
            idempotence: Idempotence::On,
            retries: u32::MAX,
            delivery: DELIVERY,
            retry: (Duration::from_millis(100), Duration::from_secs(1)),
            window: 5,
        };
        change(&mut policy);
        let place = TopicPartition { topic: "t".into(), partition: 0 };
        let limit = Arc::new(AtomicUsize::new(usize::MAX));
        Self {
            lane: Lane::new(place, policy, Arc::clone(&limit)),
            tools: Tools {
                packer: Packer::new(Codec::None, None),
                unpacker: Unpacker::new(),
                random: Random::seeded(1),
            },
            now: Instant::now(),
            line: 0,
            effects: Effects::default(),
            limit,
            delivered: Vec::new(),
            lost: Vec::new(),
        }
    }

    fn new() -> Self {
        Self::proven(|_| {})
    }

    /// With a first record written, so that the broker knows the producer.
    fn proven(change: impl FnOnce(&mut Policy)) -> Self {
        let mut bench = Self::with(change);
        bench.push(1);
        let first = bench.send().unwrap();
        bench.ok(first);
        bench.line = 0;
        bench.delivered.clear();
        bench
    }

    fn plain() -> Self {
        Self::with(|policy| policy.idempotence = Idempotence::Off)
    }

    /// Hands over a batch of so many records; their values are their lines.
    fn push(&mut self, records: u64) {
        let mut filled = Filled::new(BatchBuffer::new(), self.now);
        for _ in 0..records {
            self.line += 1;
            let value = self.line.to_string();
            let origin = Origin { line: self.line, source: None, timed: Timed::Here };
            filled.append(1, None, Some(value.as_bytes()), &NoHeaders, origin).unwrap();
        }
        self.lane.push(filled);
    }

    fn send(&mut self) -> Option<Ticket> {
        self.lane.ready(self.now, Some(GIVEN), &mut self.tools)?;
        self.lane.take()
    }

    /// Sends all that may be sent.
    fn send_all(&mut self) -> Vec<Ticket> {
        std::iter::from_fn(|| self.send()).collect()
    }

    fn answer(&mut self, ticket: Ticket, answer: Result<Placed, Fault>) {
        self.lane.answered(ticket, answer, self.now, &mut self.tools, &mut self.effects);
        self.book();
    }

    fn ok(&mut self, ticket: Ticket) {
        self.answer(ticket, Ok(Placed { base: 100, appended: None }));
    }

    fn code(&mut self, ticket: Ticket, code: ErrorCode) {
        self.answer(ticket, Err(Fault::of(code)));
    }

    fn cut(&mut self, ticket: Ticket) {
        let lost = Error::new(Kind::Closed, "the connection was cut").sent_as(Sent::Maybe);
        self.answer(ticket, Err(Fault::Lost(lost)));
    }

    fn expire(&mut self) {
        self.lane.expire(self.now, &mut self.effects);
        self.book();
    }

    /// Lets every pause pass.
    fn rest(&mut self) {
        self.now += Duration::from_secs(2);
    }

    fn book(&mut self) {
        for settled in self.effects.settled.drain(..) {
            let lines = lines(&settled.parcel);
            match settled.outcome {
                Ok(_) => self.delivered.extend(lines),
                Err((fate, error)) => self.lost.extend(lines.map(|line| (line, fate, error.kind()))),
            }
        }
    }

    /// Answers everything as a broker in order would, until nothing is left.
    fn finish(&mut self) {
        while !self.lane.is_empty() {
            self.rest();
            let sent = self.send_all();
            assert!(!sent.is_empty(), "stuck: {:?}", self.lane);
            sent.into_iter().for_each(|ticket| self.ok(ticket));
        }
    }

    /// Nothing is told twice, and nothing is forgotten.
    fn check_books(&self) {
        let mut told: Vec<u64> =
            self.lost.iter().map(|(line, ..)| *line).chain(self.delivered.clone()).collect();
        told.sort_unstable();
        assert_eq!(told, (1..=self.line).collect::<Vec<_>>());
    }
}

fn lines(parcel: &Parcel) -> impl Iterator<Item = u64> + use<> {
    let mut lines = Vec::new();
    let mut unpacker = Unpacker::new();
    let each = &mut |record: &crate::record::RecordRef<'_>, origin: Origin<'_>| {
        assert_eq!(record.value, Some(origin.line.to_string().as_bytes()));
        lines.push(origin.line);
    };
    parcel.for_each(("t", 0), (0, Stamps::AsSent), &mut unpacker, each).unwrap();
    lines.into_iter()
}

/// Epoch and first sequence number, which in the first epoch counts from the record after the first.
fn stamp(ticket: &Ticket) -> (i16, i32) {
    let stamp = ticket.1.stamped().unwrap();
    let first = i32::from(stamp.identity.epoch == 0);
    (stamp.identity.epoch, stamp.base - first)
}

fn stamps(tickets: &[Ticket]) -> Vec<(i16, i32)> {
    tickets.iter().map(stamp).collect()
}

#[test]
fn nothing_is_sent_before_there_is_a_producer_id() {
    let mut bench = Bench::with(|_| {});
    bench.push(1);
    assert!(bench.lane.needs_identity(None));
    assert_eq!(bench.lane.ready(bench.now, None, &mut bench.tools), None);
    assert_eq!(bench.send().unwrap().1.stamped().unwrap().base, 0);
    assert!(!bench.lane.needs_identity(None));
}

#[test]
fn until_one_is_written_batches_go_one_by_one() {
    let mut bench = Bench::with(|_| {});
    (0..3).for_each(|_| bench.push(1));
    let sent = bench.send_all();
    assert_eq!(sent.len(), 1);
    sent.into_iter().for_each(|ticket| bench.code(ticket, ErrorCode::NotEnoughReplicas));
    bench.rest();
    let sent = bench.send().unwrap();
    assert_eq!(lines(&sent.1).collect::<Vec<_>>(), [1]);
    bench.ok(sent);
    assert_eq!(bench.send_all().len(), 2);
}

#[test]
fn up_to_five_batches_are_in_flight_with_sequences_that_follow_each_other() {
    let mut bench = Bench::new();
    (0..7).for_each(|_| bench.push(3));
    let sent = bench.send_all();
    assert_eq!(stamps(&sent), [(0, 0), (0, 3), (0, 6), (0, 9), (0, 12)]);
    bench.ok(sent[0].clone());
    assert_eq!(stamp(&bench.send().unwrap()), (0, 15));
    assert!(bench.send().is_none());
}

#[test]
fn a_cut_connection_sends_the_same_sequences_again_one_after_the_other() {
    let mut bench = Bench::new();
    (0..6).for_each(|_| bench.push(2));
    let sent = bench.send_all();
    let before = stamps(&sent);
    sent.into_iter().for_each(|ticket| bench.cut(ticket));
    assert!(bench.send().is_none(), "no pause");
    bench.rest();
    let mut again = Vec::new();
    for _ in 0..5 {
        let sent = bench.send_all();
        // The last of them may be followed by a new one at once.
        again.push(stamp(&sent[0]));
        sent.into_iter().for_each(|ticket| bench.ok(ticket));
    }
    assert_eq!(again, before);
    bench.finish();
    assert_eq!(bench.delivered, (1..=12).collect::<Vec<_>>());
}

#[test]
fn every_retriable_code_is_tried_again_after_a_pause_and_keeps_its_place() {
    for number in [2, 3, 5, 6, 7, 13, 19, 20, 56, 74, 75, 89] {
        let code = ErrorCode::of(number).unwrap();
        let mut bench = Bench::new();
        (0..3).for_each(|_| bench.push(1));
        let mut sent = bench.send_all().into_iter();
        bench.code(sent.next().unwrap(), code);
        for ticket in sent {
            bench.code(ticket, ErrorCode::OutOfOrderSequenceNumber);
        }
        assert!(bench.send().is_none(), "{code}: no pause");
        assert_eq!(bench.effects.refresh, code.asks_for_metadata(), "{code}");
        bench.rest();
        assert_eq!(stamp(&bench.lane_first()), (0, 0), "{code}");
        bench.finish();
        assert_eq!(bench.delivered, [1, 2, 3], "{code}");
    }
}

impl Bench {
    /// Sends the first batch, is told that it was not, and leaves it for the next time.
    fn lane_first(&mut self) -> Ticket {
        let ticket = self.send().unwrap();
        let unsent = Error::new(Kind::Closed, "not sent").sent_as(Sent::No);
        self.answer(ticket.clone(), Err(Fault::Lost(unsent)));
        ticket
    }
}

#[test]
fn every_final_code_fails_its_batch_alone() {
    for number in [-1, 17, 21, 29, 42, 43, 44, 47, 76, 87] {
        let code = ErrorCode::of(number).unwrap();
        let mut bench = Bench::new();
        (0..3).for_each(|_| bench.push(2));
        let sent = bench.send_all();
        bench.ok(sent[0].clone());
        bench.code(sent[1].clone(), code);
        bench.code(sent[2].clone(), ErrorCode::OutOfOrderSequenceNumber);
        drop(sent);
        bench.finish();
        assert_eq!(bench.delivered, [1, 2, 5, 6], "{code}");
        assert!(bench.lost.iter().all(|(_, fate, _)| *fate == Fate::Failed), "{code}");
        bench.check_books();
    }
}

#[test]
fn after_a_failed_batch_the_next_epoch_begins_with_0() {
    let mut bench = Bench::new();
    (0..3).for_each(|_| bench.push(2));
    let sent = bench.send_all();
    bench.code(sent[0].clone(), ErrorCode::PolicyViolation);
    assert!(bench.send().is_none(), "others are in flight");
    bench.code(sent[1].clone(), ErrorCode::OutOfOrderSequenceNumber);
    bench.code(sent[2].clone(), ErrorCode::OutOfOrderSequenceNumber);
    drop(sent);
    bench.rest();
    let sent = bench.send().unwrap();
    assert_eq!((stamp(&sent), lines(&sent.1).collect::<Vec<_>>()), ((1, 0), vec![3, 4]));
}

#[test]
fn a_fatal_code_is_told_as_such() {
    for number in [31, 35, 49, 53, 90] {
        let code = ErrorCode::of(number).unwrap();
        let mut bench = Bench::new();
        bench.push(1);
        let sent = bench.send().unwrap();
        bench.code(sent, code);
        assert!(bench.effects.fatal.is_some(), "{code}");
        bench.check_books();
    }
}

#[test]
fn a_duplicate_counts_as_delivered() {
    let mut bench = Bench::new();
    bench.push(2);
    let sent = bench.send().unwrap();
    bench.code(sent, ErrorCode::DuplicateSequenceNumber);
    assert_eq!(bench.delivered, [1, 2]);
    bench.push(1);
    assert_eq!(stamp(&bench.send().unwrap()), (0, 2));
}

#[test]
fn out_of_order_behind_others_is_only_too_early() {
    let mut bench = Bench::new();
    (0..2).for_each(|_| bench.push(1));
    let sent = bench.send_all();
    bench.code(sent[1].clone(), ErrorCode::OutOfOrderSequenceNumber);
    bench.rest();
    assert!(bench.send().is_none(), "the first is not answered");
    bench.ok(sent[0].clone());
    drop(sent);
    assert_eq!(stamp(&bench.send().unwrap()), (0, 1));
}

#[test]
fn out_of_order_at_the_front_is_a_gap() {
    for code in [ErrorCode::OutOfOrderSequenceNumber, ErrorCode::UnknownProducerId] {
        let mut bench = Bench::new();
        (0..2).for_each(|_| bench.push(1));
        for ticket in bench.send_all() {
            bench.code(ticket, code);
        }
        bench.rest();
        assert_eq!(stamps(&[bench.send().unwrap()]), [(1, 0)], "{code}");
    }
}

#[test]
fn out_of_order_at_the_beginning_is_for_good() {
    let mut bench = Bench::with(|_| ());
    (0..2).for_each(|_| bench.push(1));
    for n in 1..=2 {
        let sent = bench.send().unwrap();
        assert_eq!(sent.1.stamped().unwrap().base, 0);
        bench.code(sent, ErrorCode::OutOfOrderSequenceNumber);
        assert_eq!(bench.lost.len(), n);
        bench.rest();
    }
    assert!(bench.send().is_none());
}

#[test]
fn retries_bound_the_tries_and_what_may_be_written_is_told_so() {
    for (code, fate) in [
        (ErrorCode::NotEnoughReplicas, Fate::Failed),
        (ErrorCode::NotEnoughReplicasAfterAppend, Fate::Unknown),
    ] {
        let mut bench = Bench::proven(|policy| policy.retries = 2);
        bench.push(1);
        for _ in 0..3 {
            assert!(bench.lost.is_empty());
            bench.rest();
            let ticket = bench.send().unwrap();
            bench.code(ticket, code);
        }
        assert_eq!(bench.lost, [(1, fate, ErrorKind::Other)]);
    }
}

#[test]
fn tries_that_never_left_do_not_count() {
    let mut bench = Bench::proven(|policy| policy.retries = 0);
    bench.push(1);
    for _ in 0..10 {
        bench.rest();
        bench.lane_first();
    }
    bench.finish();
    assert_eq!(bench.delivered, [1]);
}

#[test]
fn the_delivery_timeout_ends_it_as_unknown_if_it_may_have_been_written() {
    let mut bench = Bench::new();
    (0..3).for_each(|_| bench.push(1));
    let first = bench.send().unwrap();
    bench.cut(first);
    bench.rest();
    let _in_flight = bench.send().unwrap();
    bench.now += DELIVERY;
    bench.expire();
    let timed_out = ErrorKind::TimedOut;
    let expected =
        [(1, Fate::Unknown, timed_out), (2, Fate::Failed, timed_out), (3, Fate::Failed, timed_out)];
    assert_eq!(bench.lost, expected);
}

#[test]
fn after_an_unknown_batch_the_later_ones_get_a_new_epoch() {
    let mut bench = Bench::new();
    bench.push(1);
    let first = bench.send().unwrap();
    bench.ok(first);
    bench.push(1);
    let second = bench.send().unwrap();
    bench.now += DELIVERY;
    bench.expire();
    bench.push(1);
    let third = bench.send().unwrap();
    assert_eq!(stamp(&third), (1, 0));
    // The late answer of what was given up changes nothing.
    bench.ok(second);
    bench.ok(third);
    bench.push(1);
    assert_eq!(stamp(&bench.send().unwrap()), (1, 1));
    assert_eq!(bench.delivered, [1, 3]);
}

#[test]
fn an_unknown_batch_that_was_written_after_all_leaves_no_gap() {
    let mut bench = Bench::new();
    bench.push(1);
    let first = bench.send().unwrap();
    bench.now += DELIVERY / 2;
    bench.push(1);
    let second = bench.send().unwrap();
    bench.now += DELIVERY / 2;
    bench.expire();
    assert_eq!(bench.lost.len(), 1);
    bench.push(1);
    assert!(bench.send().is_none(), "the second is to show whether the first was written");
    bench.ok(first);
    bench.ok(second);
    assert_eq!(stamp(&bench.send().unwrap()), (0, 2));
}

#[test]
fn an_unknown_batch_that_was_not_written_shows_with_the_next() {
    let mut bench = Bench::new();
    bench.push(1);
    let _first = bench.send().unwrap();
    bench.now += DELIVERY / 2;
    bench.push(1);
    let second = bench.send().unwrap();
    bench.now += DELIVERY / 2;
    bench.expire();
    bench.code(second, ErrorCode::OutOfOrderSequenceNumber);
    bench.rest();
    assert_eq!(stamp(&bench.send().unwrap()), (1, 0));
}

#[test]
fn too_large_is_split_down_to_the_record_that_is() {
    let mut bench = Bench::new();
    bench.push(5);
    bench.push(2);
    let mut sent = bench.send_all();
    let second = sent.pop().unwrap();
    bench.code(sent.pop().unwrap(), ErrorCode::MessageTooLarge);
    bench.code(second, ErrorCode::OutOfOrderSequenceNumber);
    // Whatever holds line 3 is too large.
    for _ in 0..20 {
        bench.rest();
        let sent = bench.send_all();
        let mut refused = false;
        for ticket in sent {
            let large = lines(&ticket.1).any(|line| line == 3);
            match (large, refused) {
                (true, _) => bench.code(ticket, ErrorCode::RecordListTooLarge),
                (false, true) => bench.code(ticket, ErrorCode::OutOfOrderSequenceNumber),
                (false, false) => bench.ok(ticket),
            }
            refused |= large;
        }
    }
    assert_eq!(bench.delivered, [1, 2, 4, 5, 6, 7]);
    assert_eq!(bench.lost, [(3, Fate::Failed, ErrorKind::TooLarge)]);
}

#[test]
fn halves_keep_the_sequences_of_the_whole() {
    let mut bench = Bench::new();
    bench.push(5);
    let sent = bench.send().unwrap();
    bench.code(sent, ErrorCode::MessageTooLarge);
    assert_eq!(stamps(&bench.send_all()), [(0, 0), (0, 2)]);
}

#[test]
fn what_was_too_large_once_is_not_sent_so_large_again() {
    let mut bench = Bench::new();
    bench.push(100);
    bench.push(100);
    let sent = bench.send().unwrap();
    let size = sent.1.bytes().len();
    bench.code(sent, ErrorCode::MessageTooLarge);
    let limit = bench.limit.load(Ordering::Relaxed);
    assert!(limit < size);
    let sent = bench.send_all();
    assert_eq!(sent.len(), 5);
    assert!(sent.iter().all(|ticket| ticket.1.bytes().len() <= limit));
}

#[test]
fn records_to_blame_fail_and_their_neighbours_are_delivered() {
    let mut bench = Bench::new();
    bench.push(5);
    bench.push(1);
    let mut sent = bench.send_all();
    let second = sent.pop().unwrap();
    let code = ErrorCode::InvalidRecord;
    bench.answer(sent.pop().unwrap(), Err(Fault::Code { code, detail: None, records: vec![1, 3] }));
    bench.code(second, ErrorCode::OutOfOrderSequenceNumber);
    bench.finish();
    assert_eq!(bench.delivered, [1, 3, 5, 6]);
    assert_eq!(bench.lost.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [2, 4]);
}

#[test]
fn blame_that_makes_no_sense_fails_the_batch() {
    for records in [vec![9], vec![0, 1]] {
        let mut bench = Bench::new();
        bench.push(2);
        let sent = bench.send().unwrap();
        let code = ErrorCode::InvalidRecord;
        bench.answer(sent, Err(Fault::Code { code, detail: None, records }));
        assert_eq!(bench.lost.len(), 2);
    }
}

#[test]
fn a_topic_that_stays_missing_is_given_up_after_a_short_while() {
    let mut bench = Bench::new();
    bench.push(1);
    let start = bench.now;
    while bench.lost.is_empty() {
        bench.now += Duration::from_secs(1);
        if let Some(ticket) = bench.send() {
            bench.code(ticket, ErrorCode::UnknownTopicOrPartition);
        }
        assert!(bench.now < start + 3 * MISSING_FOR, "not given up");
    }
    assert!(bench.now >= start + MISSING_FOR);
    assert_eq!(bench.lost, [(1, Fate::Failed, ErrorKind::UnknownTopic)]);
}

#[test]
fn without_sequences_later_batches_wait_while_an_earlier_one_is_sent_again() {
    let mut bench = Bench::plain();
    bench.push(1);
    let sent = bench.send().unwrap();
    bench.push(1);
    bench.code(sent, ErrorCode::NotLeaderOrFollower);
    bench.rest();
    let again = bench.send_all();
    assert_eq!(again.len(), 1);
    assert_eq!(lines(&again[0].1).collect::<Vec<_>>(), [1]);
    assert!(again[0].1.stamped().is_none());
    bench.ok(again[0].clone());
    drop(again);
    bench.finish();
    assert_eq!(bench.delivered, [1, 2]);
}

#[test]
fn without_sequences_a_sequence_error_is_final() {
    let mut bench = Bench::plain();
    bench.push(1);
    let sent = bench.send().unwrap();
    bench.code(sent, ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(bench.lost, [(1, Fate::Failed, ErrorKind::Other)]);
}

#[test]
fn giving_up_tells_what_is_out_from_what_is_not() {
    let mut bench = Bench::new();
    bench.push(1);
    let _out = bench.send().unwrap();
    bench.push(2);
    bench.lane.abandon(&mut bench.effects);
    bench.book();
    let timed_out = ErrorKind::TimedOut;
    let expected =
        [(1, Fate::Unknown, timed_out), (2, Fate::Failed, timed_out), (3, Fate::Failed, timed_out)];
    assert_eq!(bench.lost, expected);
}

#[test]
fn a_new_leader_ends_the_pause() {
    let mut bench = Bench::new();
    bench.push(1);
    let sent = bench.send().unwrap();
    bench.code(sent, ErrorCode::NotLeaderOrFollower);
    assert!(bench.send().is_none());
    bench.lane.hurry();
    assert!(bench.send().is_some());
}

/// Answers at random from a broker that keeps sequences as Kafka does; whatever happens, it holds each record
/// that was told as delivered once and in order.
#[test]
fn any_order_of_faults_keeps_the_records_in_order_and_once() {
    for seed in 0..300 {
        let mut random = Random::seeded(seed);
        let mut bench = Bench::with(|_| {});
        let mut broker = Broker::default();
        for _ in 0..60 {
            if random.number().is_multiple_of(2) {
                bench.push(1 + random.number() % 4);
            }
            let mut cut = false;
            for ticket in bench.send_all() {
                cut |= random.number().is_multiple_of(6);
                match (cut, random.number() % 8) {
                    // It arrived, or not; then the connection is gone for all that follow.
                    (true, 0..4) => {
                        let _ = broker.append(&ticket);
                        bench.cut(ticket);
                    }
                    (true, _) => bench.cut(ticket),
                    (false, 0) => bench.code(ticket, ErrorCode::NotEnoughReplicas),
                    (false, 2) => bench.code(ticket, ErrorCode::PolicyViolation),
                    (false, _) => {
                        let answer = broker.append(&ticket).map_err(Fault::of);
                        bench.answer(ticket, answer.map(|()| Placed::SOMEWHERE));
                    }
                }
            }
            bench.now += Duration::from_millis(500);
        }
        bench.expire();
        while !bench.lane.is_empty() {
            bench.rest();
            for ticket in bench.send_all() {
                let answer = broker.append(&ticket).map_err(Fault::of);
                bench.answer(ticket, answer.map(|()| Placed::SOMEWHERE));
            }
        }
        bench.check_books();
        assert!(broker.lines.is_sorted(), "seed {seed}: {:?}", broker.lines);
        assert!(broker.lines.windows(2).all(|pair| pair[0] != pair[1]), "seed {seed}: {:?}", broker.lines);
        let missing = bench.delivered.iter().find(|line| !broker.lines.contains(line));
        assert_eq!(missing, None, "seed {seed}");
        for (line, fate, _) in &bench.lost {
            assert!(*fate == Fate::Unknown || !broker.lines.contains(line), "seed {seed}: {line}");
        }
    }
}

/// What a partition's leader remembers of one producer.
#[derive(Default)]
struct Broker {
    lines: Vec<u64>,
    epoch: i16,
    next: i32,
    seen: Vec<(i16, i32, usize)>,
}

impl Broker {
    fn append(&mut self, ticket: &Ticket) -> Result<(), ErrorCode> {
        let parcel = &ticket.1;
        let stamp = parcel.stamped().unwrap();
        let (epoch, base) = (stamp.identity.epoch, stamp.base);
        if parcel.len() > 3 || lines(parcel).any(|line| line % 13 == 0) {
            return Err(ErrorCode::MessageTooLarge);
        }
        if epoch < self.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if self.seen.iter().rev().take(5).any(|seen| *seen == (epoch, base, parcel.len())) {
            return Ok(());
        }
        // Any number will do for the first.
        if !self.seen.is_empty() && base != if epoch > self.epoch { 0 } else { self.next } {
            return Err(ErrorCode::OutOfOrderSequenceNumber);
        }
        self.epoch = epoch;
        self.next = base + parcel.len() as i32;
        self.seen.push((epoch, base, parcel.len()));
        self.lines.extend(lines(parcel));
        Ok(())
    }
}
