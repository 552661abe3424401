"""Writes transactions with their hashes and signatures, made by stellar-sdk: `python tests/vectors/transactions.py`.

The values are those of two SDKs that nobody here wrote: this one makes them, a test of the JavaScript SDK takes each
apart, builds it again and comes to the same bytes, hash and signatures. ed25519 signatures are deterministic. Every
transaction has an account of its own, so that a sandbox can take all of them into one queue.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stellar_sdk import (
    Account,
    Address,
    Asset,
    AuthorizationFlag,
    FeeBumpTransactionEnvelope,
    Keypair,
    MuxedAccount,
    Network,
    SignedPayloadSigner,
    SignerKey,
    SorobanDataBuilder,
    StrKey,
    TransactionBuilder,
    TransactionEnvelope,
    __version__,
    scval,
)
from stellar_sdk import xdr as stellar_xdr
from stellar_sdk.auth import authorize_entry

PATH = Path(__file__).with_name("transactions.json")
PASSPHRASE = Network.STANDALONE_NETWORK_PASSPHRASE
SEQUENCE = 2**33 + 7
"""What the accounts have used; the transactions have the next one."""
FAR = 4_000_000_000
HASH = hashlib.sha256(b"memo").digest()
PREIMAGE = b"what the hash is of"
CONTRACT = StrKey.encode_contract(hashlib.sha256(b"contract").digest())

Envelope = TransactionEnvelope | FeeBumpTransactionEnvelope


def key(name: str) -> Keypair:
    """Keys of nobody: their seeds are hashes of names."""
    return Keypair.from_raw_ed25519_seed(hashlib.sha256(f"vector {name}".encode()).digest())


BOB = key("bob")


def start(source: Keypair | MuxedAccount, fee: int = 100, *, v1: bool = True) -> TransactionBuilder:
    account = source if isinstance(source, MuxedAccount) else source.public_key
    return TransactionBuilder(Account(account, SEQUENCE), PASSPHRASE, fee, v1).add_time_bounds(0, FAR)


def pay(builder: TransactionBuilder, to: str | MuxedAccount = BOB.public_key) -> TransactionBuilder:
    return builder.append_payment_op(to, Asset.native(), "12.3456789")


def bump(inner: TransactionEnvelope, source: Keypair, payer: MuxedAccount | None = None) -> Envelope:
    inner.sign(source)
    return TransactionBuilder.build_fee_bump_transaction(payer or BOB, 1_000, inner, PASSPHRASE)


def conditions(builder: TransactionBuilder) -> TransactionBuilder:
    payload = SignedPayloadSigner(BOB.public_key, b"payload")
    builder.set_ledger_bounds(1, 2**32 - 1).set_min_sequence_number(1).set_min_sequence_age(0)
    builder.set_min_sequence_ledger_gap(0)
    builder.add_extra_signer(SignerKey.sha256_hash(hashlib.sha256(PREIMAGE).digest()))
    return builder.add_extra_signer(SignerKey.ed25519_signed_payload(payload))


def resources(builder: TransactionBuilder, **footprint: list[stellar_xdr.LedgerKey]) -> TransactionBuilder:
    data = SorobanDataBuilder().set_resources(1_000_000, 0, 1_000).set_resource_fee(5_000_000)
    data.set_read_only(footprint.get("reads", [])).set_read_write(footprint.get("writes", []))
    return builder.set_soroban_data(data.build())


def contract_key(name: str) -> stellar_xdr.LedgerKey:
    data = stellar_xdr.LedgerKeyContractData(
        Address(CONTRACT).to_xdr_sc_address(),
        scval.to_symbol(name),
        stellar_xdr.ContractDataDurability.PERSISTENT,
    )
    return stellar_xdr.LedgerKey(stellar_xdr.LedgerEntryType.CONTRACT_DATA, contract_data=data)


def authorized(source: Keypair, *, upgraded: bool) -> Envelope:
    """A call that another account authorizes, by either form of credentials."""
    arguments = stellar_xdr.InvokeContractArgs(
        Address(CONTRACT).to_xdr_sc_address(),
        stellar_xdr.SCSymbol(b"act"),
        [scval.to_address(BOB.public_key), scval.to_int128(-(2**100)), scval.to_bytes(b"\x00\xff")],
    )
    invocation = stellar_xdr.SorobanAuthorizedInvocation(
        stellar_xdr.SorobanAuthorizedFunction(
            stellar_xdr.SorobanAuthorizedFunctionType.SOROBAN_AUTHORIZED_FUNCTION_TYPE_CONTRACT_FN,
            contract_fn=arguments,
        ),
        [],
    )
    unsigned = stellar_xdr.SorobanAddressCredentials(
        Address(BOB.public_key).to_xdr_sc_address(),
        stellar_xdr.Int64(-5),
        stellar_xdr.Uint32(0),
        scval.to_void(),
    )
    kinds = stellar_xdr.SorobanCredentialsType
    credentials = (
        stellar_xdr.SorobanCredentials(kinds.SOROBAN_CREDENTIALS_ADDRESS_V2, address_v2=unsigned)
        if upgraded
        else stellar_xdr.SorobanCredentials(kinds.SOROBAN_CREDENTIALS_ADDRESS, address=unsigned)
    )
    entry = authorize_entry(
        stellar_xdr.SorobanAuthorizationEntry(credentials, invocation), BOB, 1_000_000, PASSPHRASE
    )
    builder = start(source).append_invoke_contract_function_op(CONTRACT, "act", arguments.args, auth=[entry])
    return resources(builder, writes=[contract_key("act")]).build()


def options(source: Keypair) -> Envelope:
    """The small operations on accounts, in one transaction."""
    me = source.public_key
    builder = start(source)
    builder.append_set_options_op(
        home_domain="example.com",
        low_threshold=1,
        master_weight=2,
        clear_flags=AuthorizationFlag.AUTHORIZATION_REQUIRED,
    )
    builder.append_ed25519_public_key_signer(key("second").public_key, 1)
    builder.append_hashx_signer(hashlib.sha256(PREIMAGE).digest(), 1)
    builder.append_pre_auth_tx_signer(HASH, 1)
    builder.append_manage_data_op("name", b"value").append_bump_sequence_op(1)
    builder.append_begin_sponsoring_future_reserves_op(BOB.public_key)
    builder.append_create_account_op(key("new").public_key, "2")
    builder.append_end_sponsoring_future_reserves_op(source=BOB.public_key)
    builder.append_change_trust_op(Asset("USD", BOB.public_key), "10")
    return builder.append_account_merge_op(BOB.public_key, source=me).build()


CASES: dict[str, Callable[[Keypair], Envelope]] = {
    "payment": lambda me: pay(start(me)).build(),
    "version 0": lambda me: pay(start(me, v1=False)).build(),
    "text memo": lambda me: pay(start(me)).add_text_memo("für die Miete").build(),
    "id memo": lambda me: pay(start(me)).add_id_memo(2**64 - 1).build(),
    "hash memo": lambda me: pay(start(me)).add_hash_memo(HASH).build(),
    "return memo": lambda me: pay(start(me)).add_return_hash_memo(HASH).build(),
    "muxed source": lambda me: pay(start(MuxedAccount(me.public_key, 2**64 - 1))).build(),
    "muxed destination": lambda me: pay(start(me), MuxedAccount(BOB.public_key, 0)).build(),
    "muxed operation source": lambda me: (
        start(me)
        .append_payment_op(BOB.public_key, Asset.native(), "1", MuxedAccount(me.public_key, 5))
        .build()
    ),
    "preconditions": lambda me: conditions(pay(start(me))).build(),
    "account operations": options,
    "fee-bump": lambda me: bump(pay(start(me)).build(), me),
    "fee-bump of version 0": lambda me: bump(pay(start(me, v1=False)).build(), me),
    "fee-bump of a muxed payer": lambda me: bump(pay(start(me)).build(), me, MuxedAccount(BOB.public_key, 9)),
    "upload": lambda me: resources(start(me).append_upload_contract_wasm_op(b"\0asm\1\0\0\0")).build(),
    "creation": lambda me: resources(
        start(me).append_create_contract_op(HASH, me.public_key, [scval.to_uint32(1)], salt=HASH)
    ).build(),
    "asset contract": lambda me: resources(
        start(me).append_create_stellar_asset_contract_from_asset_op(Asset.native())
    ).build(),
    "call with an address's consent": lambda me: authorized(me, upgraded=False),
    "call with an address's consent, version 2": lambda me: authorized(me, upgraded=True),
    "extension": lambda me: resources(
        start(me).append_extend_footprint_ttl_op(1_000), reads=[contract_key("one")]
    ).build(),
    "restoration": lambda me: resources(
        start(me).append_restore_footprint_op(), writes=[contract_key("one")]
    ).build(),
    "fee-bump of a call": lambda me: bump(
        resources(
            start(me).append_invoke_contract_function_op(CONTRACT, "act", []), writes=[contract_key("x")]
        ).build(),
        me,
    ),
}


def case(name: str, make: Callable[[Keypair], Envelope]) -> dict[str, Any]:
    source = key(name)
    envelope = make(source)
    signers = [BOB] if isinstance(envelope, FeeBumpTransactionEnvelope) else [source]
    if name == "account operations":
        signers.append(BOB)
    for signer in signers:
        envelope.sign(signer)
    if name == "preconditions":
        envelope.sign_hashx(PREIMAGE)
        envelope.sign_extra_signers_payload(BOB)
    made: dict[str, Any] = {"name": name, "source": source.public_key}
    if isinstance(envelope, FeeBumpTransactionEnvelope):
        made["inner_hash"] = envelope.transaction.inner_transaction_envelope.hash_hex()
    return {
        **made,
        "signers": [signer.secret for signer in signers],
        "hash": envelope.hash_hex(),
        "signatures": [one.signature.hex() for one in envelope.signatures],
        "envelope": envelope.to_xdr(),
    }


def document() -> str:
    """The file's text."""
    head = {
        "origin": f"stellar-sdk {__version__} for Python; taken apart and made again by the SDK for JavaScript",
        "network_passphrase": PASSPHRASE,
        "sequence": str(SEQUENCE),
        "payer": BOB.public_key,
    }
    cases = [case(name, make) for name, make in CASES.items()]
    return json.dumps({**head, "cases": cases}, indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
