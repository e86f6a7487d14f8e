"""The functions that SQLite lacks, registered on each connection. Decimals travel as text, never as float."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from . import exact

SqliteValue = int | str | None


def register_sqlite_functions(connection: Any) -> None:
    """Register the functions on a DB-API connection of `sqlite3`. Needed once per connection, before any rule runs."""
    for name, count, function in _FUNCTIONS:
        connection.create_function(name, count, function, deterministic=True)
    for name, aggregate in (("ml_sum", _Sum), ("ml_least_row", _Least), ("ml_greatest_row", _Greatest)):
        connection.create_aggregate(name, 1, aggregate)


def number(value: SqliteValue) -> Decimal:
    """An exact number from an integer or a decimal text. A float means that a column is not stored exactly."""
    if isinstance(value, float):
        raise TypeError("a float reached an exact function")
    if value is None:
        raise TypeError("null reached an exact function")
    return Decimal(value)


def text(value: Decimal | int | None) -> str | None:
    """A number as plain text without exponent."""
    return None if value is None else format(Decimal(value), "f")


def _strict(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        return None if None in args else function(*args)
    return call


def _numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation on numbers: text or integer in, text out, null when an operand is null."""
    return _strict(lambda *args: text(function(*(number(arg) for arg in args))))


def _compare(a: SqliteValue, b: SqliteValue) -> int:
    left, right = number(a), number(b)
    return (left > right) - (left < right)


def _extreme(which: Callable[..., Decimal]) -> Callable[..., str | None]:
    def call(*args: SqliteValue) -> str | None:
        known = [number(arg) for arg in args if arg is not None]
        return text(which(known)) if known else None
    return call


def _extreme_text(which: Callable[..., str]) -> Callable[..., str | None]:
    def call(*args: str | None) -> str | None:
        known = [arg for arg in args if arg is not None]
        return which(known) if known else None
    return call


def _scaled(value: int, scale: int) -> str | None:
    return text(number(value).scaleb(-scale, exact.EXACT))


def _canonical(value: SqliteValue) -> str | None:
    """One spelling for equal numbers, so that `IN` may compare texts."""
    return text(exact.EXACT.normalize(number(value))) if number(value) else "0"


def _int_out(value: SqliteValue) -> int | None:
    return exact.in_int_range(int(number(value)))


def _instant(value: str) -> str:
    """One spelling for every ISO datetime, in UTC, so that text order is time order."""
    moment = datetime.fromisoformat(value)
    return instant_text(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)


def instant_text(moment: datetime) -> str:
    """How an instant is spelled in SQLite: `2026-11-21T22:00:00.000000Z`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _day(value: str) -> date:
    return date.fromisoformat(value[:10])


def _iso(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _whole(value: SqliteValue) -> int:
    return int(number(value))


def _has(members: str, member: str) -> bool:
    return member in json.loads(members)


_FUNCTIONS: tuple[tuple[str, int, Callable[..., Any]], ...] = (
    ("ml_dec", 2, _strict(_scaled)),
    ("ml_add", 2, _numbers(exact.add)),
    ("ml_sub", 2, _numbers(exact.sub)),
    ("ml_mul", 2, _numbers(exact.mul)),
    ("ml_div", 2, _numbers(exact.div)),
    ("ml_mod", 2, _numbers(exact.mod)),
    ("ml_neg", 1, _numbers(exact.negative)),
    ("ml_abs", 1, _numbers(exact.magnitude)),
    ("ml_floor", 1, _numbers(exact.floor)),
    ("ml_ceil", 1, _numbers(exact.ceil)),
    ("ml_round", 2, _strict(lambda x, places: text(exact.round_half_up(number(x), places)))),
    ("ml_cmp", 2, _strict(_compare)),
    ("ml_min", -1, _extreme(min)),
    ("ml_max", -1, _extreme(max)),
    ("ml_first", -1, _extreme_text(min)),
    ("ml_last", -1, _extreme_text(max)),
    ("ml_canon", 1, _strict(_canonical)),
    ("ml_out_int", 1, _strict(_int_out)),
    ("ml_out_dec", 1, _strict(lambda x: text(exact.in_decimal_range(number(x))))),
    ("ml_instant", 1, _strict(_instant)),
    ("ml_starts_with", 2, _strict(str.startswith)),
    ("ml_ends_with", 2, _strict(str.endswith)),
    ("ml_length", 1, _strict(len)),
    ("ml_contains", 2, _strict(lambda whole, part: part in whole)),
    ("ml_days_between", 2, _strict(lambda a, b: (_day(b) - _day(a)).days)),
    ("ml_add_days", 2, _strict(lambda day, n: _iso(exact.add_days(_day(day), _whole(n))))),
    ("ml_add_months", 2, _strict(lambda day, n: _iso(exact.add_months(_day(day), _whole(n))))),
    ("ml_age_years", 2, _strict(lambda birth, on: exact.age_years(_day(birth), _day(on)))),
    ("ml_is_mobile", 1, _strict(exact.is_mobile)),
    ("ml_is_id_card", 1, _strict(exact.is_id_card)),
    ("ml_has", 2, _strict(_has)),
)


class _Sum:
    def __init__(self) -> None:
        self.total = Decimal(0)

    def step(self, value: SqliteValue) -> None:
        if value is not None:
            self.total = exact.add(self.total, number(value))

    def finalize(self) -> str | None:
        return text(self.total)


class _Least:
    """Aggregate minimum of numbers; null without rows."""

    better = staticmethod(min)

    def __init__(self) -> None:
        self.best: Decimal | None = None

    def step(self, value: SqliteValue) -> None:
        if value is not None:
            self.best = number(value) if self.best is None else self.better(self.best, number(value))

    def finalize(self) -> str | None:
        return text(self.best)


class _Greatest(_Least):
    better = staticmethod(max)
