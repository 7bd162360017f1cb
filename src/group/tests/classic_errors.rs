//! Every error code of every answer, in every state of a member of the classic protocol.

use super::*;
use crate::wire::ErrorCode;
use crate::wire::messages::*;

/// What becomes of a member.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It joins anew, with the id given.
    Joins(&'static str),
    /// The same after a while.
    JoinsLater,
    /// It is in the group as before, and sends the next heartbeat in its time.
    Stays,
    /// The same, with a heartbeat soon.
    BeatsSoon,
    /// It is to give up what it has, and joins again then.
    GivesUp,
    /// It has left.
    Left,
    /// It says again that it leaves, after a while.
    LeavesLater,
    /// It is at its end.
    Fails(FaultKind),
}

use Outcome::*;

/// All there are, and one that there is not.
fn codes() -> impl Iterator<Item = (i16, ErrorCode)> {
    let numbers = (-1..=133).chain([9999]).filter(|number| *number != 0);
    numbers.map(|number| (number, ErrorCode::of(number).unwrap()))
}

/// What an error means that only time helps against, or nothing.
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

/// What the member does now, and if that is nothing, what it does after a while. Partitions that it loses,
/// and that it forgets the coordinator, are noted beside.
fn outcome(desk: &mut Desk) -> (Outcome, Noted) {
    let mut noted = Noted::default();
    noted.note(desk);
    let in_time = desk.todo.pop_front();
    if in_time.is_none() {
        desk.pass(BACKOFF);
        noted.note(desk);
    }
    let action = in_time.clone().or_else(|| desk.todo.pop_front());
    let outcome = match action {
        None => Stays,
        Some(Action::Send { request: Request::Join(_), .. }) if in_time.is_none() => JoinsLater,
        Some(Action::Send { request: Request::Join(it), .. }) if it.member_id == "m1" => Joins("m1"),
        Some(Action::Send { request: Request::Join(it), .. }) if it.member_id.is_empty() => Joins(""),
        Some(Action::Send { request: Request::Heartbeat(_), .. }) if in_time.is_none() => BeatsSoon,
        Some(Action::Send { request: Request::Leave(_), .. }) if in_time.is_none() => LeavesLater,
        Some(Action::Revoke { .. }) => GivesUp,
        Some(Action::Left) => Left,
        Some(Action::Fail(fault)) => {
            assert!(fault.message.starts_with("group g: "), "{fault}");
            Fails(fault.kind)
        }
        other => panic!("{other:?}"),
    };
    assert!(desk.todo.is_empty(), "{outcome:?} and {:?}", desk.todo);
    (outcome, noted)
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Noted {
    forgot: bool,
    lost: bool,
}

impl Noted {
    fn note(&mut self, desk: &mut Desk) {
        self.forgot |= desk.todo.contains(&Action::ForgetCoordinator);
        self.lost |= desk.todo.iter().any(|action| matches!(action, Action::Lose(_)));
        desk.todo.retain(|action| !matches!(action, Action::ForgetCoordinator | Action::Lose(_)));
    }
}

const ALL: [Assignor; 4] = Assignor::ALL;

/// A member in its first JoinGroup.
fn joining_first() -> (Desk, Ticket) {
    let mut desk = Desk::new(classic(&ALL));
    desk.subscribe(&["t"]);
    let (ticket, _) = desk.join();
    (desk, ticket)
}

/// A cooperative member in a later JoinGroup, with partitions.
fn joining_again() -> (Desk, Ticket) {
    let mut desk = inside(Assignor::CooperativeSticky);
    desk.subscribe(&["t", "u"]);
    let (ticket, _) = desk.join();
    (desk, ticket)
}

fn syncing() -> (Desk, Ticket) {
    let (mut desk, ticket) = joining_again();
    desk.answer_join(ticket, super::classic::joined(2, Assignor::CooperativeSticky, "m2", &[]));
    let (ticket, _) = desk.sync();
    (desk, ticket)
}

fn inside(assignor: Assignor) -> Desk {
    let mut desk = Desk::new(classic(&[assignor]));
    desk.settle(&places("t", 0..2));
    desk.assigned(&places("t", 0..2));
    desk
}

fn beating(assignor: Assignor) -> (Desk, Ticket) {
    let mut desk = inside(assignor);
    desk.pass(INTERVAL);
    let (ticket, _) = desk.heartbeat();
    (desk, ticket)
}

/// A leader that waits for topics.
fn learning() -> (Desk, Ticket) {
    let (mut desk, ticket) = joining_again();
    let members = [("m1", super::classic::wants(&["t"]))];
    desk.answer_join(ticket, super::classic::joined(2, Assignor::CooperativeSticky, "m1", &members));
    let asked = desk.asked();
    (desk, asked)
}

fn leaving() -> (Desk, Ticket) {
    let mut desk = Desk::new(classic(&[Assignor::Range]));
    desk.settle(&[]);
    desk.tell(Event::Leave);
    let (ticket, _) = desk.departure();
    (desk, ticket)
}

#[test]
fn of_a_first_join() {
    for (number, code) in codes() {
        let (mut desk, ticket) = joining_first();
        desk.answer_join(ticket, super::classic::refused(number));
        let expected = match code {
            ErrorCode::MemberIdRequired => Joins("m1"),
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress => {
                JoinsLater
            }
            code => common(code, JoinsLater),
        };
        let noted = Noted { forgot: is_elsewhere(code), lost: false };
        assert_eq!(outcome(&mut desk), (expected, noted), "{code}");
    }
}

#[test]
fn of_a_later_join_with_partitions() {
    for (number, code) in codes() {
        let (mut desk, ticket) = joining_again();
        desk.answer_join(ticket, super::classic::refused(number));
        let expected = match code {
            ErrorCode::UnknownMemberId => Joins(""),
            ErrorCode::IllegalGeneration => Joins("m1"),
            ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress => JoinsLater,
            code => common(code, JoinsLater),
        };
        let lost = matches!(expected, Joins(_) | Fails(_));
        let noted = Noted { forgot: is_elsewhere(code), lost };
        assert_eq!(outcome(&mut desk), (expected, noted), "{code}");
    }
}

#[test]
fn of_a_sync() {
    for (number, code) in codes() {
        let (mut desk, ticket) = syncing();
        let answer = SyncGroupResponse { error_code: number, ..Default::default() };
        desk.tell(Event::Answered(ticket, Response::Sync(answer)));
        let expected = match code {
            ErrorCode::UnknownMemberId => Joins(""),
            ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress => Joins("m1"),
            code => common(code, JoinsLater),
        };
        let keeps = code == ErrorCode::RebalanceInProgress || expected == JoinsLater;
        let noted = Noted { forgot: is_elsewhere(code), lost: !keeps };
        assert_eq!(outcome(&mut desk), (expected, noted), "{code}");
    }
}

#[test]
fn of_a_heartbeat() {
    for assignor in [Assignor::Range, Assignor::CooperativeSticky] {
        for (number, code) in codes() {
            let (mut desk, ticket) = beating(assignor);
            desk.answer_heartbeat(ticket, number);
            let expected = match code {
                ErrorCode::RebalanceInProgress if assignor.is_cooperative() => Joins("m1"),
                ErrorCode::RebalanceInProgress => GivesUp,
                ErrorCode::UnknownMemberId => Joins(""),
                ErrorCode::IllegalGeneration => Joins("m1"),
                ErrorCode::FencedInstanceId => Fails(FaultKind::Fenced),
                ErrorCode::GroupAuthorizationFailed => Fails(FaultKind::Authorization),
                _ => BeatsSoon,
            };
            let lost = matches!(expected, Joins(_) | Fails(_)) && code != ErrorCode::RebalanceInProgress;
            let noted = Noted { forgot: is_elsewhere(code), lost };
            assert_eq!(outcome(&mut desk), (expected, noted), "{code} with {assignor:?}");
        }
    }
}

/// While it assigns and while it waits for its assignment, the end of a rebalance shows in the answer to come.
#[test]
fn of_a_heartbeat_in_a_rebalance() {
    for state in [learning, syncing] {
        for (number, code) in codes() {
            let (mut desk, _) = state();
            desk.pass(INTERVAL);
            let (ticket, _) = desk.heartbeat();
            desk.answer_heartbeat(ticket, number);
            let expected = match code {
                ErrorCode::RebalanceInProgress => Stays,
                ErrorCode::UnknownMemberId => Joins(""),
                ErrorCode::IllegalGeneration => Joins("m1"),
                ErrorCode::FencedInstanceId => Fails(FaultKind::Fenced),
                ErrorCode::GroupAuthorizationFailed => Fails(FaultKind::Authorization),
                _ => BeatsSoon,
            };
            let noted = Noted { forgot: is_elsewhere(code), lost: matches!(expected, Joins(_) | Fails(_)) };
            assert_eq!(outcome(&mut desk), (expected, noted), "{code}");
        }
    }
}

#[test]
fn of_a_heartbeat_while_partitions_are_given_up() {
    for (number, code) in codes() {
        let mut desk = inside(Assignor::Range);
        desk.subscribe(&["u"]);
        let revocation = desk.revoked(&places("t", 0..2));
        desk.pass(INTERVAL);
        let (ticket, _) = desk.heartbeat();
        desk.answer_heartbeat(ticket, number);
        let expected = match code {
            ErrorCode::RebalanceInProgress => Stays,
            ErrorCode::UnknownMemberId => Joins(""),
            ErrorCode::IllegalGeneration => Joins("m1"),
            ErrorCode::FencedInstanceId => Fails(FaultKind::Fenced),
            ErrorCode::GroupAuthorizationFailed => Fails(FaultKind::Authorization),
            _ => BeatsSoon,
        };
        let noted = Noted { forgot: is_elsewhere(code), lost: matches!(expected, Joins(_) | Fails(_)) };
        assert_eq!(outcome(&mut desk), (expected, noted), "{code}");
        // The answer comes when nobody waits for it.
        desk.tell(Event::Released(revocation));
        if noted.lost {
            desk.nothing();
        }
    }
}

#[test]
fn of_a_heartbeat_while_a_member_gives_up_everything_to_leave() {
    for (number, code) in codes() {
        let mut desk = inside(Assignor::Range);
        desk.tell(Event::Leave);
        desk.revoked(&places("t", 0..2));
        desk.pass(INTERVAL);
        let (ticket, _) = desk.heartbeat();
        desk.answer_heartbeat(ticket, number);
        if code == ErrorCode::IllegalGeneration {
            assert_eq!(desk.next(), Action::Lose(places("t", 0..2)));
            assert_eq!(&*desk.departure().1.members[0].member_id, "m1");
            continue;
        }
        let expected = match code {
            ErrorCode::RebalanceInProgress => Stays,
            ErrorCode::UnknownMemberId => Left,
            ErrorCode::FencedInstanceId => Fails(FaultKind::Fenced),
            ErrorCode::GroupAuthorizationFailed => Fails(FaultKind::Authorization),
            _ => BeatsSoon,
        };
        let noted = Noted { forgot: is_elsewhere(code), lost: matches!(expected, Left | Fails(_)) };
        assert_eq!(outcome(&mut desk), (expected, noted), "{code}");
    }
}

#[test]
fn of_a_departure() {
    for (number, code) in codes() {
        let by_member = |error_code| LeaveGroupResponse {
            members: vec![LeaveGroupResponseMember { error_code, ..Default::default() }],
            ..Default::default()
        };
        let whole = LeaveGroupResponse { error_code: number, ..Default::default() };
        for answer in [whole, by_member(number)] {
            let (mut desk, ticket) = leaving();
            desk.tell(Event::Answered(ticket, Response::Leave(answer)));
            let expected = if code.is_retriable() { LeavesLater } else { Left };
            let noted = Noted { forgot: is_elsewhere(code), lost: false };
            assert_eq!(outcome(&mut desk), (expected, noted), "{code}");
        }
    }
}

type State = fn() -> (Desk, Ticket);

const WAITING: [(&str, State); 5] = [
    ("joining first", joining_first),
    ("joining again", joining_again),
    ("syncing", syncing),
    ("beating", || beating(Assignor::Range)),
    ("leaving", leaving),
];

#[test]
fn of_finding_the_coordinator() {
    for (state, make) in WAITING {
        for (_, code) in codes() {
            let (mut desk, ticket) = make();
            desk.tell(Event::Failed(ticket, Failure::Refused(code)));
            let later = match state {
                "beating" => BeatsSoon,
                "leaving" => LeavesLater,
                _ => JoinsLater,
            };
            let expected = match common(code, later) {
                Fails(_) if state == "leaving" => Left,
                expected => expected,
            };
            let had = !matches!(state, "joining first" | "leaving");
            let noted = Noted { forgot: true, lost: had && matches!(expected, Fails(_)) };
            assert_eq!(outcome(&mut desk), (expected, noted), "{code} while {state}");
        }
    }
}

#[test]
fn no_answer_at_all() {
    for (state, make) in WAITING {
        let (mut desk, ticket) = make();
        desk.tell(Event::Failed(ticket, Failure::Disconnected));
        let expected = match state {
            "beating" => BeatsSoon,
            "leaving" => LeavesLater,
            _ => JoinsLater,
        };
        assert_eq!(outcome(&mut desk), (expected, Noted { forgot: true, lost: false }), "{state}");
        let (mut desk, ticket) = make();
        desk.tell(Event::Failed(ticket, Failure::Unsupported));
        let expected = if state == "leaving" { Left } else { Fails(FaultKind::Unsupported) };
        assert_eq!(outcome(&mut desk).0, expected, "{state}");
    }
}
