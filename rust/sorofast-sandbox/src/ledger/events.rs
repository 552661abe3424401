//! Events that the ledger itself emits, and events as readers look them up.

use crate::ledger::account::account_id;
use crate::ledger::classic::events::asset_contract;
use crate::types::{EventId, EventRecord};
use stellar_xdr::{
    Asset, ContractEvent, ContractEventBody, ContractEventType, ContractEventV0, ContractId,
    ExtensionPoint, Hash, Int128Parts, Limits, ReadXdr, ScAddress, ScSymbol, ScVal, StringM, VecM,
    WriteXdr,
};

/// Largest value of a transaction's place in an event id; events after all transactions carry it.
pub const AFTER_ALL_TRANSACTIONS: u64 = (1 << 20) - 1;

/// Contract id of the native asset on this network.
pub fn native_contract(network_id: &[u8; 32]) -> [u8; 32] {
    asset_contract(network_id, &Asset::Native)
}

/// A fee that was taken (positive) or given back (negative).
pub fn fee_event(native: &[u8; 32], payer: &[u8; 32], amount_stroops: i64) -> Vec<u8> {
    let topics = vec![symbol("fee"), account_value(payer)];
    encode(native, topics, amount(amount_stroops))
}

pub(super) fn encode(contract: &[u8; 32], topics: Vec<ScVal>, data: ScVal) -> Vec<u8> {
    ContractEvent {
        ext: ExtensionPoint::V0,
        contract_id: Some(ContractId(Hash(*contract))),
        type_: ContractEventType::Contract,
        body: ContractEventBody::V0(ContractEventV0 {
            topics: VecM::try_from(topics).unwrap_or_default(),
            data,
        }),
    }
    .to_xdr(Limits::none())
    .unwrap_or_default()
}

pub(super) fn text<const N: u32>(value: &str) -> StringM<N> {
    StringM::try_from(value.as_bytes().to_vec()).unwrap_or_default()
}

pub(super) fn symbol(name: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(text(name)))
}

fn account_value(id: &[u8; 32]) -> ScVal {
    ScVal::Address(ScAddress::Account(account_id(id)))
}

pub(super) fn amount(stroops: i64) -> ScVal {
    ScVal::I128(Int128Parts {
        hi: if stroops < 0 { -1 } else { 0 },
        lo: stroops.cast_unsigned(),
    })
}

/// Where an event of the ledger comes from.
#[derive(Clone, Copy, Debug)]
pub struct EventOrigin {
    pub ledger: u32,
    pub close_time_s: u64,
    pub transaction_hash: [u8; 32],
    /// As in the id: from 1, with 0 before and 1,048,575 after all transactions of the ledger.
    pub transaction_index: u32,
    pub operation_index: u32,
}

/// The id of an event by its place.
pub fn event_id(ledger: u32, transaction: u64, operation: u32, index: u32) -> EventId {
    EventId {
        toid: (u64::from(ledger) << 32) | (transaction << 12) | u64::from(operation),
        index,
    }
}

/// Takes an event apart for lookups; None for diagnostics, which are not part of the stream.
pub fn record(event_xdr: &[u8], id: EventId, origin: EventOrigin) -> Option<EventRecord> {
    let limits = Limits {
        depth: 500,
        len: event_xdr.len(),
    };
    let event = ContractEvent::from_xdr(event_xdr, limits).ok()?;
    let kind = match event.type_ {
        ContractEventType::Contract => "contract",
        ContractEventType::System => "system",
        ContractEventType::Diagnostic => return None,
    };
    let ContractEventBody::V0(body) = event.body;
    let topics_xdr: Result<Vec<Vec<u8>>, _> = body
        .topics
        .iter()
        .map(|topic| topic.to_xdr(Limits::none()))
        .collect();
    Some(EventRecord {
        id,
        ledger: origin.ledger,
        close_time_s: origin.close_time_s,
        kind,
        contract: event.contract_id.map(|id| id.0 .0),
        topics_xdr: topics_xdr.ok()?,
        value_xdr: body.data.to_xdr(Limits::none()).ok()?,
        transaction_hash: origin.transaction_hash,
        transaction_index: origin.transaction_index,
        operation_index: origin.operation_index,
    })
}
