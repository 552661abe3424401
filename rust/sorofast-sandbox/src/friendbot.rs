//! Friendbot: creates funded accounts by real transactions of a real account.
//!
//! That account can have one transaction per ledger, so whoever asks while one is on its way shares
//! the next: up to a hundred accounts go into one transaction.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::signature::Ed25519KeyPair;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use sorofast_sandbox::node::{Node, SubmitStatus, TransactionRecord};
use stellar_xdr::{
    AccountId, CreateAccountOp, DecoratedSignature, Hash, LedgerEntry, LedgerEntryData, LedgerKey,
    LedgerKeyAccount, Limits, Memo, MuxedAccount, Operation, OperationBody, Preconditions,
    PublicKey, ReadXdr, SequenceNumber, Signature, SignatureHint, Transaction, TransactionEnvelope,
    TransactionExt, TransactionSignaturePayload, TransactionSignaturePayloadTaggedTransaction,
    TransactionV1Envelope, Uint256, WriteXdr,
};
use tokio::sync::{mpsc, oneshot};

use crate::address;
use crate::app::App;
use crate::http::{read_body, with_cors};
use crate::rpc::format::base64;
use crate::utc::rfc3339;

/// 10,000 XLM.
const STARTING_BALANCE_STROOPS: i64 = 100_000_000_000;
const FEE_PER_OPERATION_STROOPS: u32 = 100;
const ACCOUNTS_PER_TRANSACTION: usize = 100;
const MAX_WAITING: usize = 10_000;
/// Requests that arrive this close together share a transaction even when none is on its way.
const GATHER_TIME: Duration = Duration::from_millis(20);
/// A transaction not applied within so many ledgers has been dropped by the queue.
const MAX_LEDGERS: u32 = 10;
const ATTEMPTS: usize = 3;
const ANSWER_TIME: Duration = Duration::from_mins(1);
const FORM_BYTES: usize = 4 * 1024;

/// Handle to the task that sends the transactions.
#[derive(Debug)]
pub(crate) struct Friendbot {
    asks: mpsc::Sender<Ask>,
}

/// An account somebody waits for.
#[derive(Debug)]
struct Ask {
    account: [u8; 32],
    answer: oneshot::Sender<Result<Arc<TransactionRecord>, Refusal>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Refusal {
    AlreadyFunded,
    Failed(String),
}

impl Friendbot {
    /// Starts the task; it ends when the handle is dropped.
    pub(crate) fn start(node: Arc<Node>) -> Self {
        let (asks, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(work(node, waiting));
        Self { asks }
    }
}

/// `GET` or `POST /friendbot?addr=G…`; answers once the account exists.
pub(crate) async fn request(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let response = match parts.method {
        Method::GET | Method::POST => match read_address(parts.uri.query(), body).await {
            Ok(account) => fund(&app, account).await,
            Err(detail) => problem(StatusCode::BAD_REQUEST, &detail),
        },
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    with_cors(response)
}

/// The address comes in the query or, with POST, as a form.
async fn read_address(query: Option<&str>, body: Body) -> Result<[u8; 32], String> {
    let mut address = query.and_then(find_address).map(str::to_owned);
    if address.is_none() {
        let form = read_body(body, FORM_BYTES)
            .await
            .map_err(|refusal| refusal.to_string())?;
        address = std::str::from_utf8(&form)
            .ok()
            .and_then(find_address)
            .map(str::to_owned);
    }
    let address = address.ok_or("give the account to create as addr=G…")?;
    stellar_strkey::ed25519::PublicKey::from_string(&address)
        .map(|account| account.0)
        .map_err(|_| format!("{address:?} is not an account address (G…)"))
}

fn find_address(form: &str) -> Option<&str> {
    form.split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == "addr")
        .map(|(_, address)| address)
}

async fn fund(app: &App, account: [u8; 32]) -> Response {
    let (answer, answered) = oneshot::channel();
    if app
        .friendbot
        .asks
        .try_send(Ask { account, answer })
        .is_err()
    {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many accounts are being created; try again in a moment",
        );
    }
    match tokio::time::timeout(ANSWER_TIME, answered).await {
        Ok(Ok(Ok(record))) => Json(show(app, &record)).into_response(),
        Ok(Ok(Err(Refusal::AlreadyFunded))) => {
            // SDKs look for the operation's result code in this text.
            let account = address::account(account);
            problem(
                StatusCode::BAD_REQUEST,
                &format!("createAccountAlreadyExist: {account} is already funded"),
            )
        }
        Ok(Ok(Err(Refusal::Failed(reason)))) => problem(StatusCode::BAD_GATEWAY, &reason),
        Ok(Err(_)) => problem(StatusCode::SERVICE_UNAVAILABLE, "the sandbox is stopping"),
        Err(_) => problem(
            StatusCode::GATEWAY_TIMEOUT,
            "no ledger has closed over the transaction; with --ledger-close 0 ask \
             /admin/advance for one",
        ),
    }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
    });
    (status, Json(body)).into_response()
}

