//! What the flags of `kps publish` mean.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::source::{Input, Limits};
use crate::cli::{InputForm, OnError, PublishArgs};
use crate::commands::{Context, topic_name, usage};
use crate::escape::unescape;
use crate::format::Template;
use crate::input::{Form, FormatInput, InputSpec};
use crate::offset::parse_time;
use crate::props::is_standard_input;
use crate::settings::Library;
use crate::units::{self, Rate};

/// The meaning of the command line.
#[derive(Debug)]
pub(super) struct Plan {
    /// None: the envelopes name their topics.
    pub(super) topic: Option<String>,
    pub(super) spec: InputSpec,
    pub(super) limits: Limits,
    pub(super) rate: Option<Rate>,
    pub(super) delimiter: Vec<u8>,
    files: Vec<PathBuf>,
    whole: Vec<PathBuf>,
    messages: Vec<String>,
}

impl Plan {
    /// # Errors
    /// Usage errors.
    pub(super) fn new(args: &PublishArgs, context: &Context<'_>) -> Result<Self> {
        let form = form(args)?;
        let (topic, mut files) = topic_and_files(args, context)?;
        files.extend(args.file.iter().cloned());
        let reads_files = !files.is_empty() || !args.file_per_message.is_empty();
        if reads_files && !args.message.is_empty() {
            return Err(usage("-m and files: give one or the other"));
        }
        let delimiter = delimiter(args)?;
        let spec = InputSpec {
            form,
            delimiter: delimiter.clone(),
            crlf: args.crlf,
            key: args.key.clone().map(String::into_bytes),
            key_delimiter: bytes("-K", args.key_delimiter.as_deref())?,
            headers: args.header.iter().map(|typed| header(typed)).collect(),
            null_empty: args.null_empty,
            partition: args.partition,
            timestamp: timestamp(args)?,
            keep_topic: args.keep_topic || topic.is_none(),
            keep_partition: args.keep_partition,
            strict: args.strict,
        };
        let rate = args
            .rate
            .as_deref()
            .map(|text| units::parse_rate(text).map_err(|e| usage(format!("--rate: {e}"))));
        Ok(Self {
            topic,
            spec,
            limits: Limits {
                count: args.limit,
                skip_bad: args.on_error == OnError::Skip,
                at_once: Limits::ANY,
            },
            rate: rate.transpose()?,
            delimiter,
            files,
            whole: args.file_per_message.clone(),
            messages: args.message.clone(),
        })
    }

    /// Refuses headers of the command line that the library would lose, before anything is read.
    ///
    /// # Errors
    /// Naming the header and the library that can send it.
    pub(super) fn check_headers(&self, library: Library) -> Result<()> {
        let headers = &self.spec.headers;
        let twice = |i: usize, name: &[u8]| headers.iter().take(i).any(|(other, _)| other == name);
        for (i, (name, value)) in headers.iter().enumerate() {
            let what = match value {
                None => "with a null value",
                Some(_) if twice(i, name) => "a second time",
                Some(_) => continue,
            };
            if library == Library::Rskafka {
                let name = String::from_utf8_lossy(name);
                return Err(usage(format!(
                    "-H {name}: {library} cannot send a header {what}, --library rdkafka can"
                )));
            }
        }
        Ok(())
    }

    /// Opens everything there is to read, before anything is sent.
    ///
    /// # Errors
    /// Naming the file that cannot be opened.
    pub(super) fn open_inputs(&mut self) -> Result<Vec<Input>> {
        let mut inputs = Vec::new();
        inputs.extend(self.messages.drain(..).map(Input::Message));
        for path in &self.files {
            inputs.push(if path.as_os_str() == "-" { Input::Stdin } else { Input::file(path)? });
        }
        for path in &self.whole {
            inputs.push(Input::whole(path)?);
        }
        if inputs.is_empty() {
            inputs.push(Input::Stdin);
        }
        Ok(inputs)
    }
}

