//! librdkafka's admin calls that look at offsets and groups. Each sends its requests, waits for the one event
//! that holds the result, and copies what is wanted out of it.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};
use std::time::Duration;

use ::rdkafka::bindings as rd;
use ::rdkafka::topic_partition_list::TopicPartitionList;
use rd::rd_kafka_admin_op_t as Op;

use super::{Client, Code, EventPtr, counted, millis, text};

/// How much longer than its time limit a result may take: librdkafka looks at the limits once a second.
const GRACE: Duration = Duration::from_secs(5);

/// Why there is no result.
#[derive(Debug)]
pub(in super::super) struct AdminError {
    pub(in super::super) code: Code,
    pub(in super::super) reason: String,
}

/// What a call may take, and which records it reads.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Within {
    pub(in super::super) wait: Duration,
    /// Of offsets, only those of committed transactions.
    pub(in super::super) committed: bool,
}

/// A partition, and what is there.
#[derive(Debug)]
pub(in super::super) struct Place {
    pub(in super::super) topic: String,
    pub(in super::super) partition: i32,
    /// Below 0 if there is none.
    pub(in super::super) offset: i64,
    /// Below 0 if it is not known.
    pub(in super::super) timestamp: i64,
    /// What was committed with the offset.
    pub(in super::super) metadata: String,
    pub(in super::super) error: Code,
}

/// A group, as it is listed.
#[derive(Debug)]
pub(in super::super) struct ListedGroup {
    pub(in super::super) name: String,
    pub(in super::super) state: String,
    pub(in super::super) kind: Option<&'static str>,
}

/// A group, or why it is not described.
#[derive(Debug)]
pub(in super::super) struct Described {
    pub(in super::super) name: String,
    pub(in super::super) error: Option<AdminError>,
    pub(in super::super) state: String,
    pub(in super::super) kind: Option<&'static str>,
    pub(in super::super) assignor: String,
    /// Id, host and port.
    pub(in super::super) coordinator: (i32, String, u16),
    pub(in super::super) members: Vec<DescribedMember>,
}

/// A member of a group.
#[derive(Debug)]
pub(in super::super) struct DescribedMember {
    pub(in super::super) id: String,
    pub(in super::super) instance_id: Option<String>,
    pub(in super::super) client_id: String,
    pub(in super::super) host: String,
    pub(in super::super) partitions: Vec<Place>,
}

