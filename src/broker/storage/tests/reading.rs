use super::*;

/// Ten batches of two records each over several segments; base offsets 0, 2, 4 ...
fn ten(folder: &Path) -> Log {
    let mut log = open(folder, Options { segment_bytes: 500, index_interval: 150, ..single() });
    for _ in 0..10 {
        append(&mut log, &Batch::of(2));
    }
    log
}

#[test]
fn reading_begins_with_the_batch_that_holds_the_offset() {
    let folder = tempfile::tempdir().unwrap();
    let log = ten(folder.path());
    assert!(files(folder.path(), ".log").len() > 1);
    for from in 0..20 {
        let slice = log.read(from, 1, 20).unwrap().unwrap();
        assert_eq!((slice.base_offset(), slice.next_offset()), (from / 2 * 2, from / 2 * 2 + 2));
        let mut bytes = Vec::new();
        slice.read_into(&mut bytes).unwrap();
        assert_eq!(batches(&bytes).len(), 1, "one batch, however small the limit");
    }
    assert!(log.read(20, 1000, 20).unwrap().is_none());
}

#[test]
fn only_whole_batches_below_the_limits_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), Options { index_interval: 150, ..single() });
    for _ in 0..50 {
        append(&mut log, &Batch::of(2));
    }
    let size = Batch::of(2).bytes().len();
    for from in (0..100).step_by(2) {
        for max in [0, size, size + 1, 3 * size - 1, 3 * size, 40 * size] {
            for up_to in [from + 2, from + 4, 60, 100] {
                let slice = log.read(from, max, up_to).unwrap();
                let by_size = (max / size).max(1) as i64;
                let expected = by_size.min((up_to.min(100) - from) / 2);
                let got = slice.map_or((0, 0), |slice| (slice.len(), (slice.next_offset() - from) / 2));
                assert_eq!(got, (expected.max(0) as usize * size, expected.max(0)), "{from} {max} {up_to}");
            }
        }
    }
}

#[test]
fn offsets_that_are_not_there_are_refused_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = ten(folder.path());
    log.delete_records(3).unwrap();
    for offset in [-1, 0, 2, 21] {
        let error = log.read(offset, 100, 20).unwrap_err();
        assert_eq!(error.to_string(), format!("offset {offset} is not in 3 to 20"));
    }
    assert_eq!(log.read(3, 1, 20).unwrap().unwrap().base_offset(), 2);
}

#[test]
fn what_was_read_can_be_sent_after_its_segment_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = ten(folder.path());
    let slice = log.read(0, 1000, 20).unwrap().unwrap();
    log.delete_records(-1).unwrap();
    assert_eq!(files(folder.path(), ".log").len(), 1);
    let mut bytes = b"before".to_vec();
    slice.read_into(&mut bytes).unwrap();
    assert_eq!(batches(&bytes[6..])[0].0, 0);
}

#[test]
fn a_damaged_segment_is_an_error_not_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let log = ten(folder.path());
    let first = folder.path().join(&files(folder.path(), ".log")[0]);
    let mut bytes = std::fs::read(&first).unwrap();
    let size = Batch::of(2).bytes().len();
    bytes[size + 16] = 7;
    std::fs::write(&first, bytes).unwrap();
    assert_eq!(log.read(0, size + 1, 20).unwrap().unwrap().next_offset(), 2);
    assert!(matches!(log.read(2, 1000, 20), Err(Error::CorruptMessage(_))));
}

/// The first record at `time` or later, found the slow way.
fn first_at(times: &[&[i64]], time: i64) -> Option<TimedOffset> {
    let all = times.iter().flat_map(|times| times.iter()).zip(0..);
    let (timestamp, offset) = all.into_iter().find(|(timestamp, _)| **timestamp >= time)?;
    Some(TimedOffset { offset, timestamp: *timestamp })
}

#[test]
fn times_are_looked_up_to_the_record() {
    let times: [&[i64]; 8] =
        [&[10, 5, 12], &[11], &[40, 20, 30], &[25], &[1], &[50, 60], &[55, 70, 61], &[2]];
    for options in [single(), small(), Options { segment_bytes: 150, ..small() }] {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path(), options.clone());
        for times in times {
            append(&mut log, &Batch::at(times));
        }
        for log in [log, open(folder.path(), options)] {
            for time in 0..80 {
                let found = log.offset_for_time(time).unwrap();
                assert_eq!(found, first_at(&times, time), "{time}");
            }
            let latest = log.offset_of_max_time().unwrap();
            assert_eq!(latest, Some(TimedOffset { offset: 12, timestamp: 70 }));
        }
    }
}

#[test]
fn times_before_the_start_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &Batch::at(&[90, 20, 30]));
    append(&mut log, &Batch::at(&[40]));
    log.delete_records(1).unwrap();
    let found = |time| log.offset_for_time(time).unwrap().map(|found| found.offset);
    assert_eq!([0, 25, 35, 41].map(found), [Some(1), Some(2), Some(3), None]);
}

#[test]
fn compressed_records_are_found_to_the_record_and_damaged_ones_by_their_batch() {
    for codec in [1, 2, 3, 4] {
        let folder = tempfile::tempdir().unwrap();
        let mut log = open(folder.path(), single());
        append(&mut log, &Batch::at(&[10]));
        append(&mut log, &Batch::at(&[20, 30, 40]).compressed(codec));
        let found = |time| log.offset_for_time(time).unwrap();
        assert_eq!(found(25), Some(TimedOffset { offset: 2, timestamp: 30 }), "{codec}");
        assert_eq!(found(41), None);
        append(&mut log, &Batch::at(&[60, 70]).codec(codec));
        assert_eq!(log.offset_for_time(61).unwrap(), Some(TimedOffset { offset: 4, timestamp: 70 }));
    }
}

#[test]
fn an_empty_log_has_no_times() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    assert_eq!(log.offset_of_max_time().unwrap(), None);
    append(&mut log, &Batch::at(&[7]));
    log.delete_records(-1).unwrap();
    assert_eq!(log.offset_of_max_time().unwrap(), None);
    assert_eq!(log.offset_for_time(0).unwrap(), None);
}
