//! Looking at groups, of the classic protocol and of KIP-848's.

use std::sync::Arc;

use tokio::time::Instant;

use super::errors;
use crate::backends::inspector::{Broker, Committed, Group, Listed, Member, Protocol};
use crate::backends::{Error, ErrorKind, Result, TopicPartition, not_of_consumers};
use crate::wire::messages::{
    ConsumerGroupDescribeGroup, ConsumerGroupDescribeMember, ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse, DescribeGroupsGroup, DescribeGroupsMember, DescribeGroupsRequest,
    DescribeGroupsResponse, ListGroupsEntry, ListGroupsRequest, ListGroupsResponse, OffsetFetchRequest,
    OffsetFetchRequestGroup, OffsetFetchResponse, OffsetFetchResponseTopic,
};
use crate::wire::net::{self, Answer, Cluster, Coordinated, Kind, Whom};
use crate::wire::{DecodeError, ErrorCode, Reader};

/// The state of a group that is not there (DescribeGroups before version 6).
const DEAD: &str = "Dead";

/// The groups of consumers that each broker coordinates.
///
/// # Errors
/// If one of the brokers does not tell.
pub(super) async fn list(cluster: &Cluster, deadline: Instant) -> net::Result<Vec<Listed>> {
    let metadata = cluster.refresh(&[], deadline).await?;
    let request = ListGroupsRequest::default();
    let mut all = Vec::new();
    for broker in metadata.brokers() {
        let at = broker_of(cluster, broker.id);
        let read = |answer: &Answer| listed(answer, &at);
        all.extend(cluster.question(Whom::Broker(broker.id), &request, read, deadline).await?);
    }
    Ok(all)
}

fn listed(answer: &Answer, broker: &Broker) -> net::Result<Vec<Listed>> {
    let told: ListGroupsResponse<'_> = answer.read()?;
    check(told.error_code, "listing groups")?;
    let entry = |told: &ListGroupsEntry<'_>| Listed {
        name: told.group_id.to_string(),
        state: some(&told.group_state),
        protocol: Protocol::named(&told.group_type),
        coordinator: broker.clone(),
    };
    Ok(told.groups.iter().filter(|told| is_of_consumers(&told.protocol_type)).map(entry).collect())
}

/// As Java's `ListGroupsOptions.forConsumerGroups`: a group that has only committed offsets has no type.
fn is_of_consumers(protocol_type: &str) -> bool {
    matches!(protocol_type, "consumer" | "")
}

/// A group; none if there is none of that name.
///
/// # Errors
/// If its coordinator is not found, or refuses.
pub(super) async fn describe(cluster: &Cluster, name: &str, deadline: Instant) -> Result<Option<Group>> {
    let failed = |why: net::Error| errors::error(format_args!("group {name}"), &why);
    let found = match newer(cluster, name, deadline).await.map_err(failed)? {
        Some(group) => group,
        None => match classic(cluster, name, deadline).await.map_err(failed)? {
            Some(group) => group?,
            None => return Ok(None),
        },
    };
    let committed = committed(cluster, name, deadline).await.map_err(failed)??;
    let coordinator = cluster.coordinator(Coordinated::Group, name, deadline).await.map_err(failed)?;
    let Described { state, protocol, assignor, members } = found;
    let (name, coordinator) = (name.to_owned(), broker_of(cluster, coordinator));
    Ok(Some(Group { name, state, protocol, assignor, coordinator, members, committed }))
}

/// What the description of a group tells.
#[derive(Debug)]
struct Described {
    state: String,
    protocol: Protocol,
    assignor: Option<String>,
    members: Vec<Member>,
}

/// What is known of a broker that has been talked to.
fn broker_of(cluster: &Cluster, id: i32) -> Broker {
    match cluster.metadata().broker(id) {
        Some(known) => Broker { id, host: known.address.host().to_owned(), port: known.address.port() },
        None => Broker { id, host: String::new(), port: 0 },
    }
}

/// A group of KIP-848's protocol; none if it is not one, or the broker knows none.
async fn newer(cluster: &Cluster, name: &str, deadline: Instant) -> net::Result<Option<Described>> {
    let request =
        ConsumerGroupDescribeRequest { group_ids: vec![name.into()], include_authorized_operations: false };
    let read = |answer: &Answer| {
        let told: ConsumerGroupDescribeResponse<'_> = answer.read()?;
        let told = one(told.groups)?;
        match check(told.error_code, "describing it") {
            Err(error) if error.kind() == Kind::Broker(ErrorCode::GroupIdNotFound) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(Some(newer_group(&told))),
        }
    };
    match cluster.question(coordinator_of(name), &request, read, deadline).await {
        Err(error) if is_unsupported(&error) => Ok(None),
        described => described,
    }
}

