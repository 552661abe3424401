//! The admin interface: the sandbox's clock, its faults, its state and what it applied.

mod clock;
mod contracts;
mod entries;
mod fates;
mod faults;
mod guard;
mod history;
mod state;
mod transfer;

pub(crate) use state::{registries, Registry};

use std::sync::Arc;
use std::time::Duration;

use crate::node::NodeError;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{header, HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::http::{is_json, read_body, BodyRefusal};

const BODY_BYTES: usize = 64 * 1024 * 1024;
const BODY_TIME: Duration = Duration::from_mins(2);

/// Calls that may block a thread at once. A long advance keeps many of them waiting, and they must not take all the
/// threads that the RPC works on.
static PLACES: Semaphore = Semaphore::const_new(64);

/// A refusal: HTTP status and one line that says what to change.
#[derive(Debug)]
pub(crate) struct AdminError {
    status: StatusCode,
    message: String,
}

type AdminResult<T> = Result<Json<T>, AdminError>;

impl AdminError {
    fn bad(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
        }
    }

    fn internal(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: message.into(),
        }
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.message });
        (self.status, Json(body)).into_response()
    }
}

impl From<NodeError> for AdminError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Invalid(reason) => Self::bad(reason),
            NodeError::Internal(_) => Self::internal(error.to_string()),
        }
    }
}

impl From<BodyRefusal> for AdminError {
    fn from(refusal: BodyRefusal) -> Self {
        Self {
            status: refusal.status(),
            message: refusal.to_string(),
        }
    }
}

/// Every call there is.
const CALLS: [&str; 19] = [
    "POST /admin/advance",
    "POST /admin/skew",
    "POST /admin/entries",
    "GET /admin/transactions",
    "GET /admin/ledgers",
    "POST /admin/fates",
    "GET /admin/stats",
    "GET /admin/accounts",
    "GET /admin/audit",
    "GET /admin/registries",
    "POST /admin/reset",
    "GET /admin/state",
    "POST /admin/state",
    "GET /admin/contracts/{name}.wasm",
    "GET /admin/faults",
    "POST /admin/faults",
    "DELETE /admin/faults",
    "GET /admin/faults/strikes",
    "GET /admin",
];

async fn calls() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "calls": CALLS }))
}

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(calls))
        .route("/advance", post(clock::advance))
        .route("/skew", post(clock::skew))
        .route("/entries", post(entries::put))
        .route("/transactions", get(history::transactions))
        .route("/ledgers", get(history::ledgers))
        .route("/fates", post(fates::show))
        .route("/stats", get(stats))
        .route("/accounts", get(state::accounts))
        .route("/audit", get(state::audit))
        .route("/registries", get(state::show_registries))
        .route("/reset", post(state::reset))
        .route("/state", get(transfer::save).post(transfer::load))
        .route("/contracts/{file}", get(contracts::wasm))
        .route(
            "/faults",
            get(faults::show)
                .post(faults::replace)
                .delete(faults::clear),
        )
        .route("/faults/strikes", get(faults::strikes))
        .fallback(|| async {
            AdminError {
                status: StatusCode::NOT_FOUND,
                message: "there is no such admin call; GET /admin lists them".to_owned(),
            }
        })
        .method_not_allowed_fallback(|| async {
            AdminError {
                status: StatusCode::METHOD_NOT_ALLOWED,
                message: "this admin call has another verb; GET /admin lists them".to_owned(),
            }
        })
        .layer(middleware::from_fn(guard::refuse_web_pages))
}

#[derive(Debug, Serialize)]
struct Stats {
    rpc_calls: serde_json::Map<String, serde_json::Value>,
    latest_ledger: u32,
    pending: usize,
    state: StateSizes,
}

#[derive(Debug, Serialize)]
struct StateSizes {
    entries: usize,
    contract_entries: usize,
    archived_entries: usize,
    live_bytes: u64,
}

async fn stats(State(app): State<Arc<App>>) -> AdminResult<Stats> {
    let rpc_calls = app
        .surface
        .received()
        .map(|(method, count)| (method.to_owned(), count.into()))
        .collect();
    let node = Arc::clone(&app.node);
    blocking(move || {
        let census = node.census();
        Ok(Stats {
            rpc_calls,
            latest_ledger: node.latest().sequence,
            pending: node.pending(),
            state: StateSizes {
                entries: node.entry_count(),
                contract_entries: census.contract_entries,
                archived_entries: census.archived_entries,
                live_bytes: census.live_bytes,
            },
        })
    })
    .await
}

