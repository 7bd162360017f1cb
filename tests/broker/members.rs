//! Groups of several members: what becomes of their partitions when one comes, goes, dies or is thrown out.
use std::collections::BTreeSet;
use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::groups::{EARLIEST, describe, member, wait_for_members, wait_for_members_of, wait_until};
use crate::harness::app::{Kps, Library};
use crate::harness::client::Client;
use crate::harness::kafka::{Kafka, Record};
use crate::harness::process::Running;
use crate::harness::unique;
use crate::{Ctx, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("members::one_is_killed_and_the_other_loses_nothing", one_is_killed_and_the_other_loses_nothing),
    ("members::one_is_interrupted_and_the_other_takes_over", one_is_interrupted_and_the_other_takes_over),
    ("members::they_agree_by_every_assignor", they_agree_by_every_assignor),
    ("members::the_broker_assigns_as_java_sees", the_broker_assigns_as_java_sees),
    ("members::blocked_output_gives_partitions_up", blocked_output_gives_partitions_up),
    ("members::a_static_member_returns_to_its_partitions", a_static_member_returns_to_its_partitions),
    ("members::java_removes_one_and_it_joins_again", java_removes_one_and_it_joins_again),
    ("members::new_topics_and_partitions_join", new_topics_and_partitions_join),
    ("members::one_without_partitions_ends_with_exit", one_without_partitions_ends_with_exit),
    ("members::settings_that_do_not_fit_the_group_are_told", settings_that_do_not_fit_the_group_are_told),
    ("members::a_broker_that_comes_back_finds_them_again", a_broker_that_comes_back_finds_them_again),
    ("members::a_second_of_the_same_instance_ends_the_first", a_second_of_the_same_instance_ends_the_first),
    ("members::a_deleted_topic_leaves_the_others", a_deleted_topic_leaves_the_others),
    ("members::those_who_start_at_the_end_lose_nothing", those_who_start_at_the_end_lose_nothing),
];

/// Soon missed when it dies.
const MORTAL: [&str; 2] = ["-X", "session.timeout.ms=6000"];
/// What Kafka takes as the shortest session.
const SESSION: Duration = Duration::from_secs(6);

/// A member that prints partition and value of each record.
fn start(ctx: &Ctx, library: Library, topic: &str, group: &str, args: &[&str]) -> Running {
    let args = [&EARLIEST, args, &["-f", r"%p %s\n"]].concat();
    member(ctx, library, topic, group).args(args).spawn()
}

/// Publishes numbers to so many partitions in turn.
fn produce(ctx: &Ctx, topic: &str, partitions: u32, numbers: std::ops::Range<u32>) {
    let records: Vec<_> = numbers.map(|n| Record::of(n.to_string()).to(n % partitions)).collect();
    ctx.kafka().produce(topic, &records, json!({}));
}

/// The numbers in whole lines of output, in their order.
pub(crate) fn numbers(out: &[u8]) -> Vec<u32> {
    let text = String::from_utf8_lossy(out);
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| line.rsplit([' ', '\t']).next().unwrap().parse().unwrap()).collect()
}

/// Waits until each of these members has printed so many numbers from `from` on.
#[track_caller]
fn wait_for_numbers<'m>(members: impl IntoIterator<Item = &'m Running>, each: usize, from: u32) {
    for member in members {
        member.until_stdout(|out| numbers(out).iter().filter(|&&n| n >= from).count() >= each);
    }
}

/// Ends members in order. Every number was read once, by one of them or as told.
#[track_caller]
fn end_with_each_once(members: Vec<Running>, mut read: Vec<u32>, all: std::ops::Range<u32>) {
    for member in members {
        member.signal(Signal::TERM);
        read.extend(numbers(&member.wait().code(143).silent().stdout));
    }
    read.sort_unstable();
    assert!(read == all.collect::<Vec<_>>(), "{read:?}");
}

