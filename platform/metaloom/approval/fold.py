"""fold and replay: the state is what the log says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from metaloom.approval.event import SYSTEM, Event
from metaloom.approval.state import CaseState, LastDecision, StepRun, Task

Data = Mapping[str, Any]
_QUIET = frozenset({"read", "held", "urged", "reminded", "asked", "copied", "timer_set", "chain_kept"})
"""Nobody loses the right to take back a decision because of these."""
_BY_PEOPLE = frozenset({"claimed", "unclaimed", "transferred", "delegated", "resolved", "added", "removed", "answered", "jumped", "paused",
                        "woken", "handed_over", "resubmitted", "expired", "sub_closed", "taken_back", "chain_moved", "restarted", "returned"})


def replay(events: Iterable[Event]) -> CaseState:
    """The state after all events of a case."""
    state: CaseState | None = None
    for event in events:
        state = fold(state, event)
    assert state is not None, "a case begins with an event"
    return state


def fold(state: CaseState | None, event: Event) -> CaseState:
    """The state after ``event``."""
    if state is None:
        return _started(event.data)
    change = _FOLDS.get(event.kind)
    after = change(state, event.data) if change else state
    if event.kind in _BY_PEOPLE:
        after = replace(after, last=None)
    return replace(after, seq=state.seq + 1, status=_status(after))


def _started(d: Data) -> CaseState:
    chosen = {step: tuple(ids) for step, ids in d["chosen"].items()}
    return CaseState("running", d["initiator"], d["digest"], d["at"], seq=1, chosen=chosen, makers=tuple(d.get("makers", ())))


def _status(state: CaseState) -> str:
    """A running case waits while nobody can do anything but wake it."""
    if state.status not in ("running", "waiting"):
        return state.status
    tasks = [t for t in state.live_tasks() if t.kind != "answer"]
    if any(t.status == "open" and not t.paused_at for t in tasks):
        return "running"
    stands = any(state.runs[s].why == "waiting" for s in state.active_steps())
    return "waiting" if stands or any(t.paused_at for t in tasks) else "running"


# -- steps -------------------------------------------------------------------------------------------------------------


def _run(state: CaseState, step: str, **changes: Any) -> CaseState:
    """The state with one step's run changed."""
    return replace(state, runs={**state.runs, step: replace(state.runs[step], **changes)})


def _entered(state: CaseState, d: Data) -> CaseState:
    """A step begins anew; it moves to the end of the runs, whose order is that of time."""
    runs = {name: run for name, run in state.runs.items() if name != d["step"]}
    return replace(state, runs={**runs, d["step"]: StepRun(d["step"], "active", d["round"], d["at"])})


def _left(state: CaseState, d: Data) -> CaseState:
    return _run(state, d["step"], status="done", until=d["at"], outcome=d["outcome"], why=d.get("why", ""), stuck=False)


def _skipped(state: CaseState, d: Data) -> CaseState:
    before = state.runs.get(d["step"])
    run = StepRun(d["step"], "skipped", before.round if before else 0, d["at"], d["at"], "skipped", d["why"])
    return replace(state, runs={**{n: r for n, r in state.runs.items() if n != d["step"]}, d["step"]: run})


def _cancelled(state: CaseState, d: Data) -> CaseState:
    return _run(state, d["step"], status="cancelled", until=d["at"], stuck=False)


def _reopened(state: CaseState, d: Data) -> CaseState:
    return _run(state, d["step"], status="active", until="", outcome="")


def _branch_chosen(state: CaseState, d: Data) -> CaseState:
    return _run(state, d["step"], taken=tuple(d["branches"]), done=tuple(d["done"]), stuck=False)


def _branch_done(state: CaseState, d: Data) -> CaseState:
    done = state.runs[d["step"]].done
    return state if d["branch"] in done else _run(state, d["step"], done=(*done, d["branch"]))


def _branch_reopened(state: CaseState, d: Data) -> CaseState:
    return _run(state, d["step"], done=tuple(b for b in state.runs[d["step"]].done if b != d["branch"]))


def _reset(state: CaseState, steps: Iterable[str]) -> CaseState:
    """Steps that will be run again."""
    ahead = {name: replace(state.runs[name], status="ahead") for name in steps if name in state.runs}
    return replace(state, runs={**state.runs, **ahead})


def _waiting(state: CaseState, d: Data) -> CaseState:
    return _run(state, d["step"], why="waiting")


