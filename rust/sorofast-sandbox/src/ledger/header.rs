//! Ledger headers: the chain of hashes, signed close times and the transaction set they commit to.

use crate::config::PROTOCOL_VERSION;
use crate::crypto::{sha256, sha256_parts, Signer};
use crate::ledger::settings::{Settings, BASE_RESERVE_STROOPS};
use crate::ledger::state::{Changes, Key, Stored};
pub use crate::ledger::value::OldHeader;
use crate::ledger::value::{value, ValueParts, OLD_PROTOCOL_VERSION};
use crate::tx::envelope::Parsed;
use crate::tx::select::TransactionSet;
use std::sync::Arc;
use stellar_xdr::{Hash, LedgerHeader, LedgerHeaderExt, Limits, StellarValueExt, WriteXdr};

/// All lumens there are, in stroops.
pub const TOTAL_COINS: i64 = 1_000_000_000_000_000_000;

/// The validator that this node is.
#[derive(Debug)]
pub struct NodeKey {
    signer: Signer,
    pub public: [u8; 32],
    pub network_id: [u8; 32],
}

impl NodeKey {
    pub fn new(seed: [u8; 32], network_id: [u8; 32]) -> Option<Self> {
        let signer = Signer::new(&seed)?;
        let public = signer.public_key()?;
        Some(Self {
            signer,
            public,
            network_id,
        })
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signer.sign(message).unwrap_or([0; 64])
    }
}

/// What a ledger adds to its predecessor's header.
#[derive(Debug)]
pub struct HeaderParts {
    pub close_time_ms: u64,
    /// Of the set that was proposed, also when it is dropped.
    pub transaction_set_hash: [u8; 32],
    pub drops_set: bool,
    /// The form that the header still has; a chain in that form is upgraded by the first ledger without it.
    pub old: Option<OldHeader>,
    pub results_hash: [u8; 32],
    pub state_hash: [u8; 32],
    pub fee_pool: i64,
    pub total_coins: i64,
}

/// The first header.
pub fn genesis(
    key: &NodeKey,
    settings: &Settings,
    close_time_ms: u64,
    state_hash: [u8; 32],
    old: Option<OldHeader>,
) -> LedgerHeader {
    let empty_set = transaction_set_xdr(&[0; 32], &TransactionSet::default());
    let parts = ValueParts {
        transaction_set_hash: sha256(&empty_set),
        close_time_ms,
        old,
        dropped_after: None,
        upgrades: false,
    };
    LedgerHeader {
        ledger_version: version(old),
        previous_ledger_hash: Hash([0; 32]),
        scp_value: value(key, &parts),
        tx_set_result_hash: Hash(results_hash(std::iter::empty())),
        bucket_list_hash: Hash(state_hash),
        ledger_seq: 1,
        total_coins: TOTAL_COINS,
        fee_pool: 0,
        inflation_seq: 0,
        id_pool: 0,
        base_fee: crate::ledger::settings::BASE_FEE_STROOPS as u32,
        base_reserve: BASE_RESERVE_STROOPS,
        max_tx_set_size: settings.ledger_max_classic_operations,
        skip_list: [Hash([0; 32]), Hash([0; 32]), Hash([0; 32]), Hash([0; 32])],
        ext: LedgerHeaderExt::V0,
    }
}

/// The header after `previous`.
pub fn next(
    key: &NodeKey,
    previous: &LedgerHeader,
    previous_hash: [u8; 32],
    parts: &HeaderParts,
) -> LedgerHeader {
    let upgrades = parts.old.is_none() && is_old(previous);
    let value_parts = ValueParts {
        transaction_set_hash: parts.transaction_set_hash,
        close_time_ms: parts.close_time_ms,
        // The ledger that upgrades was still agreed on in the old form.
        old: parts.old.or_else(|| upgrades.then(|| form(previous))),
        dropped_after: parts.drops_set.then_some((previous, previous_hash)),
        upgrades,
    };
    let mut header = LedgerHeader {
        ledger_version: version(parts.old),
        previous_ledger_hash: Hash(previous_hash),
        scp_value: value(key, &value_parts),
        tx_set_result_hash: Hash(parts.results_hash),
        bucket_list_hash: Hash(parts.state_hash),
        ledger_seq: previous.ledger_seq + 1,
        fee_pool: parts.fee_pool,
        total_coins: parts.total_coins,
        ..previous.clone()
    };
    update_skip_list(&mut header);
    header
}

