//! What of groups and offsets is in the journal: under `group/classic/` a classic group, under
//! `group/consumer/` and `group/consumer-member/` one of KIP-848's protocol and its members, under
//! `offset/` a committed offset, under `pending-offset/` one of a transaction that is not decided.
//!
//! The parts of a key stand behind each other, names after their length (u32): no name of a group or
//! topic can be taken for another. A value begins with the version of its form.

use super::super::storage::Change;
use super::offsets::Committed;
use crate::wire::{DecodeError, Field, Reader, Text, Version, Writer};

/// Where classic groups are.
pub(super) const CLASSIC: &[u8] = b"group/classic/";
/// Where committed offsets are.
pub(super) const OFFSET: &[u8] = b"offset/";
/// Where offsets in transactions are.
pub(super) const PENDING: &[u8] = b"pending-offset/";

/// The form of values: wire types, lengths compact.
const FORM: Version = Version { number: 0, flexible: true };
/// The first byte of a value.
const VERSION: u8 = 1;

/// Changes of the journal that hold together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::broker) struct Edits(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Edits {
    /// Adds a key or replaces its value.
    pub(in crate::broker) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.push((key, Some(value)));
    }

    /// Removes a key.
    pub(in crate::broker) fn delete(&mut self, key: Vec<u8>) {
        self.0.push((key, None));
    }

    /// True when there is nothing to change.
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes, in order.
    pub(in crate::broker) fn changes(&self) -> Vec<Change<'_>> {
        fn change((key, value): &(Vec<u8>, Option<Vec<u8>>)) -> Change<'_> {
            value.as_ref().map_or(Change::Delete(key), |value| Change::Put(key, value))
        }
        self.0.iter().map(change).collect()
    }
}

/// A place for an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::broker) struct Place<'a> {
    pub(in crate::broker) group: &'a str,
    pub(in crate::broker) topic: &'a str,
    pub(in crate::broker) partition: i32,
}

impl<'a> Place<'a> {
    /// Its key; with a producer that of an offset in a transaction.
    pub(super) fn key(self, producer: Option<i64>) -> Vec<u8> {
        let mut key = match producer {
            Some(id) => [PENDING, &id.to_be_bytes()].concat(),
            None => OFFSET.to_vec(),
        };
        push_name(&mut key, self.group);
        push_name(&mut key, self.topic);
        key.extend_from_slice(&self.partition.to_be_bytes());
        key
    }

    /// The place of a key without its prefix and producer.
    pub(super) fn of_key(key: &'a [u8]) -> Option<Self> {
        let (group, rest) = take_name(key)?;
        let (topic, rest) = take_name(rest)?;
        Some(Self { group, topic, partition: i32::from_be_bytes(rest.try_into().ok()?) })
    }
}

/// The producer and the place of a key without its prefix.
pub(super) fn pending_of_key(key: &[u8]) -> Option<(i64, Place<'_>)> {
    let (producer, rest) = key.split_first_chunk()?;
    Some((i64::from_be_bytes(*producer), Place::of_key(rest)?))
}

/// The key of a group.
pub(in crate::broker) fn group_key(prefix: &[u8], group: &str) -> Vec<u8> {
    let mut key = prefix.to_vec();
    push_name(&mut key, group);
    key
}

/// The group of a key without its prefix.
pub(in crate::broker) fn group_of_key(key: &[u8]) -> Option<&str> {
    take_name(key).filter(|(_, rest)| rest.is_empty()).map(|(group, _)| group)
}

/// The key of a member of a group.
pub(super) fn member_key(prefix: &[u8], group: &str, member: &str) -> Vec<u8> {
    let mut key = group_key(prefix, group);
    push_name(&mut key, member);
    key
}

/// The group and the member of a key without its prefix.
pub(super) fn member_of_key(key: &[u8]) -> Option<(&str, &str)> {
    let (group, rest) = take_name(key)?;
    take_name(rest).filter(|(_, rest)| rest.is_empty()).map(|(member, _)| (group, member))
}

