"""A case's state as JSON and back: what the case's row keeps beside the log, so that a decision need not replay it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from metaloom.approval.state import CaseState, LastDecision, StepRun, Task


def state_out(state: CaseState) -> dict[str, Any]:
    """The state as JSON; equal states give equal JSON."""
    found = _plain(state)
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    return value


def state_in(stored: Mapping[str, Any]) -> CaseState:
    """The state that :func:`state_out` wrote."""
    return CaseState(**{
        **stored,
        "runs": {name: StepRun(**{**run, "taken": tuple(run["taken"]), "done": tuple(run["done"])}) for name, run in stored["runs"].items()},
        "tasks": {int(no): _task(task) for no, task in stored["tasks"].items()},
        "acted": tuple((step, person) for step, person in stored["acted"]),
        "passed": tuple((step, person) for step, person in stored["passed"]),
        "resume": {step: tuple(steps) for step, steps in stored["resume"].items()},
        "chosen": {step: tuple(people) for step, people in stored["chosen"].items()},
        "copies": tuple((user, read) for user, read in stored["copies"]),
        "last": LastDecision(**stored["last"]) if stored["last"] is not None else None,
    })


def _task(stored: Mapping[str, Any]) -> Task:
    return Task(**{**stored, "pool": tuple(stored["pool"]), "waits_for": tuple(stored["waits_for"])})
