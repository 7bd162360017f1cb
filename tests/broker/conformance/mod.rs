//! What clients rely on in a broker, through each client: both kinds of broker must do the same.
pub(crate) mod groups;
mod pairs;
mod perf;
mod records;
mod topics;
mod transactions;

use crate::{Named, Once, PerClient};

pub(crate) const ONCE: &[&[Once]] = &[topics::ONCE, records::ONCE, groups::ONCE, perf::ONCE];
pub(crate) const PER_CLIENT: &[&[PerClient]] =
    &[topics::TRIALS, records::TRIALS, transactions::TRIALS, groups::TRIALS];

/// Those of every writer with every reader, and of every kind of member.
pub(crate) fn named() -> Vec<Named> {
    pairs::trials().into_iter().chain(groups::trials()).collect()
}
