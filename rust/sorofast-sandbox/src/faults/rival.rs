//! A rival keeper: it executes due tasks of a registry from accounts of its own.

use serde::{Deserialize, Serialize};

const MAX_ACCOUNTS: u32 = 50;
const MAX_DELAY_LEDGERS: u32 = 1_000;
const MAX_BID_STROOPS: u32 = 1_000_000_000;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RivalPlan {
    /// The registry's address.
    pub registry: String,
    /// How many transactions it can have in a ledger: one per account.
    #[serde(default = "default_accounts")]
    pub accounts: u32,
    /// The share of the due tasks that it goes for.
    #[serde(default = "all")]
    pub share: f64,
    /// Tasks that it tries per ledger; no more than it has accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_ledger: Option<u32>,
    /// It waits so long once a task is due.
    #[serde(default)]
    pub delay_ledgers: u32,
    #[serde(default = "default_bid")]
    pub bid_stroops: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ledger: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ledger: Option<u32>,
}

fn default_accounts() -> u32 {
    5
}

fn all() -> f64 {
    1.0
}

fn default_bid() -> u32 {
    100
}

impl RivalPlan {
    pub fn check(&self) -> Result<(), String> {
        if self.contract().is_none() {
            return Err(format!(
                "registry must be a contract's address (C…), not {:?}",
                self.registry
            ));
        }
        if !(1..=MAX_ACCOUNTS).contains(&self.accounts) {
            return Err(format!("accounts must be between 1 and {MAX_ACCOUNTS}"));
        }
        if !(0.0..=1.0).contains(&self.share) {
            return Err("share must be between 0 and 1".into());
        }
        if self.delay_ledgers > MAX_DELAY_LEDGERS {
            return Err(format!("delay_ledgers must be at most {MAX_DELAY_LEDGERS}"));
        }
        if !(100..=MAX_BID_STROOPS).contains(&self.bid_stroops) {
            return Err(format!(
                "bid_stroops must be between 100 and {MAX_BID_STROOPS}"
            ));
        }
        super::check_window(self.from_ledger, self.until_ledger, None, None)
    }

    /// Tasks that it tries per ledger.
    pub fn tries(&self) -> u32 {
        self.per_ledger
            .map_or(self.accounts, |tries| tries.min(self.accounts))
    }

    pub fn contract(&self) -> Option<[u8; 32]> {
        stellar_strkey::Contract::from_string(&self.registry)
            .ok()
            .map(|contract| contract.0)
    }
}
