//! What every request handler shares.

use std::sync::Arc;

use sorofast_sandbox::node::{Node, View};

use crate::faults::Faults;
use crate::friendbot::Friendbot;
use crate::rpc::Surface;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) node: Arc<Node>,
    pub(crate) surface: Surface,
    pub(crate) faults: Faults,
    pub(crate) friendbot: Friendbot,
    /// As clients reach it, told by `getNetwork`.
    pub(crate) friendbot_url: String,
}

impl App {
    /// What a client of the RPC is shown.
    pub(crate) fn view(&self) -> View<'_> {
        self.node.view(0)
    }
}

#[cfg(test)]
impl App {
    /// A ledger that closes when told to. Needs a runtime.
    pub(crate) fn for_tests() -> Arc<Self> {
        let node = Node::new(sorofast_sandbox::node::NodeConfig {
            ledger_close: std::time::Duration::ZERO,
            ..sorofast_sandbox::node::NodeConfig::default()
        })
        .expect("a node");
        Arc::new(Self {
            surface: Surface::new(),
            faults: Faults::new(),
            friendbot: Friendbot::start(Arc::clone(&node)),
            friendbot_url: String::new(),
            node,
        })
    }
}
