"""Carries out a run of a job: step after step, record after record, each record in a transaction of its own.

The place that the run has reached moves on in the transaction of the record itself, which also holds on to the outbox row.
So a worker that is killed, or sleeps through its lease, leaves a run that the next one goes on with: no record is done
twice, none is left out. A record that cannot be done is written down and the run goes on; one that kills the process is
written down by whoever takes over after the third try.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from metaloom.access import AccessPlan, Actor, Assignment
from metaloom.base.clock import Clock, SystemClock
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, MetaloomError, NotPossible
from metaloom.base.messages import Message, message, register, words
from metaloom.base.text import Text
from metaloom.command import evaluate, rows
from metaloom.command.approval_people import People
from metaloom.command.books_step import close_months, hold, move_on
from metaloom.command.context import ActionDone, Context
from metaloom.command.environment import COMPANY
from metaloom.command.evaluate_warnings import evaluate_warnings
from metaloom.command.findings import DoesNotHold
from metaloom.command.going import Going, Tried, env_of, read_again, unit_of, wanted_records, write_run
from metaloom.command.handle_call import system_context
from metaloom.command.live import Live
from metaloom.command.mass_step import mass_step
from metaloom.command.notify import Said, Telling, notify, of_template, tell
from metaloom.command.receivers import receivers
from metaloom.command.run_action import action_in
from metaloom.command.run_command import command_in
from metaloom.command.schedule_jobs import companies_at_work, digest_of, job_of
from metaloom.command.unit import Unit, perform
from metaloom.compile.scope import USER_NAMES
from metaloom.expression import Env, Scope
from metaloom.job import LeaseLost
from metaloom.job import runs as run_rows
from metaloom.job.outbox import ATTEMPTS_MAX, Row
from metaloom.job.runs import RunEnded, RunRow
from metaloom.model import Job, JobStep
from metaloom.plugin.registry import Registry, installed
from metaloom.storage import Tenant

log = logging.getLogger(__name__)

BATCH = 200
SLICE_SECONDS = 10.0
CAREFUL_FROM = 3
WAIT_SECONDS = 3.0

register({
    "job.unknown": ("没有名为“{name}”的任务。", "There is no job called {name}."),
    "job.asker_gone": ("发起人的账号已停用，任务未运行。", "The account of whoever started the run is switched off; nothing was done."),
    "job.changed": ("任务在运行中被修改，请重新运行。", "The job was changed while it ran; start it again."),
    "job.broken": ("处理时出现内部错误，详见系统日志（运行 {run}）。", "An internal error; the log says more (run {run})."),
    "job.deadly": ("处理该记录时进程多次中断，已跳过。", "The process died several times at this record; it was left out."),
})


class _Skip(Exception):
    """The record no longer fits the condition."""


def handle_run(tenant: Tenant, row: Row, *, plugins: Registry | None = None, clock: Clock | None = None,
               slice_seconds: float = SLICE_SECONDS) -> Mapping[str, object] | None:
    """Carries out one outbox row of kind ``job.run`` for some seconds; the row comes again where more is to do."""
    going = _begin(tenant, row, plugins or installed(), clock or SystemClock(), slice_seconds)
    if going is None:
        return None
    try:
        return _work(going)
    except RunEnded:
        return {"run": going.run.id, "status": "cancelled"}
    except (LeaseLost, Busy):
        if row.attempts >= ATTEMPTS_MAX:
            _stop(going, message("job.broken", run=going.run.id))
        raise
    except Exception:
        if row.attempts >= ATTEMPTS_MAX - 1:
            _stop(going, message("job.broken", run=going.run.id))
        raise


def _begin(tenant: Tenant, row: Row, plugins: Registry, clock: Clock, slice_seconds: float) -> Going | None:
    """The run, running from now on; None when it is over, or has to wait for another one of the same job."""
    run_id = int(row.payload["run"])
    with tenant.write() as conn:
        run = run_rows.read_run(conn, run_id)
        if run is None or run.status not in run_rows.OPEN:
            return None
        run_rows.lock_job(conn, run.job)
        run = run_rows.read_run(conn, run_id, lock=True)
        assert run is not None
        try:
            job = job_of(tenant.revision(), run.job)
        except NotPossible as gone:
            run_rows.note_error(conn, run_id, run.step, "", None, gone.message)
            run_rows.end_run(conn, run_id, "failed")
            return None
        if run.status == "waiting":
            if not run_rows.asker_is_here(conn, run):
                run_rows.note_error(conn, run_id, run.step, "", None, message("job.asker_gone"))
                run_rows.end_run(conn, run_id, "failed")
                return None
            if not run_rows.may_begin(conn, run):
                row.later(conn, WAIT_SECONDS)
                return None
            run_rows.begin_run(conn, row, run_id, digest_of(job))
        elif run.digest != digest_of(job):
            run_rows.note_error(conn, run_id, run.step, "", None, message("job.changed"))
            run_rows.end_run(conn, run_id, "failed")
            return None
    crash_point("run.after_begin")
    ctx = _context(tenant, job, run, plugins, clock)
    return Going(ctx, row, read_again(ctx, run_id), job, time.monotonic() + slice_seconds)


def _context(tenant: Tenant, job: Job, run: RunRow, plugins: Registry, clock: Clock) -> Context:
    """The engine, or whoever holds the role the job runs as: in the company of the run, or in every company."""
    ctx = system_context(tenant, plugins=plugins, clock=clock, request_id=f"run-{run.id}", run_as=job.address)
    if not job.run_as:
        return replace(ctx, actor=Actor.system(job.address, company_id=run.company_id))
    with tenant.read() as conn:
        everywhere = tuple(id for id, _ in companies_at_work(Unit(ctx, conn, "look", clock.now())))
    places = (run.company_id,) if run.company_id is not None else everywhere or (None,)
    actor = Actor.system(job.address, roles=tuple(Assignment(job.run_as, place) for place in places), company_id=run.company_id)
    return replace(ctx, actor=actor, plan=AccessPlan(ctx.revision, actor), system=False)


def _work(going: Going) -> Mapping[str, object]:
    while going.run.step < len(going.job.steps):
        step = going.job.steps[going.run.step]
        if not _wanted(going):
            write_run(going, lambda conn: run_rows.end_step(conn, going.row, going.run.id, going.run.step))
            continue
        if not (mass_step(going, step) if step.verb == "mass" else _records(going, step) if step.over_records else _whole(going, step)):
            return {"run": going.run.id, "step": going.run.step, "cursor": going.run.cursor}
    crash_point("run.before_end")
    status = "partial" if going.run.failed else "done"
    with going.ctx.tenant.write() as conn:
        run_rows.end_run(conn, going.run.id, status)
        going.row.settle(conn)
    return {"run": going.run.id, "status": status, "done": going.run.done, "failed": going.run.failed}


def _wanted(going: Going) -> bool:
    """A re-run leaves out the steps without records that went well."""
    run, step = going.run, going.job.steps[going.run.step]
    if run.rerun_of_id is None or step.entity:
        return True
    with going.ctx.tenant.read() as conn:
        stopped = run_rows.stopped_at(conn, run.rerun_of_id)
    return stopped is not None and run.step >= stopped


def _stop(going: Going, said: Message) -> None:
    """The run ends here as failed, with the reason."""
    with going.ctx.tenant.write() as conn:
        if run_rows.end_run(conn, going.run.id, "failed"):
            run_rows.note_error(conn, going.run.id, going.run.step, "", None, said)


# -- steps over records -------------------------------------------------------------------------------------------------


def _records(going: Going, step: JobStep) -> bool:
    """Goes on with the records of a step; False when there is more to do and the row was put back."""
    if going.run.step_begun < going.run.step:
        _begin_step(going, step)
        crash_point("run.after_step_begin")
    _leave_out_the_deadly(going, step)
    while True:
        ids = _next_ids(going, step)
        if not ids:
            write_run(going, lambda conn: run_rows.end_step(conn, going.row, going.run.id, going.run.step))
            return True
        for record_id in ids:
            if going.tired:
                with going.ctx.tenant.write() as conn:
                    going.row.later(conn)
                return False
            _one(going, step, record_id)
        going.run = read_again(going.ctx, going.run.id)


def _begin_step(going: Going, step: JobStep) -> None:
    with going.ctx.tenant.read() as conn:
        until_id, count = rows.extent(unit_of(going, conn), step.entity, *wanted_records(going, step, conn))
    write_run(going, lambda conn: run_rows.begin_step(conn, going.row, going.run.id, going.run.step, until_id=until_id, count=count))


def _leave_out_the_deadly(going: Going, step: JobStep) -> None:
    run = going.run
    if run.working_on is None or run.working_on <= run.cursor or going.row.attempts <= CAREFUL_FROM:
        return
    with going.ctx.tenant.read() as conn:
        deadly = going.row.died(conn) or going.row.attempts >= ATTEMPTS_MAX - 2
    if deadly:
        _note(going, step, run.working_on, message("job.deadly"))
        going.run = read_again(going.ctx, run.id)


def _next_ids(going: Going, step: JobStep) -> Sequence[int]:
    with going.ctx.tenant.read() as conn:
        condition, env, among = wanted_records(going, step, conn)
        return rows.next_ids(unit_of(going, conn), step.entity, condition, env, among, after=going.run.cursor, until=going.run.until_id, limit=BATCH)


def _one(going: Going, step: JobStep, record_id: int) -> None:
    """One record: done, no longer wanted, or written down as failed."""
    run = going.run
    if going.row.attempts >= CAREFUL_FROM:
        with going.ctx.tenant.write() as conn:
            run_rows.work_on(conn, going.row, run.id, record_id)
    crash_point("run.before_record")
    try:
        _perform(going, f"{step.entity}/{step.name}", record_id, lambda unit: _act(going, unit, step, record_id),
                 lambda conn: run_rows.advance(conn, going.row, run.id, record_id, "done"))
    except _Skip:
        with going.ctx.tenant.write() as conn:
            run_rows.advance(conn, going.row, run.id, record_id, "skipped")
    except (LeaseLost, RunEnded, Busy):
        raise
    except MetaloomError as error:
        _note(going, step, record_id, error.message)
    except Exception:
        log.exception("run %s: record %s of %s", run.id, record_id, step.entity)
        _note(going, step, record_id, message("job.broken", run=run.id))
    crash_point("run.after_record")


def _perform(going: Going, what: str, record_id: int | None, work: Callable[[Unit], ActionDone], moved: Callable[[Any], None]) -> None:
    """The work and the run's next place in one transaction; a dry run keeps the place alone."""
    dry = going.run.dry_run

    def both(unit: Unit) -> ActionDone:
        done = work(unit)
        if dry:
            raise Tried
        moved(unit.conn)
        return done

    try:
        perform(going.ctx, f"job:{going.job.address}", [going.run.id, what, record_id], both, reason=going.job.label.zh)
    except Tried:
        with going.ctx.tenant.write() as conn:
            moved(conn)


