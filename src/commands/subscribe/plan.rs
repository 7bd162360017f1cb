//! What the flags of `kps subscribe` mean.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;

use crate::backends::Topics;
use crate::cli::{OutputForm, SubscribeArgs};
use crate::commands::{Context, topic_name, usage};
use crate::escape::unescape;
use crate::filter::Filter;
use crate::format::{Envelope, Format, Template};
use crate::offset::{self, OffsetSpec};
use crate::units;

/// The meaning of the command line.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) topics: Topics,
    pub(super) partitions: Option<Vec<i32>>,
    pub(super) offsets: OffsetSpec,
    pub(super) filter: Filter,
    /// None: only count.
    pub(super) format: Option<Format>,
    pub(super) timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
}

impl Plan {
    /// # Errors
    /// Usage errors.
    pub(super) fn new(args: &SubscribeArgs, context: &Context<'_>) -> Result<Self> {
        let now = chrono::Utc::now().timestamp_millis();
        let offsets = OffsetSpec::parse(&args.offset, now).map_err(|e| usage(format!("-o: {e}")))?;
        if offsets.ends_at_stored() {
            return Err(usage("-o: stored can be a start, not an end"));
        }
        if args.partitions.is_some() && args.has_group() {
            return Err(usage("-p with -g: a group assigns the partitions"));
        }
        let duration = |flag: &str, typed: &Option<String>| {
            let parse =
                |text: &String| units::parse_duration(text).map_err(|e| usage(format!("{flag}: {e}")));
            typed.as_ref().map(parse).transpose()
        };
        Ok(Self {
            topics: topics(args, context)?,
            partitions: partitions(args)?,
            offsets,
            filter: Filter::parse(&args.grep).map_err(|e| usage(format!("--grep: {e}")))?,
            format: format(args)?,
            timeout: duration("--timeout", &args.timeout)?,
            idle_timeout: duration("--idle-timeout", &args.idle_timeout)?,
        })
    }
}

fn topics(args: &SubscribeArgs, context: &Context<'_>) -> Result<Topics> {
    let mut names = args
        .topics
        .iter()
        .chain(&args.topic_flag)
        .map(|typed| topic_name(typed))
        .collect::<Result<Vec<_>>>()?;
    if let Some(pattern) = &args.pattern {
        if !names.is_empty() {
            return Err(usage("--pattern and topics: give one or the other"));
        }
        let pattern = regex::Regex::new(pattern)
            .map_err(|e| usage(format!("--pattern {pattern}: {}", last_line(&e))))?;
        return Ok(Topics::Pattern(pattern));
    }
    if names.is_empty() {
        let (topic, _) = context.layers.topic().ok_or_else(|| usage("no topic: kps subscribe TOPIC..."))?;
        names.push(topic.clone());
    }
    names.sort();
    names.dedup();
    Ok(Topics::Names(names))
}

fn partitions(args: &SubscribeArgs) -> Result<Option<Vec<i32>>> {
    let parse = |text: &String| offset::parse_partitions(text).map_err(|e| usage(format!("-p: {e}")));
    args.partitions.as_ref().map(parse).transpose()
}

fn format(args: &SubscribeArgs) -> Result<Option<Format>> {
    if args.count_only {
        return Ok(None);
    }
    let delimiter = match &args.delimiter {
        Some(typed) => unescape(typed).map_err(|e| usage(format!("-D: {e}")))?,
        None => b"\n".to_vec(),
    };
    let output = if args.json { Some(OutputForm::Json) } else { args.output };
    let form = match (output, &args.format) {
        (_, Some(text)) => Format::template(Template::parse(text).map_err(|e| usage(format!("-f: {e}")))?),
        (Some(OutputForm::Json), None) => Format::json(Envelope { parse_json: args.parse_json }),
        (Some(OutputForm::Raw), None) => return Ok(Some(Format::raw())),
        (Some(OutputForm::Value) | None, None) => Format::value(delimiter),
    };
    if args.parse_json && output != Some(OutputForm::Json) {
        return Err(usage("--parse-json goes with --output json"));
    }
    Ok(Some(form.for_terminal(std::io::stdout().is_terminal())))
}

/// The last line of a regular expression's error says what is wrong; those before draw it.
fn last_line(e: &impl std::fmt::Display) -> String {
    let text = e.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
