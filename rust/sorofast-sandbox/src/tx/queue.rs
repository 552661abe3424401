//! The queue: one transaction per source, aged by ledgers, with bans for what left it.

use crate::ledger::settings::Settings;
use crate::tx::bid::Bid;
use crate::tx::envelope::Parsed;
use crate::tx::fates::{Fates, Reason};
use crate::tx::flood::{Flood, Pace};
use crate::tx::limiter::{Limiter, NoRoom};
use crate::tx::select::Resources;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Ledgers that a transaction may wait before it is dropped.
pub const MAX_AGE_LEDGERS: u32 = 4;
/// Ledgers for which a hash stays banned.
pub const BAN_LEDGERS: usize = 10;
/// How many times the bid of the waiting one a fee-bump has to bid to replace it.
pub const REPLACEMENT_TIMES: i64 = 10;
/// Hashes that one ledger may ban.
const MAX_BANS_PER_LEDGER: usize = 100_000;
/// Operations of one transaction, without the one that a fee-bump adds.
const MAX_OPERATIONS: i64 = 100;
/// Ledgers' worth of resources that the queue holds.
const CAPACITY_LEDGERS: i64 = 2;

#[derive(Debug)]
struct Waiting {
    tx: Arc<Parsed>,
    age_ledgers: u32,
}

/// What waits for an account, as the source of a sequence and as the payer of fees.
#[derive(Debug, Default)]
struct Account {
    waiting: Option<Waiting>,
    /// Full fees, in stroops, of everything waiting that it pays for.
    fees: i64,
}

/// What the queue says before anything about the transaction itself is checked.
#[derive(Clone, Debug)]
pub enum Standing {
    Free,
    Banned,
    Duplicate,
    /// Another transaction of the source is waiting, with a later sequence.
    Older,
    /// Another transaction of the source is waiting.
    Occupied,
    /// It would replace the waiting one if it bid this full fee in stroops.
    BidsTooLittle(i64),
    Replaces(Arc<Parsed>),
}

/// Transactions of one kind, classic or Soroban.
#[derive(Debug, Default)]
struct Kind {
    accounts: HashMap<[u8; 32], Account>,
    limiter: Limiter,
    flood: Flood,
}

impl Kind {
    fn waiting(&self, source: &[u8; 32]) -> Option<&Waiting> {
        self.accounts.get(source)?.waiting.as_ref()
    }

    fn insert(&mut self, tx: Arc<Parsed>, age_ledgers: u32) {
        self.accounts.entry(tx.fee_source()).or_default().fees += tx.full_fee();
        self.limiter.add(Arc::clone(&tx));
        let account = self.accounts.entry(tx.source).or_default();
        account.waiting = Some(Waiting { tx, age_ledgers });
    }

    fn remove(&mut self, source: &[u8; 32]) -> Option<Waiting> {
        let waiting = self.accounts.get_mut(source)?.waiting.take()?;
        self.limiter.remove(&waiting.tx);
        self.flood.remove(&waiting.tx);
        let payer = waiting.tx.fee_source();
        if let Some(account) = self.accounts.get_mut(&payer) {
            account.fees -= waiting.tx.full_fee();
        }
        for id in [payer, *source] {
            if let Entry::Occupied(account) = self.accounts.entry(id) {
                if account.get().waiting.is_none() && account.get().fees == 0 {
                    account.remove();
                }
            }
        }
        Some(waiting)
    }
}

#[derive(Debug)]
pub struct Queue {
    classic: Kind,
    soroban: Kind,
    /// Full hashes. Front: bans of the ledger under way.
    bans: VecDeque<HashSet<[u8; 32]>>,
    fates: Fates,
    /// How what waits spreads; None: everybody has it at once.
    pace: Option<Pace>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            classic: Kind::default(),
            soroban: Kind::default(),
            bans: std::iter::repeat_with(HashSet::new)
                .take(BAN_LEDGERS)
                .collect(),
            fates: Fates::default(),
            pace: None,
        }
    }
}

impl Queue {
    pub fn new(pace: Option<Pace>) -> Self {
        Self {
            pace,
            ..Self::default()
        }
    }

