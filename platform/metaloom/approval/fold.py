"""fold and replay: the state is what the log says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from metaloom.approval.event import Event
from metaloom.approval.state import CaseState


def fold(state: CaseState | None, event: Event) -> CaseState:
    """The state after ``event``."""
    raise NotImplementedError


def replay(events: Iterable[Event]) -> CaseState:
    """The state after all events of a case."""
    raise NotImplementedError
