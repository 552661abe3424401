//! Everything that signs: the keeper, its channels, and the templates they fill.

use thiserror::Error;

use super::call::Call;
use super::envelope::{network_id, simulation_envelope, Header, Payload};
use super::template::{Template, TemplateError, Templates};
use crate::base64;
use crate::keys::{channel_seed, seed_of_mnemonic, KeyPair, SecretError};
use crate::strkey::{self, Kind};
use crate::types::{AccountKey, ContractId, Ledger, Sequence, Stroops, TaskId};

/// Channels one engine may have.
pub const CHANNELS_MOST: u32 = 10_000;
const SIMULATION_FEE_STROOPS: u32 = 100;

/// One run to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecuteItem {
    /// Whose template to use.
    pub shape: u64,
    /// The task to run.
    pub task: TaskId,
    /// Index of the channel that is the source.
    pub channel: u32,
    /// The channel's next sequence number.
    pub sequence: Sequence,
    /// First ledger the transaction cannot be in.
    pub max_ledger: Ledger,
    /// Last second it can be in.
    pub max_time_s: u64,
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its hash.
    pub hash: [u8; 32],
    /// Its envelope in base64.
    pub envelope: String,
    /// The most it may cost.
    pub fee_stroops: u32,
}

/// A run that cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BuildError {
    /// Simulate it first.
    #[error("shape {0} of task {1} has no template; simulate the task first")]
    NoTemplate(u64, u64),
    /// Not one of ours.
    #[error("channel {0} of {1} does not exist")]
    NoChannel(u32, usize),
    /// A transaction's fee has 32 bits.
    #[error("a fee of {0} stroops does not fit a transaction")]
    Fee(i64),
    /// Sequence numbers are positive.
    #[error("{0} is no sequence number of a transaction")]
    Sequence(i64),
    /// The cryptography library refused.
    #[error("task {0} cannot be signed: {1}")]
    Sign(u64, SecretError),
}

/// The keys of one keeper and what its transactions are made from.
#[derive(Debug)]
pub struct Signer {
    network: [u8; 32],
    keeper: KeyPair,
    channels: Vec<KeyPair>,
    templates: Templates,
}

impl Signer {
    /// Decodes the keeper's `S…` secret and derives the channels.
    pub fn new(
        passphrase: &str,
        secret: &str,
        mnemonic: Option<&str>,
        channels: u32,
    ) -> Result<Self, SecretError> {
        let seed = strkey::decode(Kind::Seed, secret)?;
        let keeper = KeyPair::from_seed(&seed)?;
        if channels > CHANNELS_MOST {
            return Err(SecretError::TooManyChannels(channels, CHANNELS_MOST));
        }
        let mut pairs = Vec::with_capacity(channels as usize);
        match mnemonic {
            None if channels > 0 => return Err(SecretError::NoMnemonic(channels)),
            None => {}
            Some(phrase) => {
                let seed = seed_of_mnemonic(phrase)?;
                for index in 0..channels {
                    let seed = channel_seed(&seed, index)?;
                    let pair = KeyPair::from_seed(&seed)?;
                    if pair.public_key() == keeper.public_key() {
                        return Err(SecretError::KeeperIsChannel(index));
                    }
                    pairs.push(pair);
                }
            }
        }
        Ok(Self {
            network: network_id(passphrase),
            keeper,
            channels: pairs,
            templates: Templates::default(),
        })
    }

    /// The keeper's public key.
    #[must_use]
    pub const fn keeper(&self) -> AccountKey {
        self.keeper.public_key()
    }

    /// The channels' public keys by index.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = AccountKey> + '_ {
        self.channels.iter().map(KeyPair::public_key)
    }

    /// The templates known so far.
    #[must_use]
    pub const fn templates(&self) -> &Templates {
        &self.templates
    }

    fn channel(&self, index: u32) -> Result<&KeyPair, BuildError> {
        self.channels
            .get(index as usize)
            .ok_or(BuildError::NoChannel(index, self.channels.len()))
    }

    /// Makes a template from a simulation of `task`.
    pub fn learn(
        &mut self,
        shape: u64,
        task: TaskId,
        contract: &ContractId,
        data: &[u8],
        auth: &[Vec<u8>],
        min_resource_fee: Stroops,
    ) -> Result<u32, TemplateError> {
        let keeper = self.keeper();
        let call = Call {
            keeper: &keeper,
            contract,
            task,
        };
        let template = Template::learn(&call, data, auth, min_resource_fee)?;
        Ok(self.templates.insert(shape, template))
    }

    /// Drops a shape's template.
    pub fn forget(&mut self, shape: u64) {
        self.templates.forget(shape);
    }

    /// Base64 of the unsigned envelope that a simulation is asked about.
    pub fn simulation_envelope(
        &self,
        contract: &ContractId,
        task: TaskId,
        channel: u32,
        sequence: Sequence,
    ) -> Result<String, BuildError> {
        let (channel, keeper) = (self.channel(channel)?.public_key(), self.keeper());
        let header = Header {
            channel: &channel,
            sequence,
            fee_stroops: SIMULATION_FEE_STROOPS,
            bounds: None,
        };
        let call = Call {
            keeper: &keeper,
            contract,
            task,
        };
        Ok(base64::encode(&simulation_envelope(&header, &call)))
    }

    /// Builds and signs one run.
    pub fn build(
        &self,
        contract: &ContractId,
        item: &ExecuteItem,
        inclusion_fee: u32,
    ) -> Result<Built, BuildError> {
        let template = self
            .templates
            .get(item.shape)
            .ok_or(BuildError::NoTemplate(item.shape, item.task.0))?;
        let source = self.channel(item.channel)?;
        if item.sequence.0 <= 0 {
            return Err(BuildError::Sequence(item.sequence.0));
        }
        let fee = i64::from(inclusion_fee) + template.resource_fee.0;
        let fee_stroops = u32::try_from(fee).map_err(|_| BuildError::Fee(fee))?;
        let (channel, keeper) = (source.public_key(), self.keeper());
        let header = Header {
            channel: &channel,
            sequence: item.sequence,
            fee_stroops,
            bounds: Some((item.max_time_s, item.max_ledger)),
        };
        let call = Call {
            keeper: &keeper,
            contract,
            task: item.task,
        };
        let payload = Payload::new(&self.network, &header, &call, template);
        let hash = payload.hash();
        let sign = |pair: &KeyPair| {
            pair.sign(&hash)
                .map_err(|error| BuildError::Sign(item.task.0, error))
        };
        let signatures = [sign(source)?, sign(&self.keeper)?];
        let envelope = base64::encode(&payload.into_envelope(&signatures));
        Ok(Built {
            hash,
            envelope,
            fee_stroops,
        })
    }
}
