//! The JSON-RPC surface: one file per method, dispatch and framing here.

mod envelope;
mod error;
pub(crate) mod format;
mod get_events;
mod get_fee_stats;
mod get_health;
mod get_latest_ledger;
mod get_ledger_entries;
mod get_ledgers;
mod get_network;
mod get_transaction;
mod get_transactions;
mod get_version_info;
mod method;
mod pages;
mod send_transaction;
mod simulate_transaction;
mod topics;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use crate::node::Lens;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

use crate::app::App;
use crate::injected::{Injected, Injection, Spoil};
use envelope::{Body, Call, Params, Request};
use error::RpcError;
use method::{Method, Traffic};

/// Answers to one batch, together: the calls beyond it are not carried out.
const BATCH_REPLY_BYTES: usize = 64 * 1024 * 1024;

/// HTTP requests that are answered at once; the real server's default.
pub(crate) const MAX_REQUESTS: usize = 5_000;

/// What an RPC body is answered with.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    Json(String),
    /// The body makes no sense; what to say about it.
    Unreadable(String),
    /// Only notifications were sent.
    NoContent,
    /// A fault takes the answer's place, or spoils it.
    Injected(Injected),
}

/// Shared state of the surface: counters, and the places of work that blocks a thread.
#[derive(Debug)]
pub(crate) struct Surface {
    traffic: Traffic,
    requests: Semaphore,
    /// As many simulations at once as there are processors, as the real server has it.
    simulations: Arc<Semaphore>,
    /// Every other call, which is short.
    calls: Arc<Semaphore>,
}

impl Surface {
    pub(crate) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            traffic: Traffic::default(),
            requests: Semaphore::new(MAX_REQUESTS),
            simulations: Arc::new(Semaphore::new(processors)),
            calls: Arc::new(Semaphore::new(4 * processors)),
        }
    }

    /// A place among the HTTP requests under way; None when there are as many as can be.
    pub(crate) fn admit(&self) -> Option<SemaphorePermit<'_>> {
        self.requests.try_acquire().ok()
    }

    /// Calls received so far, by method name.
    pub(crate) fn received(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.traffic.received()
    }

    fn places(&self, method: Method) -> Arc<Semaphore> {
        Arc::clone(match method {
            Method::SimulateTransaction => &self.simulations,
            _ => &self.calls,
        })
    }
}

/// Whether there is a method of that name.
pub(crate) fn is_method(name: &str) -> bool {
    Method::from_name(name).is_some()
}

/// Carries out an RPC body, element by element.
pub(crate) async fn answer(app: &Arc<App>, body: &[u8]) -> Reply {
    answer_within(app, body, BATCH_REPLY_BYTES).await
}

async fn answer_within(app: &Arc<App>, body: &[u8], limit_bytes: usize) -> Reply {
    let (calls, is_batch) = match envelope::parse(body) {
        Ok(Body::Single(call)) => (vec![call], false),
        Ok(Body::Batch(calls)) => (calls, true),
        Err(error) => return Reply::Unreadable(error.to_string()),
    };
    // What cannot be carried out is answered first, as the real server does it.
    let mut responses = Vec::with_capacity(calls.len());
    for Call { id, request } in &calls {
        if let Err(error) = request {
            let id = id.as_ref().unwrap_or(&Value::Null);
            responses.push(envelope::response(id, &Err(error.clone())));
        }
    }
    let mut bytes = 0;
    let mut spoilt = None;
    for Call { id, request } in calls {
        let Ok(request) = request else { continue };
        let outcome = if bytes >= limit_bytes {
            Err(RpcError::internal(
                "the answers to this batch are too large together; send fewer calls at once",
            ))
        } else {
            match carry_out(app, request).await {
                Carried::Out(outcome) => outcome,
                Carried::Spoilt(outcome, spoil) => {
                    spoilt.get_or_insert(spoil);
                    outcome
                }
                Carried::Refused(injected) => return Reply::Injected(injected),
            }
        };
        if let Some(id) = id {
            let response = envelope::response(&id, &outcome);
            bytes += response.len();
            responses.push(response);
        }
    }
    let json = match (is_batch, responses.pop()) {
        (_, None) => None,
        (false, Some(response)) => Some(response),
        (true, Some(last)) => {
            responses.push(last);
            Some(format!("[{}]", responses.join(",")))
        }
    };
    match (spoilt, json) {
        (Some(spoil), json) => Reply::Injected(spoil.applied_to(json.unwrap_or_default())),
        (None, Some(json)) => Reply::Json(json),
        (None, None) => Reply::NoContent,
    }
}

enum Carried {
    Out(Result<String, RpcError>),
    /// Carried out, but the answer as a whole will not arrive as it should.
    Spoilt(Result<String, RpcError>, Spoil),
    Refused(Injected),
}

