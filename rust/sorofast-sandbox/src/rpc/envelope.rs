//! JSON-RPC 2.0 framing: bodies into calls, results into bodies.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::{RpcError, PARSE_ERROR};

/// One element of a request body. `id` is absent for a notification; a `null` id counts as absent,
/// as it does on the real server.
#[derive(Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) id: Option<Value>,
    pub(crate) request: Result<Request, RpcError>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) params: Params,
}

/// Named parameters of one call; empty when the request has none.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Params(Map<String, Value>);

impl Params {
    /// Reads the parameters a method knows; others are ignored.
    ///
    /// # Errors
    /// `-32602` that names the parameter and what was expected.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, RpcError> {
        T::deserialize(Value::Object(self.0))
            .map_err(|error| RpcError::params(format!("invalid parameters: {error}")))
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Body {
    Single(Call),
    Batch(Vec<Call>),
}

/// Splits a request body into calls.
///
/// # Errors
/// When the body as a whole cannot be answered: not JSON, neither object nor array, an empty array.
pub(crate) fn parse(body: &[u8]) -> Result<Body, RpcError> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| RpcError::new(PARSE_ERROR, format!("the body is not JSON: {error}")))?;
    match value {
        Value::Array(elements) if elements.is_empty() => {
            Err(RpcError::request("empty request batch"))
        }
        Value::Array(elements) => Ok(Body::Batch(elements.into_iter().map(read_call).collect())),
        Value::Object(_) => Ok(Body::Single(read_call(value))),
        _ => Err(RpcError::request(
            "a request is a JSON object, or an array of them",
        )),
    }
}

fn read_call(value: Value) -> Call {
    let Value::Object(mut fields) = value else {
        return Call {
            id: Some(Value::Null),
            request: Err(RpcError::request("a request is a JSON object")),
        };
    };
    let id = match fields.remove("id") {
        None | Some(Value::Null) => None,
        Some(id @ (Value::String(_) | Value::Number(_))) => Some(id),
        Some(_) => {
            return Call {
                id: Some(Value::Null),
                request: Err(RpcError::request("id must be a string or a number")),
            }
        }
    };
    let request = read_request(fields);
    // A malformed request is answered even if nobody can tell whether an answer was wanted.
    let id = if request.is_err() {
        id.or(Some(Value::Null))
    } else {
        id
    };
    Call { id, request }
}

fn read_request(mut fields: Map<String, Value>) -> Result<Request, RpcError> {
    match fields.remove("jsonrpc") {
        Some(Value::String(version)) if version == "2.0" => {}
        _ => return Err(RpcError::request("jsonrpc must be \"2.0\"")),
    }
    let method = match fields.remove("method") {
        Some(Value::String(method)) if !method.is_empty() => method,
        _ => return Err(RpcError::request("method must be a non-empty string")),
    };
    let params = match fields.remove("params") {
        None | Some(Value::Null) => Params::default(),
        Some(Value::Object(params)) => Params(params),
        Some(Value::Array(_)) => {
            return Err(RpcError::params(
                "parameters are taken by name: params must be an object",
            ))
        }
        Some(_) => return Err(RpcError::request("params must be an object")),
    };
    Ok(Request { method, params })
}

/// The response object for one call; `result` holds the result as JSON text.
pub(crate) fn response(id: &Value, outcome: &Result<String, RpcError>) -> String {
    match outcome {
        Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        Err(error) => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{}}}"#,
            serde_json::json!(error)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::{INVALID_PARAMS, INVALID_REQUEST};
    use super::*;

    fn single(body: &str) -> Call {
        match parse(body.as_bytes()).expect("a body") {
            Body::Single(call) => call,
            Body::Batch(_) => panic!("a single call was sent"),
        }
    }

    fn code(body: &str) -> i64 {
        match parse(body.as_bytes()) {
            Ok(Body::Single(call)) => call.request.expect_err("an error").code,
            Ok(Body::Batch(_)) => panic!("a single call was sent"),
            Err(error) => error.code,
        }
    }

    #[test]
    fn a_call_keeps_its_id() {
        let call = single(r#"{"jsonrpc":"2.0","id":"a-1","method":"getHealth","extra":1}"#);
        assert_eq!(call.id, Some(Value::from("a-1")));
        assert_eq!(call.request.expect("a request").method, "getHealth");
        assert_eq!(
            single(r#"{"jsonrpc":"2.0","id":7,"method":"m","params":null}"#).id,
            Some(Value::from(7))
        );
    }

    #[test]
    fn a_call_without_id_is_a_notification() {
        assert_eq!(single(r#"{"jsonrpc":"2.0","method":"m"}"#).id, None);
        assert_eq!(
            single(r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#).id,
            None
        );
    }

    #[test]
    fn malformed_requests_have_their_codes() {
        assert_eq!(code("{"), PARSE_ERROR);
        assert_eq!(code(""), PARSE_ERROR);
        assert_eq!(code("[]"), INVALID_REQUEST);
        assert_eq!(code("7"), INVALID_REQUEST);
        assert_eq!(code(r#"{"id":1,"method":"m"}"#), INVALID_REQUEST);
        assert_eq!(
            code(r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#),
            INVALID_REQUEST
        );
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1}"#), INVALID_REQUEST);
        assert_eq!(
            code(r#"{"jsonrpc":"2.0","id":[],"method":"m"}"#),
            INVALID_REQUEST
        );
        assert_eq!(
            code(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":3}"#),
            INVALID_REQUEST
        );
        assert_eq!(
            code(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#),
            INVALID_PARAMS
        );
    }

    #[test]
    fn a_malformed_element_leaves_the_rest_of_a_batch_alone() {
        let body = br#"[{"jsonrpc":"2.0","id":1,"method":"m"}, 3]"#;
        let Body::Batch(calls) = parse(body).expect("a body") else {
            panic!("a batch was sent");
        };
        assert!(calls[0].request.is_ok());
        assert_eq!(calls[1].id, Some(Value::Null));
        assert!(calls[1].request.is_err());
    }

    #[test]
    fn results_are_framed_as_they_are() {
        assert_eq!(
            response(&Value::from(1), &Ok("{\"a\":2}".to_owned())),
            r#"{"jsonrpc":"2.0","id":1,"result":{"a":2}}"#
        );
        assert_eq!(
            response(&Value::Null, &Err(RpcError::params("no"))),
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"no"}}"#
        );
    }
}
