//! What a broker answered.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::connection::Shared;
use super::{Error, Kind, Result, Sent};
use crate::wire::{Api, DecodeError, Message};

/// The bytes of an answer. Messages are lent from it without a copy; it may be kept and sent to
/// another thread as long as they are of use. When it is dropped its buffer serves the next answer.
pub struct Answer {
    bytes: Vec<u8>,
    /// Where the message starts, after the header.
    start: usize,
    api: &'static Api,
    version: i16,
    shared: Arc<Shared>,
}

impl Answer {
    pub(super) fn new(
        bytes: Vec<u8>,
        start: usize,
        api: &'static Api,
        version: i16,
        shared: Arc<Shared>,
    ) -> Self {
        Self { bytes, start, api, version, shared }
    }

    /// The message.
    ///
    /// # Errors
    /// If the bytes are not that message: then the connection is closed too, since nothing that comes
    /// over it can be trusted.
    pub fn read<'a, M: Message<'a>>(&'a self) -> Result<M> {
        self.read_as(self.version)
    }

    /// The same in another version than that of the request.
    pub(super) fn read_as<'a, M: Message<'a>>(&'a self, version: i16) -> Result<M> {
        if M::API.key != self.api.key {
            let text = format!("an answer to {} is not one to {}", self.api.name, M::API.name);
            return Err(Error::new(Kind::Request, text).sent_as(Sent::Maybe));
        }
        M::decode(self.message(), version).map_err(|why| self.garbled(why))
    }

    fn garbled(&self, why: DecodeError) -> Error {
        let text = format!("its answer to {} cannot be read: {why}", self.api.name);
        let error = Error::new(Kind::Protocol, text).at(&self.shared.address).because(why);
        self.shared.end(error.clone());
        error.sent_as(Sent::Maybe)
    }

    /// The message's bytes, without the header.
    pub fn message(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Where bytes that a message lent stand in [`Self::bytes`]; none if they are not from here. With
    /// it they are found again when the message is gone.
    pub fn range_of(&self, part: &[u8]) -> Option<Range<usize>> {
        let start = (part.as_ptr() as usize).checked_sub(self.bytes.as_ptr() as usize)?;
        let end = start.checked_add(part.len()).filter(|end| *end <= self.bytes.len())?;
        Some(start..end)
    }

    /// All the bytes, the header included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The memory it holds, in bytes: more than it needs if its buffer served a larger answer before.
    pub fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// The version of the request and so of the message.
    pub fn version(&self) -> i16 {
        self.version
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.shared.options.buffers.give(std::mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({} {}, {} bytes)", self.api.name, self.version, self.bytes.len())
    }
}
