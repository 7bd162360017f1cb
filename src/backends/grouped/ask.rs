//! Requests to the group's coordinator.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::group::{Request, Response};
use crate::wire::net::{
    Answer, Cluster, Connection, Coordinated, Kind, Pending, Purpose, Result, Sending, Sent,
};
use crate::wire::{Message, Request as WireRequest};

/// Asks the coordinator of a group, whoever that is.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    cluster: Cluster,
    group: Arc<str>,
}

/// Which request was answered.
#[derive(Debug, Clone, Copy)]
enum Of {
    Join,
    Sync,
    Heartbeat,
    Leave,
    Consumer,
}

/// An answer to a request of the member's.
#[derive(Debug)]
pub(super) struct Answered(Of, Answer);

impl Answered {
    /// The message.
    pub(super) fn response(&self) -> Result<Response<'_>> {
        fn read<'a, M: Message<'a>>(answer: &'a Answer) -> Result<M> {
            answer.read()
        }
        Ok(match self.0 {
            Of::Join => Response::Join(read(&self.1)?),
            Of::Sync => Response::Sync(read(&self.1)?),
            Of::Heartbeat => Response::Heartbeat(read(&self.1)?),
            Of::Leave => Response::Leave(read(&self.1)?),
            Of::Consumer => Response::Consumer(read(&self.1)?),
        })
    }
}

impl Asker {
    pub(super) fn new(cluster: Cluster, group: &str) -> Self {
        Self { cluster, group: group.into() }
    }

    pub(super) fn group(&self) -> &str {
        &self.group
    }

    /// What errors are about.
    pub(super) fn subject(&self) -> String {
        format!("group {}", self.group)
    }

    /// Finds the coordinator and connects to it, so that joining need not wait for that. What fails here fails again
    /// there, and is told then.
    pub(super) async fn prepare(self, within: Duration) {
        let deadline = Instant::now() + within;
        if let Ok(at) = self.cluster.coordinator(Coordinated::Group, &self.group, deadline).await {
            let _ = self.cluster.connection(at, Purpose::Group, deadline).await;
        }
    }

    /// Sends a request of the member's. The broker lets a JoinGroup or SyncGroup wait for the other members, and with
    /// it all that comes after it on its connection: they have one of their own.
    pub(super) async fn send(self, request: Request, within: Duration) -> Result<Answered> {
        let (group, control) = (Purpose::Group, Purpose::Control);
        Ok(match &request {
            Request::Join(request) => Answered(Of::Join, self.ask(group, request, within).await?),
            Request::Sync(request) => Answered(Of::Sync, self.ask(group, request, within).await?),
            Request::Heartbeat(request) => Answered(Of::Heartbeat, self.ask(control, request, within).await?),
            Request::Leave(request) => Answered(Of::Leave, self.ask(control, request, within).await?),
            Request::Consumer(request) => Answered(Of::Consumer, self.ask(control, request, within).await?),
        })
    }

    async fn ask<'a, R: WireRequest<'a>>(
        &self,
        of: Purpose,
        request: &R,
        within: Duration,
    ) -> Result<Answer> {
        let deadline = Instant::now() + within;
        self.ask_with(of, deadline, |connection, sending| connection.send(request, sending)).await
    }

    /// Sends what is made for the connection. One that was closed in the moment before is opened again, as nothing
    /// was sent then.
    pub(super) async fn ask_with(
        &self,
        purpose: Purpose,
        deadline: Instant,
        send: impl Fn(&Connection, Sending) -> Pending<Answer>,
    ) -> Result<Answer> {
        let mut is_again = false;
        loop {
            let at = self.cluster.coordinator(Coordinated::Group, &self.group, deadline).await?;
            let connection = self.cluster.connection(at, purpose, deadline).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            match send(&connection, Sending::within(left)).await {
                Err(why) if why.kind() == Kind::Closed && why.sent() == Sent::No && !is_again => {
                    is_again = true
                }
                done => return done,
            }
        }
    }
}
