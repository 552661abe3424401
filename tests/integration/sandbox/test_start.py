"""Starting, stopping, and flags that make no sense."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
from pathlib import Path

import pytest

from helpers.network import DEADLINE_S, REPOSITORY, find_binary, running

WASM = REPOSITORY / "rust" / "sorofast-sandbox" / "wasm"


async def run(*arguments: str) -> tuple[int, bytes, str]:
    """Runs the binary to its end: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        find_binary(), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, err.decode()


async def test_ready_line_names_every_address() -> None:
    async with running() as network:
        assert set(network.ready) >= {"rpc_url", "admin_url", "friendbot_url", "network_passphrase", "pid"}
        assert network.ready["rpc_url"].startswith("http://127.0.0.1:")
        assert network.ready["rpc_url"].endswith("/rpc")
        assert network.ready["admin_url"].endswith("/admin")
        assert network.ready["friendbot_url"].endswith("/friendbot")
        assert network.ready["network_passphrase"] == "Standalone Network ; February 2017"
        assert network.ready["pid"] == network.process.pid
        assert (await network.result("getNetwork"))["friendbotUrl"] == network.ready["friendbot_url"]


async def test_people_get_lines() -> None:
    process = await asyncio.create_subprocess_exec(
        find_binary(), "start", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        lines = [(await process.stdout.readline()).decode() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert str(process.pid) in lines[0]
    assert "/rpc" in lines[1]
    assert "/friendbot" in lines[2]


async def test_people_are_told_where_the_replicas_are() -> None:
    process = await asyncio.create_subprocess_exec(
        find_binary(), "start", "--port", "0", "--replicas", "2", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        lines = [(await process.stdout.readline()).decode().split() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert [line[0] for line in lines[1:]] == ["RPC", "replica-1", "replica-2"]
    ports = {line[1].removeprefix("http://127.0.0.1:").removesuffix("/rpc") for line in lines[1:]}
    assert len(ports) == 3
    assert all(port.isdecimal() for port in ports)


async def test_another_passphrase() -> None:
    async with running("--network-passphrase", "A network of my own") as network:
        assert (await network.rpc.get_network()).passphrase == "A network of my own"


async def test_sigterm_ends_it_with_0() -> None:
    async with running() as network:
        assert await network.stop() == 0


async def test_the_end_of_stdin_ends_it() -> None:
    async with running() as network:
        assert network.process.stdin is not None
        network.process.stdin.close()
        async with asyncio.timeout(DEADLINE_S):
            assert await network.process.wait() == 0


async def test_sigterm_lets_a_call_under_way_finish() -> None:
    async with running() as network:
        rules = [{"method": "getHealth", "kind": "latency", "latency_ms": 700}]
        await network.admin("faults", {"rules": rules})
        call = asyncio.ensure_future(network.result("getHealth"))

        async def received() -> bool:
            return "getHealth" in (await network.admin("stats"))["rpc_calls"]

        while not await received():
            await asyncio.sleep(0.01)
        assert await network.stop() == 0
        assert (await call)["status"] == "healthy"


async def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = await run("start", "--port", port, "-o", "json")
    assert (code, out) == (1, b"")
    assert len(err.splitlines()) == 1
    assert f"127.0.0.1:{port} is in use" in err
    assert "--port" in err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--host", "0.0.0.0"], "--allow-remote"),
        (["--host", "example.org"], "IP address"),
        (["--ledger-close", "5"], "500ms, 5s, 2m or 1h"),
        (["--ledger-close", "1s", "--ledger-jitter", "1s"], "--ledger-jitter"),
        (["--ledger-close", "1s", "--consensus-delay", "2s"], "--consensus-delay"),
        (["--ledger-close", "0", "--consensus-delay", "1s"], "--ledger-close above 0"),
        (["--protocol", "29"], "protocol 30"),
        (["--network-passphrase", ""], "--network-passphrase"),
        (["--clock", "manual"], "--ledger-close 0"),
        (["--start-time", "0"], "--start-time"),
        (["--seed", "no"], "--seed"),
        (["--seed", "-1"], "--seed"),
        (["--retention", "-1"], "--retention"),
    ],
)
async def test_flags_that_make_no_sense(flags: list[str], words: str) -> None:
    ended, out, err = await run("start", "--port", "0", *flags)
    assert (ended, out) == (2, b"")
    assert words in err


async def test_flags_that_do_not_fit_together_are_one_line() -> None:
    for flags in (["--host", "0.0.0.0"], ["--ledger-close", "1s", "--consensus-delay", "1s"]):
        ended, out, err = await run("start", "--port", "0", *flags)
        assert (ended, out, len(err.splitlines())) == (2, b"", 1), err


async def test_contracts_are_written_to_stdout() -> None:
    for line in (WASM / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        code, out, err = await run("contract", name.removesuffix(".wasm"))
        assert (code, err) == (0, "")
        assert hashlib.sha256(out).hexdigest() == digest


async def test_an_unknown_contract_is_refused_with_the_names() -> None:
    code, out, err = await run("contract", "nothing")
    assert (code, out) == (2, b"")
    assert "task_registry" in err


async def test_no_other_host_is_contacted() -> None:
    """Every socket of a sandbox that has served calls is bound to loopback."""
    async with running("--ledger-close", "0") as network:
        await network.rpc.get_health()
        links = [str(entry.readlink()) for entry in Path(f"/proc/{network.process.pid}/fd").iterdir()]
        inodes = {
            link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:")
        }
        rows = [
            line.split()
            for table in ("tcp", "tcp6", "udp", "udp6")
            for line in Path("/proc/net", table).read_text().splitlines()[1:]
        ]
        hosts = {end.split(":")[0] for row in rows if row[9] in inodes for end in (row[1], row[2])}
        # A listening socket has no other end, which is written as 0.
        assert hosts <= {"0100007F", "00000000", "00000000000000000000000001000000", "0" * 32}
        assert "0100007F" in hosts


async def test_localhost_may_mean_either_family() -> None:
    """Node 17 to 19 take `localhost` for ::1 and look nowhere else."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    async with running() as network:
        port = int(network.url.rpartition(":")[2])
        body = {"jsonrpc": "2.0", "id": 1, "method": "getHealth"}
        async with network.http.post(f"http://[::1]:{port}/rpc", json=body) as response:
            assert (await response.json())["result"]["status"] == "healthy"
    with socket.create_server(("::1", port), family=socket.AF_INET6):
        process = await asyncio.create_subprocess_exec(
            find_binary(), "start", "--port", str(port), "-o", "json", "--exit-with-stdin",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(b""), DEADLINE_S)
    assert process.returncode == 0
    assert json.loads(out.splitlines()[0])["rpc_url"] == f"http://127.0.0.1:{port}/rpc"
