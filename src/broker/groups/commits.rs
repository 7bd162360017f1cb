//! The offsets of the registry's groups: committed, kept for transactions, deleted, and forgotten when
//! they are out of date (as Kafka's `OffsetMetadataManager`).

use std::collections::BTreeMap;

use super::super::code::Code;
use super::super::storage;
use super::classic;
use super::offsets::{Committed, Decision, Removal};
use super::persist::{self, Edits, Place};
use super::registry::{Commit, Kind, Mode, Registry, Store, Who};

/// The longest text that can be noted with an offset, in UTF-16 units
/// (`offset.metadata.max.bytes`).
const MAX_METADATA: usize = 4096;
/// From one look at offsets that are out of date to the next, in ms
/// (`offsets.retention.check.interval.ms`).
pub(super) const SWEEP_EVERY: i64 = 10 * 60 * 1000;
/// How long offsets are kept without a commit or a member, in ms (`offsets.retention.minutes`).
const RETENTION: i64 = 7 * 24 * 60 * 60 * 1000;

impl Registry {
    /// The committed offset of a place.
    pub(in crate::broker) fn offset(&self, place: Place<'_>) -> Option<&Committed> {
        self.offsets.get(place)
    }

    /// All committed offsets of a group, by topic and partition.
    pub(in crate::broker) fn offsets<'a>(
        &'a self,
        group: &str,
    ) -> impl Iterator<Item = (&'a str, &'a BTreeMap<i32, Committed>)> + use<'a> {
        self.offsets.of_group(group)
    }

    /// True when a transaction that is not decided has an offset for this place.
    pub(in crate::broker) fn is_pending(&self, place: Place<'_>) -> bool {
        self.offsets.is_pending(place)
    }

    /// Whether a member may read a group's offsets. Those of a group that is not there are none.
    pub(in crate::broker) fn check_fetch(&self, group: &str, who: Who<'_>) -> Result<(), Code> {
        self.get(group).map_or(Ok(()), |kind| kind.check_fetch(who))
    }

    /// Commits offsets, or keeps them for the end of a transaction. What became of each, in order. Offsets
    /// that are committed from outside a group create it.
    pub(in crate::broker) fn commit(
        &mut self,
        store: &dyn Store,
        group: &str,
        who: Who<'_>,
        mode: Mode,
        commits: &[Commit<'_>],
        now: i64,
    ) -> Vec<Result<(), Code>> {
        let is_there = |commit: &Commit<'_>| store.has_partition(commit.topic, commit.partition);
        let is_there: Vec<bool> = commits.iter().map(is_there).collect();
        let allowed =
            if is_there.contains(&true) { self.check_commit(group, who, mode, now) } else { Ok(()) };
        let check = |(commit, is_there): (&Commit<'_>, &bool)| match *is_there {
            false => Err(Code::UnknownTopicOrPartition),
            true => allowed.and_then(|()| check_metadata(commit.metadata)),
        };
        let mut outcomes: Vec<_> = commits.iter().zip(&is_there).map(check).collect();
        let accepted = commits.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
        let accepted: Vec<_> = accepted.map(|(commit, _)| *commit).collect();
        if self.keep(store, group, mode, &accepted, now).is_err() {
            for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
                *outcome = Err(Code::NotCoordinator);
            }
        }
        outcomes
    }

    /// Keeps offsets for the end of a producer's transaction (TxnOffsetCommit). What became of each, in
    /// order.
    pub(in crate::broker) fn commit_in_transaction(
        &mut self,
        store: &dyn Store,
        group: &str,
        who: Who<'_>,
        producer_id: i64,
        commits: &[Commit<'_>],
        now: i64,
    ) -> Vec<Result<(), Code>> {
        if group.is_empty() {
            return commits.iter().map(|_| Err(Code::InvalidGroupId)).collect();
        }
        self.commit(store, group, who, Mode::Transaction { producer_id }, commits, now)
    }

    fn check_commit(&mut self, group: &str, who: Who<'_>, mode: Mode, now: i64) -> Result<(), Code> {
        match (self.update(group, |kind| kind.check_commit(who, mode, now)), mode) {
            (Some(checked), _) => checked,
            (None, _) if who.generation < 0 => self.check_room(),
            (None, Mode::Plain { version: 9.., .. }) => Err(Code::GroupIdNotFound),
            (None, _) => Err(Code::IllegalGeneration),
        }
    }

    /// Writes offsets down, then takes them for committed, or for pending.
    fn keep(
        &mut self,
        store: &dyn Store,
        group: &str,
        mode: Mode,
        commits: &[Commit<'_>],
        now: i64,
    ) -> storage::Result<()> {
        if commits.is_empty() {
            return Ok(());
        }
        let (producer, expires) = match mode {
            Mode::Transaction { producer_id } => (Some(producer_id), None),
            Mode::Plain { retention, .. } => (None, (retention >= 0).then(|| now.saturating_add(retention))),
        };
        let mut edits = Edits::default();
        let mut kept = Vec::with_capacity(commits.len());
        for commit in commits {
            let place = Place { group, topic: commit.topic, partition: commit.partition };
            let order = self.offsets.next_order();
            let Commit { offset, leader_epoch, .. } = *commit;
            let metadata = commit.metadata.to_owned();
            let committed = Committed { offset, leader_epoch, metadata, time: now, expires, order };
            edits.put(place.key(producer), persist::offset_value(&committed));
            kept.push((place, committed));
        }
        store.apply(&edits.changes())?;
        if self.get(group).is_none() {
            self.insert(group, Kind::Classic(classic::Group::new(now)));
        }
        kept.into_iter().for_each(|(place, committed)| self.offsets.note(place, producer, committed));
        Ok(())
    }

    /// What the end of a producer's transaction changes in the journal.
    pub(super) fn ending(&self, producer: i64, decision: Decision) -> Edits {
        self.offsets.ending(producer, decision)
    }

    /// Ends a producer's transaction, once the journal has the changes.
    pub(super) fn end(&mut self, producer: i64, decision: Decision) {
        self.offsets.end(producer, decision);
    }

    /// Deletes offsets of a group, committed ones and those in transactions. What became of each, in
    /// order.
    ///
    /// # Errors
    /// What forbids it for all of them.
    pub(in crate::broker) fn delete_offsets(
        &mut self,
        store: &dyn Store,
        group: &str,
        places: &[(&str, i32)],
    ) -> Result<Vec<Result<(), Code>>, Code> {
        if group.is_empty() {
            return Err(Code::InvalidGroupId);
        }
        let kind = self.get(group).ok_or(Code::GroupIdNotFound)?;
        kind.check_delete_offsets()?;
        let check = |(topic, partition): &(&str, i32)| match store.has_partition(topic, *partition) {
            false => Err(Code::UnknownTopicOrPartition),
            true if kind.is_subscribed(topic) => Err(Code::GroupSubscribedToTopic),
            true => Ok(()),
        };
        let outcomes: Vec<_> = places.iter().map(check).collect();
        let mut removal = Removal::default();
        for ((topic, partition), _) in places.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()) {
            removal.add(self.offsets.removal_of(Place { group, topic, partition: *partition }));
        }
        self.remove(removal, |edits| store.apply(&edits.changes())).map_err(|_| Code::NotCoordinator)?;
        Ok(outcomes)
    }

    /// Deletes a group without members, with its offsets.
    pub(in crate::broker) fn delete(&mut self, store: &dyn Store, group: &str) -> Result<(), Code> {
        let kind = self.get(group).ok_or(Code::GroupIdNotFound)?;
        if !kind.is_empty() {
            return Err(Code::NonEmptyGroup);
        }
        let mut record = Edits::default();
        kind.delete_record(group, &mut record);
        let removal = self.offsets.removal(|place| place.group == group);
        let apply = |edits: &Edits| store.apply(&[record.changes(), edits.changes()].concat());
        self.remove(removal, apply).map_err(|_| Code::NotCoordinator)?;
        self.take(group);
        Ok(())
    }

    /// Forgets the offsets of a topic that was deleted.
    pub(in crate::broker) fn forget_topic(&mut self, store: &dyn Store, topic: &str) {
        let removal = self.offsets.removal(|place| place.topic == topic);
        // What is left by a failure, which is in the log, is forgotten at the next start.
        let _ = self.remove(removal, |edits| store.apply(&edits.changes()));
    }

    /// Removes offsets: writes it down, then forgets them.
    pub(super) fn remove(
        &mut self,
        removal: Removal,
        apply: impl FnOnce(&Edits) -> storage::Result<()>,
    ) -> storage::Result<()> {
        let mut edits = Edits::default();
        removal.write(&mut edits);
        apply(&edits)?;
        self.offsets.remove(&removal);
        Ok(())
    }

    /// Removes offsets that are out of date, and groups that have neither members nor offsets.
    pub(super) fn sweep(&mut self, store: &dyn Store, now: i64) {
        self.next_sweep = now + SWEEP_EVERY;
        let removal = self.offsets.removal(|place| self.is_out_of_date(place, now));
        let _ = self.remove(removal, |edits| store.apply(&edits.changes()));
        let is_unused = |(id, kind): &(&str, &Kind)| {
            let is_kept = self.offsets(id).next().is_some() || self.offsets.has_pending(id);
            kind.is_empty() && kind.next_deadline().is_none() && !is_kept
        };
        let unused: Vec<String> = self.iter().filter(is_unused).map(|(id, _)| id.to_owned()).collect();
        for id in unused {
            // If it fails, the next sweep finds it again.
            let _ = self.delete(store, &id);
        }
    }

    fn is_out_of_date(&self, place: Place<'_>, now: i64) -> bool {
        let found = self.get(place.group).zip(self.offset(place));
        let Some((kind, committed)) = found.filter(|_| !self.is_pending(place)) else { return false };
        let since = kind.retained_from(committed).filter(|_| !kind.is_subscribed(place.topic));
        since.is_some_and(|since| committed.expires.unwrap_or_else(|| since.saturating_add(RETENTION)) <= now)
    }
}

fn check_metadata(metadata: &str) -> Result<(), Code> {
    let fits = metadata.len() <= MAX_METADATA || metadata.encode_utf16().count() <= MAX_METADATA;
    if fits { Ok(()) } else { Err(Code::OffsetMetadataTooLarge) }
}
