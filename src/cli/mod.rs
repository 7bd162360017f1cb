//! The command line: the only user of clap. What was typed, checked for form only; its settings
//! become a layer, so that nothing below knows flags exist.

mod bench;

pub use bench::{Bench, BenchArgs, BenchOutput, CompareArgs, LatencyArgs, LoadArgs, MergeArgs, Workload};

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::settings::{Entry, KeyId, Layer};

/// Publish to and subscribe from Apache Kafka.
#[derive(Debug, Parser)]
#[command(name = "kps", version = version(), max_term_width = 100, subcommand_required = true)]
#[command(after_help = "Settings: flag > -X > environment > file > default; see `kps config`.\n\
    Exit codes: 0 done, 1 failed, 2 usage or settings, 3 records not delivered, 4 broker not reachable,\n\
    5 not allowed, 6 unknown topic, partition or group, 7 bad record, 130/143 interrupted.")]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The command line as typed, with the program's name.
    #[arg(skip)]
    pub typed: Vec<OsString>,
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct GlobalArgs {
    /// Brokers to ask first: host:port, several separated by commas; `embedded` starts one for this run
    /// [default: localhost:9092]
    #[arg(
        short = 'b',
        long = "bootstrap-server",
        visible_alias = "brokers",
        value_name = "SERVERS",
        global = true
    )]
    bootstrap_server: Option<String>,
    /// Client library: auto, native, rdkafka or rskafka [default: auto]
    #[arg(long, value_name = "NAME", global = true)]
    pub library: Option<String>,
    /// A set of values for a purpose: high-throughput or low-latency
    #[arg(long, value_name = "NAME", global = true)]
    profile: Option<String>,
    /// Any setting, as Java, librdkafka or kafka-python spell it; `rdkafka.KEY` goes to librdkafka as
    /// it is
    #[arg(short = 'X', value_name = "KEY=VALUE", global = true)]
    overrides: Vec<String>,
    /// Properties or JSON file, or - for standard input; of several the last wins [default: $KPS_CONFIG,
    /// else ./application.properties (not trusted: no security, no files) over
    /// $XDG_CONFIG_HOME/kps/application.properties]
    #[arg(short = 'F', long = "props", visible_alias = "config", value_name = "FILE", global = true)]
    pub props: Vec<PathBuf>,
    /// Read no file that was not named with --props
    #[arg(long, global = true)]
    pub no_props: bool,
    /// How lines on standard error are written: text, or json for programs [default: text]
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<String>,
    /// Errors only: no summary, no warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More: causes of errors, the library's log; repeat for still more
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish standard input, files or -m to a topic
    #[command(visible_alias = "pub")]
    Publish(Box<PublishArgs>),
    /// Print the records of topics
    #[command(visible_alias = "sub")]
    Subscribe(Box<SubscribeArgs>),
    /// Measure how fast and how soon records go through a cluster, and compare libraries
    Bench(BenchArgs),
    /// List topics, or show the partitions of some
    Topics(TopicsArgs),
    /// Show where partitions begin and end, and what is there at a time
    Offsets(OffsetsArgs),
    /// List consumer groups, or show the members, offsets and lag of some
    Groups(GroupsArgs),
    /// Which client libraries are here, what each can do, which to use
    Libs(LibsArgs),
    /// Every setting in force, and where it came from
    Config(ConfigArgs),
    /// Run an embedded broker, for trying things out and for tests; with -- COMMAND, as long as COMMAND
    Broker(BrokerArgs),
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What the input is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InputForm {
    /// A record a line (or other delimiter)
    Lines,
    /// A JSON value a line, unchanged
    Json,
    /// An envelope a line, as `subscribe --output json` writes it
    Envelope,
    /// As -i FORMAT says
    Format,
}

/// What to do about a bad record in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Stop reading, deliver what was read, exit 7
    Stop,
    /// Count it, write it to --failed-to, exit 3 at the end
    Skip,
}

/// `kps publish`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  seq 1 1000000 | kps publish numbers\n  \
    kps publish orders -K : -z lz4 -l orders.txt\n  kps publish --input envelope failed.json")]
