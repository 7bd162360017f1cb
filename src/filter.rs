//! `--grep`: which records go on to the output.

use regex::bytes::Regex;

use crate::record::RecordRef;

/// A `--grep` that was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A header prefix without a name or a pattern.
    #[error("'{0}' names no header and pattern (use h:NAME=REGEX)")]
    Header(String),
    /// The pattern is no regular expression.
    #[error("'{text}' is not a regular expression: {reason}")]
    Regex {
        /// What was typed.
        text: String,
        /// What is wrong with it, one line.
        reason: String,
    },
}

/// Patterns that must all hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    terms: Vec<Term>,
}

#[derive(Debug, Clone)]
struct Term {
    target: Target,
    regex: Regex,
    negated: bool,
}

#[derive(Debug, Clone)]
enum Target {
    Key,
    Value,
    Header(Vec<u8>),
}

impl Filter {
    /// Compiles patterns, each `[!][k:|v:|h:NAME=]REGEX`: in the key, the value (the default) or any
    /// header of that name; `!` asks that it is not there. They are matched against bytes; a null
    /// never matches.
    ///
    /// # Errors
    /// For the first that is not understood.
    pub fn parse<S: AsRef<str>>(patterns: &[S]) -> Result<Self, FilterError> {
        let terms = patterns.iter().map(|pattern| Term::parse(pattern.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { terms })
    }

    /// True without patterns: everything matches.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// True if all patterns hold for the record.
    pub fn matches(&self, record: &RecordRef<'_>) -> bool {
        self.terms.iter().all(|term| term.found(record) != term.negated)
    }
}

impl Term {
    fn parse(text: &str) -> Result<Self, FilterError> {
        let (negated, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (target, pattern) = match rest.split_once(':') {
            Some(("k", pattern)) => (Target::Key, pattern),
            Some(("v", pattern)) => (Target::Value, pattern),
            Some(("h", header)) => {
                let named = header.split_once('=').filter(|(name, _)| !name.is_empty());
                let (name, pattern) = named.ok_or_else(|| FilterError::Header(text.to_owned()))?;
                (Target::Header(name.as_bytes().to_vec()), pattern)
            }
            _ => (Target::Value, rest),
        };
        let regex = Regex::new(pattern)
            .map_err(|e| FilterError::Regex { text: text.to_owned(), reason: one_line(&e.to_string()) })?;
        Ok(Self { target, regex, negated })
    }

    fn found(&self, record: &RecordRef<'_>) -> bool {
        let in_bytes = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| self.regex.is_match(bytes));
        match &self.target {
            Target::Key => in_bytes(record.key),
            Target::Value => in_bytes(record.value),
            Target::Header(wanted) => {
                let mut found = false;
                record.headers.for_each(&mut |name, value| {
                    found = found || (name == wanted && in_bytes(value));
                });
                found
            }
        }
    }
}

/// The last line of a message of the regex crate, which draws the place in the lines before it.
fn one_line(message: &str) -> String {
    let last = message.lines().last().unwrap_or(message);
    last.strip_prefix("error: ").unwrap_or(last).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Headers, NoHeaders, TimestampType};

    fn matches(patterns: &[&str], key: Option<&[u8]>, value: Option<&[u8]>, headers: &dyn Headers) -> bool {
        let record = RecordRef {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp: 0,
            timestamp_type: TimestampType::Create,
            key,
            value,
            headers,
        };
        Filter::parse(patterns).unwrap().matches(&record)
    }

    #[test]
    fn each_prefix_looks_where_it_says() {
        let headers: &[(&[u8], Option<&[u8]>)] =
            &[(b"h", None), (b"h", Some(b"one")), (b"h", Some(b"two=2")), (b"n", None)];
        let cases = [
            ("val", true),
            ("key", false),
            ("!val", false),
            ("!key", true),
            ("k:^key$", true),
            ("v:key", false),
            ("!k:val", true),
            ("h:h=^one$", true),
            ("h:h=two=2", true),
            ("!h:h=one", false),
            ("h:x=", false),
            ("h:n=", false),
            ("!h:n=", true),
            ("x:val", false),
            (r"(?-u)\xff", true),
            ("", true),
        ];
        for (pattern, expected) in cases {
            let got = matches(&[pattern], Some(b"key"), Some(b"val \xff"), &headers);
            assert_eq!(got, expected, "{pattern}");
        }
    }

    #[test]
    fn all_patterns_must_hold_and_none_lets_all_through() {
        let value = Some(&b"a b"[..]);
        assert!(matches(&["a", "b", "!c"], None, value, &NoHeaders));
        assert!(!matches(&["a", "c"], None, value, &NoHeaders));
        assert!(matches(&[], None, None, &NoHeaders));
        assert!(Filter::default().is_empty());
    }

    #[test]
    fn null_never_matches() {
        assert!(!matches(&["k:"], None, None, &NoHeaders));
        assert!(!matches(&["v:"], None, None, &NoHeaders));
        assert!(matches(&["!v:"], None, None, &NoHeaders));
        assert!(matches(&["v:^$"], None, Some(b""), &NoHeaders));
    }

    #[test]
    fn mistakes_are_told_in_one_line() {
        let cases = [
            ("k:(", "'k:(' is not a regular expression: unclosed group"),
            ("!h:name", "'!h:name' names no header and pattern (use h:NAME=REGEX)"),
            ("h:=x", "'h:=x' names no header and pattern (use h:NAME=REGEX)"),
        ];
        for (pattern, error) in cases {
            assert_eq!(Filter::parse(&["ok", pattern]).unwrap_err().to_string(), error);
        }
    }
}
