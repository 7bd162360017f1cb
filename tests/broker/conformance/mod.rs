//! What clients rely on in a broker, through each client: both kinds of broker must do the same.
use crate::{Named, Once, PerClient};

pub(crate) const ONCE: &[&[Once]] = &[];
pub(crate) const PER_CLIENT: &[&[PerClient]] = &[];

/// Those of every writer with every reader.
pub(crate) fn pairs() -> Vec<Named> {
    Vec::new()
}
