//! Setting, showing and clearing the fault plan.

use std::sync::Arc;

use crate::faults::{Plan, Shown, Strike};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{header, HeaderMap};
use serde::{Deserialize, Serialize};

use super::{blocking, parse, require_json, timed_body, AdminError, AdminResult};
use crate::app::App;
use crate::plan;

/// Strikes that are shown unless more are asked for.
const DEFAULT_STRIKES: usize = 1_000;

/// The plan in force, with the counts that are left, and how often each part of it struck.
#[derive(Debug, Serialize)]
pub(super) struct InForce {
    #[serde(flatten)]
    shown: Shown,
    /// Left out when nothing is in force any more; the list of strikes has it still.
    #[serde(skip_serializing_if = "Option::is_none")]
    struck: Option<serde_json::Value>,
}

pub(super) async fn show(State(app): State<Arc<App>>) -> AdminResult<InForce> {
    blocking(move || Ok(in_force(&app))).await
}

/// Replaces the whole plan.
pub(super) async fn replace(State(app): State<Arc<App>>, request: Request) -> AdminResult<InForce> {
    let (parts, body) = request.into_parts();
    let body = timed_body(body).await?;
    let plan = read(&parts.headers, &body)?;
    blocking(move || {
        plan::put_in_force(&app, plan).map_err(AdminError::bad)?;
        Ok(in_force(&app))
    })
    .await
}

pub(super) async fn clear(State(app): State<Arc<App>>) -> AdminResult<InForce> {
    blocking(move || {
        plan::put_in_force(&app, Plan::default()).map_err(AdminError::bad)?;
        Ok(in_force(&app))
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StrikesQuery {
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(super) struct Record {
    strikes: Vec<Strike>,
    total: u64,
    struck: serde_json::Value,
}

/// The newest strikes, oldest first.
pub(super) async fn strikes(
    State(app): State<Arc<App>>,
    query: Result<Query<StrikesQuery>, QueryRejection>,
) -> AdminResult<Record> {
    let Query(query) = query.map_err(|rejection| AdminError::bad(rejection.body_text()))?;
    blocking(move || {
        let (strikes, total) = app.faults.strikes(query.limit.unwrap_or(DEFAULT_STRIKES));
        Ok(Record {
            strikes,
            total,
            struck: struck(&app),
        })
    })
    .await
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Plan, AdminError> {
    let is_toml = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/toml"));
    if is_toml {
        let text = std::str::from_utf8(body)
            .map_err(|error| AdminError::bad(format!("the plan is not UTF-8: {error}")))?;
        return Plan::parse(text).map_err(AdminError::bad);
    }
    if body.is_empty() {
        return Ok(Plan::default());
    }
    require_json(headers)?;
    parse(body)
}

fn in_force(app: &App) -> InForce {
    let shown = app.faults.shown();
    InForce {
        struck: shown.seed.map(|_| struck(app)),
        shown,
    }
}

/// How often each part of the plan struck, in the plan's order.
fn struck(app: &App) -> serde_json::Value {
    let struck = app.faults.struck();
    let mut told = serde_json::json!({
        "rules": struck.rules,
        "replicas": struck.replicas,
        "ledger": app.node.ledger_events(),
    });
    for (name, agent) in app.node.agents_told() {
        told[name] = agent;
    }
    told
}
