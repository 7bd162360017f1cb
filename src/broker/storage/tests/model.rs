//! Random operations on a log and on a model that keeps all batches in a list.

use std::collections::BTreeMap;

use super::*;

/// Xorshift (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[derive(Debug, Default, Clone)]
struct Producer {
    epoch: i16,
    next: i32,
    sent: Vec<(Batch, i64)>,
    open: Option<i64>,
}

#[derive(Debug, Default)]
struct Model {
    /// Base offset, next offset, bytes, times of the records.
    batches: Vec<(i64, i64, Vec<u8>, Vec<i64>)>,
    start: i64,
    producers: BTreeMap<i64, Producer>,
    aborted: Vec<(i64, i64, i64)>,
}

impl Model {
    fn next(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.1)
    }

    fn stable(&self) -> i64 {
        let open = self.producers.values().filter_map(|producer| producer.open).min();
        open.map_or(self.next(), |first| first.max(self.start))
    }

    fn push(&mut self, mut bytes: Vec<u8>, times: Vec<i64>) -> i64 {
        let (base, next) = (self.next(), self.next() + times.len() as i64);
        batch::stamp(&mut bytes, base);
        self.batches.push((base, next, bytes, times));
        base
    }

    fn first_at(&self, time: i64) -> Option<TimedOffset> {
        let records = self.batches.iter().flat_map(|(base, _, _, times)| (*base..).zip(times));
        let mut records = records.filter(|(offset, _)| *offset >= self.start);
        let found = records.find(|(_, timestamp)| **timestamp >= time);
        found.map(|(offset, timestamp)| TimedOffset { offset, timestamp: *timestamp })
    }
}

struct Both<'a> {
    folder: &'a Path,
    options: Options,
    log: Option<Log>,
    model: Model,
    random: Random,
    now: i64,
}

