//! Accounts that an agent has, and how its transactions are made.

use crate::crypto::{sha256_parts, Signer};
use crate::ledger::account::{account_id, account_key};
use crate::node::{AuthMode, Node, SimulateOptions, SubmitStatus};
use std::collections::BTreeMap;
use stellar_xdr::{
    Asset, CreateAccountOp, DecoratedSignature, EnvelopeType, HostFunction, InvokeHostFunctionOp,
    LedgerEntry, LedgerEntryData, Limits, Memo, MuxedAccount, Operation, OperationBody, PaymentOp,
    Preconditions, ReadXdr, SequenceNumber, Signature, SignatureHint, SorobanAuthorizationEntry,
    SorobanTransactionData, Transaction, TransactionEnvelope, TransactionExt,
    TransactionV1Envelope, Uint256, VecM, WriteXdr,
};

/// What an account is given, again and again if it uses it up: a thousand lumens.
const GRANT_STROOPS: i64 = 10_000_000_000;
/// Below this an account is given more.
const POOR_STROOPS: i64 = 2_000_000_000;
/// Operations that one transaction may have.
const GRANTS_PER_TRANSACTION: usize = 100;
/// What the network's root account bids per operation, so that a surge does not keep its accounts waiting.
const GRANT_BID_STROOPS: u32 = 100_000;
/// Ledgers after which a transaction that was not applied is given up: the queue has dropped it by then.
pub(super) const PATIENCE_LEDGERS: u32 = 6;

struct Pair {
    signer: Signer,
    id: [u8; 32],
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An account as the latest ledger has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) index: u32,
    pub(super) id: [u8; 32],
    pub(super) sequence: i64,
    balance_stroops: i64,
}

/// What became of an agent's transactions.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(super) struct Counts {
    pub(super) accounts: u32,
    pub(super) submitted: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) applied: u64,
    /// Of those that were applied.
    pub(super) failed: u64,
    /// Accepted, but dropped before any ledger had them.
    pub(super) dropped: u64,
}

/// The accounts of one agent. They belong to the chain: after a reset they are made anew.
#[derive(Debug)]
pub(super) struct Wallet {
    label: &'static str,
    count: u32,
    root: Option<Pair>,
    pairs: Vec<Pair>,
    /// By account: what was accepted and not seen in a ledger yet, and since when.
    sent: BTreeMap<u32, ([u8; 32], u32)>,
    pub(super) counts: Counts,
}

