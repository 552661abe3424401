//! `ManageData` and `BumpSequence`.

use crate::ledger::account::consume_sequence;
use crate::ledger::classic::outcome::Failed;
use crate::ledger::classic::sponsorship::{create_subentry, remove_entry};
use crate::ledger::classic::work::Work;
use crate::ledger::draft::Held;
use stellar_xdr::{
    BumpSequenceOp, BumpSequenceResult, DataEntry, DataEntryExt, LedgerKey, LedgerKeyData,
    ManageDataOp, ManageDataResult as Code, OperationResultTr,
};

pub fn check_data(op: &ManageDataOp) -> Result<(), Failed> {
    if op.data_name.is_empty() || !super::is_printable(op.data_name.as_slice()) {
        return Err(Code::InvalidName.into());
    }
    Ok(())
}

pub fn manage(work: &mut Work<'_>, op: &ManageDataOp) -> Result<OperationResultTr, Failed> {
    let key = LedgerKey::Data(LedgerKeyData {
        account_id: work.source.clone(),
        data_name: op.data_name.clone(),
    });
    let found: Option<Held<DataEntry>> = work.draft.load(&key);
    match (found, &op.data_value) {
        (None, None) => return Err(Code::NameNotFound.into()),
        (Some(mut entry), Some(value)) => {
            entry.data.data_value = value.clone();
            work.draft.store(entry);
        }
        (None, Some(value)) => {
            let mut entry = Held::new(DataEntry {
                account_id: work.source.clone(),
                data_name: op.data_name.clone(),
                data_value: value.clone(),
                ext: DataEntryExt::V0,
            });
            let mut owner = work.source_account()?;
            let draft = &mut work.draft;
            create_subentry(draft, work.sponsorships, &mut entry, 1, &mut owner.data)
                .map_err(|unpaid| unpaid.with_low_reserve(Code::LowReserve))?;
            draft.store(owner);
            draft.store(entry);
        }
        (Some(entry), None) => {
            let mut owner = work.source_account()?;
            remove_entry(&mut work.draft, &entry.ext, 1, true, &mut owner.data)
                .map_err(|unpaid| unpaid.with_low_reserve(Code::LowReserve))?;
            work.draft.store(owner);
            work.draft.erase(&key);
        }
    }
    Ok(OperationResultTr::ManageData(Code::Success))
}

pub fn check_bump(op: &BumpSequenceOp) -> Result<(), Failed> {
    if op.bump_to.0 < 0 {
        return Err(BumpSequenceResult::BadSeq.into());
    }
    Ok(())
}

/// Bumping backwards changes nothing but the sequence's age.
pub fn bump(work: &mut Work<'_>, op: &BumpSequenceOp) -> Result<OperationResultTr, Failed> {
    let mut account = work.source_account()?;
    let sequence = account.data.seq_num.0.max(op.bump_to.0);
    let ledger = &work.ledger.ledger;
    consume_sequence(
        &mut account.data,
        sequence,
        ledger.sequence,
        ledger.close_time_s,
    );
    work.draft.store(account);
    Ok(OperationResultTr::BumpSequence(BumpSequenceResult::Success))
}
