"""Which sandbox a command speaks to."""

from __future__ import annotations

import pytest

from sorofast.errors import UsageError
from sorofast.sandbox.find import find_url


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://localhost:8000/rpc", "http://localhost:8000"),
        ("http://localhost:8000/soroban/rpc", "http://localhost:8000"),
        ("http://localhost:8000/admin/", "http://localhost:8000"),
        ("http://[::1]:9/friendbot", "http://[::1]:9"),
        ("https://proxy.example/box/rpc", "https://proxy.example/box"),
    ],
)
def test_the_url_of_an_interface_is_accepted(given: str, found: str) -> None:
    assert find_url(given) == found


def test_the_option_wins_over_the_variable_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_url() == "http://localhost:8000"
    monkeypatch.setenv("SOROFAST_SANDBOX_URL", "http://127.0.0.1:7000/rpc")
    assert find_url() == "http://127.0.0.1:7000"
    assert find_url("http://127.0.0.1:6000") == "http://127.0.0.1:6000"
    monkeypatch.setenv("SOROFAST_SANDBOX_URL", "")
    assert find_url() == "http://localhost:8000"


@pytest.mark.parametrize(
    "text", ["", "localhost:8000", "ftp://x", "http://", "http://x:99999", "http://x/?a=1"]
)
def test_an_invalid_url_is_refused_with_its_origin(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"--url .*: invalid URL; use e.g. http"):
        find_url(text)
    if text:
        monkeypatch.setenv("SOROFAST_SANDBOX_URL", text)
        with pytest.raises(UsageError, match="SOROFAST_SANDBOX_URL"):
            find_url()
