//! Membership in consumer groups, in both of Kafka's protocols: pure, without sockets, clock or runtime.
//!
//! A [`Member`] is told what happens ([`Event`]) and says what is to be done ([`Action`]); whoever drives it
//! has the connections, the timers and the application. It never waits:
//!
//! ```text
//! application ──Subscribed, Polled, Released, Leave──►┌────────┐──Assign, Revoke, Lose, Warn, Fail, Left──► application
//! cluster ─────Topics, Learned───────────────────────►│ Member │──Learn──────────────────────────────────► cluster
//! coordinator ─Answered, Failed──────────────────────►└────────┘──Send, ForgetCoordinator────────────────► coordinator
//!                                     Tick at next_time ▲
//! ```
//!
//! Behaviour is that of Java's clients in Kafka 4.1: `ConsumerCoordinator` and `AbstractCoordinator` for the
//! classic protocol, `ConsumerMembershipManager` and `ConsumerHeartbeatRequestManager` for KIP-848's. Topics
//! subscribed to by a pattern are resolved by the driver in both.
//!
//! - `classic`: JoinGroup, SyncGroup, Heartbeat; eager and cooperative (KIP-429), static (KIP-345).
//! - `consumer`: ConsumerGroupHeartbeat (KIP-848).
//! - [`assignors`]: who gets what in the classic protocol, one file each.
//! - [`subscription`], [`assignment`]: what members tell each other there, byte for byte as Java's.
//! - `event`, `action`: the two sides of the interface.

mod action;
pub mod assignment;
pub mod assignors;
mod classic;
mod consumer;
mod event;
mod fault;
mod holding;
mod outbox;
pub mod subscription;
mod terms;

#[cfg(test)]
mod tests;

pub use action::{Action, Identity, Request, Ticket};
pub use assignors::Assignor;
pub use event::{Commit, Event, Failure, Response, Topic, Topics};
pub use fault::{Fault, FaultKind};
pub use subscription::Subscription;
pub use terms::{Protocol, Terms};

use std::time::Instant;

/// A member of a group, or one that is about to be. It begins to join when it is told what to read
/// ([`Event::Subscribed`]) and is done after [`Action::Left`] or [`Action::Fail`]: it does nothing then,
/// whatever it is told.
#[derive(Debug)]
pub struct Member(Kind);

#[derive(Debug)]
enum Kind {
    Classic(classic::Member),
    Consumer(consumer::Member),
}

impl Member {
    /// A member that has not joined yet.
    pub fn new(terms: Terms, now: Instant) -> Self {
        Self(match terms.protocol.clone() {
            Protocol::Classic { session_timeout, heartbeat_interval, assignors } => {
                let manner = classic::Manner { session_timeout, heartbeat_interval, assignors };
                Kind::Classic(classic::Member::new(terms, manner, now))
            }
            Protocol::Consumer { member_id, assignor } => {
                let manner = consumer::Manner { member_id, assignor };
                Kind::Consumer(consumer::Member::new(terms, manner, now))
            }
        })
    }

    /// Takes note of what happened, and says what is to be done, in that order.
    pub fn step(&mut self, event: Event<'_>, now: Instant) -> Vec<Action> {
        match &mut self.0 {
            Kind::Classic(member) => member.step(event, now),
            Kind::Consumer(member) => member.step(event, now),
        }
    }

    /// When [`Event::Tick`] is due, if nothing happens before that.
    pub fn next_time(&self) -> Option<Instant> {
        match &self.0 {
            Kind::Classic(member) => member.next_time(),
            Kind::Consumer(member) => member.next_time(),
        }
    }

    /// As whom offsets are to be committed and read now. While partitions are being given up
    /// ([`Action::Revoke`]) it is still the one they were assigned to.
    pub fn identity(&self) -> Identity {
        match &self.0 {
            Kind::Classic(member) => member.identity(),
            Kind::Consumer(member) => member.identity(),
        }
    }
}
