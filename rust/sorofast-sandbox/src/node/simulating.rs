//! Simulations: on threads of their own, as many at once as there are processors.

use super::view::View;
use super::{readable, Visible};
use crate::host::simulate::{self, Run, SimulationLedger, Snapshot};
use crate::host::workers::Workers;
use crate::ledger::state::{SnapshotGone, Stored};
use crate::random::Purpose;
use crate::types::{SimulateOptions, Simulation};
use std::sync::{Arc, RwLock};

/// Simulations that start over on a newer ledger, at most.
const SIMULATION_ATTEMPTS: u32 = 3;

/// Entries as they were at one ledger, for a simulation that takes its time.
struct LedgerSnapshot {
    visible: Arc<RwLock<Visible>>,
    ledger: u32,
    era: u64,
}

impl Snapshot for LedgerSnapshot {
    fn entry(&self, key: &[u8]) -> Result<Option<Stored>, SnapshotGone> {
        let visible = readable(&self.visible);
        if visible.era != self.era {
            return Err(SnapshotGone);
        }
        visible.state.get_at(key, self.ledger)
    }
}

/// As many simulations at once as there are processors.
pub(super) fn workers() -> std::io::Result<Workers> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Workers::start("simulation", processors)
}

impl View<'_> {
    /// Runs the envelope's only operation against the ledger that is shown. Waits for one of the threads that simulate, so
    /// call it from `spawn_blocking`.
    pub fn simulate(&self, envelope_xdr: &[u8], options: SimulateOptions) -> Simulation {
        let envelope: Arc<[u8]> = envelope_xdr.into();
        for _ in 0..SIMULATION_ATTEMPTS {
            let (latest, content, era) = {
                let visible = readable(&self.node.visible);
                let latest = self.shown_summary(&visible);
                (latest, self.content(&visible), visible.era)
            };
            let ledger = SimulationLedger {
                sequence: latest.sequence,
                close_time_s: latest.close_time_s,
                network_id: self.node.keys.network_id,
            };
            let random = &self.node.random;
            let seed = random.of(Purpose::Simulation, &[&latest.hash, envelope_xdr]);
            let snapshot = LedgerSnapshot {
                visible: Arc::clone(&self.node.visible),
                ledger: content,
                era,
            };
            let envelope = Arc::clone(&envelope);
            let run = self
                .node
                .simulations
                .run(move || simulate::simulate(&envelope, options, ledger, seed, snapshot));
            let (events_xdr, outcome) = match run {
                Some(Run::SnapshotGone) => continue,
                Some(Run::Refused(reason)) => {
                    return Simulation {
                        latest_ledger: 0,
                        events_xdr: Vec::new(),
                        outcome: Err(reason),
                    }
                }
                Some(Run::Done {
                    events_xdr,
                    outcome,
                }) => (events_xdr, outcome),
                None => (
                    Vec::new(),
                    Err("panic during preflight() call: unknown cause".into()),
                ),
            };
            return Simulation {
                latest_ledger: latest.sequence,
                events_xdr,
                outcome,
            };
        }
        Simulation {
            latest_ledger: self.latest().sequence,
            events_xdr: Vec::new(),
            outcome: Err("ledgers close faster than the simulation runs; try again".into()),
        }
    }
}
