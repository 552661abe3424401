//! SEP-5: Stellar's accounts of a seed, by SLIP-0010 for ed25519, where every step is hardened.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::SecretError;

const CURVE: &[u8] = b"ed25519 seed";
const PURPOSE: u32 = 44;
const STELLAR: u32 = 148;
const HARDENED: u32 = 1 << 31;

type Node = Zeroizing<[u8; 64]>;

fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> Result<Node, SecretError> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA512, key));
    for part in parts {
        context.update(part);
    }
    let tag = context.sign();
    tag.as_ref()
        .try_into()
        .map(Zeroizing::new)
        .map_err(|_| SecretError::Library)
}

fn child(node: &Node, index: u32) -> Result<Node, SecretError> {
    let (key, chain) = node.split_at(32);
    hmac_sha512(chain, &[&[0], key, &(index | HARDENED).to_be_bytes()])
}

/// The secret seed of account `index`, path `m/44'/148'/index'`.
pub fn channel_seed(seed: &[u8; 64], index: u32) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    let mut node = hmac_sha512(CURVE, &[seed])?;
    for step in [PURPOSE, STELLAR, index] {
        node = child(&node, step)?;
    }
    let key = node.first_chunk().copied().ok_or(SecretError::Library)?;
    Ok(Zeroizing::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{seed_of_mnemonic, KeyPair};
    use crate::strkey::{encode, Kind};

    #[test]
    fn the_accounts_of_the_standards_first_test() {
        let phrase = "illness spike retreat truth genius clock brain pass fit cave bargain toe";
        let seed = seed_of_mnemonic(phrase).unwrap();
        for (index, address) in [
            (
                0,
                "GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6",
            ),
            (
                1,
                "GBAW5XGWORWVFE2XTJYDTLDHXTY2Q2MO73HYCGB3XMFMQ562Q2W2GJQX",
            ),
        ] {
            let pair = KeyPair::from_seed(&channel_seed(&seed, index).unwrap()).unwrap();
            assert_eq!(encode(Kind::Account, &pair.public_key().0), address);
        }
    }
}
