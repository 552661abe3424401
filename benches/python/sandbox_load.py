"""A client that costs next to nothing, so that what is timed is the sandbox: requests ready made, sockets kept open."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self
from urllib.parse import urlsplit

_TIMEOUT_S = 60.0
_CHUNK = 1 << 20


def as_request(path: str, body: bytes) -> bytes:
    """One HTTP request as it goes over the wire."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Load:
    """So many connections, each with a thread that waits in the kernel most of the time; a context manager."""

    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._connections = connections
        self._sockets: list[socket.socket] = []
        self._threads = ThreadPoolExecutor(connections)

    def __enter__(self) -> Self:
        for _ in range(self._connections):
            connection = socket.create_connection(self._address, timeout=_TIMEOUT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(connection)
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        for connection in self._sockets:
            connection.close()

    def send(self, requests: Sequence[bytes]) -> list[bytes]:
        """Every request's answer, in the order of the requests; each connection has one under way at a time."""
        lanes = [
            self._threads.submit(_lane, connection, requests[number :: self._connections])
            for number, connection in enumerate(self._sockets)
        ]
        answers: list[bytes] = [b""] * len(requests)
        for number, lane in enumerate(lanes):
            answers[number :: self._connections] = lane.result()
        return answers


def _lane(connection: socket.socket, requests: Sequence[bytes]) -> list[bytes]:
    answers = []
    for request in requests:
        connection.sendall(request)
        answers.append(_answer(connection))
    return answers


def _answer(connection: socket.socket) -> bytes:
    """The body of one answer with a Content-Length; AssertionError for any status but 200."""
    head = bytearray()
    while (end := head.find(b"\r\n\r\n")) < 0:
        piece = connection.recv(_CHUNK)
        assert piece, "the sandbox closed the connection"
        head += piece
    assert head.startswith(b"HTTP/1.1 200"), bytes(head[:200])
    length = next(
        int(line.split(b":")[1])
        for line in head[:end].lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    body = bytearray(length)
    have = len(head) - end - 4
    body[:have] = head[end + 4 :]
    view = memoryview(body)
    while have < length:
        got = connection.recv_into(view[have:])
        assert got, "the sandbox closed the connection"
        have += got
    return bytes(body)
