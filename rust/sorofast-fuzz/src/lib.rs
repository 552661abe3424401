//! A ledger for a fuzzer to work on, and what must hold of it whatever came in.

use sorofast_sandbox::crypto::{public_key, sha256_parts, sign_ed25519};
use sorofast_sandbox::ledger::account::account_key;
use sorofast_sandbox::node::{Node, NodeConfig, SimulateOptions, Submission, SubmitStatus};
use std::sync::Arc;
use std::time::Duration;
use stellar_xdr::{
    AccountId, CreateAccountOp, DecoratedSignature, LedgerEntry, LedgerEntryData, Limits, Memo,
    MuxedAccount, Operation, OperationBody, Preconditions, PublicKey, ReadXdr, SequenceNumber,
    Signature, SignatureHint, Transaction, TransactionEnvelope, TransactionExt,
    TransactionV1Envelope, Uint256, WriteXdr,
};

/// Accounts with money that inputs may act for.
pub const ACCOUNTS: u8 = 4;
const BALANCE_STROOPS: i64 = 1_000_000_000_000;
/// A ledger's history grows; after so many ledgers a new network is made.
const LEDGERS_MAX: u32 = 500;

/// A network and the keys of its accounts.
#[derive(Debug)]
pub struct World {
    pub node: Arc<Node>,
    seeds: Vec<[u8; 32]>,
}

impl World {
    /// # Panics
    /// When the network cannot be made: there is nothing to fuzz then.
    #[must_use]
    pub fn new() -> Self {
        let config = NodeConfig {
            ledger_close: Duration::ZERO,
            seed: 1,
            ..NodeConfig::default()
        };
        let node = Node::new(config).expect("a node");
        let seeds = (0..ACCOUNTS).map(|number| sha256_parts(&[b"fuzz", &[number]]));
        let world = Self {
            node,
            seeds: seeds.collect(),
        };
        let friendbot = world.node.friendbot_seed();
        let operations: Vec<Operation> = world.seeds.iter().map(create_account).collect();
        let tx = Transaction {
            source_account: muxed(&friendbot),
            fee: 100_000,
            seq_num: SequenceNumber(world.sequence(&friendbot) + 1),
            cond: Preconditions::None,
            memo: Memo::None,
            operations: operations.try_into().expect("a few operations"),
            ext: TransactionExt::V0,
        };
        let paid = world.submit(&world.sign(tx, &[friendbot]));
        assert!(matches!(paid, Some(one) if one.status == SubmitStatus::Pending));
        world.close();
        world
    }

    /// The seed of an account, by any number.
    #[must_use]
    pub fn seed(&self, number: u8) -> [u8; 32] {
        self.seeds[usize::from(number % ACCOUNTS)]
    }

    /// The account's current sequence; 0 where it is gone.
    #[must_use]
    pub fn sequence(&self, seed: &[u8; 32]) -> i64 {
        let key = account_key(&id(seed)).to_vec();
        let read = self.node.entries(&[key]);
        let entry = read.entries.first().map(|found| {
            LedgerEntry::from_xdr(&found.entry_xdr, Limits::none()).expect("what it stores decodes")
        });
        match entry.map(|entry| entry.data) {
            Some(LedgerEntryData::Account(account)) => account.seq_num.0,
            _ => 0,
        }
    }

    /// The envelope of a transaction with true signatures.
    #[must_use]
    pub fn sign(&self, tx: Transaction, seeds: &[[u8; 32]]) -> Vec<u8> {
        let body = tx.to_xdr(Limits::none()).unwrap_or_default();
        let network_id = self.node.network_id();
        let hash = sha256_parts(&[&network_id, &2_u32.to_be_bytes(), &body]);
        let signatures: Vec<DecoratedSignature> = seeds
            .iter()
            .map(|seed| {
                let id = id(seed);
                let signature = sign_ed25519(seed, &hash).expect("a seed signs").to_vec();
                DecoratedSignature {
                    hint: SignatureHint([id[28], id[29], id[30], id[31]]),
                    signature: Signature(signature.try_into().expect("64 bytes")),
                }
            })
            .collect();
        let signatures = signatures.try_into().expect("a few signatures");
        TransactionEnvelope::Tx(TransactionV1Envelope { tx, signatures })
            .to_xdr(Limits::none())
            .unwrap_or_default()
    }

    /// Offers bytes to the queue and to a simulation; None where they do not decode.
    pub fn submit(&self, envelope_xdr: &[u8]) -> Option<Submission> {
        self.node.submit(envelope_xdr).ok()
    }

    /// Simulates bytes; whatever they are, there is an answer.
    pub fn simulate(&self, envelope_xdr: &[u8]) {
        let _ = self.node.simulate(envelope_xdr, SimulateOptions::default());
    }

    /// Closes a ledger and checks what must hold after every one.
    ///
    /// # Panics
    /// When it does not hold: that is the finding.
    pub fn close(&self) {
        let closed = self
            .node
            .advance(1, 5.0)
            .expect("ledgers close, whatever is in them");
        let (counted, recorded) = self.node.audit_coins();
        assert_eq!(counted, recorded, "lumens were made or lost");
        assert_eq!(self.node.latest().sequence, closed.sequence);
    }

    /// Whether a new network should take over.
    #[must_use]
    pub fn is_old(&self) -> bool {
        self.node.latest().sequence > LEDGERS_MAX
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn id(seed: &[u8; 32]) -> [u8; 32] {
    public_key(seed).expect("a seed of 32 bytes")
}

/// The account of a seed, as a transaction names it.
#[must_use]
pub fn muxed(seed: &[u8; 32]) -> MuxedAccount {
    MuxedAccount::Ed25519(Uint256(id(seed)))
}

fn create_account(seed: &[u8; 32]) -> Operation {
    Operation {
        source_account: None,
        body: OperationBody::CreateAccount(CreateAccountOp {
            destination: AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(id(seed)))),
            starting_balance: BALANCE_STROOPS,
        }),
    }
}
