"""One move of one case, whole or not at all: the frame that every approval command works in.

Locks are taken in one order everywhere: the record, then its case. The chain is the one the case began under, found by its
digest. The heart (``approval``) says what a move makes of the case; here its events are stored, the rows of tasks follow the
state, the record undergoes what the chain's results say, timers are set and people are told, in the unit's one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metaloom import approval
from metaloom.approval import CaseState, Event, Move, Task, codec
from metaloom.approval.event import SYSTEM
from metaloom.base.crash import crash_point
from metaloom.base.errors import NotFound, NotPossible
from metaloom.base.messages import Message, message
from metaloom.command import approval_news, approval_rows, rows
from metaloom.command.approval_facts import RecordFacts
from metaloom.command.approval_words import BETWEEN, PLACES
from metaloom.command.context import ActionDone
from metaloom.command.steps import Let, Run, run_steps
from metaloom.command.unit import Unit
from metaloom.compile.build_approval import chain_names, effect_action
from metaloom.model import ApprovalChain, Fork
from metaloom.storage import together
from metaloom.storage.outbox import put

CASE, TASK = "platform.approval_case", "platform.approval_task"
TIMER, SUB_DONE = "approval.timer", "approval.sub_done"
CHAINS_KEPT = 500

_chains: dict[str, ApprovalChain] = {}


@dataclass
class Case:
    """A case while a command works on it; ``row`` is its stored row, ``record`` the record it is about."""

    unit: Unit
    id: int
    row: dict[str, Any]
    chain: ApprovalChain
    state: CaseState
    record: Mapping[str, Any]
    facts: RecordFacts

    @property
    def subject(self) -> str:
        said = self.row.get("subject") or {}
        return str(said.get(self.unit.ctx.locale) or said.get("zh") or "")


# -- finding and beginning ---------------------------------------------------------------------------------------------------


def locked_case(unit: Unit, case_id: int) -> Case:
    """The case and its record, both locked; NotFound when there is none."""
    subject = approval_rows.subject_of(unit, case_id)
    if subject is None:
        raise NotFound
    record = rows.fetch(unit, *subject, lock=True)
    row = approval_rows.case(unit, case_id)
    if record is None or row is None:
        raise NotFound
    return case_of_row(unit, row, record)


def case_of_row(unit: Unit, row: dict[str, Any], record: Mapping[str, Any]) -> Case:
    """The case that a stored row tells of."""
    chain, state = pinned_chain(unit, row["chain_digest"]), codec.load_state(row["state"])
    facts = RecordFacts(unit, chain, row["chain_digest"], record, _names_of(row["initiator_id"], row["started_at"]), state.outputs)
    return Case(unit, row["id"], row, chain, state, record, facts)


def _names_of(initiator: int | None, started_at: datetime) -> dict[str, Any]:
    return {"initiator": initiator, "started_at": started_at, "finished_by": None}


def pinned_chain(unit: Unit, digest: str) -> ApprovalChain:
    """The chain with this digest, as it was when the first case began under it."""
    if digest not in _chains:
        if len(_chains) >= CHAINS_KEPT:
            _chains.clear()
        _chains[digest] = codec.loads(approval_rows.chain_body(unit.conn, unit.tables, digest))
    return _chains[digest]


def pinned_chains(unit: Unit, digests: Iterable[str]) -> dict[str, ApprovalChain]:
    """Several of them, those not met before in one statement."""
    wanted = set(digests)
    known = {digest: _chains[digest] for digest in wanted & _chains.keys()}
    new = approval_rows.chain_bodies(unit.conn, unit.tables, wanted - known.keys()) if wanted - known.keys() else {}
    if len(_chains) + len(new) > CHAINS_KEPT:
        _chains.clear()
    read = {digest: codec.loads(body) for digest, body in new.items()}
    _chains.update(read)
    return known | read


def kept_chain(unit: Unit, chain: ApprovalChain) -> str:
    """Keeps the chain as it is now and returns its digest."""
    body = codec.dumps(chain)
    digest = codec.digest(body)
    if digest not in _chains or not approval_rows.chain_body(unit.conn, unit.tables, digest):
        approval_rows.keep_chain(unit, digest, chain.entity, chain.name, body)
    return digest


def digest_of(chain: ApprovalChain) -> str:
    """The name under which a chain is kept."""
    return codec.digest(codec.dumps(chain))


def begin_case(unit: Unit, chain: ApprovalChain, record: Mapping[str, Any], initiator: int, chosen: Mapping[str, Sequence[int]],
               parent: tuple[int, str | None] | None = None) -> Case:
    """Starts a case about a locked record: what ``started`` says, then the first steps. ``parent``: the case above and its step that waits."""
    open_key = f"{chain.entity}/{record['id']}/{chain.name}" if chain.one_open else None
    if open_key and approval_rows.open_cases(unit, chain.entity, record["id"], chain.name):
        raise NotPossible(message("approval.already_running", chain=chain.label))
    digest = kept_chain(unit, chain)
    facts = RecordFacts(unit, chain, digest, record, _names_of(initiator, unit.now), {})
    record = run_effect(unit, chain, digest, "started", record, facts)
    facts = RecordFacts(unit, chain, digest, record, _names_of(initiator, unit.now), {})
    events = approval.begin(chain, facts, initiator, unit.now, digest=digest, chosen=chosen)
    state = approval.replay(events)
    subject = approval_news.safe_subject(unit, chain, record)
    row = {
        "entity": chain.entity, "record_id": record["id"], "chain": chain.name, "chain_digest": digest, "revision_number": unit.revision.number,
        "status": state.status, "subject": subject, "subject_text": " / ".join(dict.fromkeys(subject.values()))[:500], "initiator_id": initiator or None,
        "company_id": facts.people.company, "org_unit_id": facts.people.org_unit, "state": codec.dump_state(state), "seq": 0,
        "record_version": record["row_version"], "started_at": unit.now, "open_key": open_key,
        "parent_case_id": parent[0] if parent else None, "parent_step": parent[1] if parent else None,
    }
    row["id"] = approval_rows.new_case(unit, row)
    case = Case(unit, row["id"], row, chain, state, record, facts)
    approval_rows.add_parties(unit, case.id, {initiator} - {SYSTEM})
    _stored(case, events, CaseState("running", initiator, digest, ""), "start")
    return case


# -- moving ------------------------------------------------------------------------------------------------------------------


def make_move(case: Case, kind: str, by: int, task: int | None = None, data: Mapping[str, Any] | None = None,
              more: Mapping[str, Any] | None = None) -> None:
    """Makes one move. ``more``: columns of the task's row that no event holds (files, version of the record)."""
    move = Move(kind, by, case.unit.now, task, data or {})
    events = approval.decide(case.chain, case.state, move, case.facts)
    if any(event.kind == "resubmitted" for event in events):
        case.record = run_effect(case.unit, case.chain, case.row["chain_digest"], "resumed", case.record, case.facts)
        events = approval.decide(case.chain, case.state, move, case.facts)
    crash_point("approval.decided")
    store_events(case, events, kind, {task: dict(more)} if task is not None and more else {})


