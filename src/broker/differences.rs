//! What Kafka's broker does and this one does not, for the README. The trials hold it against both.

use super::apis::SERVED;
use super::storage::MAX_PARTITIONS;

/// Something that Kafka's broker does and this one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// What it is, for users.
    pub what: &'static str,
    /// What happens instead.
    pub instead: &'static str,
    /// The APIs that are not served for it, by Kafka's names.
    pub apis: &'static [&'static str],
}

/// What a client is told of an API that is not served.
const UNSUPPORTED: &str = "not announced: clients say that it is unsupported";

/// All differences that a client of one node can see.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "compaction",
        instead: "`cleanup.policy=compact` is refused (INVALID_CONFIG)",
        apis: &[],
    },
    Difference {
        what: "all settings of topics",
        instead: "those that are not followed are refused (INVALID_CONFIG)",
        apis: &[],
    },
    Difference {
        what: "changing settings, of topics and of the broker",
        instead: UNSUPPORTED,
        apis: &["AlterConfigs", "IncrementalAlterConfigs", "ListConfigResources"],
    },
    Difference {
        what: "authentication and authorization: SASL, SCRAM users, delegation tokens, ACLs",
        instead: UNSUPPORTED,
        apis: &[
            "SaslHandshake",
            "SaslAuthenticate",
            "DescribeUserScramCredentials",
            "AlterUserScramCredentials",
            "CreateDelegationToken",
            "RenewDelegationToken",
            "ExpireDelegationToken",
            "DescribeDelegationToken",
            "DescribeAcls",
            "CreateAcls",
            "DeleteAcls",
        ],
    },
    Difference { what: "quotas", instead: UNSUPPORTED, apis: &["DescribeClientQuotas", "AlterClientQuotas"] },
    Difference {
        what: "share groups",
        instead: UNSUPPORTED,
        apis: &[
            "ShareGroupHeartbeat",
            "ShareGroupDescribe",
            "ShareFetch",
            "ShareAcknowledge",
            "InitializeShareGroupState",
            "ReadShareGroupState",
            "WriteShareGroupState",
            "DeleteShareGroupState",
            "ReadShareGroupStateSummary",
            "DescribeShareGroupOffsets",
            "AlterShareGroupOffsets",
            "DeleteShareGroupOffsets",
        ],
    },
    Difference {
        what: "what needs more than one node: epochs and elections of leaders, reassignments, the quorum",
        instead: UNSUPPORTED,
        apis: &[
            "OffsetForLeaderEpoch",
            "ElectLeaders",
            "AlterPartitionReassignments",
            "ListPartitionReassignments",
            "AlterReplicaLogDirs",
            "WriteTxnMarkers",
            "DescribeQuorum",
            "UpdateFeatures",
            "UnregisterBroker",
            "AddRaftVoter",
            "RemoveRaftVoter",
        ],
    },
    Difference {
        what: "looking into transactions and log folders (`kafka-transactions`, `kafka-log-dirs`)",
        instead: UNSUPPORTED,
        apis: &["DescribeProducers", "DescribeTransactions", "ListTransactions", "DescribeLogDirs"],
    },
    Difference {
        what: "describing topics page by page",
        instead: "clients take Metadata; `kafka-topics --describe` shows no ELR",
        apis: &["DescribeTopicPartitions"],
    },
];

/// The APIs that are served, by Kafka's names.
pub fn served() -> Vec<String> {
    SERVED.iter().map(|api| format!("{api:?}")).collect()
}

/// The differences as a table for the README.
pub fn markdown_table() -> String {
    let mut out = String::from("| Kafka has | here | APIs that are not served |\n|---|---|---|\n");
    for difference in DIFFERENCES {
        let Difference { what, instead, apis } = difference;
        out.push_str(&format!("| {what} | {instead} | {} |\n", apis.join(", ")));
    }
    out.push_str(&format!("| any number of partitions | a topic has {MAX_PARTITIONS} at most | |\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_api_is_both_served_and_not() {
        let served = served();
        let mut unserved: Vec<_> = DIFFERENCES.iter().flat_map(|difference| difference.apis).collect();
        assert!(unserved.iter().all(|api| !served.iter().any(|served| served == *api)));
        let count = unserved.len();
        unserved.sort();
        unserved.dedup();
        assert_eq!(unserved.len(), count);
    }

    #[test]
    fn the_table_has_a_row_for_each() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), DIFFERENCES.len() + 3);
        assert!(table.lines().all(|line| line.matches('|').count() == 4), "{table}");
    }
}
