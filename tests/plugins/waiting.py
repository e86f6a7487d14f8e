"""Tests in which several wait for one lock: they begin when all of them stand before it."""

from __future__ import annotations

import time

import sqlalchemy as sa

WAITING = sa.text("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database()")
SEEN_ANEW = sa.text("SELECT pg_stat_clear_snapshot()")
"""A transaction sees the connections there were when it first asked, unless it is told to look again."""


def wait_for(conn: sa.Connection, count: int, seconds: float = 20.0) -> bool:
    """Whether ``count`` others wait for a lock before the seconds are over; on SQLite, where nobody is seen waiting, at once True."""
    if conn.dialect.name != "postgresql":
        return True
    deadline = time.monotonic() + seconds
    while conn.scalar(WAITING) < count:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
        conn.execute(SEEN_ANEW)
    return True
