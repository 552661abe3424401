//! XDR that grows at its end.

use super::scval::tag;
use crate::types::{AccountKey, ContractId};

/// Bytes being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// An empty one with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// How many bytes were written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Four bytes.
    pub fn word(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Four bytes each.
    pub fn words<const N: usize>(&mut self, values: [u32; N]) {
        for value in values {
            self.word(value);
        }
    }

    /// Eight bytes.
    pub fn wide(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Bytes with their length in front, padded with zeros to four.
    pub fn opaque(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u32);
        self.bytes(bytes);
        let padding = bytes.len().wrapping_neg() & 3;
        self.bytes(&[0; 3][..padding]);
    }

    /// A contract value that is a symbol.
    pub fn symbol(&mut self, name: &[u8]) {
        self.word(tag::SYMBOL);
        self.opaque(name);
    }

    /// A muxed or a plain account: both kinds are discriminant 0 and the key.
    pub fn account(&mut self, key: &AccountKey) {
        self.word(0);
        self.bytes(&key.0);
    }

    /// The address of a contract.
    pub fn contract(&mut self, contract: &ContractId) {
        self.word(1);
        self.bytes(&contract.0);
    }
}
