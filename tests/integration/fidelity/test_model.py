"""Random histories of valid and invalid transactions against a model of what every ledger must have made of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from stellar_sdk import (
    FeeBumpTransactionEnvelope,
    TransactionEnvelope,
    scval,
)
from stellar_sdk import xdr as stellar_xdr

from helpers.chain import ROOT, Chain, Held, account_entry, account_key, result_code
from helpers.mixes import (
    CALL_FLAWS,
    CALLS,
    CLASSIC,
    FLAWS,
    KEYS,
    XLM,
    Plan,
    Sent,
    World,
    balance_key,
    bumped,
    friendbot,
    holds,
    make,
    set_up,
)

START_S = 1_800_000_000
FLAGS = ("--ledger-close", "0", "--clock", "manual", "--start-time", str(START_S), "--accounts", "0")
RESERVE = XLM // 2  # of every entry; an account counts as two
PENDING_LEDGERS = 4

numbers = st.integers(0, len(KEYS) - 1)
amounts = st.one_of(st.integers(1, 100 * XLM), st.sampled_from([10_000 * XLM, 2**40, 2**63 - 1]))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    kind = draw(st.sampled_from([*CLASSIC, *CALLS]))
    flaws = [*FLAWS, *CALL_FLAWS] if kind in CALLS else [*FLAWS]
    flawed = draw(st.integers(0, 3)) == 0
    bumped = draw(st.integers(0, 3)) == 0
    return Plan(
        kind,
        source=draw(numbers),
        other=draw(numbers),
        stroops=draw(amounts),
        flaw=draw(st.sampled_from(flaws)) if flawed else None,
        fee=draw(st.sampled_from([100, 101, 5_000])),
        heavy=kind in CALLS and draw(st.integers(0, 2)) == 0,
        short_lived=draw(st.integers(0, 4)) == 0,
        fee_source=draw(numbers) if bumped else None,
    )


@dataclass
class Model:
    """What is known from what was sent and from the results in the ledgers."""

    balances: dict[str, int] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    fees: int = 0
    """All that transactions were charged."""
    entries: dict[str, int] = field(default_factory=dict)
    """Entries of an account that want a reserve of their own."""
    highest: dict[str, int] = field(default_factory=dict)
    """The highest sequence an account ever had, merged and made again or not."""
    rests: dict[str, int] = field(default_factory=dict)
    """What a merged account is refunded after all: it is lost unless the account was made again in that ledger."""
    ledgers: dict[int, int] = field(default_factory=dict)
    """The lumens that accounts and contracts hold together, by ledger."""


class Histories(RuleBasedStateMachine):
    seed = 7

    @initialize()
    def begin(self) -> None:
        self.log: list[tuple[str, Any]] = []
        self.answers: list[Any] = []
        self.whole = False
        self.chain = Chain(*FLAGS, "--seed", str(self.seed))
        self.friendbot = friendbot()
        self.model = Model()
        self.sent: dict[str, Sent] = {}
        self.open: set[str] = set()
        """Accepted, and neither applied nor dropped so far."""
        self.accepted_at: dict[str, int] = {}
        self.fates: dict[str, str] = {}
        self.covers: dict[str, str] = {}
        """Fee-bumps by the hash of what they wrap."""
        self.tip = 1
        self.counter = set_up(self.chain, self.send_and_close)
        self.take_stock()
        self.whole = True

    def teardown(self) -> None:
        if not hasattr(self, "chain"):
            return
        try:
            if self.whole:
                self.replay()
        finally:
            self.chain.close()

    # What is done, and what is done again in a replay.

    def do(self, chain: Chain, action: str, argument: Any) -> Any:
        if action == "send":
            answer = chain.rpc("sendTransaction", transaction=argument)
            return answer["status"], answer.get("errorResultXdr")
        ledgers, seconds = argument
        chain.advance(ledgers, seconds)
        return chain.rpc("getLatestLedger")["id"]

    def act(self, action: str, argument: Any) -> Any:
        answer = self.do(self.chain, action, argument)
        self.log.append((action, argument))
        self.answers.append(answer)
        return answer

    def send_and_close(self, envelope: TransactionEnvelope) -> None:
        status, _ = self.act("send", envelope.to_xdr())
        assert status == "PENDING"
        self.act("advance", (1, 0.0))
        self.tip += 1
        found = self.chain.rpc("getTransaction", hash=envelope.hash_hex())
        assert found["status"] == "SUCCESS", found

    def replay(self) -> None:
        """From genesis with the same seed: the same answers, the same ledgers."""
        with Chain(*FLAGS, "--seed", str(self.seed)) as again:
            for (action, argument), answer in zip(self.log, self.answers, strict=True):
                assert self.do(again, action, argument) == answer

    # Looking at the ledger.

    def read(self, connection: Any = None) -> tuple[int, dict[str, Held], int]:
        """Ledger, accounts, and what the counter's contract holds: one answer, so that it is of one ledger."""
        addresses = [ROOT.public_key, self.friendbot, *(key.public_key for key in KEYS)]
        keys = [*(account_key(address) for address in addresses), balance_key(self.counter)]
        answer = self.chain.rpc("getLedgerEntries", connection, keys=keys)
        accounts, held = {}, 0
        for entry in answer["entries"]:
            data = stellar_xdr.LedgerEntryData.from_xdr(entry["xdr"])
            if data.account is not None:
                address = addresses[keys.index(entry["key"])]
                accounts[address] = Held(
                    data.account.balance.int64, data.account.seq_num.sequence_number.int64
                )
            else:
                held = scval.to_native(data.contract_data.val)["amount"]
        return answer["latestLedger"], accounts, held

    def take_stock(self) -> None:
        """What is there once everything is set up; from here on the model carries it on."""
        ledger, accounts, held = self.read()
        assert ledger == self.tip
        self.model.balances = {address: one.balance for address, one in accounts.items()} | {
            self.counter: held
        }
        self.model.sequences = {address: one.sequence for address, one in accounts.items()}
        self.model.fees = self.chain.header().fee_pool
        self.model.highest = dict(self.model.sequences)
        self.model.ledgers[self.tip] = sum(self.model.balances.values())
        header = self.chain.header()
        assert header.total_coins == sum(self.model.balances.values()) + header.fee_pool

    def world(self) -> World:
        ledgers = self.chain.admin("ledgers?from_ledger=" + str(self.tip))["ledgers"]
        return World(self.chain, self.counter, self.model.sequences, ledgers[-1]["close_time"])

    def waiting_of(self, source: str) -> list[Sent]:
        return [self.sent[hash_] for hash_ in self.open if self.sent[hash_].source == source]

    # What happens.

    @rule(plan=plans())
    def send(self, plan: Plan) -> None:
        self.whole = False
        sent = make(plan, self.world())
        if sent is not None:
            self.offer(sent)
        self.whole = True

    @rule(plan=plans())
    def send_more(self, plan: Plan) -> None:
        """Twice in the list of rules, to be chosen twice as often."""
        self.send(plan)

    def offer(self, sent: Sent) -> None:
        status, result_xdr = self.act("send", sent.envelope.to_xdr())
        code = None if result_xdr is None else result_code(result_xdr)
        assert (status == "ERROR") == (code is not None)
        waiting = self.waiting_of(sent.source)
        kept = RESERVE * (2 + self.model.entries.get(sent.fee_source, 0))
        payable = self.model.balances.get(sent.fee_source, 0) - kept
        owed = sum(
            self.sent[hash_].max_fee for hash_ in self.open if self.sent[hash_].fee_source == sent.fee_source
        )
        told = (status, code, sent)
        opened = [self.sent[hash_] for hash_ in self.open]
        if any(one.is_call != sent.is_call and sent.source in {one.source, one.fee_source} for one in opened):
            # Calls wait in a queue of their own, and an account is in one of the two, be it as payer.
            assert status == "TRY_AGAIN_LATER", told
        elif any(holds(other.envelope, sent.envelope) for other in waiting):
            assert status == "DUPLICATE", told
        elif sent.hash in self.fates:
            # Banned for ten ledgers; after that it is a transaction like any other, with a sequence of the past if
            # it was applied.
            assert status != "DUPLICATE", told
            assert status != "PENDING" or self.fates.pop(sent.hash) == "dropped", told
        elif waiting:
            self.offer_beside(sent, waiting, status, code)
        elif sent.refusal is not None:
            assert code in {sent.refusal, "txINSUFFICIENT_BALANCE"}, told
        elif payable - owed < sent.max_fee:
            assert code == "txINSUFFICIENT_BALANCE", told
        else:
            assert status == "PENDING", told
        if status == "PENDING":
            self.sent[sent.hash] = sent
            if isinstance(sent.envelope, FeeBumpTransactionEnvelope):
                inner = sent.envelope.transaction.inner_transaction_envelope.hash_hex()
                if self.fates.get(self.covers.get(inner, "")) != "applied":
                    self.covers[inner] = sent.hash
            self.open.add(sent.hash)
            self.accepted_at[sent.hash] = self.tip

    def offer_beside(self, sent: Sent, waiting: list[Sent], status: str, code: str | None) -> None:
        """Another transaction of the source waits: only a fee-bump of the same sequence may take its place."""
        told = (status, code, sent, waiting)
        (other,) = waiting
        if status != "PENDING":
            assert status in {"TRY_AGAIN_LATER", "ERROR"}, told
            return
        assert isinstance(sent.envelope, FeeBumpTransactionEnvelope), told
        assert sent.sequence == other.sequence, told
        assert sent.refusal is None, told
        self.open.remove(other.hash)
        self.fates[other.hash] = "dropped"

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        self.whole = False
        hash_ = data.draw(st.sampled_from(sorted(self.sent)))
        self.offer(self.sent[hash_])
        self.whole = True

    @precondition(lambda self: self.open)
    @rule(data=st.data(), payer=numbers, rate=st.sampled_from([999, 1_000, 60_000]))
    def outbid(self, data: st.DataObject, payer: int, rate: int) -> None:
        """A fee-bump over something that waits."""
        inner = self.sent[data.draw(st.sampled_from(sorted(self.open)))]
        if isinstance(inner.envelope, FeeBumpTransactionEnvelope):
            return
        self.whole = False
        bump = bumped(inner, KEYS[payer], rate)
        if bump is not None:
            self.offer(bump)
        self.whole = True

    @rule(
        ledgers=st.sampled_from([1, 1, 1, 2, 5]),
        seconds=st.sampled_from([0.0, 0.4, 5.0, 5.0, 30.0]),
        watched=st.booleans(),
    )
    def close(self, ledgers: int, seconds: float, watched: bool) -> None:
        self.whole = False
        seen: list[tuple[int, int]] = []
        if watched:
            with Reader(self, seen):
                self.act("advance", (ledgers, seconds))
        else:
            self.act("advance", (ledgers, seconds))
        before, self.tip = self.tip, self.tip + ledgers
        self.settle(before)
        for ledger, held in seen:
            assert held == self.model.ledgers[ledger], "half a ledger was read"
        self.whole = True

    # What must hold after every ledger.

    def settle(self, before: int) -> None:
        page = self.chain.admin(f"transactions?from_ledger={before + 1}&limit=10000")
        applied = page["transactions"]
        for ledger in range(before + 1, self.tip + 1):
            of_ledger = [one for one in applied if one["ledger"] == ledger]
            sources = [self.sent[one["hash"]].source for one in of_ledger]
            assert len(sources) == len(set(sources)), "two transactions of one source in a ledger"
            for one in of_ledger:
                self.charge(one)
            for one in of_ledger:
                self.carry_out(one)
            assert not any(self.model.rests.values())
            self.model.rests.clear()
            self.model.ledgers[ledger] = sum(self.model.balances.values())
        ledger, accounts, held = self.read()
        assert ledger == self.tip
        assert {address: one.balance for address, one in accounts.items()} | {
            self.counter: held
        } == self.model.balances
        sequences = {address: one.sequence for address, one in accounts.items()}
        assert sequences == self.model.sequences
        header = self.chain.header()
        assert (header.ledger, header.fee_pool) == (self.tip, self.model.fees)
        assert header.total_coins == sum(self.model.balances.values()) + header.fee_pool
        audit = self.chain.admin("audit")
        assert audit["coins_counted"] == audit["coins_recorded"] == header.total_coins
        assert audit["fee_pool"] == header.fee_pool
        self.compare_fates()

    def charge(self, one: dict[str, Any]) -> None:
        """The fee of an applied transaction; all are taken before the first operation."""
        sent, model = self.sent[one["hash"]], self.model
        assert sent.hash in self.open, "applied twice, or never accepted"
        self.open.remove(sent.hash)
        self.fates[sent.hash] = "applied"
        fee: int = one["fee_charged"]
        assert 0 < fee <= sent.max_fee
        model.balances[sent.fee_source] -= fee
        model.fees += fee

    def carry_out(self, one: dict[str, Any]) -> None:
        """What one applied transaction does, on the model."""
        sent, model = self.sent[one["hash"]], self.model
        found = self.chain.rpc("getTransaction", hash=sent.hash)
        assert (found["status"], found["ledger"]) == (one["status"], one["ledger"])
        result = stellar_xdr.TransactionResult.from_xdr(found["resultXdr"])
        assert result.fee_charged.int64 == one["fee_charged"]
        if sent.source not in model.sequences:  # merged by an earlier one of the ledger
            assert one["status"] == "FAILED"
            return
        self.use(sent.source, sent.sequence)
        if one["status"] == "SUCCESS":
            self.succeed(sent, result, one["ledger"])

    def use(self, address: str, sequence: int) -> None:
        assert sequence > self.model.highest.get(address, 0)
        self.model.sequences[address] = self.model.highest[address] = sequence

    def succeed(self, sent: Sent, result: stellar_xdr.TransactionResult, ledger: int) -> None:
        model = self.model
        for holder, stroops in sent.moves:
            if holder not in model.balances:
                assert sent.is_call, "only a transfer by the asset's contract makes an account (CAP-73)"
                self.begin_account(holder, 0, ledger)
                assert stroops >= 2 * RESERVE
            model.balances[holder] += stroops
            assert model.balances[holder] >= 0
        if sent.created is not None:
            self.begin_account(*sent.created, ledger)
        if sent.sequence_after > sent.sequence:
            self.use(sent.source, sent.sequence_after)
        if sent.entries_after is not None:
            model.entries[sent.source] = sent.entries_after
        if sent.merged_into is not None:
            brought = merged_balance(result)
            model.balances[sent.merged_into] += brought
            model.rests[sent.source] = model.balances.pop(sent.source) - brought
            del model.sequences[sent.source]

    def begin_account(self, address: str, stroops: int, ledger: int) -> None:
        assert address not in self.model.balances
        self.model.balances[address] = stroops + self.model.rests.pop(address, 0)
        self.use(address, ledger << 32)

    def compare_fates(self) -> None:
        """Every accepted transaction is applied, waits, or was dropped; offered again, it is known as that."""
        for hash_, sent in self.sent.items():
            if hash_ in self.open:
                status, _ = self.act("send", sent.envelope.to_xdr())
                if status == "DUPLICATE":
                    assert self.tip - self.accepted_at[hash_] < PENDING_LEDGERS, "waits for too long"
                else:
                    assert status == "TRY_AGAIN_LATER", "what was dropped is banned"
                    self.open.remove(hash_)
                    self.fates[hash_] = "dropped"
            found = self.chain.rpc("getTransaction", hash=hash_)["status"] != "NOT_FOUND"
            # What a fee-bump took the place of is found once the bump is applied: by the hash of its inner one.
            states = {self.fates.get(hash_), self.fates.get(self.covers.get(hash_, ""))}
            assert found == ("applied" in states)
        told = self.chain.admin("fates", {"hashes": list(self.sent)})["fates"] if self.sent else {}
        for hash_ in self.sent:
            expected = {"pending"} if hash_ in self.open else {self.fates[hash_]}
            assert told[hash_]["state"] in expected | {self.fates.get(self.covers.get(hash_, ""))}, told[
                hash_
            ]


