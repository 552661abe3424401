"""Keys, templates and envelopes: byte for byte what stellar-sdk makes of the same run."""

from __future__ import annotations

import base64
import copy
import hashlib
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import Keypair, Network, TransactionEnvelope, xdr
from stellar_sdk.operation import InvokeHostFunction

from helpers import entries as make
from helpers import transactions as sdk
from sorofast import _core
from sorofast.errors import SecretError, TemplateError, XdrError

CHANNELS = [Keypair.from_mnemonic_phrase(sdk.MNEMONIC, index=index) for index in range(4)]
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)


def signer(channels: int = 4) -> _core.Signer:
    return _core.Signer(sdk.PASSPHRASE, sdk.KEEPER_SECRET, sdk.MNEMONIC, channels)


def learn(
    into: _core.Signer,
    *,
    shape: int = 1,
    task_id: int = 7,
    data: xdr.SorobanTransactionData | None = None,
    auth: list[xdr.SorobanAuthorizationEntry] | None = None,
    fee_stroops: int = 55_555,
) -> int:
    data = sdk.transaction_data(task_id) if data is None else data
    auth = [sdk.consent(task_id)] if auth is None else auth
    texts = [entry.to_xdr() for entry in auth]
    return into.learn(shape, task_id, data.to_xdr(), texts, fee_stroops, make.CONTRACT_RAW)


def test_channels_are_the_accounts_of_the_phrase() -> None:
    made = signer()
    assert made.keeper == sdk.KEEPER.raw_public_key()
    assert made.channels == b"".join(pair.raw_public_key() for pair in CHANNELS)


@settings(max_examples=20)
@given(st.sampled_from([128, 160, 192, 224, 256]), st.integers(0, 5))
def test_any_phrase_gives_the_keys_of_stellar_sdk(strength: int, index: int) -> None:
    phrase = Keypair.generate_mnemonic_phrase(strength=strength)
    made = _core.Signer(sdk.PASSPHRASE, sdk.KEEPER_SECRET, f"  {phrase}\n", index + 1)
    expected = Keypair.from_mnemonic_phrase(phrase, index=index).raw_public_key()
    assert made.channels[32 * index :] == expected


def test_no_secret_is_shown() -> None:
    made = signer()
    assert repr(made) == f"<Signer of keeper {sdk.KEEPER.public_key} with 4 channels>"
    shown = repr(made) + str(vars(type(made)).keys()) + str(dir(made))
    assert sdk.KEEPER_SECRET not in shown
    for attempt in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            attempt(made)


@pytest.mark.parametrize(
    ("secret", "mnemonic", "channels", "says"),
    [
        (sdk.KEEPER_SECRET[:-1], None, 0, "56 characters, this one has 55"),
        (sdk.KEEPER_SECRET[:-1] + "A", None, 0, "checksum"),
        (sdk.KEEPER.public_key, None, 0, "must start with S"),
        (sdk.KEEPER_SECRET, None, 2, "no seed phrase"),
        (sdk.KEEPER_SECRET, "illness spike", 2, "has 2 words"),
        (sdk.KEEPER_SECRET, sdk.MNEMONIC.replace("toe", "tow"), 2, "word 12 of the seed phrase"),
        (sdk.KEEPER_SECRET, sdk.MNEMONIC.replace("toe", "illness"), 2, "checksum of the seed phrase"),
        (sdk.KEEPER_SECRET, sdk.MNEMONIC, 10_001, "at most 10000"),
        (CHANNELS[1].secret, sdk.MNEMONIC, 2, "channel 1 is the keeper's own account"),
    ],
)
def test_a_bad_secret_is_refused_without_being_told(
    secret: str, mnemonic: str | None, channels: int, says: str
) -> None:
    with pytest.raises(SecretError, match=says) as caught:
        _core.Signer(sdk.PASSPHRASE, secret, mnemonic, channels)
    assert secret not in str(caught.value)
    assert "illness" not in str(caught.value)


