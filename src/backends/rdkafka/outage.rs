//! What a reader knows of brokers that are not there, and of what comes and cannot be read.

use std::sync::Arc;
use std::time::Instant;

use super::Health;
use super::contact::Contact;
use super::revival::Revival;
use crate::backends::RecordSink;

/// The time since which no broker has been reached.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) health: Health,
    pub(super) since: Option<Instant>,
    /// A topic that brokers do not know any more, and since when.
    pub(super) gone: Option<(Arc<str>, Instant)>,
    /// Since when answers have come that cannot be read, and what is wrong with them.
    pub(super) garbled: Option<(Instant, String)>,
    /// Since when nothing at all has come.
    pub(super) quiet: Option<Instant>,
    /// Something came since the last round.
    pub(super) answered: bool,
    pub(super) contact: Contact,
    /// When brokers that were lost were asked last.
    pub(super) asked: Instant,
    pub(super) revival: Revival,
}

impl Outage {
    /// None.
    pub(super) fn none() -> Self {
        Self {
            health: Health::default(),
            since: None,
            gone: None,
            garbled: None,
            quiet: None,
            answered: false,
            contact: Contact::default(),
            asked: Instant::now(),
            revival: Revival::default(),
        }
    }

    /// Notes that a fetch was answered with what librdkafka cannot read, which it tells in its log alone, asking again
    /// and again; the user is told once.
    pub(super) fn unreadable(&mut self, line: &str, sink: &mut dyn RecordSink) {
        if self.garbled.is_none()
            && let Some(why) = was_unreadable(line)
        {
            let why = format!("a broker's answer to Fetch cannot be read ({why})");
            sink.warn(&format!("{why}; trying again"));
            self.garbled = Some((Instant::now(), why));
        }
    }

    /// Something came of a topic.
    pub(super) fn lives(&mut self, topic: &str) {
        (self.since, self.garbled, self.answered) = (None, None, true);
        self.gone.take_if(|(gone, _)| **gone == *topic);
    }
}

/// What librdkafka's error of an answer to a fetch says: `PROTOUFLOW: [thrd:..]: ..: Protocol read buffer underflow for
/// Fetch v11 at 45/110 (function:line): ...`, or `PROTOERR: ...: Protocol parse failure for Fetch v11 at ...`.
fn was_unreadable(line: &str) -> Option<&str> {
    let is_error = line.starts_with("PROTOUFLOW: ") || line.starts_with("PROTOERR: ");
    let (_, why) = line.split_once(": Protocol ").filter(|_| is_error)?;
    let (what, rest) = why.split_once(" for Fetch ")?;
    rest.contains(" at ").then_some(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_cannot_be_read_is_told_from_its_log() {
        let line = "PROTOUFLOW: [thrd:127.0.0.1:1/1]: 127.0.0.1:1/1: Protocol read buffer underflow for Fetch v11 at \
                    45/110 (rd_kafka_fetch_reply_handle:820): expected 2 bytes > 1 remaining bytes";
        assert_eq!(was_unreadable(line), Some("read buffer underflow"));
        let line = "PROTOERR: [thrd:a:1/1]: a:1/1: Protocol parse failure for Fetch v11 at 45/110 (f:1) (incorrect ...)";
        assert_eq!(was_unreadable(line), Some("parse failure"));
        assert_eq!(was_unreadable(&line.replace("Fetch", "Metadata")), None);
        assert_eq!(was_unreadable("FAIL: Protocol parse failure for Fetch v11 at"), None);
    }
}
