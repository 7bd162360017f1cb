//! Decompressing batches, one after another, into one buffer.

use std::fmt;
use std::io::{self, Read};

use zstd::zstd_safe::{DCtx, DParameter, ResetDirective};

use super::super::codec::{Codec, ZSTD_WINDOW};
use super::error::Flaw;

/// The most that a batch may be when decompressed: its length is not told beforehand, so a few kilobytes
/// could be gigabytes.
pub const DECOMPRESSED_MAX: usize = 256 << 20;
/// Memory that is kept for the next batch.
const KEPT: usize = 8 << 20;
/// The first size of the buffer: as much as Kafka's producers put into a batch, several times over.
const FIRST: usize = 128 << 10;

/// A buffer for what batches are when decompressed, and the codecs' state that is worth keeping.
pub struct Unpacker {
    /// As long as it ever was (below [`KEPT`]), so that it is filled with zeros once.
    bytes: Vec<u8>,
    used: usize,
    limit: usize,
    zstd: Option<DCtx<'static>>,
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").field("capacity", &self.bytes.capacity()).finish_non_exhaustive()
    }
}

impl Default for Unpacker {
    fn default() -> Self {
        Self::new()
    }
}

impl Unpacker {
    /// Without memory yet.
    pub fn new() -> Self {
        Self::with_limit(DECOMPRESSED_MAX)
    }

    /// With another limit than [`DECOMPRESSED_MAX`].
    pub fn with_limit(limit: usize) -> Self {
        Self { bytes: Vec::new(), used: 0, limit, zstd: None }
    }

    /// Bytes of memory its buffer holds.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back the memory of an unusually large batch.
    pub(super) fn trim(&mut self) {
        if self.bytes.len() > KEPT {
            self.bytes.truncate(KEPT);
            self.bytes.shrink_to_fit();
        }
    }

    /// Decompresses.
    ///
    /// # Errors
    /// If they are not what the codec writes, or too much.
    pub(super) fn unpack(&mut self, codec: Codec, packed: &[u8]) -> Result<&[u8], Flaw> {
        self.trim();
        self.used = 0;
        let damaged = |_| Flaw::Packed(codec);
        match codec {
            Codec::Zstd => self.unpack_zstd(packed)?,
            _ => self.fill(codec, codec.reader(packed).map_err(damaged)?)?,
        }
        Ok(self.unpacked())
    }

    /// What was decompressed last.
    pub(super) fn unpacked(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    fn unpack_zstd(&mut self, packed: &[u8]) -> Result<(), Flaw> {
        let damaged = Flaw::Packed(Codec::Zstd);
        let mut context = match self.zstd.take() {
            Some(context) => context,
            None => zstd_context().ok_or(damaged)?,
        };
        context.reset(ResetDirective::SessionOnly).map_err(|_| damaged)?;
        let result = self.fill(Codec::Zstd, zstd::stream::read::Decoder::with_context(packed, &mut context));
        self.zstd = Some(context);
        result
    }

    fn fill(&mut self, codec: Codec, mut reader: impl Read) -> Result<(), Flaw> {
        loop {
            match reader.read(self.room()?) {
                Ok(0) => return Ok(()),
                Ok(read) => self.used += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Flaw::Packed(codec)),
            }
        }
    }

    /// A place for what follows; never empty.
    fn room(&mut self) -> Result<&mut [u8], Flaw> {
        if self.used > self.limit {
            return Err(Flaw::Large(self.limit));
        }
        if self.used == self.bytes.len() {
            let most = self.limit + 1;
            // Growing would copy, with both copies in memory; a place that is set aside takes none before it is touched.
            let is_whole = self.used >= KEPT && self.bytes.try_reserve_exact(most - self.used).is_ok();
            let more = if is_whole { KEPT } else { self.used.max(FIRST) };
            let len = (self.used + more).min(most);
            self.bytes.reserve_exact(len - self.used);
            self.bytes.resize(len, 0);
        }
        Ok(self.bytes.get_mut(self.used..).unwrap_or_default())
    }
}

fn zstd_context() -> Option<DCtx<'static>> {
    let mut context = DCtx::try_create()?;
    context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW)).ok()?;
    Some(context)
}
