//! Topic names, and the URL form of them.

/// The longest name a broker takes (Kafka's `org.apache.kafka.common.internals.Topic`).
const LONGEST: usize = 249;

/// The topic in `NAME` or `kafka://topic/NAME`.
///
/// # Errors
/// One line that shows the right form.
pub fn parse(typed: &str) -> Result<String, String> {
    let name = match typed.split_once("://") {
        None => typed,
        Some(("kafka", rest)) => match rest.strip_prefix("topic/") {
            Some(name) => name,
            None => return Err(format!("topic {typed:?}: the path must be topic/NAME, as in kafka://topic/NAME")),
        },
        Some(_) => return Err(format!("topic {typed:?}: the only URL form is kafka://topic/NAME")),
    };
    match fault(name) {
        None => Ok(name.to_owned()),
        Some(fault) => Err(format!("topic {typed:?}: {fault}")),
    }
}

fn fault(name: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        return Some("the name is empty".to_owned());
    }
    if name == "." || name == ".." {
        return Some("a name cannot be . or ..".to_owned());
    }
    if name.len() > LONGEST {
        return Some(format!("a name has at most {LONGEST} characters, this one has {}", name.len()));
    }
    let wrong = name.chars().find(|c| !legal(*c))?;
    Some(format!("{wrong:?} is not allowed in a name: letters, digits, '.', '_' and '-' are"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_urls_are_taken() {
        assert_eq!(parse("orders").unwrap(), "orders");
        assert_eq!(parse("kafka://topic/a.b_c-1").unwrap(), "a.b_c-1");
    }

    #[test]
    fn other_schemes_and_paths_show_the_right_form() {
        for typed in ["http://topic/x", "kafka://x", "kafka://host:9092/x", "mqtt://topic/x"] {
            assert!(parse(typed).unwrap_err().contains("kafka://topic/NAME"), "{typed}");
        }
    }

    #[test]
    fn illegal_names_say_what_is_wrong_with_them() {
        assert!(parse("a b").unwrap_err().contains("' '"));
        assert!(parse("").unwrap_err().contains("empty"));
        assert!(parse("..").is_err());
        assert!(parse(&"x".repeat(250)).unwrap_err().contains("249"));
        assert!(parse("kafka://topic/").unwrap_err().contains("empty"));
        assert!(parse("a/b").is_err());
    }
}
