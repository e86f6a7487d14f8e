"""Decisions: pass, reject, send back, and taking a decision back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaloom.approval import seats, walk
from metaloom.approval.event import Move
from metaloom.approval.guard import voice, written
from metaloom.approval.people import acts_for, persons
from metaloom.approval.state import LastDecision, Task
from metaloom.approval.story import Story
from metaloom.approval.words import never, no
from metaloom.model import Decide, SubChain


def may_pass(story: Story, by: int, task: Task | None) -> Task:
    return voice(story, by, task, "pass")


def may_reject(story: Story, by: int, task: Task | None) -> Task:
    return voice(story, by, task, "reject")


def may_return(story: Story, by: int, task: Task | None) -> Task:
    task = voice(story, by, task, "return")
    if not targets(story, task.step):
        no("no_way_back")
    return task


def pass_(story: Story, move: Move, task: Task) -> None:
    _say(story, move, task, "pass")
    walk.settle(story, task.step)


def reject(story: Story, move: Move, task: Task) -> None:
    _say(story, move, task, "reject")
    walk.settle(story, task.step)


def _say(story: Story, move: Move, task: Task, decision: str) -> None:
    """Write down what somebody decided; the same person has no voice left in other steps."""
    step = story.step(task.step)
    opinion = str(move.data.get("opinion") or "")
    outputs = dict(move.data.get("outputs") or {})
    files = list(move.data.get("attachments") or ())
    if isinstance(step, Decide):
        _is_complete(step, task, decision, opinion, outputs, files)
        _is_drawn(step, move.data.get("signature"))
    people = persons(story, move.by, task.assignee, task.principal)
    signed = {name: move.data[name] for name in ("signed", "signature") if move.data.get(name)}
    story.tell("decided", task=task.no, by=move.by, on_behalf_of=_principal(task, move.by), people=sorted(people), decision=decision,
               opinion=opinion, outputs=outputs, attachments=files, why="", **signed)
    if story.chain.forbid_repeat == "chain":
        for name in seats.vacate(story, people, task.step):
            walk.settle(story, name)


def _principal(task: Task, by: int) -> int | None:
    return task.principal if task.principal is not None else task.assignee if task.assignee != by else None


def _is_complete(step: Decide, task: Task, decision: str, opinion: str, outputs: Mapping[str, Any], files: list[Any]) -> None:
    """What a decision must bring along: words, files, results."""
    if step.opinion == "required" or step.opinion == "on_reject" and decision != "pass":
        written(opinion, "needs_opinion")
    if step.attachments == "required" and not files:
        no("needs_files")
    if step.attachments == "none" and files:
        no("no_files")
    unknown = sorted(outputs.keys() - step.outputs.keys())
    if unknown:
        no("unknown_output", fields=", ".join(unknown))
    missing = [f.name for f in step.outputs.values() if f.required and outputs.get(f.name) in (None, "", [])]
    if decision == "pass" and task.kind != "added" and missing:
        no("needs_output", fields=", ".join(missing))


def _is_drawn(step: Decide, signature: object) -> None:
    """Whoever decides signs by hand where the step asks for it, and nowhere else."""
    if step.signature and not signature:
        no("needs_signature")
    if signature and not step.signature:
        no("no_signature")


# -- 驳回 --------------------------------------------------------------------------------------------------------------


def targets(story: Story, name: str) -> tuple[str, ...]:
    """Where ``name`` may send the record: ``initiator``, ``end``, steps that somebody decided before."""
    step = story.step(name)
    if not isinstance(step, Decide):
        return ()
    decided = _decided_before(story, name)
    meaning = {"initiator": ["initiator"], "end": ["end"], "any": [*decided, "initiator"], "previous": decided[-1:] or ["initiator"]}
    found = [t for to in step.returns.to for t in meaning.get(to, [to] if to in decided else [])]
    return tuple(dict.fromkeys(found))


def _decided_before(story: Story, name: str) -> list[str]:
    """Steps on the way to ``name`` that people decided, in the order of time."""
    before, acted = story.chain.before(name), {step for step, _ in story.state.acted}
    return [run.step for run in story.state.runs.values() if run.step in before and run.step in acted and run.status == "done"]


def return_(story: Story, move: Move, task: Task) -> None:
    step = story.step(task.step)
    assert isinstance(step, Decide)
    possible = targets(story, task.step)
    to = move.data.get("to") or possible[0]
    if to not in possible:
        no("not_back_there")
    then = move.data.get("then") or step.returns.then
    if then not in ("rerun", "resume"):
        no("not_back_there")
    _say(story, move, task, "return")
    if story.state.finished or not story.state.is_active(task.step):
        return
    if to == "end":
        walk.reject(story, task.step, "returned")
    elif to == "initiator":
        send_to_initiator(story, task.step, move.by, then)
    else:
        _send_back(story, task.step, str(to), move.by, then)


def send_to_initiator(story: Story, step: str, by: int, then: str) -> None:
    """驳回到发起人: everything stops until the record is submitted again."""
    closed = walk.cancel(story, story.plan.blocks[None])
    reset = list(story.state.runs) if then == "rerun" else []
    story.tell("returned", step=step, by=by, to="initiator", then=then, closed=list(closed), reset=reset)
    story.open("", "resubmit", round=0, assignee=story.state.initiator)


def _send_back(story: Story, step: str, to: str, by: int, then: str) -> None:
    closed = walk.make_way(story, to, frozenset({to}))
    reset = [name for name in story.state.runs if to in story.chain.before(name)] if then == "rerun" else []
    story.tell("returned", step=step, by=by, to=to, then=then, closed=list(closed), reset=reset)
    walk.enter(story, to)


# -- 拿回 --------------------------------------------------------------------------------------------------------------


def may_take_back(story: Story, by: int, task: Task | None) -> Task:
    """Help that was asked for, or one's own decision while nobody has acted since."""
    if task is None:
        no("unknown_task")
    if _helpers(story, task) and acts_for(story, task, by):
        return task
    if not story.chain.allow.take_back:
        no("not_offered")
    last = story.state.last
    if task.by is not None and task.by != by:
        never("not_yours")
    if last != LastDecision(task.no, task.step, by):
        no("cannot_take_back")
    after = [n for n in story.state.active_steps() if task.step in story.chain.before(n)]
    if any(isinstance(story.step(n), SubChain) for n in after) or any(t.by for n in after for t in _spoken(story, n)):
        no("cannot_take_back")
    return task


