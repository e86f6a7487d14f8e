"""The outbox: what must still happen because of a change, written in the transaction of the change (P1).

Claiming and finishing rows is the business of ``job``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metaloom.base.crash import crash_point
from metaloom.base.errors import Conflict
from metaloom.base.messages import message, register
from metaloom.storage.tables import Tables
from metaloom.storage.types import JsonText

register({
    "storage.outbox_key": ("同一个幂等键已用于另一项任务。", "The same key was already used for a different piece of work."),
})


def put(
    conn: sa.Connection, tables: Tables, *, kind: str, payload: Mapping[str, object], key: str, run_after: datetime | None = None
) -> int:
    """Add one row and return its id. The same ``key`` again returns the first row's id; with other content it is a Conflict."""
    outbox = tables.engine.outbox
    values: dict[str, object] = {"kind": kind, "payload": dict(payload), "key": key}
    if run_after is not None:
        values["run_after"] = run_after
    insert = _insert(conn, outbox).values(**values).on_conflict_do_nothing(index_elements=["key"]).returning(outbox.c.id)
    made = conn.scalar(insert)
    if made is not None:
        crash_point("outbox.put")
        return int(made)
    row = conn.execute(sa.select(outbox.c.id, outbox.c.kind, outbox.c.payload).where(outbox.c.key == key)).one()
    text = JsonText()
    if row.kind != kind or text.process_bind_param(row.payload, conn.dialect) != text.process_bind_param(dict(payload), conn.dialect):
        raise Conflict(message("storage.outbox_key"))
    return int(row.id)


def _insert(conn: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if conn.dialect.name == "sqlite" else postgresql.insert(table)
