//! The way to wake a library that comes and goes.

use std::sync::{Arc, Mutex};

use crate::backends::{Waker, lock};

/// Holds the waker of the library, while there is one.
#[derive(Default, Clone)]
pub(super) struct Link(Arc<Mutex<Option<Waker>>>);

impl Link {
    pub(super) fn set(&self, library: Option<Waker>) {
        *lock(&self.0) = library;
    }

    /// Wakes whichever of the two is waited for: the library, or `own` while there is none.
    pub(super) fn or(&self, own: Waker) -> Waker {
        let library = Arc::clone(&self.0);
        Arc::new(move || {
            own();
            if let Some(library) = lock(&library).as_ref() {
                library();
            }
        })
    }
}
