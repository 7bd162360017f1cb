//! Clients that join, leave, die, are slow, miss answers and come back, a broker that is killed, and
//! topics that come and go, in any order: no partition is ever with two, and in the end each is with one.

use super::journal::Disk;
use super::*;

/// A client as Java's: it says what it has when that has changed, or when an answer was missed.
#[derive(Debug, Default)]
struct Client {
    id: String,
    instance: Option<String>,
    is_pattern: bool,
    epoch: i32,
    owned: BTreeSet<(u8, i32)>,
    /// What it was last told to have, as far as it has not done so.
    wanted: Option<BTreeSet<(u8, i32)>>,
    must_tell: bool,
    missed: bool,
}

impl Client {
    fn request(&self) -> Request {
        let instance_id = self.instance.clone().map(Into::into);
        // Whoever it takes the place of may have subscribed in the other way.
        let (names, pattern) = if self.is_pattern { (&[][..], "[ab]") } else { (&["a", "b", "c"][..], "") };
        let full = Request { subscribed_topic_regex: Some(pattern.into()), ..join(names) };
        let places: Vec<(u8, i32)> = self.owned.iter().copied().collect();
        match self.epoch == JOIN || self.missed {
            true => Request {
                instance_id,
                member_epoch: self.epoch,
                topic_partitions: Some(owned(&places)),
                ..full
            },
            false => Request {
                instance_id,
                topic_partitions: self.must_tell.then(|| owned(&places)),
                ..at(self.epoch)
            },
        }
    }

    /// Does what it was told. One that has missed an answer waits for the next: what it says it has not
    /// may have been given to another since.
    fn reconcile(&mut self) {
        let Some(wanted) = self.wanted.take_if(|_| !self.missed) else { return };
        // Even if it never took what it was to give up, it says so.
        (self.owned, self.must_tell) = (wanted, true);
    }

    fn heartbeat(&mut self, world: &mut World, answer_is_lost: bool) {
        let request = self.request();
        match world.beat(&self.id.clone(), &request) {
            Ok(_) if answer_is_lost => self.missed = true,
            Ok(answer) => {
                (self.missed, self.must_tell) = (false, false);
                self.epoch = answer.member_epoch;
                if let Some(told) = told(&answer) {
                    self.wanted = Some(told.into_iter().collect());
                }
            }
            Err(code) => {
                let fenced = [Code::UnknownMemberId, Code::FencedMemberEpoch].map(|code| code as i16);
                let taken = [Code::UnreleasedInstanceId, Code::FencedInstanceId].map(|code| code as i16);
                assert!(fenced.contains(&code) || taken.contains(&code), "{code}");
                self.start_again();
            }
        }
    }

    /// Drops all it has, to join again.
    fn start_again(&mut self) {
        self.epoch = JOIN;
        self.owned.clear();
        (self.wanted, self.must_tell, self.missed) = (None, false, false);
    }
}

struct Play {
    world: World,
    clients: Vec<Client>,
    disk: Disk,
    random: Random,
    names: u32,
}

impl Play {
    fn new(seed: u64) -> Self {
        let world = World::new(&[3, 5]);
        Self { world, clients: Vec::new(), disk: Disk::new(), random: Random(seed), names: 0 }
    }

    fn pick(&mut self) -> Option<usize> {
        let count = self.clients.len() as u64;
        (count > 0).then(|| self.random.below(count) as usize)
    }

    fn step(&mut self) {
        match self.random.below(24) {
            0..=2 if self.clients.len() < 6 => self.start(),
            3 => self.stop(true),
            4 => self.stop(false),
            5 => {
                let ms = self.random.below(30_000) as i64;
                self.world.pass(ms);
            }
            6 => self.kill_the_broker(),
            7 => self.change_topics(),
            8..=12 => {
                if let Some(at) = self.pick() {
                    self.clients[at].reconcile();
                }
            }
            roll => {
                if let Some(at) = self.pick() {
                    self.clients[at].heartbeat(&mut self.world, roll == 13);
                    self.disk.write(&mut self.world.group);
                }
            }
        }
        self.check();
    }

