//! What consumers tell each other inside JoinGroup and SyncGroup: Kafka's `ConsumerProtocolSubscription` and
//! `ConsumerProtocolAssignment`, versions 0 to 3, none flexible, with the version before them; and what its
//! sticky assignors add to a subscription.

use super::super::{Blob, DecodeError, EncodeError, Field, Problem, Reader, Text, Version, Writer};

message! {
    /// What a member wants to read, and what it has.
    pub struct ConsumerProtocolSubscription<'a> {
        /// The topics it subscribes to.
        topics: Vec<Text<'a>>;
        /// What its assignor adds.
        user_data: Option<Blob<'a>>;
        /// The partitions it has (KIP-429).
        owned_partitions: Vec<ConsumerProtocolTopic<'a>>, in 1..;
        /// The generation in which it got them; -1 if it is not known (KIP-792).
        generation_id: i32 = -1, in 2..;
        /// Where it stands (KIP-881).
        rack_id: Option<Text<'a>>, in 3..;
    }

    /// What a member is to read.
    pub struct ConsumerProtocolAssignment<'a> {
        /// The partitions, by topic.
        assigned_partitions: Vec<ConsumerProtocolTopic<'a>>;
        /// What the assignor adds.
        user_data: Option<Blob<'a>>;
    }

    /// Partitions of one topic.
    pub struct ConsumerProtocolTopic<'a> {
        /// The topic.
        topic: Text<'a>;
        /// The partitions.
        partitions: Vec<i32>;
    }

    /// What `StickyAssignor` adds to a subscription. No version stands before it.
    pub struct StickyUserData<'a> {
        /// The partitions the member had.
        previous_assignment: Vec<ConsumerProtocolTopic<'a>>;
        /// The generation in which it had them.
        generation: i32 = -1, in 1..;
    }

    /// What `CooperativeStickyAssignor` adds to a subscription. No version stands before it.
    pub struct CooperativeStickyUserData {
        /// The generation in which the member got what it has.
        generation: i32;
    }
}

/// The newest version of subscriptions and assignments.
const NEWEST: i16 = 3;
/// The newest version of what the sticky assignors add.
const NEWEST_USER_DATA: i16 = 1;

/// The bytes of a structure that stands inside a message, with its version before it if there is one.
fn encode<'a>(it: &impl Field<'a>, number: i16, prefix: Option<i16>) -> Result<Vec<u8>, EncodeError> {
    let mut w = Writer::new();
    prefix.into_iter().for_each(|number| w.i16(number));
    it.write(&mut w, Version { number, flexible: false });
    w.finish()
}

/// Reads a structure after its version: one newer than is known here only has more at the end.
fn decode<'a, T: Field<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let mut r = Reader::new(bytes);
    r.enter("the version of what a consumer tells");
    let number = r.i16()?;
    if number < 0 {
        return r.fail(Problem::Version(number));
    }
    T::read(&mut r, Version { number: number.min(NEWEST), flexible: false })
}

impl<'a> ConsumerProtocolSubscription<'a> {
    /// Its bytes, in the newest version.
    ///
    /// # Errors
    /// If a name is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode(self, NEWEST, Some(NEWEST))
    }

    /// Reads any version.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode(bytes)
    }
}

impl<'a> ConsumerProtocolAssignment<'a> {
    /// Its bytes, in the newest version.
    ///
    /// # Errors
    /// If a name is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode(self, NEWEST, Some(NEWEST))
    }

    /// Reads any version.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode(bytes)
    }
}

impl<'a> StickyUserData<'a> {
    /// Its bytes, in the newest version.
    ///
    /// # Errors
    /// If a name is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode(self, NEWEST_USER_DATA, None)
    }

    /// Reads either version; which it is, is not told.
    ///
    /// # Errors
    /// If the bytes are neither.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let read = |number| Self::read(&mut Reader::new(bytes), Version { number, flexible: false });
        read(NEWEST_USER_DATA).or_else(|_| read(0))
    }
}

