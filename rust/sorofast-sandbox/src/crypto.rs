//! Hashes and ed25519, as the ledger uses them.

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, UnparsedPublicKey, ED25519};

pub fn sha256(data: &[u8]) -> [u8; 32] {
    to_array(digest::digest(&digest::SHA256, data).as_ref())
}

/// SHA-256 of several pieces in a row.
pub fn sha256_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    to_array(context.finish().as_ref())
}

fn to_array(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(bytes);
    out
}

pub fn verify_ed25519(public_key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(message, signature)
        .is_ok()
}

/// Public key of a seed. Fails only if the library refuses the seed's length, which its type rules out.
pub fn public_key(seed: &[u8; 32]) -> Option<[u8; 32]> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    pair.public_key().as_ref().try_into().ok()
}

pub fn sign_ed25519(seed: &[u8; 32], message: &[u8]) -> Option<[u8; 64]> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    pair.sign(message).as_ref().try_into().ok()
}

/// A key pair that signs often: deriving it costs as much as a signature.
#[derive(Debug)]
pub struct Signer(Ed25519KeyPair);

impl Signer {
    pub fn new(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    pub fn public_key(&self) -> Option<[u8; 32]> {
        self.0.public_key().as_ref().try_into().ok()
    }

    pub fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        self.0.sign(message).as_ref().try_into().ok()
    }
}

/// A number that nobody can foresee, for jitter and ties; zero if the system has no randomness to give.
pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => 0,
    }
}
