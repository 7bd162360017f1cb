//! How long things took: an HdrHistogram of microseconds with three significant digits.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The longest time there is a place for, an hour; what took longer counts as this.
const LONGEST: u64 = 3_600_000_000;
/// Percentiles of every report, by the names they have there.
pub(super) const PERCENTILES: [(&str, f64); 6] =
    [("p50", 50.0), ("p90", 90.0), ("p95", 95.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99)];

/// Times, in microseconds.
#[derive(Debug, Clone)]
pub(super) struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        // These bounds are ones it takes; without them it would grow by itself.
        let bounded = Histogram::new_with_bounds(1, LONGEST, 3);
        Self(bounded.unwrap_or_else(|_| unreachable!("1 us to 1 h in 3 digits is a histogram")))
    }
}

impl Latency {
    /// Adds a time between two moments in ns; one that ends before it starts is 0.
    pub(super) fn record(&mut self, from: u64, to: u64) {
        self.0.saturating_record(to.saturating_sub(from) / 1000);
    }

    /// Adds all of another one.
    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds, or what was read was put into these.
        let _ = self.0.add(&other.0);
    }

    /// The least time that so large a part took no longer than; 0 without any.
    fn quantile(&self, quantile: f64) -> u64 {
        if self.0.is_empty() { 0 } else { self.0.value_at_quantile(quantile).min(self.0.max()) }
    }

    /// The histogram itself.
    pub(super) fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// The figures of a report.
    pub(super) fn figures(&self) -> Figures {
        let at = |quantile| self.quantile(quantile);
        Figures {
            count: self.0.len(),
            min: self.0.min(),
            mean: (self.0.mean() * 10.0).round() / 10.0,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: self.0.max(),
            histogram: self.encoded(),
        }
    }

    /// The histogram in HdrHistogram's V2 format, deflated, as base64.
    fn encoded(&self) -> String {
        let mut bytes = Vec::new();
        // Writing to memory does not fail, and the counts fit.
        let _ = V2DeflateSerializer::new().serialize(&self.0, &mut bytes);
        STANDARD.encode(bytes)
    }

    /// One of a report.
    ///
    /// # Errors
    /// In words.
    pub(super) fn decoded(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|e| format!("histogram: {e}"))?;
        let found: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| format!("histogram: it cannot be read: {e:?}"))?;
        let mut it = Self::default();
        // Value by value: what a file says about its bounds is not taken over.
        for value in found.iter_recorded() {
            it.0.saturating_record_n(value.value_iterated_to(), value.count_at_value());
        }
        Ok(it)
    }
}

/// A latency as reports have it, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) count: u64,
    pub(super) min: u64,
    pub(super) mean: f64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p95: u64,
    pub(super) p99: u64,
    #[serde(rename = "p99.9")]
    pub(super) p999: u64,
    #[serde(rename = "p99.99")]
    pub(super) p9999: u64,
    pub(super) max: u64,
    /// [`Latency::decoded`] reads it.
    pub(super) histogram: String,
}

impl Figures {
    /// The percentiles, in the order of [`PERCENTILES`].
    pub(super) fn percentiles(&self) -> [u64; 6] {
        [self.p50, self.p90, self.p95, self.p99, self.p999, self.p9999]
    }

    /// The histogram.
    ///
    /// # Errors
    /// In words, if what was read is none.
    pub(super) fn latency(&self) -> Result<Latency, String> {
        Latency::decoded(&self.histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(micros: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        micros.into_iter().for_each(|us| latency.record(500, 500 + us * 1000));
        latency
    }

    #[test]
    fn percentiles_are_microseconds() {
        let figures = latency(1..=1000).figures();
        assert_eq!((figures.count, figures.min, figures.max), (1000, 1, 1000));
        assert_eq!(figures.percentiles(), [500, 900, 950, 990, 999, 1000]);
        assert_eq!(figures.mean, 500.5);
        assert_eq!(latency([]).figures().percentiles(), [0; 6]);
    }

    #[test]
    fn times_out_of_bounds_count_as_the_nearest_within() {
        let mut it = latency([u64::MAX / 2000]);
        it.record(7, 3);
        let figures = it.figures();
        assert_eq!((figures.count, figures.min), (2, 0));
        assert!(figures.max >= LONGEST && figures.max < LONGEST + LONGEST / 1000, "{}", figures.max);
    }

    #[test]
    fn histograms_add_up_and_go_through_their_text() {
        let (mut one, other) = (latency(1..=100), latency(901..=1000));
        one.add(&other);
        assert_eq!((one.figures().count, one.quantile(0.5), one.quantile(0.75)), (200, 100, 950));
        let again = one.figures().latency().unwrap();
        assert_eq!(again.figures(), one.figures());
    }

    #[test]
    fn what_is_no_histogram_is_an_error() {
        assert!(Latency::decoded("!").is_err());
        assert!(Latency::decoded(&STANDARD.encode("no histogram")).is_err());
        assert!(Latency::decoded("").is_err());
    }
}
