"""Imports that were made: rows of ``ml_import_run``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from metaloom.storage.tables import ENGINE

TABLE, USER = ENGINE.import_run, ENGINE.user


@dataclass(frozen=True)
class ImportRun:
    """``left``: the records that no undo has taken back, each with the version under which it came."""

    id: int
    entity: str
    name: str
    mode: str
    at: datetime
    user_id: int | None
    user: str
    rows_read: int
    rows_kept: int
    left: tuple[tuple[int, int], ...]
    undone: int
    undone_at: datetime | None


class ImportRuns:
    """The imports of one tenant on one connection."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def add(self, values: Mapping[str, Any]) -> int:
        return int(self._conn.execute(TABLE.insert().values(**values).returning(TABLE.c.id)).scalar_one())

    def of(self, entity: str, user_id: int | None, *, limit: int = 100) -> list[ImportRun]:
        """The latest imports of an entity, those of one person or (None) of everybody."""
        asked = _asked().where(TABLE.c.entity == entity).order_by(TABLE.c.id.desc()).limit(limit)
        if user_id is not None:
            asked = asked.where(TABLE.c.created_by == user_id)
        return [_read(row) for row in self._conn.execute(asked).mappings()]

    def one(self, id: int, *, lock: bool = False) -> ImportRun | None:
        if lock:
            self._conn.execute(sa.select(TABLE.c.id).where(TABLE.c.id == id).with_for_update())
        row = self._conn.execute(_asked().where(TABLE.c.id == id)).mappings().one_or_none()
        return _read(row) if row is not None else None

    def change(self, id: int, values: Mapping[str, Any]) -> None:
        self._conn.execute(TABLE.update().where(TABLE.c.id == id).values(**values, row_version=TABLE.c.row_version + 1))


def _asked() -> sa.Select[Any]:
    return sa.select(TABLE, USER.c.display_name.label("person")).outerjoin(USER, USER.c.id == TABLE.c.created_by)


def _read(row: Any) -> ImportRun:
    return ImportRun(row["id"], row["entity"], row["name"], row["mode"], row["created_at"], row["created_by"], row["person"] or "", row["rows_read"],
                     row["rows_kept"], tuple((id, version) for id, version in row["left"]), row["undone"], row["undone_at"])
