"""Handing tasks on: 转办, 委派, 认领, 前/后加签, 减签, 抄送, 沟通, 离职转办."""

from __future__ import annotations

from metaloom.approval import seats, walk
from metaloom.approval.event import Move
from metaloom.approval.guard import admin, brought, fit, live, one_person, open_task, power, running, several, written
from metaloom.approval.people import barred, persons, unfit
from metaloom.approval.state import VOICES, Task
from metaloom.approval.story import Story
from metaloom.approval.words import never, no
from metaloom.model import Decide

# -- 转办, 委派 --------------------------------------------------------------------------------------------------------


def may_transfer(story: Story, by: int, task: Task | None) -> Task:
    return power(story, by, task, "transfer")


def transfer(story: Story, move: Move, task: Task) -> None:
    """Somebody else decides instead; an administrator's task becomes that person's."""
    to = one_person(move.data.get("to"))
    fit(story, task, to, instead=True)
    story.tell("transferred", task=task.no, by=move.by, to=to, why=str(move.data.get("opinion") or ""), **brought(story, move, task))
    kind = "decide" if task.kind == "admin" else task.kind
    new = seats.replace_task(story, task, "transferred", kind=kind, assignee=to, principal=None, pool=[])
    seats.started(story, story.state.tasks[new])
    walk.settle(story, task.step)


def may_delegate(story: Story, by: int, task: Task | None) -> Task:
    return power(story, by, task, "delegate")


def delegate(story: Story, move: Move, task: Task) -> None:
    """Somebody works on it and gives it back."""
    to = one_person(move.data.get("to"))
    fit(story, task, to)
    story.tell("delegated", task=task.no, by=move.by, to=to, why=str(move.data.get("opinion") or ""), **brought(story, move, task))
    helper = story.open(task.step, "delegated", round=task.round, seat=task.seat, assignee=to, principal=task.assignee or move.by, added_by=move.by)
    story.tell("task_waits", task=task.no, **{"for": [helper]})


def may_resolve(story: Story, by: int, task: Task | None) -> Task:
    task = open_task(story, by, task, ("delegated",))
    _not_barred(story, by, task)
    return task


def resolve(story: Story, move: Move, task: Task) -> None:
    """The delegate's words; the task goes back to who delegated it. Whoever helped decide has acted."""
    opinion = written(move.data.get("opinion"), "needs_opinion")
    if move.data.get("signature"):
        no("signs_later")
    people = persons(story, move.by, task.assignee)
    story.tell("resolved", task=task.no, by=move.by, people=sorted(people), opinion=opinion, **brought(story, move, task))
    if story.chain.forbid_repeat == "chain":
        for name in seats.vacate(story, people, task.step):
            walk.settle(story, name)
    walk.settle(story, task.step)


def _not_barred(story: Story, by: int, task: Task) -> None:
    step = story.step(task.step)
    why = barred(story, step, persons(story, by, task.assignee)) if isinstance(step, Decide) else ""
    if why:
        no(why)


# -- 认领 --------------------------------------------------------------------------------------------------------------


def may_claim(story: Story, by: int, task: Task | None) -> Task:
    task = live(task)
    if not task.pool:
        no("wrong_task")
    if by not in task.pool:
        never("not_yours")
    if task.assignee is not None:
        no("claimed")
    _not_barred(story, by, task)
    return task


def claim(story: Story, move: Move, task: Task) -> None:
    story.tell("claimed", task=task.no, by=move.by)


def may_unclaim(story: Story, by: int, task: Task | None) -> Task:
    task = live(task)
    if not task.pool or task.assignee is None:
        no("not_claimed")
    return open_task(story, by, task)


def unclaim(story: Story, move: Move, task: Task) -> None:
    story.tell("unclaimed", task=task.no, by=move.by)


# -- 加签, 减签 --------------------------------------------------------------------------------------------------------


def may_add_before(story: Story, by: int, task: Task | None) -> Task:
    return power(story, by, task, "add_before")


def may_add_after(story: Story, by: int, task: Task | None) -> Task:
    return power(story, by, task, "add_after")


def add_before(story: Story, move: Move, task: Task) -> None:
    """前加签: others decide first; the task waits for them."""
    added = _add(story, move, task, "before")
    story.tell("task_waits", task=task.no, **{"for": added})


def add_after(story: Story, move: Move, task: Task) -> None:
    """后加签: others decide once this task has passed; whoever waits for this task waits for them, too."""
    followers = [t for t in story.live(task.step) if task.no in t.waits_for]
    added = _add(story, move, task, "after")
    for follower in followers:
        story.tell("task_waits", task=follower.no, **{"for": added})


