//! `kps topics`, `kps offsets` and `kps groups`: the same from every library, and what Java's tools show.
use std::collections::BTreeSet;
use std::process::Stdio;

use chrono::Utc;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::conformance::groups::{CONSUMER, Member, Setting, end};
use crate::groups::{describe, produce_to_four, wait_until};
use crate::harness::app::{Kps, Library};
use crate::harness::client::Client;
use crate::harness::kafka::{Kind, Record, Transaction};
use crate::harness::{java, unique};
use crate::{Ctx, Once, PerLibrary};

/// Of all libraries at once: each says the same.
pub(crate) const ONCE: &[Once] = &[
    ("inspect::java_kafka_topics_shows_the_same", java_kafka_topics_shows_the_same),
    ("inspect::java_kafka_get_offsets_shows_the_same", java_kafka_get_offsets_shows_the_same),
    ("inspect::java_members_are_shown", |ctx| members_are_shown(ctx, Member::JavaConsole, &[])),
    ("inspect::java_members_of_kip_848_are_shown", |ctx| {
        members_are_shown(ctx, Member::JavaConsole, &CONSUMER);
    }),
    ("inspect::kcat_members_seen_by_java_are_shown", |ctx| members_are_shown(ctx, Member::Kcat, &[])),
    ("inspect::a_kcat_group_that_rebalances_is_shown", a_group_that_rebalances_is_shown),
    ("inspect::offsets_without_members_are_shown", offsets_without_members_are_shown),
];

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("inspect::tables_have_a_header_and_a_row_each", tables_have_a_header_and_a_row_each),
    ("inspect::times_in_every_form", times_in_every_form),
    ("inspect::an_open_transaction_is_past_the_stable_end", an_open_transaction_is_past_the_stable_end),
    ("inspect::internal_topics_are_listed_when_asked_for", internal_topics_are_listed_when_asked_for),
    ("inspect::what_is_not_there_is_told_and_not_created", what_is_not_there_is_told_and_not_created),
    ("inspect::a_reader_that_has_gone_is_a_success", a_reader_that_has_gone_is_a_success),
];

const START: i64 = 1_700_000_000_000;

/// Record n of a partition was made n seconds after [`START`].
fn numbered(count: i64, partition: u32) -> impl Iterator<Item = Record> {
    (0..count).map(move |n| Record::of(n.to_string()).to(partition).at(START + n * 1000))
}

fn run(ctx: &Ctx, library: Library, args: &[&str]) -> String {
    Kps::new(args).on(ctx.kafka(), library).run().ok().silent().text()
}

/// What every library prints, as text and as JSON, byte for byte.
#[track_caller]
fn alike(ctx: &Ctx, args: &[&str]) -> Value {
    let json = [args, &["-J"]].concat();
    let all = |args: &[&str]| -> BTreeSet<String> {
        Library::all().into_iter().map(|library| run(ctx, library, args)).collect()
    };
    for printed in [all(args), all(&json)] {
        assert!(printed.len() == 1, "{args:?}: {printed:#?}");
    }
    serde_json::from_str(&run(ctx, Library::all()[0], &json)).unwrap()
}

/// The words of each line but the first.
fn rows(printed: &str) -> Vec<Vec<String>> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut rows: Vec<_> = printed.lines().map(words).filter(|words| !words.is_empty()).skip(1).collect();
    rows.sort();
    rows
}

