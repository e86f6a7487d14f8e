"""Random loans against a second implementation, and what must hold for every loan."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest

from metaloom_plugins.loan_math import (
    COMPONENTS,
    METHODS,
    Bill,
    Instalment,
    PenaltyTerms,
    Terms,
    allocate,
    apr,
    level_payment,
    overdue_days,
    parts,
    penalty,
    schedule,
    settle_quote,
)
from metaloom_plugins.loan_math.bulk import schedules as in_bulk
from metaloom_plugins.loan_math.line import Stretch
from tests.plugins.loan_math.reference import edges, period_rates, reference_rows, rounded, run_level

ZERO = Decimal("0.00")
RATES = ("0", "0.12", "0.036", "0.0435", "0.24", "0.36", "0.1425", "1", "0.000001", "0.07235")
AMOUNTS = (1, 2, 5, 7, 100, 12_345, 99_999, 10_000_000, 35_481_500, 12_345_678_901)


def random_terms(rng: random.Random) -> Terms:
    unit = rng.choice(("month",) * 6 + ("week", "day"))
    periods = rng.choice((1, 2, 3, 6, 12, 12, 24, 36, rng.randint(1, 60)))
    start = date(2019, 1, 1) + timedelta(days=rng.randint(0, 4000))
    cents = rng.choice(AMOUNTS) if rng.random() < 0.3 else rng.randint(1, 10 ** rng.randint(2, 11))
    rate = rng.choice(RATES) if rng.random() < 0.5 else f"0.{rng.randint(0, 400000):06d}"
    explicit = rng.random() < 0.15
    return Terms(
        principal=Decimal(cents).scaleb(-2),
        annual_rate=Decimal(rate),
        method=rng.choice(sorted(METHODS)),
        periods=periods,
        start_date=start,
        due_day=None if explicit or unit != "month" or rng.random() < 0.5 else rng.randint(1, 31),
        first_due_date=start + timedelta(days=rng.randint(1, 60)) if explicit else None,
        period_unit=unit,
        period_length=rng.choice((1, 1, 1, 3, 2)) if unit != "day" else rng.choice((1, 7, 10, 30)),
        day_count=rng.choice(("30/360", "ACT/360", "ACT/365")),
        first_period=rng.choice(("STUB_ACTUAL", "STUB_ACTUAL", "FULL_PERIOD")),
        min_first_days=rng.choice((0, 0, 15, 30)),
        period_fee=rng.choice((ZERO, ZERO, Decimal("12.30"))),
    )


def cases(count: int, seed: int = 20250115) -> Iterator[Terms]:
    rng = random.Random(seed)
    return (random_terms(rng) for _ in range(count))


def compare_with_reference(count: int, compute: Callable[[Terms], tuple[Instalment, ...]]) -> int:
    """How many random loans differ from the reference in any date or cent."""
    wrong = 0
    for terms in cases(count):
        found = [(row.due_date, row.principal, row.interest, row.balance) for row in compute(terms)]
        wrong += found != reference_rows(terms)
    return wrong


def test_2500_random_loans_equal_the_second_implementation() -> None:
    assert compare_with_reference(2500, schedule) == 0


def test_the_bulk_path_is_the_time_line_to_the_cent() -> None:
    drawn = list(cases(3000, seed=11))
    for terms, lines in zip(drawn, in_bulk(drawn), strict=True):
        assert lines == [(row.due_date, cents(row.principal), cents(row.interest), cents(row.balance)) for row in schedule(terms)], terms


PLANS_OF_VERSION_1 = "ace919de7f0119be88da6025fed65d95b6c9255078ed18e8df281aa23aaa8213"


def test_plans_that_were_stored_by_version_1_come_out_to_the_cent() -> None:
    """Loans that run keep their plan: the digest was taken with the arithmetic of version 1.0 over the same 400 loans."""
    digest = hashlib.sha256()
    for terms in cases(400, seed=3):
        for row in schedule(terms):
            digest.update(f"{row.no} {row.due_date} {row.principal} {row.interest} {row.fee} {row.total} {row.balance}\n".encode())
    assert digest.hexdigest() == PLANS_OF_VERSION_1


def cents(amount: Decimal) -> int:
    return int(amount.scaleb(2))


@pytest.mark.nightly
def test_50000_random_loans_equal_the_second_implementation() -> None:
    assert compare_with_reference(50_000, schedule) == 0


def test_the_random_loans_reach_every_kind_of_loan() -> None:
    drawn = list(cases(2000))
    assert {terms.method for terms in drawn} == METHODS
    for attribute in ("period_unit", "day_count", "first_period"):
        assert len({getattr(terms, attribute) for terms in drawn}) >= 2
    assert sum(terms.principal < 1 for terms in drawn) >= 50
    assert sum(terms.annual_rate == 0 for terms in drawn) >= 50
    assert sum(terms.method == "EQUAL_INSTALMENT" and terms.day_count != "30/360" for terms in drawn) >= 100


def test_every_line_of_3000_random_schedules_is_sound() -> None:
    for terms in cases(3000, seed=7):
        assert_sound(terms, schedule(terms))


def assert_sound(terms: Terms, rows: tuple[Instalment, ...]) -> None:
    """I7, and what a reader of the plan relies on."""
    balance, previous = terms.principal, terms.start_date
    for no, row in enumerate(rows, start=1):
        assert row.no == no
        assert row.start_date == previous < row.due_date, terms
        assert row.days == (row.due_date - row.start_date).days
        assert min(row.principal, row.interest, row.fee, row.balance) >= 0, (terms, row)
        assert row.total == row.principal + row.interest + row.fee
        balance, previous = balance - row.principal, row.due_date
        assert row.balance == balance
        assert all(value.as_tuple().exponent == -2 for value in (row.principal, row.interest, row.total, row.balance))
    assert balance == 0
    assert len(rows) == (1 if terms.method == "BULLET" else terms.periods)


def half_even(numerator: int, denominator: int) -> int:
    """What round() and a default decimal context do."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


