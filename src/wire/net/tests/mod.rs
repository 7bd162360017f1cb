//! Connections and the cluster view against brokers that do as a script says, in memory and on a stopped
//! clock (so that hours take no time and nothing depends on the machine's), and against the embedded
//! broker over sockets.

#[cfg(feature = "broker")]
mod broker;
mod cluster;
mod connection;
mod hostile;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Handle;

use super::*;
use crate::wire::messages::*;
use crate::wire::{ApiKey, Message, Reader, RequestHeader, encode_response};

/// More than any test waits for, on the stopped clock or a real one.
const LONG: Duration = Duration::from_secs(60);
/// What fits into a stream in memory before it is read.
const PIPE: usize = 64 << 10;

fn address(host: &str) -> Address {
    Address::new(host, 9092).unwrap()
}

fn far() -> Instant {
    Instant::now() + LONG
}

/// The broker's end of a connection.
struct Peer {
    stream: DuplexStream,
}

/// A request as a broker sees it.
struct Asked {
    api: ApiKey,
    version: i16,
    id: i32,
    client_id: Option<String>,
    frame: Vec<u8>,
    body: usize,
}

impl Asked {
    fn read<'a, M: Message<'a>>(&'a self) -> M {
        M::decode(&self.frame[self.body..], self.version).unwrap()
    }
}

impl Peer {
    /// The next request; none when the client has closed.
    async fn request(&mut self) -> Option<Asked> {
        let size = self.stream.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(size).unwrap()];
        self.stream.read_exact(&mut frame).await.ok()?;
        let mut r = Reader::new(&frame);
        let header = RequestHeader::read(&mut r).unwrap();
        let (api, _) = header.api().expect("an api and version of ours");
        let (version, id) = (header.api_version, header.correlation_id);
        let client_id = header.client_id.map(|id| id.into_owned());
        let body = r.position();
        Some(Asked { api: api.key, version, id, client_id, body, frame })
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The client may have closed.
        let _ = self.stream.write_all(bytes).await;
    }

    async fn answer<'a, M: Message<'a>>(&mut self, asked: &Asked, response: &M) {
        self.send(&encoded(response, asked.version, asked.id)).await;
    }

    /// Answers the question what it speaks: all that is spoken here.
    async fn hello(&mut self) {
        self.hello_with(ApiVersionsResponse::served()).await;
    }

    async fn hello_with(&mut self, api_keys: Vec<ApiVersionRange>) {
        let asked = self.request().await.unwrap();
        assert_eq!(asked.api, ApiKey::ApiVersions);
        self.answer(&asked, &ApiVersionsResponse { api_keys, ..Default::default() }).await;
    }

    /// Waits until the client closes, answering nothing; how many bytes came until then.
    async fn silence(&mut self) -> usize {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).await.unwrap_or(0)
    }
}

/// A script: answers nothing.
async fn ignore(mut peer: Peer) {
    peer.silence().await;
}

/// A script: closes after the first request.
async fn hang_up(mut peer: Peer) {
    peer.request().await;
}

fn encoded<'a, M: Message<'a>>(response: &M, version: i16, id: i32) -> Vec<u8> {
    let frame = encode_response(response, version, id).unwrap();
    let mut bytes = Vec::new();
    for piece in frame.pieces() {
        let crate::wire::Piece::Bytes(piece) = piece else { panic!("a gap in a response") };
        bytes.extend_from_slice(piece);
    }
    bytes
}

type Script = Arc<dyn Fn(Peer, usize) -> BoxFuture<'static, ()> + Send + Sync>;

/// Brokers in memory: what is connected to at an address is served by its script, with the number of the
/// connection there. Where there is none connections are refused; where it is `None` they never come about.
#[derive(Clone, Default)]
struct Network {
    brokers: Arc<Mutex<HashMap<Address, Option<Script>>>>,
    /// The attempts to connect, with their times.
    attempts: Arc<Mutex<Vec<(Address, Instant)>>>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

impl Network {
    fn add<F>(&self, host: &str, script: impl Fn(Peer, usize) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let script: Script = Arc::new(move |peer, number| Box::pin(script(peer, number)));
        self.brokers.lock().unwrap().insert(address(host), Some(script));
    }

    fn add_black_hole(&self, host: &str) {
        self.brokers.lock().unwrap().insert(address(host), None);
    }

    fn remove(&self, host: &str) {
        self.brokers.lock().unwrap().remove(&address(host));
    }

    fn attempts_at(&self, host: &str) -> Vec<Instant> {
        let attempts = self.attempts.lock().unwrap();
        attempts.iter().filter(|(at, _)| *at == address(host)).map(|(_, when)| *when).collect()
    }

    fn attempt(&self, to: &Address) -> (Option<Option<Script>>, usize) {
        let script = self.brokers.lock().unwrap().get(to).cloned();
        let mut attempts = self.attempts.lock().unwrap();
        let number = attempts.iter().filter(|(at, _)| at == to).count();
        attempts.push((to.clone(), Instant::now()));
        (script, number)
    }
}

impl Connector for Network {
    fn connect<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            match self.attempt(address) {
                (None, _) => Err(io::ErrorKind::ConnectionRefused.into()),
                (Some(None), _) => std::future::pending().await,
                (Some(Some(script)), number) => {
                    let (here, there) = tokio::io::duplex(PIPE);
                    tokio::spawn(script(Peer { stream: there }, number));
                    Ok(Box::new(here) as Box<dyn Stream>)
                }
            }
        })
    }
}

/// A connection to a broker that does as the script says after it was asked what it speaks.
async fn connected<F>(script: impl Fn(Peer) -> F + Send + Sync + 'static) -> Connection
where
    F: Future<Output = ()> + Send + 'static,
{
    connected_with(Options::default(), script).await
}

async fn connected_with<F>(options: Options, script: impl Fn(Peer) -> F + Send + Sync + 'static) -> Connection
where
    F: Future<Output = ()> + Send + 'static,
{
    let script = Arc::new(script);
    let opened = open(options, move |mut peer| {
        let script = Arc::clone(&script);
        async move {
            peer.hello().await;
            script(peer).await;
        }
    });
    opened.await.unwrap()
}

/// An attempt to connect to a broker that does as the script says.
async fn open<F>(options: Options, script: impl Fn(Peer) -> F + Send + Sync + 'static) -> Result<Connection>
where
    F: Future<Output = ()> + Send + 'static,
{
    let network = Network::default();
    network.add("fake", move |peer, _| script(peer));
    open_at(&network, "fake", &options).await
}

async fn open_at(network: &Network, host: &str, options: &Options) -> Result<Connection> {
    Connection::open(network, &address(host), options, &Handle::current()).await
}

fn heartbeat(group: &str) -> HeartbeatRequest<'_> {
    HeartbeatRequest { group_id: group.into(), ..Default::default() }
}

fn quickly() -> Sending {
    Sending::within(Duration::from_secs(5))
}

/// The bytes of a whole request as they are sent, payload and all.
async fn raw_request(peer: &mut Peer) -> Option<Vec<u8>> {
    let size = peer.stream.read_i32().await.ok()?;
    let mut frame = size.to_be_bytes().to_vec();
    frame.resize(4 + usize::try_from(size).unwrap(), 0);
    peer.stream.read_exact(&mut frame[4..]).await.ok()?;
    Some(frame)
}
