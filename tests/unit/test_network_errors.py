"""A connection that fails is told in an operator's words, whatever a library made of it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sorofast.chain.transport import HttpTransport
from sorofast.coordination.client import open_redis
from sorofast.errors import RedisUnreachable, RpcUnreachable
from sorofast.network_errors import why_not_connected
from sorofast.settings import RedisConfig

LIBRARY_WORDS = ("ssl:", "Errno", "Connect call failed", "Cannot connect", "Error 1", "ClientConnector")


async def said_of(url: str, timeout_s: float = 2.0) -> str:
    transport = HttpTransport(url, timeout_s=timeout_s)
    try:
        with pytest.raises(RpcUnreachable) as caught:
            await transport.post("getHealth", b"{}")
    finally:
        await transport.close()
    text = str(caught.value)
    assert not any(words in text for words in LIBRARY_WORDS), text
    return text


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def test_an_address_where_nobody_listens_refused_the_connection() -> None:
    port = free_port()
    assert await said_of(f"http://127.0.0.1:{port}/rpc?key=hush") == (
        f"127.0.0.1:{port} refused the connection (getHealth)"
    )


async def test_a_name_that_nobody_has_is_not_known() -> None:
    text = await said_of("http://no-such-host.invalid:8000")
    assert text.startswith("no-such-host.invalid:8000 has a name that "), text


@asynccontextmanager
async def answering(reply: bytes | None, certificate: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that sends these bytes after the first it gets, and closes; None: it says nothing. Its port."""
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1)
            if reply is None:
                await reader.read()
            else:
                writer.write(reply)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=certificate)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
        await asyncio.gather(*served, return_exceptions=True)


@pytest.mark.parametrize(
    ("reply", "scheme", "words"),
    [
        (b"", "http", "closed the connection without an answer"),
        (None, "http", "did not answer getHealth within 0.5 s"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "http", "broke off its answer"),
        (b"hello\r\n\r\n", "http", "answered with something that is no HTTP"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "https", "does not speak TLS as expected"),
    ],
    ids=["closes", "silent", "broken off", "no HTTP", "no TLS"],
)
async def test_a_server_that_answers_oddly_is_told_in_words(
    reply: bytes | None, scheme: str, words: str
) -> None:
    async with answering(reply) as port:
        text = await said_of(f"{scheme}://127.0.0.1:{port}", timeout_s=0.5)
        assert words in text, text
        assert f"127.0.0.1:{port}" in text


@pytest.mark.needs_tool
async def test_a_certificate_of_nobody_known_is_not_accepted(tmp_path: Path) -> None:
    async with answering(b"", own_certificate(tmp_path)) as port:
        text = await said_of(f"https://127.0.0.1:{port}")
    assert text.startswith(f"127.0.0.1:{port} shows a TLS certificate that is not accepted: "), text


def own_certificate(folder: Path) -> ssl.SSLContext:
    """A server's, signed by itself."""
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("openssl is missing; scripts/install_test_tools.sh installs it")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *(tool, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=nobody"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "unix:///nowhere/redis.sock"])
async def test_a_redis_that_is_not_there_is_told_in_the_same_words(url: str) -> None:
    with pytest.raises(RedisUnreachable) as caught:
        await open_redis(RedisConfig(url=url.format(port=free_port())))
    text = str(caught.value)
    assert "Redis does not answer (connecting to " in text
    assert text.endswith((": it refused the connection)", ": it has no socket there; nothing listens)")), text


def test_what_a_library_wraps_is_found_and_circles_end() -> None:
    inner = ConnectionRefusedError(111, "Connection refused")
    outer = RuntimeError("library words")
    outer.__cause__, inner.__context__ = inner, outer
    assert why_not_connected(outer) == "refused the connection"
    assert why_not_connected(ValueError("nothing of the kind")) is None
