//! A decoded transaction with everything that admission and apply ask of it more than once.

use crate::crypto::{sha256, sha256_parts};
use crate::ledger::account::{account_id, muxed_bytes};
use crate::ledger::state::Key;
use crate::tx::signatures::Signed;
use std::collections::BTreeSet;
use std::sync::Arc;
use stellar_xdr::{
    AccountId, DecoratedSignature, EnvelopeType, FeeBumpTransactionEnvelope,
    FeeBumpTransactionInnerTx, LedgerBounds, LedgerKey, Limits, MuxedAccount, Operation,
    OperationBody, Preconditions, PreconditionsV2, ReadXdr, SorobanTransactionData,
    SorobanTransactionDataExt, TimeBounds, Transaction, TransactionEnvelope, TransactionExt,
    TransactionV0, TransactionV0Ext, TransactionV1Envelope, Uint256, WriteXdr,
};

/// Largest envelope that is decoded at all.
pub const MAX_ENVELOPE_BYTES: usize = 1024 * 1024;
/// Largest resource fee that a transaction may declare.
const MAX_RESOURCE_FEE_STROOPS: i64 = 1 << 50;
/// Deepest nesting that is decoded.
pub const MAX_DEPTH: u32 = 500;

pub fn decode_limits(len: usize) -> Limits {
    Limits {
        depth: MAX_DEPTH,
        len,
    }
}

/// A transaction, and the fee-bump around it if there is one.
#[derive(Debug)]
pub struct Parsed {
    pub envelope_xdr: Arc<[u8]>,
    /// Names the transaction, whoever signed it; of a fee-bump, the whole of it.
    pub hash: [u8; 32],
    /// Names this very envelope, signatures included.
    pub full_hash: [u8; 32],
    /// The transaction itself: the inner one of a fee-bump.
    pub tx: Transaction,
    /// The hash and the signatures of the transaction itself.
    pub signed: Signed,
    /// Bytes of the envelope of the transaction itself, which is what its size is charged by.
    pub size_bytes: u32,
    /// Whose sequence it uses.
    pub source: [u8; 32],
    pub soroban: Option<SorobanPart>,
    pub fee_bump: Option<FeeBump>,
}

/// The outer part of a fee-bump.
#[derive(Debug)]
pub struct FeeBump {
    /// Who pays.
    pub source: [u8; 32],
    /// The full fee in stroops.
    pub fee: i64,
    pub signed: Signed,
    /// Names the inner envelope, signatures included.
    pub inner_full_hash: [u8; 32],
}

/// What only a Soroban transaction has.
#[derive(Debug)]
pub struct SorobanPart {
    pub data: SorobanTransactionData,
    pub resources_xdr: Vec<u8>,
    /// Keys of the footprint, read-only ones first.
    pub keys: Vec<Key>,
    pub read_only: usize,
    /// Entries that count as read from disk: classic ones and those to restore.
    pub disk_read_entries: u32,
}

/// Decodes an envelope; the error says what is wrong with it.
pub fn decode(bytes: &[u8], network_id: &[u8; 32]) -> Result<Parsed, String> {
    if bytes.len() > MAX_ENVELOPE_BYTES {
        return Err(format!(
            "the envelope has {} bytes, more than {MAX_ENVELOPE_BYTES}",
            bytes.len()
        ));
    }
    let envelope = TransactionEnvelope::from_xdr(bytes, decode_limits(bytes.len()))
        .map_err(|error| format!("the envelope is not a TransactionEnvelope: {error}"))?;
    match envelope {
        TransactionEnvelope::Tx(envelope) => Parsed::new(bytes, envelope, network_id),
        // Nodes rewrite version 0 as version 1 before they look at it; its hash is that of the rewritten one.
        TransactionEnvelope::TxV0(envelope) => {
            let envelope = TransactionV1Envelope {
                tx: upgrade(envelope.tx),
                signatures: envelope.signatures,
            };
            let bytes = TransactionEnvelope::Tx(envelope.clone())
                .to_xdr(Limits::none())
                .map_err(|error| error.to_string())?;
            Parsed::new(&bytes, envelope, network_id)
        }
        TransactionEnvelope::TxFeeBump(envelope) => Parsed::fee_bump(bytes, envelope, network_id),
    }
}

