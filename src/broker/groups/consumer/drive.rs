//! What is done with groups of this protocol among all groups.

use super::super::persist::Edits;
use super::super::registry::{Kind, Registry, Store};
use super::member::JOIN;
use super::{Beat, Group, Options, Topics};
use crate::broker::code::{Code, Failure};
use crate::wire::messages::ConsumerGroupHeartbeatResponse;

type Answer = Result<ConsumerGroupHeartbeatResponse<'static>, Failure>;

impl Registry {
    /// Takes a member's heartbeat: a join and a departure are some, too. What the answer tells is in the
    /// journal. A join makes the group, also in the place of one of another protocol without members;
    /// its offsets stay.
    pub(in crate::broker) fn consumer_heartbeat(
        &mut self,
        store: &dyn Store,
        beat: Beat<'_>,
        topics: &Topics<'_>,
        options: &Options,
        now: i64,
    ) -> Answer {
        let id = &*beat.request.group_id;
        let is_join = beat.request.member_epoch == JOIN;
        match self.get(id) {
            Some(Kind::Consumer(_)) => {}
            Some(kind) if !is_join || !kind.is_empty() => {
                let why = format!("Group {id} is not a consumer group.");
                return Err(Failure::new(Code::GroupIdNotFound, why));
            }
            None if !is_join => {
                return Err(Failure::new(Code::GroupIdNotFound, format!("Group {id} not found.")));
            }
            _ => return self.found(store, beat, topics, options, now),
        }
        let heartbeat = |group: &mut Group| {
            let answer = group.heartbeat(beat, topics, options, now)?;
            save(store, id, group)?;
            Ok(answer)
        };
        let answer = self.update(id, |kind| match kind {
            Kind::Consumer(group) => Some(heartbeat(group)),
            Kind::Classic(_) => None,
        });
        answer.flatten().unwrap_or_else(|| Err(Code::GroupIdNotFound.into()))
    }

    /// Makes a group of its first heartbeat, if that is let in.
    fn found(
        &mut self,
        store: &dyn Store,
        beat: Beat<'_>,
        topics: &Topics<'_>,
        options: &Options,
        now: i64,
    ) -> Answer {
        let id = &*beat.request.group_id;
        let mut replaced = Edits::default();
        match self.get(id) {
            Some(kind) => kind.delete_record(id, &mut replaced),
            None => self.check_room()?,
        }
        let mut group = Group::default();
        let answer = group.heartbeat(beat, topics, options, now)?;
        let edits = group.edits(id);
        store.apply(&[replaced.changes(), edits.changes()].concat()).map_err(unsaved)?;
        group.saved();
        self.insert(id, Kind::Consumer(group));
        Ok(answer)
    }

    /// Removes the members of a group whose time has run out.
    pub(in super::super) fn expire_consumers(&mut self, store: &dyn Store, id: &str, now: i64) {
        self.update(id, |kind| {
            if let Kind::Consumer(group) = kind {
                group.expire(now);
                // What fails, which is in the log, is written with the next change.
                let _ = save(store, id, group);
            }
        });
    }
}

/// Writes down what has changed in a group. What fails is tried again with the next change, and until
/// then no one is told of it.
fn save(store: &dyn Store, id: &str, group: &mut Group) -> Result<(), Failure> {
    let edits = group.edits(id);
    if !edits.is_empty() {
        store.apply(&edits.changes()).map_err(unsaved)?;
        group.saved();
    }
    Ok(())
}

fn unsaved(_: crate::broker::storage::Error) -> Failure {
    Code::NotCoordinator.into()
}
