"""What every local channel does alike: books of its own, one payment per number for ever, faults on demand, notices that wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.plugins.channels.keys import RESET


@dataclass
class Payment:
    """One payment in the channel's books."""

    number: str
    kind: str
    cents: int
    state: str
    gateway_no: str
    more: dict[str, Any] = field(default_factory=dict)


WIRE = {
    "reset": RESET, "empty_200": (200, {}, b""), "html_200": (200, {"Content-Type": "text/html"}, b"<html><body>busy</body></html>"),
    "too_many": (429, {"Retry-After": "1"}, b""), "error_500": (500, {}, b"")}
"""What stands between us and a channel, whoever it is."""


class Channel:
    """Faults: silence_before, silence_after, error_before, error_after, forged, other_order, not_found (of a query), reject."""

    def __init__(self) -> None:
        self.books: dict[str, Payment] = {}
        self.faults: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.moved_cents = 0
        self.wire: list[tuple[str, str]] = []

    def over_the_wire(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        """``handle`` behind a faulty line: ``wire`` holds (fault, before | after), used up by calls about payments."""
        fault, when = self.wire.pop(0) if self.wire and path not in self.aside else ("", "")
        if fault and when == "before":
            return WIRE[fault]
        answer = self.handle(method, path, headers, body)
        return WIRE[fault] if fault else answer

    aside: tuple[str, ...] = ()

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        raise NotImplementedError

    def take(self, number: str, kind: str, cents: int, **more: Any) -> Payment:
        """The payment of this number, moved once."""
        known = self.books.get(number)
        if known is not None:
            assert (known.kind, known.cents) == (kind, cents), "one number, two payments"
        if known is None:
            state = "failed" if self.fault("reject") else "paid"
            self.books[number] = Payment(number, kind, cents, state, f"GW{len(self.books) + 1:010d}", more)
            self.moved_cents += cents if state == "paid" else 0
        return self.books[number]

    def refundable(self, original: str, number: str) -> int:
        """Cents of a payment (by our number or by the channel's) that no other refund has given back; below zero where there is no such payment."""
        paid = next((one for one in self.books.values() if original in (one.number, one.gateway_no) and one.kind != "refund" and one.state == "paid"), None)
        if paid is None:
            return -1
        return paid.cents - sum(one.cents for one in self.books.values() if one.more.get("original") == paid.number and one.state != "failed"
                                and one.number != number)

    def number_of(self, original: str) -> str:
        return next((one.number for one in self.books.values() if original in (one.number, one.gateway_no)), "")

    def fault(self, *names: str) -> str:
        """Uses up the next fault if it is one of these."""
        if self.faults and self.faults[0] in names:
            return self.faults.pop(0)
        return ""
