//! A network for one test, and keys that sign for it.

use sorofast_sandbox::crypto::{public_key, sha256_parts, sign_ed25519};
use sorofast_sandbox::ledger::account::account_key;
use sorofast_sandbox::node::{
    Node, NodeConfig, SimulateOptions, SimulationSuccess, Submission, SubmitStatus,
    TransactionRecord,
};
use std::sync::Arc;
use std::time::Duration;
use stellar_xdr::{
    AccountEntry, AccountId, Asset, ContractExecutable, ContractId, ContractIdPreimage,
    ContractIdPreimageFromAddress, CreateAccountOp, CreateContractArgs, DecoratedSignature,
    DiagnosticEvent, FeeBumpTransaction, FeeBumpTransactionEnvelope, FeeBumpTransactionExt,
    FeeBumpTransactionInnerTx, Hash, HashIdPreimage, HashIdPreimageContractId, HostFunction,
    InvokeContractArgs, InvokeHostFunctionOp, LedgerEntry, LedgerEntryData, Limits, Memo,
    MuxedAccount, Operation, OperationBody, PaymentOp, Preconditions, PublicKey, ReadXdr,
    ScAddress, ScSymbol, ScVal, SequenceNumber, Signature, SignatureHint,
    SorobanAuthorizationEntry, SorobanTransactionData, Transaction, TransactionEnvelope,
    TransactionExt, TransactionResult, TransactionResultResult, TransactionV1Envelope, Uint256,
    WriteXdr,
};

pub(crate) const XLM: i64 = 10_000_000;

/// A key pair by number.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) seed: [u8; 32],
    pub(crate) id: [u8; 32],
}

impl Key {
    pub(crate) fn new(number: u32) -> Self {
        Self::from_seed(sha256_parts(&[b"test key", &number.to_be_bytes()]))
    }

    pub(crate) fn from_seed(seed: [u8; 32]) -> Self {
        Self {
            seed,
            id: public_key(&seed).expect("a seed of 32 bytes"),
        }
    }

    pub(crate) fn account_id(&self) -> AccountId {
        AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(self.id)))
    }

    pub(crate) fn muxed(&self) -> MuxedAccount {
        MuxedAccount::Ed25519(Uint256(self.id))
    }

    pub(crate) fn address(&self) -> ScVal {
        ScVal::Address(ScAddress::Account(self.account_id()))
    }
}

/// A ledger that closes when told to.
pub(crate) struct Network {
    pub(crate) node: Arc<Node>,
}

pub(crate) fn manual() -> NodeConfig {
    NodeConfig {
        ledger_close: Duration::ZERO,
        ..NodeConfig::default()
    }
}

impl Network {
    pub(crate) fn new() -> Self {
        Self::with(manual())
    }

    pub(crate) fn with(config: NodeConfig) -> Self {
        Self {
            node: Node::new(config).expect("a node"),
        }
    }

    pub(crate) fn friendbot(&self) -> Key {
        Key::from_seed(self.node.friendbot_seed())
    }

    pub(crate) fn close(&self) -> u32 {
        self.node.advance(1, 0.0).expect("a ledger").sequence
    }

    /// Accounts with the given balance, made in one or more ledgers.
    pub(crate) fn fund(&self, keys: &[Key], balance_stroops: i64) {
        for chunk in keys.chunks(100) {
            let operations = chunk
                .iter()
                .map(|key| create_account(key, balance_stroops))
                .collect();
            let tx = self.tx(&self.friendbot(), operations);
            let record = self.apply(&self.sign(&tx, &[self.friendbot()]));
            assert!(record.successful, "friendbot pays");
        }
    }

    pub(crate) fn account(&self, key: &Key) -> Option<AccountEntry> {
        let read = self.node.entries(&[account_key(&key.id).to_vec()]);
        let entry = read.entries.first()?;
        match LedgerEntry::from_xdr(&entry.entry_xdr, Limits::none())
            .expect("an entry")
            .data
        {
            LedgerEntryData::Account(account) => Some(account),
            _ => None,
        }
    }

    pub(crate) fn sequence(&self, key: &Key) -> i64 {
        self.account(key).map_or(0, |account| account.seq_num.0)
    }

    /// A classic transaction with the next sequence and the lowest fee.
    pub(crate) fn tx(&self, source: &Key, operations: Vec<Operation>) -> Transaction {
        Transaction {
            source_account: source.muxed(),
            fee: 100 * operations.len() as u32,
            seq_num: SequenceNumber(self.sequence(source) + 1),
            cond: Preconditions::None,
            memo: Memo::None,
            operations: operations.try_into().expect("at most a hundred operations"),
            ext: TransactionExt::V0,
        }
    }