def merged_balance(result: stellar_xdr.TransactionResult) -> int:
    """What the merge that is a transaction's only operation brought."""
    inner = result.result.inner_result_pair
    results = (inner.result.result if inner is not None else result.result).results
    assert results is not None
    assert results[0].tr is not None
    merged = results[0].tr.account_merge_result
    assert merged is not None
    assert merged.source_account_balance is not None
    return merged.source_account_balance.int64


class Reader:
    """Reads all the while that ledgers close, and notes what the accounts hold together in which ledger."""

    def __init__(self, machine: Histories, seen: list[tuple[int, int]]) -> None:
        self.machine, self.seen = machine, seen
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        connection = self.machine.chain.connect()
        try:
            while not self.stop.is_set():
                ledger, accounts, held = self.machine.read(connection)
                self.seen.append((ledger, sum(one.balance for one in accounts.values()) + held))
        finally:
            connection.close()

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        assert self.seen


# A history takes a good part of a second, so that shrinking one would take minutes; the failing one is printed whole.
PROFILE: dict[str, Any] = {
    "deadline": None,
    "phases": [Phase.generate],
    "report_multiple_bugs": False,
    "suppress_health_check": [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
}


def test_every_ledger_is_what_the_model_says() -> None:
    run_state_machine_as_test(
        Histories, settings=settings(max_examples=15, stateful_step_count=30, **PROFILE)
    )


def test_a_stroop_too_many_is_noticed() -> None:
    """The model contradicts a ledger that is wrong."""
    machine = Histories()
    machine.begin()
    try:
        machine.close(1, 5.0, watched=True)
        address = KEYS[1].public_key
        held = machine.chain.accounts([address])[1][address]
        entry = account_entry(address, held.balance + 1, held.sequence)
        machine.chain.admin("entries", {"entries": [{"xdr": entry}]})
        with pytest.raises(AssertionError):
            machine.close(1, 5.0, watched=False)
    finally:
        machine.teardown()


@pytest.mark.verify
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(4))
def test_long_histories_are_what_the_model_says(seed: int) -> None:
    machine = type("Histories", (Histories,), {"seed": seed})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=150, stateful_step_count=100, **PROFILE)
    )
