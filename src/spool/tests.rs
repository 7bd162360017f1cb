//! The spool as a whole, and what it does about damage.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::record::{Batch, Slice, Span};

const MAX: u64 = 1 << 30;

fn batch(lines: std::ops::Range<u64>) -> Batch {
    let mut batch = Batch::default();
    for line in lines {
        let value = batch.append(format!("value {line}").as_bytes());
        batch.push(Span::new(Slice::NULL, value, line));
    }
    batch
}

fn append(store: &mut Store, lines: std::ops::Range<u64>) {
    let batch = batch(lines);
    assert_eq!(store.append(&batch, 0..batch.len()).unwrap(), batch.len());
}

/// The lines of all that is left to read.
fn read(store: &mut Store) -> Vec<u64> {
    let mut lines = Vec::new();
    while let Some(fed) = store.read().unwrap() {
        for (i, (number, line)) in fed.lines.iter().enumerate() {
            fed.batch.with_record(i, "t", |record| {
                assert_eq!(record.value, Some(format!("value {line}").as_bytes()));
            });
            assert_eq!(fed.batch.spans()[i].line, *number);
            lines.push(*line);
        }
    }
    lines
}

fn lines(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

fn segment(dir: &Path) -> PathBuf {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|e| e == "spool")).max().unwrap()
}

#[test]
fn what_is_not_acknowledged_is_there_after_a_kill_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("spool");
    let mut store = Store::open(&dir, MAX, "t").unwrap();
    append(&mut store, 1..5);
    assert_eq!(read(&mut store), lines(1..5));
    append(&mut store, 5..8);
    store.acknowledge(2).unwrap();
    // Killed: nothing is finished.
    drop(store);
    let mut store = Store::open(&dir, MAX, "t").unwrap();
    assert_eq!((store.len(), store.damaged()), (5, 0));
    append(&mut store, 8..9);
    assert_eq!(read(&mut store), lines(3..9));
    let end = store.fed();
    store.acknowledge(end).unwrap();
    assert!(store.is_empty());
    store.finish(&Ranges::default()).unwrap();
    let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(read(&mut Store::open(&dir, MAX, "t").unwrap()).is_empty());
}

#[test]
fn what_was_delivered_out_of_turn_does_not_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), MAX, "t").unwrap();
    append(&mut store, 0..10);
    assert_eq!(read(&mut store), lines(0..10));
    append(&mut store, 10..12);
    let mut kept = Ranges::default();
    [3, 4, 7].into_iter().for_each(|number| kept.insert(number));
    store.finish(&kept).unwrap();
    for _ in 0..2 {
        let mut store = Store::open(dir.path(), MAX, "t").unwrap();
        assert_eq!(store.len(), 5);
        assert_eq!((read(&mut store), store.damaged()), (vec![3, 4, 7, 10, 11], 0));
        store.finish(&kept_all(&[3, 4, 7, 10, 11])).unwrap();
    }
}

fn kept_all(numbers: &[u64]) -> Ranges {
    let mut kept = Ranges::default();
    numbers.iter().for_each(|number| kept.insert(*number));
    kept
}

#[test]
fn a_second_process_is_refused_and_links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let store = Store::open(&spool, MAX, "t").unwrap();
    let error = Store::open(&spool, MAX, "t").unwrap_err().to_string();
    assert!(error.ends_with("lock: another process has this spool open"), "{error}");
    drop(store);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&spool, &link).unwrap();
    assert!(Store::open(&link, MAX, "t").is_err());
    fs::remove_file(spool.join("ledger")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), spool.join("ledger")).unwrap();
    assert!(Store::open(&spool, MAX, "t").is_err());
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn all_of_it_is_its_owners() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let mut store = Store::open(&spool, MAX, "t").unwrap();
    append(&mut store, 0..3);
    read(&mut store);
    store.finish(&kept_all(&[1])).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&spool), 0o700);
    let files: Vec<_> = fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

