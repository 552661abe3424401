"""The pytest plugin: a fixture `sandbox`, a local Stellar network on a free port.

Every pytest run of an environment where sorofast is installed imports this module, so it imports nothing of weight,
and nothing is started unless a test asks for the fixture.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sorofast.testing.sandbox import Sandbox

_SCOPES = ("function", "class", "module", "package", "session")
_OPTIONS = {
    "sandbox_scope": (
        "function",
        "how long tests share one state of the `sandbox` network: function (the default: each test begins with a new "
        "one), class, module, package or session",
    ),
    "sandbox_ledger_close": (
        "0s",
        "time from one ledger to the next, as 500ms or 5s; 0s (the default) closes them only when a test sends or "
        "advances",
    ),
    "sandbox_args": ("", "further arguments of `sorofast sandbox start`, as --limits slp7 --accounts 20"),
    "sandbox_url": ("", "use the network that runs at this address, as it is, instead of starting one"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sandbox", "a local Stellar network (sorofast)")
    for name, (default, text) in _OPTIONS.items():
        choices: dict[str, Any] = {"choices": _SCOPES} if name == "sandbox_scope" else {}
        group.addoption(
            "--" + name.replace("_", "-"), dest=name, default=None, metavar="VALUE", help=text, **choices
        )
        parser.addini(name, text, type="string", default=default)


def _option(config: pytest.Config, name: str) -> str:
    """The command line wins over the ini file."""
    given = config.getoption(name)
    return str(config.getini(name) if given is None else given).strip()


def _scope(fixture_name: str, config: pytest.Config) -> Any:
    del fixture_name
    scope = _option(config, "sandbox_scope")
    if scope not in _SCOPES:
        raise pytest.UsageError(f"unknown sandbox_scope {scope!r}; choose one of {', '.join(_SCOPES)}")
    return scope


class _Network:
    """The one network of a test process. Each new user gets it as it began."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._sandbox: Sandbox | None = None

    def take(self) -> Sandbox:
        """A network without a past: a new one, or the old one after a reset."""
        url = _option(self._config, "sandbox_url")
        if url:
            return self._attached(url)
        if self._sandbox is None or not _renewed(self._sandbox):
            self.stop()
            self._sandbox = self._started()
        return self._sandbox

    def stop(self) -> None:
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.stop()

    def _attached(self, url: str) -> Sandbox:
        from sorofast.testing.sandbox import Sandbox

        if self._sandbox is None:
            self._sandbox = Sandbox.attach(url)
        return self._sandbox

    def _started(self) -> Sandbox:
        from sorofast.sandbox.process import SandboxOptions
        from sorofast.testing.sandbox import Sandbox

        return Sandbox.start(
            SandboxOptions(
                ledger_close=_option(self._config, "sandbox_ledger_close"),
                extra=tuple(shlex.split(_option(self._config, "sandbox_args"))),
            )
        )


def _renewed(sandbox: Sandbox) -> bool:
    """Reset a network; False when it is gone, as after a test that killed it."""
    from sorofast.errors import UnreachableError

    try:
        sandbox.reset()
    except UnreachableError:
        return False
    return True


@pytest.fixture(scope="session")
def _sandbox_network(pytestconfig: pytest.Config) -> Iterator[_Network]:
    network = _Network(pytestconfig)
    yield network
    network.stop()


@pytest.fixture(scope=_scope)
def sandbox(_sandbox_network: _Network) -> Sandbox:
    """A local Stellar network on a free port, with the real Soroban host: a `sorofast.testing.Sandbox`."""
    from sorofast.errors import SorofastError

    try:
        return _sandbox_network.take()
    except SorofastError as error:
        problem = str(error)
    pytest.fail(f"no sandbox: {problem}", pytrace=False)
