//! Which partition a record goes to: keys as the user's partitioner says, records without a key in
//! runs.
//!
//! librdkafka's own sticky partitioning changes the partition every 10 ms, so that a short input
//! lands in one partition and a fast one in large lumps. Runs by number (as Java's by bytes, KIP-794)
//! spread alike whatever the speed and the library.
#![allow(unsafe_code, reason = "librdkafka is a C library; each block says why it is sound")]

use std::ffi::c_void;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use ::rdkafka::bindings as rd;

/// Records without a key that go to the same partition: about as many bytes of log lines as the Java
/// client's default batch.size.
const RUN: i32 = 128;

type Choose = unsafe extern "C" fn(
    *const rd::rd_kafka_topic_t,
    *const c_void,
    usize,
    i32,
    *mut c_void,
    *mut c_void,
) -> i32;

/// The state of the choice; one a client.
#[derive(Debug)]
pub(super) struct Spread {
    /// For records with a key.
    keyed: Choose,
    /// An empty key counts as none.
    empty_is_none: bool,
    chosen: AtomicI32,
    left: AtomicI32,
    random: AtomicU64,
}

impl Spread {
    /// For a partitioner that leaves records without a key to chance; `None` for the others, which
    /// librdkafka does by itself.
    pub(super) fn of(partitioner: &str) -> Option<Box<Self>> {
        let keyed: Choose = match partitioner {
            "murmur2_random" => rd::rd_kafka_msg_partitioner_murmur2_random,
            "consistent_random" => rd::rd_kafka_msg_partitioner_consistent_random,
            "fnv1a_random" => rd::rd_kafka_msg_partitioner_fnv1a_random,
            _ => return None,
        };
        Some(Box::new(Self {
            keyed,
            empty_is_none: partitioner == "consistent_random",
            chosen: AtomicI32::new(-1),
            left: AtomicI32::new(0),
            random: AtomicU64::new(RandomState::new().hash_one(0) | 1),
        }))
    }

    /// Makes librdkafka ask here.
    ///
    /// # Safety
    /// `conf` is alive, and this value outlives the client that is made of it.
    pub(super) unsafe fn install(&self, conf: *mut rd::rd_kafka_conf_t) {
        // SAFETY: as promised; the topic configuration belongs to `conf` once it is set.
        unsafe {
            let mut topic = rd::rd_kafka_conf_get_default_topic_conf(conf);
            if topic.is_null() {
                topic = rd::rd_kafka_topic_conf_new();
                rd::rd_kafka_conf_set_default_topic_conf(conf, topic);
            }
            rd::rd_kafka_topic_conf_set_opaque(topic, std::ptr::from_ref(self).cast_mut().cast());
            rd::rd_kafka_topic_conf_set_partitioner_cb(topic, Some(choose));
        }
    }

    /// The partition of the next record without a key. Threads that race here only make a run
    /// longer or shorter.
    fn next(&self, count: i32, available: impl Fn(i32) -> bool) -> i32 {
        let chosen = self.chosen.load(Ordering::Relaxed);
        let goes_on = self.left.fetch_sub(1, Ordering::Relaxed) > 0;
        if goes_on && (0..count).contains(&chosen) && available(chosen) {
            return chosen;
        }
        let start = (self.random() % count.max(1) as u64) as i32;
        let next = (0..count).map(|i| (start + i) % count).find(|p| available(*p)).unwrap_or(start);
        self.chosen.store(next, Ordering::Relaxed);
        self.left.store(RUN - 1, Ordering::Relaxed);
        next
    }

    /// Marsaglia's xorshift64.
    fn random(&self) -> u64 {
        let mut x = self.random.load(Ordering::Relaxed);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.store(x, Ordering::Relaxed);
        x >> 16
    }
}

/// librdkafka's partitioner call-back; `opaque` is the [`Spread`].
unsafe extern "C" fn choose(
    rkt: *const rd::rd_kafka_topic_t,
    key: *const c_void,
    len: usize,
    count: i32,
    opaque: *mut c_void,
    message: *mut c_void,
) -> i32 {
    // SAFETY: `opaque` is what `install` set, alive as long as the client; the rest is passed on as
    // it came, inside the call-back as rd_kafka_topic_partition_available demands.
    unsafe {
        let spread = &*opaque.cast::<Spread>();
        if !key.is_null() && (len > 0 || !spread.empty_is_none) {
            return (spread.keyed)(rkt, key, len, count, opaque, message);
        }
        spread.next(count, |partition| rd::rd_kafka_topic_partition_available(rkt, partition) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_a_key_come_in_runs_over_all_partitions() {
        let spread = Spread::of("murmur2_random").unwrap();
        let chosen: Vec<i32> = (0..100 * RUN).map(|_| spread.next(5, |_| true)).collect();
        let used: std::collections::HashSet<_> = chosen.iter().copied().collect();
        assert_eq!(used, (0..5).collect());
        let switches = chosen.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(switches < 100, "{switches}");
    }

    #[test]
    fn a_partition_without_a_leader_is_left_out() {
        let spread = Spread::of("murmur2_random").unwrap();
        assert!((0..10 * RUN).all(|_| spread.next(3, |p| p == 1) == 1));
        assert!((0..3).contains(&spread.next(3, |_| false)));
    }

    #[test]
    fn other_partitioners_are_librdkafkas() {
        assert!(Spread::of("murmur2").is_none());
        assert!(Spread::of("random").is_none());
    }
}
