//! Trials that the embedded broker is not to pass, each with what it does not do.

/// `(end of the trial's name, difference)`.
pub(crate) const DIFFERENCES: &[(&str, &str)] = &[("exit::on_a_compacted_topic", "compaction")];
