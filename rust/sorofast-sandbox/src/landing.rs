//! What is answered where no interface is: a page that says what there is, and the paths of Horizon,
//! which is not simulated.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{header, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::Json;

use crate::app::App;

const SERVICE: &str = "horizon";
const NO_HORIZON: &str = "Horizon is not simulated: this is a Stellar RPC server with friendbot. \
                          Use JSON-RPC at /rpc, and /friendbot?addr=G… for accounts";

/// First segments of Horizon's paths.
const HORIZON: [&str; 17] = [
    "accounts",
    "assets",
    "claimable_balances",
    "effects",
    "fee_stats",
    "ledgers",
    "liquidity_pools",
    "offers",
    "operations",
    "order_book",
    "orderbook",
    "paths",
    "payments",
    "trade_aggregations",
    "trades",
    "transactions",
    "transactions_async",
];

/// `GET /`, where tools look for Horizon and people for anything at all.
pub(crate) async fn show(State(app): State<Arc<App>>) -> Response {
    Json(serde_json::json!({
        "name": "sorofast-sandbox",
        "version": env!("CARGO_PKG_VERSION"),
        "network_passphrase": app.node.config().network_passphrase,
        "latest_ledger": app.node.latest().sequence,
        "rpc": "/rpc",
        "friendbot": "/friendbot",
        "admin": "/admin",
        "horizon": NO_HORIZON,
    }))
    .into_response()
}

/// Every path that nothing else answers.
pub(crate) async fn nothing_here(uri: Uri) -> Response {
    let first = uri.path().split('/').nth(1).unwrap_or_default();
    if HORIZON.contains(&first) {
        return problem(SERVICE, StatusCode::NOT_IMPLEMENTED, NO_HORIZON, None);
    }
    problem(
        SERVICE,
        StatusCode::NOT_FOUND,
        "there is nothing here; JSON-RPC is at /rpc, friendbot at /friendbot",
        None,
    )
}

/// A refusal in the form that Horizon and friendbot have in common; `extras` say more of it.
pub(crate) fn problem(
    service: &str,
    status: StatusCode,
    detail: &str,
    extras: Option<serde_json::Value>,
) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let name = title.to_ascii_lowercase().replace(' ', "_");
    let mut body = serde_json::json!({
        "type": format!("https://stellar.org/{service}-errors/{name}"),
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    });
    if let Some(extras) = extras {
        body["extras"] = extras;
    }
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json; charset=utf-8"),
    );
    response
}