fn upgrade(tx: TransactionV0) -> Transaction {
    let TransactionV0Ext::V0 = tx.ext;
    Transaction {
        source_account: MuxedAccount::Ed25519(Uint256(tx.source_account_ed25519.0)),
        fee: tx.fee,
        seq_num: tx.seq_num,
        cond: match tx.time_bounds {
            None => Preconditions::None,
            Some(bounds) => Preconditions::Time(bounds),
        },
        memo: tx.memo,
        operations: tx.operations,
        ext: TransactionExt::V0,
    }
}

/// Bytes of a list of signatures in XDR.
fn signatures_len(signatures: &[DecoratedSignature]) -> usize {
    let each = |signature: &DecoratedSignature| 8 + signature.signature.0.len().div_ceil(4) * 4;
    4 + signatures.iter().map(each).sum::<usize>()
}

impl Parsed {
    fn new(
        bytes: &[u8],
        envelope: TransactionV1Envelope,
        network_id: &[u8; 32],
    ) -> Result<Self, String> {
        // The signed payload is the network id, the envelope's type and the transaction; the last two are a slice of
        // the envelope, which the decoder has proved to be canonical.
        let payload = &bytes[..bytes.len() - signatures_len(&envelope.signatures)];
        debug_assert_eq!(payload[..4], (EnvelopeType::Tx as i32).to_be_bytes());
        let hash = sha256_parts(&[network_id, payload]);
        let soroban = match &envelope.tx.ext {
            TransactionExt::V0 => None,
            TransactionExt::V1(data) => {
                Some(SorobanPart::new(data, is_restore(&envelope.tx.operations))?)
            }
        };
        Ok(Self {
            envelope_xdr: bytes.into(),
            hash,
            full_hash: sha256(bytes),
            source: muxed_bytes(&envelope.tx.source_account),
            signed: Signed::new(hash, envelope.signatures.to_vec()),
            size_bytes: bytes.len() as u32,
            soroban,
            fee_bump: None,
            tx: envelope.tx,
        })
    }

    fn fee_bump(
        bytes: &[u8],
        envelope: FeeBumpTransactionEnvelope,
        network_id: &[u8; 32],
    ) -> Result<Self, String> {
        // The inner envelope lies between type, source and fee before it, and extension and signatures after it.
        let source_len = match &envelope.tx.fee_source {
            MuxedAccount::Ed25519(_) => 36,
            MuxedAccount::MuxedEd25519(_) => 44,
        };
        let payload = &bytes[..bytes.len() - signatures_len(&envelope.signatures)];
        let inner_bytes = &payload[4 + source_len + 8..payload.len() - 4];
        let FeeBumpTransactionInnerTx::Tx(inner) = envelope.tx.inner_tx;
        let inner = Self::new(inner_bytes, inner, network_id)?;
        let hash = sha256_parts(&[network_id, payload]);
        Ok(Self {
            envelope_xdr: bytes.into(),
            hash,
            full_hash: sha256(bytes),
            fee_bump: Some(FeeBump {
                source: muxed_bytes(&envelope.tx.fee_source),
                fee: envelope.tx.fee,
                signed: Signed::new(hash, envelope.signatures.to_vec()),
                inner_full_hash: inner.full_hash,
            }),
            ..inner
        })
    }

    /// Who pays the fee and gets the refund.
    pub fn fee_source(&self) -> [u8; 32] {
        self.fee_bump
            .as_ref()
            .map_or(self.source, |bump| bump.source)
    }

    /// The hash of the inner transaction of a fee-bump.
    pub fn inner_hash(&self) -> Option<[u8; 32]> {
        self.fee_bump.as_ref().map(|_| self.signed.hash)
    }

    pub fn sequence(&self) -> i64 {
        self.tx.seq_num.0
    }

    /// Operations that a fee is bid for: a fee-bump counts as one more.
    pub fn operation_count(&self) -> i64 {
        self.inner_operation_count() + i64::from(self.fee_bump.is_some())
    }

    /// Operations of the transaction itself.
    pub fn inner_operation_count(&self) -> i64 {
        i64::try_from(self.tx.operations.len()).unwrap_or(i64::MAX)
    }

    pub fn operation_source(&self, operation: &Operation) -> [u8; 32] {
        operation
            .source_account
            .as_ref()
            .map_or(self.source, muxed_bytes)
    }

