//! Named places for numbers: an operation leaves them open, and each run fills them.

use super::error::TemplateError;

/// Eight bytes of a template that hold a number of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    /// Where the eight bytes start.
    pub(super) at: u32,
    /// Which of the names it is.
    pub(super) name: u32,
}

/// The numbers one simulated run had in its holes; they say which bytes of its answer depend on the run.
#[derive(Debug)]
pub(super) struct Values<'a> {
    names: &'a [String],
    numbers: &'a [u64],
    /// Numbers that stand in the operation's own arguments and are the same in every run.
    constants: Vec<u64>,
}

impl<'a> Values<'a> {
    pub(super) const fn new(names: &'a [String], values: &'a [u64], constants: Vec<u64>) -> Self {
        Self {
            names,
            numbers: values,
            constants,
        }
    }

    /// The hole that a number is of, if it is of any. A number that may be of two is of none that is known.
    pub(super) fn hole_of(&self, value: u64) -> Result<Option<u32>, TemplateError> {
        let mut found = self
            .numbers
            .iter()
            .zip(0..)
            .filter(|(one, _)| **one == value);
        let Some((_, name)) = found.next() else {
            return Ok(None);
        };
        if found.next().is_some() || self.constants.contains(&value) {
            return Err(TemplateError::Ambiguous(
                self.names.get(name as usize).cloned().unwrap_or_default(),
                value,
            ));
        }
        Ok(Some(name))
    }
}

/// Writes a run's numbers into the holes of the bytes that start at `start`.
pub(super) fn fill(out: &mut [u8], start: usize, holes: &[Hole], values: &[u64]) {
    for hole in holes {
        let place = out.get_mut(start + hole.at as usize..);
        let place = place.and_then(|rest| rest.first_chunk_mut::<8>());
        if let (Some(place), Some(value)) = (place, values.get(hole.name as usize)) {
            *place = value.to_be_bytes();
        }
    }
}
