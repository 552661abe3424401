"""Building and signing a hundred executes: as tasks, as calls with named holes, and by stellar-sdk on the same runs.

Beside them libsodium's two signatures of each run's hash, and nothing else. Of the core's time its own two signatures
are about 85 in a hundred (`cargo bench -p sorofast-core --bench sign` tells them apart), so how many runs a second it
makes is a matter of the host's processor; how it compares to libsodium is not.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nacl.bindings import crypto_sign
from stellar_sdk import Keypair, TransactionEnvelope, scval

from helpers import entries as make
from helpers import transactions as sdk
from sorofast import _core

RUNS = 100
CHANNELS = 20
GROUP = "build and sign an execute"
LIBSODIUM = "libsodium, the two signatures alone"
PAIRS = [Keypair.from_mnemonic_phrase(sdk.MNEMONIC, index=index) for index in range(CHANNELS)]
SIGNER = _core.Signer(sdk.PASSPHRASE, sdk.KEEPER_SECRET, sdk.MNEMONIC, CHANNELS)
SIMULATED = sdk.transaction_data(5).to_xdr(), [sdk.consent(5).to_xdr()], 55_555
SIGNER.learn(1, 5, *SIMULATED, make.CONTRACT_RAW)
CALL = _core.Operation.invoke(
    make.CONTRACT_RAW, "execute", [scval.to_address(sdk.KEEPER.public_key).to_xdr_bytes(), "task"]
)
SIGNER.learn_call(2, CALL, [5], *SIMULATED, must_write="task")
TASKS = [(1, 1000 + one, one % CHANNELS, 77 + one, 120, 1_760_000_030) for one in range(RUNS)]
CALLS = [(2, (1000 + one,), one % CHANNELS, 77 + one, 120, 1_760_000_030) for one in range(RUNS)]

DATA = [sdk.transaction_data(item[1]) for item in TASKS]
"""Resources per run, ready made, as the core's template is."""


def as_tasks() -> list[tuple[bytes, str, int]]:
    return SIGNER.build_executes(make.CONTRACT_RAW, TASKS, 1000)


def as_calls() -> list[tuple[bytes, str, int]]:
    return SIGNER.build(CALLS, 1000)


def by_stellar_sdk() -> list[tuple[bytes, str, int]]:
    built = []
    for (_, task_id, channel, sequence, max_ledger, max_time_s), data in zip(TASKS, DATA, strict=True):
        envelope = sdk.build_execute(
            channel=PAIRS[channel],
            task_id=task_id,
            sequence=sequence,
            max_ledger=max_ledger,
            max_time_s=max_time_s,
            inclusion_fee_stroops=1000,
            data=data,
        )
        built.append((envelope.hash(), envelope.to_xdr(), envelope.transaction.fee))
    return built


HASHES = [tx_hash for tx_hash, _, _ in as_tasks()]
SECRETS = [pair.raw_secret_key() + pair.raw_public_key() for pair in PAIRS]
KEEPER_SECRET = sdk.KEEPER.raw_secret_key() + sdk.KEEPER.raw_public_key()


def signatures_by_libsodium() -> list[list[bytes]]:
    """Both signatures of each run, each followed by the hash it signs."""
    return [
        [crypto_sign(tx_hash, SECRETS[task[2]]), crypto_sign(tx_hash, KEEPER_SECRET)]
        for tx_hash, task in zip(HASHES, TASKS, strict=True)
    ]


WAYS = {"stellar-sdk": by_stellar_sdk, "core": as_calls, "core, as tasks": as_tasks}


@pytest.mark.parametrize("who", WAYS)
def test_build_executes(who: str, compare: Callable[[str, str, int, Callable[[], object]], None]) -> None:
    assert as_calls() == as_tasks() == by_stellar_sdk()
    compare(GROUP, who, RUNS, WAYS[who])


def test_signatures(compare: Callable[[str, str, int, Callable[[], object]], None]) -> None:
    for (_, text, _), signed in zip(as_tasks(), signatures_by_libsodium(), strict=True):
        envelope = TransactionEnvelope.from_xdr(text, sdk.PASSPHRASE)
        assert [one.signature for one in envelope.signatures] == [one[:64] for one in signed]
    compare(GROUP, LIBSODIUM, RUNS, signatures_by_libsodium)
