"""Ten minutes of random faults while an engine works: nothing crashes, and every ledger keeps its own rules."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from stellar_sdk import xdr

from helpers.demo import Work, at_work, options_of
from helpers.random_faults import random_plan
from sorofast.sandbox.client import ClosedLedger

LOG = logging.getLogger(__name__)
DURATION_S = float(os.environ.get("RANDOM_FAULTS_S", "600"))
SEED = int(os.environ.get("RANDOM_FAULTS_SEED", "1"))
CHANGE_S = 15.0
PAGE = 200
QUIET_LEDGERS = 40
"""Longer than the longest ban, so that what faults left behind has gone."""


class Rules:
    """What holds after every ledger, checked over all ledgers closed since the last look."""

    def __init__(self, work: Work) -> None:
        self._admin = work.network.admin
        self._last: ClosedLedger | None = None
        self.ledgers = 0
        self.transactions = 0

    async def check(self) -> None:
        audit = await self._admin.audit()
        assert audit["coins_counted"] == audit["coins_recorded"], audit
        first = self._last.sequence + 1 if self._last else 2
        closed = await self._admin.ledgers(first)
        for ledger in closed:
            if self._last is not None:
                assert ledger.sequence == self._last.sequence + 1
                assert ledger.close_time_ms > self._last.close_time_ms, (self._last, ledger)
            self._last = ledger
        if not closed:
            return
        self.ledgers += len(closed)
        seen: dict[int, set[str]] = {}
        hashes: set[str] = set()
        async for page in self._admin.transactions(first):
            for one in page:
                sources = seen.setdefault(one.ledger, set())
                assert one.source not in sources, f"{one.source} twice in ledger {one.ledger}"
                assert one.hash not in hashes, f"{one.hash} applied twice"
                sources.add(one.source)
                hashes.add(one.hash)
        self.transactions += len(hashes)


async def suffer(work: Work, rules: Rules) -> int:
    """Changes the faults until the time is up, looking after the rules meanwhile; returns how many plans there were."""
    rng = random.Random(SEED)
    until = time.monotonic() + DURATION_S
    plans = 0
    while time.monotonic() < until:
        plan = random_plan(rng, work.network.registry.contract)
        LOG.info("plan %s", json.dumps(plan))
        await work.network.admin.set_fault_plan(plan)
        plans += 1
        change_at = min(until, time.monotonic() + CHANGE_S)
        while time.monotonic() < change_at:
            await rules.check()
            assert work.run.returncode is None, work.run.failure
            await asyncio.sleep(0.5)
    return plans


async def check_history(work: Work) -> int:
    """Over all that was applied, read page by page: each source's sequences only grow, and the ledger says of every
    hash that it was applied. Returns how many there were.
    """
    sequences: dict[bytes, int] = {}
    pagination: dict[str, Any] = {"limit": PAGE}
    params: dict[str, Any] = {"startLedger": 2, "pagination": pagination}
    count = 0
    async with aiohttp.ClientSession() as session:
        while True:
            body = {"jsonrpc": "2.0", "id": 1, "method": "getTransactions", "params": params}
            async with session.post(work.network.urls.rpc_url, json=body) as answer:
                page = (await answer.json())["result"]
            fates = await work.network.admin.fates([one["txHash"] for one in page["transactions"]])
            assert {fate.state for fate in fates.values()} <= {"applied"}, fates
            for one in page["transactions"]:
                source, sequence = _source_and_sequence(one["envelopeXdr"])
                assert sequence > sequences.get(source, 0), f"{one['txHash']} goes back"
                sequences[source] = sequence
            count += len(page["transactions"])
            if len(page["transactions"]) < PAGE:
                return count
            params = {"pagination": {**pagination, "cursor": page["cursor"]}}


def _source_and_sequence(envelope_xdr: str) -> tuple[bytes, int]:
    envelope = xdr.TransactionEnvelope.from_xdr(envelope_xdr)
    inner = envelope.v1 or (envelope.fee_bump and envelope.fee_bump.tx.inner_tx.v1)
    assert inner is not None, envelope
    account = inner.tx.source_account
    key = account.ed25519 or (account.med25519 and account.med25519.ed25519)
    assert key is not None
    return key.uint256, inner.tx.seq_num.sequence_number.int64


@pytest.mark.timeout(DURATION_S + 600)
async def test_nothing_crashes_and_every_ledger_keeps_the_rules(tmp_path: Path) -> None:
    options = options_of(tasks=1_000, workers=4, ledger_close="1s")
    async with at_work(options, tmp_path) as work:
        rules = Rules(work)
        plans = await suffer(work, rules)
        await work.network.admin.clear_faults()
        await work.trial.pass_ledgers(QUIET_LEDGERS)
        await rules.check()
        applied = await check_history(work)
        health = await work.network.admin.stats()
        report = await work.trial.end(work.run)
    assert applied >= rules.transactions
    counts = (plans, rules.ledgers, applied, health.pending)
    LOG.info("%d plans, %d ledgers, %d transactions, %d pending at the end; %s", *counts, report)
    assert report.duplicates == 0, report
    assert report.executed > rules.ledgers, report
