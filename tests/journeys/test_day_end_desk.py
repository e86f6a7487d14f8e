"""Finance looks at the day end: what it did, what it held back and why, and one more try for a single loan."""

import os
from datetime import date
from decimal import Decimal as D

import pytest

from tests.plugins.loan_servicing.days import end_day, runs, tick

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def ill(house):
    """One of three loans does not agree with its books when the day end after January comes."""
    lender = house.lender
    tick(lender)
    product = lender.product()
    loans = [lender.loan(product) for _ in range(3)]
    end_day(lender, 10)
    loan = lender.row("loan", loans[1])
    _books(lender, loan["id"], loan["book_interest"] + D("7.00"))
    end_day(lender, 8)
    assert lender.stage.today == date(2025, 2, 2) and runs(lender)[-1]["status"] == "failed"
    return loan


def _books(lender, id, interest):
    table = lender.tenant.revision().tables.of("lending.loan")
    with lender.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == id).values(book_interest=interest))


def shot(page, name):
    folder = os.environ.get("METALOOM_SHOTS")
    if folder:
        for width, height in ((1440, 900), (390, 800)):
            page.set_viewport_size({"width": width, "height": height})
            page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)
        page.set_viewport_size({"width": 1440, "height": 900})


def test_finance_sees_the_run_and_tries_a_loan_that_was_held_back_again(house, desk, ill):
    finance = desk("fincheck")
    page = finance.page
    finance.menu("账务中心", "日终批次")
    page.wait_for_selector("table tbody tr")
    shot(page, "runs")
    finance.go(f"/e/platform.scheduled_run/{runs(house.lender)[-1]['id']}")
    page.wait_for_selector("#job-run")
    said = page.locator("#job-run").inner_text()
    assert "账务核对" in said and "科目 1132.01" in said and "差额 -7.00" in said and ill["loan_no"] in said
    shot(page, "run")
    finance.menu("账务中心", "日终隔离贷款")
    page.wait_for_selector("table tbody tr")
    row = page.locator("table tbody").first.inner_text()
    assert ill["loan_no"] in row and "账面余额与交易记录不符" in row
    shot(page, "held")
    held = house.lender.tenant.revision().tables.engine.held_record
    with house.lender.tenant.read() as conn:
        number = conn.execute(held.select().where(held.c.released_at.is_(None), held.c.mass == "loan_servicing.day_end")).one().id
    finance.go(f"/e/platform.held_record/{number}")
    page.wait_for_selector(".facts-head")
    shot(page, "held-one")
    assert "账面余额" in finance.act_refused("再试一次")
    _books(house.lender, ill["id"], ill["book_interest"])
    finance.go(f"/e/platform.held_record/{number}")
    finance.act("再试一次")
    with house.lender.tenant.read() as conn:
        assert conn.execute(held.select().where(held.c.id == number)).one().released_at is not None
    assert house.lender.row("loan", ill["id"])["accrued_through"] == house.lender.stage.today


def test_others_do_not_see_the_runs_of_finance(house, desk, ill):
    officer = desk("officer")
    officer.go("/e/platform.held_record/")
    assert "不可" in officer.page.content() or "无权" in officer.page.content() or "权限" in officer.page.content()
