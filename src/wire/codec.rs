//! How the records of a batch are compressed: all of them as one, in the form that Kafka's clients write.
//!
//! - gzip: RFC 1952.
//! - snappy: blocks with a length each behind a magic number, as the Java library snappy-java frames them,
//!   or one block by itself, as librdkafka writes it.
//! - lz4: its frame format (KIP-57).
//! - zstd: RFC 8878 (KIP-110).

use std::fmt;
use std::io::{self, Read};

/// What snappy-java begins with; two version numbers follow.
pub(super) const SNAPPY_JAVA: &[u8] = b"\x82SNAPPY\0";
/// Bytes of what snappy-java begins with, versions included.
const SNAPPY_JAVA_HEAD: usize = 16;
/// How much larger than its snappy block anything can be: the densest element makes 64 bytes of 3.
const SNAPPY_RATIO: usize = 22;
/// The largest window of zstd, as a power of 2: what its own tools take without being told to (128 MiB).
pub(super) const ZSTD_WINDOW: u32 = 27;

/// A codec of record batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Records as they are.
    None,
    /// gzip.
    Gzip,
    /// Snappy, with or without snappy-java's frame.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

impl Codec {
    /// The codec of a number in a batch's attributes ([`super::batch::BatchHead::compression`]), if it has
    /// a meaning.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its number in a batch's attributes.
    pub fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Reads what `bytes` were before they were compressed, piece by piece: however much that is, memory is
    /// bounded by the codec's window. Reading fails where the bytes are something else.
    ///
    /// # Errors
    /// If the codec cannot begin.
    pub fn reader<'a>(self, bytes: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(bytes),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
            Self::Snappy => Box::new(Snappy::new(bytes)),
            Self::Lz4 => Box::new(lz4::Decoder::new(bytes)?),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

/// Snappy blocks, one after another.
struct Snappy<'a> {
    /// Compressed, and not looked at yet.
    rest: &'a [u8],
    is_framed: bool,
    block: Vec<u8>,
    /// How much of the block has been read.
    at: usize,
}

impl<'a> Snappy<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let framed = bytes.strip_prefix(SNAPPY_JAVA).and_then(|_| bytes.get(SNAPPY_JAVA_HEAD..));
        Self { rest: framed.unwrap_or(bytes), is_framed: framed.is_some(), block: Vec::new(), at: 0 }
    }

    /// The next compressed block.
    fn take(&mut self) -> io::Result<&'a [u8]> {
        if !self.is_framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        let cut_off = || io::Error::new(io::ErrorKind::UnexpectedEof, "a snappy block is cut off");
        let (len, rest) = self.rest.split_first_chunk().ok_or_else(cut_off)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        let (block, rest) = rest.split_at_checked(len).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(block)
    }

    fn refill(&mut self) -> io::Result<()> {
        let compressed = self.take()?;
        // The length is a claim: nothing is set aside for what cannot be in there.
        let len = snap::raw::decompress_len(compressed)?;
        if len > compressed.len().saturating_mul(SNAPPY_RATIO) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a snappy block that is too short"));
        }
        self.block.resize(len, 0);
        snap::raw::Decoder::new().decompress(compressed, &mut self.block)?;
        self.at = 0;
        Ok(())
    }
}

impl Read for Snappy<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.block.len() && !self.rest.is_empty() {
            self.refill()?;
        }
        let mut unread = self.block.get(self.at..).unwrap_or_default();
        let read = unread.read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn plain() -> Vec<u8> {
        (0..50_000_u32).flat_map(|n| format!("{n} and {}, ", n % 7).into_bytes()).collect()
    }

    fn snappy(bytes: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(bytes).unwrap()
    }

    /// As snappy-java frames it.
    fn framed(bytes: &[u8]) -> Vec<u8> {
        let mut framed = [SNAPPY_JAVA, &[0, 0, 0, 1, 0, 0, 0, 1]].concat();
        for part in bytes.chunks(32 << 10) {
            let block = snappy(part);
            framed.extend((block.len() as u32).to_be_bytes());
            framed.extend(block);
        }
        framed
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn lz4(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = lz4::EncoderBuilder::new().build(Vec::new()).unwrap();
        encoder.write_all(bytes).unwrap();
        let (compressed, result) = encoder.finish();
        result.unwrap();
        compressed
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 0).unwrap()
    }

    fn all(bytes: &[u8]) -> [(Codec, Vec<u8>); 6] {
        [
            (Codec::None, bytes.to_vec()),
            (Codec::Gzip, gzip(bytes)),
            (Codec::Snappy, snappy(bytes)),
            (Codec::Snappy, framed(bytes)),
            (Codec::Lz4, lz4(bytes)),
            (Codec::Zstd, zstd(bytes)),
        ]
    }

    fn read(codec: Codec, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        codec.reader(bytes)?.read_to_end(&mut read)?;
        Ok(read)
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for bytes in [plain(), Vec::new()] {
            for (codec, compressed) in all(&bytes) {
                assert_eq!(read(codec, &compressed).unwrap(), bytes, "{codec:?}");
            }
        }
    }

    #[test]
    fn numbers_are_those_of_the_protocol() {
        let codecs: Vec<Codec> = (0..=255).filter_map(Codec::from_number).collect();
        assert_eq!(codecs, [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]);
        assert_eq!(codecs.iter().map(|codec| codec.number()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_is_cut_off_gives_no_more_than_its_beginning() {
        let plain = plain();
        for (codec, compressed) in all(&plain) {
            for end in (0..compressed.len()).step_by(997) {
                let mut read = Vec::new();
                let ended = codec.reader(&compressed[..end]).and_then(|mut r| r.read_to_end(&mut read));
                assert!(plain.starts_with(&read), "{codec:?} cut at {end}");
                assert!(read.len() < plain.len() || ended.is_err() || end + 997 > compressed.len());
            }
        }
    }

    #[test]
    fn a_snappy_block_that_claims_gigabytes_gets_no_memory() {
        // A varint of 2^32 - 1.
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert!(read(Codec::Snappy, &claim).is_err());
        let longest = vec![b'x'; 1 << 20];
        assert_eq!(read(Codec::Snappy, &snappy(&longest)).unwrap(), longest);
    }

    #[test]
    fn random_bytes_are_survived() {
        let mut g = super::super::arbitrary::Gen::new(11);
        for (codec, compressed) in all(&plain()[..2000]) {
            for _ in 0..500 {
                let mut bytes = compressed.clone();
                for _ in 0..4 {
                    let at = g.below(bytes.len());
                    bytes[at] = g.below(256) as u8;
                }
                // Whatever it is, it ends: with bytes or with an error.
                let _ = codec.reader(&bytes).and_then(|r| io::copy(&mut r.take(1 << 24), &mut io::sink()));
            }
        }
    }
}
