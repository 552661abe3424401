"""Which running sandbox is meant."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from sorofast.errors import UsageError

VARIABLE = "SOROFAST_SANDBOX_URL"
DEFAULT_URL = "http://localhost:8000"
_INTERFACES = ("/soroban/rpc", "/rpc", "/admin", "/friendbot")


def find_url(given: str | None = None) -> str:
    """The base URL of the sandbox that is meant: as given, else as SOROFAST_SANDBOX_URL says, else port 8000
    of this machine. The URL of one of its interfaces will do as well. UsageError for what is no URL.
    """
    origin, text = "--url", given
    if text is None:
        origin, text = VARIABLE, os.environ.get(VARIABLE) or DEFAULT_URL
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
        parts = urlsplit("")
    if not usable or parts.query or parts.fragment:
        raise UsageError(f"{origin} {text}: invalid URL; use e.g. {DEFAULT_URL}")
    path = parts.path.rstrip("/")
    for interface in _INTERFACES:
        if path.endswith(interface):
            path = path.removesuffix(interface)
            break
    return f"{parts.scheme}://{parts.netloc}{path}"
