"""The plugin behind its door, as the engine uses it: found by the registry, checked on every answer."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from metaloom.base.errors import Invalid
from metaloom.plugin import calculation as door
from metaloom.plugin.registry import load
from metaloom_plugins import loan_math


@pytest.fixture(scope="module")
def calculation() -> Any:
    registry = load()
    mine = [d for d in registry.diagnostics if "loan_math" in d.message]
    assert mine == []
    return registry.provider("calculation", "loan_math")


def loan(**changes: Any) -> door.Terms:
    values: dict[str, Any] = {
        "principal": Decimal("100000.00"),
        "annual_rate": Decimal("0.12"),
        "method": "EQUAL_INSTALMENT",
        "periods": 12,
        "start_date": date(2025, 1, 15),
    }
    return door.Terms(**values | changes)


def test_the_door_gives_the_schedule_of_e01(calculation: Any) -> None:
    rows = calculation.schedule(loan())
    assert isinstance(rows[0], door.Instalment)
    assert (rows[0].total, rows[-1].total) == (Decimal("8884.88"), Decimal("8884.85"))
    assert calculation.due_dates(loan()) == tuple(row.due_date for row in rows)


@pytest.mark.parametrize("method", sorted(loan_math.METHODS))
@pytest.mark.parametrize(("principal", "rate"), [("0.01", "0.36"), ("1000000000000.00", "10"), ("70963.00", "0.06")])
def test_every_method_passes_the_checks_of_the_engine(calculation: Any, method: str, principal: str, rate: str) -> None:
    terms = loan(method=method, principal=Decimal(principal), annual_rate=Decimal(rate), periods=600)
    assert method in calculation.methods()
    assert calculation.schedule(terms)[-1].balance == 0


def test_the_door_allocates_charges_and_settles(calculation: Any) -> None:
    bills = [door.Bill(no=1, penalty=Decimal("5.00"), principal=Decimal("100.00"))]
    for rule in calculation.allocation_rules():
        assert calculation.allocate(bills, Decimal("110.00"), rule).surplus == Decimal("5.00")
    late = door.PenaltyTerms(rate=Decimal("0.18"))
    charged = calculation.penalty(late, date(2025, 4, 15), Decimal("8043.37"), date(2025, 5, 6))
    assert (charged.amount, charged.days) == (Decimal("84.46"), 21)
    assert calculation.overdue_days(date(2025, 4, 15), date(2025, 5, 6)) == 21
    quote = calculation.settle_quote(loan(), calculation.schedule(loan()), date(2025, 6, 1), fee_rate=Decimal("0.01"))
    assert quote.total == Decimal("69049.30")
    assert calculation.apr([Decimal("-100.00"), Decimal("101.00")]).simple == Decimal("0.120000")


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"principal": Decimal("NaN")}, "principal"), ({"periods": 0}, "periods"), ({"method": "{boom}"}, "method")],
)
def test_a_refusal_names_the_field_in_both_languages(calculation: Any, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field) as refusal:
        calculation.schedule(loan(**changes))
    assert isinstance(refusal.value, Invalid)
    (problem,) = refusal.value.problems
    assert problem.field == field
    assert problem.message.say("zh") != problem.message.say("en")
    assert field in problem.message.say("zh")


def test_the_dataclasses_of_the_door_and_of_the_arithmetic_have_the_same_fields() -> None:
    for name in (
        "Terms",
        "Instalment",
        "Bill",
        "Part",
        "Allocation",
        "SettleQuote",
        "PenaltyTerms",
        "Segment",
        "Penalty",
        "Apr",
    ):
        own, theirs = getattr(loan_math, name), getattr(door, name)
        assert list(own.__dataclass_fields__) == list(theirs.__dataclass_fields__)
        for key, field in own.__dataclass_fields__.items():
            assert field.default == theirs.__dataclass_fields__[key].default
