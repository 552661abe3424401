//! What became of submitted transactions, whether they were applied or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::tx::fates::Fate;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};

use super::{blocking, read_json, AdminError, AdminResult};
use crate::app::App;

const MAX_HASHES: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    hashes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Told {
    fates: BTreeMap<String, TransactionFate>,
}

#[derive(Debug, Serialize)]
struct TransactionFate {
    state: &'static str,
    /// The ledger that applied it.
    ledger: Option<u32>,
    /// Why it was dropped.
    reason: Option<String>,
}

impl From<Fate> for TransactionFate {
    fn from(fate: Fate) -> Self {
        let (state, ledger, reason) = match fate {
            Fate::Pending => ("pending", None, None),
            Fate::Applied(ledger) => ("applied", Some(ledger), None),
            Fate::Dropped(reason) => ("dropped", None, Some(reason.to_string())),
            Fate::Unknown => ("unknown", None, None),
        };
        Self {
            state,
            ledger,
            reason,
        }
    }
}

/// Tells of each hash where its transaction is, all as of the same moment.
pub(super) async fn show(State(app): State<Arc<App>>, request: Request) -> AdminResult<Told> {
    let Asked { hashes } = read_json(request).await?;
    if hashes.len() > MAX_HASHES {
        return Err(AdminError::bad(format!(
            "hashes must be at most {MAX_HASHES}"
        )));
    }
    let mut decoded = Vec::with_capacity(hashes.len());
    for text in &hashes {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map_err(|_| {
            AdminError::bad(format!("{text:?} is not a hash of 64 hexadecimal digits"))
        })?;
        decoded.push(hash);
    }
    blocking(move || {
        let fates = app.node.fates(&decoded);
        let told = fates.into_iter().map(TransactionFate::from);
        Ok(Told {
            fates: hashes.into_iter().zip(told).collect(),
        })
    })
    .await
}
