//! Groups: their members and their offsets, by every client; members of one kind share, those of another take over.
use std::collections::BTreeSet;
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;

use crate::groups::{describe, produce_to_four, wait_for_members, wait_for_members_of, wait_until};
use crate::harness::app::{Kps, Library};
use crate::harness::client::{Ask, Client};
use crate::harness::kafka::{Kafka, Record};
use crate::harness::process::{Output, Running};
use crate::harness::{java, kcat, python, unique};
use crate::members::numbers as each_number;
use crate::{Ctx, Named, Once, PerClient};

pub(crate) const ONCE: &[Once] = &[("groups::java_kafka_consumer_groups", java_kafka_consumer_groups)];

pub(crate) const TRIALS: &[PerClient] = &[("groups::administration", administration)];

/// A program that can be a member of a group.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Member {
    Kps(Library),
    Kcat,
    JavaConsole,
    Python(Client),
}

/// A setting as Java's client names it.
pub(crate) type Setting = (&'static str, &'static str);

/// Soon missed when it dies.
const MORTAL: [Setting; 2] = [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500")];

/// With the protocol of KIP-848, for which the broker says when a member is missed.
pub(crate) const CONSUMER: [Setting; 1] = [("group.protocol", "consumer")];

impl Member {
    fn all() -> Vec<Self> {
        let kps = Library::all().into_iter().map(Self::Kps);
        let python = [Client::Confluent, Client::KafkaPython].map(Self::Python);
        kps.chain([Self::Kcat, Self::JavaConsole]).chain(python).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Kps(Library::Native) => "kps_native",
            Self::Kps(Library::Rdkafka) => "kps_rdkafka",
            Self::Kps(Library::Rskafka) => "kps_rskafka",
            Self::Kcat => "kcat",
            Self::JavaConsole => "java_console",
            Self::Python(client) => client.name(),
        }
    }

    /// Starts one that prints partition and value of each record, and ends after `count` if there is one.
    pub(crate) fn start(
        self,
        kafka: &Kafka,
        topic: &str,
        group: &str,
        more: &[Setting],
        count: Option<usize>,
    ) -> Running {
        let earliest = [("auto.offset.reset", "earliest")];
        let settings = earliest.iter().chain(more).map(|(key, value)| format!("{key}={value}"));
        let count = count.map(|count| count.to_string());
        match self {
            Self::Kps(library) => {
                let settings = settings.flat_map(|setting| ["-X".to_owned(), setting]);
                let count = count.into_iter().flat_map(|count| ["-n".to_owned(), count]);
                let own = ["-g", group, "-f", r"%p %s\n"];
                Kps::subscribe(kafka, library, topic).args(own).args(settings).args(count).spawn()
            }
            Self::Kcat => {
                let settings = settings.flat_map(|setting| ["-X".to_owned(), setting]);
                let count = count.into_iter().flat_map(|count| ["-c".to_owned(), count]);
                let more: Vec<String> = settings.chain(count).collect();
                let mut args = vec!["-G", group, "-u", "-q", "-f", r"%p %s\n"];
                args.extend(more.iter().map(String::as_str));
                args.push(topic);
                kcat::start(kafka, &args)
            }
            Self::JavaConsole => {
                let settings = settings.flat_map(|setting| ["--consumer-property".to_owned(), setting]);
                let count = count.into_iter().flat_map(|count| ["--max-messages".to_owned(), count]);
                let more: Vec<String> = settings.chain(count).collect();
                let mut args = vec!["--bootstrap-server", kafka.address(), "--topic", topic];
                args.extend(["--group", group, "--property", "print.partition=true"]);
                args.extend(more.iter().map(String::as_str));
                java::start("org.apache.kafka.tools.consumer.ConsoleConsumer", &args)
            }
            Self::Python(client) => {
                let own = [("bootstrap.servers", kafka.address()), ("group.id", group)];
                let own = own.map(|(key, value)| format!("{key}={value}"));
                let count = count.map(|count| format!("count={count}"));
                let mut command: Command = python::command(&[client.name(), "member", topic]);
                command.args(own).args(settings).args(count);
                Running::start(command, format!("{} member of {group}", client.name()))
            }
        }
    }
}

/// The numbers that a member printed, each behind its partition.
fn numbers(out: &[u8]) -> BTreeSet<u32> {
    each_number(out).into_iter().collect()
}

/// Ends a member in order.
pub(crate) fn end(member: Running) -> Output {
    member.signal(Signal::TERM);
    member.wait()
}

