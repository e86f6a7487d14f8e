"""What happens next in a run of a process: pure functions from (process, state, happening) to events.

Whoever stores the events does what they say: ``called`` means that the provider is now asked, ``passed`` that the effects of the
step are part of the same transaction. Every open state has a way on: an instant at which the engine looks again, a change of the
record, or people who may retry, go on with a result that they enter, or give up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from metaloom.base.errors import NotPossible
from metaloom.base.messages import message, register
from metaloom.lifecycle.run import (
    AGAIN,
    CALLING,
    CANCELLED,
    DONE,
    ENDED,
    FAILED,
    MANUAL,
    READY,
    SETTLED,
    TASK,
    WAITING,
    RunEvent,
    RunState,
    fold,
)
from metaloom.model import Process, ProcessStep
from metaloom.model.process import ENDS
from metaloom.model.process import MANUAL as BY_PEOPLE

VISITS_MAX = 500

register({
    "process.ended": ("该流程已结束。", "This run is over."),
    "process.not_waiting": ("该流程现在不需要人工处理。", "Nothing in this run waits for people now."),
    "process.no_result_here": ("这一步不能由人工填写结果，请重试或放弃。", "No result can be entered for this step; retry it or give up."),
    "process.only_this": ("这一步不能这样处理。", "This step cannot be handled this way."),
    "process.reason_missing": ("请填写放弃的原因。", "Say why you give up."),
    "process.too_many_steps": ("流程已经过 {limit} 步仍未结束，请检查流程定义。", "The run went through {limit} steps without an end; look at its definition."),
    "process.no_answer": ("外部服务没有给出结果，已尝试 {count} 次。", "The service outside gave no answer in {count} tries."),
    "process.too_late": ("已超过时限。", "The time limit is over."),
})

Later = Callable[[str, datetime], datetime]
"""``later("2 working_days", at)``: an instant that lies so much after ``at``."""


@dataclass(frozen=True)
class Happening:
    """What came to pass. Kinds and their data:

    ``prepared`` reference method request: the request of a call stands · ``answered`` outcome code result: a definite answer · ``unknown`` code result: none
    ``done`` result: the steps of an action ran · ``chose`` next: a branch · ``waits`` until: a wait began · ``holds``: what it waited for is true
    ``asked``: a task was laid before people · ``woke``: its instant came · ``erred`` why result: a step could not be done
    ``stuck`` why: the way on cannot be gone either, so people are asked · ``late`` outcome code: an answer nobody waits for any more
    ``retry`` by · ``submit`` by result: a task, or a result by hand · ``give_up`` by why · ``cancel`` why
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


def begin(process: Process, digest: str, by: int, at: datetime, later: Later) -> tuple[RunEvent, ...]:
    """The first events of a run."""
    told = _Told(process, RunState(READY), at, later)
    told.say("started", digest=digest, by=by)
    told.enter(process.first)
    return told.events


def happen(process: Process, state: RunState, what: Happening, at: datetime, later: Later) -> tuple[RunEvent, ...]:
    """The events that follow. NotPossible where the run cannot take this now; no events where it is of no consequence."""
    told = _Told(process, state, at, later)
    if state.status in ENDED:
        if what.kind in ("answered", "unknown"):
            told.say("late", outcome=what.data.get("outcome", ""), code=what.data.get("code", ""))
        elif what.kind in ("retry", "submit", "give_up"):
            raise NotPossible(message("process.ended"))
        return told.events
    _HAPPEN[what.kind](told, what.data)
    return told.events


@dataclass
class _Told:
    """A run while events are told about it."""

    process: Process
    state: RunState
    at: datetime
    later: Later
    events: tuple[RunEvent, ...] = ()

    @property
    def step(self) -> ProcessStep:
        return self.process.steps[self.state.step]

    def say(self, kind: str, **data: Any) -> None:
        event = RunEvent(kind, {"at": self.at.isoformat(), **data})
        self.state = fold(self.state, event)
        self.events = (*self.events, event)

    def now(self) -> str:
        return self.at.isoformat()

    def due_of(self, step: ProcessStep) -> str | None:
        return self.later(step.timeout, self.at).isoformat() if step.timeout else None

    def enter(self, name: str) -> None:
        """Goes to a step, or to an end."""
        if name in ENDS:
            self.say("ended", status=DONE if name == DONE else FAILED, by=0, why=self.state.why)
        elif name == BY_PEOPLE:
            self.to_people(self.state.why or {"code": "process.too_late"})
        elif self.state.visit >= VISITS_MAX:
            self.to_people({"code": "process.too_many_steps", "slots": {"limit": VISITS_MAX}})
        else:
            self.say("entered", step=name, due=self.due_of(self.process.steps[name]), wake=self.now())

    def to_people(self, why: Mapping[str, Any]) -> None:
        self.say("manual", why=dict(why), roles=list(self.process.roles_of(self.state.step)))

    def overdue(self) -> bool:
        return self.state.due is not None and self.at >= datetime.fromisoformat(self.state.due)


def _in(told: _Told, *statuses: str) -> bool:
    return told.state.status in statuses


# -- what the engine does ---------------------------------------------------------------------------------------------------


def _prepared(told: _Told, data: Mapping[str, Any]) -> None:
    if _in(told, READY, AGAIN):
        first = {} if told.state.reference else {"request": data.get("request", "")}
        told.say("called", attempt=told.state.attempt + 1, reference=told.state.reference or data["reference"], method=data.get("method", ""), wake=told.now(),
                 **first)


