//! Rules about answers: which calls they hit, and what becomes of those.

use super::latency::{Latency, MAX_LATENCY_MS};
use super::replica::{Distortion, STALE_LEDGERS};
use super::{check_window, MAIN_ENDPOINT, MAX_REPLICAS};
use serde::{Deserialize, Serialize};

/// How long a call without an answer is held, unless the rule says so.
const DEFAULT_HOLD_MS: u64 = 60_000;
const DEFAULT_OVERSIZED_BYTES: u64 = 16 * 1024 * 1024;
const MAX_OVERSIZED_BYTES: u64 = 256 * 1024 * 1024;
/// Ledgers that can be shown late.
pub(super) const MAX_LAG_LEDGERS: u32 = 1_000;

/// One rule as the plan and the admin interface have it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A JSON-RPC method, or `*` for all of them.
    #[serde(default = "every")]
    pub method: String,
    /// A port's name, or `*` for all of them.
    #[serde(default = "every", skip_serializing_if = "is_every")]
    pub endpoint: String,
    pub kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried_out: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<Distortion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_ledgers: Option<u32>,
    /// How many calls it still hits; without a count it stays.
    pub count: Option<u64>,
    #[serde(default = "always")]
    pub probability: f64,
    /// So many matching calls of each endpoint and method pass first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub after_calls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ledger: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ledger: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The call is carried out later.
    Latency,
    /// HTTP answer `status`; the call is not carried out.
    HttpStatus,
    /// JSON-RPC error `code` with `message`; the call is not carried out.
    RpcError,
    /// No answer for `hold_ms`, then the connection closes.
    Timeout,
    /// The connection closes without an answer; the call is not carried out.
    DropRequest,
    /// The call is carried out, then the connection closes without an answer.
    DropReply,
    /// The call is carried out; only the beginning of the answer arrives.
    TruncatedBody,
    /// The call is carried out; its answer is larger than anybody wants.
    OversizedBody,
    /// The call is carried out; its answer is no JSON.
    MalformedJson,
    /// The call is carried out, but told wrong.
    OtherData,
}

fn every() -> String {
    "*".to_owned()
}

#[allow(clippy::ptr_arg)] // serde hands the field's own type over
fn is_every(name: &String) -> bool {
    name == "*"
}

