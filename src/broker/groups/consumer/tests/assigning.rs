//! Both assignors, by what holds of every assignment.

use super::*;

/// Members by name: topics they subscribe to, and what they have.
type Members = BTreeMap<String, (BTreeSet<TopicId>, Places)>;

fn assign(assignor: Assignor, members: &mut Members, topics: &BTreeMap<TopicId, i32>) {
    let wishes: Vec<Wish<'_>> = members
        .iter()
        .map(|(name, (topics, held))| Wish { name, is_static: false, topics: topics.clone(), held })
        .collect();
    let shares = assignor.assign(&wishes, topics);
    assert_eq!(shares.len(), members.len());
    for (member, share) in members.values_mut().zip(shares) {
        member.1 = share;
    }
}

/// Each partition that someone subscribes to is with exactly one who does, and no other is.
fn check_everyone_has_what_is_his(members: &Members, topics: &BTreeMap<TopicId, i32>) {
    let mut seen = Places::new();
    for (subscribed, places) in members.values() {
        for place in places {
            assert!(subscribed.contains(&place.0), "{place:?} is not subscribed to");
            assert!(seen.insert(*place), "{place:?} twice");
        }
    }
    let wanted = |topic: &TopicId| members.values().any(|(subscribed, _)| subscribed.contains(topic));
    let all = topics.iter().filter(|(topic, _)| wanted(topic));
    let all: Places = all.flat_map(|(topic, count)| (0..*count).map(|n| (*topic, n))).collect();
    assert_eq!(seen, all);
}

fn loads(members: &Members) -> Vec<usize> {
    members.values().map(|(_, places)| places.len()).collect()
}

fn spread(members: &Members) -> usize {
    let loads = loads(members);
    loads.iter().max().unwrap() - loads.iter().min().unwrap()
}

/// Partitions that members had, still have a right to and do not have any more.
fn lost(before: &Members, after: &Members) -> usize {
    let lost = |(name, (_, had)): (&String, &(BTreeSet<TopicId>, Places))| {
        after.get(name).map_or(0, |(_, has)| (had - has).len())
    };
    before.iter().map(lost).sum()
}

fn topics(random: &mut Random) -> BTreeMap<TopicId, i32> {
    (1..=1 + random.below(4) as u8).map(|n| (id(n), random.below(13) as i32)).collect()
}

fn member(n: u64, topics: &BTreeMap<TopicId, i32>) -> (String, (BTreeSet<TopicId>, Places)) {
    (format!("{n:03}"), (topics.keys().copied().collect(), Places::new()))
}

#[test]
fn uniform_is_even_and_moves_no_more_than_it_must() {
    for seed in 1..400 {
        let mut random = Random(seed);
        let topics = topics(&mut random);
        let partitions = topics.values().sum::<i32>() as usize;
        let mut members: Members = (0..1 + random.below(8)).map(|n| member(n, &topics)).collect();
        assign(Assignor::Uniform, &mut members, &topics);
        for n in 100..110 {
            let before = members.clone();
            let is_join = members.len() == 1 || random.below(2) == 0;
            if is_join {
                members.extend([member(n, &topics)]);
            } else {
                let name = members.keys().nth(random.below(members.len() as u64) as usize).unwrap().clone();
                members.remove(&name);
            }
            assign(Assignor::Uniform, &mut members, &topics);
            check_everyone_has_what_is_his(&members, &topics);
            assert!(spread(&members) <= 1, "seed {seed}: {:?}", loads(&members));
            let most = if is_join { partitions / members.len() } else { 0 };
            assert!(lost(&before, &members) <= most, "seed {seed}: {} > {most}", lost(&before, &members));
        }
    }
}

/// The least sum of squares of loads, by trying all there is.
fn best(members: &[BTreeSet<TopicId>], places: &[(TopicId, i32)], loads: &mut Vec<usize>) -> usize {
    let Some((place, rest)) = places.split_first() else {
        return loads.iter().map(|load| load * load).sum();
    };
    let mut least = None;
    for (at, member) in members.iter().enumerate() {
        if member.contains(&place.0) {
            loads[at] += 1;
            let sum = best(members, rest, loads);
            loads[at] -= 1;
            least = Some(least.map_or(sum, |least: usize| least.min(sum)));
        }
    }
    least.unwrap_or_else(|| best(members, rest, loads))
}

