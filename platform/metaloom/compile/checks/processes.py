"""Processes: every step can be reached and left, every wait ends, people can take over, and four eyes stay four."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from metaloom.compile.checks.look import say
from metaloom.compile.context import Context
from metaloom.compile.node import Node
from metaloom.compile.schema import _did_you_mean
from metaloom.model import Catalog, Process, ProcessStep, Step
from metaloom.model.process import ENDS, MANUAL

_COMMON = frozenset({"type", "label", "help", "next", "on_error", "roles"})
_KEYS: Mapping[str, frozenset[str]] = {
    "action": _COMMON | {"do", "values", "steps", "keep", "undo"},
    "call": _COMMON | {"call", "let", "result", "timeout", "on_timeout", "undo"},
    "wait": _COMMON | {"for", "timeout", "on_timeout"},
    "task": _COMMON | {"let", "result", "timeout", "on_timeout"},
    "branch": _COMMON | {"ways"},
}
_NEEDS = {"call": "call", "wait": "for", "task": "roles", "branch": "ways"}
_PLACES = frozenset({*ENDS, MANUAL, "cancelled"})


def process_steps_are_whole(catalog: Catalog, context: Context) -> None:
    """Each key fits the type of its step, and what the type needs is there; an action keeps four eyes."""
    for process in catalog.processes.values():
        for name, node in _written(context, process).items():
            at = f"{process.address}/{name}"
            if name in _PLACES:
                say(context, "ML-NAME-002", node.key, at, name=name, why="steps lead to places of this name")
            _keys_fit(context, node, process.steps[name], at)
            _action_fits(catalog, context, process, node, at)


def _keys_fit(context: Context, node: Node, step: ProcessStep, at: str) -> None:
    for key, value in node.items():
        if key not in _KEYS[step.type]:
            say(context, "ML-PROC-001", value.key, at, key=key, type=step.type, hint=_did_you_mean(key, _KEYS[step.type]))
    needed = _NEEDS.get(step.type)
    if needed is not None and node.get(needed) is None:
        say(context, "ML-PROC-002", node.key, at, type=step.type, key=needed)
    if step.type == "action" and (node.get("do") is None) == (node.get("steps") is None):
        say(context, "ML-PROC-002", node.key, at, type=step.type, key="exactly one of do and steps")
    if step.type == "task" and (node.get("let") is None) != (node.get("result") is None):
        say(context, "ML-PROC-002", node.key, at, type=step.type, key="let and result together")
    if step.type == "wait" and not (step.at or step.lasts or step.timeout):
        say(context, "ML-PROC-006", node.key, at, step=step.name)
    for name, entity in step.keep.items():
        if not entity:
            say(context, "ML-PROC-010", node.value["keep"].position, at, name=name)


def _action_fits(catalog: Catalog, context: Context, process: Process, node: Node, at: str) -> None:
    written = node.get("do")
    if written is None:
        return
    action = catalog.actions.get(f"{process.entity}/{written.value}")
    if action is None:
        known = [a.name for a in catalog.actions_of(process.entity)]
        say(context, "ML-REF-001", written.position, at, what="action", name=written.value, hint=_did_you_mean(str(written.value), known))
    elif action.maker_is_not or action.asks_reason:
        say(context, "ML-PROC-007", written.position, at, action=action.name,
            why="it must be done by another person than somebody" if action.maker_is_not else "it asks for a reason")
    elif action.on == "list":
        say(context, "ML-PROC-007", written.position, at, action=action.name, why="it has no record")


def process_ways_lead_on(catalog: Catalog, context: Context) -> None:
    """Every way leads to a step, every step is reached and reaches an end, and no circle turns without waiting."""
    for process in catalog.processes.values():
        steps, known = process.steps, [*process.steps, *ENDS, MANUAL]
        broken = False
        for step in steps.values():
            for key, target in _ways(step):
                if target not in known:
                    broken = True
                    say(context, "ML-PROC-003", step.position, f"{process.address}/{step.name}", key=key, name=target, hint=_did_you_mean(target, known))
        if broken:
            continue
        reached = _reached(process, process.first)
        for step in steps.values():
            at = f"{process.address}/{step.name}"
            if step.name not in reached:
                say(context, "ML-PROC-004", step.position, at, step=step.name)
            elif not reached_ends(process, step.name):
                say(context, "ML-PROC-005", step.position, at, step=step.name)
            elif _turns(process, step.name):
                say(context, "ML-PROC-008", step.position, at, step=step.name)


def _ways(step: ProcessStep) -> Iterator[tuple[str, str]]:
    """Every way out of a step with the key that says it."""
    yield "next", step.next
    yield "on_error", step.on_error
    if step.type in ("call", "wait", "task"):
        yield "on_timeout", step.on_timeout
    for way in step.ways:
        yield "ways", way.next


def _reached(process: Process, *names: str, through: frozenset[str] = frozenset()) -> set[str]:
    """The steps and ends that can follow; ``through``: only by way of steps of these types."""
    found: set[str] = set()
    todo = [*names]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        step = process.steps.get(name)
        if step is not None and (not through or step.type in through):
            todo += [target for _, target in _ways(step)]
    return found


def reached_ends(process: Process, name: str) -> bool:
    """Whether a run that stands here can come to an end without being given up."""
    return bool(_reached(process, name) & set(ENDS))


def _turns(process: Process, name: str) -> bool:
    """Whether a run can come back here without time passing or somebody doing something."""
    quick = frozenset({"action", "branch", "call"})
    if process.steps[name].type not in quick:
        return False
    return name in _reached(process, *(target for _, target in _ways(process.steps[name])), through=quick)


def process_results_exist_before_use(catalog: Catalog, context: Context) -> None:
    """An expression names an answer or a kept row only where every way there has made it."""
    for process in catalog.processes.values():
        makers = {name: {s.name for s in process.steps.values() if name in _made(s)} for s in process.steps.values() for name in _made(s)}
        for name, node in _written(context, process).items():
            for let, at in _named(node, frozenset(makers)):
                if name in makers[let] and let in _kept_by(process.steps[name]):
                    continue
                if _reaches_without(process, name, makers[let]):
                    say(context, "ML-PROC-009", at.position, f"{process.address}/{name}", name=let)


def _made(step: ProcessStep) -> set[str]:
    return {*step.keep, *([step.let] if step.let else [])}


def _kept_by(step: ProcessStep) -> set[str]:
    return {s.let for s in step.steps if s.let}


def _reaches_without(process: Process, name: str, makers: set[str]) -> bool:
    """Whether some way from the beginning comes to ``name`` without one of ``makers`` having been gone through.

    A call that times out or fails has made its answer too: the door's word for *nothing came back*.
    """
    todo, seen = [process.first], set()
    while todo:
        here = todo.pop()
        if here == name:
            return True
        if here in seen or here not in process.steps:
            continue
        seen.add(here)
        step = process.steps[here]
        made = here in makers
        todo += [t for key, t in _ways(step) if not made or (step.type != "call" and key in ("on_error", "on_timeout"))]
    return False


_UNREAD = frozenset({"label", "help", "type", "next", "let", "keep", "roles", "on_error", "on_timeout", "timeout", "result", "undo", "message", "as", "door",
                     "provider", "method", "again", "retry"})


def _named(node: Node, lets: frozenset[str]) -> Iterator[tuple[str, Node]]:
    """Every let that an expression below ``node`` names, with where."""
    if node.is_map or node.is_list:
        for key, inner in node.items() if node.is_map else enumerate(node.value):
            if key not in _UNREAD:
                yield from _named(inner, lets)
    elif isinstance(node.value, str):
        for word in dict.fromkeys(re.findall(r"(?<![.\w'])[a-z][a-z0-9_]*", re.sub(r"'[^']*'", "''", node.value))):
            if word in lets:
                yield word, node


def processes_are_started(catalog: Catalog, context: Context) -> None:
    """A process that nothing starts is dead; its transitions exist; people who take over may read the record."""
    started = {name for action in catalog.actions.values() for name in _started(action.entity, action.steps)}
    started |= {name for chain in catalog.chains.values() for steps in chain.results.values() for name in _started(chain.entity, steps)}
    started |= {name for process in catalog.processes.values() for steps in process.every_steps() for name in _started(process.entity, steps)}
    for process in catalog.processes.values():
        if not process.on and process.by_hand is None and process.address not in started and f"*/{process.name}" not in started:
            say(context, "ML-PROC-015", process.position, process.address)
        lifecycle = catalog.lifecycles.get(process.entity)
        known = lifecycle.transitions if lifecycle is not None else {}
        for name in process.on:
            if name not in known:
                say(context, "ML-ACTION-001", process.position, process.address, name=name, entity=process.entity, hint=_did_you_mean(name, known))


def process_people_may_read(catalog: Catalog, context: Context) -> None:
    """Somebody who takes over, or does a task, must be able to see the record."""
    for process in catalog.processes.values():
        readers = {g.role for g in catalog.grants.get(process.entity, ()) if "read" in g.actions}
        named = [(role, process.position) for role in process.roles] + [(role, step.position) for step in process.steps.values() for role in step.roles]
        for role, position in named:
            if role not in readers:
                say(context, "ML-PROC-016", position, process.address, role=role, entity=process.entity)


def _started(entity: str, steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        if step.verb == "start_process":
            yield f"*/{step.name}" if step.target else f"{entity}/{step.name}"
        yield from _started(entity, (*step.steps, *step.otherwise))


def _written(context: Context, process: Process) -> dict[str, Node]:
    """Every step as written."""
    node = context.effective.entities[process.entity].kinds["processes"].value[process.name]
    return dict(node.value["steps"].items())
