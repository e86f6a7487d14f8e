"""A decision: bound to the version of the record that was shown, stored with everything that follows from it, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from metaloom.approval import Task
from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotFound, NotPossible, Problem
from metaloom.base.messages import Message, message
from metaloom.base.text import Text
from metaloom.command import approval_rows, check, rows
from metaloom.command.approval_case import TASK, Case, done, locked_case, make_move
from metaloom.command.approval_people import keys_of
from metaloom.command.approval_words import KINDS
from metaloom.command.bulk import BULK_MAX, Outcome
from metaloom.command.case_shown import refuse_unseen
from metaloom.command.context import ActionDone, Context
from metaloom.command.drawing import FIELD, Drawing, read_drawing
from metaloom.command.inputs import read_fields
from metaloom.command.opinion_files import columns_for, read_files, take_files
from metaloom.command.sign import confirm_identity
from metaloom.command.store import change_stored, check_version
from metaloom.command.unit import Unit, perform
from metaloom.command.upload_file import store_file
from metaloom.model import Decide, Field, FieldLevel

OPINION_MAX = 4_000
DECISIONS = ("pass", "reject", "return", "resolve")


@dataclass(frozen=True)
class Given:
    """What came with a decision."""

    decision: str
    opinion: str = ""
    outputs: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] | None = None
    attachments: Sequence[int] = ()
    record_version: int | None = None
    to: str | None = None
    then: str | None = None
    signed: bool = False
    drawing: Drawing | None = None

    @property
    def body(self) -> dict[str, Any]:
        """What makes a repeated request the same one."""
        return {**self.__dict__, "drawing": self.drawing.digest if self.drawing is not None else None}


def decide_task(ctx: Context, task_id: int, decision: str, opinion: str = "", outputs: Mapping[str, Any] | None = None,
                fields: Mapping[str, Any] | None = None, attachments: Sequence[int] = (), record_version: int | None = None,
                to: str | None = None, then: str | None = None, password: str = "", signature: str = "") -> ActionDone:
    """Decides a task: pass, reject, return (``to`` a step, ``then`` rerun or resume); resolve for a delegated one.

    ``fields``: values of record fields that the step gives ``write`` on; they are stored in the same transaction, by the rules of
    any change. ``outputs``: what the step asks for on passing; Invalid where they are None and one is required or has a first value, so that nobody decides
    by what was not seen; what a mapping leaves out takes its first value. Stale unless ``record_version`` is the record's present version.
    ``password``: the person's own, for a step that is signed; Invalid where it is wrong or missing there, TooMany after too many tries.
    ``signature``: a PNG in base64, drawn by hand, for a step that asks for one; Invalid for what is no PNG, too large, blank
    or drawn for another task.
    NotFound for a task of a case in which the person has no part, NotAllowed for somebody else's task, NotPossible when it was
    decided already.
    """
    if signature:
        _refuse_strangers_to(ctx, task_id)
    if password:
        confirm_identity(ctx, password)
    given = Given(decision, opinion, outputs, fields, tuple(attachments), record_version, to, then, bool(password),
                  read_drawing(signature) if signature else None)
    return perform(ctx, "decide_task", [task_id, given.body], lambda unit: decide_in(unit, task_id, given))


def _refuse_strangers_to(ctx: Context, task_id: int) -> None:
    """NotFound, before a picture is read, for who has no part in the case and does not see it."""
    with ctx.tenant.read() as conn:
        unit = Unit(ctx, conn, "look", ctx.clock.now())
        place = approval_rows.case_of_task(unit, task_id)
        if place is None:
            raise NotFound
        if ctx.actor.user_id not in approval_rows.parties(unit, place[0]):
            refuse_unseen(unit, place[0])


def decide_tasks(ctx: Context, tasks: Mapping[int, int | None], decision: str, opinion: str = "") -> tuple[Outcome, ...]:
    """The same decision on several tasks, each in a transaction of its own. ``tasks``: task → record version shown. Nothing is entered on the
    way: a task whose step asks for something when it passes is refused."""
    if len(tasks) > BULK_MAX:
        raise NotPossible(message("command.bulk_limit", limit=BULK_MAX))
    return tuple(_one(ctx, task_id, version, decision, opinion) for task_id, version in sorted(tasks.items()))


def _one(ctx: Context, task_id: int, version: int | None, decision: str, opinion: str) -> Outcome:
    own = ctx.with_key(f"{ctx.idempotency_key}/{task_id}") if ctx.idempotency_key else ctx
    try:
        return Outcome(task_id, decide_task(own, task_id, decision, opinion, record_version=version).message)
    except MetaloomError as error:
        return Outcome(task_id, error.message, error)


def decide_in(unit: Unit, task_id: int, given: Given) -> ActionDone:
    """The same inside a running unit."""
    if given.decision not in DECISIONS:
        raise Invalid([Problem("decision", message("field.choice"))])
    case, no = task_of(unit, task_id)
    task = case.state.tasks[no]
    if not unit.ctx.system:
        if given.record_version is None:
            raise Invalid([Problem("record_version", message("approval.version_missing"))])
        check_version(unit, case.chain.entity, case.record, given.record_version)
    data = _read(unit, case, task, given)
    _write_fields(case, task, given.fields or {}, complete=given.decision == "pass")
    files = read_files(unit, given.attachments)
    data["attachments"] = files
    drawn = [_kept(unit, task_id, given.drawing, data)] if given.drawing is not None else []
    more = {"record_version": case.record["row_version"], **columns_for(unit, task_id, [*files, *drawn])}
    make_move(case, given.decision, unit.ctx.actor.user_id or 0, no, data, more)
    step = _step(case, task)
    if step is not None and step.sign and given.decision != "resolve" and not given.signed and not unit.ctx.system:
        raise Invalid([Problem("password", message("sign.needed"))])       # after who may not, and takes back what was made
    take_files(unit, task_id, [*files, *drawn])
    return done(case, message("approval.decided", decision=Text(*KINDS[given.decision])), task=task_id)


def _kept(unit: Unit, task_id: int, drawing: Drawing, data: dict[str, Any]) -> int:
    """The drawing as a file; the decision names it with its digest, so that the log says which picture was drawn. No hand draws the
    same twice: Invalid for a picture that came with another task."""
    if approval_rows.came_with_another(unit, drawing.digest, TASK, task_id):
        raise Invalid([Problem(FIELD, message("drawing.used"))])
    file_id = store_file(unit, f"signature-{task_id}.png", drawing.png)
    data["signature"] = {"file": file_id, "digest": drawing.digest}
    return file_id


def task_of(unit: Unit, task_id: int) -> tuple[Case, int]:
    """The locked case of a task and the task's number, for somebody who has part in the case and still reads the record."""
    place = approval_rows.case_of_task(unit, task_id)
    if place is None:
        raise NotFound
    case = locked_case(unit, place[0])
    refuse_strangers(case)
    return case, place[1]


