//! What stands where nothing comes of a partition although there is more.
//!
//! What it cannot read librdkafka (2.12.1) takes for what was cut off on the way, or was read before: it asks again and
//! again, and tells nobody but a log for its authors. So a second client, which writes that log, reads from there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config;
use super::native::{Client, Event, Fetched, Queue, Role, Topic};
use crate::backends::{Error, ErrorKind, TopicPartition};
use crate::settings::{Settings, Side};

/// How long a look may take. Who gets no answer in that time has learnt nothing.
const LIMIT: Duration = Duration::from_secs(5);

/// librdkafka's offset for that which the group has committed, else what `auto.offset.reset` says.
const STORED: i64 = -1000;

/// So often something is to come from one offset in which there is no record. Brokers send whole batches (KIP-74).
const IN_VAIN: u32 = 3;

/// The settings of a client that writes down what it asks for and what it cannot read. A record is all it is to fetch.
const CONF: &[(&str, &str)] =
    &[("debug", "fetch,protocol"), ("log_level", "7"), ("queued.min.messages", "1")];

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing yet.
    Nothing,
    /// It can be read, or nobody answers: there is nothing to say.
    Fine,
    /// What comes cannot be read.
    Flawed(Error),
}

/// A look under way.
#[derive(Debug)]
pub(super) struct Look {
    at: TopicPartition,
    begun: Instant,
    diary: Diary,
    fetched: Fetched,
    data: Queue,
    events: Queue,
    topic: Topic,
    /// Kept as long as this is.
    _sleeper: Arc<Queue>,
}

/// What the log of a client tells that reads one partition.
#[derive(Debug, Default)]
struct Diary {
    /// From where it asked last.
    asked: i64,
    /// How often something came from there in which it found no record, and why.
    in_vain: u32,
    why: String,
}

impl Diary {
    /// Takes note of a line; the offset from where nothing can be read, and why, when that is known.
    fn note(&mut self, line: &str) -> Option<(i64, &str)> {
        if let Some((_, place)) = line.split_once(": Fetch topic ") {
            // `TOPIC [PARTITION] at offset OFFSET (v2)`
            let offset = place.rsplit_once("] at offset ")?.1.split(' ').next()?.parse().ok()?;
            if offset != self.asked {
                *self = Self { asked: offset, ..Self::default() };
            }
        } else if line.starts_with("PROTOUFLOW: ") {
            // `... (FUNCTION:LINE): expected 5 bytes > 4 remaining bytes (...)...`
            self.why = line.split_once(": expected ")?.1.split(" (").next()?.replace(" > ", " expected, ");
        } else if line.starts_with("PROTOERR: ") {
            // `... TOPIC [PARTITION] MessageSet at offset OFFSET length 10 < header size 49`
            self.why = line.split_once(" MessageSet at offset ")?.1.split_once(' ')?.1.to_owned();
        } else if line.contains(": Enqueue 0 message(s) ") {
            self.in_vain += 1;
        }
        (self.in_vain >= IN_VAIN).then_some((self.asked, &self.why))
    }
}

