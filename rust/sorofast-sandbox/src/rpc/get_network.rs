//! `getNetwork`: which network this is.

use crate::node::View;
use serde::Serialize;

use crate::app::App;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response<'a> {
    friendbot_url: &'a str,
    passphrase: &'a str,
    protocol_version: u32,
}

pub(crate) fn call<'a>(app: &'a App, view: &View<'_>) -> Response<'a> {
    Response {
        friendbot_url: &app.friendbot_url,
        passphrase: &app.node.config().network_passphrase,
        protocol_version: view.latest().protocol_version(),
    }
}
