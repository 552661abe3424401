//! `getLedgerEntries`: up to 200 entries from one and the same ledger.

use std::collections::HashSet;

use crate::node::{EntryView, View};
use serde::{Deserialize, Serialize};
use stellar_xdr::{LedgerEntryData, LedgerEntryExt, LedgerKey, ReadXdr};

use super::error::RpcError;
use super::format::{from_base64, xdr_limits, Format, Tree};

const MAX_KEYS: usize = 200;
const MAX_KEY_BYTES: usize = 16 * 1024;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_json: Option<Tree>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xdr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_json: Option<Tree>,
    last_modified_ledger_seq: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    live_until_ledger_seq: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ext_xdr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ext_json: Option<Tree>,
}

/// # Errors
/// `-32602` for too many keys, keys that are not `LedgerKey`s and keys of TTL entries; `-32603` for
/// a key given twice and for no keys at all, which the real server's core fails on.
pub(crate) fn call(view: &View<'_>, request: &Request) -> Result<Response, RpcError> {
    let format = Format::param(request.xdr_format.as_deref())?;
    let keys = read_keys(request.keys.as_deref().unwrap_or_default())?;
    let read = view.entries(&keys);
    let entries = read
        .entries
        .iter()
        .map(|entry| show(entry, format))
        .collect::<Result<_, _>>()?;
    Ok(Response {
        entries,
        latest_ledger: read.latest_ledger,
    })
}

fn show(entry: &EntryView, format: Format) -> Result<Entry, RpcError> {
    let (key, key_json) = format.one::<LedgerKey>(&entry.key_xdr)?;
    let (xdr, data_json) = format.one::<LedgerEntryData>(entry.data_xdr())?;
    let (ext_xdr, ext_json) = format.one::<LedgerEntryExt>(entry.ext_xdr())?;
    Ok(Entry {
        key,
        key_json,
        xdr,
        data_json,
        last_modified_ledger_seq: entry.last_modified,
        live_until_ledger_seq: entry.live_until,
        ext_xdr,
        ext_json,
    })
}

fn read_keys(keys: &[String]) -> Result<Vec<Vec<u8>>, RpcError> {
    if keys.len() > MAX_KEYS {
        return Err(RpcError::params(format!(
            "key count ({}) exceeds maximum supported ({MAX_KEYS})",
            keys.len()
        )));
    }
    let decoded = keys
        .iter()
        .enumerate()
        .map(|(index, key)| read_key(key, index))
        .collect::<Result<Vec<_>, _>>()?;
    let distinct: HashSet<&Vec<u8>> = decoded.iter().collect();
    let core_fails =
        |reason: &str| RpcError::internal(format!("could not query captive core: {reason}"));
    if decoded.is_empty() {
        return Err(core_fails("no keys specified in request"));
    }
    if distinct.len() < decoded.len() {
        return Err(core_fails(
            "http request failed with non-200 status code (404)",
        ));
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
    use super::super::format::base64;
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
        assert_eq!(
            error.message,
            "could not query captive core: http request failed with non-200 status code (404)"
        );
    }

    #[test]
    fn no_key_is_an_internal_error() {
        let error = refusal(&[]);
        assert_eq!(error.code, INTERNAL_ERROR);
        assert_eq!(
            error.message,
            "could not query captive core: no keys specified in request"
        );
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
