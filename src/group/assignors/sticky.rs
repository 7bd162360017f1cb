//! placeholder
use crate::group::subscription::by_topic;
use crate::record::TopicPartition;
use crate::wire::messages::{CooperativeStickyUserData, StickyUserData};

pub(in crate::group) fn user_data(places: &[TopicPartition], generation: i32) -> Vec<u8> {
    StickyUserData { previous_assignment: by_topic(places), generation }.encode().unwrap_or_default()
}

pub(in crate::group) fn cooperative_user_data(generation: i32) -> Vec<u8> {
    CooperativeStickyUserData { generation }.encode().unwrap_or_default()
}
