//! CreateTopics (versions 2 to 7): one replica, which is this node; another number is refused. Settings
//! that would not be followed are refused by name, `cleanup.policy=compact` among them.

use std::collections::HashMap;

use super::super::code::{Code, Failure, told};
use super::super::node::{NODE_ID, blocking};
use super::Call;
use super::configs;
use crate::wire::Uuid;
use crate::wire::messages::{
    CreateTopicsConfigResult, CreateTopicsRequest, CreateTopicsRequestTopic, CreateTopicsResponse,
    CreateTopicsResponseTopic,
};

pub(super) fn handle<'a>(call: &mut Call<'a>, request: CreateTopicsRequest<'a>) -> CreateTopicsResponse<'a> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for asked in &request.topics {
        *times.entry(&asked.name).or_default() += 1;
    }
    let create = |asked: &CreateTopicsRequestTopic<'a>| {
        let is_twice = times.get(&*asked.name).is_some_and(|times| *times > 1);
        let created = match call.allow() {
            Ok(()) if is_twice => Err(Failure::new(Code::InvalidRequest, "a topic that is named twice")),
            Ok(()) => create(call, asked, request.validate_only),
            Err(failure) => Err(failure),
        };
        created.unwrap_or_else(|failure| refused(asked, failure))
    };
    let topics = request.topics.iter().map(create).collect();
    CreateTopicsResponse { topics, ..Default::default() }
}

fn create<'a>(
    call: &Call<'a>,
    asked: &CreateTopicsRequestTopic<'a>,
    validate_only: bool,
) -> Result<CreateTopicsResponseTopic<'a>, Failure> {
    let node = call.node;
    let partitions = partitions(asked)?;
    let given = asked.configs.iter().filter_map(|config| Some((&config.name, config.value.as_ref()?)));
    let given: Vec<(String, String)> =
        given.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let described = CreateTopicsResponseTopic {
        name: asked.name.clone(),
        num_partitions: partitions.unwrap_or(node.options.partitions),
        replication_factor: 1,
        ..Default::default()
    };
    if validate_only {
        blocking(|| node.storage.check_topic(&asked.name, described.num_partitions, &given))?;
        return Ok(described);
    }
    let topic = node.create_topic(&asked.name, partitions, &given)?;
    let settings = configs::of_topic(node, &topic).into_iter().map(|setting| CreateTopicsConfigResult {
        name: setting.name.into(),
        value: Some(setting.value.into()),
        config_source: setting.source as i8,
        ..Default::default()
    });
    Ok(CreateTopicsResponseTopic {
        topic_id: Uuid(topic.id()),
        configs: Some(settings.collect()),
        ..described
    })
}

/// How many partitions are asked for; none leaves it to the broker.
fn partitions(asked: &CreateTopicsRequestTopic<'_>) -> Result<Option<i32>, Failure> {
    if asked.assignments.is_empty() {
        return match (asked.replication_factor, asked.num_partitions) {
            (-1 | 1, -1) => Ok(None),
            (-1 | 1, count) => Ok(Some(count)),
            (factor, _) => Err(Failure::new(
                Code::InvalidReplicationFactor,
                format!("{factor} replicas on one node, only 1 is possible"),
            )),
        };
    }
    let mut indexes: Vec<i32> = asked.assignments.iter().map(|of| of.partition_index).collect();
    indexes.sort_unstable();
    let is_here = asked.assignments.iter().all(|of| of.broker_ids == [NODE_ID]);
    if !is_here || (0..).zip(&indexes).any(|(at, index)| at != *index) {
        return Err(Failure::new(
            Code::InvalidReplicaAssignment,
            format!("replicas other than broker {NODE_ID}, or partitions not in a row"),
        ));
    }
    Ok(Some(i32::try_from(indexes.len()).unwrap_or(i32::MAX)))
}

fn refused<'a>(asked: &CreateTopicsRequestTopic<'a>, failure: Failure) -> CreateTopicsResponseTopic<'a> {
    let failed = Err::<(), _>(failure);
    let (error_code, why) = told(&failed);
    CreateTopicsResponseTopic {
        name: asked.name.clone(),
        error_code,
        error_message: why.map(|why| why.to_owned().into()),
        configs: Some(Vec::new()),
        ..Default::default()
    }
}
