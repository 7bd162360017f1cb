//! Our own client, pure Rust, behind the seam: records go straight from the input's arena into record
//! batches, and straight from fetched batches to whoever prints them.
//!
//! The command's thread encodes and decodes; one worker thread of a runtime carries the connections
//! (`wire::net`). Between them pass batches and frames, never single records.

/// Our version, and what is compiled in.
pub(super) fn build() -> (String, Vec<String>) {
    let features = ["gzip", "lz4", "snappy", "zstd"];
    (env!("CARGO_PKG_VERSION").to_owned(), features.map(str::to_owned).to_vec())
}
