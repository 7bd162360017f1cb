//! A member of KIP-848's protocol on its ways, and every error code in every state.

use super::*;
use crate::wire::ErrorCode;
use crate::wire::messages::*;

type Beat = ConsumerGroupHeartbeatRequest<'static>;
type Answer = ConsumerGroupHeartbeatResponse<'static>;

/// The interval that the coordinator of these tests sets.
const EVERY: Duration = Duration::from_secs(5);

fn consumer() -> Terms {
    terms(Protocol::Consumer { member_id: "me".into(), assignor: None })
}

fn static_consumer() -> Terms {
    Terms { instance_id: Some("i".into()), ..consumer() }
}

impl Desk {
    fn beat(&mut self) -> (Ticket, Beat) {
        match self.sent() {
            (ticket, Request::Consumer(request)) => (ticket, request),
            other => panic!("{other:?}"),
        }
    }

    /// Answers with an epoch, and with what the member is to have of the topics of `t` (1) and `u` (2).
    fn take(&mut self, ticket: Ticket, epoch: i32, assignment: Option<&[(u8, &[i32])]>) {
        let topic = |(topic, partitions): &(u8, &[i32])| ConsumerGroupHeartbeatTopic {
            topic_id: Uuid([*topic; 16]),
            partitions: partitions.to_vec(),
        };
        let assignment = assignment.map(|topics| ConsumerGroupHeartbeatAssignment {
            topic_partitions: topics.iter().map(topic).collect(),
        });
        self.reply(ticket, Answer { member_epoch: epoch, assignment, ..Default::default() });
    }

    fn reply(&mut self, ticket: Ticket, answer: Answer) {
        let heartbeat_interval_ms = EVERY.as_millis() as i32;
        let answer = Answer { member_id: Some("me".into()), heartbeat_interval_ms, ..answer };
        self.tell(Event::Answered(ticket, Response::Consumer(answer)));
    }

    fn refuse(&mut self, ticket: Ticket, error_code: i16) {
        self.reply(ticket, Answer { error_code, error_message: Some("words".into()), ..Default::default() });
    }

    /// Wants `t`, which is known.
    fn begin(terms: Terms) -> (Self, Ticket) {
        let mut desk = Self::new(terms);
        desk.tell(Event::Topics(topics(&[("t", 4), ("u", 4)])));
        desk.subscribe(&["t"]);
        let (ticket, _) = desk.beat();
        (desk, ticket)
    }

    /// Is in the group at epoch 3 with the partitions 0 and 1, and has said so.
    fn inside(terms: Terms) -> Self {
        let (mut desk, ticket) = Self::begin(terms);
        desk.take(ticket, 3, Some(&[(1, &[0, 1])]));
        assert_eq!(desk.next(), Action::Assign(places("t", 0..2)));
        let (ticket, request) = desk.beat();
        assert_eq!(owned(&request), Some(vec![(1, 0), (1, 1)]));
        desk.take(ticket, 3, None);
        desk.nothing();
        desk
    }

    /// The same with its next heartbeat under way.
    fn beating(terms: Terms) -> (Self, Ticket) {
        let mut desk = Self::inside(terms);
        desk.pass(EVERY);
        let (ticket, request) = desk.beat();
        assert_eq!(request, Beat { member_epoch: 3, ..blank(&request) });
        (desk, ticket)
    }
}

/// A heartbeat of that member that tells nothing.
fn blank(request: &Beat) -> Beat {
    Beat {
        group_id: "g".into(),
        member_id: "me".into(),
        instance_id: request.instance_id.clone(),
        ..Default::default()
    }
}

fn owned(request: &Beat) -> Option<Vec<(u8, i32)>> {
    let topics = request.topic_partitions.as_ref()?;
    let each = |topic: &ConsumerGroupHeartbeatTopic| {
        let n = topic.topic_id.0[0];
        topic.partitions.iter().map(move |partition| (n, *partition)).collect::<Vec<_>>()
    };
    Some(topics.iter().flat_map(each).collect())
}

fn is_full(request: &Beat) -> bool {
    request.rebalance_timeout_ms == 300_000
        && request.subscribed_topic_names.is_some()
        && request.topic_partitions.is_some()
}

