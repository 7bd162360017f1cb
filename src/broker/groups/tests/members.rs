//! Members as our clients have them, in groups as the broker has them: whatever happens to them, in any
//! order, in the end each partition is with one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot::error::TryRecvError;

use super::super::super::code::Code;
use super::super::consumer::{Beat, Topic, Topics};
use super::*;
use crate::group::{
    self, Action, Assignor, Event, Failure, FaultKind, Member, Protocol, Request, Response, Terms, Ticket,
};
use crate::record::TopicPartition;
use crate::wire::Uuid;

/// Xorshift (Marsaglia 2003).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A request on its way.
#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    stage: Stage,
    /// When the client does not wait for it any more, in ms.
    deadline: i64,
}

#[derive(Debug)]
enum Stage {
    Sent(Request),
    Joining(Receiver<JoinGroupResponse<'static>>),
    Syncing(Receiver<SyncGroupResponse<'static>>),
    Answered(Response<'static>),
    Lost,
}

/// A client: a member, its driver and its application.
#[derive(Debug)]
struct Client {
    name: u32,
    member: Member,
    flights: Vec<Flight>,
    asked: Option<Ticket>,
    revocations: Vec<Ticket>,
    wants: BTreeSet<Arc<str>>,
    owned: BTreeSet<TopicPartition>,
    revoking: BTreeSet<TopicPartition>,
    /// The coordinator it knows, by its number.
    coordinator: Option<u32>,
    is_stuck: bool,
    is_over: bool,
    instance: Option<String>,
}

impl Client {
    /// Does what the member wants to be done, as far as that is done at once.
    fn take(&mut self, actions: Vec<Action>, now: i64) {
        for action in actions {
            assert!(!self.is_over, "{action:?} after the end");
            match action {
                Action::Send { ticket, request, within } => {
                    let deadline = now + within.as_millis() as i64;
                    self.flights.push(Flight { ticket, stage: Stage::Sent(request), deadline });
                }
                Action::ForgetCoordinator => self.coordinator = None,
                Action::Learn { ticket, .. } => self.asked = Some(ticket),
                Action::Assign(places) => {
                    for place in places {
                        assert!(self.owned.insert(place.clone()), "{place} assigned twice");
                    }
                }
                Action::Revoke { ticket, partitions } => {
                    assert!(self.revoking.is_empty(), "two revocations at once");
                    self.revoking = partitions.into_iter().collect();
                    assert!(!self.revoking.is_empty() && self.revoking.is_subset(&self.owned));
                    self.revocations.push(ticket);
                }
                Action::Lose(places) => {
                    let places: BTreeSet<TopicPartition> = places.into_iter().collect();
                    assert_eq!(places, self.owned);
                    self.owned.clear();
                    self.revoking.clear();
                    self.revocations.clear();
                }
                Action::Warn(_) => {}
                Action::Fail(fault) => {
                    // A name that a client had which was killed.
                    assert_eq!(fault.kind, FaultKind::Fenced, "{fault}");
                    assert!(self.instance.is_some() && self.owned.is_empty());
                    self.is_over = true;
                }
                Action::Left => {
                    assert!(self.owned.is_empty());
                    self.is_over = true;
                }
            }
        }
    }
}

/// What may happen besides joins and departures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fair,
    Foul,
}

struct World {
    weather: Weather,
    /// How long anything may take; in fair weather, as long as it likes.
    patience: Duration,
    options: consumer::Options,
    store: Folder,
    registry: Registry,
    /// Which coordinator is the one.
    coordinator: u32,
    protocol: Protocol,
    topics: BTreeMap<Arc<str>, group::Topic>,
    clients: Vec<Client>,
    start: Instant,
    now: i64,
    names: u32,
    random: Random,
}

fn uuid(n: u8) -> Uuid {
    Uuid([n; 16])
}

impl World {
    fn new(protocol: Protocol, weather: Weather, seed: u64) -> Self {
        let store = Folder::new();
        let patience = Duration::from_secs(if weather == Weather::Fair { 1800 } else { 30 });
        let mut options = consumer::Options::default();
        if weather == Weather::Fair {
            options.session_timeout = patience;
        }
        let topic = |n, partitions| group::Topic { id: uuid(n), partitions };
        Self {
            weather,
            patience,
            options,
            registry: store.load(),
            store,
            coordinator: 0,
            protocol,
            topics: BTreeMap::from([("a".into(), topic(1, 3)), ("b".into(), topic(2, 5))]),
            clients: Vec::new(),
            start: Instant::now(),
            now: 0,
            names: 0,
            random: Random(seed),
        }
    }

    fn is_foul(&self) -> bool {
        self.weather == Weather::Foul
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.now as u64)
    }

    fn pick(&mut self) -> Option<usize> {
        let count = self.clients.len() as u64;
        (count > 0).then(|| self.random.below(count) as usize)
    }

    fn tell(&mut self, at: usize, event: Event<'_>) {
        let now = self.instant();
        let client = &mut self.clients[at];
        let actions = client.member.step(event, now);
        client.take(actions, self.now);
    }

    /// A client wants one topic, or both.
    fn subscribe(&mut self, at: usize) {
        let mut wants: BTreeSet<Arc<str>> = self.topics.keys().cloned().collect();
        if self.random.below(3) == 0 {
            wants.remove("b");
        }
        self.clients[at].wants = wants.clone();
        self.tell(at, Event::Subscribed(wants));
    }

    fn begin(&mut self) {
        self.names += 1;
        let instance = format!("i{}", self.random.below(3));
        let is_free = self.clients.iter().all(|client| client.instance.as_ref() != Some(&instance));
        let instance = Some(instance).filter(|_| self.is_foul() && is_free && self.random.below(2) == 0);
        let protocol = match self.protocol.clone() {
            Protocol::Consumer { assignor, .. } => {
                Protocol::Consumer { member_id: format!("m{}", self.names), assignor }
            }
            Protocol::Classic { assignors, heartbeat_interval, .. } => {
                let session_timeout = if self.is_foul() { self.patience / 3 } else { self.patience };
                Protocol::Classic { session_timeout, heartbeat_interval, assignors }
            }
        };
        let terms = Terms {
            group_id: "g".into(),
            instance_id: instance.clone(),
            rack_id: None,
            max_poll_interval: self.patience * 2,
            retry_backoff: Duration::from_millis(100),
            request_timeout: self.patience,
            protocol,
        };
        self.clients.push(Client {
            name: self.names,
            member: Member::new(terms, self.instant()),
            flights: Vec::new(),
            asked: None,
            revocations: Vec::new(),
            wants: BTreeSet::new(),
            owned: BTreeSet::new(),
            revoking: BTreeSet::new(),
            coordinator: None,
            is_stuck: false,
            is_over: false,
            instance,
        });
        let at = self.clients.len() - 1;
        let topics = Arc::new(self.topics.clone());
        self.tell(at, Event::Topics(topics));
        self.subscribe(at);
    }

    /// Time goes by, for clients and coordinator.
    fn pass(&mut self, ms: i64) {
        let end = self.now + ms;
        while self.now < end {
            self.now = (self.now + 50).min(end);
            self.registry.expire(&self.store, self.now);
            for at in 0..self.clients.len() {
                if !self.clients[at].is_stuck {
                    self.tell(at, Event::Polled);
                }
                if self.clients[at].member.next_time().is_some_and(|due| due <= self.instant()) {
                    self.tell(at, Event::Tick);
                }
                while let Some(nth) = self.clients[at].flights.iter().position(|it| it.deadline <= self.now) {
                    let flight = self.clients[at].flights.remove(nth);
                    self.tell(at, Event::Failed(flight.ticket, Failure::Disconnected));
                }
            }
        }
        self.clients.retain(|client| !client.is_over);
    }

    /// The next thing happens to a request of a client: it arrives, or is lost, or so is its answer.
    fn fly(&mut self, at: usize, nth: usize, is_lost: bool) {
        let Some(flight) = self.clients[at].flights.get_mut(nth) else { return };
        let stage = std::mem::replace(&mut flight.stage, Stage::Lost);
        if is_lost {
            let flight = self.clients[at].flights.remove(nth);
            return self.tell(at, Event::Failed(flight.ticket, Failure::Disconnected));
        }
        let next = match stage {
            Stage::Sent(request) => self.arrive(at, request),
            Stage::Joining(mut reply) => match reply.try_recv() {
                Ok(answer) => Stage::Answered(Response::Join(answer)),
                Err(TryRecvError::Empty) => Stage::Joining(reply),
                Err(TryRecvError::Closed) => Stage::Lost,
            },
            Stage::Syncing(mut reply) => match reply.try_recv() {
                Ok(answer) => Stage::Answered(Response::Sync(answer)),
                Err(TryRecvError::Empty) => Stage::Syncing(reply),
                Err(TryRecvError::Closed) => Stage::Lost,
            },
            other => other,
        };
        match next {
            Stage::Answered(answer) => {
                let flight = self.clients[at].flights.remove(nth);
                self.tell(at, Event::Answered(flight.ticket, answer));
            }
            Stage::Lost => {
                let flight = self.clients[at].flights.remove(nth);
                self.tell(at, Event::Failed(flight.ticket, Failure::Disconnected));
            }
            waiting => self.clients[at].flights[nth].stage = waiting,
        }
    }

    /// A request comes to the coordinator that its client knows.
    fn arrive(&mut self, at: usize, request: Request) -> Stage {
        let known = *self.clients[at].coordinator.get_or_insert(self.coordinator);
        let error_code = if known == self.coordinator { 0 } else { Code::NotCoordinator as i16 };
        let (store, now) = (&self.store, self.now);
        let told = |code: Result<(), Code>| code.map_or_else(|code| code as i16, |()| 0);
        match request {
            Request::Join(_) if error_code != 0 => {
                Stage::Answered(Response::Join(JoinGroupResponse { error_code, ..Default::default() }))
            }
            Request::Join(request) => {
                let (reply, replied) = oneshot::channel();
                let fresh_id = &fresh_member_id("c");
                let join = classic::Join {
                    request: &request,
                    version: 9,
                    client_id: "c",
                    client_host: "h",
                    fresh_id,
                };
                self.registry.join(store, &join, reply, now);
                Stage::Joining(replied)
            }
            Request::Sync(_) if error_code != 0 => {
                Stage::Answered(Response::Sync(SyncGroupResponse { error_code, ..Default::default() }))
            }
            Request::Sync(request) => {
                let (reply, replied) = oneshot::channel();
                self.registry.sync(store, &request, reply, now);
                Stage::Syncing(replied)
            }
            Request::Heartbeat(request) => {
                let code =
                    if error_code == 0 { told(self.registry.heartbeat(&request, now)) } else { error_code };
                Stage::Answered(Response::Heartbeat(HeartbeatResponse {
                    error_code: code,
                    ..Default::default()
                }))
            }
            Request::Leave(request) => {
                if error_code == 0 {
                    drop(self.registry.leave(store, "g", request.members, now));
                }
                Stage::Answered(Response::Leave(LeaveGroupResponse { error_code, ..Default::default() }))
            }
            Request::Consumer(_) if error_code != 0 => {
                Stage::Answered(Response::Consumer(ConsumerGroupHeartbeatResponse {
                    error_code,
                    ..Default::default()
                }))
            }
            Request::Consumer(request) => Stage::Answered(Response::Consumer(self.beat(&request))),
        }
    }

    fn beat(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest<'_>,
    ) -> ConsumerGroupHeartbeatResponse<'static> {
        let topics = self.topics.iter();
        let topics = topics.map(|(name, it)| Topic { name, id: it.id.0, partitions: it.partitions });
        let topics = Topics::new(topics.collect());
        let beat = Beat { request, member_id: &request.member_id, client_id: "c", client_host: "h" };
        let answer = self.registry.consumer_heartbeat(&self.store, beat, &topics, &self.options, self.now);
        answer.unwrap_or_else(|failure| ConsumerGroupHeartbeatResponse {
            error_code: failure.code,
            ..Default::default()
        })
    }

