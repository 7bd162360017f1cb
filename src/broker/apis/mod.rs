//! What is answered: one file per API.
//!
//! An API that is served stands in [`SERVED`], which is what is announced, and in [`dispatch`]. A
//! handler that answers at once is a function from request to response, one that waits is an `async`
//! function that is given the [`Call`].

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod api_versions;
mod configs;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod end_txn;
mod fetch;
mod fetch_session;
mod find_coordinator;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod produce;
mod sync_group;
mod txn_offset_commit;

pub(super) use fetch_session::Session;

use super::code::{Code, Failure};
use super::connection::{Close, Peer};
use super::faults::FaultKind;
use super::node::Node;
use super::storage::Slice;
use crate::wire::{ApiKey, Frame, Message, Reader, Request, RequestHeader, encode_response};

/// The APIs that are served, and announced.
pub(super) const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::TxnOffsetCommit,
    ApiKey::DescribeConfigs,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::OffsetDelete,
    ApiKey::DescribeCluster,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ConsumerGroupDescribe,
];

/// A response ready to be sent.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) frame: Frame,
    /// What goes into the frame's gaps, in order.
    pub(super) slices: Vec<Slice>,
}

/// A request on its way to its answer.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) node: &'a Node,
    pub(super) peer: &'a mut Peer,
    pub(super) header: RequestHeader<'a>,
    body: &'a [u8],
    fault: Option<i16>,
}

impl<'a> Call<'a> {
    /// The version asked for.
    pub(super) fn version(&self) -> i16 {
        self.header.api_version
    }

    /// Reads the request. What is left over is ignored, as Kafka does: librdkafka 2.12 asks for the
    /// metadata of all topics with three bytes too many.
    pub(super) fn read<R: Request<'a>>(&self) -> Result<R, Close> {
        Ok(R::decode_from(&mut Reader::new(self.body), self.version())?)
    }

    /// Writes the response.
    pub(super) fn reply<'r, M: Message<'r>>(&self, response: &M) -> Result<Reply, Close> {
        let frame = encode_response(response, self.version(), self.header.correlation_id)?;
        Ok(Reply { frame, slices: Vec::new() })
    }

    /// Fails if this request is to be answered with an error: a handler asks before it does anything.
    pub(super) fn allow(&self) -> Result<(), Failure> {
        self.fault
            .map_or(Ok(()), |code| Err(Failure { code, why: Some("a fault that was asked for".into()) }))
    }

    /// PRODUCER_FENCED as INVALID_PRODUCER_EPOCH for clients of versions before `first`, which do not know it
    /// (KIP-588).
    fn fenced_since<T>(&self, first: i16, outcome: Result<T, Failure>) -> Result<T, Failure> {
        match self.version() < first {
            true => {
                outcome.map_err(|failure| failure.instead(Code::ProducerFenced, Code::InvalidProducerEpoch))
            }
            false => outcome,
        }
    }

    /// Answers by a function from request to response.
    fn answer<R: Request<'a>>(
        &mut self,
        handle: impl FnOnce(&mut Self, R) -> R::Response<'a>,
    ) -> Result<Option<Reply>, Close> {
        let request = self.read()?;
        let response = handle(self, request);
        self.reply(&response).map(Some)
    }
}

/// Answers a request, if it is one that is answered.
pub(super) async fn answer(node: &Node, peer: &mut Peer, request: &[u8]) -> Result<Option<Reply>, Close> {
    let mut r = Reader::new(request);
    let header = RequestHeader::read(&mut r)?;
    let Some((api, _)) = header.api().filter(|(api, _)| SERVED.contains(&api.key)) else {
        return refuse(&header).map(Some);
    };
    let body = request.get(r.position()..).unwrap_or_default();
    let mut call = Call { node, peer, header, body, fault: None };
    let fault = node.faults.take(api.key);
    match fault {
        Some(FaultKind::Refuse) => return Err(Close::Fault),
        Some(FaultKind::Delay(time)) => tokio::time::sleep(time).await,
        Some(FaultKind::Error(code)) => call.fault = Some(code),
        Some(FaultKind::Drop) | None => {}
    }
    let reply = dispatch(&mut call, api.key).await?;
    if fault == Some(FaultKind::Drop) { Err(Close::Fault) } else { Ok(reply) }
}

async fn dispatch(call: &mut Call<'_>, api: ApiKey) -> Result<Option<Reply>, Close> {
    match api {
        ApiKey::Produce => produce::answer(call),
        ApiKey::Fetch => fetch::answer(call).await,
        ApiKey::ListOffsets => call.answer(list_offsets::handle),
        ApiKey::Metadata => call.answer(metadata::handle),
        ApiKey::OffsetCommit => call.answer(offset_commit::handle),
        ApiKey::OffsetFetch => call.answer(offset_fetch::handle),
        ApiKey::FindCoordinator => call.answer(find_coordinator::handle),
        ApiKey::JoinGroup => join_group::answer(call).await,
        ApiKey::Heartbeat => call.answer(heartbeat::handle),
        ApiKey::LeaveGroup => call.answer(leave_group::handle),
        ApiKey::SyncGroup => sync_group::answer(call).await,
        ApiKey::DescribeGroups => call.answer(describe_groups::handle),
        ApiKey::ListGroups => call.answer(list_groups::handle),
        ApiKey::ApiVersions => call.answer(api_versions::handle),
        ApiKey::CreateTopics => call.answer(create_topics::handle),
        ApiKey::DeleteTopics => call.answer(delete_topics::handle),
        ApiKey::DeleteRecords => call.answer(delete_records::handle),
        ApiKey::InitProducerId => call.answer(init_producer_id::handle),
        ApiKey::AddPartitionsToTxn => call.answer(add_partitions_to_txn::handle),
        ApiKey::AddOffsetsToTxn => call.answer(add_offsets_to_txn::handle),
        ApiKey::EndTxn => call.answer(end_txn::handle),
        ApiKey::TxnOffsetCommit => call.answer(txn_offset_commit::handle),
        ApiKey::DescribeConfigs => call.answer(describe_configs::handle),
        ApiKey::CreatePartitions => call.answer(create_partitions::handle),
        ApiKey::DeleteGroups => call.answer(delete_groups::handle),
        ApiKey::OffsetDelete => call.answer(offset_delete::handle),
        ApiKey::DescribeCluster => call.answer(describe_cluster::handle),
        ApiKey::ConsumerGroupHeartbeat => call.answer(consumer_group_heartbeat::handle),
        ApiKey::ConsumerGroupDescribe => call.answer(consumer_group_describe::handle),
    }
}

/// Of what is not served, only ApiVersions in an unknown version has an answer that a client
/// understands.
fn refuse(header: &RequestHeader<'_>) -> Result<Reply, Close> {
    if header.api_key != ApiKey::ApiVersions as i16 {
        return Err(unserved(header));
    }
    let frame = encode_response(&api_versions::unsupported(), 0, header.correlation_id)?;
    Ok(Reply { frame, slices: Vec::new() })
}

fn unserved(header: &RequestHeader<'_>) -> Close {
    Close::Unserved { key: header.api_key, version: header.api_version }
}