pub struct PublishArgs {
    /// Topic, or kafka://topic/NAME; with -t, or in a configuration that names one, the first FILE
    #[arg(value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Files to publish instead of standard input, as with -l
    #[arg(value_name = "FILE")]
    pub more: Vec<String>,
    /// Topic, instead of the positional one
    #[arg(short = 't', long = "topic", value_name = "TOPIC")]
    pub topic_flag: Option<String>,
    /// A message to publish (repeatable)
    #[arg(short, long = "message", value_name = "MESSAGE", allow_hyphen_values = true)]
    pub message: Vec<String>,
    /// A file of delimited records (repeatable)
    #[arg(short = 'l', long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Files that are one message each
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub file_per_message: Vec<PathBuf>,
    /// What the input is made of [default: lines, with -i: format]
    #[arg(long, value_name = "FORM")]
    pub input: Option<InputForm>,
    /// Input format: %s value, %k key, %t topic, %p partition, %T timestamp, %h headers, %S %K %R
    /// lengths
    #[arg(short = 'i', long = "input-format", value_name = "FORMAT")]
    pub input_format: Option<String>,
    /// Delimiter of records; \n \t \r \0 \xNN [default: \n]
    #[arg(short = 'D', long, value_name = "DELIM", allow_hyphen_values = true)]
    pub delimiter: Option<String>,
    /// Records end with a NUL byte
    #[arg(short = '0', long = "null-delimited", conflicts_with = "delimiter")]
    pub nul: bool,
    /// Take a CR before the delimiter away
    #[arg(long)]
    pub crlf: bool,
    /// Key of every record
    #[arg(short, long, value_name = "KEY", allow_hyphen_values = true)]
    pub key: Option<String>,
    /// The key stands before this delimiter
    #[arg(short = 'K', long, value_name = "DELIM", allow_hyphen_values = true, conflicts_with = "key")]
    pub key_delimiter: Option<String>,
    /// Header of every record; without `=` its value is null (repeatable)
    #[arg(short = 'H', long, value_name = "NAME=VALUE")]
    pub header: Vec<String>,
    /// An empty value or key is null
    #[arg(short = 'Z', long)]
    pub null_empty: bool,
    /// Partition of every record
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// Timestamp of every record: epoch s or ms, RFC 3339, a date, -1h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub timestamp: Option<String>,
    /// Codec of record batches: none, gzip, snappy, lz4, zstd
    #[arg(short = 'z', long, value_name = "CODEC")]
    compression: Option<String>,
    /// Who must have a record before it counts: all, 1 or 0
    #[arg(long, value_name = "ACKS", allow_hyphen_values = true)]
    acks: Option<String>,
    /// Stop after so many records
    #[arg(short = 'n', long = "max-messages", value_name = "COUNT")]
    pub limit: Option<u64>,
    /// At most so much a second: 200/s, 10MB/s
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// Write what is published to standard output, too
    #[arg(short = 'T', long)]
    pub tee: bool,
    /// A line of JSON on standard output for every acknowledged record
    #[arg(long, conflicts_with = "tee")]
    pub receipts: bool,
    /// Write undelivered records here, as envelopes with the error
    #[arg(long, value_name = "FILE")]
    failed_to: Option<String>,
    /// What to do about a bad record in the input
    #[arg(long, value_name = "HOW", default_value = "stop")]
    pub on_error: OnError,
    /// An unknown field in an envelope is an error
    #[arg(long)]
    pub strict: bool,
    /// Publish envelopes to the topics they name
    #[arg(long)]
    pub keep_topic: bool,
    /// Publish envelopes to the partitions they name
    #[arg(long)]
    pub keep_partition: bool,
    /// How the summary is printed [default: as the other lines, see --log-format]
    #[arg(long, value_name = "FORMAT")]
    pub summary: Option<ReportFormat>,
    /// After a signal, deliver what was read for at most so long [default: 30s]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    drain_timeout: Option<String>,
    #[command(flatten)]
    reconnect: ReconnectArgs,
    /// Hold at most so many records without an outcome, with --resilient [default: 10000]
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true, help_heading = RESILIENCE)]
    buffer_max_messages: Option<String>,
    /// Hold at most so many bytes of them [default: 256MiB]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = RESILIENCE)]
    buffer_max_bytes: Option<String>,
    /// What to do in an outage when that much is held: block, or fail what is read further [default: block]
    #[arg(long, value_name = "HOW", help_heading = RESILIENCE)]
    buffer_full: Option<String>,
    /// Keep what was read in this folder until it is delivered; implies --resilient
    #[arg(long, value_name = "DIR", help_heading = RESILIENCE)]
    spool: Option<String>,
    /// Let the spool take at most so much [default: 1GiB]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, help_heading = RESILIENCE)]
    spool_max_bytes: Option<String>,
}

