use super::*;

/// A log with everything in it that a restart must bring back; killed. Returns its batches.
fn eventful(folder: &Path, options: Options) -> Vec<(i64, Vec<u8>)> {
    let mut log = open(folder, options);
    append(&mut log, &Batch::at(&[10, 30, 20]));
    append(&mut log, &Batch::of(2).producer(1, 0, 0));
    append(&mut log, &Batch::of(1).producer(2, 4, 0).transactional());
    append(&mut log, &Batch::of(2).producer(1, 0, 2));
    append(&mut log, &Batch::of(2).producer(3, 0, 0).transactional());
    log.append_marker(2, 4, false, 50).unwrap();
    append(&mut log, &Batch::at(&[40]));
    append(&mut log, &Batch::of(1).producer(3, 0, 2).transactional());
    let batches = batches(&read_all(&log, 0, i64::MAX));
    kill(log);
    batches
}

/// What must be the same after a restart.
fn state(log: &Log) -> (i64, i64, i64, Vec<Aborted>, producers::Producers, Vec<u8>) {
    let (start, next) = (log.start_offset(), log.next_offset());
    let records = read_all(log, start, next);
    (start, next, log.stable_offset(), log.aborted(0, i64::MAX), log.producers.clone(), records)
}

/// The log that comes of appending the first `count` batches only.
fn prefix(sent: &[(i64, Vec<u8>)], count: usize) -> (tempfile::TempDir, Log) {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    for (_, bytes) in &sent[..count] {
        let header = batch::head(bytes).unwrap();
        if header.is_control() {
            let commit = batch::is_commit(bytes);
            log.append_marker(header.producer_id, header.producer_epoch, commit, header.max_timestamp)
                .unwrap();
        } else {
            log.append(&mut bytes.clone(), 0).unwrap();
        }
    }
    (folder, log)
}

/// How many batches end at or before `position`.
fn whole(sent: &[(i64, Vec<u8>)], position: usize) -> usize {
    let ends = sent.iter().scan(0, |at, (_, bytes)| {
        *at += bytes.len();
        Some(*at)
    });
    ends.filter(|end| *end <= position).count()
}

#[test]
fn a_torn_tail_is_cut_wherever_it_tears() {
    for (options, clean) in
        [(single(), false), (single(), true), (small_index(), false), (small_index(), true)]
    {
        let folder = tempfile::tempdir().unwrap();
        let sent = eventful(folder.path(), options.clone());
        if clean {
            drop(open(folder.path(), options.clone()));
        }
        let bytes = std::fs::read(folder.path().join(&files(folder.path(), ".log")[0])).unwrap();
        for len in 0..=bytes.len() {
            let torn = tempfile::tempdir().unwrap();
            copy(folder.path(), torn.path());
            std::fs::write(torn.path().join("00000000000000000000.log"), &bytes[..len]).unwrap();
            let count = whole(&sent, len);
            let kept: usize = sent[..count].iter().map(|(_, bytes)| bytes.len()).sum();
            let (mut log, recovery) = Log::open(torn.path(), options.clone()).unwrap();
            assert_eq!(recovery.cut_bytes, (len - kept) as u64, "{len}");
            let (_expected, mut expected) = prefix(&sent, count);
            assert_eq!(state(&log), state(&expected), "{len}");
            // And it goes on from there, also over another kill.
            append(&mut log, &Batch::at(&[60]));
            append(&mut expected, &Batch::at(&[60]));
            kill(log);
            assert_eq!(state(&open(torn.path(), options.clone())), state(&expected), "{len}");
        }
    }
}

fn small_index() -> Options {
    Options { index_interval: 100, ..single() }
}

#[test]
fn a_flipped_byte_cuts_from_its_batch_on() {
    let folder = tempfile::tempdir().unwrap();
    let sent = eventful(folder.path(), single());
    let bytes = std::fs::read(folder.path().join("00000000000000000000.log")).unwrap();
    for at in 0..bytes.len() {
        let damaged = tempfile::tempdir().unwrap();
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(damaged.path().join("00000000000000000000.log"), flipped).unwrap();
        let (_expected, expected) = prefix(&sent, whole(&sent, at));
        assert_eq!(state(&open(damaged.path(), single())), state(&expected), "{at}");
    }
}

