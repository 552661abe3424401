//! `getVersionInfo`: what answers here.

use crate::node::PROTOCOL_VERSION;
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

pub(crate) fn call() -> Response {
    Response {
        version: concat!("sorofast-sandbox ", env!("CARGO_PKG_VERSION")),
        // Builds are meant to be reproducible, so neither is known to them.
        commit_hash: "",
        build_timestamp: "",
        captive_core_version: "none (soroban-env-host 30.0.0)",
        protocol_version: PROTOCOL_VERSION,
    }
}