@given(
    task_id=U64,
    learned_from=U64,
    channel=st.integers(0, 3),
    sequence=st.integers(1, 2**63 - 1),
    max_ledger=U32,
    max_time_s=U64,
    inclusion=st.integers(0, 1_000_000),
    fee=st.integers(0, 2**31),
    archived=st.none() | st.just([0]),
)
def test_an_execute_is_what_stellar_sdk_builds(
    task_id: int,
    learned_from: int,
    channel: int,
    sequence: int,
    max_ledger: int,
    max_time_s: int,
    inclusion: int,
    fee: int,
    archived: list[int] | None,
) -> None:
    made = signer()
    data = sdk.transaction_data(learned_from, fee_stroops=fee, archived=archived)
    learn(made, shape=5, task_id=learned_from, data=data, fee_stroops=fee)
    item = (5, task_id, channel, sequence, max_ledger, max_time_s)
    ((found_hash, text, fee_stroops),) = made.build_executes(make.CONTRACT_RAW, [item], inclusion)
    expected = sdk.build_execute(
        channel=CHANNELS[channel],
        task_id=task_id,
        sequence=sequence,
        max_ledger=max_ledger,
        max_time_s=max_time_s,
        inclusion_fee_stroops=inclusion,
        data=sdk.transaction_data(task_id, fee_stroops=fee, archived=archived),
    )
    assert text == expected.to_xdr()
    assert found_hash == expected.hash()
    assert fee_stroops == inclusion + fee


def test_stellar_sdk_reads_an_execute_and_verifies_both_signatures() -> None:
    made = signer()
    learn(made)
    ((found_hash, text, fee),) = made.build_executes(
        make.CONTRACT_RAW, [(1, 9, 2, 41, 105, 1_760_000_060)], 1_000
    )
    envelope = TransactionEnvelope.from_xdr(text, sdk.PASSPHRASE)
    transaction = envelope.transaction
    assert envelope.hash() == found_hash
    assert (transaction.source.account_id, transaction.sequence) == (CHANNELS[2].public_key, 41)
    assert transaction.fee == fee == 56_555
    assert transaction.preconditions is not None
    assert transaction.preconditions.time_bounds is not None
    assert transaction.preconditions.ledger_bounds is not None
    assert transaction.preconditions.min_sequence_number is None
    assert transaction.preconditions.time_bounds.max_time == 1_760_000_060
    assert transaction.preconditions.ledger_bounds.max_ledger == 105
    (operation,) = transaction.operations
    assert isinstance(operation, InvokeHostFunction)
    assert operation.source is not None
    assert operation.source.account_id == sdk.KEEPER.public_key
    assert operation.auth == [sdk.consent(9)]
    for pair, signature in zip([CHANNELS[2], sdk.KEEPER], envelope.signatures, strict=True):
        assert signature.signature_hint == pair.signature_hint()
        pair.verify(found_hash, signature.signature)


@given(U64, st.integers(0, 3), st.integers(0, 2**63 - 1))
def test_what_a_simulation_is_asked(task_id: int, channel: int, sequence: int) -> None:
    text = signer().simulation_envelope(make.CONTRACT_RAW, task_id, channel, sequence)
    envelope = TransactionEnvelope.from_xdr(text, sdk.PASSPHRASE)
    assert envelope.to_xdr() == text
    assert envelope.signatures == []
    assert envelope.transaction.sequence == sequence
    assert envelope.transaction.source.account_id == CHANNELS[channel].public_key
    (operation,) = envelope.transaction.operations
    assert isinstance(operation, InvokeHostFunction)
    assert operation.source is not None
    assert operation.source.account_id == sdk.KEEPER.public_key
    assert operation.auth == []
    assert operation.host_function.invoke_contract == sdk.call(task_id)


def test_only_the_registrys_own_keys_have_holes() -> None:
    made = signer()
    elsewhere = make.data_key(make.task_symbol_key(7, "Bump"), make.TARGET)
    another = make.data_key(make.task_symbol_key(8))

    def keys(task_id: int) -> list[xdr.LedgerKey]:
        own = [make.task_symbol_key(task_id, name) for name in ("Task", "TaskStatus", "TaskMeta")]
        return [*map(make.data_key, own), elsewhere, another]

    learn(made, data=sdk.transaction_data(7, read_write=keys(7)))
    ((_, text, _),) = made.build_executes(make.CONTRACT_RAW, [(1, 9, 0, 1, 1, 1)], 0)
    built = TransactionEnvelope.from_xdr(text, sdk.PASSPHRASE).transaction.soroban_data
    assert built == sdk.transaction_data(9, read_write=keys(9))


def test_equal_templates_are_stored_once() -> None:
    made = signer()
    first = learn(made, shape=1, task_id=7)
    assert learn(made, shape=2, task_id=8) == first
    other = learn(made, shape=3, data=sdk.transaction_data(7, instructions=9))
    assert other != first
    assert (made.template(1), made.template(2), made.template(3)) == (first, first, other)
    made.forget(1)
    made.forget(99)
    assert (made.template(1), made.template(2)) == (None, first)
    assert learn(made, shape=2, data=sdk.transaction_data(7, instructions=9)) == other
    with pytest.raises(TemplateError, match="shape 1 of task 4 has no template"):
        made.build_executes(make.CONTRACT_RAW, [(1, 4, 0, 1, 1, 1)], 100)