/// The trials of each kind of member.
pub(super) fn trials() -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    let mut add = |name: String, run: Box<dyn FnOnce(&Ctx) + Send>| all.push((name, run));
    let members = Member::all();
    for (n, &member) in members.iter().enumerate() {
        let name = member.name();
        let killed = move |ctx: &Ctx| the_other_reads_all_when_one_is_killed(ctx, member, &MORTAL);
        add(format!("{name}::groups::the_other_reads_all_when_one_is_killed"), Box::new(killed));
        let heir = members[(n + 1) % members.len()];
        let passed = move |ctx: &Ctx| offsets_pass(ctx, member, heir);
        add(format!("{name}::groups::offsets_pass_to_{}", heir.name()), Box::new(passed));
        if let Member::Python(_) = member {
            let returns = move |ctx: &Ctx| a_static_member_returns_unnoticed(ctx, member);
            add(format!("{name}::groups::a_static_member_returns_unnoticed"), Box::new(returns));
        }
    }
    // KIP-848 as far as there are clients for it; Java tells what becomes of the group.
    let kps = || Library::all().into_iter().map(Member::Kps);
    for member in kps().chain([Member::JavaConsole, Member::Python(Client::Confluent)]) {
        let name = member.name();
        let killed = move |ctx: &Ctx| the_other_reads_all_when_one_is_killed(ctx, member, &CONSUMER);
        add(format!("{name}::kip_848::java_sees_that_one_was_killed"), Box::new(killed));
    }
    for member in kps() {
        let name = member.name();
        let alive = move |ctx: &Ctx| java_kafka_consumer_groups_alive(ctx, member);
        add(format!("{name}::groups::java_kafka_consumer_groups_on_a_living_group"), Box::new(alive));
        for (with, how) in mixtures() {
            let names: Vec<&str> = with.iter().map(|other| other.name()).collect();
            let name = format!("{name}::groups::{}_with_{}", how.name(), names.join("_"));
            let others = [vec![member], with].concat();
            add(name, Box::new(move |ctx: &Ctx| all_share(ctx, &others, how)));
        }
    }
    all
}

/// How the members of a mixed group agree.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// As each does when nothing is said.
    Default,
    Assignor(&'static str),
    /// By the broker (KIP-848).
    Broker,
}

impl How {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "shares",
            Self::Assignor("roundrobin") => "shares_in_turn",
            Self::Assignor("sticky") => "shares_stickily",
            Self::Assignor(_) => "shares_cooperatively",
            Self::Broker => "shares_by_the_broker",
        }
    }

    /// What it takes, as this member wants to be told.
    fn settings(self, member: Member) -> Vec<Setting> {
        let name = match self {
            Self::Default => return Vec::new(),
            Self::Broker => return CONSUMER.to_vec(),
            Self::Assignor(name) => name,
        };
        let class = match name {
            "roundrobin" => "org.apache.kafka.clients.consumer.RoundRobinAssignor",
            "sticky" => "org.apache.kafka.clients.consumer.StickyAssignor",
            _ => "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        };
        // Ours takes either.
        let name = if matches!(member, Member::JavaConsole | Member::Kps(_)) { class } else { name };
        vec![("partition.assignment.strategy", name)]
    }
}

/// With whom a group is shared, and how.
fn mixtures() -> Vec<(Vec<Member>, How)> {
    use Client::{Confluent, KafkaPython};
    use Member::{JavaConsole, Kcat, Python};
    vec![
        (vec![JavaConsole, Kcat, Python(Confluent), Python(KafkaPython)], How::Default),
        (vec![JavaConsole, Kcat], How::Assignor("roundrobin")),
        (vec![JavaConsole, Kcat, Python(Confluent)], How::Assignor("cooperative-sticky")),
        (vec![JavaConsole], How::Assignor("sticky")),
        (vec![JavaConsole, Python(Confluent)], How::Broker),
        (Library::all().into_iter().map(Member::Kps).collect(), How::Default),
        (Library::all().into_iter().map(Member::Kps).collect(), How::Assignor("cooperative-sticky")),
    ]
}

