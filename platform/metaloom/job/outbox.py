"""Claiming and finishing outbox rows: leases by the database's clock, fencing numbers, back-off, dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

import sqlalchemy as sa

from metaloom.storage.apart import apart
from metaloom.storage.engine import job_run, outbox
from metaloom.storage.hooks import after_commit
from metaloom.storage.tenancy import Tenancy, Tenant
from metaloom.storage.types import utc_now

LEASE_SECONDS = 120
ATTEMPTS_MAX = 12
BACK_OFF_SECONDS_MAX = 900
_jitter = Random()  # noqa: S311 - spreads retries, no secret


class LeaseLost(Exception):
    """Someone else holds the row by now: whatever was done in this transaction must not stand."""


class GiveUp(Exception):
    """Raised by a handler: trying again is of no use; the row goes to the dead letters at once."""


@dataclass
class Row:
    """A claimed row, as a handler gets it. ``fence`` grows with every claim. ``claimed_at``: by the database's clock. ``stopping``: the worker is
    asked to end; work that takes long puts the row back with ``later``."""

    tenant: str
    id: int
    kind: str
    payload: Mapping[str, Any]
    key: str
    attempts: int
    fence: int
    worker: str
    claimed_at: datetime
    settled: bool = field(default=False, compare=False)
    stopping: Callable[[], bool] = field(default=lambda: False, compare=False, repr=False)

    def settle(self, conn: sa.Connection) -> None:
        """Mark the row done in the running transaction, together with the effect. LeaseLost when the lease is gone.

        Raising is the point: the transaction rolls back, and the effect with it.
        """
        _finish(conn, self, "done")
        after_commit(conn, lambda: setattr(self, "settled", True))

    def later(self, conn: sa.Connection, seconds: float = 0.0) -> None:
        """Let the row come again in ``seconds``, with all its tries: there is more to do. LeaseLost when the lease is gone."""
        _must_hit(conn.execute(outbox.update().where(*_mine(self)).values(
            state="pending", run_after=utc_now(seconds), attempts=0, last_error=None, lease_owner=None, lease_until=None, updated_at=utc_now())), self)
        after_commit(conn, lambda: setattr(self, "settled", True))

    def died(self, conn: sa.Connection) -> bool:
        """Whether the tries before this one ended without a word: nobody wrote down why."""
        return self.attempts > 1 and conn.scalar(sa.select(outbox.c.last_error).where(outbox.c.id == self.id)) is None

    def extend(self, conn: sa.Connection, seconds: int = LEASE_SECONDS) -> None:
        """Keep the lease for another while (before something slow). LeaseLost when it is gone."""
        _must_hit(conn.execute(outbox.update().where(*_mine(self)).values(lease_until=utc_now(seconds))), self)


Handler = Callable[[Tenant, Row], object]


def claim(tenant: Tenant, worker: str, *, kinds: Iterable[str] | None = None, limit: int = 10, seconds: int = LEASE_SECONDS,
          at: datetime | None = None) -> tuple[Row, ...]:
    """Take up to ``limit`` rows that are due or whose lease ran out, oldest first. No row goes to two claimants at once.

    ``at``: rows that are due at this instant of a clock that is not the machine's (a play of days gone by)."""
    with tenant.write() as conn:
        now = utc_now()
        due = sa.or_(
            sa.and_(outbox.c.state == "pending", outbox.c.run_after <= (now if at is None else at)),
            sa.and_(outbox.c.state == "running", outbox.c.lease_until <= now),
        )
        if kinds is not None:
            due = sa.and_(due, outbox.c.kind.in_(tuple(kinds)))
        ids = sa.select(outbox.c.id).where(due).order_by(outbox.c.run_after, outbox.c.id).limit(limit)
        if conn.dialect.name == "postgresql":      # a CTE is carried out once; a subquery may be more often, and lock more than the limit
            ids = sa.select(ids.with_for_update(skip_locked=True).cte("due").prefix_with("MATERIALIZED").c.id)
        taken = conn.execute(
            outbox.update().where(outbox.c.id.in_(ids)).values(
                state="running", lease_owner=worker[:120], lease_until=utc_now(seconds),
                fence=outbox.c.fence + 1, attempts=outbox.c.attempts + 1, updated_at=utc_now(),
            ).returning(outbox.c.id, outbox.c.kind, outbox.c.payload, outbox.c.key, outbox.c.attempts, outbox.c.fence,
                        outbox.c.updated_at)
        ).all()  # fmt: skip
    rows = (Row(tenant.name, row.id, row.kind, row.payload, row.key, row.attempts, row.fence, worker, row.updated_at) for row in taken)
    return tuple(sorted(rows, key=lambda row: row.id))


