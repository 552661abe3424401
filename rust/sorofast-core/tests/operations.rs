//! Built envelopes beside the reference codec: what is accepted can be decoded, however deep it nests.

use proptest::prelude::*;
use sorofast_core::base64;
use sorofast_core::strkey::{encode, Kind};
use sorofast_core::tx::{
    BuildItem, BuildPlace, Consent, Given, Lesson, Operation, OperationError, Padding, SharedError,
    Signer, Simulated, Source, TemplateError,
};
use sorofast_core::types::{ContractId, Ledger, Sequence, Stroops};
use stellar_xdr::{
    ContractDataDurability, ContractId as XdrContractId, Hash, LedgerFootprint, LedgerKey,
    LedgerKeyContractData, Limits, OperationBody, ReadXdr, ScAddress, ScVal, ScVec,
    SorobanResources, SorobanTransactionData, SorobanTransactionDataExt, TransactionEnvelope,
    TransactionExt, WriteXdr,
};

const CONTRACT: ContractId = ContractId([7; 32]);
/// As deep as decoders of the network follow.
const XDR_LEVELS: u32 = 500;

fn signer() -> Signer {
    let secret = encode(Kind::Seed, &[1; 32]);
    let phrase = "illness spike retreat truth genius clock brain pass fit cave bargain toe";
    Signer::new("a network", &secret, Some(phrase), 1).unwrap()
}

fn place() -> BuildPlace {
    BuildPlace {
        channel: 0,
        sequence: Sequence(5),
        max_ledger: Ledger(9),
        max_time_s: 77,
    }
}

/// A vector in a vector in a vector, with a number in the innermost.
fn nested(depth: usize, number: u64) -> ScVal {
    (0..depth).fold(ScVal::U64(number), |inner, _| {
        ScVal::Vec(Some(ScVec(vec![inner].try_into().unwrap())))
    })
}

fn resources(keys: Vec<ScVal>) -> Vec<u8> {
    let keys: Vec<LedgerKey> = keys
        .into_iter()
        .map(|key| {
            LedgerKey::ContractData(LedgerKeyContractData {
                contract: ScAddress::Contract(XdrContractId(Hash(CONTRACT.0))),
                key,
                durability: ContractDataDurability::Persistent,
            })
        })
        .collect();
    let data = SorobanTransactionData {
        ext: SorobanTransactionDataExt::V0,
        resources: SorobanResources {
            footprint: LedgerFootprint {
                read_only: vec![].try_into().unwrap(),
                read_write: keys.try_into().unwrap(),
            },
            instructions: 1,
            disk_read_bytes: 2,
            write_bytes: 3,
        },
        resource_fee: 4,
    };
    data.to_xdr(Limits::none()).unwrap()
}

fn invoke(arguments: &[Vec<u8>]) -> Result<Operation, OperationError> {
    let given = arguments.iter().map(|value| Given::Value(value));
    Operation::invoke(CONTRACT, "run", given.chain([Given::Hole("task")]))
}

fn lesson<'a>(operation: &'a Operation, data: &'a [u8], auth: &'a [Vec<u8>]) -> Lesson<'a> {
    Lesson {
        operation,
        values: &[1234],
        source: Source::Keeper,
        simulated: Simulated {
            data: Some(data),
            auth,
            consent: Consent::Simulated,
            min_resource_fee: Stroops(0),
        },
        must_write: None,
        padding: Padding::default(),
    }
}

#[test]
fn the_deepest_argument_that_is_taken_decodes_on_the_network() {
    let argument = |depth| {
        let value = nested(depth, 1);
        value.to_xdr(Limits::none()).unwrap()
    };
    let deepest = (1..XDR_LEVELS as usize)
        .take_while(|&depth| invoke(&[argument(depth)]).is_ok())
        .last()
        .unwrap();
    assert!(deepest >= 100, "{deepest} vectors in each other");
    let operation = invoke(&[argument(deepest)]).unwrap();
    let (data, auth) = (
        resources(vec![nested(deepest, 9)]),
        [operation.consent(&[1234])],
    );
    let built = signer()
        .build_operation(&lesson(&operation, &data, &auth), &place(), 100)
        .unwrap();
    let bytes = base64::decode(built.envelope.as_bytes()).unwrap();
    let limits = Limits {
        depth: XDR_LEVELS,
        len: 1 << 20,
    };
    let envelope = TransactionEnvelope::from_xdr(&bytes, limits.clone()).unwrap();
    assert_eq!(envelope.to_xdr(limits).unwrap(), bytes);
}

