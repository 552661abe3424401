//! The value that consensus agrees on for each ledger, in all forms that headers have had.

use crate::config::PROTOCOL_VERSION;
use crate::ledger::account::account_id;
use crate::ledger::header::NodeKey;
use serde::{Deserialize, Serialize};
use stellar_xdr::{
    EnvelopeType, Hash, LedgerCloseValueSignature, LedgerHeader, LedgerUpgrade, Limits, NodeId,
    ReadXdr, Signature, StellarValue, StellarValueExt, StellarValueProposedMsValue,
    StellarValueProposedValue, StellarValueSignedMsValue, TimePoint, TimePointMs, UpgradeType,
    VecM, WriteXdr,
};

/// How headers looked before close times had milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OldHeader {
    /// With the signature of who proposed the value.
    #[default]
    Signed,
    /// Without one.
    Basic,
}

/// The protocol of headers in an old form.
pub const OLD_PROTOCOL_VERSION: u32 = PROTOCOL_VERSION - 1;

/// What a value says.
#[derive(Clone, Copy, Debug)]
pub struct ValueParts<'a> {
    /// Hash of the set that was proposed.
    pub transaction_set_hash: [u8; 32],
    pub close_time_ms: u64,
    /// None: the form with milliseconds.
    pub old: Option<OldHeader>,
    /// The ledger before, when the set was dropped.
    pub dropped_after: Option<(&'a LedgerHeader, [u8; 32])>,
    /// The ledger brings the protocol in force.
    pub upgrades: bool,
}

pub(super) fn value(key: &NodeKey, parts: &ValueParts<'_>) -> StellarValue {
    let close_time = TimePoint(parts.close_time_ms / 1000);
    let close_time_ms = TimePointMs(parts.close_time_ms);
    let told_time = match parts.old {
        Some(_) => close_time.0,
        None => close_time_ms.0,
    };
    let set_hash = Hash(parts.transaction_set_hash);
    let lc_value_signature = sign(key, &set_hash, told_time);
    let ext = match (parts.old, parts.dropped_after) {
        (None, None) => StellarValueExt::SignedMs(StellarValueSignedMsValue {
            close_time_ms,
            lc_value_signature,
        }),
        (Some(OldHeader::Signed), None) => StellarValueExt::Signed(lc_value_signature),
        (Some(OldHeader::Basic), None) => StellarValueExt::Basic,
        (None, Some((previous, previous_hash))) => {
            StellarValueExt::EmptyTxSetMs(StellarValueProposedMsValue {
                close_time_ms,
                tx_set_hash: set_hash.clone(),
                previous_ledger_hash: Hash(previous_hash),
                previous_ledger_version: previous.ledger_version,
                lc_value_signature,
            })
        }
        (Some(_), Some((previous, previous_hash))) => {
            StellarValueExt::EmptyTxSet(StellarValueProposedValue {
                tx_set_hash: set_hash.clone(),
                previous_ledger_hash: Hash(previous_hash),
                previous_ledger_version: previous.ledger_version,
                lc_value_signature,
            })
        }
    };
    let agreed_hash = if parts.dropped_after.is_some() {
        Hash([0; 32])
    } else {
        set_hash
    };
    let upgrade = parts.upgrades.then(|| {
        let upgrade = LedgerUpgrade::Version(PROTOCOL_VERSION);
        let xdr = upgrade.to_xdr(Limits::none()).unwrap_or_default();
        UpgradeType(xdr.try_into().unwrap_or_default())
    });
    StellarValue {
        tx_set_hash: agreed_hash,
        close_time,
        upgrades: upgrade
            .into_iter()
            .collect::<Vec<_>>()
            .try_into()
            .unwrap_or_else(|_| VecM::default()),
        ext,
    }
}

/// The proposer signs the set and the time, in the unit that the form has.
fn sign(key: &NodeKey, set_hash: &Hash, told_time: u64) -> LedgerCloseValueSignature {
    let mut signed = Vec::with_capacity(76);
    signed.extend_from_slice(&key.network_id);
    signed.extend_from_slice(&(EnvelopeType::Scpvalue as i32).to_be_bytes());
    signed.extend_from_slice(&set_hash.0);
    signed.extend_from_slice(&told_time.to_be_bytes());
    let signature = key.sign(&signed);
    LedgerCloseValueSignature {
        node_id: NodeId(account_id(&key.public).0),
        signature: Signature(signature.to_vec().try_into().unwrap_or_default()),
    }
}

/// XDR of the list of `UpgradeEntryMeta` that belongs to a header: what it brought, without changed entries.
pub fn upgrades_meta_xdr(header_xdr: &[u8]) -> Vec<u8> {
    let upgrades = LedgerHeader::from_xdr(header_xdr, Limits::none())
        .map(|header| header.scp_value.upgrades)
        .unwrap_or_default();
    let mut out = Vec::new();
    out.extend_from_slice(&(upgrades.len() as u32).to_be_bytes());
    for upgrade in &upgrades {
        out.extend_from_slice(upgrade.0.as_slice());
        out.extend_from_slice(&[0; 4]);
    }
    out
}
