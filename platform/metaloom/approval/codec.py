"""A chain as text and back: canonical, so that equal chains have equal text whatever files they were written in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

from metaloom.base.position import Position
from metaloom.base.text import Text
from metaloom.model import (
    Allowed,
    ApprovalChain,
    Branch,
    CopyTo,
    Decide,
    Escalation,
    Field,
    FieldType,
    Fork,
    Limit,
    ReturnRule,
    StartRule,
    Step,
    SubChain,
    WaitFor,
    Who,
)

_KINDS = (Allowed, ApprovalChain, Branch, CopyTo, Decide, Escalation, Field, Fork, Limit, ReturnRule, StartRule, Step, SubChain, Text, WaitFor, Who)
_BY_NAME: Mapping[str, type] = {kind.__name__: kind for kind in _KINDS}
_KIND = "__"


def dumps(chain: ApprovalChain) -> str:
    """Canonical JSON without positions; the order of steps, which is their meaning, is kept."""
    return json.dumps(_out(chain), ensure_ascii=False, separators=(",", ":"))


def loads(text: str) -> ApprovalChain:
    """The chain that :func:`dumps` wrote. A slot that this engine no longer knows is an error, one it newly has takes its default."""
    found = _in(json.loads(text))
    if not isinstance(found, ApprovalChain):
        raise ValueError("this text holds no approval chain")
    return found


def _out(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        if type(value).__name__ not in _BY_NAME:
            raise TypeError(f"{type(value).__name__} has no place in a chain")
        slots = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {_KIND: type(value).__name__, **{name: _out(inner) for name, inner in slots if not isinstance(inner, Position)}}
    if isinstance(value, Mapping):
        return {_KIND: "map", "items": [[key, _out(inner)] for key, inner in value.items()]}
    if isinstance(value, FieldType):
        return {_KIND: "type", "value": value.value}
    if isinstance(value, Decimal):
        return {_KIND: "decimal", "value": format(value, "f")}
    return [_out(inner) for inner in value] if isinstance(value, (tuple, list)) else value


def _in(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_in(inner) for inner in value)
    if not isinstance(value, dict):
        return value
    kind = value[_KIND]
    if kind == "map":
        return {key: _in(inner) for key, inner in value["items"]}
    if kind == "type":
        return FieldType(value["value"])
    if kind == "decimal":
        return Decimal(value["value"])
    return _BY_NAME[kind](**{name: _in(inner) for name, inner in value.items() if name != _KIND})
