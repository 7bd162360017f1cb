//! Placeholders in the values of a file: `${ENV_NAME}`, `${ENV_NAME:default}`, `${file:PATH}`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Entry, Environment, Mistake};
use crate::bounded_read::{MAX_BYTES, TIME_LIMIT, read_named};

/// Where the placeholders of one settings file get their values. The values of a file together are bounded in size,
/// and reading all files that it names is bounded in time, however many there are.
#[derive(Debug)]
pub struct Placeholders<'a> {
    env: &'a Environment,
    folder: &'a Path,
    /// When the reading of `${file:PATH}` must be over.
    deadline: Instant,
    /// Bytes that placeholders may still fill in.
    bytes_left: Cell<usize>,
    /// Files that were read: a pipe can be read only once.
    files: RefCell<HashMap<PathBuf, String>>,
}

impl<'a> Placeholders<'a> {
    /// Values for `${ENV_NAME}` come from `env`; a relative `${file:PATH}` starts from `folder`, that of the settings
    /// file.
    pub fn new(env: &'a Environment, folder: &'a Path) -> Self {
        Self {
            env,
            folder,
            deadline: Instant::now() + TIME_LIMIT,
            bytes_left: Cell::new(MAX_BYTES),
            files: RefCell::default(),
        }
    }

    /// Fills in the placeholders of an entry's value. A secret may hold `${` itself: it is left as it is, unless all
    /// of it is one placeholder.
    ///
    /// # Errors
    /// As [`Placeholders::fill`], with the place of the entry.
    pub fn fill_entry(&self, mut entry: Entry) -> Result<Entry, Mistake> {
        if !entry.is_secret() || is_one_placeholder(&entry.value) {
            entry.value = self.fill(&entry.value).map_err(|wrong| Mistake::new(&entry.place, wrong))?;
        }
        Ok(entry)
    }

    /// Fills in every placeholder; what comes out is not looked at again.
    ///
    /// # Errors
    /// One line: a variable that is not set and has no default, a file that cannot be read, a
    /// placeholder without its end or inside another.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (inside, after) =
                after.split_once('}').ok_or_else(|| format!("${{{after} has no closing }}"))?;
            if inside.contains("${") {
                return Err(format!("${{{inside}}}: a placeholder cannot be inside another"));
            }
            filled.push_str(before);
            let value = self.value(inside)?;
            let left = self.bytes_left.get().checked_sub(value.len());
            self.bytes_left.set(left.ok_or("the placeholders of this file fill in more than 1 MiB")?);
            filled.push_str(&value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&self, inside: &str) -> Result<String, String> {
        let (name, default) = match inside.split_once(':') {
            Some(("file", path)) => return self.file(path),
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        match self.env.get(name) {
            Some(value) => value.to_str().map(str::to_owned).ok_or_else(|| format!("${name} is not UTF-8")),
            None => default.map(str::to_owned).ok_or_else(|| format!("${name} is not set")),
        }
    }

    /// The contents of a file, without the newline at the end.
    fn file(&self, typed: &str) -> Result<String, String> {
        let path = self.folder.join(typed);
        if let Some(text) = self.files.borrow().get(&path) {
            return Ok(text.clone());
        }
        let unreadable = |why: &dyn std::fmt::Display| format!("${{file:{typed}}} cannot be read: {why}");
        let limit = self.deadline.saturating_duration_since(Instant::now());
        if limit.is_zero() {
            return Err(unreadable(&"the files before it took 10 s"));
        }
        let file = read_named(&path, limit).map_err(|why| unreadable(&why))?;
        let text = String::from_utf8(file.bytes).map_err(|_| unreadable(&"it is not UTF-8"))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line).to_owned();
        if line.len() <= self.bytes_left.get() {
            self.files.borrow_mut().insert(path, line.clone());
        }
        Ok(line)
    }
}

