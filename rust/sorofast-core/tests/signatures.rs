//! Signatures beside those of an independent library: the same bytes, for any seed and any hash.

use ed25519_dalek::{Signer, SigningKey};
use sorofast_core::hash::sha256;
use sorofast_core::keys::KeyPair;

const PAIRS: u32 = 10_000;

#[test]
fn ten_thousand_signatures_are_those_of_another_library() {
    for number in 0..PAIRS {
        let seed = sha256(&[b"seed", &number.to_be_bytes()[..]].concat());
        let hash = sha256(&[b"hash", &number.to_be_bytes()[..]].concat());
        let (ours, theirs) = (
            KeyPair::from_seed(&seed).unwrap(),
            SigningKey::from_bytes(&seed),
        );
        let public = theirs.verifying_key().to_bytes();
        let signed = ours.sign(&hash).unwrap();
        assert_eq!(ours.public_key().0, public);
        assert_eq!(signed.hint, public[28..]);
        assert_eq!(signed.bytes, theirs.sign(&hash).to_bytes(), "pair {number}");
    }
}
