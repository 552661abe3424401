//! How an applied transaction is shown by `getTransaction` and `getTransactions` alike.

use crate::node::TransactionRecord;
use serde::Serialize;
use stellar_xdr::{
    ContractEvent, DiagnosticEvent, TransactionEnvelope, TransactionEvent, TransactionMeta,
    TransactionResult,
};

use super::error::RpcError;
use super::format::{base64_all, trees, Format, Tree};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Details {
    pub(crate) status: &'static str,
    pub(crate) tx_hash: String,
    application_order: u32,
    fee_bump: bool,
    #[serde(flatten)]
    bodies: Bodies,
    events: Events,
    ledger: u32,
}

/// What only a found transaction has.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Bodies {
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope_xdr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope_json: Option<Tree>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_xdr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_json: Option<Tree>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_meta_xdr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_meta_json: Option<Tree>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostic_events_xdr: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostic_events_json: Option<Vec<Tree>>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Events {
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_events_xdr: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_events_json: Option<Vec<Tree>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_events_xdr: Option<Vec<Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_events_json: Option<Vec<Vec<Tree>>>,
}

impl Details {
    pub(crate) fn not_found() -> Self {
        Self {
            status: "NOT_FOUND",
            tx_hash: String::new(),
            application_order: 0,
            fee_bump: false,
            bodies: Bodies::default(),
            events: Events::default(),
            ledger: 0,
        }
    }

    /// # Errors
    /// `-32603` for a record that cannot be read, which the ledger does not write.
    pub(crate) fn of(record: &TransactionRecord, format: Format) -> Result<Self, RpcError> {
        Ok(Self {
            status: if record.successful {
                "SUCCESS"
            } else {
                "FAILED"
            },
            tx_hash: hex::encode(record.hash),
            application_order: record.application_order,
            fee_bump: record.inner_hash.is_some(),
            bodies: bodies(record, format)?,
            events: events(record, format)?,
            ledger: record.ledger,
        })
    }
}

fn bodies(record: &TransactionRecord, format: Format) -> Result<Bodies, RpcError> {
    let (envelope_xdr, envelope_json) = format.one::<TransactionEnvelope>(&record.envelope_xdr)?;
    let (result_xdr, result_json) = format.one::<TransactionResult>(&record.result_xdr)?;
    let (result_meta_xdr, result_meta_json) = format.one::<TransactionMeta>(&record.meta_xdr)?;
    let (diagnostic_events_xdr, diagnostic_events_json) =
        format.all::<DiagnosticEvent>(&record.diagnostic_events_xdr)?;
    Ok(Bodies {
        envelope_xdr,
        envelope_json,
        result_xdr,
        result_json,
        result_meta_xdr,
        result_meta_json,
        diagnostic_events_xdr,
        diagnostic_events_json,
    })
}

fn events(record: &TransactionRecord, format: Format) -> Result<Events, RpcError> {
    let (transaction_events_xdr, transaction_events_json) =
        format.all::<TransactionEvent>(&record.transaction_events_xdr)?;
    let operations = &record.contract_events_xdr;
    // The outer list is left out when it is empty, the lists in it are not.
    let (contract_events_xdr, contract_events_json) = match format {
        _ if operations.is_empty() => (None, None),
        Format::Base64 => {
            let texts = operations.iter().map(|events| base64_all(events)).collect();
            (Some(texts), None)
        }
        Format::Json => {
            let trees = operations
                .iter()
                .map(|events| trees::<ContractEvent>(events));
            (None, Some(trees.collect::<Result<_, _>>()?))
        }
    };
    Ok(Events {
        transaction_events_xdr,
        transaction_events_json,
        contract_events_xdr,
        contract_events_json,
    })
}
