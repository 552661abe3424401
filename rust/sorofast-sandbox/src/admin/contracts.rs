//! The embedded contracts, for whoever deploys them.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::{AdminError, WASM};
use crate::contracts;

/// `NAME.wasm` as bytes.
pub(super) async fn wasm(Path(file): Path<String>) -> Response {
    match file.strip_suffix(".wasm").and_then(contracts::wasm) {
        Some(wasm) => (WASM, wasm).into_response(),
        None => AdminError {
            status: StatusCode::NOT_FOUND,
            message: format!(
                "there is no {file:?}; there are {} (with .wasm)",
                contracts::names().collect::<Vec<_>>().join(", ")
            ),
        }
        .into_response(),
    }
}
