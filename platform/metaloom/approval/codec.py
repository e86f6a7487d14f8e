"""Chains and states as text: one canonical JSON, the same in every process, read back as equal values.

Maps become lists of pairs, because the order of steps counts and a database may sort the keys of an object. What has its default
is left out, so that a chain pinned today is still read when a later version knows more. Positions in files are no part of a chain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
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
    return json.dumps(_slots(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _read(kind: type[Any], text: str) -> Any:
    try:
        return _reader(kind)(json.loads(text))
    except (KeyError, TypeError, AttributeError) as fault:
        raise ValueError(f"this is no {kind.__name__}: {fault!r}") from fault


# -- values to JSON: one function per type, made when the type is first met ---------------------------------------------------


Turn = Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _slots(value: Any) -> dict[str, Any]:
    """A dataclass as JSON; what has its default is left out."""
    kind = type(value)
    said: dict[str, Any] = {"type": _TAGS[kind]} if isinstance(value, ChainStep) else {}
    for name, default, plain in _kept(kind):
        found = getattr(value, name)
        if found != default:
            said[name] = found if plain is _same else plain(found)
    return said


@cache
def _kept(kind: Any) -> tuple[tuple[str, Any, Turn], ...]:
    """(slot, what it holds when nobody says, value to JSON) of each slot that is kept; MISSING where somebody must say."""
    hints = _hints(kind)
    return tuple((f.name, f.default_factory() if f.default_factory is not MISSING else f.default, _plainer(hints[f.name]))
                 for f in fields(kind) if f.name != "position")


@cache
def _plainer(hint: Any) -> Turn:
    """From a value of the type ``hint`` to JSON. What may be of any type is JSON already."""
    origin, inner = get_origin(hint), get_args(hint)
    if NoneType in inner:
        plain = _plainer(next(k for k in inner if k is not NoneType))
        return _same if plain is _same else lambda value: None if value is None else plain(value)
    if origin is tuple:
        return _tuple_plainer(inner)
    if _is_mapping(origin):
        plain = _plainer(inner[1])
        return lambda value: [[k, plain(v)] for k, v in value.items()]
    if is_dataclass(hint):
        return _slots
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda value: value.value
    return str if hint is Decimal else _same


def _tuple_plainer(inner: tuple[Any, ...]) -> Turn:
    if inner[-1] is Ellipsis:
        each = _plainer(inner[0])
        return list if each is _same else lambda value: [each(v) for v in value]
    plains = [_plainer(kind) for kind in inner]
    return lambda value: [plain(v) for plain, v in zip(plains, value, strict=True)]


# -- JSON to values ----------------------------------------------------------------------------------------------------


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


@cache
def _reader(hint: Any) -> Turn:
    """From JSON to a value of the type ``hint``."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple:
        return _tuple_reader(inner)
    if _is_mapping(origin):
        key, read = _reader(inner[0]), _reader(inner[1])
        return lambda data: MappingProxyType({key(k): read(v) for k, v in data})
    if NoneType in inner:
        read = _reader(next(k for k in inner if k is not NoneType))
        return _same if read is _same else lambda data: None if data is None else read(data)
    if is_dataclass(hint):
        return _step_reader if hint is ChainStep else _object_reader(hint)
    return hint if isinstance(hint, type) and issubclass(hint, (Enum, Decimal)) else _same


def _tuple_reader(inner: tuple[Any, ...]) -> Turn:
    if inner[-1] is Ellipsis:
        each = _reader(inner[0])
        return tuple if each is _same else lambda data: tuple([each(v) for v in data])
    reads = [_reader(kind) for kind in inner]
    return lambda data: tuple([read(v) for read, v in zip(reads, data, strict=True)])


def _step_reader(data: Mapping[str, Any]) -> Any:
    return _object_reader(_STEPS[data["type"]])({name: value for name, value in data.items() if name != "type"})


@cache
def _object_reader(kind: Any) -> Turn:
    reads: dict[str, Turn] = {}

    def read(data: Mapping[str, Any]) -> Any:
        if not reads:       # at first use: a type may hold others of its own kind
            reads.update({name: _reader(hint) for name, hint in _hints(kind).items()})
        return kind(**{name: reads[name](value) for name, value in data.items()})

    return read
