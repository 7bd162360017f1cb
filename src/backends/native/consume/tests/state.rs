//! What is asked of whom after every answer there is.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use tokio::time::Instant;

use super::super::fetcher::{Fetcher, Question, Rules, View};
use super::super::frame::{Assigned, Span, Told};
use super::super::outcomes::Places;
use super::super::partition::Fault;
use super::super::session::{Ask, Terms};
use super::*;
use crate::backends::ErrorKind;
use crate::backends::reset::Reset;
use crate::wire::messages::{
    FetchAbortedTransaction, FetchDivergingEpoch, FetchResponse, FetchResponsePartition, FetchResponseTopic,
};
use crate::wire::net::{self, Isolation, Kind, Leader};
use crate::wire::{ErrorCode, Records, Uuid};

/// The whole of the bytes, wherever they are.
pub(super) struct Anywhere;

impl Places for Anywhere {
    fn range_of(&self, part: &[u8]) -> Option<Range<usize>> {
        Some(0..part.len())
    }
}

/// The cluster of a test: broker 1 leads all in epoch 5, unless told otherwise.
#[derive(Clone, Default)]
pub(super) struct Known(pub(super) HashMap<i32, std::result::Result<Leader, ErrorCode>>);

impl Known {
    fn with(partition: i32, leader: std::result::Result<(i32, i32), ErrorCode>) -> Arc<Self> {
        let leader = leader.map(|(id, epoch)| Leader { id, epoch });
        Arc::new(Self([(partition, leader)].into()))
    }
}

impl View for Known {
    fn leader(&self, _: &str, partition: i32) -> std::result::Result<Leader, ErrorCode> {
        self.0.get(&partition).copied().unwrap_or(Ok(Leader { id: 1, epoch: 5 }))
    }

    fn topic_id(&self, _: &str) -> Option<Uuid> {
        None
    }

    fn has_broker(&self, id: i32) -> bool {
        (1..=3).contains(&id)
    }
}

pub(super) fn rules() -> Rules {
    Rules {
        terms: Terms {
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: 1000,
            isolation: Isolation::Committed,
            rack: "here".to_owned(),
        },
        partition_bytes: 200,
        max_batch: 10_000,
        reset: Reset::Earliest,
        patience: (Duration::from_secs(5), Duration::from_secs(60)),
        pause: (Duration::from_millis(100), Duration::from_secs(1)),
        nearer_for: Duration::from_secs(300),
    }
}

/// A fetcher with a clock of its own.
struct Bench {
    fetcher: Fetcher,
    now: Instant,
    session: i32,
}

/// What a request names: partition, offset, last epoch.
type Named = Vec<(i32, i64, i32)>;

fn named(ask: &Ask) -> Named {
    ask.wanted.iter().map(|(_, partition, place)| (*partition, place.offset, place.last_epoch)).collect()
}

impl Bench {
    /// Reads so many partitions from offset 0.
    fn new(partitions: i32) -> Self {
        Self::with(partitions, rules())
    }

    fn with(partitions: i32, rules: Rules) -> Self {
        let fetcher = Fetcher::new(rules, Arc::new(Known::default()));
        let mut bench = Self { fetcher, now: Instant::now(), session: 7 };
        bench.assign(0..partitions, 0);
        bench
    }

    fn assign(&mut self, partitions: Range<i32>, offset: i64) {
        let starts = partitions.map(|partition| (Assigned::new(tp(partition)), offset)).collect();
        self.fetcher.assign(starts, self.now);
    }

