//! The transactions that friendbot sends.

use crate::node::Node;
use aws_lc_rs::digest;
use aws_lc_rs::signature::Ed25519KeyPair;
use stellar_xdr::{
    AccountId, Asset, CreateAccountOp, DecoratedSignature, Hash, LedgerEntry, LedgerEntryData,
    Limits, Memo, MuxedAccount, Operation, OperationBody, PaymentOp, Preconditions, PublicKey,
    ReadXdr, SequenceNumber, Signature, SignatureHint, Transaction, TransactionEnvelope,
    TransactionExt, TransactionSignaturePayload, TransactionSignaturePayloadTaggedTransaction,
    TransactionV1Envelope, Uint256, WriteXdr,
};

/// 10,000 XLM.
pub(crate) const STARTING_BALANCE_STROOPS: i64 = 100_000_000_000;
const FEE_PER_OPERATION_STROOPS: u32 = 100;

/// What friendbot looks at in an account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) sequence: i64,
    pub(crate) balance_stroops: i64,
}

/// `None` when there is no such account.
pub(crate) fn read_account(node: &Node, account: [u8; 32]) -> Option<Held> {
    let read = node.entries(&[account_key(account)]);
    let entry = LedgerEntry::from_xdr(&read.entries.first()?.entry_xdr, Limits::none()).ok()?;
    match entry.data {
        LedgerEntryData::Account(account) => Some(Held {
            sequence: account.seq_num.0,
            balance_stroops: account.balance,
        }),
        _ => None,
    }
}

/// XDR of the `LedgerKey`.
pub(crate) fn account_key(account: [u8; 32]) -> Vec<u8> {
    crate::ledger::account::account_key(&account).to_vec()
}

fn account_id(account: [u8; 32]) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(account)))
}

/// One transaction of the friendbot account that pays them all, and creates those that do not exist.
pub(crate) fn fund_accounts(
    node: &Node,
    accounts: &[[u8; 32]],
    sequence: i64,
) -> Result<Transaction, String> {
    let operations: Vec<_> = accounts
        .iter()
        .map(|account| Operation {
            source_account: None,
            body: if read_account(node, *account).is_some() {
                OperationBody::Payment(PaymentOp {
                    destination: MuxedAccount::Ed25519(Uint256(*account)),
                    asset: Asset::Native,
                    amount: STARTING_BALANCE_STROOPS,
                })
            } else {
                OperationBody::CreateAccount(CreateAccountOp {
                    destination: account_id(*account),
                    starting_balance: STARTING_BALANCE_STROOPS,
                })
            },
        })
        .collect();
    Ok(Transaction {
        source_account: MuxedAccount::Ed25519(Uint256(node.friendbot_account())),
        fee: FEE_PER_OPERATION_STROOPS * operations.len() as u32,
        seq_num: SequenceNumber(sequence),
        cond: Preconditions::None,
        memo: Memo::None,
        operations: operations
            .try_into()
            .map_err(|_| "too many accounts for one transaction")?,
        ext: TransactionExt::V0,
    })
}

/// XDR of the envelope with the friendbot account's signature.
pub(crate) fn sign(node: &Node, tx: Transaction) -> Result<Vec<u8>, String> {
    let payload = TransactionSignaturePayload {
        network_id: Hash(node.network_id()),
        tagged_transaction: TransactionSignaturePayloadTaggedTransaction::Tx(tx.clone()),
    };
    let unwritable = |error: stellar_xdr::Error| error.to_string();
    let payload = payload.to_xdr(Limits::none()).map_err(unwritable)?;
    let hash = digest::digest(&digest::SHA256, &payload);
    let key = Ed25519KeyPair::from_seed_unchecked(&node.friendbot_seed())
        .map_err(|error| error.to_string())?;
    let signature = key.sign(hash.as_ref());
    let [.., a, b, c, d] = node.friendbot_account();
    let signature = DecoratedSignature {
        hint: SignatureHint([a, b, c, d]),
        signature: Signature(signature.as_ref().to_vec().try_into().map_err(unwritable)?),
    };
    TransactionEnvelope::Tx(TransactionV1Envelope {
        tx,
        signatures: [signature].try_into().map_err(unwritable)?,
    })
    .to_xdr(Limits::none())
    .map_err(unwritable)
}
