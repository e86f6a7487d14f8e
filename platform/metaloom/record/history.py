"""History of a record as its reader may see it: the audit rows, under the field levels the row has now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from metaloom.model import Entity, FieldLevel
from metaloom.record.mask import mask
from metaloom.record.paths import UnknownPath, field_of
from metaloom.record.row import Change, HistoryEntry, Row
from metaloom.record.select import secret_address

if TYPE_CHECKING:
    from metaloom.record.reader import Reader


def read_history(reader: Reader, row: Row, *, limit: int, before: int | None, without: Collection[str] = ()) -> tuple[HistoryEntry, ...]:
    """Audit entries of ``row``, newest first, at most ``limit``, older than entry ``before``; those of the commands ``without`` are left out."""
    audit = reader.revision.tables.engine.audit
    user = reader.revision.tables.engine.user
    person = sa.select(user.c.display_name).where(user.c.id == audit.c.actor_id).scalar_subquery().label("person")
    statement = sa.select(audit, person).where(audit.c.entity == row.entity, audit.c.record_id == row.id)
    if before is not None and before < 2**63:
        statement = statement.where(audit.c.id < before)
    if without:
        statement = statement.where(audit.c.command.not_in(sorted(without)))
    entity = reader.plan.catalog.entities[row.entity]
    rows = reader.conn.execute(statement.order_by(audit.c.id.desc()).limit(max(1, min(limit, 1000)))).mappings()
    return tuple(_entry(reader, entity, row.levels, found) for found in rows)


def _entry(reader: Reader, entity: Entity, levels: Mapping[str, FieldLevel], found: sa.RowMapping) -> HistoryEntry:
    before, after = found["before"] or {}, found["after"] or {}
    changes = []
    for name in dict.fromkeys((*before, *after)):
        level = levels.get(name, FieldLevel.HIDDEN)
        if level is FieldLevel.HIDDEN or not _kept(entity, name):
            continue
        changes.append(Change(name, _shown(reader, entity, name, before.get(name), level),
                              _shown(reader, entity, name, after.get(name), level), level))
    return HistoryEntry(found["id"], found["at"], found["actor_id"], found["actor_name"] or "", found["channel"], found["command"],
                        found["reason"] or "", tuple(changes), found["revision_number"], found["person"] or "")


def _kept(entity: Entity, name: str) -> bool:
    """Fields that the present metadata still knows and wants in histories."""
    try:
        return field_of(entity, name).history
    except UnknownPath:
        return False


def _shown(reader: Reader, entity: Entity, name: str, value: Any, level: FieldLevel) -> Any:
    field = field_of(entity, name)
    if field.encrypted and isinstance(value, str) and value.startswith("m1."):
        value = reader.tenant.secrets.decrypt(secret_address(entity.address, field), value)
    return mask(field, value) if level is FieldLevel.MASKED else value
