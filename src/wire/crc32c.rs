//! CRC-32C (Castagnoli), the checksum of Kafka's record batches, and of the broker's index and journal.
//!
//! Eight bytes at a time over tables ("slicing by 8", Kounavis and Berry 2005), some 2 GB/s; test
//! vectors from RFC 3720, B.4. The instructions that x86-64 (SSE 4.2) and AArch64 have for it are
//! faster, and need `unsafe` code or a crate.

/// The polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut slice = 0;
        while slice < 8 {
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ (POLYNOMIAL * (crc & 1));
                bit += 1;
            }
            tables[slice][byte] = crc;
            slice += 1;
        }
        byte += 1;
    }
    tables
}

/// A checksum over bytes that come in pieces.
#[derive(Debug, Clone, Copy)]
pub struct Crc32c(u32);

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

impl Crc32c {
    /// The checksum of nothing yet.
    pub fn new() -> Self {
        Self(!0)
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
        let (chunks, rest) = bytes.as_chunks::<8>();
        let mut crc = self.0;
        for &[a, b, c, d, e, f, g, h] in chunks {
            let [a, b, c, d] = (crc ^ u32::from_le_bytes([a, b, c, d])).to_le_bytes();
            crc = t7[a as usize] ^ t6[b as usize] ^ t5[c as usize] ^ t4[d as usize];
            crc ^= t3[e as usize] ^ t2[f as usize] ^ t1[g as usize] ^ t0[h as usize];
        }
        for &byte in rest {
            let [low, ..] = crc.to_le_bytes();
            crc = (crc >> 8) ^ t0[(low ^ byte) as usize];
        }
        self.0 = crc;
    }

    /// The checksum of all that was added.
    pub fn finish(self) -> u32 {
        !self.0
    }
}

/// The checksum of some bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(bytes);
    crc.finish()
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
