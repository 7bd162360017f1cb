//! The cluster view with brokers in memory.

use super::*;
use crate::wire::{ErrorCode, Uuid};

/// Leader and epoch of each partition.
type Leaders = Vec<(i32, i32)>;

/// A cluster in memory: what its brokers answer, and what they were asked.
#[derive(Clone, Default)]
struct World {
    network: Network,
    /// Id and host of the brokers that metadata tells of.
    brokers: Arc<Mutex<Vec<(i32, &'static str)>>>,
    /// Their topics.
    topics: Arc<Mutex<HashMap<String, Leaders>>>,
    /// What was asked, by whom it was asked of.
    asked: Arc<Mutex<Vec<(&'static str, ApiKey)>>>,
    /// Error codes to answer with before anything else.
    errors: Arc<Mutex<Vec<(ApiKey, i16)>>>,
    connections: Arc<Mutex<Vec<(&'static str, bool)>>>,
}

impl World {
    fn new(brokers: &[(i32, &'static str)]) -> Self {
        let world = Self::default();
        for (_, host) in brokers {
            world.start(host);
        }
        world.brokers.lock().unwrap().extend(brokers);
        world
    }

    fn start(&self, host: &'static str) {
        let world = self.clone();
        self.network.add(host, move |peer, _| {
            let world = world.clone();
            async move { world.serve(host, peer).await }
        });
    }

    fn topic(&self, name: &str, leaders: &[(i32, i32)]) {
        self.topics.lock().unwrap().insert(name.to_owned(), leaders.to_vec());
    }

    fn fail(&self, api: ApiKey, code: i16) {
        self.errors.lock().unwrap().push((api, code));
    }

    fn error(&self, api: ApiKey) -> i16 {
        let mut errors = self.errors.lock().unwrap();
        let at = errors.iter().position(|(of, _)| *of == api);
        at.map_or(0, |at| errors.remove(at).1)
    }

    fn count(&self, api: ApiKey) -> usize {
        self.asked.lock().unwrap().iter().filter(|(_, asked)| *asked == api).count()
    }

    fn open_connections(&self) -> usize {
        self.connections.lock().unwrap().iter().filter(|(_, open)| *open).count()
    }

    async fn serve(self, host: &'static str, mut peer: Peer) {
        let number = {
            let mut connections = self.connections.lock().unwrap();
            connections.push((host, true));
            connections.len() - 1
        };
        peer.hello().await;
        while let Some(asked) = peer.request().await {
            self.asked.lock().unwrap().push((host, asked.api));
            match asked.api {
                ApiKey::Metadata => {
                    // So that others may ask in the meantime.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    peer.answer(&asked, &self.metadata(&asked.read())).await;
                }
                ApiKey::FindCoordinator => {
                    let answer = self.coordinator(asked.read());
                    peer.answer(&asked, &answer).await;
                }
                ApiKey::ListOffsets => {
                    let answer = self.offsets(asked.read());
                    peer.answer(&asked, &answer).await;
                }
                ApiKey::ListGroups => {
                    let error_code = self.error(ApiKey::ListGroups);
                    peer.answer(&asked, &ListGroupsResponse { error_code, ..Default::default() }).await;
                }
                _ => break,
            }
        }
        self.connections.lock().unwrap()[number].1 = false;
    }

    fn metadata(&self, asked: &MetadataRequest<'_>) -> MetadataResponse<'static> {
        let broker = |(node_id, host): &(i32, &'static str)| MetadataBroker {
            node_id: *node_id,
            host: (*host).into(),
            port: 9092,
            rack: None,
        };
        let topics = self.topics.lock().unwrap();
        let names: Vec<String> = match &asked.topics {
            None => topics.keys().cloned().collect(),
            Some(asked) => asked.iter().map(|topic| topic.name.clone().unwrap().into_owned()).collect(),
        };
        let topic = |name: String| {
            let leaders = topics.get(&name);
            let partition = |(partition_index, leader): (i32, &(i32, i32))| MetadataPartition {
                partition_index,
                leader_id: leader.0,
                leader_epoch: leader.1,
                ..Default::default()
            };
            MetadataTopic {
                error_code: leaders.map_or(3, |_| 0),
                topic_id: Uuid([1; 16]),
                partitions: (0..).zip(leaders.into_iter().flatten()).map(partition).collect(),
                name: Some(name.into()),
                ..Default::default()
            }
        };
        MetadataResponse {
            brokers: self.brokers.lock().unwrap().iter().map(broker).collect(),
            topics: names.into_iter().map(topic).collect(),
            ..Default::default()
        }
    }

    fn coordinator(&self, asked: FindCoordinatorRequest<'_>) -> FindCoordinatorResponse<'static> {
        let error_code = self.error(ApiKey::FindCoordinator);
        let coordinators = asked.coordinator_keys.iter().map(|key| FindCoordinatorResult {
            key: key.to_string().into(),
            node_id: 7,
            host: "coordinator".into(),
            port: 9092,
            error_code,
            error_message: None,
        });
        FindCoordinatorResponse { coordinators: coordinators.collect(), ..Default::default() }
    }

    /// The offset of a time is that time, as long as it is below 1000.
    fn offsets(&self, asked: ListOffsetsRequest<'_>) -> ListOffsetsResponse<'static> {
        let error_code = self.error(ApiKey::ListOffsets);
        let partition = |asked: &ListOffsetsRequestPartition| ListOffsetsResponsePartition {
            partition_index: asked.partition_index,
            error_code,
            offset: if asked.timestamp < 1000 { asked.timestamp } else { -1 },
            leader_epoch: asked.current_leader_epoch,
            ..Default::default()
        };
        let topic = |asked: &ListOffsetsRequestTopic<'_>| ListOffsetsResponseTopic {
            name: asked.name.to_string().into(),
            partitions: asked.partitions.iter().map(partition).collect(),
        };
        ListOffsetsResponse { topics: asked.topics.iter().map(topic).collect(), ..Default::default() }
    }

    fn config(&self, bootstrap: &[&str]) -> Config {
        let bootstrap = bootstrap.iter().map(|host| address(host)).collect();
        let connector = Arc::new(self.network.clone());
        Config { connector, random: Random::seeded(1), ..Config::new(bootstrap) }
    }

    fn cluster(&self, bootstrap: &[&str]) -> Cluster {
        Cluster::new(self.config(bootstrap), &Handle::current())
    }
}

fn query(topic: &str, partition: i32, timestamp: i64) -> OffsetQuery {
    OffsetQuery { topic: topic.into(), partition, timestamp }
}

#[tokio::test(start_paused = true)]
async fn one_question_serves_all_who_ask() {
    let world = World::new(&[(1, "a")]);
    world.topic("t", &[(1, 0)]);
    let cluster = world.cluster(&["a"]);
    let asks: Vec<_> = (0..50)
        .map(|_| {
            let cluster = cluster.clone();
            tokio::spawn(async move { cluster.refresh(&["t"], far()).await.unwrap() })
        })
        .collect();
    for ask in asks {
        assert_eq!(ask.await.unwrap().leader("t", 0), Some(Leader { id: 1, epoch: 0 }));
    }
    assert_eq!((world.count(ApiKey::Metadata), world.network.attempts_at("a").len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_more_than_is_being_asked_gets_the_next_question() {
    let world = World::new(&[(1, "a")]);
    world.topic("t", &[(1, 0)]);
    world.topic("u", &[(1, 0)]);
    let cluster = world.cluster(&["a"]);
    let (first, second) = tokio::join!(cluster.refresh(&["t"], far()), cluster.refresh(&["u"], far()));
    assert!(first.unwrap().topic("u").is_none());
    let second = second.unwrap();
    assert!(second.topic("t").is_some() && second.topic("u").is_some());
    assert_eq!(world.count(ApiKey::Metadata), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_asked_for_no_more_often_than_the_backoff_allows() {
    let world = World::new(&[(1, "a")]);
    world.topic("t", &[(1, 0)]);
    let cluster = world.cluster(&["a"]);
    let start = Instant::now();
    for _ in 0..11 {
        cluster.refresh(&["t"], far()).await.unwrap();
    }
    let took = start.elapsed().as_millis();
    assert!((1100..1300).contains(&took), "{took} ms");
    let before = Instant::now();
    world.topic("new", &[(1, 0)]);
    cluster.topic("new", far()).await.unwrap();
    assert!(before.elapsed() < Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_waited_for_until_the_deadline() {
    let world = World::new(&[(1, "a")]);
    let cluster = world.cluster(&["a"]);
    let start = Instant::now();
    let error = cluster.topic("t", start + Duration::from_secs(3)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Broker(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(error.to_string(), "topic t: UNKNOWN_TOPIC_OR_PARTITION");
    assert_eq!(start.elapsed().as_secs(), 3);
    let waiting = tokio::spawn({
        let cluster = cluster.clone();
        async move { cluster.topic("t", far()).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.topic("t", &[(1, 4)]);
    assert_eq!(waiting.await.unwrap().unwrap().partitions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_asked_for_again_when_it_is_old() {
    let world = World::new(&[(1, "a")]);
    world.topic("t", &[(1, 0)]);
    let cluster = world.cluster(&["a"]);
    cluster.refresh(&["t"], far()).await.unwrap();
    let mut changes = cluster.watch();
    changes.mark_unchanged();
    let start = Instant::now();
    world.topic("t", &[(1, 0), (1, 0)]);
    changes.changed().await.unwrap();
    assert_eq!(changes.borrow().topic("t").unwrap().partitions.len(), 2);
    let waited = start.elapsed().as_secs();
    assert_eq!(waited, 300);
    cluster.forget(&["t"]);
    let before = world.count(ApiKey::Metadata);
    tokio::time::sleep(Duration::from_secs(3000)).await;
    assert_eq!(world.count(ApiKey::Metadata), before);
    assert!(cluster.metadata().topic("t").is_none());
}

#[tokio::test(start_paused = true)]
async fn all_topics_are_asked_for_once_they_were() {
    let world = World::new(&[(1, "a")]);
    world.topic("t", &[(1, 0)]);
    let cluster = world.cluster(&["a"]);
    assert_eq!(cluster.refresh_all(far()).await.unwrap().topics().count(), 1);
    world.topic("u", &[(1, 0)]);
    assert_eq!(cluster.refresh(&["t"], far()).await.unwrap().topics().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn dead_bootstrap_servers_do_not_hold_up_one_that_works() {
    for seed in 0..10 {
        let world = World::new(&[(1, "a")]);
        world.network.add_black_hole("hole");
        let config = Config { random: Random::seeded(seed), ..world.config(&["hole", "nobody", "a"]) };
        let cluster = Cluster::new(config, &Handle::current());
        let start = Instant::now();
        cluster.refresh(&[], far()).await.unwrap();
        assert!(start.elapsed() < Duration::from_millis(600), "{:?} with seed {seed}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_connects_but_does_not_answer_is_passed_over() {
    let world = World::new(&[(1, "a")]);
    world.network.add("mute", |mut peer, _| async move {
        peer.hello().await;
        peer.silence().await;
    });
    for seed in 0..4 {
        let config = Config { random: Random::seeded(seed), ..world.config(&["mute", "a"]) };
        let cluster = Cluster::new(config, &Handle::current());
        let start = Instant::now();
        cluster.refresh(&[], far()).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(31));
    }
}

#[tokio::test(start_paused = true)]
async fn when_nothing_answers_the_addresses_and_the_reason_are_told() {
    let cluster = World::default().cluster(&["a", "b"]);
    let start = Instant::now();
    let error = cluster.refresh(&["t"], start + Duration::from_secs(5)).await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Unreachable, Sent::No));
    let text = error.to_string();
    assert!(text.starts_with("no broker reached at a:9092,b:9092: broker "), "{text}");
    assert!(text.ends_with(": cannot connect: connection refused"), "{text}");
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn attempts_to_connect_are_spaced_by_growing_waits() {
    let world = World::default();
    let cluster = world.cluster(&["a"]);
    let start = Instant::now();
    // Many who ask, one attempt at a time.
    let asks: Vec<_> = (0..20)
        .map(|_| {
            let cluster = cluster.clone();
            tokio::spawn(async move { cluster.any(start + Duration::from_secs(100)).await.unwrap_err() })
        })
        .collect();
    for ask in asks {
        ask.await.unwrap();
    }
    let attempts = world.network.attempts_at("a");
    // The attempts to connect began with no wait, and the doubled ones follow, each off by a fifth at most;
    // who asks waits `retry.backoff.ms` besides, until the wait is longer than that.
    let waits: Vec<f64> = attempts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    for (n, wait) in waits.iter().enumerate() {
        let doubled = (0.05 * 2_f64.powi(n as i32)).min(10.0);
        let (least, most) = (doubled * 0.8 - 0.002, (doubled * 1.2).max(0.1) + 0.01);
        assert!((least..=most).contains(wait), "wait {n}: {wait}");
    }
    assert!((15..25).contains(&attempts.len()), "{}", attempts.len());
}

#[tokio::test(start_paused = true)]
async fn a_success_starts_the_waits_from_the_first_again() {
    let world = World::default();
    let cluster = world.cluster(&["a"]);
    cluster.any(Instant::now() + Duration::from_secs(50)).await.unwrap_err();
    world.network.add("a", |mut peer, number| async move {
        peer.hello().await;
        if number % 2 == 0 {
            peer.request().await;
        }
    });
    let connection = cluster.any(far()).await.unwrap();
    let _ = connection.send(&heartbeat("0"), quickly()).await;
    connection.close();
    let start = Instant::now();
    cluster.any(far()).await.unwrap();
    assert!(start.elapsed() <= Duration::from_millis(170), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_metadata_answer_without_brokers_wedges_nothing() {
    let world = World::new(&[]);
    world.start("a");
    let cluster = world.cluster(&["a"]);
    let error = cluster.refresh(&[], Instant::now() + Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "broker a:9092: it knows of no brokers yet");
    world.brokers.lock().unwrap().push((1, "a"));
    assert_eq!(cluster.refresh(&[], far()).await.unwrap().brokers().count(), 1);
    world.brokers.lock().unwrap().clear();
    cluster.refresh(&[], Instant::now() + Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(cluster.metadata().brokers().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_bootstrap_servers_are_asked_again_when_all_known_brokers_are_gone() {
    let world = World::new(&[(1, "a")]);
    world.start("seed");
    let cluster = world.cluster(&["seed"]);
    cluster.refresh(&[], far()).await.unwrap();
    // The whole cluster moves.
    world.network.remove("a");
    world.start("b");
    *world.brokers.lock().unwrap() = vec![(2, "b")];
    let metadata = cluster.refresh(&[], far()).await.unwrap();
    assert_eq!(metadata.brokers().map(|broker| broker.id).collect::<Vec<_>>(), [2]);
    cluster.connection(2, Purpose::Produce { channel: 0 }, far()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_purpose_has_its_own_connection_and_keeps_it() {
    let world = World::new(&[(1, "a")]);
    let cluster = world.cluster(&["a"]);
    let purposes = [
        Purpose::Control,
        Purpose::Produce { channel: 0 },
        Purpose::Fetch,
        Purpose::Group,
        Purpose::Transaction,
    ];
    let mut connections = Vec::new();
    for purpose in purposes {
        let first = cluster.connection(1, purpose, far()).await.unwrap();
        let second = cluster.connection(1, purpose, far()).await.unwrap();
        assert!(first.is(&second) && !connections.iter().any(|other| first.is(other)));
        connections.push(first);
    }
    assert_eq!(world.network.attempts_at("a").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_not_there_is_an_error_after_one_more_question() {
    let world = World::new(&[(1, "a")]);
    let cluster = world.cluster(&["a"]);
    let error = cluster.connection(9, Purpose::Fetch, far()).await.unwrap_err();
    assert_eq!(error.to_string(), "the cluster has no broker 9 at present");
    assert_eq!(world.count(ApiKey::Metadata), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_listens_elsewhere_now_is_found_there() {
    let world = World::new(&[(1, "a")]);
    let cluster = world.cluster(&["a"]);
    assert_eq!(cluster.connection(1, Purpose::Fetch, far()).await.unwrap().address(), &address("a"));
    world.start("b");
    *world.brokers.lock().unwrap() = vec![(1, "b")];
    cluster.refresh(&[], far()).await.unwrap();
    assert_eq!(cluster.connection(1, Purpose::Fetch, far()).await.unwrap().address(), &address("b"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_closed_for_being_idle_is_opened_again_without_a_word() {
    let world = World::new(&[(1, "a")]);
    let cluster = world.cluster(&["a"]);
    cluster.refresh(&[], far()).await.unwrap();
    world.network.add("a", |mut peer, number| async move {
        peer.hello().await;
        if number % 2 == 0 {
            let asked = peer.request().await.unwrap();
            peer.answer(&asked, &HeartbeatResponse { throttle_time_ms: 3, ..Default::default() }).await;
        }
    });
    // The second connection is closed at once, the third after an answer, the fourth at once ...
    let first = cluster.connection(1, Purpose::Group, far()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!first.is_open());
    let start = Instant::now();
    let answer = cluster.ask(1, Purpose::Group, &heartbeat("0"), far()).await.unwrap();
    assert_eq!(answer.read::<HeartbeatResponse>().unwrap().throttle_time_ms, 3);
    assert!(start.elapsed() < Duration::from_millis(5), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_while_a_broker_cannot_be_reached() {
    let world = World::new(&[(1, "a"), (2, "hole")]);
    world.network.add_black_hole("hole");
    let cluster = world.cluster(&["a"]);
    let start = Instant::now();
    let error = cluster.connection(2, Purpose::Fetch, start + Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(error.to_string(), "broker hole:9092: no connection came about in time");
    assert_eq!(start.elapsed().as_secs(), 2);
    // The attempt went on and ends in its own time.
    let error = cluster.connection(2, Purpose::Fetch, far()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_newer_leader_that_an_answer_tells_of_is_noted() {
    let world = World::new(&[(1, "a")]);
    world.topic("t", &[(1, 5)]);
    world.start("b");
    let cluster = world.cluster(&["a"]);
    cluster.refresh(&["t"], far()).await.unwrap();
    assert!(!cluster.note_leader("t", 0, Leader { id: 2, epoch: 5 }, None));
    assert!(cluster.note_leader("t", 0, Leader { id: 2, epoch: 6 }, Some(address("b"))));
    assert_eq!(cluster.metadata().leader("t", 0), Some(Leader { id: 2, epoch: 6 }));
    assert_eq!(
        cluster.connection(2, Purpose::Produce { channel: 0 }, far()).await.unwrap().address(),
        &address("b")
    );
    // The broker asked has not heard of it yet.
    assert_eq!(cluster.refresh(&["t"], far()).await.unwrap().leader("t", 0).unwrap().id, 2);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_is_waited_for_and_known_until_it_is_forgotten() {
    let world = World::new(&[(1, "a")]);
    world.start("coordinator");
    world.fail(ApiKey::FindCoordinator, 15);
    world.fail(ApiKey::FindCoordinator, 14);
    let cluster = world.cluster(&["a"]);
    for _ in 0..3 {
        assert_eq!(cluster.coordinator(Coordinated::Group, "g", far()).await.unwrap(), 7);
    }
    assert_eq!(world.count(ApiKey::FindCoordinator), 3);
    let connection = cluster.connection(7, Purpose::Group, far()).await.unwrap();
    assert_eq!(connection.address(), &address("coordinator"));
    cluster.forget_coordinator(Coordinated::Group, "g");
    world.fail(ApiKey::FindCoordinator, 30);
    let error = cluster.coordinator(Coordinated::Group, "g", far()).await.unwrap_err();
    assert_eq!(error.to_string(), "broker a:9092: coordinator of group g: GROUP_AUTHORIZATION_FAILED");
}

/// Asks whether it lists groups.
async fn listed(cluster: &Cluster, whom: Whom<'_>) -> Result<()> {
    let read = |answer: &Answer| {
        let code = answer.read::<ListGroupsResponse<'_>>()?.error_code;
        ErrorCode::check(code).map_err(|code| Error::of_code(code, "listing groups"))
    };
    cluster.question(whom, &ListGroupsRequest::default(), read, far()).await
}

#[tokio::test(start_paused = true)]
async fn a_question_is_asked_again_of_whom_it_concerns_then() {
    let world = World::new(&[(1, "a")]);
    world.start("coordinator");
    let cluster = world.cluster(&["a"]);
    let coordinator = Whom::Coordinator(Coordinated::Group, "g");
    for code in [14, 16] {
        world.fail(ApiKey::ListGroups, code);
        listed(&cluster, coordinator).await.unwrap();
    }
    // Only when it is another one now it is looked for again.
    assert_eq!((world.count(ApiKey::ListGroups), world.count(ApiKey::FindCoordinator)), (4, 2));
    world.fail(ApiKey::ListGroups, 15);
    listed(&cluster, Whom::Broker(1)).await.unwrap();
    listed(&cluster, Whom::Anyone).await.unwrap();
    assert_eq!(world.asked.lock().unwrap().iter().filter(|of| **of == ("a", ApiKey::ListGroups)).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_refused_is_not_asked_again_and_no_other_after_the_deadline() {
    let world = World::new(&[(1, "a")]);
    let cluster = world.cluster(&["a"]);
    world.fail(ApiKey::ListGroups, 31);
    let error = listed(&cluster, Whom::Anyone).await.unwrap_err();
    assert_eq!(error.to_string(), "listing groups: CLUSTER_AUTHORIZATION_FAILED");
    assert_eq!(world.count(ApiKey::ListGroups), 1);
    for _ in 0..10_000 {
        world.fail(ApiKey::ListGroups, 14);
    }
    let started = Instant::now();
    let error = listed(&cluster, Whom::Anyone).await.unwrap_err();
    assert_eq!(error.to_string(), "listing groups: COORDINATOR_LOAD_IN_PROGRESS");
    assert_eq!(started.elapsed().as_secs(), LONG.as_secs());
}

#[tokio::test(start_paused = true)]
async fn offsets_are_asked_of_each_leader_in_one_request() {
    let world = World::new(&[(1, "a"), (2, "b")]);
    let leaders: Vec<_> = (0..100).map(|n| (1 + n % 2, 3)).collect();
    world.topic("t", &leaders);
    let cluster = world.cluster(&["a"]);
    let queries: Vec<_> = (0..100).map(|n| query("t", n, i64::from(n) * 20)).collect();
    let found = cluster.list_offsets(&queries, Isolation::Committed, far()).await.unwrap();
    for (n, found) in (0..).zip(found) {
        let offset = Some(n * 20).filter(|offset| *offset < 1000);
        assert_eq!(found, Ok(FoundOffset { offset, timestamp: None, leader_epoch: Some(3) }));
    }
    assert_eq!(world.count(ApiKey::ListOffsets), 2);
}

#[tokio::test(start_paused = true)]
async fn offsets_are_asked_for_again_where_the_leader_moved() {
    let world = World::new(&[(1, "a"), (2, "b")]);
    world.topic("t", &[(1, 3)]);
    let cluster = world.cluster(&["a"]);
    cluster.refresh(&["t"], far()).await.unwrap();
    world.topic("t", &[(2, 4)]);
    world.fail(ApiKey::ListOffsets, 6);
    let found = cluster.list_offsets(&[query("t", 0, 5)], Isolation::Uncommitted, far()).await.unwrap();
    assert_eq!(found[0].unwrap().leader_epoch, Some(4));
    let asked: Vec<_> = world.asked.lock().unwrap().clone();
    let leaders: Vec<_> =
        asked.iter().filter(|(_, api)| *api == ApiKey::ListOffsets).map(|(host, _)| *host).collect();
    assert_eq!(leaders, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn offsets_refused_for_good_are_outcomes_and_partitions_may_be_asked_for_twice() {
    let world = World::new(&[(1, "a")]);
    world.topic("t", &[(1, 3)]);
    let cluster = world.cluster(&["a"]);
    let twice = [query("t", 0, 5), query("t", 0, 6)];
    let found = cluster.list_offsets(&twice, Isolation::Uncommitted, far()).await.unwrap();
    assert_eq!(found.iter().map(|found| found.unwrap().offset).collect::<Vec<_>>(), [Some(5), Some(6)]);
    world.fail(ApiKey::ListOffsets, 29);
    let found = cluster.list_offsets(&twice[..1], Isolation::Uncommitted, far()).await.unwrap();
    assert_eq!(found, [Err(ErrorCode::TopicAuthorizationFailed)]);
    let start = Instant::now();
    let missing = [query("t", 1, 5)];
    let error = cluster.list_offsets(&missing, Isolation::Uncommitted, start + Duration::from_secs(2)).await;
    assert_eq!(error.unwrap_err().to_string(), "t[1]: UNKNOWN_TOPIC_OR_PARTITION");
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_when_the_last_handle_is_dropped() {
    let world = World::new(&[(1, "a"), (2, "hole")]);
    world.network.add_black_hole("hole");
    let cluster = world.cluster(&["a"]);
    cluster.refresh(&["t"], far()).await.unwrap();
    cluster.connection(1, Purpose::Fetch, far()).await.unwrap();
    let waiting = tokio::spawn({
        let cluster = cluster.clone();
        async move { cluster.connection(2, Purpose::Fetch, Instant::now() + Duration::from_secs(1)).await }
    });
    waiting.await.unwrap().unwrap_err();
    assert_eq!(world.open_connections(), 2);
    let metrics = Handle::current().metrics();
    assert!(metrics.num_alive_tasks() > 2);
    drop(cluster);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((world.open_connections(), metrics.num_alive_tasks()), (0, 0));
}
