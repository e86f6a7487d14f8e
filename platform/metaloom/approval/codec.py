"""Chains and states as text: one canonical JSON, the same in every process, read back as equal values.

Maps become lists of pairs, because the order of steps counts and a database may sort the keys of an object. What has its default
is left out, so that a chain pinned today is still read when a later version knows more. Positions in files are no part of a chain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from hashlib import sha256
from types import MappingProxyType, NoneType
from typing import Any, get_args, get_origin, get_type_hints

from metaloom.approval.state import CaseState
from metaloom.model import ApprovalChain, ChainStep, CopyTo, Decide, Fork, SubChain, WaitFor

_STEPS: Mapping[str, type[ChainStep]] = {"decide": Decide, "fork": Fork, "sub": SubChain, "copy": CopyTo, "wait": WaitFor}
_TAGS = {kind: tag for tag, kind in _STEPS.items()}


def dumps(chain: ApprovalChain) -> str:
    """The canonical text of a chain; equal chains have equal texts."""
    return _text(chain)


def loads(text: str) -> ApprovalChain:
    """The chain of a canonical text. ValueError when the text is none of a chain."""
    chain: ApprovalChain = _read(ApprovalChain, text)
    return chain


def digest(text: str) -> str:
    """The name under which a canonical text is kept."""
    return sha256(text.encode()).hexdigest()


def dump_state(state: CaseState) -> str:
    """The canonical text of a case's state."""
    return _text(state)


def load_state(text: str) -> CaseState:
    """The state of a canonical text; equal to the fold of the events it came from."""
    state: CaseState = _read(CaseState, text)
    return state


def _text(value: Any) -> str:
    return json.dumps(_plain(type(value), value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _read(kind: type[Any], text: str) -> Any:
    try:
        return _value(kind, json.loads(text))
    except (KeyError, TypeError, AttributeError) as fault:
        raise ValueError(f"this is no {kind.__name__}: {fault!r}") from fault


# -- values to JSON ----------------------------------------------------------------------------------------------------


def _plain(hint: Any, value: Any) -> Any:
    """``value`` of the type ``hint`` as JSON. What may be of any type is JSON already."""
    inner = get_args(hint)
    if value is None or hint is Any:
        return value
    if is_dataclass(value):
        return _slots(value)
    if isinstance(value, Mapping):
        return [[k, _plain(inner[1], v)] for k, v in value.items()]
    if isinstance(value, tuple):
        return [_plain(inner[0] if inner[-1] is Ellipsis else inner[n], v) for n, v in enumerate(value)]
    return value.value if isinstance(value, Enum) else str(value) if isinstance(value, Decimal) else value


def _slots(value: Any) -> dict[str, Any]:
    kind: Any = type(value)
    tag = {"type": _TAGS[kind]} if isinstance(value, ChainStep) else {}
    kept = {f.name: v for f in _kept(kind) if (v := getattr(value, f.name)) != _default(f)}
    return tag | {name: _plain(_hints(kind)[name], v) for name, v in kept.items()}


@cache
def _kept(kind: Any) -> tuple[Field[Any], ...]:
    return tuple(f for f in fields(kind) if f.name != "position")


def _default(field: Field[Any]) -> Any:
    """What a slot holds when nobody says; MISSING where somebody must."""
    return field.default_factory() if field.default_factory is not MISSING else field.default


# -- JSON to values ----------------------------------------------------------------------------------------------------


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _value(hint: Any, data: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return data
    if origin is tuple:
        kinds = [inner[0]] * len(data) if inner[-1] is Ellipsis else inner
        return tuple(_value(k, v) for k, v in zip(kinds, data, strict=True))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return MappingProxyType({_value(inner[0], k): _value(inner[1], v) for k, v in data})
    if NoneType in inner:
        return None if data is None else _value(next(k for k in inner if k is not NoneType), data)
    if is_dataclass(hint):
        return _object(hint, data)
    return hint(data) if isinstance(hint, type) and issubclass(hint, (Enum, Decimal)) else data


def _object(kind: Any, data: Mapping[str, Any]) -> Any:
    if kind is ChainStep:
        kind = _STEPS[data["type"]]
    hints = _hints(kind)
    tagged = issubclass(kind, ChainStep)
    return kind(**{name: _value(hints[name], value) for name, value in data.items() if not (tagged and name == "type")})
