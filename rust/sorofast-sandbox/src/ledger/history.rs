//! Closed ledgers, as far back as they are kept.

use crate::ledger::header::transaction_set_xdr;
use crate::tx::select::TransactionSet;
use crate::types::{EventRecord, FeeDistribution, LedgerSummary, TransactionRecord};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use stellar_xdr::LedgerHeader;

/// Ledgers kept unless told otherwise: a week of five second ones.
pub const RETENTION_LEDGERS: u32 = 120_960;
/// Transactions and events kept at most, in bytes; beyond it the oldest ledgers go first.
pub const RETENTION_BYTES: usize = 1024 * 1024 * 1024;
/// The ledgers that are kept whatever their size.
const RETENTION_FLOOR: usize = 64;

/// Windows of the fee statistics.
const SOROBAN_FEE_LEDGERS: usize = 50;
const CLASSIC_FEE_LEDGERS: usize = 10;
/// Ledgers whose fees are remembered, kept or not: the longer window for a reader who lags.
const FEES_REMEMBERED_LEDGERS: usize = 256;

/// A ledger with what it applied.
#[derive(Debug)]
pub struct ClosedLedger {
    pub summary: LedgerSummary,
    pub transaction_set_xdr: Vec<u8>,
    pub records: Vec<Arc<TransactionRecord>>,
    /// In the order of their ids.
    pub events: Vec<Arc<EventRecord>>,
    /// Inclusion fees paid, per operation.
    pub soroban_fees: Vec<u64>,
    pub classic_fees: Vec<u64>,
    /// XDR of the `LedgerKey`s that left the live state.
    pub evicted_keys_xdr: Vec<Vec<u8>>,
    /// Average size of the live contract state, over its window.
    pub state_size_bytes: u64,
}

impl ClosedLedger {
    /// The first ledger, which applied nothing.
    pub fn genesis(
        header: &LedgerHeader,
        header_xdr: Vec<u8>,
        hash: [u8; 32],
        close_time_ms: u64,
    ) -> Self {
        Self {
            summary: LedgerSummary {
                sequence: header.ledger_seq,
                close_time_s: close_time_ms / 1000,
                close_time_ms,
                hash,
                header_xdr: header_xdr.into(),
                transactions: 0,
            },
            transaction_set_xdr: transaction_set_xdr(&[0; 32], &TransactionSet::default()),
            records: Vec::new(),
            events: Vec::new(),
            soroban_fees: Vec::new(),
            classic_fees: Vec::new(),
            evicted_keys_xdr: Vec::new(),
            state_size_bytes: 0,
        }
    }

    fn bytes(&self) -> usize {
        let records: usize = self.records.iter().map(|record| record_bytes(record)).sum();
        let events: usize = self.events.iter().map(|event| event_bytes(event)).sum();
        // The set repeats the envelopes.
        let evicted: usize = self.evicted_keys_xdr.iter().map(|key| key.len() + 24).sum();
        let sets = self.summary.header_xdr.len() + self.transaction_set_xdr.len();
        400 + sets + records + events + evicted
    }
}

fn record_bytes(record: &TransactionRecord) -> usize {
    let nested = |lists: &[Vec<u8>]| -> usize { lists.iter().map(|item| item.len() + 24).sum() };
    400 + record.envelope_xdr.len()
        + record.result_xdr.len()
        + record.meta_xdr.len()
        + record.fee_changes_xdr.len()
        + record.post_apply_changes_xdr.len()
        + nested(&record.diagnostic_events_xdr)
        + nested(&record.transaction_events_xdr)
        + record
            .contract_events_xdr
            .iter()
            .map(|events| nested(events))
            .sum::<usize>()
}

fn event_bytes(event: &EventRecord) -> usize {
    200 + event.value_xdr.len()
        + event
            .topics_xdr
            .iter()
            .map(|topic| topic.len() + 24)
            .sum::<usize>()
}

/// The chain of kept ledgers; never empty.
#[derive(Debug)]
pub struct History {
    ledgers: VecDeque<Arc<ClosedLedger>>,
    by_hash: HashMap<[u8; 32], Arc<TransactionRecord>>,
    /// Of the last ledgers, the newest at the end.
    fees: VecDeque<Fees>,
    bytes: usize,
    max_bytes: usize,
    max_ledgers: usize,
}

