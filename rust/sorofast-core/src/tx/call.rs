//! The call that a transaction makes, and the consent that goes with it.

use crate::registry::layout::EXECUTE;
use crate::types::{AccountKey, ContractId, TaskId};
use crate::xdr::{tag, Writer};

const CREDENTIALS_SOURCE_ACCOUNT: u32 = 0;
const CONTRACT_FUNCTION: u32 = 0;

/// Who calls what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) keeper: &'a AccountKey,
    pub(super) contract: &'a ContractId,
    pub(super) task: TaskId,
}

impl Call<'_> {
    /// Contract, function and arguments, in the operation and in its authorisation alike.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.contract(self.contract);
        writer.opaque(EXECUTE.as_bytes());
        writer.words([2, tag::ADDRESS, 0]);
        writer.account(self.keeper);
        writer.word(tag::U64);
        writer.wide(self.task.0);
    }

    /// The keeper's consent, given by its signature under the transaction: no nonce, no expiry, nothing below the call.
    pub(super) fn write_authorization(&self, writer: &mut Writer) {
        writer.words([CREDENTIALS_SOURCE_ACCOUNT, CONTRACT_FUNCTION]);
        self.write(writer);
        writer.word(0);
    }

    /// The authorisation entry a simulation must come back with.
    pub(super) fn authorization(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(160);
        self.write_authorization(&mut writer);
        writer.0
    }
}
