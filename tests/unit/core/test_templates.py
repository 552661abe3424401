"""Templates of any call: what becomes a hole, what is refused, and what a fleet shares."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import Address, Keypair, TransactionEnvelope, scval, xdr
from stellar_sdk.operation import InvokeHostFunction

from helpers import entries as make
from helpers import transactions as sdk
from helpers.calls import (
    CHANNELS,
    KEY,
    authorized,
    call_of,
    invoke,
    learn,
    signer,
)
from sorofast import _core
from sorofast.errors import TemplateError, XdrError


def test_a_number_that_could_be_two_things_is_not_guessed() -> None:
    made = signer()
    data = sdk.transaction_data(7)
    cases: list[tuple[list[xdr.SCVal | str], list[int]]] = [
        (["task", "window"], [7, 7]),
        (["task", scval.to_uint64(7)], [7]),
        (["task", scval.to_vec([scval.to_uint64(7)])], [7]),
    ]
    for args, values in cases:
        operation = invoke("run", args)
        with pytest.raises(TemplateError, match=r"`task` = 7 .* simulate it with another value"):
            learn(made, operation, values, data)
        # Nothing the run touches is of that number: nothing has to be guessed.
        elsewhere = sdk.transaction_data(9)
        learn(made, operation, values, elsewhere)
    ((_, text, _),) = made.build([(KEY, (8,), 0, 1, 1, 1)], 0)
    (built,) = TransactionEnvelope.from_xdr(text, sdk.PASSPHRASE).transaction.operations
    assert isinstance(built, InvokeHostFunction)
    expected = call_of("run", ["task", scval.to_vec([scval.to_uint64(7)])], {"task": 8})
    assert built.host_function.invoke_contract == expected


def test_an_argument_that_happens_to_equal_the_hole_stays_in_the_consent() -> None:
    made = signer()
    args: list[xdr.SCVal | str] = ["task", scval.to_uint64(7)]
    learn(
        made,
        invoke("run", args),
        [7],
        sdk.transaction_data(9),
        [authorized(call_of("run", args, {"task": 7}))],
    )
    ((_, text, _),) = made.build([(KEY, (8,), 0, 1, 1, 1)], 0)
    (built,) = TransactionEnvelope.from_xdr(text, sdk.PASSPHRASE).transaction.operations
    assert isinstance(built, InvokeHostFunction)
    assert built.auth == [authorized(call_of("run", args, {"task": 8}))]


@pytest.mark.parametrize("kind", ["SOROBAN_CREDENTIALS_ADDRESS"])
@pytest.mark.parametrize("who", [CHANNELS[3].public_key, make.TARGET.address])
def test_somebody_elses_consent_is_named(kind: str, who: str) -> None:
    entry = authorized(call_of("run", [], {}))
    credentials = xdr.SorobanAddressCredentials(
        Address(who).to_xdr_sc_address(), xdr.Int64(5), xdr.Uint32(9), scval.to_void()
    )
    entry.credentials = xdr.SorobanCredentials(xdr.SorobanCredentialsType[kind], address=credentials)
    with pytest.raises(TemplateError, match=f"needs the consent of {who}"):
        learn(
            signer(),
            invoke("run", []),
            [],
            sdk.transaction_data(7),
            [authorized(call_of("run", [], {})), entry],
        )


def test_more_than_the_call_itself_is_only_allowed_where_it_was_asked_for() -> None:
    args: list[xdr.SCVal | str] = [scval.to_address(sdk.KEEPER.public_key), "task"]
    operation, data = invoke("execute", args), sdk.transaction_data(7)
    own = call_of("execute", args, {"task": 7})
    theft = call_of("transfer", [scval.to_address(sdk.KEEPER.public_key)], {}, make.TARGET)
    says = f"consent to more than itself: `transfer` of {make.TARGET.address}"
    cases = [
        ([authorized(own, below=[theft])], says),
        ([authorized(own), authorized(theft)], says),
        ([authorized(theft)], says),
        ([authorized(own, below=[own])], "more than itself: the same call once more"),
        ([authorized(own), authorized(own)], "2 authorisations"),
        ([authorized(call_of("execute", args, {"task": 8}))], "`execute` of"),
    ]
    for auth, reason in cases:
        made = signer()
        texts = [entry.to_xdr() for entry in auth]
        plain: list[dict[str, Any]] = [{}, {"must_write": "task"}, {"consent": "plain"}]
        for options in plain:
            with pytest.raises(TemplateError, match=reason):
                learn(made, operation, [7], data, auth, **options)
        with pytest.raises(TemplateError, match=reason):
            made.build_operation(operation, [7], 0, 1, 1, 1, 100, transaction_data=data.to_xdr(), auth=texts)
        assert made.template(KEY) is None
        learn(made, operation, [7], data, auth, consent="simulated")
    for harmless in ([], [authorized(own)]):
        learn(signer(), operation, [7], data, harmless)
    with pytest.raises(ValueError, match="choose `plain` or `simulated`"):
        learn(signer(), operation, [7], data, consent="any")


def test_a_task_that_is_not_written_is_no_run_where_one_is_expected() -> None:
    made, operation = signer(), invoke("execute", [scval.to_address(sdk.KEEPER.public_key), "task"])
    for name in ("Task", "TaskMeta"):
        written = sdk.transaction_data(7, read_write=[make.data_key(make.task_symbol_key(7, name))])
        learn(made, operation, [7], written, [sdk.consent(7)], must_write="task")
    idle = sdk.transaction_data(7, read_write=[])
    idle.resources.footprint.read_only.append(make.data_key(make.task_symbol_key(7)))
    with pytest.raises(TemplateError, match="does not write the entry of task 7"):
        learn(made, operation, [7], idle, [sdk.consent(7)], must_write="task")
    learn(made, operation, [7], idle, [sdk.consent(7)])
    with pytest.raises(ValueError, match="no hole `job`"):
        learn(made, operation, [7], idle, [], must_write="job")


def test_the_generic_path_builds_the_same_execute_as_the_old_one() -> None:
    old, new = signer(), signer()
    data, auth = sdk.transaction_data(7), [sdk.consent(7).to_xdr()]
    old.learn(KEY, 7, data.to_xdr(), auth, 55_555, make.CONTRACT_RAW)
    operation = invoke("execute", [scval.to_address(sdk.KEEPER.public_key), "task"])
    new.learn_call(KEY, operation, [7], data.to_xdr(), auth, 55_555, must_write="task")
    assert new.template_digest(KEY) == old.template_digest(KEY)
    tasks = range(8)
    built = new.build([(KEY, (one,), one % 4, 10 + one, 99, 1_760_000_000) for one in tasks], 100)
    items = [(KEY, one, one % 4, 10 + one, 99, 1_760_000_000) for one in tasks]
    assert built == old.build_executes(make.CONTRACT_RAW, items, 100)
    assert new.simulation_envelope_of(operation, [7], 1, 5) == old.simulation_envelope(
        make.CONTRACT_RAW, 7, 1, 5
    )


@given(
    fee=st.integers(0, 2**31),
    least=st.integers(0, 2**31),
    pad=st.integers(0, 2**30),
    growth=st.integers(0, 2**31),
)
def test_what_grows_is_declared_larger(fee: int, least: int, pad: int, growth: int) -> None:
    made, operation = signer(1), invoke("append", ["window"])
    data = sdk.transaction_data(7, fee_stroops=fee)
    learn(made, operation, [5], data, fee_stroops=least, write_bytes_pad=growth, fee_pad_stroops=pad)
    ((_, text, total),) = made.build([(KEY, (6,), 0, 1, 1, 1)], 11)
    built = TransactionEnvelope.from_xdr(text, sdk.PASSPHRASE).transaction.soroban_data
    data.resources.write_bytes = xdr.Uint32(700 + growth)
    data.resource_fee = xdr.Int64(max(fee, least) + pad)
    assert built == data
    assert total == 11 + max(fee, least) + pad


def test_padding_beyond_what_a_transaction_declares_is_refused() -> None:
    made, operation = signer(1), invoke("append", [])
    with pytest.raises(TemplateError, match="4294967995 bytes to write"):
        learn(made, operation, [], sdk.transaction_data(7), write_bytes_pad=2**32 - 1)
    with pytest.raises(TemplateError, match="4295022850 stroops is impossible"):
        learn(made, operation, [], sdk.transaction_data(7), fee_pad_stroops=2**32 - 1)


@pytest.mark.parametrize("fee", [2**32, 2**63, 2**64, 2**200, -1, -(2**63) - 1])
def test_a_fee_that_cannot_be_is_an_error_of_the_simulation(fee: int) -> None:
    made, operation = signer(1), invoke("run", [])
    data = sdk.transaction_data(7, fee_stroops=-1 if fee < 0 else 5)
    with pytest.raises(TemplateError, match="is impossible"):
        learn(made, operation, [], data, fee_stroops=fee)
    with pytest.raises(TemplateError, match="is impossible"):
        made.build_operation(
            operation, [], 0, 1, 1, 1, 1, transaction_data=data.to_xdr(), min_resource_fee_stroops=fee
        )
    with pytest.raises(TypeError):
        learn(made, operation, [], data, fee_stroops="5")  # type: ignore[arg-type]


def test_a_template_says_what_it_declares() -> None:
    made, operation = signer(), invoke("run", ["task"])
    assert made.template_facts(KEY) is None
    assert made.template_digest(KEY) is None
    shared = make.data_key(scval.to_symbol("Sum"))
    keys = [make.data_key(make.task_symbol_key(7)), shared]
    data = sdk.transaction_data(7, read_write=keys, archived=[1])
    learn(made, operation, [7], data, write_bytes_pad=100, fee_pad_stroops=45)
    facts = made.template_facts(KEY, [9])
    assert facts is not None
    assert (facts.holes, facts.source) == (["task"], "keeper")
    assert facts.resource_fee_stroops == 55_600
    assert (facts.instructions, facts.read_bytes, facts.write_bytes) == (1_234_567, 0, 800)
    assert facts.read_only == [key.to_xdr() for key in data.resources.footprint.read_only]
    assert facts.read_write == [make.data_key(make.task_symbol_key(9)).to_xdr(), shared.to_xdr()]
    assert (facts.archived, facts.reusable) == ([1], False)
    learn(made, operation, [7], sdk.transaction_data(7))
    facts = made.template_facts(KEY)
    assert facts is not None
    assert facts.read_write == [make.data_key(make.task_symbol_key(0)).to_xdr()]
    assert (facts.archived, facts.reusable) == ([], True)
    with pytest.raises(ValueError, match=r"2 values for 1 holes \(task\)"):
        made.template_facts(KEY, [1, 2])


def test_an_archived_entry_beyond_the_footprint_is_refused() -> None:
    with pytest.raises(XdrError, match="archived entry 1 is beyond"):
        learn(signer(), invoke("run", []), [], sdk.transaction_data(7, archived=[1]))


def test_equal_calls_have_equal_templates_whatever_run_they_were_learned_from() -> None:
    made, other = signer(), signer()
    operation = invoke("run", ["task"])
    for into, task_id in ((made, 7), (other, 123_456)):
        consent = authorized(call_of("run", ["task"], {"task": task_id}))
        learn(into, operation, [task_id], sdk.transaction_data(task_id), [consent])
    assert made.template_digest(KEY) == other.template_digest(KEY)
    learn(other, operation, [7], sdk.transaction_data(7, instructions=9))
    assert made.template_digest(KEY) != other.template_digest(KEY)
    learn(
        other,
        invoke("run", ["job"]),
        [7],
        sdk.transaction_data(7),
        [authorized(call_of("run", ["t"], {"t": 7}))],
    )
    assert made.template_digest(KEY) != other.template_digest(KEY)


def fleet_template() -> tuple[_core.Signer, bytes]:
    made = signer()
    learn(
        made,
        invoke("run", ["task"]),
        [7],
        sdk.transaction_data(7),
        [authorized(call_of("run", ["t"], {"t": 7}))],
    )
    return made, made.export_template(KEY)


def test_a_template_serves_the_whole_fleet() -> None:
    made, data = fleet_template()
    other = signer()
    other.import_template(9, data)
    assert other.template_digest(9) == made.template_digest(KEY)
    assert other.export_template(9) == data
    rest = ((8,), 2, 5, 99, 1_760_000_000)
    assert other.build([(9, *rest)], 100) == made.build([(KEY, *rest)], 100)
    assert other.template_facts(9, [3]).read_write == made.template_facts(KEY, [3]).read_write  # type: ignore[union-attr]


def test_a_damaged_or_foreign_template_is_refused() -> None:
    made, data = fleet_template()
    for at in range(len(data)):
        for bad in (data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1 :], data[:at]):
            with pytest.raises(TemplateError):
                made.import_template(5, bad)
    assert made.template(5) is None
    for bad, says in (
        (b"", "this is not a template"),
        (b"x" * 400, "this is not a template"),
        (data[:7] + b"\x02" + data[8:], "version 2; this release reads version 1"),
        (data + b"\x00", "damaged, or was not made by a member"),
        (bytes(300_000), "has 300000 bytes"),
    ):
        with pytest.raises(TemplateError, match=says):
            made.import_template(5, bad)
    stranger = _core.Signer(sdk.PASSPHRASE, Keypair.random().secret, None, 0)
    with pytest.raises(TemplateError, match="another keeper"):
        stranger.import_template(5, data)
    with pytest.raises(TemplateError, match="another network"):
        _core.Signer("another", sdk.KEEPER_SECRET, None, 0).import_template(5, data)
    with pytest.raises(TemplateError, match="simulate the call first"):
        made.export_template(5)


def test_a_template_that_restores_entries_is_not_shared() -> None:
    made = signer()
    learn(made, invoke("run", ["task"]), [7], sdk.transaction_data(7, archived=[0]))
    made.build([(KEY, (7,), 0, 1, 1, 1)], 100)
    with pytest.raises(TemplateError, match="restores archived entries"):
        made.export_template(KEY)


ENTRY = authorized(
    call_of("run", ["t"], {"t": 7}), below=[call_of("pay", ["t"], {"t": 7}, make.TARGET)]
).to_xdr_bytes()
DAMAGED = signer(1)
RUN = invoke("run", ["task"])


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=3), st.booleans())
def test_a_damaged_authorisation_is_an_error_or_one_that_stellar_sdk_reads(
    changes: list[tuple[int, int]], cut: bool
) -> None:
    damaged = bytearray(ENTRY)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    if cut:
        del damaged[changes[0][0] % len(damaged) :]
    text = base64.b64encode(damaged).decode()
    try:
        DAMAGED.learn_call(KEY, RUN, [7], sdk.transaction_data(7).to_xdr(), [text], 1, consent="simulated")
    except (XdrError, TemplateError):
        return
    ((_, envelope, _),) = DAMAGED.build([(KEY, (7,), 0, 1, 1, 1)], 0)
    TransactionEnvelope.from_xdr(envelope, sdk.PASSPHRASE)


def test_a_thousand_calls_below_each_other_are_one_clear_error() -> None:
    entry = authorized(call_of("run", [], {})).to_xdr_bytes()
    invocation = entry[4:-4]
    deep = entry[:4] + (invocation + b"\0\0\0\x01") * 1000 + invocation + b"\0\0\0\0"
    text = base64.b64encode(deep).decode()
    with pytest.raises(XdrError, match="calls below calls, more than 100 deep"):
        signer(1).learn_call(KEY, invoke("run", []), [], sdk.transaction_data(7).to_xdr(), [text], 1)
