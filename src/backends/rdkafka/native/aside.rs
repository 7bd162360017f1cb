//! Errors of partitions that librdkafka tells nobody but a call-back: a simple consumer's topic that is not there any
//! more has its error in the queue of records, and taking messages from that queue hands it to the call-back.
#![allow(unsafe_code, reason = "librdkafka is a C library; each block says why it is sound")]

use std::ffi::{c_char, c_int, c_void};
use std::sync::{Mutex, PoisonError};

use ::rdkafka::bindings as rd;

use super::{Code, text};

/// What was told last and nobody has asked for; one a client.
#[derive(Debug, Default)]
pub(super) struct Aside(Mutex<Option<(Code, String)>>);

impl Aside {
    /// Makes librdkafka tell it here.
    ///
    /// # Safety
    /// `conf` is alive, and this value outlives the client that is made of it.
    pub(super) unsafe fn install(&self, conf: *mut rd::rd_kafka_conf_t) {
        // SAFETY: as promised.
        unsafe {
            rd::rd_kafka_conf_set_opaque(conf, std::ptr::from_ref(self).cast_mut().cast());
            rd::rd_kafka_conf_set_error_cb(conf, Some(note));
        }
    }

    pub(super) fn take(&self) -> Option<(Code, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// librdkafka's error call-back; `opaque` is the [`Aside`].
unsafe extern "C" fn note(_: *mut rd::rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: `opaque` is what `install` set, alive as long as the client; the reason is a string.
    let (aside, reason) = unsafe { (&*opaque.cast::<Aside>(), text(reason)) };
    *aside.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Code(code), reason));
}
