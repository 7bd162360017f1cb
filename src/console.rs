//! Standard error: one line a message, `kps: ` first, never a control character, never a panic when
//! it is closed.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicI8, Ordering};

static VERBOSITY: AtomicI8 = AtomicI8::new(0);

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
    line("", &message);
}

/// A warning line; none with `-q`.
pub fn warn(message: impl Display) {
    if verbosity() >= 0 {
        line("warning: ", &message);
    }
}

/// A line about something that is as it should be; none with `-q`.
pub fn say(message: impl Display) {
    if verbosity() >= 0 {
        line("", &message);
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
        line("log: ", &message);
    }
}

fn line(prefix: &str, message: &dyn Display) {
    // One write, so that lines of several threads do not mix.
    let text = format!("kps: {prefix}{}\n", clean(&message.to_string()));
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
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
}
