"""Values a new form begins with: the metadata's defaults, what the address gives, computed values."""

from __future__ import annotations

from typing import Any

from metaloom.compile import entity_scope
from metaloom.expression import ExpressionError, compile, to_python
from metaloom.model import Entity, Field, FieldType
from metaloom.record.values import BadValue, Reading, read
from metaloom.web.current import Current


def default_values(pinned: Current, entity: Entity) -> dict[str, Any]:
    """Defaults that can be known before the record exists; the command works them all out again."""
    scope = entity_scope(pinned.catalog, entity.address)
    blank: dict[str, Any] = dict.fromkeys(
        [*entity.fields, "id", "created_by", "created_at", "company", "org_unit", "owner", "updated_at", "updated_by", "row_version"]
    )
    found: dict[str, Any] = {}
    for one in entity.fields.values():
        if not one.default or one.type is FieldType.CHILD:
            continue
        try:
            value = to_python(compile(one.default, scope))({**blank, **found}, pinned.env)
        except (ExpressionError, KeyError, TypeError, AttributeError, ArithmeticError):
            continue
        found[one.name] = value
    return found


def from_address(pinned: Current, entity: Entity, args: Any) -> dict[str, Any]:
    """Values given in the address (a new record from a related tab): ``?customer=12``."""
    how = Reading(pinned.catalog.choices, pinned.zone, bounds=False)
    found = {}
    for name in args:
        one: Field | None = entity.fields.get(name)
        if one is None or one.type is FieldType.CHILD:
            continue
        try:
            value = read(one, args[name][:300], how)
        except BadValue:
            continue
        if value is not None:
            found[name] = value
    return found
