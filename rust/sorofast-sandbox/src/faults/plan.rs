//! The plan as a file or the admin interface gives it.

use super::{LedgerEvent, Replica, RivalPlan, Rule, TrafficPlan, MAX_REPLICAS};
use serde::{Deserialize, Serialize};

/// At most this many rules, and as many ledger events, are held at a time.
const MAX_RULES: usize = 100;
/// Plans are small; this is no place for data.
const MAX_PLAN_BYTES: usize = 1024 * 1024;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the strikes follow from; the sandbox's own seed unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    #[serde(default)]
    pub rules: Vec<Rule>,
    #[serde(default)]
    pub ledger: Vec<LedgerEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficPlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rival: Option<RivalPlan>,
    #[serde(default)]
    pub replicas: Vec<Replica>,
}

impl Plan {
    /// Reads JSON where the text starts with a brace, and TOML otherwise.
    ///
    /// # Errors
    /// One line with the place and the reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PLAN_BYTES {
            return Err(format!("a plan has at most {MAX_PLAN_BYTES} bytes"));
        }
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|error| error.to_string());
        }
        toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        })
    }

    /// # Errors
    /// The first part that makes no sense, with its place and what it lacks.
    pub fn check(&self, is_method: fn(&str) -> bool) -> Result<(), String> {
        for (name, count, most) in [
            ("rules", self.rules.len(), MAX_RULES),
            ("ledger events", self.ledger.len(), MAX_RULES),
            ("replicas", self.replicas.len(), MAX_REPLICAS),
        ] {
            if count > most {
                return Err(format!("at most {most} {name} can be held, not {count}"));
            }
        }
        for (index, rule) in self.rules.iter().enumerate() {
            rule.check(is_method)
                .map_err(|reason| format!("rules[{index}]: {reason}"))?;
        }
        for (index, event) in self.ledger.iter().enumerate() {
            event
                .check()
                .map_err(|reason| format!("ledger[{index}]: {reason}"))?;
        }
        for (index, replica) in self.replicas.iter().enumerate() {
            replica
                .check()
                .map_err(|reason| format!("replicas[{index}]: {reason}"))?;
        }
        if let Some(traffic) = &self.traffic {
            traffic
                .check()
                .map_err(|reason| format!("traffic: {reason}"))?;
        }
        if let Some(rival) = &self.rival {
            rival.check().map_err(|reason| format!("rival: {reason}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Kind, LedgerKind};

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = r#"
            seed = 7
            [[rules]]
            kind = "http_status"
            status = 429
            retry_after_s = 2
            method = "getHealth"
            [[ledger]]
            kind = "stall"
            at_ledger = 5
            seconds = 30
            [traffic]
            fill = 2.0
            [[replicas]]
            lag_ledgers = 3
        "#;
        let json = r#"{"seed": 7,
            "rules": [{"kind": "http_status", "status": 429, "retry_after_s": 2, "method": "getHealth"}],
            "ledger": [{"kind": "stall", "at_ledger": 5, "seconds": 30}],
            "traffic": {"fill": 2.0}, "replicas": [{"lag_ledgers": 3}]}"#;
        let plans = [toml, json].map(|text| Plan::parse(text).expect("a plan"));
        for plan in &plans {
            plan.check(|name| name == "getHealth")
                .expect("it makes sense");
            assert_eq!(plan.rules[0].kind, Kind::HttpStatus);
            assert_eq!(plan.ledger[0].kind, LedgerKind::Stall);
        }
        let shown = plans.map(|plan| serde_json::to_string(&plan).expect("JSON"));
        assert_eq!(shown[0], shown[1]);
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, words) in [
            ("seed = 1\nrule = 3\n", "line 2"),
            ("[[rules]]\nkind = \"flood\"\n", "line 2"),
            ("{\"seed\": 1, \"rule\": 3}", "line 1"),
        ] {
            let error = Plan::parse(text).expect_err("a mistake");
            assert!(error.contains(words), "{text}: {error}");
        }
        for (text, words) in [
            ("[[rules]]\nkind = \"latency\"\n", "rules[0]: latency needs"),
            (
                "[[rules]]\nkind = \"drop_reply\"\nendpoint = \"replica-99\"\n",
                "is not an endpoint",
            ),
            (
                "[[rules]]\nkind = \"drop_reply\"\nstatus = 503\n",
                "belongs to the kind http_status",
            ),
            ("[[ledger]]\nkind = \"skew\"\n", "ledger[0]: skew needs"),
            ("[[replicas]]\nflap_to = \"lag\"\n", "replicas[0]: flap_to"),
            ("[traffic]\nfill = 1000\n", "traffic: fill"),
            ("[rival]\nregistry = \"C1\"\n", "rival: registry"),
        ] {
            let plan = Plan::parse(text).expect("readable");
            let error = plan.check(|_| true).expect_err("a mistake");
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
