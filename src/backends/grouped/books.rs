//! The driver's books: offsets that are kept for the group, and where assigned partitions are read from.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::app::{Reply, Told};
use super::driver::{Again, Done, Driver};
use super::offsets::{Kept, Refused, commit_request, fetch_request, fetched};
use crate::backends::reset::Reset;
use crate::backends::wired::errors;
use crate::backends::{
    Error, ErrorKind, Offsets, Result, Start, StartOrigin, Status, TopicPartition, committed_offset_deleted,
};
use crate::group::{Commit, Event, Identity};
use crate::wire::ErrorCode;
use crate::wire::messages::{OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse};
use crate::wire::net::{self, Answer, FoundOffset, OffsetQuery, Purpose};

/// How long a partition that was just created may be unknown to the coordinator.
const UNKNOWN_FOR: Duration = Duration::from_millis(500);

/// Offsets on their way.
#[derive(Debug)]
pub(super) struct Keeping {
    number: u64,
    offsets: Offsets,
    deadline: Instant,
    begun: Instant,
    /// As whom.
    who: Identity,
    /// How often the reader knew that partitions had been lost.
    losses: u64,
}

/// Partitions whose start is looked for.
#[derive(Debug)]
pub(super) struct Finding {
    partitions: Vec<TopicPartition>,
    purpose: For,
    who: Identity,
}

/// What offsets are asked for.
#[derive(Debug, Clone, Copy)]
enum For {
    /// To begin with this assignment.
    Start(u64),
    /// To be told, under this number and by then.
    Telling(u64, Instant),
}

impl Driver {
    pub(super) fn commit(&mut self, number: u64, offsets: Offsets, deadline: Instant, losses: u64) {
        let begun = Instant::now();
        self.newest = number;
        self.keep(Keeping { number, offsets, deadline, begun, who: Identity::default(), losses });
    }

    pub(super) fn keep(&mut self, mut keeping: Keeping) {
        keeping.who = self.member.identity();
        // What was lost is not this member's to commit, not even when it is one again; nor is it to be taken back what
        // was ordered since.
        let is_old = keeping.losses != self.losses || keeping.number != self.newest;
        if keeping.who.generation < 0 || is_old {
            return self.committed(&keeping, Err(rebalancing()));
        }
        if Instant::now() >= keeping.deadline {
            return self.committed(&keeping, Err(super::late("committing offsets")));
        }
        let (asker, deadline) = (self.asker.clone(), keeping.deadline.into());
        self.tasks.spawn(async move {
            let request = commit_request(asker.group(), &keeping.who, &keeping.offsets);
            let send = |connection: &net::Connection, sending| connection.send(&request, sending);
            let answer = asker.ask_with(Purpose::Control, deadline, send).await;
            drop(request);
            Done::Kept(keeping, answer)
        });
    }

