"""What waits for a word, or for its money, when the loan is settled another way: withdrawn with the reason, and not revived by a reversal."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal as D
from typing import Any

import pytest
import sqlalchemy as sa

from metaloom.base.errors import MetaloomError
from tests.plugins.lender import Lender
from tests.plugins.loan_servicing.books import books_agree
from tests.plugins.loan_servicing.days import end_day, tick
from tests.plugins.loan_servicing.test_changes import change, propose
from tests.plugins.loan_servicing.test_decided import quoted
from tests.plugins.loan_servicing.test_invariants import changed

WHY = "贷款已另行结清，自动撤回。"


def classified(shop: Lender, loan: int) -> int:
    made = shop.create("officer", "risk_classification", {"loan": loan, "proposed_class": "attention", "basis": ["ability"],
                                                          "reason": "借款人停业两个月，已无稳定收入来源"})
    shop.do("officer", "risk_classification", made, "submit")
    return made


def case_of(shop: Lender, entity: str, record: int) -> Any:
    table = shop.tenant.revision().tables.engine.approval_case
    with shop.tenant.read() as conn:
        return conn.execute(sa.select(table).where(table.c.entity == f"lending.{entity}", table.c.record_id == record)).mappings().one()


def last_word(shop: Lender, case: int) -> Any:
    table = shop.tenant.revision().tables.engine.approval_event
    with shop.tenant.read() as conn:
        return conn.execute(sa.select(table).where(table.c.case_id == case).order_by(table.c.seq.desc()).limit(1)).mappings().one()["data"]


def told(shop: Lender, who: str) -> list[str]:
    """What somebody was told of ends of cases."""
    tables = shop.tenant.revision().tables.engine
    with shop.tenant.read() as conn:
        me = conn.scalar(sa.text("SELECT id FROM ab_user WHERE username = :who"), {"who": who})
        return list(conn.scalars(sa.select(tables.message.c.subject).where(tables.message.c.receiver_id == me, tables.message.c.kind == "approval.result")))


def withdrawn(shop: Lender, entity: str, record: int) -> None:
    """The case ended with the reason, without anybody's name, and nobody has a task of it."""
    case = case_of(shop, entity, record)
    said = last_word(shop, case["id"])
    assert (case["status"], said["result"], said["why"], said["by"]) == ("withdrawn", "withdrawn", WHY, 0)
    task = shop.tenant.revision().tables.engine.approval_task
    with shop.tenant.read() as conn:
        left = conn.execute(sa.select(task.c.status).where(task.c.case_id == case["id"])).scalars().all()
    assert left and "open" not in left


def test_what_is_being_decided_is_withdrawn_with_the_loan_and_a_reversal_revives_nothing(both_lenders: Lender) -> None:
    shop = both_lenders
    loan, other = shop.loan(), shop.loan()
    prepay, settle, elsewhere = shop.ask_prepay(loan, "30000.00"), shop.ask_settle(loan, who="service"), shop.ask_prepay(other, "30000.00")
    shop.decide("check", "loan_change", prepay)           # past its first word the applicant could not withdraw it any more
    shop.decide("check", "loan_change", settle)
    shop.decide("review", "loan_change", settle)
    graded = classified(shop, loan)
    shop.move("check", "risk_classification", graded, "claim")
    fee, rate = propose(shop, loan, "fee", amount=D("20.00")), propose(shop, loan, "rate", new_rate=D("0.10"), rate_effect="next_period")
    sale = change(shop, loan, "transfer", amount=D("90000.00"))
    assert shop.row("loan", loan)["status"] == "settled"
    for made in (prepay, settle, fee, rate):
        row = shop.row("loan_change", made)
        assert (row["status"], row["opinion"], row["decided_by_id"]) == ("withdrawn", WHY, None)
    for entity, made in (("loan_change", prepay), ("loan_change", settle), ("risk_classification", graded)):
        withdrawn(shop, entity, made)
    assert shop.row("risk_classification", graded)["status"] == "withdrawn" and shop.row("loan", loan)["risk_class"] == "normal"
    assert [shop.row("loan_change", one)["status"] for one in (sale, elsewhere)] == ["applied", "reviewing"]
    assert any("撤回" in said for said in told(shop, "service")), "whoever applied hears of it"
    shop.do("fincheck", "loan_change", sale, "reverse_change", {}, "买方违约")
    assert shop.row("loan", loan)["status"] == "normal"
    assert [shop.row("loan_change", one)["status"] for one in (prepay, settle, fee, rate)] == ["withdrawn"] * 4
    for one in (prepay, settle):
        assert case_of(shop, "loan_change", one)["status"] == "withdrawn"
    shop.agree(shop.ask_settle(loan))                     # applied for anew
    shop.repay(loan, quoted(shop, loan, shop.stage.today), kind="settle")
    books_agree(shop)