fn one_is_killed_and_the_other_loses_nothing(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("killed", 12), unique("group"));
    let args = [&MORTAL[..], &["-X", "auto.commit.interval.ms=100"]].concat();
    let [first, second] = [(); 2].map(|()| start(ctx, library, &topic, &group, &args));
    wait_for_members(ctx, &group, 2, 6);
    produce(ctx, &topic, 12, 0..1200);
    wait_for_numbers([&first, &second], 600, 0);
    first.signal(Signal::KILL);
    let killed = Instant::now();
    let dead = first.wait();
    produce(ctx, &topic, 12, 1200..2400);
    wait_for_members(ctx, &group, 1, 12);
    assert!(killed.elapsed() < SESSION + Duration::from_secs(2), "{:?}", killed.elapsed());
    second.until_stdout(|out| {
        let read: BTreeSet<u32> = numbers(out).into_iter().collect();
        (1200..2400).all(|number| read.contains(&number))
    });
    second.signal(Signal::TERM);
    let read = [numbers(&dead.stdout), numbers(&second.wait().code(143).stdout)].concat();
    assert_eq!(BTreeSet::from_iter(read), (0..2400).collect());
}

fn one_is_interrupted_and_the_other_takes_over(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("interrupted", 12), unique("group"));
    let [first, second] = [(); 2].map(|()| start(ctx, library, &topic, &group, &[]));
    wait_for_members(ctx, &group, 2, 6);
    produce(ctx, &topic, 12, 0..120);
    wait_for_numbers([&first, &second], 60, 0);
    produce(ctx, &topic, 12, 120..240);
    let interrupted = Instant::now();
    first.signal(Signal::INT);
    let first = first.wait().code(130).silent();
    second.until_stdout(|out| numbers(out).len() + numbers(&first.stdout).len() >= 240);
    // The session is 45 s.
    assert!(interrupted.elapsed() < Duration::from_secs(1), "{:?}", interrupted.elapsed());
    end_with_each_once(vec![second], numbers(&first.stdout), 0..240);
}

fn they_agree_by_every_assignor(ctx: &Ctx, library: Library) {
    let names: &[&str] = match library {
        Library::Rdkafka => &["range", "roundrobin", "cooperative-sticky"],
        Library::Native | Library::Rskafka => &["range", "roundrobin", "cooperative-sticky", "sticky"],
    };
    for name in names {
        let (topic, group) = (ctx.kafka().topic(name, 6), unique("group"));
        let strategy = format!("partition.assignment.strategy={name}");
        let join = || start(ctx, library, &topic, &group, &["-X", &strategy]);
        let first = join();
        wait_for_members(ctx, &group, 1, 6);
        produce(ctx, &topic, 6, 0..60);
        first.until_stdout(|out| numbers(out).len() == 60);
        let mut members = vec![first, join(), join()];
        wait_for_members(ctx, &group, 3, 2);
        assert_eq!(describe(ctx, &group)["assignor"], *name);
        produce(ctx, &topic, 6, 60..120);
        wait_for_numbers(&members, 20, 60);
        let left = members.remove(0);
        left.signal(Signal::TERM);
        let read = numbers(&left.wait().code(143).silent().stdout);
        wait_for_members(ctx, &group, 2, 3);
        produce(ctx, &topic, 6, 120..180);
        wait_for_numbers(&members, 30, 120);
        end_with_each_once(members, read, 0..180);
    }
}

fn the_broker_assigns_as_java_sees(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("kip848", 4), unique("group"));
    let args = ["-X", "group.protocol=consumer"];
    let [first, second] = [(); 2].map(|()| start(ctx, library, &topic, &group, &args));
    let java = ctx.kafka().client(Client::Java);
    let found = || java.ask(&json!({"do": "describe_group", "group": group}));
    let settled = |members: usize, partitions: usize| {
        let Ok(found) = found() else { return false };
        let all = found["members"].as_array().unwrap();
        let each = |m: &serde_json::Value| m["partitions"].as_array().unwrap().len() == partitions;
        found["state"] == "Stable" && all.len() == members && all.iter().all(each)
    };
    wait_until(|| settled(2, 2));
    assert_eq!(found().unwrap()["assignor"], "uniform");
    produce(ctx, &topic, 4, 0..40);
    wait_for_numbers([&first, &second], 20, 0);
    first.signal(Signal::TERM);
    let read = numbers(&first.wait().code(143).silent().stdout);
    wait_until(|| settled(1, 4));
    produce(ctx, &topic, 4, 40..80);
    wait_for_numbers([&second], 40, 40);
    end_with_each_once(vec![second], read, 0..80);
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(20));

    let range = ["-X", "group.protocol=consumer", "-X", "group.remote.assignor=range"];
    let third = start(ctx, library, &topic, &group, &range);
    wait_until(|| settled(1, 4));
    assert_eq!(found().unwrap()["assignor"], "range");
    third.signal(Signal::TERM);
    third.wait().code(143).silent();
}

