"""Whose fault a refusal or a failed call is: the network's, the settings', the fleet's, or the one task's."""

from __future__ import annotations

from enum import StrEnum

from sorofast.errors import ConfigError, DecodeError, RpcError, RpcUnreachable

__all__ = ["Blame", "FleetCause", "classify", "fleet_cause", "what_to_do"]

# How the host's own verdict on a call begins, whatever stands before it. Everything else in a simulation's error is
# the RPC server telling of itself: "preflight queue full", a failed read, a deadline.
HOST_VERDICT = "HostError"
HTTP_MISCONFIGURED = frozenset({301, 302, 307, 308, 401, 403, 404, 405, 407})
METHOD_UNKNOWN = -32601
PARAMS_WRONG = frozenset({-32600, -32602, -32700})


class Blame(StrEnum):
    """What helps after a call that did not work."""

    WAIT = "wait"
    """The same call again, later: the server has too much to do, is behind, or did not answer."""
    OTHER_ENDPOINT = "other_endpoint"
    """Another server: this one cannot be reached, or does not answer as an RPC does."""
    CONFIGURATION = "configuration"
    """A setting: the address, the access key, a server that lacks the method."""
    THIS_TASK = "this_task"
    """Nothing but a change of the task or its target: the call itself is what fails."""


class FleetCause(StrEnum):
    """Why no run of the fleet can land, whichever task it is."""

    KEEPER_MISSING = "keeper_missing"
    KEEPER_CANNOT_SIGN = "keeper_cannot_sign"
    FEE_BELOW_MARKET = "fee_below_market"
    QUEUE_FULL = "queue_full"
    NO_USABLE_CHANNEL = "no_usable_channel"


def classify(error: BaseException | str) -> Blame:
    """Whom a failed RPC call is to be blamed on: `error` is what it raised, or a simulation's `error` text."""
    if isinstance(error, str):
        return Blame.THIS_TASK if HOST_VERDICT in error else Blame.WAIT
    if isinstance(error, ConfigError):
        return Blame.CONFIGURATION
    if isinstance(error, RpcUnreachable):
        if error.status is None:
            return Blame.WAIT if error.timed_out else Blame.OTHER_ENDPOINT
        return Blame.CONFIGURATION if error.status in HTTP_MISCONFIGURED else Blame.WAIT
    if isinstance(error, RpcError):
        if error.code == METHOD_UNKNOWN:
            return Blame.CONFIGURATION
        return Blame.THIS_TASK if error.code in PARAMS_WRONG else Blame.WAIT
    if isinstance(error, DecodeError):
        return Blame.OTHER_ENDPOINT
    return Blame.WAIT


# The operation's source is the keeper, the transaction's a channel: what the operation lacks is the keeper's fault,
# and with it every task's. A transaction's own txNO_ACCOUNT, txBAD_AUTH or txINSUFFICIENT_BALANCE is its channel's.
_CAUSES = {
    "opNO_ACCOUNT": FleetCause.KEEPER_MISSING,
    "opBAD_AUTH": FleetCause.KEEPER_CANNOT_SIGN,
    "txINSUFFICIENT_FEE": FleetCause.FEE_BELOW_MARKET,
}


def fleet_cause(detail: str) -> FleetCause | None:
    """The fleet's cause behind result codes written `transaction code/operation code`; None if it is another's."""
    for code in detail.split("/"):
        if code in _CAUSES:
            return _CAUSES[code]
    return None


def what_to_do(
    cause: FleetCause, keeper: str, *, asked_stroops: int | None = None, bid_stroops: int = 0
) -> str:
    """The cause in words, and what ends it. `asked_stroops` is the least fee that a refusal would have taken."""
    match cause:
        case FleetCause.KEEPER_MISSING:
            return f"the keeper {keeper} has no account: create and fund it; runs go on by themselves"
        case FleetCause.KEEPER_CANNOT_SIGN:
            return (
                f"the signature of the keeper {keeper} does not suffice any more: give its key back its weight, or "
                "lower the account's thresholds; runs go on by themselves"
            )
        case FleetCause.FEE_BELOW_MARKET:
            least = f"at least {asked_stroops} stroops" if asked_stroops else "more"
            return (
                f"the network asks for {least} to include a run and fees.inclusion_fee_stroops bids {bid_stroops}: "
                "wait for the market to fall, and runs go on by themselves, or raise the bid"
            )
        case FleetCause.QUEUE_FULL:
            return (
                "the node's transaction queue is full: wait, and runs go on by themselves, or choose another node with "
                "network.rpc_url"
            )
        case FleetCause.NO_USABLE_CHANNEL:
            return (
                "none of the fleet's channels can be used any more: fund them with 'sorofast channels create', or find "
                "out who else uses them; runs go on by themselves"
            )
