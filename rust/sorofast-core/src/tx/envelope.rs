//! The XDR of an `execute` transaction, written front to back.

use super::call::Call;
use super::template::Template;
use crate::hash::sha256;
use crate::keys::Signature;
use crate::types::{AccountKey, Ledger, Sequence};
use crate::xdr::Writer;

const ENVELOPE_TYPE_TX: u32 = 2;
const PRECONDITIONS_NONE: u32 = 0;
const PRECONDITIONS_V2: u32 = 2;
const MEMO_NONE: u32 = 0;
const OPERATIONS: u32 = 1;
const HAS_SOURCE: u32 = 1;
const INVOKE_HOST_FUNCTION: u32 = 24;
const INVOKE_CONTRACT: u32 = 0;
/// Everything but the transaction data: header, operation, authorisation and two signatures.
const FIXED_LENGTH: usize = 640;

/// The SHA-256 of a network's passphrase, with which every signature begins.
#[must_use]
pub fn network_id(passphrase: &str) -> [u8; 32] {
    sha256(passphrase.as_bytes())
}

/// The header of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    pub(super) channel: &'a AccountKey,
    pub(super) sequence: Sequence,
    pub(super) fee_stroops: u32,
    /// Last valid second and first ledger that is too late; none in a simulation.
    pub(super) bounds: Option<(u64, Ledger)>,
}

/// Everything up to the transaction's extension.
fn write_transaction(writer: &mut Writer, header: &Header<'_>, call: &Call<'_>, authorized: bool) {
    writer.account(header.channel);
    writer.word(header.fee_stroops);
    writer.wide(header.sequence.0.cast_unsigned());
    match header.bounds {
        None => writer.word(PRECONDITIONS_NONE),
        Some((max_time_s, max_ledger)) => {
            writer.words([PRECONDITIONS_V2, 1]);
            writer.wide(0);
            writer.wide(max_time_s);
            writer.words([1, 0, max_ledger.0]);
            // No minimum sequence: that the sequence must be the very next one is what makes a run happen once.
            // Then sequence age (64 bits) and ledger gap, both zero, and no extra signers.
            writer.words([0, 0, 0, 0, 0]);
        }
    }
    writer.words([MEMO_NONE, OPERATIONS, HAS_SOURCE]);
    writer.account(call.keeper);
    writer.words([INVOKE_HOST_FUNCTION, INVOKE_CONTRACT]);
    call.write(writer);
    writer.word(u32::from(authorized));
    if authorized {
        call.write_authorization(writer);
    }
}

/// The unsigned envelope that a simulation is asked about.
pub(super) fn simulation_envelope(header: &Header<'_>, call: &Call<'_>) -> Vec<u8> {
    let mut writer = Writer::with_capacity(FIXED_LENGTH);
    writer.word(ENVELOPE_TYPE_TX);
    write_transaction(&mut writer, header, call, false);
    // Neither extension nor signatures.
    writer.words([0, 0]);
    writer.0
}

/// A transaction in front of which its network's id stands, as it is hashed.
#[derive(Debug)]
pub(super) struct Payload(Vec<u8>);

impl Payload {
    pub(super) fn new(
        network: &[u8; 32],
        header: &Header<'_>,
        call: &Call<'_>,
        template: &Template,
    ) -> Self {
        let mut writer = Writer::with_capacity(FIXED_LENGTH + template.len());
        writer.bytes(network);
        // The kind of what is signed and the kind of envelope have the same number, so the payload from here on is
        // also the start of the envelope.
        writer.word(ENVELOPE_TYPE_TX);
        write_transaction(&mut writer, header, call, true);
        writer.word(1);
        template.write(call.task, &mut writer.0);
        Self(writer.0)
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(&self.0)
    }

    /// The envelope, without the network's id.
    pub(super) fn into_envelope(self, signatures: &[Signature]) -> Vec<u8> {
        let mut writer = Writer(self.0);
        writer.word(signatures.len() as u32);
        for signature in signatures {
            writer.bytes(&signature.hint);
            writer.word(64);
            writer.bytes(&signature.bytes);
        }
        writer.0.split_off(32)
    }
}
