//! CRC-32C (Castagnoli), the checksum of Kafka's record batches, and of the broker's index and journal.

/// A checksum over bytes that come in pieces.
#[derive(Debug, Clone, Copy, Default)]
pub struct Crc32c(u32);

impl Crc32c {
    /// The checksum of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = ::crc32c::crc32c_append(self.0, bytes);
    }

    /// The checksum of all that was added.
    pub fn finish(self) -> u32 {
        self.0
    }
}

/// The checksum of some bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    ::crc32c::crc32c(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_3720() {
        let ascending: Vec<u8> = (0..32).collect();
        let vectors: [(&[u8], u32); 5] = [
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
            (b"123456789", 0xe306_9283),
            (b"", 0),
        ];
        for (bytes, expected) in vectors {
            assert_eq!(crc32c(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn pieces_give_the_checksum_of_the_whole() {
        let bytes: Vec<u8> = (0..100).map(|n| (n * 7) as u8).collect();
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            let mut crc = Crc32c::new();
            crc.update(head);
            crc.update(tail);
            assert_eq!(crc.finish(), crc32c(&bytes));
        }
    }
}
