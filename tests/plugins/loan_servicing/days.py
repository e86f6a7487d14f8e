"""Day ends of the test lender, run as the worker runs them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from metaloom.command import handle_part, handle_run, schedule_jobs
from metaloom.job import run_due
from metaloom_plugins.loan_servicing.balances import NAMES, books_of
from metaloom_plugins.loan_servicing.fold import fold
from metaloom_plugins.loan_servicing.standing import agreement_of, loan_columns, money, txns_of
from tests.plugins.lender import Lender

JOB = "lending.day_end"


def tick(lender: Lender) -> None:
    """The scheduler looks at the jobs: those seen for the first time begin from now on."""
    schedule_jobs(lender.tenant, plugins=lender.plugins, clock=lender.real)


def work(lender: Lender, rounds: int = 6) -> None:
    """Runs what is due until nothing is."""
    handlers = {"job.run": lambda tenant, row: handle_run(tenant, row, plugins=lender.plugins, clock=lender.real),
                "job.part": lambda tenant, row: handle_part(tenant, row, plugins=lender.plugins, clock=lender.real)}
    for _ in range(rounds):
        if not run_due(lender.tenant, handlers):
            return


def end_day(lender: Lender, days: int = 1) -> date:
    """The business date moves, and the day end runs; the new date."""
    day = lender.stage.today + timedelta(days=days)
    lender.day(day)
    tick(lender)
    work(lender)
    return day


def runs(lender: Lender) -> list[Mapping[str, Any]]:
    engine = lender.tenant.revision().tables.engine
    with lender.tenant.read() as conn:
        return list(conn.execute(sa.select(engine.scheduled_run).join(engine.scheduled_job, engine.scheduled_job.c.id == engine.scheduled_run.c.job_id)
                                 .where(engine.scheduled_job.c.job == JOB).order_by(engine.scheduled_run.c.id)).mappings())


def errors(lender: Lender, run: int) -> list[Mapping[str, Any]]:
    table = lender.tenant.revision().tables.engine.run_error
    with lender.tenant.read() as conn:
        return list(conn.execute(sa.select(table).where(table.c.run_id == run)).mappings())


def ledger(lender: Lender) -> dict[tuple[date, str, str], Any]:
    """What each account took on each day."""
    leg = lender.tenant.revision().tables.engine.ledger_leg
    with lender.tenant.read() as conn:
        rows = conn.execute(sa.select(leg.c.booking_date, leg.c.account, leg.c.side, sa.func.sum(leg.c.amount)).group_by(
            leg.c.booking_date, leg.c.account, leg.c.side)).all()
    return {(day, account, side): amount for day, account, side, amount in rows}


def as_the_fold_says(shop: Lender) -> int:
    """Every loan is stored as its history says on the morning of the business date, or at the end of it; how many there are."""
    loans = shop.rows("loan")
    for loan in loans:
        snapshot = dict(shop.row("term_snapshot", loan["snapshot_id"]))
        agreement = agreement_of(snapshot, loan["disbursed_on"])
        txns = txns_of(*(shop.rows(name, loan_id=loan["id"]) for name in ("repayment", "loan_change", "loan_provision")))
        day = shop.stage.today
        if loan["status"] == "settled":
            continue
        assert loan["accrued_through"] == day
        lives = [fold(agreement, txns, day, closing=closing) for closing in (False, True)]
        life = next((life for life in lives if money(life.suspense) == loan["suspense"]), lives[0])
        wanted = {**loan_columns(life, day), **{f"book_{name}": money(getattr(books_of(life, day), name)) for name in NAMES}}
        assert {name: loan[name] for name in wanted} == wanted, loan["id"]
    return len(loans)
