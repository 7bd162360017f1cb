//! `kps groups`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

use super::table::{Table, cell, words};
use super::{Report, offsets_led, open, print};
use crate::backends::inspector::{self, Broker, Committed, Listed, Protocol};
use crate::backends::{self, At, Error, ErrorKind, Inspector, TopicPartition};
use crate::cli::GroupsArgs;
use crate::commands::{Context, Exit, usage};

/// Runs the command.
pub(in crate::commands) fn run(args: &GroupsArgs, context: &Context<'_>) -> Result<Exit> {
    let names: BTreeSet<&String> = args.groups.iter().chain(&args.group_flag).collect();
    if names.iter().any(|name| name.is_empty()) {
        return Err(usage("a group has a name: kps groups [GROUP...]"));
    }
    let mut inspector = open(context)?;
    if names.is_empty() {
        let mut groups: Vec<Summary> = inspector.groups()?.into_iter().map(Summary::from).collect();
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        return print(&List { groups }, args.report.format());
    }
    let show = |name: &String| show(inspector.as_mut(), name);
    let groups = names.into_iter().map(show).collect::<backends::Result<_>>()?;
    print(&Show { groups }, args.report.format())
}

/// All groups, by name.
#[derive(Debug, Serialize)]
struct List {
    groups: Vec<Summary>,
}

/// A group.
#[derive(Debug, Serialize)]
struct Summary {
    group: String,
    /// By Kafka's names; null if the broker is too old to tell.
    state: Option<String>,
    /// `classic` or `consumer`; null if the broker is too old to tell.
    protocol: Option<&'static str>,
    coordinator: Coordinator,
}

/// The broker that coordinates a group.
#[derive(Debug, Serialize)]
struct Coordinator {
    id: i32,
    host: String,
    port: u16,
}

impl From<Broker> for Coordinator {
    fn from(Broker { id, host, port }: Broker) -> Self {
        Self { id, host, port }
    }
}

impl Coordinator {
    fn text(&self) -> String {
        let Self { id, host, port } = self;
        words(Some(&Broker { id: *id, host: host.clone(), port: *port }.to_string()))
    }
}

impl From<Listed> for Summary {
    fn from(Listed { name, state, protocol, coordinator }: Listed) -> Self {
        let protocol = protocol.map(Protocol::name);
        Self { group: name, state, protocol, coordinator: coordinator.into() }
    }
}

impl Report for List {
    fn text(&self) -> String {
        let mut table = Table::new(["GROUP", "STATE", "PROTOCOL", "COORDINATOR"]);
        for Summary { group, state, protocol, coordinator } in &self.groups {
            table.row([words(Some(group)), words(state.as_deref()), cell(*protocol), coordinator.text()]);
        }
        let mut out = String::new();
        table.print(&mut out);
        out
    }
}

/// The groups asked for, by name.
#[derive(Debug, Serialize)]
struct Show {
    groups: Vec<Group>,
}

/// A group with all that belongs to it.
#[derive(Debug, Serialize)]
struct Group {
    #[serde(flatten)]
    summary: Summary,
    /// Null when there is nobody to say.
    assignor: Option<String>,
    /// By their ids.
    members: Vec<Member>,
    /// Those committed and those assigned, by topic and number.
    partitions: Vec<Partition>,
}

/// A member of a group.
#[derive(Debug, Serialize)]
struct Member {
    member_id: String,
    /// `group.instance.id`, if it has one.
    instance_id: Option<String>,
    client_id: String,
    host: String,
    /// What it reads now, by topic and number.
    partitions: Vec<Assigned>,
}

/// A partition that a member reads.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Assigned {
    topic: Arc<str>,
    partition: i32,
}

/// How far a group is in a partition.
#[derive(Debug, Serialize)]
struct Partition {
    topic: Arc<str>,
    partition: i32,
    /// The next offset to read; null if none is committed.
    committed: Option<i64>,
    /// The offset of the next record; null if the topic is gone or nobody leads the partition.
    end: Option<i64>,
    /// `end` less `committed`; null without either.
    lag: Option<i64>,
    /// What was noted with the offset; null without one.
    metadata: Option<String>,
    /// Who reads it now; null if nobody does.
    member_id: Option<String>,
}