/// A value as the tools print it.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(word).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn java_kafka_topics_shows_the_same(ctx: &Ctx) {
    let (one, two) = (ctx.kafka().topic("seen", 1), ctx.kafka().topic("seen", 3));
    ctx.kafka().produce(&two, &numbered(4, 1).collect::<Vec<_>>(), json!({}));
    ctx.kafka().delete_records(&two, 1, 3);

    let listed = java::topics(ctx.kafka(), &["--list", "--exclude-internal"]).code(0).out;
    let theirs: BTreeSet<&str> = listed.lines().filter(|line| line.starts_with("seen-")).collect();
    for library in Library::all() {
        let printed: Value = serde_json::from_str(&run(ctx, library, &["topics", "-J"])).unwrap();
        let all = printed["topics"].as_array().unwrap();
        let names: Vec<&str> = all.iter().map(|topic| topic["topic"].as_str().unwrap()).collect();
        assert!(names.is_sorted() && theirs.iter().all(|name| names.contains(name)), "{names:?}");
        let entry = json!({"topic": two, "internal": false, "partition_count": 3, "replication_factor": 1});
        assert!(all.contains(&entry), "{all:#?}");
    }

    let shown = alike(ctx, &["topics", &two, &one]);
    for topic in shown["topics"].as_array().unwrap() {
        let name = word(&topic["topic"]);
        let described = java::topics(ctx.kafka(), &["--describe", "--topic", &name]).code(0).out;
        let partitions = topic["partitions"].as_array().unwrap();
        assert_eq!(topic["partition_count"], partitions.len());
        for partition in partitions {
            let part = |name: &str, field: &str| format!("{name}: {}", word(&partition[field]));
            let parts =
                [("Partition", "partition"), ("Leader", "leader"), ("Replicas", "replicas"), ("Isr", "isr")];
            let line = parts.map(|(name, field)| part(name, field)).join("\t");
            assert!(described.contains(&format!("{line}\t")), "no {line:?} in\n{described}");
            assert_eq!(partition["offline"], json!([]));
        }
    }
    let bounds: Vec<_> = shown["topics"][1]["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| [&p["earliest"], &p["latest"]])
        .collect();
    assert_eq!(bounds, [[0, 0], [3, 4], [0, 0]]);
}

fn java_kafka_get_offsets_shows_the_same(ctx: &Ctx) {
    let topic = ctx.kafka().topic("found", 3);
    let records: Vec<_> = numbered(5, 0).chain(numbered(8, 1)).collect();
    ctx.kafka().produce(&topic, &records, json!({}));
    ctx.kafka().delete_records(&topic, 1, 2);
    let at = (START + 3500).to_string();
    let shown = alike(ctx, &["offsets", &topic, &format!("@{at}")]);
    let partitions = shown["partitions"].as_array().unwrap();
    for (field, time) in [("earliest", "-2"), ("latest", "-1"), ("offset", &*at)] {
        let args = ["--topic", &*topic, "--time", time];
        let theirs = java::tool(ctx.kafka(), "GetOffsetShell", &args, "").code(0).out;
        // It leaves out what has no offset.
        let line = |p: &Value| Some(format!("{topic}:{}:{}\n", p["partition"], p[field].as_i64()?));
        assert_eq!(theirs, partitions.iter().filter_map(line).collect::<String>(), "{field}");
    }
    let times: Vec<&Value> = partitions.iter().map(|partition| &partition["timestamp"]).collect();
    assert_eq!(times, [&json!(START + 4000), &json!(START + 4000), &Value::Null]);
}

/// What `kafka-consumer-groups --describe` prints of a group.
fn as_java_describes(shown: &Value) -> Vec<Vec<String>> {
    let group = &shown["groups"][0];
    let row = |partition: &Value| {
        let members = group["members"].as_array().unwrap();
        let member = members.iter().find(|member| member["member_id"] == partition["member_id"]);
        let of_member = |field: &str| member.map_or_else(|| "-".to_owned(), |member| word(&member[field]));
        let of = |field: &str| word(&partition[field]);
        let mut row = vec![word(&group["group"])];
        row.extend(["topic", "partition", "committed", "end", "lag", "member_id"].map(of));
        row.extend(["host", "client_id"].map(of_member));
        row
    };
    let mut rows: Vec<_> = group["partitions"].as_array().unwrap().iter().map(row).collect();
    rows.sort();
    rows
}

