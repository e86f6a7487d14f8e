"""begin, decide, legal: the doors of the heart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metaloom.approval import clock, deciding, helping, office, walk
from metaloom.approval.event import Event, Move
from metaloom.approval.facts import Facts
from metaloom.approval.guard import running
from metaloom.approval.offer import Offer
from metaloom.approval.people import made_by
from metaloom.approval.state import CaseState, Task
from metaloom.approval.story import Story
from metaloom.approval.words import no
from metaloom.base.errors import NotAllowed, NotPossible
from metaloom.model import ApprovalChain, Decide, Who


@dataclass(frozen=True)
class Rule:
    """One kind of move. ``may`` refuses or gives the task it is about; ``act`` tells what happens. ``about``: a task, the case, or either."""

    may: Callable[[Story, int, Task | None], Any]
    act: Callable[[Story, Move, Any], None]
    about: str = "task"


RULES: Mapping[str, Rule] = {
    "pass": Rule(deciding.may_pass, deciding.pass_),
    "reject": Rule(deciding.may_reject, deciding.reject),
    "return": Rule(deciding.may_return, deciding.return_),
    "take_back": Rule(deciding.may_take_back, deciding.take_back),
    "transfer": Rule(helping.may_transfer, helping.transfer),
    "delegate": Rule(helping.may_delegate, helping.delegate),
    "resolve": Rule(helping.may_resolve, helping.resolve),
    "claim": Rule(helping.may_claim, helping.claim),
    "unclaim": Rule(helping.may_unclaim, helping.unclaim),
    "add_before": Rule(helping.may_add_before, helping.add_before),
    "add_after": Rule(helping.may_add_after, helping.add_after),
    "remove": Rule(helping.may_remove, helping.remove),
    "copy": Rule(helping.may_copy, helping.copy),
    "ask": Rule(helping.may_ask, helping.ask),
    "answer": Rule(helping.may_answer, helping.answer),
    "hold": Rule(clock.may_hold, clock.hold),
    "pause": Rule(clock.may_pause, clock.pause),
    "expire": Rule(clock.may_expire, clock.expire),
    "resubmit": Rule(office.may_resubmit, office.resubmit),
    "read": Rule(clock.may_read, clock.read, "either"),
    "wake": Rule(clock.may_wake, clock.wake, "either"),
    "urge": Rule(clock.may_urge, clock.urge, "case"),
    "withdraw": Rule(office.may_withdraw, office.withdraw, "case"),
    "terminate": Rule(office.may_terminate, office.terminate, "case"),
    "jump": Rule(office.may_jump, office.jump, "case"),
    "hand_over": Rule(helping.may_hand_over, helping.hand_over, "case"),
    "sub_done": Rule(office.may_sub_done, office.sub_done, "case"),
    "chain_changed": Rule(office.may_chain_changed, office.chain_changed, "case"),
}


def begin(chain: ApprovalChain, facts: Facts, initiator: int, at: datetime, *, digest: str = "",
          chosen: Mapping[str, Sequence[int]] | None = None) -> tuple[Event, ...]:
    """The first events of a case.

    NotPossible when a choice of people is missing or wrong, or when a step with ``empty: fail`` ends the case before anybody was asked.
    """
    story = Story(chain, facts, at)
    picked = {step: list(dict.fromkeys(people)) for step, people in (chosen or {}).items()}
    story.tell("started", initiator=initiator, digest=digest, chain=chain.address, chosen=picked, **made_by(story))
    _check_choices(story, picked)
    walk.enter(story, next(iter(chain.steps)))
    if story.state.status == "rejected" and story.events[-1].data["why"] == "empty":
        failed = [run.step for run in story.state.runs.values() if run.why == "empty"]
        no("nobody", step=chain.step(failed[-1]).label)
    return tuple(story.events)


def _check_choices(story: Story, picked: Mapping[str, Sequence[int]]) -> None:
    asked = {s.name: w for s in story.chain.every_step() if isinstance(s, Decide) for w in s.who if w.kind == "chosen"}
    if picked.keys() - asked.keys():
        no("not_there")
    for step, who in asked.items():
        _check_choice(story, story.chain.step(step), who, picked.get(step, ()))


def _check_choice(story: Story, step: Any, who: Who, ids: Sequence[int]) -> None:
    if not who.min <= len(ids) <= who.max:
        no("choose", step=step.label, low=who.min, high=who.max)
    pool = story.facts.candidates(who.pool, {}, story.state).ids
    if not set(ids) <= set(pool):
        no("not_eligible")


def decide(chain: ApprovalChain, state: CaseState, move: Move, facts: Facts) -> tuple[Event, ...]:
    """The events that ``move`` makes. NotAllowed: this account may not; NotPossible: not now.

    For ``chain_changed`` the chain is the new one, or the case's own for ``pin``.
    """
    story = Story(chain, facts, move.at, state)
    rule = RULES.get(move.kind)
    if rule is None:
        no("unknown_move")
    running(story)
    task = _task(state, move, rule)
    rule.act(story, move, rule.may(story, move.by, task))
    return tuple(story.events)


def _task(state: CaseState, move: Move, rule: Rule) -> Task | None:
    """The task a move names; NotPossible where it must name one, and where there is none of that number."""
    if move.task is None and rule.about != "task":
        return None
    if move.task is None or rule.about == "case" or move.task not in state.tasks:
        no("unknown_task")
    return state.tasks[move.task]


def legal(chain: ApprovalChain, state: CaseState, user_id: int, facts: Facts, at: datetime) -> tuple[Offer, ...]:
    """Everything the account may do now. An offer can still be refused for what comes with it: an opinion, a person to hand on to."""
    if state.finished:
        return ()
    story = Story(chain, facts, at, state)
    found = []
    for kind, rule in RULES.items():
        about: list[Task | None] = [] if rule.about == "task" else [None]
        if rule.about != "case":
            about += [t for t in state.tasks.values() if t.live or kind == "take_back"]
        found += [_offer(story, kind, task) for task in about if _may(rule, story, user_id, task)]
    return tuple(found)


def _may(rule: Rule, story: Story, user: int, task: Task | None) -> bool:
    try:
        rule.may(story, user, task)
    except (NotPossible, NotAllowed):
        return False
    return True


def _offer(story: Story, kind: str, task: Task | None) -> Offer:
    targets = deciding.targets(story, task.step) if kind == "return" and task else office.goals(story) if kind == "jump" else ()
    return Offer(kind, task.no if task else None, targets)
