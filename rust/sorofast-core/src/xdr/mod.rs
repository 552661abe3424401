//! XDR in place: values, accounts and results borrowed from the bytes they came in, and a writer. What a contract of
//! the registry's family keeps is in [`crate::registry`].

mod account;
mod footprint;
mod reader;
mod result;
mod scval;
mod walk;
mod writer;

pub use account::{read_account, AccountState};
pub(crate) use footprint::skip_asset;
pub use footprint::{read_transaction_data, LedgerKey, TransactionData};
pub use reader::{Reader, XdrError};
pub use result::{read_result, ResultSummary};
pub(crate) use scval::skip_executable;
pub use scval::{
    find_payment, read_address, read_symbol, read_wide, skip_value, tag, Address, Payment,
};
pub use walk::{find_numbers, VALUE_LEVELS_MOST, XDR_LEVELS_MOST};
pub use writer::Writer;
