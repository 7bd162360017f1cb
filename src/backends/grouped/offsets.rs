//! A group's offsets: the requests that keep and read them, and what the answers mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backends::wired::errors;
use crate::backends::{Error, Offsets, TopicPartition};
use crate::group::{Commit, Identity};
use crate::wire::ErrorCode;
use crate::wire::messages::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchResponse,
    OffsetFetchResponseTopic,
};

/// The version of OffsetFetch from which on it takes several groups.
pub(super) const MANY_GROUPS: i16 = 8;

/// What came of offsets that were to be kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// These are.
    pub(super) kept: Offsets,
    /// These are not, and may be later.
    pub(super) open: Offsets,
    /// The first refusal that does not pass with time alone.
    pub(super) refused: Option<(Commit, TopicPartition, ErrorCode)>,
    /// The coordinator is to be found out again.
    pub(super) is_elsewhere: bool,
}

impl Kept {
    /// What an answer says of these offsets. What it does not name is not kept.
    pub(super) fn of(answer: &OffsetCommitResponse<'_>, asked: &Offsets) -> Self {
        let mut it = Self::default();
        let told: BTreeMap<(&str, i32), i16> = answer
            .topics
            .iter()
            .flat_map(|t| t.partitions.iter().map(|p| ((&*t.name, p.partition_index), p.error_code)))
            .collect();
        for (tp, offset) in asked {
            let code = told.get(&(&*tp.topic, tp.partition)).map(|code| ErrorCode::check(*code));
            match code {
                Some(Ok(())) => it.kept.push((tp.clone(), *offset)),
                None => it.open.push((tp.clone(), *offset)),
                Some(Err(code)) => it.refused(tp, *offset, code),
            }
        }
        it
    }

    fn refused(&mut self, tp: &TopicPartition, offset: i64, code: ErrorCode) {
        self.open.push((tp.clone(), offset));
        match Commit::refused(code) {
            Commit::Again => {}
            Commit::Elsewhere => self.is_elsewhere = true,
            lasting @ (Commit::Rejoin | Commit::Never) => {
                self.refused.get_or_insert((lasting, tp.clone(), code));
            }
        }
    }
}

/// The request that keeps offsets, as this member.
pub(super) fn commit_request<'a>(
    group: &'a str,
    who: &'a Identity,
    offsets: &'a Offsets,
) -> OffsetCommitRequest<'a> {
    let mut topics = BTreeMap::<&str, Vec<OffsetCommitRequestPartition<'a>>>::new();
    for (tp, offset) in offsets {
        let partition = OffsetCommitRequestPartition {
            partition_index: tp.partition,
            committed_offset: *offset,
            committed_metadata: Some("".into()),
            ..Default::default()
        };
        topics.entry(&tp.topic).or_default().push(partition);
    }
    let topic = |(name, partitions): (&'a str, _)| OffsetCommitRequestTopic { name: name.into(), partitions };
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: who.generation,
        member_id: who.member_id.as_str().into(),
        group_instance_id: who.instance_id.as_deref().map(Into::into),
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    }
}

/// The request for offsets, in the form of that version. `epoch`: as a member in KIP-848's protocol.
pub(super) fn fetch_request<'a>(
    group: &'a str,
    who: Option<&'a Identity>,
    partitions: &'a [TopicPartition],
    version: i16,
) -> OffsetFetchRequest<'a> {
    let mut topics = BTreeMap::<&str, Vec<i32>>::new();
    for tp in partitions {
        topics.entry(&tp.topic).or_default().push(tp.partition);
    }
    let topic = |(name, partition_indexes): (&'a str, _)| OffsetFetchRequestTopic {
        name: name.into(),
        partition_indexes,
    };
    let topics = Some(topics.into_iter().map(topic).collect());
    if version < MANY_GROUPS {
        return OffsetFetchRequest {
            group_id: group.into(),
            topics,
            require_stable: true,
            ..Default::default()
        };
    }
    let one = OffsetFetchRequestGroup {
        group_id: group.into(),
        member_id: who.map(|who| who.member_id.as_str().into()),
        member_epoch: who.map_or(-1, |who| who.generation),
        topics,
    };
    OffsetFetchRequest { topics: None, groups: vec![one], require_stable: true, ..Default::default() }
}

/// Why there are no offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: ErrorCode,
    /// The partition it is about; none for the group.
    pub(super) of: Option<TopicPartition>,
}

impl Refused {
    /// The error about it.
    pub(super) fn error(&self, group: &str) -> Error {
        match &self.of {
            Some(tp) => errors::of_code(tp, self.code, None),
            None => errors::of_code(format_args!("offsets of group {group}"), self.code, None),
        }
    }
}

/// The offsets of these partitions in an answer, in their order.
pub(super) fn fetched(
    answer: &OffsetFetchResponse<'_>,
    version: i16,
    asked: &[TopicPartition],
) -> Result<Vec<Option<i64>>, Refused> {
    let group = answer.groups.first();
    let (code, topics) = match group {
        Some(group) if version >= MANY_GROUPS => (group.error_code, &group.topics),
        _ => (answer.error_code, &answer.topics),
    };
    ErrorCode::check(code).map_err(|code| Refused { code, of: None })?;
    let found = by_partition(topics)?;
    Ok(asked.iter().map(|tp| found.get(tp).copied()).collect())
}

