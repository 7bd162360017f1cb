//! The subscriber around a library that does what a test says.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::subscriber::ResilientSubscriber;
use super::super::{OpenSubscriber, Policy};
use super::Hands;
use crate::backends::{
    At, Error, ErrorKind, Notice, Offsets, Polled, RecordSink, Result, Start, StartOrigin, Starts,
    Subscriber, TopicPartition, Topics, Waker,
};
use crate::record::{NoHeaders, RecordRef, TimestampType};

/// Short, since pauses are waited for.
const POLICY: Policy = Policy { tries: 3, interval: Duration::from_millis(50), jitter: 0.0 };
const MS: Duration = Duration::from_millis(1);

/// What the library does with the next `poll`.
enum Do {
    /// Pushes the record of this offset of a partition.
    Push(i32, i64),
    Tell(Notice),
    Fail(Error),
}

#[derive(Default)]
struct Inside {
    script: VecDeque<Do>,
    /// What the next questions and openings come to.
    refusals: VecDeque<Error>,
    opened: usize,
    assigned: Vec<Offsets>,
    joined: Vec<Arc<Starts>>,
}

#[derive(Clone, Default)]
struct World(Arc<Mutex<Inside>>);

impl World {
    fn set<T>(&self, change: impl FnOnce(&mut Inside) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn answer<T>(&self, answer: T) -> Result<T> {
        self.set(|inside| inside.refusals.pop_front()).map_or(Ok(answer), Err)
    }
}

struct Fake(World);

impl Subscriber for Fake {
    fn waker(&self) -> Waker {
        Arc::new(|| ())
    }

    fn partitions(&mut self, _: &Topics) -> Result<Vec<TopicPartition>> {
        self.0.answer(vec![place(0), place(1)])
    }

    fn list_offsets(&mut self, places: &[(TopicPartition, At)]) -> Result<Vec<i64>> {
        self.0.answer(vec![0; places.len()])
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>> {
        self.0.answer(vec![None; partitions.len()])
    }

    fn assign(&mut self, starts: &Offsets) -> Result<()> {
        self.0.set(|inside| inside.assigned.push(starts.clone()));
        self.0.answer(())
    }

    fn unassign(&mut self, _: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    fn join(&mut self, _: &Topics, starts: Arc<Starts>) -> Result<()> {
        self.0.set(|inside| inside.joined.push(starts));
        self.0.answer(())
    }

    fn poll(&mut self, _: Duration, sink: &mut dyn RecordSink) -> Result<Polled> {
        let mut records = 0;
        while let Some(step) = self.0.set(|inside| inside.script.pop_front()) {
            match step {
                Do::Push(partition, offset) => {
                    let _ = sink.record(&record(partition, offset));
                    records += 1;
                }
                Do::Tell(notice) => sink.notice(&notice),
                Do::Fail(error) => return Err(error),
            }
        }
        Ok(Polled { records, idle: true })
    }

    fn commit(&mut self, _: &Offsets) -> Result<()> {
        self.0.answer(())
    }

    fn close(self: Box<Self>, _: Instant, _: &mut dyn RecordSink) -> Result<()> {
        Ok(())
    }
}

fn place(partition: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition }
}

fn record(partition: i32, offset: i64) -> RecordRef<'static> {
    RecordRef {
        topic: "t",
        partition,
        offset,
        timestamp: -1,
        timestamp_type: TimestampType::Create,
        key: None,
        value: None,
        headers: &NoHeaders,
    }
}

fn refused() -> Error {
    Error::new(ErrorKind::Unreachable, "refused")
}

/// What the command sees: partition and offset.
#[derive(Default)]
struct Seen(Vec<(i32, i64)>);

impl RecordSink for Seen {
    fn record(&mut self, record: &RecordRef<'_>) -> ControlFlow<()> {
        self.0.push((record.partition, record.offset));
        ControlFlow::Continue(())
    }

