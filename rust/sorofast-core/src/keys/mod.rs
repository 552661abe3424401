//! Secrets: from a seed phrase to keys. What holds a secret is wiped when it is dropped and never shows it.

mod mnemonic;
mod pair;
mod seal;
mod sep5;

pub use mnemonic::seed_of_mnemonic;
pub use pair::{KeyPair, Signature};
pub use seal::{Seal, SEAL_LENGTH};
pub use sep5::channel_seed;

use thiserror::Error;

use crate::strkey::StrkeyError;

/// A secret that cannot be used. No variant holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretError {
    /// The keeper's seed is mistyped.
    #[error("the keeper's secret does not decode: {0}")]
    Seed(#[from] StrkeyError),
    /// A phrase of a wrong length.
    #[error("the seed phrase has {0} words; 12, 15, 18, 21 or 24 are possible")]
    WordCount(usize),
    /// A word outside the list.
    #[error("word {0} of the seed phrase is not in the BIP-39 list of English words")]
    Word(usize),
    /// Words exchanged or mistaken.
    #[error("the checksum of the seed phrase is wrong; a word is mistaken or out of place")]
    Checksum,
    /// Channels without a phrase to derive them from.
    #[error("{0} channels are configured, but there is no seed phrase to derive them from")]
    NoMnemonic(u32),
    /// More channels than the engine takes.
    #[error("{0} channels are configured; at most {1} are possible")]
    TooManyChannels(u32, u32),
    /// A channel must be another account than the keeper.
    #[error("channel {0} is the keeper's own account; use another seed phrase")]
    KeeperIsChannel(u32),
    /// The cryptography library refused.
    #[error("the cryptography library refused a key")]
    Library,
}
