"""What was asked before under the same idempotency key, kept in the transaction of its effect (I21)."""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa

from metaloom.base.errors import Conflict, Unprocessable
from metaloom.base.messages import message, register

register({
    "audit.in_progress": ("同一个请求正在处理中，请稍候。", "The same request is being worked on; please wait."),
})
ROUTE = "command"  # one key means one request, whatever its route: the body's digest covers route and record


def earlier_answer(conn: sa.Connection, tables: Any, *, user_id: int | None, key: str, body_digest: str) -> dict[str, Any] | None:
    """The stored answer when this very request was done before; else None, and the key is taken until the end of the
    transaction.

    Unprocessable: the key came with another body. Conflict: the same key is being worked on right now. Keys of different
    people never meet.
    """
    table = tables.engine.idempotency
    _claim(conn, user_id, key)
    row = conn.execute(sa.select(table.c.body_digest, table.c.response).where(*_mine(table, user_id, key))).one_or_none()
    if row is None:
        return None
    if row.body_digest != body_digest:
        raise Unprocessable()
    answer: dict[str, Any] = row.response
    return answer


def keep_answer(conn: sa.Connection, tables: Any, *, user_id: int | None, key: str, body_digest: str, status: int,
                answer: dict[str, Any]) -> None:
    """Stores the answer; the unique key is the last guard against a second effect."""
    conn.execute(tables.engine.idempotency.insert().values(
        user_id=user_id or 0, route=ROUTE, key=key, body_digest=body_digest, status=status, response=answer))


def _mine(table: sa.Table, user_id: int | None, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.user_id == (user_id or 0), table.c.route == ROUTE, table.c.key == key


def _claim(conn: sa.Connection, user_id: int | None, key: str) -> None:
    """One transaction at a time per key; SQLite has one writer anyway."""
    if conn.dialect.name != "postgresql":
        return
    number = int.from_bytes(hashlib.sha256(f"{user_id or 0}/{key}".encode()).digest()[:4], "big", signed=True)
    got = conn.scalar(sa.text("SELECT pg_try_advisory_xact_lock(hashtext(current_schema()), :number)"), {"number": number})
    if not got:
        raise Conflict(message("audit.in_progress"))
