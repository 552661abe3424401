//! `getFeeStats`: inclusion fees that were paid lately.

use crate::node::{FeeDistribution, View};
use serde::Serialize;

use super::format::as_string;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    soroban_inclusion_fee: Distribution,
    inclusion_fee: Distribution,
    latest_ledger: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Distribution {
    #[serde(serialize_with = "as_string")]
    max: u64,
    #[serde(serialize_with = "as_string")]
    min: u64,
    #[serde(serialize_with = "as_string")]
    mode: u64,
    #[serde(flatten)]
    percentiles: serde_json::Map<String, serde_json::Value>,
    #[serde(serialize_with = "as_string")]
    transaction_count: u32,
    ledger_count: u32,
}

const PERCENTILES: [&str; 11] = [
    "p10", "p20", "p30", "p40", "p50", "p60", "p70", "p80", "p90", "p95", "p99",
];

impl From<FeeDistribution> for Distribution {
    fn from(fees: FeeDistribution) -> Self {
        Self {
            max: fees.max,
            min: fees.min,
            mode: fees.mode,
            percentiles: PERCENTILES
                .iter()
                .zip(fees.percentiles)
                .map(|(name, fee)| ((*name).to_owned(), fee.to_string().into()))
                .collect(),
            transaction_count: fees.transaction_count,
            ledger_count: fees.ledger_count,
        }
    }
}

pub(crate) fn call(view: &View<'_>) -> Response {
    let stats = view.fee_stats();
    Response {
        soroban_inclusion_fee: stats.soroban_inclusion_fee.into(),
        inclusion_fee: stats.inclusion_fee.into(),
        latest_ledger: stats.latest_ledger,
    }
}
