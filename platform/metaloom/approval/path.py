"""The way of a case as a tree: what a diagram draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metaloom.approval.state import VOICES, CaseState, StepRun
from metaloom.base.text import Text
from metaloom.model import ApprovalChain, Branch, ChainStep, CopyTo, Decide, Fork, SubChain

_STATUS = {"active": "now", "done": "done", "skipped": "skipped"}


@dataclass(frozen=True)
class Node:
    """``kind``: decide branch parallel inclusive sub copy wait, or ``way`` for a branch. ``status``: done | now | ahead | skipped.

    ``who``: accounts that have it now, or that decided; ``since``, ``until``: ISO instants; ``outcome``: pass, reject, skipped.
    ``why``: condition, empty, auto, repeated …: a word for what needed no person.
    """

    name: str
    kind: str
    label: Text
    status: str
    who: tuple[int, ...] = ()
    since: str = ""
    until: str = ""
    outcome: str = ""
    why: str = ""
    round: int = 0
    children: tuple[Node, ...] = ()


def path(chain: ApprovalChain, state: CaseState) -> tuple[Node, ...]:
    """The steps of the chain in order, forks with their ways below them."""
    return _nodes(chain.steps, state)


def _nodes(steps: Mapping[str, ChainStep], state: CaseState, passed_by: bool = False) -> tuple[Node, ...]:
    return tuple(_node(step, state, passed_by) for step in steps.values())


def _node(step: ChainStep, state: CaseState, passed_by: bool) -> Node:
    """``passed_by``: it lies on a way that its fork did not take."""
    run = state.runs.get(step.name)
    status = _STATUS.get(run.status, "ahead") if run else "skipped" if state.finished or passed_by else "ahead"
    ways = tuple(_way(branch, run, state, passed_by) for branch in step.inner)
    if run is None:
        return Node(step.name, _kind(step), step.label, status, children=ways)
    return Node(step.name, _kind(step), step.label, status, _who(run, state), run.since, run.until, run.outcome, run.why, run.round, ways)


def _way(branch: Branch, fork: StepRun | None, state: CaseState, passed_by: bool) -> Node:
    """A branch is skipped when its fork took others, and what lies on it is, too."""
    status = "skipped" if passed_by else "ahead"
    if fork is not None and fork.status in ("active", "done"):
        status = "skipped" if branch.name not in fork.taken else "done" if branch.name in fork.done else "now"
    return Node(branch.name, "way", branch.label, status, children=_nodes(branch.steps, state, status == "skipped"))


def _kind(step: ChainStep) -> str:
    if isinstance(step, Decide):
        return "decide"
    if isinstance(step, Fork):
        return step.kind
    return "sub" if isinstance(step, SubChain) else "copy" if isinstance(step, CopyTo) else "wait"


def _who(run: StepRun, state: CaseState) -> tuple[int, ...]:
    tasks = [t for t in state.tasks.values() if t.step == run.step and t.round == run.round and t.kind in (*VOICES, "delegated")]
    if run.status == "active":
        found = [u for t in tasks if t.status == "open" for u in ((t.assignee,) if t.assignee is not None else t.pool)]
    else:
        found = [t.by for t in tasks if t.by]
    return tuple(dict.fromkeys(found))