#[test]
fn a_join_tells_everything_and_what_follows_only_news() {
    let protocol = Protocol::Consumer { member_id: "me".into(), assignor: Some("range".into()) };
    let mut desk = Desk::new(Terms { rack_id: Some("r".into()), ..terms(protocol) });
    desk.tell(Event::Topics(topics(&[("t", 4)])));
    desk.nothing();
    desk.subscribe(&["t", "u"]);
    let (ticket, request) = desk.beat();
    let expected = Beat {
        rebalance_timeout_ms: 300_000,
        subscribed_topic_names: Some(vec!["t".into(), "u".into()]),
        server_assignor: Some("range".into()),
        rack_id: Some("r".into()),
        topic_partitions: Some(vec![]),
        ..blank(&request)
    };
    assert_eq!(request, expected);
    assert_eq!(desk.member.identity(), Identity::default());
    // Nothing, as it has.
    desk.take(ticket, 1, Some(&[]));
    let identity = Identity { generation: 1, member_id: "me".into(), instance_id: None };
    assert_eq!(desk.member.identity(), identity);
    desk.pass(EVERY);
    let (ticket, request) = desk.beat();
    assert_eq!(request, Beat { member_epoch: 1, ..blank(&request) });
    desk.take(ticket, 1, None);
    desk.subscribe(&["u"]);
    desk.nothing();
    desk.pass(EVERY);
    let (_, request) = desk.beat();
    let news = Some(vec!["u".into()]);
    assert_eq!(request, Beat { member_epoch: 1, subscribed_topic_names: news, ..blank(&request) });
}

#[test]
fn what_is_to_be_given_up_is_given_up_first_and_said_at_once() {
    let (mut desk, ticket) = Desk::beating(consumer());
    desk.take(ticket, 3, Some(&[(1, &[1, 2])]));
    let revocation = desk.revoked(&places("t", 0..1));
    desk.pass(EVERY);
    // It has it still.
    let (ticket, request) = desk.beat();
    assert_eq!(owned(&request), None);
    desk.take(ticket, 3, None);
    desk.tell(Event::Released(revocation));
    assert_eq!(desk.next(), Action::Assign(places("t", 2..3)));
    let (ticket, request) = desk.beat();
    assert_eq!(owned(&request), Some(vec![(1, 1), (1, 2)]));
    desk.take(ticket, 4, None);
    assert_eq!(desk.member.identity().generation, 4);
    desk.nothing();
}

#[test]
fn a_newer_target_counts_when_the_application_has_given_up_what_an_older_one_took() {
    let (mut desk, ticket) = Desk::beating(consumer());
    desk.take(ticket, 3, Some(&[(1, &[1])]));
    let first = desk.revoked(&places("t", 0..1));
    desk.pass(EVERY);
    let (ticket, _) = desk.beat();
    desk.take(ticket, 3, Some(&[(1, &[0])]));
    desk.nothing();
    desk.tell(Event::Released(first));
    let second = desk.revoked(&places("t", 1..2));
    desk.tell(Event::Released(second));
    assert_eq!(desk.next(), Action::Assign(places("t", 0..1)));
    assert_eq!(owned(&desk.beat().1), Some(vec![(1, 0)]));
}

#[test]
fn what_comes_while_a_heartbeat_is_under_way_is_said_after_it() {
    let (mut desk, ticket) = Desk::beating(consumer());
    desk.take(ticket, 3, Some(&[(1, &[1])]));
    let revocation = desk.revoked(&places("t", 0..1));
    desk.pass(EVERY);
    let (ticket, _) = desk.beat();
    desk.tell(Event::Released(revocation));
    desk.nothing();
    desk.take(ticket, 3, None);
    assert_eq!(owned(&desk.beat().1), Some(vec![(1, 1)]));
}

