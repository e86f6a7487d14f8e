"""What the worker does for processes: one step of one run, exactly once, whoever takes the row and however often.

A run says itself what is to be done next (its status) and since which event (``armed``); a row that names another event is stale
and does nothing. A provider is asked outside every transaction, with the reference and the request that were committed before;
the worker that takes over after a death asks again with the same ones. What cannot be done is written down, and people are told.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

from metaloom.base.clock import Clock, SystemClock
from metaloom.base.crash import crash_point
from metaloom.base.errors import Busy, Invalid, MetaloomError, NotFound, NotPossible
from metaloom.base.messages import Message, message, register
from metaloom.command import process_rows
from metaloom.command.context import ActionDone, Context
from metaloom.command.handle_call import DEADLINE_SECONDS, ask, system_context
from metaloom.command.inputs import read_fields
from metaloom.command.process_run import KIND, SEALED, ProcessRun, done, locked_run, look, make_happen, why_of
from metaloom.command.run_action import input_scope
from metaloom.command.steps import run_steps
from metaloom.command.unit import Unit, perform
from metaloom.command.work import PAYLOAD_ADDRESS
from metaloom.expression import ExpressionError
from metaloom.job.outbox import ATTEMPTS_MAX
from metaloom.lifecycle import Happening
from metaloom.lifecycle.run import AGAIN, CALLING, MANUAL, READY, SETTLED, TASK, WAITING
from metaloom.model import ProcessStep
from metaloom.plugin import PluginFault
from metaloom.plugin.doors import DOORS
from metaloom.plugin.registry import Registry, installed
from metaloom.storage import Tenant

Asking = Callable[[Context, Mapping[str, Any], float], dict[str, Any]]
LOOK_AGAIN = timedelta(minutes=15)
log = logging.getLogger("metaloom.process")

register({
    "process.gone_action": ("流程要执行的操作“{name}”已不存在。", "The action “{name}” that the process runs is gone."),
    "process.no_date": ("等待的日期没有填写。", "The date it should wait for is empty."),
    "process.fault": ("系统出现意外情况：{what}", "Something unexpected happened: {what}"),
})  # fmt: skip


def handle_process(tenant: Tenant, row: Any, *, plugins: Registry | None = None, clock: Clock | None = None,
                   deadline: float = DEADLINE_SECONDS, asking: Asking = ask) -> Mapping[str, Any]:
    """Carries out one outbox row of kind ``process.step``; says in which status the run is afterwards. ``asking`` asks the provider."""
    payload: Mapping[str, Any] = row["payload"] if isinstance(row, Mapping) else row.payload
    key = row["key"] if isinstance(row, Mapping) else row.key
    ctx = system_context(tenant, plugins=plugins or installed(), clock=clock or SystemClock(), request_id=key[:64], run_as="process")
    crash_point("process.claimed")
    asked: dict[str, Any] = {}
    try:
        said = perform(ctx, KIND, dict(payload), lambda unit: step_in(unit, payload, asked))
    except NotFound:
        return {"status": "gone"}
    except Busy:
        raise
    except Exception as error:
        if not _is_told(error) and getattr(row, "attempts", ATTEMPTS_MAX) < ATTEMPTS_MAX:
            raise
        said = _note(ctx, payload, error)
    if asked:
        said = _answered(ctx, payload, asked, deadline, asking)
    elif said.results.get("wait") is not None and not isinstance(row, Mapping):
        with tenant.write() as conn:
            row.later(conn, said.results["wait"])
    return {"run": payload["run"], "status": said.results.get("status", "")}


def _is_told(error: Exception) -> bool:
    """Whether trying again would only give the same sentence."""
    return isinstance(error, (MetaloomError, PluginFault, ExpressionError))


def wake_runs(ctx: Context) -> int:
    """Has the worker look at every run whose instant has come by the clock of ``ctx``; how many there are (tests of metadata)."""
    with ctx.tenant.read() as conn:
        due = process_rows.due_runs(conn, ctx.revision.tables, ctx.clock.now())

    def work(unit: Unit) -> ActionDone:
        for run_id in due:
            look(unit, run_id)
        return ActionDone("", None, None, message("command.done", action=KIND))

    perform(ctx, "process.wake", due, work)
    return len(due)


# -- one step ----------------------------------------------------------------------------------------------------------------


def step_in(unit: Unit, payload: Mapping[str, Any], asked: dict[str, Any]) -> ActionDone:
    """Whatever the run is ready for now; ``asked`` is filled when a provider is to be asked outside."""
    run = locked_run(unit, payload["run"])
    unit.reason = run.reason()
    unit.memory["process run", run.id] = True
    state, looks = run.state, bool(payload.get("look"))
    if state.ended or not looks and state.armed != payload.get("armed"):
        return done(run)
    if why := _cancelled(run):
        make_happen(run, Happening("cancel", {"why": why_of(why)}))
        return done(run)
    if state.wake is not None and not (looks and state.status == WAITING):
        wait = (datetime.fromisoformat(state.wake) - unit.now).total_seconds()
        if wait > 0:
            return done(run) if looks else done(run, wait=wait)
    if state.status == CALLING:
        asked.update({} if looks else {"visit": state.visit, "attempt": state.attempt, **_question(run)})
        return done(run)
    return _STATUS[state.status](run, looks)


def _cancelled(run: ProcessRun) -> Message | None:
    if run.record is None or run.record.get("archived_at") is not None:
        return message("process.gone_record")
    if run.process.cancel and run.frame((), "cancel").holds(run.process.cancel):
        return message("process.cancelled_by_record")
    return None


def _ready(run: ProcessRun, looks: bool) -> ActionDone:
    _READY[run.process.steps[run.state.step].type](run, run.process.steps[run.state.step])
    return done(run)


def _action(run: ProcessRun, step: ProcessStep) -> None:
    """The steps of a named action with its input, or the step's own; the rows to keep are remembered."""
    steps, given = step.steps, {}
    if step.action:
        action = run.unit.catalog.actions.get(f"{run.process.entity}/{step.action}")
        if action is None:
            raise NotPossible(message("process.gone_action", name=step.action))
        outer = run.frame((), step.name)
        values = {name: _plain(outer.value(text)) for name, text in step.values.items()}
        given = read_fields(run.unit, action.input.fields, values, entity=outer.entity, record=run.record, scope=input_scope(run.unit, action), trusted=True)
        frame = replace(outer, action=action, input=given, lets={})
        steps = action.steps
    else:
        frame = run.frame(steps, step.name)
    run_steps(frame, steps)
    run.record = frame.record
    crash_point("process.acted")
    make_happen(run, Happening("done", {"result": {name: {"row": frame.lets[name].id} for name in step.keep if name in frame.lets}}), step.name)


