//! One connection: requests are answered in the order they came, one at a time. What a client
//! pipelines waits in its socket.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::apis::{self, Reply, Session};
use super::node::Node;
use super::storage::Slice;
use crate::wire::{DecodeError, EncodeError, Piece};

/// Memory kept from one request to the next, in bytes; and what is set aside for a request before
/// any of it has come.
const KEEP: usize = 1 << 20;
/// Bytes that are sent at once.
const CHUNK: usize = 128 << 10;

/// Why a connection is closed from this side.
#[derive(Debug, thiserror::Error)]
pub(super) enum Close {
    #[error("a request of {0} bytes, the limit is {1}")]
    Size(i32, usize),
    #[error("{0}")]
    Garbled(#[from] DecodeError),
    #[error("version {version} of api {key} is not served")]
    Unserved { key: i16, version: i16 },
    #[error("a produce request without acks failed")]
    Unanswerable,
    #[error("an answer that cannot be written: {0}")]
    Unwritable(#[from] EncodeError),
    #[error("a segment cannot be read: {0}")]
    Segment(io::Error),
    #[error("a fault that was asked for")]
    Fault,
    #[error("{0}")]
    Socket(#[from] io::Error),
}

/// What is known of a client, and what it has here.
#[derive(Debug)]
pub(super) struct Peer {
    /// What it is told as the broker's address: where it has reached it, unless the options say something else.
    pub(super) advertised: SocketAddr,
    /// Where it is.
    pub(super) remote: SocketAddr,
    /// Its fetch session (KIP-227). It ends with the connection.
    pub(super) session: Option<Session>,
    /// Where batches are copied to be stamped.
    pub(super) batches: Vec<u8>,
}

/// Serves a connection to its end.
pub(super) async fn serve(node: Arc<Node>, mut stream: TcpStream, addr: SocketAddr) {
    match answer_all(&node, &mut stream, addr).await {
        // A client may go whenever it likes.
        Ok(()) | Err(Close::Socket(_) | Close::Fault) => {}
        Err(close) => node.options.log.line(format_args!("connection from {addr} closed: {close}")),
    }
}

async fn answer_all(node: &Node, stream: &mut TcpStream, remote: SocketAddr) -> Result<(), Close> {
    stream.set_nodelay(true)?;
    let advertised = node.options.advertised.map_or_else(|| stream.local_addr(), Ok)?;
    let mut peer = Peer { advertised, remote, session: None, batches: Vec::new() };
    let (mut request, mut out) = (Vec::new(), Vec::with_capacity(CHUNK));
    while read(stream, &mut request, node.options.max_request).await? {
        let reply = tokio::select! {
            biased;
            reply = apis::answer(node, &mut peer, &request) => reply?,
            () = hung_up(stream) => return Ok(()),
        };
        if let Some(reply) = reply {
            send(stream, &reply, &mut out).await?;
        }
    }
    Ok(())
}

/// Reads a request; false when there is none any more.
async fn read(stream: &mut TcpStream, request: &mut Vec<u8>, limit: usize) -> Result<bool, Close> {
    let mut size = [0; 4];
    match stream.read_exact(&mut size).await {
        Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        read => read?,
    };
    let claimed = i32::from_be_bytes(size);
    let size = usize::try_from(claimed).ok().filter(|size| *size <= limit);
    let size = size.ok_or(Close::Size(claimed, limit))?;
    request.clear();
    request.shrink_to(KEEP);
    // The size is still only a claim: beyond this, memory grows with what has come.
    request.reserve_exact(size.min(KEEP));
    Ok(stream.take(size as u64).read_to_end(request).await? == size)
}

/// Ends when the client has closed its side. What it has sent ahead hides that; then this never ends.
async fn hung_up(stream: &TcpStream) {
    if let Ok(1..) = stream.peek(&mut [0]).await {
        std::future::pending().await
    }
}

/// Sends a reply, with the batches from their files, in pieces of bounded size.
async fn send(stream: &mut TcpStream, reply: &Reply, out: &mut Vec<u8>) -> Result<(), Close> {
    out.clear();
    let mut slices = reply.slices.iter();
    for piece in reply.frame.pieces() {
        match piece {
            Piece::Bytes(bytes) => out.extend_from_slice(bytes),
            Piece::Gap(_) => {
                if let Some(slice) = slices.next() {
                    send_slice(stream, slice, out).await?;
                }
            }
        }
        if out.len() >= CHUNK {
            stream.write_all(out).await?;
            out.clear();
        }
    }
    stream.write_all(out).await?;
    out.shrink_to(2 * CHUNK);
    Ok(())
}

/// Sends the batches of a slice; what remains in `out` is less than a chunk.
async fn send_slice(stream: &mut TcpStream, slice: &Slice, out: &mut Vec<u8>) -> Result<(), Close> {
    let (mut at, end) = (slice.position(), slice.position() + slice.len() as u64);
    while at < end {
        let held = out.len();
        let part = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK.saturating_sub(held));
        out.resize(held + part, 0);
        let place = out.get_mut(held..).unwrap_or_default();
        slice.file().read_exact_at(place, at).map_err(Close::Segment)?;
        at += part as u64;
        if out.len() >= CHUNK {
            stream.write_all(out).await?;
            out.clear();
        }
    }
    Ok(())
}