/// The first member of the list leaves and comes back while records come: each is read once, by whomever.
fn all_share(ctx: &Ctx, members: &[Member], how: How) {
    if how == How::Assignor("sticky") && members[0] == Member::Kps(Library::Rdkafka) {
        return only_refused(ctx, members[0], how);
    }
    let partitions = 2 * u32::try_from(members.len()).unwrap();
    let (topic, group) = (ctx.kafka().topic("mixed", partitions), unique("group"));
    let client = if how == How::Broker { ctx.kafka().client(Client::Java) } else { ctx.kafka().helper() };
    let start = |member: &Member| member.start(ctx.kafka(), &topic, &group, &how.settings(*member), None);
    let produce = |numbers: std::ops::Range<u32>| {
        let records: Vec<_> = numbers.map(|n| Record::of(n.to_string()).to(n % partitions)).collect();
        ctx.kafka().produce(&topic, &records, json!({}));
    };
    let (size, of_one) = (20 * partitions, 40);
    let mut running: Vec<Running> = members.iter().map(start).collect();
    wait_for_members_of(client, &group, members.len(), 2);
    produce(0..size);
    for member in &running {
        member.until_stdout(|out| each_number(out).len() >= of_one);
    }
    let mut read = each_number(&end(running.remove(0)).stdout);
    produce(size..2 * size);
    let share = |from: u32| {
        let read = |member: &Running| each_number(&member.until_stdout(|_| true));
        running.iter().flat_map(read).filter(|number| *number >= from).count()
    };
    wait_until(|| {
        describe_by(client, &group);
        share(size) >= size as usize
    });
    running.push(start(&members[0]));
    wait_for_members_of(client, &group, members.len(), 2);
    produce(2 * size..3 * size);
    for member in &running {
        let is_new = |number: &&u32| **number >= 2 * size;
        member.until_stdout(|out| each_number(out).iter().filter(is_new).count() >= of_one);
    }
    for member in running {
        read.extend(each_number(&end(member).stdout));
    }
    read.sort_unstable();
    assert!(read == (0..3 * size).collect::<Vec<_>>(), "{read:?}");
}

/// Asked only for the time that it takes.
fn describe_by(client: &dyn Ask, group: &str) {
    let _ = client.ask(&json!({"do": "describe_group", "group": group}));
}

/// librdkafka has no such assignor, which is said before anything is done.
fn only_refused(ctx: &Ctx, member: Member, how: How) {
    let topic = ctx.kafka().topic("mixed", 1);
    let refused = member.start(ctx.kafka(), &topic, "any", &how.settings(member), None).wait();
    refused.code(2).says("partition.assignment.strategy").says("--library");
}

fn the_other_reads_all_when_one_is_killed(ctx: &Ctx, member: Member, settings: &[Setting]) {
    let (topic, group) = (ctx.kafka().topic("mortal", 4), unique("group"));
    let start = || member.start(ctx.kafka(), &topic, &group, settings, None);
    // librdkafka's call for it knows the classic protocol only.
    let client = if settings == CONSUMER { ctx.kafka().client(Client::Java) } else { ctx.kafka().helper() };
    let [first, second] = [start(), start()];
    wait_for_members_of(client, &group, 2, 2);
    produce_to_four(ctx, &topic, 0..400);
    let mut read = BTreeSet::new();
    for member in [&first, &second] {
        read.extend(numbers(&member.until_stdout(|out| numbers(out).len() >= 200)));
    }
    assert_eq!(read, (0..400).collect());

    first.signal(Signal::KILL);
    first.wait();
    produce_to_four(ctx, &topic, 400..800);
    second.until_stdout(|out| (400..800).all(|number| numbers(out).contains(&number)));
    wait_for_members_of(client, &group, 1, 4);
    end(second);
    let committed = || [0, 1, 2, 3].map(|partition| ctx.kafka().committed(&group, &topic, partition));
    assert_eq!(committed(), [Some(200); 4]);
}

fn offsets_pass(ctx: &Ctx, from: Member, to: Member) {
    let (topic, group) = (ctx.kafka().topic("inherited", 1), unique("group"));
    let records: Vec<_> = (0..20).map(|n| Record::of(n.to_string())).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    let read = |member: Member| {
        let output = member.start(ctx.kafka(), &topic, &group, &[], Some(10)).wait().ok();
        numbers(&output.stdout)
    };
    assert_eq!(read(from), (0..10).collect());
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(10));
    assert_eq!(read(to), (10..20).collect());
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(20));
}