    pub(crate) fn sign(&self, tx: &Transaction, keys: &[Key]) -> Vec<u8> {
        sign_for(tx, keys, &self.node.network_id())
    }

    pub(crate) fn submit(&self, envelope: &[u8]) -> Submission {
        self.node.submit(envelope).expect("a decodable envelope")
    }

    /// Submits, closes a ledger and returns what became of the transaction.
    pub(crate) fn apply(&self, envelope: &[u8]) -> Arc<TransactionRecord> {
        let submission = self.submit(envelope);
        assert_eq!(
            submission.status,
            SubmitStatus::Pending,
            "{}",
            explain(&submission)
        );
        self.close();
        self.node
            .transaction(&submission.hash)
            .record
            .expect("it was applied")
    }

    pub(crate) fn simulate(&self, tx: &Transaction) -> Result<SimulationSuccess, String> {
        let envelope = sign_for(tx, &[], &self.node.network_id());
        self.node
            .simulate(&envelope, SimulateOptions::default())
            .outcome
    }

    /// A Soroban transaction as a wallet would finish it from a simulation.
    pub(crate) fn soroban_tx(
        &self,
        source: &Key,
        operation_source: Option<&Key>,
        function: HostFunction,
    ) -> Transaction {
        let mut tx = self.tx(
            source,
            vec![Operation {
                source_account: operation_source.map(Key::muxed),
                body: OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
                    host_function: function.clone(),
                    auth: stellar_xdr::VecM::default(),
                }),
            }],
        );
        let simulated = self.simulate(&tx).expect("a simulation that succeeds");
        let auth: Vec<SorobanAuthorizationEntry> = simulated
            .auth_xdr
            .iter()
            .map(|xdr| SorobanAuthorizationEntry::from_xdr(xdr, Limits::none()).expect("auth"))
            .collect();
        let data =
            SorobanTransactionData::from_xdr(&simulated.transaction_data_xdr, Limits::none())
                .expect("transaction data");
        tx.fee = 100 + u32::try_from(simulated.min_resource_fee_stroops).expect("a small fee");
        tx.operations = vec![Operation {
            source_account: operation_source.map(Key::muxed),
            body: OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
                host_function: function,
                auth: auth.try_into().expect("auth entries"),
            }),
        }]
        .try_into()
        .expect("one operation");
        tx.ext = TransactionExt::V1(data);
        tx
    }

    /// What a simulation of the call says.
    pub(crate) fn try_call(
        &self,
        source: &Key,
        function: HostFunction,
    ) -> Result<SimulationSuccess, String> {
        let body = OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
            host_function: function,
            auth: stellar_xdr::VecM::default(),
        });
        self.simulate(&self.tx(
            source,
            vec![Operation {
                source_account: None,
                body,
            }],
        ))
    }

    pub(crate) fn run(&self, source: &Key, function: HostFunction) -> Arc<TransactionRecord> {
        let tx = self.soroban_tx(source, None, function);
        self.apply(&self.sign(&tx, &[*source]))
    }

    /// Uploads an embedded contract and creates it.
    pub(crate) fn deploy(&self, source: &Key, wasm: &[u8]) -> ContractId {
        let upload = HostFunction::UploadContractWasm(wasm.to_vec().try_into().expect("wasm"));
        assert!(self.run(source, upload).successful, "upload");
        let create = HostFunction::CreateContract(CreateContractArgs {
            contract_id_preimage: id_preimage(source, wasm),
            executable: ContractExecutable::Wasm(Hash(sha256_parts(&[wasm]))),
        });
        assert!(self.run(source, create).successful, "create");
        self.contract_id(source, wasm)
    }

    /// Where `deploy` puts that code.
    pub(crate) fn contract_id(&self, source: &Key, wasm: &[u8]) -> ContractId {
        let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
            network_id: Hash(self.node.network_id()),
            contract_id_preimage: id_preimage(source, wasm),
        });
        let preimage = preimage.to_xdr(Limits::none()).expect("a preimage");
        ContractId(Hash(sha256_parts(&[&preimage])))
    }

    #[track_caller]
    pub(crate) fn assert_coins(&self) {
        let (counted, recorded) = self.node.audit_coins();
        assert_eq!(counted, recorded, "lumens were made or lost");
    }
}

