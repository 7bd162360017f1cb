//! Standard error: one line a message, `kps: ` first, never a control character, never a panic when
//! it is closed.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicI8, Ordering};

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};

static VERBOSITY: AtomicI8 = AtomicI8::new(0);
static JSON: AtomicBool = AtomicBool::new(false);

/// From here on every line but a summary asked for as text is an object of JSON: `time`, `level` (error, warning, info, log),
/// `message`, and what an event has of its own.
pub fn write_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// True if lines are objects of JSON.
pub fn writes_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Told even with `-q`.
    Error,
    /// Something is not as it should be.
    Warning,
    /// Something is.
    Info,
    /// A library's own line.
    Log,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Log => "log",
        }
    }

    /// What a line for people begins with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Error | Self::Info => "",
            Self::Warning => "warning: ",
            Self::Log => "log: ",
        }
    }
}

/// Sets how much is told: -1 errors only (`-q`), 0 warnings, 1 and more the libraries' own logs.
pub fn set_verbosity(level: i8) {
    VERBOSITY.store(level, Ordering::Relaxed);
}

/// How much is told.
pub fn verbosity() -> i8 {
    VERBOSITY.load(Ordering::Relaxed)
}

/// An error line.
pub fn error(message: impl Display) {
    line(Level::Error, &message, Some(("error", json!({}))));
}

/// A line about something that happened: `name` and `fields` are for programs, `message` for people. Warnings
/// and better news are not told with `-q`.
pub fn event(level: Level, name: &str, fields: Value, message: impl Display) {
    if level == Level::Error || verbosity() >= 0 {
        line(level, &message, Some((name, fields)));
    }
}

/// A warning line; none with `-q`.
pub fn warn(message: impl Display) {
    if verbosity() >= 0 {
        line(Level::Warning, &message, None);
    }
}

/// A line about something that is as it should be; none with `-q`.
pub fn say(message: impl Display) {
    if verbosity() >= 0 {
        line(Level::Info, &message, None);
    }
}

/// A line as it is (the summary); none with `-q`.
pub fn note(message: impl Display) {
    if verbosity() >= 0 {
        let _ = writeln!(std::io::stderr().lock(), "{}", clean(&message.to_string()));
    }
}

/// A library's log line at syslog level `level`: warnings and worse with `-v`, notices with `-vv`,
/// everything with `-vvv`.
pub fn log(level: i32, message: &str) {
    let shown = match verbosity() {
        i8::MIN..=0 => false,
        1 => level <= 4,
        2 => level <= 6,
        _ => true,
    };
    if shown {
        line(Level::Log, &message, None);
    }
}

fn line(level: Level, message: &dyn Display, event: Option<(&str, Value)>) {
    let message = clean(&message.to_string());
    let text = if writes_json() {
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        format!("{}\n", object(&time, level, &message, event))
    } else {
        format!("kps: {}{message}\n", level.prefix())
    };
    // One write, so that lines of several threads do not mix.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn object(time: &str, level: Level, message: &str, event: Option<(&str, Value)>) -> Value {
    let mut object = Map::new();
    object.insert("time".to_owned(), time.into());
    object.insert("level".to_owned(), level.name().into());
    if let Some((name, fields)) = event {
        object.insert("event".to_owned(), json!(name));
        object.extend(fields.as_object().cloned().unwrap_or_default());
    }
    object.insert("message".to_owned(), message.into());
    Value::Object(object)
}

/// Control characters (what a broker says may hold them) become `?`, line ends spaces.
fn clean(message: &str) -> String {
    let replace = |c: char| match c {
        '\n' => ' ',
        c if c.is_control() => '?',
        c => c,
    };
    message.chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_without_control_characters() {
        assert_eq!(clean("a\nb\u{1b}[31mc"), "a b?[31mc");
    }

    #[test]
    fn a_line_for_programs_has_the_fields_of_its_event() {
        let event = Some(("reconnected", json!({"buffered": 3})));
        let object = object("now", Level::Info, "back", event);
        let expected = json!({
            "time": "now", "level": "info", "event": "reconnected", "buffered": 3, "message": "back",
        });
        assert_eq!(object, expected);
    }
}