def _helpers(story: Story, task: Task) -> list[Task]:
    """The delegates whom a waiting task waits for."""
    return [t for t in story.live(task.step) if task.live and t.kind == "delegated" and t.no in task.waits_for]


def _spoken(story: Story, step: str) -> list[Task]:
    run = story.state.runs[step]
    return [t for t in story.state.tasks.values() if t.step == step and t.round == run.round and t.status == "done"]


def take_back(story: Story, move: Move, task: Task) -> None:
    helpers = _helpers(story, task)
    for helper in helpers:
        story.close(helper, "taken_back")
    if helpers:
        walk.settle(story, task.step)
        return
    step = task.step
    if not story.state.is_active(step):
        walk.make_way(story, step, frozenset({step}))
    reset = [name for name in story.state.runs if step in story.chain.before(name)]
    people = persons(story, move.by, task.assignee, task.principal)
    story.tell("taken_back", task=task.no, by=move.by, people=sorted(people), reset=reset)
    if not story.state.is_active(step):
        story.tell("step_reopened", step=step)
    _seat_again(story, task)
    walk.settle(story, step)


def _seat_again(story: Story, task: Task) -> None:
    """The seat of the decision opens again, and those that closed because of it."""
    for old in tuple(story.state.tasks.values()):
        of_round = old.step == task.step and old.round == task.round and old.kind != "answer"
        if old.no == task.no or of_round and old.status == "cancelled" and old.why in ("step_decided", "seat_decided"):
            new = seats.replace_task(story, old, "taken_back", status="open" if old.no == task.no else _former(story, old), timers=[], due=None)
            seats.started(story, story.state.tasks[new])
            for follower in story.live(task.step):
                if new in follower.waits_for and follower.status == "open":
                    story.tell("task_waits", task=follower.no, **{"for": []})


def _former(story: Story, task: Task) -> str:
    return "waiting" if any(story.state.tasks[n].live for n in task.waits_for) else "open"