#[test]
fn topics_without_a_name_are_asked_for_and_taken_when_they_have_one() {
    let (mut desk, ticket) = Desk::begin(consumer());
    desk.take(ticket, 1, Some(&[(1, &[0]), (9, &[0])]));
    assert!(matches!(desk.next(), Action::Learn { topics, .. } if topics == names(&["t"])));
    assert_eq!(desk.next(), Action::Assign(places("t", 0..1)));
    // As far as it has come.
    let (ticket, request) = desk.beat();
    assert_eq!(owned(&request), Some(vec![(1, 0)]));
    desk.take(ticket, 1, None);
    // Not known yet: asked for again.
    let ticket = desk.asked();
    desk.tell(Event::Learned(ticket, topics(&[("t", 4)])));
    desk.nothing();
    let mut known = (*topics(&[("t", 4)])).clone();
    known.insert("new".into(), Topic { id: Uuid([9; 16]), partitions: 1 });
    desk.tell(Event::Topics(Arc::new(known)));
    assert_eq!(desk.next(), Action::Assign(places("new", 0..1)));
    assert_eq!(owned(&desk.beat().1), Some(vec![(1, 0), (9, 0)]));
}

/// It says that it does not have the partition, so the coordinator may give it to another at once.
#[test]
fn nothing_is_taken_after_an_answer_was_missed_until_the_next() {
    let (mut desk, ticket) = Desk::begin(consumer());
    desk.take(ticket, 1, Some(&[(9, &[0])]));
    let ticket = desk.asked();
    let (beat, _) = desk.beat();
    desk.tell(Event::Failed(beat, Failure::Disconnected));
    desk.tell(Event::Learned(ticket, topics(&[("a", 1), ("b", 1)])));
    let known = BTreeMap::from([(Arc::from("t"), Topic { id: Uuid([9; 16]), partitions: 1 })]);
    desk.tell(Event::Topics(Arc::new(known)));
    assert_eq!(desk.next(), Action::ForgetCoordinator);
    desk.nothing();
    desk.pass(BACKOFF);
    let (ticket, request) = desk.beat();
    assert!(is_full(&request) && owned(&request) == Some(vec![]));
    desk.nothing();
    desk.take(ticket, 1, Some(&[(9, &[0])]));
    assert_eq!(desk.next(), Action::Assign(places("t", 0..1)));
}

#[test]
fn a_topic_that_is_made_anew_is_given_up_and_taken_again() {
    let (mut desk, ticket) = Desk::beating(consumer());
    let anew = BTreeMap::from([(Arc::from("t"), Topic { id: Uuid([7; 16]), partitions: 1 })]);
    desk.tell(Event::Topics(Arc::new(anew)));
    desk.nothing();
    desk.take(ticket, 4, Some(&[(7, &[0])]));
    let revocation = desk.revoked(&places("t", 0..2));
    desk.tell(Event::Released(revocation));
    assert_eq!(desk.next(), Action::Assign(places("t", 0..1)));
    assert_eq!(owned(&desk.beat().1), Some(vec![(7, 0)]));
}

#[test]
fn the_assignment_that_is_told_again_to_a_full_heartbeat_is_no_news() {
    let (mut desk, ticket) = Desk::beating(consumer());
    desk.tell(Event::Failed(ticket, Failure::Disconnected));
    assert_eq!(desk.next(), Action::ForgetCoordinator);
    desk.nothing();
    desk.pass(BACKOFF);
    let (ticket, request) = desk.beat();
    assert!(is_full(&request));
    assert_eq!((request.member_epoch, owned(&request)), (3, Some(vec![(1, 0), (1, 1)])));
    desk.take(ticket, 3, Some(&[(1, &[0, 1])]));
    desk.nothing();
}

#[test]
fn who_does_not_read_leaves_and_joins_again_when_it_reads() {
    for (terms, epoch) in [(consumer(), -1), (static_consumer(), -2)] {
        let mut desk = Desk::inside(terms);
        desk.now += MAX_POLL;
        desk.tell(Event::Tick);
        assert!(matches!(desk.next(), Action::Warn(line) if line.starts_with("group g: nothing was read")));
        let (left, request) = desk.beat();
        assert_eq!(request, Beat { member_epoch: epoch, ..blank(&request) });
        assert_eq!(desk.next(), Action::Lose(places("t", 0..2)));
        desk.pass(MAX_POLL * 2);
        desk.nothing();
        desk.take(left, epoch, None);
        desk.nothing();
        desk.tell(Event::Polled);
        let (_, request) = desk.beat();
        assert!(is_full(&request) && request.member_epoch == 0);
    }
}

