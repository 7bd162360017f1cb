//! The registry: groups and offsets together, with a time and a journal of our own.

#[cfg(any(feature = "native", feature = "rskafka"))]
mod members;

use std::cell::{Cell, RefCell};

use tokio::sync::oneshot::{self, Receiver};

use super::registry::{Commit, Kind, Mode, Registry, Store, Who};
use super::*;
use crate::broker::code::Code;
use crate::broker::storage::{Options, Storage};
use crate::wire::messages::*;

const PLAIN: Mode = Mode::Plain { version: 8, retention: -1 };
const NOBODY: Who<'_> = Who { member_id: "", instance_id: None, generation: -1 };
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// A data folder with the topics `t` and `u` of two partitions; can be made to fail.
struct Folder {
    dir: tempfile::TempDir,
    storage: RefCell<Storage>,
    is_broken: Cell<bool>,
}

impl Store for Folder {
    fn apply(&self, changes: &[Change<'_>]) -> storage::Result<()> {
        if self.is_broken.get() {
            return Err(storage::Error::UnknownTopic("the disk".into()));
        }
        self.storage.borrow().journal().apply(changes)
    }

    fn has_partition(&self, topic: &str, partition: i32) -> bool {
        self.storage.borrow().topic(topic).is_ok_and(|topic| topic.partition(partition).is_ok())
    }
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(dir.path(), Options::default()).unwrap();
        for topic in ["t", "u"] {
            storage.create_topic(topic, 2, &[]).unwrap();
        }
        Self { dir, storage: RefCell::new(storage), is_broken: Cell::new(false) }
    }

    fn load(&self) -> Registry {
        Registry::load(&self.storage.borrow(), &consumer::Options::default(), 0).unwrap()
    }

    /// The registry as the next start finds it.
    fn again(&self) -> Registry {
        let elsewhere = tempfile::tempdir().unwrap();
        let other = Storage::open(elsewhere.path(), Options::default()).unwrap();
        drop(self.storage.replace(other));
        let storage = Storage::open(self.dir.path(), Options::default()).unwrap();
        drop(self.storage.replace(storage));
        self.load()
    }
}

fn at<'a>(topic: &'a str, partition: i32, offset: i64) -> Commit<'a> {
    Commit { topic, partition, offset, leader_epoch: -1, metadata: "" }
}

fn place<'a>(group: &'a str, topic: &'a str, partition: i32) -> Place<'a> {
    Place { group, topic, partition }
}

fn offset(registry: &Registry, group: &str, topic: &str, partition: i32) -> Option<i64> {
    registry.offset(place(group, topic, partition)).map(|committed| committed.offset)
}

/// Joins a group as one of the oldest clients does.
fn join(
    registry: &mut Registry,
    store: &Folder,
    group: &str,
    now: i64,
) -> Receiver<JoinGroupResponse<'static>> {
    let request = JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 6000,
        rebalance_timeout_ms: 6000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupProtocol {
            name: "range".into(),
            metadata: b"\0\0\0\0\0\x01\0\x01t"[..].into(),
        }],
        ..Default::default()
    };
    join_as(registry, store, &request, now)
}

fn join_as(
    registry: &mut Registry,
    store: &Folder,
    request: &JoinGroupRequest<'_>,
    now: i64,
) -> Receiver<JoinGroupResponse<'static>> {
    let (reply, replied) = oneshot::channel();
    let fresh_id = &fresh_member_id("c");
    let join = classic::Join { request, version: 3, client_id: "c", client_host: "h", fresh_id };
    registry.join(store, &join, reply, now);
    replied
}

fn sync(registry: &mut Registry, store: &Folder, group: &str, member: &str, now: i64) -> i16 {
    let (reply, mut replied) = oneshot::channel();
    let request = SyncGroupRequest {
        group_id: group.into(),
        generation_id: 1,
        member_id: member.into(),
        ..Default::default()
    };
    registry.sync(store, &request, reply, now);
    replied.try_recv().unwrap().error_code
}

/// A stable group of one member, whose id is returned.
fn stable(registry: &mut Registry, store: &Folder, group: &str) -> String {
    let member = join(registry, store, group, 0).try_recv().unwrap().member_id.into_owned();
    assert_eq!(sync(registry, store, group, &member, 0), 0);
    member
}

fn state<'a>(registry: &'a Registry, group: &str) -> Option<&'a str> {
    registry.get(group).map(Kind::state_name)
}

