//! Backslash escapes: read in delimiters and formats, written where bytes go to a terminal.

use std::str;

/// A mistake in a delimiter or a format string, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at character {at} of '{text}'")]
pub struct TextError {
    /// What was typed, on one line.
    text: String,
    /// The character the mistake begins at, from 1.
    at: usize,
    /// What is wrong there, and what would be right.
    what: String,
}

impl TextError {
    /// A mistake at the byte `at` of `text`.
    pub(crate) fn new(text: &str, at: usize, what: impl Into<String>) -> Self {
        let before = text.get(..at).unwrap_or(text).chars().count();
        let one_line = text.replace('\n', "\\n").replace('\r', "\\r");
        Self { text: one_line, at: before + 1, what: what.into() }
    }
}

/// The bytes that text with escapes stands for: `\n \r \t \0 \\ \xNN`.
///
/// # Errors
/// For any other escape, with its place.
pub fn unescape(text: &str) -> Result<Vec<u8>, TextError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.as_bytes().get(at..).filter(|r| !r.is_empty()) {
        let (byte, taken) = next(rest).map_err(|what| TextError::new(text, at, what))?;
        bytes.push(byte);
        at += taken;
    }
    Ok(bytes)
}

/// The first byte that `text` (not empty) stands for, and how many bytes of `text` say so.
pub(crate) fn next(text: &[u8]) -> Result<(u8, usize), &'static str> {
    const KNOWN: &str = r"unknown escape (use \n \r \t \0 \\ \xNN)";
    match text {
        [b'\\', b'n', ..] => Ok((b'\n', 2)),
        [b'\\', b'r', ..] => Ok((b'\r', 2)),
        [b'\\', b't', ..] => Ok((b'\t', 2)),
        [b'\\', b'0', ..] => Ok((0, 2)),
        [b'\\', b'\\', ..] => Ok((b'\\', 2)),
        [b'\\', b'x', high, low, ..] => {
            let byte = hex_digit(*high).zip(hex_digit(*low)).map(|(h, l)| h << 4 | l);
            byte.map(|b| (b, 4)).ok_or(r"\x is not followed by two hexadecimal digits")
        }
        [b'\\', b'x', ..] => Err(r"\x is not followed by two hexadecimal digits"),
        [b'\\', ..] | [] => Err(KNOWN),
        [byte, ..] => Ok((*byte, 1)),
    }
}

/// The value of a hexadecimal digit.
pub(crate) fn hex_digit(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|d| d as u8)
}

/// Appends a byte as two lower-case hexadecimal digits.
pub(crate) fn push_hex(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

/// Makes `out[from..]` harmless on a terminal: control characters other than newline and tab, and
/// bytes that are not UTF-8, become `\xNN`, so that no record can move the cursor or retitle the
/// window.
pub fn for_terminal(out: &mut Vec<u8>, from: usize) {
    if out.iter().skip(from).all(|b| (b' '..0x7f).contains(b) || matches!(b, b'\n' | b'\t')) {
        return;
    }
    let raw = out.split_off(from.min(out.len()));
    for chunk in raw.utf8_chunks() {
        for c in chunk.valid().chars() {
            let bytes = &mut [0; 4];
            let bytes = c.encode_utf8(bytes).as_bytes();
            if c.is_control() && c != '\n' && c != '\t' {
                push_visible(out, bytes);
            } else {
                out.extend_from_slice(bytes);
            }
        }
        push_visible(out, chunk.invalid());
    }
}

fn push_visible(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(br"\x");
        push_hex(out, *byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_their_bytes() {
        let cases: [(&str, &[u8]); 6] = [
            (r"\n", b"\n"),
            (r"\r\n", b"\r\n"),
            (r"a\t\0\\b", b"a\t\0\\b"),
            (r"\x00\xfF", b"\x00\xff"),
            ("é", "é".as_bytes()),
            ("", b""),
        ];
        for (text, bytes) in cases {
            assert_eq!(unescape(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn an_unknown_escape_is_pointed_at() {
        let cases = [
            (r"é\q", r"unknown escape (use \n \r \t \0 \\ \xNN) at character 2 of 'é\q'"),
            (r"ab\", r"unknown escape (use \n \r \t \0 \\ \xNN) at character 3 of 'ab\'"),
            (r"\x4", r"\x is not followed by two hexadecimal digits at character 1 of '\x4'"),
            (r"a\x4g", r"\x is not followed by two hexadecimal digits at character 2 of 'a\x4g'"),
        ];
        for (text, error) in cases {
            assert_eq!(unescape(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let cases: [(&[u8], &[u8]); 6] = [
            (b"plain\ttext\n", b"plain\ttext\n"),
            (b"\x1b[31mred", br"\x1b[31mred"),
            (b"a\r\x07\x7f", br"a\x0d\x07\x7f"),
            ("grün".as_bytes(), "grün".as_bytes()),
            ("csi \u{9b}31m".as_bytes(), br"csi \xc2\x9b31m"),
            (b"bad \xff\xfe utf-8", br"bad \xff\xfe utf-8"),
        ];
        for (raw, shown) in cases {
            let mut out = b"\x1bkept".to_vec();
            out.extend_from_slice(raw);
            for_terminal(&mut out, 5);
            assert_eq!(out, [b"\x1bkept", shown].concat());
        }
    }
}