fn by_partition(topics: &[OffsetFetchResponseTopic<'_>]) -> Result<BTreeMap<TopicPartition, i64>, Refused> {
    let mut found = BTreeMap::new();
    for topic in topics {
        let name: Arc<str> = Arc::from(&*topic.name);
        for partition in &topic.partitions {
            let tp = TopicPartition { topic: Arc::clone(&name), partition: partition.partition_index };
            if let Err(code) = ErrorCode::check(partition.error_code) {
                return Err(Refused { code, of: Some(tp) });
            }
            if partition.committed_offset >= 0 {
                found.insert(tp, partition.committed_offset);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::{
        OffsetCommitResponsePartition, OffsetCommitResponseTopic, OffsetFetchResponseGroup,
        OffsetFetchResponsePartition,
    };

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn answer(codes: &[i16]) -> OffsetCommitResponse<'static> {
        let partition = |(at, code): (usize, &i16)| OffsetCommitResponsePartition {
            partition_index: i32::try_from(at).unwrap(),
            error_code: *code,
        };
        let partitions = codes.iter().enumerate().map(partition).collect();
        let topic = OffsetCommitResponseTopic { name: "t".into(), partitions };
        OffsetCommitResponse { throttle_time_ms: 0, topics: vec![topic] }
    }

    #[test]
    fn every_partition_is_kept_or_open_and_the_first_lasting_refusal_counts() {
        let asked: Offsets = (0..6).map(|p| (tp(p), 10)).collect();
        let kept = Kept::of(&answer(&[0, 14, 16, 29, 25]), &asked);
        assert_eq!(kept.kept, [(tp(0), 10)]);
        let open: Vec<i32> = kept.open.iter().map(|(tp, _)| tp.partition).collect();
        assert_eq!(open, [1, 2, 3, 4, 5], "the last one is not in the answer");
        assert_eq!(kept.refused, Some((Commit::Never, tp(3), ErrorCode::TopicAuthorizationFailed)));
        assert!(kept.is_elsewhere);
        let kept = Kept::of(&answer(&[0, 0, 0, 0, 0, 0]), &asked);
        assert!(kept.open.is_empty() && kept.refused.is_none() && !kept.is_elsewhere);
    }

    #[test]
    fn offsets_are_asked_for_in_the_form_of_the_version() {
        let who = Identity { generation: 3, member_id: "m".to_owned(), instance_id: None };
        let partitions = [tp(0), tp(1)];
        let old = fetch_request("g", None, &partitions, MANY_GROUPS - 1);
        assert_eq!(
            (&*old.group_id, old.groups.len(), old.topics.unwrap()[0].partition_indexes.len()),
            ("g", 0, 2)
        );
        let new = fetch_request("g", Some(&who), &partitions, 9);
        assert_eq!((new.topics.is_none(), new.require_stable), (true, true));
        assert_eq!((new.groups[0].member_id.as_deref(), new.groups[0].member_epoch), (Some("m"), 3));
        let classic = fetch_request("g", None, &partitions, 9);
        assert_eq!((classic.groups[0].member_id.as_deref(), classic.groups[0].member_epoch), (None, -1));
    }

    #[test]
    fn offsets_are_told_in_the_order_of_the_question_and_errors_name_what_they_are_about() {
        let partition = |(partition_index, committed_offset, error_code)| OffsetFetchResponsePartition {
            partition_index,
            committed_offset,
            error_code,
            ..Default::default()
        };
        let of = |told: &[(i32, i64, i16)]| {
            let partitions = told.iter().copied().map(partition).collect();
            vec![OffsetFetchResponseTopic { name: "t".into(), partitions }]
        };
        let group = |topics, error_code| OffsetFetchResponse {
            groups: vec![OffsetFetchResponseGroup { group_id: "g".into(), topics, error_code }],
            ..Default::default()
        };
        let asked = [tp(2), tp(0), tp(1)];
        let found = fetched(&group(of(&[(0, 5, 0), (1, -1, 0), (2, 7, 0)]), 0), 9, &asked);
        assert_eq!(found, Ok(vec![Some(7), Some(5), None]));
        let old = OffsetFetchResponse { topics: of(&[(0, 5, 0)]), ..Default::default() };
        assert_eq!(fetched(&old, 7, &asked), Ok(vec![None, Some(5), None]));
        let code = ErrorCode::NotCoordinator;
        assert_eq!(fetched(&group(Vec::new(), 16), 9, &asked), Err(Refused { code, of: None }));
        let refused = fetched(&group(of(&[(1, -1, 29)]), 0), 9, &asked).unwrap_err();
        assert_eq!(refused.error("g").to_string(), "t[1]: no permission for this topic");
    }
}
