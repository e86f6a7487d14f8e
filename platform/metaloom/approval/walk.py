"""The way through the blocks: entering, leaving, forking, joining, going back, ending."""

from __future__ import annotations

from collections.abc import Iterable

from metaloom.approval import seats
from metaloom.approval.blocks import Way
from metaloom.approval.event import SYSTEM
from metaloom.approval.story import Story
from metaloom.model import CopyTo, Decide, Fork, SubChain, WaitFor


def enter(story: Story, name: str) -> None:
    """Begin a step anew."""
    step = story.step(name)
    if step.when and not story.holds(step.when):
        story.tell("skipped", step=name, why="condition")
        onward(story, name)
        return
    _begin(story, name)
    if isinstance(step, Decide):
        _settled(story, name, seats.open_step(story, step))
    elif isinstance(step, Fork):
        _fork(story, step)
    elif isinstance(step, SubChain):
        _sub(story, step)
    elif isinstance(step, WaitFor):
        _wait(story, step)
    else:
        _copy(story, name)


def _begin(story: Story, name: str) -> None:
    """One more round: above every task that the step ever had, also before a restart or under another name."""
    run = story.state.runs.get(name)
    rounds = [run.round] if run else []
    story.tell("step_entered", step=name, round=1 + max([*rounds, *(t.round for t in story.state.tasks.values() if t.step == name)], default=0))


def _settled(story: Story, name: str, verdict: seats.Verdict) -> None:
    """Go on with the verdict that a step gave without people, or ask what they have said."""
    outcome, why = verdict
    if outcome == seats.REJECT:
        reject(story, name, why)
    elif outcome:
        leave(story, name, outcome, why)
    else:
        settle(story, name)


def settle(story: Story, name: str) -> None:
    """Count what has been said in a step; go on when it is decided."""
    if story.state.finished or not story.state.is_active(name):
        return
    step = story.step(name)
    seats.advance(story, name)
    verdict = seats.tally(story, name)
    if verdict == "empty" and isinstance(step, Decide):
        _settled(story, name, seats.fill_empty(story, step))
    elif verdict in ("empty", "short"):
        seats.open_admin(story, name, verdict, weight=seats.missing(story, step) if isinstance(step, Decide) else 1)
    elif verdict == seats.REJECT:
        reject(story, name, "")
    elif verdict:
        leave(story, name, verdict)


def leave(story: Story, name: str, outcome: str, why: str = "") -> None:
    """A step is through."""
    for task in story.live(name):
        story.close(task, "step_decided")
    story.tell("step_left", step=name, outcome=outcome, why=why)
    onward(story, name)


def reject(story: Story, name: str, why: str) -> None:
    """A rejected step ends the case."""
    for task in story.live(name):
        story.close(task, "step_decided")
    story.tell("step_left", step=name, outcome="reject", why=why)
    finish(story, "rejected", why)


def onward(story: Story, name: str) -> None:
    """What comes after a step: who sent the record back, the next step, the join, the end."""
    if story.state.finished:
        return
    leaves = story.state.resume.get(name)
    if leaves is not None:
        story.tell("resumed", **{"from": name}, steps=list(leaves))
        go_back_to(story, leaves)
    elif (following := story.plan.next(name)) is not None:
        enter(story, following)
    elif (way := story.plan.parent(name)) is not None:
        _way_done(story, way)
    else:
        finish(story, "approved", "")


def finish(story: Story, result: str, why: str, by: int = SYSTEM) -> None:
    """The one end of a case."""
    for task in story.state.live_tasks():
        story.close(task, "case_finished")
    cancel(story, story.state.runs)
    story.tell("finished", result=result, why=why, by=by)


# -- forks -------------------------------------------------------------------------------------------------------------


def _fork(story: Story, fork: Fork) -> None:
    taken = _taken(story, fork)
    if taken is None:
        get_stuck(story, fork.name, "no_branch")
        return
    story.tell("branch_chosen", step=fork.name, branches=list(taken), done=[])
    if not taken:
        leave(story, fork.name, "pass", "no_branch")
    _start_ways(story, fork, taken)


def get_stuck(story: Story, name: str, why: str) -> None:
    """Nothing in the chain says how to go on: an administrator must."""
    story.tell("stuck", step=name, why=why)
    seats.open_admin(story, name, why)


def _taken(story: Story, fork: Fork) -> tuple[str, ...] | None:
    """The branches to take now; None where an exclusive fork has none that fits."""
    if fork.kind == "parallel":
        return tuple(fork.branches)
    holding = []
    for branch in fork.inner:
        if branch.when and story.holds(branch.when):
            holding.append(branch.name)
            if fork.kind == "branch":
                break
    rest = [b.name for b in fork.inner if b.otherwise][:1]
    found = tuple(holding or rest)
    return found if found or fork.kind == "inclusive" else None