def _act(going: Going, unit: Unit, step: JobStep, record_id: int) -> ActionDone:
    condition, env, among = wanted_records(going, step, unit.conn)
    if not rows.still(unit, step.entity, condition, env, record_id):
        raise _Skip
    entity = unit.entity(step.entity)
    stored = rows.fetch(unit, step.entity, record_id, lock=True)
    assert stored is not None
    names = Live(unit, entity, stored)
    if step.verb == "notify":
        return _tell_of(going, unit, step, names, env)
    given = {name: evaluate.value(unit, entity, text, names, env) for name, text in step.values.items()}
    given = {name: value["id"] if isinstance(value, Mapping) else value for name, value in given.items()}
    action = unit.catalog.actions.get(f"{step.entity}/{step.name}")
    if action is not None:
        return action_in(unit, action, record_id, given, stored["row_version"])
    declared = next(c for c in unit.ctx.plugins.commands() if c.on == step.entity and c.name == step.name)
    return command_in(unit, declared, record_id, given, stored["row_version"])


def _tell_of(going: Going, unit: Unit, step: JobStep, record: Live, env: Env) -> ActionDone:
    """People are told of one record, each in the words that they may read."""
    entity, stored = unit.entity(step.entity), record.raw
    to = receivers(unit, step.to, entity, stored, lambda text: evaluate.value(unit, entity, text, record, env))
    tell(unit, to, replace(_telling(unit, going, step), entity=entity.address, record_id=stored["id"]))
    return ActionDone(entity.address, stored["id"], stored["row_version"], message("command.done", action=going.job.label))


