//! Signers that are good for one transaction.

use crate::ledger::classic::options::find;
use crate::ledger::classic::sponsorship::remove_signer;
use crate::ledger::draft::Draft;
use std::collections::BTreeSet;
use stellar_xdr::{AccountId, SignerKey, Uint256};

/// Takes the signer that stands for the transaction from its accounts, whether the transaction turns out valid or not.
pub fn use_up(draft: &mut Draft<'_>, transaction: &[u8; 32], accounts: BTreeSet<AccountId>) {
    let key = SignerKey::PreAuthTx(Uint256(*transaction));
    for account in accounts {
        if !draft.mentions(&account, transaction) {
            continue;
        }
        let Some(mut account) = draft.account(&account) else {
            continue;
        };
        let Ok(place) = find(&account.data, &key) else {
            continue;
        };
        if remove_signer(draft, place, &mut account.data).is_ok() {
            draft.store(account);
        }
    }
}
