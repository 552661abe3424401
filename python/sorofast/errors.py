"""Every exception sorofast raises on purpose, in one tree.

    SorofastError                   exit code 1; the base of everything below
    ├── UsageError                  2: the command line asked for something that makes no sense
    ├── ConfigError                 3: a setting, a secret or an address cannot be right
    │   ├── SecretError             a seed or phrase that does not decode, a file others can read
    │   ├── StrkeyError             a G…, C… or S… address that does not decode
    │   ├── WrongContract           the contract id names no registry on this network
    │   ├── WrongPassphrase         the passphrase is not that of the network behind the RPC
    │   ├── FleetMismatch           Redis holds a fleet with another schema, shard count, contract or seed
    │   └── RedisUnfit              the Redis server's version, eviction policy or persistence is unsafe
    ├── UnreachableError            4: somebody who must answer does not
    │   ├── RpcUnreachable
    │   │   └── RpcOutOfStep        it answers for older ledgers than the fleet has seen, or for another chain
    │   └── RedisUnreachable
    │       └── RedisUnreadable     1: a key in Redis holds what no version of sorofast wrote
    ├── DecodeError                 1: bytes from outside that are not what they claim to be
    │   ├── XdrError                carries the byte offset and the reason
    │   ├── BodyError               a JSON-RPC body
    │   ├── SnapshotError           a stored task table of another version or length
    │   └── TemplateError           a simulation no execute envelope can be built from
    ├── RpcError                    1: the RPC answered with a JSON-RPC error
    ├── EventsLost                  1: events between a cursor and now can no longer be read
    ├── LeaseLost                   1: somebody else owns the shard or the follower's role now
    ├── ShardRegressed              1: Redis knows less about a shard than its owner has written
    └── WorkerCrashLoop             1: a worker keeps dying

The Rust extension imports its classes from here, so Python and Rust raise the same objects. Errors are
converted where layers meet: aiohttp's and redis-py's own exceptions do not leave `chain` and `coordination`.
A message is one sentence for the operator: what is wrong, where it came from, what to do. It never holds a
secret.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BodyError",
    "ConfigError",
    "DecodeError",
    "EventsLost",
    "FleetMismatch",
    "LeaseLost",
    "RedisUnfit",
    "RedisUnreachable",
    "RedisUnreadable",
    "RpcError",
    "RpcOutOfStep",
    "RpcUnreachable",
    "SecretError",
    "ShardRegressed",
    "SnapshotError",
    "SorofastError",
    "StrkeyError",
    "TemplateError",
    "UnreachableError",
    "UsageError",
    "WorkerCrashLoop",
    "WrongContract",
    "WrongPassphrase",
    "XdrError",
]


LAG_LEDGERS_MAX = 16
"""A server that is further behind than this may be of another network as well."""


class SorofastError(Exception):
    """Base class. `exit_code` is what a command ends with when this reaches its top."""

    exit_code: ClassVar[int] = 1


class UsageError(SorofastError):
    """The command line makes no sense as given."""

    exit_code: ClassVar[int] = 2


class ConfigError(SorofastError):
    """A setting cannot be right; nothing was started."""

    exit_code: ClassVar[int] = 3


class SecretError(ConfigError):
    """A secret is missing, malformed or not kept as one. The secret itself is never in the message."""


class StrkeyError(ConfigError):
    """An address does not decode: wrong kind, length, alphabet or checksum."""


class WrongContract(ConfigError):
    """The contract id names nothing on this network, or no task registry."""


class WrongPassphrase(ConfigError):
    """The configured passphrase is not that of the network behind the RPC."""


class FleetMismatch(ConfigError):
    """The fleet in Redis was made with other settings than ours."""


class RedisUnfit(ConfigError):
    """The Redis server would lose or evict what the engine must keep; the message names the fix."""


class UnreachableError(SorofastError):
    """A server that must answer did not, within bounded retries."""

    exit_code: ClassVar[int] = 4


class RpcUnreachable(UnreachableError):
    """No RPC endpoint answered: `status` is that of an HTTP answer that is none of an RPC's, None without any. The
    request had been made `took_s` before.
    """

    def __init__(
        self, message: str, *, status: int | None = None, timed_out: bool = False, took_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.status = status
        self.timed_out = timed_out
        self.took_s = took_s


class RpcOutOfStep(RpcUnreachable):
    """The RPC answers for ledgers before those the fleet has seen, or for another chain."""

    @classmethod
    def behind(cls, name: str, seen: int, wanted: int, what_to_do: str = "") -> RpcOutOfStep:
        """The RPC `name` answers for ledger `seen`, and ledger `wanted` has been seen."""
        if wanted - seen <= LAG_LEDGERS_MAX:
            text = f"{name} lags: it answers for ledger {seen}, and ledger {wanted} has been seen"
        else:
            text = f"{name} went back from ledger {wanted} to {seen}: it lags, or is of another or a reset network"
        return cls(f"{text}; {what_to_do}" if what_to_do else text, timed_out=True)


class RedisUnreachable(UnreachableError):
    """Redis did not answer, or the embedded server did not start."""


class RedisUnreadable(RedisUnreachable):
    """Redis answers, but a key holds what no version of sorofast wrote: what was asked cannot be had until somebody
    has put it right. The message says which key, and what to do.
    """

    exit_code: ClassVar[int] = 1


class DecodeError(SorofastError):
    """Bytes from outside are not what they claim to be."""


class XdrError(DecodeError):
    """Malformed XDR: `reason`, at byte `offset` of the value."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(offset, reason)
        self.offset = offset
        self.reason = reason

    def __str__(self) -> str:
        return f"malformed XDR at byte {self.offset}: {self.reason}"


class BodyError(DecodeError):
    """A JSON-RPC response body that is not JSON, is cut short, or lacks a field."""


class SnapshotError(DecodeError):
    """A stored task table of another version, or of a length that cannot be."""


class TemplateError(DecodeError):
    """A simulation result from which no execute envelope can be built."""


class RpcError(SorofastError):
    """The RPC answered `method` with the JSON-RPC error `code`."""

    def __init__(self, code: int, message: str, method: str) -> None:
        super().__init__(code, message, method)
        self.code = code
        self.message = message
        self.method = method

    def __str__(self) -> str:
        return f"{self.method} was answered with error {self.code}: {self.message}"


class EventsLost(SorofastError):
    """The events after a cursor are below the RPC's retention, or too many: the registry must be read again."""


class LeaseLost(SorofastError):
    """Another owner holds the lease now, or ours ran out; what we know of its state may be stale."""


class ShardRegressed(SorofastError):
    """Redis holds an older version of a shard than its owner was last told: it was rolled back, flushed or
    failed over."""


class WorkerCrashLoop(SorofastError):
    """A worker died more often than the supervisor may replace it."""
