//! What several methods share: base64, the `xdrFormat` parameter, numbers written as strings.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde::Serializer;
use stellar_xdr::Limits;

use super::error::RpcError;

/// Nesting that XDR from outside may have.
const XDR_DEPTH: u32 = 500;

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn base64_all<T: AsRef<[u8]>>(items: &[T]) -> Vec<String> {
    items.iter().map(base64).collect()
}

pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Limits for decoding `bytes` that came from outside.
pub(crate) fn xdr_limits(bytes: &[u8]) -> Limits {
    Limits {
        depth: XDR_DEPTH,
        len: bytes.len(),
    }
}

/// # Errors
/// `-32602` for every format but `base64`, the default.
pub(crate) fn require_base64(xdr_format: Option<&str>) -> Result<(), RpcError> {
    match xdr_format {
        None | Some("" | "base64") => Ok(()),
        Some("json") => Err(RpcError::params(
            "xdrFormat \"json\" is not supported by this sandbox; use \"base64\"",
        )),
        Some(other) => Err(RpcError::params(format!(
            "xdrFormat must be \"base64\", not {other:?}"
        ))),
    }
}

/// Writes a number the way the protocol wants 64-bit values: as a string.
pub(crate) fn as_string<T: ToString, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::error::INVALID_PARAMS;
    use super::*;

    #[test]
    fn only_base64_is_spoken() {
        assert!(require_base64(None).is_ok());
        assert!(require_base64(Some("")).is_ok());
        assert!(require_base64(Some("base64")).is_ok());
        for other in ["json", "hex"] {
            let error = require_base64(Some(other)).expect_err("refused");
            assert_eq!(error.code, INVALID_PARAMS);
            assert!(error.message.contains(other));
        }
    }
}
