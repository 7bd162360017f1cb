//! Compressing the records of a batch, as Kafka's Java client does: each codec's contexts and the one
//! buffer are used again for the next batch.

use std::fmt;
use std::ops::RangeInclusive;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use lz4::block::CompressionMode;
use zstd::zstd_safe::{CCtx, CParameter, compress_bound};

use super::super::batch::HEAD;
use super::super::codec::{Codec, SNAPPY_JAVA};

/// Magic number, deflate, no flags, no time, no extra flags, unknown system (RFC 1952, 2.3).
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Versions behind snappy-java's magic number: its own, and the oldest that reads it.
const SNAPPY_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// Bytes in a block of snappy-java's.
const SNAPPY_BLOCK: usize = 32 << 10;
/// Magic number, version 1 with independent blocks (Java reads no others), blocks of 64 KiB, the checksum
/// of these two (LZ4 frame format, "Frame Descriptor").
const LZ4_HEAD: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
/// Bytes in a block of the lz4 frame.
const LZ4_BLOCK: usize = 64 << 10;
/// Set in the length of a block that is stored as it is.
const LZ4_STORED: u32 = 1 << 31;
/// From this level on lz4 looks for the best matches, as its own frame functions do.
const LZ4_HIGH: i32 = 3;

/// Compresses batches in one way.
///
/// A batch that does not become smaller stays uncompressed, as librdkafka does it and Java does not: readers
/// are spared the work, and no batch is ever larger than what was counted while it was filled, which is
/// what the broker's limit was held against.
pub struct Packer {
    how: How,
    /// What came of the last batch.
    bytes: Vec<u8>,
}

enum How {
    None,
    Gzip(Compress),
    Snappy(Box<snap::raw::Encoder>),
    Lz4(CompressionMode),
    Zstd(CCtx<'static>),
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").field("codec", &self.codec()).finish_non_exhaustive()
    }
}

impl Packer {
    /// With the codec's own level, or a level that is brought into its range ([`Self::levels`]).
    pub fn new(codec: Codec, level: Option<i32>) -> Self {
        let level = level.map(|level| level.clamp(*Self::levels(codec).start(), *Self::levels(codec).end()));
        let how = match codec {
            Codec::None => How::None,
            Codec::Gzip => How::Gzip(Compress::new(gzip_level(level), false)),
            Codec::Snappy => How::Snappy(Box::new(snap::raw::Encoder::new())),
            Codec::Lz4 => How::Lz4(lz4_mode(level)),
            Codec::Zstd => zstd_context(level).map_or(How::None, How::Zstd),
        };
        Self { how, bytes: Vec::new() }
    }

    /// The levels that a codec has; those without any have 0.
    pub fn levels(codec: Codec) -> RangeInclusive<i32> {
        match codec {
            Codec::None | Codec::Snappy => 0..=0,
            Codec::Gzip => 0..=9,
            Codec::Lz4 => 0..=12,
            Codec::Zstd => 1..=12,
        }
    }

    /// The codec.
    pub fn codec(&self) -> Codec {
        match self.how {
            How::None => Codec::None,
            How::Gzip(_) => Codec::Gzip,
            How::Snappy(_) => Codec::Snappy,
            How::Lz4(_) => Codec::Lz4,
            How::Zstd(_) => Codec::Zstd,
        }
    }

    /// Compresses what follows the head's place in `batch`, and tells how it is compressed now.
    pub(super) fn pack(&mut self, batch: &mut Vec<u8>) -> Codec {
        let records = batch.get(HEAD..).unwrap_or_default();
        let Some(packed) = self.compress(records).filter(|packed| *packed < records.len()) else {
            return Codec::None;
        };
        // Copied, not exchanged: dozens of batches may wait, each of which would hold as much as it could have become.
        batch.truncate(HEAD);
        batch.extend_from_slice(self.bytes.get(..packed).unwrap_or_default());
        self.codec()
    }