/// Flags of what is done about outages.
#[derive(Debug, Args)]
#[command(next_help_heading = RESILIENCE)]
struct ReconnectArgs {
    /// Go on through outages: reconnect, and deliver or read what is left
    #[arg(long)]
    resilient: bool,
    /// Give up after so many intervals without success [default: 10]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    reconnect_tries: Option<String>,
    /// Length of an interval, in seconds [default: 60]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    reconnect_interval: Option<String>,
    /// Shorten pauses between connections at random, by at most so many percent [default: 20]
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    reconnect_jitter: Option<String>,
}

const RESILIENCE: &str = "Resilience";

/// What `subscribe` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// The value and a newline (or other delimiter)
    Value,
    /// A line of JSON, lossless
    Json,
    /// The bytes of the value and nothing else
    Raw,
}

/// `kps subscribe`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kps subscribe numbers --exit | sort -n | tail -1\n  \
    kps subscribe orders -g billing -J\n  kps subscribe orders -o @-1h:end -f '%T{rfc3339} %k %s\\n'")]
pub struct SubscribeArgs {
    /// Topics, each a name or kafka://topic/NAME
    #[arg(value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Topic, instead of a positional one
    #[arg(short = 't', long = "topic", value_name = "TOPIC")]
    pub topic_flag: Vec<String>,
    /// All topics whose name matches
    #[arg(long, value_name = "REGEX")]
    pub pattern: Option<String>,
    /// Consumer group: committed offsets, commits what was written, never what was only sought with -o; '' is --no-group
    #[arg(short = 'g', long, value_name = "GROUP")]
    group: Option<String>,
    /// Read without a group, whatever group.id says
    #[arg(long, conflicts_with = "group")]
    no_group: bool,
    /// Commit nothing
    #[arg(long)]
    pub no_commit: bool,
    /// Where to read: `FROM[:TO]`, each of beginning, end, stored, N, -N, @TIME; `P=FROM[:TO]` for one
    /// partition (repeatable)
    #[arg(short = 'o', long = "offset", value_name = "FROM[:TO]", allow_hyphen_values = true)]
    pub offset: Vec<String>,
    /// Exit at the end as it is now
    #[arg(short, long)]
    pub exit: bool,
    /// Exit after so many records
    #[arg(short = 'n', long = "max-messages", value_name = "COUNT")]
    pub limit: Option<u64>,
    /// Exit after this time
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Exit when nothing came for so long
    #[arg(long, value_name = "DURATION")]
    pub idle_timeout: Option<String>,
    /// Partitions: 0,2,5-7
    #[arg(short, long, value_name = "LIST")]
    pub partitions: Option<String>,
    /// What to print [default: value]
    #[arg(long, value_name = "FORM")]
    pub output: Option<OutputForm>,
    /// The same as --output json
    #[arg(short = 'J', long, conflicts_with_all = ["output", "format"])]
    pub json: bool,
    /// Output format: %s value, %k key, %t topic, %p partition, %o offset, %T timestamp, %h headers,
    /// %S %K %R lengths
    #[arg(short = 'f', long, value_name = "FORMAT", conflicts_with = "output")]
    pub format: Option<String>,
    /// Delimiter after each value; \n \t \r \0 \xNN [default: \n]
    #[arg(short = 'D', long, value_name = "DELIM", allow_hyphen_values = true)]
    pub delimiter: Option<String>,
    /// With --output json: a value that is JSON is embedded as JSON
    #[arg(long)]
    pub parse_json: bool,
    /// Only records that match, [k:|v:|h:NAME=]REGEX; ! negates (repeatable: all must match)
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    pub grep: Vec<String>,
    /// Step over records that cannot be decoded, with a warning
    #[arg(long)]
    pub skip_bad: bool,
    /// Exit 1 when no record was printed
    #[arg(long)]
    pub fail_if_none: bool,
    /// Print only how many records there were
    #[arg(long = "count", conflicts_with_all = ["output", "json", "format"])]
    pub count_only: bool,
    #[command(flatten)]
    reconnect: ReconnectArgs,
}

/// How a report about the cluster is printed.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: ReportFormat,
    /// The same as --output json
    #[arg(short = 'J', long, conflicts_with = "output")]
    json: bool,
}

impl ReportArgs {
    /// How to print.
    pub fn format(&self) -> ReportFormat {
        if self.json { ReportFormat::Json } else { self.output }
    }
}

