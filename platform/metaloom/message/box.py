"""The message log: rows of ``ml_message``, written and read in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from metaloom.storage.tables import Tables
from metaloom.storage.types import utc_now

IN_APP = "in_app"


@dataclass(frozen=True, slots=True)
class Note:
    """One message as its receiver sees it in the application."""

    id: int
    kind: str
    subject: str
    body: str
    entity: str
    record_id: int | None
    link: str
    urgent: bool
    created_at: datetime
    read_at: datetime | None


class Box:
    """The messages of one tenant on one connection."""

    def __init__(self, conn: sa.Connection, tables: Tables) -> None:
        self.conn = conn
        self.table = tables.engine.message

    def add(self, messages: Iterable[Mapping[str, Any]]) -> list[int]:
        """Store messages (values by column) and return their ids in the same order."""
        rows = [dict(values) for values in messages]
        if not rows:
            return []
        statement = self.table.insert().returning(self.table.c.id, sort_by_parameter_order=True)
        return [int(id) for id in self.conn.scalars(statement, rows)]

    def unread(self, receiver: int, cap: int = 100) -> int:
        """How many messages in the application the person has not read; counting stops at ``cap``."""
        rows = sa.select(sa.literal(1).label("one")).where(*self._unread_of(receiver)).limit(cap)
        return self.conn.scalar(sa.select(sa.func.count()).select_from(rows.subquery())) or 0

    def notes(self, receiver: int, *, unread: bool | None = None, before: int | None = None, limit: int = 20) -> list[Note]:
        """The person's messages in the application, newest first; ``before`` continues below an id."""
        c = self.table.c
        wanted: list[Any] = [c.receiver_id == receiver, c.channel == IN_APP, c.status != "suppressed"]
        if unread is not None:
            wanted.append(c.read_at.is_(None) if unread else c.read_at.is_not(None))
        if before is not None:
            wanted.append(c.id < before)
        columns = (c.id, c.kind, c.subject, c.body, c.entity, c.record_id, c.link, c.urgent, c.created_at, c.read_at)
        found = self.conn.execute(sa.select(*columns).where(*wanted).order_by(c.id.desc()).limit(limit))
        return [Note(row.id, row.kind, row.subject, row.body or "", row.entity or "", row.record_id, row.link or "", bool(row.urgent),
                     row.created_at, row.read_at) for row in found]

    def mark_read(self, receiver: int, ids: Sequence[int] | None = None) -> int:
        """Mark the person's own unread messages read (all of them without ``ids``); how many were."""
        wanted = self._unread_of(receiver)
        if ids is not None:
            wanted = (*wanted, self.table.c.id.in_(list(ids)))
        return self.conn.execute(self.table.update().where(*wanted).values(read_at=utc_now(), updated_at=utc_now())).rowcount

    def _unread_of(self, receiver: int) -> tuple[sa.ColumnElement[bool], ...]:
        c = self.table.c
        return (c.receiver_id == receiver, c.channel == IN_APP, c.read_at.is_(None), c.status != "suppressed")
