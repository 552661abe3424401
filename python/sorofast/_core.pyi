"""The Rust core of sorofast: bulk reading, the due index, envelopes and signatures.

Everything that comes in batches crosses as packed bytes, all integers little-endian:

* ``ROW`` is one task in 56 bytes, ``struct`` format ``"<QQQqQIIIHH"``: id, interval_s, last_run_s, gas_stroops
  (saturated to 64 bits), shape, live_until, last_modified, snapshot_ledger (three ledger sequences), flags, reason.
* ``flags``: 1 ACTIVE, 2 HAS_RESOLVER, 4 HAS_WHITELIST, 8 KEEPER_ALLOWED (the whitelist is empty or holds our keeper),
  16 BLOCKED_BY (not empty), 32 UNDECODABLE.
* ``shape`` says which footprint a task's ``execute`` has: equal shapes may share a template. Its upper 32 bits are the
  *kind*: target, function, resolver, the number and types of the arguments, and whether there are dependencies and a
  yield strategy. The lower 32 are everything else: the arguments' values, the dependencies, the entry's length. Tasks
  of one kind may share a template where the footprint does not depend on the arguments. Two tasks of equal shape can
  be made in minutes; one then runs with the other's footprint, fails and pays: such a template has to be dropped.
* packed ids are unsigned 64-bit integers, packed keys are 32 raw bytes each.

Addresses cross as their 32 raw bytes. Errors are the classes of :mod:`sorofast.errors`; ``ValueError`` is raised for
an argument that has the wrong length and ``OverflowError`` for one that does not fit its integer.
"""

from collections.abc import Sequence
from typing import Final, Literal, Self, final

__all__ = [
    "CORE_VERSION",
    "ROW_SIZE",
    "EntriesBatch",
    "EventsBatch",
    "Operation",
    "Signer",
    "TaskTable",
    "TemplateFacts",
    "account_from_bytes",
    "account_to_bytes",
    "contract_from_bytes",
    "contract_to_bytes",
    "decode_entries",
    "decode_events",
    "decode_result",
    "entries_request",
    "events_request",
    "network_id",
    "reason_codes",
    "registry_request",
    "shard_ids",
    "shard_of",
]

CORE_VERSION: Final[str]
"""Version of the Rust core, as in its Cargo manifest."""

ROW_SIZE: Final[int]
"""Length of one packed row in bytes (56)."""

def account_to_bytes(address: str, /) -> bytes:
    """32 raw bytes of a ``G…`` address. Raises :class:`~sorofast.errors.StrkeyError`."""

def account_from_bytes(raw: bytes, /) -> str:
    """The ``G…`` address of 32 raw bytes."""

def contract_to_bytes(address: str, /) -> bytes:
    """32 raw bytes of a ``C…`` address. Raises :class:`~sorofast.errors.StrkeyError`."""

def contract_from_bytes(raw: bytes, /) -> str:
    """The ``C…`` address of 32 raw bytes."""

def network_id(passphrase: str, /) -> bytes:
    """SHA-256 of a network passphrase, 32 bytes."""

def shard_of(task_id: int, shards: int) -> int:
    """The shard (``0 <= shard < shards``) that owns a task: ``splitmix64(task_id) % shards``, the same on every host.

    ``splitmix64`` is the finaliser of that generator applied to ``task_id + 0x9e3779b97f4a7c15``. Raises
    ``ValueError`` for ``shards == 0``.
    """

def shard_ids(last_id: int, shard: int, shards: int) -> bytes:
    """Packed ids of the tasks 1 to ``last_id`` that ``shard_of`` puts into a shard, ascending.

    Raises ``ValueError`` for ``shards == 0`` or more than 100 million ids.
    """

def reason_codes() -> list[tuple[int, str, str]]:
    """Every reason a task may carry, in code order: ``(code, name, sentence for the operator)``."""

def entries_request(request_id: int, contract: bytes, task_ids: bytes, accounts: bytes) -> bytes:
    """A getLedgerEntries body for packed task ids and packed account keys, at most 200 keys together, no key twice.

    Raises ``ValueError`` for more keys, a key that appears twice or a length that does not divide.
    """

