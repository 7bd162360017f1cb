//! What a run took of the machine: getrusage(2) of this process.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use serde::{Deserialize, Serialize};

/// Processor time of all threads, and the most memory ever held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Usage {
    pub(super) user_seconds: f64,
    pub(super) system_seconds: f64,
    pub(super) peak_memory_bytes: u64,
}

impl Usage {
    /// Up to now; zero if the system does not tell.
    pub(super) fn now() -> Self {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Self::default() };
        // Kilobytes on Linux, bytes on macOS (getrusage(2) of each).
        let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
        Self {
            user_seconds: seconds(usage.user_time()),
            system_seconds: seconds(usage.system_time()),
            peak_memory_bytes: u64::try_from(usage.max_rss()).unwrap_or(0).saturating_mul(unit),
        }
    }

    /// Since an earlier moment. The most memory is that of the whole process.
    pub(super) fn since(self, start: Self) -> Self {
        Self {
            user_seconds: self.user_seconds - start.user_seconds,
            system_seconds: self.system_seconds - start.system_seconds,
            ..self
        }
    }

    /// Processor seconds.
    pub(super) fn cpu(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    /// Processor seconds for a million records.
    pub(super) fn per_million(&self, records: u64) -> f64 {
        if records == 0 { 0.0 } else { self.cpu() * 1e6 / records as f64 }
    }
}

fn seconds(time: TimeVal) -> f64 {
    time.num_microseconds() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_memory() {
        let start = Usage::now();
        let mut sum = 0u64;
        while Usage::now().since(start).cpu() < 0.05 {
            sum = (0..100_000u64).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        let used = Usage::now().since(start);
        assert!(used.cpu() >= 0.05 && used.peak_memory_bytes > 100_000, "{used:?} {sum}");
        assert!((used.per_million(500_000) - used.cpu() * 2.0).abs() < 1e-9);
        assert_eq!(used.per_million(0), 0.0);
    }
}
