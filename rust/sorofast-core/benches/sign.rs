//! Where the time of one run goes: building and signing it, beside the parts that cannot be left out.
//!
//! `cargo bench -p sorofast-core --bench sign`. The parts take turns, and the fastest round of each counts, which a busy
//! host disturbs least. Two signatures alone are the floor: how far above it a whole run is carries over to other hosts,
//! the microseconds do not.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sorofast_core::base64;
use sorofast_core::hash::sha256;
use sorofast_core::keys::{channel_seed, seed_of_mnemonic, KeyPair};
use sorofast_core::strkey::{encode, Kind};
use sorofast_core::tx::{
    BuildItem, BuildPlace, Consent, Lesson, Operation, Padding, Signer, Simulated, Source,
};
use sorofast_core::types::{ContractId, Ledger, Sequence, Stroops};
use stellar_xdr::{
    ContractDataDurability, ContractId as XdrContractId, Hash, LedgerFootprint, LedgerKey,
    LedgerKeyContractCode, LedgerKeyContractData, Limits, ScAddress, ScSymbol, ScVal, ScVec,
    SorobanResources, SorobanTransactionData, SorobanTransactionDataExt, WriteXdr,
};

const CONTRACT: ContractId = ContractId([7; 32]);
const PHRASE: &str = "illness spike retreat truth genius clock brain pass fit cave bargain toe";
const RUNS: u32 = 50;
const ROUNDS: u32 = 400;
/// By how much an envelope is longer than what is hashed: two signatures and their count, less the network id.
const UNSIGNED_LESS: usize = 4 + 2 * 72 - 32;

fn entry(contract: [u8; 32], key: ScVal) -> LedgerKey {
    LedgerKey::ContractData(LedgerKeyContractData {
        contract: ScAddress::Contract(XdrContractId(Hash(contract))),
        key,
        durability: ContractDataDurability::Persistent,
    })
}

/// What a run of a task touches: both contracts, their code, and the task.
fn footprint(task: u64) -> Vec<u8> {
    let name = ScVal::Symbol(ScSymbol("Task".try_into().unwrap()));
    let key = ScVec(vec![name, ScVal::U64(task)].try_into().unwrap());
    let read_only = vec![
        entry(CONTRACT.0, ScVal::LedgerKeyContractInstance),
        entry([8; 32], ScVal::LedgerKeyContractInstance),
        LedgerKey::ContractCode(LedgerKeyContractCode {
            hash: Hash([9; 32]),
        }),
    ];
    let data = SorobanTransactionData {
        ext: SorobanTransactionDataExt::V0,
        resources: SorobanResources {
            footprint: LedgerFootprint {
                read_only: read_only.try_into().unwrap(),
                read_write: vec![entry(CONTRACT.0, ScVal::Vec(Some(key)))]
                    .try_into()
                    .unwrap(),
            },
            instructions: 1_234_567,
            disk_read_bytes: 0,
            write_bytes: 700,
        },
        resource_fee: 55_555,
    };
    data.to_xdr(Limits::none()).unwrap()
}

fn main() {
    let secret = [b'k'; 32];
    let text = encode(Kind::Seed, &secret);
    let mut signer = Signer::new("a network", &text, Some(PHRASE), 1).unwrap();
    let operation = Operation::execute(CONTRACT, &signer.keeper());
    let (data, auth) = (footprint(5), [operation.consent(&[5])]);
    let lesson = Lesson {
        operation: &operation,
        values: &[5],
        source: Source::Keeper,
        simulated: Simulated {
            data: Some(&data),
            auth: &auth,
            consent: Consent::Plain,
            min_resource_fee: Stroops(0),
        },
        must_write: None,
        padding: Padding::default(),
    };
    signer.learn(1, &lesson).unwrap();
    let items: Vec<BuildItem> = (0..RUNS)
        .map(|run| BuildItem {
            key: 1,
            values: vec![1000 + u64::from(run)],
            place: BuildPlace {
                channel: 0,
                sequence: Sequence(77 + i64::from(run)),
                max_ledger: Ledger(120),
                max_time_s: 1_760_000_030,
            },
        })
        .collect();

    let keeper = KeyPair::from_seed(&secret).unwrap();
    let root = seed_of_mnemonic(PHRASE).unwrap();
    let channel = KeyPair::from_seed(&channel_seed(&root, 0).unwrap()).unwrap();
    let built = signer.build(&items[0], 1000).unwrap();
    let envelope = base64::decode(built.envelope.as_bytes()).unwrap();
    // The parts do what the whole does: the signatures are in the envelope, and the text is its text.
    for pair in [&channel, &keeper] {
        let signature = pair.sign(&built.hash).unwrap().bytes;
        assert!(envelope.windows(64).any(|found| found == signature));
    }
    assert_eq!(base64::encode(&envelope), built.envelope);
    let payload = &envelope[..envelope.len() - UNSIGNED_LESS];

    let build = || {
        for item in &items {
            black_box(signer.build(black_box(item), 1000).unwrap());
        }
    };
    let sign = || {
        for _ in 0..RUNS {
            black_box(channel.sign(black_box(&built.hash)).unwrap());
            black_box(keeper.sign(black_box(&built.hash)).unwrap());
        }
    };
    let hash = || {
        for _ in 0..RUNS {
            black_box(sha256(black_box(payload)));
        }
    };
    let text = || {
        for _ in 0..RUNS {
            black_box(base64::encode(black_box(&envelope)));
        }
    };
    let parts: [(&str, &dyn Fn()); 4] = [
        ("build and sign", &build),
        ("its two signatures alone", &sign),
        ("its hash alone", &hash),
        ("its base64 alone", &text),
    ];
    let mut fastest = [Duration::MAX; 4];
    for _ in 0..ROUNDS {
        for ((_, part), least) in parts.iter().zip(&mut fastest) {
            let start = Instant::now();
            part();
            *least = start.elapsed().min(*least);
        }
    }
    let each = fastest.map(|least| least.as_secs_f64() / f64::from(RUNS));
    println!("one run of {} bytes:", envelope.len());
    for ((name, _), seconds) in parts.iter().zip(each) {
        let (micros, rate) = (seconds * 1e6, 1.0 / seconds);
        println!("{micros:8.2} µs  {rate:9.0} a second  {name}");
    }
    let above = (each[0] / each[1] - 1.0) * 100.0;
    println!("building, hash and text add {above:.1} % to the two signatures");
}
