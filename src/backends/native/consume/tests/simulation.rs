//! Many runs of chance against brokers that hold clients to the letter of KIP-227: leaders move, connections break,
//! sessions are lost, partitions come and go. Whatever happens, each partition is read once, in order and to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::super::fetcher::{Fetcher, Question};
use super::super::frame::{Assigned, Told};
use super::super::heads::Heads;
use super::super::session::Ask;
use super::state::{Anywhere, Known, error, rules, with};
use super::*;
use crate::wire::ErrorCode;
use crate::wire::messages::{FetchResponse, FetchResponsePartition, FetchResponseTopic};
use crate::wire::net::{self, Kind, Leader, Random};

const PARTITIONS: i32 = 5;
const BROKERS: u64 = 3;
/// Records of each partition.
const END: i64 = 40;

/// A broker's side of a session.
#[derive(Debug, Default)]
struct Remembered {
    id: i32,
    epoch: i32,
    members: BTreeMap<i32, i64>,
    /// Partitions whose end the session has told.
    told: BTreeSet<i32>,
}

impl Remembered {
    /// Takes a request, as Kafka's `FetchManager` does.
    fn take(&mut self, ask: &Ask, new_id: i32) -> std::result::Result<(), ErrorCode> {
        let named = ask.wanted.iter().map(|(_, partition, place)| (*partition, place.offset));
        if ask.session_epoch == 0 {
            *self = Self { id: new_id, epoch: 1, members: named.collect(), told: BTreeSet::new() };
            return Ok(());
        }
        if self.id != ask.session_id {
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        assert_eq!(ask.session_epoch, self.epoch, "{ask:?}");
        self.epoch += 1;
        self.members.extend(named);
        for (_, partition) in &ask.forgotten {
            assert!(self.members.remove(partition).is_some(), "{ask:?}");
            self.told.remove(partition);
        }
        Ok(())
    }
}

struct World {
    random: Random,
    now: Instant,
    fetcher: Fetcher,
    leaders: Vec<i32>,
    brokers: BTreeMap<i32, Remembered>,
    /// Answers on their way, as bytes of batches by partition, or as what went wrong.
    sent: Vec<(i32, Sent)>,
    next: Vec<i64>,
    ended: BTreeSet<i32>,
    sessions: i32,
}

#[derive(Debug)]
enum Sent {
    Answer(i32, Vec<(i32, std::result::Result<Vec<u8>, ErrorCode>)>),
    Refused(ErrorCode),
    Lost,
}

impl World {
    fn new(seed: u64) -> Self {
        let leaders = vec![1; PARTITIONS as usize];
        let mut world = Self {
            random: Random::seeded(seed),
            now: Instant::now(),
            fetcher: Fetcher::new(rules(), known(&leaders)),
            leaders,
            brokers: BTreeMap::new(),
            sent: Vec::new(),
            next: vec![0; PARTITIONS as usize],
            ended: BTreeSet::new(),
            sessions: 0,
        };
        let starts = (0..PARTITIONS).map(|partition| (Assigned::new(tp(partition)), 0)).collect();
        world.fetcher.assign(starts, world.now);
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.random.number() >> 16) % bound
    }

    /// What happens of itself.
    fn mishap(&mut self) {
        let partition = self.below(PARTITIONS as u64) as i32;
        match self.below(8) {
            0 => self.leaders[partition as usize] = 1 + self.below(BROKERS) as i32,
            1 => self.fetcher.learn(known(&self.leaders), self.now),
            2 => {
                let restarted = 1 + self.below(BROKERS) as i32;
                self.brokers.remove(&restarted);
            }
            3 => {
                self.fetcher.remove("t", partition, self.now);
                let next = self.next[partition as usize];
                self.ended.remove(&partition);
                self.fetcher.assign(vec![(Assigned::new(tp(partition)), next)], self.now);
            }
            _ => {}
        }
    }

    /// Every request is taken, now; its answer comes some time.
    fn serve(&mut self, faulty: bool) {
        for ask in self.fetcher.asks(self.now) {
            self.sessions += 1;
            let taken = self.brokers.entry(ask.broker).or_default().take(&ask, self.sessions);
            let sent = match taken {
                Err(code) => Sent::Refused(code),
                Ok(()) if faulty && self.below(8) == 0 => Sent::Lost,
                Ok(()) => self.read(ask.broker, faulty),
            };
            self.sent.push((ask.broker, sent));
        }
    }

