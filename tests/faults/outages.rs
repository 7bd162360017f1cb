//! A broker that dies and comes back, and one that stands still.
use std::collections::BTreeMap;
use std::iter;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;

use crate::OnBroker;
use crate::harness::app::{Kps, Library};
use crate::harness::kafka::{Kafka, Kind};
use crate::harness::process::Running;
use crate::harness::stream::{HEARS_AFTER, Load, Mode, Publishing, Stream};
use crate::harness::unique;

pub(crate) const TRIALS: &[OnBroker] = &[
    ("a_broker_stands_still_for_20_s", a_broker_stands_still),
    ("a_broker_is_killed_and_comes_back", a_broker_is_killed_and_comes_back),
    ("a_group_outlives_its_only_broker", a_group_outlives_its_only_broker),
];

/// How long silence lasts.
const SILENCE: Duration = Duration::from_secs(20);
/// An outage is seen so much later at most, be the machine as busy as it may.
const SEEN_WITHIN: Duration = Duration::from_secs(1);
/// What is read before something happens, and after, in bytes.
const SOME: usize = 20_000;

/// Of each topic. rskafka has a connection for each, and with each sees an outage of its own.
const PARTITIONS: u32 = 3;

/// A stream that is told to go on through outages and one that is not, each with a topic of its own.
pub(crate) fn streams(kafka: &Kafka, library: Library, load: Load) -> [Stream; 2] {
    Mode::ALL.map(|mode| Stream::start(kafka, library, &kafka.topic("faults", PARTITIONS), mode, load))
}

/// Waits until each has read some more.
#[track_caller]
pub(crate) fn go_on(streams: &[Stream]) {
    streams.iter().for_each(|stream| stream.goes_on(SOME));
}

/// Waits for the end of all, after so many outages.
#[track_caller]
pub(crate) fn end_well(streams: [Stream; 2], kafka: &Kafka, outages: usize) {
    streams.into_iter().for_each(|stream| stream.ends_well(kafka, outages));
}

fn a_broker_is_killed_and_comes_back(kind: Kind, library: Library) {
    let dir = tempfile::tempdir().unwrap();
    let first = Kafka::start_apart(kind, dir.path(), None);
    let address = first.address().to_owned();
    let streams = streams(&first, library, Load::default());
    go_on(&streams);
    let killed = SystemTime::now();
    first.kill();
    streams.iter().for_each(|stream| stream.tells_of_outage(killed, SEEN_WITHIN));
    let second = Kafka::start_apart(kind, dir.path(), Some(&address));
    go_on(&streams);
    end_well(streams, &second, PARTITIONS as usize);
}

/// A member of a group, which has committed something.
struct Member {
    library: Library,
    mode: Mode,
    topic: String,
    group: String,
    run: Running,
    publishing: Publishing,
    committed: Vec<i64>,
}

impl Member {
    fn start(kafka: &Kafka, library: Library, mode: Mode) -> Self {
        let (topic, group) = (kafka.topic("faults", PARTITIONS), unique("group"));
        let run = Kps::subscribe(kafka, library, &topic).args(["-g", &group, "-f", r"%p %o\n"]);
        let run = run.args(["-X", "auto.offset.reset=earliest", "-X", "auto.commit.interval.ms=500"]);
        let run = run.args(mode.args()).spawn();
        let publishing = Publishing::start(kafka, library, &topic, mode, &[], Load::default());
        Self { library, mode, topic, group, run, publishing, committed: Vec::new() }
    }

    /// Waits until it has committed something of each partition.
    fn commits(&mut self, kafka: &Kafka) {
        let of = |partition| kafka.committed(&self.group, &self.topic, partition).unwrap_or(0);
        let all = || (0..PARTITIONS).map(of).collect::<Vec<_>>();
        self.committed = iter::repeat_with(all).find(|all| all.iter().all(|offset| *offset > 0)).unwrap();
    }

    fn goes_on(&self) {
        let before = self.run.stdout_so_far().len();
        self.run.until_stdout(|out| out.len() >= before + SOME);
    }