    /// The application of a client does what it was told to, or its driver what it was asked to.
    fn work(&mut self, at: usize) {
        if let Some(ticket) = self.clients[at].asked.take() {
            let topics = Arc::new(self.topics.clone());
            self.tell(at, Event::Learned(ticket, topics));
        }
        let client = &mut self.clients[at];
        if client.is_stuck {
            return;
        }
        if let Some(ticket) = client.revocations.pop() {
            let given_up = std::mem::take(&mut client.revoking);
            client.owned.retain(|place| !given_up.contains(place));
            self.tell(at, Event::Released(ticket));
        }
    }

    fn step(&mut self) {
        let is_foul = self.is_foul();
        let roll = self.random.below(if is_foul { 44 } else { 36 });
        let at = self.pick();
        match (roll, at) {
            (0..=1, _) if self.clients.len() < 6 => self.begin(),
            (2, Some(at)) => self.tell(at, Event::Leave),
            (3, Some(at)) => self.subscribe(at),
            (4, _) => self.grow(),
            (5..=8, _) => {
                let ms = self.random.below(3000) as i64;
                self.pass(ms);
            }
            (9..=16, Some(at)) => self.work(at),
            (36, Some(at)) => drop(self.clients.remove(at)),
            (37, _) => self.move_coordinator(),
            (38, Some(at)) => self.clients[at].is_stuck ^= true,
            (39, _) => {
                let ms = self.random.below(70_000) as i64;
                self.pass(ms);
            }
            (17.., Some(at)) => {
                let count = self.clients[at].flights.len() as u64;
                if count > 0 {
                    let nth = self.random.below(count) as usize;
                    self.fly(at, nth, roll >= 40);
                }
            }
            _ => {}
        }
        self.clients.retain(|client| !client.is_over);
    }

