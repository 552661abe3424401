"""`sorofast.testing.Sandbox` against a real network, as a test of somebody's contract uses it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from stellar_sdk import Asset, Keypair, TransactionBuilder, scval
from stellar_sdk import xdr as stellar_xdr

from sorofast.errors import SorofastError, UnreachableError, UsageError
from sorofast.sandbox.process import SandboxOptions
from sorofast.testing import CallFailed, Sandbox

WASM = Path(__file__).resolve().parents[3] / "rust" / "sorofast-sandbox" / "wasm"
COUNTER = WASM / "counter.wasm"
LUMENS_STROOPS = 100_000_000_000


@pytest.fixture(scope="module")
def network() -> Iterator[Sandbox]:
    """One process for all tests here."""
    with Sandbox.start() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(network: Sandbox) -> Sandbox:
    """That network as it began."""
    network.reset()
    return network


def test_a_contract_that_fails_says_which_error_it_was(sandbox: Sandbox) -> None:
    registry = sandbox.deploy(WASM / "task_registry.wasm")
    with pytest.raises(CallFailed) as failure:
        registry.read("execute", sandbox.accounts[0], 7)
    assert failure.value.code is not None
    assert failure.value.name is not None
    assert failure.value.name in str(failure.value)
    panics = sandbox.deploy(WASM / "always_panics.wasm")
    with pytest.raises(CallFailed, match="run would fail: Error") as failure:
        panics.invoke("run")
    assert failure.value.code is None
    assert failure.value.reason


def test_lumens_move_by_their_contract_with_the_signatures_that_takes(sandbox: Sandbox) -> None:
    lumens = sandbox.asset_contract()
    assert sandbox.asset_contract().address == lumens.address
    alice, bob = sandbox.account(), sandbox.account()
    counter = sandbox.deploy(COUNTER)
    done = lumens.submit("transfer", alice, counter, 5_000_000, source=bob, signers=[alice])
    assert lumens.read("balance", counter) == 5_000_000
    (event,) = [event for event in done.events if event.topics[0] == "transfer"]
    assert event.contract == lumens.address
    assert event.topics[1:3] == (alice.public_key, counter.address)
    assert event.data == 5_000_000
    assert lumens.read("balance", alice) == LUMENS_STROOPS - 5_000_000
    with pytest.raises(CallFailed) as failure:
        lumens.invoke("transfer", alice, counter, LUMENS_STROOPS, source=bob, signers=[alice])
    assert failure.value.name == "BalanceError"
    with pytest.raises(CallFailed):
        lumens.invoke("transfer", alice, counter, 1, source=bob)  # nobody signs for alice


def test_an_address_found_by_itself_has_its_functions(sandbox: Sandbox) -> None:
    counter = sandbox.deploy(COUNTER, salt=bytes(32))
    assert set(sandbox.contract(counter.address).functions) == {"increment", "count", "bump", "get"}
    lumens = sandbox.asset_contract()
    assert sandbox.contract(lumens.address).read("decimals") == 7
    with pytest.raises(UsageError, match="cannot be read from the network"):
        sandbox.contract("CAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQC526")


def test_contracts_are_funded_too(sandbox: Sandbox) -> None:
    lumens, counter = sandbox.asset_contract(), sandbox.deploy(COUNTER)
    sandbox.fund(counter.address)
    sandbox.fund(counter.address)  # it has enough, so nothing happens
    assert lumens.read("balance", counter) == LUMENS_STROOPS
    with pytest.raises(SorofastError, match="status 400"):
        sandbox.fund("GABC")


def test_time_is_seconds_text_or_a_timedelta(sandbox: Sandbox) -> None:
    before = sandbox.advance()
    assert sandbox.advance(3, time="2h").latest_ledger == before.latest_ledger + 3
    moment = sandbox.advance(time=timedelta(days=1))
    assert moment.close_time - before.close_time >= 26 * 3_600
    assert sandbox.advance(time=60.0).close_time - moment.close_time >= 60


def test_spread_time_closes_its_ledgers(sandbox: Sandbox) -> None:
    before = sandbox.advance()
    moment = sandbox.advance(time="1h", spread=True)
    assert moment.latest_ledger == before.latest_ledger + 720
    assert sandbox.advance(6, time="1h", spread=True).latest_ledger == moment.latest_ledger + 6
    with pytest.raises(UsageError, match="spread needs time"):
        sandbox.advance(spread=True)


def test_a_bad_address_or_constructor_argument_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(UsageError, match="'CABC' is not a contract address"):
        sandbox.contract("CABC")
    with pytest.raises(UsageError, match="no constructor"):
        sandbox.deploy(COUNTER, 1, 2)


def test_a_transaction_of_ones_own(sandbox: Sandbox) -> None:
    alice = sandbox.account()
    envelope = (
        TransactionBuilder(
            sandbox.server.load_account(alice.public_key), sandbox.network_passphrase, base_fee=100
        )
        .append_payment_op(sandbox.accounts[1].public_key, Asset.native(), "7")
        .add_time_bounds(0, 0)
        .build()
    )
    envelope.sign(alice)
    done = sandbox.submit(envelope)
    assert done.fee_stroops == 100
    assert done.value is None
    with pytest.raises(CallFailed) as failure:
        sandbox.submit(envelope)
    assert failure.value.result in {"txBAD_SEQ", None} or "banned" in str(failure.value)


def test_a_refusal_names_the_result(sandbox: Sandbox) -> None:
    alice = sandbox.account()
    account = sandbox.server.load_account(alice.public_key)
    account.sequence += 5
    envelope = (
        TransactionBuilder(account, sandbox.network_passphrase, base_fee=100)
        .append_payment_op(sandbox.accounts[1].public_key, Asset.native(), "7")
        .add_time_bounds(0, 0)
        .build()
    )
    envelope.sign(alice)
    with pytest.raises(CallFailed, match="was refused: txBAD_SEQ"):
        sandbox.submit(envelope)


def test_a_plan_in_a_file_and_one_rule(sandbox: Sandbox, tmp_path: Path) -> None:
    counter = sandbox.deploy(COUNTER)
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'seed = 3\n[[rules]]\nmethod = "simulateTransaction"\nkind = "http_status"\nstatus = 500\n'
    )
    with sandbox.fault(plan), pytest.raises(UnreachableError, match="count got no answer"):
        counter.read("count")
    sandbox.fault(method="getTransaction", kind="rpc_error", code=-32603, count=1)
    with pytest.raises(UnreachableError, match="increment got no answer"):
        counter.invoke("increment")
    sandbox.mend()
    assert counter.read("count") == 1
    for nonsense in ((), (str(plan), 1)):
        with pytest.raises((UsageError, TypeError)):
            sandbox.fault(*nonsense)
    with pytest.raises(SorofastError, match="nonsense"):
        sandbox.fault(kind="nonsense")


def test_invalid_wasm_is_refused_before_it_is_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        sandbox.deploy(tmp_path / "nothing.wasm")
    with pytest.raises(UsageError, match="is not wasm"):
        sandbox.deploy(b"hello")
    with pytest.raises(UsageError, match="takes a whole number"):
        sandbox.deploy(COUNTER).read("get", "7")


def test_a_reset_goes_back_to_the_first_ledger(sandbox: Sandbox) -> None:
    counter = sandbox.deploy(COUNTER)
    sandbox.fault(method="*", kind="http_status")
    assert sandbox.reset().latest_ledger == 1
    assert sandbox.admin.faults()["rules"] == []
    with pytest.raises(UsageError):
        sandbox.contract(counter.address)
    assert sandbox.deploy(COUNTER).invoke("increment") == 1


def test_a_state_comes_back_from_bytes_and_from_a_file(sandbox: Sandbox, tmp_path: Path) -> None:
    counter = sandbox.deploy(COUNTER)
    counter.invoke("increment")
    for state in (sandbox.save(), sandbox.save(tmp_path / "a.state")):
        ledger = sandbox.latest_ledger
        assert counter.invoke("increment") == 2
        assert sandbox.load(state).latest_ledger == ledger
        assert counter.read("count") == 1
    with pytest.raises(SorofastError, match="status 400"):
        sandbox.load(b"no state")
    assert counter.read("count") == 1


def test_accounts_are_funded_from_the_beginning(sandbox: Sandbox) -> None:
    assert len({account.public_key for account in sandbox.accounts}) == 10
    assert sandbox.server.load_account(sandbox.accounts[9].public_key).sequence >= 0


def test_an_attached_network_is_known_by_its_passphrase_and_owns_no_process() -> None:
    with Sandbox.start() as own, Sandbox.attach(own.url, closes_by_hand=True) as seen:
        assert seen.network_passphrase == "Standalone Network ; February 2017"
        assert seen.environment["STELLAR_RPC_URL"] == own.rpc_url
        assert seen.deploy(COUNTER).invoke("bump", scval.to_uint64(3)) == 1
        with pytest.raises(SorofastError, match="not started here"):
            _ = seen.pid
        assert isinstance(seen.account(), Keypair)
    with pytest.raises(UnreachableError):
        seen.advance()


def test_headers_can_be_kept_in_the_form_that_sdks_know(tmp_path: Path) -> None:
    plan = tmp_path / "old.toml"
    plan.write_text('[[ledger]]\nkind = "upgrade_header"\nat_ledger = 4000000000\n')
    versions = {}
    for faults in (None, str(plan)):
        with Sandbox.start(SandboxOptions(ledger_close="0s", faults=faults)) as sandbox:
            sandbox.advance(3, time="30d")
            assert sandbox.deploy(COUNTER).invoke("bump", 7) == 1
            latest = sandbox.server.get_latest_ledger()
            ledger = sandbox.server.get_ledgers(start_ledger=latest.sequence).ledgers[0]
            versions[faults] = latest.protocol_version
            if faults is not None:
                entry = stellar_xdr.LedgerHeaderHistoryEntry.from_xdr(ledger.header_xdr)
                assert entry.header.ledger_seq.uint32 == latest.sequence
    assert versions == {None: 30, str(plan): 29}