impl Both<'_> {
    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn batch(&mut self) -> Batch {
        let count = 1 + self.random.below(4);
        let times: Vec<i64> = (0..count).map(|_| self.now - self.random.below(50) as i64).collect();
        let value = vec![self.random.below(256) as u8; self.random.below(120) as usize];
        Batch::at(&times).value(value)
    }

    fn append(&mut self) {
        let mut batch = self.batch();
        let id = self.random.below(5) as i64;
        if id > 0 {
            let producer = self.model.producers.entry(id).or_default();
            if producer.open.is_none() && self.random.below(10) == 0 {
                (producer.epoch, producer.next) = (producer.epoch + 1, 0);
                producer.sent.clear();
            }
            batch = batch.producer(id, producer.epoch, producer.next);
            if id > 2 {
                batch = batch.transactional();
            }
        }
        let base = append(self.log(), &batch);
        assert_eq!(base, self.model.push(batch.bytes(), batch.times.clone()));
        if let Some(producer) = self.model.producers.get_mut(&id) {
            producer.next += batch.times.len() as i32;
            producer.sent.push((batch, base));
            if id > 2 {
                producer.open.get_or_insert(base);
            }
        }
    }

    fn append_again(&mut self) {
        let id = 1 + self.random.below(4) as i64;
        let back = self.random.below(8) as usize;
        let Some(producer) = self.model.producers.get(&id).cloned() else { return };
        let Some((batch, base)) = producer.sent.iter().rev().nth(back) else { return };
        let result = self.log().append(&mut batch.bytes(), 0);
        match result {
            Ok(again) if back < 5 => assert_eq!((again.base_offset, again.is_duplicate), (*base, true)),
            Err(Error::OutOfOrderSequence { .. }) if back >= 5 => {}
            other => panic!("{back}: {other:?}"),
        }
    }

    fn end_transaction(&mut self) {
        let id = 3 + self.random.below(2) as i64;
        let commit = self.random.below(2) == 0;
        let Some(producer) = self.model.producers.get_mut(&id) else { return };
        let (epoch, open) = (producer.epoch, producer.open.take());
        let now = self.now;
        let offset = self.log().append_marker(id, epoch, commit, now).unwrap();
        let base = self.model.push(batch::marker(id, epoch, commit, now), vec![now]);
        assert_eq!(offset, base);
        if let Some(first) = open.filter(|_| !commit) {
            self.model.aborted.push((id, first, offset));
        }
    }

    fn read(&mut self) {
        let (start, next, stable) = (self.model.start, self.model.next(), self.model.stable());
        let from = start + self.random.below((next - start + 1) as u64) as i64;
        let max = self.random.below(1500) as usize;
        let up_to = if self.random.below(2) == 0 { next } else { stable };
        let slice = self.log().read(from, max, up_to).unwrap();
        let wanted = self.model.batches.iter().filter(|batch| batch.1 > from && batch.0 < up_to);
        let mut rest = wanted.peekable();
        let Some(slice) = slice else {
            assert!(rest.peek().is_none(), "{from} {up_to}");
            return;
        };
        let mut expected = Vec::new();
        while let Some(batch) = rest.peek().filter(|batch| batch.0 < slice.next_offset()) {
            expected.extend_from_slice(&batch.2);
            rest.next();
        }
        let mut bytes = Vec::new();
        slice.read_into(&mut bytes).unwrap();
        assert_eq!(bytes, expected);
        assert!(bytes.len() <= max || batches(&bytes).len() == 1);
        if let Some(more) = rest.peek() {
            let new_file = self.folder.join(format!("{:020}.log", more.0)).exists();
            assert!(bytes.len() + more.2.len() > max || new_file, "stopped early at {}", more.0);
        }
    }

    fn look_up(&mut self) {
        let time = self.now - self.random.below(2000) as i64;
        let found = self.log().offset_for_time(time).unwrap();
        assert_eq!(found, self.model.first_at(time), "{time}");
        let (from, len) =
            (self.random.below(self.model.next() as u64 + 1) as i64, self.random.below(60) as i64);
        let got = self.log().aborted(from, from + len);
        let got: Vec<_> = got.iter().map(|a| (a.producer_id, a.first_offset, a.last_offset)).collect();
        let mut expected = self.model.aborted.clone();
        let start = self.model.start;
        expected.retain(|a| a.2 >= from && a.1 < from + len && a.2 >= start);
        assert_eq!(got, expected);
    }

    fn delete(&mut self) {
        let ahead = self.random.below(10) as i64;
        let before = (self.model.start + ahead).min(self.model.next());
        self.model.start = self.log().delete_records(before).unwrap();
        assert_eq!(self.model.start, before);
    }

    fn maintain(&mut self) {
        let now = self.now;
        self.log().maintain(now).unwrap();
    }

    fn restart(&mut self) {
        let log = self.log.take().unwrap();
        let is_killed = self.random.below(2) == 0;
        let torn = if is_killed { self.random.below(100) as usize } else { 0 };
        if is_killed {
            kill(log);
            let last = self.folder.join(files(self.folder, ".log").last().unwrap());
            let mut bytes = std::fs::read(&last).unwrap();
            bytes.extend_from_slice(&Batch::of(30).bytes()[..torn]);
            std::fs::write(&last, bytes).unwrap();
        } else {
            drop(log);
        }
        let (log, recovery) = Log::open(self.folder, self.options.clone()).unwrap();
        assert_eq!(recovery.cut_bytes, torn as u64);
        self.log = Some(log);
    }

    /// Retention moves the start when segments roll; the model follows.
    fn compare(&mut self) {
        let (start, options) = (self.log().start_offset(), self.options.clone());
        if start > self.model.start {
            let base = self.folder.join(format!("{start:020}.log"));
            assert!(base.exists() && (options.retain_bytes.is_some() || options.retain_time.is_some()));
            self.model.start = start;
        }
        let expected = (self.model.start, self.model.next(), self.model.stable());
        let log = self.log();
        assert_eq!((start, log.next_offset(), log.stable_offset()), expected);
    }

    fn step(&mut self) {
        self.now += self.random.below(20) as i64;
        match self.random.below(100) {
            0..40 => self.append(),
            40..48 => self.append_again(),
            48..56 => self.end_transaction(),
            56..80 => self.read(),
            80..92 => self.look_up(),
            92..94 => self.delete(),
            94..97 => self.maintain(),
            _ => self.restart(),
        }
        self.compare();
    }
}

#[test]
fn a_log_does_what_a_list_of_batches_does() {
    let retained = Options {
        retain_bytes: Some(6000),
        retain_time: Some(std::time::Duration::from_millis(1500)),
        ..small()
    };
    let one_by_one = Options { segment_bytes: 14, index_interval: 1, ..small() };
    for (seed, options) in [small(), single(), retained, one_by_one].into_iter().cycle().take(12).enumerate()
    {
        let folder = tempfile::tempdir().unwrap();
        let log = Some(open(folder.path(), options.clone()));
        let random = Random(0x9e37_79b9_7f4a_7c15 ^ (seed as u64 + 1));
        let mut both =
            Both { folder: folder.path(), options, log, model: Model::default(), random, now: 1_000_000 };
        for _ in 0..1500 {
            both.step();
        }
        assert!(both.model.next() > 1000, "seed {seed}");
    }
}
