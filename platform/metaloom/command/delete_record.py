"""Removing a record for good, where its entity allows it and nothing refers to it."""

from __future__ import annotations

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message
from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.approval_guard import refuse_in_approval
from metaloom.command.archive_record import refuse_in_work
from metaloom.command.context import Context, Saved
from metaloom.command.live import children_of
from metaloom.command.store import _audited, check_version, locked_for, title_of
from metaloom.command.unit import Unit, perform, permit
from metaloom.model import Entity, FieldType
from metaloom.model.entity import LINK_TYPES
from metaloom.record.paths import target_of


def delete_record(ctx: Context, entity: str, id: int, row_version: int | None, reason: str = "") -> Saved:
    """Deletes a record and its child rows. NotPossible unless the entity says ``delete: physical``, and while other records
    refer to it (the message says which kinds). The audit keeps its last values."""
    return perform(ctx, "delete", [entity, id, row_version, reason],
                   lambda unit: delete_in(unit, entity, id, row_version), reason=reason)


def delete_in(unit: Unit, address: str, record_id: int, row_version: int | None) -> Saved:
    """The same inside a running unit."""
    entity = unit.entity(address)
    _refuse_unless_physical(entity)
    permit(unit, address, "delete")
    before = locked_for(unit, address, record_id, "delete", archived=True)
    check_version(unit, address, before, row_version)
    refuse_in_approval(unit, address, before, gone=True)
    refuse_in_work(unit, entity, before)
    _refuse_if_used(unit, entity, record_id)
    for field in entity.fields.values():
        if field.type is FieldType.CHILD:
            child = unit.entity(field.entity)
            for row in children_of(unit, entity, field.name, record_id):
                unit.log(child, row["id"], _audited(child, row.raw), None)
    unit.log(entity, record_id, _audited(entity, before), None)
    rows.remove(unit, entity, record_id, before["row_version"])
    title = title_of(unit, entity, before)
    return Saved(address, record_id, before["row_version"], title, message("command.deleted", entity=entity.label, title=title))


def _refuse_unless_physical(entity: Entity) -> None:
    if entity.storage != "table":
        raise NotPossible(message("command.engine_storage", entity=entity.label))
    if entity.child_of:
        raise NotPossible(message("command.inside_parent", entity=entity.label))
    if entity.append_only:
        raise NotPossible(message("command.append_only", entity=entity.label))
    if entity.delete == "never":
        raise NotPossible(message("command.never_deleted", entity=entity.label))
    if entity.delete != "physical":
        raise NotPossible(message("command.not_physical", entity=entity.label))


def _refuse_if_used(unit: Unit, entity: Entity, record_id: int) -> None:
    """Names the kinds of records that refer to it; the foreign keys refuse it in any case."""
    users = [other.label for other in unit.catalog.entities.values() if other.storage == "table" and any(
        field.type in LINK_TYPES and target_of(field) == entity.address
        and not (other.child_of == entity.address and field.name == other.parent_field)
        and rows.find(unit, other.address, {field.name: record_id}, limit=1) for field in other.fields.values())]
    if users:
        by = Text("、".join(label.zh for label in users), ", ".join(label.en for label in users))
        raise NotPossible(message("command.still_used", by=by))
