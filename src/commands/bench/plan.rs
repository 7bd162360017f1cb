//! What the flags of a run mean.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::load::{Lines, Shape, Values};
use super::produce::Amount;
use crate::cli::{LoadArgs, Workload};
use crate::commands::{topic_name, usage};
use crate::offset::parse_time;
use crate::settings::{KeyId, Settings};
use crate::units::{self, Rate};

/// Records of a run, unless its flags say otherwise.
const RECORDS: u64 = 1_000_000;
/// Records a second and time of a latency run, likewise.
pub(super) const LATENCY_RATE: f64 = 1000.0;
const LATENCY_TIME: Duration = Duration::from_secs(10);

/// The meaning of the command line.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) workload: Workload,
    /// A temporary one when none is named.
    pub(super) topic: Option<String>,
    /// Of the temporary topic.
    pub(super) partitions: i32,
    pub(super) replicas: Option<i16>,
    pub(super) amount: Amount,
    pub(super) warmup: u64,
    /// Records a second, over all producers.
    pub(super) rate: Option<f64>,
    pub(super) shape: Arc<Shape>,
    /// The file of its values, and how many there are.
    pub(super) payload_file: Option<(String, usize)>,
    pub(super) producers: u16,
    pub(super) consumers: u16,
    /// When to start, ms since 1970.
    pub(super) start_at: Option<i64>,
}

impl Plan {
    /// # Errors
    /// Usage errors.
    pub(super) fn new(workload: Workload, args: &LoadArgs) -> Result<Self> {
        let topic = args.topic.as_deref().map(topic_name).transpose()?;
        let shape = shape(args)?;
        let rate = args.rate.as_deref().map(|typed| rate(typed, &shape)).transpose()?;
        let is_latency = workload == Workload::Latency;
        let file = |path: &std::path::PathBuf| match &shape.values {
            Values::Lines(lines) => Some((path.display().to_string(), lines.len())),
            Values::MadeUp { .. } => None,
        };
        Ok(Self {
            workload,
            topic,
            partitions: args.partitions.unwrap_or(i32::from(args.consumers)),
            replicas: args.replication_factor,
            amount: amount(args, is_latency)?,
            warmup: args.warmup,
            rate: rate.or(is_latency.then_some(LATENCY_RATE)),
            payload_file: args.payload_file.as_ref().and_then(file),
            shape: Arc::new(shape),
            producers: args.producers,
            consumers: args.consumers,
            start_at: args.start_at.as_deref().map(start_at).transpose()?,
        })
    }

    pub(super) fn publishes(&self) -> bool {
        self.workload != Workload::Subscribe
    }

    pub(super) fn subscribes(&self) -> bool {
        self.workload != Workload::Publish
    }

    /// Refuses records that no library would take.
    ///
    /// # Errors
    /// A usage error that names the setting.
    pub(super) fn check_size(&self, settings: &Settings) -> Result<()> {
        let most = settings.int(KeyId::MaxRequestSize);
        let size = self.shape.largest();
        if i64::try_from(size).is_ok_and(|size| size <= most) {
            return Ok(());
        }
        let place = settings.place(KeyId::MaxRequestSize);
        Err(usage(format!("records of {size} bytes are larger than max.request.size {most} ({place})")))
    }
}

fn amount(args: &LoadArgs, is_latency: bool) -> Result<Amount> {
    Ok(match (args.messages, &args.duration) {
        (Some(records), _) => Amount::Records(records),
        (None, Some(typed)) => Amount::For(duration("--duration", typed)?),
        (None, None) if is_latency => Amount::For(LATENCY_TIME),
        (None, None) => Amount::Records(RECORDS),
    })
}

/// A duration above 0.
///
/// # Errors
/// A usage error that names the flag.
pub(super) fn duration(flag: &str, typed: &str) -> Result<Duration> {
    match units::parse_duration(typed) {
        Ok(Duration::ZERO) => Err(usage(format!("{flag} {typed}: it has to be above 0"))),
        parsed => parsed.map_err(|e| usage(format!("{flag}: {e}"))),
    }
}

/// Records a second; bytes are counted as those of keys and values.
fn rate(typed: &str, shape: &Shape) -> Result<f64> {
    match units::parse_rate(typed).map_err(|e| usage(format!("--rate: {e}")))? {
        Rate::Records(rate) => Ok(rate),
        Rate::Bytes(rate) if shape.payload() > 0.0 => Ok(rate / shape.payload()),
        Rate::Bytes(_) => Err(usage(format!("--rate {typed}: records of 0 bytes have no such rate"))),
    }
}

fn shape(args: &LoadArgs) -> Result<Shape> {
    let size = |flag: &str, typed: &str| {
        let bytes = units::parse_size(typed).map_err(|e| usage(format!("{flag}: {e}")))?;
        usize::try_from(bytes).map_err(|_| usage(format!("{flag} {typed}: too large")))
    };
    let repeated = args.compressibility;
    if !(0.0..=1.0).contains(&repeated) {
        return Err(usage(format!("--compressibility {repeated}: it is from 0 to 1")));
    }
    let values = match &args.payload_file {
        None => Values::MadeUp { size: size("--size", &args.size)?, repeated },
        Some(path) => {
            let lines = Lines::read(path);
            Values::Lines(Arc::new(
                lines.map_err(|e| usage(format!("--payload-file {}: {e}", path.display())))?,
            ))
        }
    };
    let key_size = args.key_size.as_deref().map(|typed| size("--key-size", typed)).transpose()?;
    Ok(Shape { values, key_size, headers: args.headers, seed: args.seed })
}

fn start_at(typed: &str) -> Result<i64> {
    let now = chrono::Utc::now().timestamp_millis();
    let at = parse_time(typed, now).map_err(|e| usage(format!("--start-at: {e}")))?;
    if at < now {
        return Err(usage(format!("--start-at {typed}: that is over")));
    }
    Ok(at)
}