    fn learn(&mut self, known: Arc<Known>) {
        self.fetcher.learn(known, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.fetcher.tick(self.now);
    }

    #[track_caller]
    fn ask(&mut self) -> Ask {
        let mut asks = self.fetcher.asks(self.now);
        assert_eq!(asks.len(), 1, "{asks:?}");
        asks.remove(0)
    }

    fn asks(&mut self) -> Vec<(i32, Named)> {
        self.fetcher.asks(self.now).iter().map(|ask| (ask.broker, named(ask))).collect()
    }

    /// Broker 1 answers so.
    fn answer(&mut self, partitions: Vec<FetchResponsePartition<'_>>) -> Vec<Span> {
        self.answer_of(1, partitions)
    }

    fn answer_of(&mut self, broker: i32, partitions: Vec<FetchResponsePartition<'_>>) -> Vec<Span> {
        let topic = FetchResponseTopic { topic: "t".into(), partitions };
        let response =
            FetchResponse { session_id: self.session, responses: vec![topic], ..Default::default() };
        self.fetcher.answered(broker, &response, &Anywhere, self.now)
    }

    fn refuse(&mut self, code: ErrorCode) {
        let response = FetchResponse { error_code: code as i16, ..Default::default() };
        assert!(self.fetcher.answered(1, &response, &Anywhere, self.now).is_empty());
    }

    /// What was told, in words.
    fn told(&mut self) -> Vec<String> {
        let words = |told| match told {
            Told::Frame(_) => panic!("a frame"),
            Told::Reached(of, next) => format!("{} at {next}", of.tp),
            Told::Warn(text) => text,
            Told::Notice(notice) => notice.to_string(),
            Told::Failed(_, error) => format!("{:?} {error}", error.kind()),
        };
        self.fetcher.told.drain(..).map(words).collect()
    }

    fn questions(&mut self) -> Vec<Question> {
        self.fetcher.questions.drain(..).collect()
    }
}

/// Batches of a partition whose end is far away.
pub(super) fn with(index: i32, bytes: &[u8]) -> FetchResponsePartition<'_> {
    FetchResponsePartition {
        partition_index: index,
        high_watermark: 1000,
        last_stable_offset: 1000,
        records: Some(Records::Bytes(bytes)),
        ..Default::default()
    }
}

/// Nothing of a partition, up to its end.
fn end(index: i32, end: i64) -> FetchResponsePartition<'static> {
    FetchResponsePartition { high_watermark: end, last_stable_offset: end, ..with(index, &[]) }
}

pub(super) fn error(index: i32, code: ErrorCode) -> FetchResponsePartition<'static> {
    FetchResponsePartition { error_code: code as i16, ..end(index, -1) }
}

/// A batch of two records that leader `epoch` appended.
fn two(offset: i64, epoch: i32) -> Vec<u8> {
    let mut bytes = batch(offset, &["a", "b"]);
    crate::wire::batch::set_leader_epoch(&mut bytes, epoch);
    bytes
}

#[test]
fn a_session_is_opened_with_everything_and_goes_on_with_what_changed() {
    let mut bench = Bench::new(3);
    let ask = bench.ask();
    assert_eq!((ask.session_id, ask.session_epoch, ask.hurry), (0, 0, true));
    assert_eq!(named(&ask), [(0, 0, -1), (1, 0, -1), (2, 0, -1)]);
    assert!(bench.fetcher.asks(bench.now).is_empty(), "one request at a time");
    let bytes = two(0, 4);
    let spans = bench.answer(vec![end(0, 0), with(1, &bytes), end(2, 0)]);
    assert_eq!((spans.len(), spans[0].of.tp.partition, spans[0].from, spans[0].at_end), (1, 1, 0, false));
    let ask = bench.ask();
    assert_eq!((ask.session_id, ask.session_epoch, ask.hurry), (7, 1, false));
    assert_eq!(named(&ask), [(1, 2, 4)]);
    bench.answer(vec![]);
    let ask = bench.ask();
    assert_eq!((ask.session_epoch, named(&ask), ask.forgotten.len()), (2, vec![], 0));
}

#[test]
fn only_a_session_that_was_opened_is_taken_leave_of() {
    let mut bench = Bench::new(2);
    bench.ask();
    assert_eq!(bench.fetcher.farewells(), []);
    bench.answer(vec![end(0, 0), end(1, 0)]);
    let farewells = bench.fetcher.farewells();
    let [ask] = &farewells[..] else { panic!("{farewells:?}") };
    let request = ask.request(&bench.fetcher.rules.terms);
    assert_eq!((ask.broker, request.session_id, request.session_epoch), (1, 7, -1));
    assert!(request.topics.is_empty() && request.forgotten_topics_data.is_empty());
    assert_eq!(request.max_wait_ms, 0);
}

