//! What every request handler shares.

use std::sync::Arc;

use crate::faults::{Now, Panel, Verdict};
use crate::node::Node;

use crate::friendbot::Friendbot;
use crate::rpc::Surface;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) node: Arc<Node>,
    pub(crate) surface: Surface,
    /// The name of this port in the fault plan.
    pub(crate) endpoint: String,
    /// One for all ports.
    pub(crate) faults: Arc<Panel>,
    /// Names of the other ports.
    pub(crate) replicas: Vec<String>,
    pub(crate) friendbot: Friendbot,
    /// As clients reach it, told by `getNetwork`.
    pub(crate) friendbot_url: String,
}

impl App {
    /// What the fault plan has in store for a call that arrives now.
    pub(crate) fn judge(&self, method: &str) -> Verdict {
        self.faults.judge(&self.endpoint, method, || self.now())
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            ledger: self.node.latest().sequence,
            time_ms: self.node.now_ms(),
        }
    }

    /// The same ledger behind another port.
    pub(crate) fn replica(&self, index: usize) -> Self {
        Self {
            node: Arc::clone(&self.node),
            surface: Surface::new(),
            endpoint: crate::faults::replica_name(index),
            faults: Arc::clone(&self.faults),
            replicas: self.replicas.clone(),
            friendbot: self.friendbot.clone(),
            friendbot_url: self.friendbot_url.clone(),
        }
    }
}

#[cfg(test)]
impl App {
    /// A ledger that closes when told to. Needs a runtime.
    pub(crate) fn for_tests() -> Arc<Self> {
        let node = Node::new(crate::node::NodeConfig {
            ledger_close: std::time::Duration::ZERO,
            ..crate::node::NodeConfig::default()
        })
        .expect("a node");
        crate::endpoint::Endpoint::new(node).into_app()
    }
}
