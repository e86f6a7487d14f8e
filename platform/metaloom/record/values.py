"""Strict reading of one value from the outside: form text, JSON, a spreadsheet cell, or a filter in a URL.

``read`` returns the Python value of the field's type, or raises ``BadValue`` with the sentence to show. It needs no
database: whether a linked row exists and may be used is asked by the caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from metaloom.base import identity, regions
from metaloom.base.messages import Message, message, words
from metaloom.base.text import Text
from metaloom.model import Choice, Choices, Field, FieldType
from metaloom.record.sanitise import sanitise

LENGTHS = {
    FieldType.TEXT: 200, FieldType.LONG_TEXT: 20_000, FieldType.RICH_TEXT: 100_000, FieldType.AUTO_NUMBER: 60,
    FieldType.EMAIL: 200, FieldType.URL: 500, FieldType.PHONE: 30,
}
EXACT = {FieldType.DECIMAL: (18, 4), FieldType.MONEY: (18, 2), FieldType.RATE: (18, 8)}
ID_MAX = 2**63 - 1
INTEGER_MAX = 10**18
MULTI_MAX, TAG_LENGTH_MAX, FILES_MAX = 100, 60, 50
JSON_DEPTH_MAX, JSON_TEXT_MAX = 20, 100_000

_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,30}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# As people and spreadsheets write a day: 2026/1/31, 2026.1.31, 2026年1月31日.
_SAID_DATE = re.compile(r"([0-9]{4})(?:([-/.])([0-9]{1,2})\2([0-9]{1,2})|年([0-9]{1,2})月([0-9]{1,2})日?)", re.ASCII)
CHOICES_TOLD = 20
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)(Z|[+-][0-9]{2}:?[0-9]{2})?", re.ASCII)
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?", re.ASCII)
_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+", re.ASCII)
_LANDLINE = re.compile(r"0[0-9]{2,3}-?[0-9]{7,8}(-[0-9]{1,6})?|400-?[0-9]{3}-?[0-9]{4}", re.ASCII)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)
_BAD_IN_LINE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_BAD_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_YES = {"true", "1", "on", "yes", "y", "是", "√"}
_NO = {"false", "0", "off", "no", "n", "否", "×"}


class BadValue(ValueError):
    """The value is not acceptable; ``message`` says why."""

    def __init__(self, text: Message) -> None:
        super().__init__(text.say("en"))
        self.message = text


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read: ``by_label`` also takes the words of choices (import); ``offered_only`` refuses hidden choices
    (create); ``zone`` places datetimes written without one; ``bounds`` applies min, max, length and pattern (not in filters)."""

    choices: Mapping[str, Choices]
    zone: tzinfo = UTC
    by_label: bool = False
    offered_only: bool = False
    bounds: bool = True


def bad(code: str, **slots: object) -> BadValue:
    return BadValue(message(code, **slots))


def read(field: Field, raw: Any, how: Reading) -> Any:
    """The Python value of ``raw``; None for nothing (null, an empty text, an empty list)."""
    if isinstance(raw, str):
        raw = raw.strip() if field.type not in (FieldType.LONG_TEXT, FieldType.RICH_TEXT) else raw.strip("\r\n\t ")
    if raw is None or raw == "" or (isinstance(raw, (list, tuple)) and not raw):
        return None
    return _READERS[field.type](field, raw, how)


# -- text ------------------------------------------------------------------------------------------------------------


def _text(field: Field, raw: Any, how: Reading) -> str:
    text = _plain(raw, how)
    if _BAD_IN_LINE.search(text):
        raise bad("record.bad_characters")
    return _bounded(field, text, how)


def _long_text(field: Field, raw: Any, how: Reading) -> str:
    text = _plain(raw, how).replace("\r\n", "\n").replace("\r", "\n")
    if _BAD_IN_TEXT.search(text):
        raise bad("record.bad_characters")
    return _bounded(field, text, how)


def _rich_text(field: Field, raw: Any, how: Reading) -> str | None:
    return sanitise(_long_text(field, raw, how)) or None


def _plain(raw: Any, how: Reading) -> str:
    if isinstance(raw, str):
        return raw
    if how.by_label and isinstance(raw, (int, float)) and not isinstance(raw, bool):  # a spreadsheet's number in a text column
        return str(int(raw)) if float(raw).is_integer() else repr(raw)
    raise bad("record.not_text")


