"""A local network with everything an engine needs on it: contracts, a keeper with money, a registry full of
tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import aiohttp
from stellar_sdk import Keypair, TransactionBuilder
from stellar_sdk.client.aiohttp_client import AiohttpClient
from stellar_sdk.exceptions import BaseRequestError, SdkError
from stellar_sdk.soroban_server_async import SorobanServerAsync

from sorofast.audit.evidence import Evidence
from sorofast.audit.seed import (
    Registry,
    SeedOptions,
    TaskSpec,
    contract_entries,
    plan_tasks,
    runs_per_ledger,
    task_entries,
)
from sorofast.chain.rpc import RpcClient
from sorofast.clock import SystemClock
from sorofast.errors import SorofastError, UnreachableError
from sorofast.sandbox.client import AdminClient
from sorofast.sandbox.process import Ready, SandboxOptions, SandboxProcess
from sorofast.transactions.oneshot import submit_and_wait

_FRIENDBOT_TIMEOUT_S = 30.0
_HURRY_PAUSE_S = 0.05
_UPLOAD_VALID_S = 60


class DemoNetwork:
    """The sandbox, the contracts' code and a funded keeper; an async context manager. Tasks come with
    `seed_tasks()`.

    The keeper's key follows from the seed: it is worth nothing anywhere else, and a run can be repeated.
    """

    def __init__(self, sandbox: SandboxOptions, seed: SeedOptions) -> None:
        self.seed = seed
        self.specs: list[TaskSpec] = plan_tasks(seed)
        self.keeper = Keypair.from_raw_ed25519_seed(
            hashlib.sha256(f"sorofast demo keeper {seed.seed}".encode()).digest()
        )
        self._sandbox = SandboxProcess(sandbox)
        self._stack = contextlib.AsyncExitStack()
        self._admin: AdminClient | None = None
        self._registry: Registry | None = None

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._sandbox)
            self._admin = await stack.enter_async_context(AdminClient(self.urls.admin_url))
            async with self.hurry():
                await self._fund_keeper()
                codes = [await self._upload(name) for name in ("task_registry", "counter", "switch_resolver")]
            self._registry = Registry.plan(
                self.seed, registry_code=codes[0], target_code=codes[1], resolver_code=codes[2]
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def urls(self) -> Ready:
        """Where the network is."""
        return self._sandbox.urls

    @property
    def admin(self) -> AdminClient:
        """The sandbox's admin interface."""
        if self._admin is None:
            raise SorofastError("the demo network has not been started")
        return self._admin

    @property
    def registry(self) -> Registry:
        """The seeded contracts' addresses."""
        if self._registry is None:
            raise SorofastError("the demo network has not been started")
        return self._registry

    @property
    def runs_per_ledger(self) -> float:
        """How many tasks fall due per ledger on average."""
        return runs_per_ledger(self.specs, self.seed.ledger_close_s)

    async def seed_tasks(self, lead_s: float) -> int:
        """Put the registry and its tasks on the ledger; the first ones fall due `lead_s` from now. Returns
        when (Unix s).

        The lead is what an engine needs to start: nothing is due before, so nothing has to be excused.
        """
        latest = (await self.admin.stats()).latest_ledger
        owner = self.keeper.public_key
        await self.admin.put_entries(contract_entries(self.registry, owner, len(self.specs), latest))
        first_due_s = int(SystemClock().wall() + lead_s) + 1
        await self.admin.put_entries(task_entries(self.registry, self.specs, owner, first_due_s, latest))
        return first_due_s

    def evidence(self) -> Evidence:
        """An auditor of this network's registry and keeper, to be entered with `async with`."""
        return Evidence(
            self.admin,
            self.urls.rpc_url,
            self.urls.network_passphrase,
            self.registry.contract,
            self.keeper.public_key,
        )

    @contextlib.asynccontextmanager
    async def hurry(self) -> AsyncIterator[None]:
        """Within the block a ledger closes as soon as a transaction waits: setting up need not take whole
        ledgers.
        """
        closing = asyncio.create_task(self._close_when_pending())
        try:
            yield
        finally:
            closing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await closing

    async def _close_when_pending(self) -> None:
        while True:
            # A failure to hurry only means that it takes as long as the ledgers do.
            with contextlib.suppress(SorofastError):
                if (await self.admin.stats()).pending:
                    await self.admin.advance()
            await asyncio.sleep(_HURRY_PAUSE_S)

    async def _fund_keeper(self) -> None:
        url = self.urls.friendbot_url
        timeout = aiohttp.ClientTimeout(total=_FRIENDBOT_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url, params={"addr": self.keeper.public_key}) as answer,
            ):
                said = (await answer.text())[:300]
                if answer.status != 200:
                    raise SorofastError(f"friendbot did not fund the keeper, status {answer.status}: {said}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnreachableError(
                f"friendbot at {url} gave no answer: {str(error) or type(error).__name__}"
            ) from error

    async def _upload(self, name: str) -> bytes:
        """Upload a contract's code by an ordinary transaction; returns its hash."""
        wasm = await self.admin.contract_wasm(name)
        server = SorobanServerAsync(self.urls.rpc_url, AiohttpClient())
        rpc = RpcClient(self.urls.rpc_url)
        try:
            account = await server.load_account(self.keeper.public_key)
            envelope = await server.prepare_transaction(
                TransactionBuilder(account, self.urls.network_passphrase, base_fee=1_000)
                .append_upload_contract_wasm_op(wasm)
                .set_timeout(_UPLOAD_VALID_S)
                .build()
            )
            envelope.sign(self.keeper)
            await submit_and_wait(rpc, envelope, what=f"the upload of {name}")
        except (BaseRequestError, SdkError, aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise SorofastError(f"the code of {name} could not be uploaded: {reason}") from error
        finally:
            await server.close()
            await rpc.close()
        return hashlib.sha256(wasm).digest()