    /// A topic gets more partitions, and the clients hear of it.
    fn grow(&mut self) {
        if let Some(topic) = self.topics.get_mut("a") {
            topic.partitions = (topic.partitions + 1).min(9);
        }
        for at in 0..self.clients.len() {
            let topics = Arc::new(self.topics.clone());
            self.tell(at, Event::Topics(topics));
        }
    }

    /// Another broker takes over, with what is in the journal.
    fn move_coordinator(&mut self) {
        self.coordinator += 1;
        self.registry = Registry::load(&self.store.storage.borrow(), &self.options, self.now).unwrap();
    }

    /// No two have one partition.
    fn check_no_one_shares(&self, seed: u64) {
        let mut owners = BTreeMap::new();
        for client in &self.clients {
            for place in &client.owned {
                let other = owners.insert(place, client.name);
                assert_eq!(other, None, "seed {seed}: {place} is with {} too", client.name);
            }
        }
    }

    /// Everyone goes on in peace until all is well, and for a while after that.
    fn settle(&mut self, seed: u64) {
        self.clients.iter_mut().for_each(|client| client.is_stuck = false);
        // Longer than any time that runs out.
        let rounds = (0..1200).take_while(|_| {
            self.go_on();
            self.trouble().is_some()
        });
        let _ = rounds.count();
        (0..80).for_each(|_| self.go_on());
        assert_eq!(self.trouble(), None, "seed {seed}: {:#?}", self.clients);
        self.check_no_one_shares(seed);
    }

