//! BIP-39: a phrase of English words, checked, to a seed.

use std::num::NonZeroU32;

use aws_lc_rs::digest::{digest, SHA256};
use aws_lc_rs::pbkdf2;
use zeroize::{Zeroize, Zeroizing};

use super::SecretError;

/// The standard's list, one word a line, sorted.
const WORDS: &str = include_str!("bip39_english.txt");
const WORD_COUNT: usize = 2048;
const ITERATIONS: NonZeroU32 = NonZeroU32::new(2048).unwrap();
const SALT: &[u8] = b"mnemonic";

/// The 64-byte seed of a phrase without a passphrase.
///
/// A phrase whose checksum is wrong is refused: it would derive other channels, silently.
pub fn seed_of_mnemonic(phrase: &str) -> Result<Zeroizing<[u8; 64]>, SecretError> {
    let mut indices = Zeroizing::new([0_u16; 24]);
    let count = phrase.split_ascii_whitespace().count();
    if !matches!(count, 12 | 15 | 18 | 21 | 24) {
        return Err(SecretError::WordCount(count));
    }
    let list: Vec<&str> = WORDS.lines().collect();
    let mut normal = Zeroizing::new(String::with_capacity(phrase.len() + 1));
    for (position, word) in phrase.split_ascii_whitespace().enumerate() {
        let index = list
            .binary_search(&word)
            .map_err(|_| SecretError::Word(position + 1))?;
        indices[position] = index as u16;
        if position > 0 {
            normal.push(' ');
        }
        normal.push_str(word);
    }
    debug_assert_eq!(list.len(), WORD_COUNT);
    verify_checksum(&indices[..count])?;
    let mut seed = Zeroizing::new([0; 64]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        ITERATIONS,
        SALT,
        normal.as_bytes(),
        &mut *seed,
    );
    Ok(seed)
}

/// Eleven bits a word: 32 parts entropy, one part checksum.
fn verify_checksum(indices: &[u16]) -> Result<(), SecretError> {
    let mut bits = Zeroizing::new([0_u8; 33]);
    for (word, &index) in indices.iter().enumerate() {
        for bit in 0..11 {
            let at = word * 11 + bit;
            let value = (index >> (10 - bit) & 1) as u8;
            bits[at / 8] |= value << (7 - at % 8);
        }
    }
    let checksum_bits = indices.len() / 3;
    let (entropy, rest) = bits.split_at(indices.len() * 11 / 33 * 4);
    let shift = 8 - checksum_bits;
    let wanted = digest(&SHA256, entropy).as_ref()[0] >> shift;
    let mut found = rest[0] >> shift;
    let right = wanted == found;
    found.zeroize();
    if right {
        Ok(())
    } else {
        Err(SecretError::Checksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_standards() {
        let sum = digest(&SHA256, WORDS.as_bytes());
        assert_eq!(sum.as_ref()[..4], [0x2f, 0x5e, 0xed, 0x53]);
        assert!(WORDS.lines().is_sorted());
    }

    #[test]
    fn phrases_are_checked() {
        let about = format!("{}about", "abandon ".repeat(11));
        assert_eq!(
            seed_of_mnemonic(&about).unwrap()[..4],
            [0x5e, 0xb0, 0x0b, 0xbd]
        );
        let zoo = "abandon ".repeat(12);
        assert_eq!(seed_of_mnemonic(&zoo).unwrap_err(), SecretError::Checksum);
        assert_eq!(
            seed_of_mnemonic("abandon").unwrap_err(),
            SecretError::WordCount(1)
        );
        let odd = about.replacen("abandon", "Abandon", 1);
        assert_eq!(seed_of_mnemonic(&odd).unwrap_err(), SecretError::Word(1));
    }
}
