//! What a node starts from: its genesis, or a saved state.

use super::chain::{Chain, Genesis};
use crate::config::{ClockMode, NodeConfig, PROTOCOL_VERSION};
use crate::ledger::close::Tip;
use crate::ledger::events::native_contract;
use crate::ledger::genesis::{Keys, PublicPair};
use crate::ledger::header::NodeKey;
use crate::ledger::history::History;
use crate::ledger::seeds::{Generation, SeedTasks, Seeds};
use crate::ledger::settings::Settings;
use crate::ledger::state::{Key, State, Stored};
use crate::random::Randomness;
use crate::saved::{self, Head, SavedState, SeededTasks};
use crate::types::NodeError;
use std::collections::HashMap;
use stellar_xdr::{
    ConfigSettingEntry, LedgerEntry, LedgerEntryData, LedgerEntryExt, LedgerEntryType, Limits,
    ReadXdr, WriteXdr,
};

/// What an entry of code has beside the code: its hash, the costs of its module, and the frame.
const CODE_FRAME_BYTES: usize = 1024;

/// Who and what was there in the first ledger, besides what every network has.
#[derive(Debug)]
pub struct Origin {
    pub(super) accounts: Vec<PublicPair>,
    pub(super) seeds: Option<Seeds>,
}

impl Origin {
    fn new(keys: &Keys, accounts: u32, tasks: Option<SeedTasks>) -> Result<Self, NodeError> {
        let accounts = keys.accounts(accounts).ok_or_else(|| {
            NodeError::Internal("the keys of the accounts cannot be derived".into())
        })?;
        let mut owners: Vec<[u8; 32]> = accounts.iter().map(|account| account.id).collect();
        if owners.is_empty() {
            owners.push(keys.master);
        }
        let seeds = tasks.map(|plan| Seeds::new(plan, &keys.network_id, owners));
        Ok(Self { accounts, seeds })
    }

    /// The registries full of tasks, if any.
    pub fn seeds(&self) -> Option<&Seeds> {
        self.seeds.as_ref()
    }
}

/// A chain with everything that goes with it.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) chain: Chain,
    pub(super) origin: Origin,
    /// What the clock shows; the system's time if absent.
    pub(super) clock_ms: Option<u64>,
    pub(super) seed: u64,
    pub(super) drawn: Vec<u64>,
}

/// What stays the same while a node runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed<'a> {
    pub(super) config: &'a NodeConfig,
    pub(super) settings: &'a Settings,
    pub(super) keys: &'a Keys,
    pub(super) validator: &'a NodeKey,
}

