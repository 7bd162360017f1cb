//! One question and its answer, asked again while it may be answered later.

use tokio::time::Instant;

use super::{Answer, Cluster, Coordinated, Error, Kind, Purpose, Result, Sending};
use crate::wire::Request;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom<'k> {
    /// Any broker.
    Anyone,
    /// This one.
    Broker(i32),
    /// The coordinator of this group or transactional id, wherever it moves to.
    Coordinator(Coordinated, &'k str),
}

impl Cluster {
    /// Asks until `read` makes something of an answer, fails for good or the deadline has come; then the last
    /// failure is told. The codes in an answer are for `read` to tell ([`Error::of_code`]). For questions that
    /// do no harm when they are asked twice.
    ///
    /// # Errors
    /// See above.
    pub async fn question<'a, R: Request<'a>, T>(
        &self,
        whom: Whom<'_>,
        request: &R,
        read: impl Fn(&Answer) -> Result<T>,
        deadline: Instant,
    ) -> Result<T> {
        let ask = || async {
            let answered = match self.put(whom, request, deadline).await {
                Ok(answer) => read(&answer),
                Err(error) => Err(error),
            };
            if let (Whom::Coordinator(of, key), Err(error)) = (whom, &answered)
                && may_have_moved(error)
            {
                self.forget_coordinator(of, key);
            }
            answered
        };
        self.inner.retry(deadline, R::API.name, ask).await
    }

    async fn put<'a, R: Request<'a>>(
        &self,
        whom: Whom<'_>,
        request: &R,
        deadline: Instant,
    ) -> Result<Answer> {
        let broker = match whom {
            Whom::Anyone => {
                let connection = self.any(deadline).await?;
                let left = deadline.saturating_duration_since(Instant::now());
                let within = left.min(self.inner.config.request_timeout);
                return connection.send(request, Sending::within(within)).await;
            }
            Whom::Broker(id) => return self.ask(id, Purpose::Control, request, deadline).await,
            Whom::Coordinator(of, key) => self.coordinator(of, key, deadline).await?,
        };
        self.ask(broker, Purpose::Group, request, deadline).await
    }
}

/// Whether the coordinator may be another one now.
fn may_have_moved(error: &Error) -> bool {
    match error.kind() {
        Kind::Broker(code) => code.asks_for_coordinator(),
        Kind::Unreachable | Kind::TimedOut | Kind::Closed | Kind::Protocol => true,
        Kind::Unsupported | Kind::Authentication | Kind::Request => false,
    }
}
