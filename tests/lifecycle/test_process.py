"""Runs of processes by chance: no run is stranded, the state is the fold of its log, an end is an end, one answer counts per visit."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from metaloom.base.codec import Codec
from metaloom.base.errors import NotPossible
from metaloom.base.text import Text
from metaloom.lifecycle import ENDED, Happening, RunEvent, RunState, begin, fold, happen, replay
from metaloom.model import Process, ProcessStep, Retry, Way

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
TYPES = ("action", "call", "wait", "task", "branch")


def later(limit: str, at: datetime) -> datetime:
    amount, unit = limit.split()
    return at + timedelta(seconds=int(amount) * UNITS[unit])


def any_process(chance: random.Random) -> Process:
    """Steps of all types whose ways lead anywhere."""
    names = [f"s{n}" for n in range(chance.randint(1, 7))]
    goals = [*names, "done", "failed"]
    steps = {}
    for name in names:
        kind = chance.choice(TYPES)
        steps[name] = ProcessStep(
            name=name, type=kind, label=Text(name, name), next=chance.choice(goals), on_error=chance.choice([*goals, "manual"]),
            on_timeout=chance.choice([*goals, "manual"]), timeout=chance.choice(["", "1 hours", "2 days"]) if kind != "branch" else "",
            retry=Retry(chance.randint(1, 4), "10 seconds", chance.randint(1, 3), "5 minutes"), let="a" if kind in ("call", "task") else "",
            ways=(Way("x", chance.choice(goals)),) if kind == "branch" else ())
    return Process("p.e/x", "p.e", "x", Text("x", "x"), steps, ("p.r",))


def by_itself(process: Process, state: RunState, chance: random.Random) -> Happening:
    """What the engine does with an open run that it goes on with."""
    kind = process.steps[state.step].type
    if state.status == "calling":
        return Happening("answered", {"outcome": "found", "result": {"a": 1}}) if chance.random() < 0.4 else Happening("unknown", {"result": {"a": 0}})
    if state.status == "settled":
        return Happening("goes_on")
    if chance.random() < 0.1:
        return Happening("erred", {"why": {"code": "x"}, "result": {}})
    if state.status == "again" or kind == "call":
        return Happening("prepared", {"reference": f"r{state.visit}", "request": "sealed"})
    if kind == "wait":
        return Happening("waits", {"until": None}) if chance.random() < 0.7 else Happening("holds")
    return Happening({"action": "done", "task": "asked", "branch": "chose"}[kind],
                     {"next": chance.choice([process.steps[state.step].next, process.steps[state.step].ways[0].next])} if kind == "branch" else {})


def anything(process: Process, state: RunState, chance: random.Random) -> Happening:
    """What the world may throw at a run, in any order, late and twice."""
    return Happening(*chance.choice([
        ("answered", {"outcome": "found", "result": {"a": 2}}), ("unknown", {"result": {}}), ("holds", {}), ("woke", {}), ("retry", {"by": 7}),
        ("submit", {"by": 7, "result": {"a": 3}}), ("give_up", {"by": 7, "why": "no"}), ("late", {"outcome": "found"}),
        ("cancel", {"why": {"code": "x"}}) if chance.random() < 0.2 else ("woke", {}), ("goes_on", {}), ("done", {}), ("prepared", {"reference": "other"}),
    ]))


@pytest.mark.parametrize("seed", range(400))
def test_no_walk_strands_a_run(seed):
    chance = random.Random(seed)
    process, at = any_process(chance), NOW
    log = list(begin(process, "d", 7, at, later))
    state = replay(log)
    for _ in range(chance.randint(5, 120)):
        at += timedelta(seconds=chance.choice([0, 1, 30, 4000]))
        mine = state.status in ("ready", "calling", "again", "settled") and chance.random() < 0.8
        what = by_itself(process, state, chance) if mine else anything(process, state, chance)
        before = state
        try:
            events = happen(process, state, what, at, later)
        except NotPossible:
            continue
        for event in events:
            state = fold(state, event)
        log += events
        _hold(process, before, state, events)
    assert replay(log) == state and Codec().loads(RunState, Codec().dumps(state)) == state
    assert replay(RunEvent(e.kind, dict(e.data)) for e in log) == state
    _to_an_end(process, state, at, chance)


def _hold(process, before, state, events):
    assert state.seq == before.seq + len(events)
    if before.status in ENDED:
        assert state.status == before.status and {e.kind for e in events} <= {"late"}
    if state.status in ENDED:
        assert state.wake is None and state.finished_at
    elif state.status in ("manual", "task"):
        assert state.step in process.steps
    elif state.status == "waiting":
        assert state.wake is not None or process.steps[state.step].timeout == ""        # the compiler refuses these
    else:
        assert state.wake is not None, f"{state.status}: nobody would go on with it"
    if before.visit == state.visit and before.reference:
        assert state.reference == before.reference, "the reference of a call never changes"
    answered = [e for e in events if e.kind == "answered"]
    assert len(answered) <= 1 and (not answered or before.status in ("calling", "again", "manual"))


def _to_an_end(process, state, at, chance):
    """Whatever the walk left is played to its end by the engine and by people who give up in the end."""
    for _ in range(4000):
        if state.ended:
            return
        if state.status in ("manual", "task"):
            what = Happening("give_up", {"by": 7, "why": "enough"})
        elif state.status == "waiting":
            at, what = at + timedelta(days=3), Happening("holds")
        else:
            what = by_itself(process, state, chance)
        for event in happen(process, state, what, at, later):
            state = fold(state, event)
        at += timedelta(minutes=1)
    assert state.visit >= 500, "only a circle without an end may go on, and it stops at its limit"


def test_tries_of_a_call_are_used_up_with_growing_pauses_and_then_people_are_asked():
    step = ProcessStep(name="ask", type="call", label=Text("a", "a"), next="done", retry=Retry(4, "10 seconds", 3, "1 minutes"), let="a")
    process = Process("p.e/x", "p.e", "x", Text("x", "x"), {"ask": step}, ("p.r",))
    at, state, pauses = NOW, replay(begin(process, "d", 0, NOW, later)), []
    while state.status != "manual":
        for what in (Happening("prepared", {"reference": "r", "request": "s"}), Happening("unknown", {"result": {"a": 0}})):
            for event in happen(process, state, what, at, later):
                state = fold(state, event)
        if state.wake:
            pauses.append((datetime.fromisoformat(state.wake) - at).total_seconds())
            at = datetime.fromisoformat(state.wake)
    assert pauses == [10, 30, 60] and state.attempt == 4 and state.results == {"a": 0}


def test_a_call_is_over_with_its_limit_even_when_tries_are_left():
    step = ProcessStep(name="ask", type="call", label=Text("a", "a"), next="done", retry=Retry(99, "50 seconds", 1, "1 hours"), timeout="2 minutes",
                       on_timeout="failed", let="a")
    process = Process("p.e/x", "p.e", "x", Text("x", "x"), {"ask": step}, ("p.r",))
    at, state = NOW, replay(begin(process, "d", 0, NOW, later))
    while not state.ended:
        for what in (Happening("prepared", {"reference": "r", "request": "s"}), Happening("unknown", {"result": {}})):
            for event in happen(process, state, what, at, later):
                state = fold(state, event)
        at = datetime.fromisoformat(state.wake) if state.wake else at
    assert (state.status, state.attempt, at) == ("failed", 4, NOW + timedelta(minutes=2))