/// A living group, and what is left when its members have gone, as Java's tool shows them.
fn members_are_shown(ctx: &Ctx, member: Member, protocol: &[Setting]) {
    let (topic, group) = (ctx.kafka().topic("lag", 4), unique("lag"));
    produce_to_four(ctx, &topic, 0..40);
    let java = |more: &[&str]| {
        java::groups(ctx.kafka(), &[&["--describe", "--group", &group], more].concat()).code(0).out
    };
    let settings = [&[("auto.commit.interval.ms", "100")], protocol].concat();
    let members = [(); 2].map(|()| member.start(ctx.kafka(), &topic, &group, &settings, None));
    let told = || ctx.kafka().client(Client::Java).ask(&json!({"do": "describe_group", "group": group}));
    wait_until(|| {
        let told = told().unwrap_or_default();
        let count = |member: &Value| member["partitions"].as_array().unwrap().len();
        told["members"].as_array().is_some_and(|all| all.iter().map(count).eq([2, 2]))
    });
    let committed = || [0, 1, 2, 3].map(|partition| ctx.kafka().committed(&group, &topic, partition));
    wait_until(|| committed() == [Some(10); 4]);

    let shown = alike(ctx, &["groups", &group]);
    assert_eq!(as_java_describes(&shown), rows(&java(&[])));
    let found = &shown["groups"][0];
    let state = &rows(&java(&["--state"]))[0];
    let coordinator = &found["coordinator"];
    let address = format!("{}:{}", word(&coordinator["host"]), coordinator["port"]);
    let expected = [word(&found["group"]), address, format!("({})", coordinator["id"])];
    assert_eq!(state[..3], expected);
    assert_eq!([&word(&found["assignor"]), &word(&found["state"]), "2"], state[3..], "{state:?}");
    let name = protocol.first().map_or("classic", |(_, name)| name);
    assert_eq!([&found["state"], &found["protocol"]], ["Stable", name]);
    let theirs = told().unwrap();
    for member in theirs["members"].as_array().unwrap() {
        let is_it = |ours: &&Value| ours["member_id"] == member["member_id"];
        let ours = found["members"].as_array().unwrap().iter().find(is_it).unwrap();
        assert_eq!(ours["client_id"], member["client_id"]);
        assert_eq!(ours["instance_id"], member["instance_id"]);
        let assigned = |p: &Value| format!("{}-{}", word(&p["topic"]), p["partition"]);
        let assigned: Vec<_> = ours["partitions"].as_array().unwrap().iter().map(assigned).collect();
        assert_eq!(json!(assigned), member["partitions"]);
    }

    members.into_iter().for_each(|member| drop(end(member)));
    wait_until(|| told().unwrap()["state"] == "Empty");
    produce_to_four(ctx, &topic, 0..4);
    let shown = alike(ctx, &["groups", &group]);
    assert_eq!(as_java_describes(&shown), rows(&java(&[])));
    let found = &shown["groups"][0];
    assert_eq!(
        [&found["state"], &found["protocol"], &found["members"]],
        [&json!("Empty"), &json!(name), &json!([])]
    );
    assert_eq!(found["partitions"][3]["lag"], 1);
    for library in Library::all() {
        let listed = rows(&run(ctx, library, &["groups"]));
        let at = format!("{}@{}:{}", coordinator["id"], word(&coordinator["host"]), coordinator["port"]);
        assert!(listed.contains(&vec![group.clone(), "Empty".into(), name.into(), at]), "{listed:?}");
    }
}

fn a_group_that_rebalances_is_shown(ctx: &Ctx) {
    let (topic, group) = (ctx.kafka().topic("moving", 1), unique("moving"));
    let settings = [("session.timeout.ms", "45000")];
    let start = || Member::Kcat.start(ctx.kafka(), &topic, &group, &settings, None);
    let first = start();
    wait_until(|| {
        let found = run_any(ctx, &["groups", &group, "-J"]);
        found.contains("\"Stable\"") && found.contains(&format!("\"topic\": \"{topic}\""))
    });
    // It no longer takes part, so that the second waits for it.
    first.signal(Signal::STOP);
    let second = start();
    wait_until(|| {
        let shown: Value = serde_json::from_str(&run_any(ctx, &["groups", &group, "-J"])).unwrap();
        let found = &shown["groups"][0];
        found["state"] == "PreparingRebalance" && found["members"].as_array().unwrap().len() == 2
    });
    let shown = alike(ctx, &["groups", &group]);
    let found = &shown["groups"][0];
    assert_eq!([&found["state"], &found["protocol"]], ["PreparingRebalance", "classic"]);
    first.signal(Signal::CONT);
    [first, second].into_iter().for_each(|member| drop(end(member)));
}

