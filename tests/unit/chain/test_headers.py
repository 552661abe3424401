"""Close times in milliseconds from header bytes, written by another library."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorofast.chain.headers import close_time_ms
from sorofast.errors import BodyError

SECONDS, MS = 1_795_000_123, 1_795_000_123_456


def header(arm: int, extension: bytes, *, upgrades: tuple[bytes, ...] = (), seconds: int = SECONDS) -> str:
    """A LedgerHeaderHistoryEntry as far as the close time goes, and bytes of what follows."""
    packed = b"".join(len(u).to_bytes(4, "big") + u + bytes(-len(u) % 4) for u in upgrades)
    value = bytes(32) + seconds.to_bytes(8, "big") + len(upgrades).to_bytes(4, "big") + packed
    raw = bytes(32) + (27).to_bytes(4, "big") + bytes(32) + value + arm.to_bytes(4, "big") + extension
    return base64.b64encode(raw + bytes(300)).decode()


@pytest.mark.parametrize("arm", [3, 4])
@pytest.mark.parametrize("upgrades", [(), (b"12345",), (b"x" * 128,) * 6])
def test_milliseconds_are_read_behind_whatever_upgrades_there_are(
    arm: int, upgrades: tuple[bytes, ...]
) -> None:
    assert close_time_ms(header(arm, MS.to_bytes(8, "big"), upgrades=upgrades)) == MS


@pytest.mark.parametrize("arm", [0, 1, 2, 7])
def test_headers_without_milliseconds_give_whole_seconds(arm: int) -> None:
    assert close_time_ms(header(arm, bytes(100))) == SECONDS * 1000


@pytest.mark.parametrize(
    "xdr",
    [
        "",
        "not base64!",
        base64.b64encode(bytes(90)).decode(),
        header(0, b"", upgrades=(b"1",) * 7),
        header(0, b"", upgrades=(b"x" * 129,)),
        header(3, (MS + 5_000).to_bytes(8, "big")),
    ],
)
def test_what_is_no_header_is_refused(xdr: str) -> None:
    with pytest.raises(BodyError):
        close_time_ms(xdr)


@given(st.binary(max_size=400))
def test_no_bytes_do_more_than_be_refused(raw: bytes) -> None:
    with contextlib.suppress(BodyError):
        assert close_time_ms(base64.b64encode(raw).decode()) >= 0
