//! From what a member has to what it is to have (Java's `maybeReconcile`): what is too much is given up first,
//! then what is missing is taken. Of a topic whose name is not known yet nothing can be taken.

use std::sync::Arc;

use super::{Ids, Member};
use crate::group::Ticket;
use crate::group::holding::Places;
use crate::record::TopicPartition;

impl Member {
    /// Takes the next step to the target, if there is one to take.
    pub(super) fn reconcile(&mut self) {
        let Some(target) = &self.target else { return };
        if self.holding.is_revoking() {
            return;
        }
        let (known, unknown): (Ids, Ids) = target.iter().partition(|(id, _)| self.names.contains_key(id));
        if !unknown.is_empty() && !self.is_asking {
            self.is_asking = true;
            self.out.learn(self.wanted.clone().unwrap_or_default());
        }
        let revoked: Ids = self.held.difference(&known).copied().collect();
        if !revoked.is_empty() {
            self.holding.revoke(self.places(&revoked), &mut self.out);
            self.releasing = revoked;
            return;
        }
        let added: Ids = known.difference(&self.held).copied().collect();
        self.holding.assign(self.places(&added), &mut self.out);
        self.held.extend(added);
    }

    /// The application has given up what it was told to.
    pub(super) fn released(&mut self, ticket: Ticket) {
        if self.holding.released(ticket) {
            let released = std::mem::take(&mut self.releasing);
            self.held.retain(|id| !released.contains(id));
        }
    }

    fn places(&self, ids: &Ids) -> Places {
        let place = |(id, partition): &(_, i32)| {
            let topic = Arc::clone(self.names.get(id)?);
            Some(TopicPartition { topic, partition: *partition })
        };
        ids.iter().filter_map(place).collect()
    }
}
