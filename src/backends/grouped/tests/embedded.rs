//! What a member tells its reader and its sink, whatever the coordinator answers.

use std::sync::Mutex;

use super::*;
use crate::backends::mailbox::{Mailbox, lock};
use crate::backends::{Notice, RecordSink, StartOrigin, Topics};
use crate::broker::{Broker, FaultKind, Options};
use crate::record::RecordRef;
use crate::wire::ApiKey;
use crate::wire::net::{self, Address, Cluster};

/// More than any test waits for.
const LONG: Duration = Duration::from_secs(60);

fn tp(partition: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition }
}

/// A broker with the topic `t`.
fn broker(partitions: i32) -> Broker {
    let broker = Broker::start(Options { partitions, ..Options::default() }).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let address = Address::parse(&broker.addr().to_string()).unwrap();
    let cluster = Cluster::new(net::Config::new(vec![address]), runtime.handle());
    let deadline = tokio::time::Instant::now() + LONG;
    runtime.block_on(async { cluster.topic("t", deadline).await }).unwrap();
    broker
}

/// What is read, in the order in which that was asked for.
type Read = Arc<Mutex<Vec<(TopicPartition, Option<i64>)>>>;

/// Reads nothing.
struct Reader {
    read: Read,
    wake: Arc<Mailbox<Vec<()>>>,
}

impl Subscriber for Reader {
    fn waker(&self) -> Waker {
        self.wake.waker()
    }
    fn partitions(&mut self, _: &Topics) -> Result<Vec<TopicPartition>> {
        Ok(Vec::new())
    }
    fn list_offsets(&mut self, _: &[(TopicPartition, At)]) -> Result<Vec<i64>> {
        Ok(Vec::new())
    }
    fn committed(&mut self, _: &[TopicPartition]) -> Result<Vec<Option<i64>>> {
        panic!("asked of the group");
    }
    fn assign(&mut self, starts: &Offsets) -> Result<()> {
        lock(&self.read).extend(starts.iter().map(|(tp, start)| (tp.clone(), Some(*start))));
        Ok(())
    }
    fn unassign(&mut self, gone: &[TopicPartition]) -> Result<()> {
        lock(&self.read).extend(gone.iter().map(|tp| (tp.clone(), None)));
        Ok(())
    }
    fn join(&mut self, _: &Topics, _: Arc<Starts>) -> Result<()> {
        panic!("it is the group that is joined");
    }
    fn poll(&mut self, wait: Duration, _: &mut dyn RecordSink) -> Result<Polled> {
        self.wake.take(wait);
        Ok(Polled { records: 0, idle: true })
    }
    fn commit(&mut self, _: &Offsets) -> Result<()> {
        panic!("committed by the group");
    }
    fn close(self: Box<Self>, _: Instant, _: &mut dyn RecordSink) -> Result<()> {
        Ok(())
    }
}

/// What the sink was told, and what it would commit.
#[derive(Default)]
struct Seen {
    assigned: Vec<TopicPartition>,
    started: Vec<(i32, i64, StartOrigin)>,
    lost: usize,
    revoked: usize,
    warnings: Vec<String>,
    written: Offsets,
}

impl RecordSink for Seen {
    fn record(&mut self, _: &RecordRef<'_>) -> std::ops::ControlFlow<()> {
        panic!("there are none");
    }
    fn reached(&mut self, _: &str, _: i32, _: i64) {}
    fn assigned(&mut self, partitions: &[TopicPartition]) {
        self.assigned.extend_from_slice(partitions);
    }
    fn started(&mut self, partition: &TopicPartition, offset: i64, origin: StartOrigin) {
        self.started.push((partition.partition, offset, origin));
    }
    fn revoked(&mut self, partitions: &[TopicPartition], lost: bool) -> Offsets {
        self.assigned.retain(|tp| !partitions.contains(tp));
        *if lost { &mut self.lost } else { &mut self.revoked } += 1;
        if lost { Offsets::new() } else { std::mem::take(&mut self.written) }
    }
    fn notice(&mut self, notice: &Notice) {
        self.warnings.push(notice.to_string());
    }

