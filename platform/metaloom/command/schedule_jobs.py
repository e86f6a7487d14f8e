"""The scheduler: what is due becomes a run with an outbox row. It keeps nothing in memory, so any number of them may look.

Each job's row says up to which instant, and to which business date of each company, its runs were made; it is locked while
runs are made, and a run's key (job, company, due time) occurs once. Two schedulers, or one that slept, make one run.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from metaloom.base.clock import Clock
from metaloom.base.crash import crash_point
from metaloom.base.errors import MetaloomError, NotPossible
from metaloom.base.messages import message
from metaloom.command import rows
from metaloom.command.environment import COMPANY
from metaloom.command.handle_call import system_context
from metaloom.command.unit import Unit
from metaloom.job.runs import jobs_known, keep_job, lock_job, open_run, retire_jobs
from metaloom.job.schedule import due_days, due_instants, next_instant
from metaloom.model import Job, JobStep
from metaloom.plugin.registry import Registry, installed
from metaloom.storage import Tenant, after_commit, bell

log = logging.getLogger(__name__)


def schedule_jobs(tenant: Tenant, *, plugins: Registry | None = None, clock: Clock) -> int:
    """Makes the runs that are due in the tenant now; how many there were. A job that cannot be scheduled stops no other one."""
    revision = tenant.revision()
    jobs: Mapping[str, Job] = revision.catalog.jobs
    with tenant.read() as conn:
        known = jobs_known(conn)
        companies = companies_at_work(Unit(system_context(tenant, plugins=plugins or installed(), clock=clock), conn, "schedule", clock.now())) if jobs else ()
    gone = [name for name, row in known.items() if row["active"] and name not in jobs]
    if gone:
        with tenant.write() as conn:
            retire_jobs(conn, gone)
    made = 0
    for job in jobs.values():
        row = known.get(job.address)
        if row is not None and _up_to_date(job, row) and not _due(job, row, clock.now(), companies):
            continue
        try:
            made += _schedule(tenant, job, clock.now(), companies)
        except MetaloomError as error:
            log.warning("job %s of %s is not scheduled this time: %s", job.address, tenant.name, error)
    return made


def job_of(revision: Any, name: str) -> Job:
    """The job of that name; NotPossible when the metadata has none."""
    job: Job | None = revision.catalog.jobs.get(name)
    if job is None:
        raise NotPossible(message("job.unknown", name=name))
    return job


def digest_of(job: Job) -> str:
    """Equal for jobs that do the same."""
    plain = {"steps": [_plain(step) for step in job.steps], "run_as": job.run_as, "per": job.per}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()


def _plain(step: JobStep) -> dict[str, Any]:
    return {**{name: getattr(step, name) for name in ("verb", "entity", "name", "where", "names", "when", "most")}, "values": dict(step.values),
            "words": [asdict(t) if t is not None else None for t in (step.subject, step.body)]}


def _schedule(tenant: Tenant, job: Job, now: datetime, companies: tuple[tuple[int, date | None], ...]) -> int:
    """Writes down what is known of the job and makes its due runs, in one transaction under the lock of its row."""
    tables = tenant.revision().tables
    with tenant.write() as conn:
        row = lock_job(conn, job.address)
        fresh = row is None or not row["active"] or row["schedule"] != schedule_of(job)
        marked_at = now if fresh or row is None else row["marked_at"] or now
        days = {} if fresh or row is None else dict(row["marked_days"] or {})
        paused = job.paused if row is None else bool(row["paused"])
        slots = () if paused else tuple(_slots(tenant, job, marked_at, days, now, companies))
        keep_job(conn, job.address, {
            **_described(job), **({"paused": paused} if row is None else {}), "active": True, "marked_at": max(marked_at, now),
            "marked_days": {str(id): _later(days.get(str(id)), day) for id, day in companies} if job.business_date else None,
            "next_at": next_instant(job.cron, tenant.zone, now) if job.cron and not paused else None})
        crash_point("schedule.before_runs")
        made = _make(conn, tables, job, slots)
        if made:
            after_commit(conn, lambda: bell.ring(tenant.name))
        crash_point("schedule.before_commit")
    return made


def _make(conn: Any, tables: Any, job: Job, slots: tuple[tuple[int | None, datetime, date | None, str, str], ...]) -> int:
    row = lock_job(conn, job.address)
    assert row is not None
    made = 0
    for company, due_at, day, slot, origin in slots:
        key = f"{job.address}|{company or '-'}|{slot}"
        made += open_run(conn, tables, key=key, values={
            "job_id": row["id"], "origin": origin, "company_id": company, "due_at": due_at, "business_date": day}) is not None
    return made


def _slots(tenant: Tenant, job: Job, marked_at: datetime, days: Mapping[str, str | None], now: datetime,
           companies: tuple[tuple[int, date | None], ...]) -> Iterator[tuple[int | None, datetime, date | None, str, str]]:
    """(company, due, business date, key, origin) of every run that is due. The first look at a company makes none: only days
    that the date moves to from then on count."""
    company: int | None
    if job.business_date:
        for company, day in companies:
            seen = days.get(str(company))
            missed = due_days(date.fromisoformat(seen), day, job.catch_up) if seen and day else ()
            for one in missed:
                yield company, now, one, one.isoformat(), "schedule" if one == missed[-1] else "catch_up"
    elif job.cron:
        instants = due_instants(job.cron, tenant.zone, marked_at, now, job.catch_up)
        for instant in instants:
            origin = "schedule" if instant == instants[-1] else "catch_up"
            for company, day in companies if job.per == "company" else ((None, None),):
                yield company, instant, day, instant.strftime("%Y-%m-%dT%H:%MZ"), origin


def _later(seen: str | None, day: date | None) -> str | None:
    """A scheduler that slept does not take a mark back."""
    return max(filter(None, (seen, day.isoformat() if day else None)), default=None)


def _described(job: Job) -> dict[str, Any]:
    return {"label": job.label.zh, "label_en": job.label.en, "schedule": schedule_of(job), "per": job.per, "catch_up": job.catch_up}


def schedule_of(job: Job) -> str:
    """The schedule in one line."""
    return job.cron or ("business_date" if job.business_date else "")


def _up_to_date(job: Job, row: Mapping[str, Any]) -> bool:
    return bool(row["active"]) and all(row[name] == value for name, value in _described(job).items())


def _due(job: Job, row: Mapping[str, Any], now: datetime, companies: tuple[tuple[int, date | None], ...]) -> bool:
    """Whether looking closer is worth a transaction."""
    if row["paused"]:
        return False
    if job.business_date:
        return {str(id): (day.isoformat() if day else None) for id, day in companies} != (row["marked_days"] or {})
    return bool(job.cron) and (row["next_at"] is None or row["next_at"] <= now)


def companies_at_work(unit: Unit) -> tuple[tuple[int, date | None], ...]:
    """Companies at work, with the day their books are at."""
    if COMPANY not in unit.catalog.entities:
        return ()
    found = rows.find(unit, COMPANY, {"active": True}, live_only=True)
    return tuple((row["id"], row["business_date"]) for row in sorted(found, key=lambda row: row["id"]))