impl Look {
    /// Begins to read a partition at an offset; negative is where a group goes on. None if that is not to be.
    pub(super) fn begin(
        settings: &Settings,
        grouped: bool,
        (at, offset): (TopicPartition, i64),
        sleeper: &Arc<Queue>,
    ) -> Option<Self> {
        let mut conf = config::native(settings, Side::Consumer);
        conf.retain(|(name, _)| name != "group.instance.id" && (grouped || name != "group.id"));
        conf.extend(CONF.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let client = Client::new(Role::Consumer, &conf).ok()?;
        let (data, events, topic) = (client.new_queue(), client.main_queue(), client.topic(&at.topic).ok()?);
        let offset = if offset < 0 { STORED } else { offset };
        topic.consume_start(at.partition, offset, &data).ok()?;
        events.wakes(sleeper);
        Some(Self {
            at,
            begun: Instant::now(),
            diary: Diary::default(),
            fetched: Fetched::new(),
            data,
            events,
            topic,
            _sleeper: Arc::clone(sleeper),
        })
    }

    /// Sees what there is by now.
    pub(super) fn turn(&mut self) -> Found {
        self.fetched.fill(&self.data, Duration::ZERO, 1);
        // A record, an end, or an error, of which the reader is told as well.
        if !self.fetched.is_empty() || self.begun.elapsed() > LIMIT {
            return Found::Fine;
        }
        loop {
            match self.events.poll(Duration::ZERO) {
                Event::None => return Found::Nothing,
                Event::Log { line, .. } => {
                    if let Some((offset, why)) = self.diary.note(&line) {
                        return Found::Flawed(flawed(&self.at, offset, why));
                    }
                }
                _ => {}
            }
        }
    }
}

fn flawed(at: &TopicPartition, offset: i64, why: &str) -> Error {
    let why = if why.is_empty() { "it has no record from there on" } else { why };
    let text = format!("{at} at offset {offset}: what the broker sends cannot be read ({why})");
    Error::new(ErrorKind::BadRecord, text).with_record(at.clone(), offset)
}

impl Drop for Look {
    fn drop(&mut self) {
        self.events.silence();
        // A client that has a group does not end before.
        self.topic.consume_stop(self.at.partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "FETCH: a:1/1: Fetch topic t [0] at offset 2 (v2)";
    const NOTHING: &str = "CONSUME: a:1/1: Enqueue 0 message(s) (0 bytes, 0 ops) on t [0] fetch queue (qlen 0, v2, \
                           last_offset -1, 0 ctrl msgs, 0 aborted msgsets, uncompressed)";
    const CUT: &str = "PROTOUFLOW: a:1/1: Protocol read buffer underflow for Fetch v11 at 132/227 \
                       (rd_kafka_msgset_reader_v2:1099): expected 2147483598 bytes > 95 remaining bytes (truncated \
                       response from broker (ok)): t [0] MessageSet at offset 2 payload size 2147483598";
    const SHORT: &str = "PROTOERR: a:1/1: t [0] MessageSet at offset 2 length 10 < header size 49";
    const SHORT_TOO: &str =
        "PROTOERR: a:1/1: Protocol parse failure for Fetch v11 at 83/227 (f:1) (incorrect)";

    fn noted(lines: &[&str], times: usize) -> Option<(i64, String)> {
        let mut diary = Diary::default();
        let lines = (0..times).flat_map(|_| lines);
        lines.filter_map(|line| diary.note(line).map(|(offset, why)| (offset, why.to_owned()))).next()
    }

    #[test]
    fn what_comes_in_vain_again_and_again_is_told_from_the_log() {
        let cut = "2147483598 bytes expected, 95 remaining bytes".to_owned();
        assert_eq!(noted(&[ASKED, CUT, NOTHING], 3), Some((2, cut)));
        let short = "length 10 < header size 49".to_owned();
        assert_eq!(noted(&[ASKED, SHORT_TOO, SHORT, NOTHING], 3), Some((2, short)));
        assert_eq!(noted(&[ASKED, NOTHING], 3), Some((2, String::new())));
        assert_eq!(noted(&[ASKED, CUT, NOTHING], 2), None);
    }

    #[test]
    fn where_it_goes_on_nothing_is_in_vain() {
        let next = ASKED.replace("offset 2", "offset 3");
        assert_eq!(noted(&[ASKED, NOTHING, &next, NOTHING], 9), None);
        let some = NOTHING.replace("Enqueue 0", "Enqueue 10");
        assert_eq!(noted(&[ASKED, &some], 9), None);
    }

    #[test]
    fn the_place_is_named() {
        let error = flawed(&TopicPartition { topic: "t".into(), partition: 0 }, 2, "");
        let text = "t[0] at offset 2: what the broker sends cannot be read (it has no record from there on)";
        assert_eq!((error.to_string().as_str(), error.record().map(|record| record.1)), (text, Some(2)));
    }
}