#[derive(Debug)]
struct Fees {
    soroban: Vec<u64>,
    classic: Vec<u64>,
}

impl History {
    /// Keeps so many ledgers at most.
    pub fn new(genesis: ClosedLedger, retention_ledgers: u32) -> Self {
        Self::of([Arc::new(genesis)], retention_ledgers)
    }

    /// The same, from ledgers from old to new, of which there must be one at least.
    pub fn of(
        ledgers: impl IntoIterator<Item = Arc<ClosedLedger>>,
        retention_ledgers: u32,
    ) -> Self {
        let mut history = Self {
            ledgers: VecDeque::new(),
            by_hash: HashMap::new(),
            fees: VecDeque::new(),
            bytes: 0,
            max_bytes: RETENTION_BYTES,
            max_ledgers: retention_ledgers.max(1) as usize,
        };
        for ledger in ledgers {
            history.push(ledger);
        }
        history
    }

    /// The newest ledgers, from old to new, that fit into so many bytes; the latest in any case.
    pub fn newest(&self, max_bytes: usize) -> Vec<Arc<ClosedLedger>> {
        let mut bytes = 0;
        let mut newest: Vec<Arc<ClosedLedger>> = self
            .ledgers
            .iter()
            .rev()
            .enumerate()
            .take_while(|(index, ledger)| {
                bytes += ledger.bytes();
                *index == 0 || bytes <= max_bytes
            })
            .map(|(_, ledger)| Arc::clone(ledger))
            .collect();
        newest.reverse();
        newest
    }

    /// Adds the next ledger and drops what is beyond the bounds.
    ///
    /// A ledger that does not follow on the newest one stands alone: older ones are out of reach.
    pub fn push(&mut self, ledger: Arc<ClosedLedger>) {
        let newest = self.ledgers.back().map(|newest| newest.summary.sequence);
        if newest.is_some_and(|newest| ledger.summary.sequence > newest + 1) {
            self.ledgers.clear();
            self.by_hash.clear();
            self.bytes = 0;
        }
        self.bytes += ledger.bytes();
        for record in &ledger.records {
            for hash in [Some(record.hash), record.inner_hash].into_iter().flatten() {
                self.by_hash.insert(hash, Arc::clone(record));
            }
        }
        if self.fees.len() == FEES_REMEMBERED_LEDGERS {
            self.fees.pop_front();
        }
        self.fees.push_back(Fees {
            soroban: ledger.soroban_fees.clone(),
            classic: ledger.classic_fees.clone(),
        });
        self.ledgers.push_back(ledger);
        while self.ledgers.len() > self.max_ledgers
            || (self.bytes > self.max_bytes && self.ledgers.len() > RETENTION_FLOOR)
        {
            let Some(oldest) = self.ledgers.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
            for record in &oldest.records {
                for hash in [Some(record.hash), record.inner_hash].into_iter().flatten() {
                    self.by_hash.remove(&hash);
                }
            }
        }
    }

    /// How many ledgers leave a trace at most: themselves, or their fees.
    pub fn max_ledgers(&self) -> usize {
        self.max_ledgers.max(FEES_REMEMBERED_LEDGERS)
    }

    pub fn latest(&self) -> &LedgerSummary {
        &self.ledgers[self.ledgers.len() - 1].summary
    }

    pub fn oldest(&self) -> &LedgerSummary {
        &self.ledgers[0].summary
    }

    /// Ledgers from `from` on, as handles that outlive the lock on the history.
    pub fn from(&self, from: u32) -> impl Iterator<Item = &Arc<ClosedLedger>> {
        let oldest = self.ledgers[0].summary.sequence;
        let skip = from.saturating_sub(oldest) as usize;
        self.ledgers.iter().skip(skip)
    }

    pub fn ledger(&self, sequence: u32) -> Option<&Arc<ClosedLedger>> {
        self.from(sequence)
            .next()
            .filter(|ledger| ledger.summary.sequence == sequence)
    }

