//! Which of many transactions could not be applied together, each by itself and by what their payers can pay.

use crate::ledger::account::{self, available_balance};
use crate::ledger::state::Entries;
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::Parsed;
use crate::tx::result::code_name;
use crate::tx::validate::{check, Moment};
use std::collections::HashMap;
use std::sync::Arc;

/// Full fees in stroops by payer. Classic transactions are counted first, then Soroban's on top of them.
pub type Fees = HashMap<[u8; 32], i64>;

/// An invalid transaction and the name of its code.
pub type Refused = (Arc<Parsed>, &'static str);

/// Splits transactions of one kind into valid and invalid ones.
pub fn trim(
    txs: Vec<Arc<Parsed>>,
    entries: &dyn Entries,
    moment: &Moment<'_>,
    fees: &mut Fees,
) -> (Vec<Arc<Parsed>>, Vec<Refused>) {
    let mut invalid = Vec::new();
    let mut sound = Vec::with_capacity(txs.len());
    for tx in txs {
        match check(&tx, entries, moment, &mut Diagnostics::default()) {
            Ok(()) => {
                let owed = fees.entry(tx.fee_source()).or_default();
                *owed = owed.saturating_add(tx.full_fee());
                sound.push(tx);
            }
            Err(refusal) => invalid.push((tx, code_name(&refusal.code))),
        }
    }
    // A payer who cannot pay for all of them pays for none.
    let mut solvent: HashMap<[u8; 32], bool> = HashMap::new();
    let mut valid = Vec::with_capacity(sound.len());
    for tx in sound {
        let payer = tx.fee_source();
        let pays = *solvent.entry(payer).or_insert_with(|| {
            let owed = fees.get(&payer).copied().unwrap_or(0);
            account::load(entries, &payer)
                .is_some_and(|account| available_balance(&account) >= owed)
        });
        if pays {
            valid.push(tx);
        } else {
            invalid.push((tx, "txINSUFFICIENT_BALANCE"));
        }
    }
    (valid, invalid)
}
