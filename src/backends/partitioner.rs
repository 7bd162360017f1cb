//! Which partition a record goes to: Java's murmur2 for keyed records, whichever library runs, and
//! the other choices of `partitioner` as librdkafka defines them (CONFIGURATION.md, rdkafka_msg.c).
//!
//! Records without a key are spread in runs: to one partition until so many bytes went there or its batch was
//! cut, then to the next (KIP-480, KIP-794). One record each in turn would make many small batches.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A run has this part of what has been spread so far, within its limits: a short input reaches all partitions, a long
/// one goes out in large batches, and no partition is ahead of another by more than this part.
const PART: usize = 32;

/// The values of `partitioner`. Each `_random` hashes keys and spreads records without one; the
/// others hash a null key as an empty one, so that all those records share a partition.
pub const SUPPORTED: &[&str] =
    &["murmur2_random", "murmur2", "consistent_random", "consistent", "fnv1a_random", "fnv1a", "random"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Murmur2,
    Crc32,
    Fnv1a,
    /// Every record anywhere, keyed or not.
    None,
}

/// A value of `partitioner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strategy {
    hash: Hash,
    /// Spread records without a key.
    spread: bool,
    /// An empty key counts as none (`consistent_random`).
    empty_is_none: bool,
}

impl Default for Strategy {
    /// `murmur2_random`, what the Java producer does.
    fn default() -> Self {
        Self { hash: Hash::Murmur2, spread: true, empty_is_none: false }
    }
}

impl FromStr for Strategy {
    type Err = UnknownPartitioner;

    fn from_str(name: &str) -> Result<Self, UnknownPartitioner> {
        let (hash, spread) = match name {
            "murmur2_random" => (Hash::Murmur2, true),
            "murmur2" => (Hash::Murmur2, false),
            "consistent_random" => (Hash::Crc32, true),
            "consistent" => (Hash::Crc32, false),
            "fnv1a_random" => (Hash::Fnv1a, true),
            "fnv1a" => (Hash::Fnv1a, false),
            "random" => (Hash::None, true),
            _ => return Err(UnknownPartitioner),
        };
        Ok(Self { hash, spread, empty_is_none: name == "consistent_random" })
    }
}

/// A name that is not in [`SUPPORTED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown partitioner: use one of {}", SUPPORTED.join(", "))]
pub struct UnknownPartitioner;

/// Chooses partitions for the records of one topic.
#[derive(Debug)]
pub struct Partitioner {
    strategy: Strategy,
    /// Bytes of a run.
    run: RangeInclusive<usize>,
    /// Bytes of records without a key so far.
    spread: usize,
    /// Where the last of them went.
    last: Option<i32>,
    /// Bytes that are to go there, too.
    left: usize,
    random: Random,
}

impl Partitioner {
    /// Records without a key go to one partition in runs of at least and at most so many bytes.
    pub fn new(strategy: Strategy, run: RangeInclusive<usize>) -> Self {
        Self { strategy, run, spread: 0, last: None, left: 0, random: Random::seeded() }
    }

    /// The partition, below `partitions` (at least 1), of a record of `size` bytes.
    pub fn partition(&mut self, key: Option<&[u8]>, size: usize, partitions: i32) -> i32 {
        let n = partitions.max(1);
        if let Some(key) = self.hashed_key(key) {
            return match self.strategy.hash {
                Hash::Murmur2 => to_positive(murmur2(key)) % n,
                Hash::Crc32 => (crc32(key) % n as u32) as i32,
                Hash::Fnv1a => fnv1a(key) % n,
                Hash::None => self.random.below(n),
            };
        }
        self.stick(size, n)
    }

    /// The partition of the next record, if it goes where the last one without a key went.
    pub fn stays_at(&self, key: Option<&[u8]>) -> Option<i32> {
        self.last.filter(|_| self.left > 0 && self.hashed_key(key).is_none())
    }

