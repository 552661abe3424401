//! The XDR of an `execute` transaction, written front to back.

use aws_lc_rs::digest::{digest, SHA256};

use super::template::Template;
use crate::keys::Signature;
use crate::types::{AccountKey, ContractId, Ledger, Sequence, TaskId};
use crate::xdr::tag;

const ENVELOPE_TYPE_TX: u32 = 2;
const PRECONDITIONS_NONE: u32 = 0;
const PRECONDITIONS_V2: u32 = 2;
const MEMO_NONE: u32 = 0;
const OPERATIONS: u32 = 1;
const HAS_SOURCE: u32 = 1;
const INVOKE_HOST_FUNCTION: u32 = 24;
const INVOKE_CONTRACT: u32 = 0;
const CREDENTIALS_SOURCE_ACCOUNT: u32 = 0;
const CONTRACT_FUNCTION: u32 = 0;
const FUNCTION: &[u8] = b"execute\0";
const FUNCTION_LENGTH: u32 = 7;
/// Everything but the transaction data: header, operation, authorisation and two signatures.
const FIXED_LENGTH: usize = 640;

/// The SHA-256 of a network's passphrase, with which every signature begins.
#[must_use]
pub fn network_id(passphrase: &str) -> [u8; 32] {
    sha256(passphrase.as_bytes())
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Who calls what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) keeper: &'a AccountKey,
    pub(super) contract: &'a ContractId,
    pub(super) task: TaskId,
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

/// XDR that grows at its end.
struct Writer(Vec<u8>);

impl Writer {
    fn word(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn words<const N: usize>(&mut self, values: [u32; N]) {
        for value in values {
            self.word(value);
        }
    }

    fn wide(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A muxed or a plain account: both kinds are discriminant 0 and the key.
    fn account(&mut self, key: &AccountKey) {
        self.word(0);
        self.bytes(&key.0);
    }

    /// Contract, function and arguments, in the operation and in its authorisation alike.
    fn call(&mut self, call: &Call<'_>) {
        self.word(1);
        self.bytes(&call.contract.0);
        self.word(FUNCTION_LENGTH);
        self.bytes(FUNCTION);
        self.words([2, tag::ADDRESS, 0]);
        self.account(call.keeper);
        self.word(tag::U64);
        self.wide(call.task.0);
    }

    /// The keeper's consent, given by its signature under the transaction: no nonce, no expiry, nothing below the call.
    fn authorization(&mut self, call: &Call<'_>) {
        self.words([CREDENTIALS_SOURCE_ACCOUNT, CONTRACT_FUNCTION]);
        self.call(call);
        self.word(0);
    }

    /// Everything up to the transaction's extension.
    fn transaction(&mut self, header: &Header<'_>, call: &Call<'_>, authorized: bool) {
        self.account(header.channel);
        self.word(header.fee_stroops);
        self.wide(header.sequence.0.cast_unsigned());
        match header.bounds {
            None => self.word(PRECONDITIONS_NONE),
            Some((max_time_s, max_ledger)) => {
                self.words([PRECONDITIONS_V2, 1]);
                self.wide(0);
                self.wide(max_time_s);
                self.words([1, 0, max_ledger.0]);
                // No minimum sequence: that the sequence must be the very next one is what makes a run happen once.
                // Then sequence age (64 bits) and ledger gap, both zero, and no extra signers.
                self.words([0, 0, 0, 0, 0]);
            }
        }
        self.words([MEMO_NONE, OPERATIONS, HAS_SOURCE]);
        self.account(call.keeper);
        self.words([INVOKE_HOST_FUNCTION, INVOKE_CONTRACT]);
        self.call(call);
        self.word(u32::from(authorized));
        if authorized {
            self.authorization(call);
        }
    }
}

/// The authorisation entry a simulation must come back with.
pub(super) fn authorization(call: &Call<'_>) -> Vec<u8> {
    let mut writer = Writer(Vec::with_capacity(160));
    writer.authorization(call);
    writer.0
}

/// The unsigned envelope that a simulation is asked about.
pub(super) fn simulation_envelope(header: &Header<'_>, call: &Call<'_>) -> Vec<u8> {
    let mut writer = Writer(Vec::with_capacity(FIXED_LENGTH));
    writer.word(ENVELOPE_TYPE_TX);
    writer.transaction(header, call, false);
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
        let mut writer = Writer(Vec::with_capacity(FIXED_LENGTH + template.len()));
        writer.bytes(network);
        // The kind of what is signed and the kind of envelope have the same number, so the payload from here on is
        // also the start of the envelope.
        writer.word(ENVELOPE_TYPE_TX);
        writer.transaction(header, call, true);
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
