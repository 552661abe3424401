//! A whole state in one file.
//!
//! Layout, with all numbers big-endian: the mark `sorofast-sandbox`, a format number (4 bytes), a head (JSON behind its
//! length), the entries in the order of their keys, the kept ledgers from old to new, and the SHA-256 of everything
//! before it. What waits in the queue and what is banned is not part of it, nor are faults.

mod codec;
mod entries;
mod ledgers;

pub(crate) use ledgers::header;

use crate::config::MAX_ACCOUNTS;
use crate::ledger::history::ClosedLedger;
use crate::ledger::state::{Key, Stored};
use crate::node::LAST_LEDGER;
use codec::{Input, Output, Saved};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::sync::Arc;

const MARK: &[u8; 16] = b"sorofast-sandbox";
/// Raised with every change of what follows the mark.
const FORMAT: u32 = 1;
/// Longest file that is read.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// Kept ledgers that are saved, in bytes; the oldest ones stay behind.
pub const MAX_HISTORY_BYTES: usize = 256 * 1024 * 1024;
const MAX_HEAD_BYTES: usize = 1024 * 1024;
/// Far beyond what anybody advances to, and far from where times cannot be added up any more.
const MAX_TIME_MS: u64 = 1 << 53;

/// What a file says of itself.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub protocol: u32,
    pub network_passphrase: String,
    /// Name of the preset that the network's settings came from.
    pub limits: String,
    pub latest_ledger: u32,
    /// What the sandbox clock showed, in milliseconds since 1970.
    pub clock_ms: u64,
    pub seed: u64,
    /// Numbers that each stream of chance has given.
    pub drawn: Vec<u64>,
    pub accounts: u32,
    pub seed_tasks: Option<SeededTasks>,
    pub entries: u64,
    pub ledgers: u64,
}

impl Head {
    /// Refuses numbers with which nothing could be counted on.
    fn check(&self) -> Result<(), Refusal> {
        let refuse = |what: &str| Err(Refusal::Content(format!("its head: {what}")));
        if !(1..LAST_LEDGER).contains(&self.latest_ledger) {
            return refuse("there is no such ledger");
        }
        if self.clock_ms > MAX_TIME_MS {
            return refuse("its clock is beyond all time");
        }
        if self.accounts > MAX_ACCOUNTS {
            return refuse("it has more accounts than there can be");
        }
        Ok(())
    }
}

/// Which tasks were there at genesis.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SeededTasks {
    pub tasks: u32,
    pub intervals_s: (u32, u32),
    pub generations: Vec<String>,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("this is not a saved state of the sandbox")]
    Mark,
    #[error("the state is in format {0}, and this build reads {FORMAT}; load it with the sandbox that saved it")]
    Format(u32),
    #[error("the state ends too early")]
    TooShort,
    #[error("the state is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("something follows the end of the state")]
    Trailing,
    #[error("the state is damaged: its checksum is another")]
    Checksum,
    #[error("the state cannot be read: {0}")]
    Content(String),
    #[error("the state cannot be read: {0}")]
    Io(std::io::Error),
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::TooShort,
            _ => Self::Io(error),
        }
    }
}

/// A state on its way into a file, or out of one.
#[derive(Debug)]
pub struct SavedState {
    pub head: Head,
    pub entries: Vec<(Key, Stored)>,
    /// From old to new, the last one being the latest.
    pub ledgers: Vec<Arc<ClosedLedger>>,
}

impl SavedState {
    /// Writes the file.
    pub fn write(&mut self, to: impl Write) -> std::io::Result<()> {
        self.head.entries = self.entries.len() as u64;
        self.head.ledgers = self.ledgers.len() as u64;
        // The same state is the same file, whatever order a map has it in.
        self.entries
            .sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut output = Output::new(to);
        output.raw(MARK)?;
        FORMAT.save(&mut output)?;
        serde_json::to_vec(&self.head)?.save(&mut output)?;
        for (key, stored) in &self.entries {
            key.save(&mut output)?;
            stored.xdr.save(&mut output)?;
            stored.lifetime.save(&mut output)?;
        }
        for ledger in &self.ledgers {
            ledger.save(&mut output)?;
        }
        output.finish()
    }

    /// Reads a file, the whole of it, and checks what can be checked without knowing the network.
    pub fn read(from: impl Read) -> Result<Self, Refusal> {
        let mut input = Input::new(from, MAX_BYTES);
        let mut mark = [0; 16];
        match input.raw(&mut mark) {
            Ok(()) if mark == *MARK => {}
            Ok(()) | Err(Refusal::TooShort) => return Err(Refusal::Mark),
            Err(refusal) => return Err(refusal),
        }
        let format = u32::load(&mut input)?;
        if format != FORMAT {
            return Err(Refusal::Format(format));
        }
        match Self::read_content(&mut input) {
            Ok(state) => {
                input.finish()?;
                state.ends_with_its_latest_ledger()
            }
            // Damage shows as nonsense long before the sum is reached; a sum that is right leaves the nonsense.
            Err(Refusal::Content(reason)) if input.ends_whole() => Err(Refusal::Content(reason)),
            Err(Refusal::Content(_)) => Err(Refusal::Checksum),
            Err(refusal) => Err(refusal),
        }
    }

    /// What stands between the mark and the sum.
    fn read_content<R: Read>(input: &mut Input<R>) -> Result<Self, Refusal> {
        let head = input.bytes(MAX_HEAD_BYTES)?;
        let head: Head = serde_json::from_slice(&head)
            .map_err(|error| Refusal::Content(format!("its head: {error}")))?;
        head.check()?;
        // The counts are only believed as far as bytes follow.
        let mut entries = Vec::new();
        for number in 0..head.entries {
            let entry =
                entries::read(input, head.latest_ledger).map_err(|refusal| match refusal {
                    Refusal::Content(reason) => {
                        Refusal::Content(format!("entry {number}: {reason}"))
                    }
                    other => other,
                })?;
            entries.push(entry);
        }
        let mut ledgers: Vec<Arc<ClosedLedger>> = Vec::new();
        for _ in 0..head.ledgers {
            let ledger = ClosedLedger::load(input)?;
            ledgers::check(&ledger, ledgers.last().map(Arc::as_ref))?;
            ledgers.push(Arc::new(ledger));
        }
        Ok(Self {
            head,
            entries,
            ledgers,
        })
    }

    fn ends_with_its_latest_ledger(self) -> Result<Self, Refusal> {
        let last = self.ledgers.last().map(|ledger| ledger.summary.sequence);
        if last != Some(self.head.latest_ledger) {
            return Err(Refusal::Content("its latest ledger is missing".into()));
        }
        Ok(self)
    }
}