#[test]
fn a_request_carries_epochs_limits_and_the_rack() {
    let mut bench = Bench::new(1);
    let (ask, terms) = (bench.ask(), rules().terms);
    let request = ask.request(&terms);
    assert_eq!((request.max_wait_ms, request.min_bytes, request.max_bytes), (0, 1, 1000));
    assert_eq!((request.isolation_level, &*request.rack_id), (1, "here"));
    let partition = &request.topics[0].partitions[0];
    assert_eq!((partition.current_leader_epoch, partition.partition_max_bytes), (5, 200));
}

#[test]
fn a_partition_that_is_dropped_is_forgotten_and_its_answer_ignored() {
    let mut bench = Bench::new(2);
    bench.ask();
    bench.fetcher.remove("t", 1, bench.now);
    let bytes = two(0, 0);
    assert!(bench.answer(vec![end(0, 0), with(1, &bytes)]).is_empty());
    let ask = bench.ask();
    assert_eq!((named(&ask), ask.forgotten), (vec![], vec![("t".into(), 1)]));
}

#[test]
fn an_answer_to_an_earlier_assignment_is_not_taken_for_the_new_one() {
    let mut bench = Bench::new(1);
    bench.ask();
    bench.assign(0..1, 1);
    let bytes = two(0, 0);
    assert!(bench.answer(vec![with(0, &bytes)]).is_empty());
    // The broker would not tell again where a partition ends that it knows.
    let ask = bench.ask();
    assert_eq!((ask.session_id, ask.session_epoch, named(&ask)), (7, 0, vec![(0, 1, -1)]));
    assert!(ask.hurry && ask.forgotten.is_empty());
}

#[test]
fn lost_sessions_are_opened_anew_without_a_word() {
    let mut bench = Bench::new(2);
    bench.ask();
    bench.answer(vec![end(0, 0), end(1, 0)]);
    bench.ask();
    bench.refuse(ErrorCode::FetchSessionIdNotFound);
    let ask = bench.ask();
    assert_eq!((ask.session_id, ask.session_epoch, ask.wanted.len()), (0, 0, 2));
    bench.answer(vec![]);
    bench.ask();
    bench.refuse(ErrorCode::InvalidFetchSessionEpoch);
    let ask = bench.ask();
    assert_eq!((ask.session_id, ask.session_epoch, ask.wanted.len()), (7, 0, 2), "the old one is closed");
    assert_eq!(bench.told(), ["t[0] at 0", "t[1] at 0"]);
}

#[test]
fn a_broker_that_loses_every_session_is_asked_with_pauses() {
    let mut bench = Bench::new(1);
    for _ in 0..3 {
        bench.ask();
        bench.refuse(ErrorCode::FetchSessionIdNotFound);
    }
    assert!(bench.asks().is_empty());
    bench.pass(Duration::from_millis(100));
    bench.ask();
}

#[test]
fn without_a_session_everything_is_named_and_partitions_take_turns() {
    let mut bench = Bench::new(3);
    bench.session = 0;
    bench.ask();
    let (first, second) = (two(0, 0), two(0, 0));
    bench.answer(vec![with(0, &first), with(1, &second), with(2, &[])]);
    let ask = bench.ask();
    assert_eq!((ask.session_epoch, named(&ask)), (0, vec![(2, 0, -1), (0, 2, 0), (1, 2, 0)]));
}

#[test]
fn the_end_is_told_once_and_again_after_more_records() {
    let mut bench = Bench::new(1);
    bench.ask();
    bench.answer(vec![end(0, 0)]);
    bench.ask();
    bench.answer(vec![end(0, 0)]);
    assert_eq!(bench.told(), ["t[0] at 0"]);
    bench.ask();
    let bytes = two(0, 0);
    let at_two = FetchResponsePartition { records: Some(Records::Bytes(&bytes)), ..end(0, 2) };
    assert!(bench.answer(vec![at_two])[0].at_end);
    bench.ask();
    bench.answer(vec![end(0, 2)]);
    assert!(bench.told().is_empty(), "the frame tells it");
}

#[test]
fn committed_records_end_where_transactions_are_open() {
    let open = FetchResponsePartition { high_watermark: 9, last_stable_offset: 0, ..with(0, &[]) };
    let mut bench = Bench::new(1);
    bench.ask();
    bench.answer(vec![open.clone()]);
    assert_eq!(bench.told(), ["t[0] at 0"]);
    let mut all = rules();
    all.terms.isolation = Isolation::Uncommitted;
    let mut bench = Bench::with(1, all);
    bench.ask();
    bench.answer(vec![open]);
    assert!(bench.told().is_empty());
}

