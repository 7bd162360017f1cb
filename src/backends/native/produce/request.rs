//! Produce requests: batches of several partitions out, an answer for each back.

use std::sync::Arc;

use super::fault::Fault;
use super::lane::Placed;
use super::parcel::{Load, Parcel};
use crate::backends::TopicPartition;
use crate::wire::messages::{
    ProduceNode, ProduceRequest, ProduceRequestPartition, ProduceRequestTopic, ProduceResponse,
    ProduceResponsePartition,
};
use crate::wire::net::{Address, Error, Kind, Leader, Sent};
use crate::wire::{ErrorCode, Records};

/// A batch in a request.
#[derive(Debug)]
pub(super) struct Item {
    /// The lane it is of.
    pub(super) lane: usize,
    pub(super) ticket: u64,
    pub(super) place: TopicPartition,
    pub(super) parcel: Arc<Parcel>,
}

/// Puts those of one topic next to each other, as the message has them.
pub(super) fn arrange(items: &mut [Item]) {
    items.sort_by(|a, b| a.place.topic.cmp(&b.place.topic));
}

/// The request for these, arranged.
pub(super) fn request(items: &[Item], acks: i16, timeout_ms: i32) -> ProduceRequest<'_> {
    let topic_data = items.chunk_by(|a, b| a.place.topic == b.place.topic).map(topic).collect();
    ProduceRequest { transactional_id: None, acks, timeout_ms, topic_data }
}

fn topic(items: &[Item]) -> ProduceRequestTopic<'_> {
    let name = items.first().map_or("", |item| &*item.place.topic);
    let partition = |item: &Item| ProduceRequestPartition {
        index: item.place.partition,
        records: Some(Records::Gap(item.parcel.bytes().len())),
    };
    ProduceRequestTopic { name: name.into(), partition_data: items.iter().map(partition).collect() }
}

/// The bytes for the request's gaps.
pub(super) fn load(items: &[Item]) -> Load {
    Load(items.iter().map(|item| Arc::clone(&item.parcel)).collect())
}

/// What an answer says of a batch.
pub(super) struct Said {
    pub(super) result: Result<Placed, Fault>,
    /// Who leads the partition, if the broker asked does not.
    pub(super) leader: Option<(Leader, Option<Address>)>,
}

/// Finds what an answer says of batches in the order of the request, which is that of most answers.
pub(super) struct Finder<'a> {
    said: Vec<(&'a str, &'a ProduceResponsePartition<'a>)>,
    nodes: &'a [ProduceNode<'a>],
    next: usize,
}

impl<'a> Finder<'a> {
    pub(super) fn new(answer: &'a ProduceResponse<'a>) -> Self {
        let topics = answer.responses.iter();
        let said = topics
            .flat_map(|topic| topic.partition_responses.iter().map(|partition| (&*topic.name, partition)))
            .collect();
        Self { said, nodes: &answer.node_endpoints, next: 0 }
    }

    /// What it says of a partition. Nothing at all is no answer to the request.
    pub(super) fn find(&mut self, place: &TopicPartition) -> Said {
        let is_it = |(topic, said): &(&str, &ProduceResponsePartition<'_>)| {
            said.index == place.partition && *topic == &*place.topic
        };
        let at = match self.said.get(self.next) {
            Some(said) if is_it(said) => Some(self.next),
            _ => self.said.iter().position(is_it),
        };
        let Some((at, (_, said))) = at.and_then(|at| Some((at, self.said.get(at)?))) else {
            let error = Error::new(Kind::Protocol, format!("an answer to Produce without {place}"));
            return Said { result: Err(Fault::Lost(error.sent_as(Sent::Maybe))), leader: None };
        };
        self.next = at + 1;
        Said { result: result(said), leader: self.leader(said) }
    }

    fn leader(&self, said: &ProduceResponsePartition<'_>) -> Option<(Leader, Option<Address>)> {
        let told = &said.current_leader;
        if told.leader_id < 0 || told.leader_epoch < 0 {
            return None;
        }
        let node = self.nodes.iter().find(|node| node.node_id == told.leader_id);
        let address = node.and_then(|node| Address::new(&node.host, node.port).ok());
        Some((Leader { id: told.leader_id, epoch: told.leader_epoch }, address))
    }
}

fn result(said: &ProduceResponsePartition<'_>) -> Result<Placed, Fault> {
    let Some(code) = ErrorCode::of(said.error_code) else {
        let appended = Some(said.log_append_time_ms).filter(|time| *time >= 0);
        return Ok(Placed { base: said.base_offset, appended });
    };
    let records = &said.record_errors;
    let words = records.iter().find_map(|record| record.batch_index_error_message.as_deref());
    Err(Fault::Code {
        code,
        detail: said.error_message.as_deref().or(words).map(str::to_owned),
        records: records.iter().filter_map(|record| usize::try_from(record.batch_index).ok()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::native::produce::fault::Class;
    use crate::wire::messages::ProduceResponseTopic;

    fn place(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }

    /// Partition, error code and base offset.
    type Told<'t> = (&'static str, &'t [(i32, i16, i64)]);

    fn answer(topics: &[Told<'_>]) -> ProduceResponse<'static> {
        let partition = |&(index, error_code, base_offset): &(i32, i16, i64)| ProduceResponsePartition {
            index,
            error_code,
            base_offset,
            ..Default::default()
        };
        let topic = |(name, partitions): &Told<'_>| ProduceResponseTopic {
            name: (*name).into(),
            partition_responses: partitions.iter().map(partition).collect(),
        };
        ProduceResponse { responses: topics.iter().map(topic).collect(), ..Default::default() }
    }

    #[test]
    fn answers_are_found_in_any_order() {
        let answer = answer(&[("b", &[(1, 0, 5)]), ("a", &[(1, 6, -1), (0, 0, 9)])]);
        let mut finder = Finder::new(&answer);
        let base = |said: Said| said.result.map(|placed| placed.base).map_err(|fault| fault.class());
        assert_eq!(base(finder.find(&place("a", 0))), Ok(9));
        assert_eq!(base(finder.find(&place("b", 1))), Ok(5));
        assert_eq!(base(finder.find(&place("a", 1))), Err(Class::InDoubt));
        assert_eq!(base(finder.find(&place("b", 0))), Err(Class::InDoubt));
    }

    #[test]
    fn a_new_leader_is_taken_with_its_address_if_that_can_be_one() {
        let mut answer = answer(&[("a", &[(0, 6, -1)])]);
        let partition = &mut answer.responses[0].partition_responses[0];
        (partition.current_leader.leader_id, partition.current_leader.leader_epoch) = (2, 7);
        let node = ProduceNode { node_id: 2, host: "h".into(), port: 9, rack: None };
        answer.node_endpoints = vec![node];
        let leader = |answer: &ProduceResponse<'_>| Finder::new(answer).find(&place("a", 0)).leader.unwrap();
        assert_eq!(leader(&answer), (Leader { id: 2, epoch: 7 }, Address::new("h", 9).ok()));
        answer.node_endpoints[0].port = -9;
        assert_eq!(leader(&answer).1, None);
    }
}
