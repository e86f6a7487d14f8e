"""Removing a record for good, where its entity allows it and nothing refers to it."""

from __future__ import annotations

from typing import Any

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.live import children_of
from metaloom.command.put_away import put_away, put_away_in, refuse_in_work
from metaloom.command.store import _audited
from metaloom.command.unit import Unit
from metaloom.model import Entity, FieldType
from metaloom.model.entity import LINK_TYPES
from metaloom.record.paths import target_of


def delete_record(ctx: Context, entity: str, id: int, row_version: int | None, reason: str = "") -> Saved:
    """Deletes a record and its child rows. NotPossible unless the entity says ``delete: physical``, and while other records
    refer to it (the message says which kinds). The audit keeps its last values."""
    return put_away(ctx, "delete", entity, id, row_version, reason, _delete, right="delete", physical=True, archived=True)


def delete_in(unit: Unit, address: str, record_id: int, row_version: int | None) -> Saved:
    """The same inside a running unit."""
    return put_away_in(unit, "delete", address, record_id, row_version, _delete, right="delete", physical=True, archived=True)


def _delete(unit: Unit, entity: Entity, before: Any) -> int:
    refuse_in_work(unit, entity, before)
    _refuse_if_used(unit, entity, before["id"])
    for field in entity.fields.values():
        if field.type is FieldType.CHILD:
            child = unit.entity(field.entity)
            for row in children_of(unit, entity, field.name, before["id"]):
                unit.log(child, row["id"], _audited(child, row.raw), None)
    unit.log(entity, before["id"], _audited(entity, before), None)
    rows.remove(unit, entity, before["id"], before["row_version"])
    return int(before["row_version"])


def _refuse_if_used(unit: Unit, entity: Entity, record_id: int) -> None:
    """Names the kinds of records that refer to it; the foreign keys refuse it in any case."""
    users = [other.label for other in unit.catalog.entities.values() if other.storage == "table" and any(
        field.type in LINK_TYPES and target_of(field) == entity.address
        and not (other.child_of == entity.address and field.name == other.parent_field)
        and rows.find(unit, other.address, {field.name: record_id}, limit=1) for field in other.fields.values())]
    if users:
        by = Text("、".join(label.zh for label in users), ", ".join(label.en for label in users))
        raise NotPossible(message("command.still_used", by=by))
