"""The interpreter of action steps: each step in order, all in the unit's one transaction (decision 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metaloom import expression
from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, words
from metaloom.command import rows
from metaloom.command.evaluate import PYTHON, fitted, run
from metaloom.command.live import Linked, Live, Loose, Names, children_of
from metaloom.command.notify import notify, notify_template
from metaloom.command.receivers import receivers
from metaloom.command.send_message import send_message
from metaloom.command.store import change_stored, new_record
from metaloom.command.tell import slots_of
from metaloom.command.unit import DEPTH_MAX, Unit
from metaloom.compile import action_scope, entity_scope, prefixed_scopes, values_scope, where_scope
from metaloom.expression import Checked, Scope, Typed
from metaloom.lifecycle import fire
from metaloom.model import Action, Entity, Lifecycle, Process, Step

UPDATE_ROWS_MAX = 10_000


@dataclass
class Let:
    """A named result: a row of an entity (by id, read afresh whenever it is used) or loose values. None: nothing was found."""

    sign: str
    scope: Scope
    entity: str = ""
    id: int | None = None
    values: Mapping[str, Any] | None = None


@dataclass
class Run:
    """One action while it runs."""

    unit: Unit
    action: Action
    record: Mapping[str, Any] | None
    input: Mapping[str, Any]
    lets: dict[str, Let] = field(default_factory=dict)

    @property
    def entity(self) -> Entity:
        return self.unit.entity(self.action.entity)

    # -- names and expressions ------------------------------------------------------------------------------------------

    def names(self) -> Mapping[str, Any]:
        live = Live(self.unit, self.entity, self.record) if self.record is not None else None
        own: dict[str, Any] = {name: self._of(let) for name, let in self.lets.items()}
        own["input"] = Loose(self.unit, self.action.input.fields, self.input)
        if live is not None:
            own["record"] = live
        return Names(own, live)

    def _of(self, let: Let) -> Any:
        if let.entity:
            return Linked(self.unit, let.entity, let.id) if let.id is not None else None
        return let.values

    def value(self, text: str) -> Any:
        return run(self.checked(text), self.names(), self.env())

    def holds(self, text: str) -> bool:
        return self.value(text) is True

    def env(self) -> expression.Env:
        company = self.record.get("company") if self.record is not None else None
        return self.unit.env(company if isinstance(company, int) else None)

    def checked(self, text: str, target: str = "") -> Checked:
        """The checked expression; kept with the catalog. ``target``: the entity whose names are bare (``where``)."""
        kept: dict[Any, Checked] = self.unit.catalog.__dict__.setdefault("_action_expressions", {})
        key = (self.action.address, text, target, tuple((name, let.sign) for name, let in self.lets.items()))
        if key not in kept:
            scopes = {name: let.scope for name, let in self.lets.items()}
            scope = (where_scope(self.unit.catalog, target, prefixed_scopes(self.unit.catalog, self.action, scopes)) if target
                     else action_scope(self.unit.catalog, self.action, scopes))
            kept[key] = expression.compile(text, scope, None, PYTHON)
        return kept[key]

    def condition(self, text: str, target: str) -> Checked:
        """A ``where`` with everything known put in as constants: what is left speaks of the target only."""
        checked = self.checked(text, target)
        return replace(checked, node=self._bound(checked.node, checked), made={})

    def _bound(self, node: Typed, whole: Checked) -> Typed:
        outer = {"input", *(("record",) if self.record is not None else ()), *self.lets}
        path = node.value if node.op == "field" else node.value[1] if node.op == "total" else ()
        if path and path[0] in outer:
            part = replace(whole, node=node, type=node.type, made={})
            return Typed("const", node.type, (), run(part, self.names(), self.env()), node.at, node.digits)
        return replace(node, args=tuple(self._bound(arg, whole) for arg in node.args)) if node.op != "total" else node


def run_steps(frame: Run, steps: tuple[Step, ...]) -> None:
    """Runs the steps in order; any refusal ends the whole action."""
    for step in steps:
        frame.unit.step()
        if step.verb == "if":
            _if(frame, step)
        elif not step.when or frame.holds(step.when):
            _VERBS[step.verb](frame, step)
        elif step.let and step.let not in frame.lets and step.verb in ("create", "get", "run"):
            frame.lets[step.let] = _nothing(frame, step)


def _if(frame: Run, step: Step) -> None:
    branch = step.steps if frame.holds(step.when) else step.otherwise
    _inside(frame, branch, {})


def _inside(frame: Run, steps: tuple[Step, ...], lets: Mapping[str, Let]) -> None:
    """Steps of a block: they see the names outside, and names made inside end with the block."""
    inner = Run(frame.unit, frame.action, frame.record, frame.input, {**frame.lets, **lets})
    run_steps(inner, steps)
    frame.record = inner.record


def _check(frame: Run, step: Step) -> None:
    if not frame.holds(step.expression):
        raise NotPossible(words(step.message, **slots_of(frame.unit, step.message, frame.names())) if step.message
                          else message("command.check_failed"))


def _set(frame: Run, step: Step) -> None:
    assert frame.record is not None
    values = _values(frame, frame.entity, step.values)
    frame.record = change_stored(frame.unit, frame.entity.address, frame.record, values, trusted=True)


def _values(frame: Run, entity: Entity, texts: Mapping[str, str]) -> dict[str, Any]:
    """Every value by its field, computed before anything is written."""
    return {name: _fitted(entity, name, frame.value(text)) for name, text in texts.items()}


def _fitted(entity: Entity, name: str, found: Any) -> Any:
    field_ = entity.fields.get(name)
    if field_ is not None:
        return fitted(field_, found)
    return found["id"] if isinstance(found, Mapping) else found


def _transition(frame: Run, step: Step) -> None:
    unit = frame.unit
    if not step.target:
        assert frame.record is not None
        frame.record = move(unit, frame.entity.address, frame.record, step.name)
        return
    entity, record_id = _moved(frame, step)
    stored = rows.fetch(unit, entity, record_id, lock=True)
    if stored is None:
        rows.missing()
    moved = move(unit, entity, stored, step.name)
    _refresh(frame, entity, moved)


def _moved(frame: Run, step: Step) -> tuple[str, int]:
    checked = frame.checked(step.target)
    found = run(checked, frame.names(), frame.env())
    record_id = found["id"] if isinstance(found, Mapping) else found
    if record_id is None:
        raise NotPossible(words(step.message) if step.message else message("command.check_failed"))
    return checked.type.target or "", record_id


def move(unit: Unit, address: str, stored: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Fires a transition on a locked record: right state, condition true; then stores the new state."""
    entity = unit.entity(address)
    lifecycle = unit.catalog.lifecycles.get(address)
    if lifecycle is None:
        raise NotPossible(message("lifecycle.unknown_transition", name=name))
    moved = change_stored(unit, address, stored, {}, trusted=True, state=state_after(unit, entity, lifecycle, stored, name))
    for process in unit.catalog.processes_of(address):
        if name in process.on:
            _begin(unit, process, moved)
    return moved


