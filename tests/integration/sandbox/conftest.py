"""Sandboxes for the tests: one whose ledgers close when asked to, one that closes by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from stellar_sdk import Keypair

from helpers.network import Network, running


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A sandbox that closes a ledger only when the test says so."""
    async with running("--ledger-close", "0") as network:
        yield network


@pytest.fixture
async def ticking() -> AsyncIterator[Network]:
    """A sandbox that closes a ledger every 500 ms."""
    async with running("--ledger-close", "500ms") as network:
        yield network


@pytest.fixture
async def alice(network: Network) -> Keypair:
    """A funded account of `network`."""
    keypair = Keypair.random()
    await network.fund(keypair)
    return keypair


@pytest.fixture
async def counter(network: Network, alice: Keypair) -> str:
    """The address of a deployed counter contract."""
    return await network.deploy(alice, "counter")