def test_the_settlement_that_was_agreed_to_is_paid_and_the_rest_withdrawn(both_lenders: Lender) -> None:
    shop = both_lenders
    loan = shop.loan()
    fee = change(shop, loan, "fee", amount=D("20.00"))
    settle, prepay = shop.ask_settle(loan), shop.ask_prepay(loan, "30000.00")
    shop.agree(settle)
    paid = shop.repay(loan, quoted(shop, loan, shop.stage.today), kind="settle")
    assert [shop.row("loan_change", one)["status"] for one in (settle, prepay, fee)] == ["used", "withdrawn", "applied"], "what is in force stays"
    withdrawn(shop, "loan_change", prepay)
    shop.do("fincheck", "repayment", paid["id"], "reverse", {}, "退票")
    assert [shop.row("loan_change", one)["status"] for one in (settle, prepay, fee)] == ["agreed", "withdrawn", "applied"]
    books_agree(shop)


def test_a_refund_of_what_was_overpaid_outlives_the_loan(both_lenders: Lender) -> None:
    """It is the customer's money: the settled loan still owes it."""
    shop = both_lenders
    loan = shop.loan()
    shop.repay(loan, "10000.00")
    over = shop.row("loan", loan)["suspense"]
    assert over > 0
    refund = propose(shop, loan, "refund", amount=over)
    change(shop, loan, "transfer", amount=D("80000.00"))
    assert (shop.row("loan", loan)["status"], shop.row("loan_change", refund)["status"]) == ("settled", "submitted")
    shop.do("fincheck", "loan_change", refund, "apply_change", {})
    assert (shop.row("loan", loan)["suspense"], shop.row("loan_change", refund)["status"]) == (0, "applied")
    books_agree(shop)


def test_an_overpayment_that_settles_the_loan_in_the_night_withdraws_too(both_lenders: Lender) -> None:
    shop = both_lenders
    tick(shop)
    loan = shop.loan(term=2)
    shop.repay(loan, "110000.00")
    graded = classified(shop, loan)
    assert shop.row("loan", loan)["status"] == "normal", "the last bill is paid at its due date"
    end_day(shop, 60)
    assert shop.row("loan", loan)["status"] == "settled"
    withdrawn(shop, "risk_classification", graded)


def test_a_draft_of_a_change_of_class_ends_with_its_loan(both_lenders: Lender) -> None:
    """Nobody could hand it in, or delete it."""
    shop, loan = both_lenders, both_lenders.loan()
    made = shop.create("officer", "risk_classification", {"loan": loan, "proposed_class": "attention", "basis": ["ability"],
                                                          "reason": "借款人停业两个月，已无稳定收入来源"})
    change(shop, loan, "transfer", amount=D("80000.00"))
    assert shop.row("risk_classification", made)["status"] == "withdrawn"


def test_a_change_of_class_whose_object_went_is_withdrawn_and_not_handed_in_again(both_lenders: Lender) -> None:
    shop, loan = both_lenders, both_lenders.loan()
    made = classified(shop, loan)
    with changed(shop, shop.tenant.revision().tables.of("lending.loan"), loan, {"risk_class": "attention"}):
        shop.move("officer", "risk_classification", made, "withdraw")
        assert shop.row("risk_classification", made)["status"] == "draft"
        with pytest.raises(MetaloomError, match="has this class already"):
            shop.do("officer", "risk_classification", made, "submit")
    shop.do("officer", "risk_classification", made, "submit")


@pytest.mark.parametrize("turn", range(3))
def test_a_last_word_and_a_settlement_at_once(both_lenders: Lender, turn: int) -> None:
    """The word locks the application before the loan, the money the loan before the application: whoever meets is tried again, and the application
    is over in the end, without a case that still asks."""
    shop, loan = both_lenders, both_lenders.loan()
    prepay, settle = shop.ask_prepay(loan, "30000.00"), shop.ask_settle(loan)
    shop.agree(settle)
    for who in ("check", "review"):
        shop.decide(who, "loan_change", prepay)
    total = quoted(shop, loan, shop.stage.today)
    said = both(lambda: shop.repay(loan, total, kind="settle"), lambda: shop.decide("approve", "loan_change", prepay))
    assert said[0] == "done" and said[1] in ("done", "error.not_possible", "error.stale", "error.not_found"), said
    assert (shop.row("loan", loan)["status"], shop.row("loan_change", prepay)["status"]) == ("settled", "withdrawn")
    assert case_of(shop, "loan_change", prepay)["status"] == ("approved" if said[1] == "done" else "withdrawn")
    books_agree(shop)


def both(*jobs: Callable[[], Any]) -> list[str]:
    """``done`` or the code of the refusal; a task that is gone when the desk looks for it is not found."""
    def run(job: Callable[[], Any]) -> str:
        try:
            job()
        except MetaloomError as refusal:
            return refusal.code
        except LookupError:
            return "error.not_found"
        return "done"

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))