fn is_unsupported(error: &net::Error) -> bool {
    matches!(error.kind(), Kind::Unsupported | Kind::Broker(ErrorCode::UnsupportedVersion))
}

fn newer_group(told: &ConsumerGroupDescribeGroup<'_>) -> Described {
    let partitions = |member: &ConsumerGroupDescribeMember<'_>| {
        let topics = member.assignment.topic_partitions.iter();
        topics.flat_map(|topic| of_topic(&topic.topic_name, &topic.partitions)).collect()
    };
    let member = |told: &ConsumerGroupDescribeMember<'_>| Member {
        id: told.member_id.to_string(),
        instance_id: told.instance_id.as_deref().map(str::to_owned),
        client_id: told.client_id.to_string(),
        host: told.client_host.to_string(),
        partitions: partitions(told),
    };
    Described {
        state: told.group_state.to_string(),
        protocol: Protocol::Consumer,
        assignor: some(&told.assignor_name),
        members: told.members.iter().map(member).collect(),
    }
}

/// A group of the classic protocol; none if there is none. The inner error is of a group that cannot be shown.
async fn classic(cluster: &Cluster, name: &str, deadline: Instant) -> net::Result<Option<Result<Described>>> {
    let request = DescribeGroupsRequest { groups: vec![name.into()], include_authorized_operations: false };
    let read = |answer: &Answer| {
        let told: DescribeGroupsResponse<'_> = answer.read()?;
        let told = one(told.groups)?;
        match check(told.error_code, "describing it") {
            Err(error) if error.kind() == Kind::Broker(ErrorCode::GroupIdNotFound) => Ok(None),
            Err(error) => Err(error),
            Ok(()) if told.group_state == DEAD => Ok(None),
            Ok(()) => Ok(Some(classic_group(&told))),
        }
    };
    cluster.question(coordinator_of(name), &request, read, deadline).await
}

fn classic_group(told: &DescribeGroupsGroup<'_>) -> Result<Described> {
    if !is_of_consumers(&told.protocol_type) {
        return Err(not_of_consumers(&told.group_id));
    }
    let member = |told: &DescribeGroupsMember<'_>| {
        let partitions = assignment(&told.member_assignment).map_err(|why| {
            let text = format!("the assignment of member {} is none of a consumer's", told.member_id);
            Error::new(ErrorKind::Other, errors::printable(&text)).with_source(why)
        })?;
        Ok(Member {
            id: told.member_id.to_string(),
            instance_id: told.group_instance_id.as_deref().map(str::to_owned),
            client_id: told.client_id.to_string(),
            host: told.client_host.to_string(),
            partitions,
        })
    };
    Ok(Described {
        state: told.group_state.to_string(),
        protocol: Protocol::Classic,
        assignor: some(&told.protocol_data),
        members: told.members.iter().map(member).collect::<Result<_>>()?,
    })
}

/// What a member reads, as the leader of its group has written it (Kafka's `ConsumerProtocolAssignment`); its
/// topics stand at the same place in all versions. Empty while the group is not stable.
fn assignment(bytes: &[u8]) -> std::result::Result<Vec<TopicPartition>, DecodeError> {
    let mut partitions = Vec::new();
    if bytes.is_empty() {
        return Ok(partitions);
    }
    let mut r = Reader::new(bytes);
    r.enter("assignment");
    r.i16()?;
    for _ in 0..r.i32()? {
        let length = r.short_length()?.unwrap_or_default();
        let topic = r.str(length)?;
        let mut indexes = Vec::new();
        for _ in 0..r.i32()? {
            indexes.push(r.i32()?);
        }
        partitions.extend(of_topic(topic, &indexes));
    }
    Ok(partitions)
}

fn of_topic(topic: &str, indexes: &[i32]) -> Vec<TopicPartition> {
    let topic: Arc<str> = topic.into();
    indexes.iter().map(|&partition| TopicPartition { topic: Arc::clone(&topic), partition }).collect()
}

