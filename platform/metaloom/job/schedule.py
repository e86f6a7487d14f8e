"""When a job is due: instants of a cron line in a zone, days of a business date. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

MISSED_MAX = 100
GRACE = timedelta(minutes=10)


def next_instant(cron: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first instant (UTC) later than ``after`` at which ``cron`` strikes in ``zone``; None when it never does again.

    A line with a fixed hour strikes once in a night of clock change: at the first moment after a gap, at the first of two
    equal hours. A line for every hour or half hour strikes as often as the night has them.
    """
    found = next(_instants(cron, zone, after), None)
    return found.astimezone(UTC) if found is not None else None


def due_instants(cron: str, zone: ZoneInfo, after: datetime, now: datetime, catch_up: str) -> tuple[datetime, ...]:
    """Instants later than ``after`` and not later than ``now`` that are to be run, oldest first.

    ``one_by_one``: all of them, at most the last hundred. ``latest``: the last one. ``none``: the last one if it struck within
    ten minutes.
    """
    found: list[datetime] = []
    for instant in _instants(cron, zone, after):
        if instant > now:
            break
        found = [*found[-MISSED_MAX + 1:], instant.astimezone(UTC)]
    if catch_up == "one_by_one":
        return tuple(found)
    latest = found[-1:]
    return tuple(latest) if catch_up == "latest" else tuple(one for one in latest if now - one <= GRACE)


def due_days(after: date, today: date, catch_up: str) -> tuple[date, ...]:
    """The days later than ``after`` up to ``today``: every one (at most the last hundred), or only ``today``."""
    missed = (today - after).days
    first = 0 if catch_up != "one_by_one" else min(missed, MISSED_MAX) - 1
    return tuple(today - timedelta(n) for n in range(first, -1, -1)) if missed > 0 else ()


def _instants(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    return iter(CronSim(cron, after.astimezone(zone)))
