//! Brokers of a cluster that die, stand still and come back, with three replicas of which two must have a record.
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::OnCluster;
use crate::harness::app::{Kps, Library};
use crate::harness::cluster::{Cluster, Shared};
use crate::harness::stream::{Books, Load, Mode, Stream};

pub(crate) const TRIALS: &[OnCluster] = &[
    ("a_leader_is_killed_and_comes_back", a_leader_is_killed_and_comes_back),
    ("a_leader_stands_still_and_goes_on", a_leader_stands_still_and_goes_on),
    ("too_few_replicas_and_enough_again", too_few_replicas_and_enough_again),
];

/// What is read before something happens, and after, in bytes.
const SOME: usize = 20_000;
/// As many as there are connections: two brokers go, and rskafka has one for each partition.
const OUTAGES: usize = 6;
/// How long a broker stands still: longer than its session, after which others take its place.
const STILL: Duration = Duration::from_secs(8);

/// Streams through topics whose three partitions are led by one broker each, once they are under way.
fn streams(cluster: &Cluster, library: Library) -> [(String, Stream); 2] {
    let topics = Mode::ALL.map(|_| cluster.replicated("faults", json!([[1, 2, 3], [2, 3, 1], [3, 1, 2]])));
    let mut modes = Mode::ALL.into_iter();
    let streams = topics.map(|topic| {
        let stream = Stream::start(cluster, library, &topic, modes.next().unwrap(), Load::default());
        (topic, stream)
    });
    go_on(&streams);
    streams
}

fn go_on(streams: &[(String, Stream)]) {
    streams.iter().for_each(|(_, stream)| stream.goes_on(SOME));
}

fn await_in_sync(cluster: &Cluster, streams: &[(String, Stream)], count: usize) {
    streams.iter().for_each(|(topic, _)| cluster.await_in_sync(topic, count));
}

fn a_leader_is_killed_and_comes_back(shared: &Shared, library: Library) {
    let mut cluster = shared.alone();
    let streams = streams(&cluster, library);
    cluster.kill(1);
    await_in_sync(&cluster, &streams, 2);
    go_on(&streams);
    cluster.restart(&[1]);
    await_in_sync(&cluster, &streams, 3);
    for (topic, stream) in streams {
        cluster.move_leader(&topic, 0, 1);
        stream.ends_well(&cluster, OUTAGES);
    }
}

fn a_leader_stands_still_and_goes_on(shared: &Shared, library: Library) {
    let mut cluster = shared.alone();
    let streams = streams(&cluster, library);
    cluster.signal(1, Signal::STOP);
    // Whoever is asked about the cluster meanwhile may be that one, and not answer.
    thread::sleep(STILL);
    go_on(&streams);
    cluster.signal(1, Signal::CONT);
    await_in_sync(&cluster, &streams, 3);
    go_on(&streams);
    streams.into_iter().for_each(|(_, stream)| stream.ends_well(&cluster, OUTAGES));
}

/// Two of three brokers are gone, so that nothing is acknowledged: who has no time is told, who waits is served when they
/// are back.
fn too_few_replicas_and_enough_again(shared: &Shared, library: Library) {
    let mut cluster = shared.alone();
    let other = cluster.replicated("brief", json!([[1, 2, 3]]));
    let streams = Mode::ALL.map(|mode| {
        let topic = cluster.replicated("few", json!([[1, 2, 3]]));
        let stream = Stream::start(&cluster, library, &topic, mode, Load::default());
        (topic, stream)
    });
    go_on(&streams);
    cluster.kill(2);
    cluster.kill(3);
    await_in_sync(&cluster, &streams, 1);
    cluster.await_in_sync(&other, 1);

    // A leader that has not heard of it takes the first request and waits for the others, in vain.
    let brief = ["-X", "delivery.timeout.ms=6000", "-X", "request.timeout.ms=2000", "--summary", "json"];
    let refused = Kps::publish(&cluster, library, &other).args(["-m", "1", "-m", "2"]).args(brief);
    let refused = refused.run().code(4);
    if library == Library::Native {
        assert!(refused.err().contains("NOT_ENOUGH_REPLICAS"), "{refused}");
    }
    assert!(refused.elapsed < Duration::from_secs(12), "{refused}");
    let books = Books::of(&refused);
    assert_eq!((books.published, books.failed + books.unknown), (0, 2), "{refused}");
    cluster.restart(&[2, 3]);
    await_in_sync(&cluster, &streams, 3);
    streams.into_iter().for_each(|(_, stream)| stream.ends_well(&cluster, OUTAGES));
    assert!(cluster.end_offsets(&other)[0] as usize <= books.unknown, "{refused}");
}
