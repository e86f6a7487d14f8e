"""What people say about records: rows of ``ml_comment``. Whoever asks must have found the record through its scoped query first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from metaloom.record.row import Found
from metaloom.storage.tables import ENGINE

TABLE, USER, FILE = ENGINE.comment, ENGINE.user, ENGINE.file
HOLDER = "comment"          # in the place of an entity: files of comments belong to the comment, not to a field of the record


@dataclass(frozen=True)
class CommentFile:
    """One file of a comment."""

    id: int
    name: str
    size: int
    media_type: str


@dataclass(frozen=True)
class Comment:
    """``author``: the person's name now. ``mentions``: names by account. Of one that was taken back only who and when is left."""

    id: int
    entity: str
    record_id: int
    author_id: int | None
    author: str
    at: datetime
    text: str
    mentions: Mapping[int, str]
    files: tuple[CommentFile, ...]
    edited_at: datetime | None
    removed_at: datetime | None
    row_version: int


class Comments:
    """The comments of one tenant on one connection."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn

    def of(self, entity: str, record_id: int, *, before: int | None = None, limit: int = 50) -> list[Comment]:
        """Those of one record, newest first; ``before`` continues below an id."""
        asked = sa.select(TABLE).where(TABLE.c.entity == entity, TABLE.c.record_id == record_id)
        if before is not None:
            asked = asked.where(TABLE.c.id < before)
        return self._read(self._conn.execute(asked.order_by(TABLE.c.id.desc()).limit(limit)).mappings().all())

    def count(self, entity: str, record_id: int) -> int:
        """How many stand there; those that were taken back do not count."""
        here = sa.and_(TABLE.c.entity == entity, TABLE.c.record_id == record_id, TABLE.c.removed_at.is_(None))
        return int(self._conn.scalar(sa.select(sa.func.count()).select_from(TABLE).where(here)) or 0)

    def people(self, text: str, limit: int) -> list[Found]:
        """Colleagues whose account is on, by what their name, its pinyin or their login holds. Names of colleagues are no secret in the house."""
        held = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").lower()
        like = [sa.func.lower(column).like(f"%{held}%", escape="\\") for column in (USER.c.display_name, USER.c.display_name__py, USER.c.username)]
        asked = sa.select(USER.c.id, USER.c.display_name, USER.c.username).where(USER.c.active.is_(sa.true()), sa.or_(*like))
        return [Found(row.id, row.display_name or row.username, row.username)
                for row in self._conn.execute(asked.order_by(USER.c.display_name, USER.c.id).limit(limit))]

    def one(self, id: int, *, lock: bool = False) -> Comment | None:
        asked = sa.select(TABLE).where(TABLE.c.id == id)
        return next(iter(self._read(self._conn.execute(asked.with_for_update() if lock else asked).mappings().all())), None)

    def add(self, values: Mapping[str, Any]) -> int:
        return int(self._conn.execute(TABLE.insert().values(**values).returning(TABLE.c.id)).scalar_one())

    def change(self, id: int, values: Mapping[str, Any]) -> None:
        self._conn.execute(TABLE.update().where(TABLE.c.id == id).values(**values, row_version=TABLE.c.row_version + 1))

    def _read(self, rows: Sequence[Any]) -> list[Comment]:
        live = [row for row in rows if row["removed_at"] is None]
        names = self._names({row["created_by"] for row in rows} | {user for row in live for user in row["mentions"]})
        files = self._files({id for row in live for id in row["files"]})
        return [_comment(row, names, files) for row in rows]

    def _names(self, users: set[Any]) -> dict[int, str]:
        wanted = [user for user in users if user is not None]
        found = self._conn.execute(sa.select(USER.c.id, USER.c.display_name, USER.c.username).where(USER.c.id.in_(wanted))) if wanted else ()
        return {row.id: row.display_name or row.username for row in found}

    def _files(self, ids: set[int]) -> dict[int, CommentFile]:
        found = self._conn.execute(sa.select(FILE.c.id, FILE.c.name, FILE.c.size, FILE.c.media_type).where(FILE.c.id.in_(sorted(ids)))) if ids else ()
        return {row.id: CommentFile(row.id, row.name, row.size, row.media_type) for row in found}


def _comment(row: Any, names: Mapping[int, str], files: Mapping[int, CommentFile]) -> Comment:
    gone = row["removed_at"] is not None
    return Comment(
        row["id"], row["entity"], row["record_id"], row["created_by"], names.get(row["created_by"], ""), row["created_at"], "" if gone else row["text"],
        {} if gone else {user: names[user] for user in row["mentions"] if user in names},
        () if gone else tuple(files[id] for id in row["files"] if id in files), row["edited_at"], row["removed_at"], row["row_version"])
