//! One operation at work.

use crate::ledger::account::account_id;
use crate::ledger::apply::ApplyLedger;
use crate::ledger::classic::events::AssetEvents;
use crate::ledger::classic::sponsorship::Sponsorships;
use crate::ledger::draft::{Draft, Held};
use crate::ledger::state::{Changes, Entries};
use crate::tx::envelope::Parsed;
use stellar_xdr::{
    AccountEntry, AccountId, Asset, MuxedAccount, Operation, OperationResult, ScAddress,
};

use super::outcome::Failed;

/// XDR of the operation's `LedgerEntryChanges` and of its `ContractEvent`s.
pub type Applied = (Vec<u8>, Vec<Vec<u8>>);

/// What an operation reads, writes and emits.
#[derive(Debug)]
pub struct Work<'a> {
    pub tx: &'a Parsed,
    /// Place of the operation in its transaction.
    pub index: u32,
    pub source: AccountId,
    pub source_address: MuxedAccount,
    pub ledger: &'a ApplyLedger<'a>,
    pub draft: Draft<'a>,
    pub sponsorships: &'a mut Sponsorships,
    events: Vec<Vec<u8>>,
}

impl<'a> Work<'a> {
    pub fn new(
        tx: &'a Parsed,
        index: usize,
        operation: &Operation,
        below: &'a dyn Entries,
        ledger: &'a ApplyLedger<'a>,
        sponsorships: &'a mut Sponsorships,
    ) -> Self {
        Self {
            tx,
            index: index as u32,
            source: account_id(&tx.operation_source(operation)),
            source_address: operation
                .source_account
                .clone()
                .unwrap_or_else(|| tx.tx.source_account.clone()),
            ledger,
            draft: Draft::new(below, ledger.ledger.sequence),
            sponsorships,
            events: Vec::new(),
        }
    }

    pub fn source_account(&self) -> Result<Held<AccountEntry>, Failed> {
        self.draft
            .account(&self.source)
            .ok_or_else(|| OperationResult::OpNoAccount.into())
    }

    /// Tells that an asset moved: as a mint or a burn where one side is its issuer.
    pub fn moved(&mut self, asset: &Asset, from: &ScAddress, to: &ScAddress, amount: i64) {
        let events = AssetEvents::new(&self.ledger.ledger.network_id, &self.tx.tx.memo, asset);
        self.events.push(events.moved(from, to, amount));
    }

    pub fn clawed_back(&mut self, asset: &Asset, from: &ScAddress, amount: i64) {
        let events = AssetEvents::new(&self.ledger.ledger.network_id, &self.tx.tx.memo, asset);
        self.events.push(events.clawed_back(from, amount));
    }

    pub fn authorized(&mut self, asset: &Asset, account: &AccountId, authorized: bool) {
        let events = AssetEvents::new(&self.ledger.ledger.network_id, &self.tx.tx.memo, asset);
        self.events.push(events.authorized(account, authorized));
    }

    pub fn finish(self) -> (Changes, Applied) {
        let (changes, changes_xdr) = self.draft.finish();
        (changes, (changes_xdr, self.events))
    }
}
