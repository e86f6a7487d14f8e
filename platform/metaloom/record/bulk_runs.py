"""Changes of many records at once that can be taken back: rows of ``ml_bulk_run``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from metaloom.storage.tables import ENGINE

TABLE = ENGINE.bulk_run


@dataclass(frozen=True)
class Step:
    """A record that was changed: its version after that, and what stood in the changed fields before, as JSON holds it."""

    id: int
    row_version: int
    before: Mapping[str, Any]


@dataclass(frozen=True)
class BulkRun:
    """``left``: the records that no undo has taken back."""

    id: int
    entity: str
    verb: str
    at: datetime
    user_id: int | None
    left: tuple[Step, ...]


class BulkRuns:
    """The runs of one tenant on one connection."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def add(self, entity: str, verb: str, steps: list[Step], user_id: int | None, at: datetime) -> int:
        values = {"entity": entity, "verb": verb, "left": _packed(steps), "created_by": user_id, "created_at": at}
        return int(self._conn.execute(TABLE.insert().values(**values).returning(TABLE.c.id)).scalar_one())

    def one(self, id: int, *, lock: bool = False) -> BulkRun | None:
        asked = sa.select(TABLE).where(TABLE.c.id == id)
        row = self._conn.execute(asked.with_for_update() if lock else asked).mappings().one_or_none()
        if row is None:
            return None
        return BulkRun(row["id"], row["entity"], row["verb"], row["created_at"], row["created_by"], tuple(Step(*one) for one in row["left"]))

    def keep(self, id: int, left: list[Step], at: datetime, user_id: int | None) -> None:
        """What an undo left."""
        self._conn.execute(TABLE.update().where(TABLE.c.id == id).values(
            left=_packed(left), undone_at=at, updated_at=at, updated_by=user_id, row_version=TABLE.c.row_version + 1))


def _packed(steps: list[Step]) -> list[list[Any]]:
    return [[one.id, one.row_version, dict(one.before)] for one in steps]