def state_after(unit: Unit, entity: Entity, lifecycle: Lifecycle, record: Mapping[str, Any], name: str) -> str:
    """The state of the record after the transition; NotPossible, with the transition's sentence, where state or condition forbid it."""
    transition = lifecycle.transitions.get(name)
    holds, state = True, record[lifecycle.field]
    if transition is not None and transition.when and state in transition.from_states:
        company = record.get("company")
        checked = expression.compile(transition.when, entity_scope(unit.catalog, entity.address), None, PYTHON)
        holds = run(checked, Live(unit, entity, record), unit.env(company if isinstance(company, int) else None)) is True
    return fire(lifecycle, state, name, holds=holds)


def _begin(unit: Unit, process: Process, record: Mapping[str, Any]) -> None:
    from metaloom.command.process_run import begin_run

    if unit.depth >= DEPTH_MAX:
        raise NotPossible(message("command.too_deep", limit=DEPTH_MAX))
    unit.depth += 1
    try:
        begin_run(unit, process, record)
    finally:
        unit.depth -= 1


def _start_process(frame: Run, step: Step) -> None:
    """A run about the action's record, or about the one that ``of`` names; the acting person is its starter."""
    unit = frame.unit
    entity, record_id = _moved(frame, step) if step.target else (frame.entity.address, (frame.record or {}).get("id"))
    process = unit.catalog.processes.get(f"{entity}/{step.name}")
    stored = rows.fetch(unit, entity, record_id, lock=True) if record_id is not None else None
    if process is None or stored is None:
        rows.missing()
    _begin(unit, process, stored)


def _create(frame: Run, step: Step) -> None:
    entity = frame.unit.entity(step.entity)
    stored = new_record(frame.unit, step.entity, _values(frame, entity, step.values), trusted=True)
    if step.let:
        frame.lets[step.let] = _row_let(frame, step.entity, stored["id"])


def _row_let(frame: Run, entity: str, record_id: int | None) -> Let:
    return Let(entity, entity_scope(frame.unit.catalog, entity), entity, record_id)


def _nothing(frame: Run, step: Step) -> Let:
    if step.verb == "run":
        declared = frame.unit.ctx.plugins.command(step.name)
        output = declared.output if declared else {}
        return Let(step.name, values_scope(frame.unit.catalog, output), values=Loose(frame.unit, output, {}))
    return _row_let(frame, step.entity, None)


def _get(frame: Run, step: Step) -> None:
    found = rows.find_where(frame.unit, step.entity, frame.condition(step.where, step.entity), frame.env(), limit=1)
    frame.lets[step.let] = _row_let(frame, step.entity, found[0]["id"] if found else None)


