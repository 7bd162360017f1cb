//! CRC32C (Castagnoli), which covers record batches. In software, some 2 GB/s: the instructions
//! that x86-64 (SSE 4.2) and AArch64 have for it are faster, and need `unsafe` code or a crate.

/// The polynomial, lowest bit first.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `TABLES[n][b]` is what the byte `b` does to the sum when `n` more bytes follow it.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[n - 1][byte];
            tables[n][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
}

/// The CRC32C of `bytes`, eight at a time (slicing-by-8, Intel 2006).
pub fn crc32c(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut sum = !0;
    for word in words {
        let mixed = u64::from_le_bytes(*word) ^ u64::from(sum);
        let mixed = mixed.to_le_bytes();
        sum = 0;
        // Written out by the compiler; a table's index is a byte and cannot be out of bounds.
        for (n, byte) in mixed.into_iter().enumerate() {
            sum ^= TABLES[7 - n][usize::from(byte)];
        }
    }
    for byte in rest {
        sum = sum >> 8 ^ TABLES[0][usize::from(sum as u8 ^ byte)];
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, and the sum's usual check value.
    #[test]
    fn the_vectors_of_the_standard_hold() {
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&[]), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&rising), 0x46dd_794e);
    }

    #[test]
    fn words_and_single_bytes_agree() {
        let bytes: Vec<u8> = (0..100u8).map(|n| n.wrapping_mul(7)).collect();
        for end in 0..bytes.len() {
            let mut sum = !0;
            for byte in &bytes[..end] {
                sum = sum >> 8 ^ TABLES[0][usize::from(sum as u8 ^ byte)];
            }
            assert_eq!(crc32c(&bytes[..end]), !sum, "{end} bytes");
        }
    }
}
