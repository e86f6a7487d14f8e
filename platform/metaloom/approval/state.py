"""CaseState: what the log of a case says now. Instants are ISO text, as in the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENDS = ("approved", "rejected", "withdrawn", "terminated")
VOICES = ("decide", "added", "admin")
"""Tasks whose answer counts in the step."""


@dataclass(frozen=True)
class Task:
    """``kind``: decide | delegated | added | answer | resubmit | admin. ``status``: waiting | open | done | cancelled.

    ``seat`` groups the tasks that together give one vote of the step (a decider and the signers added around); 0: none.
    ``waits_for``: tasks that must be over before this one opens. ``principal``: for whom a substitute or a helper acts.
    ``pool``: who may claim it while ``assignee`` is None. ``timers``: the instants of the escalations, ``fired`` of them are over.
    """

    no: int
    step: str
    kind: str
    round: int
    status: str = "open"
    seat: int = 0
    assignee: int | None = None
    pool: tuple[int, ...] = ()
    principal: int | None = None
    added_by: int | None = None
    weight: int = 1
    waits_for: tuple[int, ...] = ()
    opened_at: str = ""
    closed_at: str = ""
    due: str | None = None
    timers: tuple[str, ...] = ()
    fired: int = 0
    paused_at: str | None = None
    read_at: str | None = None
    urged_at: str | None = None
    decision: str = ""
    opinion: str = ""
    by: int | None = None
    why: str = ""
    draft: Mapping[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        return self.status in ("open", "waiting")


@dataclass(frozen=True)
class StepRun:
    """How far a step came. ``status``: active | done | skipped | cancelled | ahead (to be run again).

    Forks: ``taken`` branches and those ``done`` of them; ``stuck``: no branch fits, an administrator must help.
    """

    step: str
    status: str
    round: int
    since: str
    until: str = ""
    outcome: str = ""
    why: str = ""
    taken: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    stuck: bool = False


@dataclass(frozen=True)
class LastDecision:
    """The decision that may be taken back: nobody has acted since."""

    task: int
    step: str
    by: int


@dataclass(frozen=True)
class CaseState:
    """``acted``: (step, person) of everyone who decided; ``passed``: the same since the record last went back, in order.

    ``makers``: accounts that the record named as makers when it was put forward.
    ``resume``: step (or ``initiator``) → steps to enter again once it is through. ``chosen``: step → people the initiator picked.
    ``copies``: account → whether it has read. ``status``: running | returned | waiting | one of ``ENDS``.
    """

    status: str
    initiator: int
    digest: str
    started_at: str
    seq: int = 0
    runs: Mapping[str, StepRun] = field(default_factory=dict)
    tasks: Mapping[int, Task] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    acted: tuple[tuple[str, int], ...] = ()
    passed: tuple[tuple[str, int], ...] = ()
    resume: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    chosen: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    copies: Mapping[int, bool] = field(default_factory=dict)
    last: LastDecision | None = None
    finished_at: str = ""
    makers: tuple[int, ...] = ()

    @property
    def finished(self) -> bool:
        return self.status in ENDS

    def live_tasks(self, step: str | None = None) -> tuple[Task, ...]:
        """Open and waiting tasks, of one step or of all, by number."""
        return tuple(t for t in self.tasks.values() if t.live and step in (None, t.step))

    def is_active(self, step: str) -> bool:
        run = self.runs.get(step)
        return run is not None and run.status == "active"

    def active_steps(self) -> tuple[str, ...]:
        """Steps being worked on; forks only while they are stuck."""
        return tuple(run.step for run in self.runs.values() if run.status == "active" and (not run.taken or run.stuck))
