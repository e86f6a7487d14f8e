"""缴纳增值税 where several come at once, on both databases: a month is paid once, and together no more than is owed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest
import sqlalchemy as sa

from metaloom.base.errors import MetaloomError
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.days import end_day, tick
from tests.plugins.loan_servicing.test_other_money import entered, tax_until
from tests.plugins.loan_servicing.test_vat import _taxpayer
from tests.plugins.waiting import wait_for


@pytest.fixture(scope="module")
def shop(both_lenders: Lender) -> Lender:
    """A general taxpayer with a loan, on the first of May: two months of tax, February's and March's with it, are owed."""
    _taxpayer(both_lenders, "general")
    tick(both_lenders)
    both_lenders.loan()
    both_lenders.stage.user("finance2", "second maker", ("lending.fin_maker",), both_lenders.company, both_lenders.unit)
    both_lenders.stage.user("fincheck2", "second checker", ("lending.fin_check",), both_lenders.company, both_lenders.unit)
    for day in (date(2025, 3, 31), date(2025, 4, 30), date(2025, 5, 1)):
        end_day(both_lenders, (day - both_lenders.stage.today).days)
    return both_lenders


@contextmanager
def company_held(shop: Lender, waiting: int) -> Iterator[None]:
    """Somebody else holds the company until ``waiting`` others wait for a lock."""
    table = shop.tenant.revision().tables.of("platform.company")
    with shop.tenant.write() as conn:
        conn.execute(table.select().with_for_update())
        yield
        wait_for(conn, waiting, 5)


def at_once(shop: Lender, *jobs: Callable[[], Any]) -> list[str]:
    """``done`` or the code of the refusal, of jobs that stand before the company together."""
    def run(job: Callable[[], Any]) -> str:
        try:
            job()
        except MetaloomError as refusal:
            return refusal.code
        return "done"

    with ThreadPoolExecutor(len(jobs)) as pool:
        with company_held(shop, len(jobs)):
            running = [pool.submit(run, job) for job in jobs]
        return [one.result(timeout=60) for one in running]


def post(shop: Lender, made: int, who: str = "fincheck") -> Callable[[], None]:
    return lambda: shop.do(who, "other_money", made, "post_money")


def paid(shop: Lender) -> D:
    return sum((row["amount"] for row in shop.rows("other_money", kind="vat_paid", status="posted")), D(0))


def sums_agree(shop: Lender) -> None:
    """What is gone from 2221 is what was paid, each month at most once, and nothing that was not owed at the end of April."""
    earned, owed = tax_until(shop, date(2025, 6, 1)), tax_until(shop, date(2025, 5, 1))
    months = [row["tax_month"] for row in shop.rows("other_money", kind="vat_paid", status="posted")]
    assert len(set(months)) == len(months) and -shop.account("2221") == earned - paid(shop) and paid(shop) <= owed
    books_agree(shop)


def clear(shop: Lender) -> None:
    for row in shop.rows("other_money", kind="vat_paid"):
        if row["status"] == "posted":
            shop.do("fincheck", "other_money", row["id"], "reverse_money", reason="缴款退回")
        elif row["status"] == "submitted":
            shop.do("fincheck", "other_money", row["id"], "return_money", reason="改期")
        if shop.row("other_money", row["id"])["status"] == "draft":
            shop.do("finance" if row["created_by"] == first_maker(shop) else "finance2", "other_money", row["id"], "void_money", reason="改期")


def first_maker(shop: Lender) -> int:
    with shop.tenant.read() as conn:
        return int(conn.scalar(sa.text("SELECT id FROM ab_user WHERE username = 'finance'")))


def test_two_months_that_ask_for_the_same_tax_are_not_both_paid(shop: Lender) -> None:
    march, april = tax_until(shop, date(2025, 4, 1)), tax_until(shop, date(2025, 5, 1))
    assert 0 < march < april
    early = entered(shop, kind="vat_paid", amount=march, tax_month="2025-03")
    late = entered(shop, kind="vat_paid", amount=april, tax_month="2025-04")
    said = at_once(shop, post(shop, early), post(shop, late, "fincheck2"))
    assert sorted(said) == ["done", "error.not_possible"], said
    assert paid(shop) in (march, april)
    sums_agree(shop)
    clear(shop)


def test_two_months_that_are_owed_together_are_both_paid(shop: Lender) -> None:
    march, april = tax_until(shop, date(2025, 4, 1)), tax_until(shop, date(2025, 5, 1))
    both = [entered(shop, kind="vat_paid", amount=march, tax_month="2025-03"), entered(shop, kind="vat_paid", amount=april - march, tax_month="2025-04")]
    assert at_once(shop, *(post(shop, one) for one in both)) == ["done", "done"]
    assert paid(shop) == april
    sums_agree(shop)
    said = at_once(shop, *(lambda one=one: shop.do("fincheck", "other_money", one, "reverse_money", reason="缴款退回") for one in both))
    assert said == ["done", "done"] and paid(shop) == 0
    sums_agree(shop)
    clear(shop)


def test_a_month_is_entered_once_and_booked_once_however_many_click(shop: Lender) -> None:
    drafts = {who: shop.create(who, "other_money", {"kind": "vat_paid", "amount": D("10.00"), "tax_month": "2025-04"}) for who in ("finance", "finance2")}
    said = at_once(shop, *(lambda who=who, one=one: shop.do(who, "other_money", one, "submit_money") for who, one in drafts.items()))
    assert said.count("done") == 1, said
    (made,) = shop.rows("other_money", kind="vat_paid", status="submitted")
    version = made["row_version"]
    said = at_once(shop, *(lambda who=who: shop.run(who, "other_money", made["id"], "post_money", version) for who in ("fincheck", "fincheck2")))
    assert said.count("done") == 1, said
    assert paid(shop) == D("10.00")
    sums_agree(shop)
    clear(shop)


def test_a_payment_beside_the_reversal_of_a_later_one_never_takes_what_is_not_there(shop: Lender) -> None:
    march, april = tax_until(shop, date(2025, 4, 1)), tax_until(shop, date(2025, 5, 1))
    later = entered(shop, kind="vat_paid", amount=april - march, tax_month="2025-04")
    shop.do("fincheck", "other_money", later, "post_money")
    early = entered(shop, kind="vat_paid", amount=march, tax_month="2025-03")
    said = at_once(shop, lambda: shop.do("fincheck2", "other_money", later, "reverse_money", reason="缴款退回"), post(shop, early))
    assert said == ["done", "done"] and paid(shop) == march
    sums_agree(shop)
    clear(shop)


def test_three_entered_at_once_for_what_one_may_take(shop: Lender) -> None:
    """Handing in looks at what is booked only; booking looks again, under the lock."""
    feb, march, april = (tax_until(shop, date(2025, month, 1)) for month in (3, 4, 5))
    months = {"2025-02": feb, "2025-03": march, "2025-04": april}
    made = [entered(shop, kind="vat_paid", amount=amount, tax_month=month) for month, amount in months.items()]
    said = at_once(shop, *(post(shop, one) for one in made))
    assert said.count("done") == 1 and set(said) == {"done", "error.not_possible"}, said
    sums_agree(shop)
    clear(shop)
