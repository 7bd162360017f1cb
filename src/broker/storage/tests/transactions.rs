use super::*;

fn part(id: i64, sequence: i32) -> Batch {
    Batch::of(2).producer(id, 0, sequence).transactional()
}

fn aborted(log: &Log, from: i64, up_to: i64) -> Vec<(i64, i64, i64)> {
    let found = log.aborted(from, up_to);
    found.iter().map(|aborted| (aborted.producer_id, aborted.first_offset, aborted.last_offset)).collect()
}

#[test]
fn the_stable_offset_waits_for_the_oldest_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &Batch::of(1));
    assert_eq!(append(&mut log, &part(1, 0)), 1);
    assert_eq!(append(&mut log, &part(2, 0)), 3);
    assert_eq!(append(&mut log, &part(1, 2)), 5);
    assert_eq!(log.stable_offset(), 1);
    assert_eq!(log.open_transactions().collect::<Vec<_>>(), [(1, 0, 1), (2, 0, 3)]);
    assert_eq!(log.append_marker(1, 0, true, 0).unwrap(), 7);
    assert_eq!(log.stable_offset(), 3);
    assert_eq!(log.append_marker(2, 0, false, 0).unwrap(), 8);
    assert_eq!(log.stable_offset(), 9);
    assert_eq!(aborted(&log, 0, 9), [(2, 3, 8)]);
}

#[test]
fn markers_are_control_batches_that_say_how_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    for commit in [true, false] {
        let offset = log.append_marker(9, 2, commit, 1234).unwrap();
        let mut bytes = Vec::new();
        log.read(offset, 1, i64::MAX).unwrap().unwrap().read_into(&mut bytes).unwrap();
        assert_eq!(bytes.len(), batch::MARKER);
        let (header, bytes, _) = batch::split_first(&mut bytes).unwrap();
        assert!(header.is_control() && header.is_transactional());
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (9, 2, -1));
        assert_eq!((header.records_count, header.base_timestamp, header.max_timestamp), (1, 1234, 1234));
        assert_eq!(batch::is_commit(bytes), commit);
        // Length, attributes, time and offset deltas, key (version, type), value (version, epoch), headers.
        let record = [&[32, 0, 0, 0, 8, 0, 0, 0, u8::from(commit), 12][..], &[0; 7]].concat();
        assert_eq!(bytes[61..], record);
    }
}

#[test]
fn aborted_transactions_are_listed_where_they_touch_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &part(1, 0)); // 0, 1
    append(&mut log, &part(2, 0)); // 2, 3
    log.append_marker(2, 0, false, 0).unwrap(); // 4
    append(&mut log, &part(3, 0)); // 5, 6
    log.append_marker(3, 0, false, 0).unwrap(); // 7
    log.append_marker(1, 0, false, 0).unwrap(); // 8
    append(&mut log, &part(4, 0)); // 9, 10
    log.append_marker(4, 0, false, 0).unwrap(); // 11
    let (one, two, three, four) = ((1, 0, 8), (2, 2, 4), (3, 5, 7), (4, 9, 11));
    assert_eq!(aborted(&log, 0, 12), [two, three, one, four]);
    assert_eq!(aborted(&log, 0, 2), [one]);
    assert_eq!(aborted(&log, 0, 4), [two, one]);
    assert_eq!(aborted(&log, 5, 9), [three, one]);
    assert_eq!(aborted(&log, 8, 9), [one]);
    assert_eq!(aborted(&log, 9, 12), [four]);
    log.delete_records(9).unwrap();
    assert_eq!(aborted(&log, 0, 12), [four]);
}

#[test]
fn a_plain_batch_inside_a_transaction_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &part(1, 0));
    let error = log.append(&mut Batch::of(1).producer(1, 0, 2).bytes(), 0).unwrap_err();
    assert!(matches!(error, Error::InvalidTxnState(1)), "{error}");
    // Not by a later epoch either: its marker could not be written then.
    let error = log.append(&mut Batch::of(1).producer(1, 7, 0).bytes(), 0).unwrap_err();
    assert!(matches!(error, Error::InvalidTxnState(1)), "{error}");
    log.append_marker(1, 0, true, 0).unwrap();
    assert_eq!(append(&mut log, &Batch::of(1).producer(1, 0, 2)), 3);
}

#[test]
fn sequences_go_on_after_a_marker_and_begin_anew_with_its_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &part(1, 0));
    log.append_marker(1, 0, true, 0).unwrap();
    append(&mut log, &part(1, 2));
    // A replaced producer's transaction is aborted with the next epoch.
    log.append_marker(1, 1, false, 0).unwrap();
    assert_eq!(aborted(&log, 0, 9), [(1, 3, 5)]);
    let error = log.append(&mut part(1, 4).bytes(), 0).unwrap_err();
    assert!(matches!(error, Error::InvalidProducerEpoch { got: 0, current: 1, .. }), "{error}");
    let next = Batch::of(1).producer(1, 1, 0).transactional();
    assert_eq!(append(&mut log, &next), 6);
}

#[test]
fn the_stable_offset_is_not_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &part(1, 0));
    append(&mut log, &Batch::of(3));
    log.delete_records(4).unwrap();
    assert_eq!(log.stable_offset(), 4);
    log.append_marker(1, 0, false, 0).unwrap();
    assert_eq!((log.stable_offset(), aborted(&log, 4, 6)), (6, vec![(1, 0, 5)]));
}
