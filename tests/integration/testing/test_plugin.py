"""The pytest plugin in a project of its own, which knows nothing of sorofast but the fixture's name."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sorofast.testing import Sandbox

pytest_plugins = ["pytester"]

WASM = Path(__file__).resolve().parents[3] / "rust" / "sorofast-sandbox" / "wasm"

# A contract developer's test: a contract from its bytes, its functions by name, time, trouble and state.
STORY = """
from pathlib import Path

import pytest

def test_a_contract_of_my_own(sandbox):
    counter = sandbox.deploy(Path("counter.wasm").read_bytes())
    alice = sandbox.account()
    assert counter.invoke("increment", source=alice) == 1
    assert counter.invoke("bump", 7) == 1
    assert counter.read("get", 7) == 1
    before = sandbox.latest_ledger
    sandbox.advance(ledgers=10, time="30d")
    assert sandbox.latest_ledger == before + 10
    assert counter.read("count") == 1

def test_a_contract_from_a_file(sandbox):
    counter = sandbox.deploy("counter.wasm")
    done = counter.submit("bump", 3)
    assert (done.value, done.ledger) == (1, sandbox.latest_ledger)
    assert done.fee_stroops > 100
    again = sandbox.contract(counter.address)
    assert again.read("get", 3) == 1

def test_a_network_that_breaks(sandbox):
    counter = sandbox.deploy("counter.wasm")
    with sandbox.fault(method="simulateTransaction", kind="http_status", status=503):
        with pytest.raises(Exception, match="503"):
            counter.read("count")
    assert counter.read("count") == 0
"""


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> Iterator[None]:
    """Somebody's folder with a contract in it. What runs there is gone afterwards."""
    shutil.copy(WASM / "counter.wasm", pytester.path / "counter.wasm")
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    assert {child.pid for child in psutil.Process().children(recursive=True)} - before == set()


def test_a_contract_developers_suite_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(STORY)
    # Warnings are errors, so that a connection or a file left open would show.
    pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio").assert_outcomes(passed=3)


def test_the_plugin_costs_nothing_where_it_is_not_used(pytester: pytest.Pytester) -> None:
    """Without the fixture nothing is imported, nothing started, and no test is touched."""
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_imported():
            heavy = {"stellar_sdk", "aiohttp", "requests", "msgspec", "pydantic", "orjson", "sorofast._core"}
            assert heavy & set(sys.modules) == set()
            assert "sorofast.testing.plugin" in sys.modules
            assert [name for name in sys.modules if name.startswith("sorofast.sandbox")] == []

        def test_nothing_runs():
            import os, pathlib
            children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text()
            assert children == ""
        """
    )
    # Other plugins of this environment import what they like.
    others = ["-p", "no:hypothesispytest", "-p", "no:valkey", "-p", "no:benchmark", "-p", "no:asyncio"]
    pytester.runpytest_subprocess(*others).assert_outcomes(passed=2)


PAIR = """
    def test_first(sandbox):
        sandbox.advance(100)
        assert sandbox.latest_ledger > 100

    def test_second(sandbox):
        print("second at", sandbox.latest_ledger, sandbox.url)
"""


@pytest.mark.parametrize("how", ["ini", "command line"])
def test_a_session_shares_one_state(pytester: pytest.Pytester, how: str) -> None:
    pytester.makepyfile(PAIR)
    arguments = ["-s"]
    if how == "ini":
        pytester.makeini("[pytest]\nsandbox_scope = session\n")
    else:
        pytester.makeini("[pytest]\nsandbox_scope = function\n")
        arguments.append("--sandbox-scope=session")
    result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=2)
    assert _second_at(result) > 100


def test_each_function_begins_with_a_new_state(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PAIR)
    result = pytester.runpytest_subprocess("-s")
    result.assert_outcomes(passed=2)
    assert _second_at(result) < 100


def test_each_worker_of_xdist_has_a_network_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_counts(sandbox, number, worker_id):
            counter = sandbox.deploy("counter.wasm")
            assert counter.invoke("increment") == 1
            with open(f"urls-{worker_id}", "a") as file:
                print(sandbox.url, file=file)
        """
    )
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=6)
    urls = {path.name: set(path.read_text().split()) for path in pytester.path.glob("urls-*")}
    assert len(urls) == 2
    assert all(len(of_worker) == 1 for of_worker in urls.values())
    assert not set.intersection(*urls.values())


