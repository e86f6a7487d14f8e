"""Reading JSON strictly: what two JSON readers might understand differently is refused.

Refused are duplicate keys, NaN and Infinity, numbers of absurd length, deep nesting, NUL and lone surrogates, and anything that is
not UTF-8. A number with a fraction becomes a Decimal, never a float.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from metaloom.base.errors import Invalid, Problem
from metaloom.base.messages import Message, message, register

register({
    "api.json": ("请求内容不是有效的 JSON：{reason}", "The body is not acceptable JSON: {reason}"),
    "api.json_why.size": ("过大", "too large"),
    "api.json_why.utf8": ("不是 UTF-8", "not UTF-8"),
    "api.json_why.syntax": ("第 {position} 个字符处语法错误", "syntax error at character {position}"),
    "api.json_why.double": ("重复的键“{key}”", "the key “{key}” stands twice"),
    "api.json_why.constant": ("不允许 {name}", "{name} is not allowed"),
    "api.json_why.number": ("数字过长", "a number is too long"),
    "api.json_why.depth": ("嵌套过深", "nested too deeply"),
    "api.json_why.text": ("含有不允许的字符", "it contains characters that are not allowed"),
})

DEPTH_MAX = 20
NUMBER_MAX = 60
EXPONENT_MAX = 60


class _Why(ValueError):
    def __init__(self, code: str, **slots: object) -> None:
        super().__init__(code)
        self.message = message(f"api.json_why.{code}", **slots)


def parse(raw: bytes | str) -> Any:
    """The value of JSON text; Invalid says why it was refused."""
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
        if depth(text) > DEPTH_MAX:
            raise _Why("depth")
        value = json.loads(text, object_pairs_hook=_object, parse_float=_fraction, parse_int=_integer, parse_constant=_constant)
        _check_texts(value)
    except UnicodeDecodeError:
        raise refused("", message("api.json", reason=message("api.json_why.utf8"))) from None
    except _Why as why:
        raise refused("", message("api.json", reason=why.message)) from None
    except json.JSONDecodeError as error:
        reason = message("api.json_why.syntax", position=error.pos + 1)
        raise refused("", message("api.json", reason=reason)) from None
    return value


def depth(text: str) -> int:
    """Deepest nesting, without parsing; brackets inside strings do not count."""
    deepest = level = 0
    inside = escaped = False
    for char in text:
        if inside:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                inside = False
        elif char == '"':
            inside = True
        elif char in "[{":
            level += 1
            deepest = max(deepest, level)
        elif char in "]}":
            level -= 1
    return deepest


def refused(field: str, text: Message) -> Invalid:
    """One problem, said as the whole message too."""
    return Invalid([Problem(field, text)], text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Why("double", key=key[:60])
        found[key] = value
    return found


def _fraction(text: str) -> Decimal:
    if len(text) > NUMBER_MAX:
        raise _Why("number")
    number = Decimal(text)
    if abs(number.adjusted()) > EXPONENT_MAX:
        raise _Why("number")
    return number


def _integer(text: str) -> int | Decimal:
    if len(text) > NUMBER_MAX:
        raise _Why("number")
    return Decimal("-0") if text == "-0" else int(text)


def _constant(name: str) -> Any:
    raise _Why("constant", name=name)


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise _Why("text")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_texts(key)
            _check_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_texts(inner)
