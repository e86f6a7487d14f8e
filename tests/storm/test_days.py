"""Days run daily = days missed = days in which workers are killed = days of two schedulers: byte-equal ledgers (G12)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.storm.conftest import SEED
from tests.storm.days import HOWS, played, unlike
from tests.storm.world import World


def equal(world: World, days: int, deaths: int) -> None:
    wanted, _ = played(world, "daily", days)
    assert len(wanted["loan_day"]) > days and any("overdue" in row or "dpd" in row for row in wanted["loan_day"])
    for how in HOWS[1:]:
        found, died = played(world, how, days, deaths, SEED)
        assert died >= (deaths if how == "killed" else 0)
        assert not (said := unlike(wanted, found)), f"{how}, seed {SEED}\n{said}"


def test_daily_is_missed_is_killed_is_two_schedulers(world: Any) -> None:
    equal(world, 7, 3)


@pytest.mark.nightly
def test_ninety_days_daily_are_ninety_missed_ones_and_fifty_deaths(world: Any) -> None:
    equal(world, 90, 50)
