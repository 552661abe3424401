//! Raw ledger entries from outside, for seeding.

use std::sync::Arc;

use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};

use super::{blocking, read_json, AdminError, AdminResult};
use crate::app::App;
use crate::rpc::format::from_base64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Base64 of a `LedgerEntry`.
    xdr: String,
    /// Required for contract data and code, absent for all others.
    live_until: Option<u32>,
}

#[derive(Debug, Serialize)]
pub(super) struct Put {
    count: usize,
}

/// Puts all of the entries into the state, or none.
pub(super) async fn put(State(app): State<Arc<App>>, request: Request) -> AdminResult<Put> {
    let Entries { entries } = read_json(request).await?;
    blocking(move || {
        let entries = entries
            .into_iter()
            .enumerate()
            .map(|(index, entry)| match from_base64(&entry.xdr) {
                Some(xdr) => Ok((xdr, entry.live_until)),
                None => Err(AdminError::bad(format!(
                    "entries[{index}].xdr is not base64"
                ))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Put {
            count: app.node.put_entries(entries)?,
        })
    })
    .await
}
