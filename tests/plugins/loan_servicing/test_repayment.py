"""Receipts: what they pay, what is left over, what closes a loan, and what takes them back (domain specification §4.4, §4.6)."""

from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom.base.errors import Invalid, NotAllowed, NotPossible
from tests.plugins.lender import START, Lender
from tests.plugins.loan_servicing.books import books_agree

DUE = (date(2025, 2, 15), date(2025, 3, 15), date(2025, 4, 15), date(2025, 5, 15))


@pytest.fixture(scope="module")
def loans(both_lenders: Lender) -> dict[str, int]:
    """Loans of E01, all paid out on 2025-01-15, before any day is moved."""
    shop, fee = both_lenders, both_lenders.product(prepay_fee_rate=D("0.01"))
    plain = shop.product()
    return {name: shop.loan(fee if name == "with fee" else plain) for name in ("over", "with fee", "without fee", "back", "settled back", "part")} | {
        "no prepay": shop.loan(shop.product(prepay_allowed="no"))}


@pytest.fixture
def shop(both_lenders: Lender, loans: dict[str, int]) -> Lender:
    if both_lenders.stage.today < date(2025, 6, 1):
        both_lenders.day(date(2025, 6, 1))
    return both_lenders


def picture(shop: Lender, loan: int) -> dict[str, Any]:
    """Everything about a loan that a reversal must restore."""
    row = dict(shop.row("loan", loan))
    kept = {name: row[name] for name in ("principal_balance", "interest_balance", "suspense", "paid_periods", "next_due_on", "next_due_amount",
                                         "settled_on", "status")}
    limit = shop.row("credit_limit", row["limit_id"])
    return {**kept, "limit": (limit["used"], limit["available"]), "plan": [
        (r["due_date"], r["principal"], r["interest"], r["paid_principal"], r["paid_interest"], r["status"], r["paid_off_on"])
        for r in shop.rows("instalment", loan_id=loan) if r["status"] != "cancelled"],
        "accounts": [shop.account(a) for a in ("1002", "1012", "1303.01", "2241.01", "6011.01", "6021")]}


def test_what_is_paid_too_much_pays_the_next_bill_when_it_falls_due(shop: Lender, loans: dict[str, int]) -> None:
    """E26; the second bill fell due before today."""
    loan = loans["over"]
    first = shop.repay(loan, "9000.00", on=DUE[0])
    assert (first["principal"], first["interest"], first["surplus"]) == (D("7884.88"), D("1000.00"), D("115.12"))
    second_bill = shop.rows("instalment", loan_id=loan)[1]
    assert (shop.row("loan", loan)["suspense"], second_bill["paid_interest"], second_bill["status"]) == (0, D("115.12"), "partial")
    second = shop.repay(loan, "8769.76", on=DUE[1])
    assert (second["from_suspense"], second["principal"], second["interest"], second["surplus"]) == (D("115.12"), D("7963.73"), D("921.15"), 0)
    row = shop.row("loan", loan)
    assert (row["suspense"], row["paid_periods"], row["next_due_on"]) == (0, 2, DUE[2])
    books_agree(shop)


