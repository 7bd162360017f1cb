//! Transactions with a time and a disk of the tests' own.

mod coordinator;
mod state;

use super::state::*;
use super::*;

/// A partition of a topic whose id is all `n`.
fn part(n: u8, partition: i32) -> Part<'static> {
    Part::Partition([n; 16], partition)
}

fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id, epoch }
}

/// The code of a failure.
#[track_caller]
fn code<T: std::fmt::Debug>(result: std::result::Result<T, Failure>) -> i16 {
    result.unwrap_err().code
}