impl Fixed<'_> {
    /// What the node was told to start from.
    pub(super) fn beginning(&self) -> Result<Beginning, NodeError> {
        let Some(path) = &self.config.load else {
            return self.genesis();
        };
        let refused =
            |reason: String| NodeError::Invalid(format!("--load {}: {reason}", path.display()));
        let file = std::fs::File::open(path).map_err(|error| refused(error.to_string()))?;
        let saved = SavedState::read(file).map_err(|refusal| refused(refusal.to_string()))?;
        self.resumed(saved).map_err(|error| match error {
            NodeError::Invalid(reason) => refused(reason),
            internal @ NodeError::Internal(_) => internal,
        })
    }

    fn genesis(&self) -> Result<Beginning, NodeError> {
        let config = self.config;
        let origin = Origin::new(self.keys, config.accounts, config.seed_tasks.clone())?;
        let random = Randomness::new(config.seed);
        let start_ms = config.start_time_s.map(|start| start * 1000);
        let clock = crate::clock::SandboxClock::new(ClockMode::System, config.start_time_s);
        let chain = Genesis {
            settings: self.settings,
            keys: self.keys,
            validator: self.validator,
            accounts: &origin.accounts,
            seeds: origin.seeds.as_ref(),
            random: &random,
            retention_ledgers: config.retention_ledgers,
            first_header: config.first_header,
        }
        .chain(start_ms.unwrap_or_else(|| clock.now_ms()))?;
        Ok(Beginning {
            chain,
            origin,
            clock_ms: start_ms,
            seed: random.seed(),
            drawn: random.drawn(),
        })
    }

    /// What a saved state leads to, if it is of a network like this one.
    pub(super) fn resumed(&self, saved: SavedState) -> Result<Beginning, NodeError> {
        let refuse = |reason: String| Err(NodeError::Invalid(reason));
        let SavedState {
            head,
            entries,
            ledgers,
        } = saved;
        if head.protocol != PROTOCOL_VERSION {
            return refuse(format!(
                "the state is of protocol {}, and this build runs protocol {PROTOCOL_VERSION}",
                head.protocol
            ));
        }
        if head.network_passphrase != self.config.network_passphrase {
            return refuse(format!(
                "the state is of the network {:?}, and this one is {:?}; start with \
                 --network-passphrase {:?}",
                head.network_passphrase, self.config.network_passphrase, head.network_passphrase
            ));
        }
        let limits = self.config.limits.name();
        if head.limits != limits {
            return refuse(format!(
                "the state has the limits of {}, and this network those of {limits}; start with \
                 --limits {}",
                head.limits, head.limits
            ));
        }
        let Some(latest) = ledgers.last().map(|ledger| ledger.summary.clone()) else {
            return refuse("the state has no ledger".into());
        };
        let mut header =
            saved::header(&latest).map_err(|error| NodeError::Invalid(error.to_string()))?;
        self.check_entries(&entries, latest.sequence)?;
        let mut state = State::restored(latest.sequence, entries);
        self.fit_settings(&mut state, latest.sequence)?;
        // Entries that were put in from outside since that ledger may hold more than its header says.
        let coins = state.coins(&native_contract(&self.keys.network_id));
        header.total_coins = i64::try_from(coins + i128::from(header.fee_pool))
            .ok()
            .filter(|coins| *coins >= 0)
            .ok_or_else(|| {
                NodeError::Invalid("the state has more lumens than a ledger can count".into())
            })?;
        Ok(Beginning {
            chain: Chain {
                state,
                history: History::of(ledgers, self.config.retention_ledgers),
                tip: Tip {
                    header,
                    hash: latest.hash,
                    close_time_ms: latest.close_time_ms,
                },
            },
            origin: Origin::new(self.keys, head.accounts, seed_tasks(head.seed_tasks)?)?,
            clock_ms: Some(head.clock_ms),
            seed: head.seed,
            drawn: head.drawn,
        })
    }

    /// Refuses entries that are larger or live longer than this network lets them.
    fn check_entries(&self, entries: &[(Key, Stored)], latest: u32) -> Result<(), NodeError> {
        let settings = self.settings;
        let last = latest.saturating_add(settings.archival.max_entry_ttl);
        let mut configured = 0;
        for (number, (key, stored)) in entries.iter().enumerate() {
            let limit_bytes = match LedgerEntryType::from_xdr(&key[..4], Limits::none()) {
                Ok(LedgerEntryType::ContractData) => settings.max_data_entry_size_bytes as usize,
                Ok(LedgerEntryType::ContractCode) => {
                    settings.max_contract_size_bytes as usize + CODE_FRAME_BYTES
                }
                Ok(LedgerEntryType::ConfigSetting) => {
                    configured += 1;
                    usize::MAX
                }
                _ => usize::MAX,
            };
            let reason = if stored.xdr.len() > limit_bytes {
                "it is larger than this network's entries may be"
            } else if stored.lifetime.is_some_and(|life| life.live_until > last) {
                "it lives longer than anything can on this network"
            } else {
                continue;
            };
            return Err(NodeError::Invalid(format!(
                "the state cannot be taken: entry {number}: {reason}"
            )));
        }
        if configured > settings.entries().len() {
            return Err(NodeError::Invalid(
                "the state has network settings that there are not".into(),
            ));
        }
        Ok(())
    }

    /// Refuses a state whose settings are not this network's. The pace of ledgers is how the process was started, so
    /// it is put in, and what the network keeps up by itself stays.
    fn fit_settings(&self, state: &mut State, latest: u32) -> Result<(), NodeError> {
        for setting in self.settings.entries() {
            let (is_pace, is_kept_up) = match &setting {
                ConfigSettingEntry::ScpTiming(_) => (true, false),
                ConfigSettingEntry::LiveSorobanStateSizeWindow(_)
                | ConfigSettingEntry::EvictionIterator(_) => (false, true),
                _ => (false, false),
            };
            let name = setting.name();
            let entry = LedgerEntry {
                last_modified_ledger_seq: latest,
                data: LedgerEntryData::ConfigSetting(setting),
                ext: LedgerEntryExt::V0,
            };
            let encode = |value: Result<Vec<u8>, stellar_xdr::Error>| {
                value.map_err(|error| NodeError::Internal(error.to_string()))
            };
            let key = encode(entry.to_key().to_xdr(Limits::none()))?;
            let xdr = encode(entry.to_xdr(Limits::none()))?;
            let same = |stored: &Stored| stored.xdr[4..] == xdr[4..];
            match state.get(&key) {
                Some(stored) if same(stored) => {}
                Some(stored) if is_kept_up && stored.xdr.len() == xdr.len() => {}
                Some(_) if is_pace => {
                    state.put(Key::from(key), Stored::classic(xdr));
                }
                _ => {
                    return Err(NodeError::Invalid(format!(
                        "the state has other network settings: {name} is not what this build has"
                    )))
                }
            }
        }
        Ok(())
    }
}

/// What a saved state says of its tasks.
pub(super) fn seeded_tasks(plan: &SeedTasks) -> SeededTasks {
    SeededTasks {
        tasks: plan.tasks,
        intervals_s: plan.intervals_s,
        generations: plan
            .generations
            .iter()
            .map(|generation| generation.name().to_owned())
            .collect(),
    }
}

fn seed_tasks(told: Option<SeededTasks>) -> Result<Option<SeedTasks>, NodeError> {
    let Some(told) = told else {
        return Ok(None);
    };
    let by_name: HashMap<&str, Generation> = Generation::ALL
        .into_iter()
        .map(|generation| (generation.name(), generation))
        .collect();
    let generations: Option<Vec<Generation>> = told
        .generations
        .iter()
        .map(|name| by_name.get(name.as_str()).copied())
        .collect();
    let plan = SeedTasks {
        tasks: told.tasks,
        intervals_s: told.intervals_s,
        generations: generations.ok_or_else(|| {
            NodeError::Invalid("the state names a generation of tasks that there is not".into())
        })?,
    };
    plan.validate()?;
    Ok(Some(plan))
}

/// The head of what a node saves.
pub(super) fn head(config: &NodeConfig, origin: &Origin) -> Head {
    Head {
        protocol: PROTOCOL_VERSION,
        network_passphrase: config.network_passphrase.clone(),
        limits: config.limits.name().to_owned(),
        latest_ledger: 0,
        clock_ms: 0,
        seed: 0,
        drawn: Vec::new(),
        accounts: origin.accounts.len() as u32,
        seed_tasks: origin.seeds.as_ref().map(|seeds| seeded_tasks(&seeds.plan)),
        entries: 0,
        ledgers: 0,
    }
}