    /// The last record went to another partition than was chosen: so do those without a key that stay with it.
    pub fn went_to(&mut self, partition: i32, key: Option<&[u8]>) {
        if self.hashed_key(key).is_none() {
            self.last = Some(partition);
        }
    }

    /// Bytes of records without a key that go where the last of them went.
    pub fn stays(&self) -> usize {
        if self.strategy.spread { self.left } else { usize::MAX }
    }

    /// So many bytes of them went there.
    pub fn stayed(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.spread = self.spread.saturating_add(bytes);
    }

    /// A partition's batch is on its way: if it is the one where records without a key go, they go elsewhere from here
    /// on.
    pub fn batch_was_cut(&mut self, partition: i32) {
        if self.last == Some(partition) {
            self.left = 0;
        }
    }

    /// Whether a record with this key may go to any partition.
    pub fn spreads(&self, key: Option<&[u8]>) -> bool {
        self.strategy.hash == Hash::None || self.hashed_key(key).is_none()
    }

    /// The key to hash; `None` for a record to spread.
    fn hashed_key<'k>(&self, key: Option<&'k [u8]>) -> Option<&'k [u8]> {
        match key {
            Some([]) if self.strategy.empty_is_none => None,
            None if !self.strategy.spread => Some(&[]),
            key => key,
        }
    }

    fn stick(&mut self, size: usize, n: i32) -> i32 {
        let held = self.last.filter(|last| self.left > 0 && *last < n);
        let partition = held.unwrap_or_else(|| {
            self.left = (self.spread / PART).clamp(*self.run.start(), *self.run.end());
            // Each in turn, from one that other publishers do not begin with.
            self.last.map_or_else(|| self.random.below(n), |last| last.wrapping_add(1) % n)
        });
        self.last = Some(partition);
        self.stayed(size);
        partition
    }
}

/// Java's `org.apache.kafka.common.utils.Utils.murmur2`: MurmurHash2, 32 bits, with its own seed.
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    (hash ^ (hash >> 15)) as i32
}

/// Java's `Utils.toPositive`: the sign bit cleared, not the absolute value.
pub fn to_positive(hash: i32) -> i32 {
    hash & 0x7fff_ffff
}