def registry_request(request_id: int, contract: bytes) -> bytes:
    """A getLedgerEntries body for the registry's ``Counter`` and instance entries."""

def events_request(
    request_id: int,
    contract: bytes,
    *,
    start_ledger: int | None = None,
    cursor: str | None = None,
    limit: int = 10_000,
) -> bytes:
    """A getEvents body for the contract's own events, from a ledger (inclusive) or from a cursor.

    Raises ``ValueError`` unless exactly one of the two is given and ``1 <= limit <= 10000``.
    """

def decode_entries(body: bytes, contract: bytes, keeper: bytes) -> EntriesBatch:
    """Reads a getLedgerEntries answer, picking what the engine needs out of every entry.

    An entry that does not decode is a problem of its own (``problems``) and never stops the others. Raises
    :class:`~sorofast.errors.BodyError` when the body itself is not the JSON expected, and
    :class:`~sorofast.errors.RpcError` when it carries a JSON-RPC error.
    """

@final
class EntriesBatch:
    """What one getLedgerEntries answer held. All entries are those of ``latest_ledger``."""

    @property
    def latest_ledger(self) -> int:
        """The ledger the answer was read from."""
    @property
    def rows(self) -> bytes:
        """Packed ``ROW`` per task, in the order of the answer; ``snapshot_ledger`` is ``latest_ledger``."""
    @property
    def accounts(self) -> list[tuple[bytes, int, int, int, int]]:
        """``(key, balance_stroops, seq_num, seq_ledger, seq_time_s)`` per account; the last two are 0 if not stored."""
    @property
    def counter(self) -> int | None:
        """Value of the registry's ``Counter``: the last task id given out."""
    @property
    def instance(self) -> bool:
        """Whether the contract's instance entry was there."""
    @property
    def problems(self) -> list[tuple[int | None, int, str]]:
        """``(task id if known, byte offset, reason)`` per entry that did not decode.

        The offset counts bytes of the entry's XDR, or characters of its base64 text where the reason says base64.
        A task with a problem also has an UNDECODABLE row.
        """
    @property
    def dependencies(self) -> list[tuple[int, list[int]]]:
        """``(task id, the at most 64 task ids it waits for)`` per row with BLOCKED_BY."""

def decode_events(body: bytes, contract: bytes) -> EventsBatch:
    """Reads a getEvents answer. Raises like :func:`decode_entries`."""

@final
class EventsBatch:
    """What one getEvents answer held."""

    @property
    def latest_ledger(self) -> int:
        """Newest ledger the node knew."""
    @property
    def oldest_ledger(self) -> int:
        """Oldest ledger the node still has events of (0 when the answer does not say)."""
    @property
    def returned(self) -> int:
        """How many events the page held, those of no interest included; a page with as many as asked has a next one."""
    @property
    def cursor(self) -> str | None:
        """Where the next call goes on; present on an empty page too."""
    @property
    def events(self) -> list[tuple[int, str, int, bytes, bytes | None, int | None]]:
        """``(ledger, kind, task id, transaction hash, keeper key, amount_stroops)`` in ledger order.

        The keeper key is that of ``KeeperPaid`` (None for other kinds, or when the event has another shape), the
        amount is the first 128-bit integer of the event's data. Kinds this engine does not know are left out.
        """

    @property
    def problems(self) -> list[tuple[int, str]]:
        """``(ledger, reason)`` per event of a known kind that did not decode; the others are not affected."""

def decode_result(result_xdr: str) -> tuple[int, str, str | None]:
    """``(fee_charged_stroops, "txSUCCESS"…, the first operation's code)`` of a base64 TransactionResult.

    The third is e.g. ``"INVOKE_HOST_FUNCTION_TRAPPED"`` or ``"opBAD_AUTH"``, None when there is no operation result.
    Raises :class:`~sorofast.errors.XdrError`.
    """

