//! Placeholders in the values of a file: `${ENV_NAME}`, `${ENV_NAME:default}`, `${file:PATH}`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Environment;

/// Most that is read from a `${file:PATH}`, in bytes.
const LONGEST: u64 = 1 << 20;

/// Where placeholders get their values.
#[derive(Debug, Clone, Copy)]
pub struct Placeholders<'a> {
    /// For `${ENV_NAME}`.
    pub env: &'a Environment,
    /// The folder that a relative `${file:PATH}` starts from: that of the file it is written in.
    pub folder: &'a Path,
}

impl Placeholders<'_> {
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
            filled.push_str(&self.value(inside)?);
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
    fn file(&self, path: &str) -> Result<String, String> {
        let unreadable = |why: std::io::Error| format!("${{file:{path}}} cannot be read: {why}");
        let mut text = String::new();
        let file = File::open(self.folder.join(path)).map_err(unreadable)?;
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > LONGEST {
            return Err(format!("${{file:{path}}} is longer than {LONGEST} bytes"));
        }
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_or_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "s3cret\r\n").unwrap();
        let env: Environment = [("HOST", "h"), ("EMPTY", ""), ("NESTED", "${HOST}")].into_iter().collect();
        let placeholders = Placeholders { env: &env, folder: folder.path() };
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
}
