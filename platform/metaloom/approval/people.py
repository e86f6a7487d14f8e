"""Who may sit where: four eyes, the initiator, the right to read, substitutes, second accounts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metaloom.approval.event import SYSTEM
from metaloom.approval.state import VOICES, Task
from metaloom.approval.story import Story
from metaloom.model import Decide, Who

HOPS = 5
"""Substitutes of substitutes, at most."""


@dataclass(frozen=True)
class Seat:
    """One person asked to decide. ``passed_over``: the initiator's seat where the chain lets it pass by itself."""

    user: int
    principal: int | None = None
    weight: int = 1
    passed_over: bool = False


def find(story: Story, step: Decide, who: tuple[Who, ...]) -> tuple[Seat, ...]:
    """The people of ``who`` that may decide ``step``, one seat each; everybody left out is told with the reason."""
    seats: list[Seat] = []
    dropped: list[list[object]] = []
    found = story.facts.candidates(tuple(w for w in who if w.kind != "chosen"), step.weights, story.state)
    chosen = story.state.chosen.get(step.name, ()) if any(w.kind == "chosen" for w in who) else ()
    for user in dict.fromkeys((*found.ids, *chosen)):
        seat, why = _seat(story, step, user, found.weights.get(user, 1), seats)
        if seat is not None and not why:
            why = barred(story, step, persons(story, seat.user, seat.principal)) if not seat.passed_over else ""
            why = why or ("twice" if _sits(story, seat, seats) else "")
        if why or seat is None:
            dropped.append([user, why])
        else:
            seats.append(seat)
    story.tell("people_found", step=step.name, ids=[s.user for s in seats], dropped=dropped)
    return tuple(seats)


def _sits(story: Story, seat: Seat, seats: Iterable[Seat]) -> bool:
    """Whether the person, or whoever he stands in for, has a seat already."""
    if story.chain.forbid_repeat == "none":
        return any(s.user == seat.user for s in seats)
    own = persons(story, seat.user, seat.principal)
    return any(own & persons(story, s.user, s.principal) for s in seats)


def _seat(story: Story, step: Decide, user: int, weight: int, seats: Iterable[Seat]) -> tuple[Seat | None, str]:
    """The seat that ``user`` takes, or a superior or substitute for him; else why nobody does."""
    if _is_initiator(story, user):
        if step.initiator == "forbid":
            return None, "initiator"
        if step.initiator == "skip":
            return Seat(user, weight=weight, passed_over=True), ""
        if step.initiator == "superior":
            superior = story.facts.superior(user)
            if superior is None or _is_initiator(story, superior):
                return None, "initiator"
            user = superior
    stand_in = _stand_in(story, step, user)
    if stand_in is not None and not _sits(story, Seat(stand_in, user), seats):
        return Seat(stand_in, user, weight), ""
    return (Seat(user, weight=weight), "") if story.facts.may_read(user) else (None, "cannot_read")


def _stand_in(story: Story, step: Decide, user: int) -> int | None:
    """Who decides for an absent account: somebody who may; else the account keeps its task."""
    for other in substitutes(story, user):
        if not unfit(story, step.name, other, principal=user):
            return other
    return None


def substitutes(story: Story, user: int) -> tuple[int, ...]:
    """Who stands in for ``user`` now, and for whoever stands in, without going in circles."""
    seen = [user]
    while len(seen) <= HOPS:
        other = story.facts.substitute(seen[-1], story.at)
        if other is None or other in seen:
            break
        seen.append(other)
    return tuple(reversed(seen[1:]))


def persons(story: Story, user: int, *others: int | None) -> frozenset[int]:
    """The human beings who act when ``user`` acts for ``others``."""
    return frozenset(story.person(u) for u in (user, *others) if u is not None and u != SYSTEM)


def barred(story: Story, step: Decide, people: frozenset[int]) -> str:
    """Why these people may not decide in ``step``; '' where they may."""
    if step.initiator != "allow" and story.person(story.state.initiator) in people:
        return "initiator"
    if step.initiator != "allow" and people & persons(story, SYSTEM, *story.state.makers, *story.makers):
        return "maker"
    if story.chain.forbid_repeat == "chain" and any(s != step.name and p in people for s, p in story.state.acted):
        return "acted"
    return ""


def made_by(story: Story) -> dict[str, list[int]]:
    """The makers as the event tells them that puts the record forward: whoever was one stays one, whatever becomes of the field."""
    return {"makers": list(story.makers)} if story.makers else {}


def unfit(story: Story, step: str, user: int, *, principal: int | None = None, instead_of: int | None = None) -> str:
    """Why ``user`` cannot be given a task of ``step`` (in place of task ``instead_of``); '' where that is possible."""
    if not story.facts.may_read(user):
        return "cannot_read"
    definition = story.step(step)
    if not isinstance(definition, Decide):
        return ""
    people = persons(story, user, principal)
    return barred(story, definition, people) or ("twice" if takes_part(story, step, user, instead_of) else "")


def takes_part(story: Story, step: str, user: int, instead_of: int | None) -> bool:
    """Whether the person has, or had, a voice in this round of the step already."""
    own = story.person(user) if story.chain.forbid_repeat != "none" else None
    for task in _round(story, step):
        for other in (task.assignee, task.by, task.principal):
            if task.no != instead_of and other not in (None, SYSTEM) and (other == user or own is not None and story.person(other) == own):
                return True
    return False


def _round(story: Story, step: str) -> tuple[Task, ...]:
    run = story.state.runs.get(step)
    return tuple(t for t in story.state.tasks.values() if run is not None and t.step == step and t.round == run.round
                 and t.kind in (*VOICES, "delegated") and t.status != "cancelled")


def _is_initiator(story: Story, user: int) -> bool:
    return story.person(user) == story.person(story.state.initiator)


def acts_for(story: Story, task: Task, user: int) -> bool:
    """Whether ``user`` may answer the task: its holder, who stands in for the holder, or an administrator where nobody holds it."""
    if task.kind == "admin" and task.assignee is None:
        return user in story.facts.admins()
    return task.assignee is not None and (task.assignee == user or user in substitutes(story, task.assignee))
