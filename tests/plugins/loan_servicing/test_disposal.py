"""Coupons, assets taken in payment, loans that are sold (domain specification §6, events 14, 20 and 21; E29)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from metaloom_plugins.loan_servicing.holding import RECEIVABLE
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.days import as_the_fold_says, end_day, runs, tick
from tests.plugins.loan_servicing.test_changes import change, propose
from tests.plugins.loan_servicing.test_invariants import changed

NAMES = ("coupon", "beyond", "repossessed", "kept", "sold", "at a loss", "earlier", "unsure")


@pytest.fixture(scope="module")
def loans(both_lenders: Lender) -> dict[str, int]:
    tick(both_lenders)
    product = both_lenders.product()
    return {name: both_lenders.loan(product) for name in NAMES}


def used(shop: Lender, loan: int) -> D:
    """Of the borrower's limit, which revolves."""
    limit = shop.row("credit_limit", shop.row("loan", loan)["limit_id"])
    assert limit["mode"] == "revolving"
    return D(limit["used"])


def done_by(shop: Lender, loan: int, kind: str, **given: Any) -> Mapping[str, Any]:
    return shop.row("loan_change", change(shop, loan, kind, **given))


def posted(shop: Lender, row: Mapping[str, Any]) -> dict[tuple[str, str], D]:
    """(side, account) → amount of the voucher of a change."""
    return {(leg["side"], leg["account"]): leg["amount"] for leg in shop.rows("platform.ledger_leg", entry_id=row["voucher_id"])}