# -- tasks -------------------------------------------------------------------------------------------------------------


def _task(state: CaseState, no: int, **changes: Any) -> CaseState:
    """The state with one task changed."""
    return replace(state, tasks={**state.tasks, no: replace(state.tasks[no], **changes)})


def _task_opened(state: CaseState, d: Data) -> CaseState:
    told: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in d.items() if k not in ("at", "replaces")}
    task = Task(**told, opened_at=d["at"])
    old = d.get("replaces")
    tasks = {n: _waits_instead(t, old, task.no) for n, t in state.tasks.items()} if old is not None else state.tasks
    return replace(state, tasks={**tasks, task.no: task})


def _waits_instead(task: Task, old: int, new: int) -> Task:
    return replace(task, waits_for=tuple(new if n == old else n for n in task.waits_for)) if old in task.waits_for else task


def _task_activated(state: CaseState, d: Data) -> CaseState:
    return _task(state, d["task"], status="open")


def _task_waits(state: CaseState, d: Data) -> CaseState:
    more = [n for n in d["for"] if n not in state.tasks[d["task"]].waits_for]
    return _task(state, d["task"], status="waiting", waits_for=(*state.tasks[d["task"]].waits_for, *more))


def _task_closed(state: CaseState, d: Data) -> CaseState:
    return _task(state, d["task"], status="cancelled", closed_at=d["at"], why=d["why"], paused_at=None)


def _timer_set(state: CaseState, d: Data) -> CaseState:
    return _task(state, d["task"], due=d["due"], timers=tuple(d["at_each"]))


def _expired(state: CaseState, d: Data) -> CaseState:
    return _task(state, d["task"], fired=d["n"] + 1)


def _decided(state: CaseState, d: Data) -> CaseState:
    task = state.tasks[d["task"]]
    state = _task(state, task.no, status="done", decision=d["decision"], opinion=d["opinion"], by=d["by"], closed_at=d["at"], why=d["why"],
                  paused_at=None)
    acts = tuple((task.step, person) for person in d["people"])
    outputs = {**state.outputs, task.step: {**state.outputs.get(task.step, {}), **d["outputs"]}} if d["outputs"] else state.outputs
    passed = (*state.passed, *acts) if d["decision"] == "pass" else state.passed
    own = d["by"] != SYSTEM
    last = LastDecision(task.no, task.step, d["by"]) if own and d["decision"] == "pass" else None if own else state.last
    return replace(state, acted=(*state.acted, *(a for a in acts if a not in state.acted)), passed=passed, outputs=outputs, last=last)


def _resolved(state: CaseState, d: Data) -> CaseState:
    task = state.tasks[d["task"]]
    acts = tuple((task.step, person) for person in d["people"] if (task.step, person) not in state.acted)
    state = _task(state, task.no, status="done", decision="resolve", opinion=d["opinion"], by=d["by"], closed_at=d["at"])
    return replace(state, acted=(*state.acted, *acts))


def _answered(state: CaseState, d: Data) -> CaseState:
    return _task(state, d["task"], status="done", decision="answer", opinion=d["opinion"], by=d["by"], closed_at=d["at"])


def _claimed(state: CaseState, d: Data) -> CaseState:
    return _task(state, d["task"], assignee=d["by"])


def _unclaimed(state: CaseState, d: Data) -> CaseState:
    return _task(state, d["task"], assignee=None)


def _pool_reduced(state: CaseState, d: Data) -> CaseState:
    return _task(state, d["task"], pool=tuple(d["pool"]), assignee=d["assignee"])


def _held(state: CaseState, d: Data) -> CaseState:
    return _task(state, d["task"], draft=d["draft"])


def _read(state: CaseState, d: Data) -> CaseState:
    if d["task"] is not None:
        return _task(state, d["task"], read_at=d["at"])
    return replace(state, copies={**state.copies, d["by"]: True})


def _copied(state: CaseState, d: Data) -> CaseState:
    return replace(state, copies={**state.copies, **{user: False for user in d["to"] if user not in state.copies}})


def _urged(state: CaseState, d: Data) -> CaseState:
    for no in d["tasks"]:
        state = _task(state, no, urged_at=d["at"])
    return state


def _paused(state: CaseState, d: Data) -> CaseState:
    return _task(state, d["task"], paused_at=d["at"])


def _woken(state: CaseState, d: Data) -> CaseState:
    return state if d["task"] is None else _task(state, d["task"], paused_at=None)