fn blocked_output_gives_partitions_up(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("blocked", 2), unique("group"));
    let args = [&MORTAL[..], &EARLIEST, &["-X", "max.poll.interval.ms=6000"], &["-f", r"%p %s\n"]].concat();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let blocked = member(ctx, library, &topic, &group).args(&args).stdout(writer).spawn();
    wait_for_members(ctx, &group, 1, 2);
    let long = |n: u32| Record::of(format!("{}{n}", "0".repeat(1000))).to(n % 2);
    let records: Vec<_> = (0..1000).map(long).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    let mut first = [0; 1];
    reader.read_exact(&mut first).unwrap();
    let other = member(ctx, library, &topic, &group).args(&args).spawn();
    wait_for_members(ctx, &group, 1, 2);
    other.until_stdout(|out| numbers(out).len() >= 500);
    let drained = std::thread::spawn(move || {
        let mut out = Vec::new();
        reader.read_to_end(&mut out).unwrap();
        [&first[..], &out].concat()
    });
    wait_for_members(ctx, &group, 2, 1);
    for member in [&blocked, &other] {
        member.signal(Signal::TERM);
    }
    blocked.wait().code(143).says("max.poll.interval.ms");
    let read = [numbers(&drained.join().unwrap()), numbers(&other.wait().code(143).stdout)].concat();
    assert_eq!(BTreeSet::from_iter(read), (0..1000).collect());
}

fn a_static_member_returns_to_its_partitions(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("static", 4), unique("group"));
    let join = |instance: &str| {
        // Not every client that is asked here tells instances.
        let names = ["group.instance.id", "client.id"].map(|key| format!("{key}={instance}"));
        start(ctx, library, &topic, &group, &["-X", &names[0], "-X", &names[1]])
    };
    let (first, second) = (join("one"), join("two"));
    wait_for_members(ctx, &group, 2, 2);
    let seen = |instance: &str| {
        let members = describe(ctx, &group)["members"].as_array().unwrap().clone();
        let member = members.into_iter().find(|member| member["client_id"] == instance).unwrap();
        assert!(member.get("instance_id").is_none_or(|id| id == instance), "{member}");
        member
    };
    let before = [seen("one"), seen("two")];
    produce(ctx, &topic, 4, 0..40);
    wait_for_numbers([&first, &second], 20, 0);
    first.signal(Signal::TERM);
    let gone = first.wait().code(143).silent();
    assert_eq!([seen("one"), seen("two")], before, "its place is kept");
    produce(ctx, &topic, 4, 40..80);
    let again = join("one");
    again.until_stdout(|out| numbers(out).len() == 20);
    second.until_stdout(|out| numbers(out).len() == 40);
    assert_eq!(seen("one")["partitions"], before[0]["partitions"]);
    assert_eq!(seen("two"), before[1]);
    end_with_each_once(vec![again, second], numbers(&gone.stdout), 0..80);
}

/// Whoever is thrown out joins again; what was not committed by then comes again, and nothing is left out.
fn java_removes_one_and_it_joins_again(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("removed", 2), unique("group"));
    let reader = start(ctx, library, &topic, &group, &["-X", "auto.commit.interval.ms=600000"]);
    wait_for_members(ctx, &group, 1, 2);
    produce(ctx, &topic, 2, 0..10);
    reader.until_stdout(|out| numbers(out).len() == 10);
    let id = || describe(ctx, &group)["members"][0]["member_id"].clone();
    let was = id();
    ctx.kafka().client(Client::Java).must(&json!({"do": "remove_members", "group": group}));
    wait_until(|| !id().is_null() && id() != was);
    wait_for_members(ctx, &group, 1, 2);
    produce(ctx, &topic, 2, 10..20);
    reader.until_stdout(|out| numbers(out).len() == 30);
    reader.signal(Signal::TERM);
    let mut read = numbers(&reader.wait().code(143).stdout);
    read.sort_unstable();
    let twice = (0..10).flat_map(|n| [n, n]);
    assert_eq!(read, twice.chain(10..20).collect::<Vec<_>>());
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(10));
}