def _bounded(field: Field, text: str, how: Reading) -> str:
    limit = field.length or LENGTHS.get(field.type, 200)
    if len(text) > limit:
        raise bad("record.too_long", limit=limit, found=len(text))
    if how.bounds and field.pattern and not re.fullmatch(field.pattern, text):
        raise BadValue(words(field.pattern_message) if field.pattern_message else message("record.pattern"))
    return text


def _checked(code: str, test: Callable[[str], bool], tidy: Callable[[str], str] = str) -> Callable[[Field, Any, Reading], str]:
    def reader(field: Field, raw: Any, how: Reading) -> str:
        text = tidy(_plain(raw, how))
        if _BAD_IN_LINE.search(text) or len(text) > 500:
            raise bad("record.bad_characters")
        if how.bounds and not test(text):
            raise bad(code)
        return _bounded(field, text, how)

    return reader


def _region(field: Field, raw: Any, how: Reading) -> str:
    if how.by_label and isinstance(raw, str):
        raw = regions.region_code(raw) or raw
    return _region_code(field, raw, how)


_region_code = _checked("record.not_region", regions.is_region)


def _is_phone(text: str) -> bool:
    return identity.is_mobile(text) or _LANDLINE.fullmatch(text) is not None


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in text and "\\" not in text


# -- numbers ---------------------------------------------------------------------------------------------------------


def _integer(field: Field, raw: Any, how: Reading) -> int:
    number = whole_number(raw, INTEGER_MAX, from_sheet=how.by_label)
    _within(field, Decimal(number), how)
    return number


def whole_number(raw: Any, limit: int, *, from_sheet: bool = False) -> int:
    """An int from an int or plain ASCII digits; True, 1.5, ``1e3`` and Arabic digits are refused."""
    if from_sheet and isinstance(raw, float) and raw.is_integer() and abs(raw) < 2**53:
        raw = int(raw)
    if isinstance(raw, Decimal) and raw.is_finite() and raw == raw.to_integral_value() and abs(raw) <= limit and (raw or not raw.is_signed()):
        raw = int(raw)
    if isinstance(raw, str) and _INTEGER.fullmatch(raw) and raw != "-0":
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise bad("record.not_integer")
    if abs(raw) > limit:
        raise bad("record.too_large")
    return raw


def _exact(field: Field, raw: Any, how: Reading) -> Decimal:
    number = _decimal(raw, how)
    precision, scale = EXACT[field.type]
    precision, scale = field.precision or precision, scale if field.scale is None else field.scale
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > scale and number != number.quantize(Decimal(1).scaleb(-scale)):
        raise bad("record.too_many_places", limit=scale)
    if number.adjusted() >= precision - scale and number != 0:
        raise bad("record.too_large")
    number = number.quantize(Decimal(1).scaleb(-scale))
    _within(field, number, how)
    return number


def _decimal(raw: Any, how: Reading) -> Decimal:
    if isinstance(raw, float) and how.by_label:  # a spreadsheet cell: the shortest text that means this float
        raw = format(Decimal(repr(raw)), "f") if abs(raw) < 10**15 else "x"
    if isinstance(raw, str) and _NUMBER.fullmatch(raw):
        number = Decimal(raw)
    elif isinstance(raw, (int, Decimal)) and not isinstance(raw, bool):
        number = Decimal(raw)
    else:
        raise bad("record.not_number")
    if not number.is_finite() or (number == 0 and number.is_signed()):
        raise bad("record.not_number")
    if number.adjusted() > 30:
        raise bad("record.too_large")
    if len(number.as_tuple().digits) > 60 or number.adjusted() < -30 and number != 0:
        raise bad("record.too_many_places", limit=18)
    return number


def _within(field: Field, number: Decimal, how: Reading) -> None:
    if not how.bounds:
        return
    if field.min is not None and number < field.min:
        raise bad("record.below_min", limit=field.min)
    if field.max is not None and number > field.max:
        raise bad("record.above_max", limit=field.max)


def _boolean(field: Field, raw: Any, how: Reading) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in _YES | _NO:
        return raw.lower() in _YES
    raise bad("record.not_boolean")