/// All that the group has committed. The inner error is that of a partition.
async fn committed(cluster: &Cluster, name: &str, deadline: Instant) -> net::Result<Result<Vec<Committed>>> {
    // The fields that the version spoken lacks are left out.
    let of_group = OffsetFetchRequestGroup { group_id: name.into(), ..Default::default() };
    let request = OffsetFetchRequest { group_id: name.into(), groups: vec![of_group], ..Default::default() };
    let read = |answer: &Answer| {
        let told: OffsetFetchResponse<'_> = answer.read()?;
        check(told.error_code, "its offsets")?;
        let Some(group) = told.groups.first() else { return Ok(offsets(&told.topics)) };
        check(group.error_code, "its offsets")?;
        Ok(offsets(&group.topics))
    };
    cluster.question(coordinator_of(name), &request, read, deadline).await
}

fn offsets(topics: &[OffsetFetchResponseTopic<'_>]) -> Result<Vec<Committed>> {
    let mut all = Vec::new();
    for topic in topics {
        for told in &topic.partitions {
            let of = TopicPartition { topic: (&*topic.name).into(), partition: told.partition_index };
            ErrorCode::check(told.error_code).map_err(|code| errors::of_code(&of, code, None))?;
            if told.committed_offset >= 0 {
                let metadata = told.metadata.as_deref().unwrap_or_default().to_owned();
                all.push(Committed { of, offset: told.committed_offset, metadata });
            }
        }
    }
    Ok(all)
}

fn coordinator_of(name: &str) -> Whom<'_> {
    Whom::Coordinator(Coordinated::Group, name)
}

fn check(code: i16, doing: &str) -> net::Result<()> {
    ErrorCode::check(code).map_err(|code| net::Error::of_code(code, doing))
}

/// The one thing that was asked for.
fn one<T>(told: Vec<T>) -> net::Result<T> {
    let missing = || net::Error::new(Kind::Protocol, "an answer that is not about the group asked for");
    told.into_iter().next().ok_or_else(missing)
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Java writes it: a version, the partitions of each topic, and no bytes of the user's.
    fn written(topics: &[(&str, &[i32])]) -> Vec<u8> {
        let mut bytes = vec![0, 3];
        bytes.extend((topics.len() as i32).to_be_bytes());
        for (topic, partitions) in topics {
            bytes.extend((topic.len() as i16).to_be_bytes());
            bytes.extend(topic.bytes());
            bytes.extend((partitions.len() as i32).to_be_bytes());
            partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
        }
        bytes.extend((-1i32).to_be_bytes());
        bytes
    }

    fn shown(bytes: &[u8]) -> Option<String> {
        let partitions: Vec<String> = assignment(bytes).ok()?.iter().map(ToString::to_string).collect();
        Some(partitions.join(" "))
    }

    #[test]
    fn an_assignment_is_read_as_java_writes_it() {
        let bytes = written(&[("a", &[0, 2]), ("b", &[]), ("c", &[7])]);
        assert_eq!(shown(&bytes).as_deref(), Some("a[0] a[2] c[7]"));
        assert_eq!(shown(&[]).as_deref(), Some(""));
    }

    #[test]
    fn an_assignment_that_is_cut_short_or_claims_too_much_is_an_error() {
        let bytes = written(&[("topic", &[0, 1, 2])]);
        for end in 1..bytes.len() - 4 {
            assert_eq!(shown(&bytes[..end]), None, "{end} bytes");
        }
        let claims = [&[0, 0][..], &i32::MAX.to_be_bytes(), &[0, 0], &i32::MAX.to_be_bytes()].concat();
        assert_eq!(shown(&claims), None);
    }

    #[test]
    fn a_group_of_something_else_is_not_shown() {
        let told = DescribeGroupsGroup {
            group_id: "g".into(),
            protocol_type: "connect".into(),
            ..Default::default()
        };
        assert_eq!(classic_group(&told).unwrap_err().kind(), ErrorKind::UnknownGroup);
    }

    #[test]
    fn only_places_with_an_offset_are_told() {
        use crate::wire::messages::OffsetFetchResponsePartition as Place;
        let place = |partition_index, committed_offset, error_code| Place {
            partition_index,
            committed_offset,
            error_code,
            ..Default::default()
        };
        let topic = |partitions| OffsetFetchResponseTopic { name: "t".into(), partitions };
        let found = offsets(&[topic(vec![place(0, -1, 0), place(1, 5, 0)])]).unwrap();
        assert_eq!(
            found.iter().map(|found| (found.of.partition, found.offset)).collect::<Vec<_>>(),
            [(1, 5)]
        );
        let refused = offsets(&[topic(vec![place(0, -1, 29)])]).unwrap_err();
        assert_eq!(
            (refused.kind(), refused.to_string().as_str()),
            (ErrorKind::Authorization, "t[0]: no permission for this topic",)
        );
    }
}
