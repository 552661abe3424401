//! The HTTP server: routes, body limits, timeouts and connections.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{header, HeaderMap, Method, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::Router;
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::app::App;
use crate::injected::Unanswered;
use crate::places::{Place, Places};
use crate::rpc::Reply;
use crate::watched::watched;
use crate::{admin, cors, friendbot, landing, rpc};

/// The real server's body limit.
const RPC_BODY_BYTES: usize = 512 * 1024;
/// An HTTP request as a whole, reading its body included.
const RPC_TIME: Duration = Duration::from_secs(25);
/// As long as the real server waits for a body.
const BODY_TIME: Duration = Duration::from_secs(5);
/// Between two pieces of a body.
const BODY_PAUSE: Duration = Duration::from_secs(10);
/// Between a connection's requests as well: shorter than clients keep theirs open, it would close
/// connections under requests that are just being sent.
const HEADER_TIME: Duration = Duration::from_secs(75);
/// A client that has not even taken its answer by then is gone.
const STALL_TIME: Duration = Duration::from_secs(90);
/// More than the requests that are answered at once, so that one too many is told so.
const MAX_CONNECTIONS: usize = rpc::MAX_REQUESTS + 1_000;
/// How long a connection that is sent away may take to end.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// How long requests under way may take once the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
#[error("the reply is dropped")]
struct ReplyDropped;

pub(crate) fn router(app: Arc<App>) -> Router {
    // With and without the slash, like the paths of the container that tools expect on this port.
    let mut public = Router::new().route("/", get(landing::show).fallback(rpc_request));
    for path in ["/rpc", "/rpc/", "/soroban/rpc", "/soroban/rpc/"] {
        public = public.route(path, any(rpc_request));
    }
    for path in ["/friendbot", "/friendbot/"] {
        public = public.route(path, any(friendbot::request));
    }
    public
        .fallback(landing::nothing_here)
        .layer(middleware::from_fn(cors::allow_every_origin))
        .nest("/admin", admin::router())
        .with_state(app)
}

/// A replica answers the RPC and nothing else.
pub(crate) fn replica_router(app: Arc<App>) -> Router {
    let mut public = Router::new();
    for path in ["/", "/rpc", "/rpc/", "/soroban/rpc", "/soroban/rpc/"] {
        public = public.route(path, any(rpc_request));
    }
    public
        .fallback(landing::nothing_here)
        .layer(middleware::from_fn(cors::allow_every_origin))
        .with_state(app)
}

/// Serves until `stop` turns true, then lets requests under way finish for a bounded time.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Places::new(MAX_CONNECTIONS);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping(&mut stop) => break,
        };
        let Ok((stream, _)) = accepted else {
            // Usually too many open files; what is open has to close first.
            places.make_room();
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Without a place it is closed again: as many requests as there can be are under way.
        let Some(place) = places.take() else { continue };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(connection(stream, router, place, stop));
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN_TIME, drained).await;
}

/// Resolves when the server shall stop; also when nobody is left to say so.
async fn stopping(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(
    stream: TcpStream,
    router: Router,
    place: Arc<Place>,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are small and awaited; a connection that does not take this still works.
    let _ = stream.set_nodelay(true);
    let at_work = Arc::clone(&place);
    let service = hyper::service::service_fn(move |request: hyper::Request<_>| {
        at_work.begin();
        let at_work = Arc::clone(&at_work);
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            let response = answer
                .await
                .unwrap_or_else(|never: Infallible| match never {});
            let unanswered = response.extensions().get::<Unanswered>().copied();
            if let Some(unanswered) = unanswered {
                tokio::time::sleep(unanswered.after).await;
            }
            at_work.wait();
            if unanswered.is_some() {
                return Err(ReplyDropped);
            }
            Ok(watched(response, &at_work))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // Errors of a single connection (resets, dropped replies) concern its client only.
    let farewell = loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stopping(&mut stop) => break DRAIN_TIME,
            () = place.sent_away() => break FAREWELL_TIME,
            () = tokio::time::sleep(STALL_TIME) => if place.waited() >= STALL_TIME {
                return;
            },
        }
    };
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(farewell, connection).await;
}

async fn rpc_request(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if !is_json(&parts.headers) {
        return (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type must be application/json\n",
        )
            .into_response();
    }
    let Some(_under_way) = app.surface.admit() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    answered_within(RPC_TIME, async {
        match in_time(BODY_TIME, read_body(body, RPC_BODY_BYTES)).await {
            Ok(body) => respond(rpc::answer(&app, &body).await),
            Err(refusal) => unreadable(&refusal),
        }
    })
    .await
}

async fn answered_within(limit: Duration, work: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| StatusCode::GATEWAY_TIMEOUT.into_response())
}

