//! Templates: footprint and resources of a simulated run, with the task's id taken out.
//!
//! A task's later runs, and those of its siblings of the same shape, touch the same entries except the task's own. So
//! one simulation serves them all, and no run has to wait for a ledger in which it could be simulated.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use super::call::Call;
use crate::hash::sha256;
use crate::types::{Stroops, TaskId};
use crate::xdr::{read_transaction_data, TransactionData, XdrError};

/// A simulation that no template can be made from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// It does not decode.
    #[error(transparent)]
    Xdr(#[from] XdrError),
    /// A run that does not write its task is none.
    #[error("the simulated run does not write the entry of task {0}; it would have no effect")]
    NoTask(u64),
    /// Something beyond the keeper's consent to the call.
    #[error("the run needs {0} authorisations other than the keeper's plain consent; the engine cannot give those")]
    Authorization(usize),
    /// A transaction cannot be this large.
    #[error("the transaction data has {0} bytes, more than a transaction may have")]
    TooLarge(usize),
    /// Not an amount.
    #[error("a resource fee of {0} stroops is impossible")]
    Fee(i64),
}

const DATA_LONGEST: usize = 132_096;
/// Shapes a process remembers. The bound on bytes is the one that matters; this one bounds the bookkeeping.
const SHAPES_MOST: usize = 1 << 18;
const BYTES_MOST: usize = 256 << 20;

/// `SorobanTransactionData` with holes where the task's id goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    data: Box<[u8]>,
    holes: Box<[u32]>,
    /// The resource fee that the data declares.
    pub resource_fee: Stroops,
}

impl Template {
    pub(super) fn learn(
        call: &Call<'_>,
        data: &[u8],
        auth: &[Vec<u8>],
        fee: Stroops,
    ) -> Result<Self, TemplateError> {
        if data.len() > DATA_LONGEST {
            return Err(TemplateError::TooLarge(data.len()));
        }
        let plain = call.authorization();
        let others = auth.iter().filter(|entry| **entry != plain).count();
        if others > 0 || auth.len() != 1 {
            return Err(TemplateError::Authorization(auth.len()));
        }
        let TransactionData {
            holes,
            writes_task,
            fee_offset,
            resource_fee,
        } = read_transaction_data(data, call.contract, call.task)?;
        if !writes_task {
            return Err(TemplateError::NoTask(call.task.0));
        }
        let resource_fee = resource_fee.max(fee);
        if resource_fee.0 < 0 || u32::try_from(resource_fee.0).is_err() {
            return Err(TemplateError::Fee(resource_fee.0));
        }
        let mut data: Box<[u8]> = data.into();
        for &hole in &holes {
            data[hole as usize..][..8].fill(0);
        }
        data[fee_offset..][..8].copy_from_slice(&resource_fee.0.to_be_bytes());
        Ok(Self {
            data,
            holes: holes.into(),
            resource_fee,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) fn write(&self, task: TaskId, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.data);
        for &hole in &self.holes {
            out[start + hole as usize..][..8].copy_from_slice(&task.0.to_be_bytes());
        }
    }

    fn digest(&self) -> [u8; 32] {
        let mut bytes = self.data.to_vec();
        for hole in &self.holes {
            bytes.extend_from_slice(&hole.to_be_bytes());
        }
        sha256(&bytes)
    }

    fn cost(&self) -> usize {
        self.data.len() + self.holes.len() * size_of::<u32>() + 256
    }
}

#[derive(Debug)]
struct Interned {
    template: Template,
    digest: [u8; 32],
    users: u32,
}

#[derive(Debug)]
struct Use {
    number: u32,
    /// Set whenever a run is built; spares the shape once when room is needed.
    recent: AtomicBool,
}

/// The templates a process knows, by shape. Equal ones are stored once.
#[derive(Debug, Default)]
pub struct Templates {
    shapes: HashMap<u64, Use>,
    queue: VecDeque<u64>,
    interned: HashMap<u32, Interned>,
    numbers: HashMap<[u8; 32], u32>,
    next_number: u32,
    bytes: usize,
}

impl Templates {
    /// The number of a shape's template.
    #[must_use]
    pub fn number(&self, shape: u64) -> Option<u32> {
        self.shapes.get(&shape).map(|used| used.number)
    }

