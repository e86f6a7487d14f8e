"""One move of one run of a process, whole or not at all: the frame that every process command works in.

Locks are taken in one order everywhere: the record, then its run. The definition is the one the run began under, found by its
digest. The heart (``lifecycle.process``) says what a happening makes of the run; here its events are stored, the row follows the
state, an outbox row is written for the instant at which the engine looks again, people are told, and at an end the record
undergoes what the definition says, in the unit's one transaction.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metaloom import lifecycle
from metaloom.base.codec import Codec, digest
from metaloom.base.crash import crash_point
from metaloom.base.errors import NotFound, NotPossible
from metaloom.base.messages import Message, known_codes, message, register, words
from metaloom.base.text import Text
from metaloom.command import process_rows, rows
from metaloom.command.approval_people import People
from metaloom.command.context import ActionDone
from metaloom.command.deadlines import deadline
from metaloom.command.live import Loose, linked
from metaloom.command.notify import notify
from metaloom.command.steps import Let, Run, run_steps
from metaloom.command.unit import ENDINGS, Unit
from metaloom.compile import process_names
from metaloom.compile.build_process import steps_action
from metaloom.compile.scope import USER
from metaloom.lifecycle import Happening, RunEvent, RunState
from metaloom.lifecycle.run import MANUAL, TASK
from metaloom.model import Field, Process, Step
from metaloom.record.values import BadValue, Reading, read
from metaloom.storage.outbox import put

RUN = "platform.process_run"
KIND = "process.step"
SEALED = "engine/process/answer"
KEPT_MAX = 500
_CODEC = Codec()
_kept: dict[str, Process] = {}

register({
    "process.already_running": ("“{process}”正在进行，不能重复发起。", "“{process}” is running for this record already."),
    "process.gone_record": ("记录已归档或删除", "The record was archived or deleted"),
    "process.cancelled_by_record": ("记录已不需要该流程", "The record does not need it any more"),
    "process.started": ("已发起“{process}”。", "“{process}” was started."),
    "process.moved": ("流程“{process}”：{status}。", "Process “{process}”: {status}."),
    "process.needs_people": ("流程“{process}”需要人工处理：{step}", "Process “{process}” waits for you: {step}"),
    "process.in_process_gone": (
        "流程“{process}”正在进行（{step}），不能归档或删除。",
        "“{process}” is running (at: {step}), so this cannot be archived or deleted."),
    "process.by": ("流程“{process}”第 {run} 次运行，步骤“{step}”", "process “{process}”, run {run}, step “{step}”"),
})  # fmt: skip

STATUS: Mapping[str, Text] = {
    "ready": Text("处理中", "In progress"), "calling": Text("正在请求外部服务", "Asking outside"), "again": Text("等待重试", "Waiting to ask again"),
    "settled": Text("处理中", "In progress"), "waiting": Text("等待中", "Waiting"), "task": Text("待办理", "To be done"),
    "manual": Text("待人工处理", "Waits for people"), "done": Text("已完成", "Done"), "failed": Text("已失败", "Failed"),
    "cancelled": Text("已取消", "Cancelled"),
}


@dataclass
class ProcessRun:
    """A run while a command works on it; ``row`` is its stored row, ``record`` the record it is about (None: it is gone)."""

    unit: Unit
    id: int
    row: dict[str, Any]
    process: Process
    state: RunState
    record: Mapping[str, Any] | None

    @property
    def people(self) -> People:
        return People(self.unit, self.process.entity, self.record or {}, int(self.state.by))

    @property
    def step_label(self) -> Text:
        step = self.process.steps.get(self.state.step)
        return step.label if step is not None else self.process.label

    def later(self, limit: str, at: datetime) -> datetime:
        company = (self.record or {}).get("company")
        return deadline(self.unit, company if isinstance(company, int) else None, limit, at)

    # -- expressions and steps ------------------------------------------------------------------------------------------

    def frame(self, steps: tuple[Step, ...], name: str, given: Mapping[str, Any] | None = None) -> Run:
        """Steps of the process as an action on the record, which also knows ``run``, answers and kept rows."""
        assert self.record is not None
        return Run(self.unit, steps_action(self.process, steps, name), self.record, given or {}, self.lets())

    def lets(self) -> dict[str, Let]:
        scopes, sign = process_names(self.unit.catalog, self.process), self.state.digest
        started = {"started_by": linked(self.unit, USER, self.state.by or None), "started_at": datetime.fromisoformat(self.state.started_at)}
        found = {"run": Let(f"run@{sign}", scopes["run"], values=started)}
        for step in self.process.steps.values():
            if step.let:
                fields = step.reply or step.result
                found[step.let] = Let(f"{step.let}@{sign}", scopes[step.let], values=Loose(self.unit, fields, self._answer(step.let, fields)))
            for name, entity in step.keep.items():
                if name in scopes:
                    found[name] = Let(f"{name}@{sign}", scopes[name], entity, (self.state.results.get(name) or {}).get("row"))
        return found

    def _answer(self, name: str, fields: Mapping[str, Field]) -> dict[str, Any]:
        sealed = (self.state.results.get(name) or {}).get("sealed")
        return read_answer(self.unit, fields, json.loads(self.unit.ctx.tenant.secrets.decrypt(SEALED, sealed))) if sealed else {}

    def sealed(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """An answer as the log keeps it: what others say about people is nobody's to read in passing."""
        text = json.dumps(dict(values), ensure_ascii=False, default=_as_text)
        return {name: {"sealed": self.unit.ctx.tenant.secrets.encrypt(SEALED, text)}} if name else {}

    def reason(self) -> str:
        return message("process.by", process=self.process.label, run=self.id, step=self.step_label).say("zh")


