//! The parts of the `kps` command. Not a stable API: it is a library so that tests and benches can
//! reach it.

pub mod backends;
pub mod bounded_read;
#[cfg(feature = "broker")]
pub mod broker;
pub mod cli;
pub mod commands;
pub mod console;
pub mod escape;
pub mod filter;
pub mod format;
#[cfg(any(feature = "native", feature = "rskafka"))]
pub mod group;
pub mod input;
pub mod offset;
pub mod private;
pub mod props;
#[cfg(test)]
mod readme;
pub mod record;
pub mod resilient;
pub mod settings;
pub mod spool;
pub mod stop;
pub mod units;
#[cfg(any(feature = "broker", feature = "native", feature = "rskafka"))]
pub mod wire;