/// The transaction in the form that the public friendbot answers with.
fn show(app: &App, record: &TransactionRecord) -> serde_json::Value {
    let source = address::account(app.node.friendbot_account());
    serde_json::json!({
        "id": hex::encode(record.hash),
        "hash": hex::encode(record.hash),
        "successful": record.successful,
        "ledger": record.ledger,
        "created_at": rfc3339(record.close_time_s),
        "source_account": source,
        "fee_account": source,
        "fee_charged": record.fee_charged_stroops.to_string(),
        "envelope_xdr": base64(&record.envelope_xdr),
        "result_xdr": base64(&record.result_xdr),
        "result_meta_xdr": base64(&record.meta_xdr),
    })
}

async fn work(node: Arc<Node>, mut waiting: mpsc::Receiver<Ask>) {
    while let Some(first) = waiting.recv().await {
        tokio::time::sleep(GATHER_TIME).await;
        let mut asks = vec![first];
        while asks.len() < ACCOUNTS_PER_TRANSACTION {
            let Ok(ask) = waiting.try_recv() else { break };
            asks.push(ask);
        }
        serve_batch(&node, asks).await;
    }
}

async fn serve_batch(node: &Arc<Node>, mut asks: Vec<Ask>) {
    let mut failure = String::new();
    for _ in 0..ATTEMPTS {
        let (funded, missing): (Vec<_>, Vec<_>) = asks
            .into_iter()
            .partition(|ask| read_account(node, ask.account).is_some());
        for ask in funded {
            // Nobody may be waiting any more, here and below; the account exists all the same.
            let _ = ask.answer.send(Err(Refusal::AlreadyFunded));
        }
        asks = missing;
        if asks.is_empty() {
            return;
        }
        let mut accounts: Vec<_> = asks.iter().map(|ask| ask.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        match create(node, &accounts).await {
            Ok(record) if record.successful => {
                for ask in asks {
                    let _ = ask.answer.send(Ok(Arc::clone(&record)));
                }
                return;
            }
            // Somebody else may have created one of them meanwhile; look again.
            Ok(record) => {
                failure = format!("transaction {} failed", hex::encode(record.hash));
            }
            Err(reason) => failure = reason,
        }
    }
    for ask in asks {
        let _ = ask.answer.send(Err(Refusal::Failed(failure.clone())));
    }
}

/// Creates accounts with one transaction and waits until it is applied.
async fn create(node: &Arc<Node>, accounts: &[[u8; 32]]) -> Result<Arc<TransactionRecord>, String> {
    let sequence = read_account(node, node.friendbot_account())
        .ok_or("the friendbot account does not exist")?;
    let envelope = sign(node, create_accounts(node, accounts, sequence + 1)?)?;
    let first_seen = node.latest().sequence;
    let submitter = Arc::clone(node);
    let submission = tokio::task::spawn_blocking(move || submitter.submit(&envelope))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    match submission.status {
        SubmitStatus::Pending | SubmitStatus::Duplicate => {}
        refused @ (SubmitStatus::TryAgainLater | SubmitStatus::Error { .. }) => {
            node.wait_for_ledger(first_seen + 1).await;
            return Err(format!("the transaction was refused: {refused:?}"));
        }
    }
    loop {
        let latest = node.latest().sequence;
        if let Some(record) = node.transaction(&submission.hash).record {
            return Ok(record);
        }
        if latest > first_seen + MAX_LEDGERS {
            return Err(format!("not applied within {MAX_LEDGERS} ledgers"));
        }
        node.wait_for_ledger(latest + 1).await;
    }
}

/// Sequence number of an account; `None` when there is no such account.
fn read_account(node: &Node, account: [u8; 32]) -> Option<i64> {
    let key = LedgerKey::Account(LedgerKeyAccount {
        account_id: account_id(account),
    });
    let key_xdr = key.to_xdr(Limits::none()).ok()?;
    let read = node.entries(&[key_xdr]);
    let entry = LedgerEntry::from_xdr(&read.entries.first()?.entry_xdr, Limits::none()).ok()?;
    match entry.data {
        LedgerEntryData::Account(account) => Some(account.seq_num.0),
        _ => None,
    }
}

fn account_id(account: [u8; 32]) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(account)))
}

