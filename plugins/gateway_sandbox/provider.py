"""The payment_gateway door, opened towards the sandbox gateway.

The adapter knows the gateway only by its wire (addresses, JSON, signatures as `simulator.py` documents them) and signs with
code of its own. Whatever it cannot prove, it calls unknown: a silent line, an error page, an answer with a wrong signature,
an answer about another payment.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from metaloom.plugin import Environment
from metaloom.plugin.payment_gateway import PayReply, PayRequest, StatementLine
from metaloom.plugin.signed_notice import Notice, NoticeAnswer, NoticeRefused, SignedCall
from metaloom.plugin.wire import exchange

from .simulator import GatewaySimulator

Transport = Callable[[str, str, Mapping[str, str], bytes], tuple[int, Mapping[str, str], bytes]]

OUTCOME_OF_STATE: Final = {"SUCCESS": "succeeded", "PROCESSING": "accepted", "FAILED": "failed"}
CLOCK_SKEW_SECONDS: Final = 300
ANSWER_MAX: Final = 4 * 1024 * 1024


class GatewayProblem(Exception):
    """The answer proves nothing. `code` is what the payment order shows until the outcome is known."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Said:
    """A genuine message of the gateway about one payment. The same `event_no` may come twice."""

    event_no: str
    reply: PayReply


class SandboxGateway:
    """One merchant at the sandbox gateway.

    Without the setting `base_url` the gateway lives in this process, its books in a file that all processes of this
    client share. With it, the secret `merchant_key` must be set.
    """

    def __init__(self, environment: Environment) -> None:
        self._clock = environment.clock
        base_url = str(environment.settings.get("base_url", ""))
        if base_url:
            self._key = environment.secret("merchant_key")
            self._send = over_http(base_url, float(str(environment.settings.get("timeout_seconds", 15))))
        else:
            gateway = GatewaySimulator(_books_file(environment.folder), now=self._seconds)
            self._key = gateway.merchant_key()
            self._send = in_process(gateway)

    def pay(self, request: PayRequest) -> PayReply:
        return self._order(request, "payout")

    def collect(self, request: PayRequest) -> PayReply:
        return self._order(request, "collect")

    def refund(self, request: PayRequest) -> PayReply:
        return self._order(request, "refund")

    def _order(self, request: PayRequest, kind: str) -> PayReply:
        order = {
            "order_no": request.reference,
            "cents": _cents(request.amount),
            "currency": request.currency,
            "account": request.account_no,
            "name": request.account_name,
            "remark": request.purpose[:200],
            "kind": kind,
        }
        if kind == "refund":
            order["original"] = request.original
        body = json.dumps(order, ensure_ascii=False).encode()
        return self._reply("POST", "/payouts", body, request.reference)

    def query(self, reference: str) -> PayReply:
        return self._reply("GET", f"/payouts/{quote(reference, safe='')}", b"", reference)

    def statement(self, day: date) -> tuple[StatementLine, ...]:
        status, content = self._ask("GET", f"/statements/{day.isoformat()}", b"")
        if status != 200:
            raise GatewayProblem(f"http_{status}", "the gateway gave no statement")
        return tuple(_line(line) for line in content["lines"])

    def read(self, call: SignedCall) -> Notice:
        try:
            said = self.read_notice(call.headers, call.body)
        except GatewayProblem as problem:
            raise NoticeRefused(problem.code) from problem
        reply = said.reply
        return Notice(event_no=said.event_no, topic="payment", values={
            "reference": reply.reference, "outcome": reply.outcome, "gateway_no": reply.gateway_no, "amount": reply.amount,
            "code": reply.code, "text": reply.text,
        })

    def answer(self, taken: bool) -> NoticeAnswer:
        return NoticeAnswer(status=200 if taken else 503, body=b"OK" if taken else b"LATER")

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Said:
        """A notice whose signature and time hold. Raises GatewayProblem for all else; then nothing may be booked."""
        self._check_signature(headers, "NOTICE", "/notice", body)
        content = _object_of(body)
        return Said(str(content.get("event_no", "")), _reply_of(content.get("payout")))

    def _reply(self, method: str, path: str, body: bytes, reference: str) -> PayReply:
        try:
            status, content = self._ask(method, path, body)
            return _judged(status, content, reference)
        except GatewayProblem as problem:
            return PayReply(outcome="unknown", reference=reference, code=problem.code, text=str(problem))
        except OSError as silence:
            return PayReply(outcome="unknown", reference=reference, code="no_answer", text=str(silence)[:200])

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        status, headers, answer = self._send(method, path, self._signed(method, path, body), body)
        if status >= 500:
            raise GatewayProblem(f"http_{status}", "the gateway has a fault of its own")
        self._check_signature(headers, "ANSWER", path, answer)
        return status, _object_of(answer)

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        stamp, nonce = str(int(self._seconds())), secrets.token_hex(16)
        mac = _mac(self._key, (stamp, nonce, method, path), body)
        return {"Content-Type": "application/json", "X-Timestamp": stamp, "X-Nonce": nonce, "X-Signature": mac}

    def _check_signature(self, headers: Mapping[str, str], method: str, path: str, body: bytes) -> None:
        given = {name.lower(): value for name, value in headers.items()}
        stamp = given.get("x-timestamp", "")
        mac = _mac(self._key, (stamp, given.get("x-nonce", ""), method, path), body)
        if not hmac.compare_digest(mac.encode(), given.get("x-signature", "").encode()):
            raise GatewayProblem("bad_signature", "the message is not from the gateway")
        if not stamp.isdecimal() or abs(int(stamp) - self._seconds()) > CLOCK_SKEW_SECONDS:
            raise GatewayProblem("stale_message", "the message is too old or from the future")

    def _seconds(self) -> float:
        return self._clock.now().timestamp()


