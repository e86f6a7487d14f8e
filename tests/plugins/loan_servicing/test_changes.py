"""Changes of a loan by two people, and receipts that come to light late: state, plan and books as if everything had come in order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest

from metaloom.base.errors import NotAllowed, NotPossible
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree, broken
from tests.plugins.loan_servicing.test_invariants import changed

DUE = (date(2025, 2, 15), date(2025, 3, 15), date(2025, 4, 15), date(2025, 5, 15))
ON = date(2025, 6, 1)
KEPT = ("principal_balance", "interest_balance", "fee_balance", "penalty_balance", "suspense", "dpd", "overdue_amount", "non_accrual", "paid_periods",
        "next_due_on", "next_due_amount", "annual_rate", "periods", "matures_on", "status")


@pytest.fixture(scope="module")
def loans(both_lenders: Lender) -> dict[str, int]:
    """Loans of E01 paid out on 2025-01-15; then it is the first of June."""
    shop = both_lenders
    product = shop.product(prepay_fee_rate=D("0.01"))
    names = ("waive", "fee", "rate", "extend", "accelerate", "refund", "write off", "prepay", "late", "in order", "pause", "told", "overpaid")
    made = {name: shop.loan(product) for name in names}
    shop.day(ON)
    return made


@pytest.fixture
def shop(both_lenders: Lender, loans: dict[str, int]) -> Lender:
    return both_lenders


def propose(shop: Lender, loan: int, kind: str, who: str = "finance", on: date | None = None, **given: Any) -> int:
    shop.do(who, "loan", loan, "propose_change", {"kind": kind, "effective_on": on or shop.stage.today, "reason": "客户申请", **given})
    return int(shop.rows("loan_change", loan_id=loan)[-1]["id"])


def change(shop: Lender, loan: int, kind: str, on: date | None = None, **given: Any) -> int:
    """Applied for by finance, put in force by the checker; a write-off by its chain."""
    if kind == "write_off":
        made = shop.ask_write_off(loan)
        shop.agree(made)
        return made
    made = propose(shop, loan, kind, on=on, **given)
    shop.do("fincheck", "loan_change", made, "apply_change", {})
    return made


def state(shop: Lender, loan: int) -> Mapping[str, Any]:
    """Everything of a loan that must not depend on the order in which it was written down."""
    row = shop.row("loan", loan)
    bills = [{name: bill[name] for name in ("period_no", "due_date", "principal", "interest", "fee", "penalty", "paid_principal", "paid_interest", "paid_fee",
                                            "paid_penalty", "waived_interest", "status", "paid_off_on")}
             for bill in shop.rows("instalment", loan_id=loan) if bill["status"] != "cancelled"]
    return {**{name: row[name] for name in KEPT}, **{name: value for name, value in row.items() if name.startswith("book_")},
            "bills": sorted(bills, key=lambda bill: (bill["due_date"], bill["period_no"]))}


def on_time(shop: Lender, loan: int, count: int) -> None:
    for due in DUE[:count]:
        shop.repay(loan, "8884.88", on=due)


def test_a_change_needs_a_second_person_and_may_be_refused_or_withdrawn(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["fee"]
    made = propose(shop, loan, "fee", amount=D("50.00"))
    for stranger in ("finance", "officer", "service", "manager"):
        with pytest.raises(NotAllowed):
            shop.do(stranger, "loan_change", made, "apply_change", {})
    shop.stage.user("bothhats", "两岗", ("lending.fin_maker", "lending.fin_check"), shop.company, shop.unit)
    own = propose(shop, loan, "fee", who="bothhats", amount=D("60.00"))
    with pytest.raises(NotAllowed):
        shop.do("bothhats", "loan_change", own, "apply_change", {})
    shop.do("fincheck", "loan_change", own, "reject_change", {}, "金额有误")
    shop.do("finance", "loan_change", made, "withdraw_change", {})
    assert [row["status"] for row in shop.rows("loan_change", loan_id=loan)] == ["withdrawn", "rejected"]
    with pytest.raises(NotPossible):
        shop.do("fincheck", "loan_change", made, "apply_change", {})
    assert shop.row("loan", loan)["fee_balance"] == 0


def test_a_fee_is_due_with_the_next_bill_and_reversing_it_takes_it_away(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["fee"]
    on_time(shop, loan, 4)
    before = state(shop, loan)
    made = change(shop, loan, "fee", amount=D("50.00"))
    row = shop.row("loan", loan)
    assert (row["fee_balance"], row["book_fee"], row["book_income_fee"], row["next_due_amount"]) == (D("50.00"), D("50.00"), D("50.00"), D("8934.88"))
    books_agree(shop)
    shop.do("fincheck", "loan_change", made, "reverse_change", {}, "不应收取")
    assert state(shop, loan) == before
    books_agree(shop)


def test_e27_a_waiver_lowers_what_is_due_and_never_below_zero(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["waive"]
    on_time(shop, loan, 2)
    row = shop.row("loan", loan)
    assert (row["dpd"], row["dpd_bucket"], row["overdue_since"]) == (47, "m2", DUE[2])
    penalty = row["penalty_balance"]
    with pytest.raises(NotPossible, match="more than"):
        propose(shop, loan, "waive", component="penalty", amount=penalty + D("0.01"))
    made = change(shop, loan, "waive", component="penalty", amount=penalty)
    entry = shop.row("loan_change", made)["voucher_id"]
    legs = {leg["account"]: (leg["side"], leg["amount"]) for leg in shop.rows("platform.ledger_leg", entry_id=entry)}
    assert legs == {"6011.02": ("debit", penalty), "1132.02": ("credit", penalty)}
    change(shop, loan, "waive", component="interest", period_no=3, amount=D("420.76"))
    bill = shop.rows("instalment", loan_id=loan)[2]
    assert (bill["unpaid"], bill["waived_interest"], bill["penalty"]) == (D("8464.12"), D("420.76"), 0)
    books_agree(shop)


def test_e17_a_new_rate_makes_the_next_plan_and_leaves_what_fell_due(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["rate"]
    on_time(shop, loan, 4)
    before = state(shop, loan)
    made = change(shop, loan, "rate", new_rate=D("0.096"), rate_effect="next_period")
    after = state(shop, loan)
    assert after["bills"][:4] == before["bills"][:4] and after["bills"][4]["interest"] == before["bills"][4]["interest"]
    assert after["bills"][5]["interest"] < before["bills"][5]["interest"]
    assert [plan["reason"] for plan in shop.rows("repayment_plan", loan_id=loan)] == ["origin", "change"]
    books_agree(shop)
    shop.do("fincheck", "loan_change", made, "reverse_change", {}, "协议未签")
    assert state(shop, loan) == before, "the old plan is back, as it was"
    books_agree(shop)


def test_customer_and_officer_hear_of_a_new_rate_when_it_is_in_force_and_of_nothing_else(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["told"]

    def told() -> list[Any]:
        shop.settle_outside()
        number = str(shop.row("loan", loan)["loan_no"])
        return [row for row in shop.rows("platform.message", kind="lending.rate_changed") if number in row["subject"] + row["body"]]

    change(shop, loan, "fee", amount=D("10.00"))
    made = propose(shop, loan, "rate", new_rate=D("0.096"), rate_effect="next_period")
    assert told() == [], "a fee is no new rate, and an application is none yet"
    shop.do("fincheck", "loan_change", made, "apply_change", {})
    found = told()
    assert sorted(row["channel"] for row in found) == ["in_app", "sms"]
    assert all("12" in row["body"] and "9.6" in row["body"] and "下一结息周期生效" in row["body"] for row in found), [row["body"] for row in found]
    assert {row["receiver_id"] for row in found if row["channel"] == "in_app"} == {shop.row("loan", loan)["owner_id"]}


def test_an_extension_moves_the_maturity_within_the_limit(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["extend"]
    on_time(shop, loan, 4)
    with pytest.raises(NotPossible, match="at most 12"):
        propose(shop, loan, "extend", more_periods=13)
    change(shop, loan, "extend", more_periods=3, new_rate=D("0.132"))
    row = shop.row("loan", loan)
    assert (row["matures_on"], row["periods"]) == (date(2026, 4, 15), 15)
    assert sum(bill["principal"] for bill in state(shop, loan)["bills"]) == D("100000.00")
    books_agree(shop)


def test_an_accelerated_loan_is_due_in_full(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["accelerate"]
    on_time(shop, loan, 4)
    change(shop, loan, "accelerate")
    row = shop.row("loan", loan)
    assert (row["next_due_on"], row["next_due_amount"]) == (ON, D("67984.22") + D("385.24"))
    books_agree(shop)


def test_a_pause_bears_no_interest(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["pause"]
    on_time(shop, loan, 4)
    before = shop.row("loan", loan)["interest_balance"]
    change(shop, loan, "pause", until_date=date(2025, 6, 11))
    assert before - shop.row("loan", loan)["interest_balance"] > D("200.00")
    books_agree(shop)


def test_an_overpayment_is_refunded_once(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["refund"]
    on_time(shop, loan, 4)
    receipt = shop.repay(loan, "9000.00")
    assert shop.row("loan", loan)["suspense"] == D("115.12")
    with pytest.raises(NotPossible, match="115.12"):
        propose(shop, loan, "refund", amount=D("115.13"))
    made = change(shop, loan, "refund", amount=D("115.12"))
    assert shop.row("loan", loan)["suspense"] == 0
    with pytest.raises(NotPossible, match="refund first"):
        shop.do("fincheck", "repayment", receipt["id"], "reverse", {}, "支票被退")
    books_agree(shop)
    shop.do("fincheck", "loan_change", made, "reverse_change", {}, "退款失败")
    shop.do("fincheck", "repayment", receipt["id"], "reverse", {}, "支票被退")
    assert shop.row("loan", loan)["suspense"] == 0
    books_agree(shop)


def test_what_was_paid_too_much_with_the_last_bill_goes_back_after_the_loan_is_settled(shop: Lender, loans: dict[str, int]) -> None:
    """The customer's money: a settled loan takes no other change, and none at all once it is refunded."""
    loan = loans["overpaid"]
    on_time(shop, loan, 4)
    change(shop, loan, "accelerate")
    owed = sum(bill[name] - bill[f"paid_{name}"] for bill in state(shop, loan)["bills"] for name in ("principal", "interest"))
    shop.repay(loan, owed + D("50.00"))
    assert (shop.row("loan", loan)["status"], shop.row("loan", loan)["suspense"]) == ("settled", D("50.00"))
    with pytest.raises(NotPossible, match="only its overpayment"):
        propose(shop, loan, "waive", component="interest", amount=D("1.00"))
    with pytest.raises(NotPossible, match="50.00"):
        propose(shop, loan, "refund", amount=D("50.01"))
    change(shop, loan, "refund", amount=D("50.00"))
    assert (shop.row("loan", loan)["status"], shop.row("loan", loan)["suspense"]) == ("settled", 0)
    with pytest.raises(NotPossible, match="nothing was overpaid"):
        propose(shop, loan, "refund", amount=D("1.00"))
    books_agree(shop)


