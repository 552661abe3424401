//! JSON-RPC 2.0 framing: bodies into calls, results into bodies.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::{RpcError, INVALID_REQUEST, PARSE_ERROR};

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

/// Parameters of one call, by name or as a list; nothing when the request has none.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Params {
    #[default]
    None,
    Named(Map<String, Value>),
    Listed(Vec<Value>),
}

impl Params {
    /// Reads the parameters a method knows; others are ignored.
    ///
    /// # Errors
    /// `-32602` that names the parameter and what was expected, in its data.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T, RpcError> {
        let named = match self {
            Self::None => Map::new(),
            Self::Named(named) => named,
            Self::Listed(_) => {
                return Err(RpcError::unreadable(
                    "parameters are taken by name: params must be an object",
                ))
            }
        };
        T::deserialize(Value::Object(named)).map_err(RpcError::unreadable)
    }

    /// Gives the parameters of a list their names, for a method that takes them either way.
    ///
    /// # Errors
    /// `-32602` for more or fewer than there are names.
    pub(crate) fn named(self, names: &[&str]) -> Result<Self, RpcError> {
        match self {
            Self::Listed(values) if values.len() == names.len() => {
                let names = names.iter().map(|name| (*name).to_owned());
                Ok(Self::Named(names.zip(values).collect()))
            }
            Self::Listed(values) => Err(RpcError::unreadable(format!(
                "[{}] got {} parameters, want {}",
                super::error::INVALID_PARAMS,
                values.len(),
                names.len()
            ))),
            other => Ok(other),
        }
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Body {
    Single(Call),
    Batch(Vec<Call>),
}

/// The body as a whole cannot be taken apart: no JSON. The real server has no JSON-RPC answer to that.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("[-32700] invalid request value")]
pub(crate) struct NotJson;

/// Splits a request body into calls.
///
/// # Errors
/// When it is not JSON, or nested too deeply.
pub(crate) fn parse(body: &[u8]) -> Result<Body, NotJson> {
    Ok(match serde_json::from_slice(body).map_err(|_| NotJson)? {
        Value::Array(elements) => Body::Batch(elements.into_iter().map(read_call).collect()),
        other => Body::Single(read_call(other)),
    })
}

fn read_call(value: Value) -> Call {
    let Value::Object(mut fields) = value else {
        return Call {
            id: None,
            request: Err(RpcError::new(PARSE_ERROR, "request is not a JSON object")),
        };
    };
    let (id, id_error) = match fields.remove("id") {
        None | Some(Value::Null) => (None, None),
        Some(id @ (Value::String(_) | Value::Number(_))) => (Some(id), None),
        Some(_) => (None, Some(RpcError::request("invalid request ID"))),
    };
    let request = match id_error {
        Some(error) => Err(error),
        None => read_request(fields),
    };
    Call { id, request }
}

fn read_request(mut fields: Map<String, Value>) -> Result<Request, RpcError> {
    let wrong = |code, words: &str| Err(RpcError::new(code, words));
    match fields.remove("jsonrpc") {
        Some(Value::String(version)) if version == "2.0" => {}
        None | Some(Value::String(_) | Value::Null) => {
            return wrong(INVALID_REQUEST, "invalid version marker")
        }
        Some(_) => return wrong(PARSE_ERROR, "invalid version key"),
    }
    let method = match fields.remove("method") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(method)) => method,
        Some(_) => return wrong(PARSE_ERROR, "invalid method name"),
    };
    let params = match fields.remove("params") {
        None | Some(Value::Null) => Params::None,
        Some(Value::Object(params)) => Params::Named(params),
        Some(Value::Array(params)) => Params::Listed(params),
        Some(_) => return wrong(INVALID_REQUEST, "parameters must be array or object"),
    };
    let answers = ["error", "result"].map(|name| fields.remove(name).is_some());
    if answers.contains(&true) && !method.is_empty() {
        return wrong(INVALID_REQUEST, "mixed request and reply fields");
    }
    if !fields.is_empty() {
        let extra: Vec<String> = fields.into_iter().map(|(name, _)| name).collect();
        return Err(RpcError::request("extra fields in request").with_data(extra));
    }
    if method.is_empty() {
        return wrong(INVALID_REQUEST, "empty method name");
    }
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
    use super::super::error::INVALID_PARAMS;
    use super::*;

    fn single(body: &str) -> Call {
        match parse(body.as_bytes()).expect("a body") {
            Body::Single(call) => call,
            Body::Batch(_) => panic!("a single call was sent"),
        }
    }

    fn refusal(body: &str) -> (i64, String) {
        let error = single(body).request.expect_err("an error");
        (error.code, error.message)
    }

    #[test]
    fn a_call_keeps_its_id() {
        let call = single(r#"{"jsonrpc":"2.0","id":"a-1","method":"getHealth"}"#);
        assert_eq!(call.id, Some(Value::from("a-1")));
        assert_eq!(call.request.expect("a request").method, "getHealth");
        assert_eq!(
            single(r#"{"jsonrpc":"2.0","id":7,"method":"m","params":null}"#).id,
            Some(Value::from(7))
        );
        let wrong = single(r#"{"jsonrpc":"1.0","id":7,"method":"m"}"#);
        assert_eq!(wrong.id, Some(Value::from(7)));
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
    fn what_is_no_json_is_no_request_at_all() {
        let deep = "[".repeat(100_000);
        for body in ["{", "", "\u{0}", deep.as_str()] {
            assert_eq!(parse(body.as_bytes()), Err(NotJson));
        }
    }

    #[test]
    fn malformed_requests_have_their_codes() {
        for (body, code, words) in [
            ("7", PARSE_ERROR, "request is not a JSON object"),
            (
                r#"{"id":1,"method":"m"}"#,
                INVALID_REQUEST,
                "invalid version marker",
            ),
            (
                r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#,
                INVALID_REQUEST,
                "invalid version marker",
            ),
            (
                r#"{"jsonrpc":2,"id":1,"method":"m"}"#,
                PARSE_ERROR,
                "invalid version key",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1}"#,
                INVALID_REQUEST,
                "empty method name",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":3}"#,
                PARSE_ERROR,
                "invalid method name",
            ),
            (
                r#"{"jsonrpc":"2.0","id":[],"method":"m"}"#,
                INVALID_REQUEST,
                "invalid request ID",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":3}"#,
                INVALID_REQUEST,
                "parameters must be array or object",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","result":3}"#,
                INVALID_REQUEST,
                "mixed request and reply fields",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","flag":3}"#,
                INVALID_REQUEST,
                "extra fields in request",
            ),
        ] {
            assert_eq!(refusal(body), (code, words.to_owned()), "{body}");
        }
        let extra = single(r#"{"jsonrpc":"2.0","id":1,"method":"m","b":1,"a":2}"#);
        let data = extra.request.expect_err("an error").data;
        assert_eq!(data, Some(serde_json::json!(["a", "b"])));
    }

    #[test]
    fn parameters_are_taken_by_name() {
        let call = single(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1,2]}"#);
        let params = call.request.expect("a request").params;
        let error = params.read::<Value>().expect_err("a list");
        assert_eq!(
            (error.code, &*error.message),
            (INVALID_PARAMS, "invalid parameters")
        );
        let listed = || Params::Listed(vec![1.into(), 2.into()]);
        let named = listed().named(&["a", "b"]).expect("two of two");
        let read: Value = named.read().expect("an object");
        assert_eq!(read, serde_json::json!({"a": 1, "b": 2}));
        assert!(listed().named(&["a"]).is_err());
    }

    #[test]
    fn a_malformed_element_leaves_the_rest_of_a_batch_alone() {
        let body = br#"[{"jsonrpc":"2.0","id":1,"method":"m"}, 3]"#;
        let Body::Batch(calls) = parse(body).expect("a body") else {
            panic!("a batch was sent");
        };
        assert!(calls[0].request.is_ok());
        assert!(calls[1].request.is_err());
    }

    #[test]
    fn results_are_framed_as_they_are() {
        assert_eq!(
            response(&Value::from(1), &Ok("{\"a\":2}".to_owned())),
            r#"{"jsonrpc":"2.0","id":1,"result":{"a":2}}"#
        );
        assert_eq!(
            response(&Value::Null, &Err(RpcError::params("no").with_data("why"))),
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"data":"why","message":"no"}}"#
        );
    }
}
