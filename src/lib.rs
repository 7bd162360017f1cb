//! The parts of the `kps` command. Not a stable API: it is a library so that tests and benches can
//! reach it.

pub mod backends;
pub mod props;
pub mod record;
pub mod settings;