    fn start(&mut self) {
        self.names += 1;
        let instance = format!("i{}", self.random.below(3));
        let is_free = self.clients.iter().all(|client| client.instance.as_ref() != Some(&instance));
        self.clients.push(Client {
            id: format!("m{}", self.names),
            instance: Some(instance).filter(|_| is_free && self.random.below(2) == 0),
            is_pattern: self.random.below(3) == 0,
            ..Default::default()
        });
    }

    /// A client goes, with a word or without.
    fn stop(&mut self, says_so: bool) {
        let Some(at) = self.pick() else { return };
        let client = self.clients.remove(at);
        let is_back_soon = client.instance.is_some() && self.random.below(2) == 0;
        if says_so && client.epoch != JOIN {
            let request =
                Request { instance_id: client.instance.clone().map(Into::into), ..at_leave(is_back_soon) };
            // It may have been removed without knowing.
            let _ = self.world.beat(&client.id, &request);
            self.disk.write(&mut self.world.group);
        }
    }

    fn kill_the_broker(&mut self) {
        if self.world.group.epoch > 0 {
            self.disk.write(&mut self.world.group);
            self.world.group = self.disk.read(&self.world.options, self.world.now);
        }
    }

    fn change_topics(&mut self) {
        let topics = &mut self.world.topics;
        match self.random.below(3) {
            0 => topics.retain(|(name, _, _)| name != "c"),
            1 if topics.iter().all(|(name, _, _)| name != "c") => {
                topics.push(("c".into(), 10 + self.random.below(100) as u8, 2));
            }
            _ => topics[0].2 = (topics[0].2 + 1).min(9),
        }
    }

    /// No two members have one partition, and no client has one that is not its member's, unless it was
    /// removed and does not know yet.
    fn check(&self) {
        self.world.check_no_one_shares();
        for client in &self.clients {
            let Some(member) = self.world.group.members.get(&client.id) else { continue };
            if client.epoch == member.epoch || client.epoch == member.previous_epoch {
                let books: Places = &member.assigned | &member.revoking;
                let owned: Places = client.owned.iter().map(|(n, number)| (id(*n), *number)).collect();
                assert!(owned.is_subset(&books), "{client:?} has more than {books:?}");
            }
        }
    }

    /// Everyone who lives goes on in peace; who does not is found out.
    fn settle(&mut self) {
        self.world.pass(44_000);
        for _ in 0..40 {
            for client in &mut self.clients {
                client.heartbeat(&mut self.world, false);
                client.reconcile();
            }
            self.world.pass(500);
            self.disk.write(&mut self.world.group);
            self.check();
        }
    }

    fn check_settled(&self, seed: u64) {
        let group = &self.world.group;
        assert_eq!(group.members.len(), self.clients.len(), "seed {seed}");
        if self.clients.is_empty() {
            return assert_eq!(self.world.state(), "Empty");
        }
        assert_eq!(self.world.state(), "Stable", "seed {seed}: {group:?}");
        let mut seen = BTreeSet::new();
        for client in &self.clients {
            let member = &group.members[&client.id];
            assert_eq!(member.assigned, member.target, "seed {seed}");
            assert_eq!(client.owned.len(), member.assigned.len(), "seed {seed}");
            for place in &client.owned {
                assert!(seen.insert(*place), "seed {seed}: {place:?} twice");
            }
        }
        let has_c = self.clients.iter().any(|client| !client.is_pattern);
        let topics = self.world.topics.iter().filter(|(name, _, _)| has_c || name != "c");
        let all = topics.flat_map(|(_, n, count)| (0..*count).map(|number| (*n, number)));
        assert_eq!(seen, all.collect(), "seed {seed}");
    }
}

fn at_leave(is_back_soon: bool) -> Request {
    at(if is_back_soon { AWAY } else { LEAVE })
}

#[test]
fn whatever_happens_no_partition_is_with_two_and_in_the_end_each_is_with_one() {
    for seed in 1..100 {
        let mut play = Play::new(seed * 7919);
        for _ in 0..300 {
            play.step();
        }
        play.settle();
        play.check_settled(seed);
    }
}
