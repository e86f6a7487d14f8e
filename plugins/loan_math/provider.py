"""The calculation door, opened with the arithmetic of this plugin: values in, values out, refusals in both languages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import words
from metaloom.base.text import Text
from metaloom.plugin import Environment
from metaloom.plugin import calculation as door

from . import allocation, annual_rate, dates, overdue, schedules, settle, terms
from .errors import LoanMathError

T = TypeVar("T")


class RefusedValue(Invalid, ValueError):
    """A value without meaning: a ValueError as the door demands, and a problem at its field for the screen."""


class LoanMath:
    """Level payments, equal principal, interest only, bullet, flat. No settings, no state; safe in any thread."""

    def __init__(self, environment: Environment | None = None) -> None:
        self._environment = environment

    def methods(self) -> tuple[str, ...]:
        return tuple(sorted(terms.METHODS))

    def allocation_rules(self) -> tuple[str, ...]:
        return tuple(sorted(allocation.ALLOCATION_RULES))

    def due_dates(self, terms: door.Terms) -> tuple[date, ...]:
        with refusals():
            return dates.due_dates(_own_terms(terms))

    def schedule(self, terms: door.Terms) -> tuple[door.Instalment, ...]:
        with refusals():
            return tuple(_copy(door.Instalment, row) for row in schedules.schedule(_own_terms(terms)))

    def overdue_days(self, due_date: date, on: date, grace_days: int = 0) -> int:
        with refusals():
            return overdue.overdue_days(due_date, on, grace_days)

    def penalty(
        self,
        terms: door.PenaltyTerms,
        due_date: date,
        base: Decimal,
        on: date,
        *,
        reductions: Sequence[tuple[date, Decimal]] = (),
    ) -> door.Penalty:
        with refusals():
            own = _copy(overdue.PenaltyTerms, terms)
            charged = overdue.penalty(own, due_date, base, on, reductions=reductions)
        segments = tuple(_copy(door.Segment, segment) for segment in charged.segments)
        return door.Penalty(charged.days, segments, charged.amount)

    def allocate(self, bills: Sequence[door.Bill], amount: Decimal, rule: str = "BY_PERIOD") -> door.Allocation:
        with refusals():
            spread = allocation.allocate(_own_bills(bills), amount, rule)
        return door.Allocation(tuple(_copy(door.Part, part) for part in spread.parts), spread.surplus)

    def settle_quote(
        self,
        terms: door.Terms,
        rows: Sequence[door.Instalment],
        on: date,
        *,
        open_bills: Sequence[door.Bill] = (),
        fee_rate: Decimal = Decimal(0),
    ) -> door.SettleQuote:
        with refusals():
            quote = settle.settle_quote(
                _own_terms(terms), _own_rows(rows), on, open_bills=_own_bills(open_bills), fee_rate=fee_rate
            )
        return _copy(door.SettleQuote, quote)

    def apr(self, flows: Sequence[Decimal], periods_per_year: int = 12) -> door.Apr:
        with refusals():
            return _copy(door.Apr, annual_rate.apr(flows, periods_per_year))

    def apr_of_schedule(self, terms: door.Terms, rows: Sequence[door.Instalment]) -> door.Apr:
        with refusals():
            return _copy(door.Apr, annual_rate.apr_of_schedule(_own_terms(terms), _own_rows(rows)))


@contextmanager
def refusals() -> Iterator[None]:
    """What the arithmetic refuses, as the engine tells it: the key at fault and the sentence in both languages."""
    try:
        yield
    except LoanMathError as refusal:
        problems = [Problem(one.key, words(Text("{said}", "{said}"), said=Text(one.text("zh"), one.text("en")))) for one in (refusal, *refusal.others)]
        raise RefusedValue(problems, problems[0].message if len(problems) == 1 else None) from refusal


def _own_terms(given: door.Terms) -> terms.Terms:
    return _copy(terms.Terms, given)


def _own_bills(bills: Sequence[door.Bill]) -> list[allocation.Bill]:
    return [_copy(allocation.Bill, bill) for bill in bills]


def _own_rows(rows: Sequence[door.Instalment]) -> list[terms.Instalment]:
    return [_copy(terms.Instalment, row) for row in rows]


def _copy(kind: Callable[..., T], value: object) -> T:
    """The same fields in the other room's dataclass; a missing one is an AttributeError, a programmer's mistake."""
    return kind(**{name: getattr(value, name) for name in _names(kind)})


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
