//! Lumens for contracts, which hold them by the native asset's own contract.

use std::sync::Arc;

use crate::crypto::sha256;
use crate::node::{Node, SimulateOptions};
use stellar_xdr::{
    AccountId, Asset, ContractDataDurability, ContractId, ContractIdPreimage, Hash, HashIdPreimage,
    HashIdPreimageContractId, HostFunction, Int128Parts, InvokeContractArgs, InvokeHostFunctionOp,
    LedgerEntry, LedgerEntryData, LedgerKey, LedgerKeyContractData, Limits, Memo, MuxedAccount,
    Operation, OperationBody, Preconditions, PublicKey, ReadXdr, ScAddress, ScSymbol, ScVal, ScVec,
    SequenceNumber, SorobanAuthorizationEntry, SorobanTransactionData, StringM, Transaction,
    TransactionEnvelope, TransactionExt, TransactionV1Envelope, Uint256, VecM, WriteXdr,
};

use crate::funding::STARTING_BALANCE_STROOPS;

const INCLUSION_FEE_STROOPS: u32 = 100;

/// What the native asset's contract has written down for a contract; `None` when nothing.
pub(super) fn balance_stroops(node: &Node, contract: [u8; 32]) -> Option<i128> {
    let key = balance_key(node, contract).ok()?;
    let read = node.entries(&[key]);
    let entry = LedgerEntry::from_xdr(&read.entries.first()?.entry_xdr, Limits::none()).ok()?;
    let LedgerEntryData::ContractData(data) = entry.data else {
        return None;
    };
    let ScVal::Map(Some(fields)) = data.val else {
        return None;
    };
    fields
        .iter()
        .find_map(|field| match (&field.key, &field.val) {
            (ScVal::Symbol(name), ScVal::I128(amount)) if name.0.as_slice() == b"amount" => {
                Some(i128::from(amount))
            }
            _ => None,
        })
}

/// A transaction that pays a contract, with the resources that its simulation asks for.
pub(super) async fn payment(
    node: &Arc<Node>,
    contract: [u8; 32],
    sequence: i64,
) -> Result<Transaction, String> {
    let tx = transfer(node, contract, sequence).map_err(|error| error.to_string())?;
    let envelope = TransactionEnvelope::Tx(TransactionV1Envelope {
        tx: tx.clone(),
        signatures: VecM::default(),
    })
    .to_xdr(Limits::none())
    .map_err(|error| error.to_string())?;
    let simulator = Arc::clone(node);
    let simulation = tokio::task::spawn_blocking(move || {
        simulator.simulate(&envelope, SimulateOptions::default())
    })
    .await
    .map_err(|error| error.to_string())?;
    let found = simulation.outcome.map_err(|reason| {
        format!(
            "the payment to the contract fails in its simulation; does the native asset's contract \
             exist (stellar contract asset deploy --asset native)? {reason}"
        )
    })?;
    complete(
        tx,
        &found.transaction_data_xdr,
        &found.auth_xdr,
        found.min_resource_fee_stroops,
    )
    .map_err(|error| error.to_string())
}

/// The transaction with what its simulation found.
fn complete(
    mut tx: Transaction,
    data_xdr: &[u8],
    auth_xdr: &[Vec<u8>],
    resource_fee_stroops: i64,
) -> Result<Transaction, stellar_xdr::Error> {
    let auth = auth_xdr
        .iter()
        .map(|entry| SorobanAuthorizationEntry::from_xdr(entry, Limits::none()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut operations = tx.operations.to_vec();
    if let [Operation {
        body: OperationBody::InvokeHostFunction(invoke),
        ..
    }] = &mut operations[..]
    {
        invoke.auth = auth.try_into()?;
    }
    tx.operations = operations.try_into()?;
    tx.ext = TransactionExt::V1(SorobanTransactionData::from_xdr(data_xdr, Limits::none())?);
    tx.fee = INCLUSION_FEE_STROOPS
        .saturating_add(u32::try_from(resource_fee_stroops).unwrap_or(u32::MAX));
    Ok(tx)
}

/// `transfer(friendbot, contract, 10,000 XLM)` of the native asset's contract.
fn transfer(
    node: &Node,
    contract: [u8; 32],
    sequence: i64,
) -> Result<Transaction, stellar_xdr::Error> {
    let friendbot = node.friendbot_account();
    let from = AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(friendbot)));
    let amount = Int128Parts {
        hi: 0,
        lo: STARTING_BALANCE_STROOPS.unsigned_abs(),
    };
    let args = vec![
        ScVal::Address(ScAddress::Account(from)),
        ScVal::Address(ScAddress::Contract(ContractId(Hash(contract)))),
        ScVal::I128(amount),
    ];
    let operation = Operation {
        source_account: None,
        body: OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
            host_function: HostFunction::InvokeContract(InvokeContractArgs {
                contract_address: native_contract(node)?,
                function_name: symbol("transfer")?,
                args: args.try_into()?,
            }),
            auth: VecM::default(),
        }),
    };
    Ok(Transaction {
        source_account: MuxedAccount::Ed25519(Uint256(friendbot)),
        fee: INCLUSION_FEE_STROOPS,
        seq_num: SequenceNumber(sequence),
        cond: Preconditions::None,
        memo: Memo::None,
        operations: vec![operation].try_into()?,
        ext: TransactionExt::V0,
    })
}

/// XDR of the key of a contract's balance of lumens.
fn balance_key(node: &Node, contract: [u8; 32]) -> Result<Vec<u8>, stellar_xdr::Error> {
    let parts = vec![
        ScVal::Symbol(symbol("Balance")?),
        ScVal::Address(ScAddress::Contract(ContractId(Hash(contract)))),
    ];
    LedgerKey::ContractData(LedgerKeyContractData {
        contract: native_contract(node)?,
        key: ScVal::Vec(Some(ScVec(parts.try_into()?))),
        durability: ContractDataDurability::Persistent,
    })
    .to_xdr(Limits::none())
}

/// Where the native asset's contract is, or would be, on this network.
fn native_contract(node: &Node) -> Result<ScAddress, stellar_xdr::Error> {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(node.network_id()),
        contract_id_preimage: ContractIdPreimage::Asset(Asset::Native),
    })
    .to_xdr(Limits::none())?;
    Ok(ScAddress::Contract(ContractId(Hash(sha256(&preimage)))))
}

fn symbol(name: &str) -> Result<ScSymbol, stellar_xdr::Error> {
    Ok(ScSymbol(StringM::try_from(name)?))
}
