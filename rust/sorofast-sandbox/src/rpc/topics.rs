//! Filters of `getEvents`: types, contracts and topic patterns.

use crate::node::EventRecord;
use serde::Deserialize;
use stellar_xdr::{ReadXdr, ScVal};

use super::error::RpcError;
use super::format::{from_base64, xdr_limits};

const MAX_FILTERS: usize = 5;
const MAX_CONTRACTS: usize = 5;
const MAX_TOPICS: usize = 5;
const MAX_SEGMENTS: usize = 4;

/// One filter as a client writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FilterParams {
    #[serde(rename = "type")]
    kinds: Option<String>,
    contract_ids: Option<Vec<String>>,
    topics: Option<Vec<Vec<String>>>,
}

/// An event passes when one of the filters takes it; no filters take everything.
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<Filter>);

/// Every part that is not empty must match.
#[derive(Debug)]
struct Filter {
    kinds: Vec<String>,
    contracts: Vec<[u8; 32]>,
    topics: Vec<Pattern>,
}

/// Segments from the first topic on; `open` takes any number of further topics.
#[derive(Debug, PartialEq)]
pub(crate) struct Pattern {
    segments: Vec<Segment>,
    open: bool,
}

#[derive(Debug, PartialEq)]
enum Segment {
    Any,
    /// `**`, allowed at the end only.
    Rest,
    /// XDR of an `ScVal`; the encoding is canonical, so bytes are compared.
    Exactly(Vec<u8>),
}

/// Reads the topic patterns of every filter, by filter.
///
/// # Errors
/// `-32602` for a segment that is neither a wildcard nor a value.
pub(crate) fn read_all(filters: &[FilterParams]) -> Result<Vec<Vec<Pattern>>, RpcError> {
    filters
        .iter()
        .map(|filter| {
            let topics = filter.topics.as_deref().unwrap_or_default();
            topics
                .iter()
                .map(|segments| Pattern::read(segments))
                .collect()
        })
        .collect()
}

