//! Against the embedded broker, over sockets.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};

use super::*;
use crate::broker::{Broker, FaultKind, Options as BrokerOptions};
use crate::wire::ErrorCode;

fn at(broker: &Broker) -> Address {
    broker.addr().into()
}

fn cluster(bootstrap: Vec<Address>) -> Cluster {
    Cluster::new(Config::new(bootstrap), &Handle::current())
}

/// The first broker's id.
fn id(metadata: &Metadata) -> i32 {
    metadata.brokers().next().unwrap().id
}

async fn broker(options: BrokerOptions) -> Broker {
    tokio::task::spawn_blocking(|| Broker::start(options).unwrap()).await.unwrap()
}

async fn stop(broker: Broker) {
    tokio::task::spawn_blocking(|| broker.stop().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_thousand_requests_are_pipelined() {
    let broker = broker(BrokerOptions::default()).await;
    let cluster = cluster(vec![at(&broker)]);
    let id = id(&cluster.refresh(&[], far()).await.unwrap());
    let connection = cluster.connection(id, Purpose::Produce { channel: 0 }, far()).await.unwrap();
    let topics: Vec<String> = (0..1000).map(|n| format!("topic-{n}")).collect();
    let pending: Vec<_> = topics
        .iter()
        .map(|topic| {
            let topic = MetadataRequestTopic { name: Some(topic.into()), ..Default::default() };
            let request = MetadataRequest {
                topics: Some(vec![topic]),
                allow_auto_topic_creation: false,
                ..Default::default()
            };
            connection.send(&request, quickly())
        })
        .collect();
    for (topic, pending) in topics.iter().zip(pending) {
        let answer = pending.await.unwrap();
        let response: MetadataResponse<'_> = answer.read().unwrap();
        assert_eq!(response.topics[0].name.as_deref(), Some(&**topic));
    }
}

#[tokio::test]
async fn a_broker_that_was_restarted_is_found_again() {
    let first = broker(BrokerOptions::default()).await;
    let addr = first.addr();
    let cluster = cluster(vec![addr.into()]);
    cluster.topic("t", far()).await.unwrap();
    let id = id(&cluster.metadata());
    let connection = cluster.connection(id, Purpose::Fetch, far()).await.unwrap();
    stop(first).await;
    let again = broker(BrokerOptions { listen: addr, ..BrokerOptions::default() }).await;
    // No error is told: nothing was in flight.
    let answer = cluster.ask(id, Purpose::Fetch, &MetadataRequest::default(), far()).await.unwrap();
    assert_eq!(answer.read::<MetadataResponse<'_>>().unwrap().brokers[0].port, i32::from(addr.port()));
    assert!(!connection.is_open());
    stop(again).await;
}

#[tokio::test]
async fn a_broker_that_is_gone_is_an_error_in_time() {
    let first = broker(BrokerOptions::default()).await;
    let cluster = cluster(vec![at(&first)]);
    let id = id(&cluster.refresh(&[], far()).await.unwrap());
    stop(first).await;
    let error = cluster.connection(id, Purpose::Fetch, far()).await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Unreachable, Sent::No));
    assert!(error.to_string().contains("cannot connect: Connection refused"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_lost_is_told_as_such() {
    let broker = broker(BrokerOptions::default()).await;
    let cluster = cluster(vec![at(&broker)]);
    let id = id(&cluster.refresh(&[], far()).await.unwrap());
    broker.faults().add(ApiKey::CreateTopics, 1, FaultKind::Drop);
    let topic = CreateTopicsRequestTopic {
        name: "t".into(),
        num_partitions: 3,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let error = cluster.ask(id, Purpose::Control, &request, far()).await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Closed, Sent::Maybe));
    // It had been carried out.
    assert_eq!(cluster.topic("t", far()).await.unwrap().partitions.len(), 3);
}

#[tokio::test]
async fn a_dead_bootstrap_server_is_passed_over() {
    let broker = broker(BrokerOptions::default()).await;
    let dead: Address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().into()
    };
    let cluster = cluster(vec![dead, at(&broker)]);
    assert_eq!(cluster.topic("t", far()).await.unwrap().partitions.len(), 1);
}

#[tokio::test]
async fn ipv6_addresses_work_in_brackets() {
    let listen = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let broker = broker(BrokerOptions { listen, ..BrokerOptions::default() }).await;
    let address = Address::parse(&format!("[::1]:{}", broker.addr().port())).unwrap();
    let cluster = cluster(vec![address.clone()]);
    let metadata = cluster.refresh(&[], far()).await.unwrap();
    // The broker tells its address as the client reaches it.
    assert_eq!(metadata.broker(id(&metadata)).unwrap().address, address);
    cluster.connection(id(&metadata), Purpose::Fetch, far()).await.unwrap();
}

#[tokio::test]
async fn every_address_of_a_host_name_is_tried() {
    // `localhost` may be ::1 first, where nobody listens.
    let broker = broker(BrokerOptions::default()).await;
    let address = Address::new("localhost", i32::from(broker.addr().port())).unwrap();
    let connector = Plain { timeout: LONG };
    Connection::open(&connector, &address, &Options::default(), &Handle::current()).await.unwrap();
}

#[tokio::test]
async fn topics_are_created_only_where_that_is_allowed() {
    let broker = broker(BrokerOptions { partitions: 4, ..BrokerOptions::default() }).await;
    let config = Config { creation: Creation::Forbidden, ..Config::new(vec![at(&broker)]) };
    let forbidden = Cluster::new(config, &Handle::current());
    let soon = Instant::now() + Duration::from_millis(300);
    let error = forbidden.topic("t", soon).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Broker(ErrorCode::UnknownTopicOrPartition));
    let allowed = cluster(vec![at(&broker)]);
    assert_eq!(allowed.topic("t", far()).await.unwrap().partitions.len(), 4);
    assert_eq!(forbidden.topic("t", far()).await.unwrap().partitions.len(), 4);
}

#[tokio::test]
async fn offsets_are_found() {
    let broker = broker(BrokerOptions::default()).await;
    let cluster = cluster(vec![at(&broker)]);
    cluster.topic("t", far()).await.unwrap();
    let queries = [-1, -2].map(|timestamp| OffsetQuery { topic: "t".into(), partition: 0, timestamp });
    let found = cluster.list_offsets(&queries, Isolation::Committed, far()).await.unwrap();
    let offsets: Vec<_> = found.iter().map(|found| found.unwrap().offset).collect();
    assert_eq!(offsets, [Some(0), Some(0)]);
}

#[test]
fn a_thread_outside_the_runtime_can_use_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let broker = Broker::start(BrokerOptions::default()).unwrap();
    let cluster = Cluster::new(Config::new(vec![at(&broker)]), runtime.handle());
    let metadata = runtime.block_on(cluster.refresh(&[], far())).unwrap();
    let connection = runtime.block_on(cluster.connection(id(&metadata), Purpose::Fetch, far())).unwrap();
    // Sending does not even need to be inside.
    let pending = connection.send(&MetadataRequest::default(), quickly());
    let answer = runtime.block_on(pending).unwrap();
    assert_eq!(answer.read::<MetadataResponse<'_>>().unwrap().brokers.len(), 1);
}
