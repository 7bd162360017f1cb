//! The embedded broker: one node that speaks Kafka's protocol, for trying out and for tests.
//!
//! It shares nothing with `backends`, so that it cannot share the mistakes it is to show.

pub mod storage;
