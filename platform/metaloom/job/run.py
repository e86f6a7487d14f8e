"""Run what is due in one tenant: claim, call the handler, finish or plan the next try."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import get_ident
from time import monotonic

from metaloom.base import logs, metrics
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, MetaloomError
from metaloom.job.outbox import LEASE_SECONDS, GiveUp, Handler, LeaseLost, Row, claim, failed, finished, release
from metaloom.storage import statements
from metaloom.storage.tenancy import Tenant

log = logging.getLogger(__name__)

BATCH = 10


_told: set[str] = set()
"""Tenants of which the log has said that this process cannot open them."""


def worker_name() -> str:
    """Tells apart processes and threads of all machines."""
    return f"{socket.gethostname()}/{os.getpid()}/{get_ident()}"


def run_due(
    tenant: Tenant, handlers: Mapping[str, Handler], limit: int = 1000, *, stopping: Callable[[], bool] = lambda: False,
    lease_seconds: int = LEASE_SECONDS, at: datetime | None = None,
) -> int:  # fmt: skip
    """Run up to ``limit`` due rows; how many were run. Kinds without a handler here stay for another worker. ``at``: as for ``claim``.

    A process whose master key is not the tenant's leaves all of them alone: it would fail each, and some for good.
    """
    if not _may_open(tenant):
        return 0
    worker, done = worker_name(), 0
    while done < limit and not stopping():
        claimed_at = monotonic()
        rows = claim(tenant, worker, kinds=tuple(handlers), limit=min(BATCH, limit - done), seconds=lease_seconds, at=at)
        if not rows:
            break
        crash_point("outbox.claimed")
        for place, row in enumerate(rows):
            # The lease of the last rows of a batch may run low: give them back rather than race another worker.
            if stopping() or monotonic() - claimed_at > lease_seconds / 2:
                release(tenant, rows[place:])
                break
            row.stopping = stopping
            _run(tenant, row, handlers[row.kind], row.claimed_at + timedelta(seconds=monotonic() - claimed_at))
            done += 1
    return done


def _may_open(tenant: Tenant) -> bool:
    fits = tenant.secrets.fits()
    if fits:
        _told.discard(tenant.name)
    elif tenant.name not in _told:
        _told.add(tenant.name)
        log.error("no work of %s is done here: METALOOM_MASTER_KEY does not open its keys", tenant.name)
    return fits


def _run(tenant: Tenant, row: Row, handler: Handler, started: datetime) -> None:
    begun, before = monotonic(), statements.sent()
    outcome = "broken"
    with logs.about(tenant=row.tenant, work=row.kind, row=row.id):
        try:
            outcome = _handle(tenant, row, handler, started)
        except LeaseLost as lost:
            outcome = "lost"
            log.warning("%s", lost)
        except Busy as busy:
            outcome = "busy"
            log.warning("outbox row %s of %s could not be closed now (%s): its lease will run out", row.id, row.tenant, busy)
        finally:
            metrics.count("metaloom_work_total", kind=row.kind, outcome=outcome)
            metrics.observe("metaloom_work_seconds", monotonic() - begun, kind=row.kind)
            metrics.count("metaloom_sql_statements_total", statements.sent() - before)
            log.info("work", extra={"facts": {"outcome": outcome, "ms": round((monotonic() - begun) * 1000, 1), "statements": statements.sent() - before}})


def _handle(tenant: Tenant, row: Row, handler: Handler, started: datetime) -> str:
    """Runs the row and writes down what came of it; says it, too."""
    try:
        result = handler(tenant, row)
    except LeaseLost:
        raise
    except Exception as error:
        if row.settled:                    # the effect and the row are committed; what failed came after them
            log.exception("outbox row %s of %s is done, but a later step failed", row.id, row.tenant)
            finished(tenant, row, started)
            return "done"
        state = failed(tenant, row, error, started, for_good=isinstance(error, GiveUp))
        log.log(logging.WARNING if state == "pending" else logging.ERROR, "outbox row %s of %s: %s, now %s",
                row.id, row.tenant, error, state, exc_info=not isinstance(error, MetaloomError))
        return "retry" if state == "pending" else state
    crash_point("outbox.handled")
    finished(tenant, row, started, result if isinstance(result, Mapping) else None)
    crash_point("outbox.finished")
    return "done"
