//! What becomes of a call.

use super::{Distortion, Kind, Rule};
use crate::node::Lens;
use std::time::Duration;

/// What becomes of one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Waited for before anything else.
    pub latency: Duration,
    pub outcome: Option<Outcome>,
    /// How far behind the newest ledger the answer is to be.
    pub lag_ledgers: u32,
}

impl Verdict {
    /// What the answer is to be read through.
    pub fn lens(&self) -> Lens {
        Lens {
            lag_ledgers: self.lag_ledgers,
            distortion: match self.outcome {
                Some(Outcome::OtherData { how, stale_ledgers }) => Some((how, stale_ledgers)),
                _ => None,
            },
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    HttpStatus {
        status: u16,
        retry_after_s: Option<u32>,
    },
    RpcError {
        code: i64,
        message: String,
    },
    Timeout {
        hold: Duration,
        carried_out: bool,
    },
    DropRequest,
    DropReply,
    /// None keeps half.
    Truncated {
        keep_bytes: Option<u64>,
    },
    Oversized {
        bytes: u64,
    },
    Malformed,
    OtherData {
        how: Distortion,
        stale_ledgers: u32,
    },
}

impl Outcome {
    /// What a rule does, besides taking time.
    pub(super) fn of(rule: &Rule) -> Option<Self> {
        Some(match rule.kind {
            Kind::Latency => return None,
            Kind::HttpStatus => Outcome::HttpStatus {
                status: rule.status.unwrap_or(503),
                retry_after_s: rule.retry_after_s,
            },
            Kind::RpcError => Outcome::RpcError {
                code: rule.code.unwrap_or(-32603),
                message: rule
                    .message
                    .clone()
                    .unwrap_or_else(|| "injected fault".to_owned()),
            },
            Kind::Timeout => Outcome::Timeout {
                hold: Duration::from_millis(rule.hold_ms()),
                carried_out: rule.carried_out.unwrap_or(false),
            },
            Kind::DropRequest => Outcome::DropRequest,
            Kind::DropReply => Outcome::DropReply,
            Kind::TruncatedBody => Outcome::Truncated {
                keep_bytes: rule.keep_bytes,
            },
            Kind::OversizedBody => Outcome::Oversized {
                bytes: rule.oversized_bytes(),
            },
            Kind::MalformedJson => Outcome::Malformed,
            Kind::OtherData => Outcome::OtherData {
                how: rule.how.unwrap_or_default(),
                stale_ledgers: rule.stale_ledgers(),
            },
        })
    }
}