def finished(tenant: Tenant, row: Row, started: datetime, facts: Mapping[str, object] | None = None) -> None:
    """Done: unless the handler settled it itself, mark the row; note the run either way."""
    with tenant.write() as conn:
        if not row.settled:
            _finish(conn, row, "done")
        _note(conn, row, "done", started, facts=facts)


def failed(tenant: Tenant, row: Row, error: BaseException, started: datetime, *, for_good: bool) -> str:
    """Not done: pending again after a growing pause, or dead after the last try; says which state it is in now."""
    state = "failed" if for_good else "dead" if row.attempts >= ATTEMPTS_MAX else "pending"
    text = f"{type(error).__name__}: {error}"[:4000]
    with tenant.write() as conn:
        values: dict[str, object] = {"state": state, "last_error": text, "lease_owner": None, "lease_until": None, "updated_at": utc_now()}
        if state == "pending":
            values["run_after"] = utc_now(back_off(row.attempts))
        else:
            values["finished_at"] = utc_now()
        _must_hit(conn.execute(outbox.update().where(*_mine(row)).values(**values)), row)
        _note(conn, row, "retry" if state == "pending" else state, started, error=text)
    return state


def release(tenant: Tenant, rows: Iterable[Row]) -> None:
    """Give claimed rows back untouched (a worker that stops)."""
    with tenant.write() as conn:
        for row in rows:
            conn.execute(outbox.update().where(*_mine(row)).values(
                state="pending", lease_owner=None, lease_until=None, attempts=outbox.c.attempts - 1,
            ))  # fmt: skip


def retry_dead(tenant: Tenant, ids: Iterable[int]) -> int:
    """Let dead or failed rows try again from the start; how many there were."""
    with tenant.write() as conn:
        return conn.execute(
            outbox.update().where(outbox.c.id.in_(tuple(ids)), outbox.c.state.in_(("dead", "failed")))
            .values(state="pending", attempts=0, run_after=utc_now(), finished_at=None)
        ).rowcount  # fmt: skip


def back_off(attempts: int) -> float:
    """Seconds until the next try: 2, 4, 8 … at most 15 minutes, spread by a quarter."""
    return float(min(2 ** min(attempts, 20), BACK_OFF_SECONDS_MAX)) * _jitter.uniform(0.75, 1.25)


def due_tenants(tenancy: Tenancy, kinds: Iterable[str] | None = None) -> tuple[str, ...]:
    """Tenants with rows (of these ``kinds``) that could be claimed now by a worker of this process."""
    wanted = tuple(kinds) if kinds is not None else None
    found = []
    for name in tenancy.names_to_work():
        with apart(name, "looks into the outbox"):
            if _has_due(tenancy.open(name), wanted):
                found.append(name)
    return tuple(found)


def _has_due(tenant: Tenant, kinds: tuple[str, ...] | None) -> bool:
    with tenant.read() as conn:
        now = utc_now()
        return conn.scalar(sa.select(outbox.c.id).where(
            outbox.c.kind.in_(kinds) if kinds is not None else sa.true(),
            outbox.c.state.in_(("pending", "running")),
            sa.or_(sa.and_(outbox.c.state == "pending", outbox.c.run_after <= now),
                   sa.and_(outbox.c.state == "running", outbox.c.lease_until <= now)),
        ).limit(1)) is not None  # fmt: skip


def _mine(row: Row) -> tuple[sa.ColumnElement[bool], ...]:
    return outbox.c.id == row.id, outbox.c.fence == row.fence, outbox.c.state == "running"


def _finish(conn: sa.Connection, row: Row, state: str) -> None:
    _must_hit(conn.execute(outbox.update().where(*_mine(row)).values(
        state=state, lease_owner=None, lease_until=None, last_error=None, finished_at=utc_now(), updated_at=utc_now(),
    )), row)  # fmt: skip


def _must_hit(result: sa.CursorResult[Any], row: Row) -> None:
    if result.rowcount != 1:
        raise LeaseLost(f"outbox row {row.id} of {row.tenant}: fence {row.fence} is not valid any more")


def _note(conn: sa.Connection, row: Row, outcome: str, started: datetime, *, error: str | None = None,
          facts: Mapping[str, object] | None = None) -> None:
    conn.execute(job_run.insert().values(
        kind=row.kind, key=row.key, outbox_id=row.id, outcome=outcome, attempt=row.attempts, worker=row.worker[:120],
        started_at=started, finished_at=utc_now(), error=error, facts=dict(facts) if facts else None,
    ))  # fmt: skip