def _call(run: ProcessRun, step: ProcessStep) -> None:
    """The request is made once, and kept with its reference: every try asks the same."""
    data: dict[str, Any] = {"method": step.again or step.method if run.state.attempt else step.method}
    if not run.state.reference:
        frame = run.frame((), step.name)
        reference = frame.value(step.reference) if step.reference else f"{run.unit.ctx.tenant.name}-p{run.id}-{run.state.visit}"
        if not isinstance(reference, str) or not 0 < len(reference) <= 64:
            raise NotPossible(message("process.fault", what="reference"))
        text = json.dumps(_made(frame, step.request), ensure_ascii=False, default=str)
        data |= {"reference": reference, "request": run.unit.ctx.tenant.secrets.encrypt(SEALED, text)}
    make_happen(run, Happening("prepared", data), step.name)


def _made(frame: Any, tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _made(frame, inner) for name, inner in tree.items()}
    return [_made(frame, inner) for inner in tree] if isinstance(tree, (list, tuple)) else _sendable(frame.value(tree))


def _sendable(value: Any) -> Any:
    """Values in the words of the wire: exact numbers and dates as text."""
    value = _plain(value)
    return value.isoformat() if hasattr(value, "isoformat") else value if isinstance(value, (bool, int, type(None))) else str(value)


def _plain(value: Any) -> Any:
    return value["id"] if isinstance(value, Mapping) and "id" in value else value


def _wait(run: ProcessRun, step: ProcessStep) -> None:
    until = _until(run, step)
    if step.condition and run.frame((), step.name).holds(step.condition) or until is not None and run.unit.now >= until:
        make_happen(run, Happening("holds"), step.name)
        return
    at = run.unit.now + LOOK_AGAIN if step.condition else None
    make_happen(run, Happening("waits", {"until": until.isoformat() if until else None, "look": at.isoformat() if at else None}), step.name)


def _until(run: ProcessRun, step: ProcessStep) -> datetime | None:
    if step.lasts:
        return run.later(step.lasts, datetime.fromisoformat(run.state.since))
    if not step.at:
        return None
    found = run.frame((), step.name).value(step.at)
    if found is None:
        raise NotPossible(message("process.no_date"))
    return found if isinstance(found, datetime) else datetime.combine(found, time(), run.unit.ctx.tenant.zone)


def _task(run: ProcessRun, step: ProcessStep) -> None:
    make_happen(run, Happening("asked"), step.name)


def _branch(run: ProcessRun, step: ProcessStep) -> None:
    frame = run.frame((), step.name)
    chosen = next((way.next for way in step.ways if frame.holds(way.when)), step.next)
    make_happen(run, Happening("chose", {"next": chosen}), step.name)


_READY = {"action": _action, "call": _call, "wait": _wait, "task": _task, "branch": _branch}


def _again(run: ProcessRun, looks: bool) -> ActionDone:
    return _ready(run, looks)


def _settled(run: ProcessRun, looks: bool) -> ActionDone:
    make_happen(run, Happening("goes_on"))
    return done(run)