#[test]
fn offsets_and_groups_outlive_a_restart() {
    let store = Folder::new();
    let mut registry = store.load();
    let member = stable(&mut registry, &store, "g");
    let who = Who { member_id: &member, instance_id: None, generation: 1 };
    let noted = Commit { topic: "t", partition: 1, offset: 7, leader_epoch: 3, metadata: "ä" };
    assert_eq!(registry.commit(&store, "g", who, PLAIN, &[at("t", 0, 5), noted], 9), [Ok(()), Ok(())]);
    assert_eq!(registry.commit(&store, "s", NOBODY, PLAIN, &[at("u", 0, 1)], 9), [Ok(())]);
    let before = registry.offset(place("g", "t", 1)).cloned();
    let mut registry = store.again();
    assert_eq!(registry.offset(place("g", "t", 1)).cloned(), before);
    assert_eq!(before.map(|it| (it.offset, it.leader_epoch, it.metadata)), Some((7, 3, "ä".into())));
    assert_eq!(offset(&registry, "g", "t", 0), Some(5));
    assert_eq!(offset(&registry, "s", "u", 0), Some(1));
    assert_eq!((state(&registry, "g"), state(&registry, "s")), (Some("Stable"), Some("Empty")));
    let beat = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: 1,
        member_id: member.into(),
        ..Default::default()
    };
    assert_eq!(registry.heartbeat(&beat, 5999), Ok(()));
    registry.expire(&store, 11_998);
    assert_eq!(state(&registry, "g"), Some("Stable"));
    registry.expire(&store, 11_999);
    assert_eq!(state(&registry, "g"), Some("Empty"));
    assert_eq!(state(&store.again(), "g"), Some("Empty"));
}

#[test]
fn a_group_is_there_after_a_restart_from_its_first_member_on() {
    let store = Folder::new();
    let mut registry = store.load();
    join(&mut registry, &store, "g", 0);
    assert_eq!(state(&registry, "g"), Some("CompletingRebalance"));
    assert_eq!(state(&store.again(), "g"), Some("Empty"));
}

#[test]
fn a_group_that_cannot_be_kept_or_has_no_room_is_not_made() {
    let store = Folder::new();
    let mut registry = store.load();
    store.is_broken.set(true);
    assert_eq!(join(&mut registry, &store, "g", 0).try_recv().unwrap().error_code, 16);
    assert_eq!(registry.commit(&store, "g", NOBODY, PLAIN, &[at("t", 0, 1)], 0), [Err(Code::NotCoordinator)]);
    assert_eq!((registry.iter().count(), offset(&registry, "g", "t", 0)), (0, None));
    store.is_broken.set(false);
    for n in 0..MAX_GROUPS {
        registry.insert(&n.to_string(), Kind::Classic(classic::Group::new(0)));
    }
    assert_eq!(join(&mut registry, &store, "g", 0).try_recv().unwrap().error_code, 44);
    assert_eq!(
        registry.commit(&store, "g", NOBODY, PLAIN, &[at("t", 0, 1)], 0),
        [Err(Code::PolicyViolation)]
    );
    assert_eq!(join(&mut registry, &store, "7", 0).try_recv().unwrap().error_code, 0);
}

#[test]
fn joins_that_no_group_takes_make_none() {
    let store = Folder::new();
    let mut registry = store.load();
    let good = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 6000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupProtocol::default()],
        ..Default::default()
    };
    for (code, bad) in [
        (24, JoinGroupRequest { group_id: "".into(), ..good.clone() }),
        (26, JoinGroupRequest { session_timeout_ms: 5999, ..good.clone() }),
        (26, JoinGroupRequest { session_timeout_ms: 1_800_001, ..good.clone() }),
        (25, JoinGroupRequest { member_id: "m".into(), ..good.clone() }),
        (23, JoinGroupRequest { protocols: Vec::new(), ..good.clone() }),
    ] {
        assert_eq!(join_as(&mut registry, &store, &bad, 0).try_recv().unwrap().error_code, code, "{bad:?}");
    }
    assert_eq!(registry.iter().count(), 0);
    assert_eq!(join_as(&mut registry, &store, &good, 0).try_recv().unwrap().error_code, 0);
}