    /// The accounts that the transaction and its operations act for.
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        let sources = self
            .tx
            .operations
            .iter()
            .map(|op| self.operation_source(op));
        sources
            .chain([self.source])
            .map(|id| account_id(&id))
            .collect()
    }

    /// True when the (first) operation is one of Soroban's.
    pub fn is_soroban(&self) -> bool {
        self.tx.operations.first().is_some_and(is_soroban_operation)
    }

    pub fn full_fee(&self) -> i64 {
        self.fee_bump
            .as_ref()
            .map_or(i64::from(self.tx.fee), |bump| bump.fee)
    }

    /// Whether the fees are such that one can reckon with them at all.
    pub fn has_valid_fees(&self) -> bool {
        let resource_fee_is_valid = match &self.soroban {
            _ if !self.is_soroban() => true,
            None => false,
            Some(part) => (0..=MAX_RESOURCE_FEE_STROOPS).contains(&part.data.resource_fee),
        };
        self.full_fee() >= 0 && resource_fee_is_valid
    }

    /// The declared resource fee; zero for classic transactions.
    pub fn resource_fee(&self) -> i64 {
        match &self.soroban {
            Some(part) if self.is_soroban() => part.data.resource_fee,
            _ => 0,
        }
    }

    /// What is bid for inclusion, for all operations together.
    pub fn inclusion_fee(&self) -> i64 {
        self.full_fee().saturating_sub(self.resource_fee())
    }

    /// What the transaction itself bids, without the fee-bump around it.
    pub fn inner_inclusion_fee(&self) -> i64 {
        i64::from(self.tx.fee).saturating_sub(self.resource_fee())
    }

    /// The bid per operation, rounded down.
    pub fn inclusion_rate(&self) -> i64 {
        self.inclusion_fee() / self.operation_count().max(1)
    }

    pub fn time_bounds(&self) -> Option<&TimeBounds> {
        match &self.tx.cond {
            Preconditions::None => None,
            Preconditions::Time(bounds) => Some(bounds),
            Preconditions::V2(v2) => v2.time_bounds.as_ref(),
        }
    }

    pub fn preconditions_v2(&self) -> Option<&PreconditionsV2> {
        match &self.tx.cond {
            Preconditions::V2(v2) => Some(v2),
            _ => None,
        }
    }

    pub fn ledger_bounds(&self) -> Option<&LedgerBounds> {
        self.preconditions_v2()?.ledger_bounds.as_ref()
    }

    /// XDR of the `AccountId` of an operation's source.
    pub fn operation_source_xdr(&self, operation: &Operation) -> Vec<u8> {
        account_id(&self.operation_source(operation))
            .to_xdr(Limits::none())
            .unwrap_or_default()
    }
}

pub fn is_soroban_operation(operation: &Operation) -> bool {
    matches!(
        operation.body,
        OperationBody::InvokeHostFunction(_)
            | OperationBody::ExtendFootprintTtl(_)
            | OperationBody::RestoreFootprint(_)
    )
}

/// Does it bring entries back by the operation made for that? Whatever it writes is then read from disk.
fn is_restore(operations: &[Operation]) -> bool {
    matches!(operations, [operation] if matches!(operation.body, OperationBody::RestoreFootprint(_)))
}

impl SorobanPart {
    fn new(data: &SorobanTransactionData, restores: bool) -> Result<Self, String> {
        let footprint = &data.resources.footprint;
        let mut keys = Vec::with_capacity(footprint.read_only.len() + footprint.read_write.len());
        let mut disk_read_entries = 0;
        for key in footprint
            .read_only
            .iter()
            .chain(footprint.read_write.iter())
        {
            if !matches!(key, LedgerKey::ContractData(_) | LedgerKey::ContractCode(_)) {
                disk_read_entries += 1;
            }
            let xdr = key
                .to_xdr(Limits::none())
                .map_err(|error| error.to_string())?;
            keys.push(Key::from(xdr));
        }
        if let SorobanTransactionDataExt::V1(ext) = &data.ext {
            disk_read_entries += ext.archived_soroban_entries.len() as u32;
        }
        if restores {
            disk_read_entries = footprint.read_write.len() as u32;
        }
        Ok(Self {
            resources_xdr: data
                .resources
                .to_xdr(Limits::none())
                .map_err(|error| error.to_string())?,
            keys,
            read_only: footprint.read_only.len(),
            disk_read_entries,
            data: data.clone(),
        })
    }

    /// Indices into the read-write keys of the entries to bring back from the archive.
    pub fn archived(&self) -> &[u32] {
        match &self.data.ext {
            SorobanTransactionDataExt::V0 => &[],
            SorobanTransactionDataExt::V1(ext) => &ext.archived_soroban_entries,
        }
    }
}
