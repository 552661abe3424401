"""`sorofast channels`: the accounts that carry the engine's transactions."""

from __future__ import annotations

import asyncio
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from sorofast.cli.context import checked_rpc, load, require_for_chain
from sorofast.cli.options import DEFAULTS, LEADING_HYPHEN, Options, Whole
from sorofast.cli.output import STROOPS_PER_XLM, note, print_json, print_pairs, print_table, xlm
from sorofast.errors import UsageError
from sorofast.limits import CHANNELS_MAX, CHANNELS_PER_SHARD_MIN
from sorofast.wording import counted

if TYPE_CHECKING:
    from sorofast.settings import NetworkConfig, Settings

channels_app = App(name="channels", help="Create and list the channel accounts.")


@channels_app.command
def create(
    count: Annotated[Whole, Parameter(help="How many channels shall exist, those that do included.")],
    /,
    *,
    starting_balance: Annotated[
        str, LEADING_HYPHEN, Parameter(help="XLM each new channel starts with.")
    ] = "5",
    options: Options = DEFAULTS,
) -> None:
    """Create the first COUNT channel accounts, as far as they do not exist yet.

    Channels are derived from the phrase in keeper.channel_seed_file. If there is no such file it is made, with mode
    0600; keep a copy of it, and give the same file to every host of the fleet. The keeper pays.
    """
    from sorofast.transactions.accounts import STARTING_BALANCE_STROOPS_MIN, create_channels

    if not 1 <= count <= CHANNELS_MAX:
        raise UsageError(f"COUNT is {count}; a fleet can have 1 to {CHANNELS_MAX} channels")
    balance_stroops = _stroops(starting_balance)
    if balance_stroops < STARTING_BALANCE_STROOPS_MIN:
        raise UsageError(
            f"--starting-balance {starting_balance}: the network creates no account with less than 1 XLM; "
            "give 1 or more"
        )
    settings = load(options)
    require_for_chain(settings, secret=True, seed=True)
    network, keeper = settings.network(), settings.keeper()
    secret = keeper.read_secret()
    asyncio.run(_check_network(network))
    made = _make_seed_file(settings)
    existed: list[int] = []

    def progress(done: int, total: int) -> None:
        existed.append(done)
        note(f"{done} of {counted(total, 'channel')} exist", quiet=options.quiet)

    addresses = asyncio.run(
        create_channels(
            network.rpc_url,
            network.passphrase,
            secret,
            keeper.read_channel_seed() or "",
            count,
            starting_balance_stroops=balance_stroops,
            timeout_s=network.timeout_s,
            progress=progress,
        )
    )
    _advise(settings, count)
    created = count - existed[0]
    if options.json:
        print_json(
            {"created": created, "existed": count - created, "seed_file_made": made, "addresses": addresses}
        )
    else:
        print_pairs([("created", created), ("existed before", count - created), ("first", addresses[0])])


@channels_app.command(name="list")
def list_(*, options: Options = DEFAULTS) -> None:
    """List the fleet's channels (keeper.channels of them) with what their accounts hold."""
    from sorofast.transactions.accounts import derive_channels
    from sorofast.views.channel import ChannelView, read_channels

    settings = load(options)
    require_for_chain(settings, secret=True, seed=True)
    network, keeper = settings.network(), settings.keeper()
    phrase = keeper.read_channel_seed()
    # The Signer wants the keeper's key beside the phrase; listing channels does not depend on whose it is.
    addresses = derive_channels(network.passphrase, keeper.read_secret(), phrase or "", keeper.channels)

    async def read() -> list[ChannelView]:
        async with checked_rpc(network) as rpc:
            return await read_channels(rpc, addresses)

    channels = asyncio.run(read())
    if options.json:
        print_json(channels)
        return
    print_table(
        ["index", "address", "balance XLM", "sequence", "exists"],
        [
            (one.index, one.address, "", "", "no")
            if one.balance_stroops is None
            else (one.index, one.address, xlm(one.balance_stroops), one.sequence, "yes")
            for one in channels
        ],
        right=["index", "balance XLM", "sequence"],
    )


async def _fleet_exists(settings: Settings) -> bool:
    """Whether the configured Redis knows a fleet. One that cannot be asked is no reason to make no channels: a first
    fleet has none yet.
    """
    from sorofast.coordination.visit import knows_fleet
    from sorofast.errors import RedisUnreachable

    try:
        return await knows_fleet(settings.redis())
    except RedisUnreachable:
        return False


async def _check_network(network: NetworkConfig) -> None:
    """Before a seed is made or money moves: is this the network the passphrase names?"""
    async with checked_rpc(network):
        pass


def _make_seed_file(settings: Settings) -> bool:
    """Writes a new seed file unless there is a seed; True if it did. UsageError where a fleet has channels of another
    seed: with a new one its money would be out of reach, and its members would not agree.
    """
    from sorofast.transactions.accounts import write_new_seed_file

    keeper = settings.keeper()
    path = keeper.channel_seed_file
    if keeper.channel_seed is not None or path is None or path.expanduser().exists():
        return False
    if asyncio.run(_fleet_exists(settings)):
        raise UsageError(
            f"keeper.channel_seed_file {path} does not exist, and the fleet under redis.prefix "
            f"{settings.redis().prefix!r} has channels of the seed that was there: put your copy of that file back. "
            "A new fleet needs a redis.prefix of its own"
        )
    write_new_seed_file(path)
    note(f"wrote a new seed phrase to {path}; keep a copy of that file, the channels' money depends on it")
    return True


def _advise(settings: Settings, count: int) -> None:
    shards = int(settings.get("engine.shards"))
    least = shards * CHANNELS_PER_SHARD_MIN
    if count < least:
        note(
            f"warning: engine.shards = {shards} needs at least {least} channels, so `sorofast run` will refuse {count}"
        )
    elif settings.get("keeper.channels") != count:
        note(f"set keeper.channels = {count} on every host, so that the fleet uses all of them")


def _stroops(text: str) -> int:
    """XLM as an operator writes it, in stroops."""
    try:
        amount = Decimal(text) * STROOPS_PER_XLM
        whole = int(amount)
    except (InvalidOperation, OverflowError, ValueError):
        raise UsageError(f"--starting-balance {text}: write an amount of XLM such as 5 or 2.5") from None
    if amount != whole or abs(whole) >= 2**63:
        raise UsageError(
            f"--starting-balance {text}: an amount of XLM has at most seven decimals and 19 digits"
        )
    return whole
