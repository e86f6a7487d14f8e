"""kill -9 at every named place of every path that moves money or changes tables: whoever takes over comes to the same end, to the byte.

And a statement that fails or kills in the midst of a path. The short form draws occasions by seed, each place on one of the two databases;
``make storm`` plays all of them, for as long as it is told.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from metaloom.base.crash import POINTS
from tests.storm.conftest import SEED
from tests.storm.paths import PATHS
from tests.storm.trial import NOT_REACHED, Fault, Run, storm

ELSEWHERE = {"process.claimed", "process.acted", "process.asking", "process.answered", "run.before_record", "run.after_record",
             "export.begun", "export.written", "export.noted",
             "import.begun", "import.part_tried", "import.part_noted", "import.part_kept", "import.ended"}
"""Held by tests/command/test_process_crash.py, tests/job/test_jobs_crash.py, tests/job/test_long_export.py and tests/job/test_long_import.py, which fail
when one of theirs is not come by."""
TRIED: dict[str, set[str]] = {}


def occasions(run: Run, name: str, dialect: str, dice: Random) -> list[Fault]:
    """The places that belong to the path, every other one on this database and the rest on the other, each at one of the times when it is come by;
    and one statement that fails, one that is refused, one that kills."""
    own = [point for point in dict.fromkeys(run.points) if point.startswith(PATHS[name].points)]
    own = own[(dice.randint(0, 1) + (dialect == "sqlite")) % 2::2] or own[:1]
    faults = [Fault("point", point, dice.randint(1, run.points.count(point))) for point in own]
    if name in ("payout", "repay", "day_end"):
        faults += [Fault(kind, dice.randint(1, run.statements)) for kind in ("kill", "fail", "refuse")]
    return faults


@pytest.mark.parametrize("name", PATHS)
def test_a_death_at_any_place_comes_to_the_same_end(world: Any, name: str) -> None:
    dice = Random(f"{SEED} {name}")
    run, found = storm(world, PATHS[name], lambda run: occasions(run, name, world.dialect, dice))
    assert found, "no place of the path was come by"
    TRIED.setdefault(world.dialect, set()).update(run.points)
    wrong = [said for said in found.values() if said not in ("", NOT_REACHED)]
    assert not wrong, f"seed {SEED}: {len(wrong)} of {len(found)}\n" + "\n".join(wrong[:5])


def test_every_named_place_is_come_by(world: Any) -> None:
    """A place that nothing comes by guards nothing."""
    if len(TRIED.get(world.dialect, ())) < 10:
        pytest.fail("needs the paths above in the same run")
    assert set(POINTS) - TRIED[world.dialect] - ELSEWHERE == set()
    assert set(POINTS) >= ELSEWHERE and len(POINTS) >= 30
