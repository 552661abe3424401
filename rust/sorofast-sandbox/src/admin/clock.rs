//! The sandbox's clock: closing ledgers at once, and running fast or slow.

use std::sync::Arc;

use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};

use super::{blocking, read_json, AdminError, AdminResult};
use crate::app::App;
use crate::node::{self, MAX_ADVANCE_LEDGERS};

/// Ten years.
const MAX_SECONDS: f64 = 10.0 * 365.0 * 86_400.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    #[serde(default = "one")]
    ledgers: u64,
    #[serde(default)]
    seconds: f64,
    /// Are the seconds spread evenly over the ledgers?
    #[serde(default)]
    spread: bool,
}

fn one() -> u64 {
    1
}

#[derive(Debug, Serialize)]
pub(super) struct Advanced {
    latest_ledger: u32,
    close_time: u64,
    ledgers_closed: u32,
}

/// Moves the clock on, then closes ledgers; they are visible when this answers.
pub(super) async fn advance(
    State(app): State<Arc<App>>,
    request: Request,
) -> AdminResult<Advanced> {
    let Advance {
        ledgers,
        seconds,
        spread,
    } = read_json(request).await?;
    let within = |ledgers: &u32| *ledgers <= MAX_ADVANCE_LEDGERS;
    let Some(ledgers) = u32::try_from(ledgers).ok().filter(within) else {
        return Err(AdminError::bad(format!(
            "ledgers must be at most {MAX_ADVANCE_LEDGERS}"
        )));
    };
    if !(0.0..=MAX_SECONDS).contains(&seconds) {
        return Err(AdminError::bad(format!(
            "seconds must be between 0 and {MAX_SECONDS}: ledgers never go back in time"
        )));
    }
    blocking(move || {
        let latest = app.node.advance_by(node::Advance {
            ledgers,
            seconds,
            spread,
        })?;
        Ok(Advanced {
            latest_ledger: latest.sequence,
            close_time: latest.close_time_s,
            ledgers_closed: ledgers,
        })
    })
    .await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skew {
    seconds: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Skewed {
    skew_seconds: f64,
}

/// Sets the closing clock's offset against the system's.
pub(super) async fn skew(State(app): State<Arc<App>>, request: Request) -> AdminResult<Skewed> {
    let Skew { seconds } = read_json(request).await?;
    if !(-MAX_SECONDS..=MAX_SECONDS).contains(&seconds) {
        return Err(AdminError::bad(format!(
            "seconds must be between -{MAX_SECONDS} and {MAX_SECONDS}"
        )));
    }
    blocking(move || {
        Ok(Skewed {
            skew_seconds: app.node.set_skew(seconds)?,
        })
    })
    .await
}
