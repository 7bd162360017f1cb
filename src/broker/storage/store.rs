//! The data folder as a whole: its lock, its journal and its topics.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{FlockOperation, flock};

use super::disk;
use super::error::{Error, Result};
use super::journal::{Change, Journal};
use super::log::Log;
use super::options::Options;
use super::topic::{self, Entry, Partition, Topic};
use crate::private;

type Topics = BTreeMap<String, Arc<Topic>>;

/// A data folder in use. All methods can be called from any thread; `topics` is locked before the
/// journal and the journal before a partition.
#[derive(Debug)]
pub struct Storage {
    /// Unlocked when it is closed, by whatever ends the process.
    _lock: File,
    folder: PathBuf,
    options: Options,
    journal: Mutex<Journal>,
    topics: RwLock<Topics>,
    cut_bytes: u64,
}

impl Storage {
    /// Opens a data folder, and makes it when it is not there. `options` hold for all topics that do not
    /// have their own.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process uses it, [`Error::Io`].
    pub fn open(folder: &Path, options: Options) -> Result<Self> {
        private::folder(&folder.join("topics")).map_err(Error::io(folder))?;
        let lock = lock(folder)?;
        let (journal, cut_bytes) = Journal::open(&folder.join("meta"), options.fsync)?;
        let mut storage = Self {
            _lock: lock,
            folder: folder.to_owned(),
            options,
            journal: Mutex::new(journal),
            topics: RwLock::default(),
            cut_bytes,
        };
        storage.finish_deletions()?;
        storage.load()?;
        Ok(storage)
    }

    fn load(&mut self) -> Result<()> {
        let entries: Vec<(String, Entry)> =
            self.journal().iter(b"topic/").filter_map(|(key, value)| decode(key, value)).collect();
        let mut topics = Topics::new();
        for (name, entry) in entries {
            let (topic, cut_bytes) = self.open_topic(&name, entry, Vec::new())?;
            self.cut_bytes += cut_bytes;
            topics.insert(name, topic);
        }
        *self.topics_mut() = topics;
        Ok(())
    }

    /// Opens the partitions of a topic that are not open yet. Returns what was cut of them, too.
    fn open_topic(
        &self,
        name: &str,
        entry: Entry,
        mut partitions: Vec<Partition>,
    ) -> Result<(Arc<Topic>, u64)> {
        let options = self.options.with_configs(&entry.configs)?;
        let mut cut_bytes = 0;
        for partition in partitions.len() as i32..entry.partitions {
            let folder = topic::folder(&self.topics_folder(), name, partition);
            let (log, recovery) = Log::open(&folder, options.clone())?;
            cut_bytes += recovery.cut_bytes;
            partitions.push(Partition::new(log));
        }
        Ok((Arc::new(Topic { name: name.to_owned(), entry, partitions }), cut_bytes))
    }

