"""What must hold of every quote, whatever happens to the loan: sums, order, scale, splits, and an oracle in plain integers.

Each law is shown to see a planted fault at the end (reliability, §5).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaloom_plugins.loan_math import account, line, matrix, parts
from metaloom_plugins.loan_math.quote import quote

START = date(2024, 1, 31)
Request = dict[str, Any]
MANY = settings(max_examples=60, deadline=None, derandomize=True)


def day(after: int) -> str:
    return (START + timedelta(days=after)).isoformat()


amounts = st.integers(1_00, 500_000_00).map(lambda cents: f"{Decimal(cents).scaleb(-2)}")
rates = st.integers(0, 3600).map(lambda ten_thousandths: f"{Decimal(ten_thousandths).scaleb(-4)}")
METHODS = ("EQUAL_INSTALMENT", "EQUAL_PRINCIPAL", "INTEREST_ONLY", "FLAT", "BULLET", "BALLOON", "FIXED_PRINCIPAL_PERCENT")


@st.composite
def contracts(draw: Any, methods: tuple[str, ...] = METHODS) -> Request:
    made: Request = {"principal": draw(amounts), "annual_rate": draw(rates), "method": draw(st.sampled_from(methods)), "periods": draw(st.integers(2, 24)),
                     "start_date": START.isoformat(), "period_unit": draw(st.sampled_from(("month", "month", "month", "week", "quarter"))),
                     "day_count": draw(st.sampled_from(("30/360", "ACT/360", "ACT/365", "ACT/ACT", "30E/360"))),
                     "tail_rule": draw(st.sampled_from(("last", "first"))), "month_end": draw(st.sampled_from(("clamp", "first_of_next")))}
    if made["method"] == "BALLOON":
        made["balloon_periods"] = made["periods"] + draw(st.integers(0, 24))
    if made["method"] == "FIXED_PRINCIPAL_PERCENT":
        made["principal_percent"] = str(draw(st.integers(1, 30)))
    if draw(st.booleans()):
        made["grace"] = {"principal_periods": draw(st.integers(0, 1)), "interest_payment_periods": draw(st.integers(0, 1))}
    return made


@st.composite
def changes(draw: Any) -> list[Request]:
    """Changes within the first half of any of the terms above, each on a day of its own."""
    kinds = draw(st.lists(st.sampled_from(("tranche", "prepay", "rate", "pause")), max_size=3))
    made = []
    for place, kind in enumerate(kinds):
        event: Request = {"kind": kind, "date": day(1 + 3 * place + draw(st.integers(0, 2)))}
        if kind == "tranche":
            event["amount"] = draw(amounts)
        elif kind == "prepay":
            event |= {"amount": "0.01", "plan_change": draw(st.sampled_from(("reduce_payment", "shorten_term")))}
        elif kind == "rate":
            event |= {"annual_rate": draw(rates), "effect": draw(st.sampled_from(("immediate", "next_period")))}
        else:
            event["until"] = (date.fromisoformat(event["date"]) + timedelta(days=draw(st.integers(1, 40)))).isoformat()
        made.append(event)
    return made


def cents(text: str) -> int:
    return int(Decimal(text).scaleb(2))


def sums_hold(request: Request) -> None:
    reply = quote(request)
    lent = cents(request["principal"]) + sum(cents(one["amount"]) for one in request.get("events", ()) if one["kind"] == "tranche")
    rows, early = reply["rows"], reply.get("prepayments", [])
    assert sum(cents(row["principal"]) for row in (*rows, *early)) == lent
    assert all(cents(row[key]) >= 0 for row in rows for key in ("principal", "interest", "balance"))
    assert rows[-1]["balance"] == "0.00"
    assert [row["no"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(a["due_date"] < b["due_date"] for a, b in zip(rows, rows[1:], strict=False))
    assert all(cents(row["total"]) == cents(row["principal"]) + cents(row["interest"]) for row in rows)


@MANY
@given(contracts(), changes())
def test_the_principal_comes_back_to_the_cent(request: Request, events: list[Request]) -> None:
    sums_hold({**request, "events": events})


@MANY
@given(contracts(), changes(), st.randoms(use_true_random=False))
def test_the_order_in_which_events_are_told_does_not_matter(request: Request, events: list[Request], shuffler: Any) -> None:
    told = quote({**request, "events": events})
    shuffler.shuffle(events)
    assert quote({**request, "events": events}) == told


def scaled_rows(request: Request, factor: int) -> None:
    """k × the principal is k × every amount, within the rounding of k periods and no drift beyond it."""
    many = {**request, "principal": str(Decimal(request["principal"]) * factor)}
    count = request["periods"]
    for one, other in zip(quote(request)["rows"], quote(many)["rows"], strict=True):
        assert abs(cents(other["interest"]) - factor * cents(one["interest"])) <= factor * (count + 1), (one, other)


@MANY
@given(contracts(("EQUAL_PRINCIPAL", "INTEREST_ONLY", "FLAT")), st.integers(2, 9))
def test_amounts_scale_with_the_principal(request: Request, factor: int) -> None:
    scaled_rows({**request, "tail_rule": "last"}, factor)


@MANY
@given(amounts, rates, st.integers(2, 24))
def test_a_pause_of_nothing_and_a_change_to_the_same_rate_cost_nothing_in_days(principal: str, rate: str, periods: int) -> None:
    """Under a day count, splitting a period changes no sum: segments are added before they are rounded."""
    plain = {"principal": principal, "annual_rate": rate, "method": "INTEREST_ONLY", "periods": periods, "start_date": START.isoformat(),
             "day_count": "ACT/360"}
    cut = {**plain, "events": [{"kind": "rate", "date": day(offset), "annual_rate": rate} for offset in (3, 11, 17)]}
    assert quote(cut)["rows"] == quote(plain)["rows"]


@MANY
@given(amounts, st.integers(1, 3600), st.integers(0, 6))
def test_shifting_all_dates_by_weeks_keeps_interest_by_days(principal: str, rate: int, weeks: int) -> None:
    def asked(start: date) -> list[str]:
        return [row["interest"] for row in quote({
            "principal": principal, "annual_rate": str(Decimal(rate).scaleb(-4)), "method": "EQUAL_INSTALMENT", "periods": 9, "period_unit": "week",
            "period_length": 2, "start_date": start.isoformat(), "day_count": "ACT/365"})["rows"]]
    assert asked(START) == asked(START + timedelta(days=7 * weeks))


@MANY
@given(st.integers(1, 11), st.integers(0, 40))
def test_paying_early_never_costs_more_interest(period: int, offset: int) -> None:
    request = {"principal": "100000.00", "annual_rate": "0.12", "method": "EQUAL_INSTALMENT", "periods": 12, "start_date": "2025-01-15"}
    on = date(2025, 1, 15) + timedelta(days=28 * period + offset)
    settled = quote({**request, "paid_periods": 12, "settle": {"date": on.isoformat()}})["settlement"]
    early = sum(cents(row["interest"]) for row in quote(request)["rows"] if row["due_date"] <= on.isoformat()) + cents(settled["interest"])
    assert early <= cents(quote(request)["totals"]["interest"])


# -- receipts

LATE = {"principal": "12000.00", "annual_rate": "0.18", "method": "EQUAL_INSTALMENT", "periods": 6, "start_date": "2025-01-15",
        "penalty": {"multiplier": "1.5", "compound": True, "grace_days": 2}}
ORDER = ("BY_PERIOD", "BY_COMPONENT", "PRINCIPAL_FIRST")


def owed(request: Request, on: date) -> int:
    return cents(quote({**request, "as_of": on.isoformat()})["state"]["overdue"])


def receipts_add_up(paid: list[tuple[int, int]], order: str) -> None:
    """Every cent received is in a part or in suspense, and no component is paid below zero."""
    events = [{"kind": "payment", "date": (date(2025, 1, 15) + timedelta(days=offset)).isoformat(), "amount": str(Decimal(amount).scaleb(-2))}
              for offset, amount in paid]
    reply = quote({**LATE, "allocation": order, "events": events, "as_of": "2025-12-31"})
    for one in reply.get("allocations", ()):
        assert sum(cents(part["amount"]) for part in one["parts"]) + cents(one["surplus"]) == cents(one["amount"])
    state = reply["state"]
    parts_paid = sum(cents(part["amount"]) for one in reply.get("allocations", ()) for part in one["parts"])
    assert parts_paid + cents(state["suspense"]) == sum(amount for _, amount in paid)
    assert all(cents(bill[name]) >= 0 for bill in state["bills"] for name in ("fee", "penalty", "compound", "interest", "principal"))
    assert cents(state["principal"]) + sum(cents(part["amount"]) for one in reply.get("allocations", ()) for part in one["parts"]
                                           if part["component"] == "principal") == cents("12000.00")


@MANY
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 900_000)), max_size=6), st.sampled_from(ORDER))
def test_every_cent_received_is_somewhere(paid: list[tuple[int, int]], order: str) -> None:
    receipts_add_up(paid, order)


@MANY
@given(st.integers(32, 200), st.integers(2, 300_000), st.integers(1, 99), st.sampled_from(ORDER))
def test_splitting_a_receipt_of_one_day_changes_nothing(offset: int, amount: int, percent: int, order: str) -> None:
    on = (date(2025, 1, 15) + timedelta(days=offset)).isoformat()
    first = max(1, amount * percent // 100)

    def state(*pieces: int) -> Any:
        events = [{"kind": "payment", "date": on, "amount": str(Decimal(piece).scaleb(-2))} for piece in pieces if piece]
        return quote({**LATE, "allocation": order, "events": events, "as_of": on})["state"]

    assert state(amount) == state(first, amount - first)


def penalty_by_oracle(principal: int, cuts: list[tuple[int, int]], late: int) -> int:
    """Whole cents, one segment after the other; days since the due date."""
    total, at = 0, 0
    for when, amount in [*sorted(cuts), (late, 0)]:
        when = min(when, late)
        if when > at and principal > 0:
            exact = Fraction(principal * 27 * (when - at), 100 * 360)
            total += int(exact + Fraction(1, 2))
            at = when
        principal -= amount
    return total


def penalty_is_the_oracles(late: int, cuts: list[tuple[int, int]]) -> None:
    request = {**LATE, "penalty": {"multiplier": "1.5"}, "allocation": "PRINCIPAL_FIRST", "periods": 1, "method": "BULLET"}
    due = date.fromisoformat(quote(request)["rows"][0]["due_date"])
    events = [{"kind": "payment", "date": (due + timedelta(days=when)).isoformat(), "amount": str(Decimal(amount).scaleb(-2))} for when, amount in cuts]
    state = quote({**request, "events": events, "as_of": (due + timedelta(days=late)).isoformat()})["state"]
    assert cents(state["penalty"]) == penalty_by_oracle(cents("12000.00"), [cut for cut in cuts if cut[0] <= late], late)


@MANY
@given(st.integers(1, 200), st.lists(st.tuples(st.integers(1, 200), st.integers(1, 200_000)), max_size=5, unique_by=lambda cut: cut[0]))
def test_penalty_is_that_of_an_oracle_in_integers(late: int, cuts: list[tuple[int, int]]) -> None:
    penalty_is_the_oracles(late, cuts)


# -- planted faults

FIVE = {"principal": "1000.00", "annual_rate": "0.36", "method": "EQUAL_PRINCIPAL", "periods": 5, "start_date": "2024-01-31"}
CHANGED = [{"kind": "prepay", "date": "2024-02-10", "amount": "100.00"}, {"kind": "tranche", "date": "2024-03-05", "amount": "50.00"}]


def order_holds() -> None:
    payments = [{"kind": "payment", "date": "2024-03-05", "amount": "100.00"}, {"kind": "payment", "date": "2024-04-05", "amount": "300.00"}]
    asked = {**FIVE, "events": payments, "as_of": "2024-07-01"}
    assert quote(asked) == quote({**asked, "events": payments[::-1]})
    assert [one["date"] for one in quote({**asked, "events": payments[::-1]})["allocations"]] == ["2024-03-05", "2024-04-05"]


def split_holds() -> None:
    plain = {"principal": "77777.77", "annual_rate": "0.1234", "method": "INTEREST_ONLY", "periods": 6, "start_date": "2024-01-31", "day_count": "ACT/360"}
    cut = {**plain, "events": [{"kind": "rate", "date": day(offset), "annual_rate": "0.1234"} for offset in (2, 5, 7, 11, 13, 17, 19, 23)]}
    assert quote(cut)["rows"] == quote(plain)["rows"]


ORIGINAL_OF_STRETCH, ORIGINAL_SPREAD, ORIGINAL_RAN = line._of_stretch, matrix.spread, account._ran


def greedy(chosen: Any, bills: Any, amount: int) -> Any:
    found, surplus = ORIGINAL_SPREAD(chosen, bills, amount)
    return found, surplus + (1 if surplus else 0)


MUTANTS: dict[str, tuple[Any, str, Any, Callable[[], None]]] = {
    "a segment is rounded before it is added": (line, "_of_stretch", lambda one, stretch: Fraction(round(ORIGINAL_OF_STRETCH(one, stretch))), split_holds),
    "the rest of the principal is lost": (parts, "fixed_parts", lambda balance, count, part: [part] * count, lambda: sums_hold({**FIVE, "periods": 7})),
    "a tranche is not planned": (line, "_plan", lambda one, place, level=None: None if place else _first_plan(one),
                                 lambda: sums_hold({**FIVE, "events": CHANGED})),
    "a cent of a receipt appears from nowhere": (account, "spread", greedy, lambda: receipts_add_up([(200, 2_000_000)], "BY_PERIOD")),
    "penalty forgets what was paid in between": (account, "_ran", lambda terms, factor, bill, names, on, rounding: ORIGINAL_RAN(
        terms, factor, account.Bill(bill.no, bill.due, bill.agreed), names, on, rounding), lambda: penalty_is_the_oracles(40, [(10, 500_000)])),
    "penalty counts a day too many": (account, "_ran", lambda terms, factor, bill, names, on, rounding: ORIGINAL_RAN(
        terms, factor, bill, names, on + timedelta(days=1), rounding), lambda: penalty_is_the_oracles(40, [])),
}


def _first_plan(one: Any) -> None:
    if not one.parts:
        ORIGINAL_PLAN(one, 0)


ORIGINAL_PLAN = line._plan


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, function, fault, law = MUTANTS[name]
    law()
    monkeypatch.setattr(module, function, fault)
    with pytest.raises(Exception):  # noqa: B017, PT011 - a law may fail by an assertion or by arithmetic that cannot be carried out
        law()


def test_the_order_of_receipts_is_that_of_their_days() -> None:
    order_holds()