/// Reads a JSON body. An empty body stands for `{}`.
async fn read_json<T: DeserializeOwned>(request: Request) -> Result<T, AdminError> {
    let (parts, body) = request.into_parts();
    let body = timed_body(body).await?;
    if body.is_empty() {
        return parse(b"{}");
    }
    require_json(&parts.headers)?;
    parse(&body)
}

async fn timed_body(body: Body) -> Result<axum::body::Bytes, AdminError> {
    tokio::time::timeout(BODY_TIME, read_body(body, BODY_BYTES))
        .await
        .map_err(|_| AdminError {
            status: StatusCode::REQUEST_TIMEOUT,
            message: format!("the body took longer than {} s", BODY_TIME.as_secs()),
        })?
        .map_err(AdminError::from)
}

fn require_json(headers: &HeaderMap) -> Result<(), AdminError> {
    if is_json(headers) {
        return Ok(());
    }
    Err(AdminError {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        message: "content-type must be application/json".to_owned(),
    })
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    let refused = |reason: String| AdminError::bad(format!("the body cannot be read: {reason}"));
    let mut json = serde_json::Deserializer::from_slice(body);
    // Names the field that is wrong, not its line and column alone.
    let value =
        serde_path_to_error::deserialize(&mut json).map_err(|error| refused(error.to_string()))?;
    json.end().map_err(|error| refused(error.to_string()))?;
    Ok(value)
}

/// Runs what may wait for the ledger on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AdminError> + Send + 'static,
) -> AdminResult<T> {
    let _place = PLACES
        .acquire()
        .await
        .map_err(|error| AdminError::internal(error.to_string()))?;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| AdminError::internal(format!("the call failed: {error}")))?
        .map(Json)
}

/// Content type of a wasm file.
const WASM: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/wasm")];

#[cfg(test)]
mod tests {
    use super::*;
    use tower::ServiceExt;

    /// Status and text of a call with a JSON body.
    async fn call(app: &Arc<App>, verb: &str, path: &str, body: &str) -> (StatusCode, String) {
        let request = axum::http::Request::builder()
            .method(verb)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_owned()))
            .expect("a request");
        let answer = router()
            .with_state(Arc::clone(app))
            .oneshot(request)
            .await
            .expect("an answer");
        let (parts, body) = answer.into_parts();
        let body = read_body(body, BODY_BYTES).await.expect("a body");
        (parts.status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn every_call_is_listed_and_there() {
        let app = App::for_tests();
        let (status, listed) = call(&app, "GET", "/", "").await;
        assert_eq!(status, StatusCode::OK);
        for line in CALLS {
            assert!(listed.contains(line));
            let (verb, path) = line.split_once(" /admin").expect("a verb and a path");
            if verb == "GET" {
                let path = path.replace("{name}", "counter");
                let path = if path.is_empty() { "/" } else { &path };
                let (status, said) = call(&app, verb, path, "").await;
                assert_eq!(status, StatusCode::OK, "{line}: {said}");
            }
            // None of them has this one, so a path that is there answers so.
            let (status, said) =
                call(&app, "PATCH", if path.is_empty() { "/" } else { path }, "").await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{line}");
            assert!(said.contains("GET /admin"), "{said}");
        }
        let (status, said) = call(&app, "GET", "/nothing", "").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(said.contains("GET /admin"), "{said}");
    }

    #[tokio::test]
    async fn a_body_is_refused_by_the_name_of_its_field() {
        let app = App::for_tests();
        for (path, body, words) in [
            (
                "/faults",
                r#"{"rules":[{"kind":"timeout","count":-1}]}"#,
                "rules[0].count",
            ),
            ("/advance", r#"{"ledgers":-1}"#, "ledgers: "),
            (
                "/advance",
                r#"{"ledgers":99999999999}"#,
                "ledgers must be at most 10000000",
            ),
            ("/advance", r#"{"ledgers":1} {}"#, "trailing"),
            ("/advance", r#"{"ledger":1}"#, "unknown field"),
        ] {
            let (status, said) = call(&app, "POST", path, body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(app.node.latest().sequence, 1);
    }
}
