"""Jobs by hand: run one now (or only try it), pause and resume its schedule, run again what failed, cancel a run."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from metaloom.base.errors import NotAllowed, NotFound, NotPossible
from metaloom.base.messages import message, register
from metaloom.command import rows
from metaloom.command.context import Context, Saved
from metaloom.command.environment import business_date
from metaloom.command.schedule_jobs import job_of
from metaloom.command.unit import Unit, perform, permit
from metaloom.job import runs as run_rows

JOB, RUN = "platform.scheduled_job", "platform.scheduled_run"

register({
    "job.started": ("任务“{name}”已开始运行。", "The job {name} was started."),
    "job.paused": ("任务“{name}”已暂停。", "The job {name} is paused."),
    "job.resumed": ("任务“{name}”已恢复，暂停期间不补跑。", "The job {name} goes on; what fell into the pause is not made up for."),
    "job.is_so": ("任务已处于该状态。", "The job is so already."),
    "job.rerun": ("已重新运行失败的部分。", "What failed is being run again."),
    "job.nothing_failed": ("该次运行没有失败的记录。", "Nothing failed in this run."),
    "job.not_over": ("该次运行尚未结束。", "The run is not over yet."),
    "job.rerun_open": ("重跑正在进行。", "It is being run again already."),
    "job.cancelled": ("运行已取消，已处理的记录保留。", "The run was cancelled; what it did stays done."),
    "job.over": ("该次运行已结束。", "The run is over already."),
    "job.needs_company": ("该任务按公司运行，请选择公司。", "This job runs for a company; choose one."),
})


def start_job(ctx: Context, job_id: int, *, company: int | None = None, dry_run: bool = False) -> Saved:
    """Begins a run now, outside the schedule; ``dry_run`` tries everything and keeps nothing but the report. The right is to
    edit jobs. The answer is the run."""
    return perform(ctx, "start_job", [job_id, company, dry_run], lambda unit: _start(unit, job_id, company, dry_run))


def pause_job(ctx: Context, job_id: int, paused: bool) -> Saved:
    """Stops the schedule of a job, or lets it go on. Runs under way are not touched."""
    return perform(ctx, "pause_job" if paused else "resume_job", [job_id], lambda unit: _pause(unit, job_id, paused))


def rerun_failed(ctx: Context, run_id: int) -> Saved:
    """A new run over the records that failed in a run that is over, and over the steps that it did not reach."""
    return perform(ctx, "rerun_failed", [run_id], lambda unit: _rerun(unit, run_id))


def cancel_run(ctx: Context, run_id: int) -> Saved:
    """Ends a run that waits or is under way: the record at hand is undone or finished, the next one is not begun."""
    return perform(ctx, "cancel_run", [run_id], lambda unit: _cancel(unit, run_id))


def _start(unit: Unit, job_id: int, company: int | None, dry_run: bool) -> Saved:
    row = reachable(unit, JOB, job_id)
    job = job_of(unit.revision, row["job"])
    if job.per == "company" and company is None:
        raise NotPossible(message("job.needs_company"))
    company = company if job.per == "company" else None
    if company is not None and rows.fetch(unit, "platform.company", company) is None:
        raise NotFound()
    day = business_date(unit, company) if job.business_date else None
    made = run_rows.open_run(unit.conn, unit.tables, key=f"{job.address}|{company or '-'}|manual:{uuid.uuid4().hex[:12]}", values={
        "job_id": job_id, "origin": "manual", "company_id": company, "due_at": unit.now, "business_date": day, "dry_run": dry_run,
        "asked_by_id": unit.ctx.actor.user_id})
    assert made is not None
    return _made(unit, made, message("job.started", name=job.label), {"job": job_id, "dry_run": dry_run})


def _pause(unit: Unit, job_id: int, paused: bool) -> Saved:
    row = reachable(unit, JOB, job_id)
    if not run_rows.pause_job(unit.conn, job_id, paused, unit.now):
        raise NotPossible(message("job.is_so"))
    unit.log(unit.entity(JOB), job_id, {"paused": not paused}, {"paused": paused})
    job = unit.catalog.jobs.get(row["job"])
    said = message("job.paused" if paused else "job.resumed", name=job.label if job else row["job"])
    return Saved(JOB, job_id, row["row_version"] + 1, row["job"], said)


def _rerun(unit: Unit, run_id: int) -> Saved:
    reachable(unit, RUN, run_id)
    run = run_rows.read_run(unit.conn, run_id, lock=True)
    assert run is not None
    if run.status in run_rows.OPEN:
        raise NotPossible(message("job.not_over"))
    if run.dry_run or not run_rows.errors_of(unit.conn, run_id, 1):
        raise NotPossible(message("job.nothing_failed"))
    if run_rows.open_rerun(unit.conn, run_id):
        raise NotPossible(message("job.rerun_open"))
    made = run_rows.open_run(unit.conn, unit.tables, key=f"{run.job}|{run.company_id or '-'}|rerun:{run_id}:{uuid.uuid4().hex[:8]}", values={
        "job_id": run.job_id, "origin": "rerun", "company_id": run.company_id, "due_at": unit.now, "business_date": run.business_date,
        "rerun_of_id": run_id, "asked_by_id": unit.ctx.actor.user_id})
    assert made is not None
    return _made(unit, made, message("job.rerun"), {"rerun_of": run_id})


def _cancel(unit: Unit, run_id: int) -> Saved:
    reachable(unit, RUN, run_id)
    run = run_rows.read_run(unit.conn, run_id, lock=True)
    assert run is not None
    if not run_rows.end_run(unit.conn, run_id, "cancelled"):
        raise NotPossible(message("job.over"))
    unit.log(unit.entity(RUN), run_id, {"status": run.status}, {"status": "cancelled"})
    return Saved(RUN, run_id, run.row_version + 1, run.job, message("job.cancelled"))


def reachable(unit: Unit, address: str, record_id: int) -> Mapping[str, Any]:
    """The row, when the person may edit it; NotFound for what may not be read."""
    permit(unit, address, "edit")
    if not unit.ctx.system and "edit" not in rows.standing(unit, address, record_id)[0]:
        raise NotAllowed()
    found = rows.fetch(unit, address, record_id)
    if found is None:
        raise NotFound()
    return found


def _made(unit: Unit, run_id: int, said: Any, facts: Mapping[str, Any]) -> Saved:
    unit.rings = True
    unit.log(unit.entity(RUN), run_id, None, facts)
    return Saved(RUN, run_id, 1, str(run_id), said)
