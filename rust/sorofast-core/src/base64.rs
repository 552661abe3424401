//! Standard base64 with padding, strict: the same text for the same bytes, and an offset for every refusal.
//!
//! Four lookup tables turn four characters into 24 bits with three ORs; whether any character was foreign is only
//! asked once per text, because in an RPC answer none is.

use thiserror::Error;

/// Text that is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("base64: {reason} at character {offset}")]
pub struct Base64Error {
    /// Position of the offending character.
    pub offset: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOREIGN: u32 = 0xff00_0000;

const fn table(shift: u32) -> [u32; 256] {
    let mut values = [FOREIGN; 256];
    let mut index = 0;
    while index < 64 {
        values[ALPHABET[index] as usize] = (index as u32) << shift;
        index += 1;
    }
    values
}

static FIRST: [u32; 256] = table(18);
static SECOND: [u32; 256] = table(12);
static THIRD: [u32; 256] = table(6);
static FOURTH: [u32; 256] = table(0);

fn word(chars: [u8; 4]) -> u32 {
    FIRST[chars[0] as usize]
        | SECOND[chars[1] as usize]
        | THIRD[chars[2] as usize]
        | FOURTH[chars[3] as usize]
}

/// Decodes `text` into `out`, replacing what was there and keeping its capacity.
pub fn decode_into(text: &[u8], out: &mut Vec<u8>) -> Result<(), Base64Error> {
    out.clear();
    let (quads, rest) = text.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Base64Error {
            offset: text.len(),
            reason: "length is not a multiple of four",
        });
    }
    let Some((last, body)) = quads.split_last() else {
        return Ok(());
    };
    out.resize(text.len() / 4 * 3, 0);
    let mut seen = 0;
    let (triples, _) = out.as_chunks_mut::<3>();
    for (chars, bytes) in body.iter().zip(triples) {
        let value = word(*chars);
        seen |= value;
        let [_, a, b, c] = value.to_be_bytes();
        *bytes = [a, b, c];
    }
    if seen & FOREIGN != 0 {
        return Err(first_foreign(text));
    }
    let tail = body.len() * 3;
    out.truncate(tail);
    let padding = last.iter().rev().take_while(|&&c| c == b'=').count();
    let mut chars = *last;
    for c in chars.iter_mut().skip(4 - padding.min(2)) {
        *c = b'A';
    }
    let value = word(chars);
    if value & FOREIGN != 0 {
        return Err(first_foreign(text));
    }
    let kept = 3 - padding;
    let bytes = &value.to_be_bytes()[1..];
    if bytes[kept..].iter().any(|&b| b != 0) || (padding > 0 && has_stray_bits(value, kept)) {
        return Err(Base64Error {
            offset: text.len() - padding - 1,
            reason: "stray bits before the padding",
        });
    }
    out.extend_from_slice(&bytes[..kept]);
    Ok(())
}

/// Bits of the last character that no byte takes up must be zero.
fn has_stray_bits(value: u32, kept: usize) -> bool {
    let used = 8 * kept as u32;
    value & ((1 << (24 - used)) - 1) != 0
}

fn first_foreign(text: &[u8]) -> Base64Error {
    let offset = text
        .iter()
        .position(|&c| FOURTH[c as usize] == FOREIGN)
        .unwrap_or(text.len());
    let reason = if text.get(offset) == Some(&b'=') {
        "padding in the wrong place"
    } else {
        "not a base64 character"
    };
    Base64Error { offset, reason }
}

/// Decodes `text` into a new buffer.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, Base64Error> {
    let mut out = Vec::new();
    decode_into(text, &mut out)?;
    Ok(out)
}

/// The two characters of every twelve bits.
static PAIRS: [[u8; 2]; 4096] = {
    let mut pairs = [[0; 2]; 4096];
    let mut bits = 0;
    while bits < pairs.len() {
        pairs[bits] = [ALPHABET[bits >> 6], ALPHABET[bits & 63]];
        bits += 1;
    }
    pairs
};

/// Appends the base64 text of `bytes` to `out`.
pub fn encode_into(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    let (sixes, rest) = bytes.as_chunks::<6>();
    let (eights, _) = out[start..].as_chunks_mut::<8>();
    for (text, six) in eights.iter_mut().zip(sixes) {
        *text = encode_six(*six);
    }
    let mut padded = [0; 6];
    padded[..rest.len()].copy_from_slice(rest);
    // What follows the characters that hold bits stays as it is: padding.
    let (from, kept) = (start + sixes.len() * 8, (rest.len() * 4).div_ceil(3));
    out[from..from + kept].copy_from_slice(&encode_six(padded)[..kept]);
}

#[inline]
fn encode_six(six: [u8; 6]) -> [u8; 8] {
    let mut wide = [0; 8];
    wide[2..].copy_from_slice(&six);
    let bits = u64::from_be_bytes(wide);
    let pair = |shift: u32| PAIRS[(bits >> shift) as usize & 4095];
    let (first, second, third, last) = (pair(36), pair(24), pair(12), pair(0));
    let mut text = [0; 8];
    text[..2].copy_from_slice(&first);
    text[2..4].copy_from_slice(&second);
    text[4..6].copy_from_slice(&third);
    text[6..].copy_from_slice(&last);
    text
}

/// The base64 text of `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    encode_into(bytes, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_texts() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
            ("foobarf", "Zm9vYmFyZg=="),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).unwrap(), bytes.as_bytes());
        }
    }

    #[test]
    fn refusals_say_where() {
        for (text, offset) in [
            ("Zg=", 3),
            ("Zm9v=m9v", 4),
            ("====", 0),
            ("Z===", 1),
            ("Zm\n9", 2),
            ("Zh==", 1),
            ("Zm9=", 2),
            ("Zg==Zg==", 2),
            ("Z=g=", 1),
        ] {
            assert_eq!(
                decode(text.as_bytes()).unwrap_err().offset,
                offset,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes()).unwrap(), bytes);
        }

        #[test]
        fn accepted_text_is_canonical(text in "[A-Za-z0-9+/=\\-]{0,24}") {
            if let Ok(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
