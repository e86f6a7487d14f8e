"""The hash chain over audit rows (`metaloom.storage.sealing`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from metaloom.storage import sealing
from metaloom.storage.sealing import Broken, Chain

KEPT = ("id", "at", "actor_id", "actor_name", "channel", "command", "entity", "record_id", "before", "after", "reason",
        "revision_number", "revision_digest", "request_id")
"""Everything a person could want to alter in a row."""


def _content(conn: sa.Connection, tables: Any, rows: sealing.Rows) -> Mapping[int, Any]:
    return {row["id"]: {key: row[key] for key in KEPT} for row in rows}


CHAIN = Chain("audit", "audit row", lambda tables: tables.engine.audit, _content)


def seal(conn: sa.Connection, tables: Any, *, limit: int = 5_000) -> int:
    """Seals up to ``limit`` audit rows that are not sealed yet; returns how many."""
    return sealing.seal(conn, tables, CHAIN, limit=limit)


def verify(conn: sa.Connection, tables: Any) -> Broken | None:
    """None when every sealed audit row is there, unaltered and in its place; else the first that is not."""
    return sealing.verify(conn, tables, CHAIN)
