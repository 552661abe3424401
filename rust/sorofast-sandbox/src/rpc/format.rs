//! What several methods share: the `xdrFormat` parameter, base64, XDR as JSON, numbers written as strings.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde::{Serialize, Serializer};
use stellar_xdr::{
    ContractEvent, DiagnosticEvent, LedgerCloseMeta, LedgerEntry, LedgerEntryData, LedgerEntryExt,
    LedgerHeaderHistoryEntry, LedgerKey, Limits, ReadXdr, ScVal, SorobanAuthorizationEntry,
    SorobanTransactionData, TransactionEnvelope, TransactionEvent, TransactionMeta,
    TransactionResult,
};

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

/// How a client wants XDR.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Format {
    #[default]
    Base64,
    /// The JSON of SEP-51, which has no schema of its own but follows the XDR.
    Json,
}

/// An XDR value in the form that was asked for: one of the two is there.
pub(crate) type One = (Option<String>, Option<Tree>);
/// Several of them; neither is there when there are none, as the real server leaves empty lists out.
pub(crate) type Many = (Option<Vec<String>>, Option<Vec<Tree>>);

impl Format {
    /// Reads the `xdrFormat` parameter.
    ///
    /// # Errors
    /// The real server's sentence for anything it does not speak.
    pub(crate) fn read(xdr_format: Option<&str>) -> Result<Self, String> {
        match xdr_format {
            None | Some("" | "base64") => Ok(Self::Base64),
            Some("json") => Ok(Self::Json),
            Some(other) => Err(format!(
                "got '{other}': expected base64, json for optional 'xdrFormat'"
            )),
        }
    }

    /// # Errors
    /// `-32602` as most methods answer it.
    pub(crate) fn param(xdr_format: Option<&str>) -> Result<Self, RpcError> {
        Self::read(xdr_format).map_err(RpcError::params)
    }

    /// # Errors
    /// `-32603` for what is not a `T`, which nothing that the ledger wrote is.
    pub(crate) fn one<T: ReadXdr + Into<Tree>>(
        self,
        xdr: impl AsRef<[u8]>,
    ) -> Result<One, RpcError> {
        match self {
            Self::Base64 => Ok((Some(base64(xdr)), None)),
            Self::Json => Ok((None, Some(tree::<T>(xdr.as_ref())?))),
        }
    }

    /// # Errors
    /// As [`Format::one`].
    pub(crate) fn all<T: ReadXdr + Into<Tree>>(
        self,
        items: &[impl AsRef<[u8]>],
    ) -> Result<Many, RpcError> {
        match self {
            _ if items.is_empty() => Ok((None, None)),
            Self::Base64 => Ok((Some(base64_all(items)), None)),
            Self::Json => Ok((None, Some(trees::<T>(items)?))),
        }
    }
}

fn tree<T: ReadXdr + Into<Tree>>(xdr: &[u8]) -> Result<Tree, RpcError> {
    T::from_xdr(xdr, xdr_limits(xdr))
        .map(Into::into)
        .map_err(|error| RpcError::internal(format!("XDR that cannot be read: {error}")))
}

pub(crate) fn trees<T: ReadXdr + Into<Tree>>(
    items: &[impl AsRef<[u8]>],
) -> Result<Vec<Tree>, RpcError> {
    items.iter().map(|item| tree::<T>(item.as_ref())).collect()
}

macro_rules! tree {
    ($($name:ident),+ $(,)?) => {
        /// A decoded value that is written as JSON in its own way.
        #[derive(Debug, Serialize)]
        #[serde(untagged)]
        pub(crate) enum Tree {
            $($name(Box<$name>),)+
        }

        $(impl From<$name> for Tree {
            fn from(value: $name) -> Self {
                Self::$name(Box::new(value))
            }
        })+
    };
}

tree!(
    ContractEvent,
    DiagnosticEvent,
    LedgerCloseMeta,
    LedgerEntry,
    LedgerEntryData,
    LedgerEntryExt,
    LedgerHeaderHistoryEntry,
    LedgerKey,
    ScVal,
    SorobanAuthorizationEntry,
    SorobanTransactionData,
    TransactionEnvelope,
    TransactionEvent,
    TransactionMeta,
    TransactionResult,
);

/// Writes a number the way the protocol wants 64-bit values: as a string.
pub(crate) fn as_string<T: ToString, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

#[cfg(test)]
mod tests {
    use stellar_xdr::WriteXdr;

    use super::super::error::{INTERNAL_ERROR, INVALID_PARAMS};
    use super::*;

    #[test]
    fn two_formats_are_spoken() {
        for text in [None, Some(""), Some("base64")] {
            assert_eq!(Format::param(text), Ok(Format::Base64));
        }
        assert_eq!(Format::param(Some("json")), Ok(Format::Json));
        let error = Format::param(Some("hex")).expect_err("refused");
        assert_eq!(error.code, INVALID_PARAMS);
        assert_eq!(
            error.message,
            "got 'hex': expected base64, json for optional 'xdrFormat'"
        );
    }

    #[test]
    fn a_value_comes_in_one_of_two_forms() {
        let value = ScVal::I64(-7).to_xdr(Limits::none()).expect("a value");
        let (text, tree) = Format::Base64.one::<ScVal>(&value).expect("a text");
        assert_eq!(text, Some(base64(&value)));
        assert!(tree.is_none());
        let (text, tree) = Format::Json.one::<ScVal>(&value).expect("a tree");
        assert!(text.is_none());
        assert_eq!(
            serde_json::to_string(&tree).expect("JSON"),
            r#"{"i64":"-7"}"#
        );
        let error = Format::Json
            .one::<ScVal>(&value[1..])
            .expect_err("not a value");
        assert_eq!(error.code, INTERNAL_ERROR);
    }

    #[test]
    fn empty_lists_are_left_out() {
        let nothing: [Vec<u8>; 0] = [];
        for format in [Format::Base64, Format::Json] {
            let (texts, trees) = format.all::<ScVal>(&nothing).expect("nothing");
            assert!(texts.is_none() && trees.is_none());
        }
    }
}