def store_events(case: Case, events: Sequence[Event], command: str, more: Mapping[int, Mapping[str, Any]] | None = None) -> None:
    """Appends events and lets everything else follow; no events, no change."""
    before = case.state
    for event in events:
        case.state = approval.fold(case.state, event)
    if events:
        _stored(case, events, before, command, more or {})


def _stored(case: Case, events: Sequence[Event], before: CaseState, command: str, more: Mapping[int, Mapping[str, Any]] | None = None) -> None:
    unit, state = case.unit, case.state
    people, told = _new_parties(case, events, before), _told(events, more or {})
    with together(unit.conn):
        approval_rows.add_events(unit, case.id, int(case.row["seq"]) + 1, events)
        crash_point("approval.logged")
        case.row["seq"] = int(case.row["seq"]) + len(events)
        _write_case(case, before, command)
        approval_rows.add_parties(unit, case.id, people)
        approval_rows.change_tasks(unit, case.id, before.tasks, state, told)
    new = approval_rows.new_tasks(unit, case.id, before.tasks, state, told, _labels(case.chain), case.facts.admins)
    _copies(case, events)
    _tell_parent(case)
    _timers(case, before)
    crash_point("approval.stored")
    _subs(case, events)
    _effects(case, events)
    approval_news.tell(case, before, events, new)