#[test]
fn a_member_gives_everything_up_before_it_leaves() {
    for (terms, epoch) in [(consumer(), -1), (static_consumer(), -2)] {
        let mut desk = Desk::inside(terms);
        desk.tell(Event::Leave);
        let revocation = desk.revoked(&places("t", 0..2));
        assert_eq!(desk.member.identity().generation, 3);
        desk.pass(EVERY);
        let (beat, _) = desk.beat();
        desk.take(beat, 3, Some(&[(1, &[3])]));
        desk.nothing();
        desk.pass(EVERY);
        let (beat, _) = desk.beat();
        desk.tell(Event::Released(revocation));
        // After the answer, so that nothing overtakes it.
        desk.nothing();
        desk.take(beat, 3, None);
        let (ticket, request) = desk.beat();
        assert_eq!(request, Beat { member_epoch: epoch, ..blank(&request) });
        desk.take(ticket, epoch, None);
        assert_eq!(desk.next(), Action::Left);
        desk.subscribe(&["u"]);
        desk.pass(MAX_POLL);
        desk.nothing();
    }
}

#[test]
fn a_member_that_was_never_in_has_nothing_to_leave_but_one_that_may_be_has() {
    let mut desk = Desk::new(consumer());
    desk.tell(Event::Leave);
    assert_eq!(desk.next(), Action::Left);
    let (mut desk, ticket) = Desk::begin(consumer());
    desk.tell(Event::Leave);
    desk.nothing();
    desk.tell(Event::Failed(ticket, Failure::Disconnected));
    assert_eq!(desk.next(), Action::ForgetCoordinator);
    assert_eq!(desk.beat().1.member_epoch, -1);
    let (mut desk, ticket) = Desk::begin(consumer());
    desk.tell(Event::Leave);
    desk.refuse(ticket, 14);
    assert_eq!(desk.next(), Action::Left);
}

#[test]
fn a_static_member_waits_for_its_name_if_it_may_hold_it_itself() {
    let (mut desk, ticket) = Desk::begin(static_consumer());
    desk.tell(Event::Failed(ticket, Failure::Disconnected));
    assert_eq!(desk.next(), Action::ForgetCoordinator);
    for n in 0..3 {
        desk.pass(BACKOFF);
        let (ticket, request) = desk.beat();
        assert_eq!(request.instance_id.as_deref(), Some("i"));
        desk.refuse(ticket, 111);
        if n == 0 {
            assert!(
                matches!(desk.next(), Action::Warn(line) if line.starts_with("group g: i (group.instance"))
            );
        }
        desk.nothing();
    }
    desk.pass(BACKOFF);
    let (ticket, _) = desk.beat();
    desk.take(ticket, 1, Some(&[]));
    desk.pass(EVERY);
    let (ticket, _) = desk.beat();
    // It is in: whoever has the name now is another.
    desk.refuse(ticket, 111);
    assert_eq!(desk.failed().kind, FaultKind::Fenced);
}

#[test]
fn intervals_are_the_coordinators_but_never_shorter_than_the_backoff() {
    for (told, kept) in [(5000, EVERY), (0, BACKOFF), (-7, BACKOFF), (i32::MIN, BACKOFF)] {
        let mut desk = Desk::inside(consumer());
        desk.pass(EVERY);
        let (ticket, _) = desk.beat();
        let answer = Answer { member_epoch: 3, heartbeat_interval_ms: told, ..Default::default() };
        desk.tell(Event::Answered(ticket, Response::Consumer(answer)));
        assert_eq!(desk.member.next_time(), Some(desk.now + kept));
    }
}