/// CRC-32 (ISO-HDLC), a byte at a time from a table built at compile time.
fn crc32(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc32_table();
    !data.iter().fold(!0, |crc, byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

const fn crc32_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

/// librdkafka's `rd_fnv1a`: FNV-1a with the absolute value taken, as Sarama's default partitioner
/// has it.
fn fnv1a(data: &[u8]) -> i32 {
    let hash = data.iter().fold(0x811c_9dc5_u32, |h, byte| (h ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    to_positive((hash as i32).wrapping_abs())
}

/// SplitMix64 (Steele, Lea, Flood 2014), seeded from the standard library's per-process randomness:
/// good enough to spread batches and back-offs.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`; `n` is at least 1.
    pub(crate) fn below(&mut self, n: i32) -> i32 {
        (self.next() % n.max(1) as u64) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(name: &str, key: Option<&[u8]>) -> i32 {
        Partitioner::new(name.parse().unwrap(), 1000..=1000).partition(key, 10, 1_000_003)
    }

    #[test]
    fn murmur2_gives_what_java_gives() {
        // UtilsTest.testMurmur2 of Apache Kafka.
        let cases: &[(&str, i32)] = &[
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()), *hash, "{key}");
        }
    }

    #[test]
    fn the_sign_bit_is_cleared_not_the_sign_changed() {
        assert_eq!(to_positive(-1), i32::MAX);
        assert_eq!(to_positive(i32::MIN), 0);
        assert_eq!(keyed("murmur2_random", Some(b"21")), (-973_932_308 & i32::MAX) % 1_000_003);
    }

    #[test]
    fn fnv1a_gives_what_librdkafka_gives() {
        // unittest_fnv1a of librdkafka.
        let cases: &[(&str, u32)] = &[
            ("kafka", 0x0d33_c4e1),
            ("giberish123456789", 0x77a5_8295),
            ("1234", 0x023b_dd03),
            ("234", 0x2dea_3cd2),
            ("PreAmbleWillBeRemoved,ThePrePartThatIs", 0x65cb_d69c),
            ("", 0x7ee3_623b),
        ];
        for (key, hash) in cases {
            assert_eq!(fnv1a(key.as_bytes()) as u32, *hash, "{key}");
        }
    }

    #[test]
    fn crc32_gives_the_check_value_of_its_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(keyed("consistent", Some(b"123456789")), (0xcbf4_3926_u32 % 1_000_003) as i32);
    }

    #[test]
    fn without_spreading_a_null_key_is_hashed_as_an_empty_one() {
        for name in ["murmur2", "consistent", "fnv1a"] {
            assert_eq!(keyed(name, None), keyed(name, Some(b"")), "{name}");
            assert_eq!(keyed(name, None), keyed(name, None), "{name}");
        }
    }

    #[test]
    fn an_empty_key_is_a_key_except_under_consistent_random() {
        assert_eq!(keyed("murmur2_random", Some(b"")), keyed("murmur2", Some(b"")));
        let mut p = Partitioner::new("consistent_random".parse().unwrap(), 1..=1);
        let seen: std::collections::BTreeSet<i32> = (0..200).map(|_| p.partition(Some(b""), 1, 8)).collect();
        assert_eq!(seen.len(), 8);
    }

    #[test]
    fn records_without_a_key_stay_for_a_run_and_reach_every_partition_in_turn() {
        let mut p = Partitioner::new(Strategy::default(), 100..=100);
        let chosen: Vec<i32> = (0..400).map(|_| p.partition(None, 10, 4)).collect();
        assert!(chosen.chunks(10).all(|run| run.iter().all(|p| *p == run[0])));
        assert!(
            chosen.chunks(10).zip(chosen[10..].chunks(10)).all(|(run, next)| next[0] == (run[0] + 1) % 4)
        );
    }

    #[test]
    fn runs_grow_with_what_was_spread_and_keep_partitions_even() {
        let mut p = Partitioner::new(Strategy::default(), 100..=1000);
        let (mut runs, mut of) = (vec![(-1, 0)], [0_usize; 5]);
        for n in 1..=100_000_usize {
            let to = p.partition(None, 1, 5);
            of[to as usize] += 1;
            match runs.last_mut() {
                Some((last, bytes)) if *last == to => *bytes += 1,
                _ => runs.push((to, 1)),
            }
            let (least, most) = (of.iter().min().unwrap(), of.iter().max().unwrap());
            assert!(most - least <= (n / PART).clamp(100, 1000), "{of:?}");
        }
        let lengths: Vec<usize> = runs[1..runs.len() - 1].iter().map(|(_, bytes)| *bytes).collect();
        assert_eq!((lengths[0], lengths.last()), (100, Some(&1000)));
        assert!(lengths.is_sorted(), "{lengths:?}");
    }

    #[test]
    fn a_cut_batch_lets_records_without_a_key_move_on() {
        let mut p = Partitioner::new(Strategy::default(), usize::MAX..=usize::MAX);
        let first = p.partition(None, 10, 8);
        p.batch_was_cut((first + 5) % 8);
        assert_eq!(p.partition(None, 10, 8), first);
        p.batch_was_cut(first);
        assert_eq!(p.partition(None, 10, 8), (first + 1) % 8);
    }

    #[test]
    fn fewer_partitions_than_before_never_give_one_that_is_gone() {
        let mut p = Partitioner::new(Strategy::default(), usize::MAX..=usize::MAX);
        (p.last, p.left) = (Some(7), 1);
        assert!((0..3).contains(&p.partition(None, 10, 3)));
    }

    #[test]
    fn every_supported_name_parses_and_no_other() {
        for name in SUPPORTED {
            assert!(name.parse::<Strategy>().is_ok(), "{name}");
        }
        let error = "murmur3".parse::<Strategy>().unwrap_err().to_string();
        assert!(error.contains("murmur2_random"), "{error}");
    }
}
