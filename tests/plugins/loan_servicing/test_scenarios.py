"""The scenarios of the domain specification §2.5 as far as they concern money, each a story to the cent. Scenarios 2, 8 and 9 move no money; the
payout of 1 and 3 with time-outs, second notices and reconciliation stands in tests/plugins/loan_payments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom.base.errors import MetaloomError, NotAllowed, NotPossible
from metaloom.command import close_month
from metaloom.ledger import trial_balance
from metaloom_plugins.loan_servicing.balances import Books, write_off_entry
from tests.plugins.lender import Lender, open_lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.days import as_the_fold_says, end_day, runs, tick
from tests.plugins.loan_servicing.test_changes import change

DUE = tuple(date(2025, month, 15) for month in range(2, 13))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lender]:
    """A lender whose loans are all paid out on 2025-01-15; the stories go through the year together."""
    with open_lender(tmp_path_factory.mktemp("home"), "t_scenarios") as made:
        tick(made)
        plain, fee = made.product(prepay_fee_rate=D("0.01")), made.product(prepay_fee_rate=D("0.01"))
        made.told = plain  # type: ignore[attr-defined]
        loans = {name: made.loan(fee) for name in ("settles", "less", "shorter", "cheaper", "cheaper now", "late to light", "in time", "loss")}
        loans["snapshot"] = made.loan(plain)
        loans["first principal"] = made.loan(made.product(allocation_rule="PRINCIPAL_FIRST", penalty_uplift=D("0.5")))
        loans["longer"] = made.loan(made.product(), method="INTEREST_ONLY", term=6)
        made.loans = loans  # type: ignore[attr-defined]
        yield made


def until(shop: Lender, day: date) -> None:
    """Day ends up to the day, and each loan that pays has paid what fell due."""
    end_day(shop, (day - shop.stage.today).days)
    assert runs(shop)[-1]["status"] == "done"


def pay(shop: Lender, due: date, *names: str) -> None:
    for name in names:
        loan = shop.loans[name]  # type: ignore[attr-defined]
        shop.repay(loan, shop.row("loan", loan)["next_due_amount"], on=due)


def test_1_another_price_of_the_product_leaves_the_plan_of_a_loan_alone(shop: Lender) -> None:
    loan = shop.loans["snapshot"]  # type: ignore[attr-defined]
    before, frozen = shop.plan(loan), dict(shop.row("term_snapshot", shop.row("loan", loan)["snapshot_id"]))
    assert before[0] == (D("7884.88"), D("1000.00")) and before[-1] == (D("8796.88"), D("87.97")) and sum(row[1] for row in before) == D("6618.53")
    shop.release_version(shop.told, 2, annual_rate_max=D("0.20"), prepay_fee_rate=D("0.02"))  # type: ignore[attr-defined]
    assert shop.plan(loan) == before and dict(shop.row("term_snapshot", frozen["id"])) == frozen


def test_4_a_debit_that_fails_a_part_that_comes_late_and_the_rest(shop: Lender) -> None:
    """E30: 3000.00 of principal on the tenth day late, the rest on the twenty-first."""
    loan = shop.loans["first principal"]  # type: ignore[attr-defined]
    everybody = [name for name in shop.loans if name not in ("loss", "late to light", "longer")]  # type: ignore[attr-defined]
    for due in DUE[:2]:
        until(shop, due)
        pay(shop, due, *everybody, "longer")
        if due == DUE[0]:
            pay(shop, due, "late to light", "loss")
    until(shop, DUE[2])
    pay(shop, DUE[2], *(name for name in everybody if name != "first principal"), "longer")
    end_day(shop)
    assert (shop.row("loan", loan)["dpd"], shop.row("loan", loan)["dpd_bucket"]) == (1, "m1")
    until(shop, date(2025, 4, 25))
    part = shop.repay(loan, "3000.00", on=date(2025, 4, 25))
    assert (part["principal"], part["penalty"]) == (D("3000.00"), D("0.00"))
    until(shop, date(2025, 5, 6))
    row = shop.row("loan", loan)
    assert (row["dpd"], row["penalty_balance"], row["overdue_amount"]) == (21, D("67.96"), D("5952.84"))
    shop.repay(loan, "5952.84", on=date(2025, 5, 6))
    row = shop.row("loan", loan)
    assert (row["dpd"], row["dpd_bucket"], row["overdue_amount"], row["suspense"]) == (0, "current", 0, 0)
    books_agree(shop)


def test_6_a_receipt_twice_a_receipt_late_and_one_that_is_taken_back(shop: Lender) -> None:
    loan = shop.loans["late to light"]  # type: ignore[attr-defined]
    assert shop.row("loan", loan)["dpd"] > 0
    late = shop.row("loan", loan)["penalty_balance"]
    given = {"bank_serial_no": "YH20250506001"}
    shop.repay(loan, "8884.88", on=DUE[1], **given)
    with pytest.raises(MetaloomError):
        shop.repay(loan, "8884.88", on=DUE[1], **given)
    assert len(shop.rows("repayment", loan_id=loan)) == 2
    assert 0 < shop.row("loan", loan)["penalty_balance"] < late, "the bill of March was paid in time"
    third = shop.repay(loan, "8884.88", on=DUE[2])
    mine, his = shop.row("loan", loan), shop.row("loan", shop.loans["in time"])  # type: ignore[attr-defined]
    for name in ("penalty_balance", "principal_balance", "overdue_amount", "paid_periods", "book_income_penalty", "book_income_interest"):
        assert mine[name] == his[name], name
    with pytest.raises((NotAllowed, NotPossible)):
        shop.do("finance", "repayment", third["id"], "reverse", {}, "误入账")
    shop.do("fincheck", "repayment", third["id"], "reverse", {}, "误入账")
    assert shop.row("loan", loan)["penalty_balance"] == D("84.46"), "E18: 8043.37 for 21 days at 18 %"
    tables = shop.tenant.revision().tables
    with shop.tenant.read() as conn:
        assert sum(one.balance for one in trial_balance(conn, tables, company_id=shop.company)) == 0
    books_agree(shop)
    shop.repay(loan, "8969.34", on=date(2025, 5, 6))
    assert shop.row("loan", loan)["overdue_amount"] == 0
    books_agree(shop)


def test_5_prepayment_another_rate_and_a_longer_term_each_make_a_new_plan(shop: Lender) -> None:
    loans = shop.loans  # type: ignore[attr-defined]
    paying = ("settles", "less", "shorter", "cheaper", "cheaper now", "in time", "snapshot", "first principal", "late to light", "longer")
    until(shop, DUE[3])
    pay(shop, DUE[3], *paying)
    on = date(2025, 6, 1)
    until(shop, on)
    with pytest.raises(NotPossible, match="agreed"):
        shop.repay(loans["settles"], "69049.30", kind="settle", on=on)
    shop.agree(shop.ask_settle(loans["settles"]))
    with pytest.raises(NotPossible, match="too small"):
        shop.repay(loans["settles"], "69049.29", kind="settle", on=on)
    whole = shop.repay(loans["settles"], "69049.30", kind="settle", on=on)
    assert (whole["principal"], whole["interest"], whole["fee"]) == (D("67984.22"), D("385.24"), D("679.84"))
    assert shop.row("loan", loans["settles"])["status"] == "settled"
    for name, how in (("less", "reduce_payment"), ("shorter", "shorten_term")):
        shop.agree(shop.ask_prepay(loans[name], "30000.00", how))
        part = shop.repay(loans[name], "30685.24", kind="prepay", on=on)
        assert (part["principal"], part["interest"], part["fee"], part["surplus"]) == (D("30000.00"), D("385.24"), D("300.00"), 0)
        assert shop.row("loan", loans[name])["principal_balance"] == D("37984.22")
    less = [row for row in shop.rows("instalment", loan_id=loans["less"]) if row["status"] == "not_due"]
    assert less[0]["interest"] == D("177.26") and {row["principal"] + row["interest"] for row in less[1:-1]} == {D("4964.17")}
    shorter = [row for row in shop.rows("instalment", loan_id=loans["shorter"]) if row["status"] == "not_due"]
    assert (shorter[-1]["due_date"], shorter[-1]["principal"] + shorter[-1]["interest"]) == (date(2025, 10, 15), D("3484.85"))
    until(shop, DUE[4])
    pay(shop, DUE[4], "cheaper", "cheaper now", "longer", "in time")
    until(shop, date(2025, 7, 10))
    change(shop, loans["longer"], "extend", more_periods=3, new_rate=D("0.132"))
    change(shop, loans["cheaper"], "rate", new_rate=D("0.096"), rate_effect="next_period")
    until(shop, DUE[5])
    pay(shop, DUE[5], "cheaper", "cheaper now", "longer", "in time")
    last = sorted((row for row in shop.rows("instalment", loan_id=loans["longer"]) if row["status"] == "not_due"), key=lambda row: row["due_date"])
    assert [(row["principal"], row["interest"]) for row in last] == [(0, D("1100.00")), (0, D("1100.00")), (D("100000.00"), D("1100.00"))]
    assert shop.row("loan", loans["longer"])["matures_on"] == date(2025, 10, 15)
    until(shop, date(2025, 7, 25))
    assert {shop.row("loan", loans[name])["principal_balance"] for name in ("cheaper", "cheaper now")} == {D("51492.09")}
    change(shop, loans["cheaper now"], "rate", new_rate=D("0.096"), rate_effect="immediate")
    plans = {name: sorted((row for row in shop.rows("instalment", loan_id=loans[name]) if row["status"] == "not_due"), key=lambda row: row["due_date"])
             for name in ("cheaper", "cheaper now")}
    assert plans["cheaper now"][0]["interest"] == D("460.00") and plans["cheaper now"][1]["principal"] + plans["cheaper now"][1]["interest"] == D("8832.51")
    assert [(row["principal"], row["interest"]) for row in plans["cheaper"][:2]] == [(D("8411.97"), D("411.94")), (D("8479.27"), D("344.64"))]
    assert all(len(shop.rows("repayment_plan", loan_id=loans[name])) == 2 for name in ("less", "shorter", "cheaper", "cheaper now", "longer"))
    books_agree(shop)


def test_7_ninety_one_days_late_set_aside_written_off_and_recovered(shop: Lender) -> None:
    loan = shop.loans["loss"]  # type: ignore[attr-defined]
    row = shop.row("loan", loan)
    assert row["non_accrual"] and row["risk_class"] == "substandard" and row["book_allowance"] == D("27634.54"), "30 % of 92115.12 in June"
    assert row["book_interest"] == row["book_interest_overdue"] == 0 < row["book_off_interest"]
    change(shop, loan, "write_off")
    gone = shop.row("loan", loan)
    assert (gone["status"], gone["book_allowance"], gone["book_impairment"], gone["book_written_off"]) == (
        "written_off", 0, D("92115.12"), D("92115.12"))
    shop.repay(loan, "10000.00")
    back = shop.row("loan", loan)
    assert (back["book_allowance"], back["book_written_off"], back["book_off_interest"]) == (D("10000.00"), D("82115.12"), gone["book_off_interest"])
    with pytest.raises(NotPossible):
        shop.ask_write_off(loan)
    books_agree(shop)


def test_e28_the_allowance_is_topped_up_by_what_is_missing() -> None:
    books = Books(non_accrual=40_000_00, interest_overdue=1_000_00, allowance=30_000_00, impairment=30_000_00, off_interest=3_000_00)
    found, after = write_off_entry(books, 11_000_00)
    assert found == [("provision", {"provision": 11_000_00}), ("write_off", {"non_accrual": 40_000_00, "interest_overdue": 1_000_00, "written_off": 41_000_00})]
    assert after == Books(impairment=41_000_00, off_interest=3_000_00, written_off=41_000_00), "3000.00 off the books stay there"


def test_10_the_day_end_twice_a_closed_month_and_a_receipt_from_before(shop: Lender) -> None:
    until(shop, date(2025, 8, 2))
    before: Any = (len(shop.rows("loan_day")), len(shop.rows("platform.ledger_leg")), len(shop.rows("loan_provision")))
    tick(shop)
    assert (len(shop.rows("loan_day")), len(shop.rows("platform.ledger_leg")), len(shop.rows("loan_provision"))) == before
    finance = shop.stage.as_user("fincheck")
    for number in range(1, 8):
        close_month(finance._context(f"close {number}"), f"2025-{number:02d}")
    tables = shop.tenant.revision().tables
    with shop.tenant.read() as conn:
        july = trial_balance(conn, tables, company_id=shop.company, on=date(2025, 7, 31))
    assert all(not one.balance for one in july if one.account.startswith("6")), "income and expense are handed over"
    loan = shop.loans["in time"]  # type: ignore[attr-defined]
    shop.repay(loan, "500.00", on=date(2025, 7, 20))
    entry = shop.rows("platform.ledger_entry")[-1]
    assert entry["booking_date"] >= date(2025, 8, 1), "booked today, whatever its value date"
    with shop.tenant.read() as conn:
        assert trial_balance(conn, tables, company_id=shop.company, on=date(2025, 7, 31)) == july
    with pytest.raises(NotPossible):
        close_month(finance._context("close again"), "2025-07")
    end_day(shop)
    as_the_fold_says(shop)
    assert shop.stage.today - timedelta(days=1) == date(2025, 8, 2)
    books_agree(shop)
