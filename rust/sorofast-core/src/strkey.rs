//! Addresses as people see them: base32 of a kind, 32 bytes and a CRC-16.

use thiserror::Error;
use zeroize::Zeroizing;

/// What an address stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `G…`, an account's public key.
    Account,
    /// `C…`, a contract.
    Contract,
    /// `S…`, a secret seed.
    Seed,
}

impl Kind {
    const fn version(self) -> u8 {
        match self {
            Self::Account => 6 << 3,
            Self::Contract => 2 << 3,
            Self::Seed => 18 << 3,
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Account => 'G',
            Self::Contract => 'C',
            Self::Seed => 'S',
        }
    }
}

/// Why a text is no such address. It never repeats the text, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StrkeyError {
    /// Not 56 characters.
    #[error("an address has 56 characters, this one has {0}")]
    Length(usize),
    /// A character outside A–Z and 2–7.
    #[error("character {0} of the address is not one of A-Z and 2-7")]
    Character(usize),
    /// Another kind of address.
    #[error("the address must start with {0}")]
    Kind(char),
    /// A mistyped address.
    #[error("the checksum of the address is wrong; it was mistyped or cut")]
    Checksum,
}

const TEXT_LENGTH: usize = 56;
const RAW_LENGTH: usize = 35;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc: u16, &byte| {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
        }
        crc
    })
}

/// The 32 bytes of an address of this kind.
pub fn decode(kind: Kind, text: &str) -> Result<Zeroizing<[u8; 32]>, StrkeyError> {
    let text = text.as_bytes();
    if text.len() != TEXT_LENGTH {
        return Err(StrkeyError::Length(text.len()));
    }
    // 56 characters of five bits are exactly 35 bytes, so no padding and no stray bits exist.
    let mut raw = Zeroizing::new([0_u8; RAW_LENGTH]);
    let (groups, _) = text.as_chunks::<8>();
    for (index, (group, bytes)) in groups.iter().zip(raw.as_chunks_mut::<5>().0).enumerate() {
        let mut bits = 0_u64;
        for (offset, &character) in group.iter().enumerate() {
            let value = match character {
                b'A'..=b'Z' => character - b'A',
                b'2'..=b'7' => character - b'2' + 26,
                _ => return Err(StrkeyError::Character(index * 8 + offset)),
            };
            bits = bits << 5 | u64::from(value);
        }
        bytes.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    let [version, payload @ .., low, high] = &*raw;
    if *version != kind.version() {
        return Err(StrkeyError::Kind(kind.letter()));
    }
    if crc16(&raw[..RAW_LENGTH - 2]) != u16::from_le_bytes([*low, *high]) {
        return Err(StrkeyError::Checksum);
    }
    Ok(Zeroizing::new(*payload))
}

/// The address of 32 bytes.
#[must_use]
pub fn encode(kind: Kind, payload: &[u8; 32]) -> String {
    let mut raw = Zeroizing::new([0_u8; RAW_LENGTH]);
    raw[0] = kind.version();
    raw[1..33].copy_from_slice(payload);
    let checksum = crc16(&raw[..33]);
    raw[33..].copy_from_slice(&checksum.to_le_bytes());
    let mut text = String::with_capacity(TEXT_LENGTH);
    for &[a, b, c, d, e] in raw.as_chunks::<5>().0 {
        let bits = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        text.extend(
            (0..8)
                .rev()
                .map(|digit| char::from(ALPHABET[(bits >> (5 * digit)) as usize & 31])),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ";

    #[test]
    fn round_trip_and_checksum() {
        let key = decode(Kind::Account, ACCOUNT).unwrap();
        assert_eq!(encode(Kind::Account, &key), ACCOUNT);
        assert_eq!(
            decode(Kind::Contract, ACCOUNT).unwrap_err(),
            StrkeyError::Kind('C')
        );
        assert_eq!(
            decode(Kind::Account, &ACCOUNT[1..]).unwrap_err(),
            StrkeyError::Length(55)
        );
        let mistyped = ACCOUNT.replace("QY", "YQ");
        assert_eq!(
            decode(Kind::Account, &mistyped).unwrap_err(),
            StrkeyError::Checksum
        );
        let foreign = ACCOUNT.replace("QY", "1Y");
        assert_eq!(
            decode(Kind::Account, &foreign).unwrap_err(),
            StrkeyError::Character(3)
        );
    }
}
