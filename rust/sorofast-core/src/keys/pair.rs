//! Ed25519 keys that sign transactions.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::SecretError;
use crate::types::AccountKey;

/// A key's hint and its signature, as an envelope decorates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The last four bytes of the public key.
    pub hint: [u8; 4],
    /// The signature.
    pub bytes: [u8; 64],
}

/// A key that signs. The library wipes the secret when this is dropped.
pub struct KeyPair {
    inner: Ed25519KeyPair,
    public: AccountKey,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("KeyPair")
            .field(&self.public)
            .finish()
    }
}

impl KeyPair {
    /// The key of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, SecretError> {
        let inner = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SecretError::Library)?;
        let public = inner
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| SecretError::Library)?;
        Ok(Self {
            inner,
            public: AccountKey(public),
        })
    }

    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> AccountKey {
        self.public
    }

    /// Signs a transaction's hash.
    pub fn sign(&self, hash: &[u8; 32]) -> Result<Signature, SecretError> {
        let signature = self
            .inner
            .try_sign(hash)
            .map_err(|_| SecretError::Library)?;
        let bytes = signature
            .as_ref()
            .try_into()
            .map_err(|_| SecretError::Library)?;
        let hint = self
            .public
            .0
            .last_chunk()
            .copied()
            .ok_or(SecretError::Library)?;
        Ok(Signature { hint, bytes })
    }
}
