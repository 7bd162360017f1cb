//! One connection with a broker that behaves.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::wire::messages::ProduceRequest;
use crate::wire::{Records, encode_request};

async fn answer_heartbeats(mut peer: Peer) {
    while let Some(asked) = peer.request().await {
        let request: HeartbeatRequest<'_> = asked.read();
        let throttle_time_ms = request.group_id.parse().unwrap();
        peer.answer(&asked, &HeartbeatResponse { throttle_time_ms, ..Default::default() }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_pipelined_and_answered_in_order() {
    let options = Options { max_in_flight: 7, ..Options::default() };
    let connection = connected_with(options, answer_heartbeats).await;
    let pending: Vec<_> = (0..1000).map(|n| connection.send(&heartbeat(&n.to_string()), quickly())).collect();
    for (n, pending) in (0..).zip(pending) {
        let answer = pending.await.unwrap();
        let response: HeartbeatResponse = answer.read().unwrap();
        assert_eq!(response.throttle_time_ms, n);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_in_flight_than_allowed() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let options = Options { max_in_flight: 3, ..Options::default() };
    let connection = connected_with(options, move |mut peer| {
        let seen = Arc::clone(&counted);
        async move {
            while peer.request().await.is_some() {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let pending: Vec<_> = (0..10).map(|_| connection.send(&heartbeat("0"), quickly())).collect();
    for (n, pending) in pending.into_iter().enumerate() {
        let error = pending.await.unwrap_err();
        let expected = if n < 3 { Sent::Maybe } else { Sent::No };
        assert_eq!((error.kind(), error.sent()), (Kind::TimedOut, expected), "{n}");
    }
    assert_eq!(seen.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn the_broker_is_told_who_asks() {
    let options = Options { client_id: "me".into(), ..Options::default() };
    let opened = open(options, |mut peer| async move {
        let asked = peer.request().await.unwrap();
        assert_eq!((asked.version, asked.client_id.as_deref()), (4, Some("me")));
        let request: ApiVersionsRequest<'_> = asked.read();
        assert_eq!(request.client_software_name, "kps");
        assert_eq!(request.client_software_version, env!("CARGO_PKG_VERSION"));
        let api_keys = ApiVersionsResponse::served();
        peer.answer(&asked, &ApiVersionsResponse { api_keys, ..Default::default() }).await;
        peer.silence().await;
    });
    let connection = opened.await.unwrap();
    assert_eq!(connection.version::<FetchRequest<'_>>().unwrap(), 12);
    assert!(connection.knows(ApiKey::Produce));
}

/// What an old broker answers: a version 0 with error 35, and a range for ApiVersions that ends at `newest`.
async fn old_broker(mut peer: Peer, newest: i16, tells: bool) {
    let asked = peer.request().await.unwrap();
    let mut api_keys = ApiVersionsResponse::served();
    api_keys.retain(|range| range.api_key == 18);
    api_keys.iter_mut().for_each(|range| range.max_version = newest);
    let refusal = ApiVersionsResponse {
        error_code: 35,
        api_keys: if tells { api_keys } else { Vec::new() },
        ..Default::default()
    };
    peer.send(&encoded(&refusal, 0, asked.id)).await;
    let asked = peer.request().await.unwrap();
    assert_eq!(asked.version, if tells { newest } else { 0 });
    let api_keys = ApiVersionsResponse::served();
    peer.answer(&asked, &ApiVersionsResponse { api_keys, ..Default::default() }).await;
    answer_heartbeats(peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_know_the_version_of_the_first_question_is_asked_in_one_it_knows() {
    for (newest, tells) in [(3, true), (2, true), (0, true), (0, false)] {
        let connection = open(Options::default(), move |peer| old_broker(peer, newest, tells)).await.unwrap();
        let answer = connection.send(&heartbeat("9"), quickly()).await.unwrap();
        assert_eq!(answer.read::<HeartbeatResponse>().unwrap().throttle_time_ms, 9);
    }
}

#[tokio::test(start_paused = true)]
async fn versions_are_the_newest_that_both_know_or_the_caller_wants() {
    let opened = open(Options::default(), |mut peer| async move {
        let range = |api_key, min_version, max_version| ApiVersionRange { api_key, min_version, max_version };
        peer.hello_with(vec![range(12, 0, 3), range(1, 4, 99), range(3, 0, 99)]).await;
        for version in [3, 1] {
            let asked = peer.request().await.unwrap();
            assert_eq!(asked.version, version);
            peer.answer(&asked, &HeartbeatResponse::default()).await;
        }
        peer.silence().await;
    });
    let connection = opened.await.unwrap();
    connection.send(&heartbeat("0"), quickly()).await.unwrap();
    connection.send(&heartbeat("0"), quickly().up_to_version(1)).await.unwrap();
    let error = connection.send(&ListGroupsRequest::default(), quickly()).await.unwrap_err();
    assert_eq!(error.to_string(), "broker fake:9092: it does not know ListGroups");
    assert_eq!((error.kind(), error.sent()), (Kind::Unsupported, Sent::No));
    assert!(connection.is_open());
}

fn produce(sizes: &[usize], acks: i16) -> ProduceRequest<'static> {
    let partition =
        |(index, size): (i32, &usize)| ProduceRequestPartition { index, records: Some(Records::Gap(*size)) };
    let partition_data = (0..).zip(sizes).map(partition).collect();
    let topic = ProduceRequestTopic { name: "t".into(), partition_data };
    ProduceRequest { acks, topic_data: vec![topic], ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn payload_is_written_into_the_gaps_and_is_the_callers_again_with_the_answer() {
    // More pieces than are written at once, and more bytes than the stream takes at once.
    let batches: Vec<Vec<u8>> = (0..100).map(|n| vec![n; 2000 + usize::from(n)]).collect();
    let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
    let expected = {
        let mut request = produce(&sizes, -1);
        for (partition, batch) in request.topic_data[0].partition_data.iter_mut().zip(&batches) {
            partition.records = Some(Records::Bytes(batch));
        }
        let frame = encode_request(&request, 11, 1, Some("kps")).unwrap();
        frame
            .pieces()
            .flat_map(|piece| match piece {
                crate::wire::Piece::Bytes(bytes) => bytes.to_vec(),
                crate::wire::Piece::Gap(_) => unreachable!(),
            })
            .collect::<Vec<u8>>()
    };
    let connection = connected(move |mut peer| {
        let expected = expected.clone();
        async move {
            let request = raw_request(&mut peer).await.unwrap();
            assert!(request == expected);
            peer.send(&encoded(&ProduceResponse::default(), 11, 1)).await;
            peer.silence().await;
        }
    })
    .await;
    let payload = Arc::new(batches.clone());
    let sending = quickly().with_payload(Arc::<Vec<Vec<u8>>>::clone(&payload));
    connection.send(&produce(&sizes, -1), sending).await.unwrap();
    assert_eq!(Arc::into_inner(payload), Some(batches));
}

#[tokio::test(start_paused = true)]
async fn payload_is_the_callers_again_when_the_request_fails() {
    // It is read in part only: most of it cannot be written.
    let connection = connected(|mut peer| async move {
        let mut some = [0; 100];
        peer.stream.read_exact(&mut some).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let payload = Arc::new(vec![vec![7; 4 * PIPE]]);
    let sending = quickly().with_payload(Arc::<Vec<Vec<u8>>>::clone(&payload));
    let first = connection.send(&produce(&[4 * PIPE], -1), sending);
    let second = connection.send(&heartbeat("0"), Sending::within(LONG));
    let error = first.await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::TimedOut, Sent::No), "{error}");
    assert_eq!(Arc::into_inner(payload).unwrap()[0].len(), 4 * PIPE);
    let error = second.await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Closed, Sent::No), "{error}");
}

#[tokio::test(start_paused = true)]
async fn payload_that_does_not_fit_the_gaps_is_refused() {
    let connection = connected(answer_heartbeats).await;
    for payload in [vec![], vec![vec![0; 9]], vec![vec![0; 11]]] {
        let sending = quickly().with_payload(Arc::new(payload));
        let error = connection.send(&produce(&[10], -1), sending).await.unwrap_err();
        assert_eq!((error.kind(), error.sent()), (Kind::Request, Sent::No));
    }
    assert!(connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_done_when_it_is_written() {
    let connection = connected(|mut peer| async move {
        assert_eq!(peer.request().await.unwrap().api, ApiKey::Produce);
        answer_heartbeats(peer).await;
    })
    .await;
    let posted = connection.post(&produce(&[3], 0), quickly().with_payload(Arc::new(vec![vec![1; 3]])));
    let asked = connection.send(&heartbeat("4"), quickly());
    posted.await.unwrap();
    assert_eq!(asked.await.unwrap().read::<HeartbeatResponse>().unwrap().throttle_time_ms, 4);
}

#[tokio::test(start_paused = true)]
async fn it_closes_with_the_last_handle_but_not_before_an_answer_that_is_waited_for() {
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    let closed = Mutex::new(Some(closed));
    let connection = connected(move |mut peer| {
        let closed = closed.lock().unwrap().take();
        async move {
            let asked = peer.request().await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            peer.answer(&asked, &HeartbeatResponse::default()).await;
            assert_eq!(peer.silence().await, 0);
            closed.unwrap().send(Instant::now()).unwrap();
        }
    })
    .await;
    let pending = connection.send(&heartbeat("0"), quickly());
    drop(connection);
    pending.await.unwrap();
    assert_eq!(is_closed.await.unwrap(), Instant::now());
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_last_handle_went_is_still_written() {
    let (seen, is_seen) = tokio::sync::oneshot::channel();
    let seen = Mutex::new(Some(seen));
    let connection = connected(move |mut peer| {
        let seen = seen.lock().unwrap().take();
        async move { seen.unwrap().send(peer.request().await.map(|asked| asked.api)).unwrap() }
    })
    .await;
    drop(connection.send(&LeaveGroupRequest::default(), quickly()));
    drop(connection);
    assert_eq!(is_seen.await.unwrap(), Some(ApiKey::LeaveGroup));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_too_long_fails_alone() {
    let options = Options { max_in_flight: 1, ..Options::default() };
    let connection = connected_with(options, |mut peer| async move {
        let asked = peer.request().await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        peer.answer(&asked, &HeartbeatResponse::default()).await;
        peer.silence().await;
    })
    .await;
    let first = connection.send(&heartbeat("0"), Sending::within(LONG));
    let second = connection.send(&heartbeat("0"), Sending::within(Duration::from_secs(10)));
    let start = Instant::now();
    let error = second.await.unwrap_err();
    assert_eq!(error.to_string(), "broker fake:9092: Heartbeat was not sent within 10s");
    assert_eq!((error.kind(), error.sent()), (Kind::TimedOut, Sent::No));
    assert!(start.elapsed() < Duration::from_secs(11));
    first.await.unwrap();
    assert!(connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn answers_are_read_into_buffers_that_are_used_again() {
    let connection = connected(answer_heartbeats).await;
    let first = connection.send(&heartbeat("1"), quickly()).await.unwrap();
    let second = connection.send(&heartbeat("2"), quickly()).await.unwrap();
    let kept = second.bytes().as_ptr();
    assert_ne!(first.bytes().as_ptr(), kept);
    drop(second);
    let third = connection.send(&heartbeat("3"), quickly()).await.unwrap();
    assert_eq!(third.bytes().as_ptr(), kept);
    assert_eq!(first.read::<HeartbeatResponse>().unwrap().throttle_time_ms, 1);
}

#[tokio::test(start_paused = true)]
async fn lent_bytes_are_found_again_by_their_place() {
    let connection = connected(|mut peer| async move {
        let asked = peer.request().await.unwrap();
        let partition =
            FetchResponsePartition { records: Some(Records::Bytes(b"batches")), ..Default::default() };
        let topic = FetchResponseTopic { topic: "t".into(), partitions: vec![partition] };
        peer.answer(&asked, &FetchResponse { responses: vec![topic], ..Default::default() }).await;
        peer.silence().await;
    })
    .await;
    let answer = connection.send(&FetchRequest::default(), quickly()).await.unwrap();
    let response: FetchResponse<'_> = answer.read().unwrap();
    let records = response.responses[0].partitions[0].records.unwrap().bytes();
    let place = answer.range_of(records).unwrap();
    drop(response);
    assert_eq!(&answer.bytes()[place], b"batches");
    assert_eq!(answer.range_of(b"elsewhere"), None);
}

#[tokio::test(start_paused = true)]
async fn large_answers_come_whole() {
    let connection = connected(|mut peer| async move {
        let asked = peer.request().await.unwrap();
        let batches = vec![9; 20 * PIPE + 1];
        let partition =
            FetchResponsePartition { records: Some(Records::Bytes(&batches)), ..Default::default() };
        let topic = FetchResponseTopic { topic: "t".into(), partitions: vec![partition] };
        peer.answer(&asked, &FetchResponse { responses: vec![topic], ..Default::default() }).await;
        peer.silence().await;
    })
    .await;
    let answer = connection.send(&FetchRequest::default(), quickly()).await.unwrap();
    let response: FetchResponse<'_> = answer.read().unwrap();
    let records = response.responses[0].partitions[0].records.unwrap().bytes();
    assert!(records.len() == 20 * PIPE + 1 && records.iter().all(|byte| *byte == 9));
    assert!(answer.held() < 2 * answer.bytes().len());
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_may_wait_are_refused() {
    let connection = connected(ignore).await;
    let pending: Vec<_> = (0..10_001).map(|_| connection.send(&heartbeat("0"), quickly())).collect();
    let mut outcomes = Vec::new();
    for pending in pending {
        outcomes.push(pending.await.unwrap_err());
    }
    let last = outcomes.pop().unwrap();
    assert_eq!((last.kind(), last.sent()), (Kind::Request, Sent::No), "{last}");
    assert!(outcomes.iter().all(|error| error.kind() == Kind::TimedOut));
}