#[test]
fn groups_that_are_not_there_have_no_members() {
    let store = Folder::new();
    let mut registry = store.load();
    assert_eq!(sync(&mut registry, &store, "g", "m", 0), 25);
    assert_eq!(sync(&mut registry, &store, "", "m", 0), 24);
    let beat = |group: &'static str| HeartbeatRequest { group_id: group.into(), ..Default::default() };
    assert_eq!(registry.heartbeat(&beat("g"), 0), Err(Code::UnknownMemberId));
    assert_eq!(registry.heartbeat(&beat(""), 0), Err(Code::InvalidGroupId));
    let member = || vec![LeaveGroupRequestMember { member_id: "m".into(), ..Default::default() }];
    assert_eq!(registry.leave(&store, "g", member(), 0).unwrap()[0].error_code, 25);
    assert_eq!(registry.leave(&store, "", member(), 0), Err(Code::InvalidGroupId));
    assert_eq!(registry.delete(&store, "g"), Err(Code::GroupIdNotFound));
    assert_eq!(registry.delete_offsets(&store, "g", &[]), Err(Code::GroupIdNotFound));
    assert_eq!(registry.delete_offsets(&store, "", &[]), Err(Code::InvalidGroupId));
}

#[test]
fn each_commit_is_judged_by_itself() {
    let store = Folder::new();
    let mut registry = store.load();
    let longest = "ä".repeat(4096);
    let too_long = "x".repeat(4097);
    let commits = [
        at("t", 0, 1),
        at("t", 2, 1),
        at("t", -1, 1),
        at("none", 0, 1),
        Commit { metadata: &longest, ..at("t", 1, 2) },
        Commit { metadata: &too_long, ..at("u", 0, 2) },
    ];
    let unknown = Err(Code::UnknownTopicOrPartition);
    let expected = [Ok(()), unknown, unknown, unknown, Ok(()), Err(Code::OffsetMetadataTooLarge)];
    assert_eq!(registry.commit(&store, "", NOBODY, PLAIN, &commits, 0), expected);
    assert_eq!((offset(&registry, "", "t", 0), offset(&registry, "", "u", 0)), (Some(1), None));
    // Nothing that is there: the group is not even looked at.
    let member = Who { generation: 5, ..NOBODY };
    assert_eq!(registry.commit(&store, "g", member, PLAIN, &[at("none", 0, 1)], 0), [unknown]);
    let new = Mode::Plain { version: 9, retention: -1 };
    for (mode, code) in [
        (PLAIN, Code::IllegalGeneration),
        (new, Code::GroupIdNotFound),
        (Mode::Transaction { producer_id: 1 }, Code::IllegalGeneration),
    ] {
        assert_eq!(registry.commit(&store, "g", member, mode, &[at("t", 0, 1)], 0), [Err(code)]);
    }
    assert_eq!(
        registry.commit_in_transaction(&store, "", NOBODY, 1, &[at("t", 0, 1)], 0),
        [Err(Code::InvalidGroupId)]
    );
    assert!(registry.get("g").is_none());
}