fn new_topics_and_partitions_join(ctx: &Ctx, library: Library) {
    for protocol in ["classic", "consumer"] {
        let (prefix, group) = (unique("new"), unique("group"));
        let topic = ctx.kafka().topic(&format!("{prefix}.one"), 1);
        let protocol = format!("group.protocol={protocol}");
        let args = ["-X", &protocol, "-X", "metadata.max.age.ms=500", "-f", r"%t %p %s\n"];
        let reader = Kps::new(["subscribe", "--pattern", &prefix, "-g", &group])
            .on(ctx.kafka(), library)
            .args(EARLIEST)
            .args(args)
            .spawn();
        ctx.kafka().produce(&topic, &[Record::of("a")], json!({}));
        reader.until_stdout(|out| out.ends_with(b" 0 a\n"));
        let more = ctx.kafka().topic(&format!("{prefix}.two"), 1);
        ctx.kafka().produce(&more, &[Record::of("b")], json!({}));
        reader.until_stdout(|out| out.ends_with(b" 0 b\n"));
        ctx.kafka().helper().must(&json!({"do": "create_partitions", "topic": topic, "total": 2}));
        wait_until(|| ctx.kafka().end_offsets(&topic).len() == 2);
        ctx.kafka().produce(&topic, &[Record::of("c").to(1)], json!({}));
        reader.until_stdout(|out| out.ends_with(b" 1 c\n"));
        reader.signal(Signal::TERM);
        reader.wait().code(143).silent();
    }
}

fn one_without_partitions_ends_with_exit(ctx: &Ctx, library: Library) {
    for protocol in ["group.protocol=classic", "group.protocol=consumer"] {
        let (topic, group) = (ctx.kafka().topic("few", 1), unique("group"));
        produce(ctx, &topic, 1, 0..3);
        let first = start(ctx, library, &topic, &group, &["-X", protocol]);
        first.until_stdout(|out| numbers(out).len() == 3);
        let second = start(ctx, library, &topic, &group, &["-X", protocol, "--exit"]).wait().ok();
        first.signal(Signal::TERM);
        let read = [numbers(&first.wait().code(143).stdout), numbers(&second.stdout)].concat();
        assert_eq!(read, [0, 1, 2]);
    }
}

/// What a coordinator takes no member for is told in the words of the group, and is a matter of settings.
fn settings_that_do_not_fit_the_group_are_told(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("unfit", 1), unique("group"));
    let short = ["-X", "session.timeout.ms=1000", "-X", "heartbeat.interval.ms=300"];
    let refused = start(ctx, library, &topic, &unique("group"), &short).wait_with_open_stdin().code(2);
    refused.says("group ").says("session.timeout.ms");
    let first = start(ctx, library, &topic, &group, &["-X", "partition.assignment.strategy=roundrobin"]);
    wait_for_members(ctx, &group, 1, 1);
    let other = ["-X", "partition.assignment.strategy=range"];
    let refused = start(ctx, library, &topic, &group, &other).wait_with_open_stdin().code(2);
    refused.says(&format!("group {group}: ")).says("partition.assignment.strategy");
    first.signal(Signal::TERM);
    first.wait().code(143).silent();
}

/// With `auto.offset.reset=latest`, one that dies before its first commit leaves a place to go on from.
fn those_who_start_at_the_end_lose_nothing(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("end", 1), unique("group"));
    produce(ctx, &topic, 1, 0..5);
    let args = [&MORTAL[..], &["-X", "auto.commit.interval.ms=600000", "-f", r"%p %s\n"]].concat();
    let join = || member(ctx, library, &topic, &group).args(&args).spawn();
    let first = join();
    wait_until(|| ctx.kafka().committed(&group, &topic, 0) == Some(5));
    produce(ctx, &topic, 1, 5..10);
    first.until_stdout(|out| numbers(out).len() == 5);
    first.signal(Signal::KILL);
    first.wait();
    let second = join();
    second.until_stdout(|out| numbers(out) == [5, 6, 7, 8, 9]);
    end_with_each_once(vec![second], Vec::new(), 5..10);
}

