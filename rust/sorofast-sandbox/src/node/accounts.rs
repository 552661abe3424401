//! Who has the lumens: the accounts that everybody may use, and the sum of it all.

use super::{locked, readable, Node, Origin, Visible};
use crate::ledger::account::account_key;
use crate::ledger::genesis::PublicPair;
use crate::ledger::state::Stored;
use std::sync::Arc;

/// An account whose key everybody may know.
#[derive(Clone, Copy, Debug)]
pub struct AccountView {
    pub seed: [u8; 32],
    pub id: [u8; 32],
    /// None when the account has been merged away.
    pub balance_stroops: Option<i64>,
}

/// Where all lumens are, in stroops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoinAudit {
    /// Balances and fee pool together.
    pub counted: i64,
    /// What the header says there are.
    pub recorded: i64,
    pub fee_pool: i64,
}

impl Node {
    /// The numbered accounts in order, all as of the same ledger.
    pub fn accounts(&self) -> Vec<AccountView> {
        let visible = readable(&self.visible);
        account_views(&visible, &visible.origin.accounts)
    }

    /// The account that had all lumens in the beginning; its seed is the network's id.
    pub fn root_account(&self) -> Option<AccountView> {
        let root = PublicPair {
            seed: self.keys.network_id,
            id: self.keys.master,
        };
        account_views(&readable(&self.visible), &[root]).pop()
    }

    /// What was there in the first ledger of the chain.
    pub fn origin(&self) -> Arc<Origin> {
        Arc::clone(&readable(&self.visible).origin)
    }

    /// Counts all lumens. Walks the whole state.
    pub fn audit(&self) -> CoinAudit {
        let closing = locked(&self.closing);
        let fee_pool = closing.tip.header.fee_pool;
        let visible = readable(&self.visible);
        CoinAudit {
            counted: i64::try_from(visible.state.coins(&self.native) + i128::from(fee_pool))
                .unwrap_or(i64::MAX),
            recorded: visible.total_coins,
            fee_pool,
        }
    }

    /// Sum of all balances and the fee pool, for checking that no lumen is made or lost: (counted, recorded).
    pub fn audit_coins(&self) -> (i64, i64) {
        let audit = self.audit();
        (audit.counted, audit.recorded)
    }
}

fn account_views(visible: &Visible, pairs: &[PublicPair]) -> Vec<AccountView> {
    pairs
        .iter()
        .map(|pair| AccountView {
            seed: pair.seed,
            id: pair.id,
            balance_stroops: visible
                .state
                .get(&account_key(&pair.id))
                .map(Stored::balance),
        })
        .collect()
}
