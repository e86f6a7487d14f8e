"""A case's state as JSON and back: what the case's row keeps beside the log, so that a decision need not replay it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from metaloom.approval.state import CaseState


def state_out(state: CaseState) -> dict[str, Any]:
    """The state as JSON; equal states give equal JSON."""
    found = _plain(state)
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    return value


def state_in(stored: Mapping[str, Any]) -> CaseState:
    """The state that :func:`state_out` wrote; a slot that was added since has its default."""
    found = _typed(CaseState, stored)
    assert isinstance(found, CaseState)
    return found


def _typed(kind: Any, value: Any) -> Any:
    """``value`` in the form that the slot's annotation names."""
    if value is None or kind is Any:
        return value
    if is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{name: _typed(hints[name], inner) for name, inner in value.items() if name in hints})
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _typed(next(one for one in args if one is not NoneType), value)
    if origin is tuple:
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(_typed(one, inner) for one, inner in zip(kinds, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {(int(key) if args[0] is int else key): _typed(args[1], inner) for key, inner in value.items()}
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