    fn reached(&mut self, _: &str, _: i32, _: i64) {}

    fn assigned(&mut self, _: &[TopicPartition]) {}

    fn started(&mut self, _: &TopicPartition, _: i64, _: StartOrigin) {}

    fn revoked(&mut self, _: &[TopicPartition], _: bool) -> Offsets {
        Offsets::new()
    }

    fn notice(&mut self, notice: &Notice) {
        panic!("{notice}");
    }

    fn warn(&mut self, message: &str) {
        panic!("{message}");
    }
}

struct Run {
    hands: Hands,
    world: World,
    told: Arc<Mutex<Vec<String>>>,
}

impl Run {
    fn new() -> Self {
        Self { hands: Hands::new(), world: World::default(), told: Arc::default() }
    }

    fn open(&self) -> Result<ResilientSubscriber> {
        let (world, told, hands) = (self.world.clone(), Arc::clone(&self.told), self.hands.clone());
        let open: OpenSubscriber = Arc::new(move || {
            world.set(|inside| inside.opened += 1);
            world.answer(Box::new(Fake(world.clone())) as Box<dyn Subscriber>)
        });
        let tell = move |notice: &crate::backends::Notice| told.lock().unwrap().push(notice.to_string());
        let clock = Arc::new(move || {
            // Each look at it takes its time, so that nothing waits for ever.
            hands.turn(MS);
            hands.now()
        });
        ResilientSubscriber::open(open, POLICY, Arc::new(tell), clock)
    }

