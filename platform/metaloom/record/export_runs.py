"""Exports that are made in the background: rows of ``ml_export_run``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from metaloom.base.messages import Message
from metaloom.storage.tables import ENGINE
from metaloom.storage.types import utc_now

TABLE = ENGINE.export_run
OPEN = ("waiting", "running")
SENTENCE_MAX = 2000


@dataclass(frozen=True)
class ExportRun:
    """``status``: waiting | running | done | failed | cancelled | gone (expired or thrown away). ``rows`` of about ``total`` are written;
    ``total_exact``: counting came to its end. ``size``: bytes. ``file`` and ``key`` only while there is a file to fetch."""

    id: int
    entity: str
    name: str
    format: str
    question: str | None
    locale: str
    channel: str
    status: str
    rows: int
    total: int
    total_exact: bool
    size: int
    file: str | None
    key: str | None
    rights: str | None
    downloads: int
    sentence: str | None
    sentence_en: str | None
    created_at: datetime
    created_by: int | None
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    row_version: int

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def percent(self) -> int:
        """How far it is, as far as one can say; 99 until it is done."""
        return 100 if self.status == "done" else min(99, self.rows * 100 // self.total) if self.total else 0

    def why(self, locale: str) -> str:
        """What went wrong, in the reader's language."""
        return (self.sentence if locale == "zh" else self.sentence_en) or ""


class ExportRuns:
    """The exports of one tenant on one connection."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def add(self, values: Mapping[str, Any]) -> int:
        return int(self._conn.execute(TABLE.insert().values(**values).returning(TABLE.c.id)).scalar_one())

    def one(self, id: int, *, lock: bool = False) -> ExportRun | None:
        asked = _asked().where(TABLE.c.id == id)
        row = self._conn.execute(asked.with_for_update() if lock else asked).mappings().one_or_none()
        return ExportRun(**row) if row is not None else None

    def of(self, user_id: int, *, limit: int = 100) -> list[ExportRun]:
        """A person's own, newest first."""
        asked = _asked().where(TABLE.c.created_by == user_id).order_by(TABLE.c.id.desc()).limit(limit)
        return [ExportRun(**row) for row in self._conn.execute(asked).mappings()]

    def count(self, user_id: int, *statuses: str) -> int:
        """How many of a person's exports are in one of these states."""
        return self._conn.scalar(sa.select(sa.func.count()).select_from(TABLE).where(TABLE.c.created_by == user_id, TABLE.c.status.in_(statuses))) or 0

    def change(self, id: int, was: tuple[str, ...], **values: Any) -> bool:
        """Whether the export was in one of these states and is changed now."""
        changed = TABLE.update().where(TABLE.c.id == id, TABLE.c.status.in_(was)).values(
            **values, row_version=TABLE.c.row_version + 1, updated_at=utc_now())
        return self._conn.execute(changed).rowcount == 1

    def end(self, id: int, status: str, said: Message | None = None) -> bool:
        """An open export is over without a file; False when it was over already."""
        words = {"sentence": said.say("zh")[:SENTENCE_MAX], "sentence_en": said.say("en")[:SENTENCE_MAX]} if said is not None else {}
        return self.change(id, OPEN, status=status, finished_at=utc_now(), question=None, file=None, key=None, **words)

    def throw_away(self, id: int) -> bool:
        """The key of a finished export is forgotten, and with it the file."""
        return self.change(id, ("done",), status="gone", file=None, key=None, question=None)

    def expired(self, now: datetime) -> list[ExportRun]:
        """Finished exports whose time is over."""
        return [ExportRun(**row) for row in self._conn.execute(_asked().where(TABLE.c.status == "done", TABLE.c.expires_at <= now)).mappings()]

    def forget(self, now: datetime, after: timedelta) -> int:
        """Rows of exports that were over so long ago; how many."""
        return self._conn.execute(TABLE.delete().where(TABLE.c.status.not_in((*OPEN, "done")), TABLE.c.created_at <= now - after)).rowcount

    def files(self) -> set[str]:
        """The names of all files that there are to fetch."""
        return set(self._conn.scalars(sa.select(TABLE.c.file).where(TABLE.c.file.is_not(None))))


def _asked() -> sa.Select[Any]:
    return sa.select(*(TABLE.c[name] for name in ExportRun.__dataclass_fields__))