impl Filters {
    /// # Errors
    /// `-32602` that names the filter and, within it, the contract or topic.
    pub(crate) fn check(
        params: &[FilterParams],
        patterns: Vec<Vec<Pattern>>,
    ) -> Result<Self, RpcError> {
        if params.len() > MAX_FILTERS {
            return Err(RpcError::params("maximum 5 filters per request"));
        }
        params
            .iter()
            .zip(patterns)
            .enumerate()
            .map(|(index, (filter, patterns))| {
                Filter::check(filter, patterns).map_err(|reason| {
                    RpcError::params(format!("filter {} invalid: {reason}", index + 1))
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn take(&self, event: &EventRecord) -> bool {
        self.0.is_empty() || self.0.iter().any(|filter| filter.takes(event))
    }
}

impl Filter {
    fn check(params: &FilterParams, topics: Vec<Pattern>) -> Result<Self, String> {
        let kinds: Vec<String> = match params.kinds.as_deref() {
            None | Some("") => Vec::new(),
            Some(kinds) => kinds.split(',').map(str::to_owned).collect(),
        };
        if !kinds
            .iter()
            .all(|kind| matches!(kind.as_str(), "system" | "contract"))
        {
            return Err(
                "filter type invalid: if set, type must be either 'system' or 'contract'"
                    .to_owned(),
            );
        }
        let contract_ids = params.contract_ids.as_deref().unwrap_or_default();
        if contract_ids.len() > MAX_CONTRACTS {
            return Err("maximum 5 contract IDs per filter".to_owned());
        }
        if topics.len() > MAX_TOPICS {
            return Err("maximum 5 topics per filter".to_owned());
        }
        let contracts = contract_ids
            .iter()
            .enumerate()
            .map(|(index, text)| {
                stellar_strkey::Contract::from_string(text)
                    .map(|contract| contract.0)
                    .map_err(|_| format!("contract ID {} invalid", index + 1))
            })
            .collect::<Result<_, _>>()?;
        for (index, pattern) in topics.iter().enumerate() {
            pattern
                .check()
                .map_err(|reason| format!("topic {} invalid: {reason}", index + 1))?;
        }
        Ok(Self {
            kinds,
            contracts,
            topics,
        })
    }

    fn takes(&self, event: &EventRecord) -> bool {
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == event.kind))
            && (self.contracts.is_empty()
                || event
                    .contract
                    .is_some_and(|contract| self.contracts.contains(&contract)))
            && (self.topics.is_empty()
                || self
                    .topics
                    .iter()
                    .any(|pattern| pattern.matches(&event.topics_xdr)))
    }
}

impl Pattern {
    fn read(segments: &[String]) -> Result<Self, RpcError> {
        let mut segments = segments
            .iter()
            .map(|text| Segment::read(text))
            .collect::<Result<Vec<_>, _>>()?;
        let open = segments.last() == Some(&Segment::Rest);
        if open {
            segments.pop();
        }
        Ok(Self { segments, open })
    }

    fn check(&self) -> Result<(), String> {
        if self.segments.is_empty() && !self.open {
            return Err("topic must have at least 1 segment".to_owned());
        }
        if let Some(index) = self.segments.iter().position(|at| *at == Segment::Rest) {
            return Err(format!(
                "segment {} invalid: wildcard '**' is only allowed as the last segment",
                index + 1
            ));
        }
        if self.segments.len() > MAX_SEGMENTS {
            return Err("topic cannot have more than 4 segments".to_owned());
        }
        Ok(())
    }

    fn matches(&self, topics: &[Vec<u8>]) -> bool {
        let length_fits = if self.open {
            topics.len() >= self.segments.len()
        } else {
            topics.len() == self.segments.len()
        };
        length_fits
            && self
                .segments
                .iter()
                .zip(topics)
                .all(|(segment, topic)| match segment {
                    Segment::Any | Segment::Rest => true,
                    Segment::Exactly(value) => value == topic,
                })
    }
}

impl Segment {
    fn read(text: &str) -> Result<Self, RpcError> {
        match text {
            "*" => return Ok(Self::Any),
            "**" => return Ok(Self::Rest),
            _ => {}
        }
        from_base64(text)
            .filter(|bytes| ScVal::from_xdr(bytes, xdr_limits(bytes)).is_ok())
            .map(Self::Exactly)
            .ok_or_else(|| {
                RpcError::unreadable(format!(
                    "{text:?} is neither '*' nor '**' nor the base64 of an ScVal"
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use crate::node::EventId;
    use stellar_xdr::{Limits, WriteXdr};

    use super::super::format::base64;
    use super::*;

    const CONTRACT: &str = "CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABSC4";

    fn value(number: u32) -> Vec<u8> {
        ScVal::U32(number).to_xdr(Limits::none()).expect("a value")
    }

    fn event(topics: &[u32]) -> EventRecord {
        EventRecord {
            id: EventId { toid: 1, index: 0 },
            ledger: 1,
            close_time_s: 0,
            kind: "contract",
            contract: Some([0; 32]),
            topics_xdr: topics.iter().map(|topic| value(*topic)).collect(),
            value_xdr: Vec::new(),
            transaction_hash: [0; 32],
            transaction_index: 1,
            operation_index: 0,
        }
    }

    fn filters(params: serde_json::Value) -> Result<Filters, RpcError> {
        let params: Vec<FilterParams> = serde_json::from_value(params).expect("parameters");
        Filters::check(&params, read_all(&params)?)
    }

    fn takes(topics: &serde_json::Value, event_topics: &[u32]) -> bool {
        filters(serde_json::json!([{"topics": [topics]}]))
            .expect("filters")
            .take(&event(event_topics))
    }

    #[test]
    fn no_filter_takes_everything() {
        assert!(filters(serde_json::json!([]))
            .expect("filters")
            .take(&event(&[])));
        assert!(filters(serde_json::json!([{}]))
            .expect("filters")
            .take(&event(&[])));
        let nulls = serde_json::json!([{"type": null, "contractIds": null, "topics": null}]);
        assert!(filters(nulls).expect("filters").take(&event(&[])));
    }

    #[test]
    fn a_pattern_has_the_length_of_the_topics() {
        let one = base64(value(1));
        assert!(takes(&serde_json::json!([one]), &[1]));
        assert!(!takes(&serde_json::json!([one]), &[2]));
        assert!(!takes(&serde_json::json!([one]), &[1, 2]));
        assert!(takes(&serde_json::json!([one, "*"]), &[1, 2]));
        assert!(!takes(&serde_json::json!([one, "*"]), &[1]));
    }

    #[test]
    fn two_stars_take_any_number_of_further_topics() {
        let one = base64(value(1));
        for topics in [&[1][..], &[1, 2], &[1, 2, 3, 4]] {
            assert!(takes(&serde_json::json!([one, "**"]), topics));
        }
        assert!(!takes(&serde_json::json!([one, "*", "**"]), &[1]));
        assert!(takes(&serde_json::json!(["**"]), &[]));
        assert!(takes(
            &serde_json::json!(["*", "*", "*", "*", "**"]),
            &[1, 2, 3, 4]
        ));
    }

    #[test]
    fn filters_are_alternatives_and_their_parts_are_not() {
        let other = serde_json::json!([
            {"type": "system"},
            {"type": "contract", "contractIds": [CONTRACT], "topics": [["*"]]}
        ]);
        let filters = filters(other).expect("filters");
        assert!(filters.take(&event(&[1])));
        assert!(!filters.take(&event(&[1, 2])));
        let mut foreign = event(&[1]);
        foreign.contract = Some([1; 32]);
        assert!(!filters.take(&foreign));
        foreign.kind = "system";
        assert!(filters.take(&foreign));
    }

    #[test]
    fn refusals_say_where() {
        let one = base64(value(1));
        let six: Vec<_> = (0..6).map(|_| CONTRACT).collect();
        for (params, words) in [
            (
                serde_json::json!([{}, {}, {}, {}, {}, {}]),
                "maximum 5 filters",
            ),
            (
                serde_json::json!([{"type": "all"}]),
                "filter 1 invalid: filter type invalid",
            ),
            (
                serde_json::json!([{}, {"contractIds": ["C1"]}]),
                "filter 2 invalid: contract ID 1",
            ),
            (
                serde_json::json!([{"contractIds": six}]),
                "maximum 5 contract IDs",
            ),
            (
                serde_json::json!([{"topics": [[], [], [], [], [], []]}]),
                "maximum 5 topics",
            ),
            (
                serde_json::json!([{"topics": [[]]}]),
                "topic 1 invalid: topic must have at least 1 segment",
            ),
            (
                serde_json::json!([{"type": "contract,diagnostic"}]),
                "if set, type must be either 'system' or 'contract'",
            ),
            (
                serde_json::json!([{"topics": [["*", "*", "*", "*", "*"]]}]),
                "more than 4 segments",
            ),
            (
                serde_json::json!([{"topics": [["**", one]]}]),
                "topic 1 invalid: segment 1 invalid: wildcard '**' is only allowed as the last segment",
            ),
            (
                serde_json::json!([{"topics": [["*", "AA"]]}]),
                "invalid parameters",
            ),
        ] {
            let error = filters(params.clone()).expect_err("refused");
            assert!(error.message.contains(words), "{params}: {}", error.message);
        }
    }
}
