"""Nonsense is refused with the key at fault, never repaired, never computed."""

from __future__ import annotations

import pickle
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from metaloom_plugins.loan_math import (
    Bill,
    LoanMathError,
    PenaltyTerms,
    Terms,
    allocate,
    apr,
    overdue_days,
    penalty,
    schedule,
    settle_quote,
)

DUE = date(2025, 4, 15)


def loan(**changes: Any) -> Terms:
    values: dict[str, Any] = {
        "principal": Decimal("100000.00"),
        "annual_rate": Decimal("0.12"),
        "method": "EQUAL_INSTALMENT",
        "periods": 12,
        "start_date": date(2025, 1, 15),
    }
    return Terms(**values | changes)


@pytest.mark.parametrize(
    ("key", "found", "code"),
    [
        ("principal", Decimal(0), "out_of_range"),
        ("principal", Decimal("-5"), "out_of_range"),
        ("principal", Decimal("-0.00"), "out_of_range"),
        ("principal", Decimal("0.001"), "too_many_places"),
        ("principal", Decimal("NaN"), "not_finite"),
        ("principal", Decimal("sNaN"), "not_finite"),
        ("principal", Decimal("Infinity"), "not_finite"),
        ("principal", Decimal("1e400"), "out_of_range"),
        ("principal", Decimal("1e999999"), "out_of_range"),
        ("principal", Decimal("1e-999999"), "out_of_range"),
        ("principal", Decimal("1e30"), "out_of_range"),
        ("principal", 100000.0, "not_decimal"),
        ("principal", 100000, "not_decimal"),
        ("principal", True, "not_decimal"),
        ("principal", "100000.00", "not_decimal"),
        ("principal", None, "not_decimal"),
        ("annual_rate", Decimal("-0.01"), "out_of_range"),
        ("annual_rate", Decimal("10000"), "out_of_range"),
        ("annual_rate", Decimal("NaN"), "not_finite"),
        ("annual_rate", Decimal("0.1234567890123"), "too_many_places"),
        ("annual_rate", 0.12, "not_decimal"),
        ("method", "等额本息", "unknown_choice"),
        ("method", None, "unknown_choice"),
        ("method", ["BULLET"], "unknown_choice"),
        ("periods", 0, "out_of_range"),
        ("periods", -1, "out_of_range"),
        ("periods", 601, "out_of_range"),
        pytest.param("periods", 10**5000, "out_of_range", id="periods-too-long-to-print"),
        pytest.param("method", [10**5000], "unknown_choice", id="method-too-long-to-print"),
        ("periods", 12.0, "not_whole"),
        ("periods", True, "not_whole"),
        ("start_date", date(1, 1, 1), "out_of_range"),
        ("start_date", date(1899, 12, 31), "out_of_range"),
        ("start_date", date(9999, 12, 31), "out_of_range"),
        ("start_date", datetime(2025, 1, 15), "not_date"),
        ("start_date", "2025-01-15", "not_date"),
        ("due_day", 0, "out_of_range"),
        ("due_day", 32, "out_of_range"),
        ("due_day", 15.0, "not_whole"),
        ("first_due_date", date(2025, 1, 15), "wrong_order"),
        ("first_due_date", date(2024, 12, 15), "wrong_order"),
        ("first_due_date", "2025-02-15", "not_date"),
        ("period_unit", "fortnight", "unknown_choice"),
        ("period_length", 0, "out_of_range"),
        ("day_count", "30E/360", "unknown_choice"),
        ("first_period", "SKIP", "unknown_choice"),
        ("min_first_days", -1, "out_of_range"),
        ("tail_rule", "first", "unknown_choice"),
        ("period_fee", Decimal("-1"), "out_of_range"),
        ("period_fee", Decimal("NaN"), "not_finite"),
    ],
)
def test_terms_without_meaning_are_refused_by_name(key: str, found: object, code: str) -> None:
    with pytest.raises(LoanMathError) as refusal:
        loan(**{key: found})
    assert (refusal.value.key, refusal.value.code) == (key, code)
    assert key in str(refusal.value)
    assert key in refusal.value.text("zh_CN")
    assert refusal.value.text("zh") != refusal.value.text("en")


def test_a_due_day_needs_months() -> None:
    with pytest.raises(LoanMathError, match="due_day contradicts period_unit=week"):
        loan(period_unit="week", due_day=5)


def test_a_first_due_date_off_the_due_day_is_refused() -> None:
    with pytest.raises(LoanMathError, match="first_due_date contradicts due_day=15"):
        loan(first_due_date=date(2025, 2, 20), due_day=15)
    assert schedule(loan(first_due_date=date(2025, 2, 28), due_day=31))[1].due_date == date(2025, 3, 31)