@final
class TaskTable:
    """The tasks of one shard and the index of when they are due.

    A row is *indexed* (waits for its second), *held* (popped; somebody works on it) or *parked* (out of the index,
    with a reason). Calls from two threads at once are refused with ``RuntimeError``.
    """

    def __new__(cls, min_gas_stroops: int = 1) -> Self: ...
    def apply(self, rows: bytes, shard: int, shards: int) -> int:
        """Takes packed rows; returns how many were applied.

        Rows of other shards and rows whose snapshot_ledger is older than the stored one are passed over. A runnable
        row is indexed at last_run + interval; one already indexed stays where ``schedule`` put it unless last_run or
        interval changed; a held row stays held unless last_run changed; a row that ``park`` took out stays out until
        interval, last_run, gas, shape or flags changed, or its archival. A row that cannot run is parked with the
        reason that says why. Raises ``ValueError`` unless the length is a multiple of ``ROW_SIZE``.
        """

    def remove(self, task_ids: bytes) -> int:
        """Forgets packed task ids; returns how many were there."""

    def pop_due(self, until_s: int, limit: int) -> bytes:
        """Packed rows with index second <= until_s, soonest first, at most ``limit``; they become held.

        The returned rows carry the reason they waited with; the held rows carry ``in_flight``. Costs O(returned).
        """

    def schedule(self, task_id: int, at_s: int, reason: int) -> bool:
        """Puts a row, held or any other, into the index at that second (never before it is due), with a reason.

        False when the task is unknown or cannot run (then it stays parked with the reason that says why).
        """

    def park(self, task_id: int, reason: int) -> bool:
        """Takes a row out of the index until a changed one arrives; False when the task is unknown."""

    def hold(self, task_id: int) -> bool:
        """Takes a row out of the index as ``pop_due`` would (a takeover found it in flight); False when unknown."""

    def advance(self, items: Sequence[tuple[int, int, int, int]]) -> int:
        """Takes runs that happened: ``(task id, window, last_run_s, ledger)``, the window being the last_run replaced.

        A task whose last_run still is the window gets the new one and is indexed for its next run, wherever it was;
        its snapshot_ledger becomes at least the ledger's. Returns how many tasks moved.
        """

    def set_unblocked(self, task_id: int, on: bool) -> bool:
        """Says whether the tasks that a task with BLOCKED_BY waits for have run; else it is parked as ``blocked``.

        Holds while the rows applied have the same dependencies; not part of a snapshot. False when the task is
        unknown or waits for none.
        """

    def blocked(self) -> bytes:
        """Packed ids of the tasks that carry ``blocked``; looks at no row when there are none."""

    def set_fee(self, kind: int, fee_stroops: int) -> int:
        """Says what the contract takes for a run of a kind of task (upper half of the shape); 0 forgets it.

        A task with less is parked as ``gas_below_fee`` until a row with enough gas arrives or the fee falls. A new fee
        looks at every row. Returns how many tasks moved. Not part of a snapshot; 65,536 kinds are remembered.
        """

    def get(self, task_id: int) -> bytes | None:
        """One packed row with its present reason."""

    def state(self, task_id: int) -> tuple[str, int | None] | None:
        """``("indexed", second)``, ``("held", None)`` or ``("parked", None)``."""

    def next_due(self) -> int | None:
        """The soonest second in the index."""

    def __len__(self) -> int: ...
    def reason_counts(self) -> dict[int, int]:
        """How many rows carry which reason code."""

    def rows(self) -> bytes:
        """All packed rows with their present reasons, in no particular order."""

    def memory_bytes(self) -> int:
        """Bytes the table and its index occupy."""

    def snapshot(self) -> bytes:
        """All rows behind a versioned header with a checksum; holds, schedules and parkings are not part of it."""

    @staticmethod
    def restore(data: bytes, min_gas_stroops: int = 1) -> TaskTable:
        """The table of a snapshot. Raises :class:`~sorofast.errors.SnapshotError`."""

