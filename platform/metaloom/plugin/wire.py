"""One HTTP exchange for plugins that reach a network: whole within its time, bounded in size, never redirected, TLS verified."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

ANSWER_MAX = 16 * 1024 * 1024


class WireProblem(OSError):
    """The exchange did not come to a whole answer; what the other side did is unknown."""


@dataclass(frozen=True)
class HttpAnswer:
    """``headers`` by name in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def exchange(base_url: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *,
             seconds: float = 15, most: int = ANSWER_MAX) -> HttpAnswer:
    """``path`` with its query, below ``base_url``. OSError (a time-out is one) or :class:`WireProblem` for everything but a whole answer."""
    parts = urlsplit(base_url)
    connect = {"https": http.client.HTTPSConnection, "http": http.client.HTTPConnection}.get(parts.scheme)
    if connect is None or not parts.hostname:
        raise WireProblem("the address is no http(s) address")
    deadline = time.monotonic() + seconds
    connection = connect(parts.hostname, parts.port, timeout=seconds)
    try:
        connection.request(method, parts.path.rstrip("/") + path, body=body or None, headers=dict(headers or {}))
        response = connection.getresponse()
        return HttpAnswer(response.status, {name.lower(): value for name, value in response.headers.items()}, _whole(response, deadline, most))
    except http.client.HTTPException as error:
        raise WireProblem(type(error).__name__) from error
    finally:
        connection.close()


def _whole(response: http.client.HTTPResponse, deadline: float, most: int) -> bytes:
    chunks, size = [], 0
    while chunk := response.read1(65_536):
        chunks.append(chunk)
        size += len(chunk)
        if time.monotonic() > deadline:
            raise TimeoutError("the answer came too slowly")
        if size > most:
            raise WireProblem("the answer is too long")
    length = response.headers.get("Content-Length")
    if length is not None and length.isdecimal() and size != int(length):
        raise WireProblem("the answer broke off")
    return b"".join(chunks)