def _telling(unit: Unit, going: Going, step: JobStep) -> Telling:
    """The words of a step: its template's, or its own."""
    template = unit.catalog.messages.get(step.name)
    said = of_template(template) if template is not None else Telling(kind="job", subject=step.subject or going.job.label, body=step.body)
    return replace(said, channels=step.channels, urgent=step.urgent)


def _note(going: Going, step: JobStep, record_id: int, said: Message) -> None:
    run = going.run
    with going.ctx.tenant.write() as conn:
        run_rows.advance(conn, going.row, run.id, record_id, "failed")
        run_rows.note_error(conn, run.id, run.step, step.entity, record_id, said)


# -- steps without records ----------------------------------------------------------------------------------------------


def _whole(going: Going, step: JobStep) -> bool:
    """A step in one transaction; when it fails the run ends there."""
    run = going.run

    def moved(conn: Any) -> None:
        run_rows.count_whole(conn, going.row, run.id, "done")
        run_rows.end_step(conn, going.row, run.id, run.step)

    try:
        if step.verb == "evaluate_warnings":
            _evaluate(going, step, moved)
        elif step.verb == "hold":
            hold(going, step)
            with going.ctx.tenant.write() as conn:
                moved(conn)
        else:
            work = {"run": _run_command, "close_months": _close_months, "move_business_date": _move_on}.get(step.verb, _tell)
            _perform(going, step.verb, None, lambda unit: work(going, unit, step), moved)
    except (LeaseLost, RunEnded, Busy):
        raise
    except Exception as error:
        if not isinstance(error, MetaloomError):
            log.exception("run %s: step %s", run.id, run.step)
        with going.ctx.tenant.write() as conn:
            run_rows.count_whole(conn, going.row, run.id, "failed")
            said = error.message if isinstance(error, MetaloomError) else message("job.broken", run=run.id)
            for entity, record, words_ in (("", None, said), *(error.breaches if isinstance(error, DoesNotHold) else ())):
                run_rows.note_error(conn, run.id, run.step, entity, record, words_)
            run_rows.end_run(conn, run.id, "failed")
            if isinstance(error, DoesNotHold):
                unit = unit_of(going, conn)
                notify(unit, _people(unit, step, run), kind="job", subject=said, link=f"/e/platform.scheduled_run/{run.id}")
            going.row.settle(conn)
        return False
    going.run = read_again(going.ctx, run.id)
    return True


