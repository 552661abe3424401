//! Cost parameters of the network, in the order of `ContractCostType`.
//!
//! Origin: the settings that stellar-core published for testnet in August 2026, which mainnet shares. They know 86
//! types; the nine ML-DSA types that protocol 30 added carry the values that
//! soroban-env-host 30.0.0 has as its defaults.

use stellar_xdr::{ContractCostParamEntry, ContractCostParams, ExtensionPoint};

/// How many types the published settings cover.
pub const PUBLISHED_TYPES: usize = 86;

/// (constant term, linear term), the linear one scaled by 128.
const CPU: [(i64, i64); PUBLISHED_TYPES] = [
    (4, 0),
    (434, 16),
    (42, 16),
    (44, 16),
    (295, 0),
    (60, 0),
    (221, 26),
    (331, 4_369),
    (3_636, 7_013),
    (40_256, 0),
    (377_551, 4_059),
    (417_482, 45_712),
    (41_142, 634),
    (1_945, 0),
    (6_481, 5_943),
    (711, 0),
    (2_314_804, 0),
    (4_176, 0),
    (4_716, 0),
    (4_680, 0),
    (4_256, 0),
    (884, 0),
    (1_059, 502),
    (73_077, 25_410),
    (0, 540_752),
    (0, 176_363),
    (0, 29_989),
    (0, 1_061_449),
    (0, 237_336),
    (0, 328_476),
    (0, 701_845),
    (0, 429_383),
    (0, 28),
    (43_030, 0),
    (0, 7_556),
    (0, 10_711),
    (0, 3_300),
    (0, 0),
    (0, 23_038),
    (0, 42_488),
    (0, 828_974),
    (0, 297_100),
    (0, 14),
    (1_882, 0),
    (3_000_906, 0),
    (661, 0),
    (985, 0),
    (1_934, 0),
    (730_510, 0),
    (5_921, 0),
    (1_057_822, 0),
    (92_642, 0),
    (100_742, 0),
    (7_689, 0),
    (2_458_985, 0),
    (2_347_584, 94_135_478),
    (1_020_885, 0),
    (2_638_451, 6_803),
    (25_207, 0),
    (7_873_219, 0),
    (7_663_880, 298_580_871),
    (1_856_539, 0),
    (6_315_452, 7_232),
    (10_558_948, 632_860_943),
    (1_994, 0),
    (1_155, 0),
    (74, 0),
    (332, 0),
    (691, 74_558),
    (35_421, 0),
    (344, 0),
    (476, 0),
    (904, 0),
    (2_811, 0),
    (1_706_052, 0),
    (61, 0),
    (3_623, 0),
    (1_150_435, 0),
    (5_263_916, 392_472_814),
    (2_052, 0),
    (1_133, 0),
    (74, 0),
    (332, 0),
    (755, 68_930),
    (33_151, 0),
    (1_185_193, 41_568_084),
];

const MEMORY: [(i64, i64); PUBLISHED_TYPES] = [
    (0, 0),
    (16, 128),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (242, 384),
    (0, 384),
    (0, 0),
    (0, 0),
    (0, 0),
    (132_773, 4_903),
    (69_472, 1_217),
    (14, 0),
    (0, 0),
    (0, 0),
    (181, 0),
    (99, 0),
    (99, 0),
    (99, 0),
    (99, 0),
    (99, 0),
    (0, 0),
    (17_564, 6_457),
    (0, 47_464),
    (0, 13_420),
    (0, 6_285),
    (0, 64_670),
    (0, 29_074),
    (0, 48_095),
    (0, 103_229),
    (0, 36_394),
    (0, 257),
    (70_704, 0),
    (0, 14_613),
    (0, 6_833),
    (0, 1_025),
    (0, 0),
    (0, 129_632),
    (0, 13_665),
    (0, 97_637),
    (0, 9_176),
    (0, 126),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (109_494, 266_603),
    (2_776, 0),
    (5_896, 0),
    (0, 0),
    (0, 0),
    (219_654, 266_603),
    (1_672, 0),
    (3_960, 0),
    (2_204, 9_340_474),
    (0, 0),
    (248, 0),
    (0, 0),
    (0, 0),
    (0, 128),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (1_821, 6_232_546),
    (0, 0),
    (312, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (73_061, 229_779),
];

const CPU_ML_DSA: [(i64, i64); 9] = [
    (849_110, 0),
    (1_505_271, 0),
    (2_625_760, 0),
    (37_888, 0),
    (47_691, 0),
    (66_346, 0),
    (685_165, 6_103),
    (983_619, 6_103),
    (1_437_210, 6_102),
];

const MEMORY_ML_DSA: [(i64, i64); 9] = [
    (24_656, 0),
    (43_088, 0),
    (73_808, 0),
    (4_104, 0),
    (5_128, 0),
    (7_176, 0),
    (0, 0),
    (0, 0),
    (0, 0),
];

/// CPU parameters of all 95 types.
pub fn cpu() -> ContractCostParams {
    params(CPU.iter().chain(&CPU_ML_DSA))
}

/// Memory parameters of all 95 types.
pub fn memory() -> ContractCostParams {
    params(MEMORY.iter().chain(&MEMORY_ML_DSA))
}

fn params<'a>(terms: impl Iterator<Item = &'a (i64, i64)>) -> ContractCostParams {
    let entries: Vec<ContractCostParamEntry> = terms
        .map(|&(const_term, linear_term)| ContractCostParamEntry {
            ext: ExtensionPoint::V0,
            const_term,
            linear_term,
        })
        .collect();
    ContractCostParams(entries.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use soroban_env_host::budget::Budget;
    use stellar_xdr::ContractCostType;

    #[test]
    fn every_type_has_a_parameter_and_the_host_takes_them() {
        assert_eq!(cpu().0.len(), ContractCostType::VARIANTS.len());
        assert_eq!(memory().0.len(), ContractCostType::VARIANTS.len());
        Budget::try_from_configs(1, 1, cpu(), memory()).expect("a budget");
    }
}
