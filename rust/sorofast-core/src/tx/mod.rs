//! Transactions: from operations and their simulations to templates, and from templates to signed envelopes.

mod auth;
mod call;
mod envelope;
mod error;
mod holes;
mod operation;
mod shared;
mod signer;
mod template;
mod templates;

pub use envelope::network_id;
pub use error::TemplateError;
pub use operation::{Given, Operation, OperationError, TASK};
pub use shared::SharedError;
pub use signer::{
    BuildError, BuildItem, BuildPlace, Built, Lesson, Signer, SimulationItem, CHANNELS_MOST,
};
pub use template::{Consent, Facts, Padding, Simulated, Source, Template};
pub use templates::Templates;
