"""The hash chain over posted entries with their legs (`metaloom.storage.sealing`). A draft is not sealed: nothing reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from metaloom.storage import sealing
from metaloom.storage.sealing import Broken, Chain, Head

ENTRY_KEPT = ("id", "event", "posting_key", "booking_date", "value_date", "currency", "company_id", "org_unit_id", "entity", "record_id",
              "reversal_of", "memo", "command", "revision_number", "revision_digest", "posted_at", "created_by")
LEG_KEPT = ("id", "line", "account", "side", "amount", "currency", "booking_date", "value_date", "company_id", "org_unit_id", "entity",
            "record_id", "party_entity", "party_id", "memo")


def _content(conn: sa.Connection, tables: Any, rows: sealing.Rows) -> Mapping[int, Any]:
    leg = tables.engine.ledger_leg
    ids = [row["id"] for row in rows]
    legs: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in conn.execute(sa.select(leg).where(leg.c.entry_id.in_(ids)).order_by(leg.c.entry_id, leg.c.line)).mappings():
        kept = {key: row[key] for key in LEG_KEPT}
        legs[row["entry_id"]].append({**kept, "amount": format(kept["amount"], ".2f")})
    return {row["id"]: {**{key: row[key] for key in ENTRY_KEPT}, "legs": legs[row["id"]]} for row in rows}


CHAIN = Chain("ledger", "ledger entry", lambda tables: tables.engine.ledger_entry, _content, ripe=lambda entry: entry.c.state == "posted")


def seal(conn: sa.Connection, tables: Any, *, limit: int = 5_000) -> int:
    """Seals up to ``limit`` posted entries that are not sealed yet; returns how many."""
    return sealing.seal(conn, tables, CHAIN, limit=limit)


def verify(conn: sa.Connection, tables: Any, *, expected: str = "") -> Broken | None:
    """None when every sealed entry is there with its legs, unaltered and in its place; else the first that is not.
    ``expected``: a head written down before."""
    return sealing.verify(conn, tables, CHAIN, expected=expected)


def head(conn: sa.Connection, tables: Any) -> Head:
    """The end of the ledger's chain: what to write down."""
    return sealing.head(conn, tables, CHAIN)
