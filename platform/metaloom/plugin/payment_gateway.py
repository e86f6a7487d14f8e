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


@dataclass(frozen=True, kw_only=True, slots=True)
class PayRequest:
    """``reference`` ≤ 64 characters, chosen and stored by us before the call. ``amount`` > 0 with two places."""

    reference: str
    amount: Decimal
    account_no: str
    account_name: str
    purpose: str = ""
    currency: str = "CNY"


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


def perform(gateway: PaymentGateway, method: str, payload: Mapping[str, Any]) -> dict[str, object]:
    """One call out of the outbox: ``payload`` as it was stored (JSON), the reply as plain values.

    Methods: ``pay`` (fields of :class:`PayRequest`), ``query`` (``reference``). Anything else raises ValueError.
    """
    if method == "pay":
        return asdict(gateway.pay(PayRequest(**{**payload, "amount": Decimal(str(payload["amount"]))})))
    if method == "query":
        return asdict(gateway.query(str(payload["reference"])))
    raise ValueError(f"payment_gateway has no method {method!r} to send to; known are pay, query")


def accident(payload: Mapping[str, Any], error: Exception) -> dict[str, object]:
    """The reply when nothing came back: we cannot tell."""
    return asdict(_unknown(str(payload.get("reference", "")), error))


@runtime_checkable
class PaymentGateway(Protocol):
    """Money may move in :meth:`pay` and nowhere else."""

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
        try:
            reply = self._provider.pay(request)
            self._check(reply, request.reference)
            self._promise.that(reply.amount is None or reply.amount == request.amount, "another amount was paid")
        except Exception as error:  # every accident on this way leaves the payment unknown
            return _unknown(request.reference, error)
        return reply

    def query(self, reference: str) -> PayReply:
        try:
            reply = self._provider.query(reference)
            self._check(reply, reference)
        except Exception as error:
            return _unknown(reference, error)
        return reply

    def statement(self, day: date) -> tuple[StatementLine, ...]:
        lines = self._provider.statement(day)
        self._promise.is_a("statement", lines, tuple)
        for line in lines:
            self._promise.is_a("statement line", line, StatementLine)
            self._promise.amount("statement amount", line.amount)
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
