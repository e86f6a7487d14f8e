"""The data_provider over HTTP.

One question is one signed POST with the reference as its request number. An answer is believed when it is signed for this very
question, speaks of the same request and the same person, and holds the agreed facts; everything else raises, which the engine
turns into *unavailable*. A question is repeated only where the service answers once per request number, or when nothing was
sent yet. A service that fails again and again is left alone for a while, so that the people who wait are told at once.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from metaloom.plugin import Environment
from metaloom.plugin.data_provider import DataReply, DataRequest

from .kinds import KINDS, facts_of
from .signing import Signer, by_hmac, by_rsa

FOUND, NOT_FOUND, QUOTA = "0000", "0001", "2001"


class NoAnswer(Exception):
    """What came back, or did not, is no answer. ``again``: the same question may get one."""

    def __init__(self, why: str, *, again: bool = False, fault: bool = True) -> None:
        super().__init__(why)
        self.again, self.fault = again, fault


class HttpDataService:
    """One data service, as its settings say. Safe to be asked from several threads."""

    def __init__(self, environment: Environment) -> None:
        self._settings, self._clock, self._environment = environment.settings, environment.clock, environment
        self._signer: Signer | None = None
        self._rest = Rest(int(str(self._set("failures", 5))), timedelta(seconds=int(str(self._set("rest_seconds", 60)))))

    def methods(self) -> tuple[str, ...]:
        return tuple(KINDS)

    def fetch(self, request: DataRequest) -> DataReply:
        kind = KINDS.get(request.method)
        if kind is None:
            raise ValueError(f"method: {request.method!r} is not one of {', '.join(KINDS)}")
        missing = [name for name in kind.needs if not request.subject.get(name)]
        if missing:
            raise ValueError(f"subject: {', '.join(missing)} is missing")
        if not self._set("base_url", ""):
            raise ValueError("base_url is not set: no service to ask")
        self._rest.enter(self._clock.now())
        try:
            reply = self._asked(request)
        except NoAnswer as wrong:
            self._rest.left(self._clock.now(), failed=wrong.fault)
            raise
        except Exception:
            self._rest.left(self._clock.now(), failed=True)
            raise
        self._rest.left(self._clock.now(), failed=False)
        return reply

    def _asked(self, request: DataRequest) -> DataReply:
        deadline = time.monotonic() + float(str(self._set("timeout_seconds", 8)))
        tries = 1 + (int(str(self._set("retries", 1))) if request.method in self._list("repeatable") else 0)
        while True:
            tries -= 1
            try:
                return self._once(request, deadline)
            except NoAnswer as wrong:
                if not wrong.again or tries <= 0 or time.monotonic() >= deadline:
                    raise

    def _once(self, request: DataRequest, deadline: float) -> DataReply:
        address = urlsplit(str(self._set("base_url", "")))
        own = self._set("paths", {})
        path = address.path.rstrip("/") + str((own if isinstance(own, Mapping) else {}).get(request.method, f"/v1/{request.method}"))
        body = json.dumps({"request_no": request.reference, "subject": dict(request.subject)}, ensure_ascii=False, sort_keys=True).encode()
        stamp, nonce = str(int(self._clock.now().timestamp())), secrets.token_hex(16)
        headers = {"Content-Type": "application/json", "X-App-Id": str(self._set("app_id", "")), "X-Timestamp": stamp, "X-Nonce": nonce,
                   "X-Signature": self._sign().sign(("POST", path, stamp, nonce), body)}
        status, answered, content = _post(address.scheme, address.netloc, path, body, headers, deadline, int(str(self._set("answer_kb", 600))) * 1024)
        if status >= 500:
            raise NoAnswer(f"the service has a fault of its own (HTTP {status})", again=True)
        if status != 200:
            raise NoAnswer(f"the service refused the question (HTTP {status})", fault=status == 429)
        if not self._sign().holds(("ANSWER", path, stamp, nonce), content, answered.get("x-signature", "")):
            raise NoAnswer("the answer is not signed by the service for this question")
        return _reply(request, _object(content), content)

    def _sign(self) -> Signer:
        if self._signer is None:
            secret = self._environment.secret
            self._signer = (by_rsa(secret("private_key"), str(self._set("service_key", ""))) if self._set("algorithm", "hmac") == "rsa"
                            else by_hmac(secret("hmac_key")))
        return self._signer

    def _set(self, name: str, usual: object) -> object:
        return self._settings.get(name, usual)

    def _list(self, name: str) -> tuple[str, ...]:
        found = self._settings.get(name, ("bureau", "blacklist", "social_security", "carrier", "kyc3", "kyc4"))
        return tuple(found) if isinstance(found, (list, tuple)) else ()


class Rest:
    """A circuit breaker: after ``limit`` accidents in a row nothing is asked for ``pause``; then one question tries the way."""

    def __init__(self, limit: int, pause: timedelta) -> None:
        self._limit, self._pause = limit, pause
        self._failed, self._trying = 0, False
        self._until: datetime | None = None
        self._lock = threading.Lock()

    def enter(self, now: datetime) -> None:
        """NoAnswer while the service is left alone, or while somebody else tries whether it is back."""
        with self._lock:
            if self._until is None:
                return
            if now < self._until or self._trying:
                raise NoAnswer("the service failed several times and is left alone for a while")
            self._trying = True

    def left(self, now: datetime, *, failed: bool) -> None:
        with self._lock:
            self._trying = False
            self._failed = self._failed + 1 if failed else 0
            self._until = now + self._pause if self._failed >= self._limit else None


def _post(scheme: str, place: str, path: str, body: bytes, headers: Mapping[str, str], deadline: float,
          largest: int) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own, no redirects; the whole of it within the deadline however slowly it drips."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time left to ask")
    connection = (http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection)(place, timeout=left)
    try:
        try:
            connection.connect()
        except OSError as error:
            raise NoAnswer(f"the service cannot be reached: {error}", again=True) from error
        try:
            connection.request("POST", path, body=body, headers=dict(headers))
            response = connection.getresponse()
            content = _read(response, connection, deadline, largest)
        except TimeoutError as error:
            raise TimeoutError("the service did not answer in time") from error
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"the line broke: {type(error).__name__}", again=True) from error
        return response.status, {name.lower(): value for name, value in response.getheaders()}, content
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float, largest: int) -> bytes:
    parts, size = [], 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock is not None:
            connection.sock.settimeout(left)
        part = response.read1(65536)
        if not part:
            break
        size += len(part)
        if size > largest:
            raise NoAnswer("the answer is larger than agreed")
        parts.append(part)
    if response.length:
        raise NoAnswer("the answer broke off", again=True)
    return b"".join(parts)


def _object(content: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    def never(text: str) -> Any:
        raise ValueError(text)

    try:
        found = json.loads(content, object_pairs_hook=once, parse_constant=never)
    except (ValueError, RecursionError) as error:
        raise NoAnswer("the answer is no JSON") from error
    if not isinstance(found, dict):
        raise NoAnswer("the answer is no object")
    return found


def _reply(request: DataRequest, answer: Mapping[str, Any], content: bytes) -> DataReply:
    """What a genuine answer says; it must be about this request and this person."""
    if answer.get("request_no") != request.reference:
        raise NoAnswer("the answer is about another request")
    code, order = str(answer.get("code", "")), str(answer.get("order_no", ""))[:60]
    if code == QUOTA:
        raise NoAnswer("the quota with the service is used up", fault=False)
    if code not in (FOUND, NOT_FOUND):
        raise NoAnswer(f"the service answered {code[:20]}: {str(answer.get('message', ''))[:200]}")
    if answer.get("subject_digest") != hashlib.sha256(request.subject["id_no"].encode()).hexdigest():
        raise NoAnswer("the answer is about another person")
    if code == NOT_FOUND:
        return DataReply(outcome="not_found", reference=request.reference, provider_no=order, code=code)
    data = answer.get("data")
    if not isinstance(data, dict):
        raise NoAnswer("the answer has no data")
    try:
        facts = facts_of(request.method, data)
    except ValueError as error:
        raise NoAnswer(f"the answer does not hold what was agreed: {error}") from error
    return DataReply(outcome="found", reference=request.reference, provider_no=order, code=code, values=facts,
                     text=str(facts.get("reason") or facts.get("result") or "")[:200], raw=content.decode("utf-8"))
