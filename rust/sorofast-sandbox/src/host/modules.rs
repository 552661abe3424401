//! Compiled modules, kept between transactions as validators keep them.

use crate::config::PROTOCOL_VERSION;
use crate::crypto::sha256;
use crate::host::stack::caught;
use crate::ledger::settings::Settings;
use crate::ledger::state::{Key, Lifetime, Stored};
use soroban_env_host::budget::{AsBudget, Budget};
use soroban_env_host::e2e_invoke::entry_size_for_rent;
use soroban_env_host::vm::ParsedModule;
use soroban_env_host::xdr::{
    ContractCodeEntry, ContractCodeEntryExt, ContractCodeEntryV1, ExtensionPoint, Hash,
    LedgerEntry, LedgerEntryData, LedgerEntryExt, LedgerKey, Limits, ReadXdr, WriteXdr,
};
use soroban_env_host::{CompilationContext, Error, ErrorHandler, HostError, ModuleCache, Val};

/// Compiled modules after which the cache starts over with the next ledger.
const MAX_MODULES: usize = 2_000;

/// A budget without a host, for compiling ahead of any transaction.
#[derive(Clone, Debug)]
struct Compiler(Budget);

impl AsBudget for Compiler {
    fn as_budget(&self) -> &Budget {
        &self.0
    }
}

impl ErrorHandler for Compiler {
    fn map_err<T, E>(&self, result: Result<T, E>) -> Result<T, HostError>
    where
        Error: From<E>,
        E: std::fmt::Debug,
    {
        result.map_err(|error| HostError::from(Error::from(error)))
    }

    fn error(&self, error: Error, _message: &str, _args: &[Val]) -> HostError {
        HostError::from(error)
    }
}

impl CompilationContext for Compiler {}

/// The cache, with a count that bounds it.
pub struct Modules {
    cache: ModuleCache,
    count: usize,
}

impl std::fmt::Debug for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modules")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Modules {
    pub fn new(settings: &Settings) -> Result<Self, HostError> {
        let cache = ModuleCache::new(&compiler(settings)?)?;
        Ok(Self { cache, count: 0 })
    }

    /// A handle on the same cache for one host.
    pub fn handle(&self) -> ModuleCache {
        self.cache.clone()
    }

    /// Starts over once there are too many; to be called before the modules of a ledger are added, never in between.
    pub fn make_room(&mut self) {
        if self.count >= MAX_MODULES {
            self.clear();
        }
    }

    /// Forgets everything: what another chain compiled would make this one's calls cheaper than they are.
    pub fn clear(&mut self) {
        if self.cache.clear().is_ok() {
            self.count = 0;
        }
    }

    pub fn contains(&self, key_xdr: &[u8]) -> bool {
        code_hash(key_xdr).is_none_or(|hash| self.cache.contains_module(&hash).unwrap_or(true))
    }

    /// Drops what was compiled of code that left the live state: whoever restores it pays for compiling it.
    pub fn forget(&mut self, key_xdr: &[u8]) {
        let Some(hash) = code_hash(key_xdr) else {
            return;
        };
        if let Ok(Some(_)) = self.cache.remove_module(&hash) {
            self.count -= 1;
        }
    }

    /// Compiles a code entry. One that does not compile is left to the host, which then says why.
    pub fn add(&mut self, entry_xdr: &[u8], settings: &Settings) {
        let limits = Limits {
            depth: 100,
            len: entry_xdr.len(),
        };
        let Ok(entry) = LedgerEntry::from_xdr(entry_xdr, limits) else {
            return;
        };
        let LedgerEntryData::ContractCode(code) = entry.data else {
            return;
        };
        // Entries without cost inputs are metered as such by the host itself.
        if matches!(code.ext, ContractCodeEntryExt::V0) {
            return;
        }
        let Ok(compiler) = compiler(settings) else {
            return;
        };
        let added = caught(|| {
            self.cache
                .parse_and_cache_module_simple(&compiler, PROTOCOL_VERSION, &code.code)
        });
        if matches!(added, Some(Ok(()))) {
            self.count += 1;
        }
    }
}