def _start_ways(story: Story, fork: Fork, branches: Iterable[str]) -> None:
    for branch in branches:
        if story.state.finished or not story.state.is_active(fork.name):
            return
        first = story.plan.first((fork.name, branch))
        if first is None:
            _way_done(story, (fork.name, branch))
        else:
            enter(story, first)


def _way_done(story: Story, way: Way) -> None:
    """One branch is through; the fork is, when all that were taken are."""
    fork, branch = way
    story.tell("branch_done", step=fork, branch=branch)
    run = story.state.runs[fork]
    if set(run.taken) <= set(run.done):
        leave(story, fork, "pass")


# -- other kinds of steps ----------------------------------------------------------------------------------------------


def _sub(story: Story, step: SubChain) -> None:
    record = story.facts.sub_record(step.on)
    if record is None:
        leave(story, step.name, "skipped", "no_record")
        return
    story.tell("sub_opened", step=step.name, chain=step.chain, record=record, wait=step.wait)
    if not step.wait:
        leave(story, step.name, "pass")


def _wait(story: Story, step: WaitFor) -> None:
    if step.condition and story.holds(step.condition):
        leave(story, step.name, "pass", "condition")
    else:
        story.tell("waiting", step=step.name)


def _copy(story: Story, name: str) -> None:
    step = story.step(name)
    assert isinstance(step, CopyTo)
    found = story.facts.candidates(step.who, {}, story.state).ids
    readers = [u for u in dict.fromkeys(found) if story.facts.may_read(u)]
    story.tell("copied", step=name, by=SYSTEM, to=readers, dropped=[[u, "cannot_read"] for u in found if u not in readers])
    leave(story, name, "pass")


# -- going back, jumping, resuming -------------------------------------------------------------------------------------


def cancel(story: Story, names: Iterable[str]) -> tuple[str, ...]:
    """Stop what is active among ``names`` and inside them; the steps that stood there."""
    inside = [inner for name in names if name in story.plan.steps for inner in story.plan.within(name)]
    stood = tuple(s for s in story.state.active_steps() if s in inside)
    for name in dict.fromkeys(inside):
        if not story.state.is_active(name):
            continue
        for task in story.live(name):
            story.close(task, "step_cancelled")
        if isinstance(story.step(name), SubChain):
            story.tell("sub_cancelled", step=name)
        story.tell("step_cancelled", step=name)
    return stood


def go_to(story: Story, name: str) -> None:
    """Enter a step wherever it stands; what is active beside it in the same block gives way."""
    make_way(story, name, frozenset({name}))
    if not story.state.finished:
        enter(story, name)


def go_back_to(story: Story, names: Iterable[str]) -> None:
    """Enter several steps again, as they stood together."""
    names = tuple(names)
    for name in names:
        if story.state.finished:
            return
        make_way(story, name, frozenset(names))
        enter(story, name)


def make_way(story: Story, name: str, targets: frozenset[str]) -> tuple[str, ...]:
    """Open the forks around ``name`` and stop what is active in its block; the steps that stood there."""
    stood: tuple[str, ...] = ()
    for way in story.plan.ways[name]:
        fork, branch = way
        run = story.state.runs.get(fork)
        if run is None or run.status != "active" or branch not in run.taken:
            stood += cancel(story, story.plan.block(fork))
            _open_fork(story, way, targets)
        elif branch in run.done:
            story.tell("branch_reopened", step=fork, branch=branch)
    return (*stood, *cancel(story, story.plan.block(name)))


def _open_fork(story: Story, way: Way, targets: frozenset[str]) -> None:
    """Enter a fork toward one branch: what was done in the others stays done, what never was begins."""
    name, branch = way
    fork, before = story.plan.fork(name), story.state.runs.get(name)
    _begin(story, name)
    if fork.kind == "branch":
        taken: tuple[str, ...] = (branch,)
    elif before is not None and before.taken and before.status != "ahead":
        taken = before.taken if branch in before.taken else (*before.taken, branch)
    else:
        found = _taken(story, fork) or ()
        taken = found if branch in found else (*found, branch)
    aimed = {b for b in taken if b == branch or targets & set(_inside(story, (name, b)))}
    done = [b for b in (before.done if before is not None and before.status != "ahead" else ()) if b in taken and b not in aimed]
    story.tell("branch_chosen", step=name, branches=list(taken), done=done)
    _start_ways(story, fork, [b for b in taken if b not in aimed and b not in done])


def _inside(story: Story, way: Way) -> tuple[str, ...]:
    return tuple(inner for step in story.plan.blocks[way] for inner in story.plan.within(step))
