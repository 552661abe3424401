//! `simulateTransaction`: a run against the latest closed ledger that changes nothing.

use crate::node::{
    AuthMode, RestorePreamble, SimulateOptions, Simulation, SimulationSuccess, StateChange, View,
};
use serde::{Deserialize, Serialize};
use stellar_xdr::{
    DiagnosticEvent, LedgerEntry, LedgerKey, ScVal, SorobanAuthorizationEntry,
    SorobanTransactionData,
};

use super::error::RpcError;
use super::format::{base64_all, from_base64, Format, Tree};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_data_json: Option<Tree>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_json: Option<Vec<Tree>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_resource_fee: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<HostFunctionResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_preamble: Option<Preamble>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    state_changes: Vec<Change>,
    latest_ledger: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HostFunctionResult {
    /// There and empty when nobody authorizes anything, but only in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_json: Option<Vec<Tree>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xdr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_value_json: Option<Tree>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Preamble {
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_data_json: Option<Tree>,
    min_resource_fee: String,
}

/// `before` and `after` are always there, and null in JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_json: Option<Tree>,
    before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_json: Option<Tree>,
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_json: Option<Tree>,
}

/// A failed run is a result too, with `error` set, and so is a request that makes no sense.
///
/// # Errors
/// `-32603` for a result that cannot be written, which the host does not give.
pub(crate) fn call(view: &View<'_>, request: &Request) -> Result<Response, RpcError> {
    let format = match Format::read(request.xdr_format.as_deref()) {
        Ok(format) => format,
        Err(error) => return Ok(refusal(error)),
    };
    let options = match read_options(request) {
        Ok(options) => options,
        Err(error) => return Ok(refusal(error)),
    };
    let Some(envelope) = request.transaction.as_deref().and_then(from_base64) else {
        return Ok(refusal("Could not unmarshal transaction".to_owned()));
    };
    respond(&view.simulate(&envelope, options), format)
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

/// No ledger was looked at, and so none is told.
fn refusal(error: String) -> Response {
    Response {
        error: Some(error),
        ..Response::default()
    }
}

fn respond(simulation: &Simulation, format: Format) -> Result<Response, RpcError> {
    let (events, events_json) = format.all::<DiagnosticEvent>(&simulation.events_xdr)?;
    let response = Response {
        events,
        events_json,
        latest_ledger: simulation.latest_ledger,
        ..Response::default()
    };
    match &simulation.outcome {
        Err(error) => Ok(Response {
            error: Some(error.clone()),
            ..response
        }),
        Ok(success) => with_success(response, success, format),
    }
}

fn with_success(
    response: Response,
    success: &SimulationSuccess,
    format: Format,
) -> Result<Response, RpcError> {
    let (transaction_data, transaction_data_json) =
        format.one::<SorobanTransactionData>(&success.transaction_data_xdr)?;
    let results = match &success.result_xdr {
        Some(value) => vec![result(value, &success.auth_xdr, format)?],
        None => Vec::new(),
    };
    let fee = success.min_resource_fee_stroops;
    Ok(Response {
        transaction_data,
        transaction_data_json,
        min_resource_fee: (fee != 0).then(|| fee.to_string()),
        results,
        restore_preamble: success
            .restore
            .as_ref()
            .map(|restore| preamble(restore, format))
            .transpose()?,
        state_changes: success
            .state_changes
            .iter()
            .map(|state| change(state, format))
            .collect::<Result<_, _>>()?,
        ..response
    })
}

fn result(value: &[u8], auth: &[Vec<u8>], format: Format) -> Result<HostFunctionResult, RpcError> {
    let (xdr, return_value_json) = format.one::<ScVal>(value)?;
    let (_, auth_json) = format.all::<SorobanAuthorizationEntry>(auth)?;
    Ok(HostFunctionResult {
        auth: (format == Format::Base64).then(|| base64_all(auth)),
        auth_json,
        xdr,
        return_value_json,
    })
}

fn preamble(restore: &RestorePreamble, format: Format) -> Result<Preamble, RpcError> {
    let (transaction_data, transaction_data_json) =
        format.one::<SorobanTransactionData>(&restore.transaction_data_xdr)?;
    Ok(Preamble {
        transaction_data,
        transaction_data_json,
        min_resource_fee: restore.min_resource_fee_stroops.to_string(),
    })
}

fn change(change: &StateChange, format: Format) -> Result<Change, RpcError> {
    let entry = |xdr: Option<&Vec<u8>>| match xdr {
        Some(xdr) => format.one::<LedgerEntry>(xdr),
        None => Ok((None, None)),
    };
    let (key, key_json) = format.one::<LedgerKey>(&change.key_xdr)?;
    let (before, before_json) = entry(change.before_xdr.as_ref())?;
    let (after, after_json) = entry(change.after_xdr.as_ref())?;
    Ok(Change {
        kind: change.kind,
        key,
        key_json,
        before,
        before_json,
        after,
        after_json,
    })
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
        let response = call(&app.node.view(0), &request("hex")).expect("a result");
        assert!(response.error.is_some_and(|error| error.contains("hex")));
        assert_eq!(response.latest_ledger, 0);
    }
}
