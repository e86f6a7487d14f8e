"""A step of a job that a plugin does to very many records at once: range by range of ids, by any number of workers side by side.

Each range is a part with a lease of its own. What the function asks for, the part's end and the progress of the run stand or fall in one
transaction. A part that fails is cut in two until the record stands alone; that one is held back with the reason, and tried again by the
next run and by whoever runs the failed records again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metaloom.access import Actor
from metaloom.base.clock import Clock, SystemClock
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, MetaloomError
from metaloom.base.messages import Message, message, register
from metaloom.command import rows
from metaloom.command.context import ActionDone
from metaloom.command.going import Going, Tried, env_of, read_again, unit_of, wanted_records, write_run
from metaloom.command.handle_call import system_context
from metaloom.command.run_mass import Done, digest_of, mass_of, run_mass
from metaloom.command.schedule_jobs import job_of
from metaloom.command.unit import Unit, perform
from metaloom.job import LeaseLost, parts
from metaloom.job import runs as run_rows
from metaloom.job.outbox import LEASE_SECONDS, Row
from metaloom.job.parts import Part
from metaloom.job.runs import RunEnded
from metaloom.model import JobStep
from metaloom.plugin.registry import Registry, installed
from metaloom.storage import CutOff, Tenant, after_commit, bell, outbox, without_waiting

log = logging.getLogger(__name__)

PART_KIND = "job.part"
ROWS_OF_A_PART = {"postgresql": 20_000, "sqlite": 200}
HELPERS = 7
"""So many more workers are asked to come along; a worker that finds no part left goes home."""
LOOK_AGAIN_SECONDS = 1.0
DEADLY_FROM = 3

register({
    "job.part_broken": ("处理时出现内部错误，详见系统日志（运行 {run}）。", "An internal error; the log says more (run {run})."),
    "job.part_deadly": ("处理该记录时进程多次中断，已隔离。", "The process died several times at this record; it is held back."),
})


def mass_step(going: Going, step: JobStep) -> bool:
    """Goes on with a mass step; False when there is more to do and the row was put back."""
    if going.run.step_begun < going.run.step:
        _begin(going, step)
        crash_point("mass.after_begin")
    if not _parts(going, step, going.row):
        return False
    with going.ctx.tenant.read() as conn:
        left = parts.open_parts(conn, going.run.id, going.run.step)
    if left:                               # other workers are at them
        with going.ctx.tenant.write() as conn:
            going.row.later(conn, LOOK_AGAIN_SECONDS)
        return False
    write_run(going, lambda conn: run_rows.end_step(conn, going.row, going.run.id, going.run.step))
    return True


def handle_part(tenant: Tenant, row: Row, *, plugins: Registry | None = None, clock: Clock | None = None,
                slice_seconds: float = 10.0) -> Mapping[str, object] | None:
    """Carries out one outbox row of kind ``job.part``: helps with the parts of a step as long as there are any."""
    run_id, number = int(row.payload["run"]), int(row.payload["step"])
    with tenant.read() as conn:
        run = run_rows.read_run(conn, run_id)
    if run is None or run.status != "running" or run.step != number:
        return None
    job = job_of(tenant.revision(), run.job)
    ctx = system_context(tenant, plugins=plugins or installed(), clock=clock or SystemClock(), request_id=f"run-{run_id}", run_as=job.address)
    ctx = replace(ctx, actor=Actor.system(job.address, company_id=run.company_id))
    going = Going(ctx, row, run, job, time.monotonic() + slice_seconds)
    try:
        done = _parts(going, job.steps[number], row)
    except RunEnded:
        return {"run": run_id, "status": "ended"}
    return {"run": run_id, "step": number, "all": done}


def _begin(going: Going, step: JobStep) -> None:
    """The ranges of the step are laid out once, and other workers are asked to come along."""
    mass_of(going.ctx.plugins, step.name)
    run = going.run
    with going.ctx.tenant.read() as conn:
        asked, env, among = wanted_records(going, step, conn)
        ranges, held = rows.mass_extent(unit_of(going, conn), step.entity, asked, env, among, held=parts.held_ids(step.name, step.entity),
                                        size=ROWS_OF_A_PART[going.ctx.revision.dialect])

    def begun(conn: Any) -> None:
        run_rows.begin_step(conn, going.row, run.id, run.step, until_id=0, count=sum(size for *_, size in ranges) + len(held))
        parts.make(conn, run.id, run.step, ranges, held)
        for number in range(min(HELPERS, len(ranges) - 1)):
            outbox.put(conn, going.ctx.revision.tables, kind=PART_KIND, payload={"run": run.id, "step": run.step},
                       key=f"{PART_KIND}/{run.id}/{run.step}/{number}")
        after_commit(conn, lambda: bell.ring(going.ctx.tenant.name))

    write_run(going, begun)


def _parts(going: Going, step: JobStep, row: Row) -> bool:
    """Takes part after part; False when it is time for other work and the row was put back."""
    while True:
        if going.tired:
            with going.ctx.tenant.write() as conn:
                row.later(conn)
            return False
        with going.ctx.tenant.write() as conn:
            without_waiting(conn)
            row.extend(conn, LEASE_SECONDS)
            part = parts.take(conn, going.run.id, going.run.step, row.worker)
        if part is None:
            going.run = read_again(going.ctx, going.run.id)
            return True
        crash_point("mass.after_take")
        _part(going, step, part)
        crash_point("mass.after_part")


def _part(going: Going, step: JobStep, part: Part) -> None:
    if part.attempts > DEADLY_FROM:
        _failed(going, step, part, message("job.part_deadly"))
        return
    try:
        _perform(going, step, part)
    except (LeaseLost, RunEnded):
        raise
    except Busy as busy:                   # a part that the database ended may be too large: such tries count, and it is cut in two
        with going.ctx.tenant.write() as conn:
            parts.put_back(conn, part, counts=isinstance(busy, CutOff))
        raise
    except Exception as error:
        if not isinstance(error, MetaloomError):
            log.exception("run %s: part %s of step %s", going.run.id, part.no, part.step)
        _failed(going, step, part, error.message if isinstance(error, MetaloomError) else message("job.part_broken", run=going.run.id))


def _perform(going: Going, step: JobStep, part: Part) -> None:
    """The part in one transaction with its end; of a dry run the end alone is kept. Nothing leaves the database with it, and what a server that died has
    forgotten is done again, so it does not wait for the disk: the end of the run does."""
    job, run = going.job, going.run
    kept: list[Done] = []

    def work(unit: Unit) -> ActionDone:
        without_waiting(unit.conn)
        asked, env, _ = wanted_records(going, step, unit.conn)
        clauses = rows.mass_clauses(unit, step.entity, asked, env, above=part.from_id, until=part.until_id,
                                    without=None if part.held else parts.held_ids(step.name, step.entity))
        done = run_mass(unit, step.name, clauses, day=env_of(unit, run).business_date or unit.now.date(), company_id=run.company_id,
                        cause=("platform.scheduled_run", run.id), kept=None if part.held else going.kept)
        kept[:] = [done]
        if run.dry_run:
            raise Tried
        if done.ids:
            unit.log(unit.entity(step.entity), None, None, {"run": run.id, "mass": step.name, "rows": len(done.ids), "first": done.ids[0],
                                                            "last": done.ids[-1], "digest": digest_of(done)})
        _end(going, step, part, done, unit.conn, keep=True)
        crash_point("mass.before_commit")
        return ActionDone(step.entity, None, None, message("command.done", action=job.label))

    try:
        perform(going.ctx, f"job:{job.address}", [run.id, part.id], work, reason=job.label.zh)
    except Tried:
        with going.ctx.tenant.write() as conn:
            _end(going, step, part, kept[0], conn, keep=False)


def _end(going: Going, step: JobStep, part: Part, done: Done, conn: Any, *, keep: bool) -> None:
    """The part is behind: what was held back is written down, the run has got so much further."""
    went = len(done.ids) - len(done.held)
    for record_id, said in done.held.items():
        _hold(going, step, conn, record_id, said, keep=keep)
    if part.held and keep and not done.held:
        parts.let_go(conn, step.name, step.entity, part.until_id)
    parts.finish(conn, part, done=went, failed=len(done.held), figures=done.figures)
    run_rows.move_on(conn, going.run.id, done=went, failed=len(done.held), skipped=max(0, part.size - len(done.ids)))


def _failed(going: Going, step: JobStep, part: Part, said: Message) -> None:
    """Cut in two, or held back where it is one record."""
    with going.ctx.tenant.write() as conn:
        asked, env, _ = wanted_records(going, step, conn)
        unit = unit_of(going, conn)
        ids = rows.next_ids(unit, step.entity, asked, env, None, after=part.from_id, until=part.until_id, limit=part.size * 2)
        if len(ids) > 1 and not part.held:
            middle = len(ids) // 2
            parts.split(conn, part, ids[middle - 1], middle, len(ids) - middle)
            return
        done = Done(tuple(ids), dict.fromkeys(ids, said), {}, ())
        _end(going, step, part, done, conn, keep=not going.run.dry_run)


def _hold(going: Going, step: JobStep, conn: Any, record_id: int, said: Message, *, keep: bool) -> None:
    run = going.run
    run_rows.note_error(conn, run.id, run.step, step.entity, record_id, said)
    if keep:
        parts.hold_back(conn, step.name, step.entity, record_id, run_id=run.id, company_id=run.company_id, day=run.business_date, said=said)


__all__ = ["PART_KIND", "handle_part", "mass_step"]
