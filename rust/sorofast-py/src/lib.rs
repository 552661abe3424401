//! `sorofast._core`: conversions between Python and `sorofast-core`, nothing else.
//!
//! Batches cross as packed bytes. What takes longer than a call does runs with the interpreter detached, so that other
//! threads run meanwhile; the calling thread waits for it like for any call.

mod address;
mod args;
mod bodies;
mod errors;
mod operation;
mod reasons;
mod signer;
mod table;

use pyo3::prelude::*;

/// The Rust core of sorofast; its stub describes every name.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::address::{
        account_from_bytes, account_to_bytes, contract_from_bytes, contract_to_bytes, network_id,
        shard_ids, shard_of,
    };
    #[pymodule_export]
    use crate::bodies::{
        decode_entries, decode_events, decode_result, entries_request, events_request,
        registry_request, EntriesBatch, EventsBatch,
    };
    #[pymodule_export]
    use crate::operation::Operation;
    #[pymodule_export]
    use crate::reasons::reason_codes;
    #[pymodule_export]
    use crate::signer::{Signer, TemplateFacts};
    #[pymodule_export]
    use crate::table::TaskTable;

    #[pymodule_export]
    const CORE_VERSION: &str = sorofast_core::VERSION;
    #[pymodule_export]
    const ROW_SIZE: usize = sorofast_core::row::ROW_SIZE;
}
