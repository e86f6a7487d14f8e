"""Hash chains over committed rows (decision 31): sealed by a job, never inside the transaction of a change.

Each seal is the hash of the seal before it and of the row's content. Rows become visible in the order of their commits,
not of their ids, so a row may commit after a higher id was sealed: it is sealed later, and the chain's own order
(`ml_seal.id`) is what ``verify`` walks. A sealed row that is gone or altered, and a seal that was altered, are found. The
end of a chain cut off together with its seals is not found by the chain alone: write the head down elsewhere and ask
``verify`` for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

START = "0" * 64
CHUNK = 2_000
LATE = 20_000
"""So far behind the highest sealed id a row that commits late is looked for first; everything is looked through when nothing is found there."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Chain:
    """What one chain seals. ``content`` makes of rows of the table what must never change, by row id; ``ripe``: which rows
    may be sealed (None = all)."""

    name: str
    noun: str
    table: Callable[[Any], sa.Table]
    content: Callable[[sa.Connection, Any, Rows], Mapping[int, Any]]
    ripe: Callable[[sa.Table], Any] | None = None


@dataclass(frozen=True)
class Broken:
    """The first thing that does not fit: ``row_id`` of the sealed table (0 = the chain itself), and what is wrong."""

    row_id: int
    fault: str


@dataclass(frozen=True)
class Head:
    """How long a chain is and the hash it ends with."""

    seals: int
    hash: str
    waiting: int


def seal(conn: sa.Connection, tables: Any, chain: Chain, *, limit: int = 5_000) -> int:
    """Seals up to ``limit`` rows that are not sealed yet, by id; returns how many. One sealer at a time (its own lock)."""
    seals = tables.engine.seal
    _one_at_a_time(conn, chain)
    last = _last_hash(conn, seals, chain)
    rows = _waiting(conn, tables, chain, limit)
    contents = chain.content(conn, tables, rows)
    made = []
    for row in rows:
        digest = digest_of(contents[row["id"]])
        last = link(last, digest)
        made.append({"chain": chain.name, "row_id": row["id"], "row_digest": digest, "hash": last})
    if made:
        conn.execute(seals.insert(), made)
    return len(made)


def _waiting(conn: sa.Connection, tables: Any, chain: Chain, limit: int) -> Rows:
    """The next rows to seal, by id: those near the end of the chain first, so that a long chain is not walked for every batch."""
    seals, table = tables.engine.seal, chain.table(tables)
    query = sa.select(table).where(*_unsealed(tables, chain)).order_by(table.c.id).limit(limit)
    highest = conn.scalar(sa.select(sa.func.max(seals.c.row_id)).where(seals.c.chain == chain.name)) or 0
    if highest > LATE:
        near = conn.execute(query.where(table.c.id > highest - LATE)).mappings().all()
        if near:
            return near
    return conn.execute(query).mappings().all()


def head(conn: sa.Connection, tables: Any, chain: Chain) -> Head:
    """The end of the chain, and how many rows wait for their seal."""
    seals, table = tables.engine.seal, chain.table(tables)
    sealed = conn.scalar(sa.select(sa.func.count()).select_from(seals).where(seals.c.chain == chain.name)) or 0
    waiting = conn.scalar(sa.select(sa.func.count()).select_from(table).where(*_unsealed(tables, chain))) or 0
    return Head(sealed, _last_hash(conn, seals, chain), waiting)


def verify(conn: sa.Connection, tables: Any, chain: Chain, *, expected: str = "") -> Broken | None:
    """Walks the whole chain; None when every sealed row is there, unaltered and in its place.

    ``expected``: a head that was written down before; the chain must still hold it.
    """
    last, after, seen = START, 0, not expected or expected == START
    while True:
        rows = _chunk(conn, tables, chain, after)
        if not rows:
            break
        contents = chain.content(conn, tables, [row for row in rows if row["id"] is not None])
        for row in rows:
            fault = _fault(row, contents, last, chain)
            if fault:
                return Broken(row["row_id"], fault)
            last, after = row["seal_hash"], row["seal_id"]
            seen = seen or last == expected
    return None if seen else Broken(0, f"the chain does not hold the hash {expected}")


def _chunk(conn: sa.Connection, tables: Any, chain: Chain, after: int) -> Rows:
    seals, table = tables.engine.seal, chain.table(tables)
    return conn.execute(
        sa.select(seals.c.id.label("seal_id"), seals.c.row_id, seals.c.row_digest.label("seal_digest"), seals.c.hash.label("seal_hash"), table)
        .select_from(seals.outerjoin(table, table.c.id == seals.c.row_id))
        .where(seals.c.chain == chain.name, seals.c.id > after).order_by(seals.c.id).limit(CHUNK)
    ).mappings().all()


def _fault(row: Mapping[str, Any], contents: Mapping[int, Any], last: str, chain: Chain) -> str:
    if row["id"] is None:
        return f"{chain.noun} {row['row_id']} is gone"
    if digest_of(contents[row["id"]]) != row["seal_digest"]:
        return f"{chain.noun} {row['row_id']} was altered"
    return "" if link(last, row["seal_digest"]) == row["seal_hash"] else f"the seal of {chain.noun} {row['row_id']} does not follow the one before it"


def digest_of(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=lambda v: v.isoformat())
    return hashlib.sha256(text.encode()).hexdigest()


def link(last: str, digest: str) -> str:
    return hashlib.sha256(f"{last}{digest}".encode()).hexdigest()


def _unsealed(tables: Any, chain: Chain) -> tuple[Any, ...]:
    seals, table = tables.engine.seal, chain.table(tables)
    free = ~sa.exists().where(seals.c.chain == chain.name, seals.c.row_id == table.c.id)
    return (free,) if chain.ripe is None else (free, chain.ripe(table))


def _last_hash(conn: sa.Connection, seals: sa.Table, chain: Chain) -> str:
    found = conn.scalar(sa.select(seals.c.hash).where(seals.c.chain == chain.name).order_by(seals.c.id.desc()).limit(1))
    return found or START


def _one_at_a_time(conn: sa.Connection, chain: Chain) -> None:
    """Two sealers would fork the chain; SQLite has one writer anyway."""
    if conn.dialect.name == "postgresql":
        conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(current_schema() || :chain))"), {"chain": f"/seal/{chain.name}"})
