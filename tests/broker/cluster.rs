//! What three brokers can do to a stream and one cannot: leaders that move, and a replica that is nearer than the leader.
//! (Brokers that die are in `tests/faults`.)
use rustix::process::Signal;
use serde_json::json;

use crate::OnCluster;
use crate::harness::app::{Kps, Library};
use crate::harness::cluster::{BROKERS, Shared};
use crate::harness::kafka::Record;
use crate::harness::stream::{Load, Mode, Stream};

pub(crate) const TRIALS: &[OnCluster] = &[
    ("leaders_move", leaders_move),
    ("the_nearest_replica_is_read_while_it_is_there", the_nearest_replica_is_read_while_it_is_there),
];

/// For native alone: the others leave their sessions to the broker.
pub(crate) const NATIVE: &[OnCluster] = &[("sessions_are_closed_at_the_end", sessions_are_closed_at_the_end)];

fn leaders_move(shared: &Shared, library: Library) {
    let cluster = shared.together();
    let topic = cluster.replicated("moved", json!([[1, 2, 3], [2, 3, 1], [3, 1, 2]]));
    let load = Load { rate: 10_000, ..Load::default() };
    let stream = Stream::start(&cluster, library, &topic, Mode::Plain, load);
    for (partition, to) in [(0, 2), (1, 3), (2, 1), (0, 3), (1, 1), (2, 2)] {
        stream.goes_on(20_000);
        cluster.move_leader(&topic, partition, to);
    }
    stream.goes_on(20_000);
    stream.ends_well(&cluster, 6);
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