    /// A shape's template, noting that it was needed.
    #[must_use]
    pub fn get(&self, shape: u64) -> Option<&Template> {
        let used = self.shapes.get(&shape)?;
        used.recent.store(true, Ordering::Relaxed);
        self.interned
            .get(&used.number)
            .map(|interned| &interned.template)
    }

    /// Gives a shape a template, in place of the one it had.
    pub fn insert(&mut self, shape: u64, template: Template) -> u32 {
        let digest = template.digest();
        let number = if let Some(&number) = self.numbers.get(&digest) {
            number
        } else {
            let number = self.next_number;
            self.next_number = self.next_number.wrapping_add(1);
            self.bytes += template.cost();
            self.numbers.insert(digest, number);
            self.interned.insert(
                number,
                Interned {
                    template,
                    digest,
                    users: 0,
                },
            );
            number
        };
        if let Some(interned) = self.interned.get_mut(&number) {
            interned.users += 1;
        }
        match self.shapes.insert(
            shape,
            Use {
                number,
                recent: AtomicBool::new(false),
            },
        ) {
            Some(old) => self.release(old.number),
            None => self.queue.push_back(shape),
        }
        self.make_room();
        number
    }

    /// Drops a shape's template.
    pub fn forget(&mut self, shape: u64) {
        if let Some(used) = self.shapes.remove(&shape) {
            self.release(used.number);
            self.queue.retain(|&queued| queued != shape);
        }
    }

    fn release(&mut self, number: u32) {
        let Some(interned) = self.interned.get_mut(&number) else {
            return;
        };
        interned.users -= 1;
        if interned.users > 0 {
            return;
        }
        if let Some(gone) = self.interned.remove(&number) {
            self.bytes -= gone.template.cost();
            self.numbers.remove(&gone.digest);
        }
    }

    /// Drops what was not needed for longest: each shape in turn, oldest first, is spared once if it was used.
    fn make_room(&mut self) {
        while self.shapes.len() > SHAPES_MOST || (self.bytes > BYTES_MOST && self.shapes.len() > 1)
        {
            let Some(shape) = self.queue.pop_front() else {
                return;
            };
            match self.shapes.get(&shape) {
                Some(used) if used.recent.swap(false, Ordering::Relaxed) => {
                    self.queue.push_back(shape);
                }
                _ => {
                    if let Some(used) = self.shapes.remove(&shape) {
                        self.release(used.number);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(byte: u8) -> Template {
        Template {
            data: Box::new([byte; 16]),
            holes: Box::new([4]),
            resource_fee: Stroops(1),
        }
    }

    #[test]
    fn what_was_not_used_gives_way_first() {
        let mut templates = Templates::default();
        let most = SHAPES_MOST as u64;
        for shape in 0..most {
            templates.insert(shape, template(1));
        }
        assert!(templates.get(0).is_some());
        templates.insert(most, template(2));
        assert_eq!(templates.number(0), Some(0));
        assert_eq!(templates.number(1), None);
        assert_eq!(templates.number(most), Some(1));
        assert_eq!(templates.shapes.len(), SHAPES_MOST);
    }

    #[test]
    fn a_template_lives_as_long_as_a_shape_uses_it() {
        let mut templates = Templates::default();
        templates.insert(1, template(1));
        templates.insert(2, template(1));
        templates.insert(2, template(1));
        templates.forget(1);
        assert!(templates.get(2).is_some());
        templates.insert(2, template(2));
        assert_eq!(templates.interned.len(), 1);
        templates.forget(2);
        assert_eq!(
            (
                templates.bytes,
                templates.numbers.len(),
                templates.queue.len()
            ),
            (0, 0, 0)
        );
    }
}
