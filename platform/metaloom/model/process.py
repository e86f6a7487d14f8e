"""Process: work on a record that waits for the outside, step by step (decision 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metaloom.base.position import NOWHERE, Position
from metaloom.base.text import Text
from metaloom.model.action import Step
from metaloom.model.entity import Field

STEP_TYPES = ("action", "call", "wait", "task", "branch")
DONE, FAILED = "done", "failed"
ENDS = (DONE, FAILED)
"""Where a step may lead besides other steps."""
MANUAL = "manual"
"""Where a time-out or an error leads when nothing else is said: to the people of the process."""


@dataclass(frozen=True)
class Retry:
    """How often a call is tried, and how long is waited between: ``after``, then ``factor`` times as long, at most ``most``."""

    times: int = 5
    after: str = "10 seconds"
    factor: int = 2
    most: str = "1 hours"


@dataclass(frozen=True)
class Way:
    """One way out of a branch; the first whose condition is true is taken."""

    when: str
    next: str


@dataclass(frozen=True)
class ProcessStep:
    """One step; ``type`` decides which slots are used.

    ``action``: the steps of the action ``action``, or its own ``steps``, in one transaction; ``keep``: let → entity of rows later steps name.
    ``call``: ``method`` of the provider at ``door`` with ``request`` (a tree whose leaves are expressions); ``let`` names the answer.
    ``wait``: until ``condition`` is true of the record, or until the instant ``at``, or ``lasts`` long.
    ``task``: somebody of ``roles`` enters ``result``, which ``let`` names.
    ``branch``: the first of ``ways``, else ``next``.
    ``reply``: what is known of an answer, field by field: the door's own and ``result``.
    """

    name: str
    type: str
    label: Text
    next: str
    on_timeout: str = MANUAL
    on_error: str = MANUAL
    timeout: str = ""
    help: Text | None = None
    roles: tuple[str, ...] = ()
    action: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    keep: Mapping[str, str] = field(default_factory=dict)
    undo: tuple[Step, ...] = ()
    door: str = ""
    provider: str = ""
    method: str = ""
    again: str = ""                    # method that later tries use
    reference: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    retry: Retry = Retry()
    let: str = ""
    result: Mapping[str, Field] = field(default_factory=dict)
    reply: Mapping[str, Field] = field(default_factory=dict)
    condition: str = ""
    at: str = ""
    lasts: str = ""
    ways: tuple[Way, ...] = ()
    position: Position = NOWHERE


@dataclass(frozen=True)
class ByHand:
    """Who may start a process without an action that does, and when."""

    roles: tuple[str, ...] = ()
    when: str = ""
    message: Text | None = None


@dataclass(frozen=True)
class Process:
    """``on``: transitions of the record that start it. ``roles``: the people who take over where a step cannot go on by itself.

    ``cancel``: the run ends by itself as soon as this is true of the record. ``results``: what the record undergoes at an end.
    """

    address: str
    entity: str
    name: str
    label: Text
    steps: Mapping[str, ProcessStep]
    roles: tuple[str, ...]
    on: tuple[str, ...] = ()
    by_hand: ByHand | None = None
    cancel: str = ""
    starter_may: bool = False          # whoever started it may enter results by hand, too
    results: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    position: Position = NOWHERE

    @property
    def first(self) -> str:
        """The step a run begins with."""
        return next(iter(self.steps))

    def every_steps(self) -> tuple[tuple[Step, ...], ...]:
        """All steps of actions that are written in it."""
        return (*(part for step in self.steps.values() for part in (step.steps, step.undo)), *self.results.values())

    def roles_of(self, step: str) -> tuple[str, ...]:
        """Whose turn it is when this step waits for people."""
        found = self.steps.get(step)
        return (found.roles if found is not None else ()) or self.roles
