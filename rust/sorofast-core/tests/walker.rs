//! The borrowed walker beside the reference codec: both must accept the same bytes and see the same values.

use proptest::prelude::*;
use sorofast_core::registry::{read_entry, Entry};
use sorofast_core::row;
use sorofast_core::types::{AccountKey, ContractId, Stroops, TaskId};
use sorofast_core::xdr::{read_result, skip_value, Reader};
use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountEntryExtensionV1, AccountEntryExtensionV1Ext,
    AccountEntryExtensionV2, AccountEntryExtensionV2Ext, AccountEntryExtensionV3, AccountId,
    ContractDataDurability, ContractDataEntry, ContractExecutable, ContractId as XdrContractId,
    ExtensionPoint, Hash, Int128Parts, LedgerEntryData, Liabilities, Limits, MuxedEd25519Account,
    PublicKey, ReadXdr, ScAddress, ScBytes, ScContractInstance, ScError, ScErrorCode, ScMap,
    ScMapEntry, ScString, ScSymbol, ScVal, ScVec, SequenceNumber, String32, Thresholds, TimePoint,
    TransactionResult, UInt256Parts, Uint256, WriteXdr,
};

const CONTRACT: [u8; 32] = [7; 32];
const KEEPER: [u8; 32] = [9; 32];

fn limits() -> Limits {
    Limits {
        depth: 200,
        len: 1 << 20,
    }
}

fn account_address(key: [u8; 32]) -> ScAddress {
    ScAddress::Account(AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key))))
}

fn symbol(text: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(text.try_into().unwrap()))
}

fn vector(items: Vec<ScVal>) -> ScVal {
    ScVal::Vec(Some(ScVec(items.try_into().unwrap())))
}

fn map(items: Vec<(ScVal, ScVal)>) -> ScVal {
    let entries: Vec<_> = items
        .into_iter()
        .map(|(key, val)| ScMapEntry { key, val })
        .collect();
    ScVal::Map(Some(ScMap(entries.try_into().unwrap())))
}

fn address() -> impl Strategy<Value = ScAddress> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(account_address),
        any::<[u8; 32]>().prop_map(|id| ScAddress::Contract(XdrContractId(Hash(id)))),
        any::<([u8; 32], u64)>().prop_map(|(key, id)| ScAddress::MuxedAccount(
            MuxedEd25519Account {
                id,
                ed25519: Uint256(key)
            }
        )),
    ]
}

fn value() -> impl Strategy<Value = ScVal> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(ScVal::Bool),
        Just(ScVal::Void),
        any::<u32>().prop_map(|code| ScVal::Error(ScError::Contract(code))),
        Just(ScVal::Error(ScError::Budget(ScErrorCode::ExceededLimit))),
        any::<u32>().prop_map(ScVal::U32),
        any::<i32>().prop_map(ScVal::I32),
        any::<u64>().prop_map(ScVal::U64),
        any::<i64>().prop_map(ScVal::I64),
        any::<u64>().prop_map(|at| ScVal::Timepoint(TimePoint(at))),
        any::<(i64, u64)>().prop_map(|(hi, lo)| ScVal::I128(Int128Parts { hi, lo })),
        any::<[u64; 4]>().prop_map(|[hi_hi, hi_lo, lo_hi, lo_lo]| ScVal::U256(UInt256Parts {
            hi_hi,
            hi_lo,
            lo_hi,
            lo_lo
        })),
        any::<Vec<u8>>().prop_map(|bytes| ScVal::Bytes(ScBytes(bytes.try_into().unwrap()))),
        any::<Vec<u8>>().prop_map(|bytes| ScVal::String(ScString(bytes.try_into().unwrap()))),
        "[a-z_]{0,32}".prop_map(|text| symbol(&text)),
        address().prop_map(ScVal::Address),
        Just(ScVal::LedgerKeyContractInstance),
        Just(ScVal::Vec(None)),
        Just(ScVal::Map(None)),
        Just(ScVal::ContractInstance(ScContractInstance {
            executable: ContractExecutable::Wasm(Hash([1; 32])),
            storage: Some(ScMap(
                vec![ScMapEntry {
                    key: symbol("A"),
                    val: ScVal::U32(1)
                }]
                .try_into()
                .unwrap()
            )),
        })),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(vector),
            prop::collection::vec((inner.clone(), inner), 0..4).prop_map(map),
        ]
    })
}