@final
class Operation:
    """What a transaction does: one operation, with named holes for the numbers that differ from run to run.

    It says nothing about who sends it, so one object serves every run.
    """

    @staticmethod
    def invoke(contract: bytes, function: str, args: Sequence[bytes | str]) -> Operation:
        """The call of a contract's function.

        An argument is the XDR of a contract value, or the name of a hole: a u64 that each run fills in. A name (1 to
        32 lower-case letters, digits, underscores) may occur several times. Raises
        :class:`~sorofast.errors.XdrError` for an argument that does not decode or that nests deeper than the
        network's decoders follow (500 levels of XDR, of which a vector takes four), ``ValueError`` for a name, a
        function, more than 64 arguments or more than 64 KiB of them.
        """

    @staticmethod
    def restore() -> Operation:
        """Brings back what is archived of the read-write footprint."""

    @staticmethod
    def extend(ledgers: int) -> Operation:
        """Lets what is in the read-only footprint live for at least so many ledgers."""

    @staticmethod
    def payment(destination: bytes, amount_stroops: int) -> Operation:
        """Pays lumens to an account that exists. Raises ``ValueError`` unless the amount is positive."""

    @property
    def holes(self) -> list[str]:
        """Names of the holes in order of first appearance; a run's values come in this order."""
    @property
    def kind(self) -> Literal["invoke", "restore", "extend", "payment"]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class TemplateFacts:
    """What a template declares, padding included, its holes filled with the values asked about.

    ``read_only`` and ``read_write`` are base64 ``LedgerKey``; ``archived`` says which of ``read_write``, counted from
    0, a run restores from the archive, and a template that restores any is not ``reusable`` for later runs.
    """

    @property
    def holes(self) -> list[str]: ...
    @property
    def source(self) -> Literal["keeper", "channel"]: ...
    @property
    def resource_fee_stroops(self) -> int: ...
    @property
    def instructions(self) -> int: ...
    @property
    def read_bytes(self) -> int: ...
    @property
    def write_bytes(self) -> int: ...
    @property
    def read_only(self) -> list[str]: ...
    @property
    def read_write(self) -> list[str]: ...
    @property
    def archived(self) -> list[int]: ...
    @property
    def reusable(self) -> bool: ...

