//! JSON written by hand, because one envelope a record through serde costs several times as much,
//! and small questions about JSON text. Grammar: RFC 8259.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Appends a JSON string.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    // A block at a time: the test has no early exit, so that it compiles to vector instructions.
    for block in text.as_bytes().chunks(64) {
        if block.iter().fold(false, |found, b| found | must_escape(*b)) {
            push_escaped(out, block);
        } else {
            out.extend_from_slice(block);
        }
    }
    out.push(b'"');
}

fn must_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn push_escaped(out: &mut Vec<u8>, block: &[u8]) {
    for &byte in block {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 => {
                out.extend(b"\\u00");
                crate::escape::push_hex(out, byte);
            }
            _ => out.push(byte),
        }
    }
}

/// Appends bytes as the envelope has them: a string when they are UTF-8, else
/// `{"base64":"..."}`, `null` for null.
pub(super) fn push_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes.map(|b| (b, std::str::from_utf8(b))) {
        None => out.extend(b"null"),
        Some((_, Ok(text))) => push_string(out, text),
        Some((bytes, Err(_))) => {
            out.extend(br#"{"base64":""#);
            push_base64(out, bytes);
            out.extend(br#""}"#);
        }
    }
}

/// Appends standard base64 with padding (RFC 4648 section 4).
pub(super) fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    // By whole groups of three, so that only the last block has padding.
    let mut text = [0; 1024];
    for block in bytes.chunks(text.len() / 4 * 3) {
        let written = STANDARD.encode_slice(block, &mut text).unwrap_or_default();
        out.extend_from_slice(&text[..written]);
    }
}

/// The text, if these bytes are one JSON value.
pub(crate) fn is_json(bytes: &[u8]) -> Result<&str, String> {
    // Checked first: serde_json does not look at the encoding of what it skips.
    let text = std::str::from_utf8(bytes)
        .map_err(|e| format!("not JSON: invalid UTF-8 at byte {}", e.valid_up_to() + 1))?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(text),
        Err(e) => Err(format!("not JSON: {}", e.to_string().replace(" at line 1 column ", " at column "))),
    }
}

/// Appends JSON text (valid) without the white space between its tokens; nothing else changes.
pub(crate) fn compact(out: &mut Vec<u8>, json: &str) {
    let mut in_string = false;
    let mut escaped = false;
    for &byte in json.as_bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            continue;
        } else {
            in_string = byte == b'"';
        }
        out.push(byte);
    }
}

/// The base64 text, if this JSON (valid) is `{"base64":"..."}`, the form of bytes in an envelope.
pub(crate) fn base64_text(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Bytes<'a> {
        #[serde(borrow)]
        base64: Cow<'a, str>,
    }
    // Looked at first: most objects are not this, and serde's refusal is expensive.
    let inside = json.trim_start().strip_prefix('{')?;
    inside.trim_start().strip_prefix("\"base64\"")?;
    serde_json::from_str::<Bytes<'_>>(json).ok().map(|b| b.base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(f: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_serde_does() {
        let control: String = (0..0x80u8).map(char::from).collect();
        let long = "x".repeat(63) + "\"" + &"y".repeat(64) + "ü\\";
        for text in ["", "plain", "\"\\\n\r\t", control.as_str(), long.as_str(), "grün \u{10ffff}"] {
            let json = written(|out| push_string(out, text));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text, "{json}");
            assert!(!json.contains('\n'), "{json}");
        }
        assert_eq!(written(|out| push_string(out, "a\"\u{1}\n")), r#""a\"\u0001\n""#);
    }

    #[test]
    fn bytes_that_are_not_text_become_base64() {
        assert_eq!(written(|out| push_bytes(out, None)), "null");
        assert_eq!(written(|out| push_bytes(out, Some(b""))), "\"\"");
        assert_eq!(written(|out| push_bytes(out, Some(b"\xff\x00"))), r#"{"base64":"/wA="}"#);
    }

    #[test]
    fn long_base64_is_the_same_as_in_one_piece() {
        for len in [0, 1, 767, 768, 769, 5000] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            assert_eq!(written(|out| push_base64(out, &bytes)), STANDARD.encode(&bytes));
        }
    }

    #[test]
    fn only_one_whole_json_value_is_json() {
        for json in ["1", " {\"a\": [1, null]} ", "\"x\"", "null", "-1.5e300"] {
            assert_eq!(is_json(json.as_bytes()), Ok(json));
        }
        let cases: [(&[u8], &str); 5] = [
            (b"", "not JSON: EOF while parsing a value at column 0"),
            (b"{\"a\":}", "not JSON: expected value at column 6"),
            (b"1 2", "not JSON: trailing characters at column 3"),
            (b"NaN", "not JSON: expected value at column 1"),
            (b"\"\xff\"", "not JSON: invalid UTF-8 at byte 2"),
        ];
        for (bytes, reason) in cases {
            assert_eq!(is_json(bytes).unwrap_err(), reason);
        }
    }

    #[test]
    fn compacting_leaves_strings_alone() {
        let json = "{ \"a b\" : [ 1.0 ,\n\t2e5 ] , \"q\\\" \\\\\" : \"\\\\\" , \"n\":null }";
        assert_eq!(written(|out| compact(out, json)), r#"{"a b":[1.0,2e5],"q\" \\":"\\","n":null}"#);
    }

    #[test]
    fn only_the_bytes_form_is_the_bytes_form() {
        assert_eq!(base64_text(r#"{"base64":"aGk="}"#).unwrap(), "aGk=");
        assert_eq!(base64_text(r#" { "base64" : "a\u0047k=" } "#).unwrap(), "aGk=");
        for json in [r#"{"base64":1}"#, r#"{"base64":"","x":1}"#, "{}", "[]", "\"base64\"", r#"{"x":1}"#] {
            assert_eq!(base64_text(json), None, "{json}");
        }
    }
}