fn a_static_member_returns_unnoticed(ctx: &Ctx, member: Member) {
    let (topic, group) = (ctx.kafka().topic("static", 4), unique("group"));
    let start = |instance| {
        let settings = [("group.instance.id", instance), ("heartbeat.interval.ms", "500")];
        member.start(ctx.kafka(), &topic, &group, &settings, None)
    };
    let (first, second) = (start("one"), start("two"));
    wait_for_members(ctx, &group, 2, 2);
    // Member id and partitions of an instance.
    let seen = |instance: &str| {
        let found =
            ctx.kafka().client(member_client(member)).must(&json!({"do": "describe_group", "group": group}));
        let members = found["members"].as_array().unwrap().clone();
        members.into_iter().find(|member| member["instance_id"] == instance).unwrap()
    };
    let before = [seen("one"), seen("two")];
    // The group is stable a moment before the member tells of its partitions.
    let told = second.until_stderr(|err| assignments(err).last() == Some(&2)).len();
    first.signal(Signal::KILL);
    first.wait();
    let again = start("one");
    wait_until(|| seen("one")["member_id"] != before[0]["member_id"]);
    produce_to_four(ctx, &topic, 0..40);
    for member in [&again, &second] {
        member.until_stdout(|out| numbers(out).len() == 20);
    }
    let after = [seen("one"), seen("two")];
    assert_eq!(after[0]["partitions"], before[0]["partitions"]);
    assert_eq!(after[1], before[1]);
    let output = end(second);
    let anew = assignments(&output.stderr[told..]);
    assert!(anew.is_empty(), "the other was assigned partitions anew: {anew:?}\n{output}");
    end(again);
}

/// How many partitions a member was assigned, each time.
fn assignments(err: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(err);
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().filter_map(|line| line.strip_prefix("assigned"));
    lines.map(|partitions| partitions.split_whitespace().count()).collect()
}

/// The client that tells of instances.
fn member_client(member: Member) -> Client {
    match member {
        Member::Python(client) => client,
        _ => Client::Java,
    }
}

fn administration(ctx: &Ctx, client: Client) {
    let (topic, group) = (ctx.kafka().topic("managed", 2), unique("group"));
    let client = ctx.kafka().client(client);
    ctx.kafka().produce(&topic, &[Record::of("a").to(0), Record::of("b").to(1)], json!({}));
    let of = |what: &str| json!({"do": what, "group": group});
    let committed = || client.must(&json!({"do": "committed", "group": group, "topic": topic}));
    let set = |partition, offset| {
        json!({
            "do": "set_committed", "group": group, "topic": topic, "partition": partition, "offset": offset,
        })
    };
    assert_eq!(committed(), json!({}));
    client.must(&set(1, 1));
    assert_eq!(committed(), json!({format!("{topic}-1"): 1}));
    let listed = client.must(&json!({"do": "list_groups"}));
    assert!(listed.as_array().unwrap().contains(&json!(group)), "{listed}");
    assert_eq!(client.must(&of("describe_group"))["state"], "Empty");
    client.must(&of("delete_group"));
    assert_eq!(client.ask(&of("delete_group")).unwrap_err().code, Some(69));
    assert_eq!(committed(), json!({}));
    assert_eq!(client.ask(&set(7, 1)).unwrap_err().code, Some(3));
    if let Some(library) = Library::all().first() {
        let member = Member::Kps(*library).start(ctx.kafka(), &topic, &group, &[], None);
        wait_for_members(ctx, &group, 1, 2);
        let found = client.must(&of("describe_group"));
        assert_eq!([&found["state"], &found["assignor"]], ["Stable", "range"]);
        assert_eq!(found["members"][0]["partitions"], json!([format!("{topic}-0"), format!("{topic}-1")]));
        assert_eq!(client.ask(&of("delete_group")).unwrap_err().code, Some(68));
        assert_eq!(client.ask(&set(0, 0)).unwrap_err().code, Some(25));
        end(member);
        client.must(&set(0, 0));
    }
}

/// The words of each line that has any, the head first.
fn rows(out: &str) -> Vec<Vec<&str>> {
    let rows = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut rows: Vec<_> = rows.filter(|words| !words.is_empty()).collect();
    // The tool prints them in the order of a hash table.
    if let [_, others @ ..] = &mut rows[..] {
        others.sort();
    }
    rows
}

