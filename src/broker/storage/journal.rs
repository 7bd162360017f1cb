//! A small map on disk: keys and values of bytes, held in memory, every change appended to a file
//! with a checksum. For what a broker knows beside records: topics, committed offsets, groups,
//! transactional ids.
//!
//! Frame: CRC-32C of what follows (u32), length of the changes (u32), changes. Change: 1, key, value
//! to put, or 2, key to delete; each of them a length (u32) and bytes. All big-endian. The changes of
//! a frame hold together or not at all. When most of the file is out of date it is written anew.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::disk::{self, Fsync};
use super::error::{Error, Result};
use crate::wire::Crc32c;

/// Bytes before the changes of a frame.
const HEAD: usize = 8;

/// A file up to this size is not worth writing anew.
const SMALL: u64 = 1 << 20;

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// A change of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Key and value: adds the key or replaces its value.
    Put(&'a [u8], &'a [u8]),
    /// Removes the key, which may be missing.
    Delete(&'a [u8]),
}

/// The map and its file. Keys that begin with `topic/` and `deleting/` are the storage's own.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of the file.
    size: u64,
    /// Bytes that a file of nothing but `entries` has.
    live: u64,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    fsync: Fsync,
    synced_at: i64,
    is_synced: bool,
    /// The frame that is being written; kept for its memory.
    frame: Vec<u8>,
}

impl Journal {
    /// Opens the file, and makes it when it is not there. Returns the number of bytes, too, that were no
    /// sound frame and were cut off at its end.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: &Path, fsync: Fsync) -> Result<(Self, u64)> {
        let file = disk::open(path)?;
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            size: 0,
            live: 0,
            entries: BTreeMap::new(),
            fsync,
            synced_at: 0,
            is_synced: true,
            frame: Vec::new(),
        };
        let mut rest = &bytes[..];
        while let Some(frame) = take_frame(&mut rest) {
            journal.note(frame);
        }
        let cut = rest.len() as u64;
        journal.size = bytes.len() as u64 - cut;
        if cut > 0 {
            journal.file.set_len(journal.size).map_err(Error::io(path))?;
        }
        Ok((journal, cut))
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.entries.get(key).map(Vec::as_slice)
    }

    /// The keys that begin with `prefix` and their values, in the order of their bytes.
    pub fn iter<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let from =
            self.entries.range::<[u8], _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.map(|(key, value)| (key.as_slice(), value.as_slice()))
            .take_while(|(key, _)| key.starts_with(prefix))
    }

    /// Adds a key or replaces its value.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.apply(&[Change::Put(key, value)])
    }

    /// Removes a key.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.apply(&[Change::Delete(key)])
    }

    /// Makes several changes, of which after any stop all hold or none.
    ///
    /// # Errors
    /// [`Error::Io`]; none of them holds then.
    pub fn apply(&mut self, changes: &[Change<'_>]) -> Result<()> {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let encoded = encode(&mut frame, changes).map_err(Error::io(&self.path));
        let written = encoded.and_then(|()| self.append(&frame));
        self.frame = frame;
        written?;
        // The changes are made; when there is no room to write anew, the next ones try again.
        let _ = self.compact_when_due();
        Ok(())
    }

    fn append(&mut self, frame: &[u8]) -> Result<()> {
        let sync = self.fsync == Fsync::EveryAppend;
        disk::append_at(&self.file, frame, self.size, sync).map_err(Error::io(&self.path))?;
        self.size += frame.len() as u64;
        self.is_synced = sync;
        self.note(frame.get(HEAD..).unwrap_or_default());
        Ok(())
    }

    /// Makes the changes of a frame that is in the file.
    fn note(&mut self, mut changes: &[u8]) {
        while let Some(change) = take_change(&mut changes) {
            let (key, old) = match change {
                Change::Put(key, value) => {
                    self.live += frame_size(key, value);
                    (key, self.entries.insert(key.to_vec(), value.to_vec()))
                }
                Change::Delete(key) => (key, self.entries.remove(key)),
            };
            self.live -= old.map_or(0, |value| frame_size(key, &value));
        }
    }

    fn compact_when_due(&mut self) -> Result<()> {
        if self.size > SMALL.max(2 * self.live) { self.compact() } else { Ok(()) }
    }

    /// Writes the file anew without what is out of date.
    fn compact(&mut self) -> Result<()> {
        let mut content = Vec::new();
        for (key, value) in &self.entries {
            let mut frame = Vec::new();
            encode(&mut frame, &[Change::Put(key, value)]).map_err(Error::io(&self.path))?;
            content.append(&mut frame);
        }
        self.file = disk::replace(&self.path, &content, true)?;
        self.size = content.len() as u64;
        self.is_synced = true;
        Ok(())
    }

    /// Syncs when that is due; `now` is in milliseconds.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn maintain(&mut self, now: i64) -> Result<()> {
        let Fsync::Interval(every) = self.fsync else { return Ok(()) };
        if !self.is_synced && now.saturating_sub(self.synced_at) >= every.as_millis() as i64 {
            self.sync()?;
            self.synced_at = now;
        }
        Ok(())
    }

    /// Makes all changes outlive the machine.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(&self.path))?;
        self.is_synced = true;
        Ok(())
    }
}

/// Bytes of the frame that puts one key.
fn frame_size(key: &[u8], value: &[u8]) -> u64 {
    (HEAD + 1 + 4 + key.len() + 4 + value.len()) as u64
}

/// Appends a frame to an empty buffer.
fn encode(frame: &mut Vec<u8>, changes: &[Change<'_>]) -> std::io::Result<()> {
    frame.extend_from_slice(&[0; HEAD]);
    for change in changes {
        match change {
            Change::Put(key, value) => {
                frame.push(PUT);
                push_bytes(frame, key)?;
                push_bytes(frame, value)?;
            }
            Change::Delete(key) => {
                frame.push(DELETE);
                push_bytes(frame, key)?;
            }
        }
    }
    let len = length(frame.len() - HEAD)?.to_be_bytes();
    if let Some((head, changes)) = frame.split_first_chunk_mut::<HEAD>() {
        let [a, b, c, d] = checksum(len, changes).to_be_bytes();
        let [e, f, g, h] = len;
        *head = [a, b, c, d, e, f, g, h];
    }
    Ok(())
}

fn push_bytes(frame: &mut Vec<u8>, bytes: &[u8]) -> std::io::Result<()> {
    frame.extend_from_slice(&length(bytes.len())?.to_be_bytes());
    frame.extend_from_slice(bytes);
    Ok(())
}

fn length(len: usize) -> std::io::Result<u32> {
    u32::try_from(len).map_err(|_| std::io::ErrorKind::FileTooLarge.into())
}

fn checksum(len: [u8; 4], changes: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(&len);
    crc.update(changes);
    crc.finish()
}

/// Takes the changes of the next frame, if it is whole and sound.
fn take_frame<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (crc, rest) = bytes.split_first_chunk::<4>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (changes, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    if checksum(*len, changes) != u32::from_be_bytes(*crc) {
        return None;
    }
    *bytes = rest;
    Some(changes)
}

fn take_change<'a>(bytes: &mut &'a [u8]) -> Option<Change<'a>> {
    let (&kind, rest) = bytes.split_first()?;
    *bytes = rest;
    let key = take_bytes(bytes)?;
    match kind {
        PUT => Some(Change::Put(key, take_bytes(bytes)?)),
        DELETE => Some(Change::Delete(key)),
        _ => None,
    }
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (taken, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    *bytes = rest;
    Some(taken)
}
