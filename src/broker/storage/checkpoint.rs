//! The file `state` of a partition: the first offset that is kept, and the producers as they were at
//! some offset, so that a start reads only the batches since.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk;
use super::error::{Error, Result};
use super::producers::Producers;
use crate::wire::crc32c;

/// Name of the file.
const NAME: &str = "state";

/// What the file says after its checksum.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Checkpoint<P = Producers> {
    /// The first offset that is kept.
    pub(super) start: i64,
    /// All batches before this offset are in `producers`.
    pub(super) covers: i64,
    /// The producers.
    pub(super) producers: P,
}

impl Checkpoint {
    /// Reads the file; `None` when there is none or it is damaged.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let bytes = std::fs::read(folder.join(NAME)).ok()?;
        let (crc, json) = bytes.split_first_chunk()?;
        if u32::from_be_bytes(*crc) != crc32c(json) {
            return None;
        }
        serde_json::from_slice(json).ok()
    }

    /// Replaces the file; with `sync` so that it outlives the machine.
    pub(super) fn write(
        folder: &Path,
        start: i64,
        covers: i64,
        producers: &Producers,
        sync: bool,
    ) -> Result<()> {
        let path = folder.join(NAME);
        let mut bytes = vec![0; 4];
        let content = Checkpoint { start, covers, producers };
        serde_json::to_writer(&mut bytes, &content).map_err(|why| Error::io(&path)(why.into()))?;
        if let Some((crc, json)) = bytes.split_first_chunk_mut() {
            *crc = crc32c(json).to_be_bytes();
        }
        disk::replace(&path, &bytes, sync).map(drop)
    }
}