def _waiting(run: ProcessRun, looks: bool) -> ActionDone:
    """The condition first, then the instant, then the limit; else it is looked at again."""
    step, now = run.process.steps[run.state.step], run.unit.now
    until, due = (datetime.fromisoformat(text) if text else None for text in (run.state.until, run.state.due))
    if step.condition and run.frame((), step.name).holds(step.condition) or until is not None and now >= until:
        make_happen(run, Happening("holds"), step.name)
    elif due is not None and now >= due:
        make_happen(run, Happening("woke"), step.name)
    elif not looks:
        ends = [at for at in (until, due, now + LOOK_AGAIN if step.condition else None) if at is not None]
        return done(run, wait=max((min(ends) - now).total_seconds(), 0.0) if ends else None)
    return done(run)


def _task_waits(run: ProcessRun, looks: bool) -> ActionDone:
    make_happen(run, Happening("woke"))
    return done(run)


def _people_wait(run: ProcessRun, looks: bool) -> ActionDone:
    return done(run)


_STATUS = {READY: _ready, AGAIN: _again, SETTLED: _settled, WAITING: _waiting, TASK: _task_waits, MANUAL: _people_wait}


# -- asking outside ----------------------------------------------------------------------------------------------------------


def _question(run: ProcessRun) -> dict[str, Any]:
    """What the worker sends, as it was committed."""
    step, secrets = run.process.steps[run.state.step], run.unit.ctx.tenant.secrets
    request = {**json.loads(secrets.decrypt(SEALED, run.state.request)), "reference": run.state.reference}
    method = step.again if step.again and run.state.attempt > 1 else step.method
    return {"task": {"door": step.door, "provider": step.provider, "method": method, "sealed": secrets.encrypt(PAYLOAD_ADDRESS, json.dumps(request))},
            "let": step.let, "fields": step.reply, "seen": run.state.attempt}


def _answered(ctx: Context, payload: Mapping[str, Any], asked: Mapping[str, Any], deadline: float, asking: Asking) -> ActionDone:
    """Asks, and stores what came back. A second worker with the same row asks the same; the first answer stored counts."""
    crash_point("process.asking")
    task = asked["task"]
    reply = asking(ctx, task, deadline)
    crash_point("process.answered")
    door = DOORS[task["door"]]
    definite = reply.get("outcome") in door.definite
    return perform(ctx, KIND, [payload["run"], asked["visit"], asked["attempt"]], lambda unit: _answer_in(unit, payload, asked, reply, definite, door.details))


def _answer_in(unit: Unit, payload: Mapping[str, Any], asked: Mapping[str, Any], reply: Mapping[str, Any], definite: bool, details: str) -> ActionDone:
    run = locked_run(unit, payload["run"])
    unit.reason = run.reason()
    unit.memory["process run", run.id] = True
    inner = reply.get(details) if details else None
    values = {**(inner if isinstance(inner, Mapping) else {}), **{name: value for name, value in reply.items() if name != details}}
    data = {"outcome": str(reply.get("outcome") or ""), "code": str(reply.get("code") or "")[:100]}
    same = run.state.visit == asked["visit"] and run.state.reference != ""
    kept = {name: values.get(name) for name in asked["fields"]}
    if definite and (same and run.state.status in (CALLING, AGAIN, MANUAL) or run.state.ended):
        make_happen(run, Happening("answered", {**data, "result": run.sealed(asked["let"], kept)}))
    elif definite and run.state.status != SETTLED:
        make_happen(run, Happening("late", data))
    elif not definite and same and run.state.status == CALLING and run.state.attempt == asked["attempt"]:
        make_happen(run, Happening("unknown", {**data, "result": run.sealed(asked["let"], kept)}))
    return done(run)


# -- what cannot be done -----------------------------------------------------------------------------------------------------


def _note(ctx: Context, payload: Mapping[str, Any], error: Exception) -> ActionDone:
    """Writes down why the step cannot be done, and goes where the process says; if that cannot be done either, people are asked."""
    said = _sentence(error)
    log.warning("process run %s: %s", payload["run"], said.say("en"))
    try:
        return perform(ctx, KIND, [dict(payload), "erred"], lambda unit: _note_in(unit, payload, said, "erred"))
    except Exception as second:
        if isinstance(second, Busy):
            raise
        return perform(ctx, KIND, [dict(payload), "stuck"], lambda unit: _note_in(unit, payload, said, "stuck"))


def _note_in(unit: Unit, payload: Mapping[str, Any], said: Message, kind: str) -> ActionDone:
    run = locked_run(unit, payload["run"])
    unit.reason = run.reason()
    unit.memory["process run", run.id] = True
    if run.state.ended or not payload.get("look") and run.state.armed != payload.get("armed") or run.state.status == MANUAL:
        return done(run)
    step = run.process.steps.get(run.state.step)
    empty = run.sealed(step.let, {"outcome": "unavailable"}) if step is not None and step.type == "call" and step.let not in run.state.results else {}
    make_happen(run, Happening(kind, {"why": why_of(said), "result": empty}))
    return done(run)


def _sentence(error: Exception) -> Message:
    if isinstance(error, Invalid) and error.problems:
        return error.problems[0].message
    if isinstance(error, MetaloomError):
        return error.message
    return message("process.fault", what=type(error).__name__)
