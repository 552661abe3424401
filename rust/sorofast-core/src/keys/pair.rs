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
        let bytes = self.sign_bytes(hash)?;
        let hint = self
            .public
            .0
            .last_chunk()
            .copied()
            .ok_or(SecretError::Library)?;
        Ok(Signature { hint, bytes })
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<[u8; 64], SecretError> {
        let signature = self
            .inner
            .try_sign(message)
            .map_err(|_| SecretError::Library)?;
        signature
            .as_ref()
            .try_into()
            .map_err(|_| SecretError::Library)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        assert_eq!(hex.len(), 2 * N);
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..][..2], 16).unwrap())
    }

    #[test]
    fn keys_and_signatures_are_those_of_rfc_8032() {
        for (seed, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                &[][..],
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
                 d25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                &[0x72],
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
                 387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                &[0xaf, 0x82],
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659\
                 4a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let pair = KeyPair::from_seed(&bytes(seed)).unwrap();
            assert_eq!(pair.public_key().0, bytes(public));
            assert_eq!(pair.sign_bytes(message).unwrap(), bytes(signature));
        }
    }
}