    pub fn transaction(&self, hash: &[u8; 32]) -> Option<&Arc<TransactionRecord>> {
        self.by_hash.get(hash)
    }

    /// Inclusion fees of the last ledgers up to `latest`: Soroban's, then classic ones.
    pub fn fees(&self, latest: u32) -> (FeeDistribution, FeeDistribution) {
        (
            self.distribution(latest, SOROBAN_FEE_LEDGERS, |fees| &fees.soroban),
            self.distribution(latest, CLASSIC_FEE_LEDGERS, |fees| &fees.classic),
        )
    }

    fn distribution(
        &self,
        latest: u32,
        window: usize,
        fees: fn(&Fees) -> &Vec<u64>,
    ) -> FeeDistribution {
        let later = self.latest().sequence.saturating_sub(latest) as usize;
        let window = window.min(self.fees.len().saturating_sub(later));
        let mut all: Vec<u64> = self
            .fees
            .iter()
            .rev()
            .skip(later)
            .take(window)
            .flat_map(|ledger| fees(ledger).iter().copied())
            .collect();
        all.sort_unstable();
        distribution(&all, window as u32)
    }
}

const PERCENTILES: [usize; 11] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99];

/// Statistics of sorted fees, by nearest rank; without any fee the network tells zero ledgers, too.
fn distribution(sorted: &[u64], ledger_count: u32) -> FeeDistribution {
    let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
        return FeeDistribution::default();
    };
    let mut mode = (0, *min);
    for run in sorted.chunk_by(|a, b| a == b) {
        if run.len() > mode.0 {
            mode = (run.len(), run[0]);
        }
    }
    FeeDistribution {
        max: *max,
        min: *min,
        mode: mode.1,
        percentiles: PERCENTILES
            .map(|percent| sorted[(percent * sorted.len()).div_ceil(100).max(1) - 1]),
        transaction_count: sorted.len() as u32,
        ledger_count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(sequence: u32, size: usize) -> ClosedLedger {
        ClosedLedger {
            summary: LedgerSummary {
                sequence,
                close_time_s: 0,
                close_time_ms: 0,
                hash: [0; 32],
                header_xdr: Arc::from(&[][..]),
                transactions: 0,
            },
            transaction_set_xdr: vec![0; size],
            records: Vec::new(),
            events: Vec::new(),
            soroban_fees: vec![u64::from(sequence)],
            classic_fees: Vec::new(),
            evicted_keys_xdr: Vec::new(),
            state_size_bytes: 0,
        }
    }

    #[test]
    fn the_oldest_ledgers_make_room() {
        let mut history = History::new(ledger(1, 1_000), RETENTION_LEDGERS);
        history.max_bytes = 100_000;
        for sequence in 2..=1_000 {
            history.push(Arc::new(ledger(sequence, 1_000)));
        }
        assert!(history.bytes <= 100_000);
        assert_eq!(history.latest().sequence, 1_000);
        let oldest = history.oldest().sequence;
        assert!(oldest > 900);
        assert!(history.ledger(oldest - 1).is_none());
        assert_eq!(history.ledger(950).expect("kept").summary.sequence, 950);
    }

    #[test]
    fn as_many_ledgers_are_kept_as_asked_for() {
        let mut history = History::new(ledger(1, 0), 10);
        for sequence in 2..=100 {
            history.push(Arc::new(ledger(sequence, 0)));
        }
        assert_eq!(history.oldest().sequence, 91);
        assert!(history.ledger(90).is_none());
        // The windows of fees have their own length.
        let (soroban, _) = history.fees(100);
        assert_eq!((soroban.ledger_count, soroban.min), (50, 51));
        let (lagging, _) = history.fees(95);
        assert_eq!((lagging.min, lagging.max), (46, 95));
    }

    #[test]
    fn fees_are_told_by_nearest_rank() {
        let fees: Vec<u64> = (1..=100).chain([7]).collect::<Vec<_>>();
        let mut sorted = fees;
        sorted.sort_unstable();
        let told = distribution(&sorted, 3);
        assert_eq!((told.min, told.max, told.mode), (1, 100, 7));
        assert_eq!(told.percentiles[4], 50);
        assert_eq!(distribution(&[], 3), FeeDistribution::default());
    }
}
