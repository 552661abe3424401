//! Envelopes, written front to back.

use super::template::Template;
use crate::hash::sha256;
use crate::keys::Signature;
use crate::types::{AccountKey, Ledger, Sequence};
use crate::xdr::Writer;

const ENVELOPE_TYPE_TX: u32 = 2;
const PRECONDITIONS_NONE: u32 = 0;
const PRECONDITIONS_V2: u32 = 2;
/// Network id, header, two signatures and what counts them.
const FIXED_LENGTH: usize = 320;

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

impl Header<'_> {
    /// Everything up to the memo.
    fn write(&self, writer: &mut Writer) {
        writer.account(self.channel);
        writer.word(self.fee_stroops);
        writer.wide(self.sequence.0.cast_unsigned());
        match self.bounds {
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
    }
}

/// The unsigned envelope that a simulation is asked about.
pub(super) fn simulation_envelope(header: &Header<'_>, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(FIXED_LENGTH + body.len());
    writer.word(ENVELOPE_TYPE_TX);
    header.write(&mut writer);
    writer.bytes(body);
    // No signatures.
    writer.word(0);
    writer.0
}

/// A transaction in front of which its network's id stands, as it is hashed.
#[derive(Debug)]
pub(super) struct Payload(Vec<u8>);

impl Payload {
    pub(super) fn new(
        network: &[u8; 32],
        header: &Header<'_>,
        template: &Template,
        values: &[u64],
    ) -> Self {
        let mut writer = Writer::with_capacity(FIXED_LENGTH + template.len());
        writer.bytes(network);
        // The kind of what is signed and the kind of envelope have the same number, so the payload from here on is
        // also the start of the envelope.
        writer.word(ENVELOPE_TYPE_TX);
        header.write(&mut writer);
        template.write(values, &mut writer.0);
        Self(writer.0)
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(&self.0)
    }

    /// Adds the signatures; the envelope is what follows the network's id.
    pub(super) fn sign(self, signatures: &[Signature]) -> SignedPayload {
        let mut writer = Writer(self.0);
        writer.word(signatures.len() as u32);
        for signature in signatures {
            writer.bytes(&signature.hint);
            writer.word(64);
            writer.bytes(&signature.bytes);
        }
        SignedPayload(writer.0)
    }
}

/// A payload with its signatures.
#[derive(Debug)]
pub(super) struct SignedPayload(Vec<u8>);

impl SignedPayload {
    /// The envelope, without the network's id.
    pub(super) fn envelope(&self) -> &[u8] {
        &self.0[32..]
    }
}