def _evaluate(going: Going, step: JobStep, moved: Callable[[Any], None]) -> None:
    """Rules are evaluated in transactions of their own; doing it twice gives what doing it once gives. All of them over a million records take
    longer than a lease lasts."""
    def go_on() -> None:
        with going.ctx.tenant.write() as conn:
            going.row.extend(conn)

    evaluate_warnings(going.ctx, step.names or None, dry_run=going.run.dry_run, go_on=go_on)
    with going.ctx.tenant.write() as conn:
        moved(conn)


def _close_months(going: Going, unit: Unit, step: JobStep) -> ActionDone:
    close_months(going, unit, step, _people(unit, step, going.run))
    return ActionDone("", None, None, message("command.done", action=going.job.label))


def _move_on(going: Going, unit: Unit, step: JobStep) -> ActionDone:
    said = move_on(going, unit, step)
    return ActionDone("", None, None, said or message("command.done", action=going.job.label))


def _run_command(going: Going, unit: Unit, step: JobStep) -> ActionDone:
    declared = unit.ctx.plugins.command(step.name)
    if declared is None:
        raise MetaloomError(message("command.no_command", name=step.name))
    env = env_of(unit, going.run)
    given = {name: evaluate.run(evaluate.checked(Scope(user=USER_NAMES), text), {}, env) for name, text in step.values.items()}
    return command_in(unit, declared, None, given, None)


def _tell(going: Going, unit: Unit, step: JobStep) -> ActionDone:
    run = going.run
    if step.when == "always" or run.failed:
        facts = {"done": run.done, "failed": run.failed, "day": env_of(unit, run).business_date or ""}
        said = _telling(unit, going, step)
        tell(unit, _people(unit, step, run), replace(said, subject=_said(said.subject, facts), link=f"/e/platform.scheduled_run/{run.id}",
                                                     body=_said(said.body, facts) if said.body is not None else None))
    return ActionDone("", None, None, message("command.done", action=going.job.label))


def _said(said: Said, facts: Mapping[str, object]) -> Said:
    return words(said, **facts) if isinstance(said, Text) else said


def _people(unit: Unit, step: JobStep, run: RunRow) -> list[int]:
    """Holders of roles for the run's company or for every one; and people found by login or post."""
    house = People(unit, COMPANY, {"company": run.company_id}, 0)
    found = [_holders(unit, [who.value], run) if who.kind == "role" else house.found_by(who) for who in step.to]
    return [*dict.fromkeys(user_id for several in found for user_id in several)]


def _holders(unit: Unit, roles: Sequence[str], run: RunRow) -> list[int]:
    """Who holds one of the roles today, for the run's company or for every one."""
    today = unit.now.date()
    held = rows.find(unit, "platform.role_assignment", {"role": list(roles)})
    return sorted({one["user"] for one in held if one["company"] in (None, run.company_id) or run.company_id is None
                   if (one["valid_from"] or today) <= today <= (one["valid_to"] or today)})
