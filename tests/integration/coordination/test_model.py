"""Random histories of two owners of one shard, against a model of what Redis must hold; it may also go back in time."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Coroutine
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from helpers.coordination import BIG, envelope
from sorofast.coordination.client import open_redis
from sorofast.coordination.keys import ShardKeys
from sorofast.coordination.leases import Term
from sorofast.coordination.shard import CommitReply, Refusal, ShardStore
from sorofast.errors import LeaseLost, ShardRegressed
from sorofast.executions.records import RetryRecord, Settle, WalRecord, envelope_name
from sorofast.settings import RedisConfig

T = TypeVar("T")
OWNERS = ("a", "b")
CHANNELS = range(4)
TASKS = range(6)
owners = st.sampled_from(OWNERS)


@dataclass
class Model:
    """What the shard's keys must hold."""

    owner: str = ""
    epoch: int = 0
    version: int = 0
    expired: bool = False
    confirmed: dict[int, int] = field(default_factory=dict)
    carried: dict[int, WalRecord] = field(default_factory=dict)
    retry: dict[str, RetryRecord] = field(default_factory=dict)
    dead: dict[str, RetryRecord] = field(default_factory=dict)
    settled: list[tuple[str, int, str]] = field(default_factory=list)
    snapshot: bytes | None = None

    def commit(self, settles: list[Settle], claims: list[WalRecord], drop: list[str]) -> dict[str, str]:
        for settle in settles:
            record, execution = settle.record, settle.record.execution
            if self.carried.get(record.channel) != record:
                continue
            del self.carried[record.channel]
            self.confirmed[record.channel] = settle.confirmed
            self.settled.append((execution, record.attempt, settle.outcome))
            self.retry.pop(execution, None)
            self.dead.pop(execution, None)
            if settle.retry is not None:
                (self.dead if settle.dead else self.retry)[execution] = settle.retry
        for execution in drop:
            self.retry.pop(execution, None)
        refused = {}
        for claim in claims:
            if self.carried.get(claim.channel) == claim:
                continue
            if claim.execution in {record.execution for record in self.carried.values()}:
                refused[claim.execution] = Refusal.IN_FLIGHT
            elif claim.channel in self.carried:
                refused[claim.execution] = Refusal.CHANNEL_BUSY
            elif claim.channel not in self.confirmed:
                refused[claim.execution] = Refusal.UNCONFIRMED
            elif self.confirmed[claim.channel] + 1 != claim.sequence:
                refused[claim.execution] = Refusal.SEQUENCE
            else:
                self.carried[claim.channel] = claim
        return refused


