"""The case as a whole: 撤回, 重新提交, 终止, 跳转, results of sub-cases, a changed chain."""

from __future__ import annotations

from collections.abc import Mapping

from metaloom.approval import seats, walk
from metaloom.approval.event import SYSTEM, Move
from metaloom.approval.guard import admin, brought, initiator, open_task, running, written
from metaloom.approval.people import made_by
from metaloom.approval.state import Task
from metaloom.approval.story import Story
from metaloom.approval.words import never, no
from metaloom.model import Fork, SubChain


def may_withdraw(story: Story, by: int, task: Task | None) -> None:
    """The initiator, as far as the chain lets go; the machine at any time, where what was applied for has no object any more."""
    running(story)
    if by == SYSTEM:
        return
    initiator(story, by)
    rule = story.chain.allow.withdraw
    if rule == "never":
        no("not_offered")
    if rule == "before_decision" and story.state.acted and story.state.status != "returned":
        no("cannot_withdraw")


def withdraw(story: Story, move: Move, task: Task | None) -> None:
    walk.finish(story, "withdrawn", str(move.data.get("reason") or ""), move.by)


def may_resubmit(story: Story, by: int, task: Task | None) -> Task:
    return open_task(story, by, task, ("resubmit",))


def resubmit(story: Story, move: Move, task: Task) -> None:
    """重新提交: every step again, or straight back to those who were at it."""
    story.tell("resubmitted", task=task.no, by=move.by, opinion=str(move.data.get("opinion") or ""), **brought(story, move, task),
               **made_by(story))
    leaves = story.state.resume.get("initiator")
    if leaves is None:
        walk.enter(story, next(iter(story.plan.blocks[None])))
    else:
        story.tell("resumed", **{"from": "initiator"}, steps=list(leaves))
        walk.go_back_to(story, leaves)


def may_terminate(story: Story, by: int, task: Task | None) -> None:
    running(story)
    if by != SYSTEM and by not in story.facts.admins() and not story.facts.has_role(by, story.chain.allow.terminate):
        never("only_admin")


def terminate(story: Story, move: Move, task: Task | None) -> None:
    walk.finish(story, "terminated", written(move.data.get("reason"), "needs_reason"), move.by)


def may_jump(story: Story, by: int, task: Task | None) -> None:
    running(story)
    admin(story, by)


def jump(story: Story, move: Move, task: Task | None) -> None:
    """跳转: an administrator puts the case at any step, forward or back, with a reason."""
    to, reason = move.data.get("to"), written(move.data.get("reason"), "needs_reason")
    if not isinstance(to, str) or to not in goals(story):
        no("not_there")
    for waiting in story.live(""):
        story.close(waiting, "jumped")
    stood = walk.make_way(story, to, frozenset({to}))
    story.tell("jumped", by=move.by, to=to, why=reason, closed=list(stood))
    if not story.state.finished:
        walk.enter(story, to)


def goals(story: Story) -> tuple[str, ...]:
    """Where a case can be put: every step that is no fork."""
    return tuple(name for name, step in story.plan.steps.items() if not isinstance(step, Fork))


# -- 子流程 ------------------------------------------------------------------------------------------------------------


def may_sub_done(story: Story, by: int, task: Task | None) -> None:
    running(story)
    if by != SYSTEM:
        never("only_system")
    if not any(isinstance(story.step(n), SubChain) for n in story.state.active_steps()):
        no("not_there")


def sub_done(story: Story, move: Move, task: Task | None) -> None:
    """A child case ended: its result is that of the step; one that was withdrawn or terminated leaves the word to an administrator."""
    name, result = str(move.data.get("step")), move.data.get("result")
    if name not in story.state.active_steps() or not isinstance(story.step(name), SubChain) or story.live(name):
        no("not_there")
    story.tell("sub_closed", step=name, result=result)
    if result == "approved":
        walk.leave(story, name, "pass")
    elif result == "rejected":
        walk.reject(story, name, "sub")
    else:
        seats.open_admin(story, name, "sub_ended")


# -- 流程变更 ----------------------------------------------------------------------------------------------------------


def may_chain_changed(story: Story, by: int, task: Task | None) -> None:
    running(story)
    if by != SYSTEM:
        admin(story, by)


def chain_changed(story: Story, move: Move, task: Task | None) -> None:
    """``story`` is told over the new chain, except for pin, which stays with the old one."""
    mode, digest = move.data.get("mode"), str(move.data.get("digest") or "")
    if mode == "pin":
        story.tell("chain_kept", by=move.by, digest=digest)
    elif mode == "restart":
        _restart(story, move, digest)
    elif mode == "move":
        _move(story, move, digest, dict(move.data.get("mapping") or {}))
    else:
        no("unknown_move")


def _restart(story: Story, move: Move, digest: str) -> None:
    stop_everything(story)
    story.tell("restarted", by=move.by, digest=digest)
    walk.enter(story, next(iter(story.plan.blocks[None])))


def _move(story: Story, move: Move, digest: str, mapping: Mapping[str, str]) -> None:
    names = names_in(story, mapping)
    returned = story.state.status == "returned"
    active = tuple(n for n in story.state.active_steps())
    for name in active:
        if name not in names or isinstance(story.plan.steps[names[name]], Fork):
            no("cannot_map", step=name)
    if not returned:
        stop_everything(story)
    story.tell("chain_moved", by=move.by, digest=digest, names=names)
    if not returned:
        walk.go_back_to(story, [names[n] for n in active])


def names_in(story: Story, mapping: Mapping[str, str]) -> dict[str, str]:
    """Old step → new step: as mapped, else of the same name; steps without a successor are left out."""
    if any(new not in story.plan.steps for new in mapping.values()):
        no("not_there")
    known = {*story.state.runs, *story.state.chosen, *(s for s, _ in story.state.acted)}
    same = {name: name for name in known if name in story.plan.steps and name not in mapping}
    taken = set(mapping.values())
    return {**{old: new for old, new in same.items() if new not in taken}, **{old: new for old, new in mapping.items() if old in known}}


def stop_everything(story: Story) -> None:
    """Close all tasks and steps, whichever chain they belong to."""
    for task in story.state.live_tasks():
        story.close(task, "chain_changed")
    for run in tuple(story.state.runs.values()):
        if run.status == "active":
            if story.state.runs[run.step].why == "sub":
                story.tell("sub_cancelled", step=run.step)
            story.tell("step_cancelled", step=run.step)