def _answered(told: _Told, data: Mapping[str, Any]) -> None:
    """A definite answer counts whenever it comes while the call is the step that is waited for, also after people were asked."""
    if _in(told, CALLING, AGAIN, MANUAL):
        told.say("answered", outcome=data["outcome"], code=data.get("code", ""), result=dict(data["result"]), wake=told.now())


def _unknown(told: _Told, data: Mapping[str, Any]) -> None:
    """No answer is no failure: the same question is asked again with the same reference, until the tries or the time are used up."""
    if not _in(told, CALLING):
        return
    retry, state = told.step.retry, told.state
    if state.attempt >= retry.times or told.overdue():
        told.say("timed_out", step=state.step, why={"code": "process.no_answer", "slots": {"count": state.attempt}}, result=dict(data.get("result", {})))
        told.enter(told.step.on_timeout)
        return
    told.say("unknown", attempt=state.attempt, code=data.get("code", ""), wake=next_try(told.step, state, told.at, told.later).isoformat())


def next_try(step: ProcessStep, state: RunState, at: datetime, later: Later) -> datetime:
    """When a call without an answer is repeated: after a pause that grows, at the latest when the step is over."""
    pause = min((later(step.retry.after, at) - at) * step.retry.factor ** max(state.attempt - 1, 0), later(step.retry.most, at) - at)
    due = datetime.fromisoformat(state.due) if state.due is not None else None
    return min(at + pause, due) if due is not None else at + pause


def _done(told: _Told, data: Mapping[str, Any]) -> None:
    if _in(told, READY):
        _pass(told, told.step.next, result=dict(data.get("result", {})))


def _chose(told: _Told, data: Mapping[str, Any]) -> None:
    if _in(told, READY):
        _pass(told, data["next"], outcome=data["next"])


def _goes_on(told: _Told, data: Mapping[str, Any]) -> None:
    if _in(told, SETTLED):
        _pass(told, told.step.next, outcome=told.state.outcome)


def _waits(told: _Told, data: Mapping[str, Any]) -> None:
    if _in(told, READY):
        instants = [text for text in (data.get("until"), told.state.due, data.get("look")) if text]
        told.say("waits", until=data.get("until"), wake=min(instants, key=datetime.fromisoformat) if instants else None)


def _holds(told: _Told, data: Mapping[str, Any]) -> None:
    if _in(told, READY, WAITING):
        _pass(told, told.step.next)


def _asked(told: _Told, data: Mapping[str, Any]) -> None:
    if _in(told, READY):
        told.say("asked", roles=list(told.process.roles_of(told.state.step)), wake=told.state.due)


def _woke(told: _Told, data: Mapping[str, Any]) -> None:
    """The limit of a wait or a task ran out."""
    if _in(told, WAITING, TASK) and told.overdue():
        told.say("timed_out", step=told.state.step, why={"code": "process.too_late"})
        told.enter(told.step.on_timeout)


def _erred(told: _Told, data: Mapping[str, Any]) -> None:
    told.say("erred", step=told.state.step, why=dict(data["why"]), result=dict(data.get("result", {})))
    told.enter(told.step.on_error)


def _stuck(told: _Told, data: Mapping[str, Any]) -> None:
    told.to_people(data["why"])


def _late(told: _Told, data: Mapping[str, Any]) -> None:
    told.say("late", outcome=data.get("outcome", ""), code=data.get("code", ""))


def _cancel(told: _Told, data: Mapping[str, Any]) -> None:
    told.say("ended", status=CANCELLED, by=0, why=dict(data["why"]))


def _pass(told: _Told, following: str, **more: Any) -> None:
    told.say("passed", step=told.state.step, **more)
    told.enter(following)


# -- what people do ---------------------------------------------------------------------------------------------------------


def _retry(told: _Told, data: Mapping[str, Any]) -> None:
    _people_are_asked(told)
    if _in(told, TASK):
        raise NotPossible(message("process.only_this"))
    told.say("retried", by=data["by"], due=told.due_of(told.step), wake=told.now())


def _submit(told: _Told, data: Mapping[str, Any]) -> None:
    """A task is done, or a result is entered in the place of the step."""
    _people_are_asked(told)
    if _in(told, MANUAL) and told.step.type == "branch":
        raise NotPossible(message("process.no_result_here"))
    _pass(told, told.step.next, by=data["by"], result=dict(data.get("result", {})), outcome=data.get("outcome", ""), why=data.get("why", ""))


def _give_up(told: _Told, data: Mapping[str, Any]) -> None:
    _people_are_asked(told)
    if not str(data.get("why") or "").strip():
        raise NotPossible(message("process.reason_missing"))
    told.say("ended", status=FAILED, by=data["by"], why={"text": data["why"]})


def _people_are_asked(told: _Told) -> None:
    if not _in(told, MANUAL, TASK):
        raise NotPossible(message("process.not_waiting"))


_HAPPEN: Mapping[str, Callable[[_Told, Mapping[str, Any]], None]] = {
    "prepared": _prepared, "answered": _answered, "unknown": _unknown, "done": _done, "chose": _chose, "goes_on": _goes_on, "waits": _waits, "holds": _holds,
    "asked": _asked, "woke": _woke, "erred": _erred, "cancel": _cancel, "stuck": _stuck, "late": _late,
    "retry": _retry, "submit": _submit, "give_up": _give_up,
}
