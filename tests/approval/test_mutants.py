"""The property tests are alive: planted faults, each caught by the random walk (decision 37)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from metaloom.approval import guard, people, seats
from metaloom.approval.fold import _FOLDS
from tests.approval import test_cases, test_properties
from tests.approval.chains import chains, facts


def walk_until_it_breaks(examples: int = 400) -> None:
    """Random walks, the same ones each time; raises what the first broken promise raises."""
    @settings(max_examples=examples, deadline=None, database=None, derandomize=True, phases=(Phase.generate,),
              suppress_health_check=list(HealthCheck), report_multiple_bugs=False)
    @given(chains(), facts(), st.data())
    def walk(body: dict[str, Any], who: dict[str, Any], data: st.DataObject) -> None:
        test_properties.play(body, who, data, 20)

    walk()


def test_four_eyes_that_are_shut_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (people, guard):
        monkeypatch.setattr(room, "barred", lambda story, step, persons: "")
    monkeypatch.setattr(seats, "vacate", lambda story, persons, but: ())
    with pytest.raises(AssertionError):
        walk_until_it_breaks()


def test_a_vote_that_passes_with_one_voice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "_vote", lambda step, weights, verdicts: seats.PASS if seats.PASS in verdicts.values() else seats.OPEN)
    with pytest.raises(AssertionError):
        walk_until_it_breaks()


tally = seats.tally


def test_a_step_that_nobody_fills_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "fill_empty", lambda story, step: (seats.OPEN, ""))
    monkeypatch.setattr(seats, "tally", lambda story, step: seats.OPEN if not story.live(step) else tally(story, step))
    with pytest.raises(AssertionError, match="nobody has"):
        walk_until_it_breaks()


def test_a_log_that_forgets_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of resumption vanish from the state: sent back to where it came from becomes the long way."""
    monkeypatch.setitem(_FOLDS, "returned", lambda state, d: state)
    name = "return_resume/to the first step and straight back"
    with pytest.raises(AssertionError):
        test_cases.Play(test_cases.CASES[name]).run()
