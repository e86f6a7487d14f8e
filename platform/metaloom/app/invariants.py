"""What must hold of every tenant at any time, whatever its packs: looked up, never mended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from metaloom import audit, ledger
from metaloom.base.clock import Clock, SystemClock
from metaloom.storage import Tenant

OUTBOX_AGE = timedelta(hours=1)


def findings(tenant: Tenant, clock: Clock | None = None) -> tuple[str, ...]:
    """Everything that is wrong, one sentence each; empty when all invariants hold."""
    tables = tenant.revision().tables
    with tenant.read() as conn:
        return (*_unbalanced(conn, tables), *_broken_chain(conn, tables), *_stuck(conn, tables, clock or SystemClock()))


def _unbalanced(conn: sa.Connection, tables: Any) -> Iterator[str]:
    """The trial balance is zero; every entry is posted, has legs, and balances by itself (I4)."""
    entry, leg = tables.engine.ledger_entry, tables.engine.ledger_leg
    off: dict[str, Decimal] = {}
    for account in ledger.trial_balance(conn, tables):
        off[account.currency] = off.get(account.currency, Decimal(0)) + account.balance
    yield from (f"the trial balance in {currency} is off by {amount}" for currency, amount in off.items() if amount)
    drafts = conn.scalar(sa.select(sa.func.count()).select_from(entry).where(entry.c.state != "posted"))
    if drafts:
        yield f"{drafts} ledger entries were begun and never posted"
    signed = sa.func.sum(sa.case((leg.c.side == "debit", leg.c.amount), else_=-leg.c.amount))
    wrong = sa.select(leg.c.entry_id).group_by(leg.c.entry_id, leg.c.currency).having(signed != 0).limit(20)
    yield from (f"ledger entry {number} does not balance" for number in conn.scalars(wrong))
    bare = sa.select(entry.c.id).where(entry.c.state == "posted", ~sa.exists().where(leg.c.entry_id == entry.c.id)).limit(20)
    yield from (f"ledger entry {number} has no legs" for number in conn.scalars(bare))


def _broken_chain(conn: sa.Connection, tables: Any) -> Iterator[str]:
    broken = audit.verify(conn, tables)
    if broken is not None:
        yield f"the audit is not what was sealed: {broken}"


def _stuck(conn: sa.Connection, tables: Any, clock: Clock) -> Iterator[str]:
    """Nothing was given up, and nothing that is due waits for more than an hour."""
    outbox = tables.engine.outbox
    for state in ("dead", "failed"):
        given_up = conn.scalar(sa.select(sa.func.count()).select_from(outbox).where(outbox.c.state == state))
        if given_up:
            yield f"{given_up} outbox rows are {state}; see: metaloom job"
    late = clock.now() - OUTBOX_AGE
    waiting = conn.scalar(sa.select(sa.func.count()).select_from(outbox).where(
        outbox.c.state.in_(("pending", "running")), outbox.c.run_after < late))
    if waiting:
        yield f"{waiting} outbox rows are due for more than an hour; is a worker running?"