#[test]
fn what_comes_late_is_of_no_importance() {
    let (mut desk, late) = Desk::beating(consumer());
    desk.now += MAX_POLL;
    desk.tell(Event::Tick);
    desk.todo.clear();
    desk.tell(Event::Polled);
    let (ticket, _) = desk.beat();
    desk.refuse(late, 110);
    desk.tell(Event::Failed(late, Failure::Unsupported));
    desk.nothing();
    desk.take(ticket, 5, Some(&[(1, &[3])]));
    assert_eq!(desk.next(), Action::Assign(places("t", 3..4)));
}

/// What becomes of a member.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It joins at once, with nothing.
    Joins,
    /// It joins after a while.
    JoinsLater,
    /// It tells everything again after a while.
    TellsLater,
    /// It has left.
    Left,
    /// It says again that it leaves, after a while.
    LeavesLater,
    Fails(FaultKind),
}

use Outcome::*;

fn outcome(desk: &mut Desk) -> (Outcome, bool, bool) {
    let (mut forgot, mut lost) = (false, false);
    let mut note = |desk: &mut Desk| {
        forgot |= desk.todo.contains(&Action::ForgetCoordinator);
        lost |= desk.todo.iter().any(|action| matches!(action, Action::Lose(_)));
        let is_aside =
            |action: &Action| matches!(action, Action::ForgetCoordinator | Action::Lose(_) | Action::Warn(_));
        desk.todo.retain(|action| !is_aside(action));
    };
    note(desk);
    let in_time = desk.todo.pop_front();
    if in_time.is_none() {
        desk.pass(BACKOFF);
        note(desk);
    }
    let later = in_time.is_none();
    let outcome = match in_time.or_else(|| desk.todo.pop_front()) {
        Some(Action::Send { request: Request::Consumer(it), .. }) => match it.member_epoch {
            -1 if later => LeavesLater,
            0 if later && is_full(&it) => JoinsLater,
            0 if is_full(&it) => Joins,
            3 if later && is_full(&it) => TellsLater,
            other => panic!("{other} {it:?}"),
        },
        Some(Action::Left) => Left,
        Some(Action::Fail(fault)) => {
            let ends = [": words", "the broker has no such group.protocol"];
            assert!(ends.iter().any(|end| fault.message.ends_with(end)), "{fault}");
            Fails(fault.kind)
        }
        other => panic!("{other:?}"),
    };
    assert!(desk.todo.is_empty(), "{outcome:?} and {:?}", desk.todo);
    (outcome, forgot, lost)
}

fn codes() -> impl Iterator<Item = (i16, ErrorCode)> {
    let numbers = (-1..=133).chain([9999]).filter(|number| *number != 0);
    numbers.map(|number| (number, ErrorCode::of(number).unwrap()))
}

fn common(code: ErrorCode, later: Outcome) -> Outcome {
    use ErrorCode::*;
    match code {
        code if code.is_retriable() => later,
        GroupAuthorizationFailed | TopicAuthorizationFailed | ClusterAuthorizationFailed => {
            Fails(FaultKind::Authorization)
        }
        FencedInstanceId | UnreleasedInstanceId => Fails(FaultKind::Fenced),
        InconsistentGroupProtocol
        | InvalidSessionTimeout
        | InvalidGroupId
        | UnsupportedAssignor
        | InvalidRequest
        | InvalidRegularExpression => Fails(FaultKind::Settings),
        GroupMaxSizeReached => Fails(FaultKind::Full),
        UnsupportedVersion => Fails(FaultKind::Unsupported),
        _ => Fails(FaultKind::Other),
    }
}

fn is_elsewhere(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
}

#[test]
fn every_error_of_a_join() {
    for (number, code) in codes() {
        let (mut desk, ticket) = Desk::begin(consumer());
        desk.refuse(ticket, number);
        let expected = match code {
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => JoinsLater,
            code => common(code, JoinsLater),
        };
        assert_eq!(outcome(&mut desk), (expected, is_elsewhere(code), false), "{code}");
    }
}

#[test]
fn every_error_of_a_heartbeat() {
    for (number, code) in codes() {
        let (mut desk, ticket) = Desk::beating(consumer());
        desk.refuse(ticket, number);
        let expected = match code {
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch | ErrorCode::GroupIdNotFound => Joins,
            code => common(code, TellsLater),
        };
        let lost = matches!(expected, Joins | Fails(_));
        assert_eq!(outcome(&mut desk), (expected, is_elsewhere(code), lost), "{code}");
    }
}

