"""Sends an envelope's bytes and says what the answer means. It never builds, changes or forgets an
envelope.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sorofast import _core
from sorofast.chain.rpc import RpcClient
from sorofast.errors import DecodeError, RpcError, RpcUnreachable

__all__ = ["Receipt", "Sent", "send"]

# The same bytes may be taken a moment later, or are in the ledger already.
UNDECIDED_CODES = frozenset({"txBAD_SEQ", "txTOO_LATE", "txTOO_EARLY", "txINTERNAL_ERROR"})


class Sent(StrEnum):
    """How an answer to sendTransaction is to be taken."""

    QUEUED = "queued"
    TRY_LATER = "try_later"
    REFUSED = "refused"
    UNDECIDED = "undecided"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Receipt:
    """No kind proves that these bytes are on nobody's queue: who answers need not be the only one that was asked. What
    is `REFUSED` would be refused again, so that sending it again is of no use.

    `fee_stroops` comes with a refusal: with txINSUFFICIENT_FEE it is the least fee that would have been taken.
    """

    kind: Sent
    detail: str
    fee_stroops: int | None = None
    error: Exception | None = None
    """What came in the place of an answer."""


async def send(rpc: RpcClient, envelope: str) -> Receipt:
    """Sends the envelope (base64). Never raises for what the network may do: no answer is `UNKNOWN`, not a
    failure.
    """
    try:
        answer = await rpc.send_transaction(envelope)
    except (RpcUnreachable, RpcError, DecodeError) as error:
        return Receipt(Sent.UNKNOWN, str(error), error=error)
    if answer.status in ("PENDING", "DUPLICATE"):
        return Receipt(Sent.QUEUED, answer.status)
    if answer.status == "TRY_AGAIN_LATER":
        return Receipt(Sent.TRY_LATER, answer.status)
    if answer.status != "ERROR" or not answer.result_xdr:
        return Receipt(Sent.UNKNOWN, f"status {answer.status}")
    try:
        fee_stroops, code, operation = _core.decode_result(answer.result_xdr)
    except DecodeError as error:
        return Receipt(Sent.UNKNOWN, str(error))
    kind = Sent.UNDECIDED if code in UNDECIDED_CODES else Sent.REFUSED
    return Receipt(kind, code if operation is None else f"{code}/{operation}", fee_stroops)
