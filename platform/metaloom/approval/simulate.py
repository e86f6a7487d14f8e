"""What a chain would do with a record: who would decide, on which way, without a word written (A11).

A simulation plays a case in memory with willing people: whoever is asked says yes. Where a result of a decision steers the way, the
caller may say what it would have been (``outputs``); otherwise it is unknown, and conditions over it are not true. ``as_it_ran`` tells
the same of a case that people played.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from metaloom.approval.event import SYSTEM, Event, Move
from metaloom.approval.facts import Facts
from metaloom.approval.fold import fold, replay
from metaloom.approval.machine import begin, decide, legal
from metaloom.approval.path import Node, path
from metaloom.approval.state import CaseState
from metaloom.base.errors import NotPossible
from metaloom.base.messages import Message
from metaloom.model import ApprovalChain, ChainStep, Decide, Fork, SubChain, WaitFor

TURNS = 500
"""More moves than this no willing case needs."""


@dataclass(frozen=True)
class Asked:
    """One step that would ask people. ``people``: accounts, in order; ``dropped``: account → why it would not be asked."""

    step: str
    people: tuple[int, ...]
    dropped: Mapping[int, str]
    admin: bool = False


@dataclass(frozen=True)
class Outcome:
    """``result``: approved, rejected, or '' where the simulation cannot go on; ``refused``: why the case could not begin or go on."""

    result: str
    asked: tuple[Asked, ...] = ()
    ways: tuple[tuple[str, str], ...] = ()
    path: tuple[Node, ...] = ()
    stops_at: tuple[str, ...] = ()
    refused: Message | None = None

    @property
    def deciders(self) -> frozenset[int]:
        """Everybody who would be asked."""
        return frozenset(user for one in self.asked for user in one.people)

    @property
    def nobody(self) -> tuple[str, ...]:
        """Steps for which nobody was found, or too few: the administrators, or nobody at all."""
        last = {one.step: one for one in self.asked}
        return tuple(step for step, one in last.items() if one.admin or not one.people)


def simulate(chain: ApprovalChain, facts: Facts, initiator: int, at: datetime, *, chosen: Mapping[str, Sequence[int]] | None = None,
             outputs: Mapping[str, Mapping[str, Any]] | None = None, first: Mapping[str, Sequence[int]] | None = None) -> Outcome:
    """The way of one record through ``chain``. ``outputs``: step → what its deciders would have answered; ``chosen``: step → whom the
    initiator picks; ``first``: step → the people who say yes before others do (it counts where nobody may decide twice)."""
    chain = replace(chain, steps=_lenient(chain.steps))
    picked = {**_first_choices(chain, facts, initiator, at), **(chosen or {})}
    try:
        log = list(begin(chain, facts, initiator, at, chosen=picked))
    except NotPossible as refused:
        return Outcome("", (*_nobody_at(chain, refused.message),), refused=refused.message)
    state, why = replay(log), None
    try:
        for _ in range(TURNS):
            move = None if state.finished else _willing(chain, state, facts, at, outputs or {}, first or {})
            if move is None:
                break
            for event in decide(chain, state, move, facts):
                log.append(event)
                state = fold(state, event)
    except NotPossible as refused:
        why = refused.message
    return replace(as_it_ran(chain, state, log), refused=why)


def _nobody_at(chain: ApprovalChain, why: Message) -> list[Asked]:
    """The step that keeps a case from beginning because nobody may decide it."""
    steps = [step for step in chain.every_step() if step.label == why.slots.get("step")] if why.code == "approval.nobody" else []
    return [Asked(step.name, (), {}) for step in steps]


def _first_choices(chain: ApprovalChain, facts: Facts, initiator: int, at: datetime) -> dict[str, list[int]]:
    """Where the initiator picks: the first people who could be picked."""
    nobody = CaseState("running", initiator, "", at.isoformat())
    found = {}
    for step in chain.every_step():
        for who in step.who if isinstance(step, Decide) else ():
            if who.kind == "chosen":
                found[step.name] = list(facts.candidates(who.pool, {}, nobody).ids[:who.min])
    return found


def _willing(chain: ApprovalChain, state: CaseState, facts: Facts, at: datetime, outputs: Mapping[str, Mapping[str, Any]],
             first: Mapping[str, Sequence[int]]) -> Move | None:
    """The next yes; None where nobody can say it."""
    for name in state.active_steps():
        step = chain.step(name)
        if isinstance(step, SubChain) and not state.live_tasks(name):
            return Move("sub_done", SYSTEM, at, None, {"step": name, "result": "approved"})
        if isinstance(step, WaitFor) and not step.condition:
            return Move("wake", SYSTEM, at)
    for task in sorted(state.live_tasks(), key=lambda t: t.assignee not in first.get(t.step, ())):
        step = chain.step(task.step)
        given = dict(outputs.get(task.step, {}))
        for user in sorted(_holders(task.assignee, task.pool, facts), key=lambda u: u not in first.get(task.step, ())):
            for offer in legal(chain, state, user, facts, at):
                if offer.task == task.no and offer.kind in ("claim", "pass"):
                    return Move(offer.kind, user, at, task.no, {"opinion": "simulated", "attachments": _files(step), "outputs": given})
    return None


def _holders(assignee: int | None, pool: Sequence[int], facts: Facts) -> tuple[int, ...]:
    return (assignee,) if assignee is not None else tuple(pool) or facts.admins()


def _files(step: object) -> list[int]:
    return [0] if isinstance(step, Decide) and step.attachments == "required" else []


def _lenient(steps: Mapping[str, ChainStep]) -> dict[str, ChainStep]:
    """The steps with no output required and no signature: nobody knows what people would answer, and nobody signs."""
    return {name: _asks_less(step) for name, step in steps.items()}


def _asks_less(step: ChainStep) -> ChainStep:
    if isinstance(step, Decide):
        return replace(step, signature="", outputs={name: replace(f, required=False) for name, f in step.outputs.items()})
    if isinstance(step, Fork):
        return replace(step, branches={name: replace(b, steps=_lenient(b.steps)) for name, b in step.branches.items()})
    return step


def as_it_ran(chain: ApprovalChain, state: CaseState, log: Iterable[Event]) -> Outcome:
    """What a log says of its case; where a fork was passed more than once, the last time."""
    log = tuple(log)
    asked = [_asked(e, log) for e in log if e.kind == "people_found"]
    taken = {str(e.data["step"]): e.data["branches"] for e in log if e.kind == "branch_chosen"}
    ways = tuple((step, branch) for step, branches in taken.items() for branch in branches)
    stops = () if state.finished else state.active_steps()
    return Outcome(state.status if state.finished else "", tuple(asked), ways, path(chain, state), stops)


def _asked(event: Event, log: Sequence[Event]) -> Asked:
    step = event.data["step"]
    admin = any(e.kind == "task_opened" and e.data["step"] == step and e.data["kind"] == "admin" for e in log)
    return Asked(step, tuple(event.data["ids"]), dict(event.data["dropped"]), admin)


# -- over many records -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Survey:
    """``dead_ways``, ``dead_steps``: what no record came to; ``stuck``: records whose case would not end, or not begin; ``nobody``:
    step → records for which nobody could decide it but an administrator."""

    outcomes: Mapping[int, Outcome]
    dead_ways: tuple[tuple[str, str], ...]
    dead_steps: tuple[str, ...]
    stuck: tuple[int, ...]
    nobody: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def survey(chain: ApprovalChain, outcomes: Mapping[int, Outcome]) -> Survey:
    """What the outcomes of a chain over many records (by id) say about the chain."""
    taken = {way for outcome in outcomes.values() for way in outcome.ways}
    walked = {node.name for outcome in outcomes.values() for node in _walked(outcome.path)}
    ways = [(s.name, b.name) for s in chain.every_step() if isinstance(s, Fork) for b in s.inner]
    dead = tuple(w for w in ways if w not in taken)
    steps = tuple(s.name for s in chain.every_step() if s.name not in walked)
    stuck = tuple(key for key, outcome in outcomes.items() if not outcome.result)
    without = {s.name: tuple(key for key, outcome in outcomes.items() if s.name in outcome.nobody) for s in chain.every_step()}
    return Survey(outcomes, dead, steps, stuck, {step: keys for step, keys in without.items() if keys})


def _walked(nodes: Iterable[Node]) -> Iterable[Node]:
    """Steps that somebody or something passed through."""
    for node in nodes:
        if node.kind != "way" and node.status in ("done", "now"):
            yield node
        yield from _walked(node.children)


def changed(before: Outcome, after: Outcome) -> tuple[str, ...]:
    """In what two outcomes for one record differ: result, deciders, way."""
    told = (("result", before.result != after.result), ("deciders", before.deciders != after.deciders), ("way", before.ways != after.ways))
    return tuple(what for what, differs in told if differs)
