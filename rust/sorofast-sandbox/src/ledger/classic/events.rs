//! Events that classic operations emit for the assets they move, as the assets' contracts would.

use crate::crypto::sha256;
use crate::ledger::events::{amount, encode, symbol, text};
use stellar_xdr::{
    AccountId, Asset, ContractIdPreimage, Hash, HashIdPreimage, HashIdPreimageContractId, Limits,
    Memo, MuxedAccount, PublicKey, ScAddress, ScBytes, ScMap, ScMapEntry, ScString, ScVal, StringM,
    Uint256, WriteXdr,
};

/// Events of one asset in one transaction.
#[derive(Debug)]
pub struct AssetEvents<'a> {
    asset: &'a Asset,
    memo: &'a Memo,
    contract: [u8; 32],
}

/// Contract id of an asset on a network.
pub fn asset_contract(network_id: &[u8; 32], asset: &Asset) -> [u8; 32] {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(*network_id),
        contract_id_preimage: ContractIdPreimage::Asset(asset.clone()),
    });
    sha256(&preimage.to_xdr(Limits::none()).unwrap_or_default())
}

pub fn issuer(asset: &Asset) -> Option<&AccountId> {
    match asset {
        Asset::Native => None,
        Asset::CreditAlphanum4(asset) => Some(&asset.issuer),
        Asset::CreditAlphanum12(asset) => Some(&asset.issuer),
    }
}

/// The address with the id that a muxed account carries.
pub fn address(account: &MuxedAccount) -> ScAddress {
    match account {
        MuxedAccount::Ed25519(key) => ScAddress::Account(key_account(key)),
        MuxedAccount::MuxedEd25519(muxed) => {
            ScAddress::MuxedAccount(stellar_xdr::MuxedEd25519Account {
                id: muxed.id,
                ed25519: muxed.ed25519.clone(),
            })
        }
    }
}

fn key_account(key: &Uint256) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(key.clone()))
}

impl<'a> AssetEvents<'a> {
    pub fn new(network_id: &[u8; 32], memo: &'a Memo, asset: &'a Asset) -> Self {
        Self {
            asset,
            memo,
            contract: asset_contract(network_id, asset),
        }
    }

    pub fn moved(&self, from: &ScAddress, to: &ScAddress, stroops: i64) -> Vec<u8> {
        match (self.is_issuer(from), self.is_issuer(to)) {
            (true, false) => {
                self.event("mint", vec![plain(to)], self.with_destination(to, stroops))
            }
            (false, true) => self.event("burn", vec![plain(from)], amount(stroops)),
            _ => self.event(
                "transfer",
                vec![plain(from), plain(to)],
                self.with_destination(to, stroops),
            ),
        }
    }

    pub fn clawed_back(&self, from: &ScAddress, stroops: i64) -> Vec<u8> {
        self.event("clawback", vec![plain(from)], amount(stroops))
    }

    pub fn authorized(&self, account: &AccountId, authorized: bool) -> Vec<u8> {
        let account = ScVal::Address(ScAddress::Account(account.clone()));
        self.event("set_authorized", vec![account], ScVal::Bool(authorized))
    }

    fn event(&self, name: &str, parties: Vec<ScVal>, data: ScVal) -> Vec<u8> {
        let mut topics = vec![symbol(name)];
        topics.extend(parties);
        topics.push(ScVal::String(ScString(text(&self.name()))));
        encode(&self.contract, topics, data)
    }

    /// `native`, or code and issuer.
    fn name(&self) -> String {
        let (code, issuer) = match self.asset {
            Asset::Native => return "native".into(),
            Asset::CreditAlphanum4(asset) => (asset.asset_code.as_slice(), &asset.issuer),
            Asset::CreditAlphanum12(asset) => (asset.asset_code.as_slice(), &asset.issuer),
        };
        let code = String::from_utf8_lossy(code);
        let PublicKey::PublicKeyTypeEd25519(Uint256(key)) = &issuer.0;
        let issuer = stellar_strkey::ed25519::PublicKey(*key);
        format!("{}:{issuer}", code.trim_end_matches('\0'))
    }

    fn is_issuer(&self, address: &ScAddress) -> bool {
        let account = match address {
            ScAddress::Account(account) => account.clone(),
            ScAddress::MuxedAccount(muxed) => key_account(&muxed.ed25519),
            _ => return false,
        };
        issuer(self.asset) == Some(&account)
    }

    /// The amount, with the id that the destination or else the memo gives.
    fn with_destination(&self, to: &ScAddress, stroops: i64) -> ScVal {
        let muxed_id = match (to, self.memo) {
            (ScAddress::MuxedAccount(muxed), _) => ScVal::U64(muxed.id),
            (ScAddress::Account(_), Memo::Id(id)) => ScVal::U64(*id),
            (ScAddress::Account(_), Memo::Text(memo)) => ScVal::String(ScString(
                StringM::try_from(memo.as_slice().to_vec()).unwrap_or_default(),
            )),
            (ScAddress::Account(_), Memo::Hash(hash) | Memo::Return(hash)) => {
                ScVal::Bytes(ScBytes(hash.0.to_vec().try_into().unwrap_or_default()))
            }
            _ => return amount(stroops),
        };
        let entry = |key, val| ScMapEntry {
            key: symbol(key),
            val,
        };
        let entries = vec![
            entry("amount", amount(stroops)),
            entry("to_muxed_id", muxed_id),
        ];
        ScVal::Map(Some(ScMap(entries.try_into().unwrap_or_default())))
    }
}

/// An address without the id that it may carry.
fn plain(address: &ScAddress) -> ScVal {
    ScVal::Address(match address {
        ScAddress::MuxedAccount(muxed) => ScAddress::Account(key_account(&muxed.ed25519)),
        other => other.clone(),
    })
}