async fn carry_out(app: &Arc<App>, request: Request) -> Carried {
    let Some(method) = Method::from_name(&request.method) else {
        let error = RpcError::new(error::METHOD_NOT_FOUND, "method not found");
        return Carried::Out(Err(error.with_data(request.method)));
    };
    app.surface.traffic.count(method);
    let verdict = app.judge(method.name());
    if !verdict.latency.is_zero() {
        tokio::time::sleep(verdict.latency).await;
    }
    let lens = verdict.lens();
    match Injection::of(verdict.outcome) {
        Injection::None => Carried::Out(run(app, method, request.params, lens).await),
        Injection::After(spoil) => {
            Carried::Spoilt(run(app, method, request.params, lens).await, spoil)
        }
        Injection::Instead(injected) => Carried::Refused(injected),
        Injection::Error { code, message } => Carried::Out(Err(RpcError::new(code, message))),
    }
}

/// Runs one method on a thread that may block, within its queue and, once it has begun, its time.
async fn run(
    app: &Arc<App>,
    method: Method,
    params: Params,
    lens: Lens,
) -> Result<String, RpcError> {
    let _place = app.surface.traffic.enter(method)?;
    let permit = app
        .surface
        .places(method)
        .acquire_owned()
        .await
        .map_err(|_| RpcError::internal("the server is stopping"))?;
    let worker = Arc::clone(app);
    let work = tokio::task::spawn_blocking(move || {
        // Held until the work is done, also when nobody waits for it any more.
        let _permit = permit;
        call(&worker, method, params, lens)
    });
    within(method.time_limit(), work).await
}

/// # Errors
/// The method's own, and the real server's for work that takes too long or panics.
async fn within(
    limit: Duration,
    work: JoinHandle<Result<String, RpcError>>,
) -> Result<String, RpcError> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(RpcError::new(
            error::HANDLER_FAILED,
            "request failed to process due to internal issue",
        )),
        Err(_) => Err(RpcError::new(
            error::DEADLINE_EXCEEDED,
            "request exceeded processing limit threshold",
        )),
    }
}

fn call(app: &App, method: Method, params: Params, lens: Lens) -> Result<String, RpcError> {
    let view = lens.of(&app.node);
    match method {
        Method::GetEvents => to_json(&get_events::call(&view, params.read()?)?),
        Method::GetFeeStats => to_json(&get_fee_stats::call(&view)),
        Method::GetHealth => to_json(&get_health::call(&view)?),
        Method::GetLatestLedger => to_json(&get_latest_ledger::call(&view)?),
        Method::GetLedgerEntries => to_json(&get_ledger_entries::call(&view, &params.read()?)?),
        Method::GetLedgers => to_json(&get_ledgers::call(&view, params.read()?)?),
        Method::GetNetwork => to_json(&get_network::call(app, &view)),
        Method::GetTransaction => to_json(&get_transaction::call(&view, params.read()?)?),
        Method::GetTransactions => {
            let params = params.named(&["startLedger", "pagination", "xdrFormat"])?;
            to_json(&get_transactions::call(&view, params.read()?)?)
        }
        Method::GetVersionInfo => to_json(&get_version_info::call(&view)),
        Method::SendTransaction => to_json(&send_transaction::call(&view, &params.read()?)?),
        Method::SimulateTransaction => {
            to_json(&simulate_transaction::call(&view, &params.read()?)?)
        }
    }
}

fn to_json(result: &impl Serialize) -> Result<String, RpcError> {
    serde_json::to_string(result)
        .map_err(|error| RpcError::internal(format!("the answer could not be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_answers_to_a_batch_have_a_bound() {
        let app = App::for_tests();
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"getNetwork"}"#;
        let batch = format!("[{call},{call},{call}]");
        let count = |reply: &Reply, what: &str| match reply {
            Reply::Json(text) => text.matches(what).count(),
            other => panic!("{other:?}"),
        };
        let all = answer_within(&app, batch.as_bytes(), BATCH_REPLY_BYTES).await;
        assert_eq!(count(&all, "passphrase"), 3);
        let one = answer_within(&app, batch.as_bytes(), 1).await;
        assert_eq!((count(&one, "passphrase"), count(&one, "-32603")), (1, 2));
        let received: u64 = app.surface.received().map(|(_, count)| count).sum();
        assert_eq!(received, 4, "the others were not carried out");
    }

    #[tokio::test]
    async fn work_has_a_time_limit_and_may_panic() {
        let limit = Duration::from_millis(20);
        let endless = tokio::spawn(std::future::pending());
        let late = within(limit, endless).await.expect_err("too late");
        assert_eq!(late.code, error::DEADLINE_EXCEEDED);
        assert_eq!(late.message, "request exceeded processing limit threshold");
        let broken = tokio::spawn(async { panic!("as a handler might") });
        let failed = within(Method::GetHealth.time_limit(), broken)
            .await
            .expect_err("a panic");
        assert_eq!(failed.code, error::HANDLER_FAILED);
        assert_eq!(
            failed.message,
            "request failed to process due to internal issue"
        );
    }
}
