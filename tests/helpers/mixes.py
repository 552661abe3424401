"""Transactions for random histories: valid ones, and ones with a single flaw and the answer it must get."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from stellar_sdk import (
    Account,
    Address,
    Asset,
    FeeBumpTransactionEnvelope,
    Keypair,
    MuxedAccount,
    Network,
    TimeBounds,
    TransactionBuilder,
    TransactionEnvelope,
    scval,
)
from stellar_sdk import xdr as stellar_xdr

from helpers.chain import PASSPHRASE, ROOT, Chain
from helpers.network import REPOSITORY

AnyEnvelope = TransactionEnvelope | FeeBumpTransactionEnvelope
NATIVE = Asset.native().contract_id(PASSPHRASE)
XLM = 10_000_000
CONTRACTS = REPOSITORY / "rust" / "sorofast-sandbox" / "wasm"
INSTRUCTIONS_MAX = 400_000_000
BYTES_MAX = 132_096


def keypair(name: str) -> Keypair:
    return Keypair.from_raw_ed25519_seed(hashlib.sha256(f"random history: {name}".encode()).digest())


KEYS = tuple(keypair(str(number)) for number in range(8))
"""The accounts of a history; the last two are not made at its start."""
RICH, MADE = 5, 6
STRANGER = keypair("stranger")
BY_ADDRESS = {key.public_key: key for key in KEYS}

CLASSIC = ("payment", "muxed payment", "create", "for another", "merge", "jump", "data", "no data")
CALLS = ("bump", "increment", "transfer", "to contract")
FLAWS = {
    "sequence too high": "txBAD_SEQ",
    "sequence too low": "txBAD_SEQ",
    "another's signature": "txBAD_AUTH",
    "no signature": "txBAD_AUTH",
    "one signature more": "txBAD_AUTH_EXTRA",
    "too late": "txTOO_LATE",
    "too early": "txTOO_EARLY",
    "fee too low": "txINSUFFICIENT_FEE",
    "no account": "txNO_ACCOUNT",
}
CALL_FLAWS = {
    "too many instructions": "txSOROBAN_INVALID",
    "too many bytes": "txSOROBAN_INVALID",
    "resource fee too low": "txSOROBAN_INVALID",
}


LOOKED_AT_BEFORE = {"txTOO_LATE", "txTOO_EARLY", "txINSUFFICIENT_FEE", "txSOROBAN_INVALID"}
"""What is refused before anybody looks for the source."""


@dataclass
class Plan:
    """What a transaction is to be; drawn at random."""

    kind: str
    source: int
    other: int
    stroops: int = XLM
    flaw: str | None = None
    fee: int = 100
    heavy: bool = False
    """Declares all the instructions a transaction may, so that few of them fit into a ledger."""
    short_lived: bool = False
    fee_source: int | None = None
    """Wrapped into a fee-bump that this account pays."""


@dataclass
class Sent:
    """One transaction, and what it does when it succeeds."""

    envelope: TransactionEnvelope | FeeBumpTransactionEnvelope
    source: str
    fee_source: str
    sequence: int
    max_fee: int
    refusal: str | None
    """The code that it must be refused with."""
    moves: list[tuple[str, int]] = field(default_factory=list)
    """Stroops that come to an account or a contract, or leave it."""
    created: tuple[str, int] | None = None
    is_call: bool = False
    merged_into: str | None = None
    sequence_after: int = 0
    entries_after: int | None = None
    """Entries that the source has beside its account."""

    @property
    def hash(self) -> str:
        return self.envelope.hash_hex()


@dataclass
class World:
    """What a plan is made against."""

    chain: Chain
    counter: str
    sequences: dict[str, int]
    close_time: int


def start(source: Keypair | MuxedAccount, sequence: int, fee: int = 100) -> TransactionBuilder:
    """A transaction with that very sequence, without bounds."""
    account = source if isinstance(source, MuxedAccount) else source.public_key
    return TransactionBuilder(Account(account, sequence - 1), PASSPHRASE, fee).add_time_bounds(0, 0)


def prepare(chain: Chain, envelope: TransactionEnvelope) -> TransactionEnvelope | None:
    """With the footprint, resources and fee of a simulation; None when the simulation fails."""
    answer = chain.rpc("simulateTransaction", transaction=envelope.to_xdr())
    if "error" in answer:
        return None
    data = stellar_xdr.SorobanTransactionData.from_xdr(answer["transactionData"])
    envelope.transaction.soroban_data = data
    envelope.transaction.fee += data.resource_fee.int64
    envelope.transaction.operations[0].auth = [
        stellar_xdr.SorobanAuthorizationEntry.from_xdr(entry) for entry in answer["results"][0]["auth"] or []
    ]
    return envelope


def payment(plan: Plan, builder: TransactionBuilder, sent: Sent) -> None:
    receiver = KEYS[plan.other].public_key
    destination = MuxedAccount(receiver, 2**64 - 1) if plan.kind == "muxed payment" else receiver
    builder.append_payment_op(destination, Asset.native(), amount(plan.stroops))
    if receiver != sent.source:  # a payment to oneself succeeds whatever the balance is
        sent.moves = [(sent.source, -plan.stroops), (receiver, plan.stroops)]


def create(plan: Plan, builder: TransactionBuilder, sent: Sent) -> None:
    made = KEYS[plan.other].public_key
    builder.append_create_account_op(made, amount(plan.stroops))
    sent.moves, sent.created = [(sent.source, -plan.stroops)], (made, plan.stroops)
    if made == sent.source and sent.refusal in {None, "txBAD_AUTH_EXTRA"}:
        sent.refusal = "txFAILED"  # malformed, which is looked at before spare signatures


def for_another(plan: Plan, builder: TransactionBuilder, sent: Sent) -> None:
    """An operation of another account beside one of the source; both sign."""
    other, back = KEYS[plan.other].public_key, (plan.stroops + 1) // 2
    builder.append_payment_op(other, Asset.native(), amount(plan.stroops))
    builder.append_payment_op(sent.source, Asset.native(), amount(back), source=other)
    if other != sent.source:
        sent.moves = [(sent.source, back - plan.stroops), (other, plan.stroops - back)]


def merge(plan: Plan, builder: TransactionBuilder, sent: Sent) -> None:
    into = KEYS[plan.other].public_key
    builder.append_account_merge_op(into)
    sent.merged_into = into
    if into == sent.source and sent.refusal in {None, "txBAD_AUTH_EXTRA"}:
        sent.refusal = "txFAILED"


def jump(plan: Plan, builder: TransactionBuilder, sent: Sent) -> None:
    to = min(plan.stroops, 2**62)  # the account is to have a next one
    sent.sequence_after = max(sent.sequence, to)
    builder.append_bump_sequence_op(to)


def data(plan: Plan, builder: TransactionBuilder, sent: Sent) -> None:
    sent.entries_after = 1 if plan.kind == "data" else 0
    builder.append_manage_data_op("name", b"value" if plan.kind == "data" else None)


CLASSIC_KINDS: dict[str, Callable[[Plan, TransactionBuilder, Sent], None]] = {
    "payment": payment,
    "muxed payment": payment,
    "create": create,
    "for another": for_another,
    "merge": merge,
    "jump": jump,
    "data": data,
    "no data": data,
}


def call(plan: Plan, builder: TransactionBuilder, sent: Sent, counter: str) -> None:
    if plan.kind == "increment":
        builder.append_invoke_contract_function_op(counter, "increment", [])
    elif plan.kind == "bump":
        builder.append_invoke_contract_function_op(counter, "bump", [scval.to_uint64(plan.other)])
    else:
        receiver = counter if plan.kind == "to contract" else KEYS[plan.other].public_key
        arguments = [scval.to_address(sent.source), scval.to_address(receiver), scval.to_int128(plan.stroops)]
        builder.append_invoke_contract_function_op(NATIVE, "transfer", arguments)
        sent.moves = [(sent.source, -plan.stroops), (receiver, plan.stroops)]


def amount(stroops: int) -> str:
    return f"{stroops // XLM}.{stroops % XLM:07}"


def make(plan: Plan, world: World) -> Sent | None:
    """The transaction that is asked for; None when there cannot be one (a call that fails in its simulation)."""
    key = STRANGER if plan.flaw == "no account" else KEYS[plan.source]
    sequence = world.sequences.get(key.public_key, 0) + 1
    sequence += {"sequence too high": 1, "sequence too low": -1}.get(plan.flaw or "", 0)
    refusal = FLAWS.get(plan.flaw or "") or CALL_FLAWS.get(plan.flaw or "")
    if key.public_key not in world.sequences and refusal not in LOOKED_AT_BEFORE:
        refusal = "txNO_ACCOUNT"
    builder = start(key, sequence, plan.fee)
    sent = Sent(None, key.public_key, key.public_key, sequence, 0, refusal)  # type: ignore[arg-type]
    sent.is_call = plan.kind in CALLS
    signers = [key]
    if plan.kind in CALLS:
        call(plan, builder, sent, world.counter)
        if plan.flaw == "no account":
            return None
        envelope = prepare(world.chain, builder.build())
        if envelope is None:
            return None
        spoil_resources(plan, envelope)
    else:
        CLASSIC_KINDS[plan.kind](plan, builder, sent)
        envelope = builder.build()
        if plan.kind == "for another" and plan.other != plan.source:
            signers.append(KEYS[plan.other])
    sent.envelope = envelope
    spoil(plan, world, envelope)
    for signer in [STRANGER] if plan.flaw == "another's signature" else signers:
        if plan.flaw != "no signature":
            envelope.sign(signer)
    if plan.flaw == "one signature more":
        envelope.sign(STRANGER)
    sent.max_fee = envelope.transaction.fee
    if plan.fee_source is not None:
        wrap(plan, world, sent, envelope)
    return sent


def wrap(plan: Plan, world: World, sent: Sent, inner: TransactionEnvelope) -> None:
    """A fee-bump over it, which bids ten times as much."""
    payer = KEYS[plan.fee_source or 0]
    bump = TransactionBuilder.build_fee_bump_transaction(payer, plan.fee * 10, inner, PASSPHRASE)
    bump.sign(payer)
    sent.envelope, sent.fee_source, sent.max_fee = bump, payer.public_key, bump.transaction.fee
    if plan.flaw == "fee too low" and sent.refusal == FLAWS["fee too low"]:
        sent.refusal = None if sent.source in world.sequences else "txNO_ACCOUNT"  # the bump pays for both
    if payer.public_key not in world.sequences:
        sent.refusal = "txNO_ACCOUNT"
    elif sent.refusal is not None:
        sent.refusal = "txFEE_BUMP_INNER_FAILED"


def spoil_resources(plan: Plan, envelope: TransactionEnvelope) -> None:
    data = envelope.transaction.soroban_data
    assert data is not None
    before = data.resource_fee.int64
    if plan.heavy:
        data.resources.instructions = stellar_xdr.Uint32(INSTRUCTIONS_MAX)
        data.resource_fee = stellar_xdr.Int64(before + 7 * INSTRUCTIONS_MAX // 10_000)
    if plan.flaw == "too many instructions":
        data.resources.instructions = stellar_xdr.Uint32(INSTRUCTIONS_MAX + 1)
        data.resource_fee = stellar_xdr.Int64(before + 7 * INSTRUCTIONS_MAX // 10_000 + 1)
    elif plan.flaw == "too many bytes":
        data.resources.write_bytes = stellar_xdr.Uint32(BYTES_MAX + 1)
        data.resource_fee = stellar_xdr.Int64(before + XLM)
    elif plan.flaw == "resource fee too low":
        data.resource_fee = stellar_xdr.Int64(1)
    envelope.transaction.fee += data.resource_fee.int64 - before


def spoil(plan: Plan, world: World, envelope: TransactionEnvelope) -> None:
    transaction = envelope.transaction
    assert transaction.preconditions is not None
    if plan.flaw == "too late":
        transaction.preconditions.time_bounds = TimeBounds(0, world.close_time)
    elif plan.flaw == "too early":
        transaction.preconditions.time_bounds = TimeBounds(world.close_time + 100_000, 0)
    elif plan.short_lived:
        transaction.preconditions.time_bounds = TimeBounds(0, world.close_time + 12)
    if plan.flaw == "fee too low":
        transaction.fee -= plan.fee * len(transaction.operations) - (100 * len(transaction.operations) - 1)


def set_up(chain: Chain, apply: Callable[[TransactionEnvelope], None]) -> str:
    """Accounts, the native asset's contract and a counter; the counter's address."""
    builder = start(ROOT, 1)
    for number, key in enumerate(KEYS[:MADE]):
        builder.append_create_account_op(key.public_key, "10000" if number < RICH else "3")
    made = builder.build()
    made.sign(ROOT)
    apply(made)
    owner = KEYS[0]
    sequence = chain.accounts([owner.public_key])[1][owner.public_key].sequence
    wasm = (CONTRACTS / "counter.wasm").read_bytes()
    wasm_hash = hashlib.sha256(wasm).digest()
    for add in (
        lambda builder: builder.append_upload_contract_wasm_op(wasm),
        lambda builder: builder.append_create_stellar_asset_contract_from_asset_op(Asset.native()),
        lambda builder: builder.append_create_contract_op(wasm_hash, owner.public_key, salt=bytes(32)),
    ):
        sequence += 1
        envelope = prepare(chain, add(start(owner, sequence)).build())
        assert envelope is not None
        envelope.sign(owner)
        apply(envelope)
    preimage = stellar_xdr.HashIDPreimage(
        stellar_xdr.EnvelopeType.ENVELOPE_TYPE_CONTRACT_ID,
        contract_id=stellar_xdr.HashIDPreimageContractID(
            network_id=stellar_xdr.Hash(Network(PASSPHRASE).network_id()),
            contract_id_preimage=envelope.transaction.operations[
                0
            ].host_function.create_contract_v2.contract_id_preimage,
        ),
    )
    return Address.from_raw_contract(hashlib.sha256(preimage.to_xdr_bytes()).digest()).address


def holds(envelope: AnyEnvelope, other: AnyEnvelope) -> bool:
    """Whether one is the other, signatures included, or a fee-bump over it."""
    if isinstance(envelope, FeeBumpTransactionEnvelope) and holds(
        envelope.transaction.inner_transaction_envelope, other
    ):
        return True
    return envelope.to_xdr() == other.to_xdr()


def bumped(inner: Sent, payer: Keypair, rate: int) -> Sent | None:
    """A fee-bump of something that was sent, at so many stroops per operation."""
    assert isinstance(inner.envelope, TransactionEnvelope)
    try:
        envelope = TransactionBuilder.build_fee_bump_transaction(payer, rate, inner.envelope, PASSPHRASE)
    except ValueError:  # the SDK makes none that bids less than what it wraps
        return None
    envelope.sign(payer)
    fee = envelope.transaction.fee
    return replace(inner, envelope=envelope, fee_source=payer.public_key, max_fee=fee)


def friendbot() -> str:
    """The account that friendbot spends from: its key follows from the network's id."""
    network_id = Network(PASSPHRASE).network_id()
    return Keypair.from_raw_ed25519_seed(
        hashlib.sha256(b"sorofast-sandbox friendbot" + network_id).digest()
    ).public_key


def balance_key(contract: str) -> str:
    """Base64 of the ledger key under which the native asset's contract keeps what another contract holds."""
    holder = scval.to_vec([scval.to_symbol("Balance"), scval.to_address(contract)])
    key = stellar_xdr.LedgerKeyContractData(
        Address(NATIVE).to_xdr_sc_address(), holder, stellar_xdr.ContractDataDurability.PERSISTENT
    )
    return stellar_xdr.LedgerKey(stellar_xdr.LedgerEntryType.CONTRACT_DATA, contract_data=key).to_xdr()
