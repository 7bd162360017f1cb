//! Members on their way to their targets.

use super::*;

#[test]
fn a_second_member_gets_its_half_when_the_first_has_given_it_up() {
    let mut world = World::new(&[4]);
    assert_eq!(world.join("m", &["a"]), (1, vec![(1, 0), (1, 1), (1, 2), (1, 3)]));
    assert_eq!(world.join("n", &["a"]), (2, vec![]));
    assert_eq!(world.state(), "Reconciling");
    let kept = world.ping("m").unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(world.group.members["m"].epoch, 1);
    // Not yet: it does not say that it has given up anything.
    assert_eq!((world.ping("m"), world.ping("n")), (None, None));
    assert_eq!(world.own("m", &kept), None);
    assert_eq!(world.group.members["m"].epoch, 2);
    let got = world.ping("n").unwrap();
    assert_eq!((got.len(), world.state()), (2, "Stable"));
    assert!(got.iter().all(|place| !kept.contains(place)));
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_removed() {
    let mut world = World::new(&[2]);
    world.join("m", &["a"]);
    world.join("n", &["a"]);
    world.ping("m").unwrap();
    for _ in 0..59 {
        world.pass(1000);
        world.ping("m");
        world.ping("n");
    }
    assert_eq!(world.group.members.len(), 2);
    world.pass(1000);
    assert_eq!(world.beat("m", &at(1)), Err(Code::UnknownMemberId as i16));
    assert_eq!(world.ping("n"), Some(vec![(1, 0), (1, 1)]));
}

#[test]
fn what_was_given_up_in_time_is_not_asked_for_again() {
    let mut world = World::new(&[2]);
    world.join("m", &["a"]);
    world.join("n", &["a"]);
    let kept = world.ping("m").unwrap();
    world.own("m", &kept);
    world.ping("n");
    for _ in 0..100 {
        world.pass(1000);
        assert_eq!((world.ping("m"), world.ping("n")), (None, None));
    }
    assert_eq!(world.state(), "Stable");
}

#[test]
fn topics_that_come_grow_and_go_are_noticed() {
    let mut world = World::new(&[1]);
    world.join("m", &["a", "b"]);
    world.topics.push(("unrelated".into(), 9, 1));
    assert_eq!((world.ping("m"), world.group.epoch), (None, 1));
    world.topics.push(("b".into(), 2, 1));
    assert_eq!(world.ping("m"), Some(vec![(1, 0), (2, 0)]));
    world.topics[0].2 = 2;
    assert_eq!(world.ping("m"), Some(vec![(1, 0), (1, 1), (2, 0)]));
    world.topics.remove(0);
    assert_eq!(world.ping("m"), Some(vec![(2, 0)]));
    assert_eq!(world.own("m", &[(2, 0)]), None);
    assert_eq!((world.group.epoch, world.state()), (4, "Stable"));
    // A topic of the same name is another one.
    world.topics.push(("a".into(), 5, 1));
    assert_eq!(world.ping("m"), Some(vec![(2, 0), (5, 0)]));
}

#[test]
fn a_pattern_subscribes_to_what_matches_now_and_later() {
    let mut world = World::new(&[]);
    world.topics = vec![("log-1".into(), 1, 1), ("log-2".into(), 2, 1), ("other".into(), 3, 1)];
    let answer = world.beat("m", &join_by_pattern("^log-.*")).unwrap();
    assert_eq!(told(&answer), Some(vec![(1, 0), (2, 0)]));
    world.topics.push(("log-3".into(), 4, 1));
    assert_eq!(world.ping("m"), Some(vec![(1, 0), (2, 0), (4, 0)]));
    assert!(world.group.subscribes("log-9") && !world.group.subscribes("other"));
    // With names beside it both count, and an empty one ends it.
    let both = Request { subscribed_topic_names: Some(vec!["other".into()]), ..at(2) };
    assert_eq!(told(&world.beat("m", &both).unwrap()), Some(vec![(1, 0), (2, 0), (3, 0), (4, 0)]));
    let none = Request { subscribed_topic_regex: Some("".into()), ..at(3) };
    assert_eq!(told(&world.beat("m", &none).unwrap()), Some(vec![(3, 0)]));
    assert!(world.group.subscribes("other") && !world.group.subscribes("log-1"));
    assert!(world.group.patterns.is_empty());
}

#[test]
fn a_subscription_that_changes_is_followed() {
    let mut world = World::new(&[1, 1]);
    world.join("m", &["a"]);
    let other = Request { subscribed_topic_names: Some(vec!["b".into()]), ..at(1) };
    // What it has is given up first.
    assert_eq!(told(&world.beat("m", &other).unwrap()), Some(vec![]));
    assert_eq!(world.own("m", &[]), Some(vec![(2, 0)]));
    assert_eq!(world.group.members["m"].epoch, 2);
}

#[test]
fn the_assignor_is_that_of_most_members() {
    let mut world = World::new(&[2, 2]);
    let asks =
        |assignor: &'static str| Request { server_assignor: Some(assignor.into()), ..join(&["a", "b"]) };
    assert_eq!(world.group.assignor(), Assignor::Uniform);
    world.beat("1", &asks("range")).unwrap();
    assert_eq!(world.group.assignor(), Assignor::Range);
    world.beat("2", &asks("uniform")).unwrap();
    assert_eq!(world.group.assignor(), Assignor::Uniform);
    world.beat("3", &asks("range")).unwrap();
    assert_eq!(world.group.assignor(), Assignor::Range);
}

#[test]
fn a_member_without_topics_is_a_member() {
    let mut world = World::new(&[1]);
    assert_eq!(world.join("m", &[]), (1, vec![]));
    assert_eq!(world.state(), "Stable");
}

#[test]
fn a_group_is_described_as_it_is() {
    let mut world = World::new(&[2]);
    world.beat("m", &join_as("i", &["a"])).unwrap();
    world.join("n", &["a"]);
    let topics = Topics::new(vec![Topic { name: "a", id: id(1), partitions: 2 }]);
    let group = world.group.describe(&topics);
    assert_eq!((&*group.group_state, group.group_epoch, group.assignment_epoch), ("Reconciling", 2, 2));
    assert_eq!((&*group.assignor_name, group.members.len()), ("uniform", 2));
    let member = &group.members[0];
    assert_eq!((&*member.member_id, member.instance_id.as_deref(), member.member_epoch), ("m", Some("i"), 1));
    assert_eq!((&*member.client_id, &*member.client_host, member.member_type), ("client", "/127.0.0.1", 1));
    assert_eq!(member.subscribed_topic_names, ["a"]);
    assert_eq!(member.assignment.topic_partitions[0].partitions, [0, 1]);
    assert_eq!(&*member.target_assignment.topic_partitions[0].topic_name, "a");
    assert_eq!(member.target_assignment.topic_partitions[0].partitions.len(), 1);
    // Of a topic that is gone nothing is told.
    let group = world.group.describe(&Topics::new(Vec::new()));
    assert!(group.members[0].assignment.topic_partitions.is_empty());
}