#[test]
fn uniform_is_as_even_as_different_subscriptions_allow() {
    for seed in 1..300 {
        let mut random = Random(seed);
        let topics: BTreeMap<TopicId, i32> = (1..=3).map(|n| (id(n), random.below(4) as i32)).collect();
        let subscription = |random: &mut Random| -> BTreeSet<TopicId> {
            topics.keys().filter(|_| random.below(2) == 0).copied().collect()
        };
        let named = |n| format!("{n}");
        let mut members: Members =
            (0..3).map(|n| (named(n), (subscription(&mut random), Places::new()))).collect();
        for _ in 0..4 {
            assign(Assignor::Uniform, &mut members, &topics);
            check_everyone_has_what_is_his(&members, &topics);
            let sum: usize = loads(&members).iter().map(|load| load * load).sum();
            let subscriptions: Vec<_> = members.values().map(|(topics, _)| topics.clone()).collect();
            let places: Vec<_> =
                topics.iter().flat_map(|(topic, count)| (0..*count).map(|n| (*topic, n))).collect();
            assert_eq!(sum, best(&subscriptions, &places, &mut vec![0; 3]), "seed {seed}: {members:?}");
            members.get_mut(&named(random.below(3))).unwrap().0 = subscription(&mut random);
        }
    }
}

#[test]
fn uniform_goes_by_way_of_others_to_be_even() {
    // First reads a, second a and b, third b: a partition cannot go from the first to the third.
    let topics = BTreeMap::from([(id(1), 6), (id(2), 3)]);
    let held: [&[(u8, i32)]; 3] =
        [&[(1, 0), (1, 1), (1, 2), (1, 3)], &[(1, 4), (1, 5), (2, 0)], &[(2, 1), (2, 2)]];
    let subscribed: [&[u8]; 3] = [&[1], &[1, 2], &[2]];
    let mut members = Members::new();
    for ((name, held), topics) in ["x", "y", "z"].iter().zip(held).zip(subscribed) {
        let held = held.iter().map(|(topic, partition)| (id(*topic), *partition)).collect();
        members.insert((*name).into(), (topics.iter().map(|n| id(*n)).collect(), held));
    }
    assign(Assignor::Uniform, &mut members, &topics);
    check_everyone_has_what_is_his(&members, &topics);
    assert_eq!(loads(&members), [3, 3, 3]);
}

#[test]
fn range_gives_rows_and_cuts_equal_topics_alike() {
    for seed in 1..300 {
        let mut random = Random(seed);
        let topics = topics(&mut random);
        let mut members: Members = (0..1 + random.below(6)).map(|n| member(n, &topics)).collect();
        assign(Assignor::Range, &mut members, &topics);
        check_everyone_has_what_is_his(&members, &topics);
        let cut = |topic: &TopicId| -> Vec<Vec<i32>> {
            let of = |places: &Places| {
                places.iter().filter(|(of, _)| of == topic).map(|(_, number)| *number).collect()
            };
            members.values().map(|(_, places)| of(places)).collect()
        };
        for (topic, count) in &topics {
            let rows = cut(topic);
            assert!(rows.concat().into_iter().eq(0..*count), "not in rows: {rows:?}");
            let (least, most) = (rows.iter().map(Vec::len).min(), rows.iter().map(Vec::len).max());
            assert!(most.unwrap() - least.unwrap() <= 1);
            for (other, _) in topics.iter().filter(|(_, other)| *other == count) {
                assert_eq!(rows, cut(other));
            }
        }
    }
}

#[test]
fn range_puts_named_members_first_and_by_their_names() {
    let (topics, held) = (BTreeMap::from([(id(1), 3)]), Places::new());
    let wish = |name, is_static| Wish { name, is_static, topics: [id(1)].into(), held: &held };
    let shares = Assignor::Range.assign(&[wish("a", false), wish("z", true), wish("y", true)], &topics);
    let of = |n| Places::from([(id(1), n)]);
    assert_eq!(shares, [of(2), of(1), of(0)]);
}

#[test]
fn many_partitions_and_members_are_assigned_at_once() {
    let topics = BTreeMap::from([(id(1), 1000), (id(2), 1000)]);
    let mut members: Members = (0..300).map(|n| member(n, &topics)).collect();
    let begun = std::time::Instant::now();
    assign(Assignor::Uniform, &mut members, &topics);
    members.extend([member(900, &topics)]);
    assign(Assignor::Uniform, &mut members, &topics);
    assert!(spread(&members) <= 1);
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
}
