//! ExtendFootprintTTL and RestoreFootprint: the operations that touch nothing but lifetimes.

use crate::host::footprint::{check_entry_size, is_persistent};
use crate::host::invoke::{EntryChange, InvocationLedger, OVER_BUDGET};
use crate::host::modules::is_code_key;
use crate::ledger::state::{Entries, Key, Lifetime, Stored};
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::SorobanPart;
use soroban_env_host::fees::{compute_rent_fee, LedgerEntryRentChange};

/// What an operation did and what it costs.
#[derive(Debug, Default)]
pub struct Outcome {
    pub changes: Vec<EntryChange>,
    pub rent_fee_stroops: i64,
}

/// The operation went beyond what it declared or what the network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit;

/// Lets every live entry of the footprint live `extend_to` ledgers more than the current one. Others are passed over:
/// the fee for them comes back.
pub fn extend(
    part: &SorobanPart,
    extend_to: u32,
    ledger: &InvocationLedger<'_>,
    entries: &dyn Entries,
    diagnostics: &mut Diagnostics,
) -> Result<Outcome, OverLimit> {
    let live_until = ledger.sequence.saturating_add(extend_to);
    let mut work = Work::new(ledger);
    for key in &part.keys[..part.read_only] {
        let Some((entry, lifetime)) = with_lifetime(entries, key) else {
            continue;
        };
        if lifetime.live_until < ledger.sequence || lifetime.live_until >= live_until {
            continue;
        }
        let size = entry.xdr.len() as u32;
        check_entry_size(key, size, ledger.settings, diagnostics).map_err(|_| OverLimit)?;
        work.rent(key, lifetime, lifetime.live_until, live_until);
        work.change(key, entry, lifetime, live_until, false);
    }
    Ok(work.finish())
}

/// Brings every archived entry of the footprint back for the shortest lifetime there is; live and missing ones are
/// passed over.
pub fn restore(
    part: &SorobanPart,
    ledger: &InvocationLedger<'_>,
    entries: &dyn Entries,
    diagnostics: &mut Diagnostics,
) -> Result<Outcome, OverLimit> {
    let live_until = ledger.sequence + ledger.settings.archival.min_persistent_ttl - 1;
    let resources = &part.data.resources;
    let mut bytes = 0_u32;
    let mut work = Work::new(ledger);
    for key in &part.keys[part.read_only..] {
        let Some((entry, lifetime)) = with_lifetime(entries, key) else {
            continue;
        };
        if lifetime.live_until >= ledger.sequence {
            continue;
        }
        let size = entry.xdr.len() as u32;
        bytes = bytes.saturating_add(size);
        within(
            bytes,
            resources.disk_read_bytes,
            "operation byte-read resources exceeds amount specified",
            diagnostics,
        )?;
        check_entry_size(key, size, ledger.settings, diagnostics).map_err(|_| OverLimit)?;
        within(
            bytes,
            resources.write_bytes,
            "operation byte-write resources exceeds amount specified",
            diagnostics,
        )?;
        work.rent(key, lifetime, 0, live_until);
        work.change(key, entry, lifetime, live_until, true);
    }
    Ok(work.finish())
}

fn within(
    bytes: u32,
    declared: u32,
    message: &str,
    diagnostics: &mut Diagnostics,
) -> Result<(), OverLimit> {
    if bytes > declared {
        let values = [u64::from(bytes), u64::from(declared)];
        diagnostics.error(OVER_BUDGET, message, &values);
        return Err(OverLimit);
    }
    Ok(())
}

fn with_lifetime(entries: &dyn Entries, key: &[u8]) -> Option<(Stored, Lifetime)> {
    let entry = entries.get(key)?;
    let lifetime = entry.lifetime?;
    Some((entry, lifetime))
}

/// Changes and their rent, under construction.
struct Work<'a> {
    ledger: &'a InvocationLedger<'a>,
    changes: Vec<EntryChange>,
    rents: Vec<LedgerEntryRentChange>,
}

impl<'a> Work<'a> {
    fn new(ledger: &'a InvocationLedger<'a>) -> Self {
        Self {
            ledger,
            changes: Vec::new(),
            rents: Vec::new(),
        }
    }

    /// An entry that was not alive pays as a new one does: `paid_until` is 0 then.
    fn rent(&mut self, key: &[u8], lifetime: Lifetime, paid_until: u32, live_until: u32) {
        let size = lifetime.rent_size_bytes;
        self.rents.push(LedgerEntryRentChange {
            is_persistent: is_persistent(key),
            is_code_entry: is_code_key(key),
            old_size_bytes: if paid_until == 0 { 0 } else { size },
            new_size_bytes: size,
            old_live_until_ledger: paid_until,
            new_live_until_ledger: live_until,
        });
    }

    fn change(&mut self, key: &Key, entry: Stored, was: Lifetime, live_until: u32, restored: bool) {
        let sequence = self.ledger.sequence;
        let lifetime = Lifetime {
            live_until,
            modified: sequence,
            ..was
        };
        let mut after = Stored {
            lifetime: Some(lifetime),
            ..entry.clone()
        };
        if restored && was.is_evicted() {
            // It is written anew, while one that still lies in the live state only gets its lifetime back.
            let mut xdr = after.xdr.to_vec();
            xdr[..4].copy_from_slice(&sequence.to_be_bytes());
            after.xdr = xdr.into();
        }
        self.changes.push(EntryChange {
            key: Key::clone(key),
            before: Some(entry),
            after: Some(after),
            restored: restored.then_some(lifetime),
            read_only: !restored,
        });
    }

    fn finish(self) -> Outcome {
        Outcome {
            rent_fee_stroops: compute_rent_fee(
                &self.rents,
                &self.ledger.rent_fees,
                self.ledger.sequence,
            ),
            changes: self.changes,
        }
    }
}