fn show(inspector: &mut dyn Inspector, name: &str) -> backends::Result<Group> {
    let unknown = || Error::new(ErrorKind::UnknownGroup, format!("unknown group {name}"));
    let found = inspector.group(name)?.ok_or_else(unknown)?;
    let partitions = partitions(inspector, &found)?;
    let inspector::Group { name, state, protocol, assignor, coordinator, members, .. } = found;
    let mut members: Vec<Member> = members.into_iter().map(Member::from).collect();
    members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
    let summary = Summary {
        group: name,
        state: Some(state),
        protocol: Some(protocol.name()),
        coordinator: coordinator.into(),
    };
    Ok(Group { summary, assignor, members, partitions })
}

impl From<inspector::Member> for Member {
    fn from(member: inspector::Member) -> Self {
        let inspector::Member { id, instance_id, client_id, host, partitions } = member;
        let assigned = |TopicPartition { topic, partition }| Assigned { topic, partition };
        let mut partitions: Vec<Assigned> = partitions.into_iter().map(assigned).collect();
        partitions.sort();
        Self { member_id: id, instance_id, client_id, host, partitions }
    }
}

/// Every partition that the group has committed or reads, with its end.
fn partitions(inspector: &mut dyn Inspector, group: &inspector::Group) -> backends::Result<Vec<Partition>> {
    let mut all: BTreeMap<&TopicPartition, (Option<&Committed>, Option<&str>)> = BTreeMap::new();
    for committed in &group.committed {
        all.entry(&committed.of).or_default().0 = Some(committed);
    }
    for member in &group.members {
        for tp in &member.partitions {
            all.entry(tp).or_default().1 = Some(&member.id);
        }
    }
    let names: BTreeSet<String> = all.keys().map(|tp| tp.topic.to_string()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let topics = if names.is_empty() { Vec::new() } else { inspector.topics(Some(&names))? };
    let places: Vec<_> = all.keys().map(|tp| ((*tp).clone(), At::Latest)).collect();
    let ends = offsets_led(inspector, &topics, &places)?;
    let row = |((tp, (committed, member)), end): ((&TopicPartition, _), Option<i64>)| {
        let (committed, member): (Option<&Committed>, Option<&str>) = (committed, member);
        let offset = committed.map(|committed| committed.offset);
        Partition {
            topic: Arc::clone(&tp.topic),
            partition: tp.partition,
            committed: offset,
            end,
            lag: offset.zip(end).map(|(offset, end)| end.saturating_sub(offset)),
            metadata: committed.map(|committed| committed.metadata.clone()),
            member_id: member.map(str::to_owned),
        }
    };
    Ok(all.into_iter().zip(ends).map(row).collect())
}

impl Report for Show {
    /// For each group a table of itself, one of its members and one of its partitions.
    fn text(&self) -> String {
        let mut out = String::new();
        for group in &self.groups {
            for print in [Group::print, Group::print_members, Group::print_partitions] {
                if !out.is_empty() {
                    out.push('\n');
                }
                print(group, &mut out);
            }
        }
        out
    }
}

impl Group {
    fn print(&self, out: &mut String) {
        let Summary { group, state, protocol, coordinator } = &self.summary;
        let mut table = Table::new(["GROUP", "STATE", "PROTOCOL", "ASSIGNOR", "COORDINATOR", "MEMBERS"]);
        table.row([
            words(Some(group)),
            words(state.as_deref()),
            cell(*protocol),
            words(self.assignor.as_deref()),
            coordinator.text(),
            self.members.len().to_string(),
        ]);
        table.print(out);
    }

    fn print_members(&self, out: &mut String) {
        let mut table = Table::new(["MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS"]);
        for member in &self.members {
            let Member { member_id, instance_id, client_id, host, .. } = member;
            table.row([
                words(Some(member_id)),
                words(instance_id.as_deref()),
                words(Some(client_id)),
                words(Some(host)),
                member.assigned(),
            ]);
        }
        table.print(out);
    }

    fn print_partitions(&self, out: &mut String) {
        let mut table = Table::new(["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "METADATA"]);
        for row in &self.partitions {
            table.row([
                words(Some(&row.topic)),
                row.partition.to_string(),
                cell(row.committed),
                cell(row.end),
                cell(row.lag),
                words(row.member_id.as_deref()),
                words(row.metadata.as_deref()),
            ]);
        }
        table.print(out);
    }
}

impl Member {
    /// Its partitions as `a[0,2],b[1]`.
    fn assigned(&self) -> String {
        let of_topic = |of: &[Assigned]| {
            let numbers: Vec<String> = of.iter().map(|one| one.partition.to_string()).collect();
            of.first().map(|one| format!("{}[{}]", one.topic, numbers.join(",")))
        };
        let topics = self.partitions.chunk_by(|a, b| a.topic == b.topic);
        words(Some(&topics.filter_map(of_topic).collect::<Vec<_>>().join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fake, topic};
    use super::*;

    fn tp(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }

    fn broker() -> Broker {
        Broker { id: 1, host: "host".to_owned(), port: 9092 }
    }

    /// Two members, of which the second reads nothing; offsets also of a topic that is gone.
    fn group() -> inspector::Group {
        let member = |id: &str, partitions| inspector::Member {
            id: id.to_owned(),
            instance_id: None,
            client_id: "client".to_owned(),
            host: "/127.0.0.1".to_owned(),
            partitions,
        };
        let committed = |topic, offset, metadata: &str| Committed {
            of: tp(topic, 0),
            offset,
            metadata: metadata.to_owned(),
        };
        inspector::Group {
            name: "g".to_owned(),
            state: "Stable".to_owned(),
            protocol: Protocol::Classic,
            assignor: Some("range".to_owned()),
            coordinator: broker(),
            members: vec![member("m2", Vec::new()), member("m1", vec![tp("a", 1), tp("a", 0)])],
            committed: vec![committed("gone", 3, ""), committed("a", 4, "note")],
        }
    }

    fn shown() -> Show {
        let mut fake = Fake(vec![topic("a")], Some(group()));
        Show { groups: vec![show(&mut fake, "g").unwrap()] }
    }

    #[test]
    fn a_group_is_three_tables() {
        assert_eq!(
            shown().text(),
            "GROUP  STATE   PROTOCOL  ASSIGNOR  COORDINATOR  MEMBERS\n\
             g      Stable  classic   range     1@host:9092  2\n\
             \n\
             MEMBER  INSTANCE  CLIENT  HOST        PARTITIONS\n\
             m1      -         client  /127.0.0.1  a[0,1]\n\
             m2      -         client  /127.0.0.1  -\n\
             \n\
             TOPIC  PARTITION  COMMITTED  END  LAG  MEMBER  METADATA\n\
             a      0          4          10   6    m1      note\n\
             a      1          -          -    -    m1      -\n\
             gone   0          3          -    -    -       -\n"
        );
    }

    #[test]
    fn its_json_has_null_for_what_is_not_there() {
        let json = serde_json::to_string(&shown()).unwrap();
        let parts = [
            r#"{"groups":[{"group":"g","state":"Stable","protocol":"classic","coordinator":{"id":1,"host":"host","port":9092},"assignor":"range","#,
            r#""members":[{"member_id":"m1","instance_id":null,"client_id":"client","host":"/127.0.0.1","partitions":[{"topic":"a","partition":0},{"topic":"a","partition":1}]},{"member_id":"m2","#,
            r#""partitions":[{"topic":"a","partition":0,"committed":4,"end":10,"lag":6,"metadata":"note","member_id":"m1"},"#,
            r#"{"topic":"a","partition":1,"committed":null,"end":null,"lag":null,"metadata":null,"member_id":"m1"},"#,
            r#"{"topic":"gone","partition":0,"committed":3,"end":null,"lag":null,"metadata":"","member_id":null}]}]}"#,
        ];
        for part in parts {
            assert!(json.contains(part), "{part}\n{json}");
        }
    }

    #[test]
    fn groups_are_listed_with_their_states() {
        let listed = |name: &str, state: Option<&str>, protocol| Listed {
            name: name.to_owned(),
            state: state.map(str::to_owned),
            protocol,
            coordinator: broker(),
        };
        let groups = vec![listed("a", Some("Stable"), Some(Protocol::Consumer)), listed("b\n", None, None)];
        let list = List { groups: groups.into_iter().map(Summary::from).collect() };
        assert_eq!(
            list.text(),
            "GROUP  STATE   PROTOCOL  COORDINATOR\n\
             a      Stable  consumer  1@host:9092\n\
             b\\n    -       -         1@host:9092\n"
        );
    }

    #[test]
    fn a_group_that_is_not_there_is_an_error() {
        let error = show(&mut Fake(Vec::new(), None), "g").unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::UnknownGroup, "unknown group g"));
    }
}
