//! Background traffic: other people's transactions, which compete for what a ledger can hold.

use serde::{Deserialize, Serialize};

const MAX_ACCOUNTS: u32 = 2_000;
const MAX_FILL: f64 = 10.0;
/// A hundred lumens for one transaction are a surge by any measure.
const MAX_BID_STROOPS: u32 = 1_000_000_000;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficPlan {
    #[serde(default)]
    pub kind: TrafficKind,
    #[serde(default = "default_accounts")]
    pub accounts: u32,
    /// Transactions offered per ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_ledger: Option<u32>,
    /// The same as a share of what a ledger can hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<f64>,
    /// Lowest and highest bid for inclusion.
    #[serde(default = "default_bids")]
    pub bid_stroops: [u32; 2],
    /// Instructions that a call declares.
    #[serde(default = "default_instructions")]
    pub instructions: u32,
    /// Every call writes the same entry, so that none can run beside another.
    #[serde(default)]
    pub conflicting: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ledger: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ledger: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrafficKind {
    /// Calls of a contract, for the Soroban part of the ledger.
    #[default]
    Contract,
    /// Payments, for the classic part.
    Payments,
}

fn default_accounts() -> u32 {
    100
}

fn default_bids() -> [u32; 2] {
    [100, 10_000]
}

fn default_instructions() -> u32 {
    20_000_000
}

impl TrafficPlan {
    /// The share of a ledger that is offered unless a number is given: more than fits.
    pub fn fill(&self) -> f64 {
        self.fill.unwrap_or(1.5)
    }

    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_ACCOUNTS).contains(&self.accounts) {
            return Err(format!("accounts must be between 1 and {MAX_ACCOUNTS}"));
        }
        if self.per_ledger.is_some() && self.fill.is_some() {
            return Err("per_ledger and fill cannot both be given".into());
        }
        if self
            .fill
            .is_some_and(|fill| !(0.0..=MAX_FILL).contains(&fill))
        {
            return Err(format!("fill must be between 0 and {MAX_FILL}"));
        }
        let [low, high] = self.bid_stroops;
        if low < 100 || low > high || high > MAX_BID_STROOPS {
            return Err(format!(
                "bid_stroops must be two numbers from 100 to {MAX_BID_STROOPS}, the lower one first"
            ));
        }
        if self.instructions == 0 {
            return Err("instructions must be at least 1".into());
        }
        super::check_window(self.from_ledger, self.until_ledger, None, None)
    }
}
