//! The topic of a run: a named one, which is never deleted, or a temporary one, which is on every way out.

use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::backends::keeper::NewTopic;
use crate::backends::{self, Error, ErrorKind, Keeper};
use crate::console;
use crate::stop::Stop;

/// What the names of temporary topics start with.
pub(super) const PREFIX: &str = "kps-bench-";
/// How long a new topic may be without leaders.
const LED_WITHIN: Duration = Duration::from_secs(20);
/// How long until it is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long the deletion may hold up a signal that ends the process at once.
const HURRIED: Duration = Duration::from_secs(3);

/// Where a topic is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cluster<'a> {
    /// It outlives the run: a signal deletes the topic, too.
    Lasting(&'a Stop),
    /// It goes with the run.
    Embedded,
}

type Slot = Mutex<Option<Box<dyn Keeper>>>;

/// A topic that is deleted when this is dropped, or when a signal ends the process.
pub(super) struct Temporary {
    name: String,
    slot: Arc<Slot>,
}

impl std::fmt::Debug for Temporary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Temporary").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Temporary {
    /// Creates it, and waits until its partitions are led.
    ///
    /// # Errors
    /// As [`Keeper::create`]; `TimedOut`.
    pub(super) fn create(
        keeper: Box<dyn Keeper>,
        partitions: i32,
        replicas: Option<i16>,
        of: Cluster<'_>,
    ) -> Result<Self> {
        let name = format!("{PREFIX}{:016x}", RandomState::new().hash_one(std::process::id()));
        let topic = NewTopic { name: name.clone(), partitions, replicas };
        let slot: Arc<Slot> = Arc::new(Mutex::new(Some(keeper)));
        if let Cluster::Lasting(stop) = of {
            let of_signals = (Arc::clone(&slot), name.clone());
            stop.on_leave(move || delete_in_a_hurry(&of_signals.0, &of_signals.1));
        }
        // From here on it is deleted, also if it is not known whether it was created.
        let it = Self { name, slot };
        if let Some(keeper) = &mut *it.slot.lock().unwrap_or_else(PoisonError::into_inner) {
            keeper.create(&topic)?;
            await_leaders(keeper.as_mut(), &topic)?;
        }
        Ok(it)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let keeper = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut keeper) = keeper {
            delete(keeper.as_mut(), &self.name);
        }
    }
}

fn delete(keeper: &mut dyn Keeper, name: &str) {
    if let Err(e) = keeper.delete(name) {
        console::warn(format!("the temporary topic was not deleted: {e}"));
    }
}

/// Deletes it by a thread that is not waited for any longer than the user would.
fn delete_in_a_hurry(slot: &Arc<Slot>, name: &str) {
    let (done, is_done) = sync_channel(1);
    let (slot, of_thread) = (Arc::clone(slot), name.to_owned());
    let body = move || {
        if let Some(mut keeper) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
            delete(keeper.as_mut(), &of_thread);
        }
        let _ = done.send(());
    };
    let started = std::thread::Builder::new().name("deletion".into()).spawn(body);
    if started.is_err() || is_done.recv_timeout(HURRIED).is_err() {
        console::warn(format!("the temporary topic {name} may be left behind"));
    }
}

/// Waits until every partition of a new topic has a leader.
fn await_leaders(keeper: &mut dyn Keeper, topic: &NewTopic) -> backends::Result<()> {
    let (start, names) = (Instant::now(), [topic.name.clone()]);
    loop {
        let found = keeper.topics(Some(&names))?;
        let led = |topic: &backends::inspector::Topic| {
            topic.partitions.iter().filter(|partition| partition.leader.is_some()).count()
        };
        if found.first().map(led) == usize::try_from(topic.partitions).ok() {
            return Ok(());
        }
        if start.elapsed() >= LED_WITHIN {
            let text = format!("topic {}: not all of its partitions have a leader", topic.name);
            return Err(Error::new(ErrorKind::TimedOut, text));
        }
        // Nothing tells; a signal that comes meanwhile ends the process, and deletes the topic.
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::backends::inspector::{Found, Group, Inspector, Listed, Partition, Topic};
    use crate::backends::{At, TopicPartition};

    /// A cluster that finds leaders one look at a time, and counts deletions.
    struct Fake {
        looks: usize,
        partitions: usize,
        deleted: Arc<AtomicUsize>,
        refuses: bool,
    }

    impl Inspector for Fake {
        fn topics(&mut self, names: Option<&[String]>) -> backends::Result<Vec<Topic>> {
            self.looks += 1;
            let led = |n: usize| (n < self.looks).then_some(1);
            let partition = |n: usize| Partition {
                index: n as i32,
                leader: led(n),
                replicas: vec![1],
                isr: vec![1],
                offline: Vec::new(),
            };
            let partitions = (0..self.partitions).map(partition).collect();
            Ok(vec![Topic { name: names.unwrap()[0].as_str().into(), partitions }])
        }

        fn offsets(&mut self, _: &[(TopicPartition, At)]) -> backends::Result<Vec<Found>> {
            Ok(Vec::new())
        }

        fn groups(&mut self) -> backends::Result<Vec<Listed>> {
            Ok(Vec::new())
        }

        fn group(&mut self, _: &str) -> backends::Result<Option<Group>> {
            Ok(None)
        }
    }

    impl Keeper for Fake {
        fn create(&mut self, topic: &NewTopic) -> backends::Result<()> {
            if self.refuses {
                return Err(Error::new(ErrorKind::Authorization, "no"));
            }
            self.partitions = topic.partitions as usize;
            Ok(())
        }

        fn delete(&mut self, name: &str) -> backends::Result<()> {
            assert!(name.starts_with(PREFIX));
            self.deleted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    fn create(refuses: bool) -> (Result<Temporary>, Arc<AtomicUsize>) {
        let deleted = Arc::new(AtomicUsize::new(0));
        let fake = Fake { looks: 0, partitions: 0, deleted: Arc::clone(&deleted), refuses };
        (Temporary::create(Box::new(fake), 3, None, Cluster::Lasting(&Stop::new().unwrap())), deleted)
    }

    #[test]
    fn it_is_deleted_once_when_it_goes_out_of_use() {
        let (topic, deleted) = create(false);
        assert_eq!(deleted.load(Ordering::SeqCst), 0);
        drop(topic.unwrap());
        assert_eq!(deleted.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_topic_that_may_have_been_created_is_deleted() {
        let (topic, deleted) = create(true);
        assert!(topic.unwrap_err().to_string().contains("no"));
        assert_eq!(deleted.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_signal_deletes_it_before_its_owner_does() {
        let (topic, deleted) = create(false);
        let topic = topic.unwrap();
        delete_in_a_hurry(&topic.slot, topic.name());
        assert_eq!(deleted.load(Ordering::SeqCst), 1);
        drop(topic);
        assert_eq!(deleted.load(Ordering::SeqCst), 1);
    }
}
