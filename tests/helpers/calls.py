"""Calls of any contract: as the core is told of them, and as stellar-sdk builds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stellar_sdk import (
    Account,
    Address,
    Keypair,
    LedgerBounds,
    Preconditions,
    TimeBounds,
    TransactionBuilder,
    TransactionEnvelope,
    scval,
    xdr,
)
from stellar_sdk.operation import Operation as SdkOperation

from helpers import entries as make
from helpers import transactions as sdk
from sorofast import _core

CHANNELS = [Keypair.from_mnemonic_phrase(sdk.MNEMONIC, index=index) for index in range(4)]
KEY = 0xABCD_0000_0001
"""The key that templates are learned under."""


def signer(channels: int = 4) -> _core.Signer:
    """A signer with the keeper and the channels of the tests."""
    return _core.Signer(sdk.PASSPHRASE, sdk.KEEPER_SECRET, sdk.MNEMONIC, channels)


def invoke(
    function: str, args: Sequence[xdr.SCVal | str], contract: bytes = make.CONTRACT_RAW
) -> _core.Operation:
    """The operation that calls a function; an argument that is text names a hole."""
    given = [one if isinstance(one, str) else one.to_xdr_bytes() for one in args]
    return _core.Operation.invoke(contract, function, given)


def call_of(
    function: str, args: Sequence[xdr.SCVal | str], values: dict[str, int], contract: Address = make.CONTRACT
) -> xdr.InvokeContractArgs:
    """The same call as stellar-sdk writes it, its holes filled."""
    filled = [scval.to_uint64(values[one]) if isinstance(one, str) else one for one in args]
    return xdr.InvokeContractArgs(contract.to_xdr_sc_address(), xdr.SCSymbol(function.encode()), filled)


def authorized(
    call: xdr.InvokeContractArgs, below: Sequence[xdr.InvokeContractArgs] = ()
) -> xdr.SorobanAuthorizationEntry:
    """Consent by the source account to a call and to those right below it."""

    def invocation(
        one: xdr.InvokeContractArgs, subs: list[xdr.SorobanAuthorizedInvocation]
    ) -> xdr.SorobanAuthorizedInvocation:
        kind = xdr.SorobanAuthorizedFunctionType.SOROBAN_AUTHORIZED_FUNCTION_TYPE_CONTRACT_FN
        return xdr.SorobanAuthorizedInvocation(xdr.SorobanAuthorizedFunction(kind, contract_fn=one), subs)

    return xdr.SorobanAuthorizationEntry(
        xdr.SorobanCredentials(xdr.SorobanCredentialsType.SOROBAN_CREDENTIALS_SOURCE_ACCOUNT),
        invocation(call, [invocation(one, []) for one in below]),
    )


def envelope_of(
    operation: SdkOperation,
    *,
    channel: int,
    sequence: int,
    data: xdr.SorobanTransactionData | None,
    bounds: tuple[int, int] | None,
    fee: int,
    signers: Sequence[Keypair],
) -> TransactionEnvelope:
    """An envelope as stellar-sdk builds it."""
    builder = TransactionBuilder(Account(CHANNELS[channel].public_key, sequence - 1), sdk.PASSPHRASE, 100)
    builder.append_operation(operation)
    if data is not None:
        builder.set_soroban_data(data)
    builder.set_timeout(0)
    envelope = builder.build()
    envelope.transaction.preconditions = None if bounds is None else Preconditions(
        time_bounds=TimeBounds(0, bounds[1]), ledger_bounds=LedgerBounds(0, bounds[0])
    )  # fmt: skip
    envelope.transaction.fee = fee
    for pair in signers:
        envelope.sign(pair)
    return envelope


def host_function(call: xdr.InvokeContractArgs) -> xdr.HostFunction:
    """The host function that makes a call."""
    return xdr.HostFunction(xdr.HostFunctionType.HOST_FUNCTION_TYPE_INVOKE_CONTRACT, invoke_contract=call)


def learn(
    into: _core.Signer,
    operation: _core.Operation,
    values: Sequence[int],
    data: xdr.SorobanTransactionData,
    auth: Sequence[xdr.SorobanAuthorizationEntry] = (),
    fee_stroops: int = 1,
    **options: Any,
) -> int:
    """Learns a template under `KEY`."""
    texts = [entry.to_xdr() for entry in auth]
    return into.learn_call(KEY, operation, list(values), data.to_xdr(), texts, fee_stroops, **options)
