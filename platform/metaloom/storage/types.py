"""Column types that mean the same on SQLite and PostgreSQL.

SQLite tables are STRICT, so every type is spelled INTEGER or TEXT there. Exact decimals are scaled integers on SQLite
(its NUMERIC is a float) and NUMERIC on PostgreSQL; instants are UTC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

DIGITS_MAX = 18

# Types of PostgreSQL by number: what the driver reads of them is the value already (NULL is None), and lists have hundreds of values.
_DATE, _TIMESTAMPTZ, _NUMERIC = 1082, 1184, 1700


class BigInt(sa.BigInteger):
    """64 bits; INTEGER on SQLite, so that a primary key is the row id."""


class ShortText(sa.String):
    """VARCHAR(n) on PostgreSQL; TEXT on SQLite, where a trigger holds the length."""


class LongText(sa.Text):
    """TEXT."""


class Flag(sa.Boolean):
    """BOOLEAN on PostgreSQL, 0 or 1 on SQLite."""


@compiles(BigInt, "sqlite")
@compiles(Flag, "sqlite")
def _integer(type_: object, compiler: object, **kw: object) -> str:
    return "INTEGER"


@compiles(ShortText, "sqlite")
@compiles(LongText, "sqlite")
def _text(type_: object, compiler: object, **kw: object) -> str:
    return "TEXT"


class utc_now(FunctionElement[datetime]):  # noqa: N801 - spelled like an SQL function
    """The database's own clock, in the spelling of :class:`UtcDateTime`; ``utc_now(90)`` is in 90 seconds, ``utc_now(-5)`` was."""

    inherit_cache = True
    name = "utc_now"


@compiles(utc_now, "sqlite")
def _now_sqlite(element: utc_now, compiler: Any, **kw: object) -> str:
    later = "".join(f", printf('%+.3f seconds', {compiler.process(clause, **kw)})" for clause in element.clauses)
    return f"strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'{later})"


@compiles(utc_now, "postgresql")
def _now_postgresql(element: utc_now, compiler: Any, **kw: object) -> str:
    later = "".join(f" + make_interval(secs => {compiler.process(clause, **kw)})" for clause in element.clauses)
    return f"(clock_timestamp(){later})"


class ExactDecimal(TypeDecorator[Decimal]):
    """Decimal, exact: a value with more places than ``scale`` or more digits than ``precision`` is refused, never rounded."""

    impl = sa.Numeric
    cache_ok = True

    def __init__(self, precision: int = DIGITS_MAX, scale: int = 2) -> None:
        if not 0 <= scale <= precision <= DIGITS_MAX:
            raise ValueError(f"an exact decimal has at most {DIGITS_MAX} digits, found {precision} with {scale} places")
        super().__init__(precision, scale)
        self.precision, self.scale = precision, scale

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        return BigInt() if dialect.name == "sqlite" else sa.NUMERIC(self.precision, self.scale)

    def process_bind_param(self, value: Decimal | int | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        scaled = self.scaled(value)
        return scaled if dialect.name == "sqlite" else Decimal(scaled).scaleb(-self.scale)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        if value is None:
            return None
        return Decimal(value).scaleb(-self.scale) if isinstance(value, int) and dialect.name == "sqlite" else Decimal(value)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        return None if coltype == _NUMERIC else super().result_processor(dialect, coltype)

    def scaled(self, value: Decimal | int) -> int:
        """``value`` as an integer of the last place; ValueError when it does not fit exactly."""
        if isinstance(value, (bool, float)) or not isinstance(value, (Decimal, int)):
            raise ValueError(f"an exact decimal takes Decimal or int, found {value!r}")
        number = Decimal(value)
        if not number.is_finite() or number.adjusted() >= self.precision - self.scale and number != 0:
            raise ValueError(f"{value} does not fit {self.precision} digits with {self.scale} places")
        sign, digits, exponent = number.as_tuple()
        shift = int(exponent) + self.scale
        whole = int("".join(map(str, digits)) or "0")
        whole, rest = (whole * 10**shift, 0) if shift >= 0 else divmod(whole, 10**-shift)
        if rest:
            raise ValueError(f"{value} has more than {self.scale} places")
        return -whole if sign else whole


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetime in UTC; TEXT of fixed width on SQLite, so that text order is time order."""

    impl = LongText
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        return LongText() if dialect.name == "sqlite" else sa.TIMESTAMP(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant needs a zone, found {value!r}")
        instant = value.astimezone(UTC)
        return instant_text(instant) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        return _in_utc if coltype == _TIMESTAMPTZ else super().result_processor(dialect, coltype)


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def instant_text(instant: datetime) -> str:
    """How an instant is spelled in SQLite: ``2026-11-21T22:00:00.000000Z``."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class IsoDate(TypeDecorator[date]):
    """Date without zone."""

    impl = LongText
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        return LongText() if dialect.name == "sqlite" else sa.DATE()

    def process_bind_param(self, value: date | None, dialect: sa.Dialect) -> Any:
        if isinstance(value, datetime):
            raise ValueError(f"a date is not an instant, found {value!r}")
        return value.isoformat() if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> date | None:
        return date.fromisoformat(value) if isinstance(value, str) else value

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        return None if coltype == _DATE else super().result_processor(dialect, coltype)


class Time(TypeDecorator[time]):
    """Time of day without zone, to the second."""

    impl = LongText
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        return LongText() if dialect.name == "sqlite" else sa.TIME()

    def process_bind_param(self, value: time | None, dialect: sa.Dialect) -> Any:
        return value.isoformat("seconds") if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> time | None:
        return time.fromisoformat(value) if isinstance(value, str) else value


utc_now.type = UtcDateTime()  # type: ignore[misc]


class JsonText(TypeDecorator[Any]):
    """Any JSON value as TEXT on both databases; decimals, dates and instants become their text."""

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)

    def coerce_compared_value(self, op: object, value: object) -> TypeEngine[Any]:
        """``column.like(...)`` compares with the text itself, not with JSON of the pattern."""
        return LongText() if isinstance(value, str) else self


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