    fn warn(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}

struct Run {
    member: Box<dyn Subscriber>,
    seen: Seen,
    read: Read,
}

impl Run {
    fn start_at(broker: &Broker, values: &[(&str, &str)], starts: Starts) -> Self {
        let servers = broker.addr().to_string();
        let own =
            [("bootstrap.servers", servers.as_str()), ("group.id", "g"), ("auto.offset.reset", "earliest")];
        let quick = [("retry.backoff.ms", "20"), ("reconnect.backoff.ms", "20")];
        let settings = Settings::for_tests(Side::Consumer, &[&own[..], &quick, values].concat());
        let read = Read::default();
        let reader = Box::new(Reader { read: Arc::clone(&read), wake: Arc::default() });
        let mut member = open(reader, &settings).unwrap();
        member.join(&Topics::Names(vec!["t".to_owned()]), Arc::new(starts)).unwrap();
        Self { member, seen: Seen::default(), read }
    }

    fn start(broker: &Broker, values: &[(&str, &str)]) -> Self {
        Self::start_at(broker, values, Starts::stored())
    }

    /// Commits, however long the answer takes.
    #[track_caller]
    fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        let deadline = Instant::now() + LONG;
        loop {
            let outcome = self.member.commit(offsets);
            if !matches!(&outcome, Err(error) if error.kind() == ErrorKind::Later) {
                return outcome;
            }
            assert!(Instant::now() < deadline, "not committed in time");
            self.member.poll(Duration::from_millis(10), &mut self.seen)?;
        }
    }

    #[track_caller]
    fn until(&mut self, enough: impl Fn(&Seen, &[(TopicPartition, Option<i64>)]) -> bool) {
        let deadline = Instant::now() + LONG;
        while !enough(&self.seen, &lock(&self.read)) {
            assert!(Instant::now() < deadline, "{:?} {:?}", lock(&self.read), self.seen.warnings);
            self.member.poll(Duration::from_secs(1), &mut self.seen).unwrap();
        }
    }

    fn has(&mut self, starts: &[(i32, i64)]) {
        self.until(|_, read| starts.iter().all(|(p, start)| read.contains(&(tp(*p), Some(*start)))));
    }

    fn close(mut self) -> Seen {
        self.member.close(Instant::now() + LONG, &mut self.seen).unwrap();
        self.seen
    }
}

#[test]
fn what_is_committed_is_where_the_next_one_starts() {
    let broker = broker(2);
    let mut run = Run::start(&broker, &[]);
    run.has(&[(0, 0), (1, 0)]);
    run.commit(&vec![(tp(0), 5)]).unwrap();
    assert_eq!(run.member.committed(&[tp(0), tp(1)]).unwrap(), [Some(5), None]);
    run.seen.written = vec![(tp(1), 7)];
    let seen = run.close();
    assert_eq!((seen.revoked, seen.lost, seen.warnings.len()), (1, 0, 0));
    let mut next = Run::start(&broker, &[]);
    next.has(&[(0, 5), (1, 7)]);
}

#[test]
fn a_place_that_was_asked_for_comes_before_what_is_committed() {
    let broker = broker(1);
    let mut run = Run::start(&broker, &[]);
    run.has(&[(0, 0)]);
    run.commit(&vec![(tp(0), 5)]).unwrap();
    run.close();
    let mut asked = Run::start_at(&broker, &[], Starts::new(|_| Some(3)));
    asked.has(&[(0, 3)]);
    assert_eq!(asked.seen.started, [(0, 3, StartOrigin::User)]);
}

