//! Consumer groups.

pub(super) mod consumer;
