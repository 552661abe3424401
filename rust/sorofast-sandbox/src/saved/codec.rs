//! Plain values as bytes: numbers big-endian, lists behind their length, structs field by field.

use super::Refusal;
use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use std::io::{BufReader, BufWriter, Read, Write};
use std::sync::Arc;

/// One value of bytes at most.
const MAX_VALUE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes taken at once of a value whose length is only claimed so far.
const STEP_BYTES: usize = 64 * 1024;

/// Writes and sums up.
pub(super) struct Output<W: Write> {
    to: BufWriter<W>,
    sum: Context,
}

impl<W: Write> std::fmt::Debug for Output<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}

impl<W: Write> Output<W> {
    pub(super) fn new(to: W) -> Self {
        Self {
            to: BufWriter::with_capacity(STEP_BYTES, to),
            sum: Context::new(&SHA256),
        }
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.sum.update(bytes);
        self.to.write_all(bytes)
    }

    pub(super) fn finish(mut self) -> std::io::Result<()> {
        let sum = self.sum.finish();
        self.to.write_all(sum.as_ref())?;
        self.to.flush()
    }
}

/// Reads and sums up.
pub(super) struct Input<R: Read> {
    from: BufReader<R>,
    sum: Context,
    left_bytes: u64,
}

impl<R: Read> std::fmt::Debug for Input<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("left_bytes", &self.left_bytes)
            .finish_non_exhaustive()
    }
}

impl<R: Read> Input<R> {
    pub(super) fn new(from: R, limit_bytes: u64) -> Self {
        Self {
            from: BufReader::with_capacity(STEP_BYTES, from),
            sum: Context::new(&SHA256),
            left_bytes: limit_bytes,
        }
    }

    pub(super) fn raw(&mut self, out: &mut [u8]) -> Result<(), Refusal> {
        self.left_bytes = self
            .left_bytes
            .checked_sub(out.len() as u64)
            .ok_or(Refusal::TooLong)?;
        self.from.read_exact(out)?;
        self.sum.update(out);
        Ok(())
    }

    /// A value of bytes of at most that length.
    pub(super) fn bytes(&mut self, limit_bytes: usize) -> Result<Vec<u8>, Refusal> {
        let length = u32::load(self)? as usize;
        if length > limit_bytes {
            return Err(Refusal::Content(format!(
                "a value of {length} bytes, where {limit_bytes} are the most"
            )));
        }
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let start = bytes.len();
            bytes.resize(length.min(start + STEP_BYTES), 0);
            self.raw(&mut bytes[start..])?;
        }
        Ok(bytes)
    }

    /// Reads on to the end of what made no sense, and tells whether it is at least what was written.
    pub(super) fn ends_whole(mut self) -> bool {
        let mut held = Vec::new();
        let mut step = vec![0; STEP_BYTES];
        loop {
            let Ok(count) = self.from.read(&mut step) else {
                return false;
            };
            let left = self.left_bytes.checked_sub(count as u64);
            let (Some(left), 1..) = (left, count) else {
                break;
            };
            self.left_bytes = left;
            held.extend_from_slice(&step[..count]);
            // What comes last is the sum itself.
            let before = held.len().saturating_sub(SHA256_OUTPUT_LEN);
            self.sum.update(&held[..before]);
            held.drain(..before);
        }
        self.sum.finish().as_ref() == held
    }

    /// Checks the sum, and that nothing follows.
    pub(super) fn finish(mut self) -> Result<(), Refusal> {
        let mut told = [0; SHA256_OUTPUT_LEN];
        self.from.read_exact(&mut told)?;
        if self.sum.finish().as_ref() != told {
            return Err(Refusal::Checksum);
        }
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(Refusal::Trailing),
        }
    }
}

/// A value that can be in a file.
pub(super) trait Saved: Sized {
    fn save<W: Write>(&self, output: &mut Output<W>) -> std::io::Result<()>;
    fn load<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal>;
}

macro_rules! number {
    ($($number:ty),*) => {$(
        impl Saved for $number {
            fn save<W: Write>(&self, output: &mut Output<W>) -> std::io::Result<()> {
                output.raw(&self.to_be_bytes())
            }
            fn load<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal> {
                let mut bytes = [0; size_of::<Self>()];
                input.raw(&mut bytes)?;
                Ok(Self::from_be_bytes(bytes))
            }
        }
    )*};
}

number!(u8, u32, u64, i64);

impl Saved for bool {
    fn save<W: Write>(&self, output: &mut Output<W>) -> std::io::Result<()> {
        u8::from(*self).save(output)
    }

    fn load<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal> {
        match u8::load(input)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Refusal::Content(format!("{other} is neither yes nor no"))),
        }
    }
}

impl Saved for [u8; 32] {
    fn save<W: Write>(&self, output: &mut Output<W>) -> std::io::Result<()> {
        output.raw(self)
    }

    fn load<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal> {
        let mut bytes = [0; 32];
        input.raw(&mut bytes)?;
        Ok(bytes)
    }
}

fn save_bytes<W: Write>(bytes: &[u8], output: &mut Output<W>) -> std::io::Result<()> {
    (bytes.len() as u32).save(output)?;
    output.raw(bytes)
}

impl Saved for Vec<u8> {
    fn save<W: Write>(&self, output: &mut Output<W>) -> std::io::Result<()> {
        save_bytes(self, output)
    }

    fn load<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal> {
        input.bytes(MAX_VALUE_BYTES)
    }
}

impl Saved for Arc<[u8]> {
    fn save<W: Write>(&self, output: &mut Output<W>) -> std::io::Result<()> {
        save_bytes(self, output)
    }

    fn load<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal> {
        Ok(input.bytes(MAX_VALUE_BYTES)?.into())
    }
}

impl<T: Saved> Saved for Option<T> {
    fn save<W: Write>(&self, output: &mut Output<W>) -> std::io::Result<()> {
        self.is_some().save(output)?;
        match self {
            Some(value) => value.save(output),
            None => Ok(()),
        }
    }

    fn load<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal> {
        bool::load(input)?.then(|| T::load(input)).transpose()
    }
}

/// Lists of anything but bytes, which have a form of their own.
pub(super) trait Item: Saved {}

impl Item for u64 {}
impl Item for Vec<u8> {}
impl<T: Item> Item for Vec<T> {}

impl<T: Item> Saved for Vec<T> {
    fn save<W: Write>(&self, output: &mut Output<W>) -> std::io::Result<()> {
        (self.len() as u32).save(output)?;
        self.iter().try_for_each(|item| item.save(output))
    }

    fn load<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal> {
        let count = u32::load(input)?;
        // Grown as items come: the count alone is no reason to take memory.
        let mut items = Self::new();
        for _ in 0..count {
            items.push(T::load(input)?);
        }
        Ok(items)
    }
}

/// Field by field, in this order. A field that is not named does not compile.
macro_rules! saved_struct {
    ($name:ty { $($field:ident),* $(,)? }) => {
        impl $crate::saved::codec::Saved for $name {
            fn save<W: std::io::Write>(
                &self,
                output: &mut $crate::saved::codec::Output<W>,
            ) -> std::io::Result<()> {
                let Self { $($field),* } = self;
                $($field.save(output)?;)*
                Ok(())
            }
            fn load<R: std::io::Read>(
                input: &mut $crate::saved::codec::Input<R>,
            ) -> Result<Self, $crate::saved::Refusal> {
                $(let $field = $crate::saved::codec::Saved::load(input)?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}

pub(super) use saved_struct;
