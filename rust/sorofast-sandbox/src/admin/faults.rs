//! Setting, showing and clearing faults.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::Json;
use serde::{Deserialize, Serialize};

use super::{read_json, AdminError, AdminResult};
use crate::app::App;
use crate::faults::Rule;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    rules: Vec<Rule>,
}

/// The rules in force, with the counts that are left.
pub(super) async fn show(State(app): State<Arc<App>>) -> Json<Rules> {
    Json(Rules {
        rules: app.faults.rules(),
    })
}

/// Replaces all rules.
pub(super) async fn replace(State(app): State<Arc<App>>, request: Request) -> AdminResult<Rules> {
    let Rules { rules } = read_json(request).await?;
    app.faults.replace(rules).map_err(AdminError::bad)?;
    Ok(show(State(app)).await)
}

pub(super) async fn clear(State(app): State<Arc<App>>) -> AdminResult<Rules> {
    app.faults.replace(Vec::new()).map_err(AdminError::bad)?;
    Ok(show(State(app)).await)
}
