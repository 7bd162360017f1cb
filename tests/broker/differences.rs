//! Where the embedded broker is not to do what Kafka does: trials that it does not take, and what it refuses.
use serde_json::json;

use crate::harness::kafka::Kind;
use crate::harness::unique;
use crate::{Ctx, Once};

/// Trials that the embedded broker does not take: `(end of the name, what it has not)`.
pub(crate) const DIFFERENCES: &[(&str, &str)] = &[("exit::on_a_compacted_topic", "compaction")];

/// Those that need no broker.
pub(crate) const APART: &[(&str, fn())] = &[("differences::name_trials_that_exist", name_trials_that_exist)];

pub(crate) const TRIALS: &[Once] = &[
    ("differences::settings_that_only_kafka_has", settings_that_only_kafka_has),
    #[cfg(feature = "broker")]
    ("differences::java_apis_are_those_of_the_list", java_apis_are_those_of_the_list),
];

fn name_trials_that_exist() {
    let names: Vec<String> = crate::declared().into_iter().map(|(name, _)| name).collect();
    for (trial, _) in DIFFERENCES {
        assert!(names.iter().any(|name| name.ends_with(trial)), "{trial}");
    }
}

/// The README's list of what is not served is complete and true, of both brokers.
#[cfg(feature = "broker")]
fn java_apis_are_those_of_the_list(ctx: &Ctx) {
    use std::collections::BTreeSet;

    use crate::harness::java;
    use kps::broker::differences;

    let listed = java::tool(ctx.kafka(), "BrokerApiVersionsCommand", &[], "").code(0).out;
    let lines = listed.lines().filter(|line| line.starts_with('\t') && !line.contains("UNSUPPORTED"));
    let announced: BTreeSet<String> =
        lines.map(|line| line.trim().split('(').next().unwrap().to_owned()).collect();
    let mut expected: BTreeSet<String> = differences::served().into_iter().collect();
    if ctx.kind == Kind::Kafka {
        let unserved = differences::DIFFERENCES.iter().flat_map(|difference| difference.apis);
        expected.extend(unserved.map(|&api| api.to_owned()));
    }
    let differ: Vec<_> = announced.symmetric_difference(&expected).collect();
    assert!(differ.is_empty(), "{differ:?}");
}

fn settings_that_only_kafka_has(ctx: &Ctx) {
    for (setting, value) in [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("min.insync.replicas", "1"),
        ("compression.type", "zstd"),
        ("flush.messages", "1"),
    ] {
        let request = json!({"do": "create_topic", "topic": unique("setting"), "config": {setting: value}});
        let code = ctx.kafka().helper().ask(&request).err().map(|refusal| refusal.code);
        let expected = (ctx.kind == Kind::Embedded).then_some(Some(40));
        assert_eq!(code, expected, "{setting}={value}");
    }
}
