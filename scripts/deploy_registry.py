"""Deploys a task registry by the public Stellar SDK, as on any network, and prints its C… id.

The account of --secret-file pays, and becomes the registry's admin. With --no-init the contract is created and no
more, for wasm that is no registry: the contract a task shall call, for instance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from stellar_sdk import Keypair, SorobanServer, TransactionBuilder, scval
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.exceptions import PrepareTransactionException, SdkError
from stellar_sdk.soroban_rpc import GetTransactionStatus, SendTransactionStatus

VALID_S = 60


def applied(
    server: SorobanServer, source: Keypair, append: Callable[[TransactionBuilder], object]
) -> stellar_xdr.SCVal:
    """Simulates, signs and sends the one operation `append` adds; what it returned, once it is applied."""
    passphrase = server.get_network().passphrase
    builder = TransactionBuilder(server.load_account(source.public_key), passphrase, base_fee=1_000)
    append(builder)
    try:
        transaction = server.prepare_transaction(builder.set_timeout(VALID_S).build())
    except PrepareTransactionException as error:
        reason = error.simulate_transaction_response.error or str(error)
        raise SystemExit(f"the simulation failed: {' '.join(reason.split())[:300]}") from None
    transaction.sign(source)
    sent = server.send_transaction(transaction)
    if sent.status in {SendTransactionStatus.ERROR, SendTransactionStatus.TRY_AGAIN_LATER}:
        raise SystemExit(f"the transaction was refused: {sent.status.value} {sent.error_result_xdr or ''}")
    done = server.poll_transaction(sent.hash, max_attempts=2 * VALID_S)
    if done.status != GetTransactionStatus.SUCCESS or done.result_meta_xdr is None:
        raise SystemExit(f"transaction {sent.hash}: {done.status.value}")
    meta = stellar_xdr.TransactionMeta.from_xdr(done.result_meta_xdr)
    version = meta.v4 or meta.v3
    soroban = version.soroban_meta if version else None
    return (soroban and soroban.return_value) or scval.to_void()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rpc-url", required=True)
    parser.add_argument("--secret-file", type=Path, required=True, help="an S… seed, mode 0600")
    parser.add_argument("--wasm", type=Path, required=True, help="`sorofast-sandbox contract task_registry`")
    parser.add_argument("--no-init", action="store_true", help="only create the contract")
    options = parser.parse_args()
    if options.secret_file.stat().st_mode & 0o077:
        parser.error(f"{options.secret_file} can be used by others; run: chmod 600 {options.secret_file}")
    try:
        source = Keypair.from_secret(options.secret_file.read_text().strip())
    except ValueError:  # its text repeats what was read
        raise SystemExit(f"{options.secret_file} holds no valid S… seed") from None
    admin, wasm = scval.to_address(source.public_key), options.wasm.read_bytes()
    with SorobanServer(options.rpc_url) as server:
        code = scval.from_bytes(applied(server, source, lambda tx: tx.append_upload_contract_wasm_op(wasm)))
        created = applied(server, source, lambda tx: tx.append_create_contract_op(code, source.public_key))
        contract = scval.from_address(created).address
        if not options.no_init:
            arguments = [admin, scval.to_void()]
            applied(
                server, source, lambda tx: tx.append_invoke_contract_function_op(contract, "init", arguments)
            )
    print(contract)


if __name__ == "__main__":
    try:
        main()
    except (OSError, SdkError) as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None
