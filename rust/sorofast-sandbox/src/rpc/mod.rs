//! The JSON-RPC surface: one file per method, dispatch and framing here.

mod envelope;
mod error;
pub(crate) mod format;
mod get_events;
mod get_fee_stats;
mod get_health;
mod get_latest_ledger;
mod get_ledger_entries;
mod get_network;
mod get_transaction;
mod get_version_info;
mod method;
mod send_transaction;
mod simulate_transaction;
mod topics;

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::faults::Outcome;
use envelope::{Body, Call, Params, Request};
use error::RpcError;
use method::{Method, Traffic};

/// Answers to one batch, together: the calls beyond it are not carried out.
const BATCH_REPLY_BYTES: usize = 64 * 1024 * 1024;

/// What an RPC body is answered with.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    Json(String),
    /// Only notifications were sent.
    NoContent,
    /// An injected HTTP status.
    Status(u16),
    /// Everything was carried out; the connection closes without an answer.
    Dropped,
}

/// Shared state of the surface: counters, and the places of work that blocks a thread.
#[derive(Debug)]
pub(crate) struct Surface {
    traffic: Traffic,
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
            simulations: Arc::new(Semaphore::new(processors)),
            calls: Arc::new(Semaphore::new(4 * processors)),
        }
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
        Err(error) => return Reply::Json(envelope::response(&Value::Null, &Err(error))),
    };
    let mut responses = Vec::with_capacity(calls.len());
    let mut bytes = 0;
    let mut dropped = false;
    for Call { id, request } in calls {
        let outcome = match request {
            Ok(_) if bytes >= limit_bytes => Err(RpcError::internal(
                "the answers to this batch are too large together; send fewer calls at once",
            )),
            Ok(request) => match carry_out(app, request).await {
                Carried::Out(outcome) => outcome,
                Carried::OutUnanswered => {
                    dropped = true;
                    continue;
                }
                Carried::Refused(status) => return Reply::Status(status),
            },
            Err(error) => Err(error),
        };
        if let Some(id) = id {
            let response = envelope::response(&id, &outcome);
            bytes += response.len();
            responses.push(response);
        }
    }
    if dropped {
        return Reply::Dropped;
    }
    match (is_batch, responses.pop()) {
        (_, None) => Reply::NoContent,
        (false, Some(response)) => Reply::Json(response),
        (true, Some(last)) => {
            responses.push(last);
            Reply::Json(format!("[{}]", responses.join(",")))
        }
    }
}

enum Carried {
    Out(Result<String, RpcError>),
    OutUnanswered,
    Refused(u16),
}

async fn carry_out(app: &Arc<App>, request: Request) -> Carried {
    let Some(method) = Method::from_name(&request.method) else {
        return Carried::Out(Err(RpcError::new(
            error::METHOD_NOT_FOUND,
            format!("there is no method {:?}", request.method),
        )));
    };
    app.surface.traffic.count(method);
    let verdict = app.faults.judge(method.name());
    if !verdict.latency.is_zero() {
        tokio::time::sleep(verdict.latency).await;
    }
    match verdict.outcome {
        None => Carried::Out(run(app, method, request.params).await),
        Some(Outcome::DropReply) => {
            // Whatever the outcome is, nobody is to learn of it.
            let _ = run(app, method, request.params).await;
            Carried::OutUnanswered
        }
        Some(Outcome::HttpStatus(status)) => Carried::Refused(status),
        Some(Outcome::RpcError { code, message }) => {
            Carried::Out(Err(RpcError::new(code, message)))
        }
    }
}

/// Runs one method on a thread that may block, within its queue and its time.
async fn run(app: &Arc<App>, method: Method, params: Params) -> Result<String, RpcError> {
    let _place = app.surface.traffic.enter(method)?;
    let places = app.surface.places(method);
    let worker = Arc::clone(app);
    let work = async move {
        let permit = places
            .acquire_owned()
            .await
            .map_err(|_| RpcError::internal("the server is stopping"))?;
        tokio::task::spawn_blocking(move || {
            // Held until the work is done, also when nobody waits for it any more.
            let _permit = permit;
            call(&worker, method, params)
        })
        .await
        .map_err(|error| RpcError::internal(format!("{} failed: {error}", method.name())))?
    };
    tokio::time::timeout(method.time_limit(), work)
        .await
        .unwrap_or_else(|_| {
            Err(RpcError::new(
                error::DEADLINE_EXCEEDED,
                format!(
                    "request exceeded the time limit of {} s of {}",
                    method.time_limit().as_secs(),
                    method.name()
                ),
            ))
        })
}

fn call(app: &App, method: Method, params: Params) -> Result<String, RpcError> {
    let view = app.view();
    match method {
        Method::GetEvents => to_json(&get_events::call(&view, params.read()?)?),
        Method::GetFeeStats => to_json(&get_fee_stats::call(&view)),
        Method::GetHealth => to_json(&get_health::call(&view)?),
        Method::GetLatestLedger => to_json(&get_latest_ledger::call(&view, &params.read()?)?),
        Method::GetLedgerEntries => to_json(&get_ledger_entries::call(&view, &params.read()?)?),
        Method::GetNetwork => to_json(&get_network::call(app)),
        Method::GetTransaction => to_json(&get_transaction::call(&view, params.read()?)?),
        Method::GetVersionInfo => to_json(&get_version_info::call()),
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
}
