//! What every request handler shares.

use std::sync::Arc;

use sorofast_sandbox::node::Node;

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
