//! Answers that say when the other side takes a piece of them: who still reads a long one is not idle.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};

use crate::places::Place;

/// Answers up to this size are gone at once.
const SHORT_BYTES: u64 = 64 * 1024;

struct Watched {
    body: Body,
    place: Arc<Place>,
}

/// Has the place's wait begin anew with every piece of the answer that is taken.
pub(crate) fn watched(response: Response, place: &Arc<Place>) -> Response {
    let size = hyper::body::Body::size_hint(response.body()).exact();
    if size.is_some_and(|bytes| bytes <= SHORT_BYTES) {
        return response;
    }
    let place = Arc::clone(place);
    response.map(|body| Body::new(Watched { body, place }))
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_ready() {
            self.place.wait();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    use super::*;
    use crate::places::Places;

    #[tokio::test]
    async fn who_takes_a_piece_of_a_long_answer_is_not_the_one_who_waits_longest() {
        let places = Places::new(2);
        let [reads, idle] = [places.take(), places.take()].map(|place| place.expect("a place"));
        let long = vec![b'x'; SHORT_BYTES as usize + 1];
        let response = watched(long.clone().into_response(), &reads);
        let body = response.into_body().collect().await.expect("a body");
        assert_eq!(body.to_bytes(), long);
        let _third = places.take().expect("the place of the idle one");
        let moment = std::time::Duration::from_millis(10);
        let sent_away = tokio::time::timeout(moment, idle.sent_away()).await;
        assert!(sent_away.is_ok());
        let kept = tokio::time::timeout(moment, reads.sent_away()).await;
        assert!(kept.is_err());
    }
}
