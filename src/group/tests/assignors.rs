//! Who gets what: the examples of Java's documentation, and what holds for all.

use super::super::assignors::{Candidate, Counts, Shares};
use super::super::subscription::by_topic;
use super::*;
use crate::wire::messages::StickyUserData;

/// Xorshift (Marsaglia 2003).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    pub(super) fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

fn counts(topics: &[(&str, i32)]) -> Counts {
    topics.iter().map(|(topic, count)| (Arc::from(*topic), *count)).collect()
}

fn member(id: &str, topics: &[&str]) -> Candidate {
    let subscription = Subscription { topics: names(topics), ..Default::default() };
    Candidate { id: id.into(), instance_id: None, subscription }
}

/// The same with what it has since a generation, as it would say it to either sticky assignor.
fn holding(member: &Candidate, places: &[TopicPartition], generation: i32) -> Candidate {
    let data = StickyUserData { previous_assignment: by_topic(places), generation };
    let subscription = Subscription {
        user_data: Some(data.encode().unwrap()),
        owned: places.to_vec(),
        generation: Some(generation),
        ..member.subscription.clone()
    };
    Candidate { subscription, ..member.clone() }
}

/// What it is after an assignment.
fn after(members: &[Candidate], shares: &Shares, generation: i32) -> Vec<Candidate> {
    members.iter().map(|member| holding(member, &shares[&member.id], generation)).collect()
}

/// In words: `a: t0 t1, b: u0`.
fn words(shares: &Shares) -> String {
    let share = |(id, places): (&String, &Vec<TopicPartition>)| {
        let places = places.iter().map(|place| format!("{}{}", place.topic, place.partition));
        format!("{id}: {}", places.collect::<Vec<_>>().join(" "))
    };
    shares.iter().map(share).collect::<Vec<_>>().join(", ")
}

#[test]
fn names_are_those_of_the_protocol() {
    for assignor in Assignor::ALL {
        assert_eq!(Assignor::named(assignor.name()), Some(assignor));
    }
    assert_eq!(Assignor::named("uniform"), None);
}

#[test]
fn range_gives_consecutive_partitions_of_each_topic_to_members_in_order() {
    let members = [member("c1", &["t", "u"]), member("c0", &["t", "u"])];
    let shares = Assignor::Range.assign(&members, &counts(&[("t", 3), ("u", 3)]));
    assert_eq!(words(&shares), "c0: t0 t1 u0 u1, c1: t2 u2");
    // With other topics, other members.
    let members = [member("a", &["t"]), member("b", &["t", "u"]), member("c", &["u"])];
    let shares = Assignor::Range.assign(&members, &counts(&[("t", 1), ("u", 5)]));
    assert_eq!(words(&shares), "a: t0, b: u0 u1 u2, c: u3 u4");
}

#[test]
fn roundrobin_gives_all_partitions_in_turn() {
    let members = [member("c0", &["t", "u"]), member("c1", &["t", "u"])];
    let shares = Assignor::RoundRobin.assign(&members, &counts(&[("t", 3), ("u", 3)]));
    assert_eq!(words(&shares), "c0: t0 t2 u1, c1: t1 u0 u2");
    let members = [member("c0", &["t"]), member("c1", &["t", "u"]), member("c2", &["t", "u", "v"])];
    let shares = Assignor::RoundRobin.assign(&members, &counts(&[("t", 1), ("u", 2), ("v", 3)]));
    assert_eq!(words(&shares), "c0: t0, c1: u0, c2: u1 v0 v1 v2");
}

#[test]
fn static_members_come_first_in_the_order_of_their_names() {
    let named = |id: &str, name: &str| Candidate { instance_id: Some(name.into()), ..member(id, &["t"]) };
    let members = [member("a", &["t"]), named("z", "i1"), named("b", "i2")];
    let topics = counts(&[("t", 4)]);
    assert_eq!(words(&Assignor::Range.assign(&members, &topics)), "a: t3, b: t2, z: t0 t1");
    assert_eq!(words(&Assignor::RoundRobin.assign(&members, &topics)), "a: t2, b: t1, z: t0 t3");
}

