//! Who is let in, and who is not.

use super::*;

fn code(code: Code) -> Result<Response, i16> {
    Err(code as i16)
}

#[test]
fn a_member_alone_gets_everything_at_once() {
    let mut world = World::new(&[2, 1]);
    assert_eq!(world.state(), "Empty");
    let answer = world.beat("m", &join(&["a", "b", "none"])).unwrap();
    assert_eq!((answer.member_id.as_deref(), answer.member_epoch), (Some("m"), 1));
    assert_eq!(answer.heartbeat_interval_ms, 1000);
    assert_eq!(told(&answer), Some(vec![(1, 0), (1, 1), (2, 0)]));
    assert_eq!(world.state(), "Stable");
    // Nothing new: nothing is told and nothing is to be written.
    world.group.saved();
    assert_eq!(world.ping("m"), None);
    assert_eq!(world.group.edits("g"), Edits::default());
}

#[test]
fn a_full_request_is_told_everything() {
    let mut world = World::new(&[1]);
    world.join("m", &["a"]);
    let full = Request { member_epoch: 1, topic_partitions: Some(owned(&[(1, 0)])), ..join(&["a"]) };
    assert_eq!(told(&world.beat("m", &full).unwrap()), Some(vec![(1, 0)]));
}

#[test]
fn who_is_no_member_and_does_not_join_is_unknown() {
    let mut world = World::new(&[1]);
    world.join("m", &["a"]);
    for epoch in [1, LEAVE] {
        assert_eq!(world.beat("other", &at(epoch)), code(Code::UnknownMemberId));
    }
    let named = Request { instance_id: Some("i".into()), ..at(1) };
    assert_eq!(world.beat("m", &named), code(Code::UnknownMemberId));
}

#[test]
fn another_epoch_is_fenced_and_the_one_before_is_not() {
    let mut world = World::new(&[2]);
    world.join("m", &["a"]);
    assert_eq!(world.beat("m", &at(2)), code(Code::FencedMemberEpoch));
    assert_eq!(world.beat("m", &at(0)), code(Code::FencedMemberEpoch));
    // The answer to the join was lost.
    let answer = world.beat("m", &join(&["a"])).unwrap();
    assert_eq!((answer.member_epoch, told(&answer)), (1, Some(vec![(1, 0), (1, 1)])));
}

#[test]
fn a_join_that_is_refused_leaves_no_trace() {
    let mut world = World::new(&[1]);
    world.options.max_members = 1;
    assert_eq!(world.beat("m", &join_by_pattern("(")), code(Code::InvalidRegularExpression));
    assert_eq!((world.state(), world.group.epoch, world.group.edits("g").changes().len()), ("Empty", 0, 0));
    world.join("m", &["a"]);
    assert_eq!(world.beat("n", &join(&["a"])), code(Code::GroupMaxSizeReached));
    assert_eq!(world.group.members.len(), 1);
}

#[test]
fn a_member_that_is_not_heard_of_loses_its_partitions() {
    let mut world = World::new(&[2]);
    world.join("m", &["a"]);
    world.pass(44_000);
    world.join("n", &["a"]);
    assert_eq!(world.ping("n"), None);
    world.pass(1000);
    assert_eq!(world.beat("m", &at(1)), code(Code::UnknownMemberId));
    assert_eq!(world.state(), "Assigning");
    assert_eq!(world.ping("n"), Some(vec![(1, 0), (1, 1)]));
    world.pass(45_000);
    assert_eq!((world.state(), world.group.next_deadline()), ("Empty", None));
}

#[test]
fn a_member_that_leaves_frees_its_partitions() {
    let mut world = World::new(&[2]);
    world.join("m", &["a"]);
    world.join("n", &["a"]);
    let answer = world.beat("m", &at(LEAVE)).unwrap();
    assert_eq!((answer.member_id.as_deref(), answer.member_epoch), (Some("m"), LEAVE));
    assert_eq!(world.ping("n"), Some(vec![(1, 0), (1, 1)]));
    assert_eq!(world.state(), "Stable");
}

