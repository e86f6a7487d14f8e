"""kill -9 in the middle of a day end: the next worker makes it whole, every loan once, the books to the cent (reliability paper F10, F11)."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests import forked
from tests.plugins.lender import ROOT, Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.days import as_the_fold_says, end_day, runs, tick, work

POINTS = ("mass.after_write", "mass.after_post", "mass.after_part")
CHILD = """
import sys
from datetime import datetime
from metaloom.base.clock import FixedClock
from metaloom.command import handle_part, handle_run, schedule_jobs
from metaloom.job import run_due
from metaloom.plugin import registry
from metaloom.storage import Settings, Tenancy
home, url, name, now = sys.argv[1:]
plugins = registry.load()
root = {root!r}
tenant = Tenancy(Settings.from_env({{"METALOOM_HOME": home, "METALOOM_METADATA": root + "/metadata", "METALOOM_TENANTS": root + "/tenants",
                                    **({{"METALOOM_DATABASE_URL": url}} if url else {{}})}}), manifest=plugins.manifest()).open(name)
clock = FixedClock(datetime.fromisoformat(now))
sys.modules["metaloom.command.mass_step"].ROWS_OF_A_PART = {{"sqlite": 2, "postgresql": 2}}
schedule_jobs(tenant, plugins=plugins, clock=clock)
handlers = {{"job.run": lambda tenant, row: handle_run(tenant, row, plugins=plugins, clock=clock),
            "job.part": lambda tenant, row: handle_part(tenant, row, plugins=plugins, clock=clock)}}
while run_due(tenant, handlers):
    pass
"""


def expire(lender: Lender) -> None:
    """The leases of whoever died are over."""
    past = "'2020-01-01T00:00:00.000000Z'" if lender.tenant.dialect == "sqlite" else "timestamptz '2020-01-01'"
    with lender.tenant.write() as conn:
        for table in ("ml_outbox", "ml_run_part"):
            conn.exec_driver_sql(f"UPDATE {table} SET lease_until = {past} WHERE lease_until IS NOT NULL")  # noqa: S608


def dies(lender: Lender, point: str, folder: Path) -> None:
    settings = lender.tenant.settings
    process = forked.run(CHILD.format(root=str(ROOT)), settings.home, settings.database_url or "", lender.tenant.name, lender.real.at.isoformat(),
                         env={**os.environ, "METALOOM_CRASH_POINT": f"{point}@{folder}/{point}"})  # fmt: skip
    assert process.returncode == -signal.SIGKILL, (point, process.stderr[-1500:])


def test_kill_9_at_every_point_of_a_range_and_the_next_worker_makes_it_whole(both_lenders: Lender, tmp_path: Any) -> None:
    shop = both_lenders
    tick(shop)
    product = shop.product()
    loans = [shop.loan(product, amount=Decimal(12000), term=3) for _ in range(5)]
    end_day(shop, 40)
    days = len(shop.rows("loan_day"))
    for number, point in enumerate(POINTS, start=1):
        shop.day(shop.stage.today + timedelta(days=1))
        dies(shop, point, tmp_path)
        for _ in range(3):
            expire(shop)
            work(shop)
        run = runs(shop)[-1]
        assert (run["status"], run["failed"], run["business_date"]) == ("done", 0, shop.stage.today), point
        assert len(shop.rows("loan_day")) == days + number * len(loans), point
        as_the_fold_says(shop)
    books_agree(shop)
