//! How a view shows the ledger: late, or wrong on purpose.

use super::{Node, View};
use crate::crypto::sha256;
use crate::faults::Distortion;
use crate::types::LedgerSummary;
use std::sync::Arc;
use stellar_xdr::{
    Int128Parts, LedgerEntry, LedgerEntryData, Limits, ReadXdr, ScMap, ScVal, ScVec, UInt128Parts,
    WriteXdr,
};

/// What a view is looked through.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lens {
    /// How many ledgers it is behind; it never goes back beyond what is still kept.
    pub lag_ledgers: u32,
    /// How its answers differ from the truth, and so many ledgers back where they are stale.
    pub distortion: Option<(Distortion, u32)>,
}

impl Lens {
    pub fn of(self, node: &Node) -> View<'_> {
        View { node, lens: self }
    }

    /// How far its content is behind what it says it is.
    pub(super) fn stale_ledgers(self) -> u32 {
        match self.distortion {
            Some((Distortion::Stale, ledgers)) => ledgers,
            _ => 0,
        }
    }

    pub(super) fn is_clear(self) -> bool {
        self == Self::default()
    }

    pub(super) fn hides(self) -> bool {
        matches!(self.distortion, Some((Distortion::Missing, _)))
    }

    pub(super) fn alters(self) -> bool {
        matches!(self.distortion, Some((Distortion::Altered, _)))
    }

    /// Another hash, as of a chain that went another way.
    pub(super) fn summary(self, summary: &LedgerSummary) -> LedgerSummary {
        let mut summary = summary.clone();
        if self.alters() {
            summary.hash = sha256(&summary.hash);
        }
        summary
    }

    pub(super) fn entry(self, xdr: &Arc<[u8]>) -> Arc<[u8]> {
        if !self.alters() {
            return Arc::clone(xdr);
        }
        altered(xdr).map_or_else(|| Arc::clone(xdr), Arc::from)
    }
}

/// The same entry with another value in it. None where there is no number to change.
fn altered(xdr: &[u8]) -> Option<Vec<u8>> {
    let mut entry = LedgerEntry::from_xdr(xdr, Limits::none()).ok()?;
    match &mut entry.data {
        LedgerEntryData::Account(account) => {
            account.balance = account.balance.wrapping_add(1);
            account.seq_num.0 = account.seq_num.0.wrapping_add(1);
        }
        LedgerEntryData::ContractData(data) => data.val = altered_value(&data.val)?,
        _ => return None,
    }
    entry.to_xdr(Limits::none()).ok()
}

/// The first number in a value, one higher.
fn altered_value(value: &ScVal) -> Option<ScVal> {
    Some(match value {
        ScVal::Bool(yes) => ScVal::Bool(!yes),
        ScVal::U32(number) => ScVal::U32(number.wrapping_add(1)),
        ScVal::I32(number) => ScVal::I32(number.wrapping_add(1)),
        ScVal::U64(number) => ScVal::U64(number.wrapping_add(1)),
        ScVal::I64(number) => ScVal::I64(number.wrapping_add(1)),
        ScVal::U128(parts) => ScVal::U128(UInt128Parts {
            hi: parts.hi,
            lo: parts.lo.wrapping_add(1),
        }),
        ScVal::I128(parts) => ScVal::I128(Int128Parts {
            hi: parts.hi,
            lo: parts.lo.wrapping_add(1),
        }),
        ScVal::Vec(Some(values)) => {
            let mut values = values.0.to_vec();
            let (index, other) = values
                .iter()
                .enumerate()
                .find_map(|(index, value)| Some((index, altered_value(value)?)))?;
            values[index] = other;
            ScVal::Vec(Some(ScVec(values.try_into().ok()?)))
        }
        ScVal::Map(Some(pairs)) => {
            let mut pairs = pairs.0.to_vec();
            let (index, other) = pairs
                .iter()
                .enumerate()
                .find_map(|(index, pair)| Some((index, altered_value(&pair.val)?)))?;
            pairs[index].val = other;
            ScVal::Map(Some(ScMap(pairs.try_into().ok()?)))
        }
        _ => return None,
    })
}
