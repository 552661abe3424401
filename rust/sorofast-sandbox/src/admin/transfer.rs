//! The whole state out of the process and into it, piece by piece.

use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::saved::MAX_BYTES;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{header, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, Semaphore, SemaphorePermit};

use super::state::Replaced;
use super::{AdminError, AdminResult};
use crate::app::App;

/// How long the other side may let the next piece wait.
const STALL_TIME: Duration = Duration::from_secs(30);
/// Pieces on their way, of some tens of KiB each.
const PIECES: usize = 16;

/// One at a time: each holds another whole state.
static PLACE: Semaphore = Semaphore::const_new(1);

type Piece = std::io::Result<Bytes>;

fn place() -> Result<SemaphorePermit<'static>, AdminError> {
    PLACE.try_acquire().map_err(|_| AdminError {
        status: StatusCode::CONFLICT,
        message: "a state is being saved or loaded already; try again when that is done".to_owned(),
    })
}

/// The state as one file. What waits in the queue is not in it.
pub(super) async fn save(State(app): State<Arc<App>>) -> Result<Response, AdminError> {
    let place = place()?;
    let (sender, receiver) = mpsc::channel(PIECES);
    let handle = Handle::current();
    // Goes on by itself; it ends when nobody takes the pieces any more.
    tokio::task::spawn_blocking(move || {
        let mut pieces = PieceWriter { sender, handle };
        if let Err(error) = app.node.save().write(&mut pieces) {
            // A file that is cut off must not look like a whole one.
            let _ = pieces.send(Err(error));
        }
        drop(place);
    });
    let headers = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((headers, Body::new(Pieces(receiver))).into_response())
}

/// Replaces everything by a state that was saved before, or nothing.
pub(super) async fn load(State(app): State<Arc<App>>, request: Request) -> AdminResult<Replaced> {
    let place = place()?;
    let (sender, receiver) = mpsc::channel(PIECES);
    let loading = tokio::task::spawn_blocking(move || {
        let latest = app.node.load(PieceReader {
            receiver,
            current: Bytes::new(),
        });
        if latest.is_ok() {
            app.faults.again(app.now());
        }
        drop(place);
        latest
    });
    // To the end even when it was refused by then: many clients look at the answer only once they have sent everything.
    pass_on(request.into_body(), sender).await;
    let latest = loading
        .await
        .map_err(|error| AdminError::internal(format!("the call failed: {error}")))??;
    Ok(Json(latest.into()))
}

async fn pass_on(mut body: Body, sender: mpsc::Sender<Piece>) {
    let mut bytes = 0;
    loop {
        let piece = match tokio::time::timeout(STALL_TIME, body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(_) => continue,
            },
            Ok(Some(Err(_))) => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Err(_) => Err(std::io::Error::other("the body stopped arriving")),
        };
        let ended = piece.is_err();
        bytes += piece.as_ref().map_or(0, |data| data.len() as u64);
        // Whoever has refused the state does not read on.
        let _ = sender.send(piece).await;
        if ended || bytes > MAX_BYTES {
            return;
        }
    }
}

struct PieceWriter {
    sender: mpsc::Sender<Piece>,
    handle: Handle,
}

impl PieceWriter {
    fn send(&self, piece: Piece) -> std::io::Result<()> {
        let sending = async { tokio::time::timeout(STALL_TIME, self.sender.send(piece)).await };
        match self.handle.block_on(sending) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(std::io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.send(Ok(Bytes::copy_from_slice(bytes)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct PieceReader {
    receiver: mpsc::Receiver<Piece>,
    current: Bytes,
}

impl Read for PieceReader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let count = out.len().min(self.current.len());
        out[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// The pieces as a body.
struct Pieces(mpsc::Receiver<Piece>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
