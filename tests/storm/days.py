"""Many days of a day end: one after the other, missed and made up for, killed on the way, by two schedulers at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from random import Random
from typing import Any

from metaloom.base import crash
from metaloom.command import schedule_jobs
from tests.plugins.loan_servicing.days import JOB
from tests.storm import world as worlds
from tests.storm.child import Child, answer_of
from tests.storm.money import books
from tests.storm.paths import quiet
from tests.storm.trial import die, opened
from tests.storm.world import World

HOWS = ("daily", "missed", "killed", "two")


def played(world: World, how: str, days: int, deaths: int = 0, seed: int = 1) -> tuple[Mapping[str, list[str]], int]:
    """What the books hold after so many days, and how often a worker died on the way."""
    def work() -> tuple[Mapping[str, list[str]], int]:
        worlds.reset(world)
        day_end_alone(world)
        today, died = world.facts["business_date"], 0
        if how == "missed":
            a_day(world, today + timedelta(days=days))
        elif how == "daily":
            for n in range(1, days + 1):
                a_day(world, today + timedelta(days=n))
        else:
            worlds.rest(world)
            died = _by_children(world, how, [today + timedelta(days=n) for n in range(1, days + 1)], deaths, Random(seed))
        return books(opened(world)), died

    found: tuple[Mapping[str, list[str]], int] = answer_of(work)
    return found


def _by_children(world: World, how: str, dates: list[date], deaths: int, dice: Random) -> int:
    died = 0
    for place, day in enumerate(dates):
        if how == "two":
            both = [Child(lambda day=day: a_day(world, day, alone=False)) for _ in range(2)]
            for one in both:
                ended = one.end()
                assert not ended.fault, ended.fault[-1500:]
            answer_of(lambda day=day: a_day(world, day))
            continue
        while died * len(dates) < deaths * (place + 1):
            after = dice.randint(1, 90)
            ended = Child(lambda day=day, after=after: a_day(world, day, after)).end()
            assert not ended.fault, ended.fault[-1500:]
            if not ended.killed:
                break
            died += 1
        answer_of(lambda day=day: a_day(world, day))
    return died


def a_day(world: World, day: date, die_after: int = 0, *, alone: bool = True) -> None:
    """The date moves and the day end runs to its end; ``die_after``: at so many named places. ``alone``: nobody else is at work, so that
    leases that stand are those of the dead; ended under a living worker, they would have it do its range in smaller parts."""
    shop = opened(world)
    if die_after:
        left = [die_after]

        def come_by(name: str) -> None:
            left[0] -= 1
            if not left[0]:
                die()

        crash.WATCHERS.append(come_by)
    if alone:
        worlds.expire(shop.tenant)
    shop.day(day)
    for _ in range(3):
        schedule_jobs(shop.tenant, plugins=shop.plugins, clock=shop.real)
        quiet(shop, "job.run", "job.part", turns=60, alone=alone)


def day_end_alone(world: World) -> None:
    """The other jobs pause: they tell people, and that is not what is compared here."""
    shop = opened(world)
    job = shop.tenant.revision().tables.engine.scheduled_job
    with shop.tenant.write() as conn:
        conn.execute(job.update().where(job.c.job != JOB).values(paused=True))


def unlike(wanted: Any, found: Any) -> str:
    return worlds.difference(wanted, found)