/// What the first library prints, or nothing if there is nothing to be shown yet.
fn run_any(ctx: &Ctx, args: &[&str]) -> String {
    Kps::new(args).on(ctx.kafka(), Library::all()[0]).run().text()
}

fn offsets_without_members_are_shown(ctx: &Ctx) {
    let (topic, empty, group) = (ctx.kafka().topic("kept", 2), ctx.kafka().topic("empty", 1), unique("kept"));
    ctx.kafka().produce(&topic, &numbered(5, 1).collect::<Vec<_>>(), json!({}));
    ctx.kafka().helper().must(&json!({
        "do": "set_committed", "group": group, "topic": topic, "partition": 1, "offset": 2, "metadata": "a \u{1b}note",
    }));
    ctx.kafka().set_committed(&group, &empty, 0, 0);
    let shown = alike(ctx, &["groups", &group]);
    let found = &shown["groups"][0];
    let parts = ["state", "protocol", "assignor", "members"].map(|field| &found[field]);
    assert_eq!(parts, [&json!("Empty"), &json!("classic"), &Value::Null, &json!([])]);
    let row = |topic: &str, partition, committed, end: i64, metadata| {
        json!({"topic": topic, "partition": partition, "committed": committed, "end": end,
            "lag": end - committed, "metadata": metadata, "member_id": null})
    };
    let rows = [row(&empty, 0, 0, 0, ""), row(&topic, 1, 2, 5, "a \u{1b}note")];
    assert_eq!(found["partitions"], json!(rows));
    for library in Library::all() {
        let table = run(ctx, library, &["groups", "-g", &group]);
        assert!(table.contains("a \\u{1b}note\n"), "{table}");
        assert!(
            rows_of(ctx, library, &["groups"]).iter().any(|row| row[..3] == [&group, "Empty", "classic"])
        );
    }
}

fn rows_of(ctx: &Ctx, library: Library, args: &[&str]) -> Vec<Vec<String>> {
    rows(&run(ctx, library, args))
}

fn tables_have_a_header_and_a_row_each(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("table", 2);
    ctx.kafka().produce(&topic, &numbered(3, 1).collect::<Vec<_>>(), json!({}));
    let printed = |args: &[&str]| {
        let printed = run(ctx, library, args);
        assert!(printed.ends_with('\n') && printed.lines().all(|line| line == line.trim_end()), "{printed}");
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        printed.lines().map(line).collect::<Vec<_>>()
    };
    let leader = describe_leader(ctx, &topic);
    assert_eq!(
        printed(&["topics", &topic]),
        [
            "TOPIC PARTITION LEADER REPLICAS ISR OFFLINE EARLIEST LATEST".to_owned(),
            format!("{topic} 0 {leader} {leader} {leader} - 0 0"),
            format!("{topic} 1 {leader} {leader} {leader} - 0 3"),
        ]
    );
    assert_eq!(printed(&["topics"])[0], "TOPIC PARTITIONS REPLICATION");
    assert_eq!(
        printed(&["offsets", "-t", &format!("kafka://topic/{topic}")]),
        ["TOPIC PARTITION EARLIEST LATEST".to_owned(), format!("{topic} 0 0 0"), format!("{topic} 1 0 3"),]
    );
    assert_eq!(
        printed(&["offsets", &topic, "@1700000001", "-p", "1"]),
        [
            "TOPIC PARTITION EARLIEST LATEST OFFSET TIMESTAMP".to_owned(),
            format!("{topic} 1 0 3 1 {}", START + 1000),
        ]
    );
    assert_eq!(printed(&["groups"])[0], "GROUP STATE PROTOCOL COORDINATOR");
}

fn describe_leader(ctx: &Ctx, topic: &str) -> i64 {
    let told = ctx.kafka().helper().must(&json!({"do": "describe_topic", "topic": topic}));
    told[0]["leader"].as_i64().unwrap()
}

