"""Time and attention: 催办, 暂存, 已阅, pausing and waking, limits that run out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from metaloom.approval import seats, walk
from metaloom.approval.event import SYSTEM, Move
from metaloom.approval.guard import initiator, live, open_task, power, running
from metaloom.approval.people import acts_for, unfit
from metaloom.approval.state import VOICES, Task
from metaloom.approval.story import Story
from metaloom.approval.words import never, no
from metaloom.model import Decide, Escalation, WaitFor

# -- 催办, 暂存, 已阅 --------------------------------------------------------------------------------------------------


def may_urge(story: Story, by: int, task: Task | None) -> None:
    running(story)
    initiator(story, by)
    if not story.chain.allow.urge:
        no("not_offered")
    if not _awake(story):
        no("nothing_to_urge")


def _awake(story: Story) -> list[int]:
    return [t.no for t in story.state.live_tasks() if t.status == "open" and not t.paused_at and t.kind != "resubmit"]


def urge(story: Story, move: Move, task: Task | None) -> None:
    story.tell("urged", by=move.by, tasks=_awake(story))


def may_hold(story: Story, by: int, task: Task | None) -> Task:
    task = live(task)
    return open_task(story, by, task, ("delegated", "answer", "resubmit")) if task.kind not in VOICES else power(story, by, task, "hold")


def hold(story: Story, move: Move, task: Task) -> None:
    """暂存: what was typed is kept; nothing is decided."""
    kept: dict[str, Any] = {k: move.data[k] for k in ("opinion", "outputs", "attachments", "decision") if k in move.data}
    story.tell("held", task=task.no, by=move.by, draft=kept)


def may_read(story: Story, by: int, task: Task | None) -> Task | None:
    """已阅 of a task or, without one, of the copy."""
    if task is None:
        if story.state.copies.get(by) is not False:
            no("unknown_task")
        return None
    if by not in task.pool and not acts_for(story, task, by):
        never("not_yours")
    if task.read_at is not None:
        no("task_closed")
    return task


def read(story: Story, move: Move, task: Task | None) -> None:
    story.tell("read", task=task.no if task else None, by=move.by)


# -- pausing and waking ------------------------------------------------------------------------------------------------


def may_pause(story: Story, by: int, task: Task | None) -> Task:
    """等待补件: the holder stops the clock of the task."""
    return open_task(story, by, task, ("decide", "added"))


def pause(story: Story, move: Move, task: Task) -> None:
    story.tell("paused", task=task.no, by=move.by, why=str(move.data.get("opinion") or ""))


def may_wake(story: Story, by: int, task: Task | None) -> Task | None:
    """A paused task: its holder, the initiator, an administrator. A waiting step: the last two, and the system."""
    running(story)
    helper = by == SYSTEM or by == story.state.initiator or by in story.facts.admins()
    if task is not None:
        task = live(task)
        if not task.paused_at:
            no("not_paused")
        if not helper and not acts_for(story, task, by):
            never("not_yours")
        return task
    if not helper:
        never("only_initiator")
    waiting = _asleep(story)
    if not waiting:
        no("not_paused")
    if not any(_may_go_on(story, step) for step in waiting):
        no("condition_open")
    return None


def _asleep(story: Story) -> list[WaitFor]:
    return [step for name in story.state.active_steps() if isinstance(step := story.step(name), WaitFor)]


def _may_go_on(story: Story, step: WaitFor) -> bool:
    return not step.condition or story.holds(step.condition)


def wake(story: Story, move: Move, task: Task | None) -> None:
    if task is None:
        asleep = next(step for step in _asleep(story) if _may_go_on(story, step))
        story.tell("woken", task=None, step=asleep.name, by=move.by)
        walk.leave(story, asleep.name, "pass", "woken")
        return
    story.tell("woken", task=task.no, by=move.by)
    if task.due is not None and task.paused_at is not None:
        slept = datetime.fromisoformat(task.paused_at)
        later = [story.facts.moved(datetime.fromisoformat(t), slept, story.at).isoformat() for t in (task.due, *task.timers)]
        story.tell("timer_set", task=task.no, due=later[0], at_each=later[1:])


# -- limits ------------------------------------------------------------------------------------------------------------


def may_expire(story: Story, by: int, task: Task | None) -> Task:
    """The next escalation of a task whose instant has come."""
    if by != SYSTEM:
        never("only_system")
    task = live(task)
    if task.paused_at:
        no("task_paused")
    if task.fired >= len(task.timers) or story.at < datetime.fromisoformat(task.timers[task.fired]):
        no("not_due")
    return task


def expire(story: Story, move: Move, task: Task) -> None:
    if move.data.get("n", task.fired) != task.fired:
        no("not_due")
    step = story.step(task.step)
    assert isinstance(step, Decide) and step.limit is not None
    escalation = step.limit.then[task.fired]
    story.tell("expired", task=task.no, n=task.fired, do=escalation.do)
    task = story.state.tasks[task.no]
    if escalation.do == "remind":
        story.tell("reminded", task=task.no, to=list(_addressees(story, escalation, task)))
    elif escalation.do in (seats.PASS, seats.REJECT):
        seats.decide_by_itself(story, task.no, escalation.do, "expired")
    elif escalation.do == "transfer":
        _pass_on(story, step, task, _addressees(story, escalation, task))
    elif task.kind != "admin":
        seats.open_admin(story, task.step, "expired", instead_of=task)
    walk.settle(story, task.step)


def _addressees(story: Story, escalation: Escalation, task: Task) -> Sequence[int]:
    """The superior of whoever is late, the people named, or whoever is late."""
    late = [task.assignee] if task.assignee is not None else list(task.pool) or list(story.facts.admins())
    if escalation.superior:
        return [s for user in late if (s := story.facts.superior(user)) is not None]
    return story.facts.candidates(escalation.to, {}, story.state).ids if escalation.to else late


def _pass_on(story: Story, step: Decide, task: Task, people: Sequence[int]) -> None:
    """To one person as the holder, to several as a pool; to the administrators where nobody may."""
    able = [u for u in dict.fromkeys(people) if not unfit(story, step.name, u, instead_of=task.no)]
    if not able:
        seats.open_admin(story, step.name, "expired", instead_of=task)
        return
    one = able[0] if len(able) == 1 else None
    seats.replace_task(story, task, "expired", kind="decide" if task.kind == "admin" else task.kind, assignee=one, principal=None,
                       pool=[] if one is not None else able)