#[test]
fn a_hundred_thousand_vectors_in_each_other_are_an_error() {
    let deep = [0_u8, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1].repeat(100_000);
    assert!(matches!(
        invoke(&[deep]),
        Err(OperationError::Argument(0, _, _))
    ));
}

proptest! {
    #[test]
    fn a_number_of_the_run_is_found_at_any_depth(
        depths in prop::collection::vec((0..6_usize, any::<bool>()), 1..6),
        task: u64,
    ) {
        let keys = |task: u64| {
            let own = |&(depth, own): &(usize, bool)| nested(depth, if own { task } else { 99 });
            depths.iter().map(own).collect::<Vec<_>>()
        };
        let operation = invoke(&[]).unwrap();
        let mut signer = signer();
        signer.learn(1, &lesson(&operation, &resources(keys(1234)), &[])).unwrap();
        let item = BuildItem { key: 1, values: vec![task], place: place() };
        let built = signer.build(&item, 100).unwrap();
        let bytes = base64::decode(built.envelope.as_bytes()).unwrap();
        let TransactionEnvelope::Tx(envelope) = TransactionEnvelope::from_xdr(&bytes, Limits::none()).unwrap() else {
            panic!("another kind of envelope")
        };
        let TransactionExt::V1(data) = envelope.tx.ext else { panic!("no resources") };
        prop_assert_eq!(data.to_xdr(Limits::none()).unwrap(), resources(keys(task)));
        let OperationBody::InvokeHostFunction(call) = &envelope.tx.operations[0].body else { panic!("no call") };
        prop_assert!(call.auth.is_empty());
    }

    #[test]
    fn a_shared_template_is_whole_or_refused(at: prop::sample::Index, change in 1..=255_u8, cut: prop::sample::Index) {
        let operation = invoke(&[]).unwrap();
        let mut signer = signer();
        signer.learn(1, &lesson(&operation, &resources(vec![nested(1, 1234)]), &[])).unwrap();
        let template = signer.templates().get(1).unwrap().clone();
        let bytes = signer.export_template(&template).unwrap();
        signer.import_template(2, &bytes).unwrap();
        prop_assert_eq!(signer.templates().get(2), Some(&template));
        let mut damaged = bytes.clone();
        damaged[at.index(bytes.len())] ^= change;
        for bad in [&damaged[..], &bytes[..cut.index(bytes.len())]] {
            prop_assert!(signer.import_template(3, bad).is_err());
        }
    }
}

#[test]
fn only_who_has_the_keepers_secret_makes_templates() {
    let operation = invoke(&[]).unwrap();
    let mut ours = signer();
    ours.learn(1, &lesson(&operation, &resources(vec![]), &[]))
        .unwrap();
    let bytes = ours
        .export_template(ours.templates().get(1).unwrap())
        .unwrap();
    // The call is readable in there; another contract in its place is what somebody with access to the store would try.
    let at = bytes
        .windows(32)
        .rposition(|part| part == CONTRACT.0)
        .unwrap();
    let mut forged = bytes;
    forged[at] ^= 1;
    assert_eq!(ours.import_template(2, &forged), Err(SharedError::Seal));
}

#[test]
fn a_call_without_resources_is_no_template() {
    let operation = invoke(&[]).unwrap();
    let without = Lesson {
        simulated: Simulated {
            data: None,
            auth: &[],
            consent: Consent::Plain,
            min_resource_fee: Stroops(0),
        },
        ..lesson(&operation, &[], &[])
    };
    assert!(matches!(
        signer().learn(1, &without),
        Err(TemplateError::Resources("invoke", _))
    ));
}
