//! Account entries: what a channel's state is.

use super::reader::{Reader, XdrError};
use crate::types::{AccountKey, Ledger, Sequence, Stroops};

/// An account as the ledger holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountState {
    /// The account's key.
    pub key: AccountKey,
    /// Its lumens.
    pub balance: Stroops,
    /// The sequence number it used last.
    pub sequence: Sequence,
    /// The ledger it used it in; 0 where the entry does not say.
    pub sequence_ledger: Ledger,
    /// That ledger's close time in seconds; 0 where the entry does not say.
    pub sequence_time_s: u64,
}

const SIGNERS_MOST: usize = 20;
const HOME_DOMAIN_LONGEST: usize = 32;
const SIGNED_PAYLOAD_LONGEST: usize = 64;

/// Reads an account entry after its discriminant.
pub fn read_account(reader: &mut Reader<'_>) -> Result<AccountState, XdrError> {
    let key = AccountKey(*read_key(reader)?);
    let balance = Stroops(reader.i64()?);
    let sequence = Sequence(reader.i64()?);
    reader.u32()?;
    if reader.bool()? {
        read_key(reader)?;
    }
    reader.u32()?;
    reader.opaque(HOME_DOMAIN_LONGEST)?;
    reader.take(4)?;
    let signers = reader.count(4)?;
    bound(reader, signers)?;
    for _ in 0..signers {
        skip_signer_key(reader)?;
        reader.u32()?;
    }
    let mut state = AccountState {
        key,
        balance,
        sequence,
        sequence_ledger: Ledger(0),
        sequence_time_s: 0,
    };
    read_extensions(reader, &mut state)?;
    Ok(state)
}

fn bound(reader: &Reader<'_>, signers: usize) -> Result<(), XdrError> {
    if signers > SIGNERS_MOST {
        return Err(XdrError::new(
            reader.position() - 4,
            format!("{signers} signers, at most {SIGNERS_MOST} are possible"),
        ));
    }
    Ok(())
}

/// Extensions nest: version 1 holds liabilities and perhaps version 2, that holds sponsorship and perhaps version 3.
fn read_extensions(reader: &mut Reader<'_>, state: &mut AccountState) -> Result<(), XdrError> {
    if !has_extension(reader, 1)? {
        return Ok(());
    }
    reader.take(16)?;
    if !has_extension(reader, 2)? {
        return Ok(());
    }
    reader.take(8)?;
    let sponsors = reader.count(4)?;
    bound(reader, sponsors)?;
    for _ in 0..sponsors {
        if reader.bool()? {
            read_key(reader)?;
        }
    }
    if !has_extension(reader, 3)? {
        return Ok(());
    }
    reader.expect(0, "extension of account version 3")?;
    state.sequence_ledger = Ledger(reader.u32()?);
    state.sequence_time_s = reader.u64()?;
    Ok(())
}

fn has_extension(reader: &mut Reader<'_>, version: u32) -> Result<bool, XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        0 => Ok(false),
        found if found == version => Ok(true),
        found => Err(XdrError::new(
            offset,
            format!("account extension {found}, expected 0 or {version}"),
        )),
    }
}

fn read_key<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8; 32], XdrError> {
    reader.expect(0, "account key type")?;
    reader.array()
}

fn skip_signer_key(reader: &mut Reader<'_>) -> Result<(), XdrError> {
    let offset = reader.position();
    match reader.u32()? {
        0..=2 => reader.take(32).map(drop),
        3 => {
            reader.take(32)?;
            reader.opaque(SIGNED_PAYLOAD_LONGEST).map(drop)
        }
        other => Err(XdrError::new(
            offset,
            format!("{other} is no kind of signer"),
        )),
    }
}