#[test]
fn aborted_transactions_come_with_their_batches() {
    let mut bench = Bench::new(1);
    bench.ask();
    let bytes = two(0, 0);
    let aborted = vec![FetchAbortedTransaction { producer_id: 8, first_offset: 0 }];
    let told = FetchResponsePartition { aborted_transactions: Some(aborted), ..with(0, &bytes) };
    assert_eq!(bench.answer(vec![told])[0].aborted, [(8, 0)]);
}

#[test]
fn a_batch_that_does_not_come_whole_is_asked_for_at_its_size() {
    let mut bench = Bench::new(1);
    bench.ask();
    let whole = batch(0, &["x".repeat(5000).as_str()]);
    assert!(bench.answer(vec![with(0, &whole[..200])]).is_empty());
    let (ask, terms) = (bench.ask(), rules().terms);
    let request = ask.request(&terms);
    let size = whole.len() as i32;
    assert_eq!((request.topics[0].partitions[0].partition_max_bytes, request.max_bytes), (size, size));
    assert_eq!(bench.answer(vec![with(0, &whole)]).len(), 1);
    assert_eq!(bench.ask().wanted[0].2.bytes, 200);
}

#[test]
fn a_batch_larger_than_what_can_be_taken_is_an_error_with_its_place() {
    let mut bench = Bench::new(1);
    bench.ask();
    let mut whole = batch(0, &["x".repeat(500).as_str()]);
    whole[8..12].copy_from_slice(&1_000_000_i32.to_be_bytes());
    bench.answer(vec![with(0, &whole)]);
    assert_eq!(
        bench.told(),
        ["BadRecord t[0]: a batch of 1000012 bytes at offset 0: at most 10000 are read"]
    );
    assert!(bench.asks().is_empty());
}

#[test]
fn a_broker_that_sends_no_whole_batch_is_not_asked_without_end() {
    let mut bench = Bench::new(1);
    let below = two(0, 0);
    bench.fetcher.remove("t", 0, bench.now);
    bench.assign(0..1, 2);
    for _ in 0..200 {
        bench.asks();
        bench.answer(vec![with(0, &below)]);
        bench.pass(Duration::from_secs(1));
    }
    let told = bench.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("BadRecord t[0]: the broker sends no whole batch at offset 2"), "{told:?}");
}

#[test]
fn what_is_no_batch_is_handed_over_and_ends_the_fetching() {
    let mut bench = Bench::new(2);
    bench.ask();
    let mut bytes = two(0, 0);
    bytes.extend_from_slice(&[0xff; 70]);
    let spans = bench.answer(vec![with(0, &bytes)]);
    assert_eq!((spans.len(), spans[0].range.clone()), (1, 0..bytes.len()));
    let ask = bench.ask();
    assert_eq!((named(&ask), ask.forgotten), (vec![], vec![("t".into(), 0)]));
}

#[test]
fn a_leader_that_moved_is_found_and_asked_from_the_same_offset() {
    for code in [
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::FencedLeaderEpoch,
        ErrorCode::UnknownLeaderEpoch,
        ErrorCode::ReplicaNotAvailable,
        ErrorCode::KafkaStorageError,
        ErrorCode::OffsetNotAvailable,
        ErrorCode::LeaderNotAvailable,
        ErrorCode::UnknownServerError,
    ] {
        let mut bench = Bench::new(2);
        bench.ask();
        let bytes = two(0, 3);
        bench.answer(vec![with(0, &bytes), end(1, 0)]);
        bench.ask();
        bench.answer(vec![error(0, code)]);
        assert_eq!(bench.questions(), [Question::Metadata("t".into())], "{code}");
        let ask = bench.ask();
        assert_eq!((named(&ask), ask.forgotten.len()), (vec![], 1), "{code}");
        bench.learn(Known::with(0, Ok((2, 6))));
        let asks = bench.asks();
        assert_eq!(asks, [(2, vec![(0, 2, 3)])], "{code}");
        assert_eq!(bench.told(), ["t[1] at 0"], "{code}");
    }
}

