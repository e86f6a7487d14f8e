"""Counters of a time window, kept in the tenant's database: every process counts in the same row, and none loses a count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metaloom.storage.engine import rate


@dataclass(frozen=True)
class Counted:
    """``hits`` in the window that began at ``since``; ``last`` is the moment of the last one."""

    hits: int
    since: datetime
    last: datetime

    def seconds_left(self, now: datetime, window: timedelta) -> int:
        """Seconds until the window is over and counting begins anew; at least 1."""
        return max(1, ceil((self.since + window - now).total_seconds()))


def counter(kind: str, *parts: object) -> str:
    """The name of a counter: its kind, and a digest of what it counts for (names and addresses are not kept)."""
    return f"{kind}:{sha256(chr(0).join(map(str, parts)).encode()).hexdigest()}"


def count(conn: sa.Connection, name: str, now: datetime, window: timedelta, *, hits: int = 1, user_id: int | None = None) -> Counted:
    """Adds ``hits`` in one statement and gives the sum. A window that began longer ago than ``window`` is over: counting
    begins anew. ``user_id``: whose counter it is, so that it can be forgotten with the person's others."""
    found = conn.execute(_COUNT[conn.dialect.name], {"name": name, "hits": hits, "since": now, "last": now, "user_id": user_id, "over": now - window}).one()
    return Counted(found.hits, found.since, found.last)


def _counting(write: Any) -> Any:
    """The statement of ``count``, made once: it is half of what reading a large page through the API writes."""
    new, over = write(rate), rate.c.since <= sa.bindparam("over", type_=rate.c.since.type)
    return new.on_conflict_do_update(index_elements=[rate.c.name], set_={
        "hits": sa.case((over, new.excluded.hits), else_=rate.c.hits + new.excluded.hits),
        "since": sa.case((over, new.excluded.since), else_=rate.c.since), "last": new.excluded.last,
    }).returning(rate.c.hits, rate.c.since, rate.c.last)


_COUNT = {"sqlite": _counting(sqlite.insert), "postgresql": _counting(postgresql.insert)}


def standing(conn: sa.Connection, names: Iterable[str]) -> Mapping[str, Counted]:
    """What was counted so far, by name; counters nobody touched are absent."""
    rows = conn.execute(sa.select(rate.c.name, rate.c.hits, rate.c.since, rate.c.last).where(rate.c.name.in_(list(names))))
    return {row.name: Counted(row.hits, row.since, row.last) for row in rows}


def forget(conn: sa.Connection, *, names: Iterable[str] = (), user_id: int | None = None, kind: str = "") -> None:
    """Counters by name, or those of a person and kind."""
    conn.execute(rate.delete().where(rate.c.name.in_(list(names))))
    if user_id is not None:
        conn.execute(rate.delete().where(rate.c.user_id == user_id, rate.c.name.like(f"{kind}:%")))


def sweep(conn: sa.Connection, before: datetime) -> None:
    """Counters that nobody touched since ``before``."""
    conn.execute(rate.delete().where(rate.c.last < before))