#[test]
fn a_named_member_that_is_away_keeps_its_partitions_for_its_next_self() {
    let mut world = World::new(&[2]);
    world.beat("m", &join_as("i", &["a"])).unwrap();
    world.join("n", &["a"]);
    world.own("m", &[(1, 0)]);
    assert_eq!(world.ping("n"), Some(vec![(1, 1)]));
    let epoch = world.group.epoch;

    // In use: neither another nor the same may take it.
    for id in ["m", "other"] {
        assert_eq!(world.beat(id, &join_as("i", &["a"])), code(Code::UnreleasedInstanceId));
    }
    let named = |epoch| Request { instance_id: Some("i".into()), ..at(epoch) };
    assert_eq!(world.beat("other", &named(AWAY)), code(Code::FencedInstanceId));
    let answer = world.beat("m", &named(AWAY)).unwrap();
    assert_eq!((answer.member_id.as_deref(), answer.member_epoch), (Some("m"), AWAY));
    assert_eq!((world.ping("n"), world.state()), (None, "Reconciling"));
    assert_eq!(world.beat("m", &named(2)), code(Code::FencedMemberEpoch));

    // It is back with another id: no one else notices.
    let answer = world.beat("m2", &join_as("i", &["a"])).unwrap();
    assert_eq!((answer.member_epoch, told(&answer)), (epoch, Some(vec![(1, 0)])));
    assert_eq!((world.group.epoch, world.state()), (epoch, "Stable"));
    assert_eq!(world.beat("m", &named(epoch)), code(Code::FencedInstanceId));
    assert!(!world.group.members.contains_key("m"));
}

#[test]
fn a_named_member_that_stays_away_is_removed() {
    let mut world = World::new(&[2]);
    world.beat("m", &join_as("i", &["a"])).unwrap();
    world.beat("m", &Request { instance_id: Some("i".into()), ..at(AWAY) }).unwrap();
    world.pass(45_000);
    assert_eq!(world.state(), "Empty");
    // For good it leaves like any other.
    world.beat("m", &join_as("i", &["a"])).unwrap();
    world.beat("m", &Request { instance_id: Some("i".into()), ..at(LEAVE) }).unwrap();
    assert_eq!(world.state(), "Empty");
}

fn who(member_id: &str, generation: i32) -> Who<'_> {
    Who { member_id, instance_id: None, generation }
}

#[test]
fn offsets_are_taken_from_members_at_their_epochs() {
    let mut world = World::new(&[1]);
    let plain = |version| Mode::Plain { version, retention: -1 };
    assert_eq!(world.group.check_commit(who("", -1), plain(9)), Ok(()));
    assert_eq!(world.group.check_commit(who("m", 1), plain(9)), Err(Code::UnknownMemberId));
    world.join("m", &["a"]);
    let check = |id, epoch, mode| world.group.check_commit(who(id, epoch), mode);
    let transaction = Mode::Transaction { producer_id: 1 };
    assert_eq!(check("m", 1, plain(9)), Ok(()));
    assert_eq!(check("m", 1, transaction), Ok(()));
    assert_eq!(check("m", 1, plain(8)), Err(Code::UnsupportedVersion));
    assert_eq!(check("m", 0, plain(9)), Err(Code::StaleMemberEpoch));
    assert_eq!(check("m", 2, plain(9)), Err(Code::StaleMemberEpoch));
    assert_eq!(check("m", 2, transaction), Err(Code::IllegalGeneration));
    assert_eq!(check("", -1, plain(9)), Err(Code::UnknownMemberId));
}

#[test]
fn offsets_are_told_to_members_at_their_epochs_and_to_outsiders() {
    let mut world = World::new(&[1]);
    world.join("m", &["a"]);
    let check = |id, epoch| world.group.check_fetch(who(id, epoch));
    assert_eq!(check("", -1), Ok(()));
    assert_eq!(check("m", 1), Ok(()));
    assert_eq!(check("m", 2), Err(Code::StaleMemberEpoch));
    assert_eq!(check("n", 1), Err(Code::UnknownMemberId));
    assert_eq!(check("", 1), Err(Code::UnknownMemberId));
}
