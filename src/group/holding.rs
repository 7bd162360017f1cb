//! The partitions a member has.

use std::collections::BTreeSet;

use super::outbox::Outbox;
use super::{Action, Ticket};
use crate::record::TopicPartition;

/// Some partitions.
pub(super) type Places = BTreeSet<TopicPartition>;

/// What the application reads, and what of it it was told to give up.
#[derive(Debug, Default)]
pub(super) struct Holding {
    owned: Places,
    /// Waited for before anything else is revoked. Part of `owned`.
    revoking: Option<(Ticket, Places)>,
}

impl Holding {
    /// All that has not been given up yet.
    pub(super) fn owned(&self) -> &Places {
        &self.owned
    }

    /// True while the application has not answered.
    pub(super) fn is_revoking(&self) -> bool {
        self.revoking.is_some()
    }

    /// Adds these.
    pub(super) fn assign(&mut self, places: Places, out: &mut Outbox) {
        if !places.is_empty() {
            out.push(Action::Assign(places.iter().cloned().collect()));
            self.owned.extend(places);
        }
    }

    /// Has the application give these up. One at a time: not while it [is at it](Self::is_revoking).
    pub(super) fn revoke(&mut self, places: Places, out: &mut Outbox) {
        if !places.is_empty() {
            let ticket = out.revoke(places.iter().cloned().collect());
            self.revoking = Some((ticket, places));
        }
    }

    /// The application has given up what it was told to. Whether this was waited for.
    pub(super) fn released(&mut self, ticket: Ticket) -> bool {
        match self.revoking.take_if(|(waited, _)| *waited == ticket) {
            Some((_, places)) => {
                self.owned.retain(|place| !places.contains(place));
                true
            }
            None => false,
        }
    }

    /// All of it may be another's by now.
    pub(super) fn lose(&mut self, out: &mut Outbox) {
        self.revoking = None;
        if !self.owned.is_empty() {
            let owned = std::mem::take(&mut self.owned);
            out.push(Action::Lose(owned.into_iter().collect()));
        }
    }
}
