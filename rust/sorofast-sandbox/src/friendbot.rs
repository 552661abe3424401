//! Friendbot: funds accounts and contracts by real transactions of a real account.
//!
//! That account can have one transaction per ledger, so whoever asks while one is on its way shares
//! the next: up to a hundred accounts go into one transaction. A contract takes one of its own.

mod contracts;

use std::sync::Arc;
use std::time::Duration;

use crate::node::{Node, SubmitStatus, TransactionRecord};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use tokio::sync::{mpsc, oneshot};

use crate::address;
use crate::app::App;
use crate::funding::{fund_accounts, read_account, sign, STARTING_BALANCE_STROOPS};
use crate::http::read_body;
use crate::landing;
use crate::rpc::format::base64;
use crate::utc::rfc3339;

const ACCOUNTS_PER_TRANSACTION: usize = 100;
const MAX_WAITING: usize = 10_000;
/// Requests that arrive this close together share a transaction even when none is on its way.
const GATHER_TIME: Duration = Duration::from_millis(20);
/// A transaction not applied within so many ledgers has been dropped by the queue.
const MAX_LEDGERS: u32 = 10;
const ATTEMPTS: usize = 3;
const ANSWER_TIME: Duration = Duration::from_mins(1);
const FORM_BYTES: usize = 4 * 1024;
const FORM_TIME: Duration = Duration::from_secs(25);
/// Stroops that a transaction may bid above the lowest fee to differ from those before it.
const MAX_SURPLUS_STROOPS: u32 = 1_000;

/// Handle to the task that sends the transactions.
#[derive(Clone, Debug)]
pub(crate) struct Friendbot {
    asks: mpsc::Sender<Ask>,
}

/// Who is to be funded.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Destination {
    Account([u8; 32]),
    Contract([u8; 32]),
}

