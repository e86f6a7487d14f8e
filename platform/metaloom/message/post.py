"""One signed POST to another system: to public addresses only, looked at on the connection itself, redirects off.

The name is resolved once, every address it has is looked at, and the connection goes to the address that was looked at: a
name that flips afterwards changes nothing. Nothing of the answer but its status is kept, and errors say what kind they are
and never what the other side sent.
"""

from __future__ import annotations

import hmac
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Collection
from hashlib import sha256
from typing import Any
from urllib.parse import SplitResult, urlsplit

SECONDS = 10.0
SIGNATURE, TIMESTAMP, EVENT = "X-Metaloom-Signature", "X-Metaloom-Timestamp", "X-Metaloom-Event"


class NotDelivered(Exception):
    """The other system did not take it. ``status``: its answer, 0 for none. ``for_good``: it never will."""

    def __init__(self, why: str, status: int = 0, *, for_good: bool = False) -> None:
        super().__init__(why)
        self.why, self.status, self.for_good = why, status, for_good


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """``v1=`` and the HMAC-SHA256 in hex over ``<event id>.<timestamp>.<body>``."""
    return "v1=" + hmac.new(secret.encode(), f"{event_id}.{timestamp}.".encode() + body, sha256).hexdigest()


def is_signed(secret: str, event_id: str, timestamp: int, body: bytes, given: str) -> bool:
    """Whether one of the signatures in ``given`` (separated by blanks, so that secrets can change) is right."""
    wanted = signature(secret, event_id, timestamp, body).encode()
    return sum(hmac.compare_digest(wanted, one.encode("utf-8", "replace")) for one in given.split()[:5]) > 0


def deliver(url: str, body: bytes, *, secret: str, event_id: str, timestamp: int, allowed: Collection[str] = (),
            seconds: float = SECONDS) -> int:
    """POST ``body`` once; the status (2xx). NotDelivered otherwise. ``allowed``: hosts inside that may be reached, ``host[:port]``."""
    there = _split(url)
    inside = _is_listed(there, allowed)
    if there.scheme != "https" and not inside:
        raise NotDelivered("only https", for_good=True)
    headers = {"Content-Type": "application/json", "User-Agent": "metaloom-webhook", EVENT: event_id, TIMESTAMP: str(timestamp),
               SIGNATURE: signature(secret, event_id, timestamp, body), "Connection": "close"}
    connection = _Looked(there, inside, seconds)
    try:
        connection.request("POST", there.path + (f"?{there.query}" if there.query else "") or "/", body=body, headers=headers)
        status = connection.getresponse().status
    except NotDelivered:
        raise
    except TimeoutError:
        raise NotDelivered("no answer in time") from None
    except (OSError, http.client.HTTPException, ValueError):
        raise NotDelivered("the connection failed") from None
    finally:
        connection.close()
    if 300 <= status < 400:
        raise NotDelivered("redirects are not followed", status)
    if not 200 <= status < 300:
        raise NotDelivered("refused", status, for_good=status == 410)
    return status


def _split(url: str) -> SplitResult:
    try:
        there = urlsplit(url)
        port = there.port
    except ValueError:
        raise NotDelivered("no address", for_good=True) from None
    if there.scheme not in ("http", "https") or not there.hostname or there.username is not None or port == 0:
        raise NotDelivered("no address", for_good=True)
    return there


def _is_listed(there: SplitResult, allowed: Collection[str]) -> bool:
    names = {there.hostname or "", f"{there.hostname}:{there.port or (443 if there.scheme == 'https' else 80)}"}
    return any(one.casefold().strip("[]") in names or one.casefold() in names for one in allowed)


class _Looked(http.client.HTTPConnection):
    """A connection to an address that was looked at; encrypted, with the name of the URL, for https."""

    def __init__(self, there: SplitResult, inside: bool, seconds: float) -> None:
        super().__init__(there.hostname or "", there.port or (443 if there.scheme == "https" else 80), timeout=seconds)
        self._secure, self._inside = there.scheme == "https", inside

    def connect(self) -> None:
        address = self._address()
        sock: Any = socket.create_connection((address, self.port), self.timeout)
        try:
            if not self._inside and not is_public(sock.getpeername()[0]):
                raise NotDelivered("the address is not public")
            if self._secure:
                sock = ssl.create_default_context().wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise
        self.sock = sock

    def _address(self) -> str:
        try:
            found = [str(info[4][0]) for info in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError):
            raise NotDelivered("the name is unknown") from None
        if not self._inside and not all(is_public(address) for address in found):
            raise NotDelivered("the address is not public")
        if not found:
            raise NotDelivered("the name is unknown")
        return found[0]


def is_public(address: str) -> bool:
    """Whether an IP address lies in the public network: not private, loopback, link-local, shared, reserved, nor one of these
    wrapped into IPv6."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if wrapped is not None:
            return is_public(str(wrapped))
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
