//! Values that do not go together, and defaults that follow from other values.

use super::{KeyId, Mistake, Place, Settings, Side};

/// Durations of which the first must be less than the second (the Java client's and librdkafka's
/// rules).
const LESS: &[(Side, KeyId, KeyId)] = &[
    (Side::Producer, KeyId::Linger, KeyId::DeliveryTimeout),
    (Side::Consumer, KeyId::HeartbeatInterval, KeyId::SessionTimeout),
];

/// Durations of which the first must not be more than the second.
const NOT_MORE: &[(Side, KeyId, KeyId)] = &[
    (Side::Producer, KeyId::ReconnectBackoff, KeyId::ReconnectBackoffMax),
    (Side::Consumer, KeyId::ReconnectBackoff, KeyId::ReconnectBackoffMax),
];

/// Settings of one `group.protocol` that the other has no use for: the broker sets the times of KIP-848's, as the
/// Java client has it.
const OF_PROTOCOL: &[(&str, &[KeyId])] = &[
    ("classic", &[KeyId::SessionTimeout, KeyId::HeartbeatInterval, KeyId::AssignmentStrategy]),
    ("consumer", &[KeyId::GroupRemoteAssignor]),
];

/// Turns idempotence off where nobody asked for it and other values rule it out, as the Java client
/// does (KIP-679). A spool is of use to a resilient run only.
pub(super) fn derive(settings: &mut Settings) {
    if settings.is_set(KeyId::SpoolDir) && !settings.is_set(KeyId::Resilient) {
        settings.replace(KeyId::Resilient, "true");
    }
    if settings.side == Side::Producer
        && !settings.is_set(KeyId::EnableIdempotence)
        && against_idempotence(settings).is_some()
    {
        settings.replace(KeyId::EnableIdempotence, "false");
    }
}

/// Every rule that the settings break.
pub(super) fn broken(settings: &Settings) -> Vec<Mistake> {
    let mine = |rule: &&(Side, KeyId, KeyId)| rule.0 == settings.side;
    let less = LESS.iter().filter(mine).filter(|&&(_, a, b)| settings.duration(a) >= settings.duration(b));
    let not_more =
        NOT_MORE.iter().filter(mine).filter(|&&(_, a, b)| settings.duration(a) > settings.duration(b));
    less.map(|&(_, a, b)| conflict(settings, a, "must be less than", b))
        .chain(not_more.map(|&(_, a, b)| conflict(settings, a, "must not be more than", b)))
        .chain(idempotence(settings))
        .chain(of_other_protocol(settings))
        .chain(resilience(settings))
        .collect()
}

/// Settings that were set for the other protocol of groups.
fn of_other_protocol(settings: &Settings) -> Vec<Mistake> {
    let protocol = settings.text(KeyId::GroupProtocol).unwrap_or_default();
    let others = OF_PROTOCOL.iter().filter(|(of, _)| settings.side == Side::Consumer && *of != protocol);
    let set = others.flat_map(|(_, ids)| *ids).filter(|id| settings.is_set(**id));
    set.map(|id| conflict(settings, *id, "does not go with", KeyId::GroupProtocol)).collect()
}

/// A transaction is delivered as a whole or not at all, and cannot go on in a new connection.
fn resilience(settings: &Settings) -> Option<Mistake> {
    let resilient = settings.bool(KeyId::Resilient);
    if settings.is_set(KeyId::SpoolDir) && !resilient {
        return Some(conflict(settings, KeyId::SpoolDir, "does not go with", KeyId::Resilient));
    }
    let transactional = settings.side == Side::Producer && settings.is_set(KeyId::TransactionalId);
    let both = resilient && transactional;
    both.then(|| conflict(settings, KeyId::TransactionalId, "does not go with", KeyId::Resilient))
}

fn idempotence(settings: &Settings) -> Option<Mistake> {
    if settings.side != Side::Producer || !settings.bool(KeyId::EnableIdempotence) {
        return None;
    }
    let against = against_idempotence(settings)?;
    Some(conflict(settings, KeyId::EnableIdempotence, "does not go with", against))
}

/// The setting, if any, that idempotence cannot be had with.
fn against_idempotence(settings: &Settings) -> Option<KeyId> {
    let against = [
        (KeyId::Acks, settings.text(KeyId::Acks) != Some("all")),
        (KeyId::Retries, settings.int(KeyId::Retries) == 0),
        (KeyId::MaxInFlight, settings.int(KeyId::MaxInFlight) > 5),
    ];
    against.into_iter().find(|(_, against)| *against).map(|(id, _)| id)
}

/// Told at the place of the setting that somebody set; both are named.
fn conflict(settings: &Settings, a: KeyId, verb: &str, b: KeyId) -> Mistake {
    let set = |id: KeyId| {
        let value = settings.text(id).unwrap_or_default();
        format!("{}={value} ({})", id.key().java, settings.place(id))
    };
    let place = if *settings.place(a) == Place::Default { settings.place(b) } else { settings.place(a) };
    Mistake::new(place, format!("{} {verb} {}", set(a), set(b)))
}
