//! Transactions that execute tasks: from templates to signed envelopes.

mod call;
mod envelope;
mod signer;
mod template;

pub use envelope::network_id;
pub use signer::{BuildError, Built, ExecuteItem, Signer, CHANNELS_MOST};
pub use template::{Template, TemplateError, Templates};
