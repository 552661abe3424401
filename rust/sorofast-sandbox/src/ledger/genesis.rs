//! The first ledger: network settings, the master account and the one that friendbot spends from.

use crate::crypto::{public_key, sha256, sha256_parts};
use crate::ledger::account::{account_key, encode, new_account, starting_sequence};
use crate::ledger::header::TOTAL_COINS;
use crate::ledger::settings::Settings;
use crate::ledger::state::{Changes, Key, Stored};
use stellar_xdr::{LedgerEntry, LedgerEntryData, LedgerEntryExt, Limits, WriteXdr};

/// What friendbot's account starts with: ten billion lumens.
const FRIENDBOT_STROOPS: i64 = 100_000_000_000_000_000;
/// What each numbered account starts with: ten thousand lumens.
pub const ACCOUNT_STROOPS: i64 = 100_000_000_000;

/// Keys that follow from the passphrase alone.
#[derive(Debug)]
pub struct Keys {
    pub network_id: [u8; 32],
    /// The network id is also the seed of the master account.
    pub master: [u8; 32],
    pub friendbot_seed: [u8; 32],
    pub friendbot: [u8; 32],
    pub node_seed: [u8; 32],
}

/// A key pair that everybody may know.
#[derive(Clone, Copy, Debug)]
pub struct PublicPair {
    pub seed: [u8; 32],
    pub id: [u8; 32],
}

impl Keys {
    pub fn of(passphrase: &str) -> Option<Self> {
        let network_id = sha256(passphrase.as_bytes());
        let friendbot_seed = sha256_parts(&[b"sorofast-sandbox friendbot", &network_id]);
        Some(Self {
            network_id,
            master: public_key(&network_id)?,
            friendbot_seed,
            friendbot: public_key(&friendbot_seed)?,
            node_seed: sha256_parts(&[b"sorofast-sandbox node", &network_id]),
        })
    }

    /// The numbered accounts. Seed: SHA-256 of `sorofast-sandbox account `, the number in decimal, a space and the network
    /// id. They are no secret.
    pub fn accounts(&self, count: u32) -> Option<Vec<PublicPair>> {
        (0..count)
            .map(|index| {
                let label = format!("sorofast-sandbox account {index} ");
                let seed = sha256_parts(&[label.as_bytes(), &self.network_id]);
                let id = public_key(&seed)?;
                Some(PublicPair { seed, id })
            })
            .collect()
    }
}

/// Every entry of ledger 1.
pub fn entries(keys: &Keys, settings: &Settings, accounts: &[PublicPair]) -> Changes {
    let mut changes = Changes::new();
    let friendbot = new_account(&keys.friendbot, FRIENDBOT_STROOPS, starting_sequence(1));
    let given = FRIENDBOT_STROOPS + accounts.iter().map(|_| ACCOUNT_STROOPS).sum::<i64>();
    let master = new_account(&keys.master, TOTAL_COINS - given, 0);
    for account in accounts {
        let entry = new_account(&account.id, ACCOUNT_STROOPS, starting_sequence(1));
        changes.insert(account_key(&account.id), Some(encode(entry, 1)));
    }
    changes.insert(account_key(&keys.friendbot), Some(encode(friendbot, 1)));
    changes.insert(account_key(&keys.master), Some(encode(master, 1)));
    for setting in settings.entries() {
        let entry = LedgerEntry {
            last_modified_ledger_seq: 1,
            data: LedgerEntryData::ConfigSetting(setting),
            ext: LedgerEntryExt::V0,
        };
        let key = entry.to_key().to_xdr(Limits::none()).unwrap_or_default();
        let xdr = entry.to_xdr(Limits::none()).unwrap_or_default();
        changes.insert(Key::from(key), Some(Stored::classic(xdr)));
    }
    changes
}
