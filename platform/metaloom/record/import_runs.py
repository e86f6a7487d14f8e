"""Imports that were made, or are being made in the background: rows of ``ml_import_run``, with their parts and the rows that failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from metaloom.base.messages import Message
from metaloom.storage.tables import ENGINE
from metaloom.storage.types import utc_now

TABLE, USER, PART, FAILED = ENGINE.import_run, ENGINE.user, ENGINE.import_part, ENGINE.import_failed
OPEN = ("waiting", "running")
HALTED = ("failed", "cancelled")
SENTENCE_MAX, NAME_MAX = 2000, 255
Left = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ImportRun:
    """``left``: the records of an import made at once that no undo has taken back, each with the version under which it came; ``rows_left``: how
    many such records there are, wherever they stand. ``status``: waiting | running | checked (tried, nothing kept) | done | failed | cancelled |
    gone. Of ``total`` rows of the file at hand ``done`` are behind, ``good`` of which can be stored; ``failed``: rows of the import that are not in.
    """

    id: int
    entity: str
    name: str
    mode: str
    at: datetime
    user_id: int | None
    user: str
    rows_read: int
    rows_kept: int
    left: Left
    rows_left: int
    undone: int
    undone_at: datetime | None
    status: str
    source: str
    locale: str
    total: int
    done: int
    good: int
    failed: int
    file: str | None
    key: str | None
    sentence: str | None
    sentence_en: str | None
    finished_at: datetime | None
    expires_at: datetime | None
    row_version: int

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def long(self) -> bool:
        """Whether it is, or was, made in the background."""
        return self.total > 0

    @property
    def checking(self) -> bool:
        return self.mode == "dry_run"

    def expired(self, now: datetime) -> bool:
        """Whether its rows are kept no longer."""
        return not self.open and self.expires_at is not None and self.expires_at <= now

    @property
    def percent(self) -> int:
        """How far it is; 99 until it is over."""
        return 100 if not self.open else min(99, self.done * 100 // self.total) if self.total else 0

    def why(self, locale: str) -> str:
        """What went wrong, in the reader's language."""
        return (self.sentence if locale == "zh" else self.sentence_en) or ""


