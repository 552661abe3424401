//! Contract data entries written straight as XDR: a million of them would take too long through the types.

use crate::ledger::state::Key;

const CONTRACT_DATA: u32 = 6;
const PERSISTENT: u32 = 1;

mod tag {
    pub(super) const BOOL: u32 = 0;
    pub(super) const VOID: u32 = 1;
    pub(super) const U32: u32 = 3;
    pub(super) const U64: u32 = 5;
    pub(super) const I128: u32 = 10;
    pub(super) const SYMBOL: u32 = 15;
    pub(super) const VEC: u32 = 16;
    pub(super) const MAP: u32 = 17;
    pub(super) const ADDRESS: u32 = 18;
    pub(super) const INSTANCE: u32 = 19;
    pub(super) const INSTANCE_KEY: u32 = 20;
}

/// Somebody who can be named in a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Account([u8; 32]),
    Contract([u8; 32]),
}

/// One `ScVal` after the other.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    fn word(&mut self, word: u32) {
        self.0.extend_from_slice(&word.to_be_bytes());
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.word(tag::BOOL);
        self.word(u32::from(value));
    }

    pub(super) fn void(&mut self) {
        self.word(tag::VOID);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.word(tag::U32);
        self.word(value);
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.word(tag::U64);
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn i128(&mut self, value: i128) {
        self.word(tag::I128);
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn symbol(&mut self, name: &str) {
        self.word(tag::SYMBOL);
        self.word(name.len() as u32);
        self.0.extend_from_slice(name.as_bytes());
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
    }

    fn raw_address(&mut self, address: &Address) {
        match address {
            Address::Account(id) => {
                self.word(0);
                self.word(0);
                self.0.extend_from_slice(id);
            }
            Address::Contract(id) => {
                self.word(1);
                self.0.extend_from_slice(id);
            }
        }
    }

    pub(super) fn address(&mut self, address: &Address) {
        self.word(tag::ADDRESS);
        self.raw_address(address);
    }

    /// The head of a vector; so many values follow.
    pub(super) fn vec(&mut self, items: usize) {
        self.word(tag::VEC);
        self.word(1);
        self.word(items as u32);
    }

    /// The head of a map; so many keys, each with its value, follow.
    pub(super) fn map(&mut self, items: usize) {
        self.word(tag::MAP);
        self.word(1);
        self.word(items as u32);
    }

    /// A contract's instance with wasm, and with what it stores under unit keys if there is any.
    pub(super) fn instance(&mut self, code: &[u8; 32], storage: &[(&str, StoredUnit)]) {
        self.word(tag::INSTANCE);
        self.word(0);
        self.0.extend_from_slice(code);
        if storage.is_empty() {
            self.word(0);
            return;
        }
        self.word(1);
        self.word(storage.len() as u32);
        for (name, value) in storage {
            self.vec(1);
            self.symbol(name);
            match value {
                StoredUnit::Address(address) => self.address(address),
                StoredUnit::Bool(value) => self.bool(*value),
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum StoredUnit {
    Address(Address),
    Bool(bool),
}

/// Where a value lies in its contract.
#[derive(Clone, Copy, Debug)]
pub(super) enum DataKey<'a> {
    Instance,
    Unit(&'a str),
    Numbered(&'a str, u64),
}

/// Key and XDR of a persistent entry as ledger 1 has it.
pub(super) fn entry(
    contract: &[u8; 32],
    key: DataKey<'_>,
    value: impl FnOnce(&mut Writer),
) -> (Key, Vec<u8>) {
    let mut writer = Writer(Vec::with_capacity(640));
    writer.word(1);
    writer.word(CONTRACT_DATA);
    writer.word(0);
    let start = writer.0.len();
    writer.raw_address(&Address::Contract(*contract));
    match key {
        DataKey::Instance => writer.word(tag::INSTANCE_KEY),
        DataKey::Unit(name) => {
            writer.vec(1);
            writer.symbol(name);
        }
        DataKey::Numbered(name, number) => {
            writer.vec(2);
            writer.symbol(name);
            writer.u64(number);
        }
    }
    writer.word(PERSISTENT);
    let mut key_xdr = [0; 128];
    let common = &writer.0[start..];
    key_xdr[..4].copy_from_slice(&CONTRACT_DATA.to_be_bytes());
    key_xdr[4..4 + common.len()].copy_from_slice(common);
    let key = Key::from(&key_xdr[..4 + common.len()]);
    value(&mut writer);
    writer.word(0);
    (key, writer.0)
}
