//! Start and stop.

use std::time::Instant;

use super::*;

#[test]
fn a_broker_starts_and_stops_at_once() {
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            let broker = broker();
            Raw::connect(broker.addr()).ask(&ApiVersionsRequest::default(), 3);
            broker.stop().unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    assert!(times[0] < Duration::from_millis(100), "{times:?}");
}

#[test]
fn many_brokers_run_side_by_side() {
    let brokers: Vec<Broker> = (0..20).map(|_| broker()).collect();
    for (n, broker) in (1..).zip(&brokers) {
        let mut raw = Raw::connect(broker.addr());
        raw.create("t", 1);
        for _ in 0..n {
            raw.produce("t", &batch(&["a"]));
        }
        assert_eq!(raw.offset("t", -1), (0, n));
    }
}

#[test]
fn a_restart_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker_at(folder.path());
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 3);
    raw.produce("t", &batch_at(&["a", "b"], 1, (5, 0, 0)));
    let before = raw.fetch("t", 0);
    let describe = |raw: &mut Raw| raw.ask(&MetadataRequest::default(), 10).body;
    let ids = |body: &[u8]| {
        let response = MetadataResponse::decode(body, 10).unwrap();
        (response.cluster_id.unwrap().into_owned(), response.topics[0].topic_id)
    };
    let described = ids(&describe(&mut raw));
    broker.stop().unwrap();
    assert!(raw.is_closed());

    let broker = broker_at(folder.path());
    let mut raw = Raw::connect(broker.addr());
    assert_eq!(ids(&describe(&mut raw)), described);
    assert_eq!(raw.fetch("t", 0), before);
    assert_eq!(raw.produce("t", &batch_at(&["a", "b"], 1, (5, 0, 0))), (0, 0));
    assert_eq!(raw.produce("t", &batch_at(&["c"], 1, (5, 0, 2))), (0, 2));
}

#[test]
fn what_was_acknowledged_outlives_a_broker_that_is_not_stopped() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let broker = broker_at(folder.path());
    let mut raw = Raw::connect(broker.addr());
    raw.create("t", 1);
    for n in 0..50 {
        assert_eq!(raw.produce("t", &batch(&["a"])), (0, n));
    }
    // The folder as a kill would leave it: nothing was closed.
    copy_folder(folder.path(), copy.path());
    let segment = copy.path().join("topics/t-0/00000000000000000000.log");
    let mut torn = std::fs::OpenOptions::new().append(true).open(segment).unwrap();
    torn.write_all(&batch(&["torn"])[..70]).unwrap();
    let (log, lines) = log();
    let data = Some(copy.path().to_owned());
    let after = Broker::start(Options { data, log, ..Options::default() }).unwrap();
    let line = format!("cut off 70 bytes of unfinished writes in {}", copy.path().display());
    assert_eq!(*lines.lock().unwrap(), [line]);
    let mut raw = Raw::connect(after.addr());
    assert_eq!(raw.offset("t", -1), (0, 50));
    assert_eq!(raw.produce("t", &batch(&["a"])), (0, 50));
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_temporary_folder_is_gone_after_the_stop() {
    let mine = || {
        let start = format!("kps-broker-{}-", std::process::id());
        let names = std::fs::read_dir(std::env::temp_dir()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(&start)).collect::<std::collections::HashSet<_>>()
    };
    let folder = folder::Folder::open(None).unwrap();
    let name = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(mine().contains(&name));
    folder.close().unwrap();
    assert!(!mine().contains(&name));
}

#[test]
fn a_data_folder_or_address_in_use_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker_at(folder.path());
    let again = Broker::start(Options { data: Some(folder.path().to_owned()), ..Options::default() });
    assert!(again.unwrap_err().to_string().ends_with("is in use by another process"));
    let same = Broker::start(Options { listen: broker.addr(), ..Options::default() });
    assert!(same.unwrap_err().to_string().starts_with(&format!("cannot listen at {}: ", broker.addr())));
    let none = Broker::start(Options { partitions: 0, ..Options::default() });
    assert_eq!(none.unwrap_err().to_string(), "topics cannot have 0 partitions (1 to 1000)");
}
