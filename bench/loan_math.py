"""Loan schedules per second, beside the naive Decimal loop that most systems write, in the same run.

    .venv/bin/python bench/loan_math.py [seconds per line, default 1]

The reference does less: it makes no dates and checks no input, and it is wrong where rate / 12 is rounded first. It
stands here to say what exactness and the finished rows cost; the last line counts its wrong loans.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from metaloom_plugins.loan_math import Bill, Terms, allocate, apr, schedule
from metaloom_plugins.loan_math.bulk import schedules
from metaloom_plugins.loan_math.quote import quote

CENT = Decimal("0.01")


def main(seconds: float) -> None:
    reference = report("naive Decimal loop, 12 rows without dates", lambda: naive_rows(LOAN), seconds)
    for method in ("EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "INTEREST_ONLY", "BULLET"):
        terms = loan(method=method)
        report(f"schedule {method} 30/360, 12 rows", lambda terms=terms: schedule(terms), seconds, reference)
    actual = loan(day_count="ACT/360")
    report("schedule EQUAL_INSTALMENT ACT/360 (level sought)", lambda: schedule(actual), seconds, reference)
    bulk(reference, seconds)
    report("quote of one request with its annual rate", lambda: quote(REQUEST), seconds, reference)
    long = loan(periods=360)
    report("schedule EQUAL_INSTALMENT 30/360, 360 rows", lambda: schedule(long), seconds)
    bills = [Bill(no=no, interest=Decimal("841.51"), principal=Decimal("8043.37")) for no in (3, 4, 5)]
    report("allocate over 3 bills", lambda: allocate(bills, Decimal("12000.00")), seconds)
    flows = [-LOAN.principal, *(row.total for row in schedule(LOAN))]
    report("apr of 13 flows", lambda: apr(flows), seconds)
    print(f"\nnaive loop wrong in {wrong_loans(20_000)} of 20,000 random loans of whole thousands in their first month")


def bulk(reference: float, seconds: float) -> None:
    """A portfolio: 5,000 different loans in one go, and again in the shape that the time line gives."""
    rng = random.Random(2)
    loans = [loan(principal=Decimal(rng.randint(1000, 999999)), annual_rate=Decimal(rng.randint(300, 3600)).scaleb(-4),
                  start_date=date(2025, 1, 1) + timedelta(days=rng.randint(0, 365))) for _ in range(5000)]
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < seconds:
        count += sum(1 for _ in schedules(loans))
    rate = count / (time.perf_counter() - start)
    print(f"{'in bulk, EQUAL_INSTALMENT 30/360, 12 rows with dates':52} {rate:10,.0f} /s   {rate / reference:5.2f} × reference")


REQUEST = {"principal": "100000.00", "annual_rate": "0.12", "method": "EQUAL_INSTALMENT", "periods": 12, "start_date": "2025-01-15"}


def loan(**changes: object) -> Terms:
    values = {
        "principal": Decimal("100000.00"),
        "annual_rate": Decimal("0.12"),
        "method": "EQUAL_INSTALMENT",
        "periods": 12,
        "start_date": date(2025, 1, 15),
    }
    return Terms(**values | changes)  # type: ignore[arg-type]


LOAN = loan()


def naive_rows(terms: Terms) -> list[tuple[int, Decimal, Decimal, Decimal, Decimal]]:
    """The usual loop: rate / 12 first, quantize per line."""
    rate = terms.annual_rate / 12
    growth = (1 + rate) ** terms.periods
    level = (terms.principal * rate * growth / (growth - 1)).quantize(CENT, ROUND_HALF_UP)
    balance, rows = terms.principal, []
    for no in range(1, terms.periods + 1):
        interest = (balance * rate).quantize(CENT, ROUND_HALF_UP)
        principal = level - interest if no < terms.periods else balance
        balance -= principal
        rows.append((no, principal, interest, principal + interest, balance))
    return rows


def wrong_loans(count: int) -> int:
    """Loans whose first month of interest the naive loop rounds to another cent."""
    rng, wrong = random.Random(1), 0
    for _ in range(count):
        rate = Decimal(rng.randint(300, 3600)).scaleb(-4)
        terms = loan(principal=Decimal(rng.randint(1, 1000) * 1000), annual_rate=rate, periods=1)
        naive = (terms.principal * (rate / 12)).quantize(CENT, ROUND_HALF_UP)
        wrong += naive != schedule(terms)[0].interest
    return wrong


def report(title: str, work: Callable[[], object], seconds: float, reference: float | None = None) -> float:
    rate = per_second(work, seconds)
    beside = f"   {rate / reference:5.2f} × reference" if reference else ""
    print(f"{title:52} {rate:10,.0f} /s{beside}")
    return rate


def per_second(work: Callable[[], object], seconds: float) -> float:
    work()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(50):
            work()
        count += 50
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