    pub fn len(&self) -> usize {
        self.transactions().count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn transactions(&self) -> impl Iterator<Item = &Arc<Parsed>> {
        let accounts = self.classic.accounts.values();
        accounts
            .chain(self.soroban.accounts.values())
            .filter_map(|account| Some(&account.waiting.as_ref()?.tx))
    }

    /// Resources that wait: of classic transactions and of Soroban's.
    pub fn used(&self) -> (Resources, Resources) {
        (self.classic.limiter.used(), self.soroban.limiter.used())
    }

    fn kind(&self, soroban: bool) -> &Kind {
        if soroban {
            &self.soroban
        } else {
            &self.classic
        }
    }

    fn kind_mut(&mut self, soroban: bool) -> &mut Kind {
        if soroban {
            &mut self.soroban
        } else {
            &mut self.classic
        }
    }

    pub fn is_banned(&self, full_hash: &[u8; 32]) -> bool {
        self.bans.iter().any(|bans| bans.contains(full_hash))
    }

    /// Does something of the other kind, classic or Soroban, wait for the source, were it only a fee that it pays?
    pub fn waits_with_other_kind(&self, tx: &Parsed) -> bool {
        let other = self.kind(!tx.is_soroban());
        other.accounts.contains_key(&tx.source)
    }

    pub fn standing(&self, tx: &Parsed) -> Standing {
        if self.is_banned(&tx.full_hash) {
            return Standing::Banned;
        }
        let Some(Waiting { tx: waiting, .. }) = self.kind(tx.is_soroban()).waiting(&tx.source)
        else {
            return Standing::Free;
        };
        if is_duplicate(tx, waiting) {
            return Standing::Duplicate;
        }
        if tx.sequence() < waiting.sequence() {
            return Standing::Older;
        }
        if tx.fee_bump.is_none() || tx.sequence() != waiting.sequence() {
            return Standing::Occupied;
        }
        match Bid::of(waiting).short_of(tx, REPLACEMENT_TIMES) {
            Some(fee) => Standing::BidsTooLittle(fee),
            None => Standing::Replaces(Arc::clone(waiting)),
        }
    }

    /// Stroops that the payer of this transaction owes for everything of its kind that would wait with it.
    pub fn fees_with(&self, tx: &Parsed, replaced: Option<&Parsed>) -> i64 {
        let payer = tx.fee_source();
        let account = self.kind(tx.is_soroban()).accounts.get(&payer);
        let saved = replaced
            .filter(|replaced| replaced.fee_source() == payer)
            .map_or(0, Parsed::full_fee);
        account
            .map_or(0, |account| account.fees)
            .saturating_add(tx.full_fee())
            .saturating_sub(saved)
    }

    /// What would have to leave for this transaction. When its bid is not worth it, or nothing helps, it is banned.
    pub fn room_for(
        &mut self,
        tx: &Parsed,
        replaced: Option<&Parsed>,
        settings: &Settings,
    ) -> Result<Vec<Arc<Parsed>>, NoRoom> {
        let soroban = tx.is_soroban();
        let limit = capacity(soroban, settings);
        let found = self.kind(soroban).limiter.room_for(tx, replaced, &limit);
        if found.is_err() {
            self.ban_hash(tx.full_hash);
        }
        found
    }

    /// Lets a valid transaction in, in place of the one that it replaces and of those that `room_for` named.
    pub fn insert(
        &mut self,
        tx: Arc<Parsed>,
        leaving: &[Arc<Parsed>],
        settings: &Settings,
        now_ms: u64,
    ) {
        let soroban = tx.is_soroban();
        self.spread(settings, now_ms);
        let mut age_ledgers = 0;
        if let Some(replaced) = self.kind_mut(soroban).remove(&tx.source) {
            age_ledgers = replaced.age_ledgers;
            self.fates.dropped(replaced.tx.hash, Reason::Replaced);
        }
        let limit = capacity(soroban, settings);
        for other in leaving {
            self.kind_mut(soroban).limiter.note_eviction(other);
            self.ban(other, Reason::Outbid);
            // What was replaced may have made room, too.
            if self.kind(soroban).limiter.has_room_for(&tx, &limit) {
                break;
            }
        }
        if self.pace.is_some() {
            self.kind_mut(soroban).flood.add(&tx, now_ms);
        }
        self.kind_mut(soroban).insert(tx, age_ledgers);
    }

    /// Sends on what is due by now.
    fn spread(&mut self, settings: &Settings, now_ms: u64) {
        let Some(pace) = self.pace else { return };
        for soroban in [false, true] {
            let ledger = ledger_limit(soroban, settings);
            let largest = if soroban {
                Resources::transaction_limit(settings)
            } else {
                Resources {
                    operations: MAX_OPERATIONS + 1,
                    ..Resources::default()
                }
            };
            self.kind_mut(soroban)
                .flood
                .send(now_ms, pace, ledger, largest);
        }
    }

    /// Of the candidates for that ledger, those that everybody has by now.
    pub fn spread_candidates(
        &mut self,
        ledger: u32,
        settings: &Settings,
        now_ms: u64,
    ) -> [Vec<Arc<Parsed>>; 2] {
        self.spread(settings, now_ms);
        let [mut classic, mut soroban] = self.candidates(ledger);
        if self.pace.is_some() {
            classic.retain(|tx| self.classic.flood.has_arrived(tx, now_ms));
            soroban.retain(|tx| self.soroban.flood.has_arrived(tx, now_ms));
        }
        [classic, soroban]
    }

    /// Everything that waits and may be in that ledger: classic transactions, then Soroban's.
    pub fn candidates(&self, ledger: u32) -> [Vec<Arc<Parsed>>; 2] {
        let unusable = crate::ledger::account::starting_sequence(ledger);
        [&self.classic, &self.soroban].map(|kind| {
            let waiting = kind.accounts.values().filter_map(|account| {
                let tx = &account.waiting.as_ref()?.tx;
                (tx.sequence() != unusable).then(|| Arc::clone(tx))
            });
            waiting.collect()
        })
    }

    /// A ledger became visible: what it applied leaves and is banned, the rest grows older.
    pub fn ledger_closed(&mut self, applied: &[Arc<Parsed>]) {
        for tx in applied {
            let kind = self.kind_mut(tx.is_soroban());
            // Whatever its hash, a sequence that is used up can never be applied.
            let used_up = |waiting: &Waiting| waiting.tx.sequence() <= tx.sequence();
            if kind.waiting(&tx.source).is_some_and(used_up) {
                if let Some(waiting) = kind.remove(&tx.source) {
                    if waiting.tx.hash != tx.hash {
                        self.fates.dropped(waiting.tx.hash, Reason::Overtaken);
                    }
                }
            }
            self.ban_hash(tx.full_hash);
        }
        self.bans.pop_back();
        self.bans.push_front(HashSet::new());
        let mut too_old = Vec::new();
        for kind in [&mut self.classic, &mut self.soroban] {
            kind.limiter.forget_evictions();
            for waiting in kind
                .accounts
                .values_mut()
                .filter_map(|account| account.waiting.as_mut())
            {
                waiting.age_ledgers += 1;
                if waiting.age_ledgers >= MAX_AGE_LEDGERS {
                    too_old.push(Arc::clone(&waiting.tx));
                }
            }
        }
        for tx in too_old {
            self.ban(&tx, Reason::Age);
        }
    }

    /// Takes out this very transaction, if it is there, and bans it.
    pub fn ban(&mut self, tx: &Parsed, reason: Reason) {
        let kind = self.kind_mut(tx.is_soroban());
        let is_it = |waiting: &Waiting| waiting.tx.full_hash == tx.full_hash;
        if kind.waiting(&tx.source).is_some_and(is_it) {
            kind.remove(&tx.source);
            self.fates.dropped(tx.hash, reason);
        }
        self.ban_hash(tx.full_hash);
    }

    fn ban_hash(&mut self, full_hash: [u8; 32]) {
        if let Some(bans) = self.bans.front_mut() {
            // Beyond the bound a hash merely gets a full answer instead of a short one.
            if bans.len() < MAX_BANS_PER_LEDGER {
                bans.insert(full_hash);
            }
        }
    }

    /// Hashes of all that waits, those inside fee-bumps included.
    pub fn hashes(&self) -> HashSet<[u8; 32]> {
        let of = |tx: &Arc<Parsed>| [Some(tx.hash), tx.inner_hash()];
        self.transactions().flat_map(of).flatten().collect()
    }

    /// Why a transaction that was accepted left without being applied.
    pub fn fate(&self, hash: &[u8; 32]) -> Option<Reason> {
        self.fates.of(hash)
    }
}

/// Is it the same envelope, or the one inside the fee-bump that waits?
fn is_duplicate(tx: &Parsed, waiting: &Parsed) -> bool {
    match (&tx.fee_bump, &waiting.fee_bump) {
        (None, Some(bump)) => bump.inner_full_hash == tx.full_hash,
        _ => tx.full_hash == waiting.full_hash,
    }
}

fn capacity(soroban: bool, settings: &Settings) -> Resources {
    ledger_limit(soroban, settings) * CAPACITY_LEDGERS
}

fn ledger_limit(soroban: bool, settings: &Settings) -> Resources {
    if soroban {
        Resources::ledger_limit(settings)
    } else {
        Resources::classic_limit(settings)
    }
}