impl Client {
    /// The offsets of the list's times, or of -1 (end) and -2 (beginning), in any order.
    pub(in super::super) fn list_offsets(
        &self,
        list: &TopicPartitionList,
        within: Within,
    ) -> Result<Vec<Place>, AdminError> {
        // SAFETY: the list is ours and is copied before the call returns.
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS, within, |options, queue| unsafe {
            rd::rd_kafka_ListOffsets(self.ptr(), list.ptr(), options, queue);
        })?;
        let place = |info: &*const rd::rd_kafka_ListOffsetsResultInfo_t| {
            // SAFETY: an element of the result, alive as long as the event.
            unsafe {
                let timestamp = rd::rd_kafka_ListOffsetsResultInfo_timestamp(*info);
                let found = rd::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
                Place { timestamp, ..place(&*found) }
            }
        };
        let mut count = 0;
        // SAFETY: the event is of that kind, since that is what was asked for.
        let infos = unsafe {
            let result = rd::rd_kafka_event_ListOffsets_result(event.0.as_ptr());
            array(rd::rd_kafka_ListOffsets_result_infos(result, &mut count), count)
        };
        Ok(infos.iter().map(place).collect())
    }

    /// All groups of consumers.
    pub(in super::super) fn list_groups(&self, within: Within) -> Result<Vec<ListedGroup>, AdminError> {
        // SAFETY: all handles are alive.
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, within, |options, queue| unsafe {
            rd::rd_kafka_ListConsumerGroups(self.ptr(), options, queue);
        })?;
        let (mut errors, mut valid) = (0, 0);
        // SAFETY: the event is of that kind; what is in it lives as long as it does.
        unsafe {
            let result = rd::rd_kafka_event_ListConsumerGroups_result(event.0.as_ptr());
            let errors = array(rd::rd_kafka_ListConsumerGroups_result_errors(result, &mut errors), errors);
            if let Some(error) = errors.first() {
                return Err(error_of(*error));
            }
            let groups = array(rd::rd_kafka_ListConsumerGroups_result_valid(result, &mut valid), valid);
            let listed = |group: &*const rd::rd_kafka_ConsumerGroupListing_t| ListedGroup {
                name: owned(rd::rd_kafka_ConsumerGroupListing_group_id(*group)),
                state: state(rd::rd_kafka_ConsumerGroupListing_state(*group)),
                kind: kind(rd::rd_kafka_ConsumerGroupListing_type(*group)),
            };
            Ok(groups.iter().map(listed).collect())
        }
    }

    /// Id, host and port of the broker that coordinates each group there is, which listing them does not tell.
    pub(in super::super) fn coordinators(
        &self,
        wait: Duration,
    ) -> Result<HashMap<String, (i32, String, u16)>, Code> {
        let mut list = ptr::null();
        // SAFETY: no group means all; the list, if there is one, is ours and is destroyed after what is wanted was
        // copied out of its counted array.
        unsafe {
            let code = Code::of(rd::rd_kafka_list_groups(self.ptr(), ptr::null(), &mut list, millis(wait)));
            if list.is_null() {
                return if code == Code::NONE { Ok(HashMap::new()) } else { Err(code) };
            }
            let coordinator = |group: &rd::rd_kafka_group_info| {
                let rd::rd_kafka_metadata_broker { id, host, port } = group.broker;
                (owned(group.group), (id, owned(host), u16::try_from(port).unwrap_or_default()))
            };
            let found = counted((*list).groups, (*list).group_cnt).iter().map(coordinator).collect();
            rd::rd_kafka_group_list_destroy(list);
            if code == Code::NONE { Ok(found) } else { Err(code) }
        }
    }

    /// These groups, which are named once each; not none.
    pub(in super::super) fn describe_groups(
        &self,
        names: &[String],
        within: Within,
    ) -> Result<Vec<Described>, AdminError> {
        let names: Vec<CString> = names.iter().map(|name| c_string(name)).collect::<Result<_, _>>()?;
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: the names outlive the call, which copies them.
        let event =
            self.ask(Op::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, within, |options, queue| unsafe {
                let (first, count) = (pointers.as_mut_ptr(), pointers.len());
                rd::rd_kafka_DescribeConsumerGroups(self.ptr(), first, count, options, queue);
            })?;
        let mut count = 0;
        // SAFETY: the event is of that kind; what is in it lives as long as it does.
        unsafe {
            let result = rd::rd_kafka_event_DescribeConsumerGroups_result(event.0.as_ptr());
            let groups = array(rd::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count), count);
            Ok(groups.iter().map(|group| described(*group)).collect())
        }
    }

    /// All that a group has committed.
    pub(in super::super) fn group_offsets(
        &self,
        name: &str,
        within: Within,
    ) -> Result<Vec<Place>, AdminError> {
        let name = c_string(name)?;
        let op = Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
        // SAFETY: the question is copied by the call and destroyed after it; no list means all.
        let event = self.ask(op, within, |options, queue| unsafe {
            let mut question = rd::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), ptr::null());
            rd::rd_kafka_ListConsumerGroupOffsets(self.ptr(), &mut question, 1, options, queue);
            rd::rd_kafka_ListConsumerGroupOffsets_destroy(question);
        })?;
        let mut count = 0;
        // SAFETY: the event is of that kind; what is in it lives as long as it does.
        unsafe {
            let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(event.0.as_ptr());
            let groups =
                array(rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count), count);
            let Some(group) = groups.first() else { return Ok(Vec::new()) };
            let error = rd::rd_kafka_group_result_error(*group);
            if !error.is_null() {
                return Err(error_of(error));
            }
            Ok(places(rd::rd_kafka_group_result_partitions(*group)))
        }
    }

    /// Starts a call and waits for its result.
    pub(super) fn ask(
        &self,
        op: Op,
        within: Within,
        start: impl FnOnce(*const rd::rd_kafka_AdminOptions_t, *mut rd::rd_kafka_queue_t),
    ) -> Result<EventPtr, AdminError> {
        let queue = self.new_queue();
        let wait = within.wait.max(Duration::from_millis(1));
        // SAFETY: the options are ours until they are destroyed, which the call does not mind; the queue outlives
        // the call and its result; the event is ours.
        unsafe {
            let options = Options::new(self, op);
            options.limit(wait);
            if within.committed && op == Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS {
                options.read_committed();
            }
            start(options.0, queue.ptr.as_ptr());
            let event = rd::rd_kafka_queue_poll(queue.ptr.as_ptr(), millis(wait + GRACE));
            let late = || AdminError {
                code: Code::of(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT),
                reason: String::new(),
            };
            let event = EventPtr(NonNull::new(event).ok_or_else(late)?);
            let code = Code::of(rd::rd_kafka_event_error(event.0.as_ptr()));
            if code != Code::NONE {
                let reason = text(rd::rd_kafka_event_error_string(event.0.as_ptr()));
                return Err(AdminError { code, reason });
            }
            Ok(event)
        }
    }
}