def _add(story: Story, move: Move, task: Task, where: str) -> list[int]:
    people = several(move.data.get("to"))
    for user in people:
        fit(story, task, user)
    if len({story.person(u) for u in people}) < len(people):
        no("twice")
    story.tell("added", task=task.no, by=move.by, to=list(people), where=where, why=str(move.data.get("opinion") or ""), **brought(story, move, task))
    waits = {"status": "waiting", "waits_for": [task.no]} if where == "after" else {}
    numbers = [story.open(task.step, "added", round=task.round, seat=task.seat, assignee=user, added_by=move.by, **waits) for user in people]
    for number in numbers:
        seats.started(story, story.state.tasks[number])
    return numbers


def may_remove(story: Story, by: int, task: Task | None) -> Task:
    """减签: whoever added a signer may take him out; an administrator also one of several deciders."""
    task = live(task)
    step = story.step(task.step) if task.step else None
    if not isinstance(step, Decide) or task.kind not in ("added", "decide"):
        no("wrong_task")
    if by not in story.facts.admins():
        if task.kind == "decide" or task.added_by != by:
            never("not_yours")
        if "remove" not in step.may:
            no("not_offered")
    others = [t for t in story.live(task.step) if t.kind in VOICES and t.seat != task.seat]
    if task.kind == "decide" and not others:
        no("not_offered")
    return task


def remove(story: Story, move: Move, task: Task) -> None:
    story.tell("removed", task=task.no, by=move.by, to=task.assignee)
    story.close(task, "removed")
    if task.kind == "decide":
        for other in story.live(task.step):
            if other.seat == task.seat:
                story.close(other, "removed")
    walk.settle(story, task.step)


# -- 抄送, 沟通 --------------------------------------------------------------------------------------------------------


def may_copy(story: Story, by: int, task: Task | None) -> Task:
    return power(story, by, task, "copy")


def copy(story: Story, move: Move, task: Task) -> None:
    people = several(move.data.get("to"))
    if not all(story.facts.may_read(user) for user in people):
        no("cannot_read")
    story.tell("copied", step=task.step, by=move.by, to=list(people), dropped=[])


def may_ask(story: Story, by: int, task: Task | None) -> Task:
    return power(story, by, task, "ask")


def ask(story: Story, move: Move, task: Task) -> None:
    """沟通: a question beside the decision; nobody's vote depends on the answer."""
    to = one_person(move.data.get("to"))
    question = written(move.data.get("question"), "needs_reason")
    if to == move.by:
        no("whom")
    if not story.facts.may_read(to):
        no("cannot_read")
    story.tell("asked", task=task.no, by=move.by, to=to, question=question, **brought(story, move, task))
    story.open(task.step, "answer", round=task.round, assignee=to, added_by=move.by, why=question)


def may_answer(story: Story, by: int, task: Task | None) -> Task:
    return open_task(story, by, task, ("answer",))


def answer(story: Story, move: Move, task: Task) -> None:
    opinion = written(move.data.get("opinion"), "needs_opinion")
    story.tell("answered", task=task.no, by=move.by, opinion=opinion, **brought(story, move, task))


# -- 离职转办 ----------------------------------------------------------------------------------------------------------


def may_hand_over(story: Story, by: int, task: Task | None) -> None:
    running(story)
    admin(story, by)


def hand_over(story: Story, move: Move, task: None) -> None:
    """Everything that somebody holds goes to another person; what that person may not decide, to the administrators."""
    old, new = one_person(move.data.get("from")), one_person(move.data.get("to"))
    held = [t for t in story.state.live_tasks() if t.assignee == old or old in t.pool]
    if old == new:
        no("whom")
    if not held and not any(old in ids for ids in story.state.chosen.values()):
        no("nothing_to_hand_over")
    if not story.facts.may_read(new):
        no("cannot_read")
    story.tell("handed_over", by=move.by, to=new, tasks=[t.no for t in held], **{"from": old})
    for held_task in held:
        if story.state.tasks[held_task.no].live:
            _hand_on(story, held_task, old, new)
    for name in dict.fromkeys(t.step for t in held if t.step):
        walk.settle(story, name)


def _hand_on(story: Story, task: Task, old: int, new: int) -> None:
    if task.kind in ("resubmit", "answer"):
        seats.replace_task(story, task, "handed_over", assignee=new)
        return
    why = unfit(story, task.step, new, principal=task.principal, instead_of=task.no)
    if task.pool:
        pool = [u for u in (new if user == old and not why else user for user in task.pool) if u != old]
        if pool:
            story.tell("pool_reduced", task=task.no, pool=list(dict.fromkeys(pool)), assignee=None if task.assignee == old else task.assignee)
            return
    if not why:
        seats.replace_task(story, task, "handed_over", assignee=new, principal=task.principal, pool=[])
    elif task.kind == "delegated":
        story.close(task, "handed_over")
    else:
        seats.open_admin(story, task.step, why, instead_of=task)


