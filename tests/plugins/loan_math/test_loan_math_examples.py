"""The worked examples of the domain spec, to the cent."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from metaloom_plugins.loan_math import (
    COMPONENTS,
    Bill,
    LoanMathError,
    PenaltyTerms,
    Terms,
    allocate,
    apr,
    apr_of_schedule,
    due_dates,
    level_payment,
    overdue_days,
    penalty,
    schedule,
    settle_quote,
)

EXAMPLES: dict[str, Any] = json.loads(Path(__file__).with_name("examples.json").read_text("utf-8"))
METHOD_OF = {
    "E01": "EQUAL_INSTALMENT",
    "E02": "EQUAL_INSTALMENT",
    "E03": "EQUAL_PRINCIPAL",
    "E04": "EQUAL_PRINCIPAL",
    "E05": "FLAT",
    "E06": "INTEREST_ONLY",
    "E07": "INTEREST_ONLY",
    "E08": "INTEREST_ONLY",
    "E13": "EQUAL_INSTALMENT",
}


def day(text: str) -> date:
    return date.fromisoformat(text)


def terms_of(example: str, **changes: Any) -> Terms:
    params = EXAMPLES[example]["params"]
    day_count = params.get("day_count", "30/360")
    values: dict[str, Any] = {
        "principal": Decimal(params["principal"]),
        "annual_rate": Decimal(params["annual_rate"]),
        "method": METHOD_OF[example],
        "periods": params["periods"],
        "start_date": day(params["disbursed_on"]),
        "due_day": params["due_day"],
        "day_count": "30/360" if day_count == "flat annual" else day_count,
    }
    return Terms(**values | changes)


@pytest.mark.parametrize("example", METHOD_OF)
def test_every_line_of_the_schedule_equals_the_example(example: str) -> None:
    rows = schedule(terms_of(example))
    found = [
        {
            "period": row.no,
            "due_date": row.due_date.isoformat(),
            "days": row.days,
            "principal": str(row.principal),
            "interest": str(row.interest),
            "payment": str(row.total),
            "balance": str(row.balance),
        }
        for row in rows
    ]
    assert found == EXAMPLES[example]["rows"]
    assert str(sum(row.interest for row in rows)) == EXAMPLES[example]["totals"]["interest"]
    assert str(sum(row.total for row in rows)) == EXAMPLES[example]["totals"]["payment"]


@pytest.mark.parametrize("example", ["E01", "E02"])
def test_the_level_payment_equals_the_example(example: str) -> None:
    assert str(level_payment(terms_of(example))) == EXAMPLES[example]["level_payment"]


@pytest.mark.parametrize("day_count", ["30/360", "ACT/360", "ACT/365"])
def test_e09_bullet_pays_principal_and_interest_once(day_count: str) -> None:
    example = EXAMPLES["E09"]
    (row,) = schedule(
        Terms(
            principal=Decimal("100000.00"),
            annual_rate=Decimal("0.12"),
            method="BULLET",
            periods=6,
            start_date=day("2025-01-15"),
            day_count=day_count,
        )
    )
    assert (row.no, row.due_date, row.days) == (1, day("2025-07-15"), 181)
    assert (str(row.interest), str(row.total)) == tuple(example["variants"][day_count].values())
    assert str(row.balance) == "0.00"


def test_e13_a_first_period_below_the_minimum_moves_one_month() -> None:
    variant = EXAMPLES["E13"]["variant_min_first_days_30"]
    rows = schedule(terms_of("E13", min_first_days=30))
    first = rows[0]
    assert (first.due_date, first.days) == (day(variant["first_due"]), variant["days"])
    assert (str(first.principal), str(first.interest), str(first.total)) == (
        variant["principal"], variant["interest"], variant["payment"],
    )  # fmt: skip
    assert rows[-1].due_date == day(variant["maturity"])


def test_e13_full_period_charges_the_whole_first_month() -> None:
    assert str(schedule(terms_of("E13", first_period="FULL_PERIOD"))[0].interest) == "1000.00"


def test_e14_month_ends_are_clamped_without_drift() -> None:
    dates = due_dates(terms_of("E01", start_date=day("2025-01-31"), due_day=None))
    assert [d.isoformat() for d in dates] == EXAMPLES["E14"]["due_dates"]


def test_e15_settling_early_charges_actual_days_and_the_fee() -> None:
    terms, example = terms_of("E01"), EXAMPLES["E15"]
    quote = settle_quote(terms, schedule(terms), day("2025-06-01"), fee_rate=Decimal("0.01"))
    assert quote.days == 17
    assert str(quote.principal) == example["principal"]
    assert str(quote.interest) == example["interest_to_date"]
    assert str(quote.fee) == example["prepay_fee"]
    assert str(quote.total) == example["total"]
    assert str(quote.unearned) == example["unearned_interest_not_charged"]


DUE, PAID = date(2025, 4, 15), date(2025, 5, 6)
PRINCIPAL, INTEREST = Decimal("8043.37"), Decimal("841.51")
LATE = PenaltyTerms(rate=Decimal("0.18"))


def test_e18_penalty_and_compound_interest_of_21_days() -> None:
    example = EXAMPLES["E18"]
    on_principal = penalty(LATE, DUE, PRINCIPAL, PAID)
    compound = penalty(LATE, DUE, INTEREST, PAID)
    assert overdue_days(DUE, PAID) == on_principal.days == 21
    assert str(on_principal.amount) == example["penalty_on_principal"]
    assert str(compound.amount) == example["compound_on_interest"]
    settle = PRINCIPAL + INTEREST + on_principal.amount
    assert str(settle) == example["settle_amount_default(principal+interest+penalty)"]
    assert str(settle + compound.amount) == example["settle_amount_with_compound"]


def test_e18_the_base_may_be_principal_and_interest_at_a_daily_rate() -> None:
    base = PRINCIPAL + INTEREST
    daily = PenaltyTerms(rate=Decimal("0.0005"), rate_per="day")
    assert str(penalty(LATE, DUE, base, PAID).amount) == EXAMPLES["E18"]["penalty_on_principal_plus_interest"]
    assert penalty(daily, DUE, base, PAID).amount == penalty(LATE, DUE, base, PAID).amount


def test_e18_grace_of_three_days_is_charged_back_to_the_due_date() -> None:
    example = EXAMPLES["E18"]["grace_3_days"]
    retroactive = PenaltyTerms(rate=Decimal("0.18"), grace_days=3)
    forgiving = PenaltyTerms(rate=Decimal("0.18"), grace_days=3, grace_retroactive=False)
    last, after = date(2025, 4, 18), date(2025, 4, 19)
    assert str(penalty(retroactive, DUE, PRINCIPAL, last).amount) == example["paid_2025-04-18"]
    assert str(penalty(retroactive, DUE, PRINCIPAL, after).amount) == example["paid_2025-04-19_retroactive(4 days)"]
    assert str(penalty(forgiving, DUE, PRINCIPAL, after).amount) == example["paid_2025-04-19_not_retroactive(1 day)"]
    assert [overdue_days(DUE, d, 3) for d in (DUE, last, after)] == [0, 0, 4]


def test_e30_penalty_in_two_segments() -> None:
    example = EXAMPLES["E30"]
    result = penalty(LATE, DUE, PRINCIPAL, PAID, reductions=[(date(2025, 4, 25), Decimal("3000.00"))])
    for segment, expected in zip(result.segments, (example["segment_1"], example["segment_2"]), strict=True):
        assert (str(segment.base), segment.days, str(segment.amount)) == tuple(expected.values())
    assert str(result.amount) == example["total_penalty"]


RULE_KEYS = {key.split("_按")[0].split("_先")[0]: key for key in EXAMPLES["E19"] if key not in ("title", "bills")}


@pytest.mark.parametrize("rule", ["BY_PERIOD", "BY_COMPONENT", "PRINCIPAL_FIRST"])
def test_e19_allocation_of_5000_over_two_overdue_bills(rule: str) -> None:
    example = EXAMPLES["E19"]
    keys = ("fee", "penalty", "interest", "principal")
    bills = [Bill(no=b["period"], **{key: Decimal(b[key]) for key in keys}) for b in example["bills"]]
    result = allocate(bills, Decimal("5000.00"), rule)
    for name in ("bill_3", "bill_4"):
        expected = example[RULE_KEYS[rule]]["applied"][name]
        assert {key: str(result.paid(int(name[-1]), key)) for key in keys} == expected
    assert str(result.surplus) == example[RULE_KEYS[rule]]["unapplied"]


def test_e26_what_no_bill_takes_is_surplus() -> None:
    example = EXAMPLES["E26"]
    row = schedule(terms_of("E01"))[0]
    bill = Bill(no=1, interest=row.interest, principal=row.principal)
    assert str(bill.total) == example["due"]
    assert str(allocate([bill], Decimal(example["paid"])).surplus) == example["to_suspense_2241"]


@pytest.mark.parametrize(
    ("title", "example", "fee"),
    [
        ("E01 no fee", "E01", "0.00"),
        ("E01 + 2000.00 fee at payout", "E01", "2000.00"),
        ("E03 等额本金", "E03", "0.00"),
        ("E05 等本等息 12% flat", "E05", "0.00"),
        ("E06 先息后本", "E06", "0.00"),
    ],
)
def test_e21_the_annual_rate_of_what_really_flowed(title: str, example: str, fee: str) -> None:
    terms = terms_of(example)
    result = apr([-terms.principal + Decimal(fee), *(row.total for row in schedule(terms))])
    expected = EXAMPLES["E21"][title]
    assert f"{result.simple * 100:.4f}%" == expected["annual_simple(x12)"]
    assert f"{result.compound * 100:.4f}%" == expected["annual_compound"]


def test_e21_a_flat_rate_of_13_4715_percent_already_costs_24() -> None:
    assert EXAMPLES["E21"]["flat_rate_equal_to_24pct_simple_irr_12_periods"] == "13.4715%"
    terms = terms_of("E05", annual_rate=Decimal("0.134715"))
    result = apr([-terms.principal, *(row.total for row in schedule(terms))])
    assert abs(result.simple - Decimal("0.24")) < Decimal("0.000005")


@pytest.mark.parametrize("example", ["E01", "E03", "E05", "E06"])
def test_the_rates_of_whole_months_are_those_of_e21_by_dates_too(example: str) -> None:
    terms = terms_of(example)
    rows = schedule(terms)
    assert apr_of_schedule(terms, rows) == apr([-terms.principal, *(row.total for row in rows)])


def test_e13_by_its_dates_costs_what_was_agreed_and_not_a_month_too_many() -> None:
    """26 days of interest for 26 days; the short month that is charged whole is dearer, and is shown so."""
    terms = terms_of("E13")
    rows = schedule(terms)
    assert apr_of_schedule(terms, rows).simple == Decimal("0.120000")
    assert apr([-terms.principal, *(row.total for row in rows)]).simple < Decimal("0.1181")
    whole = terms_of("E13", first_period="FULL_PERIOD")
    assert apr_of_schedule(whole, schedule(whole)).simple > Decimal("0.1225")


@pytest.mark.parametrize("day_count", ["30/360", "ACT/365"])
@pytest.mark.parametrize("method", ["EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "INTEREST_ONLY", "BULLET"])
@pytest.mark.parametrize("periods", [1, 2, 3, 12])
@pytest.mark.parametrize("due_day", [1, 5, 14, 15, 16, 28, 31])
def test_however_short_the_first_period_24_percent_stays_24(day_count: str, method: str, periods: int, due_day: int) -> None:
    for start in (day("2025-01-15"), day("2025-01-31"), day("2024-02-29"), day("2025-12-01")):
        terms = terms_of("E01", principal=Decimal("1000000.00"), annual_rate=Decimal("0.24"), periods=periods, method=method,
                         due_day=due_day, start_date=start, day_count=day_count)
        found = apr_of_schedule(terms, schedule(terms)).simple
        assert found <= Decimal("0.240001"), (start, found)  # the last place is what rounding to the cent adds
        # What is paid later than monthly compounds nothing on the way, so a simple 24 % is a lower monthly rate.
        assert found >= (Decimal("0.211") if method == "BULLET" else Decimal("0.2365")), (start, found)


def test_a_year_of_360_days_is_dearer_than_it_says() -> None:
    terms = terms_of("E01", annual_rate=Decimal("0.24"), day_count="ACT/360")
    assert Decimal("0.2425") < apr_of_schedule(terms, schedule(terms)).simple < Decimal("0.244")


def test_no_rate_where_less_comes_in_than_went_out() -> None:
    terms = terms_of("E01")
    with pytest.raises(LoanMathError, match="flows"):
        apr_of_schedule(terms, schedule(terms)[:5])


def test_the_components_are_those_of_the_bill() -> None:
    assert COMPONENTS == ("fee", "penalty", "compound", "interest", "principal")