def test_code_that_waits_for_its_ledger_gets_one(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio
        import pytest
        from stellar_sdk import SorobanServerAsync, TransactionBuilder
        from stellar_sdk.client.aiohttp_client import AiohttpClient

        async def pay(url, passphrase, source, to):
            async with SorobanServerAsync(url, AiohttpClient()) as server:
                account = await server.load_account(source.public_key)
                builder = TransactionBuilder(account, passphrase, base_fee=100)
                envelope = builder.append_create_account_op(to, "10").set_timeout(60).build()
                envelope.sign(source)
                sent = await server.send_transaction(envelope)
                return await server.poll_transaction(sent.hash, max_attempts=60, sleep_strategy=lambda _: 0.05)

        @pytest.mark.asyncio
        async def test_in_an_event_loop(sandbox):
            alice = sandbox.account()
            from stellar_sdk import Keypair
            bob = Keypair.random()
            with sandbox.closing_ledgers():
                found = await pay(sandbox.rpc_url, sandbox.network_passphrase, alice, bob.public_key)
            assert found.status.value == "SUCCESS"
            assert sandbox.server.load_account(bob.public_key).sequence > 0
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_ledgers_may_close_by_themselves(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsandbox_ledger_close = 200ms\nsandbox_args = --seed 5\n")
    pytester.makepyfile(
        """
        def test_counts(sandbox):
            assert not sandbox.closes_by_hand
            counter = sandbox.deploy("counter.wasm")
            assert counter.invoke("increment") == 1
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_network_that_runs_already_is_used_as_it_is(pytester: pytest.Pytester) -> None:
    with Sandbox.start() as running:
        running.advance(50)
        ledger = running.latest_ledger
        pytester.makepyfile(
            f"""
            def test_it(sandbox):
                assert sandbox.latest_ledger == {ledger}
                sandbox.advance(1)
            """
        )
        pytester.runpytest_subprocess("--sandbox-url", running.rpc_url).assert_outcomes(passed=1)
        assert running.alive
        assert running.latest_ledger == ledger + 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sandbox-args=--no-such-flag"], r"no sandbox: the sandbox did not start: .*--no-such-flag"),
        (["--sandbox-args=--limits foo"], r"no sandbox: .*'foo' for '--limits.*possible values: mainnet"),
        (["--sandbox-url=http://127.0.0.1:1"], r"no sandbox: .*127\.0\.0\.1:1/admin/stats gave no answer"),
        (["--sandbox-url=nonsense"], r"no sandbox: .*nonsense: invalid URL"),
    ],
)
def test_a_network_that_does_not_start_is_one_clear_error(
    pytester: pytest.Pytester, arguments: list[str], words: str
) -> None:
    pytester.makepyfile("def test_it(sandbox):\n    pass\n")
    result = pytester.runpytest_subprocess(*arguments)
    result.assert_outcomes(errors=1)
    assert re.search(words, result.stdout.str())
    assert "Traceback" not in result.stdout.str()


def test_an_unknown_scope_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(sandbox):\n    pass\n")
    pytester.makeini("[pytest]\nsandbox_scope = forever\n")
    result = pytester.runpytest_subprocess()
    assert result.ret != 0
    assert "unknown sandbox_scope 'forever'" in result.stdout.str() + result.stderr.str()


def test_a_network_that_was_killed_is_replaced(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, signal

        def test_kill(sandbox):
            os.kill(sandbox.pid, signal.SIGKILL)

        def test_next(sandbox):
            assert sandbox.latest_ledger == 1
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def _second_at(result: pytest.RunResult) -> int:
    match = re.search(r"second at (\d+)", result.stdout.str())
    assert match is not None, result.stdout.str()
    return int(match[1])
