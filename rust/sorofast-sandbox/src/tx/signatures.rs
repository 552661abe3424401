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
    /// How many more signatures are looked at whose hints fit.
    checks_left: u32,
}

/// Signers of many accounts can have keys with the same hint; this many checks of a transaction's signatures are made.
const MAX_CHECKS: u32 = 1000;

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
            checks_left: MAX_CHECKS,
        }
    }

    /// Do the account's signers reach one of its thresholds?
    pub fn account(&mut self, account: &AccountEntry, threshold: Threshold) -> bool {
        let mut signers: Vec<(SignerKey, u32)> = Vec::with_capacity(1 + account.signers.len());
        let master = u32::from(account.thresholds.0[0]);
        if master > 0 {
            let id = crate::ledger::account::account_id_bytes(&account.account_id);
            signers.push((SignerKey::Ed25519(Uint256(id)), master));
        }
        let others = account.signers.iter();
        signers.extend(others.map(|signer| (signer.key.clone(), signer.weight)));
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
        for pass in [hash_x, ed25519, signed_payload] {
            let mut left: Vec<&(SignerKey, u32)> = signers.iter().collect();
            for index in 0..self.signed.signatures.len() {
                let Some(at) = left.iter().position(|(key, _)| self.fits(pass, index, key)) else {
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

    fn fits(&mut self, pass: Pass, index: usize, key: &SignerKey) -> bool {
        let signed = self.signed;
        let signature = &signed.signatures[index];
        match pass(signature, key) {
            Fit::No => false,
            Fit::Yes => true,
            Fit::IfSigned(key, payload) => {
                if self.checks_left == 0 {
                    return false;
                }
                self.checks_left -= 1;
                match payload {
                    None => signed.is_by(index, key),
                    Some(payload) => verify_ed25519(key, payload, signature.signature.0.as_slice()),
                }
            }
        }
    }
}

/// What a signature and its hint say of a signer before any cryptography with keys.
enum Fit<'a> {
    No,
    Yes,
    /// It has to be that key's signature under the payload, or else under the transaction.
    IfSigned(&'a [u8; 32], Option<&'a [u8]>),
}

/// Signers are looked at kind by kind.
type Pass = for<'a> fn(&DecoratedSignature, &'a SignerKey) -> Fit<'a>;

fn hash_x<'a>(signature: &DecoratedSignature, key: &'a SignerKey) -> Fit<'a> {
    match key {
        SignerKey::HashX(Uint256(hash))
            if signature.hint.0 == hash[28..]
                && sha256(signature.signature.0.as_slice()) == *hash =>
        {
            Fit::Yes
        }
        _ => Fit::No,
    }
}

fn ed25519<'a>(signature: &DecoratedSignature, key: &'a SignerKey) -> Fit<'a> {
    match key {
        SignerKey::Ed25519(Uint256(key)) if signature.hint.0 == key[28..] => {
            Fit::IfSigned(key, None)
        }
        _ => Fit::No,
    }
}

fn signed_payload<'a>(signature: &DecoratedSignature, key: &'a SignerKey) -> Fit<'a> {
    let SignerKey::Ed25519SignedPayload(signer) = key else {
        return Fit::No;
    };
    // The hint is the key's, each byte mixed with the payload's last four (zeros where it is shorter).
    let payload = signer.payload.as_slice();
    let mut hint = [0; 4];
    let tail = &payload[payload.len().saturating_sub(4)..];
    hint[..tail.len()].copy_from_slice(tail);
    for (mixed, byte) in hint.iter_mut().zip(&signer.ed25519.0[28..]) {
        *mixed ^= byte;
    }
    if signature.hint.0 == hint {
        Fit::IfSigned(&signer.ed25519.0, Some(payload))
    } else {
        Fit::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{public_key, sign_ed25519};
    use crate::ledger::account::new_account;
    use stellar_xdr::{Signature, SignatureHint, Signer};

    /// Twenty signers whose keys end as the account's own does: each signature fits all of them by its hint.
    fn crowded(id: &[u8; 32]) -> AccountEntry {
        let signers: Vec<Signer> = (0..20)
            .map(|number| {
                let mut key = *id;
                key[0] = number;
                let key = SignerKey::Ed25519(Uint256(key));
                Signer { key, weight: 1 }
            })
            .collect();
        let mut account = new_account(id, 1, 1);
        account.signers = signers.try_into().expect("twenty signers");
        account.thresholds.0 = [1, 0, 255, 255];
        account
    }

    #[test]
    fn checks_of_signatures_are_bounded() {
        let seed = [7; 32];
        let id = public_key(&seed).expect("a key");
        let hash = [9; 32];
        let signature = sign_ed25519(&seed, &hash).expect("a signature");
        let hint = SignatureHint([id[28], id[29], id[30], id[31]]);
        let decorate = |bytes: Vec<u8>| DecoratedSignature {
            hint: hint.clone(),
            signature: Signature(bytes.try_into().expect("64 bytes")),
        };
        let mut signatures = vec![decorate(vec![0; 64]); 19];
        signatures.push(decorate(signature.to_vec()));
        let signed = Signed::new(hash, signatures);
        let account = crowded(&id);
        let mut checker = Checker::new(&signed);
        // The master key is found by the last signature, after 19 that fit nobody.
        assert!(checker.account(&account, Threshold::Low));
        for _ in 0..3 {
            assert!(!checker.account(&account, Threshold::High));
        }
        assert_eq!(checker.checks_left, 0);
        assert!(!checker.account(&account, Threshold::Low));
    }
}