def in_process(gateway: GatewaySimulator) -> Transport:
    """The wire as a call; bytes in, bytes out, a silent line is a TimeoutError."""

    def send(method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        answer = gateway.handle(method, path, headers, body)
        return answer.status, answer.headers, answer.body

    return send


def over_http(base_url: str, timeout_seconds: float) -> Transport:
    """The wire over HTTP(S), one connection per call, `timeout_seconds` for the whole call however slowly it drips."""

    def send(method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        answer = exchange(base_url, method, path, body, headers, seconds=timeout_seconds, most=ANSWER_MAX)
        return answer.status, answer.headers, answer.body

    return send


def _judged(status: int, content: dict[str, Any], reference: str) -> PayReply:
    """What a genuine answer means for the payment with our reference."""
    code = str(content.get("code", ""))
    if status == 200:
        reply = _reply_of(content.get("payout"))
        if reply.reference != reference:
            raise GatewayProblem("other_payment", "the answer is about another payment")
        return reply
    if status == 404 and code == "ORDER_NOT_FOUND":
        raise GatewayProblem("not_found", "the gateway has no such payment, at least not yet")
    if status == 400:
        return PayReply(
            outcome="failed", reference=reference, code=code, text="the gateway refused the request as invalid"
        )
    raise GatewayProblem(code.lower() or f"http_{status}", f"the gateway answered {status}")


def _reply_of(payout: object) -> PayReply:
    if not isinstance(payout, dict):
        raise GatewayProblem("odd_answer", "the answer holds no payment")
    try:
        return PayReply(
            outcome=OUTCOME_OF_STATE[payout["state"]],
            gateway_no=str(payout["gateway_no"]),
            code=str(payout["code"]),
            reference=str(payout["order_no"]),
            amount=_amount(payout["cents"]),
        )
    except (KeyError, TypeError) as odd:
        raise GatewayProblem("odd_answer", "the answer has not the agreed fields") from odd


def _line(line: Mapping[str, Any]) -> StatementLine:
    reply = _reply_of(line)
    return StatementLine(
        reference=reply.reference,
        gateway_no=reply.gateway_no,
        amount=_amount(line["cents"]),
        outcome=reply.outcome,
        day=date.fromisoformat(str(line["day"])),
        kind=str(line["kind"]),
    )


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise GatewayProblem("odd_answer", "the answer is no JSON") from error
    if not isinstance(content, dict):
        raise GatewayProblem("odd_answer", "the answer is no object")
    return content


def _cents(amount: Decimal) -> int:
    numerator, denominator = (amount * 100).as_integer_ratio()
    if denominator != 1 or numerator <= 0:
        raise ValueError(f"amount must be positive with at most two places, found {amount}")
    return numerator


def _amount(cents: object) -> Decimal:
    if isinstance(cents, bool) or not isinstance(cents, int):
        raise TypeError("cents")
    return Decimal(cents).scaleb(-2)


def _mac(key: str, said: tuple[str, ...], body: bytes) -> str:
    digest = hmac.new(key.encode(), digestmod=hashlib.sha256)
    for word in said:
        digest.update(word.encode() + b"\n")
    digest.update(body)
    return digest.hexdigest()


def _books_file(folder: Path | None) -> Path:
    """In the folder of this client; without one (a trial outside any client) in a new folder that nobody else knows."""
    return (folder or Path(tempfile.mkdtemp(prefix="gateway-sandbox-"))) / "gateway.sqlite"
