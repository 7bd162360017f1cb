//! A member of a classic group (as Kafka's `ClassicGroupMember`).

use tokio::sync::oneshot::Sender;

use super::super::super::code::Code;
use super::join::Join;
use crate::wire::messages::{JoinGroupProtocol, JoinGroupResponse, SyncGroupResponse};

/// Answers a JoinGroup.
pub(in crate::broker) type JoinReply = Sender<JoinGroupResponse<'static>>;
/// Answers a SyncGroup.
pub(in crate::broker) type SyncReply = Sender<SyncGroupResponse<'static>>;

/// A way of assigning partitions, and what the member tells with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Protocol {
    pub(super) name: String,
    pub(super) metadata: Vec<u8>,
}

/// What a member says of itself on joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    /// How long the others wait for it in a rebalance, in ms.
    pub(super) rebalance_timeout: i64,
    /// How long it is taken for alive without a sign, in ms.
    pub(super) session_timeout: i64,
    /// What it supports, the best first.
    pub(super) protocols: Vec<Protocol>,
}

impl Terms {
    pub(super) fn of(join: &Join<'_>) -> Self {
        let request = join.request;
        let session = i64::from(request.session_timeout_ms);
        let rebalance = i64::from(request.rebalance_timeout_ms).max(0);
        Self {
            rebalance_timeout: if join.version == 0 { session } else { rebalance },
            session_timeout: session,
            protocols: protocols(&request.protocols),
        }
    }
}

/// The protocols of a request; of those with the same name the first.
fn protocols(asked: &[JoinGroupProtocol<'_>]) -> Vec<Protocol> {
    let mut protocols: Vec<Protocol> = Vec::new();
    for protocol in asked {
        if protocols.iter().all(|known| known.name != protocol.name) {
            protocols
                .push(Protocol { name: protocol.name.to_string(), metadata: protocol.metadata.to_vec() });
        }
    }
    protocols
}

/// A member.
#[derive(Debug)]
pub(super) struct Member {
    /// The name that the user gave it: it is a static member (KIP-345).
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) terms: Terms,
    /// What it reads, as the leader said.
    pub(super) assignment: Vec<u8>,
    /// When its session ends; none while it waits for others.
    pub(super) due: Option<i64>,
    /// True until its first rebalance is complete. It knows no id yet and cannot send heartbeats.
    pub(super) is_new: bool,
    /// True from the end of joining until it asks for its assignment.
    pub(super) owes_sync: bool,
    /// Who waits for the end of joining.
    pub(super) joining: Option<JoinReply>,
    /// Who waits for the assignment.
    pub(super) syncing: Option<SyncReply>,
}

impl Member {
    /// Counts its session from now.
    pub(super) fn touch(&mut self, now: i64) {
        self.due = Some(now.saturating_add(self.terms.session_timeout));
    }

    /// True when it need not send heartbeats, as it waits for an answer. One that is new could be gone.
    pub(super) fn is_excused(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.terms.protocols.iter().any(|supported| supported.name == protocol)
    }

    /// What it told on joining, for one protocol.
    pub(super) fn metadata(&self, protocol: &str) -> &[u8] {
        let found = self.terms.protocols.iter().find(|supported| supported.name == protocol);
        found.map_or(&[], |supported| &supported.metadata)
    }

    /// The protocol it would have of those that are possible.
    pub(super) fn vote(&self, candidates: &[&str]) -> Option<&str> {
        let names = self.terms.protocols.iter().map(|supported| supported.name.as_str());
        names.into_iter().find(|name| candidates.contains(name))
    }

    /// Ends its waiting for the others, if it waits. Whether it did.
    pub(super) fn answer_join(&mut self, response: JoinGroupResponse<'static>) -> bool {
        let Some(reply) = self.joining.take() else { return false };
        // When the client has hung up, nobody is there to be told.
        let _ = reply.send(response);
        true
    }

    /// Ends its waiting for an assignment, if it waits. Whether it did.
    pub(super) fn answer_sync(&mut self, response: SyncGroupResponse<'static>) -> bool {
        let Some(reply) = self.syncing.take() else { return false };
        let _ = reply.send(response);
        true
    }

    /// Ends all waiting, since it is no member any more.
    pub(super) fn dismiss(&mut self, member_id: &str, code: Code) {
        self.answer_join(refused_join(member_id, code));
        self.answer_sync(refused_sync(code));
    }
}

/// The answer to a JoinGroup that is refused.
pub(in crate::broker) fn refused_join(member_id: &str, code: Code) -> JoinGroupResponse<'static> {
    JoinGroupResponse {
        error_code: code as i16,
        member_id: member_id.to_owned().into(),
        protocol_name: None,
        ..Default::default()
    }
}

/// The answer to a SyncGroup that is refused.
pub(in crate::broker) fn refused_sync(code: Code) -> SyncGroupResponse<'static> {
    SyncGroupResponse { error_code: code as i16, ..Default::default() }
}
