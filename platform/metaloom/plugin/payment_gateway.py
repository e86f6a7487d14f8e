"""The payment_gateway door: money leaves, or is asked about, over a network (reliability P6, F1–F23).

Called by a worker only, outside every transaction, after the intention and its reference were committed. A reference
names one payment for ever: the same reference is used for every repetition, and the gateway must hold at most one
payment for it. A time-out is *unknown*, never *failed*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

from metaloom.plugin.faults import PluginFault, Promise

OUTCOMES = frozenset({"accepted", "succeeded", "failed", "unknown"})
KINDS = frozenset({"payout", "collect", "refund"})
STATEMENT_MAX = 200_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PayRequest:
    """``reference`` ≤ 64 characters, chosen and stored by us before the call. ``amount`` > 0 with two places.

    ``account_no`` is whom the money goes to (``pay``), comes from (``collect``), or returns to (``refund``). ``made_at`` is the
    instant, ISO with zone, that was committed together with the reference: gateways that want a time of the order are given
    the same one at every repetition. ``agreement_no``: the person's standing consent to be debited. ``original``: the
    reference of the payment that a refund gives back, ``original_no`` the gateway's own number of it.
    """

    reference: str
    amount: Decimal
    account_no: str
    account_name: str
    purpose: str = ""
    currency: str = "CNY"
    bank_code: str = ""
    made_at: str = ""
    agreement_no: str = ""
    original: str = ""
    original_no: str = ""
    original_amount: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Inquiry:
    """Which payment is asked about: ``kind`` and ``made_at`` as it was sent with, for gateways that want them."""

    reference: str
    kind: str = "payout"
    made_at: str = ""
    original: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PayReply:
    """``outcome``: accepted (taken, result to be asked later) | succeeded | failed (definitely did not and will not pay)
    | unknown (we cannot tell). ``gateway_no`` is the gateway's own number; ``amount`` what it says it paid."""

    outcome: str
    gateway_no: str = ""
    code: str = ""
    text: str = ""
    reference: str = ""
    amount: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StatementLine:
    """One payment as the gateway's books have it."""

    reference: str
    gateway_no: str
    amount: Decimal
    outcome: str
    day: date
    kind: str = "payout"
    fee: Decimal = Decimal(0)


def perform(gateway: PaymentGateway, method: str, payload: Mapping[str, Any]) -> dict[str, object]:
    """One call out of the outbox: ``payload`` as it was stored (JSON), the reply as plain values.

    Methods: ``pay``, ``collect``, ``refund`` (fields of :class:`PayRequest`), ``query`` (fields of :class:`Inquiry`), ``statement``
    (``day``, ISO; the reply has ``lines``). Anything else raises ValueError.
    """
    if method in ("pay", "collect", "refund"):
        reply: PayReply = getattr(gateway, method)(_request(payload))
        return asdict(reply)
    if method == "query":
        names = ("reference", "kind", "made_at", "original")
        inquiry = Inquiry(**{name: str(payload[name]) for name in names if payload.get(name)})
        return asdict(gateway.inquire(inquiry) if isinstance(gateway, CheckedPaymentGateway) else gateway.query(inquiry.reference))
    if method == "statement":
        return _statement(gateway, date.fromisoformat(str(payload["day"])))
    raise ValueError(f"payment_gateway has no method {method!r} to send to; known are pay, collect, refund, query, statement")


def _request(payload: Mapping[str, Any]) -> PayRequest:
    amounts = {name: Decimal(str(payload[name])) for name in ("amount", "original_amount") if payload.get(name) is not None}
    return PayRequest(**{**payload, **amounts})


def _statement(gateway: PaymentGateway, day: date) -> dict[str, object]:
    lines = [{**asdict(line), "amount": format(line.amount, "f"), "fee": format(line.fee, "f"), "day": line.day.isoformat()}
             for line in gateway.statement(day)]
    return {"outcome": "succeeded", "day": day.isoformat(), "lines": lines, "code": "", "text": ""}


def accident(payload: Mapping[str, Any], error: Exception) -> dict[str, object]:
    """The reply when nothing came back: we cannot tell."""
    return asdict(_unknown(str(payload.get("reference", "")), error))