# -- ways back and ends ------------------------------------------------------------------------------------------------


def _returned(state: CaseState, d: Data) -> CaseState:
    resume = {step: leaves for step, leaves in state.resume.items() if step not in d["reset"]}
    if d["then"] == "resume":
        resume = {**state.resume, d["to"]: tuple(d["closed"])}
    status = "returned" if d["to"] == "initiator" else state.status
    return replace(_reset(state, d["reset"]), resume=resume, passed=(), status=status)


def _resubmitted(state: CaseState, d: Data) -> CaseState:
    state = _task(state, d["task"], status="done", decision="resubmit", opinion=d["opinion"], by=d["by"], closed_at=d["at"])
    return replace(state, status="running", makers=tuple(dict.fromkeys((*state.makers, *d.get("makers", ())))))


def _resumed(state: CaseState, d: Data) -> CaseState:
    return replace(state, resume={step: leaves for step, leaves in state.resume.items() if step != d["from"]})


def _taken_back(state: CaseState, d: Data) -> CaseState:
    step, people = state.tasks[d["task"]].step, set(d["people"])
    state = _task(state, d["task"], status="cancelled", why="taken_back")
    kept = tuple(a for a in state.passed if not (a[0] == step and a[1] in people))
    return replace(_reset(state, d["reset"]), passed=kept)


def _jumped(state: CaseState, d: Data) -> CaseState:
    return replace(state, resume={}, passed=(), status="running")


def _handed_over(state: CaseState, d: Data) -> CaseState:
    chosen = {step: tuple(dict.fromkeys(d["to"] if i == d["from"] else i for i in ids)) for step, ids in state.chosen.items()}
    return replace(state, chosen=chosen)


def _chain_kept(state: CaseState, d: Data) -> CaseState:
    return state


def _chain_moved(state: CaseState, d: Data) -> CaseState:
    """Runs, outputs and ways back under the new names; what has no new name is forgotten."""
    names: Mapping[str, str] = d["names"]
    runs = {names[n]: replace(r, step=names[n]) for n, r in state.runs.items() if n in names}
    resume = {names.get(step, step): tuple(names[n] for n in leaves) for step, leaves in state.resume.items()
              if (step in names or step == "initiator") and all(n in names for n in leaves)}
    return replace(
        state, digest=d["digest"], runs=runs, resume=resume,
        outputs={names[n]: o for n, o in state.outputs.items() if n in names},
        acted=tuple((names.get(n, n), p) for n, p in state.acted), passed=tuple((names.get(n, n), p) for n, p in state.passed),
        chosen={names[n]: ids for n, ids in state.chosen.items() if n in names},
        tasks={no: replace(t, step=names.get(t.step, t.step)) for no, t in state.tasks.items()})


def _restarted(state: CaseState, d: Data) -> CaseState:
    return replace(state, digest=d["digest"], runs={}, resume={}, passed=(), acted=(), outputs={}, status="running")


def _finished(state: CaseState, d: Data) -> CaseState:
    return replace(state, status=d["result"], finished_at=d["at"], resume={}, last=None)


_FOLDS: dict[str, Callable[[CaseState, Data], CaseState]] = {
    "step_entered": _entered, "step_left": _left, "skipped": _skipped, "step_cancelled": _cancelled, "step_reopened": _reopened,
    "branch_chosen": _branch_chosen, "branch_done": _branch_done, "branch_reopened": _branch_reopened,
    "stuck": lambda state, d: _run(state, d["step"], stuck=True), "waiting": _waiting,
    "sub_opened": lambda state, d: _run(state, d["step"], why="sub"),
    "task_opened": _task_opened, "task_activated": _task_activated, "task_waits": _task_waits, "task_closed": _task_closed,
    "timer_set": _timer_set, "expired": _expired, "decided": _decided, "resolved": _resolved, "answered": _answered,
    "claimed": _claimed, "unclaimed": _unclaimed, "pool_reduced": _pool_reduced, "held": _held, "read": _read, "copied": _copied,
    "urged": _urged, "paused": _paused, "woken": _woken, "returned": _returned, "resubmitted": _resubmitted, "resumed": _resumed,
    "taken_back": _taken_back, "jumped": _jumped, "handed_over": _handed_over, "chain_kept": _chain_kept, "chain_moved": _chain_moved,
    "restarted": _restarted, "finished": _finished,
}
