//! A classic group in the journal: what its members agreed on last (as Kafka's `GroupMetadataValue`).

use std::collections::BTreeMap;

use super::super::persist::{self, put, take};
use super::member::{Member, Protocol, Terms};
use super::{Group, State};
use crate::wire::{Blob, DecodeError, Reader, Text, Writer};

impl Group {
    /// The group as it is written down.
    pub(in crate::broker) fn value(&self) -> Vec<u8> {
        let mut w = persist::value();
        put(&mut w, &self.protocol_type.as_deref().map(Text::Borrowed));
        put(&mut w, &self.protocol.as_deref().map(Text::Borrowed));
        put(&mut w, &self.leader.as_deref().map(Text::Borrowed));
        put(&mut w, &self.generation);
        put(&mut w, &self.changed_at);
        w.compact_length(Some(self.members.len()));
        for (id, member) in &self.members {
            put(&mut w, &Text::Borrowed(id));
            write_member(&mut w, member);
        }
        // All of it came in messages, whose lengths have 32 bits.
        w.finish().unwrap_or_default()
    }

    /// The group of a value; `None` for what this version did not write. Its members begin a new
    /// session.
    pub(in crate::broker) fn of_value(value: &[u8], now: i64) -> Option<Self> {
        let mut r = persist::open(value)?;
        let mut group = read(&mut r, now).ok()?;
        group.instances = group.members.iter().filter_map(named).collect();
        let protocol = group.protocol.as_deref().unwrap_or_default();
        let is_sound = match group.state {
            State::Empty => true,
            _ => {
                group.leader.as_ref().is_some_and(|leader| group.members.contains_key(leader))
                    && group.members.values().all(|member| member.supports(protocol))
            }
        };
        group.subscribed = group.subscriptions();
        is_sound.then_some(group)
    }
}

fn named((id, member): (&String, &Member)) -> Option<(String, String)> {
    Some((member.instance_id.clone()?, id.clone()))
}

fn read(r: &mut Reader<'_>, now: i64) -> Result<Group, DecodeError> {
    let mut group = Group::new(now);
    group.protocol_type = take::<Option<Text<'_>>>(r)?.map(Text::into_owned);
    group.protocol = take::<Option<Text<'_>>>(r)?.map(Text::into_owned);
    group.leader = take::<Option<Text<'_>>>(r)?.map(Text::into_owned);
    group.generation = take(r)?;
    group.changed_at = take(r)?;
    let mut members = BTreeMap::new();
    for _ in 0..r.compact_length()?.unwrap_or_default() {
        members.insert(take::<Text<'_>>(r)?.into_owned(), read_member(r, now)?);
    }
    group.state = if members.is_empty() { State::Empty } else { State::Stable };
    group.members = members;
    Ok(group)
}

fn write_member(w: &mut Writer, member: &Member) {
    put(w, &member.instance_id.as_deref().map(Text::Borrowed));
    put(w, &Text::Borrowed(&*member.client_id));
    put(w, &Text::Borrowed(&*member.client_host));
    put(w, &member.terms.rebalance_timeout);
    put(w, &member.terms.session_timeout);
    put(w, &Blob::Borrowed(&*member.assignment));
    w.compact_length(Some(member.terms.protocols.len()));
    for protocol in &member.terms.protocols {
        put(w, &Text::Borrowed(&*protocol.name));
        put(w, &Blob::Borrowed(&*protocol.metadata));
    }
}

fn read_member(r: &mut Reader<'_>, now: i64) -> Result<Member, DecodeError> {
    let mut member = Member {
        instance_id: take::<Option<Text<'_>>>(r)?.map(Text::into_owned),
        client_id: take::<Text<'_>>(r)?.into_owned(),
        client_host: take::<Text<'_>>(r)?.into_owned(),
        terms: Terms { rebalance_timeout: take(r)?, session_timeout: take(r)?, protocols: Vec::new() },
        assignment: take::<Blob<'_>>(r)?.into_owned(),
        due: None,
        is_new: false,
        owes_sync: false,
        joining: None,
        syncing: None,
    };
    for _ in 0..r.compact_length()?.unwrap_or_default() {
        let name = take::<Text<'_>>(r)?.into_owned();
        member.terms.protocols.push(Protocol { name, metadata: take::<Blob<'_>>(r)?.into_owned() });
    }
    member.touch(now);
    Ok(member)
}