ORIGINAL_EQUAL = parts._equal_level


def ORIGINAL_CLOSE_LATE(line: Any, day: date) -> None:  # noqa: N802 - one of the planted errors
    """A segment that forgets what was just repaid."""
    if day > line.since:
        owed = line.rows[-1].opening if line.rows else line.balance
        line.stretches.append(Stretch(line.since, day, owed, owed, line.rate))
        line.since = day


MUTANTS: dict[str, tuple[str, Any]] = {
    "a half is rounded to even": ("money.Rounding.whole", lambda rounding, numerator, denominator: half_even(numerator, denominator)),
    "a half is cut off": ("money.Rounding.whole", lambda rounding, numerator, denominator: numerator // denominator),
    "the level is one cent too high": ("parts._equal_level", lambda *given: ORIGINAL_EQUAL(*given) + 1),
    "the sought level is not sought": ("parts._sought", lambda balance, numerators, base, high, rounding: high + 1),
    "a stub is charged as a whole period": ("periods.share_of", lambda contract, start, end: Fraction(1, 12)),
    "a month is 30 days of 365": ("periods._whole_share", lambda contract, start, end: Fraction(30, 365)),
    "the balance before the payment bears the next interest": ("line._close", ORIGINAL_CLOSE_LATE),
    "the last period does not take the rest": ("parts.fixed_parts", lambda balance, count, part: [part] * count),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_error_is_seen_by_the_comparison(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, replacement = MUTANTS[mutant]
    monkeypatch.setattr(f"metaloom_plugins.loan_math.{name}", replacement)
    assert compare_with_reference(400, schedule) > 0


def loan(**changes: Any) -> Terms:
    values: dict[str, Any] = {
        "principal": Decimal("100000.00"),
        "annual_rate": Decimal("0.12"),
        "method": "EQUAL_INSTALMENT",
        "periods": 12,
        "start_date": date(2025, 1, 15),
    }
    return Terms(**values | changes)


def test_an_exact_half_cent_rounds_up() -> None:
    """70963.00 × 6 % / 12 = 354.815: rate/12 first gives 354.81."""
    rows = schedule(loan(principal=Decimal("70963.00"), annual_rate=Decimal("0.06"), method="INTEREST_ONLY"))
    assert str(rows[0].interest) == "354.82"


def test_the_callers_decimal_context_changes_nothing() -> None:
    terms = loan(principal=Decimal("98765432.10"), day_count="ACT/360", annual_rate=Decimal("0.1735"))
    expected = (schedule(terms), apr([-terms.principal, *(row.total for row in schedule(terms))]))
    with localcontext() as context:
        context.prec, context.rounding = 4, "ROUND_DOWN"
        rows = schedule(terms)
        assert (rows, apr([Decimal("-98765432.10"), *(row.total for row in rows)])) == expected


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("periods", [1, 12, 600])
@pytest.mark.parametrize("rate", ["0", "0.36", "1", "10"])
@pytest.mark.parametrize("principal", ["0.01", "3.00", "1000000000000.00"])
def test_the_ends_of_the_ranges_are_sound(method: str, periods: int, rate: str, principal: str) -> None:
    for day_count in ("30/360", "ACT/360"):
        terms = loan(
            method=method,
            periods=periods,
            annual_rate=Decimal(rate),
            principal=Decimal(principal),
            day_count=day_count,
            start_date=date(2024, 2, 29),
            due_day=31,
        )
        assert_sound(terms, schedule(terms))


def test_a_whole_week_later_bears_the_same_interest() -> None:
    for terms in cases(400, seed=3):
        if terms.period_unit == "month":
            continue
        first = terms.first_due_date and terms.first_due_date + timedelta(days=7)
        moved = replace(terms, start_date=terms.start_date + timedelta(days=7), first_due_date=first)
        assert [row.total for row in schedule(moved)] == [row.total for row in schedule(terms)]


def test_the_level_of_an_actual_day_loan_has_no_better_neighbour() -> None:
    tried = 0
    for terms in cases(1500, seed=11):
        if terms.method == "EQUAL_INSTALMENT" and terms.day_count != "30/360" and terms.annual_rate > 0:
            dates, whole = edges(terms)
            _, planned = period_rates(terms, dates, whole)
            level = level_payment(terms)
            misses = [last_miss(terms, planned, level + step * Decimal("0.01")) for step in (-2, -1, 0, 1, 2)]
            assert misses[2] == min(misses), terms
            tried += 1
    assert tried >= 100


def last_miss(terms: Terms, planned: list[Fraction], level: Decimal) -> Fraction:
    """How far the last payment of a whole schedule lies from the level."""
    last = run_level(Fraction(terms.principal), planned, Fraction(level))[-1]
    return abs(last + rounded(last * planned[-1]) - Fraction(level))


def random_bills(rng: random.Random) -> list[Bill]:
    def amount() -> Decimal:
        return Decimal(rng.choice((0, rng.randint(0, 100_000)))).scaleb(-2).quantize(ZERO)

    numbers = rng.sample(range(1, 40), rng.randint(1, 6))
    return [Bill(no=no, **{component: amount() for component in COMPONENTS}) for no in numbers]


@pytest.mark.parametrize("rule", ["BY_PERIOD", "BY_COMPONENT", "PRINCIPAL_FIRST"])
def test_an_allocation_uses_every_cent_once_and_no_component_twice(rule: str) -> None:
    rng = random.Random(19)
    for _ in range(700):
        bills = random_bills(rng)
        owed = sum((bill.total for bill in bills), ZERO)
        amount = Decimal(rng.randint(0, int(owed * 130) + 1)).scaleb(-2)
        result = allocate(bills, amount, rule)
        assert sum((part.amount for part in result.parts), result.surplus) == amount
        assert result.surplus == max(ZERO, amount - owed)
        assert all(part.amount > 0 for part in result.parts)
        for bill in bills:
            assert all(ZERO <= result.paid(bill.no, c) <= getattr(bill, c) for c in COMPONENTS)
        assert allocate(bills[::-1], amount, rule) == result


def test_two_receipts_on_one_day_pay_the_same_as_one() -> None:
    rng = random.Random(20)
    for _ in range(300):
        bills, rule = random_bills(rng), rng.choice(("BY_PERIOD", "BY_COMPONENT", "PRINCIPAL_FIRST"))
        first, second = (Decimal(rng.randint(0, 200_000)).scaleb(-2) for _ in range(2))
        once, start = allocate(bills, first + second, rule), allocate(bills, first, rule)
        left = [
            Bill(no=bill.no, **{c: getattr(bill, c) - start.paid(bill.no, c) for c in COMPONENTS}) for bill in bills
        ]
        end = allocate(left, second, rule)
        for bill in bills:
            for c in COMPONENTS:
                assert once.paid(bill.no, c) == start.paid(bill.no, c) + end.paid(bill.no, c)
        assert once.surplus == start.surplus + end.surplus


def test_settling_early_never_costs_more_interest_and_never_less_than_nothing() -> None:
    rng = random.Random(21)
    for terms in cases(1200, seed=5):
        rows = schedule(terms)
        on = terms.start_date + timedelta(days=rng.randint(0, (rows[-1].due_date - terms.start_date).days))
        quote = settle_quote(terms, rows, on, fee_rate=Decimal("0.01"))
        future = [row for row in rows if row.due_date > on]
        assert quote.principal == sum((row.principal for row in future), ZERO)
        assert ZERO <= quote.interest <= sum((row.interest for row in future), ZERO)
        assert quote.unearned + quote.interest == sum((row.interest for row in future), ZERO)
        assert quote.total == quote.overdue + quote.principal + quote.interest + quote.fee


def test_settling_on_the_day_of_payout_costs_the_principal() -> None:
    terms = loan()
    quote = settle_quote(terms, schedule(terms), terms.start_date)
    assert (quote.total, quote.interest, quote.days) == (terms.principal, ZERO, 0)


def test_settling_after_maturity_is_what_the_open_bills_say() -> None:
    terms = loan()
    rows = schedule(terms)
    bill = Bill(no=12, principal=rows[-1].principal, interest=rows[-1].interest, penalty=Decimal("3.10"))
    quote = settle_quote(terms, rows, date(2026, 2, 1), open_bills=[bill])
    assert (quote.total, quote.principal, quote.fee) == (bill.total, ZERO, ZERO)


def test_settling_with_an_overdue_bill_takes_both() -> None:
    terms = loan()
    rows = schedule(terms)
    bill = Bill(no=4, principal=rows[3].principal, interest=rows[3].interest, penalty=Decimal("69.05"))
    quote = settle_quote(terms, rows, date(2025, 6, 1), open_bills=[bill], fee_rate=Decimal("0.01"))
    assert quote.total == Decimal("69049.30") + bill.total


LATE = PenaltyTerms(rate=Decimal("0.18"))
DUE = date(2025, 4, 15)


def test_a_payment_on_the_due_date_lowers_the_base_from_the_first_day() -> None:
    whole = penalty(LATE, DUE, Decimal("5043.37"), date(2025, 5, 6))
    reduced = penalty(LATE, DUE, Decimal("8043.37"), date(2025, 5, 6), reductions=[(DUE, Decimal("3000.00"))])
    assert reduced.segments == whole.segments


def test_a_base_paid_inside_the_grace_bears_no_penalty_ever() -> None:
    graced = replace(LATE, grace_days=3)
    paid = [(DUE + timedelta(days=3), Decimal("100.00"))]
    assert penalty(graced, DUE, Decimal("100.00"), date(2025, 6, 1), reductions=paid).amount == ZERO
    paid_late = [(DUE + timedelta(days=4), Decimal("100.00"))]
    assert penalty(graced, DUE, Decimal("100.00"), date(2025, 6, 1), reductions=paid_late).days == 4


def test_a_payment_after_the_day_asked_for_does_not_count_yet() -> None:
    later = [(date(2025, 4, 25), Decimal("3000.00"))]
    assert penalty(LATE, DUE, Decimal("8043.37"), date(2025, 4, 20), reductions=later).segments == (
        penalty(LATE, DUE, Decimal("8043.37"), date(2025, 4, 20)).segments
    )


@pytest.mark.parametrize(("on", "days"), [(DUE - timedelta(days=9), 0), (DUE, 0), (DUE + timedelta(days=1), 1)])
def test_days_past_due_begin_the_day_after_the_due_date(on: date, days: int) -> None:
    assert overdue_days(DUE, on) == days
    assert penalty(LATE, DUE, Decimal("100.00"), on).days == days


def test_penalty_is_the_sum_of_its_days_whatever_the_order_of_payments() -> None:
    rng = random.Random(30)
    for _ in range(300):
        base = Decimal(rng.randint(100, 10**7)).scaleb(-2)
        on = DUE + timedelta(days=rng.randint(1, 200))
        payments = [
            (DUE + timedelta(days=rng.randint(-3, 210)), (base / 5).quantize(ZERO, "ROUND_DOWN")) for _ in range(4)
        ]
        result = penalty(LATE, DUE, base, on, reductions=payments)
        assert result == penalty(LATE, DUE, base, on, reductions=payments[::-1])
        assert result.amount == sum((segment.amount for segment in result.segments), ZERO)
        exact = Decimal(0)
        for offset in range((on - DUE).days):
            day = DUE + timedelta(days=offset)
            exact += (base - sum((paid for when, paid in payments if when <= day), ZERO)) * Decimal("0.18") / 360
        assert abs(result.amount - exact) <= Decimal("0.005") * max(1, len(result.segments))


def test_the_annual_rate_of_a_level_loan_is_its_own_rate() -> None:
    for rate in ("0.0435", "0.12", "0.36"):
        terms = loan(annual_rate=Decimal(rate), periods=600, principal=Decimal("100000000.00"))
        result = apr([-terms.principal, *(row.total for row in schedule(terms))])
        assert abs(result.simple - Decimal(rate)) < Decimal("0.000002")


def test_the_annual_rate_may_be_negative_or_huge() -> None:
    assert apr([Decimal(-100), Decimal(50), Decimal(0)]).simple == Decimal("-6.000000")
    assert apr([Decimal(-1), Decimal(1001)], periods_per_year=1).simple == Decimal("1000.000000")
