"""A run of a process: its state, and the events its state is made of. Pure; rebuilt from its log at any time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

READY, CALLING, AGAIN, SETTLED, WAITING, TASK, MANUAL = "ready", "calling", "again", "settled", "waiting", "task", "manual"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
ENDED = frozenset({DONE, FAILED, CANCELLED})
OPEN = (READY, CALLING, AGAIN, SETTLED, WAITING, TASK, MANUAL)
BY_ITSELF = frozenset({READY, CALLING, AGAIN, SETTLED})
"""The engine goes on with these; ``waiting`` for an instant or a condition, ``task`` and ``manual`` for people."""


@dataclass(frozen=True)
class RunEvent:
    """One line of the log. ``data`` is JSON; every event has ``at``, an instant as ISO text.

    * ``started`` digest by · ``entered`` step due wake · ``called`` attempt reference method wake · ``unknown`` attempt code wake
    * ``answered`` outcome code result wake · ``waits`` wake · ``asked`` roles wake · ``passed`` step outcome result undo by why
    * ``timed_out`` ``erred`` step why · ``manual`` why roles · ``retried`` by due wake · ``ended`` status by why · ``late`` outcome code
    """

    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class RunState:
    """``visit``: how many steps were entered so far; ``attempt``: tries of the call. ``due``: when the step times out.

    ``wake``: when the engine looks again, None where only people or the record move it; ``armed``: number of the event that said so.
    ``reference`` and ``request`` (sealed) are those of the call of this visit, the same in every try; ``until``: when a wait is over.
    ``results``: let → what it names. ``passed``: steps gone through, in order.
    """

    status: str
    digest: str = ""
    by: int = 0
    started_at: str = ""
    seq: int = 0
    step: str = ""
    visit: int = 0
    attempt: int = 0
    since: str = ""
    due: str | None = None
    wake: str | None = None
    armed: int = 0
    reference: str = ""
    request: str = ""
    until: str | None = None
    outcome: str = ""
    results: Mapping[str, Any] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    why: Mapping[str, Any] | None = None
    finished_at: str = ""

    @property
    def ended(self) -> bool:
        return self.status in ENDED


def fold(state: RunState, event: RunEvent) -> RunState:
    """The state after one more event."""
    data, seq = event.data, state.seq + 1
    changed = _FOLD[event.kind](state, data)
    wakes = {"wake": data.get("wake"), "armed": seq} if "wake" in data else {}
    return replace(state, seq=seq, **wakes, **changed)


def replay(events: Iterable[RunEvent]) -> RunState:
    """The state that a whole log says."""
    state = RunState(READY)
    for event in events:
        state = fold(state, event)
    return state


def _started(state: RunState, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"digest": data["digest"], "by": data["by"], "started_at": data["at"]}


def _entered(state: RunState, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": READY, "step": data["step"], "visit": state.visit + 1, "attempt": 0, "since": data["at"], "due": data.get("due"), "reference": "",
            "request": "", "until": None, "outcome": "", "why": None}


def _called(state: RunState, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": CALLING, "attempt": data["attempt"], "reference": data["reference"], "request": data.get("request") or state.request, "why": None}


def _answered(state: RunState, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": SETTLED, "outcome": data["outcome"], "results": {**state.results, **data["result"]}, "why": None}


def _passed(state: RunState, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"results": {**state.results, **data.get("result", {})}, "passed": (*state.passed, data["step"]), "due": None, "wake": None}


def _manual(state: RunState, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": MANUAL, "why": data["why"], "wake": None, "due": None}


def _retried(state: RunState, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": READY, "attempt": 0, "due": data.get("due"), "why": None}


def _ended(state: RunState, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": data["status"], "finished_at": data["at"], "wake": None, "due": None, "why": data.get("why")}


_FOLD: Mapping[str, Any] = {
    "started": _started, "entered": _entered, "called": _called, "answered": _answered, "passed": _passed, "manual": _manual,
    "retried": _retried, "ended": _ended,
    "unknown": lambda state, data: {"status": AGAIN, "why": {"code": data.get("code") or ""}},
    "waits": lambda state, data: {"status": WAITING, "until": data.get("until")}, "asked": lambda state, data: {"status": TASK},
    "timed_out": lambda state, data: {"why": data.get("why"), "results": {**state.results, **data.get("result", {})}},
    "erred": lambda state, data: {"why": data.get("why"), "results": {**state.results, **data.get("result", {})}},
    "late": lambda state, data: {},
}
KINDS = tuple(_FOLD)
