"""What every local channel does alike: books of its own, one payment per number for ever, faults on demand, notices that wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Payment:
    """One payment in the channel's books."""

    number: str
    kind: str
    cents: int
    state: str
    gateway_no: str
    more: dict[str, Any] = field(default_factory=dict)


class Channel:
    """Faults: silence_before, silence_after, error_before, error_after, forged, other_order, not_found (of a query), reject."""

    def __init__(self) -> None:
        self.books: dict[str, Payment] = {}
        self.faults: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.moved_cents = 0

    def take(self, number: str, kind: str, cents: int, **more: Any) -> Payment:
        """The payment of this number, moved once."""
        if number not in self.books:
            state = "failed" if self.fault("reject") else "paid"
            self.books[number] = Payment(number, kind, cents, state, f"GW{len(self.books) + 1:010d}", more)
            self.moved_cents += cents if state == "paid" else 0
        return self.books[number]

    def fault(self, *names: str) -> str:
        """Uses up the next fault if it is one of these."""
        if self.faults and self.faults[0] in names:
            return self.faults.pop(0)
        return ""
