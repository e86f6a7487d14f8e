"""Expressions of metadata, evaluated: checked once per catalog, then a Python function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from metaloom import expression
from metaloom.base.money import to_scale
from metaloom.compile import entity_scope, link_filter_scope
from metaloom.expression import Checked, Env, Scope
from metaloom.model import Entity, Field
from metaloom.model.entity import EXACT_TYPES
from metaloom.record.paths import target_of
from metaloom.record.values import EXACT

if TYPE_CHECKING:
    from metaloom.command.unit import Unit

PYTHON = frozenset({"python"})


def holds(unit: Unit, entity: Entity, text: str, record: Mapping[str, Any], env: Env) -> bool:
    """Whether a condition of the entity is true for the record; null is not true."""
    return value(unit, entity, text, record, env) is True


def fails(unit: Unit, entity: Entity, text: str, record: Mapping[str, Any], env: Env) -> bool:
    """Whether a check is false; null is no failure, a missing value is the business of ``required``."""
    return value(unit, entity, text, record, env) is False


def value(unit: Unit, entity: Entity, text: str, record: Mapping[str, Any], env: Env) -> Any:
    """What an expression of the entity gives for the record."""
    return run(checked(entity_scope(unit.catalog, entity.address), text), record, env)


def computed_of(entity: Entity) -> list[Field]:
    return [field for field in entity.fields.values() if field.computed]


def compute(unit: Unit, entity: Entity, fields: Sequence[Field], values: dict[str, Any], record: Mapping[str, Any], env: Env) -> None:
    """Sets these computed fields in ``values``, the row behind ``record``, until they rest: one may read another, circles were refused
    by the compiler."""
    for _ in fields:
        before = [values[field.name] for field in fields]
        for field in fields:
            values[field.name] = fitted(field, value(unit, entity, field.computed, record, env))
        if before == [values[field.name] for field in fields]:
            return


def filter_holds(unit: Unit, entity: Entity, field: Field, target: Mapping[str, Any], record: Mapping[str, Any], env: Env) -> bool:
    """Whether a link's target meets the link's filter."""
    scopes = unit.catalog.__dict__.setdefault("_link_filter_scopes", {})
    key = (entity.address, target_of(field))
    if key not in scopes:
        scopes[key] = link_filter_scope(unit.catalog, *key)
    names = _Both(target, {"record": record})
    return run(checked(scopes[key], field.filter), names, env) is True


class _Both(dict[str, Any]):
    """Named values before those of a record."""

    def __init__(self, base: Mapping[str, Any], named: Mapping[str, Any]) -> None:
        super().__init__(named)
        self._base = base

    def __missing__(self, name: str) -> Any:
        return self._base[name]


def checked(scope: Scope, text: str) -> Checked:
    """The checked expression; the scope remembers it."""
    return expression.compile(text, scope, None, PYTHON)


def run(what: Checked, record: Mapping[str, Any], env: Env) -> Any:
    return expression.to_python(what)(record, env)


def fitted(field: Field, found: Any) -> Any:
    """The value of an expression as the field stores it: numbers rounded HALF_UP to the field's places, a record as its id."""
    if isinstance(found, Mapping):
        return found["id"]
    if field.type in EXACT_TYPES and isinstance(found, (int, Decimal)) and not isinstance(found, bool):
        return to_scale(Decimal(found), EXACT[field.type][1] if field.scale is None else field.scale)
    return found