class ShardMachine(RuleBasedStateMachine):
    """Each owner is a process of its own: a store, the latest term it was granted, the latest version it was told."""

    url = ""

    @initialize()
    def connect(self) -> None:
        self.runner = asyncio.Runner()
        self.prefix = f"model-{token_hex(6)}"
        self.redis = self.run(open_redis(RedisConfig(url=self.url)))
        self.stores = {owner: ShardStore(self.redis, self.prefix, 2) for owner in OWNERS}
        self.terms: dict[str, Term] = {}
        self.told: dict[str, int] = {}
        self.model = Model()
        self.backup: tuple[Model, dict[str, bytes | None]] | None = None
        self.last: tuple[Term, int, list[Settle], list[WalRecord], list[str], CommitReply] | None = None
        self.serial = 0
        self.acquire_as("a")
        self.told["a"] = self.run(
            self.stores["a"].set_confirmed(self.terms["a"], 0, dict.fromkeys(CHANNELS[:3], BIG))
        )
        self.model.version += 1
        self.model.confirmed = dict.fromkeys(CHANNELS[:3], BIG)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        if hasattr(self, "redis"):
            self.run(self.redis.aclose())
            self.runner.close()

    def fence(self, owner: str) -> type[Exception] | None:
        """What a write of this owner's latest term must end with."""
        term, model = self.terms[owner], self.model
        if model.epoch > term.epoch:
            return LeaseLost
        if model.epoch < term.epoch:
            return ShardRegressed
        if model.owner != owner:
            return LeaseLost
        return ShardRegressed if model.version < self.told[owner] else None

    def write(self, owner: str, work: Coroutine[Any, Any, T]) -> T | None:
        """Runs it; None when the model says that the fence must refuse it, and it did."""
        expected = self.fence(owner)
        if expected is None:
            return self.run(work)
        with pytest.raises(expected):
            self.run(work)
        return None

    def somebody(self, data: st.DataObject) -> str:
        """Mostly the one who holds the shard, else histories consist of refusals."""
        holder = [self.model.owner] * 4 if self.model.owner in self.terms else []
        return data.draw(st.sampled_from([*holder, *sorted(self.terms)]))

    @rule(owner=owners)
    def acquire(self, owner: str) -> None:
        self.acquire_as(owner)

    def acquire_as(self, owner: str) -> None:
        model = self.model
        term = self.run(self.stores[owner].acquire(1, owner))
        if model.owner not in {"", owner} and not model.expired:
            assert term is None
            return
        assert term is not None
        model.owner, model.epoch, model.version, model.expired = (
            owner,
            model.epoch + 1,
            model.version + 1,
            False,
        )
        assert term.epoch == model.epoch
        self.terms[owner] = term
        self.told[owner] = model.version

    @rule()
    def time_passes(self) -> None:
        if self.model.owner:
            self.run(self.redis.hset(ShardKeys.of(self.prefix, 1).lease, "expires_ms", "1"))
            self.model.expired = True

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        owner = self.somebody(data)
        term, model = self.terms[owner], self.model
        held = (model.owner, model.epoch) == (owner, term.epoch)
        assert bool(self.run(self.stores[owner].renew([term]))) == held
        if held:
            model.expired = False

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        self.commit_something(data)

    @rule(data=st.data())
    def commit_more(self, data: st.DataObject) -> None:
        """Twice in the list of rules, to be chosen twice as often."""
        self.commit_something(data)

    def commit_something(self, data: st.DataObject) -> None:
        owner = self.somebody(data)
        claims = {}
        for task, channel, ahead in data.draw(
            st.lists(
                st.tuples(
                    st.sampled_from(TASKS), st.sampled_from(CHANNELS), st.sampled_from([1, 1, 1, 0, 2])
                ),
                max_size=3,
            )
        ):
            self.serial += 1
            sequence = self.model.confirmed.get(channel, BIG) + ahead
            claim = envelope(
                task, channel=channel, sequence=sequence, attempt=self.serial, hash=self.serial.to_bytes(32)
            )
            claims.setdefault(claim.execution, claim)
        settles = []
        for record in data.draw(st.permutations(sorted(self.model.carried.values(), key=envelope_name))):
            fate = data.draw(st.sampled_from(["leave", "executed", "expired", "failed", "dead", "not ours"]))
            after = RetryRecord(id=record.id, window=record.window, attempts=1, not_before_s=9, reason=fate)
            if fate == "not ours":
                record = msgspec.structs.replace(record, hash=b"\xee" * 32)
            if fate != "leave":
                settles.append(
                    Settle(
                        record=record,
                        outcome=fate,
                        confirmed=record.sequence - (fate == "expired"),
                        retry=after if fate in {"failed", "dead"} else None,
                        dead=fate == "dead",
                    )
                )
        drop = data.draw(st.lists(st.sampled_from(sorted(self.model.retry) or ["1:1"]), max_size=1))
        known = data.draw(st.sampled_from([0, self.told[owner]]))
        term = self.terms[owner]
        call = (settles, list(claims.values()), drop)
        reply = self.write(owner, self.stores[owner].commit(term, known, *call))
        if reply is None:
            return
        self.model.version += 1
        self.model.expired = False
        assert reply.version == self.model.version
        assert reply.refused == self.model.commit(*call)
        assert reply.accepted == claims.keys() - reply.refused.keys()
        self.told[owner] = reply.version
        self.last = (term, known, *call, reply)

    @precondition(lambda self: self.last is not None)
    @rule()
    def the_last_commit_is_asked_again(self) -> None:
        assert self.last is not None
        term, known, settles, claims, drop, before = self.last
        if self.terms[term.owner] != term or self.told[term.owner] != before.version:
            return  # only the latest call can be the one whose reply was lost
        carried = copy.deepcopy(self.model.carried)
        reply = self.write(term.owner, self.stores[term.owner].commit(term, known, settles, claims, drop))
        if reply is None:
            return
        # The same acceptance; a refusal may find another reason, as what was accepted is on the channels now.
        assert (reply.accepted, reply.refused.keys()) == (before.accepted, before.refused.keys())
        assert self.model.commit(settles, claims, drop) == reply.refused
        assert self.model.carried == carried
        self.model.version += 1
        self.model.expired = False
        assert reply.version == self.model.version
        self.told[term.owner] = reply.version
        self.last = None

    @rule(data=st.data(), sequence=st.integers(BIG, 2**63 - 3))
    def confirm(self, data: st.DataObject, sequence: int) -> None:
        owner = self.somebody(data)
        chosen = data.draw(st.sets(st.sampled_from(CHANNELS)))
        pairs = {channel: sequence + channel % 2 for channel in chosen}
        version = self.write(owner, self.stores[owner].set_confirmed(self.terms[owner], 0, pairs))
        if version is not None:
            self.model.version += 1
            for channel, value in pairs.items():
                if channel not in self.model.carried:
                    self.model.confirmed[channel] = value
            assert version == self.model.version
            self.told[owner] = version

    @rule(data=st.data(), table=st.binary(max_size=20), ends=st.booleans())
    def snapshot(self, data: st.DataObject, table: bytes, ends: bool) -> None:
        owner = self.somebody(data)
        term, store = self.terms[owner], self.stores[owner]
        if self.write(owner, store._store_snapshot(term, table, "7-0", 0, ends_term=ends)) is not None:
            self.model.version += 1
            self.told[owner] = self.model.version
            self.model.snapshot = table
            if ends:
                self.model.owner = ""

    @rule()
    def keep_a_backup(self) -> None:
        dumps = {name: self.run(self.redis.dump(name)) for name in self.names()}
        self.backup = (copy.deepcopy(self.model), dumps)

    @precondition(lambda self: self.backup is not None)
    @rule()
    def redis_goes_back_in_time(self) -> None:
        assert self.backup is not None
        model, dumps = self.backup
        for name, dump in dumps.items():
            if dump is None:
                self.run(self.redis.delete(name))
            else:
                self.run(self.redis.restore(name, 0, dump, replace=True))
        self.model = copy.deepcopy(model)
        self.last = None

    def names(self) -> list[str]:
        keys = ShardKeys.of(self.prefix, 1)
        return [keys.lease, keys.wal, keys.channels, keys.retry, keys.dead, keys.history, keys.snapshot]

    @invariant()
    def redis_holds_what_the_model_says(self) -> None:
        if not hasattr(self, "redis"):
            return
        model, store = self.model, self.stores["a"]
        assert self.run(store.owners()) == (
            {1: (model.owner, model.epoch)} if model.owner and not model.expired else {}
        )
        reader = ShardStore(self.redis, self.prefix, 2)
        if model.owner:
            state = self.run(reader.load(Term("s01", model.owner, model.epoch, 0.0)))
            assert state.version == model.version
            assert {record.channel: record for record in state.wal} == model.carried
            assert state.confirmed == model.confirmed
            assert {record.execution: record for record in state.retry} == model.retry
            assert {record.execution: record for record in state.dead} == model.dead
            assert state.snapshot == model.snapshot
        history = self.run(store.history(1, 1_000))
        assert [(one.execution, one.attempt, one.outcome) for one in reversed(history)] == model.settled


def test_two_owners_and_a_redis_that_may_go_back_in_time(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only `time_passes` ends a term here, also on a machine that stalls for seconds.
    monkeypatch.setattr("sorofast.coordination.leases.LEASE_TTL_MS", 600_000)
    monkeypatch.setattr("sorofast.coordination.shard.LEASE_TTL_MS", 600_000)
    ShardMachine.url = redis_url
    run_state_machine_as_test(
        ShardMachine,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
