//! Everything that signs: the keeper, its channels, and the templates they fill.

use thiserror::Error;

use super::envelope::{network_id, simulation_envelope, Header, Payload};
use super::error::TemplateError;
use super::operation::{Operation, TASK};
use super::shared::{Fleet, SharedError};
use super::template::{check_values, unsigned_body, Padding, Simulated, Source, Template};
use super::templates::Templates;
use crate::base64;
use crate::keys::{channel_seed, seed_of_mnemonic, KeyPair, Seal, SecretError};
use crate::strkey::{self, Kind};
use crate::types::{AccountKey, ContractId, Ledger, Sequence, TaskId};

/// Channels one engine may have.
pub const CHANNELS_MOST: u32 = 10_000;
const SIMULATION_FEE_STROOPS: u32 = 100;
const SEAL_PURPOSE: &str = "sorofast template";

/// One run to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildItem {
    /// Whose template to use.
    pub key: u64,
    /// What goes into the template's holes, in the order of their names.
    pub values: Vec<u64>,
    /// Where it stands in the ledger.
    pub place: BuildPlace,
}

/// Who sends a transaction and until when it can be included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildPlace {
    /// Index of the channel that is the source.
    pub channel: u32,
    /// The channel's next sequence number.
    pub sequence: Sequence,
    /// First ledger the transaction cannot be in.
    pub max_ledger: Ledger,
    /// Last second it can be in.
    pub max_time_s: u64,
}

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct SimulationItem<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// What goes into its holes.
    pub values: &'a [u64],
    /// Whose operation it is.
    pub source: Source,
    /// Index of the channel that is the source.
    pub channel: u32,
    /// The envelope's sequence number.
    pub sequence: Sequence,
    /// The footprint, for an operation that is about one.
    pub data: Option<&'a [u8]>,
}

/// What a template is made from.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// What its holes held in the simulation.
    pub values: &'a [u64],
    /// Whose operation it is.
    pub source: Source,
    /// What the simulation said.
    pub simulated: Simulated<'a>,
    /// Name of the hole that holds a task's number, where a run that does not write that task is none.
    pub must_write: Option<&'a str>,
    /// What to declare beyond what the simulation said.
    pub padding: Padding,
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
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// Simulate it first.
    #[error("shape {0} of task {1} has no template; simulate the task first")]
    NoTemplateOfTask(u64, u64),
    /// Simulate it first.
    #[error("there is no template for {0:#018x}; simulate the call first")]
    NoTemplate(u64),
    /// Not what the template was made for.
    #[error("the template of shape {0} calls another contract")]
    OtherContract(u64),
    /// Not as many values as holes, or no template can be made.
    #[error(transparent)]
    Template(#[from] TemplateError),
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
    #[error("the transaction cannot be signed: {0}")]
    Sign(SecretError),
}