def _update(frame: Run, step: Step) -> None:
    """Rows are locked by rising id and found under the lock, so that what ``where`` says still holds when they change."""
    unit, entity = frame.unit, frame.unit.entity(step.entity)
    found = rows.find_where(unit, step.entity, frame.condition(step.where, step.entity), frame.env(), lock=True,
                            limit=UPDATE_ROWS_MAX)
    if step.expect == "one" and len(found) != 1:
        raise NotPossible(words(step.message, **slots_of(frame.unit, step.message, frame.names())) if step.message
                          else message("command.expected_one", found=len(found)))
    for stored in found:
        unit.step()
        live = Live(unit, entity, stored)
        names = _Target(live, frame.names())
        values = {name: _fitted(entity, name, run(frame.checked(text, step.entity), names, frame.env()))
                  for name, text in step.values.items()}
        _refresh(frame, step.entity, change_stored(unit, step.entity, stored, values, trusted=True))


class _Target(dict[str, Any]):
    """Names of an ``update``: the target's bare, the action's own behind their prefixes."""

    def __init__(self, target: Live, names: Mapping[str, Any]) -> None:
        super().__init__()
        self._target, self._names = target, names

    def __missing__(self, name: str) -> Any:
        if isinstance(self._names, Names) and name in self._names.own:
            return self._names[name]
        return self._target[name]


def _refresh(frame: Run, entity: str, stored: Mapping[str, Any]) -> None:
    """The action's own record may have been among the rows."""
    if frame.record is not None and entity == frame.action.entity and stored["id"] == frame.record["id"]:
        frame.record = stored


def _for_each(frame: Run, step: Step) -> None:
    assert frame.record is not None
    name = step.over.removeprefix("record.")
    child = frame.unit.entity(frame.entity.fields[name].entity)
    for row in children_of(frame.unit, frame.entity, name, frame.record["id"]):
        frame.unit.step()
        _inside(frame, step.steps, {step.let: _row_let(frame, child.address, row["id"])})


def _run(frame: Run, step: Step) -> None:
    """A plugin command inside this transaction; it works on the action's record when it is declared on that entity."""
    from metaloom.command.run_command import run_inside

    unit = frame.unit
    if unit.depth >= DEPTH_MAX:
        raise NotPossible(message("command.too_deep", limit=DEPTH_MAX))
    unit.depth += 1
    try:
        given = {name: _plain(frame.value(text)) for name, text in step.values.items()}
        output, declared = run_inside(unit, step.name, frame.entity.address, frame.record, given)
    finally:
        unit.depth -= 1
    if frame.record is not None:
        again = rows.fetch(unit, frame.entity.address, frame.record["id"])
        frame.record = again if again is not None else frame.record
    if step.let:
        frame.lets[step.let] = Let(step.name, values_scope(unit.catalog, declared.output), values=Loose(unit, declared.output, output))


def _start_approval(frame: Run, step: Step) -> None:
    """A case about the action's record, or about the one that ``of`` names; the acting person is its initiator."""
    from metaloom.command.approval_case import begin_case
    from metaloom.command.approval_people import ids_in

    unit = frame.unit
    if unit.depth >= DEPTH_MAX:
        raise NotPossible(message("command.too_deep", limit=DEPTH_MAX))
    entity, record_id = _moved(frame, step) if step.target else (frame.entity.address, (frame.record or {}).get("id"))
    chain = unit.catalog.chains.get(f"{entity}/{step.name}")
    stored = rows.fetch(unit, entity, record_id, lock=True) if record_id is not None else None
    if chain is None or stored is None:
        rows.missing()
    chosen = {name: tuple(ids_in(frame.value(text))) for name, text in step.values.items()}
    unit.depth += 1
    try:
        case = begin_case(unit, chain, stored, unit.ctx.actor.user_id or 0, chosen)
    finally:
        unit.depth -= 1
    _refresh(frame, entity, case.record)


def _plain(found: Any) -> Any:
    return found["id"] if isinstance(found, Mapping) else found


def _notify(frame: Run, step: Step) -> None:
    """People of the house are told, each in the words that they may read."""
    unit, record = frame.unit, frame.record
    to = receivers(unit, step.to, frame.entity, record, frame.value)
    about = {"entity": frame.entity.address, "record_id": record["id"]} if record is not None else {}
    if step.name:
        notify_template(unit, to, unit.catalog.messages[step.name], urgent=step.urgent, **about)
    elif step.subject is not None:
        notify(unit, to, kind=frame.action.address, subject=step.subject, body=step.body, urgent=step.urgent, **about)


def _send(frame: Run, step: Step) -> None:
    template = frame.unit.catalog.messages[step.name]
    send_message(frame.unit, template, step.channel, frame.value(step.target), frame.entity, frame.record)


_VERBS = {
    "check": _check, "set": _set, "transition": _transition, "create": _create, "get": _get, "update": _update,
    "for_each": _for_each, "run": _run, "start_approval": _start_approval, "start_process": _start_process,
    "notify": _notify, "send": _send,
}


def results_of(frame: Run) -> dict[str, Any]:
    """The named results as plain values: ids of rows, the output of commands."""
    found: dict[str, Any] = {}
    for name, let in frame.lets.items():
        found[name] = let.id if let.entity else {key: _plain(let.values[key]) for key in let.values} if let.values is not None else None
    return found