fn version(old: Option<OldHeader>) -> u32 {
    old.map_or(PROTOCOL_VERSION, |_| OLD_PROTOCOL_VERSION)
}

/// Whether the ledger is of a protocol without milliseconds.
pub fn is_old(header: &LedgerHeader) -> bool {
    header.ledger_version < PROTOCOL_VERSION
}

fn form(header: &LedgerHeader) -> OldHeader {
    match header.scp_value.ext {
        StellarValueExt::Basic => OldHeader::Basic,
        _ => OldHeader::Signed,
    }
}

/// Ever sparser memories of the state's hash, as the network keeps them.
fn update_skip_list(header: &mut LedgerHeader) {
    const STEPS: [u32; 4] = [50, 5_000, 50_000, 500_000];
    if !header.ledger_seq.is_multiple_of(STEPS[0]) {
        return;
    }
    let mut reached = 0;
    let mut back = STEPS[0];
    for step in &STEPS[1..] {
        match header.ledger_seq.checked_sub(back) {
            Some(at) if at > 0 && at.is_multiple_of(*step) => {
                reached += 1;
                back += step;
            }
            _ => break,
        }
    }
    for index in (0..reached).rev() {
        header.skip_list[index + 1] = header.skip_list[index].clone();
    }
    header.skip_list[0] = header.bucket_list_hash.clone();
}

/// XDR and hash of a header.
pub fn encode(header: &LedgerHeader) -> (Vec<u8>, [u8; 32]) {
    let xdr = header.to_xdr(Limits::none()).unwrap_or_default();
    let hash = sha256(&xdr);
    (xdr, hash)
}

/// XDR of the `GeneralizedTransactionSet`.
pub fn transaction_set_xdr(previous_hash: &[u8; 32], set: &TransactionSet) -> Vec<u8> {
    let mut out = Vec::new();
    word(&mut out, 1);
    out.extend_from_slice(previous_hash);
    word(&mut out, 2);
    // Classic: a sequential phase of at most one component.
    word(&mut out, 0);
    word(&mut out, u32::from(!set.classic.is_empty()));
    if !set.classic.is_empty() {
        word(&mut out, 0);
        word(&mut out, 1);
        out.extend_from_slice(&set.classic_base_fee.to_be_bytes());
        envelopes(&mut out, &set.classic);
    }
    // Soroban: a parallel phase of stages of clusters.
    word(&mut out, 1);
    word(&mut out, u32::from(!set.stages.is_empty()));
    if !set.stages.is_empty() {
        out.extend_from_slice(&set.soroban_base_fee.to_be_bytes());
    }
    word(&mut out, set.stages.len() as u32);
    for stage in &set.stages {
        word(&mut out, stage.len() as u32);
        for cluster in stage {
            envelopes(&mut out, cluster);
        }
    }
    out
}

fn envelopes(out: &mut Vec<u8>, txs: &[Arc<Parsed>]) {
    word(out, txs.len() as u32);
    for tx in txs {
        out.extend_from_slice(&tx.envelope_xdr);
    }
}

fn word(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Hash of the `TransactionResultSet` of (transaction hash, result XDR) in apply order.
pub fn results_hash<'a>(
    results: impl ExactSizeIterator<Item = (&'a [u8; 32], &'a [u8])>,
) -> [u8; 32] {
    let mut out = Vec::new();
    word(&mut out, results.len() as u32);
    for (hash, result) in results {
        out.extend_from_slice(hash);
        out.extend_from_slice(result);
    }
    sha256(&out)
}

/// Commits to the state by its history: the last commitment and, by key, what the ledger changed. It stands where the
/// network has the hash of its bucket list, which is a structure on disk that a sandbox does without.
pub fn state_hash(previous: &[u8; 32], changes: &Changes) -> [u8; 32] {
    let mut sorted: Vec<(&Key, &Option<Stored>)> = changes.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    let mut hash = *previous;
    for (key, change) in sorted {
        hash = commit(&hash, key, change.as_ref());
    }
    hash
}

/// The commitment after one more change.
pub fn commit(previous: &[u8; 32], key: &Key, change: Option<&Stored>) -> [u8; 32] {
    match change {
        None => sha256_parts(&[previous, key, &[0]]),
        Some(entry) => {
            let live_until = entry.lifetime.map_or(0, |lifetime| lifetime.live_until);
            sha256_parts(&[previous, key, &[1], &live_until.to_be_bytes(), &entry.xdr])
        }
    }
}
