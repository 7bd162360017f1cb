//! What the client's thread leaves for the command's.

use std::sync::Arc;

use super::lane::{Effects, Placed, Settled};
use super::parcel::{Parcel, Stamps};
use crate::backends::{Error, ErrorKind, Fate, Notice, ReportSink, TopicPartition};
use crate::record::{NoHeaders, RecordRef, TimestampType};
use crate::wire::records::{BatchBuffer, RecordsError, Unpacker};

/// Outcomes since they were last taken. Bounded by what may be owed.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Acknowledged records that nobody wants to know more of, and their payload.
    delivered: u64,
    payload: u64,
    told: Vec<Told>,
    /// What no longer counts as owed.
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// Buffers to be filled again.
    pub(super) buffers: Vec<BatchBuffer>,
    notices: Vec<Notice>,
    /// Records sent again that may have been written before.
    resent: u64,
    /// Why nothing that is sent will be taken any more.
    pub(super) fatal: Option<(ErrorKind, String)>,
}

/// A batch to be told record by record.
#[derive(Debug)]
struct Told {
    place: TopicPartition,
    settled: Settled,
}

/// Whether acknowledged records are told one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receipts {
    Wanted,
    No,
}

impl Outcomes {
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0 && self.notices.is_empty() && self.resent == 0 && self.fatal.is_none()
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// Adds what came of an event in a partition.
    pub(super) fn add(&mut self, place: &TopicPartition, effects: &mut Effects, receipts: Receipts) {
        for settled in effects.settled.drain(..) {
            self.records += settled.parcel.len();
            self.bytes += settled.parcel.charge;
            if settled.outcome.is_ok() && receipts == Receipts::No {
                self.delivered += settled.parcel.len() as u64;
                self.payload += settled.parcel.payload;
                self.buffers.extend(Arc::into_inner(settled.parcel).map(Parcel::recycle));
            } else {
                self.told.push(Told { place: place.clone(), settled });
            }
        }
        self.resent += std::mem::take(&mut effects.resent);
        if self.fatal.is_none() {
            self.fatal = effects.fatal.take();
        }
    }

    /// Adds later ones.
    pub(super) fn append(&mut self, mut more: Self) {
        self.delivered += more.delivered;
        self.payload += more.payload;
        self.records += more.records;
        self.bytes += more.bytes;
        self.told.append(&mut more.told);
        self.buffers.append(&mut more.buffers);
        self.notices.append(&mut more.notices);
        self.resent += more.resent;
        if self.fatal.is_none() {
            self.fatal = more.fatal;
        }
    }

    /// Tells all of it.
    pub(super) fn tell(&mut self, sink: &mut dyn ReportSink, unpacker: &mut Unpacker) {
        for notice in self.notices.drain(..) {
            sink.notice(&notice);
        }
        if self.resent > 0 {
            sink.resent(std::mem::take(&mut self.resent));
        }
        if self.delivered > 0 {
            sink.delivered(self.delivered, self.payload);
        }
        for Told { place, settled: Settled { parcel, outcome } } in self.told.drain(..) {
            match outcome {
                Ok(placed) => tell_placed(&place, &parcel, placed, sink, unpacker),
                Err((fate, error)) => tell_undelivered(&place, &parcel, (fate, &error), sink, unpacker),
            }
            self.buffers.extend(Arc::into_inner(parcel).map(Parcel::recycle));
        }
    }
}

fn tell_placed(
    place: &TopicPartition,
    parcel: &Parcel,
    placed: Placed,
    sink: &mut dyn ReportSink,
    unpacker: &mut Unpacker,
) {
    sink.delivered(parcel.len() as u64, parcel.payload);
    let stamps = placed.appended.map_or(Stamps::AsSent, Stamps::Appended);
    let told = parcel.for_each(
        (&place.topic, place.partition),
        (placed.base, stamps),
        unpacker,
        &mut |record, _| sink.placed(record),
    );
    if let Err(why) = told {
        sink.warn(&unreadable(place, &why));
    }
}

fn tell_undelivered(
    place: &TopicPartition,
    parcel: &Parcel,
    (fate, error): (Fate, &Error),
    sink: &mut dyn ReportSink,
    unpacker: &mut Unpacker,
) {
    let mut left = parcel.len();
    let told = parcel.for_each(
        (&place.topic, place.partition),
        (-1, Stamps::OfInput),
        unpacker,
        &mut |record, origin| {
            left -= 1;
            sink.undelivered(record, origin.line, origin.source.map(|name| &**name), fate, error);
        },
    );
    if let Err(why) = told {
        sink.warn(&unreadable(place, &why));
    }
    // They are counted, whatever else is known of them.
    for n in parcel.len() - left..parcel.len() {
        let origin = parcel.origin(n);
        let record = RecordRef {
            topic: &place.topic,
            partition: place.partition,
            offset: -1,
            timestamp: -1,
            timestamp_type: TimestampType::NotAvailable,
            key: None,
            value: None,
            headers: &NoHeaders,
        };
        sink.undelivered(&record, origin.line, origin.source.map(|name| &**name), fate, error);
    }
}

fn unreadable(place: &TopicPartition, why: &RecordsError) -> String {
    format!("{place}: a batch of our own cannot be read back: {why}")
}
