"""Fault plans drawn from a seed: a little of everything the sandbox can do wrong, changed every few ledgers."""

from __future__ import annotations

import random
from typing import Any

METHODS = (
    "*",
    "sendTransaction",
    "simulateTransaction",
    "getLedgerEntries",
    "getEvents",
    "getHealth",
    "getTransaction",
)
RULES_MAX = 6


def _latency(rng: random.Random) -> dict[str, Any]:
    shape = rng.choice(
        [
            {"distribution": "uniform", "min_ms": 1, "max_ms": 300},
            {"distribution": "normal", "mean_ms": 60, "deviation_ms": 40},
            {"distribution": "exponential", "mean_ms": 80},
            {"distribution": "log_normal", "median_ms": 40, "sigma": 1.0},
            {"distribution": "pareto", "min_ms": 10, "alpha": 1.3, "max_ms": 2_000},
        ]
    )
    return {"kind": "latency", "latency": shape}


def _answer(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        [
            {"kind": "http_status", "status": 503},
            {"kind": "http_status", "status": 429, "retry_after_s": 1},
            {"kind": "rpc_error", "code": -32603, "message": "internal error"},
            {"kind": "timeout", "hold_ms": 2_000, "carried_out": rng.random() < 0.5},
            {"kind": "drop_request"},
            {"kind": "drop_reply"},
            {"kind": "truncated_body"},
            {"kind": "oversized_body", "bytes": 4 << 20},
            {"kind": "malformed_json"},
        ]
    )


def _ledger(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        [
            {"kind": "stall", "seconds": rng.uniform(2, 8)},
            {"kind": "empty", "ledgers": rng.randint(1, 3)},
            {"kind": "burst", "ledgers": rng.randint(2, 8)},
            {"kind": "equal_close_times", "ledgers": rng.randint(2, 6)},
            {"kind": "skew", "seconds": rng.uniform(-1.5, 1.5), "ledgers": rng.randint(2, 8)},
        ]
    )


def random_plan(rng: random.Random, registry: str) -> dict[str, Any]:
    """A plan for the next few ledgers; each method fails in at most half of its calls."""
    rules = []
    for _ in range(rng.randint(1, RULES_MAX)):
        rule = _latency(rng) if rng.random() < 0.4 else _answer(rng)
        rules.append({**rule, "method": rng.choice(METHODS), "probability": rng.uniform(0.02, 0.3)})
    plan: dict[str, Any] = {"seed": rng.getrandbits(32), "rules": rules}
    plan["ledger"] = [_ledger(rng) for _ in range(rng.randint(0, 2))]
    if rng.random() < 0.3:
        plan["traffic"] = {"fill": rng.uniform(0.3, 1.5), "accounts": 50, "bid_stroops": [100, 2_000]}
    if rng.random() < 0.3:
        plan["rival"] = {"registry": registry, "share": 0.3, "per_ledger": 5}
    return plan
