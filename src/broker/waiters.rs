//! Who waits for what happens in a partition: long polls, woken by events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A topic's id and a partition.
pub(super) type Place = ([u8; 16], i32);

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<HashMap<Place, Vec<Arc<Notify>>>>);

impl Waiters {
    /// Begins to wait for anything in these places: what happens from now on is not missed.
    pub(super) fn wait_at(&self, places: Vec<Place>) -> Waiter<'_> {
        let notify = Arc::new(Notify::new());
        let mut waiting = self.lock();
        for place in &places {
            waiting.entry(*place).or_default().push(Arc::clone(&notify));
        }
        drop(waiting);
        Waiter { waiters: self, places, notify }
    }

    /// Wakes all who wait for this place.
    pub(super) fn wake(&self, place: Place) {
        for notify in self.lock().get(&place).into_iter().flatten() {
            notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Vec<Arc<Notify>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiter<'a> {
    waiters: &'a Waiters,
    places: Vec<Place>,
    notify: Arc<Notify>,
}

impl Waiter<'_> {
    /// Ends when something has happened since the last time, or the beginning.
    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        for place in &self.places {
            let Some(at_place) = waiting.get_mut(place) else { continue };
            at_place.retain(|notify| !Arc::ptr_eq(notify, &self.notify));
            if at_place.is_empty() {
                waiting.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_who_waited() {
        let waiters = Waiters::default();
        let one = waiters.wait_at(vec![([1; 16], 0), ([1; 16], 1)]);
        let other = waiters.wait_at(vec![([1; 16], 1)]);
        assert_eq!(waiters.lock().len(), 2);
        drop(one);
        assert_eq!(waiters.lock().keys().collect::<Vec<_>>(), [&([1; 16], 1)]);
        drop(other);
        assert!(waiters.lock().is_empty());
    }
}