    pub(super) fn kept(&mut self, mut keeping: Keeping, answer: net::Result<Answer>) {
        let told = answer.as_ref().map_err(Clone::clone);
        let told = told.and_then(|a| Ok(Kept::of(&a.read::<OffsetCommitResponse<'_>>()?, &keeping.offsets)));
        let kept = match told {
            Ok(kept) => kept,
            Err(why) if why.is_retriable() => {
                self.failed(&why);
                return self.later(Again::Keep(keeping));
            }
            Err(why) => {
                let error = errors::error(self.asker.subject(), &why);
                return self.committed(&keeping, Err(error.not_committed(&keeping.offsets)));
            }
        };
        self.well();
        kept.kept.iter().for_each(|(tp, _)| self.starts.note_committed(tp));
        if kept.is_elsewhere {
            self.forget_coordinator();
        }
        match kept.refused {
            Some((Commit::Never, tp, code)) => {
                let error = self.refusal(&tp, code).not_committed(&kept.open);
                self.committed(&keeping, Err(error));
                self.step(Event::Refused(code, keeping.who));
            }
            Some((_, _, code)) => {
                self.committed(&keeping, Err(rebalancing()));
                self.step(Event::Refused(code, keeping.who));
            }
            None if kept.open.is_empty() => self.committed(&keeping, Ok(())),
            None if kept.unknown.is_some() && keeping.begun.elapsed() >= UNKNOWN_FOR => {
                self.committed(&keeping, Err(gone(kept.unknown.as_ref())));
            }
            None => {
                keeping.offsets = kept.open;
                self.later(Again::Keep(keeping));
            }
        }
    }

    fn committed(&self, keeping: &Keeping, outcome: Result<()>) {
        self.app.reply(Reply::Committed(keeping.number, outcome));
    }

    /// Why offsets are not kept.
    fn refusal(&self, tp: &TopicPartition, code: ErrorCode) -> Error {
        match code {
            ErrorCode::GroupAuthorizationFailed => errors::of_code(self.asker.subject(), code, None),
            _ => errors::of_code(format_args!("committing {tp}"), code, None),
        }
    }

    pub(super) fn tell_offsets(&mut self, number: u64, partitions: Vec<TopicPartition>, deadline: Instant) {
        self.find(Finding { partitions, purpose: For::Telling(number, deadline), who: Identity::default() });
    }

    /// Looks for the starts of an assignment.
    pub(super) fn open(&mut self, partitions: Vec<TopicPartition>, assignment: u64) {
        self.find(Finding { partitions, purpose: For::Start(assignment), who: Identity::default() });
    }

    /// Tells starts, of what is still assigned.
    fn begin(&mut self, mut starts: Vec<(TopicPartition, i64, StartOrigin)>, assignment: u64) {
        starts.retain(|(tp, ..)| is_of(&self.opening, tp, assignment));
        for (tp, ..) in &starts {
            self.opening.remove(tp);
        }
        if !starts.is_empty() {
            self.app.tell(Told::Start(starts));
        }
    }

    pub(super) fn find(&mut self, mut finding: Finding) {
        match finding.purpose {
            For::Start(assignment) => finding.partitions.retain(|tp| is_of(&self.opening, tp, assignment)),
            For::Telling(number, deadline) if Instant::now() >= deadline => {
                let late = super::late("asking for committed offsets");
                return self.app.reply(Reply::Offsets(number, Err(late)));
            }
            For::Telling(..) => {}
        }
        if finding.partitions.is_empty() {
            return;
        }
        finding.who = self.member.identity();
        let who = (self.is_consumer && finding.who.generation >= 0).then(|| finding.who.clone());
        let (asker, deadline) = (self.asker.clone(), self.deadline());
        self.tasks.spawn(async move {
            let send = |connection: &net::Connection, sending| {
                // Without a version in common the sending of it fails.
                let version = connection.version::<OffsetFetchRequest<'_>>().unwrap_or_default();
                let request = fetch_request(asker.group(), who.as_ref(), &finding.partitions, version);
                connection.send(&request, sending)
            };
            let answer = asker.ask_with(Purpose::Control, deadline, send).await;
            Done::Fetched(finding, answer)
        });
    }

    pub(super) fn fetched(&mut self, finding: Finding, answer: net::Result<Answer>) {
        let told = answer.and_then(|answer| {
            let response: OffsetFetchResponse<'_> = answer.read()?;
            Ok(fetched(&response, answer.version(), &finding.partitions))
        });
        let offsets = match told {
            Ok(Ok(offsets)) => offsets,
            Ok(Err(refused)) => return self.not_fetched(finding, &refused),
            Err(why) => return self.failed_again(&why, Again::Find(finding)),
        };
        self.well();
        match finding.purpose {
            For::Start(assignment) => self.given(finding, offsets, assignment),
            For::Telling(number, _) => self.app.reply(Reply::Offsets(number, Ok(offsets))),
        }
    }

    fn not_fetched(&mut self, finding: Finding, refused: &Refused) {
        match Commit::refused(refused.code) {
            Commit::Again => {}
            Commit::Elsewhere => self.forget_coordinator(),
            Commit::Rejoin => self.step(Event::Refused(refused.code, finding.who.clone())),
            Commit::Never => return self.app.tell(Told::Failed(refused.error(self.asker.group()))),
        }
        self.later(Again::Find(finding));
    }

    /// The group's offsets are known; where it has none `auto.offset.reset` says where to start.
    fn given(&mut self, mut finding: Finding, offsets: Vec<Option<i64>>, assignment: u64) {
        let (mut starts, mut open) = (Vec::new(), Vec::new());
        for (tp, offset) in std::mem::take(&mut finding.partitions).into_iter().zip(offsets) {
            match self.starts.start(&tp, offset) {
                Start::At(start, origin) => starts.push((tp, start, origin)),
                Start::Reset { .. } if self.reset == Reset::None => {
                    let text = format!("{tp}: no committed offset to start from (auto.offset.reset=none)");
                    self.app.tell(Told::Failed(Error::new(ErrorKind::OffsetOutOfRange, text)));
                }
                Start::Reset { was_deleted } => {
                    if was_deleted {
                        let warning = committed_offset_deleted(&tp, self.reset.name());
                        self.app.tell(Told::Warn(warning));
                    }
                    open.push(tp);
                }
            }
        }
        self.begin(starts, assignment);
        if !open.is_empty() {
            finding.partitions = open;
            self.list(finding);
        }
    }

    fn list(&mut self, finding: Finding) {
        let timestamp = if self.reset == Reset::Latest { -1 } else { -2 };
        let query = |tp: &TopicPartition| OffsetQuery {
            topic: std::sync::Arc::clone(&tp.topic),
            partition: tp.partition,
            timestamp,
        };
        let queries: Vec<OffsetQuery> = finding.partitions.iter().map(query).collect();
        let (cluster, isolation, deadline) = (self.cluster.clone(), self.isolation, self.deadline());
        self.tasks.spawn(async move {
            let found = cluster.list_offsets(&queries, isolation, deadline).await;
            Done::Listed(finding, found)
        });
    }

    pub(super) fn listed(
        &mut self,
        mut finding: Finding,
        found: net::Result<Vec<std::result::Result<FoundOffset, ErrorCode>>>,
    ) {
        let For::Start(assignment) = finding.purpose else { return };
        let found = match found {
            Ok(found) => found,
            Err(why) => return self.failed_again(&why, Again::Find(finding)),
        };
        let (mut starts, mut open) = (Vec::new(), Vec::new());
        for (tp, found) in std::mem::take(&mut finding.partitions).into_iter().zip(found) {
            match found.map(|found| found.offset) {
                Ok(Some(start)) => {
                    self.starts.note_reset(&tp, start);
                    starts.push((tp, start, StartOrigin::Reset));
                }
                Err(code) if !code.is_retriable() => {
                    return self.app.tell(Told::Failed(errors::of_code(&tp, code, None)));
                }
                Ok(None) | Err(_) => open.push(tp),
            }
        }
        self.begin(starts, assignment);
        if !open.is_empty() {
            finding.partitions = open;
            self.later(Again::Find(finding));
        }
    }
}

fn is_of(opening: &HashMap<TopicPartition, u64>, tp: &TopicPartition, assignment: u64) -> bool {
    opening.get(tp) == Some(&assignment)
}

/// Nobody waits for offsets of what was deleted.
fn gone(tp: Option<&TopicPartition>) -> Error {
    let of = tp.map(|tp| format!(" of {tp}")).unwrap_or_default();
    Error::new(ErrorKind::Later, format!("committing offsets{of}: it is not there"))
        .with_status(Status::Temporary)
}

/// Offsets can be committed when the group has settled, of what this member has then.
fn rebalancing() -> Error {
    Error::new(ErrorKind::Later, "committing offsets: the group is being rebalanced")
        .with_status(Status::Temporary)
}
