"""What every provider of schedules must keep; the engine's own checker stands between, so a broken promise is a fault."""

from datetime import date
from decimal import Decimal
from itertools import product

import pytest

from metaloom.plugin.calculation import Apr, Bill, PenaltyTerms, Terms

START = date(2026, 1, 31)
PRINCIPALS = (Decimal("0.01"), Decimal("100000.00"), Decimal("999999.99"))
RATES = (Decimal("0"), Decimal("0.12"), Decimal("0.36"))
PERIODS = (1, 12, 36)


def all_terms(provider):
    for method, principal, rate, periods in product(provider.methods(), PRINCIPALS, RATES, PERIODS):
        yield Terms(principal=principal, annual_rate=rate, method=method, periods=periods, start_date=START)


def test_every_schedule_adds_up(calculation):
    tried = 0
    for terms in all_terms(calculation):
        rows = calculation.schedule(terms)
        assert sum(row.principal for row in rows) == terms.principal
        assert rows[-1].due_date == calculation.due_dates(terms)[-1]
        tried += 1
    print(f"{tried} schedules")
    assert tried >= 27


def test_without_interest_nothing_but_the_principal_is_paid(calculation):
    for terms in all_terms(calculation):
        if terms.annual_rate == 0:
            assert sum(row.total for row in calculation.schedule(terms)) == terms.principal


@pytest.mark.parametrize(("key", "value"), [
    ("principal", Decimal("0")), ("principal", Decimal("-1")), ("principal", Decimal("0.001")), ("principal", 1.5), ("periods", 0),
    ("periods", 10**6), ("annual_rate", Decimal("-0.1")), ("annual_rate", Decimal("NaN")), ("method", "NONSENSE"), ("start_date", "2026-01-01"),
    ("due_day", 32),
])
def test_input_without_meaning_is_a_value_error(calculation, key, value):
    good = {"principal": Decimal("1000.00"), "annual_rate": Decimal("0.1"), "method": calculation.methods()[0], "periods": 12, "start_date": START}
    with pytest.raises(ValueError):
        calculation.schedule(Terms(**{**good, key: value}))


def test_every_receipt_is_spread_to_the_cent(calculation):
    bills = [Bill(no=2, interest=Decimal("5.00"), principal=Decimal("100.00")), Bill(no=1, fee=Decimal("1.00"), penalty=Decimal("0.33"))]
    for rule in calculation.allocation_rules():
        for amount in ("0.00", "0.01", "1.33", "50.00", "106.33", "200.00"):
            allocation = calculation.allocate(bills, Decimal(amount), rule)
            assert sum((part.amount for part in allocation.parts), allocation.surplus) == Decimal(amount)
    with pytest.raises(ValueError):
        calculation.allocate(bills, Decimal("-1"), calculation.allocation_rules()[0])
    with pytest.raises(ValueError):
        calculation.allocate(bills, Decimal("1"), "NONSENSE")


def test_lateness_counts_after_the_grace_only(calculation):
    due = date(2026, 3, 1)
    assert [calculation.overdue_days(due, date(2026, 3, day), 3) for day in (1, 4, 5)] == [0, 0, 4]
    charged = calculation.penalty(PenaltyTerms(rate=Decimal("0.18")), due, Decimal("1000.00"), date(2026, 3, 11))
    assert charged.amount == sum(segment.amount for segment in charged.segments) > 0
    assert calculation.penalty(PenaltyTerms(rate=Decimal("0.18")), due, Decimal("1000.00"), due).amount == 0


def test_settling_on_the_first_day_costs_the_principal_and_no_interest(calculation):
    for terms in all_terms(calculation):
        rows = calculation.schedule(terms)
        quote = calculation.settle_quote(terms, rows, terms.start_date)
        assert (quote.principal, quote.interest) == (terms.principal, 0)


def test_annual_rates_of_plain_flows(calculation):
    rates = calculation.apr([Decimal("-100.00"), Decimal("110.00")], 1)
    assert isinstance(rates, Apr)
    assert rates.simple == Decimal("0.1")
    with pytest.raises(ValueError):
        calculation.apr([Decimal("100.00"), Decimal("110.00")])


def test_annual_rates_by_dates_are_those_of_even_months_where_the_months_are_even(calculation):
    for terms in all_terms(calculation):
        rows = calculation.schedule(terms)
        rates = calculation.apr_of_schedule(terms, rows)
        assert isinstance(rates, Apr) and rates.compound >= rates.simple >= 0
        if len(rows) == terms.periods:
            assert rates == calculation.apr([-terms.principal, *(row.total for row in rows)])
    with pytest.raises(ValueError):
        calculation.apr_of_schedule(terms, rows[:0])
