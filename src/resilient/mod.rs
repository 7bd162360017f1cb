//! Going on through outages, whatever the library: wrappers that implement the seam's traits themselves, so that
//! commands see no difference.
//!
//! A library that is idempotent stays the one that tries again what is in flight: nobody else could without
//! duplicates. The wrapper keeps what the library does not take, opens a library again that has failed for good,
//! sends again what that one gave back as not written, and gives up when the tries are used up.

mod buffer;
mod link;
mod outage;
mod places;
mod publisher;
mod spooled;
mod subscriber;

#[cfg(test)]
mod tests;

pub use outage::Policy;
pub use publisher::{Doubt, Full, Limits, Open, Rules, open_publisher};
pub use spooled::{open_spool, spooled};
pub use subscriber::{OpenSubscriber, Tell, open_subscriber};
