//! The two settings that the network keeps up itself: the window of state sizes, by which rent is priced, and the place
//! that the eviction scan has come to.

use crate::host::footprint::is_persistent;
use crate::ledger::changes::ttl_key;
use crate::ledger::eviction::{ScanLimits, SCAN_LEVEL};
use crate::ledger::settings::Settings;
use crate::ledger::state::{Entries, Ground, Key, Layer, Lifetime, Stored};
use stellar_xdr::{
    ConfigSettingEntry, ConfigSettingId, EvictionIterator, LedgerEntry, LedgerEntryData,
    LedgerEntryExt, LedgerKey, LedgerKeyConfigSetting, Limits, ReadXdr, VecM, WriteXdr,
};

/// What the end of a ledger came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// XDR of the `LedgerKey`s that left the live state, as a ledger's meta lists them.
    pub evicted_keys_xdr: Vec<Vec<u8>>,
    /// Average over the window, by which the next ledger prices rent.
    pub state_size_bytes: u64,
}

/// Does what the network does once a ledger's transactions are applied: the scan, then the sample of the state's size.
/// The ledger may stand for several, up to itself, in which nothing else happened.
pub fn finish(
    ground: &dyn Ground,
    layer: &mut Layer<'_>,
    ledger: u32,
    ledgers: u32,
    settings: &Settings,
) -> Closed {
    let evicted_keys_xdr = evict(ground, layer, ledger, ledgers, settings);
    // The sample is of the state before this ledger.
    let period = sample_period(settings);
    let samples = ledger / period - (ledger - ledgers) / period;
    let state_size_bytes = sample(ground, layer, ledger, samples);
    Closed {
        evicted_keys_xdr,
        state_size_bytes,
    }
}

fn sample_period(settings: &Settings) -> u32 {
    settings
        .archival
        .live_soroban_state_size_window_sample_period
        .max(1)
}

fn evict(
    ground: &dyn Ground,
    layer: &mut Layer<'_>,
    ledger: u32,
    ledgers: u32,
    settings: &Settings,
) -> Vec<Vec<u8>> {
    let archival = &settings.archival;
    let limits = ScanLimits {
        bytes: archival.eviction_scan_size.saturating_mul(ledgers),
        entries: archival.max_entries_to_archive.saturating_mul(ledgers),
    };
    let offset = match setting(layer, ConfigSettingId::EvictionIterator) {
        Some(ConfigSettingEntry::EvictionIterator(iterator)) => iterator.bucket_file_offset,
        _ => 0,
    };
    let scan = ground.scan(offset, limits, &|key| layer.changes.contains_key(key));
    let (mut deleted, mut archived) = (Vec::new(), Vec::new());
    for key in scan.found {
        let Some(entry) = layer.get(&key) else {
            continue;
        };
        if is_persistent(&key) {
            archived.push(key.to_vec());
        } else {
            deleted.push(key.to_vec());
        }
        deleted.push(ttl_key(&key));
        if is_persistent(&key) {
            let lifetime = entry.lifetime.map(|lifetime| Lifetime {
                live_until: 0,
                modified: ledger,
                ..lifetime
            });
            layer.put(key, Stored { lifetime, ..entry });
        } else {
            layer.delete(key);
        }
    }
    // Written in every ledger, whether it went on or not.
    let iterator = ConfigSettingEntry::EvictionIterator(EvictionIterator {
        bucket_list_level: SCAN_LEVEL,
        is_curr_bucket: true,
        bucket_file_offset: scan.offset,
    });
    put_setting(layer, iterator, ledger);
    deleted.extend(archived);
    deleted
}

/// Adds that many samples to the window; returns its average.
fn sample(ground: &dyn Ground, layer: &mut Layer<'_>, ledger: u32, samples: u32) -> u64 {
    let mut window = window(layer);
    let samples = (samples as usize).min(window.len());
    if samples > 0 {
        window.rotate_left(samples);
        let newest = window.len() - samples;
        window[newest..].fill(ground.census().live_bytes);
        let window: VecM<u64> = window.clone().try_into().unwrap_or_default();
        put_setting(
            layer,
            ConfigSettingEntry::LiveSorobanStateSizeWindow(window),
            ledger,
        );
    }
    average(&window)
}

/// Key and entry of a window that has seen nothing but that size, as a network starts with.
pub fn full_window(entries: &dyn Entries, size_bytes: u64) -> Option<(Key, Stored)> {
    let mut window = window(entries);
    window.fill(size_bytes);
    let window: VecM<u64> = window.try_into().ok()?;
    let setting = ConfigSettingEntry::LiveSorobanStateSizeWindow(window);
    Some(encoded(setting, 1))
}

/// The size that a ledger on top of these entries prices rent by.
pub fn state_size_bytes(entries: &dyn Entries) -> u64 {
    average(&window(entries))
}