#[test]
fn sticky_keeps_what_members_have_when_one_goes_and_when_one_comes() {
    for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
        let topics = counts(&[("p", 2), ("q", 2), ("r", 2), ("s", 2)]);
        let all = ["p", "q", "r", "s"];
        let members = [member("c0", &all), member("c1", &all), member("c2", &all)];
        let shares = assignor.assign(&members, &topics);
        assert_eq!(words(&shares), "c0: p0 q1 s0, c1: p1 r0 s1, c2: q0 r1");
        let members = after(&members, &shares, 1);
        let left = assignor.assign(&[members[0].clone(), members[2].clone()], &topics);
        assert_eq!(words(&left), "c0: p0 p1 q1 s0, c2: q0 r0 r1 s1");
        let mut members = members;
        members.push(member("c3", &all));
        let more = assignor.assign(&members, &topics);
        // The highest partitions go; cooperatively, to no one yet.
        let moved = if assignor.is_cooperative() { "c3: " } else { "c3: q1 s1" };
        assert_eq!(words(&more), format!("c0: p0 s0, c1: p1 r0, c2: q0 r1, {moved}"));
    }
}

#[test]
fn sticky_keeps_what_members_have_that_want_different_topics() {
    let topics = counts(&[("t", 1), ("u", 2), ("v", 3)]);
    let members = [member("c0", &["t"]), member("c1", &["t", "u"]), member("c2", &["t", "u", "v"])];
    for assignor in [Assignor::Sticky, Assignor::CooperativeSticky] {
        let shares = assignor.assign(&members, &topics);
        assert_eq!(words(&shares), "c0: t0, c1: u0 u1, c2: v0 v1 v2");
        let members = after(&members, &shares, 1);
        let left = assignor.assign(&members[1..], &topics);
        assert_eq!(words(&left), "c1: t0 u0 u1, c2: v0 v1 v2");
    }
}

#[test]
fn of_two_claims_the_later_generation_counts_and_of_the_same_none() {
    let topics = counts(&[("t", 2)]);
    let members = [member("a", &["t"]), member("b", &["t"])];
    let claim = |a: i32, b: i32| {
        [holding(&members[0], &places("t", 0..2), a), holding(&members[1], &places("t", 0..1), b)]
    };
    let sticky = |members: &[Candidate]| words(&Assignor::Sticky.assign(members, &topics));
    assert_eq!(sticky(&claim(1, 2)), "a: t1, b: t0");
    assert_eq!(sticky(&claim(2, 1)), "a: t0, b: t1");
    assert_eq!(sticky(&claim(2, 2)), "a: t1, b: t0");
    // Cooperatively, whoever has what is disputed gives it up first.
    let shares = Assignor::CooperativeSticky.assign(&claim(2, 2), &topics);
    assert_eq!(words(&shares), "a: t1, b: ");
}

#[test]
fn claims_that_cannot_be_read_or_cannot_be_true_count_for_nothing() {
    let topics = counts(&[("t", 2)]);
    let mut members = [member("a", &["t"]), member("b", &["t"])];
    members[0].subscription.user_data = Some(vec![0, 0, 0, 9]);
    let nonsense = [places("t", [7, -1, i32::MAX]), places("gone", 0..1)].concat();
    members[1] = holding(&members[1], &nonsense, 3);
    for assignor in Assignor::ALL {
        assert_eq!(words(&assignor.assign(&members, &topics)), "a: t0, b: t1");
    }
    assert_eq!(Assignor::Sticky.assign(&[], &topics), Shares::new());
    assert_eq!(words(&Assignor::Sticky.assign(&members, &Counts::new())), "a: , b: ");
}

