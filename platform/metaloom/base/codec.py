"""Frozen values as text: one canonical JSON, the same in every process, read back as equal values.

Maps become lists of pairs, because the order of their keys may count and a database may sort the keys of an object. What has its
default is left out, so that a value kept today is still read when a later version knows more. Positions in files are left out.
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

Turn = Callable[[Any], Any]
Kept = tuple[str, Any, Turn]


def digest(text: str) -> str:
    """The name under which a canonical text is kept."""
    return sha256(text.encode()).hexdigest()


class Codec:
    """``tags``: the classes of a union with the base ``union``; each of them is written with its tag as ``type``."""

    def __init__(self, tags: Mapping[str, type[Any]] | None = None, union: type[Any] | None = None) -> None:
        self._kinds, self._union = dict(tags or {}), union
        self._tags = {kind: tag for tag, kind in self._kinds.items()}
        # One function per type, made when the type is first met.
        self._kept: Callable[[Any], tuple[Kept, ...]] = cache(self._make_kept)
        self._plainer: Callable[[Any], Turn] = cache(self._make_plainer)
        self._reader: Callable[[Any], Turn] = cache(self._make_reader)
        self._object_reader: Callable[[Any], Turn] = cache(self._make_object_reader)

    def dumps(self, value: Any) -> str:
        """The canonical text of a value; equal values have equal texts."""
        return json.dumps(self._slots(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    def loads(self, kind: type[Any], text: str) -> Any:
        """The value of a canonical text. ValueError when the text is none of this kind."""
        try:
            return self._reader(kind)(json.loads(text))
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"this is no {kind.__name__}: {fault!r}") from fault

    # -- values to JSON ------------------------------------------------------------------------------------------------

    def _slots(self, value: Any) -> dict[str, Any]:
        """A dataclass as JSON; what has its default is left out."""
        kind = type(value)
        said: dict[str, Any] = {"type": self._tags[kind]} if kind in self._tags else {}
        for name, default, plain in self._kept(kind):
            found = getattr(value, name)
            if found != default:
                said[name] = found if plain is _same else plain(found)
        return said

    def _make_kept(self, kind: Any) -> tuple[Kept, ...]:
        """(slot, what it holds when nobody says, value to JSON) of each slot that is kept; MISSING where somebody must say."""
        hints = _hints(kind)
        return tuple((f.name, f.default_factory() if f.default_factory is not MISSING else f.default, self._plainer(hints[f.name]))
                     for f in fields(kind) if f.name != "position")

    def _make_plainer(self, hint: Any) -> Turn:
        """From a value of the type ``hint`` to JSON. What may be of any type is JSON already."""
        origin, inner = get_origin(hint), get_args(hint)
        if NoneType in inner:
            plain = self._plainer(next(k for k in inner if k is not NoneType))
            return _same if plain is _same else lambda value: None if value is None else plain(value)
        if origin is tuple:
            return self._tuple_plainer(inner)
        if _is_mapping(origin):
            plain = self._plainer(inner[1])
            return lambda value: [[k, plain(v)] for k, v in value.items()]
        if is_dataclass(hint):
            return self._slots
        if isinstance(hint, type) and issubclass(hint, Enum):
            return lambda value: value.value
        return str if hint is Decimal else _same

    def _tuple_plainer(self, inner: tuple[Any, ...]) -> Turn:
        if inner[-1] is Ellipsis:
            each = self._plainer(inner[0])
            return list if each is _same else lambda value: [each(v) for v in value]
        plains = [self._plainer(kind) for kind in inner]
        return lambda value: [plain(v) for plain, v in zip(plains, value, strict=True)]

    # -- JSON to values ------------------------------------------------------------------------------------------------

    def _make_reader(self, hint: Any) -> Turn:
        """From JSON to a value of the type ``hint``."""
        origin, inner = get_origin(hint), get_args(hint)
        if origin is tuple:
            return self._tuple_reader(inner)
        if _is_mapping(origin):
            key, read = self._reader(inner[0]), self._reader(inner[1])
            return lambda data: MappingProxyType({key(k): read(v) for k, v in data})
        if NoneType in inner:
            read = self._reader(next(k for k in inner if k is not NoneType))
            return _same if read is _same else lambda data: None if data is None else read(data)
        if is_dataclass(hint):
            return self._tagged if hint is self._union else self._object_reader(hint)
        return hint if isinstance(hint, type) and issubclass(hint, (Enum, Decimal)) else _same

    def _tuple_reader(self, inner: tuple[Any, ...]) -> Turn:
        if inner[-1] is Ellipsis:
            each = self._reader(inner[0])
            return tuple if each is _same else lambda data: tuple([each(v) for v in data])
        reads = [self._reader(kind) for kind in inner]
        return lambda data: tuple([read(v) for read, v in zip(reads, data, strict=True)])

    def _tagged(self, data: Mapping[str, Any]) -> Any:
        return self._object_reader(self._kinds[data["type"]])({name: value for name, value in data.items() if name != "type"})

    def _make_object_reader(self, kind: Any) -> Turn:
        reads: dict[str, Turn] = {}

        def read(data: Mapping[str, Any]) -> Any:
            if not reads:       # at first use: a type may hold others of its own kind
                reads.update({name: self._reader(hint) for name, hint in _hints(kind).items()})
            return kind(**{name: reads[name](value) for name, value in data.items()})

        return read


def _same(value: Any) -> Any:
    return value


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)
