"""The hash chain over committed audit rows (decision 31): sealed by a job, never inside the transaction of a change.

Each seal is the hash of the seal before it and of the row's content. Rows become visible in the order of their commits,
not of their ids, so a row may commit after a higher id was sealed: it is sealed later, and the chain's own order
(`ml_seal.id`) is what ``verify`` walks. A sealed row that is gone or altered, and a seal that was altered, are found.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

CHAIN = "audit"
START = "0" * 64


@dataclass(frozen=True)
class Broken:
    """The first thing that does not fit: ``row_id`` of the audit, and what is wrong with it."""

    row_id: int
    fault: str


def seal(conn: sa.Connection, tables: Any, *, limit: int = 5_000) -> int:
    """Seals up to ``limit`` rows that are not sealed yet, by id; returns how many. One sealer at a time (its own lock)."""
    audit, seals = tables.engine.audit, tables.engine.seal
    _one_at_a_time(conn)
    last = _last_hash(conn, seals)
    sealed = sa.exists().where(seals.c.chain == CHAIN, seals.c.row_id == audit.c.id)
    rows = conn.execute(sa.select(audit).where(~sealed).order_by(audit.c.id).limit(limit)).mappings().all()
    made = []
    for row in rows:
        digest = row_digest(dict(row))
        last = link(last, digest)
        made.append({"chain": CHAIN, "row_id": row["id"], "row_digest": digest, "hash": last})
    if made:
        conn.execute(seals.insert(), made)
    return len(made)


def verify(conn: sa.Connection, tables: Any) -> Broken | None:
    """Walks the whole chain; None when every sealed row is there, unaltered and in its place."""
    audit, seals = tables.engine.audit, tables.engine.seal
    statement = (
        sa.select(seals.c.row_id, seals.c.row_digest.label("seal_digest"), seals.c.hash.label("seal_hash"), audit)
        .select_from(seals.outerjoin(audit, audit.c.id == seals.c.row_id))
        .where(seals.c.chain == CHAIN).order_by(seals.c.id)
    )
    last = START
    for row in conn.execute(statement).mappings():
        fault = _fault(dict(row), last)
        if fault:
            return Broken(row["row_id"], fault)
        last = row["seal_hash"]
    return None


def _fault(row: dict[str, Any], last: str) -> str:
    row_id, digest, hashed = row.pop("row_id"), row.pop("seal_digest"), row.pop("seal_hash")
    if row["id"] is None:
        return f"audit row {row_id} is gone"
    if row_digest(row) != digest:
        return f"audit row {row_id} was altered"
    return "" if link(last, digest) == hashed else f"the seal of audit row {row_id} does not follow the one before it"


def row_digest(row: dict[str, Any]) -> str:
    """Hash of everything a person could want to alter in a row."""
    kept = {key: row[key] for key in ("id", "at", "actor_id", "actor_name", "channel", "command", "entity", "record_id",
                                      "before", "after", "reason", "revision_number", "revision_digest", "request_id")}
    text = json.dumps(kept, sort_keys=True, ensure_ascii=False, default=lambda v: v.isoformat())
    return hashlib.sha256(text.encode()).hexdigest()


def link(last: str, digest: str) -> str:
    return hashlib.sha256(f"{last}{digest}".encode()).hexdigest()


def _last_hash(conn: sa.Connection, seals: sa.Table) -> str:
    found = conn.scalar(sa.select(seals.c.hash).where(seals.c.chain == CHAIN).order_by(seals.c.id.desc()).limit(1))
    return found or START


def _one_at_a_time(conn: sa.Connection) -> None:
    """Two sealers would fork the chain; SQLite has one writer anyway."""
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '/seal/audit'))")
