//! A scanner over JSON text: the caller says which members it wants, everything else is checked and skipped.
//!
//! Strings stay where they are. Nesting is bounded, numbers and escapes are checked, and every error has an offset.

use std::borrow::Cow;

use super::error::BodyError;
use super::text::{escape_length, Text};
use memchr::memchr2;

const NESTING_MOST: u32 = 64;

/// A position in a JSON text that is known to be UTF-8.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    body: &'a [u8],
    position: usize,
    nesting: u32,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of a body.
    pub fn new(body: &'a [u8]) -> Result<Self, BodyError> {
        match std::str::from_utf8(body) {
            Ok(_) => Ok(Self {
                body,
                position: 0,
                nesting: 0,
            }),
            Err(error) => Err(BodyError::at(error.valid_up_to(), "not UTF-8")),
        }
    }

    /// Offset of the next byte.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    fn error<T>(&self, reason: impl Into<Cow<'static, str>>) -> Result<T, BodyError> {
        Err(BodyError::at(self.position, reason))
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.body.get(self.position) {
            self.position += 1;
        }
    }

    /// The next byte that is not white space, which stays where it is.
    pub fn peek(&mut self) -> Result<u8, BodyError> {
        self.skip_space();
        match self.body.get(self.position) {
            Some(&byte) => Ok(byte),
            None => self.error("the body ends here"),
        }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), BodyError> {
        if self.peek()? != wanted {
            return self.error(format!("expected {:?}", char::from(wanted)));
        }
        self.position += 1;
        Ok(())
    }

    /// Consumes `null`, if that is what comes.
    pub fn null(&mut self) -> Result<bool, BodyError> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        self.literal(b"null").map(|()| true)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool, BodyError> {
        match self.peek()? {
            b't' => self.literal(b"true").map(|()| true),
            b'f' => self.literal(b"false").map(|()| false),
            _ => self.error("expected true or false"),
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), BodyError> {
        if !self.body[self.position..].starts_with(word) {
            return self.error("unknown word");
        }
        self.position += word.len();
        Ok(())
    }

    /// Every member of an object; `member` must consume the value.
    pub fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &[u8]) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        self.expect(b'{')?;
        self.enter()?;
        if self.peek()? == b'}' {
            self.position += 1;
            self.nesting -= 1;
            return Ok(());
        }
        loop {
            let key = self.text()?;
            self.expect(b':')?;
            member(self, &key.bytes())?;
            match self.peek()? {
                b',' => self.position += 1,
                b'}' => break,
                _ => return self.error("expected ',' or '}'"),
            }
        }
        self.position += 1;
        self.nesting -= 1;
        Ok(())
    }

    /// Every element of an array; `element` must consume it.
    pub fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), BodyError>,
    ) -> Result<(), BodyError> {
        self.expect(b'[')?;
        self.enter()?;
        if self.peek()? == b']' {
            self.position += 1;
            self.nesting -= 1;
            return Ok(());
        }
        loop {
            element(self)?;
            match self.peek()? {
                b',' => self.position += 1,
                b']' => break,
                _ => return self.error("expected ',' or ']'"),
            }
        }
        self.position += 1;
        self.nesting -= 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), BodyError> {
        self.nesting += 1;
        if self.nesting > NESTING_MOST {
            return self.error(format!("nested deeper than {NESTING_MOST}"));
        }
        Ok(())
    }

    /// A string.
    pub fn text(&mut self) -> Result<Text<'a>, BodyError> {
        if self.peek()? != b'"' {
            return self.error("expected a string");
        }
        let offset = self.position + 1;
        let mut escaped = false;
        let mut at = offset;
        loop {
            let Some(found) = memchr2(b'"', b'\\', &self.body[at..]) else {
                return self.error("the string that starts here does not end");
            };
            let run = &self.body[at..at + found];
            // The smallest byte is found without a branch a byte, and these runs are what a body is made of.
            if run.iter().fold(b' ', |smallest, &byte| smallest.min(byte)) < b' ' {
                let inside = run.iter().position(|&byte| byte < b' ').unwrap_or(0);
                return Err(BodyError::at(
                    at + inside,
                    "a control character in a string",
                ));
            }
            at += found;
            if self.body[at] == b'"' {
                break;
            }
            escaped = true;
            at += escape_length(&self.body[at..])
                .ok_or_else(|| BodyError::at(at, "an unknown escape"))?;
        }
        self.position = at + 1;
        Ok(Text {
            raw: &self.body[offset..at],
            escaped,
            offset,
        })
    }

    /// A whole number that fits 32 bits.
    pub fn u32(&mut self) -> Result<u32, BodyError> {
        self.peek()?;
        let start = self.position;
        let digits = self.number()?;
        std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| BodyError::at(start, "expected a whole number of 32 bits"))
    }

    /// A whole number that fits 64 bits, signed.
    pub fn i64(&mut self) -> Result<i64, BodyError> {
        self.peek()?;
        let start = self.position;
        let digits = self.number()?;
        std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| BodyError::at(start, "expected a whole number of 64 bits"))
    }

    fn digits(&mut self) -> usize {
        let start = self.position;
        while self.body.get(self.position).is_some_and(u8::is_ascii_digit) {
            self.position += 1;
        }
        self.position - start
    }

    fn number(&mut self) -> Result<&'a [u8], BodyError> {
        let start = self.position;
        if self.body.get(self.position) == Some(&b'-') {
            self.position += 1;
        }
        let leading = self.position;
        let whole = self.digits();
        if whole == 0 || (whole > 1 && self.body[leading] == b'0') {
            return Err(BodyError::at(start, "expected a number"));
        }
        if self.body.get(self.position) == Some(&b'.') {
            self.position += 1;
            if self.digits() == 0 {
                return self.error("a number without digits after its point");
            }
        }
        if let Some(b'e' | b'E') = self.body.get(self.position) {
            self.position += 1;
            if let Some(b'+' | b'-') = self.body.get(self.position) {
                self.position += 1;
            }
            if self.digits() == 0 {
                return self.error("a number without digits in its exponent");
            }
        }
        Ok(&self.body[start..self.position])
    }

    /// Skips a value of any kind.
    pub fn skip(&mut self) -> Result<(), BodyError> {
        match self.peek()? {
            b'{' => self.object(|scanner, _| scanner.skip()),
            b'[' => self.array(Self::skip),
            b'"' => self.text().map(drop),
            b't' | b'f' => self.boolean().map(drop),
            b'n' => self.null().map(drop),
            _ => self.number().map(drop),
        }
    }

    /// Skips a value of any kind and says how it is written.
    pub fn raw(&mut self) -> Result<&'a str, BodyError> {
        self.peek()?;
        let start = self.position;
        self.skip()?;
        Ok(std::str::from_utf8(&self.body[start..self.position]).unwrap_or_default())
    }

    /// Nothing but white space may follow.
    pub fn finish(&mut self) -> Result<(), BodyError> {
        self.skip_space();
        if self.position == self.body.len() {
            return Ok(());
        }
        self.error("more text follows the value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset_of(body: &str) -> usize {
        match Scanner::new(body.as_bytes()).and_then(|mut s| s.skip().and_then(|()| s.finish())) {
            Err(BodyError::Malformed { offset, .. }) => offset,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn refusals_say_where() {
        for (body, offset) in [
            ("", 0),
            ("{", 1),
            ("{\"a\" 1}", 5),
            ("[1,]", 3),
            ("[01]", 1),
            ("[1.]", 3),
            ("[1e]", 3),
            ("[-]", 1),
            ("\"abc", 0),
            ("\"a\\x\"", 2),
            ("\"a\\u12g4\"", 2),
            ("\"a\nb\"", 2),
            ("nul", 0),
            ("[] []", 3),
            ("{\"a\":1,}", 7),
        ] {
            assert_eq!(offset_of(body), offset, "{body}");
        }
        let deep = "[".repeat(1000);
        assert_eq!(offset_of(&deep), NESTING_MOST as usize + 1);
    }

    #[test]
    fn escapes_are_resolved() {
        let body = r#""a\/\u0041\n\ud83d\ude00\ud800x\"""#;
        let text = Scanner::new(body.as_bytes()).unwrap().text().unwrap();
        assert_eq!(text.to_text(), "a/A\n😀\u{fffd}x\"");
    }
}