def refuse_strangers(case: Case) -> None:
    """NotFound for who has no part in the case; NotAllowed for who has one and may not read the record any more."""
    ctx, user = case.unit.ctx, case.unit.ctx.actor.user_id
    if ctx.system:
        return
    parties = approval_rows.parties(case.unit, case.id)
    keys_of(case.unit).update(parties)
    if user is None or user not in parties:
        if user is None or not (user in case.facts.admins() or case.facts.has_role(user, case.chain.allow.terminate)):
            raise NotFound
        return
    if not case.facts.may_read(user) and user not in case.facts.admins():
        raise NotAllowed(message("approval.may_not_read"))


def _read(unit: Unit, case: Case, task: Task, given: Given) -> dict[str, Any]:
    """The data of the move: opinion, outputs in their types, where to."""
    problems: list[Problem] = []
    if not isinstance(given.opinion, str) or len(given.opinion) > OPINION_MAX:
        problems.append(Problem("opinion", message("field.length", limit=OPINION_MAX)))
    step = _step(case, task)
    declared = step.outputs if step is not None else {}
    outputs = dict(given.outputs or {})
    problems += [Problem(f"outputs.{name}", message("field.unknown")) for name in outputs if name not in declared]
    if problems:
        raise Invalid(problems)
    data: dict[str, Any] = {"opinion": given.opinion.strip(), "signed": given.signed}
    if given.decision == "return":
        data |= {"to": given.to, "then": given.then}
    if step is not None and step.filled_in and given.decision == "pass" and given.outputs is None and not unit.ctx.system:
        said = message("approval.outputs_missing", labels=_labels(step.filled_in))
        raise Invalid([Problem("outputs", said)], said)
    if declared and given.decision in ("pass", "resolve"):
        data["outputs"] = _outputs(unit, case, declared, outputs, required=given.decision == "pass")
    return data