#[test]
fn a_place_that_was_asked_for_is_kept_until_something_is_committed() {
    let broker = broker(1);
    let mut run = Run::start(&broker, &[]);
    run.has(&[(0, 0)]);
    assert_eq!(run.seen.started, [(0, 0, StartOrigin::Reset)]);
    run.commit(&vec![(tp(0), 5)]).unwrap();
    run.close();
    let quick = [("heartbeat.interval.ms", "200")];
    let mut asked = Run::start_at(&broker, &quick, Starts::new(|_| Some(3)));
    let mut begins = |times: usize, expected: (i32, i64, StartOrigin)| {
        asked.until(|seen, _| seen.started.len() == times);
        assert_eq!(asked.seen.started.last(), Some(&expected));
        if times == 2 {
            asked.commit(&vec![(tp(0), 4)]).unwrap();
        }
        // The group is rebalanced.
        broker.faults().add(ApiKey::Heartbeat, 1, FaultKind::Error(27));
    };
    begins(1, (0, 3, StartOrigin::User));
    begins(2, (0, 3, StartOrigin::User));
    begins(3, (0, 4, StartOrigin::Committed));
}

#[test]
fn commits_are_tried_again_while_that_may_help() {
    let broker = broker(1);
    for protocol in ["classic", "consumer"] {
        let mut run = Run::start(&broker, &[("group.id", protocol), ("group.protocol", protocol)]);
        run.has(&[(0, 0)]);
        // Loading, not available, not the coordinator, timed out, unstable; then no answer at all.
        for code in [14, 15, 16, 7, 88] {
            broker.faults().add(ApiKey::OffsetCommit, 2, FaultKind::Error(code));
        }
        broker.faults().add(ApiKey::OffsetCommit, 1, FaultKind::Refuse);
        broker.faults().add(ApiKey::OffsetCommit, 1, FaultKind::Drop);
        run.commit(&vec![(tp(0), 9)]).unwrap();
        assert_eq!(run.member.committed(&[tp(0)]).unwrap(), [Some(9)]);
        assert!(run.close().warnings.is_empty());
    }
}

#[test]
fn starts_are_asked_for_again_while_that_may_help() {
    let broker = broker(1);
    for protocol in ["classic", "consumer"] {
        for code in [14, 15, 16, 88] {
            broker.faults().add(ApiKey::OffsetFetch, 2, FaultKind::Error(code));
        }
        broker.faults().add(ApiKey::OffsetFetch, 2, FaultKind::Refuse);
        broker.faults().add(ApiKey::ListOffsets, 2, FaultKind::Error(6));
        let mut run = Run::start(&broker, &[("group.id", protocol), ("group.protocol", protocol)]);
        run.has(&[(0, 0)]);
        run.close();
    }
}

#[test]
fn a_commit_in_a_rebalance_is_for_later() {
    let broker = broker(1);
    let mut run = Run::start(&broker, &[]);
    run.has(&[(0, 0)]);
    broker.faults().add(ApiKey::OffsetCommit, 1, FaultKind::Error(27));
    assert_eq!(run.member.commit(&vec![(tp(0), 1)]).unwrap_err().kind(), ErrorKind::Later);
    // It joins again by that, and then it can.
    run.until(|seen, _| seen.revoked == 1 && !seen.assigned.is_empty());
    run.commit(&vec![(tp(0), 1)]).unwrap();
}

#[test]
fn a_member_that_is_not_known_any_more_goes_on_from_what_was_committed() {
    let thrown_out = |api, code| {
        let broker = broker(1);
        // For so long the broker, which knows better, waits for the member that does not come back.
        let mut run = Run::start(&broker, &[("session.timeout.ms", "6000")]);
        run.has(&[(0, 0)]);
        run.commit(&vec![(tp(0), 4)]).unwrap();
        broker.faults().add(api, 1, FaultKind::Error(code));
        if api == ApiKey::OffsetCommit {
            assert_eq!(run.member.commit(&vec![(tp(0), 6)]).unwrap_err().kind(), ErrorKind::Later);
        }
        run.has(&[(0, 4)]);
        assert_eq!(run.seen.lost, 1, "{api:?} {code}");
        run.close();
    };
    std::thread::scope(|scope| {
        for (api, code) in [(ApiKey::OffsetCommit, 25), (ApiKey::OffsetCommit, 22), (ApiKey::Heartbeat, 25)] {
            scope.spawn(move || thrown_out(api, code));
        }
    });
}