fn is_one_placeholder(text: &str) -> bool {
    let inside = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| !inside.contains(['{', '}']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_or_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "s3cret\r\n").unwrap();
        let env: Environment = [("HOST", "h"), ("EMPTY", ""), ("NESTED", "${HOST}")].into_iter().collect();
        let placeholders = Placeholders::new(&env, folder.path());
        for (typed, expected) in [
            ("plain $ {x} $HOST }", Ok("plain $ {x} $HOST }")),
            ("${HOST}:1,${HOST}:2", Ok("h:1,h:2")),
            ("${HOST:other}", Ok("h")),
            ("${GONE:a:b}", Ok("a:b")),
            ("${GONE:}", Ok("")),
            ("${EMPTY:full}", Ok("full")),
            ("${NESTED}", Ok("${HOST}")),
            ("<${file:secret}>", Ok("<s3cret>")),
            ("${GONE}", Err("$GONE is not set")),
            ("${GONE", Err("${GONE has no closing }")),
            ("${A:${B}}", Err("${A:${B}: a placeholder cannot be inside another")),
            ("${file:gone}", Err("${file:gone} cannot be read: No such file or directory (os error 2)")),
        ] {
            let filled = placeholders.fill(typed);
            assert_eq!(filled.as_deref().map_err(String::as_str), expected, "{typed}");
        }
    }

    #[test]
    fn secrets_are_left_as_they_are_unless_all_of_one_is_a_placeholder() {
        let env: Environment = [("X", "y")].into_iter().collect();
        let placeholders = Placeholders::new(&env, Path::new(""));
        let filled = |typed: &str| {
            placeholders.fill_entry(Entry::parse_override(typed).unwrap()).map(|entry| entry.value)
        };
        for (typed, expected) in [
            ("sasl.password=${X}", "y"),
            ("sasl.password=p${X}", "p${X}"),
            ("sasl.password=${X}${X}", "${X}${X}"),
            ("sasl.password=p${", "p${"),
            ("producer.ssl.key.password=$x}", "$x}"),
            ("rdkafka.sasl.password=a${X}", "a${X}"),
            ("rdkafka.debug=a${X}", "ay"),
            ("sasl.username=a${X}", "ay"),
        ] {
            assert_eq!(filled(typed).as_deref(), Ok(expected), "{typed}");
        }
        let error = filled("sasl.password=${GONE}").unwrap_err();
        assert_eq!(error.to_string(), "-X sasl.password: $GONE is not set");
    }

    #[test]
    fn what_placeholders_fill_in_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("big"), "x".repeat(MAX_BYTES)).unwrap();
        std::fs::write(folder.path().join("bigger"), "x".repeat(MAX_BYTES + 1)).unwrap();
        let half = "x".repeat(MAX_BYTES / 2);
        let env: Environment = [("HALF", half.as_str())].into_iter().collect();
        let placeholders = || Placeholders::new(&env, folder.path());
        assert_eq!(placeholders().fill("${HALF}${HALF}").map(|text| text.len()), Ok(MAX_BYTES));
        assert_eq!(placeholders().fill("${file:big}").map(|text| text.len()), Ok(MAX_BYTES));
        let too_much = Err("the placeholders of this file fill in more than 1 MiB".to_owned());
        assert_eq!(placeholders().fill("${HALF}${HALF}${file:big}"), too_much);
        let all = placeholders();
        assert!(all.fill("${file:big}").is_ok());
        assert_eq!(all.fill("${file:big}"), too_much);
        let error = placeholders().fill("${file:bigger}").unwrap_err();
        assert_eq!(error, "${file:bigger} cannot be read: it is larger than 1 MiB");
    }

    #[test]
    fn a_pipe_is_read_once() {
        use std::io::Write;
        use std::os::fd::AsRawFd;

        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"s3cret\n").unwrap();
        drop(writer);
        let env = Environment::default();
        let placeholders = Placeholders::new(&env, Path::new(""));
        let placeholder = format!("${{file:/dev/fd/{}}}", reader.as_raw_fd());
        assert_eq!(
            placeholders.fill(&format!("{placeholder} {placeholder}")).as_deref(),
            Ok("s3cret s3cret")
        );
    }
}
