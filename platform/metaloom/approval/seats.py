"""The tasks of a deciding step: opened for the people found, counted by the mode of the step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil

from metaloom.approval.event import SYSTEM
from metaloom.approval.people import Seat, find, persons
from metaloom.approval.state import VOICES, Task
from metaloom.approval.story import Story
from metaloom.model import Decide

PASS, REJECT, OPEN = "pass", "reject", ""
Verdict = tuple[str, str]
"""What a step says without its people: pass, reject or skipped, and why; two empty words while they decide."""


def open_step(story: Story, step: Decide) -> Verdict:
    """Ask the people of a step, unless it decides by itself."""
    if step.auto_reject and story.holds(step.auto_reject):
        return REJECT, "auto"
    if step.auto_pass and story.holds(step.auto_pass):
        return PASS, "auto"
    if _ask(story, step, find(story, step, step.who)):
        return OPEN, ""
    return fill_empty(story, step)


def _ask(story: Story, step: Decide, seats: tuple[Seat, ...]) -> bool:
    """Open the tasks of the seats; whether there are any."""
    if not seats:
        return False
    if step.mode == "random":
        drawn = story.facts.draw([s.user for s in seats])
        seats = tuple(s for s in seats if s.user == drawn)
    if step.mode == "claim" and not any(s.passed_over for s in seats):
        _open(story, step, seat=1, pool=[s.user for s in seats])
        return True
    before: list[int] = []
    for number, seat in enumerate(seats, 1):
        no = _open(story, step, seat=number, assignee=seat.user, principal=seat.principal, weight=seat.weight, waits_for=before,
                   status="waiting" if before else "open")
        before = [no] if step.mode == "sequence" else []
        if seat.passed_over:
            decide_by_itself(story, no, PASS, "initiator")
    return True


def _open(story: Story, step: Decide, **slots: object) -> int:
    no = story.open(step.name, "decide", round=story.state.runs[step.name].round, **slots)
    started(story, story.state.tasks[no])
    return no


def started(story: Story, task: Task) -> None:
    """An open task: its clock runs; whoever passed this record before may have passed it already."""
    step = story.step(task.step)
    if task.status != "open" or not isinstance(step, Decide) or task.kind not in VOICES:
        return
    if _repeats(story, step, task):
        decide_by_itself(story, task.no, PASS, "repeated")
    elif step.limit is not None and task.due is None:
        due = story.facts.due(step.limit.within, story.at)
        each = [story.facts.due(e.after, due).isoformat() for e in step.limit.then]
        story.tell("timer_set", task=task.no, due=due.isoformat(), at_each=each)


def _repeats(story: Story, step: Decide, task: Task) -> bool:
    """连续/全程自动通过: the person passed the step before, or any, and nothing new is asked of him."""
    rule, passed = story.chain.repeated, story.state.passed
    if rule == "ask" or task.kind != "decide" or task.assignee is None or any(f.required for f in step.outputs.values()):
        return False
    person = story.person(task.assignee)
    earlier = [(s, p) for s, p in passed if s != step.name]
    if rule == "pass_adjacent":
        last = earlier[-1][0] if earlier else ""
        earlier = [(s, p) for s, p in earlier if s == last]
    return any(p == person for _, p in earlier)


def decide_by_itself(story: Story, no: int, decision: str, why: str) -> None:
    """A decision that no person takes now."""
    story.tell("decided", task=no, by=SYSTEM, on_behalf_of=None, people=[], decision=decision, opinion="", outputs={}, attachments=[], why=why)


# -- nobody there ------------------------------------------------------------------------------------------------------


def fill_empty(story: Story, step: Decide) -> Verdict:
    """Nobody may decide: what the chain says then."""
    if step.empty == "who" and _ask(story, step, find(story, step, step.empty_who)):
        return OPEN, ""
    if step.empty in ("fail", "skip"):
        return REJECT if step.empty == "fail" else "skipped", "empty"
    open_admin(story, step.name, "empty", weight=missing(story, step))
    return OPEN, ""


def open_admin(story: Story, step: str, why: str, *, weight: int = 1, instead_of: Task | None = None) -> int:
    """A task for whoever administers approvals; they answer it, or give it to somebody."""
    if instead_of is None:
        seat = 1 + max((t.seat for t in story.state.tasks.values() if t.step == step), default=0)
        return story.open(step, "admin", round=story.state.runs[step].round, seat=seat, weight=weight, why=why)
    return replace_task(story, instead_of, why, kind="admin", assignee=None, principal=None, pool=[])


def replace_task(story: Story, old: Task, why: str, **changes: object) -> int:
    """A task of the same seat in place of ``old``; whoever waited for the old one waits for the new one."""
    slots: dict[str, object] = {"seat": old.seat, "weight": old.weight, "status": old.status, "waits_for": list(old.waits_for), "due": old.due,
                                "timers": list(old.timers), "fired": old.fired, "added_by": old.added_by, "assignee": old.assignee,
                                "principal": old.principal, "pool": list(old.pool), "kind": old.kind, "why": why, **changes}
    kind = str(slots.pop("kind"))
    no = story.open(old.step, kind, round=old.round, replaces=old.no, **slots)
    story.close(old, why)
    return no


def missing(story: Story, step: Decide) -> int:
    """The votes that must come from somebody else so that the step can still pass."""
    total = sum(_weight(tasks) for tasks in _seats(story, step.name).values())
    return max(1, ceil(needed(step, total) - total)) if step.mode == "vote" else 1


# -- counting ----------------------------------------------------------------------------------------------------------


def advance(story: Story, step: str) -> None:
    """Open the tasks whose predecessors are over; end the help that nobody waits for any more."""
    moved = True
    while moved:
        moved = False
        for task in story.live(step):
            if task.status == "waiting" and not any(story.state.tasks[n].live for n in task.waits_for):
                story.tell("task_activated", task=task.no)
                started(story, story.state.tasks[task.no])
                moved = True
            elif task.kind == "delegated" and not any(task.no in t.waits_for for t in story.live(step)):
                story.close(task, "moot")
                moved = True
        _close_lost_seats(story, step)


def _close_lost_seats(story: Story, step: str) -> None:
    """A seat in which somebody rejected has spoken: signers around have nothing to add."""
    for tasks in _seats(story, step).values():
        if _seat_verdict(tasks) == REJECT:
            for task in tasks:
                story.close(task, "seat_decided")


def tally(story: Story, step: str) -> str:
    """pass, reject, '' while people decide; empty: nobody is left; short: a vote lacks voters."""
    definition = story.step(step)
    voting = _seats(story, step)
    if not voting:
        return "empty"
    verdicts = {seat: _seat_verdict(tasks) for seat, tasks in voting.items()}
    mode = definition.mode if isinstance(definition, Decide) else "any"
    if mode == "vote":
        assert isinstance(definition, Decide)
        return _vote(definition, {seat: _weight(tasks) for seat, tasks in voting.items()}, verdicts)
    if mode in ("all", "sequence"):
        assert isinstance(definition, Decide)
        return _all(definition, verdicts.values())
    said = [v for v in verdicts.values() if v]
    return said[0] if said else OPEN


def _all(step: Decide, verdicts: Iterable[str]) -> str:
    verdicts = tuple(verdicts)
    if REJECT in verdicts and (step.veto != "rest_continue" or OPEN not in verdicts):
        return REJECT
    return PASS if all(v == PASS for v in verdicts) else OPEN


def _vote(step: Decide, weights: Mapping[int, int], verdicts: Mapping[int, str]) -> str:
    """票签: passes with the share asked for; rejected only when that can no longer be reached."""
    need = needed(step, sum(weights.values()))
    passed = sum(w for seat, w in weights.items() if verdicts[seat] == PASS)
    still = sum(w for seat, w in weights.items() if verdicts[seat] == OPEN)
    if REJECT in verdicts.values() and step.veto == "one_rejects":
        return REJECT
    if sum(weights.values()) < need:
        return "short"
    return PASS if passed >= need else REJECT if passed + still < need else OPEN


def needed(step: Decide, total: int) -> Fraction:
    """The weight that passes a vote: a share of the total, or a number."""
    top, slash, bottom = step.share.partition("/")
    return Fraction(int(top), int(bottom)) * total if slash else Fraction(int(top or 1))


def _seats(story: Story, step: str) -> dict[int, list[Task]]:
    """The tasks of this round that have a voice, by seat."""
    run = story.state.runs[step]
    seats: dict[int, list[Task]] = {}
    for task in story.state.tasks.values():
        if task.step == step and task.round == run.round and task.seat and task.kind in VOICES and task.status != "cancelled":
            seats.setdefault(task.seat, []).append(task)
    return seats


def _weight(tasks: Iterable[Task]) -> int:
    """What the seat weighs: its decider's votes, not those of signers added."""
    return max(t.weight for t in tasks)


def _seat_verdict(tasks: Iterable[Task]) -> str:
    tasks = tuple(tasks)
    if any(t.decision == REJECT for t in tasks):
        return REJECT
    return OPEN if any(t.live for t in tasks) else PASS


def vacate(story: Story, people: frozenset[int], but: str) -> tuple[str, ...]:
    """Take the people who have acted out of the other steps (four eyes); the steps that lost somebody."""
    lost: list[str] = []
    for task in story.state.live_tasks():
        if task.step == but or not isinstance(story.step(task.step) if task.step else None, Decide) or task.kind not in (*VOICES, "delegated"):
            continue
        pool = [u for u in task.pool if story.person(u) not in people]
        taken = task.assignee is not None and bool(persons(story, task.assignee, task.principal) & people)
        if task.pool and pool and (len(pool) < len(task.pool) or taken):
            story.tell("pool_reduced", task=task.no, pool=pool, assignee=None if taken else task.assignee)
        elif taken or task.pool and not pool:
            story.close(task, "acted")
            lost.append(task.step)
    return tuple(dict.fromkeys(lost))