fn accepts(bytes: &[u8]) -> bool {
    let reader = &mut Reader::new(bytes);
    skip_value(reader).and_then(|()| reader.finish()).is_ok()
}

#[derive(Debug, Clone)]
struct Task {
    interval: u64,
    narrow: bool,
    last_run: u64,
    gas: i128,
    active: Option<bool>,
    resolver: Option<ScAddress>,
    whitelist: Vec<ScAddress>,
    blocked_by: Vec<u64>,
    args: Vec<ScVal>,
    unknown: Vec<(String, ScVal)>,
    rotation: usize,
}

fn task() -> impl Strategy<Value = Task> {
    let keepers = prop_oneof![address(), Just(account_address(KEEPER))];
    (
        (
            any::<u32>(),
            any::<bool>(),
            any::<u64>(),
            any::<i128>(),
            any::<Option<bool>>(),
        ),
        prop::option::of(address()),
        prop::collection::vec(keepers, 0..3),
        prop::collection::vec(any::<u64>(), 0..3),
        prop::collection::vec(value(), 0..3),
        prop::collection::vec(("x[a-z]{1,6}", value()), 0..3),
        0..16_usize,
    )
        .prop_map(
            |(
                (interval, narrow, last_run, gas, active),
                resolver,
                whitelist,
                blocked_by,
                args,
                unknown,
                rotation,
            )| {
                let interval = u64::from(interval);
                Task {
                    interval,
                    narrow,
                    last_run,
                    gas,
                    active,
                    resolver,
                    whitelist,
                    blocked_by,
                    args,
                    unknown,
                    rotation,
                }
            },
        )
}

impl Task {
    fn encode(&self) -> ScVal {
        let interval = if self.narrow {
            ScVal::U32(self.interval as u32)
        } else {
            ScVal::U64(self.interval)
        };
        let gas = Int128Parts {
            hi: (self.gas >> 64) as i64,
            lo: self.gas.cast_unsigned() as u64,
        };
        let mut fields = vec![
            (symbol("args"), vector(self.args.clone())),
            (
                symbol("blocked_by"),
                vector(self.blocked_by.iter().map(|&id| ScVal::U64(id)).collect()),
            ),
            (symbol("function"), symbol("run")),
            (symbol("gas_balance"), ScVal::I128(gas)),
            (symbol("interval"), interval),
            (symbol("last_run"), ScVal::U64(self.last_run)),
            (
                symbol("resolver"),
                self.resolver.clone().map_or(ScVal::Void, ScVal::Address),
            ),
            (
                symbol("target"),
                ScVal::Address(ScAddress::Contract(XdrContractId(Hash([3; 32])))),
            ),
            (
                symbol("whitelist"),
                vector(self.whitelist.iter().cloned().map(ScVal::Address).collect()),
            ),
        ];
        fields.extend(
            self.active
                .map(|active| (symbol("is_active"), ScVal::Bool(active))),
        );
        fields.extend(
            self.unknown
                .iter()
                .map(|(name, value)| (symbol(name), value.clone())),
        );
        let middle = self.rotation % fields.len();
        fields.rotate_left(middle);
        map(fields)
    }

    fn entry(&self, id: u64, name: &str) -> Vec<u8> {
        let data = LedgerEntryData::ContractData(ContractDataEntry {
            ext: ExtensionPoint::V0,
            contract: ScAddress::Contract(XdrContractId(Hash(CONTRACT))),
            key: vector(vec![symbol(name), ScVal::U64(id)]),
            durability: ContractDataDurability::Persistent,
            val: self.encode(),
        });
        data.to_xdr(limits()).unwrap()
    }

    fn flags(&self) -> u16 {
        let keeper = account_address(KEEPER);
        let allowed = self.whitelist.is_empty() || self.whitelist.contains(&keeper);
        [
            (row::ACTIVE, self.active.unwrap_or(true)),
            (row::HAS_RESOLVER, self.resolver.is_some()),
            (row::HAS_WHITELIST, !self.whitelist.is_empty()),
            (row::KEEPER_ALLOWED, allowed),
            (row::BLOCKED_BY, !self.blocked_by.is_empty()),
        ]
        .into_iter()
        .filter_map(|(flag, on)| on.then_some(flag))
        .sum()
    }
}

