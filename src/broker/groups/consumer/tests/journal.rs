//! What is written can be read, and then all goes on.

use super::*;
use crate::broker::storage::{Change, Fsync, Journal};

/// A journal with one group.
pub(super) struct Disk {
    folder: tempfile::TempDir,
    journal: Journal,
}

impl Disk {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(&folder.path().join("meta"), Fsync::Never).unwrap();
        Self { folder, journal }
    }

    /// Writes what has changed.
    pub(super) fn write(&mut self, group: &mut Group) {
        self.journal.apply(&group.edits("g").changes()).unwrap();
        group.saved();
    }

    /// The group after a kill.
    pub(super) fn read(&self, options: &Options, now: i64) -> Group {
        let (journal, cut) = Journal::open(&self.folder.path().join("meta"), Fsync::Never).unwrap();
        assert_eq!(cut, 0);
        load(&journal, options, now).remove("g").unwrap()
    }
}

#[test]
fn a_group_goes_on_after_a_kill() {
    let mut world = World::new(&[4]);
    let mut disk = Disk::new();
    world.join("m", &["a"]);
    world.beat("n", &join_as("i", &["a"])).unwrap();
    let kept = world.ping("m").unwrap();
    disk.write(&mut world.group);
    world.pass(44_000);

    world.group = disk.read(&world.options, world.now);
    assert_eq!(world.state(), "Reconciling");
    // All have their time again.
    world.pass(44_000);
    assert_eq!(world.ping("n"), None);
    assert_eq!(world.own("m", &kept), None);
    assert_eq!(world.ping("n").map(|got| got.len()), Some(2));
    assert_eq!((world.state(), world.group.epoch), ("Stable", 2));

    world.leave("m");
    disk.write(&mut world.group);
    world.group = disk.read(&world.options, world.now);
    assert_eq!(world.state(), "Assigning");
    assert_eq!(world.ping("n").map(|got| got.len()), Some(4));
}

#[test]
fn a_revocation_that_was_under_way_has_its_time_again() {
    let mut world = World::new(&[2]);
    let mut disk = Disk::new();
    world.options.session_timeout = std::time::Duration::from_secs(1000);
    world.join("m", &["a"]);
    world.join("n", &["a"]);
    world.ping("m");
    disk.write(&mut world.group);
    world.group = disk.read(&world.options, world.now);
    world.pass(59_000);
    assert_eq!(world.group.members.len(), 2);
    world.pass(1000);
    assert_eq!(world.group.members.len(), 1);
}

#[test]
fn what_cannot_be_read_is_begun_anew() {
    let mut world = World::new(&[1]);
    let mut disk = Disk::new();
    world.join("m", &["a"]);
    world.join("n", &["a"]);
    let edits = world.group.edits("g");
    let keys: Vec<Vec<u8>> = edits
        .changes()
        .iter()
        .map(|change| match change {
            Change::Put(key, _) | Change::Delete(key) => key.to_vec(),
        })
        .collect();
    disk.write(&mut world.group);
    // Of the head and of the first member.
    disk.journal.apply(&[Change::Put(&keys[0], b"{"), Change::Put(&keys[1], b"{}")]).unwrap();
    world.group = disk.read(&world.options, world.now);
    assert_eq!(world.group.members.keys().collect::<Vec<_>>(), ["n"]);
    assert_eq!(world.ping("n"), Some(vec![(1, 0)]));
    assert_eq!(world.beat("m", &at(1)), Err(Code::UnknownMemberId as i16));
}

#[test]
fn nothing_is_left_of_a_group_that_is_deleted() {
    let mut world = World::new(&[1]);
    let mut disk = Disk::new();
    world.beat("m", &join_as("i", &["a"])).unwrap();
    world.join("n", &["a"]);
    disk.write(&mut world.group);
    assert_eq!(disk.journal.iter(b"").count(), 3);
    world.leave("n");
    world.beat("m", &Request { instance_id: Some("i".into()), ..at(LEAVE) }).unwrap();
    let mut edits = Edits::default();
    world.group.delete_records("g", &mut edits);
    disk.journal.apply(&edits.changes()).unwrap();
    assert_eq!(disk.journal.iter(b"").count(), 0);
}