#[test]
fn an_error_that_may_pass_is_tried_again_after_growing_pauses() {
    let mut bench = Bench::new(1);
    for pause in [100, 200, 400, 800, 1000, 1000] {
        bench.ask();
        bench.answer(vec![error(0, ErrorCode::NotLeaderOrFollower)]);
        let due = bench.fetcher.next_time().unwrap();
        assert_eq!(due - bench.now, Duration::from_millis(pause));
        bench.pass(due - bench.now);
    }
    bench.ask();
    bench.answer(vec![end(0, 0)]);
    let told = bench.told();
    assert_eq!(told[0], "t[0]: the broker answered NOT_LEADER_OR_FOLLOWER; trying again");
    assert_eq!(told[1..], ["t[0] at 0", "t[0] is back after 3.5 s"]);
}

#[test]
fn trouble_that_lasts_ends_the_reading_and_names_the_partition() {
    let mut bench = Bench::new(1);
    for _ in 0..70 {
        bench.asks();
        bench.answer(vec![error(0, ErrorCode::NotLeaderOrFollower)]);
        bench.pass(Duration::from_secs(1));
    }
    let told = bench.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1], "Unreachable t[0]: the broker answered NOT_LEADER_OR_FOLLOWER, for 60 s now");
}

#[test]
fn a_topic_that_stays_unknown_is_gone() {
    let mut bench = Bench::new(1);
    bench.ask();
    bench.answer(vec![error(0, ErrorCode::UnknownTopicOrPartition)]);
    bench.learn(Known::with(0, Err(ErrorCode::UnknownTopicOrPartition)));
    for _ in 0..10 {
        bench.pass(Duration::from_secs(1));
    }
    let told = bench.told();
    assert!(told.last().unwrap().starts_with("UnknownTopic unknown topic t: "), "{told:?}");
    assert!(bench.asks().is_empty() && bench.fetcher.next_time().is_none());
}

#[test]
fn a_partition_without_a_leader_is_read_when_it_has_one() {
    let mut bench = Bench::new(0);
    bench.learn(Known::with(0, Err(ErrorCode::LeaderNotAvailable)));
    bench.assign(0..1, 4);
    assert!(bench.asks().is_empty());
    bench.learn(Known::with(0, Ok((3, 1))));
    assert_eq!(bench.asks(), [(3, vec![(0, 4, -1)])]);
}

#[test]
fn errors_for_good_end_the_reading() {
    for (code, expected) in [
        (ErrorCode::TopicAuthorizationFailed, "Authorization t[0]: no permission for this topic"),
        (ErrorCode::InvalidTopic, "UnknownTopic t[0]: not a topic name the broker accepts"),
        (ErrorCode::CorruptMessage, "BadRecord t[0]: the broker cannot read its batch at offset 0"),
        (
            ErrorCode::UnsupportedCompressionType,
            "Unsupported t[0]: the broker answered UNSUPPORTED_COMPRESSION_TYPE",
        ),
    ] {
        let mut bench = Bench::new(1);
        bench.ask();
        bench.answer(vec![error(0, code)]);
        assert_eq!(bench.told(), [expected]);
        assert!(bench.asks().is_empty());
    }
}

#[test]
fn every_error_code_leads_on_or_to_one_error() {
    for number in -1..=140 {
        let Some(code) = ErrorCode::of(number) else { continue };
        for whole in [false, true] {
            let mut bench = Bench::new(1);
            bench.ask();
            if whole {
                bench.refuse(code)
            } else {
                drop(bench.answer(vec![error(0, code)]))
            }
            let ended = bench.told().iter().any(|line| !line.ends_with("; trying again"));
            let waits = bench.fetcher.next_time().is_some();
            let goes_on = waits || !bench.asks().is_empty() || !bench.questions().is_empty();
            assert!(ended != goes_on, "{code} {whole}: ended {ended}, goes on {goes_on}");
        }
    }
}

#[test]
fn an_offset_that_is_not_there_is_reset_with_one_line() {
    let mut bench = Bench::new(1);
    bench.fetcher.remove("t", 0, bench.now);
    bench.assign(0..1, 50);
    bench.ask();
    bench.answer(vec![error(0, ErrorCode::OffsetOutOfRange)]);
    let Question::Offset(id, .., reset) = bench.questions().remove(0) else { panic!() };
    assert_eq!(reset, Reset::Earliest);
    bench.fetcher.found(id, Ok(80), bench.now);
    assert_eq!(bench.told(), ["t[0]: there is no offset 50: reading from 80 (auto.offset.reset=earliest)"]);
    assert_eq!(named(&bench.ask()), [(0, 80, -1)]);
}

