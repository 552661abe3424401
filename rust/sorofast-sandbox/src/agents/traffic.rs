//! Background traffic: real transactions of real accounts, in a crowd.

use super::wallet::{envelope, operation, pay, transaction, Account, Simulated, Wallet};
use crate::contracts;
use crate::crypto::{sha256, sha256_parts};
use crate::faults::{TrafficKind, TrafficPlan};
use crate::ledger::account::account_id;
use crate::node::{Agent, Node};
use crate::random::{unit, Purpose, Randomness};
use crate::tx::envelope::decode;
use crate::tx::select::Resources;
use stellar_xdr::{
    ContractDataDurability, ContractExecutable, ContractId, ContractIdPreimage,
    ContractIdPreimageFromAddress, CreateContractArgs, Hash, HashIdPreimage,
    HashIdPreimageContractId, HostFunction, InvokeContractArgs, LedgerKey, LedgerKeyContractCode,
    LedgerKeyContractData, Limits, ScAddress, ScSymbol, ScVal, ScVec, Transaction, Uint256,
    WriteXdr,
};

const CONTRACT: &str = "counter";
/// Nobody's key: what a call costs that writes an entry for the first time.
const UNUSED_KEY: u64 = u64::MAX;
/// What the accounts bid that set the contract up.
const SET_UP_BID_STROOPS: u32 = 1_000_000;

#[derive(Debug)]
pub struct Traffic {
    plan: TrafficPlan,
    random: Randomness,
    wallet: Wallet,
    template: Option<Template>,
    /// Of the chain that the template was made on.
    failures: u64,
}

/// What a transaction of the crowd looks like, and how many of them are offered per ledger.
#[derive(Debug)]
struct Template {
    call: Option<Simulated>,
    contract: ContractId,
    per_ledger: u64,
}

impl Traffic {
    pub fn new(plan: TrafficPlan, seed: u64) -> Self {
        Self {
            wallet: Wallet::new("traffic", plan.accounts),
            random: Randomness::new(seed),
            template: None,
            failures: 0,
            plan,
        }
    }

    fn prepare(&mut self, node: &Node, accounts: &[Account]) -> Option<()> {
        // A failure may mean that what was simulated does not hold any more.
        if self.failures != self.wallet.failures() {
            self.failures = self.wallet.failures();
            self.template = None;
        }
        if self.template.is_some() {
            return Some(());
        }
        let first = *accounts.iter().find(|account| account.index == 0)?;
        let (call, contract) = match self.plan.kind {
            TrafficKind::Payments => (None, ContractId(Hash([0; 32]))),
            TrafficKind::Contract => {
                let contract = contract_id(node, &first)?;
                if !self.is_set_up(node, first, &contract) {
                    return None;
                }
                let function = self.function(&contract, UNUSED_KEY)?;
                let leeway = u64::from(self.plan.instructions);
                (
                    Some(Simulated::of(node, first, function, leeway).ok()?),
                    contract,
                )
            }
        };
        let mut template = Template {
            call,
            contract,
            per_ledger: 0,
        };
        template.per_ledger = match self.plan.per_ledger {
            Some(count) => u64::from(count),
            None => self.share_of_a_ledger(node, &template, first)?,
        };
        self.template = Some(template);
        Some(())
    }

    /// How many transactions make up the planned share of what a ledger can hold.
    fn share_of_a_ledger(&self, node: &Node, template: &Template, account: Account) -> Option<u64> {
        let tx = self.transaction(template, account, 100, &[account])?;
        let parsed = decode(&envelope(&tx, Vec::new())?, &node.network_id()).ok()?;
        let one = Resources::of(&parsed);
        let limit = match self.plan.kind {
            TrafficKind::Contract => Resources::ledger_limit(node.settings()),
            TrafficKind::Payments => Resources::classic_limit(node.settings()),
        };
        let mut count = 0_u32;
        let mut all = one;
        // No more than there are accounts can be offered anyway.
        while all.fits(&limit) && count <= self.plan.accounts {
            count += 1;
            all = all + one;
        }
        let share = f64::from(count) * self.plan.fill();
        #[allow(clippy::cast_sign_loss)]
        let share = share.ceil() as u64;
        Some(share)
    }

    /// Sees to it that the contract is there; true when it is.
    fn is_set_up(&mut self, node: &Node, account: Account, contract: &ContractId) -> bool {
        let Some(wasm) = contracts::wasm(CONTRACT) else {
            return false;
        };
        let code = sha256(wasm);
        let keys = [
            LedgerKey::ContractCode(LedgerKeyContractCode { hash: Hash(code) }),
            data_key(contract, ScVal::LedgerKeyContractInstance),
        ];
        let is_there: Vec<bool> = keys
            .iter()
            .map(|key| {
                let key = key.to_xdr(Limits::none()).unwrap_or_default();
                !node.entries(&[key]).entries.is_empty()
            })
            .collect();
        let missing = match is_there[..] {
            [true, true] => return true,
            [false, _] => wasm
                .to_vec()
                .try_into()
                .ok()
                .map(HostFunction::UploadContractWasm),
            _ => Some(HostFunction::CreateContract(CreateContractArgs {
                contract_id_preimage: preimage(&account),
                executable: ContractExecutable::Wasm(Hash(code)),
            })),
        };
        let tx = missing
            .and_then(|function| Simulated::of(node, account, function, 0).ok())
            .and_then(|simulated| simulated.transaction(account, SET_UP_BID_STROOPS));
        if let Some(tx) = tx {
            self.wallet.send(node, account, &tx);
        }
        false
    }

