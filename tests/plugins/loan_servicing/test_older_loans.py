"""Loans that are older than their daily rows, as an upgrade leaves them: the day end goes on, and months are closed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest
import sqlalchemy as sa

from metaloom_plugins.loan_servicing import fold, repayment
from metaloom_plugins.loan_servicing.balances import NAMES
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.days import end_day, errors, runs, tick
from tests.plugins.loan_servicing.test_changes import change
from tests.plugins.loan_servicing.test_invariants import changed


def _aged(shop: Lender, loan: int) -> None:
    """As a loan was stored before its days and books were kept."""
    table = shop.tenant.revision().tables.of("lending.loan")
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == loan).values(accrued_through=None, **{f"book_{name}": None for name in NAMES}))


def _done(shop: Lender) -> None:
    last = runs(shop)[-1]
    assert last["status"] == "done", errors(shop, last["id"])


def _provided(shop: Lender, loan: int) -> list[tuple[date, D]]:
    return [(row["month_end"], row["amount"]) for row in shop.rows("loan_provision", loan_id=loan)]


def test_loans_older_than_their_days_hold_back_neither_the_day_end_nor_the_month(lender: Lender) -> None:
    tick(lender)
    product = lender.product()
    asleep, wakes, late, new = (lender.loan(product) for _ in range(4))
    for loan in (asleep, wakes, late):
        _aged(lender, loan)
    end_day(lender, (date(2025, 3, 10) - lender.stage.today).days)
    _done(lender)
    assert _provided(lender, new) == [(date(2025, 1, 31), D("1500.00")), (date(2025, 2, 28), D("3000.00"))], "a new loan is as ever"
    assert not any(_provided(lender, loan) for loan in (asleep, wakes, late)), "months of which nothing is known"
    lender.repay(wakes, "8884.88", on=lender.stage.today)
    assert lender.row("loan", wakes)["accrued_through"] == date(2025, 3, 10), "its days begin with the first transaction"
    end_day(lender)
    _done(lender)
    companies = lender.tenant.revision().tables.of("platform.company")
    with changed(lender, companies, lender.company, {"month_close": "automatic"}):
        end_day(lender, (date(2025, 4, 2) - lender.stage.today).days)
        _done(lender)
    assert [row["month"] for row in lender.rows("platform.ledger_period")] == ["2025-01", "2025-02", "2025-03"]
    ends = [end for end, _ in _provided(lender, wakes)]
    assert ends == [date(2025, 3, 31)] and not _provided(lender, asleep)
    change(lender, late, "provision", amount=D("20000.00"))
    assert lender.row("loan", late)["book_allowance"] == D("20000.00"), "what people decide waits for no month of it"
    books_agree(lender)
    end_day(lender, (date(2025, 5, 2) - lender.stage.today).days)
    _done(lender)
    assert {lender.row("loan", loan)["provisioned_through"] for loan in (wakes, late)} == {date(2025, 4, 30)} and not _provided(lender, asleep)
    books_agree(lender)


def test_a_settlement_of_an_earlier_version_is_reversed_on_a_later_day(both_lenders: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    """It took 100.00 more than one of today would: what was paid of the running interest came off its whole then, not off what had run."""
    shop, table = both_lenders, both_lenders.tenant.revision().tables.of("lending.repayment")
    tick(shop)
    loan, now = shop.loan(shop.product()), fold.settlement
    end_day(shop, 14)
    part = shop.repay(loan, "100.00")
    assert (shop.stage.today, part["interest"]) == (date(2025, 1, 29), D("100.00"))
    end_day(shop)
    today = shop.stage.as_user("finance").ask("lending.loan", loan, "settle_quote", {"value_date": shop.stage.today})

    def once(life: Any, on: date, *, gross: bool = True) -> Any:
        return now(life, on, gross=True)

    with monkeypatch.context() as old:
        old.setattr(fold, "settlement", once)
        old.setattr(repayment, "settlement", once)
        settled = shop.settle(loan, today["total"] + D("100.00"))
    with shop.tenant.write() as conn:
        conn.execute(sa.update(table).where(table.c.id == settled["id"]).values(interest_net=None))
    row = shop.row("loan", loan)
    assert (row["status"], row["suspense"], settled["surplus"], settled["interest"]) == ("settled", 0, 0, today["interest"] + D("100.00"))
    end_day(shop)
    shop.do("fincheck", "repayment", settled["id"], "reverse", {}, "支票被退")
    row = shop.row("loan", loan)
    assert (row["status"], row["principal_balance"], row["accrued_through"]) == ("normal", D("100000.00"), shop.stage.today)
    books_agree(shop)
    shop.do("officer", "loan_change", shop.rows("loan_change", loan_id=loan)[-1]["id"], "cancel", {}, "过期")
    again = shop.settle(loan, shop.stage.as_user("finance").ask("lending.loan", loan, "settle_quote", {"value_date": shop.stage.today})["total"])
    assert again["interest_net"] and shop.row("loan", loan)["status"] == "settled"
    end_day(shop)
    shop.do("fincheck", "repayment", part["id"], "reverse", {}, "支票被退")
    assert shop.row("loan", loan)["status"] == "normal", "without the 100.00 it does not suffice: an ordinary receipt"
    books_agree(shop)


def test_a_loan_whose_day_end_lags_is_held_back_still(lender: Lender) -> None:
    """A month is never skipped because the days of a loan do not reach its end yet."""
    loan, table = lender.loan(lender.product()), lender.tenant.revision().tables.of("lending.loan")
    ill = {"book_fee": D("0.07")}
    with changed(lender, table, loan, ill):
        end_day(lender, (date(2025, 6, 3) - lender.stage.today).days)
        assert lender.row("loan", loan)["accrued_through"] < date(2025, 6, 1)
        said = [row["sentence"] for row in errors(lender, runs(lender)[-1]["id"]) if row["record_id"] == loan]
        assert any("不能计提准备金" in one for one in said), said
        assert lender.row("loan", loan)["provisioned_through"] is None and not _provided(lender, loan)
    end_day(lender)
    _done(lender)
    assert lender.row("loan", loan)["provisioned_through"] == date(2025, 5, 31) and [end for end, _ in _provided(lender, loan)] == [date(2025, 5, 31)]
    books_agree(lender)
