//! getEvents answers: which tasks changed, and who was paid for running them.

use super::answer::read_answer;
use super::error::BodyError;
use super::scan::Scanner;
use super::text::Text;
use crate::base64;
use crate::registry::layout::event;
use crate::strkey;
use crate::types::{ContractId, Ledger, TaskId};
use crate::xdr::{find_payment, read_symbol, tag, Payment, Reader, XdrError};

/// What happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new task.
    TaskRegistered,
    /// Its creator paused it.
    TaskPaused,
    /// Its creator resumed it.
    TaskResumed,
    /// Its creator changed it.
    TaskUpdated,
    /// Its creator deleted it.
    TaskCancelled,
    /// Somebody paid into it.
    GasDeposited,
    /// Its creator took money out.
    GasWithdrawn,
    /// It ran, and a keeper was paid.
    KeeperPaid,
    /// It waits for another task now.
    DependencyAdded,
    /// It waits for one task less.
    DependencyRemoved,
}

impl Kind {
    /// The name in the event's first topic.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TaskRegistered => event::TASK_REGISTERED,
            Self::TaskPaused => event::TASK_PAUSED,
            Self::TaskResumed => event::TASK_RESUMED,
            Self::TaskUpdated => event::TASK_UPDATED,
            Self::TaskCancelled => event::TASK_CANCELLED,
            Self::GasDeposited => event::GAS_DEPOSITED,
            Self::GasWithdrawn => event::GAS_WITHDRAWN,
            Self::KeeperPaid => event::KEEPER_PAID,
            Self::DependencyAdded => event::DEPENDENCY_ADDED,
            Self::DependencyRemoved => event::DEPENDENCY_REMOVED,
        }
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        Some(match std::str::from_utf8(name).ok()? {
            event::TASK_REGISTERED => Self::TaskRegistered,
            event::TASK_PAUSED => Self::TaskPaused,
            event::TASK_RESUMED => Self::TaskResumed,
            event::TASK_UPDATED => Self::TaskUpdated,
            event::TASK_CANCELLED => Self::TaskCancelled,
            event::GAS_DEPOSITED => Self::GasDeposited,
            event::GAS_WITHDRAWN => Self::GasWithdrawn,
            event::KEEPER_PAID => Self::KeeperPaid,
            event::DEPENDENCY_ADDED => Self::DependencyAdded,
            event::DEPENDENCY_REMOVED => Self::DependencyRemoved,
            _ => return None,
        })
    }
}

/// One event of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The ledger it is of.
    pub ledger: Ledger,
    /// What happened.
    pub kind: Kind,
    /// To which task.
    pub task: TaskId,
    /// The transaction that did it: of a fee bump, the outer one.
    pub transaction: [u8; 32],
    /// The keeper that was paid, for [`Kind::KeeperPaid`].
    pub keeper: Option<[u8; 32]>,
    /// The first amount in its data.
    pub amount: Option<i128>,
}

/// An event of a known kind that did not decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventProblem {
    /// The ledger it is of.
    pub ledger: Ledger,
    /// What is wrong.
    pub reason: String,
}

/// What an answer held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsBatch {
    /// Newest ledger the node knew.
    pub latest_ledger: Ledger,
    /// Oldest ledger the node still has; 0 when it does not say.
    pub oldest_ledger: Ledger,
    /// Where the next call goes on.
    pub cursor: Option<String>,
    /// How many events the page held, those of no interest included: a full page has a next one.
    pub returned: usize,
    /// Events of known kinds.
    pub events: Vec<Event>,
    /// Events of known kinds that did not decode.
    pub problems: Vec<EventProblem>,
}

const TOPICS_MOST: usize = 4;

#[derive(Default)]
struct Item<'a> {
    ledger: u32,
    contract: Option<Text<'a>>,
    transaction: Option<Text<'a>>,
    value: Option<Text<'a>>,
    topics: [Option<Text<'a>>; TOPICS_MOST],
    topic_count: usize,
    failed: bool,
}

