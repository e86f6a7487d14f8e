"""A loan of level instalments in plain integers, written a second time and by other means: day by day instead of by segments.

It knows receipts, their reversal and the passing of days; fee, waiver and change of plan are not its business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

RATE, PENALTY = (12, 1200), (18, 36000)
"""12 % a year by whole months, 18 % a year by days of 360, as fractions of integers."""


def half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


@dataclass
class Bill:
    due: date
    interest: int
    principal: int
    charged: int = 0
    paid_penalty: int = 0
    base: int = 0
    days: int = 0

    @property
    def penalty(self) -> int:
        """What ran: closed segments and the one that runs."""
        return self.charged + half_up(self.base * PENALTY[0] * self.days, PENALTY[1]) - self.paid_penalty

    def close(self) -> None:
        """Ends the running segment: the base changes."""
        self.charged += half_up(self.base * PENALTY[0] * self.days, PENALTY[1])
        self.base, self.days = self.principal, 0


@dataclass
class Oracle:
    principal: int
    level: int
    start: date
    dues: list[date]
    receipts: dict[int, tuple[date, int]] = field(default_factory=dict)
    own: dict[tuple[str, str], tuple[str, dict[str, tuple[str, ...]]]] = field(default_factory=dict)
    """(transaction, standing) → way and, by stage, the components in their order; none: by period."""

    def bills(self) -> list[Bill]:
        left, found = self.principal, []
        for due in self.dues:
            interest = half_up(left * RATE[0], RATE[1])
            part = left if due == self.dues[-1] else self.level - interest
            found.append(Bill(due, interest, part))
            left -= part
        return found

    def state(self, today: date) -> dict[str, int]:
        """principal, interest, penalty owed, suspense and days past due at the end of ``today``."""
        bills, waits, day = self.bills(), 0, self.start
        while day <= today:
            for bill in bills:
                if bill.due == day - timedelta(days=1):
                    bill.base = bill.principal
                if bill.due < day and bill.base:
                    bill.days += 1
            for _, amount in sorted((key, amount) for key, (when, amount) in self.receipts.items() if when == day):
                waits = self._receive(bills, waits + amount, day, "due")
            if waits and any(bill.due == day for bill in bills):
                waits = self._receive(bills, waits, day, "suspense")
            day += timedelta(days=1)
        late = [bill.due for bill in bills if bill.due < today and bill.interest + bill.principal]
        return {"principal": sum(bill.principal for bill in bills), "interest": sum(bill.interest for bill in bills),
                "penalty": sum(bill.penalty for bill in bills), "suspense": waits, "dpd": (today - min(late)).days if late else 0}

    def _receive(self, bills: list[Bill], amount: int, day: date, kind: str) -> int:
        late = max(((day - bill.due).days for bill in bills if bill.due < day and bill.interest + bill.principal), default=0)
        standing = "non_performing" if late > 90 else "overdue" if late else "normal"
        for key in ((kind, standing), ("any", standing), (kind, "any"), ("any", "any")):
            if key in self.own:
                return self._by_matrix(bills, amount, day, *self.own[key], running=kind == "due")
        return self._spread(bills, amount, day, running=kind == "due")

    def _by_matrix(self, bills: list[Bill], amount: int, day: date, way: str, stages: dict[str, tuple[str, ...]], *, running: bool) -> int:
        """Every (place, bill) is written down and sorted; then the money walks along."""
        steps = []
        for number, bill in enumerate(bills):
            began = self.dues[number - 1] if number else self.start
            runs = running and (began < day or (number == 0 and day >= self.start))
            stage = "past_due" if bill.due < day else "due" if bill.due == day else "running" if runs else ""
            for place, component in enumerate(stages.get(stage, ())):
                steps.append(((number, place) if way == "by_period" else (place, number), number, component))
        for _, number, component in sorted(steps):
            bill = bills[number]
            if component in ("penalty", "interest", "principal"):
                paid = min(amount, getattr(bill, component))
                amount -= paid
                if component == "penalty":
                    bill.paid_penalty += paid
                elif paid:
                    setattr(bill, component, getattr(bill, component) - paid)
                    if component == "principal" and bill.due < day:
                        bill.close()
        return amount

    def _spread(self, bills: list[Bill], amount: int, day: date, *, running: bool) -> int:
        started = [bill for place, bill in enumerate(bills) if bill.due <= day or running and (
            (self.dues[place - 1] if place else self.start) < day or (place == 0 and day >= self.start))]
        for bill in started:
            paid = min(amount, bill.penalty)
            bill.paid_penalty += paid
            amount -= paid
            paid = min(amount, bill.interest)
            bill.interest -= paid
            amount -= paid
            paid = min(amount, bill.principal)
            if paid:
                bill.principal -= paid
                amount -= paid
                if bill.due < day:
                    bill.close()
        return amount
