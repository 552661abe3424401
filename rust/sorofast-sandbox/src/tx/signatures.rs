//! Signatures, weights and thresholds, in the order in which the network counts them.

use crate::crypto::{sha256, verify_ed25519};
use crate::tx::envelope::Parsed;
use std::sync::Mutex;
use stellar_xdr::{AccountEntry, DecoratedSignature, SignerKey, Uint256};

/// Signature checks by (signature, key), kept so that apply need not repeat those of admission.
#[derive(Debug, Default)]
pub struct Verified(Mutex<Vec<(usize, [u8; 32], bool)>>);

/// What was signed, and the signatures under it.
#[derive(Debug)]
pub struct Signed {
    pub hash: [u8; 32],
    pub signatures: Vec<DecoratedSignature>,
    /// Signatures that were already checked against a key.
    pub verified: Verified,
}

impl Signed {
    pub fn new(hash: [u8; 32], signatures: Vec<DecoratedSignature>) -> Self {
        Self {
            hash,
            signatures,
            verified: Verified::default(),
        }
    }

    /// Is the signature at the index by that key?
    fn is_by(&self, index: usize, key: &[u8; 32]) -> bool {
        let signature = &self.signatures[index];
        if signature.hint.0 != key[28..] {
            return false;
        }
        let known = |list: &[(usize, [u8; 32], bool)]| {
            list.iter()
                .find(|(at, of, _)| *at == index && of == key)
                .map(|(_, _, valid)| *valid)
        };
        if let Ok(list) = self.verified.0.lock() {
            if let Some(valid) = known(&list) {
                return valid;
            }
        }
        let valid = verify_ed25519(key, &self.hash, signature.signature.0.as_slice());
        if let Ok(mut list) = self.verified.0.lock() {
            list.push((index, *key, valid));
        }
        valid
    }
}

/// How much an operation asks of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    Low = 1,
    Medium = 2,
    High = 3,
}

/// Counts the weights of a transaction's signatures and remembers which were of use.
#[derive(Debug)]
pub struct Checker<'a> {
    signed: &'a Signed,
    used: Vec<bool>,
}

/// Checks the tx's signatures against its own master keys ahead of time, outside of any lock.
pub fn warm_up(tx: &Parsed) {
    let mut keys = vec![tx.source];
    for operation in &tx.tx.operations {
        let key = tx.operation_source(operation);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    for key in &keys {
        for index in 0..tx.signed.signatures.len() {
            tx.signed.is_by(index, key);
        }
    }
    if let Some(bump) = &tx.fee_bump {
        for index in 0..bump.signed.signatures.len() {
            bump.signed.is_by(index, &bump.source);
        }
    }
}

impl<'a> Checker<'a> {
    pub fn new(signed: &'a Signed) -> Self {
        Self {
            signed,
            used: vec![false; signed.signatures.len()],
        }
    }

    /// Do the account's signers reach one of its thresholds?
    pub fn account(&mut self, account: &AccountEntry, threshold: Threshold) -> bool {
        let mut signers: Vec<(SignerKey, u32)> = account
            .signers
            .iter()
            .map(|signer| (signer.key.clone(), signer.weight))
            .collect();
        let master = u32::from(account.thresholds.0[0]);
        if master > 0 {
            let id = crate::ledger::account::account_id_bytes(&account.account_id);
            signers.push((SignerKey::Ed25519(Uint256(id)), master));
        }
        let needed = u32::from(account.thresholds.0[threshold as usize]);
        self.reaches(&signers, needed)
    }

    /// Did the key of an account that does not exist sign?
    pub fn missing_account(&mut self, id: &[u8; 32]) -> bool {
        self.reaches(&[(SignerKey::Ed25519(Uint256(*id)), 1)], 0)
    }

    /// Did every extra signer sign?
    pub fn extra_signers(&mut self, signers: &[SignerKey]) -> bool {
        if signers.is_empty() {
            return true;
        }
        let weighted: Vec<(SignerKey, u32)> = signers.iter().map(|key| (key.clone(), 1)).collect();
        self.reaches(&weighted, signers.len() as u32)
    }

    pub fn all_used(&self) -> bool {
        self.used.iter().all(|used| *used)
    }

    fn reaches(&mut self, signers: &[(SignerKey, u32)], needed: u32) -> bool {
        let mut total = 0;
        for (key, weight) in signers {
            if let SignerKey::PreAuthTx(Uint256(hash)) = key {
                if *hash == self.signed.hash {
                    total += (*weight).min(255);
                    if total >= needed {
                        return true;
                    }
                }
            }
        }
        let passes: [Verify; 3] = [hash_x, ed25519, signed_payload];
        for verify in passes {
            let mut left: Vec<&(SignerKey, u32)> = signers.iter().collect();
            for index in 0..self.signed.signatures.len() {
                let signature = &self.signed.signatures[index];
                let Some(at) = left
                    .iter()
                    .position(|(key, _)| verify(self.signed, index, signature, key))
                else {
                    continue;
                };
                self.used[index] = true;
                let (_, weight) = left.remove(at);
                total += (*weight).min(255);
                if total >= needed {
                    return true;
                }
            }
        }
        false
    }
}

/// Is this signature, the one at the index, by that key?
type Verify = fn(&Signed, usize, &DecoratedSignature, &SignerKey) -> bool;

fn hash_x(_: &Signed, _: usize, signature: &DecoratedSignature, key: &SignerKey) -> bool {
    let SignerKey::HashX(Uint256(hash)) = key else {
        return false;
    };
    signature.hint.0 == hash[28..] && sha256(signature.signature.0.as_slice()) == *hash
}

fn ed25519(signed: &Signed, index: usize, _: &DecoratedSignature, key: &SignerKey) -> bool {
    let SignerKey::Ed25519(Uint256(key)) = key else {
        return false;
    };
    signed.is_by(index, key)
}

fn signed_payload(_: &Signed, _: usize, signature: &DecoratedSignature, key: &SignerKey) -> bool {
    let SignerKey::Ed25519SignedPayload(signer) = key else {
        return false;
    };
    // The hint is the key's, each byte mixed with the payload's last four (zeros where it is shorter).
    let payload = signer.payload.as_slice();
    let mut hint = [0; 4];
    let tail = &payload[payload.len().saturating_sub(4)..];
    hint[..tail.len()].copy_from_slice(tail);
    for (mixed, byte) in hint.iter_mut().zip(&signer.ed25519.0[28..]) {
        *mixed ^= byte;
    }
    signature.hint.0 == hint
        && verify_ed25519(&signer.ed25519.0, payload, signature.signature.0.as_slice())
}
