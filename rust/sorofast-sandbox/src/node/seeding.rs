//! Raw entries put straight into the visible ledger.

use super::{locked, Node};
use crate::crypto::sha256;
use crate::ledger::account::check_account;
use crate::ledger::coins;
use crate::ledger::settings::Settings;
use crate::ledger::state::{Key, Lifetime, Stored};
use crate::tx::envelope::decode_limits;
use crate::types::NodeError;
use soroban_env_host::budget::Budget;
use soroban_env_host::e2e_invoke::entry_size_for_rent;
use std::collections::HashMap;
use std::sync::PoisonError;
use stellar_xdr::{
    ContractDataDurability, LedgerEntry, LedgerEntryData, LedgerEntryExt, Limits, ReadXdr, WriteXdr,
};

/// An entry that passed all checks which do not depend on the ledger.
struct Checked {
    key: Key,
    /// XDR; its first word is the ledger that last modified it, as it came.
    xdr: Vec<u8>,
    /// None for entries that live forever.
    rent: Option<Rent>,
}

struct Rent {
    live_until: Option<u32>,
    /// The lifetime that the network would give it.
    shortest_ledgers: u32,
    size_bytes: u32,
}

impl Node {
    /// Puts raw entries (`LedgerEntry` XDR, live-until) into the visible state at once; returns how many. All or none.
    ///
    /// Accounts, contract data and contract code are taken; without a live-until, contract entries get the network's
    /// shortest lifetime. Balances add to the lumens there are.
    pub fn put_entries(&self, entries: Vec<(Vec<u8>, Option<u32>)>) -> Result<usize, NodeError> {
        let refused = |index, reason| NodeError::Invalid(format!("entry {index}: {reason}"));
        let mut read = Vec::with_capacity(entries.len());
        for (index, (xdr, live_until)) in entries.into_iter().enumerate() {
            let entry = check_entry(&xdr, live_until, &self.settings)
                .map_err(|reason| refused(index, reason))?;
            read.push(entry);
        }
        let mut closing = locked(&self.closing);
        // A ledger under way was applied without these entries; let it be seen first, so that the order is plain.
        self.publish(&mut closing);
        let latest = closing.tip.header.ledger_seq;
        let mut checked = Vec::with_capacity(read.len());
        for (index, entry) in read.into_iter().enumerate() {
            let (key, stored) =
                place(entry, latest, &self.settings).map_err(|reason| refused(index, reason))?;
            let balance = coins::held(&stored, &self.native);
            checked.push((key, stored, balance));
        }
        let count = checked.len();
        let mut visible = self.visible.write().unwrap_or_else(PoisonError::into_inner);
        // The same account may come twice; the last one stands.
        let balances: HashMap<&Key, i64> = checked
            .iter()
            .map(|(key, _, balance)| (key, *balance))
            .collect();
        let total: i128 = i128::from(visible.total_coins)
            + balances
                .iter()
                .map(|(key, balance)| {
                    i128::from(*balance) - i128::from(visible.state.coins_of(key, &self.native))
                })
                .sum::<i128>();
        let total = i64::try_from(total).map_err(|_| {
            NodeError::Invalid("the balances are more than a ledger can count".into())
        })?;
        for (key, stored, _) in checked {
            visible.state.put(key, stored);
        }
        visible.total_coins = total;
        visible.era += 1;
        closing.tip.header.total_coins = total;
        Ok(count)
    }
}

fn check_entry(
    xdr: &[u8],
    live_until: Option<u32>,
    settings: &Settings,
) -> Result<Checked, String> {
    let entry = LedgerEntry::from_xdr(xdr, decode_limits(xdr.len()))
        .map_err(|error| format!("not a LedgerEntry: {error}"))?;
    if entry.ext != LedgerEntryExt::V0 {
        return Err("sponsored entries are not supported".into());
    }
    let (shortest, limit) = match &entry.data {
        LedgerEntryData::Account(account) => {
            check_account(account)?;
            (None, usize::MAX)
        }
        LedgerEntryData::ContractData(data) => {
            let shortest = match data.durability {
                ContractDataDurability::Temporary => settings.archival.min_temporary_ttl,
                ContractDataDurability::Persistent => settings.archival.min_persistent_ttl,
            };
            (Some(shortest), settings.max_data_entry_size_bytes as usize)
        }
        LedgerEntryData::ContractCode(code) => {
            if sha256(&code.code) != code.hash.0 {
                return Err("the hash of the code is not the SHA-256 of the code".into());
            }
            let limit = settings.max_contract_size_bytes as usize;
            (Some(settings.archival.min_persistent_ttl), limit)
        }
        other => {
            return Err(format!(
                "entries of type {} are not supported; send Account, ContractData or ContractCode",
                other.name()
            ))
        }
    };
    let encoded = entry
        .to_xdr(Limits::none())
        .map_err(|error| error.to_string())?;
    if encoded.len() > limit {
        return Err(format!(
            "it has {} bytes, more than the limit of {limit}",
            encoded.len()
        ));
    }
    let key = entry
        .to_key()
        .to_xdr(Limits::none())
        .map_err(|error| error.to_string())?;
    let rent = match shortest {
        None if live_until.is_some() => return Err("accounts have no live_until".into()),
        None => None,
        Some(shortest_ledgers) => Some(Rent {
            live_until,
            shortest_ledgers,
            size_bytes: rent_size(&entry, encoded.len() as u32, settings)?,
        }),
    };
    Ok(Checked {
        key: Key::from(key),
        xdr: encoded,
        rent,
    })
}

/// The entry as the latest ledger holds it.
fn place(entry: Checked, latest: u32, settings: &Settings) -> Result<(Key, Stored), String> {
    let mut xdr = entry.xdr;
    let word = &mut xdr[..4];
    let modified = u32::from_be_bytes([word[0], word[1], word[2], word[3]]).clamp(1, latest);
    word.copy_from_slice(&modified.to_be_bytes());
    let lifetime = match entry.rent {
        None => None,
        Some(rent) => {
            let live_until = rent
                .live_until
                .unwrap_or(latest + rent.shortest_ledgers - 1);
            let latest_end = latest + settings.archival.max_entry_ttl - 1;
            if live_until > latest_end {
                return Err(format!(
                    "live_until {live_until} is beyond {latest_end}, the longest lifetime now"
                ));
            }
            Some(Lifetime {
                live_until,
                rent_size_bytes: rent.size_bytes,
                modified,
            })
        }
    };
    let xdr = xdr.into();
    Ok((entry.key, Stored { xdr, lifetime }))
}

fn rent_size(entry: &LedgerEntry, bytes: u32, settings: &Settings) -> Result<u32, String> {
    if !matches!(entry.data, LedgerEntryData::ContractCode(_)) {
        return Ok(bytes);
    }
    let unlimited = |error| format!("the size of the module cannot be told: {error:?}");
    let budget = Budget::try_from_configs(
        u64::MAX,
        u64::MAX,
        settings.cpu_params.clone(),
        settings.memory_params.clone(),
    )
    .map_err(unlimited)?;
    entry_size_for_rent(&budget, entry, bytes).map_err(unlimited)
}
