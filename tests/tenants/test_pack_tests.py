"""Every test that stands in the metadata of this repository is green, and every pack has some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from metaloom.app.trials import Stage, stage
from metaloom.compile import read_sources
from metaloom.plugin.registry import installed

METADATA = Path(__file__).parents[2] / "metadata"
PACKS = ("lending", "workshop")


@pytest.fixture(scope="module", params=PACKS)
def made(request: pytest.FixtureRequest) -> Iterator[tuple[str, Stage]]:
    with stage(read_sources({"engine": METADATA, "pack": METADATA}, PACKS), installed()) as ready:
        yield request.param, ready


@pytest.mark.timeout(900)
def test_the_tests_of_a_pack_are_green(made: tuple[str, Stage]) -> None:
    pack, ready = made
    trials = ready.trials((pack,))
    assert len(trials) >= 4
    red = {}
    for trial in trials:
        outcome = ready.run(trial)
        if not outcome.good:
            red[trial.address] = [f"{f.position}: {f.said.say('en')}" for f in (*outcome.failures, *filter(None, (outcome.error,)))]
    print(f"{pack}: {len(trials)} tests in metadata")
    assert not red