fn always() -> f64 {
    1.0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Rule {
    /// Whether it is about calls of that method on that port.
    pub fn is_about(&self, endpoint: &str, method: &str) -> bool {
        (self.method == "*" || self.method == method)
            && (self.endpoint == "*" || self.endpoint == endpoint)
    }

    /// Whether it is in force at that ledger, so many seconds after the plan was.
    pub fn is_in_force(&self, ledger: u32, age_s: f64) -> bool {
        self.from_ledger.is_none_or(|from| ledger >= from)
            && self.until_ledger.is_none_or(|until| ledger <= until)
            && self.from_s.is_none_or(|from| age_s >= from)
            && self.until_s.is_none_or(|until| age_s < until)
    }

    pub(super) fn distribution(&self) -> Latency {
        #[allow(clippy::cast_precision_loss)]
        let fixed = || Latency::Fixed {
            ms: self.latency_ms.unwrap_or_default() as f64,
        };
        self.latency.unwrap_or_else(fixed)
    }

    pub(super) fn hold_ms(&self) -> u64 {
        self.hold_ms.unwrap_or(DEFAULT_HOLD_MS)
    }

    pub(super) fn oversized_bytes(&self) -> u64 {
        self.bytes.unwrap_or(DEFAULT_OVERSIZED_BYTES)
    }

    pub(super) fn stale_ledgers(&self) -> u32 {
        self.stale_ledgers.unwrap_or(STALE_LEDGERS)
    }

    /// # Errors
    /// What it lacks or has too much of, in one sentence.
    pub fn check(&self, is_method: fn(&str) -> bool) -> Result<(), String> {
        if self.method != "*" && !is_method(&self.method) {
            return Err(format!(
                "{:?} is not a method; use one of the JSON-RPC methods or \"*\"",
                self.method
            ));
        }
        if !is_endpoint(&self.endpoint) {
            return Err(format!(
                "{:?} is not an endpoint; use \"{MAIN_ENDPOINT}\", \"replica-1\" up to \"replica-{MAX_REPLICAS}\", \
                 or \"*\"",
                self.endpoint
            ));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err("probability must be between 0 and 1".to_owned());
        }
        if self.count == Some(0) {
            return Err("count must be at least 1, or null for no end".to_owned());
        }
        check_window(
            self.from_ledger,
            self.until_ledger,
            self.from_s,
            self.until_s,
        )?;
        self.check_fields()?;
        match self.kind {
            Kind::Latency => self.check_latency(),
            Kind::HttpStatus => match self.status {
                None | Some(400..=599) => Ok(()),
                Some(_) => Err("status must be between 400 and 599".to_owned()),
            },
            Kind::Timeout => match self.hold_ms {
                None | Some(0..=MAX_LATENCY_MS) => Ok(()),
                Some(_) => Err(format!("hold_ms must be at most {MAX_LATENCY_MS}")),
            },
            Kind::OversizedBody => match self.bytes {
                None | Some(1..=MAX_OVERSIZED_BYTES) => Ok(()),
                Some(_) => Err(format!("bytes must be between 1 and {MAX_OVERSIZED_BYTES}")),
            },
            Kind::OtherData => match self.stale_ledgers {
                None | Some(1..=MAX_LAG_LEDGERS) => Ok(()),
                Some(_) => Err(format!(
                    "stale_ledgers must be between 1 and {MAX_LAG_LEDGERS}"
                )),
            },
            Kind::RpcError
            | Kind::DropRequest
            | Kind::DropReply
            | Kind::TruncatedBody
            | Kind::MalformedJson => Ok(()),
        }
    }

    fn check_latency(&self) -> Result<(), String> {
        match (self.latency_ms, &self.latency) {
            (Some(1..=MAX_LATENCY_MS), None) => Ok(()),
            (None, Some(latency)) => latency.check(),
            _ => Err(format!(
                "latency needs latency_ms between 1 and {MAX_LATENCY_MS}, or latency with a distribution"
            )),
        }
    }

    /// A field that its kind does not know would be a mistake that nobody notices.
    fn check_fields(&self) -> Result<(), String> {
        let fields = [
            ("latency_ms", self.latency_ms.is_some(), Kind::Latency),
            ("latency", self.latency.is_some(), Kind::Latency),
            ("status", self.status.is_some(), Kind::HttpStatus),
            (
                "retry_after_s",
                self.retry_after_s.is_some(),
                Kind::HttpStatus,
            ),
            ("code", self.code.is_some(), Kind::RpcError),
            ("message", self.message.is_some(), Kind::RpcError),
            ("hold_ms", self.hold_ms.is_some(), Kind::Timeout),
            ("carried_out", self.carried_out.is_some(), Kind::Timeout),
            ("keep_bytes", self.keep_bytes.is_some(), Kind::TruncatedBody),
            ("bytes", self.bytes.is_some(), Kind::OversizedBody),
            ("how", self.how.is_some(), Kind::OtherData),
            (
                "stale_ledgers",
                self.stale_ledgers.is_some(),
                Kind::OtherData,
            ),
        ];
        for (name, given, kind) in fields {
            if given && kind != self.kind {
                return Err(format!(
                    "{name} belongs to the kind {}, not to {}",
                    kind.name(),
                    self.kind.name()
                ));
            }
        }
        Ok(())
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::HttpStatus => "http_status",
            Self::RpcError => "rpc_error",
            Self::Timeout => "timeout",
            Self::DropRequest => "drop_request",
            Self::DropReply => "drop_reply",
            Self::TruncatedBody => "truncated_body",
            Self::OversizedBody => "oversized_body",
            Self::MalformedJson => "malformed_json",
            Self::OtherData => "other_data",
        }
    }
}

fn is_endpoint(name: &str) -> bool {
    let number = || name.strip_prefix("replica-")?.parse::<usize>().ok();
    name == "*"
        || name == MAIN_ENDPOINT
        || number().is_some_and(|number| (1..=MAX_REPLICAS).contains(&number))
}
