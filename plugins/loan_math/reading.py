"""Requests are read strictly: against the published schema first, then number by number. Nothing unknown passes, nothing is repaired."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from .check import DATE_MAX, DATE_MIN
from .errors import LoanMathError, raise_all

FOLDER = Path(__file__).with_name("schema")
_NUMBER_LONGEST = 40
_FIRST = re.compile(r"[^.\[]*")
_NEGATIVE = re.compile(r"-\d+(\.\d+)?")


@cache
def schema(name: str) -> Mapping[str, Any]:
    """A published schema by its name: quote, quote_reply, apr, apr_reply, days, days_reply."""
    loaded: Mapping[str, Any] = json.loads((FOLDER / f"{name}.schema.json").read_text("utf-8"))
    return loaded


@cache
def _validator(name: str) -> Any:
    def is_number(_: Any, value: Any) -> bool:
        return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)

    checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("number", is_number)
    checker = checker.redefine("integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool))
    strict = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=checker)
    formats = jsonschema.FormatChecker(formats=())
    formats.checks("date", raises=LoanMathError)(lambda value: not isinstance(value, str) or bool(day("", value)))
    return strict(schema(name), format_checker=formats)


def checked(name: str, request: object) -> Mapping[str, Any]:
    """The request, if it is one; else LoanMathError names every key at fault, in the order of the schema."""
    order = {key: place for place, key in enumerate(schema(name)["properties"])}
    found = [one for error in _validator(name).iter_errors(request) for one in _refusals(jsonschema.exceptions.best_match([error]))]
    raise_all(sorted(found, key=lambda one: order.get(_FIRST.match(one.key)[0], len(order))))  # type: ignore[index]
    assert isinstance(request, Mapping)
    return request


def _refusals(error: Any) -> list[LoanMathError]:
    """One for each unknown key and each that is missing, else one. The schema tells of each missing key anew, so the same comes more than once."""
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path).lstrip(".") or "request"
    found, wanted, rule = error.instance, error.validator_value, error.validator
    if rule == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        return [LoanMathError(_below(key, name), "unknown_key", limit=", ".join(known)) for name in found if name not in known]
    if rule == "required":
        return [LoanMathError(_below(key, name), "required") for name in wanted if name not in found]
    return [_refusal(key, error)]


def _refusal(key: str, error: Any) -> LoanMathError:
    found, wanted, rule = error.instance, error.validator_value, error.validator
    if rule in ("enum", "const"):
        choices = wanted if rule == "enum" else [wanted]
        return LoanMathError(key, "unknown_choice", found=_shown(found), limit=", ".join(map(str, choices)))
    if rule in ("minimum", "maximum"):
        low, high = error.schema.get("minimum", "…"), error.schema.get("maximum", "…")
        return LoanMathError(key, "out_of_range", found=_shown(found), limit=f"{low} – {high}")
    if rule == "type":
        code = "not_whole" if wanted == "integer" else "not_number" if "number" in wanted else "wrong_type"
        return LoanMathError(key, code, found=_shown(found), limit=wanted if isinstance(wanted, str) else ", ".join(wanted))
    if rule == "format" and isinstance(error.cause, LoanMathError):
        return LoanMathError(key, error.cause.code, found=_shown(found), limit=error.cause.limit)
    if rule == "pattern" and error.schema.get("format") == "date":
        return LoanMathError(key, "not_date", found=_shown(found))
    if rule == "pattern" and "x-format" in error.schema:
        return LoanMathError(key, "negative" if _NEGATIVE.fullmatch(str(found)) else "not_number", found=_shown(found))
    return LoanMathError(key, "wrong_shape", found=_shown(found), limit=rule)


def _below(key: str, name: str) -> str:
    return name if key == "request" else f"{key}.{name}"


def _shown(found: object) -> str:
    return str(found) if isinstance(found, (str, int, Decimal)) else type(found).__name__


def number(key: str, given: object) -> Decimal:
    """An exact decimal from text, a whole number or a decimal; a float counts as the digits it is written with."""
    text = given if isinstance(given, str) else str(given)
    if len(text) > _NUMBER_LONGEST:
        raise LoanMathError(key, "out_of_range", found=text, limit=f"{_NUMBER_LONGEST}")
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise LoanMathError(key, "not_number", found=text) from None
    if not found.is_finite() or abs(found.adjusted()) > 20:
        raise LoanMathError(key, "not_number", found=text)
    return found


def rate(key: str, given: object) -> Fraction:
    """A rate as an exact fraction."""
    return Fraction(number(key, given))


def day(key: str, given: str) -> date:
    try:
        found = date.fromisoformat(given)
    except ValueError:
        raise LoanMathError(key, "not_date", found=given) from None
    if not DATE_MIN <= found <= DATE_MAX:
        raise LoanMathError(key, "out_of_range", found=given, limit=f"{DATE_MIN} – {DATE_MAX}")
    return found
