//! What three brokers can do to a stream and one cannot: leaders that move, die and come back, replicas that are too few,
//! and one that is nearer than the leader.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::OnCluster;
use crate::harness::app::{Kps, Library};
use crate::harness::cluster::{BROKERS, Cluster, Shared};
use crate::harness::kafka::Record;
use crate::harness::process::Running;

pub(crate) const TRIALS: &[OnCluster] = &[
    ("leaders_move", leaders_move),
    ("a_leader_is_killed_and_comes_back", a_leader_is_killed_and_comes_back),
    ("too_few_replicas_and_enough_again", too_few_replicas_and_enough_again),
    ("the_nearest_replica_is_read_while_it_is_there", the_nearest_replica_is_read_while_it_is_there),
];

/// For native alone: the others leave their sessions to the broker.
pub(crate) const NATIVE: &[OnCluster] = &[("sessions_are_closed_at_the_end", sessions_are_closed_at_the_end)];

/// One publishes numbers, one subscribes, until enough has happened.
struct Stream<'a> {
    library: Library,
    topic: &'a str,
    writer: Running,
    reader: Running,
    source: Arc<Source>,
}

/// Where the numbers come from.
#[derive(Default)]
struct Source {
    given: AtomicUsize,
    is_over: AtomicBool,
}

impl Source {
    /// A thousand numbers more, if more are wanted.
    fn more(&self) -> Option<Vec<u8>> {
        if self.is_over.load(Relaxed) {
            return None;
        }
        let first = self.given.fetch_add(1000, Relaxed);
        Some((first..first + 1000).map(|n| format!("{n}\n")).collect::<String>().into_bytes())
    }
}

impl<'a> Stream<'a> {
    fn start(cluster: &Cluster, library: Library, topic: &'a str) -> Self {
        let reader = Kps::subscribe(cluster, library, topic).args(["-f", r"%p %s\n"]).spawn();
        let mut writer = Kps::publish(cluster, library, topic).args(["--rate", "10000/s"]).spawn();
        let source = Arc::new(Source::default());
        let theirs = Arc::clone(&source);
        writer.feed_with(move || theirs.more());
        Self { library, topic, writer, reader, source }
    }

    /// Waits until so many bytes more have been read than have been now.
    fn goes_on(&self, bytes: usize) {
        let before = self.reader.stdout_so_far().len();
        self.reader.until_stdout(|out| out.len() >= before + bytes);
    }

    /// Waits for the end: all is there, in order, and as often as it was written, which an idempotent library does once.
    fn ends_well(self, cluster: &Cluster) {
        self.source.is_over.store(true, Relaxed);
        let published = self.writer.wait().ok();
        let count = self.source.given.load(Relaxed);
        assert!(published.err().contains(&format!("{count} published, 0 failed")), "{published}");
        let written: i64 = cluster.end_offsets(self.topic).iter().sum();
        let written = usize::try_from(written).unwrap();
        self.reader.until_stdout(|out| memchr::memchr_iter(b'\n', out).count() >= written);
        self.reader.signal(Signal::TERM);
        let output = self.reader.wait().code(143);
        let text = output.text();
        let pair = |line: &str| line.split_once(' ').map(|(p, n)| (p.parse().unwrap(), n.parse().unwrap()));
        let seen: Vec<(usize, usize)> = text.lines().map(|line| pair(line).unwrap()).collect();
        assert_eq!(seen.len(), written, "read twice or not at all\n{}", output.err());
        assert_eq!(seen.iter().map(|(_, n)| n).collect::<BTreeSet<_>>().len(), count, "lost");
        if self.library != Library::Rskafka {
            assert_eq!(written, count, "published twice");
            in_order(&seen);
        }
    }
}

#[track_caller]
fn in_order(seen: &[(usize, usize)]) {
    let mut last = [None; 3];
    for &(partition, n) in seen {
        assert!(last[partition] < Some(n), "{n} after {:?} in partition {partition}", last[partition]);
        last[partition] = Some(n);
    }
}

fn leaders_move(shared: &Shared, library: Library) {
    let cluster = shared.together();
    let topic = cluster.replicated("moved", json!([[1, 2, 3], [2, 3, 1], [3, 1, 2]]));
    let stream = Stream::start(&cluster, library, &topic);
    for (partition, to) in [(0, 2), (1, 3), (2, 1), (0, 3), (1, 1), (2, 2)] {
        stream.goes_on(20_000);
        cluster.move_leader(&topic, partition, to);
    }
    stream.goes_on(20_000);
    stream.ends_well(&cluster);
}