fn push_name(key: &mut Vec<u8>, name: &str) {
    // Names come from messages, whose lengths have 32 bits.
    key.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes());
    key.extend_from_slice(name.as_bytes());
}

fn take_name(key: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = key.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    Some((std::str::from_utf8(name).ok()?, rest))
}

/// Begins a value.
pub(super) fn value() -> Writer {
    let mut w = Writer::new();
    w.raw(&[VERSION]);
    w
}

/// Appends a field.
pub(super) fn put<'a>(w: &mut Writer, field: &impl Field<'a>) {
    field.write(w, FORM);
}

/// Begins to read a value; `None` for a form that this version does not know.
pub(super) fn open(value: &[u8]) -> Option<Reader<'_>> {
    let mut r = Reader::with_budget(value, usize::MAX);
    (r.u8().ok()? == VERSION).then_some(r)
}

/// Takes a field.
pub(super) fn take<'a, F: Field<'a>>(r: &mut Reader<'a>) -> Result<F, DecodeError> {
    F::read(r, FORM)
}

/// The value of an offset.
pub(super) fn offset_value(committed: &Committed) -> Vec<u8> {
    let mut w = value();
    put(&mut w, &committed.offset);
    put(&mut w, &committed.leader_epoch);
    put(&mut w, &Text::Borrowed(&*committed.metadata));
    put(&mut w, &committed.time);
    put(&mut w, &committed.expires.unwrap_or(-1));
    put(&mut w, &committed.order);
    // Nothing in it can be too long: its metadata is limited.
    w.finish().unwrap_or_default()
}

/// The offset of a value.
pub(super) fn offset_of_value(value: &[u8]) -> Option<Committed> {
    let mut r = open(value)?;
    let mut read = || -> Result<Committed, DecodeError> {
        Ok(Committed {
            offset: take(&mut r)?,
            leader_epoch: take(&mut r)?,
            metadata: take::<Text<'_>>(&mut r)?.into_owned(),
            time: take(&mut r)?,
            expires: Some(take(&mut r)?).filter(|time| *time >= 0),
            order: take(&mut r)?,
        })
    };
    read().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_places_have_the_same_key() {
        let place = |group, topic| Place { group, topic, partition: 7 };
        let keys = [
            place("a", "bc").key(None),
            place("ab", "c").key(None),
            place("", "abc").key(None),
            place("a/b", "c").key(None),
            place("a", "b/c").key(None),
            place("a", "bc").key(Some(1)),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key));
        }
        assert_eq!(Place::of_key(&keys[3][OFFSET.len()..]), Some(place("a/b", "c")));
        assert_eq!(pending_of_key(&keys[5][PENDING.len()..]), Some((1, place("a", "bc"))));
        assert_eq!(group_of_key(&group_key(CLASSIC, "g/ä")[CLASSIC.len()..]), Some("g/ä"));
        assert_eq!(member_of_key(&member_key(b"m/", "g/ä", "m/")[2..]), Some(("g/ä", "m/")));
    }

    #[test]
    fn keys_and_values_of_another_form_are_nothing() {
        for bytes in [&b""[..], b"\x00\x00\x00\xffabc", b"\x00\x00\x00\x01\xff\x00\x00\x00\x00"] {
            assert_eq!(Place::of_key(bytes), None);
            assert_eq!(pending_of_key(bytes), None);
            assert_eq!(group_of_key(bytes), None);
            assert_eq!(member_of_key(bytes), None);
            assert_eq!(offset_of_value(bytes), None);
        }
        let committed = Committed {
            offset: 1,
            leader_epoch: -1,
            metadata: "ä".into(),
            time: 3,
            expires: Some(4),
            order: 5,
        };
        let mut value = offset_value(&committed);
        assert_eq!(offset_of_value(&value), Some(committed));
        assert_eq!(offset_of_value(&value[..value.len() - 1]), None);
        value[0] = 9;
        assert_eq!(offset_of_value(&value), None);
    }
}