fn read(bytes: &[u8]) -> Result<Entry, sorofast_core::xdr::XdrError> {
    read_entry(bytes, &ContractId(CONTRACT), &AccountKey(KEEPER))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn skips_exactly_one_value(value in value(), tail: Vec<u8>) {
        let bytes = value.to_xdr(limits()).unwrap();
        let mut longer = bytes.clone();
        longer.extend(tail);
        let mut reader = Reader::new(&longer);
        skip_value(&mut reader).unwrap();
        prop_assert_eq!(reader.position(), bytes.len());
    }

    #[test]
    fn accepts_what_the_reference_accepts(
        value in value(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = value.to_xdr(limits()).unwrap();
        for (at, change) in changes {
            let at = at.index(bytes.len());
            // Small changes turn discriminants and lengths into their neighbours, where mistakes would be.
            bytes[at] = if change < 128 { bytes[at].wrapping_add(change % 8) } else { change };
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        // The reference takes a boolean of 2 for false; the walker takes only what the reference would write.
        let canonical = ScVal::from_xdr(&bytes, limits()).is_ok_and(|value| value.to_xdr(limits()).unwrap() == bytes);
        prop_assert_eq!(accepts(&bytes), canonical);
    }

    #[test]
    fn reads_the_fields_of_a_task(task in task(), id: u64) {
        let Ok(Entry::Task(found, state)) = read(&task.entry(id, "Task")) else { panic!("no task") };
        prop_assert_eq!(found, TaskId(id));
        prop_assert_eq!(state.interval_s, task.interval);
        prop_assert_eq!(state.last_run_s, task.last_run);
        prop_assert_eq!(state.gas, Stroops(task.gas.clamp(i64::MIN.into(), i64::MAX.into()) as i64));
        prop_assert_eq!(state.flags, task.flags());
        let waits_for: Vec<_> = task.blocked_by.iter().map(|&id| TaskId(id)).collect();
        prop_assert_eq!(&state.dependencies, &waits_for);
        let Ok(Entry::TaskMeta(_, meta)) = read(&task.entry(id, "TaskMeta")) else { panic!("no meta") };
        prop_assert_eq!(meta, state);
        prop_assert_eq!(read(&task.entry(id, "TaskStats")), Ok(Entry::Other));
    }

    #[test]
    fn shapes_tell_footprints_apart(task in task(), other in task()) {
        let shape = |task: &Task| match read(&task.entry(1, "Task")) {
            Ok(Entry::Task(_, state)) => state.shape,
            other => panic!("{other:?}"),
        };
        let later = Task { last_run: other.last_run, gas: other.gas, interval: other.interval, ..task.clone() };
        prop_assert_eq!(shape(&task), shape(&later));
        let mut with_args = task.clone();
        with_args.args.push(ScVal::Void);
        prop_assert_ne!(shape(&task), shape(&with_args));
        let mut with_keeper = task.clone();
        with_keeper.whitelist.push(account_address([1; 32]));
        prop_assert_ne!(shape(&task), shape(&with_keeper));
        // What is called, and with arguments of which types, is the upper half; with which values, the lower.
        let kind = |task: &Task| shape(task) >> 32;
        let with = |value| Task { args: [task.args.clone(), vec![ScVal::U32(value)]].concat(), ..task.clone() };
        prop_assert_eq!(kind(&with(1)), kind(&with(2)));
        prop_assert_ne!(shape(&with(1)), shape(&with(2)));
        prop_assert_eq!(kind(&task), kind(&with_keeper));
        prop_assert_ne!(kind(&task), kind(&with_args));
        let waits = |id| Task { blocked_by: vec![id], ..task.clone() };
        prop_assert_eq!(kind(&waits(1)), kind(&waits(2)));
        prop_assert_ne!(shape(&waits(1)) as u32, shape(&waits(2)) as u32);
    }

    #[test]
    fn a_mutated_entry_is_an_error_or_an_entry(
        task in task(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = task.entry(5, "Task");
        let mut bytes = whole.clone();
        for (at, change) in changes {
            let at = at.index(bytes.len());
            bytes[at] = change;
        }
        for candidate in [&bytes[..], &whole[..cut.index(whole.len())]] {
            match read(candidate) {
                // What is accepted is XDR to the reference too.
                Ok(_) => prop_assert!(LedgerEntryData::from_xdr(candidate, limits()).is_ok()),
                Err(error) => prop_assert!(error.offset <= candidate.len() && !error.reason.is_empty()),
            }
        }
    }

    #[test]
    fn results_agree(bytes in prop::collection::vec(any::<u8>(), 0..64), code in -20..3_i32, inner in -8..3_i32) {
        let mut result = 4321_i64.to_be_bytes().to_vec();
        result.extend(code.to_be_bytes());
        result.extend(1_u32.to_be_bytes());
        result.extend(0_i32.to_be_bytes());
        result.extend(24_u32.to_be_bytes());
        result.extend(inner.to_be_bytes());
        result.extend([0; 36]);
        if let Ok(reference) = TransactionResult::from_xdr(&result, limits()) {
            let summary = read_result(&result).unwrap();
            prop_assert_eq!(summary.fee_charged.0, reference.fee_charged);
            // TxBadSeq and txBAD_SEQ are one name in two spellings.
            let plain = |name: &str| name.replace('_', "").to_lowercase();
            prop_assert_eq!(plain(summary.code), plain(reference.result.name()));
        }
        let _ = read_result(&bytes);
    }
}

fn plain_account(ext: AccountEntryExt) -> LedgerEntryData {
    LedgerEntryData::Account(AccountEntry {
        account_id: AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(KEEPER))),
        balance: 5_000_000_000,
        seq_num: SequenceNumber(i64::MAX - 1),
        num_sub_entries: 2,
        inflation_dest: Some(AccountId(PublicKey::PublicKeyTypeEd25519(Uint256([2; 32])))),
        flags: 0,
        home_domain: String32("keeper.example".try_into().unwrap()),
        thresholds: Thresholds([1, 0, 0, 0]),
        signers: vec![
            stellar_xdr::Signer {
                key: stellar_xdr::SignerKey::PreAuthTx(Uint256([1; 32])),
                weight: 1,
            },
            stellar_xdr::Signer {
                key: stellar_xdr::SignerKey::Ed25519SignedPayload(
                    stellar_xdr::SignerKeyEd25519SignedPayload {
                        ed25519: Uint256([1; 32]),
                        payload: vec![1, 2, 3].try_into().unwrap(),
                    },
                ),
                weight: 1,
            },
        ]
        .try_into()
        .unwrap(),
        ext,
    })
}

#[test]
fn account_extensions_are_followed() {
    let with = |ext| {
        AccountEntryExt::V1(AccountEntryExtensionV1 {
            liabilities: Liabilities {
                buying: 1,
                selling: 2,
            },
            ext,
        })
    };
    let sponsored = |ext| {
        with(AccountEntryExtensionV1Ext::V2(AccountEntryExtensionV2 {
            num_sponsored: 0,
            num_sponsoring: 0,
            signer_sponsoring_i_ds: vec![
                stellar_xdr::SponsorshipDescriptor(None),
                stellar_xdr::SponsorshipDescriptor(Some(AccountId(
                    PublicKey::PublicKeyTypeEd25519(Uint256([4; 32])),
                ))),
            ]
            .try_into()
            .unwrap(),
            ext,
        }))
    };
    let newest = AccountEntryExtensionV2Ext::V3(AccountEntryExtensionV3 {
        ext: ExtensionPoint::V0,
        seq_ledger: 77,
        seq_time: TimePoint(1_700_000_000),
    });
    for (ext, ledger, time_s) in [
        (AccountEntryExt::V0, 0, 0),
        (with(AccountEntryExtensionV1Ext::V0), 0, 0),
        (sponsored(AccountEntryExtensionV2Ext::V0), 0, 0),
        (sponsored(newest), 77, 1_700_000_000),
    ] {
        let bytes = plain_account(ext).to_xdr(limits()).unwrap();
        let Ok(Entry::Account(state)) = read(&bytes) else {
            panic!("no account")
        };
        assert_eq!(
            (state.key.0, state.balance.0, state.sequence.0),
            (KEEPER, 5_000_000_000, i64::MAX - 1)
        );
        assert_eq!(
            (state.sequence_ledger.0, state.sequence_time_s),
            (ledger, time_s)
        );
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err());
        }
    }
}
