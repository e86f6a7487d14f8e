"""In what two outcomes for one record differ, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metaloom.approval.simulate import Outcome


@dataclass(frozen=True)
class Difference:
    """``what``: result | way (``where``: the fork, values: its branches) | deciders (``where``: the step, values: accounts)."""

    what: str
    where: str
    before: tuple[Any, ...]
    after: tuple[Any, ...]


def differences(before: Outcome, after: Outcome, refused_by: str = "") -> tuple[Difference, ...]:
    """What ``after`` changes. ``refused_by``: the step at which people rejected before; asked again, they would answer the same.

    A case that came to no approval says nothing of the steps behind its end, so those are not compared.
    """
    found = [*_results(before, after, refused_by), *_ways(before, after), *_deciders(before, after)]
    return tuple(one for one in found if one.before != one.after)


def _results(before: Outcome, after: Outcome, refused_by: str) -> list[Difference]:
    if before.result not in ("approved", "rejected", ""):
        return []                                       # withdrawn or terminated: no answer of the chain
    rejected = before.result == "rejected" and refused_by in people_of(after)
    return [Difference("result", "", (before.result,), (before.result if rejected else after.result,))]


def _ways(before: Outcome, after: Outcome) -> list[Difference]:
    old, new = _branches(before), _branches(after)
    return [Difference("way", fork, old.get(fork, ()), new.get(fork, ())) for fork in _compared(before, old, new)]


def _branches(outcome: Outcome) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for fork, branch in outcome.ways:
        found[fork] = (*found.get(fork, ()), branch)
    return found


def _deciders(before: Outcome, after: Outcome) -> list[Difference]:
    old, new = people_of(before), people_of(after)
    return [Difference("deciders", step, old.get(step, ()), new.get(step, ())) for step in _compared(before, old, new)]


def people_of(outcome: Outcome) -> dict[str, tuple[int, ...]]:
    """Step → accounts asked the last time, by id."""
    return {one.step: tuple(sorted(one.people)) for one in outcome.asked}


def _compared(before: Outcome, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys((*old, *new))) if before.result == "approved" else list(old)