fn java_kafka_consumer_groups(ctx: &Ctx) {
    let (kafka, topic, group) = (ctx.kafka(), kafka_topic(ctx), unique("group"));
    let (t, g) = (&*topic, &*group);
    let own = |args: &[&str]| java::groups(kafka, &[&["--group", g], args].concat());
    own(&["--describe"]).says("GroupIdNotFoundException");
    own(&["--delete"]).says("GroupIdNotFoundException");
    kafka.set_committed(g, t, 0, 7);
    kafka.set_committed(g, t, 1, 1);

    let head = "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID";
    let found = own(&["--describe"]).code(0).says("has no active members");
    let expected = [
        head.split(' ').collect(),
        vec![g, t, "0", "7", "10", "3", "-", "-", "-"],
        vec![g, t, "1", "1", "5", "4", "-", "-", "-"],
    ];
    assert_eq!(rows(&found.out)[..3], expected);
    let found = own(&["--describe", "--state"]).code(0).says("has no active members");
    assert!(rows(&found.out)[1].contains(&"Empty"), "{found:?}");
    let all = java::groups(kafka, &["--list"]).code(0).out;
    assert!(all.lines().any(|line| line == g), "{all}");

    let reset = |to: &[&str]| {
        let args = [&["--reset-offsets", "--topic", t], to].concat();
        let out = own(&args).code(0).out;
        let mut places: Vec<_> = rows(&out)[1..].iter().map(|row| row[1..].join(" ")).collect();
        places.sort();
        places
    };
    let places = |offsets: [&str; 2]| [0, 1].map(|p| format!("{t} {p} {}", offsets[p]));
    assert_eq!(reset(&["--to-latest", "--dry-run"]), places(["10", "5"]));
    assert_eq!(kafka.committed(g, t, 0), Some(7));
    assert_eq!(reset(&["--shift-by", "2", "--execute"]), places(["9", "3"]));
    assert_eq!(reset(&["--to-datetime", "2023-11-14T22:13:24.000Z", "--execute"]), places(["4", "4"]));
    assert_eq!(reset(&["--to-earliest", "--execute"]), places(["0", "0"]));
    assert_eq!([kafka.committed(g, t, 0), kafka.committed(g, t, 1)], [Some(0), Some(0)]);

    own(&["--delete-offsets", "--topic", &format!("{t}:1")]).code(0).says("Successful");
    assert_eq!([kafka.committed(g, t, 0), kafka.committed(g, t, 1)], [Some(0), None]);
    own(&["--delete"]).code(0).says("was successful");
    own(&["--describe"]).says("GroupIdNotFoundException");
}

/// 10 records in partition 0, 5 in partition 1, a second apart.
fn kafka_topic(ctx: &Ctx) -> String {
    let topic = ctx.kafka().topic("tool", 2);
    let record = |n: u32| Record::of("v").to(n % 2).at(1_700_000_000_000 + 1000 * i64::from(n / 2));
    let records: Vec<_> = (0..20).filter(|n| n % 2 == 0 || *n < 10).map(record).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    topic
}

fn java_kafka_consumer_groups_alive(ctx: &Ctx, member: Member) {
    let (kafka, topic, group) = (ctx.kafka(), kafka_topic(ctx), unique("group"));
    let (t, g) = (&*topic, &*group);
    let own = |args: &[&str]| java::groups(kafka, &[&["--group", g], args].concat());
    let settings = [("client.id", "member"), ("auto.commit.interval.ms", "100")];
    let member = member.start(kafka, t, g, &settings, None);
    wait_until(|| kafka.committed(g, t, 0) == Some(10) && kafka.committed(g, t, 1) == Some(5));
    let id = describe(ctx, g)["members"][0]["member_id"].as_str().unwrap().to_owned();
    let id = &*id;

    let found = own(&["--describe"]).code(0);
    let row = |partition, end| vec![g, t, partition, end, end, "0", id, "/127.0.0.1", "member"];
    assert_eq!(rows(&found.out)[1..], [row("0", "10"), row("1", "5")]);
    let found = own(&["--describe", "--members", "--verbose"]).code(0);
    let assigned = format!("{t}:0,1");
    let members = &rows(&found.out)[1];
    assert_eq!(members[..5], [g, id, "/127.0.0.1", "member", "2"], "{found:?}");
    assert!(members.contains(&&*assigned), "{found:?}");
    let found = own(&["--describe", "--state"]).code(0);
    let state = rows(&found.out)[1].clone();
    assert_eq!([state[0], state[3], state[4], state[5]], [g, "range", "Stable", "1"], "{found:?}");

    own(&["--delete"]).says("GroupNotEmptyException");
    own(&["--reset-offsets", "--topic", t, "--to-earliest", "--execute"]).says("Stable");
    own(&["--delete-offsets", "--topic", t]).says("Error");
    assert_eq!(kafka.committed(g, t, 0), Some(10));
    end(member);
    wait_until(|| describe(ctx, g)["state"] == "Empty");
    own(&["--delete"]).code(0).says("was successful");
}