def test_a_higher_minimum_fee_is_declared() -> None:
    made = signer()
    learn(made, fee_stroops=60_000)
    ((_, text, fee),) = made.build_executes(make.CONTRACT_RAW, [(1, 7, 0, 1, 1, 1)], 100)
    assert fee == 60_100
    data = TransactionEnvelope.from_xdr(text, sdk.PASSPHRASE).transaction.soroban_data
    assert data is not None
    assert data.resource_fee.int64 == 60_000


def test_what_is_no_template() -> None:
    made = signer()
    with pytest.raises(TemplateError, match="does not write the entry of task 7"):
        learn(made, data=sdk.transaction_data(7, read_write=[make.data_key(make.task_symbol_key(8))]))
    nested = sdk.consent(7).root_invocation
    for auth in ([], [sdk.consent(8)], [sdk.consent(7)] * 2, [sdk.consent(7, below=[nested])]):
        with pytest.raises(TemplateError, match="plain consent"):
            learn(made, auth=auth)
    with pytest.raises(TemplateError, match="plain consent"):
        learn(made, auth=[sdk.consent(7, keeper=CHANNELS[0])])
    for fee in (2**32, -1):
        with pytest.raises(TemplateError, match="is impossible"):
            learn(made, data=sdk.transaction_data(7, fee_stroops=fee), fee_stroops=fee)
    with pytest.raises(XdrError, match="base64"):
        made.learn(1, 7, "####", [sdk.consent(7).to_xdr()], 1, make.CONTRACT_RAW)
    with pytest.raises(XdrError, match="cut short"):
        made.learn(1, 7, "AAAA", [sdk.consent(7).to_xdr()], 1, make.CONTRACT_RAW)
    assert made.template(1) is None


DATA = sdk.transaction_data(7).to_xdr_bytes()
DAMAGED = signer(1)


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=3), st.booleans())
def test_damaged_transaction_data_is_an_error_or_a_template(
    changes: list[tuple[int, int]], cut: bool
) -> None:
    damaged = bytearray(DATA)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    if cut:
        del damaged[changes[0][0] % len(damaged) :]
    made = DAMAGED
    text = base64.b64encode(damaged).decode()
    try:
        made.learn(1, 7, text, [sdk.consent(7).to_xdr()], 1, make.CONTRACT_RAW)
    except (XdrError, TemplateError):
        return
    ((_, envelope, _),) = made.build_executes(make.CONTRACT_RAW, [(1, 7, 0, 1, 1, 1)], 0)
    TransactionEnvelope.from_xdr(envelope, sdk.PASSPHRASE)


def test_what_cannot_be_built() -> None:
    made = signer()
    learn(made)
    build = made.build_executes
    assert build(make.CONTRACT_RAW, [], 100) == []
    with pytest.raises(IndexError, match="channel 4 of 4 does not exist"):
        build(make.CONTRACT_RAW, [(1, 7, 4, 1, 1, 1)], 100)
    with pytest.raises(IndexError, match="channel 4 of 4 does not exist"):
        made.simulation_envelope(make.CONTRACT_RAW, 7, 4, 1)
    with pytest.raises(TemplateError, match="does not fit a transaction"):
        build(make.CONTRACT_RAW, [(1, 7, 0, 1, 1, 1)], 2**32 - 1)
    with pytest.raises(ValueError, match="0 is no sequence number"):
        build(make.CONTRACT_RAW, [(1, 7, 0, 0, 1, 1)], 100)
    with pytest.raises(OverflowError):
        build(make.CONTRACT_RAW, [(1, 7, 0, 2**63, 1, 1)], 100)
    with pytest.raises(ValueError, match="contract has 5 bytes"):
        build(b"short", [], 100)


def test_another_network_is_another_signature() -> None:
    both = [signer(), _core.Signer(Network.TESTNET_NETWORK_PASSPHRASE, sdk.KEEPER_SECRET, sdk.MNEMONIC, 4)]
    for made in both:
        learn(made)
    one, other = (made.build_executes(make.CONTRACT_RAW, [(1, 7, 0, 1, 1, 1)], 1)[0] for made in both)
    assert one[0] != other[0]
    assert _core.network_id(sdk.PASSPHRASE) == Network(sdk.PASSPHRASE).network_id()
    assert _core.network_id("") == hashlib.sha256(b"").digest()