#[test]
fn a_refusal_for_ever_is_told_with_what_it_leaves() {
    let broker = broker(1);
    let mut run = Run::start(&broker, &[]);
    run.has(&[(0, 0)]);
    broker.faults().add(ApiKey::OffsetCommit, 1, FaultKind::Error(30));
    let error = run.commit(&vec![(tp(0), 3)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authorization);
    assert!(error.to_string().ends_with("(not committed t[0] up to 3)"), "{error}");
    // The last one, too.
    run.seen.written = vec![(tp(0), 3)];
    broker.faults().add(ApiKey::OffsetCommit, 1, FaultKind::Error(29));
    let error = run.member.close(Instant::now() + LONG, &mut run.seen).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authorization);
}

#[test]
fn a_wake_up_ends_the_wait_for_a_commit() {
    let broker = broker(1);
    let mut run = Run::start(&broker, &[]);
    run.has(&[(0, 0)]);
    broker.faults().add(ApiKey::OffsetCommit, 1, FaultKind::Delay(LONG));
    run.member.waker()();
    assert_eq!(run.member.commit(&vec![(tp(0), 1)]).unwrap_err().kind(), ErrorKind::Later);
}

#[test]
fn the_last_commit_is_not_taken_back_by_the_one_before() {
    let broker = broker(1);
    let mut run = Run::start(&broker, &[("retry.backoff.ms", "300")]);
    run.has(&[(0, 0)]);
    // Its first try fails, and the next one would come while the last commit is under way.
    broker.faults().add(ApiKey::OffsetCommit, 1, FaultKind::Error(14));
    broker.faults().add(ApiKey::OffsetCommit, 1, FaultKind::Delay(Duration::from_secs(1)));
    run.member.waker()();
    assert_eq!(run.member.commit(&vec![(tp(0), 5)]).unwrap_err().kind(), ErrorKind::Later);
    run.seen.written = vec![(tp(0), 7)];
    assert!(run.close().warnings.is_empty());
    Run::start(&broker, &[]).has(&[(0, 7)]);
}

#[test]
fn a_member_that_leaves_is_not_waited_for() {
    let broker = broker(4);
    let mut first = Run::start(&broker, &[]);
    first.has(&[(0, 0), (1, 0), (2, 0), (3, 0)]);
    let mut second = Run::start(&broker, &[]);
    let deadline = Instant::now() + LONG;
    while second.seen.assigned.len() != 2 || first.seen.assigned.len() != 2 {
        assert!(Instant::now() < deadline, "{:?} {:?}", first.seen.assigned, second.seen.assigned);
        for run in [&mut first, &mut second] {
            run.member.poll(Duration::from_millis(10), &mut run.seen).unwrap();
        }
    }
    first.seen.written = first.seen.assigned.iter().map(|tp| (tp.clone(), 8)).collect();
    let gone = first.seen.assigned.clone();
    let left = Instant::now();
    first.close();
    second.until(|seen, _| seen.assigned.len() == 4);
    assert!(left.elapsed() < Duration::from_secs(10), "the session is 45 s");
    second.until(|_, read| gone.iter().all(|tp| read.contains(&(tp.clone(), Some(8)))));
}

#[test]
fn without_a_place_to_start_and_without_reset_it_fails() {
    let broker = broker(1);
    let mut run = Run::start(&broker, &[("auto.offset.reset", "none")]);
    let deadline = Instant::now() + LONG;
    let error = loop {
        assert!(Instant::now() < deadline);
        if let Err(error) = run.member.poll(Duration::from_secs(1), &mut run.seen) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange);
    assert_eq!(error.to_string(), "t[0]: no committed offset to start from (auto.offset.reset=none)");
}