def test_e29_a_coupon_pays_interest_at_the_cost_of_marketing(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["coupon"]
    with pytest.raises(NotPossible, match="优惠金额|coupon"):
        propose(shop, loans["beyond"], "coupon", amount=D("1000.01"))
    end_day(shop, 31)
    assert shop.stage.today == date(2025, 2, 15)
    done = done_by(shop, loan, "coupon", amount=D("233.33"))
    assert posted(shop, done) == {("debit", "6601"): D("233.33"), ("credit", "1132.01"): D("233.33")}
    assert shop.row("loan", loan)["next_due_amount"] == D("8651.55")
    shop.repay(loan, "8651.55", on=shop.stage.today)
    row = shop.row("loan", loan)
    assert (row["paid_periods"], row["book_income_interest"], row["book_coupon"], row["suspense"]) == (1, D("1000.00"), D("233.33"), 0)
    books_agree(shop)
    shop.do("fincheck", "loan_change", done["id"], "reverse_change", {}, "券已作废")
    row = shop.row("loan", loan)
    assert (row["next_due_amount"], row["book_coupon"], row["book_income_interest"]) == (D("233.33"), 0, D("1000.00"))
    books_agree(shop)
    shop.repay(loan, "233.33", on=shop.stage.today)
    for name in NAMES[2:]:
        shop.repay(loans[name], "8884.88", on=shop.stage.today)
    books_agree(shop)


def test_a_sale_above_the_books_is_a_gain_and_settles_the_loan(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["sold"]
    end_day(shop, 10)
    before = shop.row("loan", loan)
    held = before["book_normal"] + before["book_interest"]
    assert (before["book_normal"], before["book_interest"]) == (D("92115.12"), D("307.05")), "10 days of 92115.12 at 12 %"
    done = done_by(shop, loan, "transfer", amount=D("93000.00"))
    assert posted(shop, done) == {("debit", "1221.02"): D("93000.00"), ("credit", "1303.01"): D("92115.12"), ("credit", "1132.01"): D("307.05"),
                                  ("credit", "6111"): D("93000.00") - held}
    after = shop.row("loan", loan)
    assert (after["status"], after["settled_by"], after["principal_balance"], after["book_allowance"]) == ("settled", "transfer", 0, before["book_allowance"])
    assert used(shop, loan) == D("92115.12"), "the borrower repaid none of it"
    books_agree(shop)
    shop.do("fincheck", "loan_change", done["id"], "reverse_change", {}, "转让未成交")
    back = shop.row("loan", loan)
    assert {name: back[name] for name in back if name.startswith("book_") or name in ("status", "principal_balance", "next_due_amount")} == {
        name: before[name] for name in before if name.startswith("book_") or name in ("status", "principal_balance", "next_due_amount")}
    assert used(shop, loan) == D("92115.12")
    books_agree(shop)
    change(shop, loan, "transfer", amount=D("93000.00"))
    assert used(shop, loan) == D("92115.12")
    books_agree(shop)


def test_what_a_sold_loan_took_along_follows_a_receipt_that_is_reversed(both_lenders: Lender, loans: dict[str, int]) -> None:
    """The limit is used by what nobody repaid; also where the loan is from before it said so itself."""
    shop, loan = both_lenders, loans["unsure"]
    first = shop.repay(loan, "1000.00", on=shop.stage.today)
    change(shop, loan, "transfer", amount=D("91000.00"))
    gone = shop.row("loan", loan)["principal_gone"]
    assert (gone, gone) == (D("92115.12") - first["principal"], used(shop, loan))
    table = shop.tenant.revision().tables.of("lending.loan")
    with changed(shop, table, loan, {"principal_gone": None}):
        books_agree(shop)
    shop.do("fincheck", "repayment", first["id"], "reverse", {}, "支票被退")
    assert shop.row("loan", loan)["principal_gone"] == D("92115.12") == used(shop, loan)
    books_agree(shop)


def test_a_sale_below_the_books_takes_the_allowance_first(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["at a loss"]
    before = shop.row("loan", loan)
    assert before["book_allowance"] == D("1500.00"), "set aside at the end of January"
    end_day(shop, 4)
    assert shop.row("loan", loan)["book_allowance"] == D("1381.73") and shop.stage.today == date(2025, 3, 1)
    done = done_by(shop, loan, "transfer", amount=D("80000.00"))
    held = posted(shop, done)
    interest = held["credit", "1132.01"]
    assert held == {("debit", "1221.02"): D("80000.00"), ("debit", "1304"): D("1381.73"), ("debit", "6701"): D("92115.12") + interest - D("81381.73"),
                    ("credit", "1303.01"): D("92115.12"), ("credit", "1132.01"): interest}
    assert shop.row("loan", loan)["book_allowance"] == 0
    with pytest.raises(NotPossible):
        propose(shop, loan, "transfer", amount=D("1.00"))
    books_agree(shop)


def test_a_sale_dated_before_the_last_month_end_leaves_no_allowance_behind(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["earlier"]
    assert (shop.stage.today, shop.row("loan", loan)["book_allowance"]) == (date(2025, 3, 1), D("1381.73"))
    change(shop, loan, "transfer", on=date(2025, 2, 20), amount=D("80000.00"))
    after = shop.row("loan", loan)
    assert (after["book_allowance"], after["book_impairment"]) == (0, D("92115.12") + D("153.53") - D("80000.00")), "five days of interest"
    books_agree(shop)


def asset_is_sold(shop: Lender, taken: Mapping[str, Any]) -> None:
    """By two people, at a loss; while it is, the repossession stands."""
    impaired = shop.account("6701")
    made = shop.create("finance", "other_money", {"kind": "asset_sold", "amount": D("65000.00"), "asset": taken["id"]})
    with pytest.raises(NotAllowed):
        shop.do("fincheck", "other_money", made, "submit_money")
    shop.do("finance", "other_money", made, "submit_money")
    assert shop.row("other_money", made)["carrying"] == D("70000.00")
    again = shop.create("finance", "other_money", {"kind": "asset_sold", "amount": D("1.00"), "asset": taken["id"]})
    with pytest.raises((Invalid, NotPossible)):
        shop.do("finance", "other_money", again, "submit_money")
    with pytest.raises(NotAllowed):
        shop.do("finance", "other_money", made, "post_money")
    shop.do("fincheck", "other_money", made, "post_money")
    row = shop.row("other_money", made)
    assert posted(shop, row) == {("debit", "1002"): D("65000.00"), ("debit", "6701"): D("5000.00"), ("credit", "1441"): D("70000.00")}
    assert shop.account("1441") == 0
    books_agree(shop)
    with pytest.raises(NotPossible, match="抵债|asset"):
        shop.do("fincheck", "loan_change", taken["id"], "reverse_change", {}, "抵债协议被撤销")
    end_day(shop)
    assert runs(shop)[-1]["status"] == "done", "the day end compares what loans booked, and the sale was none of it"
    shop.do("fincheck", "other_money", made, "reverse_money", {}, "成交取消")
    assert (shop.account("1441"), shop.account("6701")) == (D("70000.00"), impaired)
    books_agree(shop)


def test_an_asset_is_taken_for_a_loan_that_earns_no_more_and_what_is_left_of_the_allowance_goes_back(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["repossessed"]
    end_day(shop, (date(2025, 7, 2) - shop.stage.today).days)
    before = shop.row("loan", loan)
    assert before["non_accrual"] and before["book_non_accrual"] == D("92115.12") and before["book_off_interest"] > 0
    assert before["book_allowance"] == D("27634.54"), "30 % of a substandard loan, at the end of June"
    with pytest.raises(NotPossible, match="抵债|asset"):
        propose(shop, loan, "repossess", amount=D("92115.13"))
    done = done_by(shop, loan, "repossess", amount=D("70000.00"))
    assert posted(shop, done) == {("debit", "1441"): D("70000.00"), ("debit", "1304"): D("22115.12"), ("credit", "1303.03"): D("92115.12")}
    after = shop.row("loan", loan)
    assert (after["status"], after["settled_by"], after["book_asset"], after["book_allowance"]) == ("settled", "repossess", D("70000.00"), D("5519.42"))
    assert (after["book_off_interest"], after["book_income_interest"]) == (0, before["book_income_interest"]), "what was never income is asked for no more"
    assert shop.account("1441") == D("70000.00")
    books_agree(shop)
    end_day(shop, 30)
    assert runs(shop)[-1]["status"] == "done" and shop.stage.today == date(2025, 8, 1)
    assert shop.row("loan", loan)["book_allowance"] == 0, "the month end gives back what is not needed"
    as_the_fold_says(shop)
    books_agree(shop)
    asset_is_sold(shop, done)
    shop.do("fincheck", "loan_change", done["id"], "reverse_change", {}, "抵债协议被撤销")
    back = shop.row("loan", loan)
    assert (back["status"], back["book_asset"], back["book_non_accrual"], back["settled_by"]) == ("normal", 0, D("92115.12"), None)
    books_agree(shop)
    end_day(shop)
    assert runs(shop)[-1]["status"] == "done"
    as_the_fold_says(shop)
    books_agree(shop)


def taken_for_all_that_is_owed(shop: Lender) -> tuple[int, int, int]:
    """A loan with a fee that is due, whose asset is worth to the cent what the books hold; the loan, its fee, its repossession."""
    loan = shop.loan()
    fee = change(shop, loan, "fee", amount=D("500.00"))
    end_day(shop)
    row = shop.row("loan", loan)
    assert row["book_fee"] == D("500.00")
    return loan, fee, change(shop, loan, "repossess", amount=sum(row[f"book_{name}"] for name in RECEIVABLE))


def test_nothing_before_a_repossession_is_reversed_once_its_asset_is_sold(both_lenders: Lender) -> None:
    """Without the fee the asset would be worth more than the loan, and 1441 be credited a second time."""
    shop = both_lenders
    before = shop.account("1441")
    loan, fee, taken = taken_for_all_that_is_owed(shop)
    held = shop.row("loan_change", taken)["amount"]
    sale = shop.create("finance", "other_money", {"kind": "asset_sold", "amount": held, "asset": taken})
    shop.do("finance", "other_money", sale, "submit_money")
    for _ in ("submitted", "posted"):
        legs, row = len(shop.rows("platform.ledger_leg")), shop.row("loan", loan)
        for undone in (fee, taken):
            with pytest.raises(NotPossible, match="已登记处置|sale is entered"):
                shop.do("fincheck", "loan_change", undone, "reverse_change", {}, "费用登记有误")
        assert (len(shop.rows("platform.ledger_leg")), shop.row("loan", loan), shop.row("loan_change", fee)["status"]) == (legs, row, "applied")
        if shop.row("other_money", sale)["status"] == "submitted":
            shop.do("fincheck", "other_money", sale, "post_money")
    assert shop.account("1441") == before
    shop.do("fincheck", "other_money", sale, "reverse_money", {}, "成交取消")
    shop.do("fincheck", "loan_change", fee, "reverse_change", {}, "费用登记有误")
    assert (shop.account("1441"), shop.row("loan", loan)["status"]) == (before, "normal")
    books_agree(shop)
    with pytest.raises(NotPossible, match="不再成立|undid the repossession"):
        shop.do("finance", "other_money", shop.create("finance", "other_money", {"kind": "asset_sold", "amount": held, "asset": taken}), "submit_money")
    shop.do("fincheck", "loan_change", taken, "reverse_change", {}, "抵债协议被撤销")
    assert shop.account("1441") == before
    books_agree(shop)