# -- time ------------------------------------------------------------------------------------------------------------


def _date(field: Field, raw: Any, how: Reading) -> date:
    if how.by_label and isinstance(raw, datetime) and raw.time() == time():
        raw = raw.date()
    if isinstance(raw, str):
        text = _date_as_said(raw) if how.by_label else raw
        if not _DATE.fullmatch(text):
            raise bad("record.not_date")
        try:
            raw = date.fromisoformat(text)
        except ValueError:
            raise bad("record.not_date") from None
    if not isinstance(raw, date) or isinstance(raw, datetime):
        raise bad("record.not_date")
    return _sane(raw)


def _date_as_said(raw: str) -> str:
    match = _SAID_DATE.fullmatch(raw.strip())
    return f"{match[1]}-{match[3] or match[5]:0>2}-{match[4] or match[6]:0>2}" if match else raw


def _sane(day: date) -> date:
    if not 1900 <= day.year <= 2199:
        raise bad("record.date_range")
    return day


def _datetime(field: Field, raw: Any, how: Reading) -> datetime:
    if isinstance(raw, str):
        match = _INSTANT.fullmatch(raw)
        if match is None:
            raise bad("record.not_datetime")
        try:
            raw = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}")
        except ValueError:
            raise bad("record.not_datetime") from None
    if not isinstance(raw, datetime):
        raise bad("record.not_datetime")
    _sane(raw.date())
    return (raw if raw.tzinfo else raw.replace(tzinfo=how.zone)).astimezone(UTC)


def _time(field: Field, raw: Any, how: Reading) -> time:
    if isinstance(raw, str) and _TIME.fullmatch(raw):
        try:
            return time.fromisoformat(raw)
        except ValueError:
            pass
    if isinstance(raw, time) and raw.tzinfo is None:
        return raw
    raise bad("record.not_time")


# -- choices, links, lists -------------------------------------------------------------------------------------------


def _choice(field: Field, raw: Any, how: Reading) -> str:
    return _code(field, raw, how)


def _code(field: Field, raw: Any, how: Reading) -> str:
    items = how.choices[field.choices].items if field.choices in how.choices else {}
    code = raw if isinstance(raw, str) else None
    if how.by_label and code is not None and code not in items:
        code = next((item.code for item in items.values() if code in (item.label.zh, item.label.en)), None)
    if code is None or code not in items or (how.offered_only and items[code].hidden):
        raise _not_choice(raw, items, how)
    return code


def _not_choice(raw: Any, items: Mapping[str, Choice], how: Reading) -> BadValue:
    """What may be entered instead: the words for a person with a workbook, the codes for a program."""
    value = raw[:40] if isinstance(raw, str) else type(raw).__name__
    offered = [item for item in items.values() if not item.hidden]
    if not 0 < len(offered) <= CHOICES_TOLD:
        return bad("record.not_choice", value=value)
    told: Text | str = ", ".join(item.code for item in offered)
    if how.by_label:
        told = Text("、".join(item.label.zh for item in offered), ", ".join(item.label.en for item in offered))
    return bad("record.not_choice_but", value=value, offered=told)


def _state(field: Field, raw: Any, how: Reading) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", raw):
        raise bad("record.not_choice", value=raw[:40] if isinstance(raw, str) else type(raw).__name__)
    return raw


def _multi_choice(field: Field, raw: Any, how: Reading) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_code(field, item, how) for item in _items(raw, MULTI_MAX, how)))


def _tags(field: Field, raw: Any, how: Reading) -> tuple[str, ...]:
    found = []
    for item in _items(raw, MULTI_MAX, how):
        if not isinstance(item, str):
            raise bad("record.not_text")
        if _BAD_IN_LINE.search(item):
            raise bad("record.bad_characters")
        if len(item) > TAG_LENGTH_MAX:
            raise bad("record.too_long", limit=TAG_LENGTH_MAX, found=len(item))
        found.append(item.strip())
    return tuple(dict.fromkeys(item for item in found if item))


def _items(raw: Any, limit: int, how: Reading) -> list[Any]:
    if isinstance(raw, str):
        raw = [part.strip() for part in re.split(r"[,，;；、]" if how.by_label else ",", raw) if part.strip()]
    if not isinstance(raw, (list, tuple)):
        raise bad("record.not_list")
    if len(raw) > limit:
        raise bad("record.too_many_items", limit=limit)
    return list(raw)