    /// Compresses into the buffer; none if that takes no less room.
    fn compress(&mut self, records: &[u8]) -> Option<usize> {
        if matches!(self.how, How::None) {
            return None;
        }
        let bound = self.bound(records.len());
        if self.bytes.len() < bound {
            self.bytes.resize(bound, 0);
        }
        let mut out = Out { bytes: self.bytes.get_mut(..bound)?, len: 0 };
        match &mut self.how {
            How::None => None,
            How::Gzip(deflate) => gzip(deflate, records, &mut out),
            How::Snappy(encoder) => snappy(encoder, records, &mut out),
            How::Lz4(mode) => lz4(*mode, records, &mut out),
            How::Zstd(context) => context.compress2(out.bytes, records).ok().map(|written| out.len = written),
        }?;
        Some(out.len)
    }

    /// Room in which compressing `len` bytes never ends early, except where it is in vain.
    fn bound(&self, len: usize) -> usize {
        match self.how {
            How::None => 0,
            How::Gzip(_) => GZIP_HEAD.len() + len + len / 8 + 128,
            How::Snappy(_) => {
                let full = 4 + snap::raw::max_compress_len(SNAPPY_BLOCK);
                SNAPPY_JAVA.len() + SNAPPY_VERSIONS.len() + full * (len / SNAPPY_BLOCK + 1)
            }
            How::Lz4(_) => {
                let full = 4 + lz4::block::compress_bound(LZ4_BLOCK).unwrap_or_default();
                LZ4_HEAD.len() + 4 + full * (len / LZ4_BLOCK + 1)
            }
            How::Zstd(_) => compress_bound(len),
        }
    }
}

fn gzip_level(level: Option<i32>) -> Compression {
    level.and_then(|level| u32::try_from(level).ok()).map_or_else(Compression::default, Compression::new)
}

fn lz4_mode(level: Option<i32>) -> CompressionMode {
    match level {
        Some(level) if level >= LZ4_HIGH => CompressionMode::HIGHCOMPRESSION(level),
        _ => CompressionMode::DEFAULT,
    }
}

/// None only without memory; batches are not compressed then.
fn zstd_context(level: Option<i32>) -> Option<CCtx<'static>> {
    let mut context = CCtx::try_create()?;
    let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
    context.set_parameter(CParameter::CompressionLevel(level)).ok()?;
    Some(context)
}

/// A buffer that is filled from the front.
struct Out<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.room().get_mut(..bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.len..).unwrap_or_default()
    }

    /// Appends what `fill` writes, behind a number of four bytes that `length` makes of its length.
    fn block(
        &mut self,
        length: impl FnOnce(u32) -> [u8; 4],
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<()> {
        let (at, room) = self.room().split_first_chunk_mut::<4>()?;
        let written = fill(room)?;
        *at = length(u32::try_from(written).ok()?);
        self.len += 4 + written;
        Some(())
    }
}

fn gzip(deflate: &mut Compress, records: &[u8], out: &mut Out<'_>) -> Option<()> {
    deflate.reset();
    out.put(&GZIP_HEAD)?;
    let status = deflate.compress(records, out.room(), FlushCompress::Finish).ok()?;
    if status != Status::StreamEnd {
        return None;
    }
    out.len += usize::try_from(deflate.total_out()).ok()?;
    let mut crc = Crc::new();
    crc.update(records);
    out.put(&crc.sum().to_le_bytes())?;
    out.put(&crc.amount().to_le_bytes())
}

/// In snappy-java's frame, which the Java client writes and so every reader must know; librdkafka's way,
/// one block of everything, makes readers hold it whole.
fn snappy(encoder: &mut snap::raw::Encoder, records: &[u8], out: &mut Out<'_>) -> Option<()> {
    out.put(SNAPPY_JAVA)?;
    out.put(&SNAPPY_VERSIONS)?;
    for block in records.chunks(SNAPPY_BLOCK) {
        out.block(u32::to_be_bytes, |room| encoder.compress(block, room).ok())?;
    }
    Some(())
}

fn lz4(mode: CompressionMode, records: &[u8], out: &mut Out<'_>) -> Option<()> {
    out.put(&LZ4_HEAD)?;
    for block in records.chunks(LZ4_BLOCK) {
        let before = out.len;
        out.block(u32::to_le_bytes, |room| {
            lz4::block::compress_to_buffer(block, Some(mode), false, room).ok()
        })?;
        if out.len - before - 4 >= block.len() {
            out.len = before;
            out.put(&(u32::try_from(block.len()).ok()? | LZ4_STORED).to_le_bytes())?;
            out.put(block)?;
        }
    }
    out.put(&[0; 4])
}