@final
class Signer:
    """The keeper's and the channels' keys, and the templates their transactions are made from.

    Channel i is the SEP-5 key ``m/44'/148'/i'`` of the mnemonic. Secrets never leave Rust: no attribute, no repr and
    no error shows one. Raises :class:`~sorofast.errors.SecretError` for a secret, a mnemonic (words, checksum) or a
    number of channels that cannot be used.
    """

    def __new__(cls, passphrase: str, keeper_secret: str, mnemonic: str | None, channels: int) -> Self: ...
    @property
    def keeper(self) -> bytes:
        """The keeper's public key, 32 bytes."""
    @property
    def channels(self) -> bytes:
        """The channels' public keys, 32 bytes each, in order of their index."""

    def learn(
        self,
        shape: int,
        task_id: int,
        transaction_data: str,
        auth: list[str],
        min_resource_fee_stroops: int,
        contract: bytes,
    ) -> int:
        """:meth:`learn_call` of ``execute(keeper, task_id)``; the keeper's plain consent is all it may ask for.

        Raises :class:`~sorofast.errors.TemplateError` when Task(id) is not in the read-write footprint or more is
        asked for, :class:`~sorofast.errors.XdrError` when it does not decode.
        """

    def learn_call(
        self,
        key: int,
        operation: Operation,
        values: Sequence[int],
        transaction_data: str,
        auth: Sequence[str],
        min_resource_fee_stroops: int,
        *,
        source: Literal["keeper", "channel"] = "keeper",
        consent: Literal["plain", "simulated"] = "plain",
        must_write: str | None = None,
        write_bytes_pad: int = 0,
        fee_pad_stroops: int = 0,
    ) -> int:
        """Makes a template for a key from the simulation of a run with these values; returns the template's number.

        ``transaction_data`` and ``auth`` are base64 as the simulation gave them. With the plain consent there is at
        most one authorisation entry, for the call itself; with the simulated one they are kept as they are, if the
        signature of the operation's source is all they ask for. Only for a contract the operator trusts: one that is
        called may ask for all the source has, and a task's target is anybody's. Where a value
        stands as a u64 in the called contract's own ledger keys or in what is authorised, it becomes a hole. With
        ``must_write`` the hole of that name holds a task's number, and a run that does not write ``Task`` or
        ``TaskMeta`` of it is refused. ``write_bytes_pad`` and ``fee_pad_stroops`` are declared on top, for entries
        that grow. Equal templates are stored once; the oldest unused ones give way at the bound.

        Raises :class:`~sorofast.errors.TemplateError` when more or somebody else's consent is needed (it says what or
        whose), when the task is not written, when a value stands where another value of the call is the same number,
        or for a fee or padding no transaction can declare; :class:`~sorofast.errors.XdrError` when something does not
        decode; ``ValueError`` when the values do not match the holes.
        """

    def template(self, shape: int) -> int | None:
        """Number of the template of a key."""

    def template_facts(self, key: int, values: Sequence[int] | None = None) -> TemplateFacts | None:
        """What a key's template declares, its holes filled with these values (zeros if there are none given).

        None without a template.
        """

    def template_digest(self, key: int) -> bytes | None:
        """SHA-256 over all that is in a key's template; equal digests make equal transactions."""

    def export_template(self, key: int) -> bytes:
        """A key's template for the other members of the fleet: versioned, bounded, sealed with the keeper's secret.

        Raises :class:`~sorofast.errors.TemplateError` when there is none, or when it restores archived entries.
        """

    def import_template(self, key: int, data: bytes) -> int:
        """Gives a key a template that a member of the fleet exported; returns the template's number.

        What a template says is signed, so only one that was made with the same keeper's secret is taken. Raises
        :class:`~sorofast.errors.TemplateError` for damage, another version, another network or another keeper.
        """

    def forget(self, shape: int) -> None:
        """Drops a key's template, if it has one."""

    def simulation_envelope(self, contract: bytes, task_id: int, channel: int, sequence: int) -> str:
        """Base64 of the unsigned ``execute`` envelope that a simulation is asked about.

        ``sequence`` is that of the envelope. Raises ``IndexError`` for a channel there is not.
        """

    def simulation_envelope_of(
        self,
        operation: Operation,
        values: Sequence[int],
        channel: int,
        sequence: int,
        *,
        source: Literal["keeper", "channel"] = "keeper",
        transaction_data: str | None = None,
    ) -> str:
        """Base64 of the unsigned envelope that a simulation is asked about; ``source`` says whose the operation is.

        ``transaction_data`` is the footprint that a restore or an extend is about. Raises ``IndexError`` for a
        channel there is not and ``ValueError`` when the values do not match the holes.
        """

    def build(
        self, items: Sequence[tuple[int, Sequence[int], int, int, int, int]], inclusion_fee_stroops: int
    ) -> list[tuple[bytes, str, int]]:
        """Builds and signs one transaction per item: ``(hash, envelope base64, fee_stroops)`` in the same order.

        An item is ``(key, values, channel index, sequence, max_ledger, max_time_s)``; the operation is the
        template's. The channel is the source and signs; the keeper signs too where the operation is its own. Ledger
        bounds (0, max_ledger) and time bounds (0, max_time_s). Raises :class:`~sorofast.errors.TemplateError` for a
        key without template or a fee beyond 32 bits, ``IndexError`` for a channel there is not, ``ValueError`` when
        the values do not match the holes.
        """

    def build_operation(
        self,
        operation: Operation,
        values: Sequence[int],
        channel: int,
        sequence: int,
        max_ledger: int,
        max_time_s: int,
        inclusion_fee_stroops: int,
        *,
        transaction_data: str | None = None,
        auth: Sequence[str] | None = None,
        min_resource_fee_stroops: int | None = None,
        source: Literal["keeper", "channel"] = "keeper",
        consent: Literal["plain", "simulated"] = "plain",
        write_bytes_pad: int = 0,
        fee_pad_stroops: int = 0,
    ) -> tuple[bytes, str, int]:
        """Builds and signs one operation without a stored template: ``(hash, envelope base64, fee_stroops)``.

        For a restore or an extend ``transaction_data`` is the simulation's (of a call that found archived entries:
        the ``restorePreamble``'s); a payment has none. Raises like :meth:`learn_call` and :meth:`build`.
        """

    def build_executes(
        self,
        contract: bytes,
        items: list[tuple[int, int, int, int, int, int]],
        inclusion_fee_stroops: int,
    ) -> list[tuple[bytes, str, int]]:
        """Builds and signs one ``execute`` per item: ``(hash, envelope base64, fee_stroops)`` in the same order.

        An item is ``(shape, task id, channel index, sequence, max_ledger, max_time_s)``. Raises like :meth:`build`.
        """