/// Whether the records, or some of them, are read from standard input. A topic that only a file names changes nothing
/// about it: then there is no positional argument.
pub(in crate::commands) fn reads_standard_input(args: &PublishArgs) -> bool {
    let files = positional_files(args).chain(args.file.iter().map(PathBuf::as_path));
    let mut given = files.chain(args.file_per_message.iter().map(PathBuf::as_path)).peekable();
    let nothing_given = given.peek().is_none() && args.message.is_empty();
    nothing_given || given.any(is_standard_input)
}

/// The positional arguments that are files: all with -t, else those behind the topic. One positional argument of
/// `--input envelope` that is a file and no topic is read: its envelopes name their topics.
fn positional_files(args: &PublishArgs) -> impl Iterator<Item = &Path> {
    let first = args.topic.iter().filter(|first| args.topic_flag.is_some() || is_envelope_file(args, first));
    first.chain(&args.more).map(Path::new)
}

fn is_envelope_file(args: &PublishArgs, first: &str) -> bool {
    let envelopes = args.input == Some(InputForm::Envelope);
    let alone = args.more.is_empty() && args.file.is_empty() && args.message.is_empty();
    envelopes && alone && Path::new(first).is_file()
}

/// The topic, and the positional arguments that are files.
fn topic_and_files(args: &PublishArgs, context: &Context<'_>) -> Result<(Option<String>, Vec<PathBuf>)> {
    let configured = context.layers.topic().map(|(topic, _)| topic);
    let files = positional_files(args).map(Path::to_owned).collect();
    if let Some(typed) = &args.topic_flag {
        return Ok((Some(topic_name(typed)?), files));
    }
    match &args.topic {
        Some(first) if is_envelope_file(args, first) => Ok((configured.cloned(), files)),
        Some(first) => Ok((Some(topic_name(first)?), files)),
        None if configured.is_some() => Ok((configured.cloned(), files)),
        None => Err(usage("no topic: kps publish TOPIC")),
    }
}

fn form(args: &PublishArgs) -> Result<Form> {
    match (args.input, &args.input_format) {
        (Some(InputForm::Format) | None, Some(text)) => {
            let compiled = Template::parse(text).and_then(|template| FormatInput::compile(&template));
            Ok(Form::Format(compiled.map_err(|e| usage(format!("-i: {e}")))?))
        }
        (Some(InputForm::Format), None) => Err(usage("--input format: give the format with -i")),
        (Some(_), Some(_)) => Err(usage("-i goes with --input format only")),
        (Some(InputForm::Lines) | None, None) => Ok(Form::Lines),
        (Some(InputForm::Json), None) => Ok(Form::Json),
        (Some(InputForm::Envelope), None) => Ok(Form::Envelope),
    }
}

fn delimiter(args: &PublishArgs) -> Result<Vec<u8>> {
    match bytes("-D", args.delimiter.as_deref())? {
        _ if args.nul => Ok(vec![0]),
        Some(delimiter) => Ok(delimiter),
        None => Ok(b"\n".to_vec()),
    }
}

fn bytes(flag: &str, typed: Option<&str>) -> Result<Option<Vec<u8>>> {
    let Some(typed) = typed else { return Ok(None) };
    let bytes = unescape(typed).map_err(|e| usage(format!("{flag}: {e}")))?;
    if bytes.is_empty() {
        return Err(usage(format!("{flag}: a delimiter is not empty")));
    }
    Ok(Some(bytes))
}

fn header(typed: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    match typed.split_once('=') {
        Some((name, value)) => (name.into(), Some(value.into())),
        None => (typed.into(), None),
    }
}

fn timestamp(args: &PublishArgs) -> Result<Option<i64>> {
    let now = chrono::Utc::now().timestamp_millis();
    let parse = |text: &str| parse_time(text, now).map_err(|e| usage(format!("--timestamp: {e}")));
    args.timestamp.as_deref().map(parse).transpose()
}
