//! `getLedgerEntries`: up to 200 entries from one and the same ledger.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sorofast_sandbox::node::View;
use stellar_xdr::{LedgerKey, ReadXdr};

use super::error::RpcError;
use super::format::{base64, from_base64, require_base64, xdr_limits};

const MAX_KEYS: usize = 200;
const MAX_KEY_BYTES: usize = 16 * 1024;
/// XDR of a `LedgerEntryExt` of version 0, which every entry of this ledger has.
const EMPTY_EXTENSION: [u8; 4] = [0; 4];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    keys: Option<Vec<String>>,
    xdr_format: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    entries: Vec<Entry>,
    latest_ledger: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    key: String,
    xdr: String,
    last_modified_ledger_seq: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    live_until_ledger_seq: Option<u32>,
    ext_xdr: String,
}

/// # Errors
/// `-32602` for too many keys, keys that are not `LedgerKey`s and keys of TTL entries; `-32603` for
/// a key given twice, which the real server's core fails on.
pub(crate) fn call(view: &View<'_>, request: &Request) -> Result<Response, RpcError> {
    require_base64(request.xdr_format.as_deref())?;
    let keys = read_keys(request.keys.as_deref().unwrap_or_default())?;
    let read = view.entries(&keys);
    let entries = read
        .entries
        .iter()
        .map(|entry| Entry {
            key: base64(&entry.key_xdr),
            xdr: base64(entry.data_xdr()),
            last_modified_ledger_seq: entry.last_modified,
            live_until_ledger_seq: entry.live_until,
            ext_xdr: base64(EMPTY_EXTENSION),
        })
        .collect();
    Ok(Response {
        entries,
        latest_ledger: read.latest_ledger,
    })
}

fn read_keys(keys: &[String]) -> Result<Vec<Vec<u8>>, RpcError> {
    if keys.len() > MAX_KEYS {
        return Err(RpcError::params(format!(
            "key count ({}) exceeds maximum supported ({MAX_KEYS})",
            keys.len()
        )));
    }
    let mut seen = HashSet::with_capacity(keys.len());
    let mut decoded = Vec::with_capacity(keys.len());
    for (index, key) in keys.iter().enumerate() {
        let bytes = read_key(key, index)?;
        if !seen.insert(bytes.clone()) {
            return Err(RpcError::internal(format!(
                "could not query the entries: the key at index {index} is a duplicate"
            )));
        }
        decoded.push(bytes);
    }
    Ok(decoded)
}

fn read_key(key: &str, index: usize) -> Result<Vec<u8>, RpcError> {
    let unreadable =
        || RpcError::params(format!("cannot unmarshal key value {key} at index {index}"));
    let bytes = from_base64(key)
        .filter(|bytes| bytes.len() <= MAX_KEY_BYTES)
        .ok_or_else(unreadable)?;
    match LedgerKey::from_xdr(&bytes, xdr_limits(&bytes)) {
        Ok(LedgerKey::Ttl(_)) => Err(RpcError::params(
            "ledger ttl entries cannot be queried directly",
        )),
        Ok(_) => Ok(bytes),
        Err(_) => Err(unreadable()),
    }
}

#[cfg(test)]
mod tests {
    use stellar_xdr::{
        AccountId, Hash, LedgerKeyAccount, LedgerKeyTtl, Limits, PublicKey, Uint256, WriteXdr,
    };

    use super::super::error::{INTERNAL_ERROR, INVALID_PARAMS};
    use super::*;

    fn account_key(byte: u8) -> String {
        let account_id = AccountId(PublicKey::PublicKeyTypeEd25519(Uint256([byte; 32])));
        let key = LedgerKey::Account(LedgerKeyAccount { account_id });
        base64(key.to_xdr(Limits::none()).expect("a key"))
    }

    fn refusal(keys: &[String]) -> RpcError {
        read_keys(keys).expect_err("refused")
    }

    #[test]
    fn two_hundred_keys_are_the_limit() {
        let keys: Vec<String> = (0..=200).map(account_key).collect();
        assert_eq!(read_keys(&keys[..200]).expect("taken").len(), 200);
        let error = refusal(&keys);
        assert_eq!(error.code, INVALID_PARAMS);
        assert_eq!(
            error.message,
            "key count (201) exceeds maximum supported (200)"
        );
    }

    #[test]
    fn a_duplicate_is_an_internal_error() {
        let error = refusal(&[account_key(1), account_key(2), account_key(1)]);
        assert_eq!(error.code, INTERNAL_ERROR);
        assert!(error.message.contains("index 2"), "{}", error.message);
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        let ttl = LedgerKey::Ttl(LedgerKeyTtl {
            key_hash: Hash([0; 32]),
        });
        let trailing = format!("{}AAAA", account_key(1));
        for wrong in [
            "not base64!".to_owned(),
            "AAAA".to_owned(),
            trailing,
            base64(ttl.to_xdr(Limits::none()).expect("a key")),
        ] {
            assert_eq!(refusal(&[wrong]).code, INVALID_PARAMS);
        }
    }
}
