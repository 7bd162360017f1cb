use super::*;

fn refusal(log: &mut Log, mut bytes: Vec<u8>) -> Error {
    log.append(&mut bytes, 0).unwrap_err()
}

#[test]
fn offsets_count_records_and_batches_stay_as_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    let sent = [Batch::of(3), Batch::of(1).codec(4), Batch::of(7)];
    let offsets: Vec<i64> = sent.iter().map(|batch| append(&mut log, batch)).collect();
    assert_eq!(offsets, [0, 3, 4]);
    assert_eq!((log.start_offset(), log.next_offset(), log.stable_offset()), (0, 11, 11));
    let read = batches(&read_all(&log, 0, 11));
    for ((base, read), (expected, sent)) in read.iter().zip(offsets.iter().zip(&sent)) {
        assert_eq!(base, expected);
        assert_eq!(read[8..12], sent.bytes()[8..12]);
        assert_eq!(read[12..16], [0; 4], "leader epoch");
        assert_eq!(read[16..], sent.bytes()[16..]);
    }
}

#[test]
fn several_batches_of_one_request_get_offsets_in_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    let mut bytes = [Batch::of(2).bytes(), Batch::of(5).bytes(), Batch::of(1).bytes()].concat();
    assert_eq!(log.append(&mut bytes, 0).unwrap().base_offset, 0);
    let bases: Vec<i64> = batches(&read_all(&log, 0, 8)).iter().map(|(base, _)| *base).collect();
    assert_eq!(bases, [0, 2, 7]);
}

#[test]
fn what_is_no_sound_batch_is_refused_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), Options { max_batch_bytes: 200, ..single() });
    let good = Batch::of(2).bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let recount = |last_delta: i32| {
        let mut bytes = good.clone();
        bytes[23..27].copy_from_slice(&last_delta.to_be_bytes());
        let crc = crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    };
    let cases = [
        (vec![], "corrupt batch: no whole header"),
        (good[..60].to_vec(), "corrupt batch: no whole header"),
        (good[..good.len() - 1].to_vec(), "corrupt batch: cut off"),
        ([&good[..], &[0; 3]].concat(), "corrupt batch: no whole header"),
        (with(65, 9), "corrupt batch: wrong checksum"),
        (with(8, 0xff), "corrupt batch: no whole header"),
        (with(16, 1), "message format 1 is not supported (only 2)"),
        (Batch::of(2).value(vec![0; 200]).bytes(), "a batch of 479 bytes is over the limit of 200"),
        (recount(7), "invalid batch: its last offset does not fit the number of records"),
        (Batch::of(0).bytes(), "corrupt batch: no whole header"),
        (Batch::of(1).attributes(32).bytes(), "invalid batch: a client cannot send markers"),
        (Batch::of(1).codec(5).bytes(), "invalid batch: unknown compression"),
        (Batch::of(1).transactional().bytes(), "invalid batch: a transaction without a producer id"),
        (Batch::of(1).producer(1, -1, 0).bytes(), "invalid batch: a producer id without epoch and sequence"),
        (
            [Batch::of(1).producer(1, 0, 0).bytes(), Batch::of(1).bytes()].concat(),
            "invalid batch: an idempotent producer sends one batch a partition",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(refusal(&mut log, bytes).to_string(), expected);
    }
    assert_eq!((log.next_offset(), log.size()), (0, 0));
    assert_eq!(append(&mut log, &Batch::of(1).producer(1, 0, 0)), 0);
}

#[test]
fn the_append_time_takes_the_place_of_the_producers() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), Options { append_time: true, ..single() });
    let appended = log.append(&mut Batch::at(&[5, 9]).bytes(), 1000).unwrap();
    assert_eq!(appended.log_append_time, Some(1000));
    let mut read = read_all(&log, 0, 2);
    let (header, ..) = batch::split_first(&mut read).unwrap();
    assert!(header.has_log_append_time());
    assert_eq!((header.base_timestamp, header.max_timestamp), (5, 1000));
    let found = log.offset_for_time(10).unwrap();
    assert_eq!(found, Some(TimedOffset { offset: 0, timestamp: 1000 }));
}

#[test]
fn a_batch_that_comes_again_keeps_its_first_offset() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    for n in 0..7 {
        assert_eq!(append(&mut log, &Batch::of(10).producer(1, 0, n * 10)), i64::from(n) * 10);
    }
    for n in 2..7 {
        let again = log.append(&mut Batch::of(10).producer(1, 0, n * 10).bytes(), 0).unwrap();
        assert_eq!((again.base_offset, again.is_duplicate), (i64::from(n) * 10, true));
    }
    let older = refusal(&mut log, Batch::of(10).producer(1, 0, 10).bytes());
    assert!(matches!(older, Error::OutOfOrderSequence { expected: 70, got: 10, .. }), "{older}");
    assert_eq!(log.next_offset(), 70);
}

#[test]
fn a_gap_in_the_sequence_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &Batch::of(10).producer(1, 0, 0));
    for (count, sequence) in [(1, 11), (10, 20), (2, 9), (20, 0), (3, 5), (1, i32::MAX)] {
        let error = refusal(&mut log, Batch::of(count).producer(1, 0, sequence).bytes());
        let Error::OutOfOrderSequence { producer_id: 1, expected: 10, got } = error else {
            panic!("{error}")
        };
        assert_eq!(got, sequence);
    }
    assert_eq!(append(&mut log, &Batch::of(1).producer(1, 0, 10)), 10);
}

#[test]
fn sequences_go_round_after_the_largest() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &Batch::of(3).producer(1, 0, i32::MAX - 1));
    let again = log.append(&mut Batch::of(3).producer(1, 0, i32::MAX - 1).bytes(), 0).unwrap();
    assert!(again.is_duplicate);
    assert_eq!(append(&mut log, &Batch::of(1).producer(1, 0, 1)), 3);
}

#[test]
fn a_later_epoch_begins_with_zero_and_ends_the_earlier() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &Batch::of(4).producer(1, 3, 0));
    let error = refusal(&mut log, Batch::of(1).producer(1, 4, 4).bytes());
    assert!(matches!(error, Error::OutOfOrderSequence { expected: 0, got: 4, .. }), "{error}");
    assert_eq!(append(&mut log, &Batch::of(1).producer(1, 4, 0)), 4);
    let error = refusal(&mut log, Batch::of(1).producer(1, 3, 4).bytes());
    assert_eq!(error.to_string(), "epoch 3 of producer 1 is over (now 4)");
    let error = log.append_marker(1, 3, true, 0).unwrap_err();
    assert!(matches!(error, Error::InvalidProducerEpoch { got: 3, current: 4, .. }), "{error}");
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    assert_eq!(append(&mut log, &Batch::of(1).producer(1, 0, 500)), 0);
    assert_eq!(append(&mut log, &Batch::of(1).producer(1, 0, 501)), 1);
}

#[test]
fn the_producer_that_wrote_longest_ago_is_forgotten_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &Batch::of(1).producer(0, 0, 0).transactional());
    for id in 1..10_001 {
        append(&mut log, &Batch::of(1).producer(id, 0, 0));
    }
    let again = |log: &mut Log, id, batch: Batch| {
        log.append(&mut batch.producer(id, 0, 0).bytes(), 0).unwrap().is_duplicate
    };
    assert!(again(&mut log, 0, Batch::of(1).transactional()), "its transaction is open");
    assert!(!again(&mut log, 1, Batch::of(1)), "forgotten");
    assert!(again(&mut log, 10_000, Batch::of(1)));
}
