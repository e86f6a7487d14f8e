"""A day of the lender from end to end: the business date moves, the worker's loop finds the job, alerts are raised, people hear of it."""

import threading
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from metaloom import command
from metaloom.worker import work
from tests.databases import own_database
from tests.plugins.lender import open_lender

ALERT = "platform.alert"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def lender(request, tmp_path):
    if request.param == "sqlite":
        with open_lender(tmp_path, "w_day") as made:
            yield made
    else:
        with own_database(request.getfixturevalue("pg_url"), "day") as url, open_lender(tmp_path, "w_day", url) as made:
            yield made


def until(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


def rows(lender, name):
    table = getattr(lender.tenant.revision().tables.engine, name)
    with lender.tenant.read() as conn:
        return [dict(row) for row in conn.execute(sa.select(table).order_by(table.c.id)).mappings()]


def unread(lender, who):
    ctx = lender.stage.as_user(who)._context("bell")
    with lender.tenant.read() as conn:
        return command.waiting(ctx, conn).unread


def test_a_day_that_moves_becomes_alerts_messages_and_a_number_at_the_bell(lender):
    loan = lender.loan()
    first = min(row["due_date"] for row in lender.rows("instalment", loan_id=loan))
    stopping = threading.Event()
    loop = threading.Thread(target=work, args=(lender.tenant.tenancy, lender.plugins), kwargs={"stopping": stopping, "clock": lender.real})
    loop.start()
    try:
        assert until(lambda: any(row["job"] == "lending.day_end" for row in rows(lender, "scheduled_job")))
        job = next(row["id"] for row in rows(lender, "scheduled_job") if row["job"] == "lending.day_end")
        before = unread(lender, "officer")
        lender.day(first + timedelta(days=4))
        assert until(lambda: any(row["status"] == "done" for row in rows(lender, "scheduled_run") if row["job_id"] == job)), rows(lender, "scheduled_run")
    finally:
        stopping.set()
        loop.join(60)
    run, = (row for row in rows(lender, "scheduled_run") if row["job_id"] == job)
    assert (run["business_date"], run["company_id"], run["failed"]) == (first + timedelta(days=4), lender.company, 0)
    raised = {row["rule"].rpartition("/")[2]: row for row in lender.rows(ALERT)}
    assert {"overdue", "inspection_due"} <= set(raised) and raised["overdue"]["level"] == "yellow"
    told = [row for row in rows(lender, "message") if row["kind"] == "lending.alert_overdue"]
    assert [(row["receiver_id"], row["channel"], row["link"]) for row in told] == [
        (lender.stage._people["officer"], "in_app", f"/e/{ALERT}/{raised['overdue']['id']}")]
    assert lender.row("loan", loan)["loan_no"] in told[0]["subject"]
    assert unread(lender, "officer") >= before + 2
