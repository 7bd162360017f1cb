//! Answers to records, on the command's thread: checks, decompresses and lends them from where they stand.

use std::ops::ControlFlow;

use super::frame::{Assigned, Frame, Span};
use crate::backends::{Error, ErrorKind, RecordSink, TopicPartition};
use crate::wire::net::Isolation;
use crate::wire::records::{
    BatchRecords, Checksums, Part, PausedRecords, PausedWalk, RecordsError, Unpacker, Walk,
};

/// Goes through one frame after the other.
#[derive(Debug)]
pub(super) struct Reader {
    checksums: Checksums,
    isolation: Isolation,
    unpacker: Unpacker,
    place: Option<Place>,
}

/// How far a frame has been read.
#[derive(Debug)]
struct Place {
    frame: Frame,
    /// Spans that are done.
    done: usize,
    paused: Option<Paused>,
}

/// A span in the middle of which the sink wanted no more.
#[derive(Debug)]
pub(super) struct Paused {
    walk: PausedWalk,
    records: PausedRecords,
    next: i64,
}

/// What a call came to.
#[derive(Debug)]
pub(super) enum Read {
    /// The frame is done.
    All,
    /// Enough for now.
    Enough,
    /// Something cannot be decoded: the partition is not read any more.
    Bad(TopicPartition, Error),
}

/// Who takes records, and how many more.
pub(super) struct Taker<'a> {
    pub(super) sink: &'a mut dyn RecordSink,
    pub(super) left: usize,
    /// It wants no more for now.
    pub(super) has_enough: bool,
}

impl Reader {
    pub(super) fn new(checksums: Checksums, isolation: Isolation) -> Self {
        Self { checksums, isolation, unpacker: Unpacker::new(), place: None }
    }

    /// Begins a frame; the one before is to be done.
    pub(super) fn begin(&mut self, frame: Frame) {
        self.place = Some(Place { frame, done: 0, paused: None });
    }

    /// Whether there is something left to read.
    pub(super) fn is_busy(&self) -> bool {
        self.place.is_some()
    }

    /// Pushes records until the frame is done or the taker has enough.
    pub(super) fn push(&mut self, taker: &mut Taker<'_>) -> Read {
        let Some(place) = &mut self.place else { return Read::All };
        while let Some(span) = place.frame.spans.get(place.done) {
            let paused = place.paused.take();
            if !span.of.is_dropped() {
                let bytes = place.frame.answer.bytes().get(span.range.clone()).unwrap_or_default();
                let rules = (self.checksums, self.isolation);
                match read(span, bytes, paused, rules, &mut self.unpacker, taker) {
                    Ok(None) => {}
                    Ok(paused) => {
                        place.paused = paused;
                        return Read::Enough;
                    }
                    Err(error) => {
                        let tp = span.of.tp.clone();
                        place.done += 1;
                        return Read::Bad(tp, error);
                    }
                }
            }
            place.done += 1;
        }
        self.place = None;
        Read::All
    }
}

/// Reads a span, from where it was left; gives where it is left again if the taker has enough.
pub(super) fn read(
    span: &Span,
    bytes: &[u8],
    paused: Option<Paused>,
    (checksums, isolation): (Checksums, Isolation),
    unpacker: &mut Unpacker,
    taker: &mut Taker<'_>,
) -> Result<Option<Paused>, Error> {
    let mut next = span.from;
    let mut walk;
    match paused {
        None => {
            walk = Walk::new(bytes, span.from).checksums(checksums);
            if isolation == Isolation::Committed {
                walk = walk.committed(span.aborted.iter().copied());
            }
        }
        Some(paused) => {
            (walk, next) = (paused.walk.resume(bytes), paused.next);
            let walked = bytes.get(..bytes.len().saturating_sub(walk.left())).unwrap_or_default();
            let records = paused.records.resume(walked, unpacker);
            match pump(records, &span.of, taker, &mut next) {
                Ok(None) => {}
                Ok(Some(records)) => return Ok(Some(Paused { walk: walk.pause(), records, next })),
                Err(why) => return Err(bad(&span.of, &walk, next, &why)),
            }
        }
    }
    while let Some(part) = walk.next_part(unpacker) {
        match part {
            Ok(Part::Records(records)) => match pump(records, &span.of, taker, &mut next) {
                Ok(None) => {}
                Ok(Some(records)) => return Ok(Some(Paused { walk: walk.pause(), records, next })),
                Err(why) => return Err(bad(&span.of, &walk, next, &why)),
            },
            Ok(Part::Marker(_) | Part::Aborted(_) | Part::Empty(_)) => {}
            Err(why) => return Err(bad(&span.of, &walk, next, &why)),
        }
    }
    if walk.next_offset() > next || span.at_end {
        let TopicPartition { topic, partition } = &span.of.tp;
        taker.sink.reached(topic, *partition, walk.next_offset());
    }
    Ok(None)
}

/// Lends the records of a batch until there are no more, or enough for now: then gives the rest.
#[inline]
fn pump(
    mut records: BatchRecords<'_>,
    of: &Assigned,
    taker: &mut Taker<'_>,
    next: &mut i64,
) -> Result<Option<PausedRecords>, RecordsError> {
    if taker.left == 0 {
        taker.has_enough = true;
        return Ok(Some(records.pause()));
    }
    let (topic, partition) = (&*of.tp.topic, of.tp.partition);
    let Taker { sink, left, .. } = taker;
    let flow = records.lend_each(|record| {
        *left -= 1;
        *next = record.offset.saturating_add(1);
        let flow = sink.record(&record.lend(topic, partition));
        if *left == 0 { ControlFlow::Break(()) } else { flow }
    })?;
    taker.has_enough = flow.is_break();
    Ok(flow.is_break().then(|| records.pause()))
}

/// What cannot be decoded. Its offset is the last one of what is left out, so that reading can go on behind it.
fn bad(of: &Assigned, walk: &Walk<'_>, next: i64, why: &RecordsError) -> Error {
    let offset = walk.next_offset().saturating_sub(1).max(next);
    let text = format!("{}: {why}", of.tp);
    Error::new(ErrorKind::BadRecord, text).with_record(of.tp.clone(), offset)
}

impl std::fmt::Debug for Taker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Taker({} left)", self.left)
    }
}
