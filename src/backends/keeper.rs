//! The side of the seam that keeps a topic for a run: creates it, and deletes it again.

use super::{Inspector, Result};

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas of each; the broker's default when nothing is said.
    pub replicas: Option<i16>,
}

/// Creates and deletes topics. As with an [`Inspector`], no call takes longer than `request.timeout.ms`.
pub trait Keeper: Inspector {
    /// Creates a topic. It may not be led yet when this returns.
    ///
    /// # Errors
    /// `Authorization`, `Unreachable`, `TimedOut`; `Other` when the broker refuses it.
    fn create(&mut self, topic: &NewTopic) -> Result<()>;
    /// Deletes a topic; one that is not there is none to delete.
    ///
    /// # Errors
    /// `Authorization`, `Unreachable`, `TimedOut`; `Other` when the broker refuses it.
    fn delete(&mut self, name: &str) -> Result<()>;
}
