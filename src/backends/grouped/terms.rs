//! Settings as the membership needs them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::backends::reset::Reset;
use crate::backends::wired::config;
use crate::backends::{Error, ErrorKind, Result};
use crate::group::{Assignor, Protocol, Terms};
use crate::settings::{KeyId, Settings};
use crate::wire::net::{self, Creation, Isolation, Random};

/// The largest answer to take: the leader of a large group is told what each member knows.
const ANSWER_MAX: usize = 64 << 20;
/// Bytes of buffers to keep for answers, which are small but for that.
const KEPT: usize = 64 << 10;

/// All that a membership needs to know.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) cluster: net::Config,
    pub(super) terms: Terms,
    pub(super) reset: Reset,
    pub(super) isolation: Isolation,
    /// How long the coordinator may be out of reach (`socket.timeout.ms`).
    pub(super) patience: Duration,
}

impl Config {
    pub(super) fn of(settings: &Settings) -> Result<Self> {
        let mut cluster = config::cluster(settings, ANSWER_MAX, KEPT)?;
        // Reading creates no topics.
        cluster.creation = Creation::Forbidden;
        Ok(Self {
            cluster,
            terms: terms(settings)?,
            reset: Reset::of(settings, true),
            isolation: config::isolation(settings),
            patience: settings.patience(),
        })
    }
}

fn terms(settings: &Settings) -> Result<Terms> {
    let text = |key| settings.text(key).map(str::to_owned);
    Ok(Terms {
        group_id: text(KeyId::GroupId).unwrap_or_default(),
        instance_id: text(KeyId::GroupInstanceId),
        rack_id: text(KeyId::ClientRack),
        max_poll_interval: settings.duration(KeyId::MaxPollInterval),
        retry_backoff: settings.duration(KeyId::RetryBackoff),
        request_timeout: settings.duration(KeyId::RequestTimeout),
        protocol: protocol(settings)?,
    })
}

fn protocol(settings: &Settings) -> Result<Protocol> {
    if settings.text(KeyId::GroupProtocol) == Some("consumer") {
        let assignor = settings.text(KeyId::GroupRemoteAssignor).map(str::to_owned);
        return Ok(Protocol::Consumer { member_id: member_id(), assignor });
    }
    let named = |name: String| {
        let unknown = || Error::new(ErrorKind::Unsupported, format!("partition.assignment.strategy={name}"));
        Assignor::named(&name).ok_or_else(unknown)
    };
    let assignors = settings.list(KeyId::AssignmentStrategy).into_iter().map(named).collect::<Result<_>>()?;
    Ok(Protocol::Classic {
        session_timeout: settings.duration(KeyId::SessionTimeout),
        heartbeat_interval: settings.duration(KeyId::HeartbeatInterval),
        assignors,
    })
}

/// A random UUID (version 4) as Kafka writes them.
fn member_id() -> String {
    let mut random = Random::new();
    let number = u128::from(random.number()) << 64 | u128::from(random.number());
    let number = number & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    URL_SAFE_NO_PAD.encode(number.to_be_bytes())
}