/// Commits offsets of `g` in a transaction.
fn pend(registry: &mut Registry, store: &Folder, producer: i64, commits: &[Commit<'_>]) {
    let outcomes = registry.commit_in_transaction(store, "g", NOBODY, producer, commits, 0);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

/// Ends a transaction in the journal and in memory.
fn end(registry: &mut Registry, store: &Folder, producer: i64, decision: Decision) {
    let edits = registry.ending(producer, decision);
    store.apply(&edits.changes()).unwrap();
    registry.end(producer, decision);
}

#[test]
fn offsets_in_a_transaction_count_from_its_end_on() {
    for restarts in [false, true] {
        let store = Folder::new();
        let mut registry = store.load();
        registry.commit(&store, "g", NOBODY, PLAIN, &[at("t", 0, 1)], 0);
        pend(&mut registry, &store, 7, &[at("t", 0, 5), at("u", 1, 6)]);
        pend(&mut registry, &store, 8, &[at("t", 1, 9)]);
        if restarts {
            registry = store.again();
        }
        assert_eq!((offset(&registry, "g", "t", 0), offset(&registry, "g", "u", 1)), (Some(1), None));
        assert!(registry.is_pending(place("g", "t", 0)) && registry.is_pending(place("g", "t", 1)));
        assert!(!registry.is_pending(place("g", "u", 0)) && !registry.is_pending(place("h", "t", 0)));
        end(&mut registry, &store, 7, Decision::Commit);
        end(&mut registry, &store, 8, Decision::Abort);
        for registry in [registry, store.again()] {
            let found = [("t", 0), ("t", 1), ("u", 1)].map(|(t, p)| offset(&registry, "g", t, p));
            assert_eq!(found, [Some(5), None, Some(6)]);
            assert!(!registry.is_pending(place("g", "t", 0)) && !registry.is_pending(place("g", "t", 1)));
        }
    }
}

#[test]
fn an_end_replaces_only_what_was_committed_before_its_own_commit() {
    for restarts in [false, true] {
        let store = Folder::new();
        let mut registry = store.load();
        pend(&mut registry, &store, 7, &[at("t", 0, 5), at("t", 1, 5)]);
        pend(&mut registry, &store, 8, &[at("t", 1, 6)]);
        registry.commit(&store, "g", NOBODY, PLAIN, &[at("t", 0, 9)], 0);
        if restarts {
            registry = store.again();
        }
        // The one that came last wins, whichever ends last.
        end(&mut registry, &store, 8, Decision::Commit);
        end(&mut registry, &store, 7, Decision::Commit);
        for registry in [registry, store.again()] {
            assert_eq!((offset(&registry, "g", "t", 0), offset(&registry, "g", "t", 1)), (Some(9), Some(6)));
        }
    }
}

#[test]
fn the_end_of_a_transaction_without_offsets_changes_nothing() {
    let store = Folder::new();
    let mut registry = store.load();
    assert!(registry.ending(7, Decision::Commit).is_empty());
    registry.end(7, Decision::Commit);
    assert_eq!(registry.iter().count(), 0);
}

#[test]
fn offsets_are_deleted_where_no_member_reads() {
    let store = Folder::new();
    let mut registry = store.load();
    let member = stable(&mut registry, &store, "g");
    let who = Who { member_id: &member, instance_id: None, generation: 1 };
    registry.commit(&store, "g", who, PLAIN, &[at("t", 0, 1), at("u", 0, 2)], 0);
    pend(&mut registry, &store, 7, &[at("u", 0, 3), at("u", 1, 4)]);
    let places = [("t", 0), ("u", 0), ("u", 1), ("u", 2)];
    assert_eq!(
        registry.delete_offsets(&store, "g", &places).unwrap(),
        [Err(Code::GroupSubscribedToTopic), Ok(()), Ok(()), Err(Code::UnknownTopicOrPartition)]
    );
    end(&mut registry, &store, 7, Decision::Commit);
    for registry in [registry, store.again()] {
        let found = [("t", 0), ("u", 0), ("u", 1)].map(|(t, p)| offset(&registry, "g", t, p));
        assert_eq!(found, [Some(1), None, None]);
    }
}

#[test]
fn what_cannot_be_written_down_is_not_deleted() {
    let store = Folder::new();
    let mut registry = store.load();
    registry.commit(&store, "g", NOBODY, PLAIN, &[at("t", 0, 1)], 0);
    store.is_broken.set(true);
    assert_eq!(registry.delete_offsets(&store, "g", &[("t", 0)]), Err(Code::NotCoordinator));
    assert_eq!(registry.delete(&store, "g"), Err(Code::NotCoordinator));
    assert_eq!(offset(&registry, "g", "t", 0), Some(1));
}

#[test]
fn a_group_goes_with_its_offsets_when_it_has_no_members() {
    let store = Folder::new();
    let mut registry = store.load();
    let member = stable(&mut registry, &store, "g");
    let who = Who { member_id: &member, instance_id: None, generation: 1 };
    registry.commit(&store, "g", who, PLAIN, &[at("t", 0, 1)], 0);
    pend(&mut registry, &store, 7, &[at("u", 0, 3)]);
    registry.commit(&store, "h", NOBODY, PLAIN, &[at("t", 0, 2)], 0);
    assert_eq!(registry.delete(&store, "g"), Err(Code::NonEmptyGroup));
    registry.expire(&store, MINUTE);
    assert_eq!(registry.delete(&store, "g"), Ok(()));
    assert_eq!(registry.delete(&store, "g"), Err(Code::GroupIdNotFound));
    end(&mut registry, &store, 7, Decision::Commit);
    for registry in [registry, store.again()] {
        assert!(registry.get("g").is_none() && offset(&registry, "g", "t", 0).is_none());
        assert_eq!((offset(&registry, "g", "u", 0), offset(&registry, "h", "t", 0)), (None, Some(2)));
    }
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let store = Folder::new();
    let mut registry = store.load();
    registry.commit(&store, "g", NOBODY, PLAIN, &[at("t", 0, 1), at("u", 0, 2)], 0);
    pend(&mut registry, &store, 7, &[at("t", 1, 3)]);
    store.storage.borrow().delete_topic("t").unwrap();
    // A stop in between leaves nothing either.
    let after = store.again();
    registry.forget_topic(&store, "t");
    for registry in [registry, after, store.again()] {
        assert_eq!((offset(&registry, "g", "t", 0), offset(&registry, "g", "u", 0)), (None, Some(2)));
        assert!(!registry.is_pending(place("g", "t", 1)));
    }
}

#[test]
fn offsets_are_forgotten_a_week_after_they_could_last_be_used() {
    let store = Folder::new();
    let mut registry = store.load();
    stable(&mut registry, &store, "empty");
    registry.expire(&store, DAY);
    let brief = Mode::Plain { version: 4, retention: DAY };
    registry.commit(&store, "empty", NOBODY, PLAIN, &[at("t", 0, 1)], 0);
    registry.commit(&store, "simple", NOBODY, PLAIN, &[at("t", 0, 2)], 2 * DAY);
    registry.commit(&store, "simple", NOBODY, brief, &[at("t", 1, 2)], 2 * DAY);
    registry.commit_in_transaction(&store, "simple", NOBODY, 7, &[at("t", 0, 9)], 2 * DAY);
    assert_eq!(state(&registry, "empty"), Some("Empty"));
    let there = |registry: &Registry| {
        [("empty", 0), ("simple", 0), ("simple", 1)].map(|(g, p)| offset(registry, g, "t", p).is_some())
    };
    registry.expire(&store, 3 * DAY - MINUTE);
    assert_eq!(there(&registry), [true, true, true]);
    registry.expire(&store, 3 * DAY + 10 * MINUTE);
    assert_eq!(there(&registry), [true, true, false]);
    registry.expire(&store, 8 * DAY + 20 * MINUTE);
    assert_eq!(there(&registry), [false, true, false]);
    assert!(registry.get("empty").is_none());
    // A transaction that is open keeps what it may replace.
    registry.expire(&store, 9 * DAY + 30 * MINUTE);
    assert_eq!(there(&registry), [false, true, false]);
    end(&mut registry, &store, 7, Decision::Abort);
    registry.expire(&store, 9 * DAY + 40 * MINUTE);
    assert_eq!(there(&registry), [false, false, false]);
    assert_eq!((registry.iter().count(), registry.next_deadline()), (0, None));
    assert_eq!(store.again().iter().count(), 0);
}

#[test]
fn offsets_that_members_read_are_kept() {
    let store = Folder::new();
    let mut registry = store.load();
    let member = stable(&mut registry, &store, "g");
    let who = Who { member_id: &member, instance_id: None, generation: 1 };
    registry.commit(&store, "g", who, PLAIN, &[at("t", 0, 1), at("u", 0, 2)], 0);
    let beat = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: 1,
        member_id: member.clone().into(),
        ..Default::default()
    };
    registry.heartbeat(&beat, 8 * DAY).unwrap();
    registry.expire(&store, 8 * DAY);
    assert_eq!((offset(&registry, "g", "t", 0), offset(&registry, "g", "u", 0)), (Some(1), None));
}

#[test]
fn the_deadline_is_that_of_whoever_is_due_first() {
    let store = Folder::new();
    let mut registry = store.load();
    assert_eq!(registry.next_deadline(), None);
    stable(&mut registry, &store, "a");
    let member = join(&mut registry, &store, "b", 1000).try_recv().unwrap().member_id;
    assert_eq!(registry.next_deadline(), Some(6000));
    registry.expire(&store, 6000);
    assert_eq!(registry.next_deadline(), Some(7000));
    let left = vec![LeaveGroupRequestMember { member_id: member, ..Default::default() }];
    registry.leave(&store, "b", left, 6500).unwrap();
    // Nothing but the next look at old offsets.
    assert_eq!(registry.next_deadline(), Some(10 * MINUTE));
}

#[test]
fn the_clock_starts_with_the_time_of_day_and_waits_no_shorter_than_asked() {
    let clock = Clock::start();
    assert!((clock.now() - node::now()).abs() < 1000);
    assert_eq!(clock.until(clock.now() - 5000), Duration::ZERO);
    let wait = clock.until(clock.now() + 5000);
    assert!(wait > Duration::from_millis(4900) && wait <= Duration::from_millis(5001), "{wait:?}");
}

#[test]
fn fresh_ids_are_uuids_behind_a_name() {
    let (one, other) = (fresh_member_id("a"), fresh_member_id("a"));
    assert_ne!(one, other);
    let parts: Vec<usize> = one.split('-').map(str::len).collect();
    assert_eq!(parts, [1, 8, 4, 4, 4, 12]);
    assert_eq!(&one[16..17], "4");
}
