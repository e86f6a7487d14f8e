"""Values for every field type, made from the metadata alone: valid ones, and hostile ones that must never hurt.

Check characters come from python-stdnum, so that the platform's own arithmetic is not asked about itself.
"""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from stdnum import luhn
from stdnum.cn import ric, uscc

from metaloom.model import Catalog, Entity, Field, FieldType
from metaloom.model.entity import EXACT_TYPES, FILE_TYPES, LINK_TYPES

TODAY = date(2026, 11, 20)
NUMBERS = itertools.count(1)


def text_of(field: Field, mark: str, limit: int) -> str:
    """``mark`` names where a text stands, so that it is recognised wherever it leaks; numbers keep it unique."""
    if field.pattern:
        return f"Z{next(NUMBERS):07d}"
    number = str(next(NUMBERS))
    return f"{mark}-{number}"[-limit:] if limit < 12 else f"{mark[:limit - len(number)]}{number}"


def id_card() -> str:
    first = f"110101{1970 + next(NUMBERS) % 30}0{1 + next(NUMBERS) % 9}1{next(NUMBERS) % 9}{next(NUMBERS) % 1000:03d}"
    return first + ric.calc_check_digit(first + "0")


def credit_code() -> str:
    first = f"91110108{next(NUMBERS):09d}"
    return first + uscc.calc_check_digit(first)


def bank_card() -> str:
    first = f"622200{next(NUMBERS):012d}"
    return first + luhn.calc_check_digit(first)


def number_in(field: Field, step: Decimal) -> Decimal:
    """Somewhere inside the field's limits, not always the same place."""
    low = field.min if field.min is not None else Decimal(1) if field.max is None or field.max >= 1 else field.max
    wanted = low + step * (1 + next(NUMBERS) % 7)
    return min(wanted, field.max) if field.max is not None else wanted


def _day(entity: Entity, field: Field) -> date:
    """Today; where a day must be the only one of its kind, another one each time."""
    if field.unique or any(field.name in rule.fields for rule in entity.unique.values()):
        return TODAY - timedelta(days=next(NUMBERS) % 9_000)
    return TODAY


def plain(catalog: Catalog, entity: Entity, field: Field, mark: str) -> Any:
    """A valid Python value of a field that is neither a link nor a child; None where only files would do."""
    kind = field.type
    if kind in FILE_TYPES or kind in LINK_TYPES or kind is FieldType.CHILD:
        return None
    if kind in EXACT_TYPES:
        return number_in(field, Decimal("0.01") if kind is FieldType.RATE else Decimal(1))
    if kind is FieldType.CHOICE:
        offered = [c.code for c in catalog.choices[field.choices].items.values() if not c.hidden]
        return offered[next(NUMBERS) % len(offered)]
    if kind is FieldType.MULTI_CHOICE:
        return (next(c.code for c in catalog.choices[field.choices].items.values() if not c.hidden),)
    if kind is FieldType.STATE:
        states = list(catalog.lifecycles[entity.address].states)
        return states[next(NUMBERS) % len(states)]
    limit = field.length or {FieldType.LONG_TEXT: 2000, FieldType.RICH_TEXT: 2000}.get(kind, 60)
    return {
        FieldType.TEXT: lambda: text_of(field, mark, limit), FieldType.LONG_TEXT: lambda: text_of(field, mark, limit),
        FieldType.RICH_TEXT: lambda: f"<p>{text_of(field, mark, limit - 10)}</p>", FieldType.AUTO_NUMBER: lambda: f"N{next(NUMBERS):012d}",
        FieldType.INTEGER: lambda: int(number_in(field, Decimal(1))), FieldType.DATE: lambda: _day(entity, field),
        FieldType.DATETIME: lambda: datetime(2026, 11, 20, 1, tzinfo=UTC), FieldType.TIME: lambda: time(9, 30),
        FieldType.BOOLEAN: lambda: bool(next(NUMBERS) % 2), FieldType.JSON: lambda: {"mark": mark}, FieldType.REGION: lambda: "310104",
        FieldType.PHONE: lambda: f"138{next(NUMBERS):08d}", FieldType.EMAIL: lambda: f"zz{next(NUMBERS)}@example.cn",
        FieldType.ID_CARD: id_card, FieldType.BANK_CARD: bank_card, FieldType.CREDIT_CODE: credit_code,
        FieldType.COLOUR: lambda: "#206bc4", FieldType.TAGS: lambda: (f"t{next(NUMBERS)}",), FieldType.URL: lambda: "https://example.cn/a",
    }[kind]()


def as_json(value: Any) -> Any:
    """The same value as a REST client writes it."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (date, time, datetime)):
        return value.isoformat()
    if isinstance(value, (tuple, list)):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    return value


# What nobody sane sends. Raw JSON, because some of it cannot be written by a JSON library.
HOSTILE_JSON = (
    "NaN", "Infinity", "-Infinity", "1e400", "1e999999", "-1e-400", "-0", "1" + "0" * 30, "-1" + "0" * 30, "9" * 5000, "true", "null", "{}",
    "[]", "[1]", '{"id": {"id": 1}}', '[[["x"]]]', '"\\u0000"', '"\\ud800"', '"؀"', '"١٢٣"', '" 1_000 "', '"1,000"', '"0x10"', '"1e3"',
    "\"' OR 1=1--\"", "\"'; DROP TABLE ab_user;--\"", '"%s%n{0}{x.__class__}"', '"{{ 7*7 }}${7*7}"', '"<img src=x onerror=alert(1)>"',
    '"=HYPERLINK(\\"http://evil\\")"', '"\\u202e\\u0007\\u001b[31m"', '"\\r\\nSet-Cookie: a=b"', '"../../etc/passwd"', '"0001-01-01"',
    '"9999-12-31"', '"2026-02-30"', '"99999-01-01"', '"2026-11-20T25:00:00Z"', '"' + "长" * 30_000 + '"', '"' + "😀" * 150 + '"', "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "1.0000000000000000000000000001", '"ſtatus"', '"\\ufeff"',
)  # fmt: skip
HOSTILE_FORM = (
    "NaN", "1e400", "؀", "١٢٣", "\x00", "a\x00b", "1" + "0" * 30, "-0", "' OR 1=1--", "{{ 7*7 }}", "<script>alert(1)</script>", "\u202e\x07\x1b[31m",
    "长" * 30_000, "9223372036854775808", "0001-01-01", "99999-01-01", "[1]", "\r\nX: y", "\ufeff", "true",
)  # fmt: skip
