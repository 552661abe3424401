//! JSON-RPC bodies of the calls made every ledger: written without a tree and read without one.

mod answer;
mod entries;
mod error;
mod events;
mod requests;
mod scan;
mod text;

pub use answer::read_answer;
pub use entries::{read_entries, EntriesBatch, EntryProblem};
pub use error::BodyError;
pub use events::{read_events, Event, EventProblem, EventsBatch, Kind};
pub use requests::{
    entries_request, events_request, registry_request, From, RequestError, KEYS_MOST,
};
pub use scan::Scanner;
pub use text::Text;
