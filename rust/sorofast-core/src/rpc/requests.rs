//! Request bodies of the calls made every ledger.

use std::io::Write as _;

use thiserror::Error;

use crate::base64;
use crate::registry::{counter_key, instance_key, task_key};
use crate::strkey;
use crate::types::{AccountKey, ContractId, Ledger, TaskId};

/// Keys one getLedgerEntries call may ask for.
pub const KEYS_MOST: usize = 200;
const EVENTS_MOST: u32 = 10_000;
const CURSOR_LONGEST: usize = 128;

/// A request that the RPC would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestError {
    /// More keys than a call takes.
    #[error("{0} keys in one call, at most 200 are allowed")]
    TooManyKeys(usize),
    /// The node fails on these.
    #[error("a key appears twice in one call")]
    DuplicateKey,
    /// Outside 1 to 10,000.
    #[error("{0} events in one call, 1 to 10000 are allowed")]
    EventLimit(u32),
    /// Not what a node hands out.
    #[error("the cursor is not one that a node hands out")]
    Cursor,
}

/// Where a getEvents call starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From<'a> {
    /// At a ledger, inclusive.
    Ledger(Ledger),
    /// Behind an earlier page.
    Cursor(&'a str),
}

struct Keys {
    body: Vec<u8>,
    first: bool,
}

impl Keys {
    fn new(request_id: u64, keys: usize) -> Self {
        let mut body = Vec::with_capacity(96 + keys * 112);
        // Writing to a vector cannot fail.
        let _ = write!(
            body,
            r#"{{"jsonrpc":"2.0","id":{request_id},"method":"getLedgerEntries","params":{{"keys":["#
        );
        Self { body, first: true }
    }

    fn push(&mut self, key: &[u8]) {
        if !self.first {
            self.body.push(b',');
        }
        self.first = false;
        self.body.push(b'"');
        base64::encode_into(key, &mut self.body);
        self.body.push(b'"');
    }

    fn finish(mut self) -> Vec<u8> {
        self.body.extend_from_slice(b"]}}");
        self.body
    }
}

fn has_twins<T: Ord + Clone>(items: &[T]) -> bool {
    let mut sorted = items.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

/// A body that asks for tasks and accounts.
pub fn entries_request(
    request_id: u64,
    contract: &ContractId,
    tasks: &[TaskId],
    accounts: &[AccountKey],
) -> Result<Vec<u8>, RequestError> {
    let count = tasks.len() + accounts.len();
    if count > KEYS_MOST {
        return Err(RequestError::TooManyKeys(count));
    }
    if has_twins(tasks) || has_twins(&accounts.iter().map(|account| account.0).collect::<Vec<_>>())
    {
        return Err(RequestError::DuplicateKey);
    }
    let mut keys = Keys::new(request_id, count);
    let mut key = task_key(contract, TaskId(0));
    let hole = key.len() - 12..key.len() - 4;
    for task in tasks {
        key[hole.clone()].copy_from_slice(&task.0.to_be_bytes());
        keys.push(&key);
    }
    // LedgerKey of an account: kind 0, key type 0.
    let mut key = [0; 40];
    for account in accounts {
        key[8..].copy_from_slice(&account.0);
        keys.push(&key);
    }
    Ok(keys.finish())
}

/// A body that asks for the registry's counter and instance.
#[must_use]
pub fn registry_request(request_id: u64, contract: &ContractId) -> Vec<u8> {
    let mut keys = Keys::new(request_id, 2);
    keys.push(&counter_key(contract));
    keys.push(&instance_key(contract));
    keys.finish()
}

/// A body that asks for a contract's events.
pub fn events_request(
    request_id: u64,
    contract: &ContractId,
    from: From<'_>,
    limit: u32,
) -> Result<Vec<u8>, RequestError> {
    if !(1..=EVENTS_MOST).contains(&limit) {
        return Err(RequestError::EventLimit(limit));
    }
    let address = strkey::encode(strkey::Kind::Contract, &contract.0);
    let (start, page) = match from {
        From::Ledger(ledger) => (format!(r#""startLedger":{},"#, ledger.0), String::new()),
        From::Cursor(cursor) => {
            let plain = cursor
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
            if cursor.is_empty() || cursor.len() > CURSOR_LONGEST || !plain {
                return Err(RequestError::Cursor);
            }
            (String::new(), format!(r#""cursor":"{cursor}","#))
        }
    };
    let filters = format!(r#"[{{"type":"contract","contractIds":["{address}"]}}]"#);
    let params =
        format!(r#"{{{start}"filters":{filters},"pagination":{{{page}"limit":{limit}}}}}"#);
    Ok(
        format!(r#"{{"jsonrpc":"2.0","id":{request_id},"method":"getEvents","params":{params}}}"#)
            .into_bytes(),
    )
}
