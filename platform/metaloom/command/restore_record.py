"""Bringing an archived record back."""

from __future__ import annotations

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message
from metaloom.command import rows
from metaloom.command.archive_record import refuse_unless_archivable
from metaloom.command.context import Context, Saved
from metaloom.command.store import check_version, locked_for, title_of
from metaloom.command.unit import Unit, perform, permit


def restore_record(ctx: Context, entity: str, id: int, row_version: int | None, reason: str = "") -> Saved:
    """Restores an archived record with the values it had; a live record with the same unique key makes it Invalid."""
    return perform(ctx, "restore", [entity, id, row_version, reason],
                   lambda unit: restore_in(unit, entity, id, row_version), reason=reason)


def restore_in(unit: Unit, address: str, record_id: int, row_version: int | None) -> Saved:
    """The same inside a running unit."""
    entity = unit.entity(address)
    refuse_unless_archivable(entity)
    permit(unit, address, "restore")
    before = locked_for(unit, address, record_id, "restore", archived=True)
    check_version(unit, address, before, row_version)
    if before["archived_at"] is None:
        raise NotPossible(message("command.not_archived"))
    version = rows.update(unit, entity, record_id, {"archived_at": None}, before["row_version"])
    unit.log(entity, record_id, {"archived_at": before["archived_at"]}, {"archived_at": None})
    title = title_of(unit, entity, before)
    return Saved(address, record_id, version, title, message("command.restored", entity=entity.label, title=title))
