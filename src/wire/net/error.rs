//! What can go wrong between here and a broker.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::Address;
use crate::wire::ErrorCode;

/// A `Result` of this part.
pub type Result<T> = std::result::Result<T, Error>;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No connection came about, or no broker that could be asked is known.
    Unreachable,
    /// A time limit passed.
    TimedOut,
    /// The connection ended before the answer came.
    Closed,
    /// The broker sent what is no answer in Kafka's protocol, or not one to what was asked.
    Protocol,
    /// The broker answered with an error code.
    Broker(ErrorCode),
    /// The broker and this client have no version of a request in common.
    Unsupported,
    /// TLS or SASL failed: a connector's error of [`std::io::ErrorKind::PermissionDenied`].
    Authentication,
    /// The request cannot be written, or too many wait already: a limit or a mistake on this side.
    Request,
}

/// Whether the broker may have carried out the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was never sent whole: it was not carried out.
    No,
    /// It was sent, and nothing is known of what became of it.
    Maybe,
}

/// An error, cheap to clone: one failure ends every request in flight. `Display` is one line that
/// names the broker's address; causes are in `source`.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    sent: Sent,
    message: Arc<str>,
    address: Option<Address>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of a request that was not sent.
    pub fn new(kind: Kind, message: impl Into<Arc<str>>) -> Self {
        Self { kind, sent: Sent::No, message: message.into(), address: None, source: None }
    }

    /// The error of an answer's code, for what `doing` names ("metadata of orders").
    pub fn of_code(code: ErrorCode, doing: impl fmt::Display) -> Self {
        Self::new(Kind::Broker(code), format!("{doing}: {code}"))
    }

    /// The same about a broker.
    pub fn at(mut self, address: &Address) -> Self {
        self.address = Some(address.clone());
        self
    }

    /// The same with its cause.
    pub fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The same about a request that was sent or not.
    pub fn sent_as(mut self, sent: Sent) -> Self {
        self.sent = sent;
        self
    }

    /// What happened.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the request may have been carried out.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// The broker it happened with.
    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Whether trying again can help: connections may come back, brokers may recover.
    pub fn is_retriable(&self) -> bool {
        match self.kind {
            Kind::Unreachable | Kind::TimedOut | Kind::Closed | Kind::Protocol => true,
            Kind::Broker(code) => code.is_retriable(),
            Kind::Unsupported | Kind::Authentication | Kind::Request => false,
        }
    }

    /// Whether leaders may have moved: the cluster's metadata is to be asked for again.
    pub fn asks_for_metadata(&self) -> bool {
        match self.kind {
            Kind::Unreachable | Kind::TimedOut | Kind::Closed | Kind::Protocol => true,
            Kind::Broker(code) => code.asks_for_metadata(),
            Kind::Unsupported | Kind::Authentication | Kind::Request => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => write!(f, "broker {address}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