def _labels(fields: Sequence[Field]) -> Text:
    return Text("、".join(one.label.zh for one in fields), ", ".join(one.label.en for one in fields))


def _outputs(unit: Unit, case: Case, declared: Mapping[str, Field], given: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    if not required and not given:
        return {}
    try:
        values = read_fields(unit, declared, given, entity=unit.entity(case.chain.entity), record=case.record,
                             scope=case.facts.output_scope(declared), more=case.facts.lets())
    except Invalid as wrong:
        raise Invalid([Problem(f"outputs.{p.field}", p.message) for p in wrong.problems]) from None
    return {name: as_json(value) for name, value in values.items() if value is not None}


def as_json(value: Any) -> Any:
    """A typed value as the log keeps it: decimals and dates are text."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    return [as_json(item) for item in value] if isinstance(value, (tuple, list)) else value


def _step(case: Case, task: Task) -> Decide | None:
    step = next((s for s in case.chain.every_step() if s.name == task.step), None)
    return step if isinstance(step, Decide) else None


def _write_fields(case: Case, task: Task, given: Mapping[str, Any], *, complete: bool) -> None:
    """Stores what the step lets its deciders enter: only fields that the person reads, by the rules of any change.

    ``complete``: what the step requires must be there afterwards.
    """
    unit, step = case.unit, _step(case, task)
    offered = {name for name, level in step.fields.items() if level in ("write", "required")} if step is not None else set()
    problems = [Problem(f"fields.{name}", message("approval.field_not_offered")) for name in given if name not in offered]
    if problems:
        raise Invalid(problems)
    if given:
        try:
            with _writable(case, offered):
                case.record = change_stored(unit, case.chain.entity, case.record, given)
        except Invalid as wrong:
            raise Invalid([Problem(f"fields.{p.field}", p.message) for p in wrong.problems]) from None
        case.facts.record = case.record
    missing = [name for name, level in (step.fields.items() if step is not None else ()) if level == "required"
               and case.record.get(name) in check.EMPTY]
    if complete and missing:
        raise Invalid([Problem(f"fields.{name}", message("field.required")) for name in missing])


@contextmanager
def _writable(case: Case, names: set[str]) -> Iterator[None]:
    """For this change the fields count as writable wherever the person reads them in the clear."""
    unit, key = case.unit, ("levels", case.chain.entity, case.record["id"])
    if unit.ctx.system:
        yield
        return
    levels = dict(rows.standing(unit, case.chain.entity, case.record["id"])[1])
    unit.memory[key] = {name: FieldLevel.WRITE if name in names and level >= FieldLevel.READ else min(level, FieldLevel.READ)
                        for name, level in levels.items()}
    try:
        yield
    finally:
        unit.memory[key] = levels


def said(kind: str) -> Message:
    return message("approval.moved", kind=Text(*KINDS[kind]))
