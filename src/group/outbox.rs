//! What is to be done, until the step is over.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::{Action, Request, Ticket};

/// Collects actions and numbers those that something comes back to.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    actions: Vec<Action>,
    tickets: u64,
}

impl Outbox {
    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// One more action.
    pub(super) fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Sends a request.
    pub(super) fn send(&mut self, request: Request, within: Duration) -> Ticket {
        let ticket = self.ticket();
        self.push(Action::Send { ticket, request, within });
        ticket
    }

    /// Asks about topics.
    pub(super) fn learn(&mut self, topics: BTreeSet<Arc<str>>) -> Ticket {
        let ticket = self.ticket();
        self.push(Action::Learn { ticket, topics });
        ticket
    }

    /// Has the application give up partitions.
    pub(super) fn revoke(&mut self, partitions: Vec<crate::record::TopicPartition>) -> Ticket {
        let ticket = self.ticket();
        self.push(Action::Revoke { ticket, partitions });
        ticket
    }

    /// All there is, in order.
    pub(super) fn take(&mut self) -> Vec<Action> {
        mem::take(&mut self.actions)
    }
}
