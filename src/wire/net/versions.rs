//! What a broker speaks: the first question on each connection.

use tokio::time::Instant;

use super::{Answer, Connection, Error, Kind, Result};
use crate::wire::messages::{ApiVersionRange, ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{Api, ApiKey, ErrorCode};

/// What this client calls itself to brokers (KIP-511).
const SOFTWARE: (&str, &str) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));

/// Without these there is nothing to be done with a broker that announces them in other versions.
const NEEDED: [ApiKey; 3] = [ApiKey::Metadata, ApiKey::Produce, ApiKey::Fetch];

/// The versions of each API that a broker knows.
#[derive(Debug)]
pub(super) struct Versions(Vec<ApiVersionRange>);

impl Versions {
    fn range(&self, key: ApiKey) -> Option<&ApiVersionRange> {
        self.0.iter().find(|range| range.api_key == key as i16)
    }

    /// The newest version of an API that both sides know, no newer than `newest`.
    pub(super) fn newest(&self, api: &'static Api, newest: i16) -> Result<i16> {
        let Some(range) = self.range(api.key) else {
            return Err(Error::new(Kind::Unsupported, format!("it does not know {}", api.name)));
        };
        api.newest_in_common(range.min_version, range.max_version.min(newest)).ok_or_else(|| {
            let text = format!(
                "it knows {} in versions {} to {}, here are {} to {}",
                api.name,
                range.min_version,
                range.max_version,
                api.min,
                api.max.min(newest)
            );
            Error::new(Kind::Unsupported, text)
        })
    }
}

/// Asks a broker what it speaks. A broker that does not know the version of the question answers it in
/// version 0 with error 35; it is asked again in a version that it knows.
pub(super) async fn ask(connection: &Connection, deadline: Instant) -> Result<Versions> {
    let api = ApiKey::ApiVersions.api();
    let answer = question(connection, api.max, deadline).await?;
    let ranges = match understood(connection, &answer)? {
        Some(ranges) => ranges,
        None => {
            let told: ApiVersionsResponse<'_> = answer.read_as(0)?;
            let range = told.api_keys.iter().find(|range| range.api_key == api.key as i16);
            let version = range.and_then(|range| api.newest_in_common(range.min_version, range.max_version));
            let version = version.filter(|version| *version < api.max).unwrap_or(0);
            let answer = question(connection, version, deadline).await?;
            understood(connection, &answer)?.ok_or_else(|| {
                Error::of_code(ErrorCode::UnsupportedVersion, "ApiVersions").at(connection.address())
            })?
        }
    };
    let versions = Versions(ranges);
    for key in NEEDED.into_iter().filter(|key| versions.range(*key).is_some()) {
        versions.newest(key.api(), i16::MAX).map_err(|error| error.at(connection.address()))?;
    }
    Ok(versions)
}

async fn question(connection: &Connection, version: i16, deadline: Instant) -> Result<Answer> {
    let request = ApiVersionsRequest {
        client_software_name: SOFTWARE.0.into(),
        client_software_version: SOFTWARE.1.into(),
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let asked = connection.send_as(&request, version, left).await;
    asked.map_err(|error| match error.kind() {
        Kind::Closed => {
            let text = "it closed the connection when asked what it speaks: it is no Kafka broker, older than \
                        0.10, or expects another security.protocol";
            Error::new(Kind::Unreachable, text).at(connection.address()).because(error)
        }
        _ => error,
    })
}

/// The versions told; none if the version of the question was not understood.
fn understood(connection: &Connection, answer: &Answer) -> Result<Option<Vec<ApiVersionRange>>> {
    let unsupported = (ErrorCode::UnsupportedVersion as i16).to_be_bytes();
    if answer.message().starts_with(&unsupported) {
        return Ok(None);
    }
    let told: ApiVersionsResponse<'_> = answer.read()?;
    ErrorCode::check(told.error_code)
        .map_err(|code| Error::of_code(code, "ApiVersions").at(connection.address()))?;
    Ok(Some(told.api_keys))
}