/// Options of an admin call, destroyed on drop.
struct Options(*mut rd::rd_kafka_AdminOptions_t);

impl Options {
    /// # Safety
    /// They are not used longer than the client.
    unsafe fn new(client: &Client, op: Op) -> Self {
        // SAFETY: the client is alive, the kind of call one of librdkafka's own.
        Self(unsafe { rd::rd_kafka_AdminOptions_new(client.ptr(), op) })
    }

    /// Ends the call after that time, an hour at most.
    fn limit(&self, wait: Duration) {
        let ms = millis(wait).min(3_600_000);
        let mut reason = [0 as c_char; 512];
        // SAFETY: the options are alive; the buffer is as long as said. The value is one it takes.
        unsafe { rd::rd_kafka_AdminOptions_set_request_timeout(self.0, ms, reason.as_mut_ptr(), 512) };
    }

    fn read_committed(&self) {
        let level = rd::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED;
        // SAFETY: as above; an error object, which there is none of for this call, would be ours.
        unsafe {
            let error = rd::rd_kafka_AdminOptions_set_isolation_level(self.0, level);
            if !error.is_null() {
                rd::rd_kafka_error_destroy(error);
            }
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: this value owns them.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.0) }
    }
}

pub(super) fn c_string(name: &str) -> Result<CString, AdminError> {
    let code = Code::of(rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG);
    CString::new(name).map_err(|_| AdminError { code, reason: "a NUL byte in a name".to_owned() })
}

/// An array of pointers that librdkafka lends.
///
/// # Safety
/// It has so many elements, and outlives what is made of it.
pub(super) unsafe fn array<'a, T>(first: *mut *const T, count: usize) -> &'a [*const T] {
    if first.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: as promised.
    unsafe { std::slice::from_raw_parts(first, count) }
}

/// A C string as it is; null is empty.
///
/// # Safety
/// It is NUL-terminated.
unsafe fn owned(s: *const c_char) -> String {
    if s.is_null() {
        return String::new();
    }
    // SAFETY: as promised.
    unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned()
}

/// # Safety
/// The object is one of librdkafka's, not null.
unsafe fn error_of(error: *const rd::rd_kafka_error_t) -> AdminError {
    // SAFETY: as promised; its text lives as long as it does.
    unsafe {
        AdminError {
            code: Code::of(rd::rd_kafka_error_code(error)),
            reason: text(rd::rd_kafka_error_string(error)),
        }
    }
}

fn state(state: rd::rd_kafka_consumer_group_state_t) -> String {
    // SAFETY: a static string, or null for a number that is no state.
    unsafe { owned(rd::rd_kafka_consumer_group_state_name(state)) }
}