#[test]
fn every_error_while_partitions_are_given_up() {
    for (number, code) in codes() {
        let (mut desk, ticket) = Desk::beating(consumer());
        desk.take(ticket, 3, Some(&[(1, &[0])]));
        let revocation = desk.revoked(&places("t", 1..2));
        desk.pass(EVERY);
        let (ticket, _) = desk.beat();
        desk.refuse(ticket, number);
        let expected = match code {
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch | ErrorCode::GroupIdNotFound => Joins,
            code => common(code, TellsLater),
        };
        let lost = matches!(expected, Joins | Fails(_));
        assert_eq!(outcome(&mut desk), (expected, is_elsewhere(code), lost), "{code}");
        desk.tell(Event::Released(revocation));
        desk.nothing();
    }
}

#[test]
fn every_error_while_a_member_gives_up_everything_to_leave() {
    for (number, code) in codes() {
        let mut desk = Desk::inside(consumer());
        desk.tell(Event::Leave);
        desk.revoked(&places("t", 0..2));
        desk.pass(EVERY);
        let (ticket, _) = desk.beat();
        desk.refuse(ticket, number);
        let expected = match code {
            ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound => Left,
            // The coordinator has it still, so it says that it leaves.
            ErrorCode::FencedMemberEpoch => {
                assert_eq!(desk.next(), Action::Lose(places("t", 0..2)));
                assert_eq!(desk.beat().1.member_epoch, -1);
                continue;
            }
            code => common(code, TellsLater),
        };
        let lost = matches!(expected, Left | Fails(_));
        assert_eq!(outcome(&mut desk), (expected, is_elsewhere(code), lost), "{code}");
    }
}

#[test]
fn every_error_of_a_departure() {
    for (number, code) in codes() {
        let (mut desk, ticket) = Desk::beating(consumer());
        desk.tell(Event::Leave);
        let revocation = desk.revoked(&places("t", 0..2));
        desk.tell(Event::Released(revocation));
        desk.take(ticket, 3, None);
        let (ticket, _) = desk.beat();
        desk.refuse(ticket, number);
        let expected = if code.is_retriable() { LeavesLater } else { Left };
        assert_eq!(outcome(&mut desk), (expected, is_elsewhere(code), false), "{code}");
    }
}

#[test]
fn every_error_of_finding_the_coordinator_and_no_answer_at_all() {
    let failures = codes().map(|(_, code)| (Some(code), Failure::Refused(code)));
    let failures = failures.chain([(None, Failure::Disconnected), (None, Failure::Unsupported)]);
    for (code, failure) in failures {
        let (mut desk, ticket) = Desk::beating(consumer());
        desk.tell(Event::Failed(ticket, failure));
        let expected = match failure {
            Failure::Disconnected => TellsLater,
            Failure::Unsupported => Fails(FaultKind::Unsupported),
            Failure::Refused(code) => common(code, TellsLater),
        };
        let message = |desk: &Desk| desk.todo.iter().any(|it| matches!(it, Action::Fail(_)));
        assert_eq!(message(&desk), matches!(expected, Fails(_)), "{code:?}");
        if let Fails(kind) = expected {
            assert_eq!(desk.next(), Action::ForgetCoordinator);
            assert_eq!(desk.next(), Action::Lose(places("t", 0..2)));
            assert_eq!(desk.failed().kind, kind, "{code:?}");
        } else {
            assert_eq!(outcome(&mut desk), (TellsLater, true, false), "{code:?}");
        }
    }
}

#[test]
fn refused_offsets_let_the_member_find_the_coordinator_again_and_nothing_else() {
    for (_, code) in codes() {
        let mut desk = Desk::inside(consumer());
        let identity = desk.member.identity();
        desk.tell(Event::Refused(code, identity));
        if is_elsewhere(code) || code == ErrorCode::RequestTimedOut {
            assert_eq!(desk.next(), Action::ForgetCoordinator);
        }
        desk.nothing();
    }
}