#[test]
fn a_full_one_takes_no_more_until_something_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), 64 << 10, "t").unwrap();
    let many = batch(0..2000);
    let mut taken = 0;
    loop {
        match store.append(&many, taken..many.len()).unwrap() {
            0 => break,
            n => taken += n,
        }
    }
    assert!(taken > 500 && taken < 2000, "{taken}");
    assert_eq!(read(&mut store), lines(0..taken as u64));
    store.acknowledge(taken as u64 - 1).unwrap();
    assert!(store.append(&many, taken..many.len()).unwrap() > 0);
}

#[test]
fn segments_follow_each_other_and_go_when_they_are_done_with() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), 256 << 10, "t").unwrap();
    for from in 0..20 {
        append(&mut store, from * 100..from * 100 + 100);
    }
    let count = || fs::read_dir(dir.path()).unwrap().count() - 2;
    assert_eq!(count(), 2);
    assert_eq!(read(&mut store).len(), 2000);
    store.acknowledge(1990).unwrap();
    assert_eq!(count(), 1);
    drop(store);
    assert_eq!(read(&mut Store::open(dir.path(), MAX, "t").unwrap()), lines(1990..2000));
}

#[test]
fn a_tail_that_was_being_written_is_cut_and_one_that_was_there_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), MAX, "t").unwrap();
    append(&mut store, 0..4);
    drop(store);
    let path = segment(dir.path());
    let whole = fs::read(&path).unwrap();
    // Half a record more than the ledger knows.
    fs::write(&path, [whole.as_slice(), &whole[..whole.len() / 6]].concat()).unwrap();
    let mut store = Store::open(dir.path(), MAX, "t").unwrap();
    assert_eq!((read(&mut store), store.damaged()), (lines(0..4), 0));
    drop(store);
    fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    for _ in 0..2 {
        let mut store = Store::open(dir.path(), MAX, "t").unwrap();
        assert_eq!((read(&mut store), store.damaged()), (lines(0..3), 1));
    }
    let mut store = Store::open(dir.path(), MAX, "t").unwrap();
    append(&mut store, 9..10);
    assert_eq!((read(&mut store), store.damaged()), (vec![0, 1, 2, 9], 1));
}

#[test]
fn any_flipped_byte_costs_one_record_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), MAX, "t").unwrap();
    append(&mut store, 0..5);
    drop(store);
    let path = segment(dir.path());
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let mut store = Store::open(dir.path(), MAX, "t").unwrap();
        let found = read(&mut store);
        assert_eq!((found.len(), store.damaged()), (4, 1), "byte {at}: {found:?}");
        assert!(found.is_sorted());
        drop(store);
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn nothing_that_can_be_missing_keeps_it_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    let fill = || {
        let _ = fs::remove_dir_all(dir.path());
        let mut store = Store::open(dir.path(), 256 << 10, "t").unwrap();
        (0..20).for_each(|from| append(&mut store, from * 100..from * 100 + 100));
        read(&mut store);
        store.acknowledge(100).unwrap();
        store.finish(&kept_all(&[150, 1999])).unwrap();
    };
    fill();
    fs::remove_file(dir.path().join("ledger")).unwrap();
    assert_eq!(read(&mut Store::open(dir.path(), MAX, "t").unwrap()).len(), 2000, "all again, but none lost");
    fill();
    fs::write(dir.path().join("done"), b"nonsense").unwrap();
    assert_eq!(read(&mut Store::open(dir.path(), MAX, "t").unwrap()), lines(150..2000));
    fill();
    let first = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let first = first.filter(|path| path.extension().is_some_and(|e| e == "spool")).min().unwrap();
    fs::remove_file(first).unwrap();
    let mut store = Store::open(dir.path(), MAX, "t").unwrap();
    assert_eq!((read(&mut store), store.damaged()), (vec![1999], 1));
    drop(store);
    fs::remove_file(segment(dir.path())).unwrap();
    let mut store = Store::open(dir.path(), MAX, "t").unwrap();
    assert!(read(&mut store).is_empty());
    append(&mut store, 7..8);
    assert_eq!(read(&mut store), [7]);
}