fn a_broker_that_comes_back_finds_them_again(ctx: &Ctx, library: Library) {
    let dir = tempfile::tempdir().unwrap();
    let first = Kafka::start_in(ctx.kind, dir.path(), None);
    let (topic, group, address) = (first.topic("back", 2), unique("group"), first.address().to_owned());
    let args =
        [&EARLIEST[..], &["-g", &group, "-X", "auto.commit.interval.ms=100", "-f", r"%p %s\n"]].concat();
    let join = || Kps::subscribe(&first, library, &topic).args(&args).spawn();
    let members = [join(), join()];
    wait_for_members_of(first.helper(), &group, 2, 1);
    let records = |numbers: std::ops::Range<u32>| {
        numbers.map(|n| Record::of(n.to_string()).to(n % 2)).collect::<Vec<_>>()
    };
    first.produce(&topic, &records(0..20), json!({}));
    wait_for_numbers(&members, 10, 0);
    wait_until(|| (0..2).all(|partition| first.committed(&group, &topic, partition) == Some(10)));
    first.kill();
    let second = Kafka::start_in(ctx.kind, dir.path(), Some(&address));
    second.produce(&topic, &records(20..40), json!({}));
    let mut read = Vec::new();
    let [one, other] = members;
    wait_until(|| {
        let all = [&one, &other].map(|member| numbers(&member.until_stdout(|_| true)));
        (20..40).all(|n| all.iter().flatten().any(|read| *read == n))
            || second.committed(&group, &topic, 0).is_none()
    });
    for member in [one, other] {
        member.signal(Signal::TERM);
        read.extend(numbers(&member.wait().code(143).stdout));
    }
    read.sort_unstable();
    // The group is another after the rebalance; what was committed by then is not read again.
    read.dedup();
    assert_eq!(read, (0..40).collect::<Vec<_>>());
    assert_eq!((0..2).map(|p| second.committed(&group, &topic, p)).collect::<Vec<_>>(), [Some(20), Some(20)]);
}

fn a_second_of_the_same_instance_ends_the_first(ctx: &Ctx, library: Library) {
    let (topic, group) = (ctx.kafka().topic("instance", 1), unique("group"));
    let join = || start(ctx, library, &topic, &group, &["-X", "group.instance.id=same"]);
    let first = join();
    wait_for_members(ctx, &group, 1, 1);
    produce(ctx, &topic, 1, 0..5);
    first.until_stdout(|out| numbers(out).len() == 5);
    let second = join();
    let fenced = first.wait_with_open_stdin().code(1);
    fenced.says(&format!("group {group}: another client has taken the place of "));
    wait_for_members(ctx, &group, 1, 1);
    produce(ctx, &topic, 1, 5..10);
    wait_for_numbers([&second], 5, 5);
    second.signal(Signal::TERM);
    second.wait().code(143);
}

fn a_deleted_topic_leaves_the_others(ctx: &Ctx, library: Library) {
    // Found by looking for it, and by reading it.
    for age in ["metadata.max.age.ms=500", "metadata.max.age.ms=300000"] {
        let (prefix, group) = (unique("gone"), unique("group"));
        let [one, two] = ["one", "two"].map(|name| ctx.kafka().topic(&format!("{prefix}.{name}"), 1));
        let args = [&EARLIEST[..], &["-X", age, "-f", r"%p %s\n"]].concat();
        let reader = Kps::new(["subscribe", "--pattern", &prefix, "-g", &group])
            .on(ctx.kafka(), library)
            .args(args)
            .spawn();
        produce(ctx, &one, 1, 0..3);
        produce(ctx, &two, 1, 3..6);
        reader.until_stdout(|out| numbers(out).len() == 6);
        ctx.kafka().helper().must(&json!({"do": "delete_topic", "topic": one}));
        wait_until(|| {
            let held = describe(ctx, &group)["members"][0]["partitions"].clone();
            held == json!([format!("{two}-0")])
        });
        produce(ctx, &two, 1, 6..9);
        reader.until_stdout(|out| numbers(out).len() == 9);
        reader.signal(Signal::TERM);
        reader.wait().code(143);
    }
}
