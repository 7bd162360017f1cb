use std::time::Duration;

use super::*;

fn size() -> u64 {
    Batch::of(1).value(vec![0; 1000]).bytes().len() as u64
}

fn append_kib(log: &mut Log, count: usize, time: i64) {
    for _ in 0..count {
        log.append(&mut Batch::at(&[time]).value(vec![0; 1000]).bytes(), time).unwrap();
    }
}

#[test]
fn the_oldest_segments_go_when_the_rest_fills_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 10 * size(), retain_bytes: Some(25 * size()), ..single() };
    let mut log = open(folder.path(), options);
    append_kib(&mut log, 35, 0);
    assert_eq!(log.start_offset(), 0);
    for n in 36..500 {
        append_kib(&mut log, 1, 0);
        assert!(log.size() >= 25 * size() && log.size() <= 45 * size(), "{n}: {}", log.size());
        let on_disk = files(folder.path(), ".log").len() as u64;
        assert!((on_disk - 1) * 10 * size() <= log.size(), "{n}");
    }
    assert_eq!(log.start_offset() % 10, 0);
    assert_eq!(batches(&read_all(&log, log.start_offset(), 1000)).len() as u64, log.size() / size());
    let before = (log.start_offset(), log.next_offset());
    drop(log);
    let log = open(folder.path(), single());
    assert_eq!((log.start_offset(), log.next_offset()), before);
}

#[test]
fn old_segments_go_and_an_old_active_one_is_sealed_first() {
    let folder = tempfile::tempdir().unwrap();
    let retain_time = Some(Duration::from_millis(1000));
    let mut log = open(folder.path(), Options { segment_bytes: 10 * size(), retain_time, ..single() });
    append_kib(&mut log, 25, 100);
    log.maintain(300).unwrap();
    assert_eq!((log.start_offset(), files(folder.path(), ".log").len()), (0, 3));
    append_kib(&mut log, 10, 900);
    log.maintain(1100).unwrap();
    assert_eq!(log.start_offset(), 0, "not over yet");
    log.maintain(1101).unwrap();
    assert_eq!(log.start_offset(), 20, "the third holds younger records");
    log.maintain(1901).unwrap();
    assert_eq!((log.start_offset(), log.next_offset(), log.size()), (35, 35, 0));
    log.maintain(5000).unwrap();
    assert_eq!(files(folder.path(), ".log").len(), 1);
    drop(log);
    assert_eq!(open(folder.path(), single()).next_offset(), 35);
}

#[test]
fn a_trickle_does_not_keep_old_records() {
    let folder = tempfile::tempdir().unwrap();
    let retain_time = Some(Duration::from_millis(1000));
    let mut log = open(folder.path(), Options { retain_time, ..single() });
    for now in (0..10_000).step_by(50) {
        append_kib(&mut log, 1, now);
        log.maintain(now).unwrap();
        let oldest = log.offset_for_time(0).unwrap().unwrap();
        assert!(now - oldest.timestamp <= 1300, "{now}: {}", oldest.timestamp);
    }
}

#[test]
fn records_without_time_are_as_old_as_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let retain_time = Some(Duration::from_secs(3600));
    let mut log = open(folder.path(), Options { segment_bytes: size(), retain_time, ..single() });
    append_kib(&mut log, 3, -1);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    log.maintain(now).unwrap();
    assert_eq!(log.start_offset(), 0);
    log.maintain(now + 2 * 3_600_000).unwrap();
    assert_eq!(log.start_offset(), 3);
}

#[test]
fn deleted_records_stay_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), small());
    for _ in 0..30 {
        append(&mut log, &Batch::of(2));
    }
    assert_eq!(log.delete_records(33).unwrap(), 33);
    assert_eq!(log.delete_records(5).unwrap(), 33, "it does not go back");
    let first = files(folder.path(), ".log")[0].clone();
    assert!((20..=33).contains(&first[..20].parse::<i64>().unwrap()), "{first}");
    assert!(matches!(
        log.delete_records(61),
        Err(Error::OffsetOutOfRange { offset: 61, start: 33, next: 60 })
    ));
    assert!(log.delete_records(-2).is_err());
    kill(log);
    let mut log = open(folder.path(), small());
    assert_eq!((log.start_offset(), log.next_offset()), (33, 60));
    assert_eq!(log.delete_records(-1).unwrap(), 60);
    kill(log);
    let log = open(folder.path(), small());
    assert_eq!((log.start_offset(), log.next_offset()), (60, 60));
    assert!(log.read(60, 100, 60).unwrap().is_none());
}

#[test]
fn every_way_to_sync_keeps_the_records() {
    for fsync in [Fsync::Never, Fsync::EveryAppend, Fsync::Interval(Duration::from_millis(10))] {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path(), Options { fsync, ..small() });
        for now in 0..20 {
            log.append(&mut Batch::of(1).bytes(), now).unwrap();
            assert!(fsync == Fsync::Never || log.is_synced || now - log.synced_at < 10, "{fsync:?} {now}");
        }
        log.maintain(100).unwrap();
        assert_eq!(log.is_synced, fsync != Fsync::Never);
        kill(log);
        assert_eq!(open(folder.path(), small()).next_offset(), 20);
    }
}