    fn function(&self, contract: &ContractId, key: u64) -> Option<HostFunction> {
        let (name, args) = if self.plan.conflicting {
            ("increment", Vec::new())
        } else {
            ("bump", vec![ScVal::U64(key)])
        };
        Some(HostFunction::InvokeContract(InvokeContractArgs {
            contract_address: ScAddress::Contract(contract.clone()),
            function_name: ScSymbol(name.as_bytes().to_vec().try_into().ok()?),
            args: args.try_into().ok()?,
        }))
    }

    fn transaction(
        &self,
        template: &Template,
        account: Account,
        bid_stroops: u32,
        everybody: &[Account],
    ) -> Option<Transaction> {
        let Some(call) = &template.call else {
            let place = everybody
                .iter()
                .position(|other| other.index == account.index)?;
            let to = everybody[(place + 1) % everybody.len()].id;
            let payment = operation(pay(&to, 1));
            return transaction(
                &account.id,
                account.sequence + 1,
                bid_stroops,
                vec![payment],
            );
        };
        if self.plan.conflicting {
            return call.transaction(account, bid_stroops);
        }
        let key = u64::from(account.index);
        let function = self.function(&template.contract, key)?;
        let mut own = call.clone().with_function(function);
        let footprint = &mut own.data.resources.footprint;
        let unused = data_key(&template.contract, entry_key(UNUSED_KEY)?);
        let keys: Vec<LedgerKey> = footprint
            .read_write
            .iter()
            .map(|written| {
                if *written == unused {
                    entry_key(key).map(|key| data_key(&template.contract, key))
                } else {
                    Some(written.clone())
                }
            })
            .collect::<Option<_>>()?;
        footprint.read_write = keys.try_into().ok()?;
        own.transaction(account, bid_stroops)
    }

    /// Most bids are low and some are high: evenly spread over the orders of magnitude.
    fn bid(&self, ledger: u32, account: u32) -> u32 {
        let [low, high] = self.plan.bid_stroops.map(f64::from);
        let thing = [&ledger.to_be_bytes()[..], &account.to_be_bytes()];
        let drawn = self.random.of(Purpose::Traffic, &thing);
        let mut word = [0; 8];
        word.copy_from_slice(&drawn[..8]);
        let bid = low * (high / low).powf(unit(u64::from_be_bytes(word)));
        #[allow(clippy::cast_sign_loss)]
        let bid = bid.round() as u32;
        bid
    }
}

impl Agent for Traffic {
    fn ledger_closed(&mut self, node: &Node) {
        let ledger = node.latest().sequence;
        let accounts = self.wallet.ledger_closed(node);
        if self.plan.until_ledger.is_some_and(|until| ledger >= until) {
            return;
        }
        if self.prepare(node, &accounts).is_none()
            || self.plan.from_ledger.is_some_and(|from| ledger + 1 < from)
        {
            return;
        }
        let Some(template) = self.template.take() else {
            return;
        };
        // Everybody gets a turn.
        let start = ledger as usize % accounts.len().max(1);
        let turn = accounts.iter().cycle().skip(start).take(accounts.len());
        for account in turn.take(usize::try_from(template.per_ledger).unwrap_or(usize::MAX)) {
            let bid_stroops = self.bid(ledger, account.index);
            if let Some(tx) = self.transaction(&template, *account, bid_stroops, &accounts) {
                self.wallet.send(node, *account, &tx);
            }
        }
        self.template = Some(template);
    }

    fn begin_anew(&mut self) {
        *self = Self::new(self.plan.clone(), self.random.seed());
    }

    fn told(&self) -> serde_json::Value {
        let mut told = serde_json::json!(self.wallet.counts);
        told["per_ledger"] = self
            .template
            .as_ref()
            .map(|template| template.per_ledger)
            .into();
        told
    }
}

fn preimage(account: &Account) -> ContractIdPreimage {
    ContractIdPreimage::Address(ContractIdPreimageFromAddress {
        address: ScAddress::Account(account_id(&account.id)),
        salt: Uint256(sha256(b"sorofast-sandbox traffic")),
    })
}

fn contract_id(node: &Node, account: &Account) -> Option<ContractId> {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(node.network_id()),
        contract_id_preimage: preimage(account),
    });
    let xdr = preimage.to_xdr(Limits::none()).ok()?;
    Some(ContractId(Hash(sha256_parts(&[&xdr]))))
}

/// The key under which the contract keeps the count of one of its keys.
fn entry_key(key: u64) -> Option<ScVal> {
    let name = ScSymbol(b"Key".to_vec().try_into().ok()?);
    let parts = vec![ScVal::Symbol(name), ScVal::U64(key)];
    Some(ScVal::Vec(Some(ScVec(parts.try_into().ok()?))))
}

fn data_key(contract: &ContractId, key: ScVal) -> LedgerKey {
    LedgerKey::ContractData(LedgerKeyContractData {
        contract: ScAddress::Contract(contract.clone()),
        key,
        durability: ContractDataDurability::Persistent,
    })
}
