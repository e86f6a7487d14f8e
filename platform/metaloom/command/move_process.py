"""What people do with processes: start one by hand, try a step again, go on with a result they enter, give up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.base.errors import Invalid, NotAllowed, NotFound, NotPossible, Problem, Stale
from metaloom.base.messages import message, register, words
from metaloom.base.text import Text
from metaloom.command import rows
from metaloom.command.approval_people import ADMIN, People
from metaloom.command.context import ActionDone, Context
from metaloom.command.evaluate import holds
from metaloom.command.inputs import read_fields
from metaloom.command.live import Live
from metaloom.command.process_run import RUN, ProcessRun, begin_run, done, locked_run, make_happen
from metaloom.command.store import check_version, locked_for
from metaloom.command.unit import Unit, perform
from metaloom.compile import values_scope
from metaloom.lifecycle import Happening
from metaloom.lifecycle.run import MANUAL, TASK
from metaloom.model import Field, FieldType, Process, ProcessStep
from metaloom.plugin.doors import DOORS

REASON_MAX = 500
VERBS = ("retry", "submit", "give_up")

register({
    "process.not_by_hand": ("“{process}”不能手工发起。", "“{process}” is not started by hand."),
    "process.may_not_start": ("您不能发起“{process}”。", "You may not start “{process}”."),
    "process.may_not_handle": ("您没有处理该流程的权限。", "You may not handle this process."),
    "process.not_the_starter": ("发起人不能自己填写结果，请由他人处理。", "Whoever started it may not enter the result; let somebody else do it."),
    "process.why_by_hand": ("请说明结果的依据。", "Say what the result rests on."),
    "process.outcome": ("结果只能是：{known}", "The outcome is one of: {known}"),
    "process.moved_on": ("流程已有新的进展，请刷新后再处理。", "The run has moved on; look at it again first."),
})  # fmt: skip


def start_process(ctx: Context, entity: str, id: int, process: str, row_version: int | None = None) -> ActionDone:
    """Starts a process about a record. NotFound, NotAllowed without a role it names, NotPossible while one is open already."""
    return perform(ctx, "start_process", [entity, id, process, row_version], lambda unit: _start_in(unit, entity, id, process, row_version))


def _start_in(unit: Unit, entity: str, record_id: int, name: str, row_version: int | None) -> ActionDone:
    process = unit.catalog.processes.get(f"{entity}/{name}")
    if process is None:
        raise NotFound
    record = locked_for(unit, entity, record_id, "read")
    if row_version is not None:
        check_version(unit, entity, record, row_version)
    if process.by_hand is None:
        raise NotPossible(message("process.not_by_hand", process=process.label))
    if not may_start(unit, process, record):
        raise NotAllowed(message("process.may_not_start", process=process.label))
    if not may_begin(unit, process, record):
        raise NotPossible(words(process.by_hand.message) if process.by_hand.message else message("command.condition", action=process.label))
    run = begin_run(unit, process, record)
    return done(run, message("process.started", process=process.label))


def may_start(unit: Unit, process: Process, record: Mapping[str, Any]) -> bool:
    """Whether the person holds a role that starts it by hand, for this record."""
    if process.by_hand is None:
        return False
    return unit.ctx.system or unit.ctx.actor.user_id in People(unit, process.entity, record, 0).holders(process.by_hand.roles)


def may_begin(unit: Unit, process: Process, record: Mapping[str, Any]) -> bool:
    """Whether its condition is met."""
    entity, company = unit.entity(process.entity), record.get("company")
    when = process.by_hand.when if process.by_hand is not None else ""
    return not when or holds(unit, entity, when, Live(unit, entity, record), unit.env(company if isinstance(company, int) else None))


def retry_process(ctx: Context, run_id: int, seq: int | None = None) -> ActionDone:
    """Tries the step again that waits for people; a call with the same reference and request as before."""
    return perform(ctx, "retry_process", [run_id, seq], lambda unit: _move_in(unit, "retry", run_id, {}, "", seq))


def continue_by_hand(ctx: Context, run_id: int, result: Mapping[str, Any], reason: str = "", seq: int | None = None) -> ActionDone:
    """Goes on with a result that is entered: of a task, or in the place of a step that could not be done (then with a reason).

    Not for whoever started the run, unless the process allows it: an answer from outside is not replaced by the one who asked.
    """
    return perform(ctx, "continue_process", [run_id, dict(result), reason, seq], lambda unit: _move_in(unit, "submit", run_id, result, reason, seq),
                   reason=reason[:REASON_MAX])


def give_up_process(ctx: Context, run_id: int, reason: str, seq: int | None = None) -> ActionDone:
    """Ends the run as failed; steps gone through are undone where the process says how."""
    return perform(ctx, "give_up_process", [run_id, reason, seq], lambda unit: _move_in(unit, "give_up", run_id, {}, reason, seq), reason=reason[:REASON_MAX])


def _move_in(unit: Unit, verb: str, run_id: int, result: Mapping[str, Any], reason: str, seq: int | None) -> ActionDone:
    run = locked_run(unit, run_id)
    refuse_unseen(unit, run.row, run.process)
    if not may_handle(run):
        raise NotAllowed(message("process.may_not_handle"))
    if verb == "submit" and not may_submit(run):
        raise NotAllowed(message("process.not_the_starter") if is_starter(run) else message("process.may_not_handle"))
    if seq is not None and seq != run.state.seq:
        raise Stale(message("process.moved_on"))
    if len(reason) > REASON_MAX:
        raise Invalid([Problem("reason", message("record.too_long", limit=REASON_MAX, found=len(reason)))])
    data: dict[str, Any] = {"by": unit.ctx.actor.user_id or 0}
    if verb == "give_up":
        data["why"] = reason.strip()
    if verb == "submit":
        data |= _entered(run, result, reason)
    make_happen(run, Happening(verb, data))
    return done(run)


def _entered(run: ProcessRun, given: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """The result as the log keeps it; Invalid lists what does not fit."""
    if run.state.status not in (MANUAL, TASK):
        raise NotPossible(message("process.not_waiting"))
    if run.state.status == MANUAL and not reason.strip():
        raise Invalid([Problem("reason", message("process.why_by_hand"))])
    step = run.process.steps[run.state.step]
    asked = asked_of(step)
    values = read_fields(run.unit, asked, given, entity=None, record=None, scope=values_scope(run.unit.catalog, asked))
    if step.type == "call":
        known = sorted(DOORS[step.door].definite)
        if values["outcome"] not in known:
            raise Invalid([Problem("outcome", message("process.outcome", known=" / ".join(known)))])
    return {"result": run.sealed(step.let, values), "outcome": str(values.get("outcome") or ""), "why": reason.strip()}


def asked_of(step: ProcessStep) -> dict[str, Field]:
    """What is entered by hand for a step: the result of a task; in the place of a call its outcome, words, and the declared result."""
    if step.type != "call":
        return dict(step.result)
    return {"outcome": Field("outcome", FieldType.TEXT, Text("结果", "Outcome"), required=True, length=60),
            "text": Field("text", FieldType.TEXT, Text("说明", "Words"), length=200), **step.result}


# -- who may -----------------------------------------------------------------------------------------------------------------


def refuse_unseen(unit: Unit, row: Mapping[str, Any], process: Process) -> None:
    """NotFound for somebody who may neither read the record nor the list of runs."""
    if unit.ctx.system:
        return
    if process.entity in unit.catalog.entities and "read" in rows.standing_or_none(unit, process.entity, row["record_id"]):
        return
    if "read" not in rows.standing_or_none(unit, RUN, row["id"]):
        raise NotFound


def may_handle(run: ProcessRun) -> bool:
    """Whether the run waits for this person: a holder of the step's roles for the record, or an administrator."""
    return run.unit.ctx.system or run.unit.ctx.actor.holds_everywhere(ADMIN) or _holds_role(run)


def may_submit(run: ProcessRun) -> bool:
    """A result is entered by holders of the roles alone; not by the starter in the place of the outside."""
    if run.unit.ctx.system:
        return True
    return _holds_role(run) and not (run.state.status == MANUAL and is_starter(run) and not run.process.starter_may)


def _holds_role(run: ProcessRun) -> bool:
    return run.unit.ctx.actor.user_id in run.people.holders(run.process.roles_of(run.state.step))


def is_starter(run: ProcessRun) -> bool:
    """By person: a second account of the starter is the starter."""
    user = run.unit.ctx.actor.user_id
    return bool(run.state.by) and user is not None and rows.same_person(run.unit, run.state.by, user)