#[test]
fn an_offset_that_is_not_there_is_an_error_without_a_reset() {
    let mut bench = Bench::with(1, Rules { reset: Reset::None, ..rules() });
    bench.ask();
    bench.answer(vec![error(0, ErrorCode::OffsetOutOfRange)]);
    assert_eq!(bench.told(), ["OffsetOutOfRange t[0]: there is no offset 0 (auto.offset.reset=none)"]);
    assert!(bench.questions().is_empty());
}

#[test]
fn a_reset_that_fails_is_tried_again_and_not_for_ever() {
    let mut bench = Bench::new(1);
    for _ in 0..70 {
        bench.asks();
        bench.answer(vec![error(0, ErrorCode::OffsetOutOfRange)]);
        for question in bench.questions() {
            if let Question::Offset(id, ..) = question {
                let fault = Fault::of(ErrorCode::LeaderNotAvailable);
                bench.fetcher.found(id, Err(fault), bench.now);
            }
        }
        bench.pass(Duration::from_secs(1));
    }
    let told = bench.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("Unreachable t[0]: no broker leads this partition, for 60 s"), "{told:?}");
}

/// Has read two records of epoch 3.
fn after_two() -> Bench {
    let mut bench = Bench::new(1);
    bench.ask();
    let bytes = two(0, 3);
    bench.answer(vec![with(0, &bytes)]);
    assert_eq!(named(&bench.ask()), [(0, 2, 3)]);
    bench
}

#[test]
fn an_offset_refused_with_its_epoch_is_asked_for_again_without() {
    let mut bench = after_two();
    bench.answer(vec![error(0, ErrorCode::OffsetOutOfRange)]);
    assert_eq!(named(&bench.ask()), [(0, 2, -1)]);
    bench.answer(vec![error(0, ErrorCode::OffsetOutOfRange)]);
    assert!(matches!(bench.questions()[..], [Question::Offset(..)]));
    assert!(bench.told().is_empty());
}

fn diverging(epoch: i32, end_offset: i64) -> FetchResponsePartition<'static> {
    FetchResponsePartition { diverging_epoch: FetchDivergingEpoch { epoch, end_offset }, ..end(0, 1) }
}

#[test]
fn a_log_that_was_cut_back_is_read_from_where_it_was_cut() {
    let mut bench = after_two();
    bench.answer(vec![diverging(2, 1)]);
    let told = bench.told();
    assert_eq!(told, ["t[0]: the broker has lost the records from offset 1 to 1: reading what is there now"]);
    assert_eq!(named(&bench.ask()), [(0, 1, 2)]);
}

#[test]
fn a_log_that_was_cut_back_is_an_error_without_a_reset() {
    let mut bench = after_two();
    bench.fetcher.rules.reset = Reset::None;
    bench.answer(vec![diverging(2, 1)]);
    assert!(bench.told()[0].starts_with("OffsetOutOfRange t[0]: the broker has lost"));
}

/// The cluster of a test in which the topic has an id.
struct Identified(u8);

impl View for Identified {
    fn leader(&self, topic: &str, partition: i32) -> std::result::Result<Leader, ErrorCode> {
        Known::default().leader(topic, partition)
    }

    fn topic_id(&self, _: &str) -> Option<Uuid> {
        Some(Uuid([self.0; 16]))
    }

    fn has_broker(&self, id: i32) -> bool {
        Known::default().has_broker(id)
    }
}

/// As [`after_two`], of the first topic; and metadata then tells of topic `then`.
fn identified(refusal: FetchResponsePartition<'_>, then: u8) -> Bench {
    let mut bench = after_two();
    bench.fetcher.learn(Arc::new(Identified(1)), bench.now);
    assert!(bench.told().is_empty());
    bench.answer(vec![refusal]);
    assert!(matches!(bench.questions()[..], [Question::Metadata(..)]));
    assert!(bench.asks().is_empty(), "what is refused waits for the answer");
    bench.fetcher.learn(Arc::new(Identified(then)), bench.now);
    bench.fetcher.refreshed(bench.now);
    bench
}

