"""A check that nothing turns red is none: some mutants by seed here, all of them in ``make storm`` (G9)."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.storm.conftest import SEED
from tests.storm.mutants import MUTANTS, main, misplaced

SHORT, FEW = ("keys", "stale", "rights", "refusals", "reversal", "oldest", "fences", "hanging"), 3


def test_there_are_enough_and_no_two_are_one() -> None:
    assert len({one.name for one in MUTANTS}) == len({one.changes for one in MUTANTS}) == len(MUTANTS) >= 30


def test_each_finds_the_words_that_it_changes() -> None:
    """In every run, not only in those that draw it."""
    assert misplaced() == []


def test_some_mutants_are_caught(world: Any) -> None:
    """Those of this seed; and the lock on a record, where there are locks."""
    near = [one for one in MUTANTS if one.check in SHORT and one.on == "sqlite"]
    chosen = Random(SEED).sample(near, FEW) if world.dialect == "sqlite" else [one for one in MUTANTS if one.on == "postgresql"]
    assert main(world, chosen) == []
