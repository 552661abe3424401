//! A seal that only who holds the keeper's secret can put on bytes.

use aws_lc_rs::hmac::{sign, verify, Key, HMAC_SHA256};

/// Length of a seal.
pub const SEAL_LENGTH: usize = 32;

/// Seals bytes that the members of one fleet hand to each other through a store that others may write to.
#[derive(Debug)]
pub struct Seal(Key);

impl Seal {
    /// The seal of a seed, for one purpose. The key is derived, so that a seal says nothing about the seed.
    #[must_use]
    pub fn new(seed: &[u8; 32], purpose: &str) -> Self {
        let derived = sign(&Key::new(HMAC_SHA256, seed), purpose.as_bytes());
        Self(Key::new(HMAC_SHA256, derived.as_ref()))
    }

    /// The seal of these bytes.
    #[must_use]
    pub fn seal(&self, bytes: &[u8]) -> [u8; SEAL_LENGTH] {
        let mut seal = [0; SEAL_LENGTH];
        seal.copy_from_slice(sign(&self.0, bytes).as_ref());
        seal
    }

    /// Whether a seal is the one of these bytes.
    #[must_use]
    pub fn holds(&self, bytes: &[u8], seal: &[u8]) -> bool {
        verify(&self.0, bytes, seal).is_ok()
    }
}