fn times_in_every_form(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("times", 1);
    ctx.kafka().produce(&topic, &numbered(10, 0).collect::<Vec<_>>(), json!({}));
    let now = Utc::now().timestamp_millis();
    ctx.kafka().produce(&topic, &[Record::of("late").at(now - 60_000)], json!({}));
    for (time, offset, timestamp) in [
        ("@1700000007000", Some(7), Some(START + 7000)),
        ("@1700000007", Some(7), Some(START + 7000)),
        ("@1700000006001", Some(7), Some(START + 7000)),
        ("@2023-11-14T22:13:27Z", Some(7), Some(START + 7000)),
        ("@2023-11-14T23:13:27.000+01:00", Some(7), Some(START + 7000)),
        ("@2023-11-14", Some(0), Some(START)),
        ("@0", Some(0), Some(START)),
        ("@-1h", Some(10), Some(now - 60_000)),
        ("@now", None, None),
        ("@earliest", Some(0), None),
        ("@latest", Some(11), None),
    ] {
        let printed: Value =
            serde_json::from_str(&run(ctx, library, &["offsets", &topic, time, "-J"])).unwrap();
        let row = json!({"topic": topic, "partition": 0, "earliest": 0, "latest": 11, "offset": offset, "timestamp": timestamp});
        assert_eq!(printed, json!({"partitions": [row]}), "{time}");
    }
}

fn an_open_transaction_is_past_the_stable_end(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("open", 1);
    ctx.kafka().produce(&topic, &[Record::of("plain")], json!({}));
    ctx.kafka().transaction(&topic, &[Record::of("open")], Transaction::Open);
    let latest = |more: &[&str]| {
        let printed = run(ctx, library, &[&["offsets", &topic, "-J"], more].concat());
        serde_json::from_str::<Value>(&printed).unwrap()["partitions"][0]["latest"].clone()
    };
    assert_eq!(latest(&[]), 2);
    assert_eq!(latest(&["-X", "isolation.level=read_committed"]), 1);
    assert_eq!(latest(&["-X", "isolation.level=read_uncommitted"]), 2);
}

fn internal_topics_are_listed_when_asked_for(ctx: &Ctx, library: Library) {
    let hidden = ctx.kafka().topic("__hidden", 1);
    let lists = |args: &[&str]| rows_of(ctx, library, args).iter().any(|row| row[0] == hidden);
    assert!(!lists(&["topics"]) && lists(&["topics", "--internal"]) && lists(&["topics", &hidden]));
    if ctx.kind == Kind::Kafka {
        // Kafka's own one is there when a group was asked for.
        let _ = describe_any(ctx);
        let all = rows_of(ctx, library, &["topics", "--internal"]);
        assert!(all.iter().any(|row| row[0] == "__consumer_offsets"), "{all:?}");
    }
}

/// The description of a group that has one offset.
fn describe_any(ctx: &Ctx) -> Value {
    let (topic, group) = (ctx.kafka().topic("any", 1), unique("any"));
    ctx.kafka().set_committed(&group, &topic, 0, 0);
    describe(ctx, &group)
}

fn what_is_not_there_is_told_and_not_created(ctx: &Ctx, library: Library) {
    let (topic, missing) = (ctx.kafka().topic("there", 2), unique("missing"));
    let told = |args: &[&str]| {
        let output = Kps::new(args).on(ctx.kafka(), library).run().code(6).prints("");
        let said = output.err();
        assert!(said.starts_with("kps: ") && said.lines().count() == 1, "{output}");
        said
    };
    for command in ["topics", "offsets"] {
        let said = told(&[command, &topic, &missing]);
        assert!(said.contains(&format!("unknown topic {missing}")), "{said}");
    }
    let said = told(&["offsets", &topic, "-p", "0,2"]);
    assert!(said.contains(&format!("no partition {topic}[2]: the topic has 0 to 1")), "{said}");
    for args in [&["groups", &missing][..], &["groups", "-g", &missing, "-J", "-q"]] {
        assert_eq!(told(args), format!("kps: unknown group {missing}\n"));
    }
    assert!(!rows_of(ctx, library, &["topics"]).iter().any(|row| row[0] == missing));
}

fn a_reader_that_has_gone_is_a_success(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("pipe", 1);
    for args in [&["topics"][..], &["offsets", &topic], &["groups", "-J"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Kps::new(args).on(ctx.kafka(), library).stdout(Stdio::from(writer)).run().ok().silent();
    }
}