/// The keys of one keeper and what its transactions are made from.
#[derive(Debug)]
pub struct Signer {
    network: [u8; 32],
    keeper: KeyPair,
    channels: Vec<KeyPair>,
    templates: Templates,
    seal: Seal,
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
                let root = seed_of_mnemonic(phrase)?;
                for index in 0..channels {
                    let pair = KeyPair::from_seed(&*channel_seed(&root, index)?)?;
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
            seal: Seal::new(&seed, SEAL_PURPOSE),
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

    /// Makes a template from a simulation, in place of the one the key had; returns the template's number.
    pub fn learn(&mut self, key: u64, lesson: &Lesson<'_>) -> Result<u32, TemplateError> {
        let template = self.template_of(lesson)?;
        Ok(self.templates.insert(key, template))
    }

    fn template_of(&self, lesson: &Lesson<'_>) -> Result<Template, TemplateError> {
        let keeper = self.keeper();
        Template::learn(
            lesson.operation,
            lesson.values,
            (lesson.source == Source::Keeper).then_some(&keeper),
            &lesson.simulated,
            lesson.must_write,
            lesson.padding,
        )
    }

    /// Makes a template from a simulation of a registry's task, which must ask for nothing but the keeper's plain
    /// consent.
    pub fn learn_task(
        &mut self,
        shape: u64,
        task: TaskId,
        contract: &ContractId,
        simulated: &Simulated<'_>,
    ) -> Result<u32, TemplateError> {
        let operation = Operation::execute(*contract, &self.keeper());
        if simulated.auth != [operation.consent(&[task.0])] {
            return Err(TemplateError::Authorization(simulated.auth.len()));
        }
        let lesson = Lesson {
            operation: &operation,
            values: &[task.0],
            source: Source::Keeper,
            simulated: *simulated,
            must_write: Some(TASK),
            padding: Padding::default(),
        };
        self.learn(shape, &lesson)
    }

    /// Drops a key's template.
    pub fn forget(&mut self, key: u64) {
        self.templates.forget(key);
    }

    const fn fleet<'a>(&'a self, keeper: &'a AccountKey) -> Fleet<'a> {
        Fleet {
            network: &self.network,
            keeper,
            seal: &self.seal,
        }
    }

    /// A template as bytes, for the other members of the fleet.
    pub fn export_template(&self, template: &Template) -> Result<Vec<u8>, SharedError> {
        template.to_bytes(&self.fleet(&self.keeper()))
    }

    /// Gives a key the template that another member of the fleet made; returns the template's number.
    pub fn import_template(&mut self, key: u64, bytes: &[u8]) -> Result<u32, SharedError> {
        let template = Template::from_bytes(bytes, &self.fleet(&self.keeper()))?;
        Ok(self.templates.insert(key, template))
    }

    /// Base64 of the unsigned envelope that a simulation is asked about.
    pub fn simulation_envelope(&self, item: &SimulationItem<'_>) -> Result<String, BuildError> {
        let (channel, keeper) = (self.channel(item.channel)?.public_key(), self.keeper());
        let header = Header {
            channel: &channel,
            sequence: item.sequence,
            fee_stroops: SIMULATION_FEE_STROOPS,
            bounds: None,
        };
        let source = (item.source == Source::Keeper).then_some(&keeper);
        let body = unsigned_body(item.operation, item.values, source, item.data)?;
        Ok(base64::encode(&simulation_envelope(&header, &body)))
    }

    /// Builds and signs one run.
    pub fn build(&self, item: &BuildItem, inclusion_fee: u32) -> Result<Built, BuildError> {
        let template = self
            .templates
            .get(item.key)
            .ok_or(BuildError::NoTemplate(item.key))?;
        self.build_from(template, &item.values, &item.place, inclusion_fee)
    }

    /// Builds and signs one run of a registry's task.
    pub fn build_task(
        &self,
        contract: &ContractId,
        shape: u64,
        task: TaskId,
        place: &BuildPlace,
        inclusion_fee: u32,
    ) -> Result<Built, BuildError> {
        let template = self
            .templates
            .get(shape)
            .ok_or(BuildError::NoTemplateOfTask(shape, task.0))?;
        if template.contract.as_ref() != Some(contract) {
            return Err(BuildError::OtherContract(shape));
        }
        self.build_from(template, &[task.0], place, inclusion_fee)
    }

    /// Builds and signs an operation of its own, from its simulation or, if it is a payment, from nothing else.
    pub fn build_operation(
        &self,
        lesson: &Lesson<'_>,
        place: &BuildPlace,
        inclusion_fee: u32,
    ) -> Result<Built, BuildError> {
        let template = self.template_of(lesson)?;
        self.build_from(&template, lesson.values, place, inclusion_fee)
    }

    fn build_from(
        &self,
        template: &Template,
        values: &[u64],
        place: &BuildPlace,
        inclusion_fee: u32,
    ) -> Result<Built, BuildError> {
        check_values(template.names(), values)?;
        let source = self.channel(place.channel)?;
        if place.sequence.0 <= 0 {
            return Err(BuildError::Sequence(place.sequence.0));
        }
        let fee = i64::from(inclusion_fee) + template.resource_fee.0;
        let fee_stroops = u32::try_from(fee).map_err(|_| BuildError::Fee(fee))?;
        let channel = source.public_key();
        let header = Header {
            channel: &channel,
            sequence: place.sequence,
            fee_stroops,
            bounds: Some((place.max_time_s, place.max_ledger)),
        };
        let payload = Payload::new(&self.network, &header, template, values);
        let hash = payload.hash();
        let sign = |pair: &KeyPair| pair.sign(&hash).map_err(BuildError::Sign);
        let signed = match template.source() {
            Source::Keeper => payload.sign(&[sign(source)?, sign(&self.keeper)?]),
            Source::Channel => payload.sign(&[sign(source)?]),
        };
        Ok(Built {
            hash,
            envelope: base64::encode(signed.envelope()),
            fee_stroops,
        })
    }
}