/// `kps topics`.
#[derive(Debug, Args)]
#[command(
    after_help = "JSON: {\"topics\": [{topic, internal, partition_count, replication_factor}]}; with TOPIC each has, too, \
    \"partitions\": [{partition, leader, replicas, isr, offline, earliest, latest}], null where there is no leader.\n\n\
    Examples:\n  kps topics\n  kps topics orders payments\n  \
    kps topics -J | jq -r '.topics[] | select(.replication_factor < 3).topic'"
)]
pub struct TopicsArgs {
    /// Topics to show the partitions of, each a name or kafka://topic/NAME
    #[arg(value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Topic, instead of a positional one
    #[arg(short = 't', long = "topic", value_name = "TOPIC")]
    pub topic_flag: Vec<String>,
    /// List internal topics (`__...`), too
    #[arg(long)]
    pub internal: bool,
    /// How to print.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// `kps offsets`.
#[derive(Debug, Args)]
#[command(
    after_help = "LATEST is the end: the offset that the next record gets. With isolation.level=read_committed set it is the \
    last stable offset, where reading stops while a transaction is open.\n\n\
    JSON: {\"partitions\": [{topic, partition, earliest, latest}]}; with @TIME each has, too, offset and timestamp: \
    of the first record at TIME or later, null if there is none.\n\n\
    Examples:\n  kps offsets orders\n  kps offsets orders @-1h -p 0,2\n  kps offsets orders @2026-01-02T03:04:05Z -J"
)]
pub struct OffsetsArgs {
    /// Topics, each a name or kafka://topic/NAME; and at most one @TIME: epoch s or ms, RFC 3339, a date,
    /// -1h, now, earliest or latest
    #[arg(value_name = "TOPIC|@TIME")]
    pub topics: Vec<String>,
    /// Topic, instead of a positional one
    #[arg(short = 't', long = "topic", value_name = "TOPIC")]
    pub topic_flag: Vec<String>,
    /// Partitions: 0,2,5-7
    #[arg(short, long, value_name = "LIST")]
    pub partitions: Option<String>,
    /// How to print.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// `kps groups`.
#[derive(Debug, Args)]
#[command(
    after_help = "LAG is END - COMMITTED; END is the high watermark, or with isolation.level=read_committed set the last \
    stable offset. A group without members is shown by its committed offsets.\n\n\
    JSON: {\"groups\": [{group, state, protocol, coordinator: {id, host, port}}]}; with GROUP each has, too, assignor, \
    members: [{member_id, instance_id, client_id, host, partitions: [{topic, partition}]}] and \
    partitions: [{topic, partition, committed, end, lag, metadata, member_id}]; null for what is not there.\n\n\
    Examples:\n  kps groups\n  kps groups billing\n  kps groups billing -J | jq '[.groups[].partitions[].lag] | add'"
)]
pub struct GroupsArgs {
    /// Groups to show
    #[arg(value_name = "GROUP")]
    pub groups: Vec<String>,
    /// Group, instead of a positional one
    #[arg(short = 'g', long = "group", value_name = "GROUP")]
    pub group_flag: Vec<String>,
    /// How to print.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// `kps libs`.
#[derive(Debug, Args)]
pub struct LibsArgs {
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: ReportFormat,
    /// Print nothing; exit 0 if this library is available, 1 if not
    #[arg(long, value_name = "NAME")]
    pub check: Option<String>,
}

/// `kps config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: ReportFormat,
}