@runtime_checkable
class PaymentGateway(Protocol):
    """Money may move in :meth:`pay` and, where a gateway has them, in ``collect`` and ``refund``; nowhere else.

    Three methods more that a gateway *may* have; without them nothing is sent and the answer is ``failed``, code ``unsupported``:

    ``collect(request: PayRequest) -> PayReply`` debits the account once, under the person's agreement; repetition as with ``pay``.
    ``refund(request: PayRequest) -> PayReply`` gives ``original`` back, once; repetition as with ``pay``.
    ``inquire(inquiry: Inquiry) -> PayReply`` is ``query`` for gateways that must know what kind of payment is asked about.
    """

    def pay(self, request: PayRequest) -> PayReply:
        """Pay once. Before: intention and reference are committed. May be repeated with the same reference: the gateway
        then answers for the payment it has and pays nothing again. MONEY MAY MOVE. A network error or a time-out raises
        or returns ``unknown``; ``failed`` only on the gateway's definite word."""

    def query(self, reference: str) -> PayReply:
        """What became of a payment. May be repeated at will; no money moves. A reference the gateway does not have (yet):
        ``unknown`` with code ``not_found`` — one such answer proves nothing (F21)."""

    def statement(self, day: date) -> tuple[StatementLine, ...]:
        """All payments of one day. May be repeated; no money moves."""


class CheckedPaymentGateway:
    """A gateway behind the engine's checks: whatever it raises or misspells becomes ``unknown``, never a result."""

    def __init__(self, provider: PaymentGateway, name: str) -> None:
        self._provider, self._promise = provider, Promise(name)

    def pay(self, request: PayRequest) -> PayReply:
        return self._move("pay", request)

    def collect(self, request: PayRequest) -> PayReply:
        return self._move("collect", request)

    def refund(self, request: PayRequest) -> PayReply:
        return self._move("refund", request)

    def _move(self, method: str, request: PayRequest) -> PayReply:
        call = getattr(self._provider, method, None)
        if call is None:
            return PayReply(outcome="failed", reference=request.reference, code="unsupported", text=f"this gateway has no {method}")
        try:
            reply: PayReply = call(request)
            self._check(reply, request.reference)
            self._promise.that(reply.amount is None or reply.amount == request.amount, "another amount was paid")
        except Exception as error:  # every accident on this way leaves the payment unknown
            return _unknown(request.reference, error)
        return reply

    def query(self, reference: str) -> PayReply:
        return self.inquire(Inquiry(reference=reference))

    def inquire(self, inquiry: Inquiry) -> PayReply:
        """What became of a payment of any kind."""
        own = getattr(self._provider, "inquire", None)
        try:
            reply: PayReply = own(inquiry) if own is not None else self._provider.query(inquiry.reference)
            self._check(reply, inquiry.reference)
        except Exception as error:
            return _unknown(inquiry.reference, error)
        return reply

    def statement(self, day: date) -> tuple[StatementLine, ...]:
        lines = self._provider.statement(day)
        self._promise.is_a("statement", lines, tuple)
        self._promise.that(len(lines) <= STATEMENT_MAX, "the statement is too long")
        for line in lines:
            self._promise.is_a("statement line", line, StatementLine)
            self._promise.amount("statement amount", line.amount)
            self._promise.amount("statement fee", line.fee)
            self._promise.one_of("statement kind", line.kind, KINDS)
        return lines

    def _check(self, reply: PayReply, reference: str) -> None:
        self._promise.is_a("reply", reply, PayReply)
        self._promise.one_of("outcome", reply.outcome, OUTCOMES)
        self._promise.that(reply.reference in ("", reference), "the reply is about another reference")
        if reply.amount is not None:
            self._promise.amount("amount", reply.amount)
        for key in ("gateway_no", "code", "text"):
            self._promise.text(key, getattr(reply, key))


def _unknown(reference: str, error: Exception) -> PayReply:
    fault = error.fault if isinstance(error, PluginFault) else f"{type(error).__name__}: {error}"
    return PayReply(outcome="unknown", reference=reference, code=type(error).__name__, text=fault[:500])
