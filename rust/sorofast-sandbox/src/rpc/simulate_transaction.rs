//! `simulateTransaction`: a run against the latest closed ledger that changes nothing.

use serde::{Deserialize, Serialize};
use sorofast_sandbox::node::{AuthMode, SimulateOptions, Simulation, StateChange, View};

use super::error::RpcError;
use super::format::{base64, base64_all, from_base64, require_base64};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    transaction: Option<String>,
    resource_config: Option<ResourceConfig>,
    auth_mode: Option<String>,
    use_upgraded_auth: Option<bool>,
    xdr_format: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceConfig {
    instruction_leeway: Option<u64>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_data: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_resource_fee: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<HostFunctionResult>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    state_changes: Vec<Change>,
    latest_ledger: u32,
}

#[derive(Debug, Serialize)]
struct HostFunctionResult {
    auth: Vec<String>,
    xdr: String,
}

#[derive(Debug, Serialize)]
struct Change {
    #[serde(rename = "type")]
    kind: &'static str,
    key: String,
    before: Option<String>,
    after: Option<String>,
}

/// A failed run is a result too, with `error` set, and so is a format that there is not.
///
/// # Errors
/// `-32602` for JSON, which only the sandbox does not speak.
pub(crate) fn call(view: &View<'_>, request: &Request) -> Result<Response, RpcError> {
    if let Err(error) = require_base64(request.xdr_format.as_deref()) {
        return match request.xdr_format.as_deref() {
            Some("json") => Err(error),
            _ => Ok(failure(view, error.message)),
        };
    }
    let options = match read_options(request) {
        Ok(options) => options,
        Err(error) => return Ok(failure(view, error)),
    };
    let Some(envelope) = request.transaction.as_deref().and_then(from_base64) else {
        return Ok(failure(view, "Could not unmarshal transaction".to_owned()));
    };
    Ok(respond(view.simulate(&envelope, options)))
}

fn read_options(request: &Request) -> Result<SimulateOptions, String> {
    let auth_mode = match request.auth_mode.as_deref() {
        None | Some("") => None,
        Some("enforce") => Some(AuthMode::Enforce),
        Some("record") => Some(AuthMode::Record),
        Some("record_allow_nonroot") => Some(AuthMode::RecordAllowNonroot),
        Some(_) => {
            return Err(
                "optional 'authMode' must be one of enforce,record,record_allow_nonroot \
                 when included"
                    .to_owned(),
            )
        }
    };
    Ok(SimulateOptions {
        auth_mode,
        instruction_leeway: request
            .resource_config
            .as_ref()
            .and_then(|config| config.instruction_leeway)
            .unwrap_or_default(),
        use_upgraded_auth: request.use_upgraded_auth.unwrap_or_default(),
    })
}

fn failure(view: &View<'_>, error: String) -> Response {
    Response {
        error: Some(error),
        latest_ledger: view.latest().sequence,
        ..Response::default()
    }
}

fn respond(simulation: Simulation) -> Response {
    let mut response = Response {
        events: base64_all(&simulation.events_xdr),
        latest_ledger: simulation.latest_ledger,
        ..Response::default()
    };
    match simulation.outcome {
        Err(error) => response.error = Some(error),
        Ok(success) => {
            response.transaction_data = Some(base64(&success.transaction_data_xdr));
            response.min_resource_fee = Some(success.min_resource_fee_stroops.to_string());
            response.results = vec![HostFunctionResult {
                auth: base64_all(&success.auth_xdr),
                xdr: base64(&success.result_xdr),
            }];
            response.state_changes = success.state_changes.iter().map(change).collect();
        }
    }
    response
}

fn change(change: &StateChange) -> Change {
    Change {
        kind: change.kind,
        key: base64(&change.key_xdr),
        before: change.before_xdr.as_ref().map(base64),
        after: change.after_xdr.as_ref().map(base64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    fn options(params: serde_json::Value) -> Result<SimulateOptions, String> {
        read_options(&serde_json::from_value(params).expect("parameters"))
    }

    #[test]
    fn parameters_that_are_null_or_missing_have_defaults() {
        for params in [
            serde_json::json!({}),
            serde_json::json!({"authMode": null, "resourceConfig": null, "useUpgradedAuth": null}),
        ] {
            let options = options(params).expect("taken");
            assert_eq!(options.auth_mode, None);
            assert_eq!(options.instruction_leeway, 0);
            assert!(!options.use_upgraded_auth);
        }
    }

    #[test]
    fn parameters_are_read() {
        let options = options(serde_json::json!({
            "authMode": "record_allow_nonroot",
            "resourceConfig": {"instructionLeeway": 3},
            "useUpgradedAuth": true,
            "unknown": [1]
        }))
        .expect("taken");
        assert_eq!(options.auth_mode, Some(AuthMode::RecordAllowNonroot));
        assert_eq!(options.instruction_leeway, 3);
        assert!(options.use_upgraded_auth);
    }

    #[test]
    fn an_unknown_auth_mode_is_an_error_text() {
        assert!(options(serde_json::json!({"authMode": "guess"})).is_err());
    }

    #[tokio::test]
    async fn an_unknown_format_is_an_error_text() {
        let app = App::for_tests();
        let request = |format: &str| Request {
            xdr_format: Some(format.to_owned()),
            ..Request::default()
        };
        let response = call(&app.view(), &request("hex")).expect("a result");
        assert!(response.error.is_some_and(|error| error.contains("hex")));
        assert!(call(&app.view(), &request("json")).is_err());
    }
}