@pytest.mark.parametrize("unit", ["month", "week", "day"])
def test_a_schedule_past_the_year_2200_is_refused(unit: str) -> None:
    with pytest.raises(LoanMathError) as refusal:
        schedule(loan(start_date=date(2200, 6, 1), periods=600, period_unit=unit))
    assert refusal.value.key == "periods"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"principal": Decimal("-0.01")}, "principal"),
        ({"penalty": Decimal("NaN")}, "penalty"),
        ({"interest": 1.5}, "interest"),
        ({"fee": Decimal("0.005")}, "fee"),
        ({"no": -1}, "no"),
        ({"no": "3"}, "no"),
    ],
)
def test_a_bill_without_meaning_is_refused(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(LoanMathError) as refusal:
        Bill(**{"no": 3} | changes)
    assert refusal.value.key == key


@pytest.mark.parametrize("amount", [Decimal("-1"), Decimal("NaN"), Decimal("0.001"), 5, None])
def test_a_receipt_without_meaning_is_refused(amount: Any) -> None:
    with pytest.raises(LoanMathError) as refusal:
        allocate([Bill(no=1, principal=Decimal("10.00"))], amount)
    assert refusal.value.key == "amount"


def test_an_unknown_rule_and_a_bill_given_twice_are_refused() -> None:
    with pytest.raises(LoanMathError, match="rule must be one of BY_COMPONENT, BY_PERIOD, PRINCIPAL_FIRST"):
        allocate([], Decimal("1.00"), "BY_AMOUNT")
    with pytest.raises(LoanMathError) as refusal:
        allocate([Bill(no=1), Bill(no=1)], Decimal("1.00"))
    assert refusal.value.key == "no"


def test_a_receipt_without_bills_is_all_surplus() -> None:
    assert allocate([], Decimal("7.00")).surplus == Decimal("7.00")
    assert allocate([Bill(no=1)], Decimal("0.00")).parts == ()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"rate": Decimal("-0.1")}, "penalty_rate"),
        ({"rate_per": "month"}, "penalty_rate_per"),
        ({"grace_days": -3}, "grace_days"),
    ],
)
def test_a_penalty_without_meaning_is_refused(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(LoanMathError) as refusal:
        PenaltyTerms(**{"rate": Decimal("0.18")} | changes)
    assert refusal.value.key == key


def test_paying_more_of_a_base_than_there_was_is_refused() -> None:
    with pytest.raises(LoanMathError) as refusal:
        penalty(PenaltyTerms(rate=Decimal("0.18")), DUE, Decimal("10.00"), DUE, reductions=[(DUE, Decimal("10.01"))])
    assert refusal.value.key == "reductions"


@pytest.mark.parametrize("grace_days", [-1, True, 2.5, 100_000])
def test_days_past_due_refuse_a_grace_without_meaning(grace_days: Any) -> None:
    with pytest.raises(LoanMathError) as refusal:
        overdue_days(DUE, DUE, grace_days)
    assert refusal.value.key == "grace_days"


def test_a_quote_before_the_start_or_with_a_bill_not_yet_due_is_refused() -> None:
    terms = loan()
    rows = schedule(terms)
    with pytest.raises(LoanMathError, match="on must not be before 2025-01-15"):
        settle_quote(terms, rows, date(2025, 1, 14))
    with pytest.raises(LoanMathError) as refusal:
        settle_quote(terms, rows, date(2025, 6, 1), open_bills=[Bill(no=5, principal=Decimal("1.00"))])
    assert refusal.value.key == "open_bills"
    with pytest.raises(LoanMathError) as refusal:
        settle_quote(terms, rows, date(2025, 6, 1), fee_rate=Decimal("-0.01"))
    assert refusal.value.key == "fee_rate"


@pytest.mark.parametrize(
    "flows",
    [
        [],
        [Decimal(-1)],
        [Decimal(1), Decimal(2)],
        [Decimal(-1), Decimal(0)],
        [Decimal(-1), Decimal(3), Decimal(-1)],
        [Decimal("NaN"), Decimal(1)],
        [Decimal(-1), Decimal("Infinity")],
        [Decimal(-1), 1.05],
    ],
)
def test_flows_without_a_rate_are_refused(flows: list[Any]) -> None:
    with pytest.raises(LoanMathError) as refusal:
        apr(flows)
    assert refusal.value.key == "flows"


def test_a_refusal_survives_the_way_out_of_a_worker_process() -> None:
    with pytest.raises(LoanMathError) as refusal:
        loan(periods=601)
    copy = pickle.loads(pickle.dumps(refusal.value))
    assert (str(copy), copy.key, copy.code) == (str(refusal.value), "periods", "out_of_range")
    assert copy.text("zh") == refusal.value.text("zh")