const AGAIN: &str = "topic t was deleted and created again";

#[test]
fn a_topic_created_again_is_read_from_its_beginning() {
    for refusal in [diverging(3, 1), error(0, ErrorCode::OffsetOutOfRange)] {
        let mut bench = identified(refusal, 2);
        assert_eq!(bench.told(), [format!("{AGAIN}: reading it from its beginning")]);
        assert_eq!(named(&bench.ask()), [(0, 0, -1)]);
    }
}

#[test]
fn a_topic_created_again_is_noticed_without_a_refusal_and_told_once() {
    let mut bench = Bench::new(2);
    bench.fetcher.learn(Arc::new(Identified(1)), bench.now);
    bench.ask();
    let bytes = two(0, 3);
    bench.answer(vec![with(0, &bytes), with(1, &bytes)]);
    bench.fetcher.learn(Arc::new(Identified(2)), bench.now);
    assert_eq!(bench.told(), [format!("{AGAIN}: reading it from its beginning")]);
    assert_eq!(named(&bench.ask()), [(0, 0, -1), (1, 0, -1)]);
}

#[test]
fn a_topic_created_again_is_an_error_without_a_reset() {
    let mut bench = after_two();
    bench.fetcher.rules.reset = Reset::None;
    bench.fetcher.learn(Arc::new(Identified(1)), bench.now);
    bench.fetcher.learn(Arc::new(Identified(2)), bench.now);
    assert_eq!(bench.told(), [format!("OffsetOutOfRange {AGAIN} (auto.offset.reset=none)")]);
    assert!(bench.asks().is_empty());
}

#[test]
fn a_refusal_by_the_topic_that_was_read_is_meant() {
    let mut bench = identified(diverging(2, 1), 1);
    assert_eq!(named(&bench.ask()), [(0, 2, 3)]);
    bench.answer(vec![diverging(2, 1)]);
    assert!(bench.told()[0].starts_with("t[0]: the broker has lost the records from offset 1 to 1"));
}

#[test]
fn a_nearer_broker_is_asked_for_a_while() {
    let mut bench = after_two();
    bench.answer(vec![FetchResponsePartition { preferred_read_replica: 2, ..end(0, 9) }]);
    assert_eq!(bench.asks(), [(2, vec![(0, 2, 3)])]);
    let bytes = two(2, 3);
    assert_eq!(bench.answer_of(2, vec![with(0, &bytes)]).len(), 1);
    assert_eq!(bench.asks(), [(2, vec![(0, 4, 3)])]);
    bench.answer_of(2, vec![]);
    bench.pass(Duration::from_secs(300));
    assert_eq!(bench.asks(), [(1, vec![(0, 4, 3)])]);
}

#[test]
fn the_leader_is_asked_when_the_nearer_broker_cannot_serve() {
    let lost = net::Error::new(Kind::Closed, "gone");
    let faults: [&dyn Fn(&mut Bench); 3] = [
        &|bench| drop(bench.answer_of(2, vec![error(0, ErrorCode::OffsetOutOfRange)])),
        &|bench| bench.fetcher.failed(2, &lost, bench.now),
        &|bench| {
            bench.answer_of(2, vec![error(0, ErrorCode::NotLeaderOrFollower)]);
            bench.pass(Duration::from_secs(1));
        },
    ];
    for fault in faults {
        let mut bench = after_two();
        bench.answer(vec![FetchResponsePartition { preferred_read_replica: 2, ..end(0, 9) }]);
        assert_eq!(bench.asks(), [(2, vec![(0, 2, 3)])]);
        fault(&mut bench);
        assert_eq!(bench.asks(), [(1, vec![(0, 2, 3)])]);
        assert!(bench.told().is_empty());
    }
}