def test_e16_a_prepayment_in_part_is_planned_anew(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["prepay"]
    on_time(shop, loan, 4)
    before = state(shop, loan)
    shop.agree(shop.ask_prepay(loan, "30000.00"))
    with pytest.raises(NotPossible, match="30,685.24"):
        shop.repay(loan, "30685.23", kind="prepay")
    paid = shop.repay(loan, "30685.24", kind="prepay")
    assert (paid["principal"], paid["interest"], paid["fee"], paid["surplus"]) == (D("30000.00"), D("385.24"), D("300.00"), 0)
    rest = [bill for bill in state(shop, loan)["bills"] if bill["status"] == "not_due"]
    assert (rest[0]["interest"], rest[1]["principal"] + rest[1]["interest"]) == (D("177.26"), D("4964.17"))
    assert sum(bill["interest"] for bill in rest) == D("1526.55") and shop.row("loan", loan)["principal_balance"] == D("37984.22")
    books_agree(shop)
    shop.do("fincheck", "repayment", paid["id"], "reverse", {}, "款项退回")
    assert state(shop, loan) == before
    books_agree(shop)


def test_receipts_that_come_to_light_late_leave_the_loan_as_if_they_had_come_in_order(shop: Lender, loans: dict[str, int]) -> None:
    """Booked backwards, with a wrong one in between that is reversed: replay is the direct way."""
    for due in DUE:
        shop.repay(loans["in order"], "8884.88", on=due)
    late = loans["late"]
    shop.repay(late, "8884.88", on=DUE[3])
    assert shop.row("loan", late)["dpd"] > 0
    wrong = shop.repay(late, "5000.00", on=DUE[1])
    shop.repay(late, "8884.88", on=DUE[2])
    shop.repay(late, "8884.88", on=DUE[0])
    shop.do("fincheck", "repayment", wrong["id"], "reverse", {}, "入错账户")
    books_agree(shop)
    shop.repay(late, "8884.88", on=DUE[1])
    assert state(shop, late) == state(shop, loans["in order"])
    receipts = [row for row in shop.rows("repayment", loan_id=late) if row["status"] == "posted"]
    assert sorted((row["principal"], row["interest"], row["penalty"]) for row in receipts) == [
        (D("7884.88"), D("1000.00"), 0), (D("7963.73"), D("921.15"), 0), (D("8043.37"), D("841.51"), 0), (D("8123.80"), D("761.08"), 0)]
    books_agree(shop)


def test_a_loan_that_stops_paying_leaves_accrual_is_written_off_and_recovered_in_part(shop: Lender, loans: dict[str, int]) -> None:
    loan = loans["write off"]
    on_time(shop, loan, 1)
    with pytest.raises(NotPossible, match="90 days"):
        shop.ask_write_off(loan)
    shop.day(date(2025, 7, 1))
    change(shop, loan, "fee", amount=D("10.00"))
    row = shop.row("loan", loan)
    assert row["non_accrual"] and row["book_non_accrual"] == D("92115.12") and row["book_interest"] == row["book_interest_overdue"] == 0
    assert row["book_off_interest"] > 0 and row["book_income_interest"] == D("1000.00")
    change(shop, loan, "provision", amount=D("30000.00"))
    change(shop, loan, "write_off")
    gone = shop.row("loan", loan)
    assert (gone["status"], gone["book_allowance"], gone["book_impairment"]) == ("written_off", 0, D("92125.12"))
    for kind in ("coupon", "provision"):
        with pytest.raises(NotPossible, match="已核销|written off"):
            propose(shop, loan, kind, amount=D("100.00"))
    with changed(shop, shop.tenant.revision().tables.of("lending.loan"), loan, {"accrued_interest": gone["accrued_interest"] + D("0.01")}):
        [wrong] = broken(shop)["loan_servicing.sub_ledger"].first
        assert "is claimed still" in wrong and "9001" in wrong
    assert gone["book_written_off"] == D("92125.12") and gone["book_off_interest"] == row["book_off_interest"] and gone["principal_balance"] == D("92115.12")
    books_agree(shop)
    back = shop.repay(loan, "10000.00")
    after = shop.row("loan", loan)
    assert (after["book_allowance"], after["book_written_off"]) == (D("10000.00"), D("82125.12"))
    assert after["book_off_interest"] == gone["book_off_interest"], "what was never on the books waits until the rest is paid"
    books_agree(shop)
    shop.do("fincheck", "repayment", back["id"], "reverse", {}, "款项退回")
    assert shop.row("loan", loan)["book_allowance"] == 0
    books_agree(shop)