/// A group as it may be found: some members have something since some generation.
fn random_group(random: &mut Random, is_even: bool) -> (Vec<Candidate>, Counts) {
    let all = ["p", "q", "r", "s"];
    let topics: Vec<(&str, i32)> =
        all.iter().map(|topic| (*topic, random.below(6) as i32)).filter(|(_, n)| *n > 0).collect();
    let topics = counts(&topics);
    let mut everything: Vec<TopicPartition> =
        topics.iter().flat_map(|(topic, n)| places(topic, 0..*n)).collect();
    let mut members = Vec::new();
    for n in 0..1 + random.below(6) {
        let wanted: Vec<&str> = all.into_iter().filter(|_| is_even || random.below(3) > 0).collect();
        let mut it = member(&format!("m{n}"), &wanted);
        let count = random.below(1 + everything.len() as u64) as usize;
        if random.below(3) > 0 {
            let taken: Vec<TopicPartition> = everything.drain(..count).collect();
            it = holding(&it, &taken, 3 + random.below(2) as i32);
            if random.chance(8) {
                // Someone else says that it has it too.
                everything.extend(taken);
            }
        }
        members.push(it);
    }
    (members, topics)
}

/// Every partition that someone wants is with one who wants it, and with no one else.
fn check_complete(members: &[Candidate], topics: &Counts, shares: &Shares, seed: u64) {
    let mut owners = BTreeMap::new();
    for member in members {
        for place in &shares[&member.id] {
            assert!(member.subscription.topics.contains(&place.topic), "seed {seed}: {place} unwanted");
            assert_eq!(owners.insert(place.clone(), &member.id), None, "seed {seed}: {place} twice");
        }
    }
    let wanted = |topic: &&Arc<str>| members.iter().any(|it| it.subscription.topics.contains(*topic));
    let all: usize = topics.iter().filter(|(topic, _)| wanted(topic)).map(|(_, n)| *n as usize).sum();
    assert_eq!(owners.len(), all, "seed {seed}: {shares:?}");
}

#[test]
fn every_partition_is_given_to_one_member_that_wants_it() {
    for seed in 1..400 {
        let (members, topics) = random_group(&mut Random(seed * 7919), seed % 2 == 0);
        for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky] {
            check_complete(&members, &topics, &assignor.assign(&members, &topics), seed);
        }
    }
}

#[test]
fn sticky_shares_are_even_and_stay_as_they_are() {
    for seed in 1..400 {
        let (members, topics) = random_group(&mut Random(seed * 7919), seed % 2 == 0);
        let shares = Assignor::Sticky.assign(&members, &topics);
        for (rich, poor) in members.iter().flat_map(|rich| members.iter().map(move |poor| (rich, poor))) {
            let (more, less) = (&shares[&rich.id], shares[&poor.id].len());
            let could_move = more.iter().any(|place| poor.subscription.topics.contains(&place.topic));
            assert!(!could_move || more.len() <= less + 1, "seed {seed}: {}", words(&shares));
        }
        let again = Assignor::Sticky.assign(&after(&members, &shares, 9), &topics);
        assert_eq!(words(&again), words(&shares), "seed {seed}");
    }
}

/// As members do it: who has what it was not given again gives it up and joins once more.
#[test]
fn cooperative_shares_are_complete_when_all_has_been_given_up() {
    for seed in 1..400 {
        let (mut members, topics) = random_group(&mut Random(seed * 7919), seed % 2 == 0);
        let mut shares = Shares::new();
        for generation in 10..13 {
            let before =
                std::mem::replace(&mut shares, Assignor::CooperativeSticky.assign(&members, &topics));
            for member in &members {
                let others = members.iter().filter(|other| other.id != member.id);
                let taken: Vec<&TopicPartition> =
                    others.flat_map(|other| &other.subscription.owned).collect();
                // In the first round some say they have what another has.
                for place in shares[&member.id].iter().filter(|_| generation > 10) {
                    assert!(!taken.contains(&place), "seed {seed}: {place} is another's still");
                }
            }
            members = after(&members, &shares, generation);
            if words(&before) == words(&shares) {
                break;
            }
        }
        check_complete(&members, &topics, &shares, seed);
        let again = Assignor::CooperativeSticky.assign(&members, &topics);
        assert_eq!(words(&again), words(&shares), "seed {seed}");
    }
}
