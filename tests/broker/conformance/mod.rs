//! What clients rely on in a broker, through each client: both kinds of broker must do the same.
mod pairs;
mod records;
mod topics;
mod transactions;

use crate::{Named, Once, PerClient};

pub(crate) const ONCE: &[&[Once]] = &[topics::ONCE, records::ONCE];
pub(crate) const PER_CLIENT: &[&[PerClient]] = &[topics::TRIALS, records::TRIALS, transactions::TRIALS];

/// Those of every writer with every reader.
pub(crate) fn pairs() -> Vec<Named> {
    pairs::trials()
}
