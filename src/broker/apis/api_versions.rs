//! ApiVersions (versions 0 to 4): what is served. A version that is not known is answered in version
//! 0 with error 35 and the versions of ApiVersions itself, so that the client can ask again (KIP-511).
//! No features: nothing here depends on one.

use super::super::code::{Code, told};
use super::{Call, SERVED};
use crate::wire::ApiKey;
use crate::wire::messages::{ApiVersionRange, ApiVersionsRequest, ApiVersionsResponse};

pub(super) fn handle<'a>(call: &mut Call<'a>, _: ApiVersionsRequest<'a>) -> ApiVersionsResponse<'a> {
    let (error_code, _) = told(&call.allow());
    ApiVersionsResponse { error_code, api_keys: ranges(SERVED), ..Default::default() }
}

/// What is answered to a version that is not known.
pub(super) fn unsupported() -> ApiVersionsResponse<'static> {
    ApiVersionsResponse {
        error_code: Code::UnsupportedVersion as i16,
        api_keys: ranges(&[ApiKey::ApiVersions]),
        ..Default::default()
    }
}

fn ranges(of: &[ApiKey]) -> Vec<ApiVersionRange> {
    let mut all = ApiVersionsResponse::served();
    all.retain(|range| of.iter().any(|key| *key as i16 == range.api_key));
    all
}
