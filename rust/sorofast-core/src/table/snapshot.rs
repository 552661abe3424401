//! A table as bytes that survive their owner.

use aws_lc_rs::digest::{digest, SHA256};
use thiserror::Error;

use super::tasks::TaskTable;
use crate::row::{Row, ROW_SIZE};
use crate::types::Stroops;

const MAGIC: [u8; 4] = *b"SFTT";
const VERSION: u16 = 1;
const HEADER: usize = 24;

/// Bytes that are no snapshot of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// Something else altogether.
    #[error("this is not a snapshot of a task table")]
    Magic,
    /// Written by another release.
    #[error("the snapshot has version {version} with rows of {row_size} bytes; this release reads version 1 with 56")]
    Version {
        /// The snapshot's version.
        version: u16,
        /// The length of its rows.
        row_size: u16,
    },
    /// Cut, or longer than it says.
    #[error("the snapshot has {found} bytes where its header says {expected}")]
    Length {
        /// What the header says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// Damaged.
    #[error("the snapshot's checksum is wrong")]
    Checksum,
    /// Two rows of one task.
    #[error("the snapshot holds task {0} twice")]
    Duplicate(u64),
}

fn checksum(rows: &[u8]) -> [u8; 8] {
    let digest = digest(&SHA256, rows);
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

impl TaskTable {
    /// All rows behind a header: magic, version, row length, number of rows, checksum.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.len() * ROW_SIZE);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(ROW_SIZE as u16).to_le_bytes());
        out.extend_from_slice(&(self.len() as u64).to_le_bytes());
        out.resize(HEADER, 0);
        for row in self.rows() {
            out.extend_from_slice(&row.pack());
        }
        let sum = checksum(&out[HEADER..]);
        out[HEADER - 8..HEADER].copy_from_slice(&sum);
        out
    }

    /// The table of a snapshot, every runnable task being indexed at the second it is due.
    pub fn restore(data: &[u8], min_gas: Stroops) -> Result<Self, SnapshotError> {
        let Some((header, rows)) = data.split_first_chunk::<HEADER>() else {
            return Err(SnapshotError::Magic);
        };
        let [m0, m1, m2, m3, v0, v1, r0, r1, count @ .., s0, s1, s2, s3, s4, s5, s6, s7] = *header;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(SnapshotError::Magic);
        }
        let (version, row_size) = (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([r0, r1]));
        if version != VERSION || usize::from(row_size) != ROW_SIZE {
            return Err(SnapshotError::Version { version, row_size });
        }
        let expected = u64::from_le_bytes(count).saturating_mul(ROW_SIZE as u64);
        if expected != rows.len() as u64 {
            return Err(SnapshotError::Length {
                expected,
                found: rows.len() as u64,
            });
        }
        if checksum(rows) != [s0, s1, s2, s3, s4, s5, s6, s7] {
            return Err(SnapshotError::Checksum);
        }
        let mut table = Self::new(min_gas);
        for bytes in rows.as_chunks::<ROW_SIZE>().0 {
            let row = Row::unpack(bytes);
            if table.find(row.id).is_some() {
                return Err(SnapshotError::Duplicate(row.id.0));
            }
            table.insert(row);
        }
        Ok(table)
    }
}
