"""A sandbox as it stands after its start, for clients that nobody here wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from stellar_sdk import Keypair

from helpers.javascript import installed
from helpers.network import Network
from helpers.sdk import FACES, Sdk, closing_fast


@pytest.fixture(scope="session")
def packages() -> Path:
    """What npm installed for the JavaScript SDK; skips where it cannot."""
    return installed()


@pytest.fixture
async def live() -> AsyncIterator[Network]:
    async with closing_fast() as network:
        yield network


@pytest.fixture(params=list(FACES))
async def sdk(request: pytest.FixtureRequest, live: Network) -> AsyncIterator[Sdk]:
    """The public Python SDK: its asynchronous face, and its blocking one."""
    sdk = FACES[request.param](live)
    yield sdk
    await sdk.close()


@pytest.fixture
async def alice(sdk: Sdk) -> Keypair:
    return await sdk.funded()


@pytest.fixture
async def bob(sdk: Sdk) -> Keypair:
    return await sdk.funded()