fn a_leader_is_killed_and_comes_back(shared: &Shared, library: Library) {
    let mut cluster = shared.alone();
    let topic = cluster.replicated("killed", json!([[1, 2, 3], [2, 3, 1], [3, 1, 2]]));
    let stream = Stream::start(&cluster, library, &topic);
    stream.goes_on(20_000);
    cluster.kill(1);
    cluster.await_in_sync(&topic, 2);
    stream.goes_on(20_000);
    cluster.restart(&[1]);
    cluster.await_in_sync(&topic, 3);
    cluster.move_leader(&topic, 0, 1);
    stream.ends_well(&cluster);
}

/// Two of three brokers are gone, so that nothing is acknowledged: who has no time is told, who waits is served when they
/// are back.
fn too_few_replicas_and_enough_again(shared: &Shared, library: Library) {
    let mut cluster = shared.alone();
    let [topic, other] = ["few", "brief"].map(|name| cluster.replicated(name, json!([[1, 2, 3]])));
    let stream = Stream::start(&cluster, library, &topic);
    stream.goes_on(20_000);
    cluster.kill(2);
    cluster.kill(3);
    cluster.await_in_sync(&topic, 1);
    cluster.await_in_sync(&other, 1);

    let brief = ["-m", "1", "-m", "2", "-X", "delivery.timeout.ms=3000", "--summary", "json"];
    let refused = Kps::publish(&cluster, library, &other).args(brief).run().code(4);
    if library == Library::Native {
        assert!(refused.err().contains("NOT_ENOUGH_REPLICAS"), "{refused}");
    }
    let summary: Value = serde_json::from_str(refused.err().lines().last().unwrap()).unwrap();
    let [published, failed, unknown] = ["published", "failed", "unknown"].map(|name| summary[name].as_u64());
    assert_eq!((published, failed.unwrap() + unknown.unwrap_or(0)), (Some(0), 2), "{refused}");
    cluster.restart(&[2, 3]);
    cluster.await_in_sync(&topic, 3);
    stream.ends_well(&cluster);
    assert!(cluster.end_offsets(&other)[0] as u64 <= unknown.unwrap_or(0), "{refused}");
}

fn the_nearest_replica_is_read_while_it_is_there(shared: &Shared, library: Library) {
    let mut cluster = shared.alone();
    let topic = cluster.replicated("near", json!([[1, 2, 3]]));
    let lines: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    Kps::publish(&cluster, library, &topic).input(&lines).run().ok();
    let read = || Kps::subscribe(&cluster, library, &topic).args(["-X", "client.rack=rack-3"]);
    if library == Library::Rskafka {
        return drop(read().run().code(2).says("client.rack").says("rdkafka"));
    }
    let reader = read().spawn();
    reader.until_stdout(|out| out == lines.as_bytes());
    let [leader, near] = [1, 3].map(|id| cluster.bytes_out(id, &topic));
    assert!(leader == 0 && near as usize >= lines.len(), "{leader} of the leader, {near} of the nearest");

    cluster.kill(3);
    let more = format!("{lines}more\n");
    Kps::publish(&cluster, library, &topic).args(["-m", "more"]).run().ok();
    reader.until_stdout(|out| out == more.as_bytes());
    reader.signal(Signal::TERM);
    reader.wait().code(143);
    cluster.restart(&[3]);
}

fn sessions_are_closed_at_the_end(shared: &Shared, library: Library) {
    let cluster = shared.alone();
    let topic = cluster.replicated("session", json!([[1, 2, 3], [2, 3, 1], [3, 1, 2]]));
    let records: Vec<Record> = (0..3).map(|partition| Record::of("x").to(partition)).collect();
    cluster.produce(&topic, &records, json!({}));
    let all = || BROKERS.map(|id| cluster.sessions(id));
    let before = all();
    let reader = Kps::subscribe(&cluster, library, &topic).spawn();
    reader.until_stdout(|out| out.len() == 6);
    assert_eq!(all(), before.map(|sessions| sessions + 1));
    reader.signal(Signal::TERM);
    reader.wait().code(143);
    assert_eq!(all(), before);
    Kps::subscribe(&cluster, library, &topic).args(["--exit"]).run().ok();
    assert_eq!(all(), before);
}
