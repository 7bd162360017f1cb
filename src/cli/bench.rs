//! `kps bench`: its part of the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::push;
use crate::settings::{KeyId, Layer};

/// `kps bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: Bench,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Publish records: throughput, and the time until each is acknowledged
    Publish(Box<LoadArgs>),
    /// Read the records of a topic: throughput
    Subscribe(Box<LoadArgs>),
    /// Publish and subscribe at the same time, and check that every record arrived once and in order
    Pipeline(Box<LoadArgs>),
    /// Publish at a rate: the time from when each record was due until it was received
    Latency(Box<LatencyArgs>),
    /// The same load on several libraries, or several times: medians, spreads and what they differ in
    Compare(Box<CompareArgs>),
    /// Add up runs that several machines made at the same time
    Merge(MergeArgs),
}

/// A load, and how the report of it is printed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kps bench pipeline -b embedded --messages 100000\n  \
    kps bench publish --topic orders --duration 30s --size 1kB -z lz4\n  \
    kps bench subscribe --topic orders --output json --report bench.html")]
pub struct LoadArgs {
    /// Topic to use; it is never deleted [default: one that is created, and deleted at the end]
    #[arg(short = 't', long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Partitions of the temporary topic [default: as many as consumers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..), conflicts_with = "topic")]
    pub partitions: Option<i32>,
    /// Replicas of the temporary topic [default: the broker's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..), conflicts_with = "topic")]
    pub replication_factor: Option<i16>,
    /// How many records, over all producers or consumers [default: 1000000]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: Option<u64>,
    /// How long, instead of how many records
    #[arg(long, value_name = "DURATION", conflicts_with = "messages")]
    pub duration: Option<String>,
    /// Records before the measuring starts
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub warmup: u64,
    /// At most so much a second, over all producers: 2000/s, 10MB/s
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// Bytes of a value: 100, 1kB, 1KiB
    #[arg(long, value_name = "SIZE", default_value = "100", conflicts_with = "payload_file")]
    pub size: String,
    /// Values are the lines of this file, in turn
    #[arg(long, value_name = "FILE")]
    pub payload_file: Option<PathBuf>,
    /// Bytes of a key, random [default: no keys]
    #[arg(long, value_name = "SIZE")]
    pub key_size: Option<String>,
    /// Headers of each record, 16 bytes each
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1000))]
    pub headers: u32,
    /// How much of a value can be compressed away: 0 (random bytes) to 1 (one letter repeated)
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub compressibility: f64,
    /// Producers, each with a client and a thread of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub producers: u16,
    /// Consumers, likewise; each reads its share of the partitions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub consumers: u16,
    /// Makes the same bytes again
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Start at this time, so that several machines do together: epoch s or ms, RFC 3339, or now
    #[arg(long, value_name = "TIME")]
    pub start_at: Option<String>,
    /// Codec of record batches: none, gzip, snappy, lz4, zstd
    #[arg(short = 'z', long, value_name = "CODEC")]
    compression: Option<String>,
    /// Who must have a record before it counts: all, 1 or 0
    #[arg(long, value_name = "ACKS", allow_hyphen_values = true)]
    acks: Option<String>,
    /// Run so often, each time in a new process, and report medians and spreads [default: 1, compare: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: Option<u32>,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: BenchOutput,
    /// Write a page with charts, which needs no network
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the latencies as an HdrHistogram log
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// Hold the result against that of an earlier run, as --output json printed it
    #[arg(long, value_name = "FILE", requires = "fail_if_slower")]
    pub baseline: Option<PathBuf>,
    /// Exit 1 when it is slower than the baseline by more than this: 5%
    #[arg(long, value_name = "PERCENT", requires = "baseline")]
    pub fail_if_slower: Option<String>,
    /// One run for a parent: what it runs, as WORKLOAD/LIBRARY.
    #[arg(long, hide = true, value_name = "WORKLOAD/LIBRARY")]
    pub child: Option<String>,
    /// The parent's embedded broker.
    #[arg(long, hide = true, value_name = "ADDRESS", requires = "child")]
    pub child_broker: Option<String>,
}

/// `kps bench latency`.
#[derive(Debug, Args)]
#[command(
    after_help = "Latency is taken from when a record was due by the rate, not from when it was sent: what waits\n\
    behind a slow record counts, too. Defaults: 1000/s for 10 s.\n\n\
    Examples:\n  kps bench latency --rate 5000/s --duration 1m\n  kps bench latency --find-rate --p99 10ms"
)]
pub struct LatencyArgs {
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Search the highest rate that is held with a 99th percentile of at most --p99, in runs of
    /// --duration each [default: 5s]
    #[arg(long, requires = "p99", conflicts_with_all = ["repeat", "messages"])]
    pub find_rate: bool,
    /// The limit of --find-rate
    #[arg(long, value_name = "DURATION", requires = "find_rate")]
    pub p99: Option<String>,
}

/// `kps bench compare`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each run is a new process; rounds interleave the libraries, in an order that rotates. Unless --workload says\n\
    otherwise a round is a pipeline run for throughput, CPU and memory, and a latency run at --rate [1000/s] for\n\
    the 99th percentile.\n\n\
    Example:\n  kps bench compare --library rdkafka,rskafka,native --messages 1000000 --report compare.html"
)]
pub struct CompareArgs {
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
    /// What to run instead of pipeline and latency
    #[arg(long, value_name = "WHAT")]
    pub workload: Option<Workload>,
}

/// `kps bench merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Reports of single runs, as --output json printed them
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub output: BenchOutput,
    /// Write a page with charts
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the latencies as an HdrHistogram log
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Publishes.
    Publish,
    /// Reads.
    Subscribe,
    /// Does both at once.
    Pipeline,
    /// Does both at a rate.
    Latency,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchOutput {
    /// For people
    Text,
    /// For programs, with a version of its schema
    Json,
    /// A header and a line for each run
    Csv,
    /// As Kafka's own tools print it
    KafkaPerf,
}

impl BenchArgs {
    /// The load, if there is one.
    pub fn load(&self) -> Option<&LoadArgs> {
        match &self.what {
            Bench::Publish(load) | Bench::Subscribe(load) | Bench::Pipeline(load) => Some(load),
            Bench::Latency(args) => Some(&args.load),
            Bench::Compare(args) => Some(&args.load),
            Bench::Merge(_) => None,
        }
    }

    /// The settings given by its own flags.
    pub(super) fn settings(&self, flags: &mut Layer) {
        if let Some(load) = self.load() {
            push(flags, "--acks", KeyId::Acks, &load.acks);
            push(flags, "-z", KeyId::CompressionType, &load.compression);
        }
    }

    /// Servers and library in force: a child has been told by its parent, and the libraries that a parent compares
    /// are none of its own.
    pub(super) fn of_child<'a>(
        &'a self,
        servers: &'a Option<String>,
        library: &'a Option<String>,
    ) -> (&'a Option<String>, &'a Option<String>) {
        let Some(load) = self.load() else { return (servers, library) };
        let servers = if load.child_broker.is_some() { &load.child_broker } else { servers };
        let several = matches!(self.what, Bench::Compare(_)) || load.child.is_some();
        (servers, if several { &None } else { library })
    }
}
