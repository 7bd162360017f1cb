//! What stands before a message in its frame.
//!
//! Request headers are version 1, or 2 where the message's version is flexible; responses 0 or 1.
//! (Version 0 of the request header belongs to ControlledShutdown alone.) The client id never has
//! a compact length, and a response to ApiVersions never has tags, since whoever reads it does not
//! know yet what the broker speaks.

use super::api::{Api, ApiKey};
use super::field::{Field, Text, Version};
use super::reader::{DecodeError, Reader};
use super::writer::Writer;

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// Which API: a known key ([`Self::api`]) or any other number.
    pub api_key: i16,
    /// Which version of it.
    pub api_version: i16,
    /// The number that the response is to repeat.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<Text<'a>>,
}

impl<'a> RequestHeader<'a> {
    /// Takes a header. Of a request that is not served the first three numbers alone are read:
    /// what follows them is not known, and they are enough to answer or to log it.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn read(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        r.enter("the request header");
        let (api_key, api_version, correlation_id) = (r.i16()?, r.i16()?, r.i32()?);
        let mut header = Self { api_key, api_version, correlation_id, client_id: None };
        if let Some((_, v)) = header.api() {
            header.client_id = Field::read(r, Version { flexible: false, ..v })?;
            if v.flexible {
                r.tags(&mut |_, _| Ok(false))?;
            }
        }
        Ok(header)
    }

    /// The API and version, if they are served.
    pub fn api(&self) -> Option<(&'static Api, Version)> {
        let api = Api::find(self.api_key)?;
        Some((api, api.version(self.api_version)?))
    }

    /// Appends the header.
    pub fn write(&self, w: &mut Writer) {
        w.enter("the request header");
        w.i16(self.api_key);
        w.i16(self.api_version);
        w.i32(self.correlation_id);
        self.client_id.write(w, Version { number: 1, flexible: false });
        if self.api().is_some_and(|(_, v)| v.flexible) {
            w.unsigned_varint(0);
        }
    }
}

/// The head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHeader {
    /// The request's number.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Takes the header of a response to a request of that API and version.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn read(r: &mut Reader<'_>, api: &Api, version: i16) -> Result<Self, DecodeError> {
        r.enter("the response header");
        let correlation_id = r.i32()?;
        if Self::has_tags(api, version) {
            r.tags(&mut |_, _| Ok(false))?;
        }
        Ok(Self { correlation_id })
    }

    /// Appends the header.
    pub fn write(&self, w: &mut Writer, api: &Api, version: i16) {
        w.i32(self.correlation_id);
        if Self::has_tags(api, version) {
            w.unsigned_varint(0);
        }
    }

    fn has_tags(api: &Api, version: i16) -> bool {
        version >= api.flexible && api.key != ApiKey::ApiVersions
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages as oracle;
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

    use super::super::APIS;
    use super::super::arbitrary::Gen;
    use super::*;

    #[test]
    fn request_headers_are_the_oracles() {
        for api in APIS {
            let key = oracle::ApiKey::try_from(api.key as i16).unwrap();
            for version in api.versions() {
                let ours = RequestHeader {
                    api_key: api.key as i16,
                    api_version: version,
                    correlation_id: 77,
                    client_id: Some("kps".into()),
                };
                let mut w = Writer::new();
                ours.write(&mut w);
                let theirs = oracle::RequestHeader::default()
                    .with_request_api_key(api.key as i16)
                    .with_request_api_version(version)
                    .with_correlation_id(77)
                    .with_client_id(Some(StrBytes::from_static_str("kps")));
                let mut bytes = Vec::new();
                theirs.encode(&mut bytes, key.request_header_version(version)).unwrap();
                assert_eq!(w.finish().unwrap(), bytes, "{api:?} {version}");
                assert_eq!(RequestHeader::read(&mut Reader::new(&bytes)), Ok(ours));
                for end in 0..bytes.len() {
                    assert!(RequestHeader::read(&mut Reader::new(&bytes[..end])).is_err());
                }
            }
        }
    }

    #[test]
    fn response_headers_are_the_oracles() {
        for api in APIS {
            let key = oracle::ApiKey::try_from(api.key as i16).unwrap();
            for version in api.versions() {
                let mut w = Writer::new();
                ResponseHeader { correlation_id: -9 }.write(&mut w, api, version);
                let bytes = w.finish().unwrap();
                let header_version = key.response_header_version(version);
                let theirs = oracle::ResponseHeader::decode(&mut &bytes[..], header_version).unwrap();
                assert_eq!(theirs.correlation_id, -9);
                assert_eq!(bytes.len(), 4 + header_version as usize, "{api:?} {version}");
                let ours = ResponseHeader::read(&mut Reader::new(&bytes), api, version);
                assert_eq!(ours, Ok(ResponseHeader { correlation_id: -9 }));
            }
        }
    }

    #[test]
    fn random_bytes_are_survived() {
        let mut g = Gen::new(11);
        for _ in 0..20_000 {
            let mut bytes = g.bytes(40);
            // A key and version that are served now and then, or little else would be reached.
            let head = [0, g.below(30) as u8, 0, g.below(13) as u8];
            bytes.iter_mut().zip(head).for_each(|(byte, value)| *byte = value);
            let mut r = Reader::new(&bytes);
            if let Ok(header) = RequestHeader::read(&mut r) {
                let mut w = Writer::new();
                header.write(&mut w);
                let bytes = w.finish().unwrap();
                assert_eq!(RequestHeader::read(&mut Reader::new(&bytes)), Ok(header));
            }
        }
    }

    #[test]
    fn of_a_request_that_is_not_served_the_numbers_are_read() {
        let bytes = [0, 18, 0, 99, 0, 0, 0, 5, 0xff, 0xff];
        let mut r = Reader::new(&bytes);
        let header = RequestHeader::read(&mut r).unwrap();
        assert_eq!((header.api_key, header.api_version, header.correlation_id), (18, 99, 5));
        assert!(header.api().is_none());
        assert_eq!(r.remaining(), 2);
    }
}
