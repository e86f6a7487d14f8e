"""What no two people decide: a write-off (S2-17 … S2-19) a prepayment in part and an early settlement (domain specification §3), each by its chain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
import sqlalchemy as sa

from metaloom.base.errors import Invalid, MetaloomError, NotAllowed, NotFound, NotPossible
from metaloom.command.look_before import look_before
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.test_changes import change
from tests.plugins.loan_servicing.test_invariants import changed

LATE = date(2025, 6, 20)
NAMES = ("gone", "kept", "taken back", "prepaid", "lapsed", "full only", "settled", "changed", "over", "matured", "part only", "part late", "two ways")
PEOPLE = ("officer", "officer2", "check", "review", "approve", "finance", "fincheck", "service", "manager", "product", "member1", "boss")


@pytest.fixture(scope="module")
def loans(both_lenders: Lender) -> dict[str, int]:
    """Loans of E01 and one of 1.2 million, paid out on 2025-01-15 and 126 days late on the 20th of June, those to prepay aside."""
    shop = both_lenders
    shop.stage.user("boss", "总经理", ("lending.exec",), shop.company, shop.unit)
    product = shop.product(prepay_fee_rate=D("0.01"), amount_max=D(5000000))
    one_way = {"full only": shop.product(prepay_allowed="full"), "part only": shop.product(prepay_allowed="partial")}
    one_way["part late"] = one_way["part only"]
    made = {name: shop.loan(one_way.get(name, product)) for name in NAMES if name != "matured"}
    made["matured"] = shop.loan(product, term=5)
    made["large"] = shop.loan(product, amount=D(1200000))
    shop.day(LATE)
    for name in ("prepaid", "lapsed", "full only", "settled", "changed", "over", "part only", "two ways"):
        for month in range(2, 7):
            shop.repay(made[name], "8884.88", on=date(2025, month, 15))
    for name in ("gone", "kept", "taken back", "large", "part late"):
        shop.repay(made[name], "1.00")                      # brings the loan to the day, as the day end does
    return made


def legs(shop: Lender) -> int:
    return len(shop.rows("platform.ledger_leg"))


def state(shop: Lender, loan: int) -> dict[str, Any]:
    """The loan and its bills, as they are stored."""
    skipped = ("updated_at", "updated_by_id", "row_version")
    rows: list[Mapping[str, Any]] = [shop.row("loan", loan), *shop.rows("instalment", loan_id=loan), *shop.rows("repayment_plan", loan_id=loan)]
    return {f"{number}.{name}": value for number, row in enumerate(rows) for name, value in row.items() if name not in skipped}


def nobody_decides(shop: Lender, change: int, *but: str) -> None:
    for who in set(PEOPLE) - set(but):
        with pytest.raises((NotAllowed, NotFound, NotPossible, LookupError, AssertionError)):
            shop.decide(who, "loan_change", change)


def test_a_write_off_is_in_force_when_risk_check_risk_review_and_approver_have_agreed(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["gone"]
    for stranger in ("finance", "fincheck", "service", "check", "approve", "officer2"):
        with pytest.raises((NotAllowed, NotFound)):
            shop.ask_write_off(loan, who=stranger)
    made, before, booked = shop.ask_write_off(loan), state(shop, loan), legs(shop)
    assert shop.row("loan_change", made)["status"] == "reviewing"
    row = shop.row("loan_change", made)
    assert (row["reason_code"], row["written"]) == ("no_assets", None) and len(row["evidence"]) == 1
    with pytest.raises((Invalid, NotPossible)):
        shop.ask_write_off(loan)
    for alone in ("apply_change", "reject_change"):
        with pytest.raises(NotPossible):
            shop.do("fincheck", "loan_change", made, alone, {}, "一人生效")
    nobody_decides(shop, made, "check")
    shop.decide("check", "loan_change", made)
    nobody_decides(shop, made, "review")
    shop.decide("review", "loan_change", made)
    nobody_decides(shop, made, "approve", "boss")
    assert (state(shop, loan), legs(shop)) == (before, booked), "nothing happens to the loan before the last word"
    shop.decide("approve", "loan_change", made)
    row, gone = shop.row("loan_change", made), shop.row("loan", loan)
    assert (row["status"], row["effective_on"], row["booked_on"]) == ("applied", LATE, LATE) and row["voucher_id"]
    assert (gone["status"], gone["book_written_off"], gone["book_non_accrual"]) == ("written_off", gone["book_impairment"], 0) and gone["book_impairment"] > 0
    assert row["written"] == gone["book_written_off"]
    books_agree(shop)
    assert shop.row("loan_change", made)["written"] > 0
    shop.do("fincheck", "loan_change", made, "reverse_change", {}, "资产已追回")
    assert shop.row("loan_change", made)["written"] is None, "核销管理 sums what is written off"
    assert shop.row("loan", loan)["status"] == "normal"
    books_agree(shop)


@pytest.mark.parametrize("missing", [{"reason": "无财产"}, {"checklist": ["collected", "evidence", "liability"]}, {"evidence": []}, {"reason_code": None},
                                     {"liability": None}, {"collection_summary": None}])
def test_a_write_off_is_applied_for_with_reason_evidence_and_a_whole_checklist(missing: dict[str, Any], both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["kept"]
    with pytest.raises((Invalid, NotPossible)):
        shop.ask_write_off(loan, **missing)
    assert not shop.rows("loan_change", loan_id=loan)


def test_whoever_acted_in_one_step_decides_no_other_not_with_a_second_role_either(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["kept"]
    shop.stage.user("both", "两岗", ("lending.risk_check", "lending.risk_review", "lending.approver", "lending.officer"), shop.company, shop.unit)
    made = shop.ask_write_off(loan)
    shop.decide("both", "loan_change", made)
    with pytest.raises((NotAllowed, LookupError, AssertionError)):
        shop.decide("both", "loan_change", made)
    shop.decide("review", "loan_change", made)
    with pytest.raises((NotAllowed, LookupError, AssertionError)):
        shop.decide("both", "loan_change", made)
    shop.decide("boss", "loan_change", made, "reject", "先处置抵押物")
    assert shop.row("loan_change", made)["status"] == "rejected"


def test_a_write_off_that_is_refused_or_withdrawn_leaves_nothing(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["taken back"]
    before, booked = state(shop, loan), legs(shop)
    refused = shop.ask_write_off(loan)
    shop.decide("check", "loan_change", refused, "reject", "追索未尽")
    withdrawn = shop.ask_write_off(loan)
    shop.move("officer", "loan_change", withdrawn, "withdraw", "补充材料")
    assert [shop.row("loan_change", made)["status"] for made in (refused, withdrawn)] == ["rejected", "withdrawn"]
    assert (state(shop, loan), legs(shop)) == (before, booked)
    for made in (refused, withdrawn):
        with pytest.raises(NotPossible):
            shop.do("fincheck", "loan_change", made, "apply_change", {})
    books_agree(shop)


def test_above_a_million_management_decides_and_a_receipt_in_between_is_not_lost(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["large"]
    made = shop.ask_write_off(loan)
    shop.decide("check", "loan_change", made)
    shop.decide("review", "loan_change", made)
    nobody_decides(shop, made, "boss")
    shop.day(date(2025, 6, 23))
    shop.repay(loan, "5000.00")
    shop.decide("boss", "loan_change", made)
    row, gone = shop.row("loan_change", made), shop.row("loan", loan)
    assert (row["effective_on"], gone["status"]) == (date(2025, 6, 23), "written_off"), "on the day of the last word"
    assert gone["book_written_off"] == gone["book_impairment"] and gone["book_allowance"] == 0, "received before, so no recovery"
    books_agree(shop)


def test_the_second_person_of_other_changes_puts_no_write_off_in_force(both_lenders: Lender, loans: dict[str, int]) -> None:
    """Neither by the dialog of the other changes nor by one that was handed in before there was a chain."""
    shop, loan = both_lenders, loans["kept"]
    for kind in ("write_off", "prepay", "settle"):
        with pytest.raises((Invalid, NotPossible)):
            shop.do("finance", "loan", loan, "propose_change", {"kind": kind, "effective_on": shop.stage.today, "reason": "直接核销"})
    old = shop.rows("loan_change", loan_id=loan)[0]["id"]
    table = shop.tenant.revision().tables.of("lending.loan_change")
    with shop.tenant.write() as conn:
        conn.execute(sa.update(table).where(table.c.id == old).values(status="submitted"))
    with pytest.raises(NotPossible, match="chain"):
        shop.do("fincheck", "loan_change", old, "apply_change", {})
    shop.do("fincheck", "loan_change", old, "reject_change", {}, "请重新申请")
    assert shop.row("loan", loan)["status"] == "normal"


def test_nobody_books_a_prepayment_that_was_not_agreed_to(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["prepaid"]
    before, booked = state(shop, loan), legs(shop)

    def refused() -> None:
        with pytest.raises(NotPossible, match="agreed"):
            shop.repay(loan, "90000.00", kind="prepay")
        with pytest.raises(Invalid):
            shop.repay(loan, "90000.00", kind="prepay", prepaid_principal=D("30000.00"), plan_change="reduce_payment")

    refused()
    for stranger in ("finance", "fincheck", "check", "approve"):
        with pytest.raises((NotAllowed, NotFound)):
            shop.ask_prepay(loan, "30000.00", who=stranger)
    with pytest.raises(NotPossible, match="below"):
        shop.ask_prepay(loan, "60000.00")
    with pytest.raises(NotPossible, match="30 days"):
        shop.ask_prepay(loan, "30000.00", valid_until=date(2025, 7, 24))
    with pytest.raises(NotPossible, match="30 days"):
        shop.ask_prepay(loan, "30000.00", valid_until=date(2025, 6, 22))
    made = shop.ask_prepay(loan, "30000.00", who="service")
    for who in ("check", "review", "approve"):
        refused()
        nobody_decides(shop, made, who)
        shop.decide(who, "loan_change", made)
    assert shop.row("loan_change", made)["status"] == "agreed"
    assert (state(shop, loan), legs(shop)) == (before, booked), "an agreement moves no money and no plan"
    with pytest.raises(NotPossible):
        shop.do("fincheck", "loan_change", made, "apply_change", {})


def test_finance_books_what_was_agreed_to_with_one_button_and_once(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["prepaid"]
    made = shop.rows("loan_change", loan_id=loan)[-1]["id"]
    with shop.tenant.read() as conn:
        seen = look_before(shop.stage.as_user("finance")._context("look"), "lending.loan", "repay", loan, conn)
    filled = next(one.values for one in seen.fillings if one.values["kind"] == "prepay")
    assert shop.row("loan_change", made)["quote"] == filled["amount"] == seen.values["prepay"] > D("30300.00"), "quoted for today, and it is still today"
    paid = shop.repay(loan, filled["amount"], kind="prepay")
    assert (paid["prepaid_principal"], paid["plan_change"], paid["fee"], paid["surplus"]) == (D("30000.00"), "reduce_payment", D("300.00"), 0)
    row = shop.row("loan_change", made)
    assert (row["status"], row["repayment_id"]) == ("used", paid["id"])
    with pytest.raises(NotPossible, match="agreed"):
        shop.repay(loan, "20000.00", kind="prepay")
    shop.do("fincheck", "repayment", paid["id"], "reverse", {}, "支票被退")
    row = shop.row("loan_change", made)
    assert (row["status"], row["repayment_id"]) == ("agreed", None), "the money did not come: the agreement stands"
    again = shop.repay(loan, filled["amount"], kind="prepay")
    assert (again["principal"], shop.row("loan_change", made)["status"]) == (paid["principal"], "used")
    books_agree(shop)


def test_an_agreement_lapses_is_cancelled_and_applied_for_anew(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["lapsed"]
    made = shop.ask_prepay(loan, "10000.00", "shorten_term", valid_until=shop.stage.today)
    shop.agree(made)
    with pytest.raises((Invalid, NotPossible)):
        shop.ask_prepay(loan, "10000.00")
    shop.day(date(2025, 6, 24))
    with pytest.raises(NotPossible, match="2025-06-23"):
        shop.repay(loan, "20000.00", kind="prepay")
    with pytest.raises((NotAllowed, NotFound)):
        shop.do("finance", "loan_change", made, "cancel", {}, "过期")
    shop.do("officer", "loan_change", made, "cancel", {}, "过期")
    shop.agree(shop.ask_prepay(loan, "10000.00", "shorten_term"))
    first = shop.repay(loan, "20000.00", kind="prepay")
    shop.agree(shop.ask_prepay(loan, "5000.00"))
    shop.do("fincheck", "repayment", first["id"], "reverse", {}, "退票")
    assert [row["status"] for row in shop.rows("loan_change", loan_id=loan)] == ["withdrawn", "withdrawn", "agreed"], "only one waits for money"
    books_agree(shop)


def test_a_product_without_it_takes_no_application(both_lenders: Lender, loans: dict[str, int]) -> None:
    with pytest.raises(MetaloomError):
        both_lenders.ask_prepay(loans["full only"], "10000.00")
    assert not both_lenders.rows("loan_change", loan_id=loans["full only"])
    both_lenders.repay(loans["full only"], "8884.88")      # what is due is booked by one person, as ever


def quoted(shop: Lender, loan: int, on: date) -> D:
    total = shop.stage.as_user("finance").ask("lending.loan", loan, "settle_quote", {"value_date": on})["total"]
    assert isinstance(total, D)
    return total


def test_nobody_settles_a_loan_before_its_time_alone(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["settled"]
    on = shop.stage.today
    before, booked, asked = state(shop, loan), legs(shop), quoted(shop, loan, on)

    def refused() -> None:
        with pytest.raises(NotPossible, match="agreed"):
            shop.repay(loan, asked, kind="settle")
        with shop.tenant.read() as conn:
            seen = look_before(shop.stage.as_user("finance")._context("look"), "lending.loan", "repay", loan, conn)
        assert seen.values["settle"] is None and "settle" not in [one.values["kind"] for one in seen.fillings]

    refused()
    for stranger in ("finance", "fincheck", "check", "approve", "officer2"):
        with pytest.raises((NotAllowed, NotFound)):
            shop.ask_settle(loan, who=stranger)
    for day in (on - timedelta(days=1), on + timedelta(days=31)):
        with pytest.raises(NotPossible, match="30 days"):
            shop.ask_settle(loan, day)
    made = shop.ask_settle(loan, who="service")
    row = shop.row("loan_change", made)
    assert (row["amount"], row["valid_until"], row["status"]) == (asked, on, "reviewing"), "as the quote says"
    with pytest.raises((Invalid, NotPossible)):
        shop.ask_settle(loan)
    for who in ("check", "review", "approve"):
        refused()
        nobody_decides(shop, made, who)
        shop.decide(who, "loan_change", made)
    assert shop.row("loan_change", made)["status"] == "agreed"
    assert (state(shop, loan), legs(shop)) == (before, booked), "an agreement moves no money and no plan"
    with pytest.raises(NotPossible):
        shop.do("fincheck", "loan_change", made, "apply_change", {})


def test_finance_settles_what_was_agreed_to_and_a_reversal_opens_loan_and_agreement_again(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["settled"]
    made, before = shop.rows("loan_change", loan_id=loan)[-1]["id"], state(shop, loan)
    with shop.tenant.read() as conn:
        seen = look_before(shop.stage.as_user("finance")._context("look"), "lending.loan", "repay", loan, conn)
    filled = next(one.values for one in seen.fillings if one.values["kind"] == "settle")
    assert shop.row("loan_change", made)["amount"] == filled["amount"]
    with pytest.raises(NotPossible, match="too small"):
        shop.repay(loan, filled["amount"] - D("0.01"), kind="settle")
    assert shop.row("loan_change", made)["applied_on"] == shop.stage.today
    with pytest.raises(NotPossible, match="applied for on"):
        shop.repay(loan, filled["amount"], kind="settle", on=shop.stage.today - timedelta(days=1))
    paid = shop.repay(loan, filled["amount"], kind="settle")
    row, gone = shop.row("loan_change", made), shop.row("loan", loan)
    assert (paid["surplus"], row["status"], row["repayment_id"], gone["status"], gone["principal_balance"]) == (0, "used", paid["id"], "settled", 0)
    assert paid["fee"] == (paid["principal"] * D("0.01")).quantize(D("0.01"), "ROUND_HALF_UP")
    books_agree(shop)
    shop.do("fincheck", "repayment", paid["id"], "reverse", {}, "支票被退")
    row, back = shop.row("loan_change", made), state(shop, loan)
    owed = {name: before[f"0.{name}"] for name in ("status", "principal_balance", "interest_balance", "suspense", "paid_periods", "next_due_on",
                                                    "next_due_amount", "matures_on", "settled_on", "settled_by", "book_normal", "book_fee")}
    assert (row["status"], row["repayment_id"]) == ("agreed", None) and {name: back[f"0.{name}"] for name in owed} == owed
    books_agree(shop)
    shop.repay(loan, filled["amount"], kind="settle")
    assert (shop.row("loan_change", made)["status"], shop.row("loan", loan)["status"]) == ("used", "settled")
    books_agree(shop)


def test_a_fee_in_between_stops_the_last_word_and_says_both_amounts_a_receipt_does_not(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["changed"]
    made = shop.ask_settle(loan, date(2025, 7, 1))
    told = shop.row("loan_change", made)["amount"]
    shop.decide("check", "loan_change", made)
    shop.decide("review", "loan_change", made)
    change(shop, loan, "fee", amount=D("50.00"))
    before, booked = state(shop, loan), legs(shop)
    now = quoted(shop, loan, date(2025, 7, 1))
    with pytest.raises(NotPossible, match=f"{told:,.2f} and takes {now:,.2f}"):
        shop.decide("approve", "loan_change", made)
    assert shop.row("loan_change", made)["status"] == "reviewing" and (state(shop, loan), legs(shop)) == (before, booked)
    shop.decide("approve", "loan_change", made, "reject", "报价已变")
    again = shop.ask_settle(loan, date(2025, 7, 1))
    shop.decide("check", "loan_change", again)
    shop.repay(loan, "100.00")
    shop.decide("review", "loan_change", again)
    shop.decide("approve", "loan_change", again)
    assert (shop.row("loan_change", again)["amount"], shop.row("loan_change", again)["status"]) == (now, "agreed")
    assert quoted(shop, loan, date(2025, 7, 1)) < now


def test_a_day_beyond_the_quote_stops_the_last_word_and_the_money(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, late, paid = both_lenders, loans["over"], loans["changed"]
    made, today = shop.ask_settle(late), shop.stage.today
    shop.decide("check", "loan_change", made)
    shop.decide("review", "loan_change", made)
    shop.day(date(2025, 7, 2))
    with pytest.raises(NotPossible, match=f"quoted for {today}, and it is 2025-07-02"):
        shop.decide("approve", "loan_change", made)
    shop.decide("approve", "loan_change", made, "reject", "报价过期")
    with pytest.raises(NotPossible, match="2025-07-01"):
        shop.repay(paid, "90000.00", kind="settle")
    settled = shop.repay(paid, quoted(shop, paid, date(2025, 7, 1)), kind="settle", on=date(2025, 7, 1))
    assert (settled["surplus"], shop.row("loan", paid)["status"]) == (0, "settled"), "the money came in time and was booked a day later"
    books_agree(shop)


def test_without_another_word_the_day_leaves_time_for_the_chain_and_is_before_maturity(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["over"]
    table = shop.tenant.revision().tables.of("lending.loan")
    for matures, day in ((date(2026, 1, 15), date(2025, 7, 7)), (date(2025, 7, 4), date(2025, 7, 3))):
        with changed(shop, table, loan, {"matures_on": matures}):
            shop.do("officer", "loan", loan, "propose_settlement", {})
        made = shop.rows("loan_change", loan_id=loan)[-1]
        assert (made["valid_until"], made["applied_on"]) == (day, shop.stage.today)
        shop.move("officer", "loan_change", made["id"], "withdraw", "补充材料")


def test_what_was_agreed_to_waits_for_no_money_once_the_loan_is_settled_another_way(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["two ways"]

    def told() -> list[str]:
        return [row["status"] for row in shop.rows("loan_change", loan_id=loan) if row["kind"] in ("prepay", "settle")]

    shop.agree(shop.ask_prepay(loan, "10000.00"))
    shop.agree(shop.ask_settle(loan))
    paid = shop.repay(loan, quoted(shop, loan, shop.stage.today), kind="settle")
    assert told() == ["withdrawn", "used"]
    shop.do("fincheck", "repayment", paid["id"], "reverse", {}, "支票被退")
    assert told() == ["withdrawn", "agreed"]
    sold = change(shop, loan, "transfer", amount=D("50000.00"))
    assert told() == ["withdrawn", "withdrawn"]
    shop.do("fincheck", "loan_change", sold, "reverse_change", {}, "转让未成交")
    assert told() == ["withdrawn", "withdrawn"], "whoever still wants it applies anew"
    books_agree(shop)


def test_a_claim_that_was_written_off_is_settled_by_one_person_whatever_the_product_allows(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["part late"]
    shop.agree(shop.ask_write_off(loan))
    with shop.tenant.read() as conn:
        seen = look_before(shop.stage.as_user("finance")._context("look"), "lending.loan", "repay", loan, conn)
    filled = next(one.values for one in seen.fillings if one.values["kind"] == "settle")
    shop.repay(loan, filled["amount"], kind="settle")
    assert shop.row("loan", loan)["status"] == "settled"
    books_agree(shop)


def test_what_is_due_is_paid_by_one_person_and_settles_a_loan_that_has_matured(both_lenders: Lender, loans: dict[str, int]) -> None:
    shop, loan = both_lenders, loans["matured"]
    with pytest.raises(NotPossible):
        shop.ask_settle(loan)
    settled = shop.repay(loan, quoted(shop, loan, shop.stage.today), kind="settle")
    assert (settled["fee"], shop.row("loan", loan)["status"], shop.rows("loan_change", loan_id=loan)) == (0, "settled", [])
    with pytest.raises(NotPossible, match="product does not allow"):
        shop.repay(loans["part only"], "90000.00", kind="settle")
    with pytest.raises(MetaloomError):
        shop.ask_settle(loans["part only"])
    assert not shop.rows("loan_change", loan_id=loans["part only"])
    books_agree(shop)
