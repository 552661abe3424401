//! Reading XDR in place: the few entries and results the engine needs, borrowed from the bytes they came in.

mod account;
mod entry;
mod footprint;
mod reader;
mod result;
mod scval;
mod task;

pub use account::AccountState;
pub use entry::{key_of, read_entry, Entry, EntryKey};
pub use footprint::{read_transaction_data, TransactionData};
pub use reader::{Reader, XdrError};
pub use result::{read_result, ResultSummary};
pub use scval::{
    find_payment, read_address, read_symbol, read_wide, skip_value, tag, Address, Payment,
};
pub use task::{read_task, TaskState};
