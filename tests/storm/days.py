"""Many days of a day end: one after the other, missed and made up for, killed on the way, by two schedulers at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import sqlalchemy as sa

from metaloom.base import crash
from metaloom.command import schedule_jobs
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.days import JOB
from tests.storm import world as worlds
from tests.storm.child import Child, answer_of
from tests.storm.paths import quiet
from tests.storm.trial import die, opened
from tests.storm.world import World

HOWS = ("daily", "missed", "killed", "two")
NOT_COMPARED = frozenset({"id", "run_id", "row_version", "created_at", "updated_at", "created_by", "updated_by", "deleted_at"})


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


def books(shop: Lender) -> Mapping[str, list[str]]:
    """What was booked by day, event and account, days of loans, loans and bills, and what was ever held back, as text; the books must agree in themselves.

    Not entry by entry: ranges that two workers took, or that one took in halves after a death, book an entry each."""
    books_agree(shop)
    engine = shop.tenant.revision().tables.engine
    with shop.tenant.read() as conn:
        sums: dict[str, Decimal] = defaultdict(Decimal)
        held = [f"{row['record_id']} since {row['business_date']}: {row['sentence']}" for row in conn.execute(sa.select(engine.held_record)).mappings()]
        leg, entry = engine.ledger_leg, engine.ledger_entry
        query = sa.select(leg, entry).join_from(leg, entry, entry.c.id == leg.c.entry_id)
        for row in conn.execute(query.set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)).mappings():
            said = [row[f"ml_ledger_entry_{name}"] for name in ("booking_date", "value_date", "event", "state", "memo")]
            sums[" ".join(map(str, (*said, row["ml_ledger_leg_side"], row["ml_ledger_leg_account"])))] += row["ml_ledger_leg_amount"]
    entries = sorted(f"{said} {amount}" for said, amount in sums.items())
    return {"held": sorted(held), "entries": entries, **{entity: _rows(shop, entity) for entity in ("loan_day", "loan", "instalment")}}


def _rows(shop: Lender, entity: str) -> list[str]:
    return sorted(" ".join(f"{name}={value}" for name, value in sorted(row.items()) if name not in NOT_COMPARED and value is not None)
                  for row in shop.rows(entity))


def unlike(wanted: Any, found: Any) -> str:
    return worlds.difference(wanted, found)
