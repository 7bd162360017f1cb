//! Faults for tests: what a request of an API meets instead of its answer. Out of reach of the
//! command line.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::wire::ApiKey;

/// What a request meets.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It is not carried out, and its connection is closed.
    Refuse,
    /// It is carried out this much later.
    Delay(Duration),
    /// It is carried out, but its connection is closed instead of the answer.
    Drop,
    /// It is not carried out, and answered with this error code wherever there is one.
    Error(i16),
}

/// The faults of a broker, in the order in which they were added.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<(ApiKey, usize, FaultKind)>>>);

impl Faults {
    /// Adds a fault for the next `times` requests of an API that meet none added before.
    pub fn add(&self, api: ApiKey, times: usize, kind: FaultKind) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((api, times, kind));
    }

    /// What the next request of an API meets.
    pub(super) fn take(&self, api: ApiKey) -> Option<FaultKind> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.retain(|(_, times, _)| *times > 0);
        let (_, times, kind) = faults.iter_mut().find(|(of, _, _)| *of == api)?;
        *times -= 1;
        Some(*kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_met_in_order_and_as_often_as_asked() {
        let faults = Faults::default();
        faults.add(ApiKey::Produce, 2, FaultKind::Drop);
        faults.add(ApiKey::Produce, 1, FaultKind::Error(7));
        assert_eq!(faults.take(ApiKey::Fetch), None);
        let met: Vec<_> = (0..4).map(|_| faults.take(ApiKey::Produce)).collect();
        assert_eq!(met, [Some(FaultKind::Drop), Some(FaultKind::Drop), Some(FaultKind::Error(7)), None]);
    }
}