def _link(field: Field, raw: Any, how: Reading) -> int:
    if isinstance(raw, Mapping) and set(raw) <= {"id", "title"}:
        raw = raw.get("id")
    try:
        number = whole_number(raw, ID_MAX, from_sheet=how.by_label)
    except BadValue:
        raise bad("record.not_link") from None
    if number < 1:
        raise bad("record.not_link")
    return number


def _files(field: Field, raw: Any, how: Reading) -> tuple[int, ...]:
    if isinstance(raw, (int, str)) and not isinstance(raw, bool):
        raw = [part for part in str(raw).split(",") if part]
    if not isinstance(raw, (list, tuple)):
        raise bad("record.not_files")
    try:
        ids = tuple(dict.fromkeys(_link(field, item, how) for item in raw))
    except BadValue:
        raise bad("record.not_files") from None
    if len(ids) > 1 and (field.type is FieldType.SIGNATURE or not field.multiple):
        raise bad("record.one_file")
    if len(ids) > FILES_MAX:
        raise bad("record.too_many_items", limit=FILES_MAX)
    return ids


def _json(field: Field, raw: Any, how: Reading) -> Any:
    try:
        if isinstance(raw, str):
            if len(raw) > JSON_TEXT_MAX or _nesting(raw) > JSON_DEPTH_MAX:
                raise bad("record.not_json")
            raw = json.loads(raw, parse_float=str, parse_constant=_refuse_constant)
        text = json.dumps(raw, allow_nan=False, ensure_ascii=False, default=_decimal_text)
    except (ValueError, TypeError, RecursionError, InvalidOperation):
        raise bad("record.not_json") from None
    if len(text) > JSON_TEXT_MAX or _nesting(text) > JSON_DEPTH_MAX or "\\u0000" in text:
        raise bad("record.not_json")
    return json.loads(text)


def _nesting(text: str) -> int:
    """Deepest bracket nesting, counted without parsing (brackets inside strings only make it stricter)."""
    deepest = depth = 0
    for char in text:
        if char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _decimal_text(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    raise TypeError(type(value).__name__)


def _never(field: Field, raw: Any, how: Reading) -> Any:
    raise bad("record.not_list")


_READERS: dict[FieldType, Callable[[Field, Any, Reading], Any]] = {
    FieldType.TEXT: _text, FieldType.LONG_TEXT: _long_text, FieldType.RICH_TEXT: _rich_text, FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _exact, FieldType.MONEY: _exact, FieldType.RATE: _exact, FieldType.DATE: _date,
    FieldType.DATETIME: _datetime, FieldType.TIME: _time, FieldType.BOOLEAN: _boolean, FieldType.CHOICE: _choice,
    FieldType.MULTI_CHOICE: _multi_choice, FieldType.STATE: _state, FieldType.LINK: _link, FieldType.CHILD: _never,
    FieldType.ATTACHMENT: _files, FieldType.IMAGE: _files, FieldType.SIGNATURE: _files, FieldType.JSON: _json,
    FieldType.AUTO_NUMBER: _text, FieldType.USER: _link, FieldType.ORG_UNIT: _link, FieldType.COMPANY: _link,
    FieldType.TAGS: _tags,
    FieldType.REGION: _region,
    FieldType.PHONE: _checked("record.not_phone", _is_phone, lambda t: t.replace(" ", "").removeprefix("+86")),
    FieldType.EMAIL: _checked("record.not_email", lambda t: _EMAIL.fullmatch(t) is not None),
    FieldType.ID_CARD: _checked("record.not_id_card", identity.is_id_card, str.upper),
    FieldType.BANK_CARD: _checked("record.not_bank_card", identity.is_bank_card, lambda t: t.replace(" ", "")),
    FieldType.CREDIT_CODE: _checked("record.not_credit_code", identity.is_credit_code, str.upper),
    FieldType.COLOUR: _checked("record.not_colour", lambda t: _COLOUR.fullmatch(t) is not None, str.lower),
    FieldType.URL: _checked("record.not_url", _is_url),
}
