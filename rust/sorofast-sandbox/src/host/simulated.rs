//! What of an envelope is simulated, and which envelopes are not: the real server's rules and sentences.

use crate::tx::envelope::{decode_limits, MAX_ENVELOPE_BYTES};
use crate::types::{AuthMode, SimulateOptions};
use soroban_env_host::e2e_invoke::RecordingInvocationAuthMode;
use soroban_env_host::xdr::{
    AccountId, FeeBumpTransactionInnerTx, HostFunction, LedgerFootprint, LedgerKey, Memo,
    MuxedAccount, Operation, OperationBody, ReadXdr, SorobanAuthorizationEntry, Transaction,
    TransactionEnvelope, TransactionExt, VecM,
};

/// The only operation of an envelope.
#[derive(Debug)]
pub enum Simulated {
    Call {
        source: AccountId,
        function: Box<HostFunction>,
        auth: Authorization,
    },
    Extend {
        keys: Vec<LedgerKey>,
        extend_to: u32,
    },
    Restore {
        keys: Vec<LedgerKey>,
    },
}

/// Who authorizes a call.
#[derive(Debug)]
pub enum Authorization {
    /// Whoever signed these.
    Entries(Vec<SorobanAuthorizationEntry>),
    /// Everybody who is asked; what they would have to sign is recorded.
    Recorded {
        no_other_roots: bool,
        second_version: bool,
    },
}

impl Authorization {
    pub fn mode(self) -> RecordingInvocationAuthMode {
        match self {
            Self::Entries(entries) => RecordingInvocationAuthMode::Enforcing(entries),
            Self::Recorded {
                no_other_roots,
                second_version,
            } => RecordingInvocationAuthMode::recording(no_other_roots, second_version),
        }
    }
}

/// Takes an envelope of any kind; a fee bump stands for its inner transaction.
pub fn read(envelope_xdr: &[u8], options: SimulateOptions) -> Result<Simulated, String> {
    let envelope = decode(envelope_xdr).ok_or("Could not unmarshal transaction")?;
    let (source, operations, memo, footprint) = match envelope {
        TransactionEnvelope::Tx(envelope) => parts(envelope.tx),
        TransactionEnvelope::TxFeeBump(envelope) => {
            let FeeBumpTransactionInnerTx::Tx(inner) = envelope.tx.inner_tx;
            parts(inner.tx)
        }
        TransactionEnvelope::TxV0(envelope) => {
            let source = MuxedAccount::Ed25519(envelope.tx.source_account_ed25519);
            (source, envelope.tx.operations, envelope.tx.memo, None)
        }
    };
    let [operation] = operations.as_slice() else {
        return Err("Transaction contains more than one operation".into());
    };
    if memo != Memo::None {
        return Err(
            "Transaction contains a memo. Soroban transactions do not support memos.".into(),
        );
    }
    let no_footprint = || {
        "To perform a SimulateTransaction for ExtendFootprintTtl or RestoreFootprint operations, \
         SorobanTransactionData must be provided"
            .to_owned()
    };
    let no_auth_mode = || match options.auth_mode {
        Some(_) => Err("cannot set authMode with non-InvokeHostFunction operations".to_owned()),
        None => Ok(()),
    };
    match operation.body.clone() {
        OperationBody::InvokeHostFunction(call) => {
            let muxed = operation.source_account.clone().unwrap_or(source);
            Ok(Simulated::Call {
                source: muxed.account_id(),
                auth: authorization(call.auth.to_vec(), options)?,
                function: Box::new(call.host_function),
            })
        }
        OperationBody::ExtendFootprintTtl(extend) => {
            no_auth_mode()?;
            Ok(Simulated::Extend {
                keys: footprint.ok_or_else(no_footprint)?.read_only.into(),
                extend_to: extend.extend_to,
            })
        }
        OperationBody::RestoreFootprint(_) => {
            no_auth_mode()?;
            Ok(Simulated::Restore {
                keys: footprint.ok_or_else(no_footprint)?.read_write.into(),
            })
        }
        other => Err(format!(
            "transaction contains unsupported operation type: OperationType{}",
            other.name()
        )),
    }
}

fn decode(envelope_xdr: &[u8]) -> Option<TransactionEnvelope> {
    if envelope_xdr.len() > MAX_ENVELOPE_BYTES {
        return None;
    }
    TransactionEnvelope::from_xdr(envelope_xdr, decode_limits(envelope_xdr.len())).ok()
}

type Parts = (
    MuxedAccount,
    VecM<Operation, 100>,
    Memo,
    Option<LedgerFootprint>,
);

fn parts(tx: Transaction) -> Parts {
    let footprint = match tx.ext {
        TransactionExt::V0 => None,
        TransactionExt::V1(data) => Some(data.resources.footprint),
    };
    (tx.source_account, tx.operations, tx.memo, footprint)
}

fn authorization(
    entries: Vec<SorobanAuthorizationEntry>,
    options: SimulateOptions,
) -> Result<Authorization, String> {
    let mode = options.auth_mode.unwrap_or(if entries.is_empty() {
        AuthMode::Record
    } else {
        AuthMode::Enforce
    });
    let (name, no_other_roots) = match mode {
        AuthMode::Enforce => return Ok(Authorization::Entries(entries)),
        AuthMode::Record => ("record", true),
        AuthMode::RecordAllowNonroot => ("record_allow_nonroot", false),
    };
    if !entries.is_empty() {
        return Err(format!(
            "cannot set authMode to '{name}' with an auth footprint"
        ));
    }
    Ok(Authorization::Recorded {
        no_other_roots,
        second_version: options.use_upgraded_auth,
    })
}
