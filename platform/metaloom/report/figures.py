"""Results of a query as the points of a line and the parts of a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from metaloom.report.period import Span, buckets

T = TypeVar("T")


def filled(span: Span, unit: str, found: Mapping[date, Any], nothing: Any) -> tuple[tuple[date, Any], ...]:
    """Every bucket of the span with its value, ``nothing`` where no row was: a line must not skip an empty month."""
    return tuple((day, found.get(day, nothing)) for day in buckets(span, unit))


def in_order(groups: Iterable[T], keys: Sequence[Any], key_of: Any) -> list[T]:
    """The groups as ``keys`` stand, those of no key last and among themselves as they came."""
    place = {key: at for at, key in enumerate(keys)}
    return sorted(groups, key=lambda group: place.get(key_of(group), len(place)))
