//! From what the host returned to changes of the ledger.

use crate::host::footprint::{check_entry_size, is_soroban_key, Input};
use crate::host::invoke::{EntryChange, Failure, InvocationLedger, Success, LIMIT, OVER_BUDGET};
use crate::ledger::state::{Lifetime, Stored};
use crate::tx::diagnostics::Diagnostics;
use crate::tx::envelope::SorobanPart;
use soroban_env_host::e2e_invoke::{
    extract_rent_changes, InvokeHostFunctionResult as HostOutcome, LedgerEntryChange,
};
use soroban_env_host::fees::compute_rent_fee;

/// Turns what the host returned into changes, holding them against the declared limits.
pub fn record(
    part: &SorobanPart,
    inputs: Vec<Input>,
    outcome: HostOutcome,
    ledger: &InvocationLedger<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<Success, Failure> {
    let rent_fee_stroops = compute_rent_fee(
        &extract_rent_changes(&outcome.ledger_changes),
        &ledger.rent_fees,
        ledger.sequence,
    );
    if outcome.ledger_changes.len() > inputs.len() {
        return Err(Failure::Internal);
    }
    let mut changes = Vec::with_capacity(inputs.len());
    let mut write_bytes = 0_u32;
    // The host answers in the order of the footprint, leaving out keys that it never loaded.
    let mut answers = outcome.ledger_changes.into_iter().peekable();
    for (index, input) in inputs.into_iter().enumerate() {
        let answer = answers.next_if(|answer| *answer.encoded_key == *input.key);
        let writable = index >= part.read_only;
        let after = match fate(&input, answer, writable, ledger)? {
            Fate::Unchanged => continue,
            Fate::Deleted => None,
            Fate::Written(entry) => Some(entry),
        };
        if let (true, Some(entry)) = (writable, &after) {
            let size = entry.xdr.len() as u32;
            check_entry_size(&input.key, size, ledger.settings, diagnostics)?;
            write_bytes = write_bytes.saturating_add(size);
            let declared = part.data.resources.write_bytes;
            if write_bytes > declared {
                diagnostics.error(
                    OVER_BUDGET,
                    "operation byte-write resources exceeds amount specified",
                    &[u64::from(write_bytes), u64::from(declared)],
                );
                return Err(LIMIT);
            }
        }
        changes.push(EntryChange {
            key: input.key,
            before: input.previous,
            after,
            restored: input.lifetime.filter(|_| input.restored),
            read_only: !writable,
        });
    }
    if answers.next().is_some() {
        return Err(Failure::Internal);
    }
    let return_value_xdr = outcome
        .encoded_invoke_result
        .map_err(|_| Failure::Internal)?;
    let mut events_bytes = 0_u32;
    let limit = ledger.settings.events.tx_max_contract_events_size_bytes;
    let events = outcome
        .encoded_contract_events
        .iter()
        .map(|event| (event, "total events size exceeds network config maximum"));
    let pieces = events.chain(std::iter::once((
        &return_value_xdr,
        "return value pushes events size above network config maximum",
    )));
    for (piece, message) in pieces {
        events_bytes = events_bytes.saturating_add(piece.len() as u32);
        if events_bytes > limit {
            let values = [u64::from(events_bytes), u64::from(limit)];
            diagnostics.error(OVER_BUDGET, message, &values);
            return Err(LIMIT);
        }
    }
    Ok(Success {
        return_value_xdr,
        events_xdr: outcome.encoded_contract_events,
        changes,
        rent_fee_stroops,
        events_bytes,
    })
}

/// What a call did to an entry.
enum Fate {
    Unchanged,
    Deleted,
    Written(Stored),
}

impl Fate {
    fn deleted_if(existed: bool) -> Self {
        if existed {
            Self::Deleted
        } else {
            Self::Unchanged
        }
    }
}

fn fate(
    input: &Input,
    answer: Option<LedgerEntryChange>,
    writable: bool,
    ledger: &InvocationLedger<'_>,
) -> Result<Fate, Failure> {
    let lifetime_after = |answer: &LedgerEntryChange| {
        let ttl = answer.ttl_change.as_ref()?;
        let rent_size_bytes = if writable {
            answer.new_entry_size_bytes_for_rent
        } else {
            input.lifetime?.rent_size_bytes
        };
        let unchanged = input
            .lifetime
            .filter(|lifetime| !input.restored && ttl.new_live_until_ledger <= lifetime.live_until);
        Some(match unchanged {
            Some(lifetime) => Lifetime {
                rent_size_bytes,
                ..lifetime
            },
            None => Lifetime {
                live_until: ttl.new_live_until_ledger,
                rent_size_bytes,
                modified: ledger.sequence,
            },
        })
    };
    let Some(answer) = answer else {
        // Writable keys that the host does not return are gone.
        return Ok(Fate::deleted_if(writable && input.previous.is_some()));
    };
    if !writable {
        let (Some(entry), Some(lifetime)) = (&input.entry, lifetime_after(&answer)) else {
            return Ok(Fate::Unchanged);
        };
        if Some(lifetime) == input.lifetime {
            return Ok(Fate::Unchanged);
        }
        return Ok(Fate::Written(Stored {
            xdr: entry.xdr.clone(),
            lifetime: Some(lifetime),
        }));
    }
    let lifetime = lifetime_after(&answer);
    match answer.encoded_new_value {
        None => Ok(Fate::deleted_if(input.previous.is_some())),
        Some(mut xdr) => {
            if xdr.len() < 8 || (is_soroban_key(&input.key) && lifetime.is_none()) {
                return Err(Failure::Internal);
            }
            xdr[..4].copy_from_slice(&ledger.sequence.to_be_bytes());
            Ok(Fate::Written(Stored {
                xdr: xdr.into(),
                lifetime,
            }))
        }
    }
}
