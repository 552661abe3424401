//! Templates as bytes, for the other members of a fleet.
//!
//! A template decides what the keeper signs. So the bytes carry a seal that takes the keeper's secret to make: whoever
//! can write to the store they pass through can lose a template, but not have one of his own signed.

use thiserror::Error;

use super::holes::Hole;
use super::template::{Source, Template, BODY_LONGEST};
use crate::keys::{Seal, SEAL_LENGTH};
use crate::types::{AccountKey, ContractId};
use crate::xdr::{read_transaction_data, Reader, Writer, XdrError};

const MAGIC: [u8; 4] = *b"SFTP";
const VERSION: u32 = 1;
/// Body, and holes, of which the largest body has room for a few thousand.
const LONGEST: usize = 2 * BODY_LONGEST;

/// Bytes that are no template of this fleet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SharedError {
    /// Something else altogether.
    #[error("this is not a template")]
    Magic,
    /// Longer than any template.
    #[error("the template has {0} bytes, more than any template has")]
    TooLong(usize),
    /// Written by another release.
    #[error("the template has version {0}; this release reads version {VERSION}")]
    Version(u32),
    /// Of another fleet.
    #[error("the template was made for another {0}")]
    Other(&'static str),
    /// Damaged, or made by somebody who does not have the keeper's secret.
    #[error("the template is damaged, or was not made by a member of this fleet")]
    Seal,
    /// A mistake of the release that wrote it.
    #[error("the template does not decode: {0}")]
    Xdr(#[from] XdrError),
    /// One that is only good for the run it was made for.
    #[error("the template restores archived entries; it serves one run and is not shared")]
    RestoresEntries,
}

/// What a template is bound to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fleet<'a> {
    pub(super) network: &'a [u8; 32],
    pub(super) keeper: &'a AccountKey,
    pub(super) seal: &'a Seal,
}

impl Template {
    /// Whether later runs may use it. One that restores entries declares what is archived now and is not later.
    pub fn is_reusable(&self) -> Result<bool, XdrError> {
        let data = &self.body[self.data_at..];
        Ok(data.is_empty() || read_transaction_data(data)?.archived.is_empty())
    }

    pub(super) fn to_bytes(&self, fleet: &Fleet<'_>) -> Result<Vec<u8>, SharedError> {
        if !self.is_reusable()? {
            return Err(SharedError::RestoresEntries);
        }
        let mut writer = Writer::with_capacity(self.cost() + 160);
        writer.bytes(&MAGIC);
        writer.word(VERSION);
        writer.bytes(fleet.network);
        writer.bytes(&fleet.keeper.0);
        writer.word(u32::from(self.source == Source::Keeper));
        writer.word(u32::from(self.contract.is_some()));
        if let Some(contract) = &self.contract {
            writer.bytes(&contract.0);
        }
        writer.word(self.names.len() as u32);
        for name in &self.names {
            writer.opaque(name.as_bytes());
        }
        writer.word(self.holes.len() as u32);
        for hole in &self.holes {
            writer.words([hole.at, hole.name]);
        }
        writer.word(self.data_at as u32);
        writer.opaque(&self.body);
        let seal = fleet.seal.seal(&writer.0);
        writer.bytes(&seal);
        if writer.len() > LONGEST {
            return Err(SharedError::TooLong(writer.len()));
        }
        Ok(writer.0)
    }

    pub(super) fn from_bytes(bytes: &[u8], fleet: &Fleet<'_>) -> Result<Self, SharedError> {
        if bytes.len() > LONGEST {
            return Err(SharedError::TooLong(bytes.len()));
        }
        let Some((sealed, seal)) = bytes.split_last_chunk::<SEAL_LENGTH>() else {
            return Err(SharedError::Magic);
        };
        let reader = &mut Reader::new(sealed);
        if reader.array().ok() != Some(&MAGIC) {
            return Err(SharedError::Magic);
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(SharedError::Version(version));
        }
        if reader.array()? != fleet.network {
            return Err(SharedError::Other("network"));
        }
        if *reader.array()? != fleet.keeper.0 {
            return Err(SharedError::Other("keeper"));
        }
        if !fleet.seal.holds(sealed, seal) {
            return Err(SharedError::Seal);
        }
        Ok(read_sealed(reader)?)
    }
}

fn read_sealed(reader: &mut Reader<'_>) -> Result<Template, XdrError> {
    let source = if reader.bool()? {
        Source::Keeper
    } else {
        Source::Channel
    };
    let contract = if reader.bool()? {
        Some(ContractId(*reader.array()?))
    } else {
        None
    };
    let mut names = Vec::new();
    for _ in 0..reader.count(4)? {
        names.push(String::from_utf8_lossy(reader.opaque(32)?).into_owned());
    }
    let mut holes = Vec::new();
    let holes_at = reader.position();
    for _ in 0..reader.count(8)? {
        holes.push(Hole {
            at: reader.u32()?,
            name: reader.u32()?,
        });
    }
    let data_at = reader.u32()? as usize;
    let body = reader.opaque(BODY_LONGEST)?;
    reader.finish()?;
    let Some(data) = body.get(data_at..) else {
        return Err(XdrError::new(
            holes_at,
            "its resources start beyond its end",
        ));
    };
    let fits =
        |hole: &Hole| hole.at as usize + 8 <= body.len() && (hole.name as usize) < names.len();
    if !holes.iter().all(fits) {
        return Err(XdrError::new(holes_at, "a hole is beyond its end"));
    }
    let resource_fee = if data.is_empty() {
        crate::types::Stroops(0)
    } else {
        read_transaction_data(data)?.resource_fee
    };
    Ok(Template {
        body: body.into(),
        holes: holes.into(),
        names: names.into(),
        source,
        contract,
        data_at,
        resource_fee,
    })
}