fn id_preimage(source: &Key, wasm: &[u8]) -> ContractIdPreimage {
    ContractIdPreimage::Address(ContractIdPreimageFromAddress {
        address: ScAddress::Account(source.account_id()),
        salt: Uint256(sha256_parts(&[b"salt", wasm])),
    })
}

pub(crate) fn sign_for(tx: &Transaction, keys: &[Key], network_id: &[u8; 32]) -> Vec<u8> {
    let body = tx.to_xdr(Limits::none()).expect("a transaction");
    let hash = sha256_parts(&[network_id, &2_u32.to_be_bytes(), &body]);
    let signatures: Vec<DecoratedSignature> = keys.iter().map(|key| decorate(key, &hash)).collect();
    TransactionEnvelope::Tx(TransactionV1Envelope {
        tx: tx.clone(),
        signatures: signatures.try_into().expect("at most twenty signatures"),
    })
    .to_xdr(Limits::none())
    .expect("an envelope")
}

/// A fee-bump around a signed transaction; the fee is the whole of it.
pub(crate) fn bump(
    network: &Network,
    inner: &[u8],
    payer: &Key,
    fee_stroops: i64,
    keys: &[Key],
) -> Vec<u8> {
    let TransactionEnvelope::Tx(inner) =
        TransactionEnvelope::from_xdr(inner, Limits::none()).expect("an envelope")
    else {
        panic!("only a transaction of version 1 can be bumped");
    };
    let tx = FeeBumpTransaction {
        fee_source: payer.muxed(),
        fee: fee_stroops,
        inner_tx: FeeBumpTransactionInnerTx::Tx(inner),
        ext: FeeBumpTransactionExt::V0,
    };
    let body = tx.to_xdr(Limits::none()).expect("a fee-bump");
    let hash = sha256_parts(&[&network.node.network_id(), &5_u32.to_be_bytes(), &body]);
    let signatures: Vec<DecoratedSignature> = keys.iter().map(|key| decorate(key, &hash)).collect();
    TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope {
        tx,
        signatures: signatures.try_into().expect("at most twenty signatures"),
    })
    .to_xdr(Limits::none())
    .expect("an envelope")
}

fn decorate(key: &Key, hash: &[u8; 32]) -> DecoratedSignature {
    let signature = sign_ed25519(&key.seed, hash).expect("a signature");
    DecoratedSignature {
        hint: SignatureHint([key.id[28], key.id[29], key.id[30], key.id[31]]),
        signature: Signature(signature.to_vec().try_into().expect("64 bytes")),
    }
}

pub(crate) fn create_account(key: &Key, starting_balance: i64) -> Operation {
    Operation {
        source_account: None,
        body: OperationBody::CreateAccount(CreateAccountOp {
            destination: key.account_id(),
            starting_balance,
        }),
    }
}

pub(crate) fn pay(to: &Key, amount: i64) -> Operation {
    Operation {
        source_account: None,
        body: OperationBody::Payment(PaymentOp {
            destination: to.muxed(),
            asset: Asset::Native,
            amount,
        }),
    }
}

pub(crate) fn call(contract: &ContractId, function: &str, args: Vec<ScVal>) -> HostFunction {
    HostFunction::InvokeContract(InvokeContractArgs {
        contract_address: ScAddress::Contract(contract.clone()),
        function_name: symbol(function),
        args: args.try_into().expect("arguments"),
    })
}

pub(crate) fn symbol(name: &str) -> ScSymbol {
    ScSymbol(name.as_bytes().to_vec().try_into().expect("a short name"))
}

/// An embedded contract, as the crate ships it.
pub(crate) fn wasm(name: &str) -> Vec<u8> {
    let path = format!("{}/wasm/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn decode_result(xdr: &[u8]) -> TransactionResult {
    TransactionResult::from_xdr(xdr, Limits::none()).expect("a result")
}

/// The result of a refusal.
#[track_caller]
pub(crate) fn refusal(submission: &Submission) -> TransactionResultResult {
    match &submission.status {
        SubmitStatus::Error { result_xdr, .. } => decode_result(result_xdr).result,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// What the diagnostics of a refusal say.
pub(crate) fn explain(submission: &Submission) -> String {
    match &submission.status {
        SubmitStatus::Error {
            result_xdr,
            diagnostic_events_xdr,
        } => {
            let events: Vec<DiagnosticEvent> = diagnostic_events_xdr
                .iter()
                .map(|xdr| DiagnosticEvent::from_xdr(xdr, Limits::none()).expect("a diagnostic"))
                .collect();
            format!("{:?} {events:?}", decode_result(result_xdr))
        }
        other => format!("{other:?}"),
    }
}
