//! Groups among all groups, with a journal that can fail.

use std::cell::{Cell, RefCell};

use super::super::super::registry::{Kind, Registry, Store};
use super::*;
use crate::broker::storage::{self, Change, Fsync, Storage};

struct Shaky {
    journal: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
    fails: Cell<bool>,
    writes: Cell<u32>,
}

impl Store for Shaky {
    fn apply(&self, changes: &[Change<'_>]) -> storage::Result<()> {
        if self.fails.get() {
            return Err(storage::Error::Locked("nowhere".into()));
        }
        self.writes.set(self.writes.get() + 1);
        for change in changes {
            match change {
                Change::Put(key, value) => {
                    drop(self.journal.borrow_mut().insert(key.to_vec(), value.to_vec()))
                }
                Change::Delete(key) => drop(self.journal.borrow_mut().remove(*key)),
            }
        }
        Ok(())
    }

    fn has_partition(&self, _: &str, _: i32) -> bool {
        true
    }
}

/// An empty registry, and a store.
fn registry() -> (Registry, Shaky) {
    let folder = tempfile::tempdir().unwrap();
    let options = storage::Options { fsync: Fsync::Never, ..Default::default() };
    let storage = Storage::open(folder.path(), options).unwrap();
    let registry = Registry::load(&storage, &Options::default(), 0).unwrap();
    (registry, Shaky { journal: RefCell::default(), fails: Cell::new(false), writes: Cell::new(0) })
}

fn beat(registry: &mut Registry, store: &Shaky, member_id: &str, request: &Request, now: i64) -> (i16, i32) {
    let topics = Topics::new(vec![Topic { name: "a", id: id(1), partitions: 2 }]);
    let beat = Beat { request, member_id, client_id: "client", client_host: "/127.0.0.1" };
    match registry.consumer_heartbeat(store, beat, &topics, &Options::default(), now) {
        Ok(answer) => (0, answer.member_epoch),
        Err(failure) => (failure.code, -1),
    }
}

#[test]
fn what_is_told_is_in_the_journal_and_what_is_not_new_is_not_written() {
    let (mut registry, store) = registry();
    assert_eq!(beat(&mut registry, &store, "m", &join(&["a"]), 0), (0, 1));
    assert_eq!((store.journal.borrow().len(), store.writes.get()), (2, 1));
    assert_eq!(beat(&mut registry, &store, "m", &at(1), 1000), (0, 1));
    assert_eq!(store.writes.get(), 1);
    // A member is removed by the clock, in one write.
    registry.expire(&store, 46_000);
    assert_eq!((store.journal.borrow().len(), store.writes.get()), (1, 2));
    registry.delete(&store, "g").unwrap();
    assert!(store.journal.borrow().is_empty());
}

#[test]
fn what_cannot_be_written_is_not_told_and_is_written_with_the_next_change() {
    const NOT_COORDINATOR: (i16, i32) = (16, -1);
    let (mut registry, store) = registry();
    store.fails.set(true);
    assert_eq!(beat(&mut registry, &store, "m", &join(&["a"]), 0), NOT_COORDINATOR);
    assert!(registry.get("g").is_none());
    store.fails.set(false);
    assert_eq!(beat(&mut registry, &store, "m", &join(&["a"]), 0), (0, 1));
    store.fails.set(true);
    assert_eq!(beat(&mut registry, &store, "n", &join(&["a"]), 0), NOT_COORDINATOR);
    assert_eq!(beat(&mut registry, &store, "m", &at(1), 0), NOT_COORDINATOR);
    store.fails.set(false);
    assert_eq!(beat(&mut registry, &store, "m", &at(1), 0), (0, 1));
    assert_eq!(store.journal.borrow().len(), 3);
    assert_eq!(beat(&mut registry, &store, "n", &join(&["a"]), 0), (0, 2));
}

#[test]
fn a_refused_first_heartbeat_makes_no_group() {
    let (mut registry, store) = registry();
    let code = Code::InvalidRegularExpression as i16;
    assert_eq!(beat(&mut registry, &store, "m", &join_by_pattern("("), 0), (code, -1));
    assert_eq!(beat(&mut registry, &store, "m", &at(1), 0), (Code::GroupIdNotFound as i16, -1));
    assert!(!matches!(registry.get("g"), Some(Kind::Consumer(_))));
    assert_eq!(store.writes.get(), 0);
}