def read_answer(unit: Unit, fields: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """The declared fields of an answer in their types; what does not fit is null."""
    how, found = Reading(unit.catalog.choices, unit.ctx.tenant.zone, bounds=False), {}
    for name, field in fields.items():
        try:
            found[name] = read(field, given.get(name), how)
        except BadValue:
            found[name] = None
    return found


def _as_text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


# -- finding and beginning ---------------------------------------------------------------------------------------------------


def locked_run(unit: Unit, run_id: int) -> ProcessRun:
    """The run and its record, both locked; NotFound when there is none."""
    subject = process_rows.subject_of(unit, run_id)
    if subject is None:
        raise NotFound
    record = rows.fetch(unit, *subject, lock=True) if subject[0] in unit.catalog.entities else None
    row = process_rows.run(unit, run_id)
    if row is None:
        raise NotFound
    return ProcessRun(unit, run_id, row, pinned_process(unit, row["process_digest"]), load_state(row["state"]), record)


def pinned_process(unit: Unit, name: str) -> Process:
    """The process with this digest, as it was when the first run began under it."""
    if name not in _kept:
        if len(_kept) >= KEPT_MAX:
            _kept.clear()
        _kept[name] = _CODEC.loads(Process, process_rows.definition(unit.conn, unit.tables, name))
    return _kept[name]


def digest_of(process: Process) -> str:
    """The name under which a process is kept."""
    return digest(_CODEC.dumps(process))


def _keep(unit: Unit, process: Process) -> str:
    body = _CODEC.dumps(process)
    name = digest(body)
    if name not in _kept or not process_rows.definition(unit.conn, unit.tables, name):
        process_rows.keep_definition(unit, name, process.entity, process.name, body)
    return name


def dump_state(state: RunState) -> str:
    """The canonical text of a run's state."""
    return _CODEC.dumps(state)


def load_state(text: str) -> RunState:
    """The state of a canonical text."""
    state: RunState = _CODEC.loads(RunState, text)
    return state


def begin_run(unit: Unit, process: Process, record: Mapping[str, Any]) -> ProcessRun:
    """Starts a run about a locked record; the acting person is its starter. One open run per record and process."""
    if process_rows.open_runs(unit.conn, unit.tables, process.entity, record["id"], process.name):
        raise NotPossible(message("process.already_running", process=process.label))
    kept, starter = _keep(unit, process), unit.ctx.actor.user_id or 0
    run = ProcessRun(unit, 0, {}, process, RunState("ready", kept), record)
    events = lifecycle.begin(process, kept, starter, unit.now, run.later)
    people = run.people
    run.row = {
        "entity": process.entity, "record_id": record["id"], "process": process.name, "process_digest": kept, "revision_number": unit.revision.number,
        "status": "ready", "starter_id": starter or None, "company_id": people.company, "org_unit_id": people.org_unit, "state": "{}",
        "started_at": unit.now, "open_key": f"{process.entity}/{record['id']}/{process.name}"}
    run.id = process_rows.new_run(unit, run.row)
    store(run, events, "start")
    return run


# -- moving ------------------------------------------------------------------------------------------------------------------


def make_happen(run: ProcessRun, what: Happening, command: str = "") -> None:
    """Lets something happen in the run, and everything that follows from it."""
    store(run, lifecycle.happen(run.process, run.state, what, run.unit.now, run.later), command or what.kind)


def store(run: ProcessRun, events: Sequence[RunEvent], command: str) -> None:
    """Appends events and lets everything else follow; no events, no change."""
    if not events:
        return
    before, unit = run.state, run.unit
    process_rows.add_events(unit, run.id, before.seq + 1, before.step, events)
    state = before if before.seq else RunState("ready")
    for event in events:
        state = lifecycle.fold(state, event)
    run.state = state
    _write(run, before, command)
    if state.wake is not None and state.armed > before.seq:
        arm(run)
    crash_point("process.stored")
    _tell(run, before)
    if state.ended and not before.ended:
        _end(run)


def _write(run: ProcessRun, before: RunState, command: str) -> None:
    unit, state = run.unit, run.state
    why = words_of(state.why) if state.why and not (state.ended and state.status == "done") else None
    values = {
        "status": state.status, "step": state.step or None, "state": dump_state(state), "seq": state.seq, "attempt": state.attempt,
        "reference": state.reference or run.row.get("reference"), "error": why.zh[:1000] if why else None, "error_en": why.en[:1000] if why else None,
        "since": _instant(state.since), "due_at": _instant(state.due), "wake_at": _instant(state.wake),
        "finished_at": unit.now if state.ended and not before.ended else run.row.get("finished_at"), "open_key": None if state.ended else run.row["open_key"]}
    process_rows.update_run(unit, run.id, values)
    run.row.update(values)
    unit.memory["process run", run.id] = True
    unit.log(unit.entity(RUN), run.id, {"status": before.status, "step": before.step} if before.seq else None,
             {"move": command, "status": state.status, "step": state.step, "entity": run.process.entity, "record_id": run.row["record_id"]})


def arm(run: ProcessRun) -> None:
    """An outbox row for the instant at which the engine looks again; ``armed`` tells an old one from the one that counts."""
    state, unit = run.state, run.unit
    at = _instant(state.wake)
    put(unit.conn, unit.tables, kind=KIND, payload={"run": run.id, "armed": state.armed}, key=f"{KIND}/{run.id}/{state.armed}",
        run_after=at if at is not None and at > unit.now else None)
    unit.rings = True


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _tell(run: ProcessRun, before: RunState) -> None:
    """Those who are asked now hear of it; who acts is not told of the own act."""
    state = run.state
    if state.status not in (MANUAL, TASK) or before.status == state.status and before.visit == state.visit or run.record is None:
        return
    people = [user for user in run.people.holders(run.process.roles_of(state.step)) if user != run.unit.ctx.actor.user_id]
    readers = [user for user in people if run.people.may_read(user, run.record["id"])]
    notify(run.unit, readers, kind="process.manual", subject=message("process.needs_people", process=run.process.label, step=run.step_label),
           entity=run.process.entity, record_id=run.record["id"], link=f"/process/{run.id}")


def _end(run: ProcessRun) -> None:
    """What an end does to the record; without success the steps gone through are undone first, the last one first."""
    state, process = run.state, run.process
    if run.record is None or run.record.get("archived_at") is not None:
        return
    parts = [(name, process.steps[name].undo) for name in reversed(state.passed) if state.status != "done" and process.steps[name].undo]
    for name, steps in [*parts, (state.status, process.results.get(state.status, ()))]:
        if steps:
            frame = run.frame(steps, name)
            run_steps(frame, steps)
            run.record = frame.record


def words_of(why: Mapping[str, Any]) -> Text:
    """The reason that an event holds, in words."""
    if "zh" in why:
        return Text(str(why["zh"]), str(why["en"]))
    if "text" in why:
        return Text(str(why["text"]), str(why["text"]))
    code = str(why.get("code") or "")
    if code in known_codes():
        said = message(code, **dict(why.get("slots") or {}))
        return Text(said.say("zh"), said.say("en"))
    return Text(code, code)


def why_of(said: Message) -> dict[str, str]:
    """A sentence as an event keeps it."""
    return {"zh": said.say("zh"), "en": said.say("en")}


# -- what starts and wakes runs ----------------------------------------------------------------------------------------------


def look_at_touched(unit: Unit) -> None:
    """Runs about records that this unit changed are looked at by the worker: what they wait for may be true now, or they end."""
    entities = _with_processes(unit)
    for entity, record_id in dict.fromkeys((e.entity, e.record_id) for e in unit.entries if e.entity in entities and e.record_id is not None):
        for row in process_rows.open_runs(unit.conn, unit.tables, entity, record_id):
            if ("process run", row["id"]) not in unit.memory and not _cancelled_at_once(unit, row):
                look(unit, row["id"])


def _cancelled_at_once(unit: Unit, row: Mapping[str, Any]) -> bool:
    """Ends a run that the record does not need any more in the change's own transaction, where its end does nothing to the record:
    the next run may begin with the next click."""
    process = pinned_process(unit, row["process_digest"])
    if not process.cancel or "cancelled" in process.results or any(step.undo for step in process.steps.values()):
        return False
    run = locked_run(unit, row["id"])
    if run.state.ended or run.record is None or not run.frame((), "cancel").holds(process.cancel):
        return False
    make_happen(run, Happening("cancel", {"why": why_of(message("process.cancelled_by_record"))}))
    return True


def _with_processes(unit: Unit) -> frozenset[str]:
    kept: frozenset[str] | None = unit.catalog.__dict__.get("_with_processes")
    if kept is None:
        kept = unit.catalog.__dict__["_with_processes"] = frozenset(p.entity for p in unit.catalog.processes.values())
    return kept


def look(unit: Unit, run_id: int) -> None:
    """Has the worker look at a run out of turn."""
    put(unit.conn, unit.tables, kind=KIND, payload={"run": run_id, "look": True}, key=f"{KIND}/{run_id}/look/{secrets.token_hex(8)}")
    unit.rings = True


ENDINGS.append(look_at_touched)


def refuse_in_process(unit: Unit, address: str, record: Mapping[str, Any]) -> None:
    """NotPossible while a run about the record is open: its work must not lose its object."""
    if address not in _with_processes(unit):
        return
    for row in process_rows.open_runs(unit.conn, unit.tables, address, record["id"]):
        process = pinned_process(unit, row["process_digest"])
        step = process.steps.get(row["step"] or "")
        raise NotPossible(message("process.in_process_gone", process=process.label, step=step.label if step is not None else "-"))


def done(run: ProcessRun, said: Message | None = None, **more: Any) -> ActionDone:
    """The answer of every process command."""
    version = run.record["row_version"] if run.record is not None else None
    return ActionDone(run.process.entity, run.row["record_id"], version,
                      said or message("process.moved", process=run.process.label, status=words(STATUS[run.state.status]).say(run.unit.ctx.locale)),
                      {"run": run.id, "status": run.state.status, **more})
