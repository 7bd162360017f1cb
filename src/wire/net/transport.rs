//! From an address to a stream of bytes.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::after;

/// The port of an address that names none.
const PORT: u16 = 9092;
/// The longest host name, in bytes (RFC 1035).
const LONGEST_NAME: usize = 255;

/// Where a broker listens: a host name or IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: Arc<str>,
    port: u16,
}

/// Text that is no address, or a host and port that are none. Whatever it holds, it prints on one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not host:port")]
pub struct AddressError(String);

impl Address {
    /// An address of its parts, e.g. those a broker tells. An IPv6 address stands without brackets.
    ///
    /// # Errors
    /// If no host can be called that, or the port is not 1 to 65535.
    pub fn new(host: &str, port: i32) -> Result<Self, AddressError> {
        let odd = |c: char| c.is_control() || c.is_whitespace() || "[]/".contains(c);
        let port = u16::try_from(port).ok().filter(|port| *port > 0);
        let colons =
            host.contains(':') && host.split('%').next().is_none_or(|ip| ip.parse::<Ipv6Addr>().is_err());
        match port {
            Some(port)
                if !host.is_empty() && host.len() <= LONGEST_NAME && !host.contains(odd) && !colons =>
            {
                Ok(Self { host: host.into(), port })
            }
            _ => Err(AddressError(format!("{host}:{}", port.map_or(0, i32::from)))),
        }
    }

    /// Reads `host:port`, `[ipv6]:port` or either without a port, which is 9092 then.
    ///
    /// # Errors
    /// If it is something else.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']').filter(|(ip, _)| ip.contains(':')).ok_or_else(error)?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| error())?
            }
            None if port.is_empty() => PORT,
            _ => return Err(error()),
        };
        Self::new(host, i32::from(port)).map_err(|_| error())
    }

    /// The host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_string().into(), port: addr.port() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Bytes in both directions. Vectored writes are worth having.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A future of a trait's method.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens streams on which Kafka's protocol can be spoken at once. One that wraps another does its own
/// handshake first: TLS, or SASL with its requests. An error of the kind
/// [`io::ErrorKind::PermissionDenied`] says that trying again will not help.
pub trait Connector: fmt::Debug + Send + Sync {
    /// Opens a stream. It need not bound its time: whoever calls it does.
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Stream>>>;
}

/// TCP without anything around it.
#[derive(Debug, Clone)]
pub struct Plain {
    /// For all addresses of a host together (`socket.connection.setup.timeout.ms`).
    pub timeout: Duration,
}

impl Connector for Plain {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = connect(address, after(self.timeout)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// Tries every address the host resolves to, in turn. Each has an equal share of the time that is left,
/// so that one that swallows packets does not hide one that works.
async fn connect(address: &Address, deadline: Instant) -> io::Result<TcpStream> {
    let found = timeout_at(deadline, lookup_host((address.host(), address.port()))).await;
    let found: Vec<SocketAddr> =
        found.map_err(|_| too_late("the host name was not resolved in time"))??.collect();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for (n, addr) in found.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(found.len() - n).unwrap_or(u32::MAX);
        match timeout_at(Instant::now() + share, TcpStream::connect(addr)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(why)) => failed = why,
            Err(_) => failed = too_late("no connection came about in time"),
        }
    }
    Err(failed)
}

fn too_late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_back() {
        for (text, host, port, written) in [
            ("a:1", "a", 1, "a:1"),
            ("kafka.example.com", "kafka.example.com", 9092, "kafka.example.com:9092"),
            ("[::1]:65535", "::1", 65535, "[::1]:65535"),
            ("[fe80::1%eth0]", "fe80::1%eth0", 9092, "[fe80::1%eth0]:9092"),
            ("127.0.0.1:9", "127.0.0.1", 9, "127.0.0.1:9"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host(), address.port()), (host, port), "{text}");
            assert_eq!(address.to_string(), written);
            assert_eq!(Address::parse(written), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_on_one_line() {
        for text in [
            "",
            ":1",
            "a:",
            "a:0",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:1:2",
            "::1",
            "::1:9092",
            "[::1",
            "[a]:1",
            "[]",
            "[::1]x",
            "[::1]1",
            "[::zz]:1",
            "a b:1",
            "a\n:1",
            "\x1b[2J:1",
            "x://a:1",
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.ends_with("is not host:port") && !error.contains(char::is_control), "{error}");
        }
        assert!(Address::parse(&"a".repeat(256)).is_err());
    }

    #[test]
    fn what_a_broker_tells_is_checked_as_well() {
        assert_eq!(Address::new("::1", 1).unwrap().to_string(), "[::1]:1");
        for (host, port) in [("a", 0), ("a", -1), ("a", 65536), ("", 1), ("a:1", 1), ("a\u{7}", 1)] {
            assert!(Address::new(host, port).is_err(), "{host:?} {port}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_resolved_is_an_error() {
        let address = Address::new("no..name", 1).unwrap();
        assert!(connect(&address, after(Duration::from_secs(60))).await.is_err());
    }
}
