//! What is written can be read, and then all goes on.

use super::*;

/// What a journal would have: the head and the members.
#[derive(Default)]
pub(super) struct Disk {
    head: Vec<u8>,
    members: BTreeMap<String, Vec<u8>>,
}

impl Disk {
    /// Writes what has changed.
    pub(super) fn write(&mut self, group: &mut Group) {
        for change in group.changes() {
            match (change.member, change.value) {
                (None, value) => self.head = value.unwrap(),
                (Some(id), Some(value)) => drop(self.members.insert(id, value)),
                (Some(id), None) => drop(self.members.remove(&id)),
            }
        }
        group.saved();
    }

    /// The group after a kill.
    pub(super) fn read(&self, options: &Options, now: i64) -> Group {
        let members = self.members.iter().map(|(id, member)| (id.as_str(), member.as_slice()));
        Group::load(&self.head, members, options, now).unwrap()
    }
}

#[test]
fn a_group_goes_on_after_a_kill() {
    let mut world = World::new(&[4]);
    let mut disk = Disk::default();
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
    let mut disk = Disk::default();
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
fn what_is_no_group_is_not_read() {
    assert!(Group::load(b"", std::iter::empty(), &Options::default(), 0).is_none());
    let mut world = World::new(&[1]);
    world.join("m", &["a"]);
    let head = world.group.changes().remove(0).value.unwrap();
    assert!(Group::load(&head, std::iter::once(("m", &b"{}"[..])), &Options::default(), 0).is_none());
}
