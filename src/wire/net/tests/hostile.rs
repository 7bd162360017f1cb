//! Brokers that are none, and what can happen to a connection: each ends it with one error that names the
//! broker, in bounded time, and every request is told whether it may have been carried out.

use super::*;

/// The outcome of a request to a broker that does as the script says, and of one that waits behind it.
async fn both<F>(script: impl Fn(Peer) -> F + Send + Sync + 'static) -> (Error, Error, Connection)
where
    F: Future<Output = ()> + Send + 'static,
{
    let options = Options { max_in_flight: 1, ..Options::default() };
    let connection = connected_with(options, script).await;
    let first = connection.send(&heartbeat("0"), quickly());
    let second = connection.send(&heartbeat("0"), Sending::within(LONG));
    let first = first.await.unwrap_err();
    let second = second.await.unwrap_err();
    assert_eq!(first.address(), Some(&address("fake")));
    (first, second, connection)
}

/// Checks that the first may have been carried out, the second not, and that the connection is closed.
fn closed_between((first, second, connection): &(Error, Error, Connection), kind: Kind, text: &str) {
    assert_eq!(first.to_string(), format!("broker fake:9092: {text}"));
    assert_eq!((first.kind(), first.sent()), (kind, Sent::Maybe));
    assert_eq!(second.sent(), Sent::No);
    assert!(!connection.is_open());
    assert!(connection.ended().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_one_error() {
    let error = open_at(&Network::default(), "b", &Options::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "broker b:9092: cannot connect: connection refused");
    assert_eq!((error.kind(), error.sent()), (Kind::Unreachable, Sent::No));
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_was_denied_is_not_worth_another_try() {
    #[derive(Debug)]
    struct Denied;
    impl Connector for Denied {
        fn connect<'a>(&'a self, _: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
            Box::pin(async { Err(io::Error::new(io::ErrorKind::PermissionDenied, "wrong password")) })
        }
    }
    let config = Config { connector: Arc::new(Denied), ..Config::new(vec![address("b")]) };
    let start = Instant::now();
    let error = Cluster::new(config, &Handle::current()).refresh(&[], far()).await.unwrap_err();
    assert_eq!(error.to_string(), "broker b:9092: cannot connect: wrong password");
    assert_eq!((error.kind(), error.is_retriable()), (Kind::Authentication, false));
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_comes_about_ends_in_time() {
    let network = Network::default();
    network.add_black_hole("b");
    let start = Instant::now();
    let error = open_at(&network, "b", &Options::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "broker b:9092: no connection within 10s");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_says_what_it_speaks_ends_in_time() {
    let start = Instant::now();
    let opened = open(Options::default(), ignore);
    let error = opened.await.unwrap_err();
    assert_eq!(error.kind(), Kind::TimedOut);
    assert_eq!(error.to_string(), "broker fake:9092: ApiVersions was not answered within 10s");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_closes_when_asked_what_it_speaks_is_explained() {
    let error = open(Options::default(), hang_up).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains("expects another security.protocol"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_too_old_is_one_error() {
    let opened = open(Options::default(), |mut peer| async move {
        let range = |api_key, max_version| ApiVersionRange { api_key, min_version: 0, max_version };
        peer.hello_with(vec![range(3, 2), range(0, 2), range(1, 3)]).await;
        peer.silence().await;
    });
    let error = opened.await.unwrap_err();
    assert_eq!(error.to_string(), "broker fake:9092: it knows Produce in versions 0 to 2, here are 3 to 11");
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn an_error_in_place_of_what_it_speaks_is_told() {
    let opened = open(Options::default(), |mut peer| async move {
        let asked = peer.request().await.unwrap();
        peer.answer(&asked, &ApiVersionsResponse { error_code: 31, ..Default::default() }).await;
        peer.silence().await;
    });
    let error = opened.await.unwrap_err();
    assert_eq!(error.to_string(), "broker fake:9092: ApiVersions: CLUSTER_AUTHORIZATION_FAILED");
    let twice = open(Options::default(), |mut peer| async move {
        while let Some(asked) = peer.request().await {
            peer.send(&encoded(&ApiVersionsResponse { error_code: 35, ..Default::default() }, 0, asked.id))
                .await;
        }
    });
    let error = twice.await.unwrap_err();
    assert_eq!(error.to_string(), "broker fake:9092: ApiVersions: UNSUPPORTED_VERSION");
}

#[tokio::test(start_paused = true)]
async fn other_protocols_are_recognised() {
    let cases: [(&'static [u8], &str); 3] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP, not Kafka's protocol"),
        (b"\x15\x03\x03\x00\x02\x02\x0a", "it expects TLS (security.protocol)"),
        (b"SSH-2.0-x\r\n", "it sent an answer of 1397966893 bytes, the limit is 104857600"),
    ];
    for (bytes, text) in cases {
        let opened = open(Options::default(), move |mut peer| async move {
            peer.request().await;
            peer.send(bytes).await;
            peer.silence().await;
        });
        let error = opened.await.unwrap_err();
        assert_eq!(error.to_string(), format!("broker fake:9092: {text}"));
        assert_eq!(error.kind(), Kind::Protocol);
    }
}

#[tokio::test(start_paused = true)]
async fn sizes_that_cannot_be_are_refused_before_memory_is_set_aside() {
    for size in [i32::MAX, (100 << 20) + 1, -1, i32::MIN, 0, 3] {
        let outcome = both(move |mut peer| async move {
            peer.request().await;
            peer.send(&size.to_be_bytes()).await;
            peer.silence().await;
        });
        let text = format!("it sent an answer of {size} bytes, the limit is 104857600");
        closed_between(&outcome.await, Kind::Protocol, &text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_size_with_little_behind_it_gets_little_memory() {
    let buffers = Buffers::new(usize::MAX);
    let options = Options { buffers: buffers.clone(), ..Options::default() };
    let connection = connected_with(options, |mut peer| async move {
        peer.request().await;
        peer.send(&(100_i32 << 20).to_be_bytes()).await;
        peer.send(&[0; 100]).await;
        peer.silence().await;
    })
    .await;
    let error = connection.send(&heartbeat("0"), quickly()).await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::TimedOut, Sent::Maybe));
    // What it was being read into is the only buffer that there is.
    assert!((100..=64 << 10).contains(&buffers.take(usize::MAX).capacity()));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_cut_off_fails_what_was_asked() {
    let outcome = both(|mut peer| async move {
        peer.request().await;
        peer.send(&100_i32.to_be_bytes()).await;
        peer.send(&[0; 10]).await;
    });
    closed_between(&outcome.await, Kind::Closed, "it closed the connection inside an answer");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closed_before_the_answer_fails_what_was_asked() {
    let outcome = both(hang_up);
    closed_between(&outcome.await, Kind::Closed, "it closed the connection before it answered Heartbeat");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_correlation_id_ends_the_connection() {
    let outcome = both(|mut peer| async move {
        let asked = peer.request().await.unwrap();
        peer.send(&encoded(&HeartbeatResponse::default(), asked.version, asked.id + 7)).await;
        peer.silence().await;
    });
    closed_between(&outcome.await, Kind::Protocol, "its answer to Heartbeat is for request 8, not 1");
}

#[tokio::test(start_paused = true)]
async fn answers_out_of_order_end_the_connection() {
    let connection = connected(|mut peer| async move {
        let (first, second) = (peer.request().await.unwrap(), peer.request().await.unwrap());
        peer.answer(&second, &HeartbeatResponse::default()).await;
        peer.answer(&first, &HeartbeatResponse::default()).await;
        peer.silence().await;
    })
    .await;
    let first = connection.send(&heartbeat("0"), quickly());
    let second = connection.send(&heartbeat("0"), quickly());
    for pending in [first, second] {
        let error = pending.await.unwrap_err();
        assert_eq!((error.kind(), error.sent()), (Kind::Protocol, Sent::Maybe));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let connection = connected(|mut peer| async move {
        peer.send(&encoded(&HeartbeatResponse::default(), 4, 1)).await;
        peer.silence().await;
    })
    .await;
    let error = connection.send(&heartbeat("0"), quickly()).await.unwrap_err();
    assert_eq!(error.to_string(), "broker fake:9092: it sent an answer that nobody asked for");
    assert_eq!((error.kind(), error.sent()), (Kind::Protocol, Sent::No));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_ends_the_connection() {
    let connection = connected(|mut peer| async move {
        let asked = peer.request().await.unwrap();
        let mut bytes = encoded(&HeartbeatResponse::default(), asked.version, asked.id);
        bytes.extend_from_slice(b"??");
        let size = bytes.len() as i32 - 4;
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        peer.send(&bytes).await;
        peer.silence().await;
    })
    .await;
    let answer = connection.send(&heartbeat("0"), quickly()).await.unwrap();
    let next = connection.send(&heartbeat("0"), quickly());
    let error = answer.read::<HeartbeatResponse>().unwrap_err();
    let text = "broker fake:9092: its answer to Heartbeat cannot be read: 2 bytes too many in the tags of \
                HeartbeatResponse at byte 7";
    assert_eq!(error.to_string(), text);
    assert_eq!((error.kind(), error.sent()), (Kind::Protocol, Sent::Maybe));
    assert_eq!(next.await.unwrap_err().kind(), Kind::Protocol);
    assert!(!connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_read_as_another_message() {
    let connection = connected(|mut peer| async move {
        let asked = peer.request().await.unwrap();
        peer.answer(&asked, &HeartbeatResponse::default()).await;
        peer.silence().await;
    })
    .await;
    let answer = connection.send(&heartbeat("0"), quickly()).await.unwrap();
    assert_eq!(answer.read::<MetadataResponse<'_>>().unwrap_err().kind(), Kind::Request);
    assert!(connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_byte_by_byte_is_read() {
    let connection = connected(|mut peer| async move {
        let asked = peer.request().await.unwrap();
        let response = HeartbeatResponse { throttle_time_ms: 77, ..Default::default() };
        for byte in encoded(&response, asked.version, asked.id) {
            peer.send(&[byte]).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        peer.silence().await;
    })
    .await;
    let answer = connection.send(&heartbeat("0"), quickly()).await.unwrap();
    assert_eq!(answer.read::<HeartbeatResponse>().unwrap().throttle_time_ms, 77);
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_is_given_up_in_time() {
    let connection = connected(ignore).await;
    let start = Instant::now();
    let first = connection.send(&heartbeat("0"), Sending::within(Duration::from_secs(3)));
    let second = connection.send(&heartbeat("0"), Sending::within(LONG));
    let error = first.await.unwrap_err();
    assert_eq!(error.to_string(), "broker fake:9092: Heartbeat was not answered within 3s");
    assert_eq!((error.kind(), error.sent()), (Kind::TimedOut, Sent::Maybe));
    let error = second.await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Closed, Sent::Maybe));
    assert_eq!(start.elapsed().as_secs(), 3);
    let error = connection.send(&heartbeat("0"), quickly()).await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Closed, Sent::No));
}

#[tokio::test(start_paused = true)]
async fn random_bytes_are_survived() {
    let mut random = Random::seeded(9);
    for _ in 0..200 {
        let mut bytes: Vec<u8> = (0..random.number() % 64 + 4).map(|_| random.number() as u8).collect();
        // Small sizes, so that what follows is looked at.
        bytes[..3].fill(0);
        let outcome = both(move |mut peer| {
            let bytes = bytes.clone();
            async move {
                peer.request().await;
                peer.send(&bytes).await;
            }
        });
        let (first, second, connection) = outcome.await;
        assert!(matches!(first.kind(), Kind::Protocol | Kind::Closed), "{first}");
        assert_eq!((first.sent(), second.sent()), (Sent::Maybe, Sent::No));
        assert!(!connection.is_open());
    }
}

#[test]
fn a_runtime_that_ends_fails_what_is_in_flight() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (connection, pending) = runtime.block_on(async {
        let connection = connected(ignore).await;
        let pending = connection.send(&heartbeat("0"), quickly());
        (connection, pending)
    });
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = other.block_on(pending).unwrap_err();
    assert_eq!(error.kind(), Kind::Closed);
    let error = other.block_on(connection.send(&heartbeat("0"), quickly())).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Closed, Sent::No));
}