impl Wallet {
    pub(super) fn new(label: &'static str, count: u32) -> Self {
        Self {
            label,
            count,
            root: None,
            pairs: Vec::new(),
            sent: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// To be called at every ledger: looks at what became of transactions, and has the network's root account give
    /// money to accounts that are missing or poor, a hundred per ledger. Returns those that can send one.
    pub(super) fn ledger_closed(&mut self, node: &Node) -> Vec<Account> {
        self.derive(node);
        self.settle(node);
        let ids: Vec<[u8; 32]> = self.pairs.iter().map(|pair| pair.id).collect();
        let accounts = read_accounts(node, &ids);
        let needy: Vec<(u32, bool)> = accounts
            .iter()
            .enumerate()
            .filter(|(_, account)| {
                account.is_none_or(|account| account.balance_stroops < POOR_STROOPS)
            })
            .map(|(index, account)| (index as u32, account.is_some()))
            .take(GRANTS_PER_TRANSACTION)
            .collect();
        if !needy.is_empty() {
            self.grant(node, &needy);
        }
        let there: Vec<Account> = accounts.into_iter().flatten().collect();
        self.counts.accounts = there.len() as u32;
        there
            .into_iter()
            .filter(|account| !self.sent.contains_key(&account.index))
            .collect()
    }

    fn derive(&mut self, node: &Node) {
        if self.root.is_some() {
            return;
        }
        let network_id = node.network_id();
        self.root = pair(&network_id);
        self.pairs = (0..self.count)
            .filter_map(|index| {
                let label = format!("sorofast-sandbox {} {index} ", self.label);
                pair(&sha256_parts(&[label.as_bytes(), &network_id]))
            })
            .collect();
    }

    fn settle(&mut self, node: &Node) {
        let latest = node.latest().sequence;
        let counts = &mut self.counts;
        self.sent.retain(|_, (hash, since)| {
            if let Some(record) = node.transaction(hash).record {
                counts.applied += 1;
                counts.failed += u64::from(!record.successful);
                return false;
            }
            // A chain that was reset is shorter than when this was sent.
            let is_lost = latest > *since + PATIENCE_LEDGERS || latest < *since;
            counts.dropped += u64::from(is_lost);
            !is_lost
        });
    }

    fn grant(&self, node: &Node, needy: &[(u32, bool)]) {
        let Some(root) = &self.root else { return };
        let Some(account) = read_accounts(node, &[root.id]).into_iter().flatten().next() else {
            return;
        };
        let operations = needy
            .iter()
            .map(|(index, exists)| {
                let id = self.pairs[*index as usize].id;
                let body = if *exists {
                    pay(&id, GRANT_STROOPS)
                } else {
                    OperationBody::CreateAccount(CreateAccountOp {
                        destination: account_id(&id),
                        starting_balance: GRANT_STROOPS,
                    })
                };
                operation(body)
            })
            .collect::<Vec<_>>();
        let fee = GRANT_BID_STROOPS * operations.len() as u32;
        let tx = transaction(&root.id, account.sequence + 1, fee, operations);
        if let Some(envelope) = tx.and_then(|tx| sign(&tx, root, &node.network_id())) {
            // Where the root account is busy, the next ledger is another chance.
            let _ = node.submit(&envelope);
        }
    }

    /// Signs a transaction of that account and offers it to the queue. Tells whether it was taken.
    pub(super) fn send(&mut self, node: &Node, account: Account, tx: &Transaction) -> bool {
        let pair = &self.pairs[account.index as usize];
        let Some(envelope) = sign(tx, pair, &node.network_id()) else {
            return false;
        };
        self.counts.submitted += 1;
        let Ok(submission) = node.submit(&envelope) else {
            self.counts.refused += 1;
            return false;
        };
        let is_taken = submission.status == SubmitStatus::Pending;
        if is_taken {
            self.counts.accepted += 1;
            let since = submission.latest.sequence;
            self.sent.insert(account.index, (submission.hash, since));
        } else {
            self.counts.refused += 1;
        }
        is_taken
    }

    /// Whether any of the transactions that were applied so far failed.
    pub(super) fn failures(&self) -> u64 {
        self.counts.failed
    }
}

fn pair(seed: &[u8; 32]) -> Option<Pair> {
    let signer = Signer::new(seed)?;
    let id = signer.public_key()?;
    Some(Pair { signer, id })
}

/// In the order of the ids; None for those that do not exist.
fn read_accounts(node: &Node, ids: &[[u8; 32]]) -> Vec<Option<Account>> {
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| account_key(id).to_vec()).collect();
    let mut found = node.entries(&keys).entries.into_iter().peekable();
    keys.iter()
        .zip(ids)
        .enumerate()
        .map(|(index, (key, id))| {
            // Entries come in the order of the keys that have one.
            let entry = found.next_if(|entry| entry.key_xdr == *key)?;
            match LedgerEntry::from_xdr(&entry.entry_xdr, Limits::none())
                .ok()?
                .data
            {
                LedgerEntryData::Account(account) => Some(Account {
                    index: index as u32,
                    id: *id,
                    sequence: account.seq_num.0,
                    balance_stroops: account.balance,
                }),
                _ => None,
            }
        })
        .collect()
}

pub(super) fn operation(body: OperationBody) -> Operation {
    Operation {
        source_account: None,
        body,
    }
}

pub(super) fn pay(to: &[u8; 32], amount: i64) -> OperationBody {
    OperationBody::Payment(PaymentOp {
        destination: MuxedAccount::Ed25519(Uint256(*to)),
        asset: Asset::Native,
        amount,
    })
}

pub(super) fn transaction(
    source: &[u8; 32],
    sequence: i64,
    fee: u32,
    operations: Vec<Operation>,
) -> Option<Transaction> {
    Some(Transaction {
        source_account: MuxedAccount::Ed25519(Uint256(*source)),
        fee,
        seq_num: SequenceNumber(sequence),
        cond: Preconditions::None,
        memo: Memo::None,
        operations: operations.try_into().ok()?,
        ext: TransactionExt::V0,
    })
}

/// A call as a simulation completes it.
#[derive(Clone, Debug)]
pub(super) struct Simulated {
    pub(super) data: SorobanTransactionData,
    auth: VecM<SorobanAuthorizationEntry>,
    function: HostFunction,
    resource_fee_stroops: u32,
}

impl Simulated {
    /// The error is the simulation's.
    pub(super) fn of(
        node: &Node,
        account: Account,
        function: HostFunction,
        instruction_leeway: u64,
    ) -> Result<Self, String> {
        let unreadable = |_| "the simulation cannot be read".to_owned();
        let bare = host_call(function.clone(), VecM::default());
        let tx = transaction(&account.id, account.sequence + 1, 100, vec![bare])
            .ok_or("one operation is one too many")?;
        let envelope = envelope(&tx, Vec::new()).ok_or("the envelope cannot be written")?;
        let options = SimulateOptions {
            auth_mode: Some(AuthMode::Record),
            instruction_leeway,
            use_upgraded_auth: false,
        };
        let success = node.simulate(&envelope, options).outcome?;
        let auth = success
            .auth_xdr
            .iter()
            .map(|xdr| SorobanAuthorizationEntry::from_xdr(xdr, Limits::none()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        Ok(Self {
            data: SorobanTransactionData::from_xdr(&success.transaction_data_xdr, Limits::none())
                .map_err(unreadable)?,
            auth: auth.try_into().map_err(unreadable)?,
            function,
            resource_fee_stroops: u32::try_from(success.min_resource_fee_stroops)
                .map_err(|_| "the resource fee is beyond what a fee can be")?,
        })
    }

    /// The transaction of an account with that bid for inclusion.
    pub(super) fn transaction(&self, account: Account, bid_stroops: u32) -> Option<Transaction> {
        let operation = host_call(self.function.clone(), self.auth.clone());
        let fee = self.resource_fee_stroops.saturating_add(bid_stroops);
        let sequence = account.sequence + 1;
        let mut tx = transaction(&account.id, sequence, fee, vec![operation])?;
        tx.ext = TransactionExt::V1(self.data.clone());
        Some(tx)
    }

    pub(super) fn with_function(mut self, function: HostFunction) -> Self {
        self.function = function;
        self
    }
}

fn host_call(host_function: HostFunction, auth: VecM<SorobanAuthorizationEntry>) -> Operation {
    operation(OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
        host_function,
        auth,
    }))
}

fn sign(tx: &Transaction, pair: &Pair, network_id: &[u8; 32]) -> Option<Vec<u8>> {
    let body = tx.to_xdr(Limits::none()).ok()?;
    let kind = (EnvelopeType::Tx as i32).to_be_bytes();
    let hash = sha256_parts(&[network_id, &kind, &body]);
    let signature = pair.signer.sign(&hash)?;
    let [.., a, b, c, d] = pair.id;
    let signature = DecoratedSignature {
        hint: SignatureHint([a, b, c, d]),
        signature: Signature(signature.to_vec().try_into().ok()?),
    };
    envelope(tx, vec![signature])
}

/// XDR of the envelope; it may be as long as the transaction's contents ask for.
pub(super) fn envelope(tx: &Transaction, signatures: Vec<DecoratedSignature>) -> Option<Vec<u8>> {
    TransactionEnvelope::Tx(TransactionV1Envelope {
        tx: tx.clone(),
        signatures: signatures.try_into().ok()?,
    })
    .to_xdr(Limits::none())
    .ok()
}
