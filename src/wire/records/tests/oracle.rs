//! What kafka-protocol writes and reads. It keeps headers in a map of strings, so these have one each.

use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use super::*;

fn theirs(codec: Codec) -> Compression {
    match codec {
        Codec::None => Compression::None,
        Codec::Gzip => Compression::Gzip,
        Codec::Snappy => Compression::Snappy,
        Codec::Lz4 => Compression::Lz4,
        Codec::Zstd => Compression::Zstd,
    }
}

/// Records that the oracle can hold.
fn simple(g: &mut Gen) -> Vec<Owned> {
    let mut records = records(g);
    for record in &mut records {
        for (at, (name, _)) in record.headers.0.iter_mut().enumerate() {
            *name = format!("name {at}").into_bytes();
        }
    }
    records
}

fn to_theirs(record: &Owned) -> Record {
    let headers = record.headers.0.iter().map(|(name, value)| {
        let name = StrBytes::from_string(String::from_utf8(name.clone()).unwrap());
        (name, value.clone().map(Into::into))
    });
    Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 4,
        producer_id: 77,
        producer_epoch: 9,
        timestamp_type: TimestampType::Creation,
        offset: record.offset,
        sequence: 100 + record.offset as i32,
        timestamp: record.timestamp,
        key: record.key.clone().map(Into::into),
        value: record.value.clone().map(Into::into),
        headers: headers.collect::<IndexMap<_, _>>(),
    }
}

fn from_theirs(record: &Record) -> Owned {
    let headers = record.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_bytes().to_vec(), value.as_ref().map(|v| v.to_vec())));
    Owned {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.as_ref().map(|key| key.to_vec()),
        value: record.value.as_ref().map(|value| value.to_vec()),
        headers: Pairs(headers.collect()),
    }
}

/// A time that the oracle's differences do not overflow at.
fn sane(mut records: Vec<Owned>) -> Vec<Owned> {
    records.iter_mut().for_each(|record| record.timestamp = record.timestamp.clamp(0, TIME * 2));
    records
}

#[test]
fn the_oracle_reads_what_is_written() {
    let mut g = Gen::new(71);
    for round in 0..25 {
        let records = sane(simple(&mut g));
        let producer = Producer { id: 77, epoch: 9, base_sequence: round, transaction: Transaction::Inside };
        for codec in CODECS {
            let batch = filled(&records).seal(Some(producer), &mut Packer::new(codec, None));
            let set = RecordBatchDecoder::decode(&mut batch.bytes()).unwrap();
            let read: Vec<Owned> = set.records.iter().map(from_theirs).collect();
            assert!(read == records, "{codec} {round}");
            let first = &set.records[0];
            assert_eq!((first.producer_id, first.producer_epoch, first.sequence), (77, 9, round));
            assert!(first.transactional);
        }
    }
}

#[test]
fn what_the_oracle_writes_is_read() {
    let mut g = Gen::new(72);
    for round in 0..25 {
        let records = sane(simple(&mut g));
        let mapped: Vec<Record> = records.iter().map(to_theirs).collect();
        for codec in CODECS {
            let mut bytes = Vec::new();
            let options = RecordEncodeOptions { version: 2, compression: theirs(codec) };
            RecordBatchEncoder::encode(&mut bytes, &mapped, &options).unwrap();
            let mut walk = Walk::new(&bytes, 0);
            let parts = walked(&mut walk);
            // It may have made several batches of them.
            let read = parts.into_iter().flat_map(|seen| match seen {
                Seen::Records(records) => records,
                other => panic!("{codec} {round}: {other:?}"),
            });
            assert!(read.collect::<Vec<_>>() == records, "{codec} {round}");
            assert_eq!((walk.next_offset(), walk.leader_epoch()), (records.len() as i64, Some(4)));
        }
    }
}
