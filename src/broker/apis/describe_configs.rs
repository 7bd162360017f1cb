//! DescribeConfigs (versions 1 to 4): the settings of topics, and of this broker by its id or by the
//! empty name. None can be changed while the broker runs.

use super::super::code::{Code, Failure, told};
use super::super::node::NODE_ID;
use super::Call;
use super::configs::{self, Setting, Source};
use crate::wire::Text;
use crate::wire::messages::{
    DescribeConfigsEntry, DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

pub(super) fn handle<'a>(
    call: &mut Call<'a>,
    request: DescribeConfigsRequest<'a>,
) -> DescribeConfigsResponse<'a> {
    let describe = |resource: DescribeConfigsResource<'a>| {
        let settings = call.allow().and_then(|()| settings(call, &resource));
        let (error_code, why) = told(&settings);
        let error_message = why.map(|why| why.to_owned().into());
        let settings = settings.unwrap_or_default().into_iter();
        let configs = settings
            .filter(|setting| is_asked_for(&resource, setting.name))
            .map(|setting| entry(setting, request.include_synonyms));
        DescribeConfigsResult {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            configs: configs.collect(),
            resource_name: resource.resource_name,
        }
    };
    let results = request.resources.into_iter().map(describe).collect();
    DescribeConfigsResponse { results, ..Default::default() }
}

fn settings(call: &Call<'_>, resource: &DescribeConfigsResource<'_>) -> Result<Vec<Setting>, Failure> {
    let name = &*resource.resource_name;
    match resource.resource_type {
        TOPIC => Ok(configs::of_topic(call.node, &*call.node.storage.topic(name)?)),
        BROKER if name.is_empty() || name == NODE_ID.to_string() => Ok(configs::of_broker(call.node)),
        BROKER => {
            Err(Failure::new(Code::InvalidRequest, format!("no broker {name}, this is broker {NODE_ID}")))
        }
        other => Err(Failure::new(
            Code::InvalidRequest,
            format!("resources of type {other} have no settings here"),
        )),
    }
}

fn is_asked_for(resource: &DescribeConfigsResource<'_>, name: &str) -> bool {
    resource.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|key| key == name))
}

fn entry<'a>(setting: Setting, with_synonyms: bool) -> DescribeConfigsEntry<'a> {
    let source = setting.source as i8;
    let name = Text::Borrowed(setting.name);
    let value = Some(Text::Owned(setting.value));
    let synonym = DescribeConfigsSynonym { name: name.clone(), value: value.clone(), source };
    DescribeConfigsEntry {
        name,
        value,
        // What is given to a topic can be given to another; the rest is fixed at the start.
        read_only: setting.source == Source::Broker,
        config_source: source,
        is_sensitive: false,
        synonyms: if with_synonyms { vec![synonym] } else { Vec::new() },
        config_type: setting.kind as i8,
        documentation: None,
    }
}
