"""Taking a record out of daily use; it stays readable where it is referred to, and can be restored."""

from __future__ import annotations

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message
from metaloom.command import rows
from metaloom.command.approval_guard import refuse_in_approval
from metaloom.command.context import Context, Saved
from metaloom.command.store import check_version, locked_for, title_of
from metaloom.command.unit import Unit, perform, permit
from metaloom.lifecycle import editable
from metaloom.model import Entity


def archive_record(ctx: Context, entity: str, id: int, row_version: int | None, reason: str = "") -> Saved:
    """Archives a record (the right is ``delete``). NotPossible for entities without archive, in a state that is not
    editable, and for a record that is archived already."""
    return perform(ctx, "archive", [entity, id, row_version, reason],
                   lambda unit: archive_in(unit, entity, id, row_version), reason=reason)


def archive_in(unit: Unit, address: str, record_id: int, row_version: int | None) -> Saved:
    """The same inside a running unit."""
    entity = unit.entity(address)
    refuse_unless_archivable(entity)
    permit(unit, address, "delete")
    before = locked_for(unit, address, record_id, "delete")
    check_version(unit, address, before, row_version)
    refuse_in_approval(unit, address, before, gone=True)
    refuse_in_work(unit, entity, before)
    version = rows.update(unit, entity, record_id, {"archived_at": unit.now}, before["row_version"])
    unit.log(entity, record_id, {"archived_at": None}, {"archived_at": unit.now})
    title = title_of(unit, entity, before)
    return Saved(address, record_id, version, title, message("command.archived", entity=entity.label, title=title))


def refuse_unless_archivable(entity: Entity) -> None:
    if entity.storage != "table":
        raise NotPossible(message("command.engine_storage", entity=entity.label))
    if entity.child_of:
        raise NotPossible(message("command.inside_parent", entity=entity.label))
    if entity.append_only:
        raise NotPossible(message("command.append_only", entity=entity.label))
    if entity.delete == "never":
        raise NotPossible(message("command.never_deleted", entity=entity.label))
    if not entity.archivable:
        raise NotPossible(message("command.not_archivable", entity=entity.label))


def refuse_in_work(unit: Unit, entity: Entity, before: dict[str, object] | object) -> None:
    """A record that is on its way through its lifecycle is not put away: only editable and final states are."""
    lifecycle = unit.catalog.lifecycles.get(entity.address)
    if lifecycle is None:
        return
    state = before[lifecycle.field]  # type: ignore[index]
    if not (state in lifecycle.states and lifecycle.states[state].final):
        editable(lifecycle, state)
