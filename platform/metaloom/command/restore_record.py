"""Bringing an archived record back."""

from __future__ import annotations

from typing import Any

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.put_away import put_away, put_away_in
from metaloom.command.unit import Unit
from metaloom.model import Entity


def restore_record(ctx: Context, entity: str, id: int, row_version: int | None, reason: str = "") -> Saved:
    """Restores an archived record with the values it had; a live record with the same unique key makes it Invalid."""
    return put_away(ctx, "restore", entity, id, row_version, reason, _restore, right="restore", archived=True)


def restore_in(unit: Unit, address: str, record_id: int, row_version: int | None) -> Saved:
    """The same inside a running unit."""
    return put_away_in(unit, "restore", address, record_id, row_version, _restore, right="restore", archived=True)


def _restore(unit: Unit, entity: Entity, before: Any) -> int:
    if before["archived_at"] is None:
        raise NotPossible(message("command.not_archived"))
    version = rows.update(unit, entity, before["id"], {"archived_at": None}, before["row_version"])
    unit.log(entity, before["id"], {"archived_at": before["archived_at"]}, {"archived_at": None})
    return version
