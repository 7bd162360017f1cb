use super::*;

fn open(path: &Path) -> Journal {
    Journal::open(path, Fsync::Never).unwrap().0
}

fn all(journal: &Journal) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    journal.iter(b"").map(|(key, value)| (text(key), text(value))).collect()
}

/// A journal with changes of every kind; what it holds after each of its frames.
fn eventful(path: &Path) -> Vec<Vec<(String, String)>> {
    let mut journal = open(path);
    let frames: [&[Change<'_>]; 6] = [
        &[Change::Put(b"a", b"1")],
        &[Change::Put(b"b", b""), Change::Put(b"ab", b"two")],
        &[Change::Delete(b"a"), Change::Put(b"c", b"3")],
        &[],
        &[Change::Delete(b"missing")],
        &[Change::Put(b"ab", b"four"), Change::Delete(b"b")],
    ];
    let mut states = vec![all(&journal)];
    for frame in frames {
        journal.apply(frame).unwrap();
        states.push(all(&journal));
    }
    states
}

/// Bytes of the first `count` frames.
fn end(bytes: &[u8], count: usize) -> usize {
    let mut at = 0;
    for _ in 0..count {
        at += 8 + u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
    }
    at
}

#[test]
fn a_journal_says_what_was_put_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta");
    let states = eventful(&path);
    let pairs = [("ab", "four"), ("c", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let journal = open(&path);
    assert_eq!(states[6], pairs);
    assert_eq!(all(&journal), pairs);
    assert_eq!(journal.get(b"ab"), Some(&b"four"[..]));
    assert_eq!(journal.get(b"a"), None);
    assert_eq!(journal.iter(b"a").map(|(key, _)| key).collect::<Vec<_>>(), [b"ab"]);
}

#[test]
fn a_torn_frame_holds_none_of_its_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta");
    let states = eventful(&path);
    let bytes = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..states.len()).map(|count| end(&bytes, count)).collect();
    for len in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..len]).unwrap();
        let count = ends.iter().filter(|end| **end <= len).count() - 1;
        let (mut journal, cut) = Journal::open(&path, Fsync::Never).unwrap();
        assert_eq!((all(&journal), cut), (states[count].clone(), (len - ends[count]) as u64), "{len}");
        journal.put(b"later", b"yes").unwrap();
        assert_eq!(open(&path).get(b"later"), Some(&b"yes"[..]), "{len}");
    }
}

#[test]
fn a_flipped_byte_cuts_from_its_frame_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta");
    let states = eventful(&path);
    let bytes = std::fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, flipped).unwrap();
        let count = (1..states.len()).filter(|count| end(&bytes, *count) <= at).count();
        assert_eq!(all(&open(&path)), states[count], "{at}");
    }
}

#[test]
fn a_file_that_is_mostly_out_of_date_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta");
    let mut journal = open(&path);
    journal.put(b"kept", b"from the start").unwrap();
    let mut largest = 0;
    for n in 0..5000_u32 {
        let key = [b'k', (n % 7) as u8];
        journal.put(&key, &[n as u8; 1000]).unwrap();
        largest = largest.max(std::fs::metadata(&path).unwrap().len());
    }
    assert!((1 << 19..=1 << 20).contains(&largest), "{largest}");
    let before = journal.iter(b"").map(|(k, v)| (k.to_vec(), v.to_vec())).collect::<Vec<_>>();
    assert_eq!(before.len(), 8);
    let (journal, cut) = Journal::open(&path, Fsync::Never).unwrap();
    assert_eq!(cut, 0);
    assert!(journal.iter(b"").map(|(k, v)| (k.to_vec(), v.to_vec())).eq(before));
    assert_eq!(files(folder.path(), ""), ["meta"]);
}

#[test]
fn syncs_happen_as_asked() {
    let every = std::time::Duration::from_millis(10);
    for fsync in [Fsync::EveryAppend, Fsync::Interval(every)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta");
        let (mut journal, _) = Journal::open(&path, fsync).unwrap();
        for now in 0..30 {
            journal.put(b"key", &[now]).unwrap();
            journal.maintain(now.into()).unwrap();
        }
        assert_eq!(open(&path).get(b"key"), Some(&[29][..]));
    }
}
