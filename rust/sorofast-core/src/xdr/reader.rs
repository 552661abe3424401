//! A cursor over XDR bytes. Every step is checked; an error carries the offset it was found at.

use std::borrow::Cow;

use thiserror::Error;

/// Bytes that are not the XDR they should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("malformed XDR at byte {offset}: {reason}")]
pub struct XdrError {
    /// Where the offending item starts.
    pub offset: usize,
    /// What is wrong with it.
    pub reason: Cow<'static, str>,
}

impl XdrError {
    /// An error at a place.
    pub fn new(offset: usize, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            offset,
            reason: reason.into(),
        }
    }
}

/// A position in XDR bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    /// Offset of the next byte.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.data.len() - self.position
    }

    /// The bytes from an earlier position to here.
    #[must_use]
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.data.get(start..self.position).unwrap_or_default()
    }

    /// The next `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], XdrError> {
        let rest = &self.data[self.position..];
        let Some(bytes) = rest.get(..length) else {
            return Err(self.cut_short(length));
        };
        self.position += length;
        Ok(bytes)
    }

    #[cold]
    fn cut_short(&self, length: usize) -> XdrError {
        let missing = length - self.remaining();
        XdrError::new(
            self.position,
            format!("cut short, {missing} more bytes expected"),
        )
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], XdrError> {
        let Some(bytes) = self.data[self.position..].first_chunk::<N>() else {
            return Err(self.cut_short(N));
        };
        self.position += N;
        Ok(bytes)
    }

    /// An unsigned 32-bit integer.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, XdrError> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// A signed 32-bit integer.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, XdrError> {
        self.array().map(|bytes| i32::from_be_bytes(*bytes))
    }

    /// An unsigned 64-bit integer.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, XdrError> {
        self.array().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A signed 64-bit integer.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, XdrError> {
        self.array().map(|bytes| i64::from_be_bytes(*bytes))
    }

    /// A boolean, which also says whether an optional value is there.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, XdrError> {
        let offset = self.position;
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(XdrError::new(offset, format!("{other} is no boolean"))),
        }
    }

    /// A word that must have one value, such as the version of an extension.
    #[inline]
    pub fn expect(&mut self, value: u32, what: &'static str) -> Result<(), XdrError> {
        let offset = self.position;
        let found = self.u32()?;
        if found == value {
            return Ok(());
        }
        Err(XdrError::new(
            offset,
            format!("{what} is {found}, expected {value}"),
        ))
    }

    /// Bytes with their length in front, padded with zeros to four.
    #[inline]
    pub fn opaque(&mut self, longest: usize) -> Result<&'a [u8], XdrError> {
        let offset = self.position;
        let length = self.u32()? as usize;
        if length > longest {
            return Err(XdrError::new(
                offset,
                format!("length {length} is above the bound of {longest}"),
            ));
        }
        let bytes = self.take(length)?;
        let padding = self.take(length.wrapping_neg() & 3)?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(XdrError::new(
                self.position - padding.len(),
                "padding is not zero",
            ));
        }
        Ok(bytes)
    }

    /// The length of an array whose elements take at least `smallest` bytes each, so that a length that cannot be
    /// true is refused before anybody counts to it.
    #[inline]
    pub fn count(&mut self, smallest: usize) -> Result<usize, XdrError> {
        let offset = self.position;
        let count = self.u32()? as usize;
        if count > self.remaining() / smallest {
            return Err(XdrError::new(
                offset,
                format!("length {count} is more than the bytes that follow can hold"),
            ));
        }
        Ok(count)
    }

    /// Nothing may follow.
    pub fn finish(&self) -> Result<(), XdrError> {
        match self.remaining() {
            0 => Ok(()),
            more => Err(XdrError::new(
                self.position,
                format!("{more} bytes follow the value"),
            )),
        }
    }
}