def called(name: str) -> str:
    """What an import may be called: one line of a header (a download, the subject of a message) holds it, whoever chose it."""
    return "".join(one if one.isprintable() else " " for one in name[:NAME_MAX])


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

    def count(self, user_id: int, *statuses: str) -> int:
        """How many of a person's imports are in one of these states."""
        return self._conn.scalar(sa.select(sa.func.count()).select_from(TABLE).where(TABLE.c.created_by == user_id, TABLE.c.status.in_(statuses))) or 0

    def change(self, id: int, values: Mapping[str, Any], was: Collection[str] | None = None) -> bool:
        """Whether the import was in one of these states (None: in any) and is changed now."""
        right = TABLE.c.status.in_(tuple(was)) if was is not None else sa.true()
        return self._conn.execute(TABLE.update().where(TABLE.c.id == id, right).values(
            **values, row_version=TABLE.c.row_version + 1, updated_at=utc_now())).rowcount == 1

    def end(self, id: int, status: str, said: Message | None, expires_at: datetime) -> bool:
        """An open import stops where it is; False when it was over already."""
        words = {"sentence": said.say("zh")[:SENTENCE_MAX], "sentence_en": said.say("en")[:SENTENCE_MAX]} if said is not None else {}
        return self.change(id, {"status": status, "finished_at": utc_now(), "expires_at": expires_at, **words}, OPEN)

    # -- what came of it -------------------------------------------------------------------------------------------------

    def keep_part(self, id: int, left: Iterable[tuple[int, int]]) -> None:
        """The records of the next part."""
        made = [list(one) for one in left]
        last = sa.select(sa.func.coalesce(sa.func.max(PART.c.number), 0) + 1).where(PART.c.run_id == id).scalar_subquery()
        self._conn.execute(PART.insert().values(run_id=id, number=last, records=len(made), left=made))

    def next_part_to_undo(self, id: int, without: Collection[int]) -> tuple[int, Left] | None:
        """The part whose turn it is to be taken back, and its records: last come, first gone; those that were tried already come last."""
        asked = (sa.select(PART.c.id, PART.c.left).where(PART.c.run_id == id, PART.c.records > 0, PART.c.id.not_in(tuple(without)))
                 .order_by(PART.c.undone_at.is_not(None), PART.c.undone_at, PART.c.number.desc()).limit(1))
        row = self._conn.execute(asked).one_or_none()
        return (row.id, tuple((one, version) for one, version in row.left)) if row is not None else None

    def part_undone(self, part: int, left: Sequence[Sequence[int]], at: datetime) -> None:
        """What is left of a part."""
        self._conn.execute(PART.update().where(PART.c.id == part).values(left=[list(one) for one in left], records=len(left), undone_at=at))

    # -- rows that failed ------------------------------------------------------------------------------------------------

    def fail(self, id: int, rows: Mapping[int, str]) -> None:
        """Rows that are not in, with their sealed content; what stood there of the same rows gives way."""
        self.forget_failed(id, rows)
        if rows:
            self._conn.execute(FAILED.insert(), [{"run_id": id, "row": row, "content": content} for row, content in rows.items()])

    def forget_failed(self, id: int, rows: Collection[int] | None = None) -> int:
        """These rows (None: all) are not wanting any more; how many were."""
        if rows is None:
            return self._conn.execute(FAILED.delete().where(FAILED.c.run_id == id)).rowcount
        return self._conn.execute(FAILED.delete().where(FAILED.c.run_id == id, FAILED.c.row.in_(tuple(rows)))).rowcount if rows else 0

    def failed(self, id: int, *, limit: int) -> list[tuple[int, str]]:
        """(row, sealed content) of the first rows that are not in, in their order."""
        asked = sa.select(FAILED.c.row, FAILED.c.content).where(FAILED.c.run_id == id).order_by(FAILED.c.row).limit(limit)
        return [(row, content) for row, content in self._conn.execute(asked)]

    def failed_rows(self, id: int, rows: Collection[int] | None = None) -> set[int]:
        """Which of these rows (None: of all) are not in."""
        asked = sa.select(FAILED.c.row).where(FAILED.c.run_id == id)
        return set(self._conn.scalars(asked if rows is None else asked.where(FAILED.c.row.in_(tuple(rows)))))

    # -- tidying ---------------------------------------------------------------------------------------------------------

    def expired(self, now: datetime) -> list[int]:
        """Imports whose rows are kept no longer."""
        return list(self._conn.scalars(sa.select(TABLE.c.id).where(TABLE.c.expires_at <= now, TABLE.c.status.not_in(OPEN)).order_by(TABLE.c.id)))

    def forget(self, now: datetime, after: timedelta) -> int:
        """Imports of which nothing came and that were over so long ago; how many."""
        return self._conn.execute(TABLE.delete().where(TABLE.c.status == "gone", TABLE.c.created_at <= now - after)).rowcount

    def files(self) -> set[str]:
        """The names of all files whose rows are still needed."""
        return set(self._conn.scalars(sa.select(TABLE.c.file).where(TABLE.c.file.is_not(None))))


def _asked() -> sa.Select[Any]:
    parts = sa.select(sa.func.coalesce(sa.func.sum(PART.c.records), 0)).where(PART.c.run_id == TABLE.c.id).scalar_subquery().label("in_parts")
    return sa.select(TABLE, USER.c.display_name.label("person"), parts).outerjoin(USER, USER.c.id == TABLE.c.created_by)


def _read(row: Any) -> ImportRun:
    left = tuple((id, version) for id, version in row["left"])
    same = {name: row[name] for name in ("id", "entity", "name", "mode", "rows_read", "rows_kept", "undone", "undone_at", "status", "source", "locale",
                                         "total", "done", "good", "failed", "file", "key", "sentence", "sentence_en", "finished_at", "expires_at",
                                         "row_version")}
    return ImportRun(**same, at=row["created_at"], user_id=row["created_by"], user=row["person"] or "", left=left, rows_left=len(left) + int(row["in_parts"]))
