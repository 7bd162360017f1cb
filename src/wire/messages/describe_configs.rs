//! DescribeConfigs (key 32), versions 1 to 4, flexible from 4.

use super::super::Text;

message! {
    /// Asks for settings.
    pub struct DescribeConfigsRequest<'a> {
        /// Whose settings.
        resources: Vec<DescribeConfigsResource<'a>>;
        /// Whether to say where values could have come from.
        include_synonyms: bool;
        /// Whether to say what they are for.
        include_documentation: bool, in 3..;
    }

    /// A topic or broker whose settings are wanted.
    pub struct DescribeConfigsResource<'a> {
        /// What it is: 2 topic, 4 broker, 8 broker's loggers.
        resource_type: i8;
        /// The topic's name or the broker's id.
        resource_name: Text<'a>;
        /// Which settings; null for all.
        configuration_keys: Option<Vec<Text<'a>>>;
    }

    /// The settings asked for.
    pub struct DescribeConfigsResponse<'a> {
        /// How long the client is to wait before its next request, in ms.
        throttle_time_ms: i32;
        /// One for each asked for.
        results: Vec<DescribeConfigsResult<'a>>;
    }

    /// The settings of one topic or broker.
    pub struct DescribeConfigsResult<'a> {
        /// What went wrong; 0 if nothing.
        error_code: i16;
        /// What went wrong, in words.
        error_message: Option<Text<'a>>;
        /// What it is: 2 topic, 4 broker, 8 broker's loggers.
        resource_type: i8;
        /// The topic's name or the broker's id.
        resource_name: Text<'a>;
        /// Its settings.
        configs: Vec<DescribeConfigsEntry<'a>>;
    }

    /// One setting.
    pub struct DescribeConfigsEntry<'a> {
        /// Its name.
        name: Text<'a>;
        /// Its value; null if it is a secret.
        value: Option<Text<'a>>;
        /// Whether it cannot be changed.
        read_only: bool;
        /// Where the value comes from: 1 topic, 2 and 3 broker at run time, 4 broker file, 5 default.
        config_source: i8 = -1;
        /// Whether the value is a secret, and withheld.
        is_sensitive: bool;
        /// Where its value could have come from, the strongest first.
        synonyms: Vec<DescribeConfigsSynonym<'a>>;
        /// Its type: 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
        config_type: i8, in 3..;
        /// What it is for.
        documentation: Option<Text<'a>>, in 3..;
    }

    /// Where a setting's value could have come from.
    pub struct DescribeConfigsSynonym<'a> {
        /// The setting's name there.
        name: Text<'a>;
        /// Its value there.
        value: Option<Text<'a>>;
        /// Where it could come from, as `config_source`.
        source: i8;
    }
}
