"""Order, and the place in it: keyset conditions and the signed markers that carry them.

Nulls stand last in both directions; ``id`` breaks every tie, in the direction of the last key, so that an index
``(key, id)`` serves both ways. A nullable first key is read in two phases, its values and then its nulls: databases
use an index for each phase but not for "descending, nulls last".
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import message
from metaloom.model import Field, FieldType
from metaloom.model.entity import EXACT_TYPES, LINK_TYPES

CURSOR_MAX = 4000
SIGNATURE = 32


@dataclass(frozen=True, slots=True)
class Key:
    """One sort key: an expression, its direction, whether it may be null, and the field it comes from."""

    name: str
    column: sa.ColumnElement[Any]
    descending: bool
    nullable: bool
    field: Field


@dataclass(frozen=True, slots=True)
class Order:
    """The whole order; the last key is always ``id``."""

    keys: tuple[Key, ...]

    @property
    def text(self) -> str:
        return ",".join(f"{'-' if key.descending else ''}{key.name}" for key in self.keys)

    @property
    def phased(self) -> bool:
        return self.keys[0].nullable

    def by(self, *, reverse: bool, phase: bool | None) -> list[sa.ColumnElement[Any]]:
        """ORDER BY terms. ``phase``: True = only values of the first key, False = only its nulls, None = both."""
        terms: list[sa.ColumnElement[Any]] = []
        for index, key in enumerate(self.keys):
            if index == 0 and phase is False:
                continue
            if key.nullable and not (index == 0 and phase is True):
                empty = sa.case((key.column.is_(None), 1), else_=0)
                terms.append(empty.desc() if reverse else empty.asc())
            terms.append(key.column.desc() if key.descending != reverse else key.column.asc())
        return terms

    def after(self, values: Sequence[Any], *, reverse: bool, phase: bool | None) -> sa.ColumnElement[bool]:
        """The rows behind (``reverse``: before) the row with these key values."""
        start = 1 if phase is False else 0
        return self._after(start, values, reverse, phase)

    def _after(self, index: int, values: Sequence[Any], reverse: bool, phase: bool | None) -> sa.ColumnElement[bool]:
        key, value = self.keys[index], values[index]
        column, last = key.column, index == len(self.keys) - 1
        nullable = key.nullable and not (index == 0 and phase is True)
        if value is None:  # forwards nothing but nulls follows a null; backwards every value stands before it
            rest = sa.and_(column.is_(None), self._after(index + 1, values, reverse, phase))
            return sa.or_(column.is_not(None), rest) if reverse else rest
        if isinstance(value, bool):  # SQLAlchemy compares a bare True with IS only
            value = sa.literal(value, column.type)
        down = key.descending != reverse
        beyond = column < value if down else column > value
        if nullable and not reverse:
            beyond = sa.or_(beyond, column.is_(None))
        if last:
            return beyond
        tied = sa.and_(column == value, self._after(index + 1, values, reverse, phase))
        whole = sa.or_(beyond, tied)
        if index == 0 and not (nullable and not reverse):  # a plain bound on the first key lets its index seek
            whole = sa.and_(column <= value if down else column >= value, whole)
        return whole


@dataclass(frozen=True, slots=True)
class Marker:
    """A place in an order: the key values of a row, and whether to read on after it or back before it."""

    values: tuple[Any, ...]
    backwards: bool


Sign = Callable[[str], str]


def seal(order: Order, values: Sequence[Any], *, backwards: bool, bound_to: str, sign: Sign) -> str:
    """An opaque marker that only this tenant, entity and sort accept again."""
    body = json.dumps([1 if backwards else 0, [_plain(v) for v in values]], ensure_ascii=False, separators=(",", ":"))
    signature = sign(f"{bound_to}|{order.text}|{body}")[:SIGNATURE]
    return base64.urlsafe_b64encode(f"{signature}{body}".encode()).decode().rstrip("=")


def unseal(order: Order, text: str, *, bound_to: str, sign: Sign) -> Marker:
    """The marker that ``seal`` made; Invalid when anything about it was changed."""
    try:
        if len(text) > CURSOR_MAX or not text.isascii():
            raise ValueError("too long")
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        signature, body = raw[:SIGNATURE], raw[SIGNATURE:]
        expected = sign(f"{bound_to}|{order.text}|{body}")[:SIGNATURE]
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise ValueError("signature")
        backwards, values = json.loads(body)
        return Marker(tuple(_typed(key.field, value) for key, value in zip(order.keys, values, strict=True)), bool(backwards))
    except ValueError:  # includes UnicodeDecodeError, binascii.Error, JSONDecodeError
        raise Invalid([Problem("cursor", message("record.bad_cursor"))]) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, (date, datetime, time)) else value


def _typed(field: Field, value: Any) -> Any:
    if value is None or field.type in LINK_TYPES:
        return value
    if field.type in EXACT_TYPES:
        return Decimal(value)
    reader = {FieldType.DATE: date.fromisoformat, FieldType.DATETIME: datetime.fromisoformat,
              FieldType.TIME: time.fromisoformat}.get(field.type)
    return reader(value) if reader else value