#[test]
fn a_broker_that_cannot_be_reached_is_tried_again_after_pauses_with_a_new_session() {
    let mut bench = Bench::new(2);
    let lost = net::Error::new(Kind::Closed, "it closed the connection");
    bench.ask();
    bench.answer(vec![end(0, 0), end(1, 0)]);
    bench.ask();
    for pause in [100, 200, 400] {
        bench.fetcher.failed(1, &lost, bench.now);
        assert!(bench.asks().is_empty());
        bench.pass(Duration::from_millis(pause));
        let ask = bench.ask();
        assert_eq!((ask.session_id, ask.session_epoch, ask.wanted.len()), (0, 0, 2));
    }
    bench.fetcher.failed(1, &lost, bench.now);
    let told = bench.told();
    assert_eq!(told[2..], ["t[0]: it closed the connection; trying again"]);
    bench.pass(Duration::from_secs(1));
    bench.ask();
    bench.answer(vec![end(0, 0), end(1, 0)]);
    assert_eq!(bench.told(), ["t[0] is back after 1.7 s"]);
}

#[test]
fn a_failure_that_will_not_pass_ends_the_reading() {
    let mut bench = Bench::new(2);
    bench.ask();
    bench.fetcher.failed(1, &net::Error::new(Kind::Authentication, "no"), bench.now);
    assert_eq!(bench.told(), ["Authentication t[0]: no"]);
}

#[test]
fn a_throttled_client_waits_as_long_as_it_is_told() {
    let mut bench = Bench::new(1);
    bench.ask();
    let response = FetchResponse { throttle_time_ms: 2000, session_id: 7, ..Default::default() };
    bench.fetcher.answered(1, &response, &Anywhere, bench.now);
    assert!(bench.asks().is_empty());
    bench.pass(Duration::from_secs(2));
    bench.ask();
}

#[test]
fn a_throttle_without_measure_is_not_waited_for() {
    let mut bench = Bench::new(1);
    bench.ask();
    let response = FetchResponse { throttle_time_ms: i32::MAX, session_id: 7, ..Default::default() };
    bench.fetcher.answered(1, &response, &Anywhere, bench.now);
    bench.pass(Duration::from_secs(60));
    bench.ask();
}

#[test]
fn many_brokers_share_what_may_be_on_its_way() {
    let mut all = rules();
    all.terms.max_bytes = 2 << 20;
    let mut bench = Bench::with(0, all);
    let leaders = (0..32).map(|p| (p, Ok(Leader { id: p, epoch: 0 }))).collect();
    bench.learn(Arc::new(Known(leaders)));
    bench.assign(0..32, 0);
    let asks = bench.fetcher.asks(bench.now);
    assert_eq!(asks.iter().map(|ask| ask.max_bytes).collect::<Vec<_>>(), [512 << 10; 32]);
}

#[test]
fn a_topic_that_may_not_be_read_ends_the_reading_at_once() {
    let mut bench = Bench::new(0);
    bench.learn(Known::with(0, Err(ErrorCode::TopicAuthorizationFailed)));
    bench.assign(0..1, 0);
    assert_eq!(bench.told(), ["Authorization t[0]: no permission for this topic"]);
    assert!(bench.fetcher.next_time().is_none());
}

#[test]
fn leaders_that_change_take_their_partitions_along() {
    let mut bench = Bench::new(2);
    bench.ask();
    bench.learn(Known::with(1, Ok((2, 9))));
    assert_eq!(bench.asks(), [(2, vec![(1, 0, -1)])]);
    // The old leader's answer comes late.
    let bytes = two(0, 0);
    let spans = bench.answer(vec![with(0, &bytes), with(1, &bytes)]);
    assert_eq!(spans.iter().map(|span| span.of.tp.partition).collect::<Vec<_>>(), [0]);
    let ask = bench.ask();
    assert_eq!((named(&ask), ask.forgotten), (vec![(0, 2, 0)], vec![("t".into(), 1)]));
}

#[test]
fn answers_about_what_was_not_asked_for_change_nothing() {
    let mut bench = Bench::new(1);
    bench.ask();
    let bytes = two(0, 0);
    assert!(bench.answer(vec![with(5, &bytes), with(-1, &bytes)]).is_empty());
    assert!(bench.answer_of(99, vec![with(0, &bytes)]).is_empty());
    assert_eq!(named(&bench.ask()), []);
    assert!(bench.told().is_empty());
}

#[test]
fn the_kind_of_trouble_is_the_kind_of_the_error() {
    let fault = Fault::of(ErrorCode::LeaderNotAvailable);
    assert_eq!((fault.kind, fault.is_unknown), (ErrorKind::Unreachable, false));
}
