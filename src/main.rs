//! `kps`: parse, run, exit code.
fn main() {}