    fn refuse(&self, times: usize) {
        self.world.set(|inside| inside.refusals.extend((0..times).map(|_| refused())));
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

fn topics() -> Topics {
    Topics::Names(vec!["t".into()])
}

#[test]
fn brokers_that_come_late_are_waited_for_at_every_question() {
    let run = Run::new();
    run.refuse(1);
    let mut subscriber = run.open().unwrap();
    run.refuse(1);
    assert_eq!(subscriber.partitions(&topics()).unwrap().len(), 2);
    run.refuse(1);
    assert_eq!(subscriber.list_offsets(&[(place(0), At::Earliest)]).unwrap(), [0]);
    let told = run.told();
    assert_eq!((told.len(), told[0].as_str()), (6, "disconnected: refused"), "{told:?}");
    assert!(told[1].starts_with("reconnected after") && !told[1].contains("buffered"), "{told:?}");
}

#[test]
fn what_will_not_pass_is_no_reason_to_wait() {
    let run = Run::new();
    run.world.set(|inside| inside.refusals.push_back(Error::new(ErrorKind::UnknownTopic, "no such topic")));
    assert_eq!(run.open().unwrap_err().kind(), ErrorKind::UnknownTopic);
    assert!(run.told().is_empty());
}

#[test]
fn it_gives_up_when_the_tries_are_used_up() {
    let run = Run::new();
    run.refuse(1000);
    let start = run.hands.now();
    let error = run.open().unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Unreachable, "gave up after 3 tries: refused")
    );
    let took = run.hands.now() - start;
    assert!(took >= 150 * MS && took < 170 * MS, "{took:?}");
    assert_eq!(run.told().len(), 3, "{:?}", run.told());
}

#[test]
fn one_partition_given_up_leaves_the_others_where_they_were() {
    let run = Run::new();
    let mut subscriber = run.open().unwrap();
    subscriber.assign(&vec![(place(0), 5), (place(1), 7)]).unwrap();
    let mut seen = Seen::default();
    run.world.set(|inside| {
        inside.script.extend([Do::Push(0, 5), Do::Push(1, 9), Do::Push(0, 6), Do::Fail(refused())]);
    });
    subscriber.poll(MS, &mut seen).unwrap();
    while run.world.set(|inside| inside.opened) < 2 {
        subscriber.poll(MS, &mut seen).unwrap();
    }
    assert_eq!(run.world.set(|inside| inside.assigned.pop()), Some(vec![(place(0), 7), (place(1), 10)]));
    run.world.set(|inside| inside.script.push_back(Do::Push(0, 7)));
    subscriber.poll(MS, &mut seen).unwrap();
    assert_eq!(seen.0, [(0, 5), (1, 9), (0, 6), (0, 7)]);
}

#[test]
fn what_a_library_has_lost_and_found_is_one_outage() {
    let run = Run::new();
    let mut subscriber = run.open().unwrap();
    subscriber.assign(&vec![(place(0), 5), (place(1), 7)]).unwrap();
    let mut poll = |script: Vec<Do>| {
        run.world.set(|inside| inside.script.extend(script));
        subscriber.poll(MS, &mut Seen::default()).unwrap();
        subscriber.commit(&Offsets::new()).map_err(|error| error.kind())
    };
    let lost = |place: &str| Do::Tell(Notice::Lost { place: place.into(), why: format!("{place}: reset") });
    let back = |place: &str| Do::Tell(Notice::Back { place: place.into(), after: MS });
    assert_eq!(poll(vec![lost("t[0]"), lost("group g")]), Err(ErrorKind::Later));
    assert_eq!(poll(vec![Do::Push(0, 5), back("t[0]")]), Err(ErrorKind::Later));
    assert_eq!(poll(vec![back("group g")]), Ok(()));
    let told = run.told();
    assert_eq!((told.len(), told[0].as_str()), (2, "disconnected: t[0]: reset"), "{told:?}");
    assert!(told[1].starts_with("reconnected after"), "{told:?}");
}

#[test]
fn an_outage_without_end_is_given_up_though_the_library_goes_on() {
    let run = Run::new();
    let mut subscriber = run.open().unwrap();
    subscriber.assign(&vec![(place(0), 5)]).unwrap();
    let lost = Notice::Lost { place: "t[0]".into(), why: "reset".into() };
    run.world.set(|inside| inside.script.push_back(Do::Tell(lost)));
    let error = loop {
        if let Err(error) = subscriber.poll(MS, &mut Seen::default()) {
            break error;
        }
    };
    assert_eq!(error.to_string(), "gave up after 3 tries: reset");
}

#[test]
fn when_nothing_was_read_for_all_tries_there_is_nothing_left_to_try() {
    let run = Run::new();
    let mut subscriber = run.open().unwrap();
    subscriber.assign(&vec![(place(0), 5)]).unwrap();
    run.hands.turn(150 * MS);
    run.world.set(|inside| inside.script.push_back(Do::Fail(refused())));
    assert!(subscriber.poll(MS, &mut Seen::default()).is_err());
}

#[test]
fn a_group_joined_again_goes_on_where_it_was() {
    let run = Run::new();
    let mut subscriber = run.open().unwrap();
    subscriber.join(&topics(), Arc::new(Starts::new(|_| Some(3)))).unwrap();
    let starts = run.world.set(|inside| inside.joined.pop()).unwrap();
    let sought = Start::At(3, StartOrigin::User);
    assert_eq!([0, 1].map(|partition| starts.start(&place(partition), Some(9))), [sought; 2]);
    starts.note_committed(&place(0));
    run.world.set(|inside| inside.script.extend([Do::Push(0, 3), Do::Fail(refused())]));
    let mut seen = Seen::default();
    subscriber.poll(MS, &mut seen).unwrap();
    assert_eq!(subscriber.commit(&Offsets::new()).unwrap_err().kind(), ErrorKind::Later);
    while run.world.set(|inside| inside.joined.is_empty()) {
        subscriber.poll(MS, &mut seen).unwrap();
    }
    let again = run.world.set(|inside| inside.joined.pop()).unwrap();
    assert_eq!(again.start(&place(0), Some(4)), Start::At(4, StartOrigin::Committed));
    assert_eq!(again.start(&place(1), Some(9)), sought, "nothing of it was committed");
}
