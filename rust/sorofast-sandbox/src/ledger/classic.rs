//! Classic operations: accounts are made, native asset moves.

use crate::ledger::account::{
    self, available_balance, credit, minimum_balance, new_account, starting_sequence, write_account,
};
use crate::ledger::apply::ApplyLedger;
use crate::ledger::changes::ChangeList;
use crate::ledger::events::transfer_event;
use crate::ledger::state::Layer;
use crate::tx::envelope::Parsed;
use stellar_xdr::{
    AccountEntry, CreateAccountOp, CreateAccountResult, MuxedAccount, Operation, OperationBody,
    OperationResult, OperationResultTr, PaymentOp, PaymentResult, Uint256,
};

/// XDR of the operation's `LedgerEntryChanges` and of its `ContractEvent`s.
pub type Applied = (Vec<u8>, Vec<Vec<u8>>);

/// Carries out one operation whose form was checked when it was admitted.
pub fn apply(
    tx: &Parsed,
    operation: &Operation,
    layer: &mut Layer<'_>,
    ledger: &ApplyLedger<'_>,
) -> Result<Applied, Box<OperationResult>> {
    let source_id = tx.operation_source(operation);
    let source = account::load(layer, &source_id).ok_or(Box::new(OperationResult::OpNoAccount))?;
    match &operation.body {
        OperationBody::CreateAccount(create) => {
            create_account(tx, create, source_id, source, layer, ledger).map_err(|code| {
                Box::new(OperationResult::OpInner(OperationResultTr::CreateAccount(
                    code,
                )))
            })
        }
        OperationBody::Payment(payment) => pay(tx, payment, source_id, source, layer, ledger)
            .map_err(|code| Box::new(OperationResult::OpInner(OperationResultTr::Payment(code)))),
        _ => Err(Box::new(OperationResult::OpNotSupported)),
    }
}

fn create_account(
    tx: &Parsed,
    create: &CreateAccountOp,
    source_id: [u8; 32],
    mut source: AccountEntry,
    layer: &mut Layer<'_>,
    ledger: &ApplyLedger<'_>,
) -> Result<Applied, CreateAccountResult> {
    let destination = account::account_id_bytes(&create.destination);
    if account::load(layer, &destination).is_some() {
        return Err(CreateAccountResult::AlreadyExist);
    }
    let sequence = ledger.ledger.sequence;
    let account = new_account(
        &destination,
        create.starting_balance,
        starting_sequence(sequence),
    );
    if create.starting_balance < minimum_balance(&account) {
        return Err(CreateAccountResult::LowReserve);
    }
    if available_balance(&source) < create.starting_balance {
        return Err(CreateAccountResult::Underfunded);
    }
    source.balance -= create.starting_balance;
    let mut changes = ChangeList::default();
    write_account(layer, &mut changes, source, sequence);
    write_account(layer, &mut changes, account, sequence);
    let to = MuxedAccount::Ed25519(Uint256(destination));
    let event = transfer_event(
        &ledger.native,
        &source_id,
        &to,
        create.starting_balance,
        &tx.tx.memo,
    );
    Ok((changes.finish(), vec![event]))
}

fn pay(
    tx: &Parsed,
    payment: &PaymentOp,
    source_id: [u8; 32],
    mut source: AccountEntry,
    layer: &mut Layer<'_>,
    ledger: &ApplyLedger<'_>,
) -> Result<Applied, PaymentResult> {
    let destination_id = account::muxed_bytes(&payment.destination);
    let event = transfer_event(
        &ledger.native,
        &source_id,
        &payment.destination,
        payment.amount,
        &tx.tx.memo,
    );
    if destination_id == source_id {
        return Ok((ChangeList::default().finish(), vec![event]));
    }
    let mut destination =
        account::load(layer, &destination_id).ok_or(PaymentResult::NoDestination)?;
    if !credit(&mut destination, payment.amount) {
        return Err(PaymentResult::LineFull);
    }
    if available_balance(&source) < payment.amount {
        return Err(PaymentResult::Underfunded);
    }
    source.balance -= payment.amount;
    let mut changes = ChangeList::default();
    write_account(layer, &mut changes, destination, ledger.ledger.sequence);
    write_account(layer, &mut changes, source, ledger.ledger.sequence);
    Ok((changes.finish(), vec![event]))
}