#[test]
fn a_damaged_index_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { index_interval: 100, ..single() };
    let mut log = open(folder.path(), options.clone());
    let times: Vec<i64> = (0..300).collect();
    for time in &times {
        append(&mut log, &Batch::at(&[*time]));
    }
    drop(log);
    let index = folder.path().join("00000000000000000000.index");
    let good = std::fs::read(&index).unwrap();
    assert_eq!(good.len() % 24, 0);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    let swapped = [&good[24..48], &good[..24], &good[48..]].concat();
    let beyond = [&good[..], &good[..24]].concat();
    for damaged in [vec![], good[..100].to_vec(), flipped, swapped, beyond, vec![0; 1000], good.clone()] {
        std::fs::write(&index, &damaged).unwrap();
        let log = open(folder.path(), options.clone());
        for time in &times {
            assert_eq!(log.read(*time, 1, 300).unwrap().unwrap().base_offset(), *time);
            let found = log.offset_for_time(*time).unwrap().unwrap();
            assert_eq!(found.offset, *time);
        }
        drop(log);
        assert!(std::fs::metadata(&index).unwrap().len() as usize >= good.len() - 24);
    }
}

#[test]
fn an_index_of_another_log_is_not_believed() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (folder, count) in [(&one, 2), (&two, 3)] {
        let mut log = open(folder.path(), small_index());
        for _ in 0..50 {
            append(&mut log, &Batch::of(count));
        }
    }
    let name = "00000000000000000000.index";
    std::fs::copy(one.path().join(name), two.path().join(name)).unwrap();
    let log = open(two.path(), small_index());
    assert_eq!(log.next_offset(), 150);
    for offset in 0..150 {
        assert_eq!(log.read(offset, 1, 150).unwrap().unwrap().base_offset(), offset / 3 * 3);
    }
}

#[test]
fn everything_comes_back_after_a_stop_and_after_a_kill() {
    for options in [single(), small(), Options { segment_bytes: 150, ..small() }] {
        let folder = tempfile::tempdir().unwrap();
        eventful(folder.path(), options.clone());
        let mut log = open(folder.path(), options.clone());
        log.delete_records(2).unwrap();
        append(&mut log, &Batch::of(2).producer(1, 0, 4));
        let before = state(&log);
        kill(log);
        let (log, recovery) = Log::open(folder.path(), options.clone()).unwrap();
        assert_eq!((state(&log), recovery.cut_bytes), (before.clone(), 0));
        drop(log);
        let (mut log, recovery) = Log::open(folder.path(), options).unwrap();
        assert_eq!((state(&log), recovery), (before, Recovery::default()), "nothing left to read");
        let again = log.append(&mut Batch::of(2).producer(1, 0, 4).bytes(), 0).unwrap();
        assert!(again.is_duplicate);
    }
}

#[test]
fn a_checkpoint_ahead_of_the_log_is_not_believed_later_either() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    append(&mut log, &Batch::of(1).producer(1, 0, 0));
    append(&mut log, &Batch::of(9).producer(1, 7, 0));
    drop(log);
    let path = folder.path().join("00000000000000000000.log");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..Batch::of(1).bytes().len()]).unwrap();
    for _ in 0..2 {
        let mut log = open(folder.path(), single());
        let again = log.append(&mut Batch::of(1).producer(1, 0, 0).bytes(), 0).unwrap();
        assert!(again.is_duplicate, "epoch 7 was lost");
        append(&mut log, &Batch::of(20));
        kill(log);
    }
}

#[test]
fn a_damaged_checkpoint_costs_a_read_and_no_producer() {
    let folder = tempfile::tempdir().unwrap();
    eventful(folder.path(), small());
    let before = state(&open(folder.path(), small()));
    let path = folder.path().join("state");
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[20] ^= 1;
    for damaged in [vec![], good[..10].to_vec(), flipped] {
        std::fs::write(&path, damaged).unwrap();
        let (log, recovery) = Log::open(folder.path(), small()).unwrap();
        assert_eq!((state(&log), recovery.replayed), (before.clone(), 8));
    }
}

#[test]
fn offsets_of_lost_records_are_not_given_out_again_once_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(folder.path(), single());
    for _ in 0..10 {
        append(&mut log, &Batch::of(1));
    }
    log.delete_records(8).unwrap();
    kill(log);
    std::fs::write(folder.path().join("00000000000000000000.log"), []).unwrap();
    let mut log = open(folder.path(), single());
    assert_eq!((log.start_offset(), log.next_offset()), (8, 8));
    assert_eq!(append(&mut log, &Batch::of(1)), 8);
    kill(log);
    assert_eq!(batches(&read_all(&open(folder.path(), single()), 8, 9)).len(), 1);
}
