//! What a partition's log may take and keep, and the topic settings that say so.

use std::time::Duration;

use super::disk::Fsync;
use super::error::{Error, Result};

/// The largest segment file: positions in it are 32 bits, and one append may go over the limit.
const MAX_SEGMENT: u64 = 1 << 30;

/// The smallest segment that a small retention leads to.
const MIN_SEGMENT: u64 = 64 << 10;

/// Limits and habits of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A segment that would become larger is followed by a new one; bytes.
    pub segment_bytes: u64,
    /// Bytes of log from one index entry to the next.
    pub index_interval: u64,
    /// Segments are deleted from the front as long as this many bytes remain; `None` keeps all.
    pub retain_bytes: Option<u64>,
    /// Segments whose records are all older are deleted; `None` keeps all.
    pub retain_time: Option<Duration>,
    /// The largest batch, with its header, in bytes.
    pub max_batch_bytes: usize,
    /// True gives records the time of their append instead of the producer's
    /// (`message.timestamp.type=LogAppendTime`).
    pub append_time: bool,
    /// When written bytes are made to outlive the machine.
    pub fsync: Fsync,
}

impl Default for Options {
    /// 64 MiB segments, 1 GiB a partition, seven days, and Kafka's batch limit.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            index_interval: 16 << 10,
            retain_bytes: Some(1 << 30),
            retain_time: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            max_batch_bytes: 1_048_588,
            append_time: false,
            fsync: Fsync::Never,
        }
    }
}

impl Options {
    /// The options with a topic's own settings in their place.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a setting that would not be followed.
    pub fn with_configs(&self, configs: &[(String, String)]) -> Result<Self> {
        let mut options = self.clone();
        for (name, value) in configs {
            options.set(name, value).map_err(|allowed| Error::InvalidConfig {
                name: name.clone(),
                value: value.clone(),
                allowed,
            })?;
        }
        Ok(options)
    }

    /// Sets one topic setting, or says what it may be.
    fn set(&mut self, name: &str, value: &str) -> std::result::Result<(), &'static str> {
        let at_least_0 = "a number, or -1 for no limit";
        match name {
            "retention.bytes" => self.retain_bytes = limit(value).ok_or(at_least_0)?,
            "retention.ms" => {
                self.retain_time = limit(value).ok_or(at_least_0)?.map(Duration::from_millis);
            }
            "segment.bytes" => {
                let bytes = value.parse().ok().filter(|bytes| (14..=MAX_SEGMENT).contains(bytes));
                self.segment_bytes = bytes.ok_or("14 to 1073741824")?;
            }
            "max.message.bytes" => {
                let bytes = value.parse::<i32>().ok().and_then(|bytes| usize::try_from(bytes).ok());
                self.max_batch_bytes = bytes.ok_or("0 to 2147483647")?;
            }
            "message.timestamp.type" => {
                self.append_time = match value {
                    "CreateTime" => false,
                    "LogAppendTime" => true,
                    _ => return Err("CreateTime or LogAppendTime"),
                };
            }
            "cleanup.policy" if value == "delete" => {}
            "cleanup.policy" => return Err("delete: compaction is not supported"),
            "compression.type" if value == "producer" => {}
            "compression.type" => return Err("producer: batches are kept as they come"),
            _ => return Err("this setting is not supported"),
        }
        Ok(())
    }

    /// The size at which a segment is followed by a new one: small enough that a small retention can
    /// delete anything.
    pub(super) fn roll_bytes(&self) -> u64 {
        let quarter = self.retain_bytes.map_or(MAX_SEGMENT, |bytes| (bytes / 4).max(MIN_SEGMENT));
        self.segment_bytes.min(quarter).min(MAX_SEGMENT)
    }

    /// How long a segment is written to, so that a trickle of records does not keep old ones: a
    /// quarter of the retention, in milliseconds.
    pub(super) fn roll_after(&self) -> Option<i64> {
        self.retain_ms().map(|time| time / 4)
    }

    /// The retention by time in milliseconds.
    pub(super) fn retain_ms(&self) -> Option<i64> {
        self.retain_time.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A limit of 0 and more, -1 for none.
fn limit(value: &str) -> Option<Option<u64>> {
    match value.parse::<i64>().ok()? {
        -1 => Some(None),
        n => u64::try_from(n).ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Options> {
        Options::default().with_configs(&[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn topic_settings_take_the_place_of_the_defaults() {
        assert_eq!(with("retention.bytes", "5").unwrap().retain_bytes, Some(5));
        assert_eq!(with("retention.bytes", "-1").unwrap().retain_bytes, None);
        assert_eq!(with("retention.ms", "1500").unwrap().retain_ms(), Some(1500));
        assert_eq!(with("segment.bytes", "1000").unwrap().segment_bytes, 1000);
        assert_eq!(with("max.message.bytes", "77").unwrap().max_batch_bytes, 77);
        assert!(with("message.timestamp.type", "LogAppendTime").unwrap().append_time);
        assert_eq!(with("cleanup.policy", "delete").unwrap(), Options::default());
    }

    #[test]
    fn what_would_not_be_followed_is_refused_by_name() {
        for (name, value) in [
            ("cleanup.policy", "compact"),
            ("cleanup.policy", "compact,delete"),
            ("compression.type", "zstd"),
            ("retention.ms", "-2"),
            ("retention.bytes", "much"),
            ("segment.bytes", "5000000000"),
            ("max.message.bytes", "-1"),
            ("min.insync.replicas", "2"),
        ] {
            let error = with(name, value).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name}={value} is not accepted (")), "{error}");
        }
    }

    #[test]
    fn a_small_retention_makes_small_segments() {
        assert_eq!(with("retention.bytes", "1048576").unwrap().roll_bytes(), 256 << 10);
        assert_eq!(with("retention.bytes", "0").unwrap().roll_bytes(), 64 << 10);
        assert_eq!(Options::default().roll_bytes(), 64 << 20);
    }
}
