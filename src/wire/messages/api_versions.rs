//! ApiVersions (key 18), versions 0 to 4, flexible from 3.
//!
//! The first request on a connection. A broker that does not know its version answers in version 0
//! with error 35, and no version's response header has tags.

use super::super::{APIS, Api, ApiKey, Text};

message! {
    /// Asks which APIs a broker serves.
    pub struct ApiVersionsRequest<'a> {
        /// The client library.
        client_software_name: Text<'a>, in 3..;
        /// Its version.
        client_software_version: Text<'a>, in 3..;
    }

    /// The APIs that a broker serves.
    pub struct ApiVersionsResponse<'a> {
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What is served.
        api_keys: Vec<ApiVersionRange>;
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32, in 1..;
        /// Features supported.
        supported_features: Vec<SupportedFeature<'a>>, in 3.., tag 0;
        /// How often they have changed; -1 if not known.
        finalized_features_epoch: i64 = -1, in 3.., tag 1;
        /// Features in force.
        finalized_features: Vec<FinalizedFeature<'a>>, in 3.., tag 2;
    }

    /// An API and its versions.
    pub struct ApiVersionRange {
        /// Its key.
        api_key: i16;
        /// The oldest version.
        min_version: i16;
        /// The newest version.
        max_version: i16;
    }

    /// A feature that a broker supports.
    pub struct SupportedFeature<'a> {
        /// Its name.
        name: Text<'a>;
        /// The oldest version.
        min_version: i16;
        /// The newest version.
        max_version: i16;
    }

    /// A feature that the whole cluster has switched on.
    pub struct FinalizedFeature<'a> {
        /// Its name.
        name: Text<'a>;
        /// The highest level.
        max_version_level: i16;
        /// The lowest level.
        min_version_level: i16;
    }
}

impl ApiVersionsResponse<'_> {
    /// What is served here, as the broker announces it. Produce starts at 0 although its requests
    /// do at 3: librdkafka sends uncompressed what it finds no version 0 for (KAFKA-18659).
    pub fn served() -> Vec<ApiVersionRange> {
        let range = |api: &Api| ApiVersionRange {
            api_key: api.key as i16,
            min_version: if api.key == ApiKey::Produce { 0 } else { api.min },
            max_version: api.max,
        };
        APIS.iter().map(range).collect()
    }
}
