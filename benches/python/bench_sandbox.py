"""The sandbox's pace over its JSON-RPC, its start, and what a seeded task takes; a decode of stellar-sdk for scale.

The load comes from the same machine and takes its share of it. Each round's results are checked against the ledger.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sandbox_load import Load, as_request
from stellar_sdk import xdr

from helpers import transactions as sdk
from sorofast import _core
from sorofast.audit.seed import SeedOptions
from sorofast.demo.network import DemoNetwork
from sorofast.registry.row import Row, pack_ids, rows_of
from sorofast.sandbox.process import SandboxOptions, find_binary

TASKS = 4_000
RUNS = 2_500
"""Executes per round, each from a channel of its own: a ledger takes one transaction from a source."""
BATCH = 250
SIMULATIONS = 600
READS = 200
KEYS = 200
CONNECTIONS = 8
INTERVALS_S = (20, 120)
INCLUSION_FEE_STROOPS = 1_000
VALID_LEDGERS = 10
CHANNEL_BALANCE_STROOPS = 10**12
CHANNEL_SEQUENCE = 1 << 32
EXECUTED = "KeeperPaid"
START = ("--port", "0", "--ledger-close", "0s", "-o", "json", "--exit-with-stdin")
SEEDED = 1_000_000
SEEDED_BYTES_MAX = 3 * 1024


@dataclass
class Bench:
    """A network with tasks, and everything that is needed to run them."""

    runner: asyncio.Runner
    network: DemoNetwork
    load: Load
    signer: _core.Signer
    path: str = "/rpc"
    round: int = 0
    rows: list[Row] = field(default_factory=list)

    @property
    def contract(self) -> bytes:
        return _core.contract_to_bytes(self.network.registry.contract)

    def call(self, method: str, **params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        answer = json.loads(self.load.send([as_request(self.path, body)])[0])
        assert "error" not in answer, answer
        return answer["result"]

    def advance(self, seconds: float) -> Any:
        return self.runner.run(self.network.admin.advance(1, seconds))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    sandbox = SandboxOptions(ledger_close="0s", limits="unlimited")
    tasks = SeedOptions(tasks=TASKS, ledger_close_s=0.0, intervals_s=INTERVALS_S)
    with asyncio.Runner() as runner:
        network = DemoNetwork(sandbox, tasks)
        runner.run(network.__aenter__())
        try:
            runner.run(network.seed_tasks(0.0))
            signer = _core.Signer(sdk.PASSPHRASE, network.keeper.secret, sdk.MNEMONIC, RUNS)
            runner.run(network.admin.put_entries(_accounts(signer.channels)))
            with Load(network.urls.rpc_url, CONNECTIONS) as load:
                bench = Bench(runner, network, load, signer)
                # Everything has been due at least once; what runs is due again after the longest interval.
                bench.advance(2 * INTERVALS_S[1])
                _learn(bench)
                yield bench
        finally:
            runner.run(network.__aexit__(None, None, None))


def _accounts(channels: bytes) -> Iterator[tuple[bytes, None]]:
    for start in range(0, len(channels), 32):
        account = xdr.AccountEntry(
            account_id=xdr.AccountID(
                xdr.PublicKey(
                    xdr.PublicKeyType.PUBLIC_KEY_TYPE_ED25519, xdr.Uint256(channels[start : start + 32])
                )
            ),
            balance=xdr.Int64(CHANNEL_BALANCE_STROOPS),
            seq_num=xdr.SequenceNumber(xdr.Int64(CHANNEL_SEQUENCE)),
            num_sub_entries=xdr.Uint32(0),
            inflation_dest=None,
            flags=xdr.Uint32(0),
            home_domain=xdr.String32(b""),
            thresholds=xdr.Thresholds(b"\x01\x00\x00\x00"),
            signers=[],
            ext=xdr.AccountEntryExt(0),
        )
        data = xdr.LedgerEntryData(xdr.LedgerEntryType.ACCOUNT, account=account)
        yield xdr.LedgerEntry(xdr.Uint32(1), data, xdr.LedgerEntryExt(0)).to_xdr_bytes(), None


def _learn(bench: Bench) -> None:
    """Reads all tasks and simulates each kind of call once, as a worker does."""
    for first in range(1, TASKS + 1, KEYS):
        ids = range(first, min(first + KEYS, TASKS + 1))
        body = _core.entries_request(1, bench.contract, pack_ids(ids), b"")
        answer = bench.load.send([as_request(bench.path, body)])[0]
        bench.rows += rows_of(_core.decode_entries(answer, bench.contract, bench.signer.keeper).rows)
    assert len(bench.rows) == TASKS
    for row in bench.rows:
        if bench.signer.template(row.shape) is None:
            envelope = bench.signer.simulation_envelope(bench.contract, row.task_id, 0, CHANNEL_SEQUENCE + 1)
            answer = bench.call("simulateTransaction", transaction=envelope)
            data, auth = answer["transactionData"], answer["results"][0]["auth"]
            fee_stroops = int(answer["minResourceFee"])
            bench.signer.learn(row.shape, row.task_id, data, auth, fee_stroops, bench.contract)


def _batches(method: str, envelopes: Sequence[str]) -> list[bytes]:
    requests = []
    for first in range(0, len(envelopes), BATCH):
        calls = [
            {"jsonrpc": "2.0", "id": one, "method": method, "params": {"transaction": envelope}}
            for one, envelope in enumerate(envelopes[first : first + BATCH])
        ]
        requests.append(as_request("/rpc", json.dumps(calls).encode()))
    return requests


def test_executes(bench: Bench, compare_rounds: Any) -> None:
    """From the first byte of the first envelope to the ledger that holds all runs being visible."""

    def prepare() -> list[bytes]:
        bench.round += 1
        due = bench.rows[:RUNS]
        sequence = CHANNEL_SEQUENCE + bench.round
        latest = bench.call("getHealth")["latestLedger"]
        items = [
            (row.shape, row.task_id, channel, sequence, latest + VALID_LEDGERS, int(time.time()) + 10**6)
            for channel, row in enumerate(due)
        ]
        built = bench.signer.build_executes(bench.contract, items, INCLUSION_FEE_STROOPS)
        return _batches("sendTransaction", [envelope for _, envelope, _ in built])

    def work(requests: list[bytes]) -> tuple[list[bytes], int]:
        answers = bench.load.send(requests)
        # Closed at once: the clock moves on, so that next round's runs are due again.
        return answers, bench.advance(INTERVALS_S[1] + 1.0).latest_ledger

    def check(outcome: tuple[list[bytes], int]) -> None:
        answers, ledger = outcome
        for answer in answers:
            assert {reply["result"]["status"] for reply in json.loads(answer)} == {"PENDING"}
        applied = bench.runner.run(_applied(bench, ledger))
        assert len(applied) == RUNS
        assert all(one.status == "SUCCESS" for one in applied)
        events = bench.call(
            "getEvents",
            startLedger=ledger,
            filters=[{"contractIds": [bench.network.registry.contract]}],
            pagination={"limit": 10_000},
        )
        paid = [one for one in events["events"] if one["topic"][0] == _symbol(EXECUTED)]
        assert len(paid) == RUNS, "a run that succeeded did nothing"

    compare_rounds("execute applied, signatures checked", "sandbox", RUNS, prepare, work, check)


async def _applied(bench: Bench, ledger: int) -> list[Any]:
    return [one async for page in bench.network.admin.transactions(ledger) for one in page]


def _symbol(name: str) -> str:
    return xdr.SCVal(xdr.SCValType.SCV_SYMBOL, sym=xdr.SCSymbol(name.encode())).to_xdr()


def test_simulations(bench: Bench, compare_rounds: Any) -> None:
    bench.advance(INTERVALS_S[1] + 1.0)
    envelopes = [
        bench.signer.simulation_envelope(bench.contract, row.task_id, 0, CHANNEL_SEQUENCE + 1)
        for row in bench.rows[:SIMULATIONS]
    ]
    requests = [
        as_request(
            bench.path,
            json.dumps(
                {"jsonrpc": "2.0", "id": 1, "method": "simulateTransaction", "params": {"transaction": one}}
            ).encode(),
        )
        for one in envelopes
    ]

    def check(answers: list[bytes]) -> None:
        results = [json.loads(answer)["result"] for answer in answers]
        assert not [one for one in results if "error" in one]
        assert all(len(one["stateChanges"]) >= 1 for one in results)

    compare_rounds(
        "simulation of an execute", "sandbox", SIMULATIONS, lambda: requests, bench.load.send, check
    )


def _reading(bench: Bench) -> list[bytes]:
    requests = []
    for number in range(READS):
        first = number * 7 % (TASKS - KEYS)
        packed = pack_ids(row.task_id for row in bench.rows[first : first + KEYS])
        requests.append(as_request(bench.path, _core.entries_request(1, bench.contract, packed, b"")))
    return requests


def test_reads(bench: Bench, compare_rounds: Any) -> None:
    requests = _reading(bench)

    def check(answers: list[bytes]) -> None:
        for answer in answers:
            batch = _core.decode_entries(answer, bench.contract, bench.signer.keeper)
            assert len(batch.rows) == KEYS * _core.ROW_SIZE

    compare_rounds("getLedgerEntries of 200 keys", "sandbox", READS, lambda: requests, bench.load.send, check)


def test_decode_for_scale(bench: Bench, compare_rounds: Any) -> None:
    """What stellar-sdk takes to decode one such answer."""
    answer = bench.load.send(_reading(bench)[:1])[0]

    def decode(body: bytes) -> list[xdr.LedgerEntryData]:
        return [
            xdr.LedgerEntryData.from_xdr_bytes(base64.b64decode(entry["xdr"]))
            for entry in json.loads(body)["result"]["entries"]
        ]

    def check(entries: list[xdr.LedgerEntryData]) -> None:
        assert len(entries) == KEYS

    compare_rounds("getLedgerEntries of 200 keys", "stellar-sdk decode", 1, lambda: answer, decode, check)


def _ready(*arguments: str) -> subprocess.Popen[bytes]:
    """A sandbox that has printed its ready line."""
    command = [str(find_binary()), "start", *START, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert "rpc_url" in json.loads(process.stdout.readline())
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.communicate(timeout=30)
    assert process.returncode == 0


def _resident_bytes(process: subprocess.Popen[bytes]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def test_start(compare_rounds: Any) -> None:
    """From the command to the line that says it serves; an interpreter that does nothing, for scale."""
    compare_rounds("start", "sandbox", 1, lambda: (), lambda arguments: _ready(*arguments), _end)


def test_interpreter_for_scale(compare_rounds: Any) -> None:
    command = [sys.executable, "-I", "-c", "pass"]
    compare_rounds(
        "start", "python", 1, lambda: command, subprocess.run, lambda done: done.check_returncode()
    )


def test_memory_of_seeded_tasks(benchmark: Any, figures: dict[str, str]) -> None:
    """What a task takes: the growth from a sandbox without any. The time is that of one start."""
    empty = _ready()
    empty_bytes = _resident_bytes(empty)
    _end(empty)
    benchmark.group = benchmark.name = "start with a million tasks"
    full = benchmark.pedantic(_ready, args=("--seed-tasks", str(SEEDED)), rounds=1)
    full_bytes = _resident_bytes(full)
    _end(full)
    each = (full_bytes - empty_bytes) / SEEDED
    figures[f"{SEEDED:,} seeded tasks"] = (
        f"ready after {benchmark.stats.stats.min:.1f} s, {full_bytes / 2**20:,.0f} MiB resident "
        f"({empty_bytes / 2**20:.0f} MiB without any): {each:,.0f} bytes each"
    )
    assert each < SEEDED_BYTES_MAX