def test_a_receipt_below_the_bill_pays_interest_first(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["part"]
    first = shop.repay(loan, "1500.00", on=DUE[0])
    assert (first["interest"], first["principal"]) == (D("1000.00"), D("500.00"))
    assert [r["status"] for r in shop.rows("instalment", loan_id=loan)][:2] == ["partial", "not_due"]
    shop.repay(loan, "7384.88", on=DUE[0])
    assert [r["status"] for r in shop.rows("instalment", loan_id=loan)][:2] == ["paid", "not_due"]
    books_agree(shop)


@pytest.mark.parametrize(("name", "fee", "total"), [("with fee", "679.84", "69049.30"), ("without fee", "0.00", "68369.46")])
def test_early_settlement_costs_what_the_quote_said(shop: Lender, loans: dict[str, int], name: str, fee: str, total: str) -> None:
    """E15."""
    loan = loans[name]
    for due in DUE:
        shop.repay(loan, "8884.88", on=due)
    quote = shop.stage.as_user("finance").ask("lending.loan", loan, "settle_quote", {"value_date": date(2025, 6, 1)})
    assert quote == {"overdue": D("0.00"), "principal": D("67984.22"), "interest": D("385.24"), "fee": D(fee), "from_suspense": D("0.00"),
                     "total": D(total), "open_debit": None}
    shop.agree(shop.ask_settle(loan))
    before = picture(shop, loan)
    with pytest.raises(NotPossible, match="too small"):
        shop.repay(loan, D(total) - D("0.01"), kind="settle")
    assert picture(shop, loan) == before
    settled = shop.repay(loan, total, kind="settle")
    assert (settled["principal"], settled["interest"], settled["fee"], settled["surplus"]) == (D("67984.22"), D("385.24"), D(fee), 0)
    row = shop.row("loan", loan)
    assert (row["status"], row["principal_balance"], row["interest_balance"], row["settled_on"]) == ("settled", 0, 0, date(2025, 6, 1))
    assert [plan["reason"] for plan in shop.rows("repayment_plan", loan_id=loan)] == ["origin", "prepay"]
    books_agree(shop)


def test_a_product_without_prepayment_refuses_it(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["no prepay"]
    with pytest.raises(NotPossible, match="does not allow"):
        shop.repay(loan, "120000.00", kind="settle")
    assert not shop.rows("repayment", loan_id=loan)


def test_a_reversal_restores_everything_and_needs_a_second_person(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["back"]
    shop.repay(loan, "9000.00", on=DUE[0])
    before = picture(shop, loan)
    receipt = shop.repay(loan, "20000.00", on=DUE[2])
    assert picture(shop, loan) != before
    with pytest.raises(NotAllowed):
        shop.do("finance", "repayment", receipt["id"], "reverse", {}, "录错")
    with pytest.raises(Invalid):
        shop.do("fincheck", "repayment", receipt["id"], "reverse", {}, " ")
    shop.do("fincheck", "repayment", receipt["id"], "reverse", {}, "入错账户")
    assert picture(shop, loan) == before
    mirrored = shop.rows("platform.ledger_entry", entity="lending.repayment", record_id=receipt["id"], event="repayment")
    assert [entry["reversal_of"] for entry in mirrored] == [None, mirrored[0]["id"]]
    with pytest.raises(NotPossible):
        shop.do("fincheck", "repayment", receipt["id"], "reverse", {}, "再冲一次")
    books_agree(shop)


def test_any_receipt_can_be_reversed_and_the_later_ones_are_spread_anew(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["over"]
    first, second = (row["id"] for row in shop.rows("repayment", loan_id=loan))
    shop.do("fincheck", "repayment", first, "reverse", {}, "入错账户")
    books_agree(shop)
    left = shop.row("repayment", second)
    assert (left["interest"], left["penalty"], left["principal"]) == (D("1000.00"), D("110.39"), D("7659.37")), "28 days late on 7884.88 of the first bill"
    shop.do("fincheck", "repayment", second, "reverse", {}, "再冲后来的")
    row = shop.row("loan", loan)
    assert (row["principal_balance"], row["suspense"], row["paid_periods"]) == (D(100000), 0, 0)
    books_agree(shop)


def test_a_reversed_settlement_brings_the_old_plan_back(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["settled back"]
    for due in DUE:
        shop.repay(loan, "8884.88", on=due)
    before = picture(shop, loan)
    receipt = shop.settle(loan, "68369.46")
    assert shop.row("loan", loan)["status"] == "settled"
    shop.do("fincheck", "repayment", receipt["id"], "reverse", {}, "支票被退")
    assert picture(shop, loan) == before
    books_agree(shop)


def test_a_loan_whose_first_bill_was_paid_on_the_first_day_settles_without_more_interest(lender: Lender) -> None:
    loan = lender.loan()
    lender.repay(loan, "8884.88")
    settled = lender.settle(loan, "92115.12")
    assert (settled["principal"], settled["interest"], settled["surplus"]) == (D("92115.12"), 0, 0)
    assert lender.row("loan", loan)["status"] == "settled"
    books_agree(lender)


@pytest.mark.parametrize("on", [date(2025, 1, 14), date(2025, 6, 2)])
def test_a_value_date_before_the_payout_or_after_today_is_refused(shop: Lender, loans: dict[str, int], on: date) -> None:
    with pytest.raises(NotPossible, match="value date"):
        shop.repay(loans["no prepay"], "1.00", on=on)


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "1000000000.01"])
def test_an_amount_that_is_none_is_refused(shop: Lender, loans: dict[str, int], amount: str) -> None:
    with pytest.raises(Invalid):
        shop.repay(loans["no prepay"], amount)


def test_a_bank_serial_number_is_booked_once(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["no prepay"]
    shop.repay(loan, "100.00", bank_serial_no="LS20250601001")
    with pytest.raises(Invalid) as refused:
        shop.repay(loan, "100.00", bank_serial_no="LS20250601001")
    assert [problem.field for problem in refused.value.problems] == ["bank_serial_no"]
    assert len(shop.rows("repayment", loan_id=loan)) == 1
    books_agree(shop)


def test_only_finance_books(shop: Lender, loans: dict[str, int]) -> None:
    for stranger in ("officer", "check", "review", "fincheck", "service"):
        with pytest.raises(NotAllowed):
            shop.do(stranger, "loan", loans["no prepay"], "repay", {"amount": D(1), "kind": "due", "value_date": START, "source": "cash"})