impl CooperativeStickyUserData {
    /// Its bytes.
    ///
    /// # Errors
    /// None: a number always fits.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode(self, NEWEST_USER_DATA, None)
    }

    /// Reads it.
    ///
    /// # Errors
    /// If the bytes are too few.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::read(&mut Reader::new(bytes), Version { number: NEWEST_USER_DATA, flexible: false })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use kafka_protocol::messages as oracle;
    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::super::super::arbitrary::{Arbitrary, Gen};
    use super::*;

    /// Random values of ours in every version are the oracle's, byte for byte, and come back the same.
    fn agrees<T, O>(read: impl Fn(&'static [u8]) -> Result<T, DecodeError>)
    where
        T: Field<'static> + Arbitrary + PartialEq + Debug,
        O: Encodable + Decodable,
    {
        for (number, seed) in (0..=NEWEST).flat_map(|number| (0..40).map(move |seed| (number, seed))) {
            let message = T::arbitrary(&mut Gen::new(seed), Version { number, flexible: false });
            let bytes: &'static [u8] = Vec::leak(encode(&message, number, Some(number)).unwrap());
            let mut left = &bytes[2..];
            let theirs = O::decode(&mut left, number).unwrap();
            assert!(left.is_empty(), "{message:?} in version {number}");
            let mut again = number.to_be_bytes().to_vec();
            theirs.encode(&mut again, number).unwrap();
            assert_eq!(again, bytes, "{message:?} in version {number}");
            assert_eq!(read(bytes), Ok(message));
        }
    }

    #[test]
    fn subscriptions_and_assignments_are_the_oracles() {
        agrees::<_, oracle::ConsumerProtocolSubscription>(ConsumerProtocolSubscription::decode);
        agrees::<_, oracle::ConsumerProtocolAssignment>(ConsumerProtocolAssignment::decode);
    }

    #[test]
    fn a_newer_version_is_read_as_the_newest_and_an_older_than_all_is_refused() {
        let subscription = ConsumerProtocolSubscription { topics: vec!["t".into()], ..Default::default() };
        let mut bytes = subscription.encode().unwrap();
        bytes[1] = 9;
        bytes.extend_from_slice(b"more");
        assert_eq!(ConsumerProtocolSubscription::decode(&bytes), Ok(subscription.clone()));
        bytes[0] = 0xff;
        assert!(ConsumerProtocolSubscription::decode(&bytes).is_err());
        assert!(ConsumerProtocolSubscription::decode(&[0]).is_err());
        assert!(ConsumerProtocolAssignment::decode(&[0, 1, 0x7f, 0xff, 0xff, 0xff]).is_err());
    }

    /// As `StickyAssignor.serializeTopicPartitionAssignment` and its older schema write it.
    #[test]
    fn what_sticky_assignors_add_is_as_in_java() {
        let topic = ConsumerProtocolTopic { topic: "t".into(), partitions: vec![1, 2] };
        let data = StickyUserData { previous_assignment: vec![topic], generation: 7 };
        let bytes = data.encode().unwrap();
        let older = [0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        assert_eq!(bytes, [&older[..], &[0, 0, 0, 7]].concat());
        assert_eq!(StickyUserData::decode(&bytes), Ok(data.clone()));
        assert_eq!(StickyUserData::decode(&older), Ok(StickyUserData { generation: -1, ..data }));
        assert!(StickyUserData::decode(&older[..9]).is_err());
        let cooperative = CooperativeStickyUserData { generation: 7 };
        assert_eq!(cooperative.encode().unwrap(), [0, 0, 0, 7]);
        assert_eq!(CooperativeStickyUserData::decode(&[0, 0, 0, 7]), Ok(cooperative));
        assert!(CooperativeStickyUserData::decode(&[0, 0]).is_err());
    }
}
