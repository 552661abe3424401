//! Answers that faults make: no answer, a wrong one, or only a part of it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::faults::Outcome;
use axum::body::{Body, Bytes};
use axum::http::{header, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};

/// Blanks that are sent at a time.
const PADDING_BYTES: usize = 64 * 1024;

/// What a fault does to a call.
#[derive(Debug, PartialEq)]
pub(crate) enum Injection {
    None,
    /// The call is carried out, then this happens to the answer.
    After(Spoil),
    /// The call is not carried out.
    Instead(Injected),
    Error {
        code: i64,
        message: String,
    },
}

/// What happens to an answer that is there.
#[derive(Debug, PartialEq)]
pub(crate) enum Spoil {
    Close { after: Duration },
    Truncate { keep_bytes: Option<u64> },
    Pad { bytes: u64 },
    Malform,
}

/// What is sent in an answer's place.
#[derive(Debug, PartialEq)]
pub(crate) enum Injected {
    Status {
        status: u16,
        retry_after_s: Option<u32>,
    },
    /// Nothing, and the connection closes.
    Close {
        after: Duration,
    },
    /// A body that is announced whole and ends early.
    Truncated {
        json: String,
        keep_bytes: usize,
    },
    /// The body, behind so many bytes less its own of blanks.
    Padded {
        json: String,
        bytes: u64,
    },
    Malformed {
        text: String,
    },
}

/// Marks a response that must not be sent: the connection is closed instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unanswered {
    pub(crate) after: Duration,
}

impl Injection {
    pub(crate) fn of(outcome: Option<Outcome>) -> Self {
        match outcome {
            // Told wrong, but told: the view is the one that lies.
            None | Some(Outcome::OtherData { .. }) => Self::None,
            Some(Outcome::RpcError { code, message }) => Self::Error { code, message },
            Some(Outcome::HttpStatus {
                status,
                retry_after_s,
            }) => Self::Instead(Injected::Status {
                status,
                retry_after_s,
            }),
            Some(Outcome::DropRequest) => Self::Instead(Injected::Close {
                after: Duration::ZERO,
            }),
            Some(Outcome::Timeout {
                hold,
                carried_out: false,
            }) => Self::Instead(Injected::Close { after: hold }),
            Some(Outcome::Timeout {
                hold,
                carried_out: true,
            }) => Self::After(Spoil::Close { after: hold }),
            Some(Outcome::DropReply) => Self::After(Spoil::Close {
                after: Duration::ZERO,
            }),
            Some(Outcome::Truncated { keep_bytes }) => Self::After(Spoil::Truncate { keep_bytes }),
            Some(Outcome::Oversized { bytes }) => Self::After(Spoil::Pad { bytes }),
            Some(Outcome::Malformed) => Self::After(Spoil::Malform),
        }
    }
}

impl Spoil {
    pub(crate) fn applied_to(self, json: String) -> Injected {
        match self {
            Self::Close { after } => Injected::Close { after },
            Self::Truncate { keep_bytes } => {
                let half = json.len() / 2;
                let asked =
                    keep_bytes.map_or(half, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
                // A whole answer would not be a truncated one.
                let keep_bytes = asked.min(json.len().saturating_sub(1));
                Injected::Truncated { json, keep_bytes }
            }
            Self::Pad { bytes } => Injected::Padded { json, bytes },
            Self::Malform => {
                // Every reader stumbles at the end, after it may have believed the beginning.
                let mut text = json;
                text.pop();
                text.push_str(",}\u{0}");
                Injected::Malformed { text }
            }
        }
    }
}

impl IntoResponse for Injected {
    fn into_response(self) -> Response {
        match self {
            Self::Status {
                status,
                retry_after_s,
            } => {
                let status =
                    StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                let mut response = (status, "injected fault\n").into_response();
                if let Some(seconds) = retry_after_s {
                    let value = HeaderValue::from(seconds);
                    response.headers_mut().insert(header::RETRY_AFTER, value);
                }
                response
            }
            Self::Close { after } => {
                let mut response = StatusCode::NO_CONTENT.into_response();
                response.extensions_mut().insert(Unanswered { after });
                response
            }
            Self::Truncated { json, keep_bytes } => {
                let whole = json.len() as u64;
                let start = Bytes::from(json).slice(..keep_bytes);
                with_json_header(Body::new(Cut {
                    start: Some(start),
                    whole,
                    has_paused: false,
                }))
            }
            Self::Padded { json, bytes } => {
                let blanks = bytes.saturating_sub(json.len() as u64);
                with_json_header(Body::new(Padding {
                    blanks,
                    json: Some(Bytes::from(json)),
                }))
            }
            Self::Malformed { text } => with_json_header(Body::from(text)),
        }
    }
}

fn with_json_header(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Debug, thiserror::Error)]
#[error("the body ends early")]
struct EndsEarly;

/// A body that breaks off.
struct Cut {
    start: Option<Bytes>,
    whole: u64,
    has_paused: bool,
}

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = EndsEarly;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EndsEarly>>> {
        if let Some(start) = self.start.take() {
            return Poll::Ready(Some(Ok(Frame::data(start))));
        }
        // Only a body that is waited for is sent as far as it goes; what fails at once is thrown away.
        if !self.has_paused {
            self.has_paused = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(EndsEarly)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.whole)
    }
}

static BLANKS: [u8; PADDING_BYTES] = [b' '; PADDING_BYTES];

/// Blanks, as many as asked for, and the answer behind them.
struct Padding {
    blanks: u64,
    json: Option<Bytes>,
}

impl hyper::body::Body for Padding {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.blanks > 0 {
            let count = self.blanks.min(PADDING_BYTES as u64);
            self.blanks -= count;
            let count = usize::try_from(count).unwrap_or(PADDING_BYTES);
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&BLANKS[..count])))));
        }
        Poll::Ready(self.json.take().map(|json| Ok(Frame::data(json))))
    }

    fn size_hint(&self) -> SizeHint {
        let json = self.json.as_ref().map_or(0, Bytes::len) as u64;
        SizeHint::with_exact(self.blanks + json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    const JSON: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

    #[tokio::test]
    async fn a_padded_answer_is_as_long_as_asked_for_and_still_json() {
        let spoil = Spoil::Pad { bytes: 200_000 };
        let response = spoil.applied_to(JSON.to_owned()).into_response();
        let body = response.into_body().collect().await.expect("a body");
        let bytes = body.to_bytes();
        assert_eq!(bytes.len(), 200_000);
        let value: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(value["id"], 1);
    }

    #[tokio::test]
    async fn a_truncated_answer_never_ends_well() {
        for keep_bytes in [None, Some(0), Some(5), Some(1_000)] {
            let spoil = Spoil::Truncate { keep_bytes };
            let response = spoil.applied_to(JSON.to_owned()).into_response();
            assert!(response.into_body().collect().await.is_err());
        }
    }

    #[tokio::test]
    async fn a_malformed_answer_is_no_json() {
        let response = Spoil::Malform.applied_to(JSON.to_owned()).into_response();
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.expect("a body");
        assert!(serde_json::from_slice::<serde_json::Value>(&body.to_bytes()).is_err());
    }
}