    /// All there is was read and is committed at the end, and nothing twice that had been committed.
    fn ends_well(self, kafka: &Kafka) {
        let Self { library, mode, topic, group, run, publishing, committed } = self;
        publishing.ends_whole();
        let ends = kafka.end_offsets(&topic);
        let written = ends.iter().sum::<i64>() as usize;
        run.until_stdout(|out| {
            memchr::memchr_iter(b'\n', out).count() >= written && times(out).len() == written
        });
        run.signal(Signal::TERM);
        let read = run.wait().code(143);
        for ((partition, offset), times) in times(read.text().as_bytes()) {
            assert!(times == 1 || offset >= committed[partition], "{partition} {offset}\n{}", read.err());
        }
        let last = (0..PARTITIONS).map(|partition| kafka.committed(&group, &topic, partition));
        assert_eq!(last.collect::<Option<Vec<_>>>(), Some(ends), "{}", read.err());
        mode.tells_in_turn(library, &read);
    }
}

/// How often each record was read, by partition and offset.
fn times(out: &[u8]) -> BTreeMap<(usize, i64), usize> {
    let place = |line: &str| line.split_once(' ').map(|(p, o)| Some((p.parse().ok()?, o.parse().ok()?)));
    let mut times = BTreeMap::new();
    for line in String::from_utf8_lossy(out).split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
    {
        *times.entry(place(line).flatten().unwrap()).or_default() += 1;
    }
    times
}

fn a_group_outlives_its_only_broker(kind: Kind, library: Library) {
    let dir = tempfile::tempdir().unwrap();
    let first = Kafka::start_apart(kind, dir.path(), None);
    let address = first.address().to_owned();
    let mut members = Mode::ALL.map(|mode| Member::start(&first, library, mode));
    members.iter().for_each(Member::goes_on);
    members.iter_mut().for_each(|member| member.commits(&first));
    first.kill();
    let second = Kafka::start_apart(kind, dir.path(), Some(&address));
    members.iter().for_each(Member::goes_on);
    members.into_iter().for_each(|member| member.ends_well(&second));
}

fn a_broker_stands_still(kind: Kind, library: Library) {
    let dir = tempfile::tempdir().unwrap();
    let kafka = Kafka::start_apart(kind, dir.path(), None);
    let silence = |is_on: bool| kafka.signal(if is_on { Signal::STOP } else { Signal::CONT });
    is_outwaited(&kafka, library, silence);
}

/// The broker says nothing for a while, and nobody is told. Those with the time for it wait; one that has no time gives
/// up, and one that is told to end does so in its time.
pub(crate) fn is_outwaited(kafka: &Kafka, library: Library, silence: impl Fn(bool)) {
    let streams = streams(kafka, library, Load::default());
    let brief = kafka.topic("brief", 1);
    let slow = Load { rate: 1000, ..Load::default() };
    let args = ["--receipts", "-X", "delivery.timeout.ms=6000", "-X", "request.timeout.ms=2000"];
    let hurried = Publishing::start(kafka, library, &brief, Mode::Plain, &args, slow);
    let told = kafka.topic("told", 1);
    let args = ["--receipts", "--drain-timeout", "3s"];
    let interrupted = Publishing::start(kafka, library, &told, Mode::Resilient, &args, slow);
    go_on(&streams);
    for publishing in [&hurried, &interrupted] {
        publishing.run.until_stdout(|out| !out.is_empty());
    }

    let (begun, since) = (Instant::now(), SystemTime::now());
    silence(true);
    interrupted.run.signal(Signal::TERM);
    let interrupted = interrupted.ends_short(&told, 143);
    assert!(interrupted.output.elapsed < Duration::from_secs(5), "{}", interrupted.output);
    // The first to be late ends the reading; what was read last has its 6 s, too.
    let hurried = hurried.ends_short(&brief, 4);
    assert!(begun.elapsed() < Duration::from_secs(15), "{}", hurried.output);
    streams.iter().for_each(|stream| stream.tells_of_outage(since, HEARS_AFTER + 2 * SEEN_WITHIN));
    // Here the length of an outage is what is tried.
    thread::sleep(SILENCE.saturating_sub(begun.elapsed()));
    silence(false);

    go_on(&streams);
    end_well(streams, kafka, PARTITIONS as usize);
    hurried.is_accounted_for(kafka);
    interrupted.is_accounted_for(kafka);
}