def _told(events: Iterable[Event], more: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    """What rows of tasks keep besides the state: what a decision gave."""
    found: dict[int, dict[str, Any]] = {no: dict(values) for no, values in more.items()}
    for event in events:
        if event.kind == "decided":
            found.setdefault(event.data["task"], {})["outputs"] = event.data.get("outputs") or None
    return found


def _labels(chain: ApprovalChain) -> dict[str, Any]:
    named = {step.name: step.label for step in chain.every_step()}
    return {name: {"zh": label.zh, "en": label.en} for name, label in {**PLACES, **named}.items()}


def _write_case(case: Case, before: CaseState, command: str) -> None:
    unit, state = case.unit, case.state
    finished = unit.now if state.finished else None
    values = {"status": state.status, "state": codec.dump_state(state), "seq": case.row["seq"], "current_steps": _current(case), "finished_at": finished,
              "result": state.status if state.finished else None, "chain_digest": state.digest,
              "open_key": None if state.finished else case.row["open_key"]}
    was = {"status": before.status, "current_steps": case.row.get("current_steps")} if before.started_at else None
    approval_rows.update_case(unit, case.id, values)
    case.row.update(values)
    unit.log(unit.entity(CASE), case.id, was, {"move": command, "status": state.status, "current_steps": values["current_steps"],
                                               "entity": case.chain.entity, "record_id": case.record["id"]})


def _tell_parent(case: Case) -> None:
    """The case above hears how this one ended."""
    unit, state = case.unit, case.state
    parent, step = case.row.get("parent_case_id"), case.row.get("parent_step")
    if state.finished and parent is not None and step:
        payload = {"case": parent, "step": step, "child": case.id, "result": state.status}
        put(unit.conn, unit.tables, kind=SUB_DONE, payload=payload, key=f"{SUB_DONE}/{case.id}")
        unit.rings = True


def _current(case: Case) -> str:
    """Where the case stands, in words for lists; with its initiator while it is returned."""
    if case.state.status == "returned":
        return PLACES["initiator"].zh
    steps = [case.chain.step(name) for name in case.state.active_steps() if any(s.name == name for s in case.chain.every_step())]
    return BETWEEN.join(step.label.zh for step in steps if not isinstance(step, Fork))[:500]


def _copies(case: Case, events: Sequence[Event]) -> None:
    for event in events:
        if event.kind == "copied":
            approval_rows.add_copies(case.unit, case.id, event.data["to"], event.data.get("by") or None, str(event.data.get("step") or ""))
        elif event.kind == "read" and event.data.get("task") is None:
            approval_rows.read_copy(case.unit, case.id, event.data["by"])


def _new_parties(case: Case, events: Sequence[Event], before: CaseState) -> set[int]:
    """Whoever takes part from now on: those that are asked, and those that got a copy."""
    people = {user for event in events if event.kind == "copied" for user in event.data["to"]}
    for no, task in case.state.tasks.items():
        if before.tasks.get(no) != task:
            people.update(p for p in (task.assignee, task.principal, *approval_rows.pool_of(task, case.facts.admins)) if p)
    return people - approval_rows.known_parties(case.unit, case.id)


def _timers(case: Case, before: CaseState) -> None:
    """The next instant at which something happens by itself is an outbox row; ``n`` and ``at`` tell an old one from the one that counts."""
    for no, task in case.state.tasks.items():
        waits = next_timer(task)
        if waits is None or (no in before.tasks and next_timer(before.tasks[no]) == waits):
            continue
        n, at = waits
        put(case.unit.conn, case.unit.tables, kind=TIMER, payload={"case": case.id, "task": no, "n": n, "at": at},
            key=f"{TIMER}/{case.id}/{no}/{n}/{at}", run_after=datetime.fromisoformat(at))


def next_timer(task: Task) -> tuple[int, str] | None:
    """(number, instant) of the next escalation of a task that is being worked on."""
    return (task.fired, task.timers[task.fired]) if task.status == "open" and not task.paused_at and task.fired < len(task.timers) else None


def _subs(case: Case, events: Sequence[Event]) -> None:
    for event in events:
        if event.kind == "sub_opened":
            _open_sub(case, event.data)
        elif event.kind == "sub_cancelled":
            child = approval_rows.child_case(case.unit, case.id, event.data["step"])
            if child is not None:
                reason = message("approval.case_above_ended").say("zh")
                make_move(locked_case(case.unit, child), "terminate", SYSTEM, data={"reason": reason})


def _open_sub(case: Case, data: Mapping[str, Any]) -> None:
    unit, chain = case.unit, case.unit.catalog.chains.get(data["chain"])
    record = rows.fetch(unit, chain.entity, data["record"], lock=True) if chain is not None else None
    if chain is None or record is None:
        raise NotPossible(message("approval.no_sub", chain=data["chain"]))
    begin_case(unit, chain, record, case.state.initiator, {}, (case.id, data["step"] if data.get("wait", True) else None))


def _effects(case: Case, events: Sequence[Event]) -> None:
    """What the record undergoes, in the order in which it was told: at steps, at the initiator's, at the end."""
    case.facts.case["opinion"] = next((event.data.get("opinion") or None for event in events if event.kind == "decided"), None)
    for event in events:
        if event.kind in ("step_entered", "step_reopened"):
            _run(case, f"{event.data['step']}/entered")
        elif event.kind == "step_left" and event.data["outcome"] == "pass":
            _run(case, f"{event.data['step']}/passed")
        elif event.kind == "finished":
            case.facts.case["finished_by"] = event.data.get("by") or None
            _run(case, event.data["result"])
        elif event.kind == "returned" and event.data.get("to") == "initiator":
            _run(case, "returned")


def _run(case: Case, name: str) -> None:
    case.facts.outputs = {step: dict(values) for step, values in case.state.outputs.items()}
    case.record = run_effect(case.unit, case.chain, case.row["chain_digest"], name, case.record, case.facts)


def run_effect(unit: Unit, chain: ApprovalChain, digest: str, name: str, record: Mapping[str, Any], facts: RecordFacts) -> Mapping[str, Any]:
    """What the record undergoes at this point of the chain, by the interpreter of action steps; the record afterwards."""
    steps = chain.effects.get(name, ())
    if not steps:
        return record
    values, scopes = facts.lets(), chain_names(unit.catalog, chain)
    lets = {let: Let(f"{let}@{digest}", scopes[let], values=values[let]) for let in ("case", "output")}
    frame = Run(unit, effect_action(chain, name), record, {}, lets)
    run_steps(frame, steps)
    assert frame.record is not None
    facts.record = frame.record
    return frame.record


def withdraw_cases(unit: Unit, entity: str, record_id: int, why: str) -> int:
    """The machine withdraws every case about a record that runs, whatever was decided in it; how many there were. A case below another one may
    have ended with it."""
    running = [row["id"] for row in approval_rows.open_cases(unit, entity, record_id)]
    for case_id in running:
        case = locked_case(unit, case_id)
        if not case.state.finished:
            make_move(case, "withdraw", SYSTEM, data={"reason": why})
    return len(running)


# -- answers -----------------------------------------------------------------------------------------------------------------


def done(case: Case, said: Message, **more: Any) -> ActionDone:
    """The answer of every approval command."""
    return ActionDone(case.chain.entity, case.record["id"], case.record["row_version"], said,
                      {"case": case.id, "status": case.state.status, **more})
