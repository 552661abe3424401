//! The JSON-RPC of a ledger without a port in front of it, for what drives it from the same process.

use std::sync::Arc;

use crate::app::App;
use crate::faults::{Panel, MAIN_ENDPOINT};
use crate::friendbot::Friendbot;
use crate::node::Node;
use crate::rpc::{self, Reply, Surface};

/// One endpoint without faults. Its methods need a tokio runtime around them.
#[derive(Debug)]
pub struct Endpoint(Arc<App>);

impl Endpoint {
    pub fn new(node: Arc<Node>) -> Self {
        Self(Arc::new(App {
            surface: Surface::new(),
            endpoint: MAIN_ENDPOINT.to_owned(),
            faults: Arc::new(Panel::new(0)),
            replicas: Vec::new(),
            friendbot: Friendbot::start(Arc::clone(&node)),
            friendbot_url: String::new(),
            node,
        }))
    }

    /// The answer to a body; None where there is nothing to say, as to a notification.
    pub async fn answer(&self, body: &[u8]) -> Option<String> {
        match rpc::answer(&self.0, body).await {
            Reply::Json(text) | Reply::Unreadable(text) => Some(text),
            Reply::NoContent | Reply::Injected(_) => None,
        }
    }

    /// What request handlers share.
    #[cfg(test)]
    pub(crate) fn into_app(self) -> Arc<App> {
        self.0
    }
}
