"""Why a connection failed, in the words an operator would use: libraries put theirs round what the system says."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

__all__ = ["why_not_connected"]

_CAUSES_MAX = 8
_BY_ERRNO = {
    errno.ECONNREFUSED: "refused the connection",
    errno.ECONNRESET: "reset the connection",
    errno.ECONNABORTED: "aborted the connection",
    errno.EPIPE: "closed the connection",
    errno.ENOTCONN: "closed the connection",
    errno.ETIMEDOUT: "did not take the connection in time",
    errno.EHOSTUNREACH: "cannot be reached: there is no route to the host",
    errno.ENETUNREACH: "cannot be reached: there is no route to its network",
    errno.ENETDOWN: "cannot be reached: this host's network is down",
    errno.EADDRNOTAVAIL: "cannot be reached: this host has no address or port left to connect from",
    errno.ENOENT: "has no socket there; nothing listens",
    errno.EACCES: "does not let this user connect",
    errno.EPERM: "does not let this user connect: a firewall or the system forbids it",
    errno.EMFILE: "cannot be reached: this process has too many open files",
    errno.ENFILE: "cannot be reached: this host has too many open files",
}
NAME_UNKNOWN = "has a name that cannot be looked up; check the host name and DNS"
_BY_NAME_ERROR = {
    socket.EAI_NONAME: "has a name that is not known; check the host name and DNS",
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME): "has a name without an address; check DNS",
    socket.EAI_AGAIN: "has a name that DNS does not answer for now",
}

_TLS = (
    (ssl.SSLCertVerificationError, "verify_message", "shows a TLS certificate that is not accepted"),
    (ssl.SSLError, "reason", "does not speak TLS as expected"),
)


def why_not_connected(error: BaseException) -> str | None:
    """What is wrong, to be put after the server's address; None where nothing the system or TLS says is in it.

    Looks through what the error was raised from, as libraries wrap theirs.
    """
    causes = list(_causes(error))
    # Errors of TLS are errors of the system too, to Python, and then carry numbers that mean something else.
    for kind, attribute, what in _TLS:
        found = [one for one in causes if isinstance(one, kind)]
        if found:
            # A library's own subclass may lack what Python's says.
            told = (getattr(one, attribute, None) for one in found)
            why = next((text for text in told if text), str(found[-1]))
            return f"{what}: {_sentence(why)}"
    for one in causes:
        if isinstance(one, socket.gaierror):
            return _BY_NAME_ERROR.get(one.errno or 0, NAME_UNKNOWN)
    words = (_words(one) for one in causes if isinstance(one, OSError))
    return next((text for text in words if text is not None), None)


def _words(error: OSError) -> str | None:
    number = error.errno
    if number is None:
        return None
    if number < 0:
        # Resolvers of event loops give the codes of getaddrinfo as numbers of a plain OSError.
        return _BY_NAME_ERROR.get(number, NAME_UNKNOWN)
    known = _BY_ERRNO.get(number)
    if known is not None or number not in errno.errorcode:
        return known
    return f"cannot be reached: {_sentence(error.strerror or errno.errorcode[number])}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The innermost things that libraries wrapped, outermost first, without going round in circles."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(seen) < _CAUSES_MAX:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        inner = [getattr(one, name, None) for name in ("certificate_error", "os_error", "_os_error")]
        waiting += [case for case in inner if isinstance(case, BaseException)]
        waiting += getattr(one, "exceptions", ())
        waiting += [one.__cause__, one.__context__]
        yield one


def _sentence(text: str) -> str:
    """Library text as the end of a sentence: one line, lower case at its start unless it is a name."""
    line = " ".join(text.replace("_", " ").split()).rstrip(".")
    if line.isupper():
        return line.lower()
    return line[:1].lower() + line[1:] if line[1:2].islower() else line
