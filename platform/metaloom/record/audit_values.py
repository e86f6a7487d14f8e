"""The audit log tells of every record; whoever reads it sees of a change what they may read of that record, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from metaloom.access import AccessPlan
from metaloom.model import FieldLevel
from metaloom.record.mask import mask
from metaloom.record.paths import UnknownPath, field_of

AUDIT_LOG = "platform.audit_entry"
SIDES = ("before", "after")

Sides = Callable[[str, Any], Any]


def sides_for(plan: AccessPlan) -> Sides:
    """A function from (entity of an audit row, its ``before`` or ``after``) to what the reader may see of it.

    Only rights on all rows of the entity count: a log has no row to ask the narrower scopes about. Those who hold such a
    scope find the changes in the history of the record. What is no field of the entity is the engine's own word and stays.
    """
    known: dict[str, Mapping[str, FieldLevel]] = {}

    def levels(address: str) -> Mapping[str, FieldLevel]:
        if address not in known:
            rights = plan.rights(address)
            known[address] = rights.levels(frozenset(i for i, scope in enumerate(rights.scopes) if scope.covers_all))
        return known[address]

    def seen(address: str, values: Any) -> Any:
        if not address or not isinstance(values, Mapping):
            return values
        entity = plan.catalog.entities.get(address)
        if entity is None:
            return {}
        found = {}
        for name, value in values.items():
            try:
                field = field_of(entity, name)
            except UnknownPath:
                found[name] = value
                continue
            level = levels(address).get(name, FieldLevel.HIDDEN)
            if level is not FieldLevel.HIDDEN:
                found[name] = mask(field, value) if level is FieldLevel.MASKED else value
        return found

    return seen