/// Reads a getEvents answer, keeping the events of one contract.
pub fn read_events(body: &[u8], contract: &ContractId) -> Result<EventsBatch, BodyError> {
    let address = strkey::encode(strkey::Kind::Contract, &contract.0);
    let mut batch = EventsBatch::default();
    let mut latest = None;
    let mut buffer = Vec::new();
    read_answer(body, |scanner, key| {
        match key {
            b"events" => {
                if scanner.null()? {
                    return Ok(());
                }
                scanner.array(|scanner| {
                    read_event(scanner, address.as_bytes(), &mut buffer, &mut batch)
                })?;
            }
            b"latestLedger" => latest = Some(Ledger(scanner.u32()?)),
            b"oldestLedger" => batch.oldest_ledger = Ledger(scanner.u32()?),
            b"cursor" => {
                if !scanner.null()? {
                    batch.cursor =
                        Some(scanner.text()?.to_text()).filter(|cursor| !cursor.is_empty());
                }
            }
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    batch.latest_ledger =
        latest.ok_or_else(|| BodyError::at(0, "the result has no latestLedger"))?;
    Ok(batch)
}

fn read_event(
    scanner: &mut Scanner<'_>,
    address: &[u8],
    buffer: &mut Vec<u8>,
    batch: &mut EventsBatch,
) -> Result<(), BodyError> {
    batch.returned += 1;
    let start = scanner.position();
    let mut item = Item::default();
    scanner.object(|scanner, key| {
        match key {
            b"ledger" => item.ledger = scanner.u32()?,
            b"contractId" => item.contract = Some(scanner.text()?),
            b"txHash" => item.transaction = Some(scanner.text()?),
            b"value" => item.value = Some(scanner.text()?),
            b"inSuccessfulContractCall" => item.failed = !scanner.boolean()?,
            b"topic" => read_topics(scanner, &mut item)?,
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    if item.failed
        || item
            .contract
            .is_some_and(|contract| *contract.bytes() != *address)
    {
        return Ok(());
    }
    let Some(kind) = read_kind(&item, buffer) else {
        return Ok(());
    };
    let Some(transaction) = item.transaction.and_then(|text| read_hash(&text.bytes())) else {
        return Err(BodyError::at(
            start,
            "an event without a txHash of 64 hexadecimal digits",
        ));
    };
    let ledger = Ledger(item.ledger);
    let mut complain = |reason: String| {
        batch.problems.push(EventProblem {
            ledger,
            reason: format!("{}: {reason}", kind.name()),
        });
    };
    let task = match read_task_id(&item, buffer) {
        Ok(task) => task,
        Err(reason) => {
            complain(reason);
            return Ok(());
        }
    };
    // That the event is there counts; what its data says is only a bonus.
    let payment = match item
        .value
        .map(|value| decoded(&value, buffer, find_payment))
    {
        None => Payment::default(),
        Some(Ok(payment)) => payment,
        Some(Err(reason)) => {
            complain(reason);
            Payment::default()
        }
    };
    let keeper = payment.payee.filter(|_| kind == Kind::KeeperPaid);
    batch.events.push(Event {
        ledger,
        kind,
        task,
        transaction,
        keeper,
        amount: payment.amount,
    });
    Ok(())
}

fn read_topics<'a>(scanner: &mut Scanner<'a>, item: &mut Item<'a>) -> Result<(), BodyError> {
    item.topic_count = 0;
    let (topics, count) = (&mut item.topics, &mut item.topic_count);
    scanner.array(|scanner| {
        let text = scanner.text()?;
        if let Some(place) = topics.get_mut(*count) {
            *place = Some(text);
        }
        *count += 1;
        Ok(())
    })
}

fn decoded<T>(
    text: &Text<'_>,
    buffer: &mut Vec<u8>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, XdrError>,
) -> Result<T, String> {
    base64::decode_into(&text.bytes(), buffer).map_err(|error| error.to_string())?;
    let reader = &mut Reader::new(buffer);
    read(reader)
        .and_then(|value| reader.finish().map(|()| value))
        .map_err(|error| error.to_string())
}

fn read_kind(item: &Item<'_>, buffer: &mut Vec<u8>) -> Option<Kind> {
    let name = |reader: &mut Reader<'_>| {
        reader.expect(tag::SYMBOL, "kind of the first topic")?;
        read_symbol(reader).map(Kind::from_name)
    };
    decoded(item.topics[0].as_ref()?, buffer, name).ok()?
}

/// The id is the second topic, or the third behind the symbol `v1`.
fn read_task_id(item: &Item<'_>, buffer: &mut Vec<u8>) -> Result<TaskId, String> {
    let topics = item
        .topics
        .get(1..item.topic_count.min(TOPICS_MOST))
        .unwrap_or_default();
    for topic in topics.iter().flatten() {
        let id = decoded(topic, buffer, |reader| match reader.u32()? {
            tag::U64 => reader.u64().map(|id| Some(TaskId(id))),
            tag::U32 => reader.u32().map(|id| Some(TaskId(id.into()))),
            tag::SYMBOL => read_symbol(reader).map(|_| None),
            other => Err(XdrError::new(
                0,
                format!("a topic of kind {other}, expected the task's id"),
            )),
        })?;
        if let Some(id) = id {
            return Ok(id);
        }
    }
    Err("no topic holds the task's id".into())
}

fn read_hash(digits: &[u8]) -> Option<[u8; 32]> {
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, &[high, low]) in hash.iter_mut().zip(digits.as_chunks::<2>().0) {
        let value = char::from(high).to_digit(16)? << 4 | char::from(low).to_digit(16)?;
        *byte = value as u8;
    }
    Some(hash)
}