fn create_accounts(
    node: &Node,
    accounts: &[[u8; 32]],
    sequence: i64,
) -> Result<Transaction, String> {
    let operations: Vec<_> = accounts
        .iter()
        .map(|account| Operation {
            source_account: None,
            body: OperationBody::CreateAccount(CreateAccountOp {
                destination: account_id(*account),
                starting_balance: STARTING_BALANCE_STROOPS,
            }),
        })
        .collect();
    Ok(Transaction {
        source_account: MuxedAccount::Ed25519(Uint256(node.friendbot_account())),
        fee: FEE_PER_OPERATION_STROOPS * operations.len() as u32,
        seq_num: SequenceNumber(sequence),
        cond: Preconditions::None,
        memo: Memo::None,
        operations: operations
            .try_into()
            .map_err(|_| "too many accounts for one transaction")?,
        ext: TransactionExt::V0,
    })
}

/// XDR of the envelope with the friendbot account's signature.
fn sign(node: &Node, tx: Transaction) -> Result<Vec<u8>, String> {
    let payload = TransactionSignaturePayload {
        network_id: Hash(node.network_id()),
        tagged_transaction: TransactionSignaturePayloadTaggedTransaction::Tx(tx.clone()),
    };
    let unwritable = |error: stellar_xdr::Error| error.to_string();
    let payload = payload.to_xdr(Limits::none()).map_err(unwritable)?;
    let hash = digest::digest(&digest::SHA256, &payload);
    let key = Ed25519KeyPair::from_seed_unchecked(&node.friendbot_seed())
        .map_err(|error| error.to_string())?;
    let signature = key.sign(hash.as_ref());
    let [.., a, b, c, d] = node.friendbot_account();
    let signature = DecoratedSignature {
        hint: SignatureHint([a, b, c, d]),
        signature: Signature(signature.as_ref().to_vec().try_into().map_err(unwritable)?),
    };
    TransactionEnvelope::Tx(TransactionV1Envelope {
        tx,
        signatures: [signature].try_into().map_err(unwritable)?,
    })
    .to_xdr(Limits::none())
    .map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWHF";

    #[tokio::test]
    async fn the_address_is_in_the_query_or_in_the_form() {
        let query = format!("x=1&addr={ADDRESS}");
        assert_eq!(read_address(Some(&query), Body::empty()).await, Ok([0; 32]));
        let form = Body::from(format!("addr={ADDRESS}"));
        assert_eq!(read_address(None, form).await, Ok([0; 32]));
    }

    #[tokio::test]
    async fn what_is_not_an_account_is_refused() {
        for query in ["", "addr=", "addr=GABC", "address=x"] {
            assert!(read_address(Some(query), Body::empty()).await.is_err());
        }
    }
}
