"""Story: one move being told. Each event changes the state at once, so that the next sentence knows it."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any

from metaloom.approval.blocks import Plan, plan_of
from metaloom.approval.event import Event
from metaloom.approval.facts import Facts
from metaloom.approval.fold import fold
from metaloom.approval.state import CaseState, Task
from metaloom.model import ApprovalChain, ChainStep


class Story:
    """``events`` are what this move adds to the log; nothing outside is touched."""

    def __init__(self, chain: ApprovalChain, facts: Facts, at: datetime, state: CaseState | None = None) -> None:
        self.chain, self.facts, self.at = chain, facts, at
        self.plan: Plan = plan_of(chain)
        self.events: list[Event] = []
        self._state = state

    @property
    def state(self) -> CaseState:
        assert self._state is not None
        return self._state

    @property
    def now(self) -> str:
        return self.at.isoformat()

    def tell(self, kind: str, /, **data: Any) -> None:
        """One more event; ``at`` is added where the writer gave none."""
        event = Event(kind, {"at": self.now, **data})
        self.events.append(event)
        self._state = fold(self._state, event)

    def step(self, name: str) -> ChainStep:
        return self.plan.steps[name]

    def holds(self, expression: str) -> bool:
        """Whether a condition is true now; a missing value is not true."""
        return self.facts.holds(expression, self.state) is True

    def person(self, user: int) -> int:
        return self.facts.person(user)

    @cached_property
    def makers(self) -> tuple[int, ...]:
        """Whoever the record names as its makers now."""
        return self.facts.makers(self.chain.makers) if self.chain.makers else ()

    def live(self, step: str) -> tuple[Task, ...]:
        return self.state.live_tasks(step)

    def close(self, task: Task, why: str) -> None:
        """End a task that nobody will answer any more."""
        if self.state.tasks[task.no].live:
            self.tell("task_closed", task=task.no, why=why)

    def open(self, step: str, kind: str, *, round: int, **slots: Any) -> int:
        """A new task; its number."""
        no = len(self.state.tasks) + 1
        self.tell("task_opened", no=no, step=step, kind=kind, round=round, **slots)
        return no