    fn go_on(&mut self) {
        for at in 0..self.clients.len() {
            self.work(at);
            for nth in (0..self.clients[at].flights.len()).rev() {
                self.fly(at, nth, false);
            }
        }
        self.pass(250);
    }

    /// What is not as it is to be in the end.
    fn trouble(&self) -> Option<String> {
        let owned = self.clients.iter().flat_map(|client| client.owned.iter().cloned());
        let mut owned: Vec<TopicPartition> = owned.collect();
        owned.sort();
        let is_wanted = |topic: &str| self.clients.iter().any(|client| client.wants.contains(topic));
        let all = self.topics.iter().filter(|(topic, _)| is_wanted(topic)).flat_map(|(topic, it)| {
            (0..it.partitions).map(|partition| TopicPartition { topic: Arc::clone(topic), partition })
        });
        let all: Vec<TopicPartition> = all.collect();
        let state = state(&self.registry, "g");
        if owned != all {
            Some(format!("{owned:?} is not {all:?}"))
        } else if !self.clients.is_empty() && state != Some("Stable") {
            Some(format!("the group is {state:?}"))
        } else {
            None
        }
    }
}

fn classic(assignors: &[Assignor]) -> Protocol {
    Protocol::Classic {
        session_timeout: Duration::from_secs(10),
        heartbeat_interval: Duration::from_secs(3),
        assignors: assignors.to_vec(),
    }
}

fn kip848() -> Protocol {
    Protocol::Consumer { member_id: String::new(), assignor: None }
}

fn play(protocol: &Protocol, weather: Weather, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut world = World::new(protocol.clone(), weather, seed * 7919);
        for _ in 0..400 {
            world.step();
            if weather == Weather::Fair {
                world.check_no_one_shares(seed);
            }
        }
        world.settle(seed);
    }
}

#[test]
fn eager_groups_settle() {
    for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky] {
        play(&classic(&[assignor]), Weather::Foul, 1..9);
    }
    play(&classic(&[Assignor::Range, Assignor::CooperativeSticky]), Weather::Foul, 9..14);
}

#[test]
fn cooperative_groups_settle() {
    play(&classic(&[Assignor::CooperativeSticky]), Weather::Foul, 1..24);
}

#[test]
fn groups_of_kip_848_settle() {
    play(&kip848(), Weather::Foul, 1..24);
}

#[test]
fn in_fair_weather_no_partition_is_ever_with_two() {
    for assignor in Assignor::ALL {
        play(&classic(&[assignor]), Weather::Fair, 1..9);
    }
    play(&kip848(), Weather::Fair, 1..9);
}