    /// Bytes of torn writes that were cut off when the folder was opened; 0 after a clean stop.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The journal, for this caller alone.
    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All topics, by name.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.topics_ref().values().cloned().collect()
    }

    /// A topic.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`].
    pub fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        self.topics_ref().get(name).cloned().ok_or_else(|| Error::UnknownTopic(name.to_owned()))
    }

    /// A topic by its id.
    pub fn topic_by_id(&self, id: [u8; 16]) -> Option<Arc<Topic>> {
        self.topics_ref().values().find(|topic| topic.id() == id).cloned()
    }

    /// Says whether [`create_topic`](Self::create_topic) would, without doing it.
    ///
    /// # Errors
    /// As `create_topic`, but for [`Error::Io`].
    pub fn check_topic(&self, name: &str, partitions: i32, configs: &[(String, String)]) -> Result<()> {
        check_new(&self.topics_ref(), &self.options, name, partitions, configs)
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// [`Error::InvalidTopic`], [`Error::TopicExists`], [`Error::InvalidPartitions`],
    /// [`Error::InvalidConfig`], [`Error::Io`].
    pub fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(String, String)],
    ) -> Result<Arc<Topic>> {
        let mut topics = self.topics_mut();
        check_new(&topics, &self.options, name, partitions, configs)?;
        self.finish_deletion(name)?;
        let entry = Entry { id: topic::new_id(), partitions, configs: configs.to_vec() };
        self.write_topic(&mut topics, name, entry, Vec::new())
    }

    /// Adds partitions, so that there are `partitions` in all.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::InvalidPartitions`] when there are as many already,
    /// [`Error::Io`].
    pub fn add_partitions(&self, name: &str, partitions: i32) -> Result<Arc<Topic>> {
        let mut topics = self.topics_mut();
        let topic = topics.get(name).ok_or_else(|| Error::UnknownTopic(name.to_owned()))?;
        topic::check_partitions(name, partitions, topic.entry.partitions.saturating_add(1))?;
        let entry = Entry { partitions, ..topic.entry.clone() };
        let open = topic.partitions.clone();
        self.write_topic(&mut topics, name, entry, open)
    }

    /// Opens a topic's missing partitions, then writes it down.
    fn write_topic(
        &self,
        topics: &mut Topics,
        name: &str,
        entry: Entry,
        open: Vec<Partition>,
    ) -> Result<Arc<Topic>> {
        let value = encode(&entry);
        let (topic, _) = self.open_topic(name, entry, open)?;
        self.journal().put(&key("topic/", name), &value)?;
        topics.insert(name.to_owned(), Arc::clone(&topic));
        Ok(topic)
    }

    /// Deletes a topic and its records. Whoever still holds it gets [`Error::UnknownTopic`] from its logs.
    ///
    /// # Errors
    /// [`Error::UnknownTopic`], [`Error::Io`]; a deletion that was begun is finished at the next start.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let mut topics = self.topics_mut();
        let topic = topics.get(name).ok_or_else(|| Error::UnknownTopic(name.to_owned()))?;
        self.journal().apply(&[
            Change::Delete(&key("topic/", name)),
            Change::Put(&key("deleting/", name), &encode(&topic.entry)),
        ])?;
        for partition in &topic.partitions {
            partition.lock().delete();
        }
        topics.remove(name);
        self.finish_deletion(name)?;
        self.remove_deleted()
    }

    /// Goes on with a deletion that was written down: makes the topic's name free for another.
    fn finish_deletion(&self, name: &str) -> Result<()> {
        let deleting = key("deleting/", name);
        let begun = self.journal().get(&deleting).and_then(|value| decode(&deleting, value));
        let Some((name, entry)) = begun else { return Ok(()) };
        self.move_away(&name, &entry)?;
        self.journal().delete(&deleting)
    }

    /// Renames the folders of a topic.
    fn move_away(&self, name: &str, entry: &Entry) -> Result<()> {
        let topics = self.topics_folder();
        for partition in 0..entry.partitions {
            let folder = topic::folder(&topics, name, partition);
            if folder.exists() {
                let to = topic::deleted_folder(&topics, entry.id, partition);
                std::fs::rename(&folder, to).map_err(Error::io(&folder))?;
            }
        }
        Ok(())
    }

    /// Deletes the folders that were renamed for that.
    fn remove_deleted(&self) -> Result<()> {
        let topics = self.topics_folder();
        for entry in std::fs::read_dir(&topics).map_err(Error::io(&topics))? {
            let folder = entry.map_err(Error::io(&topics))?.path();
            if folder.extension().is_some_and(|extension| extension == "deleted") {
                std::fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
            }
        }
        Ok(())
    }

    /// Goes on with the deletions that a stop interrupted.
    fn finish_deletions(&self) -> Result<()> {
        let begun: Vec<(String, Entry)> =
            self.journal().iter(b"deleting/").filter_map(|(key, value)| decode(key, value)).collect();
        for (name, _) in begun {
            self.finish_deletion(&name)?;
        }
        self.remove_deleted()
    }

    /// What has to be done every few seconds: retention, and syncs by interval. `now` is in
    /// milliseconds. Returns what failed; the other partitions were seen to all the same.
    pub fn maintain(&self, now: i64) -> Vec<Error> {
        let topics = self.topics();
        let logs = topics.iter().flat_map(|topic| &topic.partitions);
        let mut failed: Vec<Error> = logs.filter_map(|log| log.lock().maintain(now).err()).collect();
        failed.extend(self.journal().maintain(now).err());
        failed
    }

    /// Writes down what makes the next start quick. Dropping it does the same, without a word about
    /// errors.
    ///
    /// # Errors
    /// The first of [`Error::Io`]; no record is lost then.
    pub fn close(&self) -> Result<()> {
        let topics = self.topics();
        let logs = topics.iter().flat_map(|topic| &topic.partitions);
        let mut closed = Ok(());
        for log in logs {
            let last = log.lock().close();
            closed = closed.and(last);
        }
        closed
    }

    fn topics_folder(&self) -> PathBuf {
        self.folder.join("topics")
    }

    fn topics_ref(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn topics_mut(&self) -> RwLockWriteGuard<'_, Topics> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Locks a data folder for this process.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = disk::open(&path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked(folder.to_owned())),
        Err(why) => Err(Error::io(&path)(why.into())),
    }
}

fn check_new(
    topics: &Topics,
    options: &Options,
    name: &str,
    partitions: i32,
    configs: &[(String, String)],
) -> Result<()> {
    topic::check_name(name)?;
    if topics.contains_key(name) {
        return Err(Error::TopicExists(name.to_owned()));
    }
    topic::check_partitions(name, partitions, 1)?;
    options.with_configs(configs).map(drop)
}

fn key(prefix: &str, name: &str) -> Vec<u8> {
    format!("{prefix}{name}").into_bytes()
}

fn encode(entry: &Entry) -> Vec<u8> {
    serde_json::json!(entry).to_string().into_bytes()
}

/// A topic's name and entry; `None` for what this version did not write.
fn decode(key: &[u8], value: &[u8]) -> Option<(String, Entry)> {
    let (_, name) = std::str::from_utf8(key).ok()?.split_once('/')?;
    Some((name.to_owned(), serde_json::from_slice(value).ok()?))
}
