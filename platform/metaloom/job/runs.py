"""Runs of jobs as rows: made once for each due time, begun one at a time, moved on only by whoever holds the outbox row.

Every change of a run happens in one transaction with the check of the outbox row's fence (``Row.extend``), so that a worker
that slept through its lease changes neither the run nor a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metaloom.base.messages import Message
from metaloom.job.outbox import Row
from metaloom.storage.engine import run_error, scheduled_job, scheduled_run, user
from metaloom.storage.outbox import put
from metaloom.storage.types import utc_now

OUTBOX_KIND = "job.run"
OPEN = ("waiting", "running")
SENTENCE_MAX = 2000


class RunEnded(Exception):
    """The run is not running any more (somebody cancelled it): whatever was done in this transaction must not stand."""


@dataclass(frozen=True)
class RunRow:
    """A run as it was read. ``step`` is the step at hand; its records are those above ``cursor`` up to ``until_id``."""

    id: int
    job: str
    job_id: int
    origin: str
    company_id: int | None
    due_at: datetime
    business_date: date | None
    status: str
    dry_run: bool
    rerun_of_id: int | None
    digest: str | None
    step: int
    step_begun: int
    cursor: int
    until_id: int
    working_on: int | None
    done: int
    failed: int
    asked_by_id: int | None
    row_version: int


# -- jobs ---------------------------------------------------------------------------------------------------------------


def jobs_known(conn: sa.Connection) -> Mapping[str, Any]:
    """The rows of all jobs by their name."""
    return {row["job"]: row for row in conn.execute(sa.select(scheduled_job)).mappings()}


def lock_job(conn: sa.Connection, job: str) -> Mapping[str, Any] | None:
    """The row of a job, locked until the transaction ends."""
    return conn.execute(sa.select(scheduled_job).where(scheduled_job.c.job == job).with_for_update()).mappings().one_or_none()


def keep_job(conn: sa.Connection, job: str, facts: Mapping[str, Any]) -> None:
    """Adds or changes what is known of a job."""
    insert = _insert(conn, scheduled_job).values(job=job, **facts).on_conflict_do_nothing(index_elements=["job"])
    if conn.execute(insert).rowcount != 1:
        conn.execute(scheduled_job.update().where(scheduled_job.c.job == job).values(
            **facts, row_version=scheduled_job.c.row_version + 1, updated_at=utc_now()))


def retire_jobs(conn: sa.Connection, jobs: Iterable[str]) -> None:
    """Jobs that the metadata no longer has."""
    conn.execute(scheduled_job.update().where(scheduled_job.c.job.in_(tuple(jobs))).values(active=False, next_at=None))


def pause_job(conn: sa.Connection, job_id: int, paused: bool, now: datetime) -> bool:
    """Whether it was the other way before. What became due during a pause is not made up for."""
    changed = scheduled_job.update().where(scheduled_job.c.id == job_id, scheduled_job.c.paused.is_not(paused)).values(
        paused=paused, marked_at=now, marked_days=None, next_at=None, row_version=scheduled_job.c.row_version + 1, updated_at=utc_now())
    return conn.execute(changed).rowcount == 1


# -- runs ---------------------------------------------------------------------------------------------------------------


def open_run(conn: sa.Connection, tables: Any, *, key: str, values: Mapping[str, Any]) -> int | None:
    """A new run and the outbox row that carries it out; None when there is a run of this key already."""
    insert = _insert(conn, scheduled_run).values(key=key, **values).on_conflict_do_nothing(index_elements=["key"]).returning(scheduled_run.c.id)
    made = conn.scalar(insert)
    if made is None:
        return None
    put(conn, tables, kind=OUTBOX_KIND, payload={"run": int(made)}, key=f"{OUTBOX_KIND}/{made}")
    return int(made)


def read_run(conn: sa.Connection, run_id: int, *, lock: bool = False) -> RunRow | None:
    """A run with the name of its job."""
    names = [scheduled_run.c[name] for name in RunRow.__dataclass_fields__ if name != "job"]
    query = sa.select(*names, scheduled_job.c.job).join_from(scheduled_run, scheduled_job).where(scheduled_run.c.id == run_id)
    found = conn.execute(query.with_for_update(of=scheduled_run) if lock else query).mappings().one_or_none()
    return RunRow(**found) if found is not None else None


def asker_is_here(conn: sa.Connection, run: RunRow) -> bool:
    """Whether whoever began the run by hand still has an account that is switched on; a run of the schedule needs nobody."""
    if run.asked_by_id is None:
        return True
    return conn.scalar(sa.select(user.c.active).where(user.c.id == run.asked_by_id, user.c.archived_at.is_(None))) is True


def may_begin(conn: sa.Connection, run: RunRow) -> bool:
    """Whether no other run of the job (and company) is under way, and none of its schedule waits before it."""
    other = scheduled_run.alias()
    same = sa.and_(other.c.job_id == run.job_id, sa.func.coalesce(other.c.company_id, 0) == (run.company_id or 0), other.c.id != run.id)
    before = sa.or_(other.c.status == "running", sa.and_(
        other.c.status == "waiting", other.c.id < run.id, other.c.origin.in_(("schedule", "catch_up")), sa.literal(run.origin in ("schedule", "catch_up"))))
    return conn.scalar(sa.select(other.c.id).where(same, before).limit(1)) is None


def begin_run(conn: sa.Connection, row: Row, run_id: int, digest: str) -> None:
    """Waiting becomes running."""
    row.extend(conn)
    _must_run(conn, run_id, "waiting", status="running", started_at=utc_now(), digest=digest, worker=row.worker[:120])


def begin_step(conn: sa.Connection, row: Row, run_id: int, step: int, *, until_id: int, count: int) -> None:
    """The records of a step are counted once, when it begins."""
    row.extend(conn)
    _must_run(conn, run_id, "running", step_begun=step, cursor=0, until_id=until_id, working_on=None, worker=row.worker[:120],
              total=scheduled_run.c.total + count)


def end_step(conn: sa.Connection, row: Row, run_id: int, step: int) -> None:
    row.extend(conn)
    _must_run(conn, run_id, "running", step=step + 1, cursor=0, until_id=0, working_on=None)


def work_on(conn: sa.Connection, row: Row, run_id: int, record_id: int) -> None:
    """Says which record comes next, so that one that kills the process is known."""
    row.extend(conn)
    _must_run(conn, run_id, "running", working_on=record_id)


def advance(conn: sa.Connection, row: Row, run_id: int, record_id: int, outcome: str) -> None:
    """One record is behind: ``outcome`` is done, skipped or failed. RunEnded when the run was cancelled meanwhile."""
    row.extend(conn)
    _must_run(conn, run_id, "running", cursor=record_id, working_on=None, **{outcome: scheduled_run.c[outcome] + 1})


def move_on(conn: sa.Connection, run_id: int, *, done: int, failed: int, skipped: int) -> None:
    """A part of a mass step is behind, whoever did it. RunEnded when the run was cancelled meanwhile."""
    _must_run(conn, run_id, "running", done=scheduled_run.c.done + done, failed=scheduled_run.c.failed + failed, skipped=scheduled_run.c.skipped + skipped)


def count_whole(conn: sa.Connection, row: Row, run_id: int, outcome: str) -> None:
    """A step without records is behind."""
    row.extend(conn)
    _must_run(conn, run_id, "running", **{outcome: scheduled_run.c[outcome] + 1, "total": scheduled_run.c.total + 1})


def note_error(conn: sa.Connection, run_id: int, step: int, entity: str, record_id: int | None, said: Message) -> None:
    """What went wrong with a record, or (without one) with the step."""
    conn.execute(run_error.insert().values(run_id=run_id, step=step, entity=entity or None, record_id=record_id,
                                           sentence=said.say("zh")[:SENTENCE_MAX], sentence_en=said.say("en")[:SENTENCE_MAX]))


def end_run(conn: sa.Connection, run_id: int, status: str) -> bool:
    """An open run is over; False when it was over already."""
    ended = scheduled_run.update().where(scheduled_run.c.id == run_id, scheduled_run.c.status.in_(OPEN)).values(
        status=status, finished_at=utc_now(), working_on=None, row_version=scheduled_run.c.row_version + 1, updated_at=utc_now())
    return conn.execute(ended).rowcount == 1


def errors_of(conn: sa.Connection, run_id: int, limit: int = 50) -> tuple[Any, ...]:
    """What failed, in the order of the steps."""
    query = sa.select(run_error).where(run_error.c.run_id == run_id).order_by(run_error.c.step, run_error.c.id).limit(limit)
    return tuple(conn.execute(query).mappings())


def failed_records(run_id: int, step: int) -> sa.Select[Any]:
    """The ids of the records that failed in a step of a run."""
    return sa.select(run_error.c.record_id).where(run_error.c.run_id == run_id, run_error.c.step == step, run_error.c.record_id.is_not(None))


def stopped_at(conn: sa.Connection, run_id: int) -> int | None:
    """The step that stopped a run as a whole; None when it went to its end."""
    found = conn.scalar(sa.select(sa.func.min(run_error.c.step)).where(run_error.c.run_id == run_id, run_error.c.record_id.is_(None)))
    return int(found) if found is not None else None


def open_rerun(conn: sa.Connection, run_id: int) -> bool:
    """Whether a re-run of this run is not over yet."""
    query = sa.select(scheduled_run.c.id).where(scheduled_run.c.rerun_of_id == run_id, scheduled_run.c.status.in_(OPEN)).limit(1)
    return conn.scalar(query) is not None


def runs_of(conn: sa.Connection, job: str | None = None, limit: int = 50) -> tuple[Any, ...]:
    """Runs, newest first, with the names of their jobs."""
    query = sa.select(scheduled_run, scheduled_job.c.job).join_from(scheduled_run, scheduled_job).order_by(scheduled_run.c.id.desc()).limit(limit)
    return tuple(conn.execute(query.where(scheduled_job.c.job == job) if job else query).mappings())


def run_by_id(conn: sa.Connection, run_id: int) -> Mapping[str, Any] | None:
    """A run with everything that is counted of it."""
    return conn.execute(sa.select(scheduled_run).where(scheduled_run.c.id == run_id)).mappings().one_or_none()


def _must_run(conn: sa.Connection, run_id: int, was: str, /, **values: Any) -> None:
    changed = scheduled_run.update().where(scheduled_run.c.id == run_id, scheduled_run.c.status == was).values(
        **values, row_version=scheduled_run.c.row_version + 1, updated_at=utc_now())
    if conn.execute(changed).rowcount != 1:
        raise RunEnded(f"run {run_id} is not {was}")


def _insert(conn: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if conn.dialect.name == "sqlite" else postgresql.insert(table)
