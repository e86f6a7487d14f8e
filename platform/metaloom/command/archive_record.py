"""Taking a record out of daily use; it stays readable where it is referred to, and can be restored."""

from __future__ import annotations

from typing import Any

from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.put_away import put_away, put_away_in, refuse_in_work
from metaloom.command.unit import Unit
from metaloom.model import Entity


def archive_record(ctx: Context, entity: str, id: int, row_version: int | None, reason: str = "") -> Saved:
    """Archives a record (the right is ``delete``). NotPossible for entities without archive, in a state that is not
    editable, and for a record that is archived already."""
    return put_away(ctx, "archive", entity, id, row_version, reason, _archive, right="delete")


def archive_in(unit: Unit, address: str, record_id: int, row_version: int | None) -> Saved:
    """The same inside a running unit."""
    return put_away_in(unit, "archive", address, record_id, row_version, _archive, right="delete")


def _archive(unit: Unit, entity: Entity, before: Any) -> int:
    refuse_in_work(unit, entity, before)
    version = rows.update(unit, entity, before["id"], {"archived_at": unit.now}, before["row_version"])
    unit.log(entity, before["id"], {"archived_at": None}, {"archived_at": unit.now})
    return version
