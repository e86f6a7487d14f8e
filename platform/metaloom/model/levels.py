"""What one grant lets a person see of each field."""

from __future__ import annotations

from metaloom.model.access import AccessGrant, FieldLevel
from metaloom.model.entity import Entity

# A grant shows fields only when it lets the person see or change rows at all.
SEEING = frozenset({"list", "read", "edit", "create"})
WRITING = frozenset({"create", "edit"})
IMPLICIT_FIELDS = ("company", "org_unit", "owner", "created_at", "created_by", "updated_at", "updated_by", "archived_at")


def grant_levels(entity: Entity, grant: AccessGrant) -> dict[str, FieldLevel]:
    """Field → level in the rows of this one grant."""
    if not grant.actions & SEEING:
        return {}
    writes = bool(grant.actions & WRITING)
    rest = grant.fields.get("*", FieldLevel.WRITE if writes else FieldLevel.READ)
    levels = {name: _level(field_.mask, grant.fields.get(name), rest, writes) for name, field_ in entity.fields.items()}
    for name in IMPLICIT_FIELDS:
        if name in levels:
            continue  # a field of the entity's own, such as the company of a department
        levels[name] = min(grant.fields.get(name, rest), FieldLevel.READ)
    return levels


def _level(mask: str, own: FieldLevel | None, rest: FieldLevel, writes: bool) -> FieldLevel:
    level = own if own is not None else rest
    if level is FieldLevel.WRITE and not writes:
        level = FieldLevel.READ if own is not None or not mask else FieldLevel.MASKED
    if own is None and mask and level is FieldLevel.READ:
        return FieldLevel.MASKED
    return level