fn window(entries: &dyn Entries) -> Vec<u64> {
    match setting(entries, ConfigSettingId::LiveSorobanStateSizeWindow) {
        Some(ConfigSettingEntry::LiveSorobanStateSizeWindow(window)) => window.to_vec(),
        _ => Vec::new(),
    }
}

fn average(window: &[u64]) -> u64 {
    let sum: u128 = window.iter().map(|size| u128::from(*size)).sum();
    u64::try_from(sum / (window.len() as u128).max(1)).unwrap_or(u64::MAX)
}

fn key(id: ConfigSettingId) -> Vec<u8> {
    LedgerKey::ConfigSetting(LedgerKeyConfigSetting {
        config_setting_id: id,
    })
    .to_xdr(Limits::none())
    .unwrap_or_default()
}

fn setting(entries: &dyn Entries, id: ConfigSettingId) -> Option<ConfigSettingEntry> {
    let stored = entries.get(&key(id))?;
    let limits = Limits {
        depth: 100,
        len: stored.xdr.len(),
    };
    match LedgerEntry::from_xdr(&stored.xdr, limits).ok()?.data {
        LedgerEntryData::ConfigSetting(setting) => Some(setting),
        _ => None,
    }
}

fn put_setting(layer: &mut Layer<'_>, setting: ConfigSettingEntry, ledger: u32) {
    let (key, entry) = encoded(setting, ledger);
    layer.put(key, entry);
}

fn encoded(setting: ConfigSettingEntry, ledger: u32) -> (Key, Stored) {
    let key = key(setting.discriminant());
    let entry = LedgerEntry {
        last_modified_ledger_seq: ledger,
        data: LedgerEntryData::ConfigSetting(setting),
        ext: LedgerEntryExt::V0,
    };
    let xdr = entry.to_xdr(Limits::none()).unwrap_or_default();
    (Key::from(key), Stored::classic(xdr))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NodeConfig;
    use crate::ledger::genesis::{self, Keys};
    use crate::ledger::state::{Changes, State};
    use soroban_env_host::fees::{compute_rent_write_fee_per_1kb, RentWriteFeeConfiguration};

    #[test]
    fn a_larger_state_makes_rent_dearer() {
        let settings = Settings::of(&NodeConfig::default());
        let keys = Keys::of("a network").expect("keys");
        let mut state = State::default();
        state.publish(1, genesis::entries(&keys, &settings, &[]));
        let bytes = 3_900_000_000;
        let lifetime = Some(Lifetime {
            live_until: 1_000_000,
            rent_size_bytes: bytes,
            modified: 1,
        });
        let xdr = vec![0; 8].into();
        let large = Stored { xdr, lifetime };
        state.publish(2, Changes::from([(Key::from([1]), Some(large))]));
        assert_eq!(
            settings
                .rent_fees(state_size_bytes(&state))
                .fee_per_rent_1kb,
            1_000
        );
        for ledger in 3..=30 * 64 {
            let mut layer = Layer::new(&state);
            let closed = finish(&state, &mut layer, ledger, 1, &settings);
            let samples = u64::from(ledger / 64);
            assert_eq!(closed.state_size_bytes, samples * u64::from(bytes) / 30);
            let changes = layer.changes;
            state.publish(ledger, changes);
        }
        let fees = settings.rent_fees(state_size_bytes(&state));
        let published = RentWriteFeeConfiguration {
            state_target_size_bytes: 4_000_000_000,
            rent_fee_1kb_state_size_low: -17_000,
            rent_fee_1kb_state_size_high: 10_000,
            state_size_rent_fee_growth_factor: 5_000,
        };
        let expected = compute_rent_write_fee_per_1kb(i64::from(bytes), &published);
        assert_eq!(fees.fee_per_rent_1kb, expected);
        assert!(expected > 9_000);
    }

    #[test]
    fn many_quiet_ledgers_come_to_the_same_as_one_after_the_other() {
        let settings = Settings::of(&NodeConfig::default());
        let keys = Keys::of("a network").expect("keys");
        let genesis = || {
            let mut state = State::default();
            state.publish(1, genesis::entries(&keys, &settings, &[]));
            state
        };
        let (mut slow, mut fast) = (genesis(), genesis());
        let last = 64 * 40 + 3;
        for ledger in 2..=last {
            let mut layer = Layer::new(&slow);
            finish(&slow, &mut layer, ledger, 1, &settings);
            let changes = layer.changes;
            slow.publish(ledger, changes);
        }
        let mut layer = Layer::new(&fast);
        finish(&fast, &mut layer, last, last - 1, &settings);
        let changes = layer.changes;
        fast.publish(last, changes);
        for id in [
            ConfigSettingId::EvictionIterator,
            ConfigSettingId::LiveSorobanStateSizeWindow,
        ] {
            assert_eq!(setting(&slow, id), setting(&fast, id));
        }
    }
}