    fn read(&mut self, at: i32, faulty: bool) -> Sent {
        let Remembered { id, members, .. } = &self.brokers[&at];
        let (id, members) = (*id, members.clone());
        let mut answer = Vec::new();
        for (partition, offset) in members {
            if self.leaders[partition as usize] != at {
                answer.push((partition, Err(ErrorCode::NotLeaderOrFollower)));
            } else if faulty && self.below(20) == 0 {
                answer.push((partition, Err(ErrorCode::KafkaStorageError)));
            } else if offset < END && self.below(3) > 0 {
                let values = vec!["x"; (END - offset).min(1 + self.below(3) as i64) as usize];
                answer.push((partition, Ok(batch(offset, &values))));
            } else if self.brokers.get_mut(&at).is_some_and(|b| b.told.insert(partition)) {
                answer.push((partition, Ok(Vec::new())));
            }
        }
        // What was in error is told of anew.
        let told = self.brokers.get_mut(&at).map(|broker| &mut broker.told);
        let failed = |partition: &i32| answer.iter().any(|(of, read)| of == partition && read.is_err());
        told.into_iter().for_each(|told| told.retain(|partition| !failed(partition)));
        Sent::Answer(id, answer)
    }

    /// One of the answers comes.
    fn deliver(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let at = self.below(self.sent.len() as u64) as usize;
        let (broker, sent) = self.sent.remove(at);
        let (session_id, answer) = match sent {
            Sent::Lost => {
                return self.fetcher.failed(broker, &net::Error::new(Kind::Closed, "lost"), self.now);
            }
            Sent::Refused(code) => {
                let response = FetchResponse { error_code: code as i16, ..Default::default() };
                return drop(self.fetcher.answered(broker, &response, &Anywhere, self.now));
            }
            Sent::Answer(id, answer) => (id, answer),
        };
        let partitions = answer.iter().map(|(partition, read)| match read {
            Ok(bytes) => FetchResponsePartition {
                high_watermark: END,
                last_stable_offset: END,
                ..with(*partition, bytes)
            },
            Err(code) => error(*partition, *code),
        });
        let topic = FetchResponseTopic { topic: "t".into(), partitions: partitions.collect() };
        let response = FetchResponse { session_id, responses: vec![topic], ..Default::default() };
        for span in self.fetcher.answered(broker, &response, &Anywhere, self.now) {
            let partition = span.of.tp.partition;
            let bytes = answer
                .iter()
                .find(|(of, _)| *of == partition)
                .and_then(|(_, read)| read.as_ref().ok())
                .unwrap();
            let next = &mut self.next[partition as usize];
            assert_eq!(span.from, *next, "partition {partition}");
            *next = Heads::of(bytes, span.from).next;
            if span.at_end {
                self.ended.insert(partition);
            }
        }
    }

    fn told(&mut self) {
        for told in self.fetcher.told.drain(..) {
            match told {
                Told::Reached(of, END) if !of.is_dropped() => drop(self.ended.insert(of.tp.partition)),
                Told::Warn(_) | Told::Notice(_) => {}
                other => panic!("{other:?}"),
            }
        }
        if self.fetcher.questions.drain(..).any(|question| matches!(question, Question::Metadata(_))) {
            self.fetcher.learn(known(&self.leaders), self.now);
        }
    }

    fn round(&mut self, faulty: bool) {
        if faulty {
            self.mishap();
        }
        self.serve(faulty);
        if self.below(3) > 0 {
            self.deliver();
        }
        self.told();
        let passed = self.below(100);
        self.now += Duration::from_millis(passed);
        self.fetcher.tick(self.now);
    }
}

fn known(leaders: &[i32]) -> Arc<Known> {
    let leaders = (0..).zip(leaders).map(|(partition, id)| (partition, Ok(Leader { id: *id, epoch: 1 })));
    Arc::new(Known(leaders.collect()))
}

#[test]
fn whatever_happens_each_partition_is_read_once_in_order_and_to_its_end() {
    for seed in 0..300 {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.round(true);
        }
        let mut rounds = 0;
        while world.ended.len() < PARTITIONS as usize || world.next.iter().any(|next| *next < END) {
            world.round(false);
            rounds += 1;
            assert!(rounds < 5000, "seed {seed}: {:?} {:?} {:#?}", world.next, world.ended, world.fetcher);
        }
    }
}