fn kind(kind: rd::rd_kafka_consumer_group_type_t) -> Option<&'static str> {
    use rd::rd_kafka_consumer_group_type_t as Type;
    match kind {
        Type::RD_KAFKA_CONSUMER_GROUP_TYPE_CLASSIC => Some("classic"),
        Type::RD_KAFKA_CONSUMER_GROUP_TYPE_CONSUMER => Some("consumer"),
        Type::RD_KAFKA_CONSUMER_GROUP_TYPE_UNKNOWN | Type::RD_KAFKA_CONSUMER_GROUP_TYPE__CNT => None,
    }
}

/// # Safety
/// The description is one of librdkafka's, alive.
unsafe fn described(group: *const rd::rd_kafka_ConsumerGroupDescription_t) -> Described {
    // SAFETY: as promised; all that is asked of it lives as long as it does.
    unsafe {
        let error = rd::rd_kafka_ConsumerGroupDescription_error(group);
        let node = rd::rd_kafka_ConsumerGroupDescription_coordinator(group);
        let coordinator = match node.is_null() {
            true => (-1, String::new(), 0),
            false => {
                let host = owned(rd::rd_kafka_Node_host(node));
                (rd::rd_kafka_Node_id(node), host, rd::rd_kafka_Node_port(node))
            }
        };
        let count = rd::rd_kafka_ConsumerGroupDescription_member_count(group);
        let member = |at| member(rd::rd_kafka_ConsumerGroupDescription_member(group, at));
        Described {
            name: owned(rd::rd_kafka_ConsumerGroupDescription_group_id(group)),
            error: (!error.is_null()).then(|| error_of(error)),
            state: state(rd::rd_kafka_ConsumerGroupDescription_state(group)),
            kind: kind(rd::rd_kafka_ConsumerGroupDescription_type(group)),
            assignor: owned(rd::rd_kafka_ConsumerGroupDescription_partition_assignor(group)),
            coordinator,
            members: (0..count).map(member).collect(),
        }
    }
}

/// # Safety
/// The description is one of librdkafka's, alive.
unsafe fn member(member: *const rd::rd_kafka_MemberDescription_t) -> DescribedMember {
    // SAFETY: as promised; all that is asked of it lives as long as it does.
    unsafe {
        let instance_id = rd::rd_kafka_MemberDescription_group_instance_id(member);
        let assignment = rd::rd_kafka_MemberDescription_assignment(member);
        let list = match assignment.is_null() {
            true => ptr::null(),
            false => rd::rd_kafka_MemberAssignment_partitions(assignment),
        };
        DescribedMember {
            id: owned(rd::rd_kafka_MemberDescription_consumer_id(member)),
            instance_id: (!instance_id.is_null()).then(|| owned(instance_id)),
            client_id: owned(rd::rd_kafka_MemberDescription_client_id(member)),
            host: owned(rd::rd_kafka_MemberDescription_host(member)),
            partitions: places(list),
        }
    }
}

/// # Safety
/// The list is one of librdkafka's, alive, or null.
unsafe fn places(list: *const rd::rd_kafka_topic_partition_list_t) -> Vec<Place> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: as promised.
    unsafe { counted((*list).elems, (*list).cnt).iter().map(|found| place(found)).collect() }
}

/// # Safety
/// The element is one of librdkafka's, alive.
unsafe fn place(found: &rd::rd_kafka_topic_partition_t) -> Place {
    // SAFETY: as promised, also of its metadata. The code is read as a number, since a broker may send one that
    // the enum lacks.
    unsafe {
        let metadata = match found.metadata.is_null() {
            true => &[][..],
            false => std::slice::from_raw_parts(found.metadata.cast::<u8>(), found.metadata_size),
        };
        Place {
            topic: owned(found.topic),
            partition: found.partition,
            offset: found.offset,
            timestamp: -1,
            metadata: String::from_utf8_lossy(metadata).into_owned(),
            error: Code(ptr::addr_of!(found.err).cast::<i32>().read()),
        }
    }
}
