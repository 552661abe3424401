//! String literals: found without being copied, unescaped only where there is something to unescape.

use std::borrow::Cow;

/// A string literal where it stands in the body, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    pub(super) raw: &'a [u8],
    pub(super) escaped: bool,
    /// Offset of its first character in the body.
    pub offset: usize,
}

impl<'a> Text<'a> {
    /// The characters, with escapes resolved only if there are any.
    #[must_use]
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        if self.escaped {
            Cow::Owned(unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// The characters as an owned string.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

/// Length of the escape at the start, if it is one.
pub(super) fn escape_length(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => text
            .get(2..6)?
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then_some(6),
        _ => None,
    }
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&first, after)) = rest.split_first() {
        if first != b'\\' {
            out.push(first);
            rest = after;
            continue;
        }
        let Some((&kind, after)) = after.split_first() else {
            break;
        };
        rest = after;
        match kind {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (character, used) = unescape_unicode(rest);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = rest.get(used..).unwrap_or_default();
            }
            other => out.push(other),
        }
    }
    out
}

/// The character of `XXXX` or of the pair `XXXX\uXXXX`, and how much of the text it took.
fn unescape_unicode(text: &[u8]) -> (char, usize) {
    let unit = |at: usize| -> Option<u32> {
        let digits = std::str::from_utf8(text.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let high = unit(0).unwrap_or(0xfffd);
    if let Some(character) = char::from_u32(high) {
        return (character, 4);
    }
    if text.get(4..6) == Some(b"\\u") {
        if let Some(low @ 0xdc00..=0xdfff) = unit(6) {
            if (0xd800..0xdc00).contains(&high) {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return (
                    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                    10,
                );
            }
        }
    }
    (char::REPLACEMENT_CHARACTER, 4)
}