/// `kps broker`.
#[derive(Debug, Args)]
#[command(
    after_help = "What it is not: one node, no replication, no authentication, no TLS, no compaction (a topic with\n\
    cleanup.policy=compact is refused). It is not for production: the distributed engine is Apache Kafka\n\
    itself, or Redpanda, WarpStream, MSK, whatever speaks the protocol; kps is a client of all of them.\n\n\
    It prints its address once it takes connections, and ends on SIGINT or SIGTERM.\n\n\
    Examples:\n  kps broker\n  kps broker --data ./records --retain-bytes none\n  kps broker -- ./my-test.sh"
)]
pub struct BrokerArgs {
    /// Where to listen: HOST:PORT, PORT or :PORT of this machine only, `[::1]:PORT`; port 0 finds a free
    /// one [default: 127.0.0.1:9092, with COMMAND 127.0.0.1:0]
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub listen: Option<String>,
    /// Keep records in this folder, for the next start [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Partitions of a topic when whoever creates it does not say
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub partitions: i32,
    /// Delete a partition's oldest records when it is larger, or none
    #[arg(long, value_name = "SIZE", default_value = "1GiB", allow_hyphen_values = true)]
    pub retain_bytes: String,
    /// Delete records that are older, by their timestamps, or none
    #[arg(long, value_name = "DURATION", default_value = "none", allow_hyphen_values = true)]
    pub retain_time: String,
    /// Refuse unknown topics instead of creating them when a client asks
    #[arg(long)]
    pub no_auto_create: bool,
    /// When records are forced to the disk: never (left to the system, as Kafka does: a power cut can lose
    /// the last ones, a kill cannot), always (before they are acknowledged), or every DURATION
    #[arg(long, value_name = "WHEN", default_value = "never", allow_hyphen_values = true)]
    pub fsync: String,
    /// Write the address to this file once connections are taken; it is removed at the end
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Run this with KPS_BOOTSTRAP_SERVER set and kps first on PATH, and end with its exit code
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

impl Cli {
    /// The settings given by flags, and by `-X`.
    pub fn layers(&self) -> (Layer, Layer) {
        let g = &self.global;
        let mut flags = Layer::default();
        let (servers, library) = match &self.command {
            Command::Bench(args) => args.of_child(&g.bootstrap_server, &g.library),
            _ => (&g.bootstrap_server, &g.library),
        };
        push(&mut flags, "-b", KeyId::BootstrapServers, servers);
        push(&mut flags, "--library", KeyId::Library, library);
        push(&mut flags, "--profile", KeyId::Profile, &g.profile);
        push(&mut flags, "--log-format", KeyId::LogFormat, &g.log_format);
        match &self.command {
            Command::Publish(args) => args.push(&mut flags),
            Command::Subscribe(args) => {
                if args.has_group() {
                    push(&mut flags, "-g", KeyId::GroupId, &args.group);
                }
                args.reconnect.push(&mut flags);
            }
            Command::Bench(args) => args.settings(&mut flags),
            Command::Topics(_) | Command::Offsets(_) | Command::Groups(_) => {}
            Command::Libs(_) | Command::Config(_) | Command::Broker(_) => {}
        }
        let mut overrides = Layer::default();
        g.overrides.iter().for_each(|typed| overrides.push_override(typed));
        (flags, overrides)
    }

    /// True when `--log-format json` was given, for mistakes in settings to be told so, too.
    pub fn wants_json(&self) -> bool {
        self.global.log_format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("json"))
    }

    /// How much is told on standard error: -1 with `-q`, 1 and more with `-v`.
    pub fn verbosity(&self) -> i8 {
        if self.global.quiet { -1 } else { i8::try_from(self.global.verbose).unwrap_or(i8::MAX) }
    }
}

impl PublishArgs {
    /// The settings among them.
    fn push(&self, flags: &mut Layer) {
        push(flags, "--acks", KeyId::Acks, &self.acks);
        push(flags, "-z", KeyId::CompressionType, &self.compression);
        push(flags, "--failed-to", KeyId::FailedFile, &self.failed_to);
        push(flags, "--drain-timeout", KeyId::DrainTimeout, &self.drain_timeout);
        push(flags, "--buffer-max-messages", KeyId::BufferMaxMessages, &self.buffer_max_messages);
        push(flags, "--buffer-max-bytes", KeyId::BufferMaxBytes, &self.buffer_max_bytes);
        push(flags, "--buffer-full", KeyId::BufferFull, &self.buffer_full);
        push(flags, "--spool", KeyId::SpoolDir, &self.spool);
        push(flags, "--spool-max-bytes", KeyId::SpoolMaxBytes, &self.spool_max_bytes);
        self.reconnect.push(flags);
    }
}

impl ReconnectArgs {
    fn push(&self, flags: &mut Layer) {
        let resilient = self.resilient.then(|| "true".to_owned());
        push(flags, "--resilient", KeyId::Resilient, &resilient);
        push(flags, "--reconnect-tries", KeyId::ReconnectTries, &self.reconnect_tries);
        push(flags, "--reconnect-interval", KeyId::ReconnectInterval, &self.reconnect_interval);
        push(flags, "--reconnect-jitter", KeyId::ReconnectJitter, &self.reconnect_jitter);
    }
}

impl SubscribeArgs {
    /// Whether `-g` names a group.
    pub fn has_group(&self) -> bool {
        self.group.as_ref().is_some_and(|group| !group.is_empty())
    }

    /// Whether no group is to be joined, whatever the settings say.
    pub fn is_without_group(&self) -> bool {
        self.no_group || self.group.as_ref().is_some_and(String::is_empty)
    }
}