async fn in_time(
    limit: Duration,
    body: impl Future<Output = Result<Bytes, BodyRefusal>>,
) -> Result<Bytes, BodyRefusal> {
    tokio::time::timeout(limit, body)
        .await
        .unwrap_or(Err(BodyRefusal::Late))
}

/// The real server has one status for all bodies it cannot read.
fn unreadable(refusal: &BodyRefusal) -> Response {
    let reason = match refusal {
        BodyRefusal::TooLarge { .. } => "http: request body too large\n",
        BodyRefusal::Broken => "unexpected EOF\n",
        BodyRefusal::Late => "i/o timeout\n",
    };
    let closing = [(header::CONNECTION, "close")];
    (StatusCode::INTERNAL_SERVER_ERROR, closing, reason).into_response()
}

fn respond(reply: Reply) -> Response {
    match reply {
        Reply::Json(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Reply::Unreadable(reason) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n")).into_response()
        }
        Reply::NoContent => StatusCode::NO_CONTENT.into_response(),
        Reply::Injected(injected) => injected.into_response(),
    }
}

/// Whether the body says that it is JSON in UTF-8.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let Some(text) = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    if !parts
        .next()
        .is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"))
    {
        return false;
    }
    parts
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| {
            let charset = charset.trim().trim_matches('"').to_ascii_lowercase();
            charset == "utf-8" || charset == "utf8"
        })
}

/// Why a body was not taken.
#[derive(Debug, PartialEq)]
pub(crate) enum BodyRefusal {
    TooLarge { limit_bytes: usize },
    Broken,
    Late,
}

impl BodyRefusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl std::fmt::Display for BodyRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge { limit_bytes } => {
                write!(f, "the request body is larger than {limit_bytes} bytes")
            }
            Self::Broken => f.write_str("the request body did not arrive whole"),
            Self::Late => f.write_str("the request body did not arrive in time"),
        }
    }
}

impl IntoResponse for BodyRefusal {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}

/// Reads a whole body of at most `limit_bytes`. Of a longer one as much again is read and thrown
/// away, because many clients only look at the answer once they have sent everything.
pub(crate) async fn read_body(mut body: Body, limit_bytes: usize) -> Result<Bytes, BodyRefusal> {
    let mut read = Vec::new();
    let mut thrown_away = 0;
    while let Some(frame) = tokio::time::timeout(BODY_PAUSE, body.frame())
        .await
        .map_err(|_| BodyRefusal::Late)?
    {
        let Ok(data) = frame.map_err(|_| BodyRefusal::Broken)?.into_data() else {
            continue;
        };
        if thrown_away > 0 || read.len() + data.len() > limit_bytes {
            thrown_away += data.len();
            if thrown_away > limit_bytes {
                break;
            }
            continue;
        }
        read.extend_from_slice(&data);
    }
    if thrown_away > 0 {
        return Err(BodyRefusal::TooLarge { limit_bytes });
    }
    Ok(read.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn content_type(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))])
    }

    #[test]
    fn only_json_in_utf8_is_taken() {
        for right in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json(&content_type(right)), "{right}");
        }
        for wrong in ["text/plain", "application/json; charset=latin1", ""] {
            assert!(!is_json(&content_type(wrong)), "{wrong}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_body_has_a_limit() {
        let body = |size: usize| Body::from(vec![b'x'; size]);
        assert_eq!(read_body(body(8), 8).await.map(|read| read.len()), Ok(8));
        for size in [9, 100] {
            assert_eq!(
                read_body(body(size), 8).await,
                Err(BodyRefusal::TooLarge { limit_bytes: 8 })
            );
        }
    }

    #[tokio::test]
    async fn one_request_too_many_is_refused() {
        let app = App::for_tests();
        let ask = || {
            let request = hyper::Request::post("/rpc")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(
                    r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#,
                ))
                .expect("a request");
            router(Arc::clone(&app)).oneshot(request)
        };
        let mut under_way: Vec<_> = (0..rpc::MAX_REQUESTS)
            .map(|_| app.surface.admit().expect("a place"))
            .collect();
        let refused = ask().await.expect("an answer");
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        under_way.pop();
        assert_eq!(ask().await.expect("an answer").status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn neither_a_body_nor_an_answer_may_take_forever() {
        let moment = Duration::from_millis(10);
        let late = in_time(moment, std::future::pending()).await;
        assert_eq!(late, Err(BodyRefusal::Late));
        let answer = answered_within(moment, std::future::pending()).await;
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    }
}