/// A destination somebody waits for.
#[derive(Debug)]
struct Ask {
    to: Destination,
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

/// `GET` or `POST /friendbot?addr=G…` (or `C…`); answers once the destination is funded.
pub(crate) async fn request(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match parts.method {
        Method::GET | Method::POST => {
            match read_address(parts.uri.query(), body, FORM_TIME).await {
                Ok(to) => fund(&app, to).await,
                Err(detail) => invalid_address(&detail),
            }
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// The address comes in the query or, with POST, as a form.
async fn read_address(
    query: Option<&str>,
    body: Body,
    limit: Duration,
) -> Result<Destination, String> {
    let mut address = query.and_then(find_address).map(str::to_owned);
    if address.is_none() {
        let form = tokio::time::timeout(limit, read_body(body, FORM_BYTES))
            .await
            .map_err(|_| format!("the form took longer than {} s", limit.as_secs()))?
            .map_err(|refusal| refusal.to_string())?;
        address = std::str::from_utf8(&form)
            .ok()
            .and_then(find_address)
            .map(str::to_owned);
    }
    let address =
        address.ok_or("give the account to fund as addr=G…, or the contract as addr=C…")?;
    // What was given is not repeated: it may be the seed, put in by mistake.
    let account = stellar_strkey::ed25519::PublicKey::from_string(&address)
        .map(|account| Destination::Account(account.0));
    account
        .or_else(|_| {
            stellar_strkey::Contract::from_string(&address)
                .map(|contract| Destination::Contract(contract.0))
        })
        .map_err(|_| "addr is neither an account's address (G…) nor a contract's (C…)".to_owned())
}

fn find_address(form: &str) -> Option<&str> {
    form.split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == "addr")
        .map(|(_, address)| address)
}

async fn fund(app: &App, to: Destination) -> Response {
    let (answer, answered) = oneshot::channel();
    if app.friendbot.asks.try_send(Ask { to, answer }).is_err() {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many accounts are being created; try again in a moment",
        );
    }
    match tokio::time::timeout(ANSWER_TIME, answered).await {
        Ok(Ok(Ok(record))) => Json(show(app, &record)).into_response(),
        Ok(Ok(Err(Refusal::AlreadyFunded))) => {
            // The words that clients look for: the command line tool the first, SDKs the code.
            problem(
                StatusCode::BAD_REQUEST,
                "account already funded to starting balance (createAccountAlreadyExist)",
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
    landing::problem("friendbot", status, detail, None)
}

fn invalid_address(reason: &str) -> Response {
    let extras = serde_json::json!({ "invalid_field": "addr", "reason": reason });
    landing::problem("friendbot", StatusCode::BAD_REQUEST, reason, Some(extras))
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
    let mut surplus = 0;
    while let Some(first) = waiting.recv().await {
        tokio::time::sleep(GATHER_TIME).await;
        let mut asks = vec![first];
        while asks.len() < ACCOUNTS_PER_TRANSACTION {
            let Ok(ask) = waiting.try_recv() else { break };
            asks.push(ask);
        }
        let (accounts, mut contracts): (Vec<_>, Vec<_>) = asks
            .into_iter()
            .partition(|ask| matches!(ask.to, Destination::Account(_)));
        if !accounts.is_empty() {
            serve_batch(&node, accounts, &mut surplus).await;
        }
        while let Some(next) = contracts.first().map(|ask| ask.to) {
            let (now, later) = contracts.into_iter().partition(|ask| ask.to == next);
            contracts = later;
            serve_batch(&node, now, &mut surplus).await;
        }
    }
}

/// Serves accounts, or a single contract. `surplus` tells transactions apart that are otherwise the same: one that the queue dropped is banned for a while, and
/// a fee that is bid above the lowest is not taken unless ledgers are full.
async fn serve_batch(node: &Arc<Node>, mut asks: Vec<Ask>, surplus: &mut u32) {
    let mut failure = String::new();
    for _ in 0..ATTEMPTS {
        let (funded, missing): (Vec<_>, Vec<_>) =
            asks.into_iter().partition(|ask| is_funded(node, ask.to));
        for ask in funded {
            // Nobody may be waiting any more, here and below; the account exists all the same.
            let _ = ask.answer.send(Err(Refusal::AlreadyFunded));
        }
        asks = missing;
        if asks.is_empty() {
            return;
        }
        let mut chains = node.chains();
        let mut destinations: Vec<_> = asks.iter().map(|ask| ask.to).collect();
        destinations.sort_unstable();
        destinations.dedup();
        let paid = tokio::select! {
            paid = pay(node, &destinations, *surplus) => paid,
            // The ledgers that it waits for may never come; the destinations are funded on the new chain instead.
            _ = chains.changed() => continue,
        };
        match paid {
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
            Err(reason) => {
                *surplus = (*surplus + 1) % MAX_SURPLUS_STROOPS;
                failure = reason;
            }
        }
    }
    for ask in asks {
        let _ = ask.answer.send(Err(Refusal::Failed(failure.clone())));
    }
}

fn is_funded(node: &Node, to: Destination) -> bool {
    let held = match to {
        Destination::Account(account) => {
            read_account(node, account).map(|held| i128::from(held.balance_stroops))
        }
        Destination::Contract(contract) => contracts::balance_stroops(node, contract),
    };
    held.is_some_and(|stroops| stroops >= i128::from(STARTING_BALANCE_STROOPS))
}

/// Funds accounts, or a single contract, with one transaction and waits until it is applied.
async fn pay(
    node: &Arc<Node>,
    destinations: &[Destination],
    surplus: u32,
) -> Result<Arc<TransactionRecord>, String> {
    let friendbot = read_account(node, node.friendbot_account())
        .ok_or("the friendbot account does not exist")?;
    let sequence = friendbot.sequence + 1;
    let mut tx = if let [Destination::Contract(contract)] = *destinations {
        contracts::payment(node, contract, sequence).await?
    } else {
        let accounts: Vec<_> = destinations
            .iter()
            .filter_map(|to| match to {
                Destination::Account(account) => Some(*account),
                Destination::Contract(_) => None,
            })
            .collect();
        fund_accounts(node, &accounts, sequence)?
    };
    tx.fee += surplus;
    let envelope = sign(node, tx)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::funding::account_key;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    async fn read(query: Option<&str>, body: Body) -> Result<Destination, String> {
        read_address(query, body, FORM_TIME).await
    }

    const ADDRESS: &str = "GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWHF";

    #[tokio::test]
    async fn the_address_is_in_the_query_or_in_the_form() {
        let query = format!("x=1&addr={ADDRESS}");
        let account = Ok(Destination::Account([0; 32]));
        assert_eq!(read(Some(&query), Body::empty()).await, account);
        let form = Body::from(format!("addr={ADDRESS}"));
        assert_eq!(read(None, form).await, account);
        let contract = format!("addr={}", address::contract([0; 32]));
        assert_eq!(
            read(Some(&contract), Body::empty()).await,
            Ok(Destination::Contract([0; 32]))
        );
    }

    #[tokio::test]
    async fn what_is_not_an_account_is_refused() {
        for query in ["", "addr=", "addr=GABC", "address=x"] {
            assert!(read(Some(query), Body::empty()).await.is_err());
        }
    }

    /// A body of which nothing ever arrives.
    struct Silence;

    impl hyper::body::Body for Silence {
        type Data = axum::body::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_form_has_to_arrive_in_time() {
        let body = Body::new(Silence);
        let error = read_address(None, body, Duration::from_millis(10))
            .await
            .expect_err("nothing arrives");
        assert!(error.contains("longer than"), "{error}");
    }

    #[tokio::test]
    async fn what_was_banned_is_sent_in_another_form() {
        let app = App::for_tests();
        let node = &app.node;
        let friendbot = read_account(node, node.friendbot_account())
            .expect("friendbot")
            .sequence;
        let tx = fund_accounts(node, &[[7; 32]], friendbot + 1).expect("a transaction");
        let banned = sign(node, tx).expect("an envelope");
        assert_eq!(
            node.submit(&banned).expect("decodable").status,
            SubmitStatus::Pending
        );
        // Its account is unknown for a while, so that the queue drops and bans the transaction.
        let key = account_key(node.friendbot_account());
        let entry = node.entries(std::slice::from_ref(&key)).entries[0].clone();
        let mut ahead = entry.entry_xdr.to_vec();
        // The sequence number follows the balance.
        ahead[52..60].copy_from_slice(&(friendbot + 5).to_be_bytes());
        node.put_entries(vec![(ahead, None)]).expect("an entry");
        node.advance(1, 0.0).expect("a ledger");
        node.put_entries(vec![(entry.entry_xdr.to_vec(), None)])
            .expect("an entry");
        assert_eq!(
            node.submit(&banned).expect("decodable").status,
            SubmitStatus::TryAgainLater
        );
        let (answer, answered) = oneshot::channel();
        let to = Destination::Account([7; 32]);
        let ask = Ask { to, answer };
        app.friendbot.asks.send(ask).await.expect("the task runs");
        let closing = Arc::clone(node);
        let closing = tokio::spawn(async move {
            loop {
                closing.advance(1, 0.0).expect("a ledger");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let answer = tokio::time::timeout(Duration::from_secs(20), answered).await;
        closing.abort();
        let record = answer
            .expect("in time")
            .expect("an answer")
            .expect("funded");
        assert!(record.successful);
        assert_eq!(record.fee_charged_stroops, 100);
    }
}