fn push(layer: &mut Layer, flag: &str, key: KeyId, value: &Option<String>) {
    if let Some(value) = value {
        layer.entries.push(Entry::flag(flag, key, value.clone()));
    }
}

fn version() -> &'static str {
    match option_env!("GIT_VERSION_OF_KPS") {
        Some(hash) => hash,
        None => env!("CARGO_PKG_VERSION"),
    }
}

/// What became of parsing the command line.
#[derive(Debug)]
pub enum Parsed {
    /// A command to run.
    Run(Box<Cli>),
    /// Help or version, to be printed on standard output.
    Print(String),
    /// A usage error, one line.
    Wrong(String),
}

/// Parses the command line.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Parsed {
    use clap::error::ErrorKind as Kind;
    let typed: Vec<OsString> = args.into_iter().collect();
    match Cli::try_parse_from(&typed) {
        Ok(cli) => Parsed::Run(Box::new(Cli { typed, ..cli })),
        Err(e) if matches!(e.kind(), Kind::DisplayHelp | Kind::DisplayVersion) => {
            Parsed::Print(if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
                e.render().ansi().to_string()
            } else {
                e.render().to_string()
            })
        }
        Err(e)
            if e.kind() == Kind::DisplayHelpOnMissingArgumentOrSubcommand
                || e.kind() == Kind::MissingSubcommand =>
        {
            Parsed::Wrong(
                "no command: publish, subscribe, bench, topics, offsets, groups, libs, config or broker; see `kps --help`"
                    .to_owned(),
            )
        }
        Err(e) => Parsed::Wrong(one_line(&e.render().to_string())),
    }
}

/// True when `--log-format json` is among the words of a command line that is wrong.
pub fn asks_for_json(typed: &[OsString]) -> bool {
    let words = typed.iter().map(|word| word.to_string_lossy()).take_while(|word| *word != "--");
    let words: Vec<_> =
        words.flat_map(|word| word.split('=').map(str::to_lowercase).collect::<Vec<_>>()).collect();
    words.windows(2).any(|pair| pair == ["--log-format", "json"])
}

/// clap's several lines as one: what is wrong, the tips, and where to read more.
fn one_line(rendered: &str) -> String {
    let text = rendered.split("\n\nUsage:").next().unwrap_or(rendered);
    let text = text.split("\n\nFor more information").next().unwrap_or(text);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let text = lines.join(" ").replace("  ", " ");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    format!("{} (see --help)", text.replace(" tip: ", "; "))
}

/// The command line as clap has it, for completions and for tests that walk it.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::keys::KEYS;

    fn wrong(args: &[&str]) -> String {
        match parse(args.iter().map(Into::into)) {
            Parsed::Wrong(line) => line,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn usage_errors_are_one_line_that_names_what_was_typed() {
        let line = wrong(&["kps", "publish", "t", "--no-such"]);
        assert!(line.contains("--no-such") && !line.contains('\n'), "{line}");
        let line = wrong(&["kps", "publish", "t", "-p", "x"]);
        assert!(line.contains("'x'") && line.contains("--partition"), "{line}");
    }

    #[test]
    fn who_reads_json_reads_usage_errors_as_json() {
        let asks = |line: &str| asks_for_json(&line.split(' ').map(Into::into).collect::<Vec<_>>());
        assert!(asks("kps publish t --log-format json --no-such"));
        assert!(asks("kps --log-format=JSON"));
        assert!(!asks("kps publish t --log-format text") && !asks("kps publish json"));
        assert!(!asks("kps broker -- x --log-format json"));
    }

    #[test]
    fn every_flag_of_the_key_table_exists() {
        let mut root = command();
        root.build();
        let commands: Vec<_> = root.get_subcommands().collect();
        let has = |flag: &str| {
            commands.iter().flat_map(|c| c.get_arguments()).any(|arg| match flag.strip_prefix("--") {
                Some(long) => {
                    arg.get_long() == Some(long)
                        || arg.get_visible_aliases().is_some_and(|all| all.contains(&long))
                }
                None => arg.get_short() == flag.chars().nth(1),
            })
        };
        for flag in KEYS.iter().filter_map(|key| key.flag).flat_map(|flags| flags.split(", ")) {
            assert!(has(flag), "{flag} is in the key table and not on the command line");
        }
    }

    #[test]
    fn setting_flags_have_no_default_of_their_own() {
        let cli = match parse(["kps", "publish", "t"].iter().map(Into::into)) {
            Parsed::Run(cli) => cli,
            other => panic!("{other:?}"),
        };
        assert!(cli.layers().0.entries.is_empty());
    }
}
