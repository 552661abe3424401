//! No web page is to reach the admin interface through the browser of somebody on this machine.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::{header, HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::AdminError;

/// What browsers add to a call of which no page is the cause.
const BY_HAND: &[u8] = b"none";

/// Refuses calls that a page makes, and those to a name that a page may have brought along.
pub(super) async fn refuse_web_pages(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return refused(
            "the admin interface is not for web pages; call it without an origin header",
        );
    }
    // Images and links come without an origin.
    if headers
        .get("sec-fetch-site")
        .is_some_and(|site| site.as_bytes() != BY_HAND)
    {
        return refused("the admin interface is not for web pages");
    }
    // The owner of a name can have it lead here, and then its pages are of the same origin.
    if !is_addressed_locally(headers) {
        return refused(
            "the admin interface is not under that host name; call it by address, or as localhost",
        );
    }
    next.run(request).await
}

fn refused(message: &str) -> Response {
    AdminError {
        status: StatusCode::FORBIDDEN,
        message: message.to_owned(),
    }
    .into_response()
}

/// Whether the host is an address, or a name that nobody can own: those of this machine and of private networks.
fn is_addressed_locally(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else {
        return true;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.split(']').next().unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.split(':').next().unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.parse::<Ipv4Addr>().is_ok()
        || !name.contains('.')
        || [".localhost", ".internal", ".local", ".test"]
            .iter()
            .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use axum::http::Method;
    use tower::ServiceExt;

    use super::super::router;
    use super::*;
    use crate::app::App;

    async fn status(
        app: &Arc<App>,
        method: Method,
        path: &str,
        sent: &[(&str, &str)],
    ) -> StatusCode {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        for (name, value) in sent {
            request = request.header(*name, *value);
        }
        router()
            .with_state(Arc::clone(app))
            .oneshot(request.body(Body::empty()).expect("a request"))
            .await
            .expect("an answer")
            .status()
    }

    #[tokio::test]
    async fn web_pages_are_refused() {
        let app = App::for_tests();
        let advance = |sent: &'static [(&str, &str)]| status(&app, Method::POST, "/advance", sent);
        assert_eq!(advance(&[]).await, StatusCode::OK);
        for sent in [
            &[("origin", "http://example.org")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-origin")],
        ] {
            assert_eq!(advance(sent).await, StatusCode::FORBIDDEN, "{sent:?}");
        }
        assert_eq!(app.node.latest().sequence, 2);
    }

    #[tokio::test]
    async fn names_that_somebody_owns_are_refused() {
        let app = App::for_tests();
        for (host, expected) in [
            ("127.0.0.1:8000", StatusCode::OK),
            ("[::1]:8000", StatusCode::OK),
            ("localhost:8000", StatusCode::OK),
            ("LOCALHOST", StatusCode::OK),
            ("sandbox:8000", StatusCode::OK),
            ("host.docker.internal:8000", StatusCode::OK),
            ("rebinds.example.org:8000", StatusCode::FORBIDDEN),
            ("127.0.0.1.example.org", StatusCode::FORBIDDEN),
            ("example.org.", StatusCode::FORBIDDEN),
            ("[example.org]", StatusCode::FORBIDDEN),
        ] {
            let found = status(&app, Method::GET, "/stats", &[("host", host)]).await;
            assert_eq!(found, expected, "{host}");
        }
    }
}
