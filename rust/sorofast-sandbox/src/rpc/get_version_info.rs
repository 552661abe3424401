//! `getVersionInfo`: what answers here.

use crate::node::View;
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    version: &'static str,
    commit_hash: &'static str,
    build_timestamp: &'static str,
    captive_core_version: &'static str,
    protocol_version: u32,
}

pub(crate) fn call(view: &View<'_>) -> Response {
    Response {
        version: concat!("sorofast-sandbox ", env!("CARGO_PKG_VERSION")),
        // Builds are meant to be reproducible, so neither is known to them.
        commit_hash: "",
        build_timestamp: "",
        captive_core_version: "none (soroban-env-host 30.0.0)",
        // Of the newest ledger, not of the host.
        protocol_version: view.latest().protocol_version(),
    }
}
