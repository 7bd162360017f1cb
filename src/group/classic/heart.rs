//! Heartbeats (Java's `Heartbeat` and `HeartbeatThread`): one at a time, every interval, and after one that
//! failed the next soon.

use std::time::{Duration, Instant};

use super::{Member, Ticket};
use crate::group::{Action, Fault, Request};
use crate::wire::ErrorCode;
use crate::wire::messages::HeartbeatRequest;

/// When what is due.
#[derive(Debug, Default)]
pub(super) struct Heart {
    /// None while it does not beat.
    beat: Option<Beat>,
}

#[derive(Debug)]
struct Beat {
    due: Instant,
    awaited: Option<Ticket>,
    /// When the coordinator gives the member up, if it has heard nothing since the last answer.
    session_ends: Instant,
}

impl Heart {
    pub(super) fn start(&mut self, interval: Duration, session: Duration, now: Instant) {
        self.beat = Some(Beat { due: now + interval, awaited: None, session_ends: now + session });
    }

    pub(super) fn stop(&mut self) {
        self.beat = None;
    }

    pub(super) fn is_beating(&self) -> bool {
        self.beat.is_some()
    }

    /// When the next is to be sent; none while one is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        self.beat.as_ref().filter(|beat| beat.awaited.is_none()).map(|beat| beat.due)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// Whether this is the one under way. It is not any more then.
    pub(super) fn takes(&mut self, ticket: Ticket) -> bool {
        self.beat.as_mut().is_some_and(|beat| beat.awaited.take_if(|awaited| *awaited == ticket).is_some())
    }

    /// The next is not to wait for the interval.
    pub(super) fn again(&mut self, due: Instant) {
        if let Some(beat) = &mut self.beat {
            beat.due = due;
        }
    }
}

impl Member {
    /// Sends a heartbeat. Its answer is waited for no longer than the session lasts, so that another
    /// coordinator is found in time.
    pub(super) fn beat(&mut self, now: Instant) {
        let Some(beat) = &mut self.heart.beat else { return };
        let request = HeartbeatRequest {
            group_id: self.terms.group_id.clone().into(),
            generation_id: self.generation,
            member_id: self.member_id.clone().into(),
            group_instance_id: self.terms.instance_id.clone().map(Into::into),
        };
        let left = beat.session_ends.saturating_duration_since(now);
        let session = if left.is_zero() { self.manner.session_timeout } else { left };
        let within = self.terms.request_timeout.min(session);
        beat.due = now + self.manner.heartbeat_interval;
        beat.awaited = Some(self.out.send(Request::Heartbeat(request), within));
    }

    /// Takes the answer to a heartbeat.
    pub(super) fn beaten(&mut self, code: i16, now: Instant) {
        let code = ErrorCode::of(code);
        if let Some(beat) = &mut self.heart.beat
            && matches!(code, None | Some(ErrorCode::RebalanceInProgress))
        {
            beat.session_ends = now + self.manner.session_timeout;
        }
        match code {
            None => {}
            Some(ErrorCode::RebalanceInProgress) => self.rebalance("group is already rebalancing"),
            Some(code @ (ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration)) => self.thrown_out(code),
            Some(code @ (ErrorCode::FencedInstanceId | ErrorCode::GroupAuthorizationFailed)) => {
                self.fail(Fault::of_code(code, &self.terms, None));
            }
            Some(code) => {
                if code.asks_for_coordinator() {
                    self.out.push(Action::ForgetCoordinator);
                }
                self.heart.again(now + self.terms.retry_backoff);
            }
        }
    }
}
