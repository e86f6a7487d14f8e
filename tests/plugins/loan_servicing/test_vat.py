"""价税分离: value-added tax that interest and fees hold, by the status of the company when the terms were frozen (domain specification §6; E25)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal as D
from fractions import Fraction

import pytest
import sqlalchemy as sa

from metaloom_plugins.loan_servicing.balances import TAXED, vat_in
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree, broken
from tests.plugins.loan_servicing.days import as_the_fold_says, end_day, runs, tick
from tests.plugins.loan_servicing.test_changes import change
from tests.plugins.loan_servicing.test_invariants import changed


def test_e25_the_tax_in_an_amount() -> None:
    assert (vat_in(84151, Fraction(6, 100)), 84151 - vat_in(84151, Fraction(6, 100))) == (4763, 79388)
    assert [vat_in(amount, Fraction(3, 100)) for amount in (0, 103, -103, 17, 18)] == [0, 3, -3, 0, 1]


@pytest.fixture(scope="module")
def shop(both_lenders: Lender) -> Lender:
    """A loan from before the company paid the tax, and one of a general and one of a small-scale taxpayer."""
    tick(both_lenders)
    product = both_lenders.product(compound_interest=True)
    both_lenders.loans = {"before": both_lenders.loan(product)}  # type: ignore[attr-defined]
    for status in ("general", "small_scale"):
        _taxpayer(both_lenders, status)
        both_lenders.loans[status] = both_lenders.loan(product)  # type: ignore[attr-defined]
    both_lenders.loans["stops"] = both_lenders.loan(product)  # type: ignore[attr-defined]
    _taxpayer(both_lenders, None)
    return both_lenders


def _taxpayer(shop: Lender, status: str | None) -> None:
    table = shop.tenant.revision().tables.of("platform.company")
    with shop.tenant.write() as conn:
        conn.execute(table.update().where(table.c.id == shop.company).values(taxpayer=status))


def test_a_bill_that_is_paid_leaves_its_tax_to_the_cent(shop: Lender) -> None:
    loans = shop.loans  # type: ignore[attr-defined]
    for due in (date(2025, 2, 15), date(2025, 3, 15), date(2025, 4, 15)):
        end_day(shop, (due - shop.stage.today).days)
        for name in ("before", "general", "small_scale"):
            shop.repay(loans[name], "8884.88", on=due)
        books_agree(shop)
    rows = {name: shop.row("loan", loan) for name, loan in loans.items()}
    assert {name: rows[name]["book_income_interest"] for name in ("before", "general", "small_scale")} == dict.fromkeys(
        ("before", "general", "small_scale"), D("2762.66"))
    assert rows["general"]["book_vat_interest"] == D("56.60") + D("52.14") + D("47.63"), "each bill by itself"
    assert rows["small_scale"]["book_vat_interest"] == D("29.13") + D("26.83") + D("24.51")
    assert rows["before"]["book_vat_interest"] == 0, "its terms were frozen without it"
    assert -shop.account("2221") == sum((row[f"book_vat_{name}"] for row in rows.values() for name in TAXED), D(0))
    assert -shop.account("6011.01") == sum((row["book_income_interest"] - row["book_vat_interest"] for row in rows.values()), D(0))


def test_waived_penalty_and_income_that_is_taken_back_take_their_tax_along(shop: Lender) -> None:
    loan = shop.loans["stops"]  # type: ignore[attr-defined]
    change(shop, loan, "fee", amount=D("103.00"))
    row = shop.row("loan", loan)
    assert (row["book_income_fee"], row["book_vat_fee"]) == (D("103.00"), D("3.00")) and row["book_vat_penalty"] > 0
    owed = row["penalty_balance"]
    change(shop, loan, "waive", component="penalty", amount=owed)
    assert (shop.row("loan", loan)["book_income_penalty"], shop.row("loan", loan)["book_vat_penalty"]) == (0, 0)
    books_agree(shop)
    end_day(shop, 45)
    row = shop.row("loan", loan)
    assert row["non_accrual"] and (row["book_income_interest"], row["book_vat_interest"]) == (0, 0)
    books_agree(shop)
    got = shop.repay(loan, "2000.00", on=shop.stage.today)
    row = shop.row("loan", loan)
    assert row["book_income_interest"] > 0 and row["book_vat_interest"] > 0, "income when it is received, and its tax"
    books_agree(shop)
    shop.do("fincheck", "repayment", got["id"], "reverse", {}, "退票")
    assert shop.row("loan", loan)["book_vat_interest"] == 0
    change(shop, loan, "write_off")
    books_agree(shop)
    end_day(shop, 30)
    assert {run["status"] for run in runs(shop)} == {"done"}
    as_the_fold_says(shop)
    books_agree(shop)


def test_a_cent_of_tax_too_many_is_found(shop: Lender) -> None:
    table, loan = shop.tenant.revision().tables.of("lending.loan"), shop.row("loan", shop.loans["general"])  # type: ignore[attr-defined]
    with changed(shop, table, loan["id"], {"book_vat_interest": loan["book_vat_interest"] + D("0.01")}):
        assert {"loan_servicing.sub_ledger", "loan_servicing.totals"} <= set(broken(shop))
    books_agree(shop)
    leg = shop.tenant.revision().tables.engine.ledger_leg
    with shop.tenant.read() as conn:
        assert conn.scalar(sa.select(sa.func.count()).where(leg.c.account == "2221"))
