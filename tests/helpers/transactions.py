"""What stellar-sdk builds where the core builds an `execute`: the other side of the differential tests."""

from __future__ import annotations

from collections.abc import Sequence

from stellar_sdk import (
    Account,
    Address,
    Keypair,
    LedgerBounds,
    Network,
    Preconditions,
    TimeBounds,
    TransactionBuilder,
    TransactionEnvelope,
    scval,
    xdr,
)
from stellar_sdk.operation import InvokeHostFunction

from helpers import entries as make

PASSPHRASE = Network.STANDALONE_NETWORK_PASSPHRASE
MNEMONIC = "illness spike retreat truth genius clock brain pass fit cave bargain toe"
KEEPER_SECRET = Keypair.from_raw_ed25519_seed(b"k" * 32).secret
KEEPER = Keypair.from_secret(KEEPER_SECRET)


def call(task_id: int, contract: Address = make.CONTRACT, keeper: Keypair = KEEPER) -> xdr.InvokeContractArgs:
    """`execute(keeper, task_id)`."""
    return xdr.InvokeContractArgs(
        contract_address=contract.to_xdr_sc_address(),
        function_name=xdr.SCSymbol(b"execute"),
        args=[scval.to_address(keeper.public_key), scval.to_uint64(task_id)],
    )


def consent(
    task_id: int, *, below: Sequence[xdr.SorobanAuthorizedInvocation] = (), keeper: Keypair = KEEPER
) -> xdr.SorobanAuthorizationEntry:
    """The keeper's plain consent to one run, as its signature under the transaction gives it."""
    return xdr.SorobanAuthorizationEntry(
        credentials=xdr.SorobanCredentials(xdr.SorobanCredentialsType.SOROBAN_CREDENTIALS_SOURCE_ACCOUNT),
        root_invocation=xdr.SorobanAuthorizedInvocation(
            function=xdr.SorobanAuthorizedFunction(
                xdr.SorobanAuthorizedFunctionType.SOROBAN_AUTHORIZED_FUNCTION_TYPE_CONTRACT_FN,
                contract_fn=call(task_id, keeper=keeper),
            ),
            sub_invocations=list(below),
        ),
    )


def code_key(wasm_hash: bytes) -> xdr.LedgerKey:
    """The ledger key of a contract's code."""
    return xdr.LedgerKey(
        xdr.LedgerEntryType.CONTRACT_CODE, contract_code=xdr.LedgerKeyContractCode(xdr.Hash(wasm_hash))
    )


def transaction_data(
    task_id: int,
    *,
    read_write: Sequence[xdr.LedgerKey] | None = None,
    archived: Sequence[int] | None = None,
    fee_stroops: int = 55_555,
    instructions: int = 1_234_567,
) -> xdr.SorobanTransactionData:
    """Resources as a simulation of a task's run gives them."""
    instance = xdr.SCVal(xdr.SCValType.SCV_LEDGER_KEY_CONTRACT_INSTANCE)
    read_only = [make.data_key(instance), make.data_key(instance, make.TARGET), code_key(b"c" * 32)]
    if read_write is None:
        read_write = [make.data_key(make.task_symbol_key(task_id))]
    if archived is None:
        ext = xdr.SorobanTransactionDataExt(0)
    else:
        indices = [xdr.Uint32(one) for one in archived]
        ext = xdr.SorobanTransactionDataExt(1, resource_ext=xdr.SorobanResourcesExtV0(indices))
    return xdr.SorobanTransactionData(
        ext=ext,
        resources=xdr.SorobanResources(
            footprint=xdr.LedgerFootprint(read_only, list(read_write)),
            instructions=xdr.Uint32(instructions),
            disk_read_bytes=xdr.Uint32(0),
            write_bytes=xdr.Uint32(700),
        ),
        resource_fee=xdr.Int64(fee_stroops),
    )


def build_execute(
    *,
    channel: Keypair,
    task_id: int,
    sequence: int,
    max_ledger: int,
    max_time_s: int,
    inclusion_fee_stroops: int,
    data: xdr.SorobanTransactionData,
) -> TransactionEnvelope:
    """The envelope that the core is expected to build, signed by channel and keeper."""
    builder = TransactionBuilder(Account(channel.public_key, sequence - 1), PASSPHRASE, inclusion_fee_stroops)
    function = xdr.HostFunction(
        xdr.HostFunctionType.HOST_FUNCTION_TYPE_INVOKE_CONTRACT, invoke_contract=call(task_id)
    )
    builder.append_operation(InvokeHostFunction(function, [consent(task_id)], source=KEEPER.public_key))
    builder.set_soroban_data(data)
    envelope = builder.add_time_bounds(0, max_time_s).set_ledger_bounds(0, max_ledger).build()
    # With both bounds at their largest the builder still writes them; that they are there is what is wanted.
    envelope.transaction.preconditions = Preconditions(
        time_bounds=TimeBounds(0, max_time_s), ledger_bounds=LedgerBounds(0, max_ledger)
    )
    envelope.transaction.fee = inclusion_fee_stroops + data.resource_fee.int64
    envelope.sign(channel)
    envelope.sign(KEEPER)
    return envelope