/// Key and entry of a contract's code as an upload in ledger 1 would have left them; None for what is no contract.
pub fn code_entry(wasm: &[u8], live_until: u32, settings: &Settings) -> Option<(Key, Stored)> {
    let cost_inputs =
        ParsedModule::extract_refined_contract_cost_inputs(&compiler(settings).ok()?, wasm).ok()?;
    let entry = LedgerEntry {
        last_modified_ledger_seq: 1,
        data: LedgerEntryData::ContractCode(ContractCodeEntry {
            ext: ContractCodeEntryExt::V1(ContractCodeEntryV1 {
                ext: ExtensionPoint::V0,
                cost_inputs,
            }),
            hash: Hash(sha256(wasm)),
            code: wasm.to_vec().try_into().ok()?,
        }),
        ext: LedgerEntryExt::V0,
    };
    let key = entry.to_key().to_xdr(Limits::none()).ok()?;
    let xdr = entry.to_xdr(Limits::none()).ok()?;
    let budget = compiler(settings).ok()?.0;
    let rent_size_bytes = entry_size_for_rent(&budget, &entry, xdr.len() as u32).ok()?;
    let lifetime = Some(Lifetime {
        live_until,
        rent_size_bytes,
        modified: 1,
    });
    let xdr = xdr.into();
    Some((key.into(), Stored { xdr, lifetime }))
}

fn compiler(settings: &Settings) -> Result<Compiler, HostError> {
    Ok(Compiler(Budget::try_from_configs(
        u64::MAX,
        u64::MAX,
        settings.cpu_params.clone(),
        settings.memory_params.clone(),
    )?))
}

/// None for keys that are not of code.
fn code_hash(key_xdr: &[u8]) -> Option<Hash> {
    match LedgerKey::from_xdr(
        key_xdr,
        Limits {
            depth: 100,
            len: key_xdr.len(),
        },
    ) {
        Ok(LedgerKey::ContractCode(key)) => Some(key.hash),
        _ => None,
    }
}

/// Is this the key of a contract's code? Tells from the first bytes, without decoding.
pub fn is_code_key(key_xdr: &[u8]) -> bool {
    key_xdr.len() == 36 && key_xdr[..4] == [0, 0, 0, 7]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NodeConfig;
    use soroban_env_host::xdr::ContractCodeCostInputs;

    /// Key and entry of a contract's code.
    fn code(wasm: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let hash = sha256(wasm);
        let cost_inputs = ContractCodeCostInputs {
            ext: ExtensionPoint::V0,
            n_instructions: 0,
            n_functions: 0,
            n_globals: 0,
            n_table_entries: 0,
            n_types: 0,
            n_data_segments: 0,
            n_elem_segments: 0,
            n_imports: 0,
            n_exports: 0,
            n_data_segment_bytes: 0,
        };
        let entry = LedgerEntry {
            last_modified_ledger_seq: 1,
            data: LedgerEntryData::ContractCode(ContractCodeEntry {
                ext: ContractCodeEntryExt::V1(ContractCodeEntryV1 {
                    ext: ExtensionPoint::V0,
                    cost_inputs,
                }),
                hash: Hash(hash),
                code: wasm.to_vec().try_into().expect("wasm"),
            }),
            ext: LedgerEntryExt::V0,
        };
        let key = [&[0, 0, 0, 7][..], &hash].concat();
        (key, entry.to_xdr(Limits::none()).expect("an entry"))
    }

    #[test]
    fn a_full_cache_keeps_what_the_ledger_needs() {
        let settings = Settings::of(&NodeConfig::default());
        let mut modules = Modules::new(&settings).expect("a cache");
        let (first, second) = (
            code(include_bytes!("../../wasm/counter.wasm")),
            code(include_bytes!("../../wasm/always_panics.wasm")),
        );
        modules.count = MAX_MODULES;
        modules.add(&first.1, &settings);
        modules.add(&second.1, &settings);
        assert!(modules.contains(&first.0) && modules.contains(&second.0));
        modules.make_room();
        assert!(!modules.contains(&first.0) && !modules.contains(&second.0));
    }

    #[test]
    fn code_that_left_is_forgotten() {
        let settings = Settings::of(&NodeConfig::default());
        let mut modules = Modules::new(&settings).expect("a cache");
        let (key, entry) = code(include_bytes!("../../wasm/counter.wasm"));
        modules.forget(&key);
        modules.add(&entry, &settings);
        assert!(modules.contains(&key));
        modules.forget(&key);
        assert!(!modules.contains(&key));
        assert_eq!(modules.count, 0);
    }
}
